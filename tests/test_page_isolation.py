import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import MOVES, ZONES, contents, lists, play

from pagelab.mm.act import Compared, Linked, Moved, Relabelled, Unlinked, Watched
from pagelab.mm.fallback import rmqueue_bulk_6_12, validate_types
from pagelab.mm.page_alloc import alloc_pages, boot, free_pages, hand_over
from pagelab.mm.page_isolation import isolate, unisolate, unisolate_6_18
from pagelab.mm.pcp import PCP_6_12
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import ISOLATE, MOVABLE, RECLAIMABLE, UNMOVABLE, Block, Zone


def test_free_pages_go_to_lists_that_no_request_looks_at():
    zone = boot(512)
    assert [alloc_pages(zone, 0), alloc_pages(zone, 8)] == [0, 256]
    assert isolate(zone, 300)
    assert {name[0] for name in lists(zone)} == {"I"}
    assert zone.blocks(7, ISOLATE) == [128]
    assert alloc_pages(zone, 0) is None
    assert rmqueue_bulk_6_12(zone, 0, 1, UNMOVABLE) == []


def test_what_is_freed_there_goes_there_too_and_merges():
    zone = boot(512)
    alloc_pages(zone, 0)
    isolate(zone, 0)
    free_pages(zone, 0, 0)
    assert lists(zone) == {"I9": [0]}
    zone.validate()


def test_a_block_of_order_10_comes_apart():
    for page, expected in ((5, {"I9": [0], "M9": [512]}), (700, {"M9": [0], "I9": [512]})):
        zone = boot(1024)
        assert isolate(zone, page)
        assert lists(zone) == expected
        validate_types(zone)


def test_coming_apart_act_by_act():
    watched = Watched(boot(1024))
    isolate(watched, 512)
    assert watched.acts == [
        Unlinked(0, 10, MOVABLE),
        Relabelled(512, 9, ISOLATE),
        Compared(512, 9, False, Block(0, 10, "held", -1)),
        Linked(0, 9, MOVABLE, False),
        Compared(0, 9, True, Block(0, 9, "free", MOVABLE)),
        Linked(512, 9, ISOLATE, False),
    ]


def test_two_isolated_pageblocks_come_apart_again():
    zone = boot(1024)
    isolate(zone, 0)
    isolate(zone, 512)
    assert lists(zone) == {"I9": [0, 512]}
    free = [alloc_pages(zone, 9, ISOLATE) for _ in range(2)]
    for pfn in free:
        free_pages(zone, pfn, 9)
    assert lists(zone) == {"I10": [0]}
    assert unisolate(zone, 512)
    assert lists(zone) == {"I9": [0], "M9": [512]}


@pytest.mark.parametrize("page", [0, 512])
def test_a_pageblock_that_comes_back_merges_and_waits_at_the_tail(page):
    zone = boot(2048)
    isolate(zone, page)
    assert unisolate(zone, page)
    assert lists(zone) == {"M10": [1024, 0]}
    zone.validate()


def test_a_pageblock_in_parts_comes_back_in_parts():
    zone = boot(512)
    alloc_pages(zone, 0)
    isolate(zone, 0)
    watched = Watched(zone)
    assert unisolate(watched, 0)
    assert watched.acts == [*[Moved(1 << o, o, ISOLATE, MOVABLE) for o in range(9)], Relabelled(0, 9, MOVABLE)]


@pytest.mark.parametrize(("back", "mt"), [(unisolate, MOVABLE), (unisolate_6_18, RECLAIMABLE)])
def test_6_18_remembers_what_a_pageblock_was(back, mt):
    zone = boot(1024)
    zone.unlink(0)
    zone.relabel(0, 9, RECLAIMABLE)
    zone.link(0, 9, RECLAIMABLE)
    zone.take(512, 9, MOVABLE)
    isolate(zone, 0)
    snapshot = zone.snapshot()
    zone = boot(1024)
    zone.restore(snapshot)
    assert back(zone, 0)
    assert zone.block_type(0) == mt
    assert zone.blocks(9, mt) == [0]
    validate_types(zone)


def in_use_as_unmovable(zone):
    zone.take(zone.give(alloc_pages(zone, 0)), 0, UNMOVABLE)


def isolated_before(zone):
    isolate(zone, 0)


def reserved_in_part(zone):
    zone.state[:] = bytes(Zone(1024).state)
    for row in zone.free_list:
        row[MOVABLE].clear()
    hand_over(zone, [(0, 100)])


@pytest.mark.parametrize("spoil", [in_use_as_unmovable, isolated_before, reserved_in_part])
def test_what_is_busy_is_not_isolated(spoil):
    zone = boot(1024)
    spoil(zone)
    before = contents(zone)
    assert not isolate(zone, 100)
    assert contents(zone) == before


@pytest.mark.parametrize(("pages", "start", "page"), [(700, 0, 600), (1000, 100, 200), (300, 0, 0)])
def test_a_pageblock_cut_by_the_zone_is_not_isolated(pages, start, page):
    assert not isolate(boot(pages, start), page)


def test_what_is_not_isolated_does_not_come_back():
    zone = boot(512)
    before = contents(zone)
    assert not unisolate(zone, 0)
    assert not unisolate_6_18(zone, 0)
    assert contents(zone) == before


def test_pages_of_a_cpu_follow_when_they_drain():
    zone = boot(512)
    zone.pcp.append(PerCpuPages(3, 12))
    alloc_pages(zone, 0)
    zone.park(0, zone.give(0), 0, 1)
    assert isolate(zone, 0)
    assert PCP_6_12.drain(zone, 0, 1, 1) == 1
    assert lists(zone) == {"I9": [0]}


@settings(deadline=None, max_examples=60)
@given(ZONES, MOVES, st.lists(st.integers(0, 6600), max_size=6), st.sampled_from([unisolate, unisolate_6_18]))
def test_isolation_keeps_every_page_and_every_rule(zone, moves, pages, back):
    list(play(zone, moves))
    free = zone.nr_free_pages()
    pages = [page for page in pages if zone.start_pfn <= page < zone.end_pfn]
    done = [page for page in pages if isolate(zone, page)]
    zone.validate()
    validate_types(zone)
    assert sum(len(row[ISOLATE]) << order for order, row in enumerate(zone.free_list)) <= free
    for page in done:
        assert back(zone, page)
        zone.validate()
        validate_types(zone)
    assert zone.nr_free_pages() == free
    assert ISOLATE not in zone.pageblock_type
