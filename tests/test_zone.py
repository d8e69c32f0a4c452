import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import MOVES, ZONES, contents, lists, play

from pagelab.mm.page_alloc import alloc_pages, boot, hand_over
from pagelab.mm.zone import HELD, HOLE, IN_USE, ISOLATE, MOVABLE, NOT_HEAD, RESERVED, UNMOVABLE, Block, Zone


@pytest.mark.parametrize(("pages", "start"), [(0, 0), (-1, 0), (16, -1)])
def test_a_zone_that_cannot_be(pages, start):
    with pytest.raises(ValueError, match=f"a zone of {pages} pages from pfn {start} cannot be"):
        Zone(pages, start)


@pytest.mark.parametrize(("pages", "start"), [(16, 0), (17, 1), (16, 4096), (1000, 511), (2049, 1023), (1, 77)])
def test_a_new_zone_is_reserved_and_nothing_lies_outside_it(pages, start):
    zone = Zone(pages, start)
    zone.validate()
    assert zone.page_states().tolist() == [RESERVED] * pages
    assert {zone.block(pfn).kind for pfn in range(start, start + pages)} == {"reserved"}
    assert {zone.block(pfn).kind for pfn in (-1, start - 1, start + pages, start + pages + 5000)} == {"hole"}
    assert zone.nr_free_pages() == 0
    assert zone.largest_free_order() == -1


def test_a_pageblock_cut_by_the_start_of_the_zone_stays_unmovable():
    zone = Zone(2000, 100)
    assert [zone.block_type(pfn) for pfn in (100, 511, 512, 1024, 2099)] == [UNMOVABLE, UNMOVABLE] + [MOVABLE] * 3
    assert Zone(16, 512).block_type(512) == MOVABLE


def test_head_tail_and_the_middle_of_a_list():
    zone = boot(4096)
    for pfn in range(0, 4096, 1024):
        zone.unlink(pfn)
    for pfn, tail in ((0, False), (8, False), (16, True), (24, False)):
        zone.link(pfn, 2, MOVABLE, tail)
    assert zone.blocks(2, MOVABLE) == [24, 8, 0, 16]
    assert zone.first(2, MOVABLE) == 24
    zone.unlink(8)
    assert zone.blocks(2, MOVABLE) == [24, 0, 16]
    assert zone.first(3, MOVABLE) == zone.first(2, UNMOVABLE) == -1


def test_only_a_free_head_of_that_order_is_a_buddy():
    zone = boot(64)
    alloc_pages(zone, 0)
    assert zone.page_is_buddy(32, 5)
    assert not zone.page_is_buddy(32, 4), "another order"
    assert not zone.page_is_buddy(33, 0), "inside a block"
    assert not zone.page_is_buddy(0, 0), "in use"
    assert not zone.page_is_buddy(64, 0), "outside"
    zone.unlink(32)
    zone.hold(32, 5)
    assert not zone.page_is_buddy(32, 5), "held"


def test_what_stands_at_a_pfn():
    zone = Zone(64, name="DMA")
    hand_over(zone, [(0, 32)])
    alloc_pages(zone, 2)
    assert zone.block(3) == Block(0, 2, "in use", MOVABLE)
    assert zone.block(15) == Block(8, 3, "free", MOVABLE)
    assert zone.block(40) == Block(40, 0, "reserved", -1)
    zone.unlink(8)
    zone.hold(8, 3)
    assert zone.block(15) == Block(8, 3, "held", -1)
    assert [str(zone.block(pfn)) for pfn in (3, 40, 64)] == [
        "a block of order 2 at 0 is in use",
        "page 40 is reserved",
        "no page of this zone is at 64",
    ]
    assert [zone.in_use(pfn) for pfn in (-1, 0, 1, 8, 16, 40, 64)] == [-1, 2, -1, -1, -1, -1, -1]


