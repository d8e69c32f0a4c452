import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import TypedOracle
from zones import contents, lists

from pagelab.mm.act import Counted, Linked, Looked, Moved, Relabelled, Taken, Unlinked, Watched
from pagelab.mm.fallback import (
    ALLOC_CMA,
    ALLOC_NOFRAGMENT,
    FALLBACKS,
    reserve_highatomic,
    rmqueue_bulk_6_1,
    rmqueue_bulk_6_12,
    validate_types,
)
from pagelab.mm.page_alloc import alloc_pages, boot, free_one_page, free_one_page_6_1, free_pages
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import CMA, HIGHATOMIC, ISOLATE, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone

BULK = {"6.1": rmqueue_bulk_6_1, "6.12": rmqueue_bulk_6_12}
FREE = {"6.1": free_one_page_6_1, "6.12": free_one_page}
VERSIONS = pytest.mark.parametrize("kernel", ["6.1", "6.12"])


def take(zone, kernel, mt, order=0, count=1, flags=0):
    return BULK[kernel](zone, order, count, mt, flags)


def used_as_movable(pages, used):
    """Return a zone with its first pages in use as movable."""
    zone = boot(pages)
    assert [alloc_pages(zone, 0) for _ in range(used)] == list(range(used))
    return zone


def labels(zone):
    return [zone.block_type(pfn) for pfn in range(zone.start_pfn & -512, zone.end_pfn, 512)]


# The golden vectors.


@VERSIONS
def test_v3_the_first_unmovable_page_claims_the_largest_block(kernel):
    zone = boot(2048)
    assert take(zone, kernel, UNMOVABLE) == [0]
    assert labels(zone) == [UNMOVABLE, UNMOVABLE, MOVABLE, MOVABLE]
    assert lists(zone) == {**{f"U{o}": [1 << o] for o in range(10)}, "M10": [1024]}
    validate_types(zone)


def test_v4_a_pageblock_that_is_mostly_in_use_is_stolen_from():
    zone = used_as_movable(512, 300)
    assert take(zone, "6.12", UNMOVABLE) == [300]
    assert labels(zone) == [MOVABLE]
    assert lists(zone) == {"M0": [301], "M1": [302], "M4": [304], "M6": [320], "M7": [384]}


def test_v5_a_pageblock_that_is_mostly_free_is_claimed():
    zone = used_as_movable(512, 200)
    assert take(zone, "6.12", UNMOVABLE) == [200]
    assert labels(zone) == [UNMOVABLE]
    assert lists(zone) == {"U0": [201], "U1": [202], "U2": [204], "U4": [208], "U5": [224], "U8": [256]}


# Notebook 04.


def scattered(kernel):
    """A: 2,048 pages, all in use as movable; 100, 700, 1300 and 1900 come back, and four unmovable requests follow."""
    zone = used_as_movable(2048, 2048)
    for pfn in (100, 700, 1300, 1900):
        free_pages(zone, pfn, 0)
    got = [take(zone, kernel, UNMOVABLE) for _ in range(4)]
    return zone, got


@VERSIONS
def test_a_four_scattered_pages_keep_every_huge_page_away(kernel):
    zone, got = scattered(kernel)
    assert got == [[1900], [1300], [700], [100]]
    assert labels(zone) == [MOVABLE] * 4, "all were stolen"
    for pfn in range(2048):
        if zone.block(pfn).mt == MOVABLE:
            zone.give(pfn)
            FREE[kernel](zone, pfn, 0, zone.block_type(pfn))
    assert zone.nr_free_pages() == 2044
    assert take(zone, kernel, MOVABLE, order=9) == []


@VERSIONS
def test_b_four_pages_together_leave_three_huge_pages(kernel):
    zone = boot(2048)
    assert [take(zone, kernel, UNMOVABLE) for _ in range(4)] == [[0], [1], [2], [3]]
    assert zone.nr_free_pages() == 2044
    assert zone.counts()[9:] == [1, 1]


def test_e1_256_movable_pages_in_use_are_the_most_that_still_let_a_pageblock_go():
    claimed = []
    for used in range(1, 512):
        zone = used_as_movable(512, used)
        assert take(zone, "6.12", UNMOVABLE) == [used]
        claimed += [used] * (labels(zone) == [UNMOVABLE])
    assert claimed == list(range(1, 257))


