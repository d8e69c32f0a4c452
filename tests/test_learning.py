"""What a zone of a captured machine knows, what it learns, and where it says that it does not know."""

import numpy as np
import pytest
from zones import lists

from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE, Zone
from pagelab.real.learning import UNKNOWN, Learning, UnsureError


def learning(*free, pages=16, strict=True):
    """Return a zone whose pages in `free` are free when the trace begins."""
    zone, mask = Learning(pages), np.zeros(pages, bool)
    mask[list(free)] = True
    zone.begin(mask, strict)
    return zone


def test_the_blocks_that_are_free_at_the_start_are_as_large_as_can_be_and_on_no_known_list():
    zone = learning(1, 4, 5, 6, 7, 12)
    zone.validate()
    assert [zone.blocks(order, UNKNOWN) for order in range(3)] == [[1, 12], [], [4]]
    assert np.flatnonzero(zone.free_pages()).tolist() == [1, 4, 5, 6, 7, 12]
    assert (zone.free, zone.in_use(0), zone.in_use(4)) == (6, 0, -1)


def test_the_head_is_unsure_among_two_blocks_of_the_start_and_sure_of_one_in_a_pageblock_of_known_type():
    two, one = learning(1, 12), learning(12)
    for zone in (two, one):
        with pytest.raises(UnsureError):
            zone.first(0, MOVABLE)
        zone.learn_type(3, MOVABLE)
    with pytest.raises(UnsureError):
        two.first(0, MOVABLE)
    assert (one.first(0, MOVABLE), one.first(0, UNMOVABLE), one.first(1, MOVABLE)) == (12, -1, -1)


def test_what_is_linked_at_the_head_stands_before_the_blocks_of_the_start_and_what_is_linked_at_the_tail_behind_them():
    head, tail = learning(1, 12), learning(1, 12)
    for zone, at_tail in ((head, False), (tail, True)):
        zone.vacate(6, 0)
        zone.link(6, 0, MOVABLE, tail=at_tail)
        zone.validate()
        assert zone.free == zone.nr_free_pages() == 3
    assert head.first(0, MOVABLE) == 6
    with pytest.raises(UnsureError):
        tail.first(0, MOVABLE)
    tail.unlink(1)
    tail.unlink(12)
    assert tail.first(0, MOVABLE) == 6


def test_a_pick_that_passed_a_block_on_6_1_shows_that_it_is_not_on_that_list():
    zone = learning(1, 4, 5, strict=False)
    assert zone.candidates(0, MOVABLE) == [1]
    zone.exclude(0, MOVABLE, 4, 1)
    assert zone.candidates(0, MOVABLE) == []
    assert (zone.candidates(0, RECLAIMABLE), zone.candidates(1, MOVABLE)) == ([1], [4])


def test_a_block_that_is_placed_is_the_head_of_its_list_and_one_whose_list_is_known_stays():
    zone = learning(1, 12)
    zone.place(12, MOVABLE)
    zone.place(12, UNMOVABLE)
    zone.validate()
    assert lists(zone) == {"M0": [12], "I0": [1]}
    assert zone.first(0, MOVABLE) == 12


def test_a_page_vacated_in_the_middle_of_a_block_leaves_the_other_pages_in_use():
    zone = learning(8)
    zone.occupy(0, 2)
    assert (zone.in_use(0), zone.in_use(2)) == (2, -1)
    zone.vacate(2, 0)
    zone.take(2, 0, MOVABLE)
    zone.validate()
    assert [zone.in_use(pfn) for pfn in range(4)] == [0, 0, 0, 0]
    assert zone.free == 1


def test_a_relabelled_block_of_order_10_teaches_the_types_of_both_its_pageblocks():
    zone = learning(*range(1024), pages=2048)
    assert [zone.type_of(pfn) for pfn in (0, 512, 1024)] == [-1, -1, -1]
    zone.relabel(0, 10, RECLAIMABLE)
    zone.validate()
    assert [zone.type_of(pfn) for pfn in (0, 512, 1023, 1024)] == [RECLAIMABLE, RECLAIMABLE, RECLAIMABLE, -1]


def test_a_block_loosened_after_it_was_linked_may_stand_ahead_of_what_is_known():
    zone = learning(1, 12)
    for pfn in (6, 3):
        zone.vacate(pfn, 0)
        zone.link(pfn, 0, MOVABLE)
    assert zone.first(0, MOVABLE) == 3
    zone.loosen(3)
    zone.validate()
    assert (zone.loose, zone.blocks(0, MOVABLE)) == ({3}, [6])
    with pytest.raises(UnsureError):
        zone.first(0, MOVABLE)
    assert (zone.fell_back, zone.free) == (False, 4)


def test_a_claim_is_unsure_below_half_a_pageblock_and_sure_from_half_on():
    few, half = learning(*range(128), pages=512), learning(*range(256), pages=512)
    with pytest.raises(UnsureError):
        few.census(0)
    assert half.census(0) == (256, 0)
    few.claimed = False
    few.asked = UNMOVABLE
    assert few.census(0) == (0, 512)


def test_a_snapshot_brings_back_the_zone_and_what_it_did_not_know():
    zone = learning(1, 12, 14, pages=48)
    zone.learn_type(0, MOVABLE)
    zone.exclude(0, UNMOVABLE, -1, 3)
    zone.strict = False
    zone.exclude(0, UNMOVABLE, 40, 3)
    for pfn, tail in ((20, True), (22, True), (24, False)):
        zone.vacate(pfn, 0)
        zone.link(pfn, 0, MOVABLE, tail)
        if pfn > 20:
            zone.loosen(pfn)
    kept = zone.snapshot()
    other = zone.blank()
    other.restore(kept)
    other.validate()
    assert (other.behind, other.trailing, other.loose) == ({20}, {22}, {24})
    assert (other.never, other.strict, other.free) == (dict.fromkeys((1, 12, 14), 1 << UNMOVABLE), False, 6)
    assert (other.type_of(0), lists(other)) == (MOVABLE, lists(zone))
    assert other.snapshot() == kept
    zone.unlink(20)
    Zone.take(zone, 20, 0, MOVABLE)
    assert zone.snapshot() != kept
    zone.restore(kept)
    assert zone.snapshot() == kept


def test_a_theft_is_no_claim_on_6_12_however_much_is_free():
    half = learning(*range(256), pages=512)
    half.claimed = False
    assert half.census(0) == (0, 0)
    half.asked = UNMOVABLE
    assert half.census(0) == (0, 512), "pages in use do not suit, and free ones do not count"
    old = learning(*range(256), pages=512, strict=False)
    old.claimed = False
    assert old.census(0) == (256, 0), "6.1 asks each time"


@pytest.mark.parametrize(("strict", "types"), [(True, [-1, -1]), (False, [MOVABLE, -1])])
def test_what_merged_with_a_block_of_unknown_type_is_of_unknown_type_where_types_follow_lists(strict, types):
    zone = learning(pages=1024, strict=strict)
    zone.learn_type(0, MOVABLE)
    zone.vacate(0, 9)
    zone.vacate(512, 9)
    zone.link(0, 10, MOVABLE)
    zone.loosen(512)
    zone.validate()
    assert [zone.type_of(pfn) for pfn in (0, 512)] == types
    assert zone.blocks(10, UNKNOWN) == [0]
