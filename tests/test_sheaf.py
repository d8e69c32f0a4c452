"""The rules of sheaves: where an object comes from and goes to, step by step, and that none is ever lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.slab_caption import slab_caption
from pagelab.lab.tape import Tape
from pagelab.mm.machine import NOTHING, REFUSED
from pagelab.mm.page_alloc import boot
from pagelab.mm.sheaf_act import SHEAF_ACTS, BarnGiven, BarnTaken, Flushed, Refilled, Rested, SheafAdded, SheafDropped, SheafSwapped
from pagelab.mm.slab import NODE_PARTIAL
from pagelab.mm.slab_act import SLAB_ACTS, Called, Carved, Enlisted
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_layout import Slab
from pagelab.mm.slab_machine import SlabMachine, slab_machine
from pagelab.mm.slab_rules import rules_of
from pagelab.mm.slub import new_slab

KILO = "kmalloc-1k"  # 8 objects of 1 KiB in order 1, 12 in a sheaf


def of_caches(acts, *kinds):
    return [act for act in acts if isinstance(act, kinds or SLAB_ACTS)]


def sizes(machine, name=KILO, cpu=0):
    c = machine.cache(name).sheaves.cpu[cpu]
    return len(c.main), None if c.spare is None else len(c.spare)


def run(requests, machine=None):
    machine, received = machine or slab_machine(4096, "7.x"), []
    for request in requests:
        received.append(machine.apply(request, received))
    return machine, received


def kilos(number):
    return [kmalloc_request(1024)] * number


def frees(*numbers, cpu=0):
    return [kfree_request(number, cpu) for number in numbers]


def test_the_first_object_fills_a_sheaf():
    acts = slab_machine(64, "7.x").acts(kmalloc_request(1024), [])
    objects = slab_machine(64, "7.x").cache(KILO).layout.objects
    filled = [act.objects for act in of_caches(acts, Refilled)]
    assert sum(filled) == 12
    assert filled[0] == objects
    assert isinstance(of_caches(acts)[0], Called)
    assert of_caches(acts, SheafAdded) == [SheafAdded(KILO, 0, -1)]
    left = -12 % objects
    assert [act.tail for act in of_caches(acts, Enlisted)] == ([False] if left else [])
    assert acts[-1] == Rested(KILO, of_caches(acts, Carved)[-1].pfn, 12 - sum(filled[:-1]) - 1, True, 0)


def test_objects_come_out_of_a_sheaf_last_in_first_out():
    machine, received = run([*kilos(5), *frees(1, 3), *kilos(2)])
    assert received[7:] == [received[3], received[1]]
    machine.validate()


def test_a_full_main_sheaf_becomes_the_spare_one():
    machine, _ = run(kilos(12))
    assert sizes(machine) == (0, 0)
    machine, _ = run([*kilos(12), *frees(*range(12))])
    assert sizes(machine) == (12, 0)
    machine, _ = run([*kilos(13), *frees(*range(13))])
    assert sizes(machine) == (12, 12)


def everything_freed(number):
    return run([*kilos(number), *frees(*range(number))])[0]


def test_the_barn_takes_ten_full_sheaves_and_no_more():
    machine = everything_freed(12 * 11)
    sheaves = machine.cache(KILO).sheaves
    assert len(sheaves.barn[0].full) == 9
    machine = everything_freed(12 * 15)
    sheaves, cache = machine.cache(KILO).sheaves, machine.cache(KILO)
    assert (len(sheaves.barn[0].full), sizes(machine)) == (10, (12, 12))
    assert len(sheaves.slots()) == 12 * 12
    assert cache.live() == 0
    assert cache.slabs * cache.layout.objects - 12 * 12 <= 8 * (cache.layout.min_partial + 5)
    machine.validate()


def test_a_sheaf_comes_back_from_the_barn():
    tape = Tape(slab_machine(4096, "7.x")).then([*kilos(48), *frees(*range(48))])
    acts = of_caches(tape.then(kilos(40)).acts(96 + 24))
    assert acts[1:2] == [BarnTaken(KILO, 0, 0, 12)]


def test_shrink_empties_sheaves_and_barn():
    machine, received = run([*kilos(48), *frees(*range(48))])
    number = machine.names.index(KILO)
    acts = machine.acts(cache_request("shrink", number), received)
    assert {act.which for act in of_caches(acts, Flushed)} == {"main", "spare", "barn"}
    assert of_caches(acts, SheafDropped)[0] == SheafDropped(KILO, "spare", 0)
    assert machine.cache(KILO).slabs == 0
    assert machine.cache(KILO).sheaves.slots() == []
    assert machine.zone.nr_free_pages() == 4096


def test_an_object_in_a_sheaf_cannot_be_freed_again():
    machine, received = run([*kilos(2), *frees(1)])
    with pytest.raises(ValueError, match="is free already"):
        machine.apply(kfree_request(1), received)


def test_what_is_of_another_node_goes_straight_to_its_slab():
    machine = SlabMachine(_two_nodes(), "7.x", cpus=2)
    received = [machine.apply(kmalloc_request(1024, 0), [])]
    before = sizes(machine, cpu=1)
    machine.apply(kfree_request(0, 1), received)
    assert sizes(machine, cpu=1) == before == (0, None)
    assert machine.cache(KILO).live() == 0
    machine.validate()


def _two_nodes():
    zones = [boot(256), boot(256, 256)]
    zones[1].node = 1
    return zones


def test_the_last_objects_come_past_the_sheaves():
    machine = slab_machine(2, "7.x")
    received = []
    while not received or received[-1] != REFUSED:
        received.append(machine.apply(kmalloc_request(1024), received))
        machine.validate()
    assert len(received) - 1 == 8
    assert len(set(received)) == 9


def test_a_cache_without_sheaves_takes_single_objects():
    machine = slab_machine(64, "7.x")
    cache = machine.kmem_cache_create("kmemleak_object", 512, flags=Slab.NOLEAKTRACE)
    number = machine.names.index("kmemleak_object")
    machine, received = run([cache_request("kmem_cache_alloc", number)] * 3 + frees(0), machine)
    assert cache.sheaves.capacity == 0
    assert cache.cpu[0].slab == -1
    assert (cache.slab(0).place, cache.slab(0).inuse, cache.live()) == ("node partial", 2, 2)
    assert machine.apply(cache_request("kmem_cache_alloc", number), received) == received[0]
    machine.validate()


def test_other_kernels_have_no_sheaves():
    for kernel in ("6.1", "6.12", "6.18"):
        cache = slab_machine(16, kernel).cache(KILO)
        assert cache.sheaves.capacity == 0
        assert rules_of(cache, kernel) is rules_of(cache)


MOVES = st.lists(
    st.tuples(st.sampled_from("aaaffs"), st.sampled_from([96, 1024, 4096]), st.integers(0, 999), st.integers(0, 1)), max_size=120
)


def play(machine, moves):
    """Ask and free as the moves say; return the requests."""
    requests, received, live = [], [], []
    for verb, size, number, cpu in moves:
        if verb == "a":
            request = kmalloc_request(size, cpu)
        elif verb == "f" and live:
            request = kfree_request(live.pop(number % len(live)), cpu)
        else:
            request = cache_request("shrink", machine.names.index("kmalloc-1k"))
        requests.append(request)
        received.append(machine.apply(request, received))
        if received[-1] not in (NOTHING, REFUSED):
            live.append(len(received) - 1)
    return requests, received, live


@given(MOVES, st.integers(20, 300), st.booleans())
@settings(max_examples=60, deadline=None)
def test_objects_and_pages_balance(moves, pages, two):
    machine = slab_machine(pages, "7.x", 2) if not two else SlabMachine(_two_nodes(), "7.x", 2)
    requests, received, live = play(machine, moves)
    machine.validate()
    assert sum(cache.live() for cache in machine.caches) == len(live)
    assert len({received[number] for number in live}) == len(live)
    for number in live:
        machine.apply(kfree_request(number), received)
    for number in range(len(machine.names)):
        machine.apply(cache_request("shrink", number), received)
    assert sum(zone.nr_free_pages() for zone in machine.zones) == (512 if two else pages)
    assert all(cache.slabs == 0 and not cache.sheaves.slots() for cache in machine.caches)


@given(MOVES)
@settings(max_examples=25, deadline=None)
def test_a_request_can_be_done_again_act_by_act(moves):
    start = slab_machine(300, "7.x", 2)
    requests, _, _ = play(start, moves)
    tape = Tape(slab_machine(300, "7.x", 2)).then(requests)
    for k in range(max(0, len(requests) - 20), len(requests)):
        acts, machine = tape.acts(k), tape.at(k)
        machine.redo(acts)
        machine.validate()
        assert machine.snapshot() == tape.at(k + 1).snapshot()
        assert all(slab_caption(acts, i).sentence for i, act in enumerate(acts) if isinstance(act, (Refilled, *SHEAF_ACTS)))


def test_every_act_of_sheaves_happens():
    seen = set()
    tape = Tape(slab_machine(4096, "7.x")).then([*kilos(180), *frees(*range(180)), *kilos(180)])
    number = tape.at(0).names.index(KILO)
    tape = tape.then([cache_request("shrink", number)])
    for k in range(len(tape)):
        seen |= {type(act) for act in tape.acts(k)}
    assert {SheafSwapped, SheafAdded, BarnTaken, BarnGiven, Flushed, SheafDropped, Refilled, Rested} <= seen


def test_slabs_that_a_refill_did_not_need_are_first_again_in_their_order():
    machine = slab_machine(4096, "7.x")
    cache = machine.cache(KILO)
    few, many = [new_slab(machine, cache, 0) for _ in range(2)], [new_slab(machine, cache, 0) for _ in range(2)]
    for slab in few:
        for _ in range(cache.layout.objects - 1):
            cache.draw(slab)
    for slab in (*few, *many):
        cache.enlist(slab, NODE_PARTIAL, 0, tail=True)
    machine.apply(kmalloc_request(1024), [])
    assert [*cache.node[0].partial] == [*few, many[0]]
    assert [len(cache.slab(slab).freelist) for slab in (*few, *many)] == [1, 1, 4, 0]
