"""Bytes asked for against bytes held: sums that must agree, and cases worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.scenario import slab
from pagelab.lab.slab_usage import Usage, usage


def test_100_bytes_take_128():
    assert usage(slab("kmalloc 100 x3; kmalloc 512"), 4) == {
        "kmalloc-128": Usage(300, 84, 29 * 128, 0, 3, 1, 1, 1, 0),
        "kmalloc-512": Usage(512, 0, 7 * 512, 0, 1, 1, 1, 1, 0),
    }


def test_the_end_of_a_slab_is_slack_and_a_full_slab_pins_nothing():
    tape = slab("kmem_cache_alloc node x12", caches={"node": 700})
    at = usage(tape, 12)["node"]
    assert (at.asked, at.internal, at.slack, at.slabs, at.pages) == (12 * 700, 12 * 4, 2 * 448, 2, 4)
    assert (at.held, at.in_use, at.pinned, at.empty) == (16_384, 12 * 704, 2, 0)
    assert usage(tape, 11)["node"].pinned == 0
    assert usage(tape, 0) == {}


def test_8_objects_pin_8_pages_and_an_empty_slab_is_empty():
    tape = slab("kmalloc 512 x64").then("; ".join(f"kfree @{k}" for k in range(64) if k % 8))
    at = usage(tape, len(tape))["kmalloc-512"]
    assert (at.objects, at.pages, at.pinned, at.empty, at.asked, at.held) == (8, 8, 8, 0, 4096, 32_768)
    tape = tape.then("kfree @0")
    at = usage(tape, len(tape))["kmalloc-512"]
    assert (at.objects, at.pinned, at.empty) == (7, 7, 1)


def test_an_object_given_out_again_is_counted_as_asked_for_last():
    tape = slab("kmalloc 500; kfree @0; kmalloc 400; kmalloc 8193; alloc 0")
    assert [usage(tape, k)["kmalloc-512"].asked for k in range(1, 6)] == [500, 0, 400, 400, 400]
    assert set(usage(tape, 5)) == {"kmalloc-512"}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([8, 90, 100, 300, 704, 5000]), st.booleans(), st.integers(0, 99)), max_size=80))
def test_all_bytes_are_somewhere(moves):
    tape, live = slab(pages=512), {}
    for size, out, pick in moves:
        if out or not live:
            live[len(tape)] = size
            tape = tape.then(f"kmalloc {size}")
        else:
            number = sorted(live)[pick % len(live)]
            del live[number]
            tape = tape.then(f"kfree @{number}")
    every = usage(tape, len(tape)).values()
    assert sum(at.asked for at in every) == sum(live.values())
    assert sum(at.objects for at in every) == len(live)
    for at in every:
        assert at.held == at.asked + at.internal + at.free + at.slack
        assert min(at) >= 0
    machine = tape.at(len(tape))
    assert sum(at.pages for at in every) == len(machine.owners)


def test_a_step_that_does_not_exist():
    with pytest.raises(ValueError, match="step 1 does not exist"):
        usage(slab(), 1)
