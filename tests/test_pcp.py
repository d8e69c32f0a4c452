import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import contents, lists

from pagelab.mm.act import Compared, Given, Linked, Looked, Parked, Taken, Unlinked, Unparked, Watched
from pagelab.mm.call import alloc_request, free_request
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import alloc_pages, boot
from pagelab.mm.pcp import (
    PCP_6_1,
    PCP_6_12,
    after_free_6_1,
    after_free_6_12,
    alloc_pcp,
    batch_of,
    high_of,
    on_alloc_6_1,
    on_alloc_6_12,
    pcp_allowed,
    pindex,
    refill_6_1,
    refill_6_12,
)
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import CMA, HIGHATOMIC, HOLE, IN_USE, ISOLATE, MOVABLE, RECLAIMABLE, UNMOVABLE, Block

VERSIONS = pytest.mark.parametrize("kernel", ["6.1", "6.12"])
MOVABLE_0 = pindex(0, MOVABLE)


def notebook_05(kernel, cpus=1, pages=12_288, low=276):
    """48 MiB, whose low watermark is 276 pages."""
    batch = batch_of(pages)
    return with_lists(kernel, boot(pages), *([batch, high_of(low, cpus, batch), high_of(pages // 8, cpus, batch)] for _ in range(cpus)))


def with_lists(kernel, zone, *lists):
    """Return a machine of a zone; each CPU's lists are given as batch and high."""
    machine = Machine(zone, kernel, len(lists), pcp=True)
    zone.pcp[:] = [PerCpuPages(*numbers) for numbers in lists]
    return machine


def alloc(machine, cpu=0, order=0, mt=MOVABLE):
    return machine.apply(alloc_request(order, mt, cpu), ())


def free(machine, pfn, cpu=0):
    """Free a block, and return the pages that came to the free lists."""
    before = machine.zone.nr_free_pages()
    machine.give_back(pfn, cpu)
    return machine.zone.nr_free_pages() - before


def drain_all(machine):
    machine.drain(range(machine.cpus))


def listed(zone, cpu=0, order=0, mt=MOVABLE):
    return list(zone.pcp[cpu].lists[pindex(order, mt)])


# Notebook 05.


@VERSIONS
def test_p1_one_page_asked_for_and_three_leave(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    assert zone.pcp[0].batch == 3
    assert alloc(machine) == 0
    assert zone.nr_free_pages() == 12_285
    assert listed(zone) == [1, 2], "ascending, as they were taken"


@VERSIONS
def test_p2_the_page_freed_last_is_the_next(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    assert alloc(machine) == 0
    assert free(machine, 0) == 0
    assert zone.nr_free_pages() == 12_285, "what is freed to the list is not on the free lists"
    assert alloc(machine) == 0


@VERSIONS
def test_p3_each_cpu_has_its_own_list(kernel):
    machine = notebook_05(kernel, cpus=2)
    assert [alloc(machine, cpu) for cpu in (0, 1, 0, 1, 0)] == [0, 3, 1, 4, 2]


def test_e1_four_out_and_back_leave_nine_pages_on_6_12_and_six_on_6_1():
    taken = {}
    for version in ("6.1", "6.12"):
        machine = notebook_05(version)
        zone = machine.zone
        pfns, left = [], []
        for _ in range(4):
            pfns.append(alloc(machine))
            left.append(zone.nr_free_pages())
        assert pfns == [0, 1, 2, 3]
        for pfn in pfns:
            assert free(machine, pfn) == 0
        assert zone.nr_free_pages() == left[-1]
        taken[version] = [12_288 - free for free in left], zone.pcp[0].count
        zone.validate()
    assert taken == {"6.12": ([3, 3, 3, 9], 9), "6.1": ([3, 3, 3, 6], 6)}


@VERSIONS
def test_the_task_a_drain_brings_twelve_blocks_back(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    for pfn in [alloc(machine) for _ in range(4)]:
        free(machine, pfn)
    free(machine, alloc(machine))
    assert zone.counts()[10] == 11, "a fifth free does not merge"
    drain_all(machine)
    assert zone.counts() == [0] * 10 + [12]


@pytest.mark.parametrize(
    ("managed", "batch"), [(1, 1), (3840, 1), (12_288, 3), (48_842, 15), (115_018, 31), (179_338, 63), (176_127, 31), (176_128, 63)]
)
def test_batches_of_real_zones(managed, batch):
    assert batch_of(managed) == batch
    assert batch_of(10**9) == 63, "and no zone has more"


# Which list.


def test_orders_0_to_3_and_9_have_lists():
    assert [order for order in range(11) if pcp_allowed(order)] == [0, 1, 2, 3, 9]
    assert [pindex(order, mt) for order in (0, 1, 2, 3) for mt in (UNMOVABLE, MOVABLE, RECLAIMABLE)] == list(range(12))
    assert [pindex(9, mt) for mt in (UNMOVABLE, MOVABLE, RECLAIMABLE)] == [12, 13, 12]
    assert pindex(2, HIGHATOMIC) == pindex(2, CMA) == pindex(2, MOVABLE)
    assert pindex(9, HIGHATOMIC) == 13


@VERSIONS
def test_a_block_goes_to_the_list_of_its_pageblock_and_not_of_its_request(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    pfn = alloc(machine)
    zone.relabel(0, 9, RECLAIMABLE)
    free(machine, pfn)
    assert listed(zone, mt=RECLAIMABLE) == [0]
    assert listed(zone) == [1, 2]


@VERSIONS
def test_a_list_of_order_9_holds_two_blocks(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    assert alloc(machine, order=9) == 0
    assert listed(zone, order=9) == [512]
    assert zone.pcp[0].count == 512
    zone.validate()


@VERSIONS
def test_nothing_to_refill_from_is_refused(kernel):
    machine = notebook_05(kernel, pages=16)
    zone = machine.zone
    zone.pcp[0].batch = 3
    assert [alloc(machine) for _ in range(17)] == [*range(16), -1]
    assert listed(zone) == []


@VERSIONS
def test_a_refill_that_finds_less_gives_what_there_is(kernel):
    machine = with_lists(kernel, boot(2), [7, 70])
    assert alloc(machine) == 0
    assert listed(machine.zone) == [1]


# How many.


def test_a_6_1_refill_is_a_batch_of_pages_and_at_least_two_blocks():
    pcp = PerCpuPages(15, 60)
    assert [refill_6_1(pcp, order) for order in (0, 1, 2, 3, 9)] == [15, 7, 3, 2, 2]
    assert refill_6_1(PerCpuPages(1, 4), 0) == refill_6_1(PerCpuPages(1, 4), 3) == 1


def test_a_6_12_refill_doubles_until_the_list_would_be_full():
    pcp = PerCpuPages(63, 3333, 48_307)
    assert [refill_6_12(pcp, 0) for _ in range(7)] == [63, 126, 252, 504, 1008, 2016, 2016]
    assert pcp.alloc_factor == 5
    pcp = PerCpuPages(3, 12, 12)
    assert [refill_6_12(pcp, 0) for _ in range(4)] == [3, 6, 9, 9], "no more than high less a batch"
    assert pcp.alloc_factor == 2
    pcp.count = 8
    assert refill_6_12(pcp, 0) == 3, "what other lists hold counts"


def test_a_refill_that_just_fits_still_doubles_the_next():
    pcp = PerCpuPages(3, 9, 9)
    assert [refill_6_12(pcp, 0) for _ in range(3)] == [3, 6, 6]
    assert pcp.alloc_factor == 2


def test_larger_orders_do_not_double():
    pcp = PerCpuPages(15, 60, 600)
    assert [refill_6_12(pcp, order) for order in (1, 1, 2, 3, 9)] == [7, 7, 3, 2, 2]
    assert pcp.alloc_factor == 0


def test_high_grows_with_refills_but_not_below_the_watermark_and_not_when_it_is_fixed():
    pcp = PerCpuPages(3, 12, 16)
    refill_6_12(pcp, 0)
    assert pcp.high == 15
    refill_6_12(pcp, 0, True)
    assert pcp.high == 15
    refill_6_12(pcp, 0)
    assert pcp.high == 16
    fixed = PerCpuPages(3, 12, 12)
    refill_6_12(fixed, 0)
    assert fixed.high == 12


def test_frees_halve_what_a_6_12_refill_doubled():
    pcp = PerCpuPages(3, 120, 1200)
    for _ in range(3):
        refill_6_12(pcp, 0)
    assert pcp.alloc_factor == 3
    after_free_6_12(pcp, 0)
    assert pcp.alloc_factor == 1
    assert refill_6_12(pcp, 0) == 6


@pytest.mark.parametrize(("refill", "after_free"), [(refill_6_1, after_free_6_1), (refill_6_12, after_free_6_12)])
def test_the_boot_pageset_keeps_nothing(refill, after_free):
    boot_pageset = PerCpuPages()
    assert refill(boot_pageset, 0, False) == 1
    boot_pageset.count = 1
    assert after_free(boot_pageset, 0, False) == 1


def freed(pcp, after_free, order, times=1):
    """Raise the count as a free does, and drain as told."""
    drains = []
    for _ in range(times):
        pcp.count += 1 << order
        drains.append(after_free(pcp, order))
        pcp.count -= drains[-1]
    return drains


def test_6_1_drains_a_batch_then_twice_as_much():
    pcp = PerCpuPages(3, 30)
    pcp.count = 28
    assert freed(pcp, after_free_6_1, 0, 12) == [0, 3, 0, 0, 6, 0, 0, 0, 0, 0, 12, 0]
    on_alloc_6_1(pcp)
    on_alloc_6_1(pcp)
    assert pcp.free_factor == 0


def test_6_1_keeps_a_batch_and_doubles_five_times_at_most():
    pcp = PerCpuPages(3, 12)
    pcp.count = 50
    assert [after_free_6_1(pcp, 0) for _ in range(4)] == [3, 6, 9, 9]
    pcp = PerCpuPages(3, 3000)
    pcp.count = 3000
    assert [after_free_6_1(pcp, 0) for _ in range(7)] == [3, 6, 12, 24, 48, 96, 96]


def test_6_1_doubles_no_more_when_all_but_a_batch_drains():
    pcp = PerCpuPages(3, 9)
    pcp.count = 9
    assert [after_free_6_1(pcp, 0) for _ in range(3)] == [3, 6, 6]
    assert pcp.free_factor == 1


@pytest.mark.parametrize("order", [1, 3])
def test_6_1_drains_everything_when_large_blocks_follow_a_drain(order):
    pcp = PerCpuPages(3, 30)
    pcp.count = 20
    assert after_free_6_1(pcp, order) == 0
    pcp.free_factor = 1
    assert after_free_6_1(pcp, order) == 20
    assert after_free_6_1(pcp, 9) == after_free_6_1(pcp, 0) == 0


def test_6_12_drains_as_many_pages_as_were_freed_in_a_row():
    pcp = PerCpuPages(3, 30, 30)
    pcp.count = 21
    assert freed(pcp, after_free_6_12, 0, 9) == [0] * 8 + [9]
    assert pcp.free_count == 9
    on_alloc_6_12(pcp)
    assert pcp.free_count == 4


def test_6_12_drains_no_less_than_a_batch_and_keeps_one():
    pcp = PerCpuPages(3, 30, 30)
    pcp.count = 29
    assert freed(pcp, after_free_6_12, 0) == [3]
    pcp.free_count, pcp.count = 90, 40
    assert freed(pcp, after_free_6_12, 0) == [27]


def test_6_12_counts_pages_freed_in_a_row_up_to_32_batches():
    pcp = PerCpuPages(3, 1000, 1000)
    freed(pcp, after_free_6_12, 0, 200)
    assert pcp.free_count == 96
    pcp.free_count = 95
    freed(pcp, after_free_6_12, 3)
    assert pcp.free_count == 103, "the last one may go beyond"


def test_6_12_lets_high_grow_with_a_row_of_frees():
    pcp = PerCpuPages(3, 12, 100)
    pcp.count = 12
    assert freed(pcp, after_free_6_12, 0) == [3]
    assert pcp.high == 12
    pcp.free_count, pcp.count = 40, 12
    assert freed(pcp, after_free_6_12, 0) == [9]
    assert pcp.high == 44


def test_6_12_drains_large_blocks_that_come_in_a_row():
    pcp = PerCpuPages(3, 300, 3000)
    assert freed(pcp, after_free_6_12, 2, 3) == [0, 8, 4], "4 pages freed before, and the one before was large"
    pcp = PerCpuPages(3, 300, 3000)
    pcp.count, pcp.high = 250, 290
    freed(pcp, after_free_6_12, 0, 5)
    assert freed(pcp, after_free_6_12, 1, 2) == [0, 96], "32 batches at most"
    assert pcp.high == 300, "and not below high_min"
    freed(pcp, after_free_6_12, 0)
    assert not pcp.prev_high_order
    freed(pcp, after_free_6_12, 9)
    assert not pcp.prev_high_order


@pytest.mark.parametrize(("freed_before", "count", "drained"), [(2, 9, 0), (3, 9, 9), (3, 2, 0), (3, 3, 3), (90, 200, 96)])
def test_6_12_wants_a_batch_freed_and_a_batch_there_before_it_drains_large_blocks(freed_before, count, drained):
    pcp = PerCpuPages(3, 300, 3000)
    pcp.prev_high_order, pcp.free_count, pcp.count = True, freed_before, count
    assert after_free_6_12(pcp, 1) == drained


def test_a_zone_that_is_short_changes_nothing_where_high_is_fixed():
    pcp = PerCpuPages(3, 30, 30)
    pcp.count, pcp.free_count = 35, 90
    assert after_free_6_12(pcp, 0, True) == 27
    assert pcp.high == 30


@VERSIONS
def test_each_allocation_ends_a_row_of_frees(kernel):
    machine = notebook_05(kernel)
    zone = machine.zone
    pcp = zone.pcp[0]
    pcp.free_factor = pcp.free_count = 8
    alloc(machine)
    alloc(machine)
    assert (pcp.free_factor, pcp.free_count) == ((2, 8) if kernel == "6.1" else (8, 2))


def test_6_12_drains_and_lowers_high_when_the_zone_is_short():
    pcp = PerCpuPages(3, 30, 300)
    pcp.high, pcp.count = 100, 50
    assert after_free_6_12(pcp, 0, False) == 0
    assert after_free_6_12(pcp, 0, True) == 3
    assert pcp.high == 97
    pcp.count = 29
    assert after_free_6_12(pcp, 0, True) == 0, "what high_min allows is kept"


@pytest.mark.parametrize(("batch", "low", "top"), [(0, 4, 4), (1, -1, 4)])
def test_lists_that_cannot_be(batch, low, top):
    with pytest.raises(ValueError, match=f"batch {batch} and high {low}"):
        PerCpuPages(batch, low, top)


def test_high_is_a_share_of_the_low_watermark():
    assert high_of(6667, 2, 63) == 3333
    assert high_of(772_915 // 8, 2, 63) == 48_307
    assert high_of(14_417, 2, 63) == 7208
    assert high_of(32, 2, 1) == 16
    assert high_of(3, 8, 3) == 12


# Drains.


def three_lists():
    """Return a zone in use but for 0, 2, 4 (movable), 8-9 (movable, order 1) and 512 (reclaimable), which wait on the lists of CPU 0."""
    zone = boot(1024)
    zone.pcp.append(PerCpuPages(3, 300))
    got = [alloc_pages(zone, order) for order in [0] * 8 + [1] + [0] * 1014]
    assert (got[8], got[9], got[-1]) == (8, 10, 1023)
    zone.relabel(512, 9, RECLAIMABLE)
    for pfn in (0, 2, 4, 512, 8):
        order = zone.give(pfn)
        zone.park(pfn, order, 0, pindex(order, zone.block_type(pfn)))
    zone.validate()
    return zone


DRAINS = pytest.mark.parametrize("drain", [PCP_6_1.drain, PCP_6_12.drain], ids=["6.1", "6.12"])


@DRAINS
def test_the_coldest_goes_first(drain):
    zone = three_lists()
    assert drain(zone, 0, 2, MOVABLE_0) == 2
    assert listed(zone) == [4]
    assert lists(zone) == {"M0": [2, 0]}


@DRAINS
def test_the_list_freed_to_first_then_the_next_and_round(drain):
    zone = three_lists()
    watched = Watched(zone)
    assert drain(watched, 0, 99, pindex(0, RECLAIMABLE)) == 6
    assert [act.pfn for act in watched.acts if isinstance(act, Unparked)] == [512, 8, 0, 2, 4]
    assert zone.pcp[0].count == 0
    zone.validate()


@DRAINS
def test_the_last_block_may_overshoot(drain):
    zone = three_lists()
    assert drain(zone, 0, 1, pindex(1, MOVABLE)) == 2


@DRAINS
def test_nothing_to_drain(drain):
    zone = three_lists()
    before = contents(zone)
    assert drain(zone, 0, 0, 0) == 0
    assert contents(zone) == before


def test_a_label_that_changed_meanwhile_counts_on_6_12_and_not_on_6_1():
    zone = three_lists()
    zone.relabel(0, 9, UNMOVABLE)
    PCP_6_12.drain(zone, 0, 3, MOVABLE_0)
    assert zone.blocks(0, UNMOVABLE) == [4, 2, 0]
    zone = three_lists()
    zone.relabel(0, 9, UNMOVABLE)
    PCP_6_1.drain(zone, 0, 3, MOVABLE_0)
    assert zone.blocks(0, MOVABLE) == [4, 2, 0]


def test_6_1_asks_for_the_label_while_any_pageblock_is_isolated():
    zone = three_lists()
    zone.relabel(0, 9, UNMOVABLE)
    zone.relabel(512, 9, ISOLATE)
    PCP_6_1.drain(zone, 0, 99, MOVABLE_0)
    assert zone.blocks(0, UNMOVABLE) == [4, 2, 0]
    assert zone.blocks(0, ISOLATE) == [512]


def test_6_1_keeps_what_was_known_of_a_highatomic_page():
    zone = three_lists()
    zone.relabel(0, 9, HIGHATOMIC)
    zone.give(6)
    zone.park(6, 0, 0, pindex(0, HIGHATOMIC))
    zone.relabel(0, 9, MOVABLE)
    PCP_6_1.drain(zone, 0, 4, MOVABLE_0)
    assert zone.blocks(0, HIGHATOMIC) == [6]
    assert zone.blocks(0, MOVABLE) == [4, 2, 0]


def test_6_1_gives_a_refilled_page_the_type_that_was_asked_for():
    zone = boot(512)
    for _ in range(300):
        alloc_pages(zone, 0)
    machine = with_lists("6.1", zone, [3, 300])
    assert alloc(machine, mt=UNMOVABLE) == 300
    assert zone.block_type(300) == MOVABLE
    drain_all(machine)
    assert zone.blocks(0, UNMOVABLE) == [301]
    assert zone.blocks(1, UNMOVABLE) == [302]


@VERSIONS
def test_a_drain_of_all_cpus_empties_their_lists(kernel):
    machine = notebook_05(kernel, cpus=3)
    zone = machine.zone
    for cpu in range(3):
        for order in (0, 1, 2, 3, 9):
            free(machine, alloc(machine, cpu, order), cpu)
    assert sum(pcp.count for pcp in zone.pcp) + zone.nr_free_pages() == 12_288
    drain_all(machine)
    assert [pcp.count for pcp in zone.pcp] == [0, 0, 0]
    assert zone.counts() == [0] * 10 + [12]
    zone.validate()


# Act by act.


def test_an_allocation_with_a_refill_act_by_act():
    zone = boot(16)
    zone.pcp.append(PerCpuPages(3, 12))
    watched = Watched(zone)
    assert alloc_pcp(watched, PCP_6_12, 0, 0, MOVABLE) == 0
    assert watched.acts == [
        Looked(0, 3, MOVABLE),
        Unlinked(0, 4, MOVABLE),
        *[Linked(1 << order, order, MOVABLE, False) for order in (3, 2, 1, 0)],
        Taken(0, 0, MOVABLE),
        Parked(0, 0, 0, MOVABLE_0, True),
        Unlinked(1, 0, MOVABLE),
        Taken(1, 0, MOVABLE),
        Parked(1, 0, 0, MOVABLE_0, True),
        Looked(0, 0, MOVABLE),
        Unlinked(2, 1, MOVABLE),
        Linked(3, 0, MOVABLE, False),
        Taken(2, 0, MOVABLE),
        Parked(2, 0, 0, MOVABLE_0, True),
        Unparked(0, 0, 0, MOVABLE_0, False),
        Taken(0, 0, MOVABLE),
    ]


def test_a_free_with_a_drain_act_by_act():
    machine = with_lists("6.1", boot(16), [])
    assert alloc(machine) == 0
    assert machine.acts(free_request(0), ())[1:] == [
        Given(0, 0),
        Parked(0, 0, 0, MOVABLE_0, False),
        Unparked(0, 0, 0, MOVABLE_0, True),
        *[Unlinked(1 << order, order, MOVABLE) for order in range(4)],
        Compared(16, 4, False, Block(16, 0, "hole", -1)),
        Compared(32, 5, False, Block(32, 0, "hole", -1)),
        Linked(0, 4, MOVABLE, False),
    ]


# Whatever is asked for.


@VERSIONS
@settings(deadline=None, max_examples=15)
@given(st.integers(16, 1400), st.integers(0, 1200), st.integers(0, 10**9))
def test_no_page_is_lost(kernel, pages, start, seed):
    rng = random.Random(seed)
    machine = with_lists(kernel, boot(pages, start), *([rng.choice([1, 3, 15]), 12 * (cpu + 1), 100] for cpu in range(2)))
    zone = machine.zone
    live = []
    for _ in range(80):
        cpu, order, mt = rng.randrange(2), rng.choice([0, 0, 0, 1, 2, 3, 9]), rng.randrange(3)
        dice = rng.random()
        if dice < 0.02:
            drain_all(machine)
        elif live and dice < 0.45:
            free(machine, live.pop(rng.randrange(len(live))), cpu)
        elif (pfn := alloc(machine, cpu, order, mt)) >= 0:
            assert zone.in_use(pfn) == order
            live.append(pfn)
        zone.validate()
        states = zone.page_states()
        used = int(((states >= IN_USE) & (states < HOLE)).sum())
        assert zone.nr_free_pages() + sum(pcp.count for pcp in zone.pcp) + used == pages
    for pfn in live:
        free(machine, pfn)
    drain_all(machine)
    assert zone.nr_free_pages() == pages
