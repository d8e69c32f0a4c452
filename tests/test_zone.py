from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import MOVES, ZONES, contents, lists, play

from pagelab.mm.page_alloc import alloc_pages, boot, hand_over
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import HELD, HOLE, IN_USE, ISOLATE, MOVABLE, NOT_HEAD, PCP, RECLAIMABLE, RESERVED, UNMOVABLE, Block, Zone


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


def test_a_page_that_no_head_owns_is_held():
    zone = boot(1024)
    zone.unlink(0)
    assert zone.block(700) == Block(0, 10, "held", -1)


def test_a_block_moves_to_the_tail_of_another_list():
    zone = boot(64)
    assert [alloc_pages(zone, 3) for _ in range(3)] == [0, 8, 16]
    for pfn, mt in ((8, UNMOVABLE), (16, MOVABLE), (0, MOVABLE)):
        zone.give(pfn)
        zone.link(pfn, 3, mt)
    assert lists(zone) == {"U3": [8], "M3": [0, 16, 24], "M5": [32]}
    zone.move(16, UNMOVABLE)
    zone.move(0, MOVABLE)
    assert lists(zone) == {"U3": [8, 16], "M3": [24, 0], "M5": [32]}
    assert zone.block(16) == Block(16, 3, "free", UNMOVABLE)


def test_a_block_is_held_and_let_go():
    zone = boot(64)
    zone.unlink(0)
    zone.hold(0, 5)
    zone.hold(32, 5)
    assert zone.block(40) == Block(32, 5, "held", -1)
    assert zone.unhold(32) == 5
    zone.link(32, 5, MOVABLE)
    assert (zone.block(31).kind, zone.block(32).kind) == ("held", "free")
    zone.validate()


def test_what_a_block_holds_moves_with_its_type():
    zone = boot(64)
    assert alloc_pages(zone, 2, MOVABLE) == 0
    zone.unlink(32)
    zone.link(36, 2, MOVABLE)
    zone.link(40, 3, MOVABLE)
    zone.link(48, 4, MOVABLE)
    assert zone.migrate(0, 32) == 2
    assert zone.block(33) == Block(32, 2, "in use", MOVABLE)
    zone.link(0, 2, MOVABLE)
    assert zone.in_use(0) == -1


def with_lists():
    """Return a zone of 1,040 pages with five blocks on the lists of two CPUs; the first of those of CPU 1 is 1025."""
    zone = boot(1040)
    zone.pcp += [PerCpuPages(3, 12, 100), PerCpuPages(7, 28, 100)]
    for cpu, order in ((0, 0), (1, 0), (1, 0), (0, 2), (1, 3)):
        pfn = alloc_pages(zone, order)
        zone.give(pfn)
        zone.park(pfn, order, cpu, 3 * order + MOVABLE)
    return zone


def test_a_parked_block_is_neither_free_nor_in_use():
    zone = with_lists()
    assert [[list(blocks) for blocks in pcp.lists if blocks] for pcp in zone.pcp] == [[[1024], [1028]], [[1026, 1025], [1032]]]
    assert [pcp.count for pcp in zone.pcp] == [5, 10]
    assert zone.block(1029) == Block(1028, 2, "pcp", -1)
    assert str(zone.block(1029)) == "a block of order 2 at 1028 is on a per-CPU list"
    assert (zone.in_use(1028), zone.give(1028)) == (-1, -1)
    assert not zone.page_is_buddy(1028, 2)
    assert zone.nr_free_pages() == 1025
    assert zone.page_states()[1024:1032].tolist() == [PCP, PCP, PCP] + [MOVABLE << 4] + [PCP | 2] * 4
    zone.validate()


def test_a_parked_block_leaves_at_either_end():
    zone = with_lists()
    zone.unlink(1027)
    zone.park(1027, 0, 1, MOVABLE, tail=True)
    assert list(zone.pcp[1].lists[MOVABLE]) == [1026, 1025, 1027]
    assert [zone.unpark(1, MOVABLE), zone.unpark(1, MOVABLE, tail=True)] == [1026, 1027]
    assert list(zone.pcp[1].lists[MOVABLE]) == [1025]
    assert zone.pcp[1].count == 9
    for pfn in (1026, 1027):
        zone.take(pfn, 0, MOVABLE)
    zone.validate()


def test_what_the_pageblock_was_is_kept_with_a_parked_block():
    zone = with_lists()
    zone.relabel(1024, 9, UNMOVABLE)
    assert zone.pcp[0].types == {1024: MOVABLE, 1028: MOVABLE}
    assert zone.unpark(0, MOVABLE) == 1024
    zone.park(1024, 0, 0, UNMOVABLE)
    assert zone.pcp[0].types == {1024: UNMOVABLE, 1028: MOVABLE}


