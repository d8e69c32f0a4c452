import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import contents

from pagelab.mm.act import Given, Held, Linked, Migrated, Unheld, Unlinked, Watched, held_block, redo
from pagelab.mm.compaction import compact
from pagelab.mm.fallback import rmqueue_bulk_6_1, rmqueue_bulk_6_12, validate_types
from pagelab.mm.page_alloc import alloc_pages, boot, free_one_page, free_one_page_6_1, free_pages
from pagelab.mm.zone import HOLE, MOVABLE, RECLAIMABLE, UNMOVABLE


def in_use(pages, used, start=0):
    """Return a zone where only the given pages are in use, as movable pages of order 0."""
    zone = boot(pages, start)
    assert [alloc_pages(zone, 0) for _ in range(pages)].count(None) == 0
    for pfn in set(range(start, start + pages)) - set(used):
        free_pages(zone, pfn, 0)
    return zone


def blocks_in_use(zone):
    return {pfn: zone.block(pfn) for pfn in range(zone.start_pfn, zone.end_pfn) if zone.in_use(pfn) >= 0}


def test_pages_below_go_to_free_pages_above():
    zone = in_use(2048, [3, 100, 400, 1536, 1537])
    assert compact(zone) == {400: 1538, 100: 1539, 3: 1540}
    assert sorted(blocks_in_use(zone)) == [1536, 1537, 1538, 1539, 1540]
    assert zone.counts()[9:] == [1, 1]
    zone.validate()


def test_the_page_found_last_moves_first_and_32_are_found_at_a_time():
    zone = in_use(2048, [*range(0, 80, 2), 1536])
    moved = list(compact(zone))
    assert moved == [*range(62, -1, -2), *range(78, 63, -2)]


def test_the_smallest_block_set_aside_is_used_first():
    zone = in_use(2048, [10, 20, *range(1536, 2048)])
    for pfn in (*range(1600, 1604), 1700):
        free_pages(zone, pfn, 0)
    assert compact(zone) == {20: 1600, 10: 1601}, "four pages are enough for two, so 1700 was not looked at"
    zone = in_use(2048, [10, 20, *range(1536, 2048)])
    for pfn in (1540, *range(1600, 1604)):
        free_pages(zone, pfn, 0)
    assert compact(zone) == {20: 1540, 10: 1600}


def test_the_free_scanner_goes_down_pageblock_by_pageblock():
    zone = in_use(2560, [10, 20, 30, *range(1536, 2560)])
    for pfn in (1600, 1700, 2100):
        free_pages(zone, pfn, 0)
    assert compact(zone) == {30: 2100, 20: 1600, 10: 1700}


def test_a_pageblock_that_is_all_free_is_kept():
    zone = in_use(2048, [5])
    before = contents(zone)
    assert compact(zone) == {}
    assert contents(zone) == before
    zone = in_use(2048, [5, 1030])
    assert compact(zone) == {5: 1024}, "the last pageblock is free, so the one before it takes the page"
    zone.validate()


def test_a_block_that_finds_only_smaller_ones_stays():
    zone = in_use(2560, [*range(8, 12), *range(1536, 2560)])
    for page in range(8, 12):
        zone.give(page)
    zone.take(8, 2, MOVABLE)
    for pfn in (2048, 2050, 2052, 2054, 2060, 1536, 1537, 1538, 1539):
        free_pages(zone, pfn, 0)
    assert compact(zone) == {}, "four pages were set aside, and that is enough pages"
    zone.validate()


def test_the_scanners_do_not_meet_in_one_pageblock():
    zone = in_use(1024, [5, 700])
    assert compact(zone) == {}, "the free scanner stays above the pageblock that follows what was scanned"
    assert compact(in_use(1536, [5, 1100])) == {5: 1024}


@pytest.mark.parametrize("mt", [UNMOVABLE, RECLAIMABLE])
def test_only_movable_pages_move_and_only_out_of_movable_pageblocks(mt):
    zone = in_use(2048, [5, 6, 1600])
    zone.take(6, 0, mt)
    assert compact(zone) == {5: 1536}
    zone = in_use(2048, [5, 6, 1600])
    zone.relabel(0, 9, mt)
    for pfn in zone.free_heads(0):
        zone.move(pfn, mt)
    assert compact(zone) == {}


def test_a_pageblock_of_another_type_is_no_target():
    zone = in_use(2048, [5, 1100, 1600])
    zone.relabel(1536, 9, UNMOVABLE)
    for pfn in zone.free_heads(1536):
        zone.move(pfn, UNMOVABLE)
    assert compact(zone) == {5: 1024}


