import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import MOVES, ZONES, contents, play

from pagelab.mm.act import (
    Asked,
    Checked,
    Compared,
    Counted,
    Given,
    Held,
    Linked,
    Looked,
    Migrated,
    Moved,
    Parked,
    Refused,
    Relabelled,
    Taken,
    Unheld,
    Unlinked,
    Unparked,
    Watched,
    held_block,
    redo,
)
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import alloc_request, free_request
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import alloc_pages, boot, free_pages, split_page
from pagelab.mm.page_isolation import isolate, unisolate
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import HOLE, ISOLATE, MOVABLE, RECLAIMABLE, UNMOVABLE, Block


def v2b():
    """Return the machine of golden vector V2b before its last free."""
    machine = Machine(boot(2048))
    for _ in range(6):
        alloc_pages(machine.zone, 0)
    for pfn in (1, 0, 3):
        free_pages(machine.zone, pfn, 0)
    return machine


def test_the_first_allocation_looks_unlinks_and_splits():
    assert Machine(boot(2048)).acts(alloc_request(0), []) == [
        Asked("alloc", 0, MOVABLE, -1),
        Looked(0, 9, MOVABLE),
        Unlinked(0, 10, MOVABLE),
        *[Linked(1 << order, order, MOVABLE, False) for order in range(9, -1, -1)],
        Taken(0, 0, MOVABLE),
    ]


def test_an_allocation_without_a_split_is_three_acts():
    assert v2b().acts(alloc_request(1), []) == [
        Asked("alloc", 1, MOVABLE, -1),
        Unlinked(0, 1, MOVABLE),
        Taken(0, 1, MOVABLE),
    ]


def test_a_free_merges_twice_stops_at_what_is_in_use_and_goes_to_the_tail():
    assert v2b().acts(free_request(2), []) == [
        Asked("free", 0, MOVABLE, 2),
        Given(2, 0),
        Unlinked(3, 0, MOVABLE),
        Unlinked(0, 1, MOVABLE),
        Compared(4, 2, False, Block(4, 0, "in use", MOVABLE)),
        Compared(8, 3, True, Block(8, 3, "free", MOVABLE)),
        Linked(0, 2, MOVABLE, True),
    ]


def test_a_comparison_says_what_stands_there():
    zone = boot(16)
    for _ in range(3):
        alloc_pages(zone, 1)
    free_pages(zone, 2, 1)
    acts = Machine(zone).acts(free_request(4), [])
    assert acts[2:] == [
        Unlinked(6, 1, MOVABLE),
        Compared(0, 2, False, Block(0, 1, "in use", MOVABLE)),
        Compared(8, 3, True, Block(8, 3, "free", MOVABLE)),
        Linked(4, 2, MOVABLE, True),
    ]
    assert Compared(1, 0, False, Block(0, 1, "in use", MOVABLE)) in watch_comparing(zone, 1)
    assert Compared(16, 0, False, Block(16, 0, "hole", -1)) in watch_comparing(zone, 16)


def watch_comparing(zone, pfn):
    watched = Watched(zone)
    watched.page_is_buddy(pfn, 0)
    return watched.acts


def test_a_refused_request_looked_everywhere():
    machine = Machine(boot(16))
    before = contents(machine.zone)
    assert machine.acts(alloc_request(5, UNMOVABLE), []) == [
        Asked("alloc", 5, UNMOVABLE, -1),
        Looked(5, 10, UNMOVABLE),
        Looked(5, 10, RECLAIMABLE),
        Looked(5, 10, MOVABLE),
        Refused(5, UNMOVABLE),
    ]
    assert contents(machine.zone) == before


def test_looks_at_two_migratetypes_are_two_acts():
    watched = Watched(boot(16))
    for order, mt in ((0, MOVABLE), (1, MOVABLE), (1, UNMOVABLE), (2, UNMOVABLE), (4, MOVABLE)):
        watched.first(order, mt)
    assert watched.acts == [Looked(0, 1, MOVABLE), Looked(1, 2, UNMOVABLE)]


def test_empty_lists_of_several_types_are_told_apart_order_by_order():
    zone = boot(2048)
    for pfn in (0, 1024):
        zone.move(pfn, UNMOVABLE)
    zone.unlink(0)
    zone.link(8, 3, RECLAIMABLE)
    watched = Watched(zone)
    for order, mt in ((10, RECLAIMABLE), (10, MOVABLE), (9, RECLAIMABLE), (9, MOVABLE), (0, RECLAIMABLE), (0, MOVABLE), (1, RECLAIMABLE)):
        watched.first(order, mt)
    assert watched.acts == [Looked(9, 10, RECLAIMABLE), Looked(9, 10, MOVABLE), Looked(0, 1, RECLAIMABLE), Looked(0, 0, MOVABLE)]