def test_a_census_counts_free_pages_and_movable_ones():
    zone = boot(1024)
    zone.pcp.append(PerCpuPages(3, 12))
    got = [alloc_pages(zone, order) for order in (0, 1, 3, 0)]
    assert got == [0, 2, 8, 1]
    zone.take(2, 1, UNMOVABLE)
    zone.give(0)
    zone.park(0, 0, 0, MOVABLE)
    assert zone.census(0) == (512 - 12, 9)
    assert zone.census(8) == (512 - 16, 8), "from there on"
    assert zone.census(512) == (512, 0)
    assert zone.free_heads(300) == [4, 16, 32, 64, 128, 256]


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


def test_an_isolated_pageblock_keeps_in_mind_what_it_was():
    zone = Zone(2048)
    zone.relabel(512, 9, RECLAIMABLE)
    zone.relabel(0, 10, ISOLATE)
    assert list(zone.type_before) == [MOVABLE, RECLAIMABLE, 0, 0]
    zone.relabel(512, 9, MOVABLE)
    assert list(zone.type_before) == [MOVABLE, 0, 0, 0]


def test_managed_counts_what_was_handed_over():
    zone = Zone(2000, 100)
    assert zone.managed == 0
    hand_over(zone, [(200, 300), (512, 2100)])
    assert zone.managed == 1688
    alloc_pages(zone, 3)
    assert zone.managed == 1688


def test_a_zone_like_another_has_its_shape():
    class Other(Zone):
        """A stand-in."""

    zone = boot(1000, 511, "DMA32")
    zone.node = 3
    for like in (zone.blank(), zone.like(Other)):
        assert (like.name, like.node, like.start_pfn, like.end_pfn) == ("DMA32", 3, 511, 1511)
        assert like.nr_free_pages() == like.managed == 0
        like.restore(zone.snapshot())
        assert contents(like) == contents(zone)
        assert like.managed == 1000
    assert type(like) is Other
    assert type(zone.blank()) is Zone


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


def per_cpu(zone):
    """Return all that the CPUs' lists hold and know."""
    return deepcopy([[getattr(pcp, name) for name in PerCpuPages.__slots__] for pcp in zone.pcp])


def test_a_snapshot_keeps_the_lists_of_the_cpus_and_their_numbers():
    zone = with_lists()
    zone.relabel(1024, 9, ISOLATE)
    zone.pcp[1].high, zone.pcp[1].alloc_factor, zone.pcp[1].free_factor, zone.pcp[1].free_count = 31, 4, 2, 77
    zone.pcp[1].prev_high_order = True
    before, snapshot = (contents(zone), per_cpu(zone), bytes(zone.type_before)), zone.snapshot()
    fresh = zone.blank()
    fresh.restore(snapshot)
    assert (contents(fresh), per_cpu(fresh), bytes(fresh.type_before)) == before
    assert fresh.snapshot() == snapshot
    while zone.pcp[1].lists[MOVABLE]:
        zone.link(zone.unpark(1, MOVABLE), 0, MOVABLE)
    zone.relabel(1024, 9, MOVABLE)
    zone.restore(snapshot)
    assert (contents(zone), per_cpu(zone), bytes(zone.type_before)) == before
    zone.validate()
    fresh.restore(boot(1040).snapshot())
    assert fresh.pcp == []
    fresh.validate()


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


# Each spoils one thing in with_lists().


def parked_but_on_no_list(zone):
    zone.pcp[1].lists[MOVABLE].remove(1025)


def on_two_lists_of_a_cpu(zone):
    zone.pcp[0].lists[MOVABLE].append(1025)


def on_a_list_of_another_order(zone):
    zone.pcp[1].lists[MOVABLE].remove(1025)
    zone.pcp[1].lists[MOVABLE + 3].append(1025)


def on_a_list_but_in_use(zone):
    zone.take(1025, 0, MOVABLE)


def on_a_list_of_a_cpu_and_free(zone):
    zone.link(1025, 0, MOVABLE)


def counted_twice(zone):
    zone.pcp[1].count += 1


def of_no_known_type(zone):
    del zone.pcp[1].types[1025]


def known_but_gone(zone):
    zone.pcp[1].types[5] = MOVABLE


def without_lists(zone):
    zone.pcp.clear()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (parked_but_on_no_list, "cpu 1 counts 10 pages on its lists, which is not what they hold"),
        (on_two_lists_of_a_cpu, "page 1025 is on a list of cpu 0 and heads no block of order 0 for it"),
        (on_a_list_of_another_order, "page 1025 is on a list of cpu 1 and heads no block of order 1 for it"),
        (on_a_list_but_in_use, "page 1025 is on a list of cpu 1 and heads no block of order 0 for it"),
        (on_a_list_of_a_cpu_and_free, "page 1025 is on a list of cpu 1 and heads no block of order 0 for it"),
        (counted_twice, "cpu 1 counts 11 pages on its lists, which is not what they hold"),
        (of_no_known_type, "page 1025 is on a list of cpu 1"),
        (known_but_gone, "cpu 1 counts 10 pages on its lists"),
        (without_lists, "page 1024 is on no list of a CPU, and its state says so"),
    ],
)
def test_validate_finds_in_the_lists_of_the_cpus(spoil, words):
    zone = with_lists()
    zone.validate()
    spoil(zone)
    with pytest.raises(ValueError, match=f"zone Normal: {words}"):
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