def test_larger_blocks_move_in_one_piece_and_whole_pageblocks_do_not():
    zone = in_use(2560, [*range(516), *range(2304, 2560)])
    for pfn, order in ((0, 9), (512, 2), (2304, 8)):
        for page in range(pfn, pfn + (1 << order)):
            zone.give(page)
        zone.take(pfn, order, MOVABLE)
    zone.validate()
    assert compact(zone) == {512: 2048}
    assert zone.in_use(2048) == 2
    zone.validate()


def test_when_nothing_above_is_free_what_was_found_stays():
    zone = in_use(2048, [5, 6, 7, *range(1024, 2048)])
    free_pages(zone, 1700, 0)
    assert compact(zone) == {7: 1700}
    assert sorted(blocks_in_use(zone))[:2] == [5, 6]
    zone.validate()


def test_what_was_set_aside_and_not_used_comes_back():
    zone = in_use(2048, [5, *range(1536, 1792)])
    assert compact(zone) == {5: 1792}
    assert zone.blocks(7, MOVABLE) == [1920]
    assert zone.nr_free_pages() == 2048 - 257


def test_one_move_act_by_act():
    zone = in_use(1536, [5, *range(1024, 1536)])
    for pfn in (1028, 1029):
        free_pages(zone, pfn, 0)
    watched = Watched(zone)
    assert compact(watched) == {5: 1028}
    acts = watched.acts
    assert acts[:4] == [Unlinked(1028, 1, MOVABLE), Held(1028, 1), Unheld(1028, 1), Held(1029, 0)]
    assert acts[4:6] == [Migrated(5, 1028, 0), Unlinked(4, 0, MOVABLE)]
    assert Linked(0, 9, MOVABLE, False) in acts or Linked(0, 10, MOVABLE, False) in acts
    assert acts[-4] == Unheld(1029, 0)
    assert acts[-1] == Linked(1029, 0, MOVABLE, False)
    assert not [act for act in acts if isinstance(act, Given)]


KERNELS = {"6.1": (rmqueue_bulk_6_1, free_one_page_6_1), "6.12": (rmqueue_bulk_6_12, free_one_page)}


def mixed(rng, kernel, pages, start):
    """Return a zone after random requests of three types and the frees of half of what they received."""
    bulk, free = KERNELS[kernel]
    zone, live = boot(pages, start), []
    for _ in range(rng.randrange(20, 400)):
        live += bulk(zone, min(int(rng.expovariate(0.8)), 9), 1, rng.choice([MOVABLE, MOVABLE, MOVABLE, UNMOVABLE, RECLAIMABLE]))
    rng.shuffle(live)
    for pfn in live[: len(live) // 2]:
        free(zone, pfn, zone.give(pfn), zone.block_type(pfn))
    return zone, free


@pytest.mark.parametrize("kernel", KERNELS)
@settings(deadline=None, max_examples=40)
@given(st.integers(16, 4000), st.integers(0, 1500), st.integers(0, 10**9))
def test_compaction_keeps_every_block_and_only_moves_up(kernel, pages, start, seed):
    zone, free = mixed(random.Random(seed), kernel, pages, start)
    again = zone.blank()
    again.restore(zone.snapshot())
    used, pages_free = blocks_in_use(zone), zone.nr_free_pages()
    watched = Watched(zone)
    moved = compact(watched, free)
    zone.validate()
    if kernel == "6.12":
        validate_types(zone)
    assert zone.nr_free_pages() == pages_free
    assert all(old < new for old, new in moved.items())
    assert set(moved) <= {pfn for pfn, block in used.items() if block.mt == MOVABLE}
    expected = {moved.get(pfn, pfn): (block.order, block.mt) for pfn, block in used.items()}
    assert {pfn: (block.order, block.mt) for pfn, block in blocks_in_use(zone).items()} == expected
    assert [(act.pfn, act.to) for act in watched.acts if isinstance(act, Migrated)] == list(moved.items())
    redo(again, watched.acts)
    assert contents(again) == contents(zone)


@settings(deadline=None, max_examples=10)
@given(st.integers(1100, 2600), st.integers(0, 10**9))
def test_half_a_compaction_loses_no_page(pages, seed):
    zone, free = mixed(random.Random(seed), "6.12", pages, 0)
    start, watched = zone.snapshot(), Watched(zone)
    compact(watched, free)
    acts = watched.acts
    for end in sorted(random.Random(seed).sample(range(len(acts) + 1), min(len(acts) + 1, 40))):
        half = zone.blank()
        half.restore(start)
        redo(half, acts[:end])
        half.validate()
        assert half.page_states().max() < HOLE
    assert held_block(acts) is None


def test_compaction_makes_the_huge_page_that_was_refused():
    zone = in_use(4096, range(0, 4096, 8))
    assert alloc_pages(zone, 9) is None
    assert len(compact(zone)) == 448, "all but those of the last pageblock, which holds them all"
    assert zone.counts() == [0] * 9 + [1, 3]
    assert alloc_pages(zone, 9) == 3072
