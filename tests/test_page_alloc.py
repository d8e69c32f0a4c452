import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from zones import MOVES, ZONES, contents, lists, play

from pagelab.mm.page_alloc import (
    alloc_pages,
    boot,
    buddy_merge_likely,
    expand,
    free_one_page,
    free_pages,
    hand_over,
    rmqueue_smallest,
    split_page,
)
from pagelab.mm.zone import HIGHATOMIC, ISOLATE, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone

# The golden vectors: what the kernel's own code does.


def test_v1_boot_of_zone_dma():
    zone = Zone(4095, start_pfn=1, name="DMA")
    hand_over(zone, [(256, 4096)])
    assert lists(zone) == {"U8": [256], "M9": [512], "M10": [1024, 2048, 3072]}
    zone.validate()


def v2():
    zone = boot(2048)
    assert lists(zone) == {"M10": [0, 1024]}
    assert [alloc_pages(zone, 0) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    return zone


UPPER_HALVES = {"M4": [16], "M5": [32], "M6": [64], "M7": [128], "M8": [256], "M9": [512], "M10": [1024]}


def test_v2_six_pages_of_order_0():
    assert lists(v2()) == {"M1": [6], "M3": [8], **UPPER_HALVES}


def test_v2b_the_tail_rule():
    zone = v2()
    free_pages(zone, 1, 0)
    assert zone.blocks(0, MOVABLE) == [1]
    free_pages(zone, 0, 0)
    assert lists(zone) == {"M1": [0, 6], "M3": [8], **UPPER_HALVES}
    free_pages(zone, 3, 0)
    assert lists(zone) == {"M0": [3], "M1": [0, 6], "M3": [8], **UPPER_HALVES}
    free_pages(zone, 2, 0)
    assert lists(zone) == {"M1": [6], "M2": [0], "M3": [8], **UPPER_HALVES}


def test_v7_head_and_tail_of_a_full_zone():
    zone = boot(64)
    assert [alloc_pages(zone, 0) for _ in range(65)] == [*range(64), None]
    assert lists(zone) == {}
    for pfn in (2, 3):
        free_pages(zone, pfn, 0)
    assert lists(zone) == {"M1": [2]}
    free_pages(zone, 0, 0)
    free_pages(zone, 9, 0)
    assert lists(zone) == {"M0": [9, 0], "M1": [2]}


# Single rules.


def test_a_page_next_to_a_free_block_of_the_next_order_waits_at_the_tail():
    zone = boot(64)
    for _ in range(64):
        alloc_pages(zone, 0)
    for pfn in (20, 22, 2, 3, 0):
        free_pages(zone, pfn, 0)
    assert lists(zone) == {"M0": [22, 20, 0], "M1": [2]}
    assert alloc_pages(zone, 0) == 22


def test_order_8_is_the_last_that_waits_at_the_tail():
    zone = boot(2048)
    for _ in range(8):
        alloc_pages(zone, 8)
    for pfn in (1280, 512, 768, 0):
        free_pages(zone, pfn, 8)
    assert lists(zone) == {"M8": [1280, 0], "M9": [512]}


def test_order_9_goes_to_the_head_even_next_to_a_free_block_of_order_10():
    zone = boot(4096)
    for _ in range(8):
        alloc_pages(zone, 9)
    for pfn in (3584, 1024, 1536, 0):
        free_pages(zone, pfn, 9)
    assert lists(zone) == {"M9": [0, 3584], "M10": [1024]}


def test_order_10_goes_to_the_head_and_merges_no_further():
    zone = boot(4096)
    assert [alloc_pages(zone, 10) for _ in range(3)] == [0, 1024, 2048]
    for pfn in (1024, 0):
        free_pages(zone, pfn, 10)
    assert lists(zone) == {"M10": [0, 1024, 3072]}


def test_the_smallest_order_with_a_block_is_split():
    zone = boot(24)
    assert alloc_pages(zone, 1) == 16
    assert lists(zone) == {"M1": [18], "M2": [20], "M4": [0]}


def test_upper_halves_go_before_what_is_on_the_list():
    zone = boot(4096)
    zone.unlink(0)
    zone.link(2048 + 8, 3, MOVABLE)
    expand(zone, 0, 2, 4, MOVABLE)
    assert zone.blocks(3, MOVABLE) == [8, 2056]
    assert zone.blocks(2, MOVABLE) == [4]


@pytest.mark.parametrize(("pfn", "order", "likely"), [(0, 0, 2), (1, 0, 2), (4, 1, 0), (16, 3, 0), (256, 8, 512)])
def test_merging_is_likely_when_the_next_buddy_up_is_free(pfn, order, likely):
    zone = Zone(2048)
    assert not buddy_merge_likely(zone, pfn, order)
    zone.link(likely, order, MOVABLE)
    assert not buddy_merge_likely(zone, pfn, order), "free, but of another order"
    zone.unlink(likely)
    zone.link(likely, order + 1, MOVABLE)
    assert buddy_merge_likely(zone, pfn, order)


def test_each_migratetype_has_its_own_lists():
    zone = boot(1024)
    zone.unlink(0)
    zone.link(0, 9, UNMOVABLE)
    zone.link(512, 9, RECLAIMABLE)
    before = contents(zone)
    assert alloc_pages(zone, 0, MOVABLE) is None
    assert contents(zone) == before
    assert alloc_pages(zone, 8, RECLAIMABLE) == 512
    assert alloc_pages(zone, 9, UNMOVABLE) == 0
    assert lists(zone) == {"R8": [768]}


def test_a_block_goes_back_to_the_list_of_its_pageblock():
    zone = boot(512)
    assert alloc_pages(zone, 3) == 0
    zone.relabel(0, 9, UNMOVABLE)
    assert zone.blocks(3, MOVABLE) == [8]
    free_pages(zone, 0, 3)
    assert lists(zone) == {"U9": [0]}, "merging below order 9 does not ask for the migratetype"


def two_pageblocks_in_use(other):
    zone = boot(1024)
    assert [alloc_pages(zone, 9) for _ in range(2)] == [0, 512]
    zone.relabel(512, 9, other)
    return zone


@pytest.mark.parametrize("other", [UNMOVABLE, RECLAIMABLE])
def test_pageblocks_of_two_mergeable_types_become_one_type(other):
    zone = two_pageblocks_in_use(other)
    free_pages(zone, 0, 9)
    free_pages(zone, 512, 9)
    assert zone.blocks(10, other) == [0]
    assert [zone.block_type(0), zone.block_type(512)] == [other, other]
    zone.validate()


@pytest.mark.parametrize(("first", "second"), [(0, 512), (512, 0)])
@pytest.mark.parametrize(("other", "letter"), [(ISOLATE, "I"), (HIGHATOMIC, "H")])
def test_an_isolated_or_reserved_pageblock_merges_with_no_other(other, letter, first, second):
    zone = two_pageblocks_in_use(other)
    free_pages(zone, first, 9)
    free_pages(zone, second, 9)
    assert lists(zone) == {"M9": [0], f"{letter}9": [512]}
    assert [zone.block_type(0), zone.block_type(512)] == [MOVABLE, other]


def test_a_block_in_use_as_unmovable_is_told_from_a_free_one():
    zone = boot(17, 1)
    pfn = alloc_pages(zone, 0, UNMOVABLE)
    assert zone.block(pfn).kind == "in use"
    assert zone.block(pfn).mt == UNMOVABLE


@pytest.mark.parametrize(("order", "mt", "words"), [(11, 1, "order 11"), (-1, 1, "order -1"), (0, 6, "type 6"), (0, -1, "type -1")])
def test_an_order_or_a_migratetype_that_does_not_exist(order, mt, words):
    zone = boot(16)
    before = contents(zone)
    with pytest.raises(ValueError, match=words):
        alloc_pages(zone, order, mt)
    assert contents(zone) == before


def test_nothing_left_is_an_answer_and_not_an_error():
    zone = boot(16)
    assert rmqueue_smallest(zone, 5, MOVABLE) == -1
    assert alloc_pages(zone, 4) == 0
    before = contents(zone)
    assert alloc_pages(zone, 0) is None
    assert contents(zone) == before


# What must not be freed or split.


@pytest.mark.parametrize("change", [free_pages, split_page])
@pytest.mark.parametrize(
    ("pfn", "order", "holds"),
    [
        (2, 0, "a block of order 1 at 2 is free"),
        (8, 3, "a block of order 3 at 8 is free"),
        (11, 0, "a block of order 3 at 8 is free"),
        (4, 1, "a block of order 2 at 4 is in use"),
        (4, 3, "a block of order 2 at 4 is in use"),
        (5, 0, "a block of order 2 at 4 is in use"),
        (6, 1, "a block of order 2 at 4 is in use"),
        (20, 0, "page 20 is reserved"),
        (24, 0, "no page of this zone is at 24"),
        (1023, 0, "no page of this zone is at 1023"),
        (99999, 0, "no page of this zone is at 99999"),
        (-1, 0, "no page of this zone is at -1"),
        (0, 11, "a block of order 0 at 0 is in use"),
        (0, -1, "a block of order 0 at 0 is in use"),
        (2, -1, "a block of order 1 at 2 is free"),
        (5, -1, "a block of order 2 at 4 is in use"),
        (20, -1, "page 20 is reserved"),
        (24, -1, "no page of this zone is at 24"),
    ],
)
def test_only_what_is_in_use_at_that_pfn_and_order(change, pfn, order, holds):
    zone = Zone(24, name="DMA32")
    hand_over(zone, [(0, 16)])
    assert [alloc_pages(zone, 0), alloc_pages(zone, 2)] == [0, 4]
    assert lists(zone) == {"M0": [1], "M1": [2], "M3": [8]}
    before = contents(zone)
    with pytest.raises(ValueError, match=rf"pfn {pfn}, order {order}: in zone DMA32, {holds}$"):
        change(zone, pfn, order)
    assert contents(zone) == before


@pytest.mark.parametrize(("pages", "start"), [(17, 1), (16, 4096), (1000, 511)])
@pytest.mark.parametrize("order", [0, -1])
def test_pfns_on_either_side_of_a_zone_are_not_its_own(pages, start, order):
    zone = boot(pages, start)
    before = contents(zone)
    for pfn in (start - 1, start + pages):
        with pytest.raises(ValueError, match=f"pfn {pfn}, order {order}: .*no page of this zone is at {pfn}"):
            free_pages(zone, pfn, order)
    assert contents(zone) == before


def test_a_page_cannot_be_freed_twice():
    zone = boot(16)
    pfn = alloc_pages(zone, 0)
    alloc_pages(zone, 0)
    free_pages(zone, pfn, 0)
    before = contents(zone)
    with pytest.raises(ValueError, match="cannot free pfn 0, order 0: in zone Normal, a block of order 0 at 0 is free"):
        free_pages(zone, pfn, 0)
    assert contents(zone) == before


# split_page.


def test_a_split_block_is_freed_page_by_page():
    zone = boot(16)
    assert alloc_pages(zone, 2) == 0
    split_page(zone, 0, 2)
    assert [zone.in_use(pfn) for pfn in range(5)] == [0, 0, 0, 0, -1]
    assert lists(zone) == {"M2": [4], "M3": [8]}
    before = contents(zone)
    with pytest.raises(ValueError, match="cannot free pfn 0, order 2: in zone Normal, a block of order 0 at 0 is in use"):
        free_pages(zone, 0, 2)
    assert contents(zone) == before
    for pfn in (2, 0, 1):
        free_pages(zone, pfn, 0)
    assert lists(zone) == {"M0": [2], "M1": [0], "M2": [4], "M3": [8]}
    free_pages(zone, 3, 0)
    assert lists(zone) == {"M4": [0]}


def test_a_split_keeps_the_migratetype():
    zone = boot(17, 1)
    assert alloc_pages(zone, 3, UNMOVABLE) == 8
    split_page(zone, 8, 3)
    assert {zone.block(pfn)[1:] for pfn in range(8, 16)} == {(0, "in use", UNMOVABLE)}
    zone.validate()


def test_a_page_of_order_0_splits_into_itself():
    zone = boot(16)
    alloc_pages(zone, 0)
    before = contents(zone)
    split_page(zone, 0, 0)
    assert contents(zone) == before


# The boot hand-over, and zones of every shape.


@pytest.mark.parametrize(
    ("pages", "start", "expected"),
    [
        (16, 0, {"M4": [0]}),
        (17, 0, {"M0": [16], "M4": [0]}),
        (17, 1, {"U0": [1], "U1": [2, 16], "U2": [4], "U3": [8]}),
        (16, 4096, {"M4": [4096]}),
        (31, 4097, {"U0": [4097], "U1": [4098], "U2": [4100], "U3": [4104], "U4": [4112]}),
        (1030, 511, {"U0": [511], "M0": [1540], "M2": [1536], "M9": [512, 1024]}),
        (3072, 512, {"M9": [512, 3072], "M10": [1024, 2048]}),
    ],
)
def test_boot_gives_the_largest_aligned_blocks_in_ascending_order(pages, start, expected):
    zone = boot(pages, start)
    assert lists(zone) == expected
    zone.validate()


def test_ranges_next_to_each_other_merge():
    zone = Zone(2048)
    hand_over(zone, [(0, 100), (100, 1024), (1500, 1536)])
    assert lists(zone) == {"M2": [1500], "M5": [1504], "M10": [0]}
    zone.validate()


def test_boot_puts_each_block_at_the_tail():
    zone = Zone(64)
    hand_over(zone, [(0, 2), (4, 6), (8, 10), (60, 62)])
    assert lists(zone) == {"M1": [0, 4, 8, 60]}


def test_memory_is_handed_over_once():
    zone = Zone(64)
    hand_over(zone, [(0, 32)])
    before = contents(zone)
    with pytest.raises(ValueError, match="cannot hand over pfns 16..47"):
        hand_over(zone, [(16, 48)])
    assert contents(zone) == before


@pytest.mark.parametrize("pages", [*range(16, 40), 511, 512, 513, 1023, 1025])
@pytest.mark.parametrize("start", [0, 1, 15, 511, 1023, 4096])
def test_every_page_of_any_zone_can_be_handed_out_and_taken_back(pages, start):
    zone = boot(pages, start)
    fresh = free_set(zone)
    got = [alloc_pages(zone, 0, mt) for mt in (UNMOVABLE, MOVABLE) for _ in range(pages)]
    pfns = [pfn for pfn in got if pfn is not None]
    assert sorted(pfns) == list(range(start, start + pages))
    assert zone.nr_free_pages() == 0
    zone.validate()
    random.Random(pages).shuffle(pfns)
    for pfn in pfns:
        free_pages(zone, pfn, 0)
    zone.validate()
    assert free_set(zone) == fresh


def free_set(zone):
    return {name: set(blocks) for name, blocks in lists(zone).items()}


# Any requests at all.


@settings(deadline=None)
@given(ZONES, MOVES)
def test_any_requests_keep_every_invariant_and_all_freed_is_as_fresh(zone, moves):
    fresh, pages, live = free_set(zone), zone.nr_free_pages(), []
    for live in play(zone, moves):
        zone.validate()
        assert zone.nr_free_pages() + sum(1 << order for _, order in live) == pages
        assert all(zone.in_use(pfn) == order for pfn, order in live)
    for pfn, order in live:
        free_pages(zone, pfn, order)
        zone.validate()
    assert free_set(zone) == fresh


@settings(deadline=None)
@given(ZONES, MOVES, st.lists(st.tuples(st.integers(-20, 1700), st.integers(-1, 11)), min_size=10, max_size=40))
def test_any_wrong_free_changes_nothing(zone, moves, wrong):
    live = [[], *play(zone, moves)][-1]
    before = contents(zone)
    wrong = [(zone.start_pfn + offset, order) for offset, order in wrong]
    for pfn, order in {*wrong, *((pfn, order + 1) for pfn, order in live)} - {*live}:
        with pytest.raises(ValueError, match=f"pfn {pfn}, order {order}: in zone Normal, "):
            free_pages(zone, pfn, order)
        assert contents(zone) == before


def agree(pages, start, requests, seed):
    """Run random requests on a zone and on the oracle; compare every pfn, and the lists every 1,000 requests."""
    rng = random.Random(seed)
    zone, oracle = boot(pages, start), Oracle(start, start + pages)
    mt, live, goal = zone.block_type(start), [], 0.5
    for number in range(requests):
        if number % 500 == 0:
            goal = rng.choice([0.1, 0.5, 0.7, 0.9, 1.1])
        dice = rng.random()
        if live and dice < 0.01:
            split = live.pop(rng.randrange(len(live)))
            live += range(split, split + 2 ** oracle.used[split])
            split_page(zone, split, oracle.used[split])
            oracle.split(split)
        elif live and (dice < 0.1 or zone.nr_free_pages() < (1 - goal) * pages):
            at = rng.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            free_pages(zone, live[-1], oracle.used[live[-1]])
            oracle.give_back(live.pop())
        else:
            order = min(int(rng.expovariate(0.7)), 10)
            pfn = alloc_pages(zone, order, mt)
            assert pfn == oracle.alloc(order), f"request {number}"
            live += [] if pfn is None else [pfn]
        if number % 1000 == 0 or number == requests - 1:
            assert [zone.blocks(o, mt) for o in range(11)] == oracle.lists, f"request {number}"
            zone.validate()


def test_the_oracle_agrees_over_100_000_requests():
    agree(pages=5000, start=4096, requests=100_000, seed=1)


@pytest.mark.parametrize(("pages", "start"), [(16, 0), (17, 1), (100, 7), (16, 4096), (33, 511 - 33), (2048, 0), (2047, 512)])
def test_the_oracle_agrees_on_zones_of_every_shape(pages, start):
    agree(pages, start, requests=3000, seed=pages)


@settings(deadline=None, max_examples=50)
@given(st.integers(16, 600), st.integers(0, 10**9))
def test_the_oracle_agrees_for_any_seed(pages, seed):
    agree(pages, 1024, requests=120, seed=seed)


def test_one_free_merges_up_through_all_orders():
    zone = boot(1024)
    pfn = alloc_pages(zone, 0)
    zone.give(pfn)
    free_one_page(zone, pfn, 0, MOVABLE)
    assert lists(zone) == {"M10": [0]}
