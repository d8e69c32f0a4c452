"""Questions about caches: plan.md's numbers, and answers against a second SLUB and a count by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slub_oracle import SlubOracle

from pagelab.lab.form import read_answer, write_answer
from pagelab.lab.question import Run, run_of
from pagelab.lab.scenario import slab, text
from pagelab.lab.slab_question import (
    SLAB_ASKS,
    FreePointer,
    KmallocGives,
    SecondPage,
    SlabRun,
    SlabShape,
    SlabsUntilReturn,
    slabinfo_of,
)


def frees(numbers):
    return "; ".join(f"kfree @{number}" for number in numbers)


def asked(tape, requests, *asks):
    return [SlabRun(tape, requests, ask).truth() for ask in asks]


# 07: fill a slab.


def test_the_ninth_request_takes_a_second_page():
    assert SecondPage(slab("kmalloc 512 x24")).truth() == 9


def test_of_objects_2_and_5_the_last_freed_is_next():
    tape, requests = slab("kmalloc 512 x8"), "kfree @2; kfree @5; kmalloc 512"
    assert asked(tape, requests, "object", "objects", "index") == ["#5", ["#5"], 5]


@pytest.mark.parametrize(("size", "gives"), [(100, 128), (193, 256), (8193, 16_384)])
def test_what_kmalloc_gives(size, gives):
    assert KmallocGives(size).truth() == gives


@pytest.mark.parametrize(("cpus", "shape"), [(1, (1, 11, 448)), (4, (2, 23, 192))])
def test_an_object_of_704_bytes_on_1_and_4_cpus(cpus, shape):
    assert tuple(SlabShape(704, cpus, ask).truth() for ask in ("order", "objects", "waste")) == shape


def test_the_free_pointer_of_object_3():
    assert FreePointer(512, 3).truth() == 1792 == 3 * 512 + 256


# 08: follow a cache.


def test_24_out_and_24_freed_leave_3_slabs_and_24_of_24():
    tape = slab("kmalloc 512 x24")
    assert asked(tape, frees(range(24)), "slabs", "pages", "slabinfo", "live", "returned") == [3, 3, [24, 24], 0, 0]
    assert asked(tape, frees(range(24)), "on CPU lists", "on node lists") == [2, 0]


def test_15_slabs_until_pages_come_back_and_8_do():
    assert SlabsUntilReturn().truth() == 15
    tape = slab("kmalloc 512 x120")
    assert asked(tape, frees(range(120)), "returned", "slabs", "slabinfo") == [8, 7, [16, 56]]
    assert asked(tape, frees(range(104)), "returned") == [0]
    assert asked(tape, frees(range(105)), "returned") == [8]


def test_20_comes_before_3():
    tape = slab("kmalloc 512 x24")
    assert asked(tape, "kfree @20; kfree @3; kmalloc 512 x2", "objects", "object") == [["#20", "#3"], "#3"]


def test_8_objects_pin_8_pages():
    assert asked(slab("kmalloc 512 x64"), frees(k for k in range(64) if k % 8), "pages", "live") == [8, 8]


# Any run.


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 999), st.integers(0, 1)), max_size=120), st.integers(0, 60))
def test_objects_are_called_after_their_first_request(moves, cut):
    oracle, first, live, names, lines = SlubOracle(16, 5, 7, 2), {}, {}, [], []
    layout = slab(cpus=2).at(0).cache("kmalloc-512").layout
    oracle.limit = layout.cpu_partial_slabs
    assert (layout.objects, layout.min_partial) == (16, 5)
    for out, pick, cpu in moves:
        if out or not live:
            obj = oracle.alloc(cpu)
            live[len(lines)] = obj
            names.append((len(lines), f"#{first.setdefault(obj, len(lines))}"))
            lines.append(f"kmalloc 512 cpu {cpu}")
        else:
            number = sorted(live)[pick % len(live)]
            oracle.give_back(*live.pop(number), cpu)
            lines.append(f"kfree @{number} cpu {cpu}")
    cut = min(cut, len(lines))
    run = SlabRun(slab("; ".join(lines[:cut]), 256, cpus=2), "; ".join(lines[cut:]), "objects")
    assert run.truth() == [name for k, name in names if k >= cut]
    assert SlabRun(run.tape, run.requests, "live").truth() == len(live)


def test_slabinfo_leaves_out_only_what_is_free_on_node_lists():
    machine = slab("kmalloc 512 x16; kfree @0; kfree @8; kfree @9; kmalloc 8 x2; shrink kmalloc-512").at(22)
    assert slabinfo_of(machine) == [13 + 512, 16 + 512]
    assert slabinfo_of(slab().at(0)) == [0, 0]


def test_several_caches_count_together_and_each_has_its_own_objects():
    tape = slab("kmem_cache_alloc cred x2; kmalloc 8193; kmalloc 512", caches={"cred": 184})
    assert asked(tape, "kfree @3; kfree @0; kfree @2", "slabs", "pages", "live") == [2, 2, 1]
    assert asked(tape, "kfree @0; kfree @3; kmem_cache_alloc cred; kmalloc 512", "objects") == [["#0", "#3"]]
    assert asked(tape, "alloc 0; kmalloc 64 reclaimable", "objects") == [["#5"]]


def test_a_refusal_is_an_answer():
    assert asked(slab("kmalloc 4096 x15", 16), "kmalloc 8 x513", "objects")[0][-1] == "refused"


def test_sizes_where_pointers_are_elsewhere_and_other_kernels():
    assert FreePointer(8, 2).truth() == 16
    assert FreePointer(704, 1).truth() == 704 + 352
    assert SlabShape(704, 4, "order", "6.1").truth() == 2


def test_where_a_node_keeps_more_slabs_than_a_cpu_the_cpu_must_fill_its_list_again():
    layout = SlabsUntilReturn(4096).layout()
    assert (layout.cpu_partial_slabs, layout.min_partial) == (2, 6)
    # Two slabs at a time go to the node: 2, 4, 6 stay, and two more are too many when slab 9 is touched; slab 10 is the cpu slab.
    assert SlabsUntilReturn(4096).truth() == 10


# How they are asked and answered.


@pytest.mark.parametrize(
    ("form", "answer", "value"),
    [
        ("objects", "#20, #3", ["#20", "#3"]),
        ("objects", "20 3", ["#20", "#3"]),
        ("objects", "@20, @3", ["#20", "#3"]),
        ("objects", ["#20", 3], ["#20", "#3"]),
        ("objects", "#1 refused", ["#1", "refused"]),
        ("objects", "5", ["#5"]),
        ("object", "5", "#5"),
        ("object", "#5", "#5"),
        ("object", 5, "#5"),
        ("object", "Refused", "refused"),
        ("pair", "24 24", [24, 24]),
        ("pair", "16, 56", [16, 56]),
        ("pair", [16, 56], [16, 56]),
    ],
)
def test_answers_are_read(form, answer, value):
    assert read_answer(form, answer) == value
    assert read_answer(form, write_answer(value)) == value


@pytest.mark.parametrize(
    ("form", "answer", "how"),
    [
        ("object", "5 6", "write an object by the request that first received it, such as #12"),
        ("object", True, "write an object"),
        ("objects", "#x", "write objects by the requests that first received them, such as #12 #7"),
        ("objects", "##3", "write objects"),
        ("objects", 1.5, "write objects"),
        ("pair", "24", "write two numbers, such as 30 42"),
        ("pair", "1 2 3", "write two numbers"),
    ],
)
def test_answers_that_cannot_be_read(form, answer, how):
    with pytest.raises(ValueError, match=how):
        read_answer(form, answer)


def test_what_can_be_asked():
    with pytest.raises(ValueError, match="'pfn' cannot be asked: ask object, objects, index, slabs"):
        assert SlabRun(slab(), "kmalloc 8", "pfn").form
    assert [SlabRun(slab(), "kmalloc 8", ask).form for ask in ("object", "objects", "slabinfo", "slabs")] == [
        "object",
        "objects",
        "pair",
        "number",
    ]


def test_pages_and_objects_are_asked_of_one_machine():
    tape = slab("kmalloc 512 x9")
    assert run_of(tape, "alloc 0", "pfn").truth() == 2
    assert isinstance(run_of(tape, "kfree @0; alloc 0", "free pages"), Run)
    assert run_of(tape, "kfree @0; alloc 0", "free pages").truth() == 61
    assert run_of(tape, "kmalloc 8193; kfree @9; alloc 2", "pfns").truth() == [4]
    assert all(isinstance(run_of(tape, "kmalloc 8", ask), SlabRun) for ask in SLAB_ASKS)
    assert isinstance(run_of(text(), "alloc 0", "slabs"), Run)