def test_e2_6_1_moves_the_rest_under_a_label_that_stays():
    zone = used_as_movable(512, 300)
    assert take(zone, "6.1", UNMOVABLE) == [300]
    assert labels(zone) == [MOVABLE]
    assert lists(zone) == {"U0": [301], "U1": [302], "U4": [304], "U6": [320], "U7": [384]}
    zone.validate()
    with pytest.raises(ValueError, match="zone Normal: block 301 is on a list for unmovable, and its pageblock at 0 is movable"):
        validate_types(zone)


def test_6_1_relabels_a_pageblock_that_is_mostly_free():
    zone = used_as_movable(512, 200)
    assert take(zone, "6.1", UNMOVABLE) == [200]
    assert labels(zone) == [UNMOVABLE]
    assert lists(zone) == {"U0": [201], "U1": [202], "U2": [204], "U4": [208], "U5": [224], "U8": [256]}


# Single rules.


def test_each_type_has_its_first_and_its_second_choice():
    assert FALLBACKS[UNMOVABLE] == (RECLAIMABLE, MOVABLE)
    assert FALLBACKS[MOVABLE] == (RECLAIMABLE, UNMOVABLE)
    assert FALLBACKS[RECLAIMABLE] == (UNMOVABLE, MOVABLE)
    assert FALLBACKS[HIGHATOMIC] == FALLBACKS[CMA] == FALLBACKS[ISOLATE] == ()


def one_of_each():
    """A zone of four pageblocks, each of another type and half free: unmovable, movable, reclaimable, isolated."""
    zone = boot(2048)
    for _ in range(8):
        alloc_pages(zone, 8)
    for start, mt in ((0, UNMOVABLE), (1024, RECLAIMABLE), (1536, ISOLATE)):
        zone.relabel(start, 9, mt)
    for pfn in (256, 768, 1280, 1792):
        free_pages(zone, pfn, 8)
    return zone


@VERSIONS
@pytest.mark.parametrize(("mt", "got"), [(UNMOVABLE, [256, 1280, 768]), (RECLAIMABLE, [1280, 256, 768]), (MOVABLE, [768, 1280, 256])])
def test_the_first_choice_comes_first(kernel, mt, got):
    zone = one_of_each()
    assert [take(zone, kernel, mt, order=8) for _ in range(4)] == [[pfn] for pfn in got] + [[]]
    assert zone.blocks(8, ISOLATE) == [1792]
    zone.validate()


@VERSIONS
@pytest.mark.parametrize("mt", [HIGHATOMIC, CMA, ISOLATE])
def test_the_other_types_take_from_nobody(kernel, mt):
    zone = boot(1024)
    before = contents(zone)
    assert take(zone, kernel, mt) == []
    assert contents(zone) == before


def movable_wants(order_of_block):
    """A zone whose only free block is unmovable, in a pageblock with no movable page in use."""
    zone = boot(512)
    zone.relabel(0, 9, UNMOVABLE)
    zone.unlink(0)
    for pfn in range(0, 512, 1 << order_of_block):
        zone.take(pfn, order_of_block, UNMOVABLE)
    free_pages(zone, 0, order_of_block)
    return zone


@pytest.mark.parametrize(("order", "moves"), [(3, False), (4, True), (8, True)])
def test_a_movable_request_moves_pageblocks_from_order_4_up(order, moves):
    zone = movable_wants(order)
    watched = Watched(zone)
    assert rmqueue_bulk_6_1(watched, 0, 1, MOVABLE) == [0]
    assert any(isinstance(act, Counted) for act in watched.acts) == moves
    assert zone.blocks(0, MOVABLE) == [1]
    watched = Watched(zone := movable_wants(order))
    assert rmqueue_bulk_6_12(watched, 0, 1, MOVABLE) == [0]
    assert any(isinstance(act, Counted) for act in watched.acts) == moves
    assert labels(zone) == [MOVABLE if order == 8 else UNMOVABLE]
    assert zone.blocks(0, labels(zone)[0]) == [1]


@VERSIONS
def test_movable_pages_in_use_count_for_a_movable_request(kernel):
    zone = used_as_movable(512, 496)
    zone.relabel(0, 9, UNMOVABLE)
    zone.move(496, UNMOVABLE)
    assert take(zone, kernel, MOVABLE) == [496]
    assert labels(zone) == [MOVABLE], "496 alike and 16 free"


