"""Short traces through the rules of the free lists: what is learned, what is then definite, and what is wrong."""

import numpy as np
from tracing import extfrag, line, locked, page
from zones import lists

from pagelab.mm.kernels import KERNELS
from pagelab.mm.zone import MOVABLE, UNMOVABLE
from pagelab.real.buddy import BuddyReplay, Zones, carve
from pagelab.real.learning import UNKNOWN, Learning
from pagelab.real.trace import read_events


def zone_of(free, pages=16):
    """Return a zone with the pages of a range free."""
    zone, mask = Learning(pages), np.zeros(pages, bool)
    mask[list(free)] = True
    zone.begin(mask, strict=True)
    return zone


def take(pfn, order=0, mt=MOVABLE):
    return line(0, locked(pfn, order, mt, refill=True), "d..3.")


def drain(pfn, order=0, mt=MOVABLE):
    return line(0, f"mm_page_pcpu_drain: {page(pfn)} order={order} migratetype={mt}", "d..3.")


def free(pfn, order=0, flags="....."):
    return line(0, f"mm_page_free: {page(pfn)} order={order}", flags)


def follow(zone, *lines, kernel="6.12"):
    """Follow the lines, and return the replay; the zone has to be sound after each."""
    run = BuddyReplay(Zones([zone]), KERNELS[kernel])
    for event in read_events(enumerate(lines, 1)):
        run.step(event)
        zone.validate()
    return run


def told(score):
    return score.definite, score.wrong, score.learned


def test_the_first_take_from_an_unknown_list_is_learned_and_the_next_ones_are_definite():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(1), take(2, 1), take(4))
    assert told(run.score) == (3, 0, 1)
    assert lists(zone) == {"M0": [5], "M1": [6], "M3": [8]}
    assert zone.type_of(0) == MOVABLE


def test_a_wrong_take_is_one_miss_and_named_and_the_zone_follows_the_kernel():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(8), take(9), take(1), take(10, 1))
    assert run.score.first == "line 2, order 0, movable: the rules give 0x1, the kernel took 0x8"
    # What line 2 split stands ahead of page 1, as it does in the kernel: so no other line is wrong.
    assert told(run.score) == (4, 1, 1)
    assert lists(zone) == {"M1": [2], "M2": [12, 4]}


def test_a_take_where_nothing_is_free_says_that_the_rules_have_no_page():
    run = follow(zone_of([]), take(3))
    assert run.score.first == "line 1, order 0, movable: the rules have no page, the kernel took 0x3"


def test_a_drained_page_is_the_head_of_its_list_and_merges_when_its_buddy_comes():
    zone = zone_of([])
    run = follow(zone, drain(4), drain(8), take(8), drain(4 + 1), take(4, 1))
    assert told(run.score) == (2, 0, 0)
    assert lists(zone) == {}


def test_a_drained_page_goes_to_the_list_of_the_type_that_its_line_names():
    zone = zone_of([])
    run = follow(zone, drain(4, 0, UNMOVABLE), drain(8, 1, UNMOVABLE), take(4, 0, UNMOVABLE))
    assert (told(run.score), lists(zone), zone.type_of(0)) == ((1, 0, 0), {"U1": [8]}, UNMOVABLE)


def test_a_block_that_cannot_start_where_it_is_freed_is_a_miss_and_changes_nothing():
    zone = zone_of([1])
    run = follow(zone, drain(2, 2), drain(12, 3))
    assert run.score.wrong == 2
    assert run.score.first == "line 1: no block of order 2 can start at 0x2"
    assert lists(zone) == {"I0": [1]}


def test_a_free_waits_for_its_drain_unless_it_goes_past_the_per_cpu_lists():
    zone = zone_of([], pages=64)
    follow(zone, free(3), free(32, 3))
    assert zone.free == 0
    follow(zone, free(16, 4), free(1, 0, ".Ns3."), free(8, 0, ".Ns2."))
    assert np.flatnonzero(zone.free_pages()).tolist() == [1, *range(16, 32)]
    # The type of their pageblock is not known, so they may stand at the head of any list.
    assert (zone.blocks(4, UNKNOWN), zone.loose) == ([16], {1, 16})


def test_a_lone_fallback_line_is_a_take_on_6_12_and_a_second_line_of_one_take_otherwise():
    zone = zone_of(range(16))
    run = follow(zone, line(0, extfrag(0, 0, UNMOVABLE, 4, MOVABLE, False), "d..3."), take(1), take(2, 1))
    assert (told(run.fallbacks), told(run.score)) == ((0, 0, 1), (2, 0, 0))
    zone = zone_of(range(16))
    run = follow(zone, take(0, 0, UNMOVABLE), line(0, extfrag(0, 0, UNMOVABLE, 4, MOVABLE, True), "d..3."))
    assert (told(run.fallbacks), told(run.score)) == ((0, 0, 0), (0, 0, 1))
    assert lists(zone) == {"U0": [1], "U1": [2], "U2": [4], "U3": [8]}


def test_carving_leaves_all_else_free_on_the_lists_that_it_names():
    zone = zone_of(range(1024), pages=1024)
    assert carve(zone, 700, 2, UNMOVABLE, claim=True)
    zone.take(700, 2, UNMOVABLE)
    zone.validate()
    assert (zone.free, zone.type_of(0), zone.type_of(700)) == (1020, UNMOVABLE, UNMOVABLE)
    assert all(name.startswith("U") for name in lists(zone))
    assert not carve(zone, 700, 2, UNMOVABLE)


def test_what_is_remembered_goes_on_over_a_restored_zone():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(8))
    copy = zone.blank()
    copy.restore(zone.snapshot())
    other = run.over(Zones([copy]))
    assert other.kept() == run.kept()
    for event in read_events([(3, take(9)), (4, take(1))]):
        run.step(event)
        other.step(event)
    assert (told(other.score), other.zones.of(9) is copy, other.zones.of(16)) == ((2, 0, 0), True, None)
    assert lists(copy) == lists(zone)
