"""Memory of a cache: what callers asked for, what lies in slots and what is held, against plain bookkeeping."""

import pytest
from slab_runs import KINDS, held_by_callers, slab_kinds, slab_run

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.mm.slub import get_slabinfo
from pagelab.view.cache_usage import default_cache, usage, usage_line, usage_parts
from pagelab.view.cache_usage import slab_run as run_of
from pagelab.view.slab_columns import slab_moment

EVERY = pytest.mark.parametrize("kind", KINDS)


@EVERY
def test_what_is_asked_for_used_and_held_at_every_step(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(11, machine, cache, 70)
    run = run_of(tape, cache)
    for k in range(0, len(tape) + 1, 4):
        now, held = slab_moment(tape, k, 0, cache), held_by_callers(tape, k)
        used = usage(now, run)
        zone = now.pages.zone
        assert used.asked == sum(held.values())
        assert used.in_use == len(held) * now.cache.layout.size
        assert used.held == (zone.end_pfn - zone.start_pfn - zone.nr_free_pages()) * 4096, "nobody else has pages"
        assert sum(size for _, size, _ in usage_parts(used)) == used.held
        assert all(size >= 0 for _, size, _ in usage_parts(used))
        active, total = counts = get_slabinfo(now.cache)
        assert usage_line(used, counts).endswith(f"slabinfo {active} {total}")
        assert len(held) <= active <= total


@EVERY
def test_the_last_act_of_a_request_has_the_numbers_of_the_next_step(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(12, machine, cache, 16)
    run = run_of(tape, cache)
    for k in range(len(tape)):
        assert usage(slab_moment(tape, k, -1, cache), run) == usage(slab_moment(tape, k + 1, 0, cache), run)


@pytest.mark.parametrize(("out", "freed", "slabinfo", "held"), [(24, 24, (24, 24), 3), (120, 105, (16, 56), 7), (8, 0, (8, 8), 1)])
def test_what_slabinfo_says_is_not_what_is_in_use(out, freed, slabinfo, held):
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * out).then([kfree_request(i) for i in range(freed)])
    now = slab_moment(tape, len(tape), 0, "kmalloc-512")
    used = usage(now, run_of(tape, "kmalloc-512"))
    assert get_slabinfo(now.cache) == slabinfo
    assert (used.held, used.objects) == (held * 4096, out - freed)


@EVERY
def test_the_strip_has_pages_and_objects_of_every_step(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(13, machine, cache, 50)
    found = run_of(tape, cache)
    assert found.strip.steps.tolist() == list(range(51))
    assert found.strip.largest.tolist() == [len(held_by_callers(tape, k)) for k in range(51)]
    assert found.strip.pages == found.strip.free.max()
    assert found.strip.orders == found.strip.largest.max() + 1
    assert set(found.cpus) <= set(range(machine.cpus))
    few = run_of(tape, cache, 10).strip
    assert len(few.steps) <= 10
    assert few.steps[-1] == 50
    assert few.largest.tolist() == [found.strip.largest[k] for k in few.steps]


def test_the_cache_that_is_shown_is_the_first_that_is_used():
    made = slab_machine(64)
    made.kmem_cache_create("cred", 184)
    number = made.names.index("cred")
    for requests, name in [
        ([kmalloc_request(100)], "kmalloc-128"),
        ([kmalloc_request(9000), kmalloc_request(3)], "kmalloc-8"),
        ([kmalloc_request(100, 0, 3)], "kmalloc-cg-128"),
        ([cache_request("kmem_cache_alloc", number)], "cred"),
        ([], "cred"),
    ]:
        assert default_cache(Tape(made).then(requests)) == name
    assert default_cache(Tape(slab_machine(64))) == "kmalloc-512"