@VERSIONS
def test_without_fragmenting_only_whole_pageblocks_are_taken(kernel):
    zone = used_as_movable(1024, 100)
    zone.unlink(512)
    zone.take(512, 9, MOVABLE)
    before = contents(zone)
    assert take(zone, kernel, UNMOVABLE, flags=ALLOC_NOFRAGMENT) == []
    assert contents(zone) == before
    free_pages(zone, 512, 9)
    assert take(zone, kernel, UNMOVABLE, flags=ALLOC_NOFRAGMENT) == [512]
    assert labels(zone) == [MOVABLE, UNMOVABLE]


def test_a_pageblock_cut_by_the_end_of_the_zone_is_never_claimed():
    zone = boot(300)
    assert take(zone, "6.12", UNMOVABLE) == [296]
    assert labels(zone) == [MOVABLE]
    assert zone.blocks(1, MOVABLE) == [298], "the rest stays movable"
    zone = boot(300)
    assert take(zone, "6.1", UNMOVABLE) == [0]
    assert zone.blocks(8, UNMOVABLE) == []
    assert zone.blocks(5, MOVABLE) == [256], "only the block itself moves"


def test_a_pageblock_cut_by_the_start_of_the_zone_moves_from_the_page_found_on():
    def cut():
        zone = Zone(1023 - 100, 101)
        for start, order in ((128, 7), (256, 8)):
            zone.unreserve(start, start + (1 << order))
            zone.link(start, order, UNMOVABLE)
        return zone

    zone = cut()
    assert take(zone, "6.1", MOVABLE) == [256]
    assert lists(zone) == {"U7": [128], **{f"M{o}": [256 + (1 << o)] for o in range(8)}}
    assert labels(zone) == [MOVABLE, MOVABLE], "256 free pages are enough"
    zone = cut()
    assert take(zone, "6.12", MOVABLE) == [128], "nothing is claimed, so the smallest block is stolen from"
    assert labels(zone) == [UNMOVABLE, MOVABLE]


def test_6_12_goes_on_where_it_found_something():
    zone = used_as_movable(1024, 300)
    zone.unlink(512)
    zone.take(512, 9, MOVABLE)
    watched = Watched(zone)
    assert rmqueue_bulk_6_12(watched, 0, 3, UNMOVABLE) == [300, 301, 302]
    looks = [act for act in watched.acts if isinstance(act, Looked) and act.mt == UNMOVABLE]
    assert looks == [Looked(0, 10, UNMOVABLE)], "after a steal the own lists are not asked again"
    assert sum(isinstance(act, Counted) for act in watched.acts) == 4, "one claim was tried for each order 7, 6, 4, 2"


def test_6_12_asks_its_own_lists_again_after_a_claim():
    zone = used_as_movable(512, 200)
    watched = Watched(zone)
    assert rmqueue_bulk_6_12(watched, 0, 3, UNMOVABLE) == [200, 201, 202]
    assert sum(isinstance(act, Relabelled) for act in watched.acts) == 1


def test_a_claim_act_by_act():
    watched = Watched(used_as_movable(512, 200))
    rmqueue_bulk_6_12(watched, 0, 1, UNMOVABLE)
    heads = [(200, 3), (208, 4), (224, 5), (256, 8)]
    assert watched.acts == [
        Looked(0, 10, UNMOVABLE),
        Looked(8, 10, RECLAIMABLE),
        Looked(9, 10, MOVABLE),
        Counted(0, 312, 200),
        *[Moved(pfn, order, MOVABLE, UNMOVABLE) for pfn, order in heads],
        Relabelled(0, 9, UNMOVABLE),
        Looked(0, 2, UNMOVABLE),
        Unlinked(200, 3, UNMOVABLE),
        *[Linked(200 + (1 << order), order, UNMOVABLE, False) for order in (2, 1, 0)],
        Taken(200, 0, UNMOVABLE),
    ]


@VERSIONS
def test_a_refill_parks_each_page_before_the_next_is_taken(kernel):
    zone = boot(2048)
    zone.pcp.append(PerCpuPages(3, 12))
    assert BULK[kernel](zone, 0, 3, UNMOVABLE, 0, (0, 0)) == [0, 1, 2]
    assert list(zone.pcp[0].lists[0]) == [0, 1, 2]
    assert zone.pcp[0].count == 3
    zone.validate()


@VERSIONS
def test_nothing_left_is_a_short_list(kernel):
    zone = boot(16)
    assert take(zone, kernel, UNMOVABLE, order=2, count=9) == [0, 4, 8, 12]
    assert take(zone, kernel, MOVABLE) == []


