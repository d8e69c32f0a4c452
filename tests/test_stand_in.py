"""Zones with one rule replaced: each does what its belief says, and loses no page."""

import random

import pytest
from zones import lists

from pagelab.lab.question import restart
from pagelab.lab.scenario import one_zone, some_free, text
from pagelab.lab.stand_in import (
    AnyFree,
    Fifo,
    FreeMerges,
    LabelsStay,
    LargestFirst,
    LifoOnly,
    LowestAddress,
    MovesAnything,
    Neighbour,
    NeverMerge,
    NoPcp,
    NothingMoves,
    OneBlock,
    OneList,
    OneMerge,
    Shatter,
)
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import FREE, alloc_request, free_received
from pagelab.mm.zone import MOVABLE, UNMOVABLE, Zone

ALL = [LifoOnly, Fifo, LowestAddress, OneMerge, Neighbour, NeverMerge, Shatter, LargestFirst]
B = [12, 13, 5, 9, 14]


def end(tape, zone_type):
    """Return the lists after a tape under a stand-in, and what its requests received."""
    other = tape.under(restart(tape, zone_type))
    return lists(other.at(len(other)).zone), [pfn for pfn, request in zip(other.received, other.requests, strict=True) if request < FREE]


def test_lifo_only_puts_every_freed_block_at_the_head():
    held, received = end(some_free(B).then("alloc 0"), LifoOnly)
    assert (held, received[-1]) == ({"M0": [9, 5], "M1": [12]}, 14)


def test_fifo_takes_what_has_waited_longest():
    assert end(some_free(B), Fifo)[0] == {"M0": [5, 9, 14], "M1": [12]}
    assert end(some_free(B).then("alloc 0"), Fifo)[1][-1] == 5


def test_lowest_address_takes_the_lowest_pfn_of_any_order():
    assert end(some_free(B).then("alloc 0"), LowestAddress)[1][-1] == 5
    assert end(text("alloc 3; alloc 0 x8; free @0; free 13").then("alloc 0"), LowestAddress)[1][-1] == 0
    assert end(some_free([0, 4, 5]).then("alloc 1"), LowestAddress)[1][-1] == 4, "a page too small is passed over"
    assert end(some_free([0]).then("alloc 1"), LowestAddress)[1][-1] == REFUSED


def test_one_merge_stops_after_the_first():
    held, _ = end(some_free([1, 2, 3, 0]), OneMerge)
    assert {name: sorted(heads) for name, heads in held.items()} == {"M1": [0, 2]}
    held, _ = end(some_free([1, 2, 3, 0, 5, 4]), OneMerge)
    assert {name: sorted(heads) for name, heads in held.items()} == {"M1": [0, 2, 4]}, "each free merges once again"


def test_one_merge_forgets_what_an_allocation_unlinked():
    tape = text("alloc 0 x16; free 0; alloc 0; free 1; free 0")
    assert end(tape, OneMerge)[0] == {"M1": [0]}


def test_never_merge_keeps_every_block_as_it_is():
    held, _ = end(some_free([1, 2, 3, 0]), NeverMerge)
    assert held == {"M0": [0, 3, 2, 1]}
    assert end(text("alloc 3; free 0"), NeverMerge)[0] == {"M3": [0, 8]}


def test_neighbour_merges_what_lies_beside():
    assert end(some_free([1, 2]), Neighbour)[0] == {"M1": [1]}
    assert end(some_free([1, 2]).then("alloc 1"), Neighbour)[1][-1] == 1
    assert end(some_free([1, 2, 4, 3]), Neighbour)[0] == {"M2": [1]}, "as long as there is one of the same order"
    assert end(some_free([1, 2, 3]), Neighbour)[0] == {"M0": [3], "M1": [1]}, "but of the same order"


def test_shatter_cuts_what_is_left_into_single_pages():
    held, received = end(text("alloc 0", 1024), Shatter)
    assert received == [0]
    assert held == {"M0": list(range(1, 1024))}


