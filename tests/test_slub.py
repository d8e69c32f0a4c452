import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slub_oracle import SlubOracle

from pagelab.lab.tape import Tape
from pagelab.mm.act import Asked
from pagelab.mm.call import alloc_request
from pagelab.mm.page_alloc import hand_over
from pagelab.mm.slab import CPU_PARTIAL, NODE_PARTIAL
from pagelab.mm.slab_act import Carved, Discarded, Loaded
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_common import kmalloc_index, kmalloc_name
from pagelab.mm.slab_layout import Slab
from pagelab.mm.slab_machine import SlabMachine, slab_machine
from pagelab.mm.slub import flush_cpu_slab, get_partial, new_slab, shrink
from pagelab.mm.zone import RECLAIMABLE, UNMOVABLE, Zone


def slabs(machine, name="kmalloc-512"):
    cache = machine.cache(name)
    return {state.pfn: state for state in map(cache.slab, cache.numbers())}


def test_24_out_and_24_back_hold_three_slabs():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 24).then(map(kfree_request, range(24)))
    held = slabs(tape.at(48))
    assert [(s.place, s.live, s.inuse) for s in held.values()] == [("cpu partial", 0, 0), ("cpu partial", 0, 0), ("cpu slab", 0, 8)]


def test_pages_come_back_with_the_15th_slab_eight_at_once():
    full = [kmalloc_request(512)] * 8
    for count, held in ((14, 14), (15, 7)):
        tape = Tape(slab_machine(64)).then(full * count).then(map(kfree_request, range(8 * count)))
        assert len(slabs(tape.at(len(tape)))) == held
    end = tape.at(len(tape))
    cache = end.cache("kmalloc-512")
    assert cache.nr_partial(0) == 5
    assert [len(held) for held in (cache.cpu[0].partial, end.owners)] == [1, 7]
    free = [tape.at(k).zone.nr_free_pages() for k in range(len(tape) + 1)]
    assert [b - a for a, b in zip(free[120:], free[121:], strict=False) if b != a] == [8]


def test_the_cpu_slab_serves_first_whatever_was_freed_last():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 24).then([kfree_request(20), kfree_request(3)])
    tape = tape.then([kmalloc_request(512)] * 2)
    assert list(tape.received[-2:]) == [tape.received[20], tape.received[3]]


def test_what_another_cpu_frees_waits_on_the_slabs_own_list():
    tape = Tape(slab_machine(64, cpus=2)).then([kmalloc_request(512)] * 3)
    tape = tape.then([kfree_request(1, cpu=1)])
    state = slabs(tape.at(4))[0]
    assert (state.freelist, state.place) == ((1,), "cpu slab")
    objects = tape.at(4).cache("kmalloc-512").layout.objects
    tape = tape.then([kmalloc_request(512)] * (objects - 3 + 1))
    assert tape.received[-1] == tape.received[1]


def test_a_node_gives_its_first_slab_and_half_a_list_more():
    machine = slab_machine(64)
    cache = machine.cache("kmalloc-512")
    for slab in [new_slab(machine, cache, 0) for _ in range(12)]:
        cache.enlist(slab, NODE_PARTIAL, 0, tail=True)
    assert get_partial(machine, cache, 0) == 0
    assert cache.cpu[0].partial == [1, 2, 3, 4, 5, 6, 7]
    assert cache.first(CPU_PARTIAL, 0) == 7
    assert list(cache.node[0].partial) == [8, 9, 10, 11]


def test_another_node_gives_only_what_it_can_spare():
    zones = [Zone(64, 1024 * node, "Normal", node) for node in range(2)]
    for zone in zones:
        hand_over(zone, [(zone.start_pfn, zone.end_pfn)])
    machine = SlabMachine(zones, cpus=2)
    cache = machine.cache("kmalloc-512")
    far = [new_slab(machine, cache, 1) for _ in range(6)]
    assert {machine.node_of_page(cache.pfn[slab]) for slab in far} == {1}
    for slab in far[:5]:
        cache.enlist(slab, NODE_PARTIAL, 1, tail=True)
    assert get_partial(machine, cache, 0) == -1
    cache.enlist(far[5], NODE_PARTIAL, 1, tail=True)
    assert get_partial(machine, cache, 0) == far[0]