# CMA and HIGHATOMIC.


def with_cma():
    """A zone of three pageblocks, the last one CMA."""
    zone = boot(1536)
    zone.unlink(1024)
    zone.relabel(1024, 9, CMA)
    zone.link(1024, 9, CMA)
    return zone


@VERSIONS
def test_cma_pages_are_for_requests_that_allow_them(kernel):
    zone = with_cma()
    assert take(zone, kernel, MOVABLE, order=9, count=4) == [0, 512]
    zone = with_cma()
    assert take(zone, kernel, MOVABLE, order=9, count=4, flags=ALLOC_CMA) == [0, 512, 1024]
    assert zone.block(1024).mt == MOVABLE, "used as movable"
    assert labels(zone) == [MOVABLE, MOVABLE, CMA]


def test_6_12_stays_with_cma_once_it_found_some_there():
    zone = used_as_movable(2048, 2048)
    zone.relabel(512, 9, CMA)
    zone.relabel(1024, 9, UNMOVABLE)
    for pfn in (2, 515, 513, 6, 9, *range(1024, 1040)):
        free_pages(zone, pfn, 0)
    assert lists(zone) == {"M0": [9, 6, 2], "C0": [513, 515], "U4": [1024]}
    watched = Watched(zone)
    assert rmqueue_bulk_6_12(watched, 0, 5, MOVABLE, ALLOC_CMA) == [9, 6, 2, 513, 515]
    assert [act for act in watched.acts if isinstance(act, Looked)] == [Looked(0, 10, MOVABLE)]


@VERSIONS
def test_cma_goes_first_while_it_is_more_than_half_of_what_is_free(kernel):
    zone = with_cma()
    assert take(zone, kernel, MOVABLE, order=8, flags=ALLOC_CMA) == [0]
    assert take(zone, kernel, MOVABLE, order=8, count=2) == [256, 512]
    assert take(zone, kernel, MOVABLE, order=8, count=3, flags=ALLOC_CMA) == [1024, 768, 1280]


def test_a_hundredth_of_the_zone_may_be_reserved():
    zone = boot(102_400)
    got = [reserve_highatomic(zone, pfn) for pfn in (5, 600, 600, 1500, 2050)]
    assert got == [True, True, False, False, False], "1,024 pages are two pageblocks"
    assert labels(zone)[:3] == [HIGHATOMIC, HIGHATOMIC, MOVABLE]


@pytest.mark.parametrize(("pages", "blocks"), [(51_200, 1), (51_300, 2), (60_000, 2), (102_500, 3)])
def test_a_hundredth_is_rounded_up_to_pageblocks(pages, blocks):
    zone = boot(pages)
    assert [reserve_highatomic(zone, pfn) for pfn in range(0, 2048, 512)].count(True) == blocks


@pytest.mark.parametrize(("pages", "pfn"), [(51_199, 0), (51_200 + 100, 51_290)])
def test_a_small_zone_and_a_cut_pageblock_are_not_reserved(pages, pfn):
    assert not reserve_highatomic(boot(pages), pfn)


def test_only_what_merges_is_reserved():
    zone = boot(102_400)
    zone.relabel(0, 9, ISOLATE)
    assert not reserve_highatomic(zone, 0)


def test_free_pages_of_a_reserved_pageblock_move_and_stay():
    zone = boot(102_400)
    alloc_pages(zone, 0)
    assert reserve_highatomic(zone, 0)
    assert zone.blocks(8, HIGHATOMIC) == [256]
    validate_types(zone)
    free_pages(zone, 0, 0)
    assert zone.blocks(9, HIGHATOMIC) == [0]
    assert zone.blocks(9, MOVABLE) == [512]
    zone.validate()


def test_6_1_leaves_a_reserved_pageblock_its_label():
    zone = boot(512)
    alloc_pages(zone, 8)
    zone.relabel(0, 9, HIGHATOMIC)
    assert zone.blocks(8, MOVABLE) == [256]
    assert take(zone, "6.1", UNMOVABLE) == [256]
    assert labels(zone) == [HIGHATOMIC]
    assert zone.blocks(7, UNMOVABLE) == [384]


def test_6_1_does_not_relabel_a_reserved_pageblock_that_is_all_free():
    zone = boot(512)
    zone.relabel(0, 9, HIGHATOMIC)
    assert take(zone, "6.1", UNMOVABLE, order=8) == [0]
    assert labels(zone) == [HIGHATOMIC]
    assert zone.blocks(8, UNMOVABLE) == [256]