@pytest.mark.parametrize("zone_type", ALL)
@pytest.mark.parametrize("seed", range(5))
def test_no_page_is_lost_or_owned_twice(seed, zone_type):
    source, start = random.Random(seed), text(pages=32)
    machine, received, live = restart(start, zone_type), [], {}
    for number in range(60):
        if live and source.random() < 0.45:
            earlier = source.choice(sorted(live))
            del live[earlier]
            received.append(machine.apply(free_received(earlier), received))
        else:
            order = source.choice([0, 0, 0, 1, 2])
            received.append(machine.apply(alloc_request(order), received))
            if received[-1] >= 0:
                live[number] = order
        used = [page for k, order in live.items() for page in range(received[k], received[k] + (1 << order))]
        free = [page for order, row in enumerate(machine.zone.free_list) for pfn in row[1] for page in range(pfn, pfn + (1 << order))]
        assert sorted(used + free) == list(range(32))


def labels(zone_type, requests, pages=2048):
    """Return the labels of the pageblocks after requests under a stand-in."""
    tape = text(requests, pages)
    zone = tape.under(restart(tape, zone_type)).at(len(tape)).zone
    return [zone.block_type(pfn) for pfn in range(0, pages, 512)]


def test_labels_under_beliefs():
    first = [UNMOVABLE, UNMOVABLE, MOVABLE, MOVABLE]
    assert labels(Zone, "alloc 0 unmovable") == first
    assert labels(OneBlock, "alloc 0 unmovable") == [UNMOVABLE, MOVABLE, MOVABLE, MOVABLE]
    assert labels(LabelsStay, "alloc 0 unmovable") == [MOVABLE] * 4
    assert [labels(kind, "alloc 0 x511; alloc 0 unmovable", 512) for kind in (Zone, AnyFree)] == [[MOVABLE], [UNMOVABLE]]
    assert [labels(kind, "alloc 0 x512; alloc 0 unmovable", 512) for kind in (Zone, AnyFree)] == [[MOVABLE], [MOVABLE]], "nothing is free"


def test_largest_first_passes_over_what_would_fit():
    assert end(text("alloc 3; alloc 0 x8; free @0; free 13").then("alloc 0 x2"), LargestFirst)[1][-2:] == [0, 4]


def test_compaction_under_beliefs():
    used = (3, 700, 1300, 1900)
    free = "; ".join(f"free {pfn}" for pfn in range(2048) if pfn not in used)
    movable = text("alloc 0 x2048", 2048).then(free)
    again = "; ".join(f"free {pfn}" for pfn in used)
    unmovable = text("alloc 0 x2048", 2048).then(f"{again}; alloc 0 unmovable x4; {free}")
    for tape, kind, largest in ((movable, Zone, 10), (movable, NothingMoves, 8), (unmovable, Zone, 8), (unmovable, MovesAnything, 10)):
        machine = restart(tape, kind, len(tape))
        machine.compact()
        assert machine.zone.largest_free_order() == largest
        machine.zone.validate()


def received(kind, requests, cpus=2):
    tape = one_zone(cpus=cpus)
    machine, got = restart(tape, kind), []
    for request in tape.then(requests).requests:
        got.append(machine.apply(request, got))
    machine.zone.validate() if kind is not OneList else None
    return [pfn for pfn in got if pfn >= 0], [sum(map(len, pcp.lists)) for pcp in machine.zone.pcp], machine.zone.nr_free_pages()


def test_cpu_lists_under_beliefs():
    turns = "alloc 0; alloc 0 cpu 1; alloc 0; alloc 0 cpu 1; alloc 0"
    assert received(Zone, turns) == ([0, 3, 1, 4, 2], [0, 1], 12_282)
    assert received(OneList, turns) == ([0, 1, 2, 3, 4], [4, 4], 12_279), "one list of 4, seen by both; the second refill brings 6"
    assert received(NoPcp, turns) == ([0, 1, 2, 3, 4], [0, 0], 12_283)
    assert received(FreeMerges, "alloc 0 x3; free @2; free @1; alloc 0")[0] == [0, 1, 2, 1]
    assert received(FreeMerges, "alloc 0; free @0")[1:] == ([2, 0], 12_286)
    assert received(Fifo, "alloc 0 x2; free @0; alloc 0 x2")[0] == [0, 1, 2, 0]


def test_lists_that_nobody_believes_in_give_their_pages_back():
    tape = one_zone("alloc 0; alloc 2 cpu 1; alloc 0 unmovable", cpus=2)
    machine = restart(tape, NoPcp, len(tape))
    assert machine.zone.nr_free_pages() == 12_288 - 6
    assert [pcp.count for pcp in machine.zone.pcp] == [0, 0]
    machine.zone.validate()