def test_a_slab_of_the_least_order_where_memory_is_short():
    machine = slab_machine(8)
    for _ in range(5):
        machine.apply(alloc_request(0, UNMOVABLE), [])
    cache = machine.cache("kmalloc-2k")
    assert (cache.layout.order, cache.layout.objects) == (2, 8)
    acts = machine.acts(kmalloc_request(2048), [])
    assert [act.order for act in acts if isinstance(act, Asked)] == [2, 0]
    assert [(a.order, a.objects) for a in acts if isinstance(a, Carved)] == [(0, 2)]
    assert [a.free for a in acts if isinstance(a, Loaded)] == [2]


@pytest.mark.parametrize(("flags", "mt"), [(Slab(0), UNMOVABLE), (Slab.RECLAIM_ACCOUNT, RECLAIMABLE)])
def test_the_pages_of_a_slab_have_the_type_of_its_cache(flags, mt):
    machine = slab_machine(1024)
    cache = machine.kmem_cache_create("spoon", 640, flags=flags)
    slab = new_slab(machine, cache, 0)
    assert machine.zone.block(cache.pfn[slab]).mt == mt


def test_shrink_gives_all_empty_slabs_back_and_sorts_the_others():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 80)
    freed = [*range(8), *range(8, 14), *range(16, 18), *range(24, 29), 72]
    tape = tape.then(map(kfree_request, freed))
    machine = tape.at(len(tape))
    cache = machine.cache("kmalloc-512")
    shrink(machine, cache, flush_cpu_slab, [0])
    assert [cache.slab(slab).pfn for slab in cache.node[0].partial] == [9, 2, 3, 1]
    assert 0 not in slabs(machine)
    machine.validate()


def test_shrink_gives_the_empty_slabs_back_last_first():
    machine = slab_machine(64)
    cache = machine.cache("kmalloc-512")
    for slab in [new_slab(machine, cache, 0) for _ in range(3)]:
        cache.enlist(slab, NODE_PARTIAL, 0, tail=True)
    acts = machine.acts(cache_request("shrink", machine.names.index("kmalloc-512")), [])
    assert [act.pfn for act in acts if isinstance(act, Discarded)] == [2, 1, 0]


SIZES = st.sampled_from([8, 64, 96, 192, 256, 512, 1024, 2048, 4096, 8192])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 4), st.integers(0, 1 << 30))
def test_every_object_is_the_one_that_the_oracle_names(size, cpus, seed):
    """Allocations and frees that come and go in waves, from several CPUs, on one node; now and then a shrink."""
    machine = slab_machine("64 MiB", cpus=cpus)
    cache = machine.cache(kmalloc_name(kmalloc_index(size)))
    layout = cache.layout
    oracle = SlubOracle(layout.objects, layout.min_partial, layout.cpu_partial_slabs, cpus)
    source, received, live, pfns = random.Random(seed), [], [], {}
    for step in range(600):
        cpu, grow = source.randrange(cpus), 0.8 if step // 150 % 2 == 0 else 0.2
        if source.random() < grow or not live:
            received.append(machine.apply(kmalloc_request(size, cpu), received))
            number, obj = oracle.alloc(cpu)
            _, pfn, index = machine.object_at(received[-1])
            pfns.setdefault(number, pfn)
            assert (pfn, index) == (pfns[number], obj)
            live.append((len(received) - 1, number, obj))
        elif source.random() < 0.99:
            request, number, obj = live.pop(source.randrange(len(live)))
            received.append(machine.apply(kfree_request(request, cpu), received))
            oracle.give_back(number, obj, cpu)
        else:
            shrink(machine, cache, flush_cpu_slab, range(cpus))
            oracle.shrink()
        assert sorted(cache.pfn[slab] for slab in cache.numbers()) == sorted(pfns[number] for number in oracle.slabs)
    machine.validate()
    assert [cache.slab(slab).pfn for slab in cache.node[0].partial] == [pfns[slab.number] for slab in oracle.node]