def test_counts_are_those_of_a_buddyinfo_line():
    zone = boot(3000)
    alloc_pages(zone, 0)
    assert zone.counts() == [zone.nr_free(order) for order in range(11)] == [1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 2]
    assert zone.nr_free_pages() == 2999
    assert zone.largest_free_order() == 10


@settings(deadline=None)
@given(ZONES, MOVES)
def test_the_state_of_each_page_is_that_of_its_head(zone, moves):
    list(play(zone, moves))
    heads = [zone.block(pfn).head for pfn in range(zone.start_pfn, zone.end_pfn)]
    assert zone.page_states().tolist() == [zone.state[head - zone.base] for head in heads]


def test_relabel_covers_the_blocks_of_that_order_and_no_other():
    zone = Zone(4096, 1024)
    zone.relabel(2048, 10, ISOLATE)
    zone.relabel(4096, 9, UNMOVABLE)
    assert [zone.block_type(pfn) for pfn in range(1024, 5120, 512)] == [1, 1, 5, 5, 1, 1, 0, 1]


@pytest.mark.parametrize("span", [(0, 16), (16, 16), (20, 18), (24, 33), (16, 20), (31, 33), (-5, 20), (16, 9999)])
def test_only_reserved_pages_of_the_zone_can_be_handed_over(span):
    zone = Zone(16, 16)
    hand_over(zone, [(18, 20)])
    before = contents(zone)
    with pytest.raises(ValueError, match=f"cannot hand over pfns {span[0]}..{span[1] - 1}: "):
        zone.unreserve(*span)
    assert contents(zone) == before


@settings(deadline=None)
@given(ZONES, MOVES, MOVES)
def test_a_snapshot_brings_everything_back(zone, moves, more):
    list(play(zone, moves))
    before, snapshot = contents(zone), zone.snapshot()
    list(play(zone, more))
    zone.restore(snapshot)
    assert contents(zone) == before
    fresh = Zone(zone.end_pfn - zone.start_pfn, zone.start_pfn)
    fresh.restore(snapshot)
    assert contents(fresh) == before
    assert fresh.snapshot() == snapshot


def test_a_snapshot_keeps_held_blocks_reserved_pages_and_pageblock_types():
    zone = Zone(1300, 700)
    hand_over(zone, [(800, 1900)])
    zone.unlink(1024)
    zone.hold(1024, 9)
    zone.relabel(1024, 9, ISOLATE)
    before = contents(zone)
    fresh = Zone(1300, 700)
    fresh.restore(zone.snapshot())
    assert contents(fresh) == before
    assert fresh.block(1500) == Block(1024, 9, "held", -1)


@settings(deadline=None, max_examples=50)
@given(ZONES, MOVES)
def test_validate_accepts_all_that_the_rules_make(zone, moves):
    zone.validate()
    for _ in play(zone, moves):
        zone.validate()


# Each spoils one thing in a zone of 1,040 pages: M10=[0] M3=[1032] M2=[1028] M1=[1026] M0=[1025], page 1024 in use.


def free_but_on_no_list(zone):
    del zone.free_list[3][MOVABLE][1032]


def in_use_but_on_a_list(zone):
    zone.free_list[0][MOVABLE][1024] = None


def on_the_list_of_another_order(zone):
    del zone.free_list[3][MOVABLE][1032]
    zone.free_list[2][MOVABLE][1032] = None


def on_the_list_of_another_migratetype(zone):
    del zone.free_list[3][MOVABLE][1032]
    zone.free_list[3][UNMOVABLE][1032] = None


def inside_another_block_but_on_a_list(zone):
    zone.free_list[0][MOVABLE][1033] = None


def outside_the_zone_but_on_a_list(zone):
    zone.free_list[0][MOVABLE][99999] = None


def smaller_than_the_pages_it_owns(zone):
    zone.unlink(1032)
    zone.link(1032, 2, MOVABLE)


def owned_by_no_block(zone):
    zone.state[1024] = NOT_HEAD


