import pytest
from hypothesis import given, settings
from zones import MOVES, ZONES, contents, play

from pagelab.mm.act import (
    Asked,
    Compared,
    Given,
    Linked,
    Looked,
    Refused,
    Relabelled,
    Taken,
    Unlinked,
    Watched,
    held_block,
    redo,
)
from pagelab.mm.machine import REFUSED, Machine, alloc_request, free_request
from pagelab.mm.page_alloc import alloc_pages, boot, free_pages, split_page
from pagelab.mm.zone import HOLE, ISOLATE, MOVABLE, UNMOVABLE, Block


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
    assert machine.acts(alloc_request(2, UNMOVABLE), []) == [
        Asked("alloc", 2, UNMOVABLE, -1),
        Looked(2, 10, UNMOVABLE),
        Refused(2, UNMOVABLE),
    ]
    assert contents(machine.zone) == before


def test_looks_at_two_migratetypes_are_two_acts():
    watched = Watched(boot(16))
    for order, mt in ((0, MOVABLE), (1, MOVABLE), (1, UNMOVABLE), (2, UNMOVABLE), (4, MOVABLE)):
        watched.first(order, mt)
    assert watched.acts == [Looked(0, 1, MOVABLE), Looked(1, 2, UNMOVABLE)]


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
    ],
)
def test_the_held_block(acts, held):
    assert held_block(acts) == held


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
        start = zone.snapshot()
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