# Freeing where types meet.


def test_pageblocks_of_two_types_that_merge_keep_their_labels_on_6_1():
    for kernel, expected in (("6.1", [UNMOVABLE, RECLAIMABLE]), ("6.12", [RECLAIMABLE, RECLAIMABLE])):
        zone = boot(1024)
        for pfn, mt in ((0, UNMOVABLE), (512, RECLAIMABLE)):
            assert alloc_pages(zone, 9) == pfn
            zone.relabel(pfn, 9, mt)
        for pfn in (0, 512):
            FREE[kernel](zone, pfn, zone.give(pfn), zone.block_type(pfn))
        assert lists(zone) == {"R10": [0]}
        assert labels(zone) == expected


def two_types_in_use(kernel):
    zone = boot(1024)
    zone.unlink(0)
    zone.take(0, 10, MOVABLE)
    zone.relabel(512, 9, UNMOVABLE)
    zone.give(0)
    FREE[kernel](zone, 0, 10, zone.block_type(0))
    return zone


def test_a_block_of_two_types_comes_back_as_two_on_6_12_and_as_one_on_6_1():
    zone = two_types_in_use("6.12")
    assert lists(zone) == {"U10": [0]}, "the second half comes last, and its type is taken on"
    assert labels(zone) == [UNMOVABLE, UNMOVABLE]
    zone = two_types_in_use("6.1")
    assert lists(zone) == {"M10": [0]}
    assert labels(zone) == [MOVABLE, UNMOVABLE]


def test_two_halves_that_do_not_merge_stay_apart():
    zone = boot(1024)
    zone.unlink(0)
    zone.take(0, 10, MOVABLE)
    zone.relabel(512, 9, ISOLATE)
    free_pages(zone, 0, 10)
    assert lists(zone) == {"M9": [0], "I9": [512]}


# The oracle.


def agree(kernel, pages, start, requests, seed):
    """Run random requests of three types; compare every pfn, and all lists and labels every 50 requests."""
    rng = random.Random(seed)
    zone, oracle = boot(pages, start), TypedOracle(kernel, start, start + pages)
    favourite, goal = MOVABLE, 0.7
    for number in range(requests):
        if number % 100 == 0:
            favourite, goal = rng.randrange(3), rng.choice([0.3, 0.6, 0.9, 0.97, 1.1])
        free = zone.nr_free_pages()
        if oracle.used and (rng.random() < 0.1 or free < (1 - goal) * pages):
            pfn = rng.choice(list(oracle.used))
            order = zone.give(pfn)
            assert order == oracle.used[pfn][0]
            FREE[kernel](zone, pfn, order, zone.block_type(pfn))
            oracle.give_back(pfn)
            assert zone.nr_free_pages() == free + (1 << order)
        else:
            order, count = min(int(rng.expovariate(0.6)), 10), rng.choice([1, 1, 1, 3, 7])
            mt, careful = rng.choice([favourite, rng.randrange(3)]), rng.random() < 0.2
            got = take(zone, kernel, mt, order, count, ALLOC_NOFRAGMENT * careful)
            assert got == oracle.bulk(order, count, mt, careful), f"request {number}"
            assert zone.nr_free_pages() == free - (len(got) << order)
        zone.validate()
        if kernel == "6.12":
            validate_types(zone)
        if number % 50 == 0 or number == requests - 1:
            assert {(o, mt): zone.blocks(o, mt) for o in range(11) for mt in range(6)} == oracle.lists, f"request {number}"
            assert dict(enumerate(labels(zone), start // 512)) == oracle.labels, f"request {number}"


@VERSIONS
@pytest.mark.parametrize(
    ("pages", "start"), [(2048, 0), (1536, 512), (512, 0), (100, 0), (1000, 200), (1500, 512), (1123, 101), (4096, 1024)]
)
def test_the_oracle_agrees_on_zones_of_every_shape(kernel, pages, start):
    agree(kernel, pages, start, requests=400, seed=pages + start)


@VERSIONS
@settings(deadline=None, max_examples=25)
@given(st.integers(16, 2600), st.integers(0, 1200), st.integers(0, 10**9))
def test_the_oracle_agrees_for_any_seed(kernel, pages, start, seed):
    agree(kernel, pages, start, requests=120, seed=seed)