def two_types():
    zone = boot(1024)
    for _ in range(2):
        alloc_pages(zone, 9)
    zone.relabel(512, 9, UNMOVABLE)
    free_pages(zone, 0, 9)
    return zone


def test_a_merge_across_pageblocks_relabels():
    zone, again = two_types(), two_types()
    acts = Machine(zone).acts(free_request(512), [])
    assert Relabelled(0, 9, UNMOVABLE) in acts
    assert Unlinked(0, 9, MOVABLE) in acts
    assert acts[-1] == Linked(0, 10, UNMOVABLE, False)
    redo(again, acts)
    assert contents(again) == contents(zone)


def test_a_pageblock_that_does_not_merge_is_compared_and_left():
    zone = two_types()
    zone.relabel(512, 9, ISOLATE)
    assert Machine(zone).acts(free_request(512), [])[2:] == [
        Compared(0, 9, True, Block(0, 9, "free", MOVABLE)),
        Linked(512, 9, ISOLATE, False),
    ]


def test_splitting_is_seen_as_pages_taken():
    zone = boot(16)
    alloc_pages(zone, 2)
    watched = Watched(zone)
    split_page(watched, 0, 2)
    assert watched.acts == [Taken(pfn, 0, MOVABLE) for pfn in range(4)]
    assert zone.in_use(3) == 0


def test_new_primitives_are_written_down_and_done_again():
    zone, again = boot(2048), boot(2048)
    for each in (zone, again):
        each.pcp.append(PerCpuPages(3, 12))
        alloc_pages(each, 0)
    watched = Watched(zone)
    watched.move(512, UNMOVABLE)
    assert watched.census(0) == (511, 1)
    watched.unlink(1)
    watched.park(1, 0, 0, 1, True)
    assert watched.unpark(0, 1, True) == 1
    watched.park(1, 0, 0, 0)
    assert watched.unpark(0, 0) == 1
    watched.hold(1, 0)
    assert watched.unhold(1) == 0
    assert watched.migrate(0, 1) == 0
    watched.link(0, 0, MOVABLE)
    assert watched.acts == [
        Moved(512, 9, MOVABLE, UNMOVABLE),
        Counted(0, 511, 1),
        Unlinked(1, 0, MOVABLE),
        Parked(1, 0, 0, 1, True),
        Unparked(1, 0, 0, 1, True),
        Parked(1, 0, 0, 0, False),
        Unparked(1, 0, 0, 0, False),
        Held(1, 0),
        Unheld(1, 0),
        Migrated(0, 1, 0),
        Linked(0, 0, MOVABLE, False),
    ]
    for end in range(len(watched.acts) + 1):
        half = again.blank()
        half.restore(again.snapshot())
        redo(half, watched.acts[:end])
        half.validate()
    assert contents(half) == contents(zone)
    assert half.block(1) == Block(1, 0, "in use", MOVABLE)


def test_a_request_that_cannot_be_done_changes_nothing_while_watched():
    machine = v2b()
    before = contents(machine.zone)
    with pytest.raises(ValueError, match="cannot free pfn 3: in zone Normal, a block of order 0 at 3 is free"):
        machine.acts(free_request(3), [])
    assert contents(machine.zone) == before