def owned_by_two_blocks(zone):
    zone.state[1034] = IN_USE | MOVABLE << 4


def not_aligned(zone):
    zone.unlink(1025)
    zone.unlink(1026)
    zone.take(1025, 1, MOVABLE)
    zone.take(1027, 0, MOVABLE)


def not_aligned_while_held(zone):
    zone.unlink(1025)
    zone.unlink(1026)
    zone.state[1025], zone.state[1027] = HELD | 1, HELD


def larger_than_order_10(zone):
    zone.unlink(0)
    for pfn in (1024, 1025, 1026, 1028, 1032):
        zone.state[pfn] = NOT_HEAD
    for row in zone.free_list:
        row[MOVABLE].clear()
    zone.state[1040:] = bytes([NOT_HEAD]) * 1008
    zone.take(0, 11, MOVABLE)


def reaches_past_the_end_of_the_zone(zone):
    for pfn in (1025, 1026, 1028, 1032):
        zone.unlink(pfn)
    zone.state[1040:1056] = bytes([NOT_HEAD]) * 16
    zone.take(1024, 5, MOVABLE)


def in_use_outside_the_zone(zone):
    zone.take(1040, 0, MOVABLE)


def two_buddies_on_one_list(zone):
    zone.link(1024, 0, MOVABLE)


def two_buddies_on_lists_of_two_migratetypes(zone):
    zone.link(1024, 0, UNMOVABLE)


def two_buddies_of_order_9(zone):
    zone.unlink(0)
    zone.link(0, 9, MOVABLE)
    zone.link(512, 9, MOVABLE)


@pytest.mark.parametrize(
    ("spoil", "pfn"),
    [
        (free_but_on_no_list, 1032),
        (in_use_but_on_a_list, 1024),
        (on_the_list_of_another_order, 1032),
        (on_the_list_of_another_migratetype, 1032),
        (inside_another_block_but_on_a_list, 1033),
        (outside_the_zone_but_on_a_list, 99999),
        (smaller_than_the_pages_it_owns, 1036),
        (owned_by_no_block, 1024),
        (owned_by_two_blocks, 1034),
        (not_aligned, 1025),
        (not_aligned_while_held, 1025),
        (larger_than_order_10, 0),
        (reaches_past_the_end_of_the_zone, "10(24|40|55|56)"),
        (in_use_outside_the_zone, 1040),
        (two_buddies_on_one_list, "102[45]"),
        (two_buddies_on_lists_of_two_migratetypes, "102[45]"),
        (two_buddies_of_order_9, "(0|512)"),
    ],
)
def test_validate_finds(spoil, pfn):
    zone = boot(1040)
    alloc_pages(zone, 0)
    assert lists(zone) == {"M0": [1025], "M1": [1026], "M2": [1028], "M3": [1032], "M10": [0]}
    zone.validate()
    spoil(zone)
    with pytest.raises(ValueError, match=rf"zone Normal\b.*\b{pfn}\b"):
        zone.validate()


@pytest.mark.parametrize(("order", "mt"), [(3, UNMOVABLE), (2, MOVABLE)])
def test_validate_finds_a_block_on_two_lists(order, mt):
    zone = boot(24)
    zone.free_list[order][mt][16] = None
    with pytest.raises(ValueError, match="zone Normal: .*two lists"):
        zone.validate()


def test_validate_accepts_buddies_of_order_9_whose_pageblocks_do_not_merge():
    zone = boot(1024)
    zone.unlink(0)
    zone.link(0, 9, MOVABLE)
    zone.relabel(512, 9, ISOLATE)
    zone.link(512, 9, ISOLATE)
    zone.validate()


@given(st.integers(0, 5000), st.integers(16, 1600))
def test_holes_are_never_mistaken_for_pages(start, pages):
    zone = boot(pages, start)
    assert zone.nr_free_pages() == pages
    assert zone.state.count(HOLE) == len(zone.state) - pages