@pytest.mark.parametrize(
    ("acts", "held"),
    [
        ([], None),
        ([Asked("alloc", 0, 1, -1), Looked(0, 3, 1)], None),
        ([Unlinked(0, 4, 1)], (0, 4)),
        ([Unlinked(0, 4, 1), Linked(8, 3, 1, False)], (0, 3)),
        ([Unlinked(0, 4, 1), Linked(8, 3, 1, False), Taken(0, 3, 1)], None),
        ([Given(6, 1)], (6, 1)),
        ([Given(6, 1), Compared(4, 1, True, Block(4, 1, "free", 1)), Unlinked(4, 1, 1)], (4, 2)),
        ([Given(6, 1), Unlinked(4, 1, 1), Linked(4, 2, 1, True)], None),
        ([Given(0, 10), Linked(0, 9, 1, False)], (512, 9)),
        ([Given(0, 10), Linked(0, 9, 1, False), Unlinked(0, 9, 1)], (0, 10)),
        ([Given(0, 10), Linked(0, 9, 1, False), Linked(512, 9, 5, False)], None),
        ([Unlinked(0, 10, 1), Relabelled(512, 9, 5), Linked(0, 9, 1, False)], (512, 9)),
        ([Given(6, 0), Parked(6, 0, 0, 1, False)], None),
        ([Given(6, 0), Parked(6, 0, 0, 1, False), Unparked(9, 0, 0, 1, True)], (9, 0)),
        ([Unparked(9, 0, 0, 1, True), Unlinked(8, 0, 1)], (8, 1)),
        ([Unparked(9, 0, 0, 1, True), Unlinked(8, 0, 1), Linked(8, 1, 1, False)], None),
        ([Unparked(9, 0, 0, 1, True), Linked(9, 0, 1, True), Unlinked(4, 2, 1)], (4, 2)),
        ([Unparked(6, 0, 0, 1, False)], (6, 0)),
        ([Unparked(6, 0, 0, 1, False), Taken(6, 0, 1)], None),
        ([Unlinked(0, 4, 1), Moved(8, 3, 1, 0), Counted(0, 8, 0)], (0, 4)),
        ([Moved(8, 3, 1, 0), Checked(0, 1, 2, 3, False)], None),
        ([Unlinked(8, 3, 1), Held(8, 3)], None),
        ([Unlinked(8, 3, 1), Held(8, 3), Unheld(8, 3), Held(12, 2)], (8, 2)),
        ([Unheld(8, 0), Migrated(3, 8, 0)], (3, 0)),
        ([Unheld(8, 0), Migrated(3, 8, 0), Unlinked(2, 0, 1)], (2, 1)),
    ],
)
def test_the_held_block(acts, held):
    assert held_block(acts) == held


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
@settings(deadline=None, max_examples=25)
@given(st.integers(16, 1600), st.integers(0, 1200), st.integers(0, 10**9))
def test_half_a_request_loses_no_page_with_all_that_a_zone_can_do(kernel, pages, start, seed):
    rng = random.Random(seed)
    machine, live = Machine(boot(pages, start), kernel, cpus=2, pcp=True), []
    zone = machine.zone
    zone.pcp[:] = [PerCpuPages(3, 6), PerCpuPages(3, 6)]
    for number in range(60):
        before = zone.snapshot()
        cpu, order, mt = rng.randrange(2), rng.choice([0, 0, 1, 2, 4, 9, 10]), rng.randrange(3)
        if live and rng.random() < 0.4:
            acts = machine.acts(free_request(live.pop(rng.randrange(len(live))), cpu), ())
        else:
            acts = machine.acts(alloc_request(order, mt, cpu), ())
            live += [act.pfn for act in acts[-1:] if isinstance(act, Taken)]
        if number % 4:
            continue
        for end in range(len(acts) + 1):
            half = zone.blank()
            half.restore(before)
            redo(half, acts[:end])
            half.validate()
            assert half.page_states().max() < HOLE, "every page is free, held, parked or in use"
        assert contents(half) == contents(zone)
        assert [list(map(list, pcp.lists)) for pcp in half.pcp] == [list(map(list, pcp.lists)) for pcp in zone.pcp]
        machine.validate()


def test_half_an_isolation_loses_no_page():
    for page in (0, 512):
        zone = boot(1024)
        before, watched = zone.snapshot(), Watched(zone)
        for change in (isolate, unisolate):
            change(watched, page)
        for end in range(len(watched.acts) + 1):
            half = zone.blank()
            half.restore(before)
            redo(half, watched.acts[:end])
            half.validate()
            assert half.page_states().max() < HOLE
        assert contents(half) == contents(zone)


def test_half_a_free_of_two_pageblocks_of_two_types_loses_no_page():
    for mt in (UNMOVABLE, ISOLATE):
        zone = boot(1024)
        alloc_pages(zone, 10)
        zone.relabel(512, 9, mt)
        before, watched = zone.snapshot(), Watched(zone)
        free_pages(watched, 0, 10)
        for end in range(len(watched.acts) + 1):
            half = zone.blank()
            half.restore(before)
            redo(half, watched.acts[:end])
            half.validate()
            assert half.page_states().max() < HOLE
        assert contents(half) == contents(zone)


def a_request(zone, live, move):
    verb, number, mt = move
    if verb == "alloc":
        return alloc_request(number, mt)
    return free_request(live[number % len(live)][0]) if live else None


@settings(deadline=None, max_examples=60)
@given(ZONES, MOVES, MOVES)
def test_watching_changes_nothing_and_half_a_request_loses_no_page(zone, past, moves):
    live = [[], *play(zone, past)][-1]
    for move in moves[:3]:
        request = a_request(zone, live, move)
        if request is None:
            continue
        start = Machine(zone).snapshot()
        watched, unwatched = Machine(zone).blank(), Machine(zone).blank()
        watched.restore(start)
        unwatched.restore(start)
        acts = watched.acts(request, [])
        refused = unwatched.apply(request, []) == REFUSED
        assert isinstance(acts[0], Asked)
        assert isinstance(acts[-1], Refused) == refused
        assert contents(watched.zone) == contents(unwatched.zone)
        for end in range(len(acts) + 1):
            half = Machine(zone).blank()
            half.restore(start)
            redo(half.zone, acts[:end])
            half.zone.validate()
            assert half.zone.page_states().max() < HOLE, "every page is free, held or in use"
            held = held_block(acts[:end])
            if held:
                assert half.zone.block(held[0] + (1 << held[1]) - 1) == Block(*held, "held", -1)
        assert contents(half.zone) == contents(unwatched.zone)
        assert held is None
