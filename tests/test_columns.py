"""Model to numbers: moments, lists as shown, the strip, and where each page lies on a map."""

import random

import numpy as np
import pytest
from runs import RUNS, SMALL, moments, pages, random_run
from zones import contents

from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.machine import REFUSED, Machine
from pagelab.mm.page_alloc import boot
from pagelab.mm.zone import MOVABLE, NOT_HEAD, UNMOVABLE
from pagelab.view.columns import MAX_CELLS, MAX_NARROW_CELLS, Entry, layout, list_type, moment, orders_of, shown_list, strip
from pagelab.view.page_map import blocks_of
from pagelab.view.palette import GAP


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_every_page_is_owned_at_every_act(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for now in moments(tape):
        owned = [page for block in blocks_of(now.zone) for page in range(block.head, block.head + (1 << block.order))]
        assert owned == list(range(start, start + nr_pages))
        assert NOT_HEAD not in now.zone.page_states()


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_the_first_act_shows_the_state_before_and_the_last_the_state_after(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for k in range(len(tape)):
        first, last = moment(tape, k, 0), moment(tape, k, -1)
        assert contents(first.zone) == contents(first.before) == contents(tape.at(k).zone)
        assert contents(last.zone) == contents(tape.at(k + 1).zone)
        assert contents(last.before) == contents(tape.at(k).zone)
        assert last.acts == last.all == tuple(tape.acts(k))
        assert (len(first.acts), last.end) == (1, False)
    end = moment(tape, len(tape), 0)
    assert (end.end, end.acts, end.all) == (True, (), ())
    assert contents(end.zone) == contents(tape.at(len(tape)).zone)


def test_acts_are_counted_from_either_end():
    tape = text("alloc 3")
    assert moment(tape, 0, -1).acts == moment(tape, 0, 4).acts
    assert moment(tape, 0, -5).acts == moment(tape, 0, 0).acts


@pytest.mark.parametrize(("k", "act"), [(0, 5), (0, -6), (2, 0), (-1, 0)])
def test_a_moment_that_does_not_exist_is_an_error(k, act):
    with pytest.raises(ValueError, match="does not exist"):
        moment(text("alloc 3"), k, act)


def held_by_list(now, order, mt):
    return [entry.pfn for entry in shown_list(now, order, mt) if entry.mark != "gone"]


@pytest.mark.parametrize(("seed", "nr_pages", "start"), SMALL)
def test_a_list_as_shown_is_the_list_and_what_left_it(seed, nr_pages, start):
    for now in moments(random_run(seed, nr_pages, start)):
        changed = []
        for order in range(11):
            for mt in (UNMOVABLE, MOVABLE):
                assert held_by_list(now, order, mt) == now.zone.blocks(order, mt)
                entries = shown_list(now, order, mt)
                gone = {entry.pfn for entry in entries if entry.mark == "gone"}
                assert gone == set(now.before.blocks(order, mt)) - set(now.zone.blocks(order, mt))
                new = {entry.pfn for entry in entries if entry.mark in ("changed", "linked")}
                assert new == set(now.zone.blocks(order, mt)) - set(now.before.blocks(order, mt))
                changed += [entry.pfn for entry in entries if entry.mark == "changed"]
        linked_now = [act.pfn for act in now.acts[-1:] if type(act).__name__ == "Linked"]
        assert changed == linked_now, "only what this act linked is marked as changed"


def test_a_block_that_left_keeps_its_place():
    now = moment(some_free([0, 4, 8, 5]), 19, -1)
    assert shown_list(now, 0, MOVABLE) == [Entry(8), Entry(4, "gone"), Entry(0)]
    assert shown_list(now, 1, MOVABLE) == [Entry(4, "changed")]


def test_a_block_that_waits_is_shown_at_the_tail():
    now = moment(some_free([12, 13, 5, 9, 14]), 20, -1)
    assert shown_list(now, 0, MOVABLE) == [Entry(9), Entry(5), Entry(14, "changed")]


def test_the_lists_shown_are_those_of_the_request():
    assert list_type(moment(text("alloc 0 unmovable"), 0, 0)) == UNMOVABLE
    assert list_type(moment(text("alloc 0; free 0"), 1, 0)) == MOVABLE
    assert list_type(moment(text(), 0, 0)) == MOVABLE


@pytest.mark.parametrize(("nr_pages", "orders"), [(1, 1), (16, 5), (17, 5), (31, 5), (32, 6), (1024, 11), (5000, 11)])
def test_orders_of_a_zone(nr_pages, orders):
    zone = boot(nr_pages)
    assert orders_of(zone) == orders
    assert zone.largest_free_order() == orders - 1


@pytest.mark.parametrize(("seed", "nr_pages", "start"), SMALL)
def test_the_strip_is_the_run(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    run = strip(tape)
    assert run.steps.tolist() == list(range(len(tape) + 1))
    assert run.free.tolist() == [tape.at(k).zone.nr_free_pages() for k in run.steps]
    assert run.largest.tolist() == [tape.at(k).zone.largest_free_order() for k in run.steps]
    assert run.refused.tolist() == [k for k, got in enumerate(tape.received) if got == REFUSED]
    assert run.pages == nr_pages


def test_a_strip_of_nothing_is_its_start():
    run = strip(text())
    assert (run.steps.tolist(), run.free.tolist(), run.largest.tolist(), run.refused.tolist()) == ([0], [16], [4], [])
    assert strip(text("alloc 4")).largest.tolist() == [4, -1]


@pytest.mark.parametrize("length", [398, 399, 400, 401, 799, 800, 1000, 3999])
def test_a_long_run_is_shown_at_so_many_positions_at_most(length):
    tape = text(f"alloc 0 x{length}", 64)
    run = strip(tape)
    assert (run.steps[0], run.steps[-1]) == (0, length)
    assert np.all(np.diff(run.steps) > 0)
    assert run.free.tolist() == [max(0, 64 - k) for k in run.steps]
    assert run.refused.tolist() == list(range(64, length)), "none of the refused requests is left out"
    assert 200 <= len(run.steps) <= 400


SHAPES = [(0, n) for n in (1, 16, 17, 32, 63, 64, 65, 100, 512, 1000, 1024, 2048, 4096, 4097, 65536, 262_144, 1_000_000)]
SHAPES += [(1, 4095), (4096, 61402), (5, 16), (1, 33), (3, 64), (256, 3840), (1, 100), (512, 512), (1000, 65_000)]
EVERY_SHAPE = pytest.mark.parametrize(("start", "nr_pages", "narrow"), [(*shape, narrow) for shape in SHAPES for narrow in (False, True)])


@EVERY_SHAPE
def test_every_page_has_exactly_one_cell(start, nr_pages, narrow):
    where = layout(start, nr_pages, narrow)
    placed = where.cells[where.cells >= 0]
    assert sorted(placed.tolist()) == list(range(len(placed)))
    assert len(placed) <= (MAX_NARROW_CELLS if narrow else MAX_CELLS)
    assert where.start <= start
    first, last = (start - where.start) // where.per_cell, (start + nr_pages - 1 - where.start) // where.per_cell
    assert first < where.across if not where.tiled else first < 512
    assert last == len(placed) - 1, "the last page has the last cell"


@EVERY_SHAPE
def test_cells_have_more_than_one_page_only_when_they_must(start, nr_pages, narrow):
    where = layout(start, nr_pages, narrow)
    assert where.per_cell & (where.per_cell - 1) == 0
    span, most = start + nr_pages - where.start, MAX_NARROW_CELLS if narrow else MAX_CELLS
    assert span <= where.per_cell * most
    assert where.per_cell == 1 or span > where.per_cell // 2 * most


@EVERY_SHAPE
def test_a_map_fits_the_page(start, nr_pages, narrow):
    where = layout(start, nr_pages, narrow)
    assert where.width <= 320 if narrow else 56 + where.width <= 824
    assert where.height <= 700


def cells_in(where, rects):
    """Return the pages of the cells whose middle lies in these rectangles; each in one only."""
    found = []
    for rect in rects:
        columns = [c for c in range(where.cells.shape[1]) if rect.x < (c + 0.5) * where.w < rect.x + rect.w]
        rows = [r for r in range(where.cells.shape[0]) if rect.y < (r + 0.5) * where.h < rect.y + rect.h]
        found += [int(where.cells[r, c]) for r in rows for c in columns]
    assert len(found) == len(set(found))
    return set(found)


@EVERY_SHAPE
def test_the_rectangles_of_a_block_cover_exactly_its_pages(start, nr_pages, narrow):
    where, source = layout(start, nr_pages, narrow), random.Random(nr_pages)
    end = start + nr_pages
    for order in range(min(11, nr_pages.bit_length())):
        first, last = -(-start >> order), (end >> order) - 1
        if first > last:
            continue
        for block in {first, last, *(source.randint(first, last) for _ in range(4))}:
            pfn = block << order
            wanted = {(page - where.start) // where.per_cell for page in pages(pfn, order)}
            assert cells_in(where, where.rects(pfn, order)) == wanted


@EVERY_SHAPE
def test_the_rectangles_of_any_pages_cover_exactly_these(start, nr_pages, narrow):
    where, source = layout(start, nr_pages, narrow), random.Random(nr_pages)
    for _ in range(6):
        low = source.randrange(start, start + nr_pages)
        end = source.randint(low + 1, min(start + nr_pages, low + 700))
        rects = where.spans(low, end)
        assert cells_in(where, rects) == {(page - where.start) // where.per_cell for page in range(low, end)}
        assert len(rects) <= 3 * (2 + (end - low) // 512)


@pytest.mark.parametrize(("start", "nr_pages"), [(0, 16), (0, 64), (0, 1024), (0, 4096), (1, 4095), (0, 65536), (4096, 61402)])
def test_a_block_inside_a_pageblock_is_one_rectangle(start, nr_pages):
    where = layout(start, nr_pages)
    for order in range(min(10, nr_pages.bit_length())):
        for pfn in range(-(-start // (1 << order)) << order, min(start + nr_pages, start + 1200) - (1 << order) + 1, 1 << order):
            assert len(where.rects(pfn, order)) == 1


@EVERY_SHAPE
def test_the_page_at_a_place_is_the_page_drawn_there(start, nr_pages, narrow):
    where, source = layout(start, nr_pages, narrow), random.Random(1)
    for pfn in {start, start + nr_pages - 1, *(source.randrange(start, start + nr_pages) for _ in range(50))}:
        (rect,) = where.rects(pfn, 0)
        found = where.pfn_at(rect.x + rect.w / 2, rect.y + rect.h / 2)
        assert found is not None
        assert found <= pfn < found + where.per_cell
        assert (found - where.start) % where.per_cell == 0


@EVERY_SHAPE
def test_outside_the_map_and_in_its_gaps_there_is_no_page(start, nr_pages, narrow):
    where = layout(start, nr_pages, narrow)
    for x, y in [(-1, 1), (1, -1), (-0.1, 1), (where.width + 1, 1), (1, where.height + 1)]:
        assert where.pfn_at(x, y) is None
    for row, column in np.argwhere(where.cells < 0)[:50]:
        assert where.pfn_at((column + 0.5) * where.w, (row + 0.5) * where.h) is None


def gap_between(where, pfn):
    """Tell whether paper lies between a page and the one before it."""
    (before,), (after,) = where.rects(pfn - 1, 0), where.rects(pfn, 0)
    return after.y - before.y > 1.5 * where.h or before.y > after.y


@pytest.mark.parametrize(("start", "nr_pages"), [(0, 1024), (0, 4096), (1, 4095), (64, 1000), (256, 3840)])
def test_a_gap_lies_between_pageblocks_and_nowhere_else(start, nr_pages):
    where = layout(start, nr_pages)
    gaps = [pfn for pfn in range(start + 1, start + nr_pages) if gap_between(where, pfn)]
    assert gaps == [pfn for pfn in range(start + 1, start + nr_pages) if pfn % 512 == 0]


@pytest.mark.parametrize(("seed", "nr_pages"), [(7, 100), (8, 1024), (9, 4096), (10, 5000)])
def test_the_image_shows_the_state_of_each_page(seed, nr_pages):
    tape = random_run(seed, nr_pages)
    states = tape.at(len(tape)).zone.page_states()
    where = layout(0, nr_pages)
    image = where.image(states)
    assert image.shape == where.cells.shape
    assert (image[where.cells < 0] == GAP).all()
    assert image[where.cells >= 0].tolist() == states[where.cells[where.cells >= 0]].tolist()


@pytest.mark.parametrize("nr_pages", [100, 1024, 65_536, 262_144])
def test_an_image_is_one_byte_a_cell(nr_pages):
    where = layout(0, nr_pages)
    assert where.image(boot(nr_pages).page_states()).dtype == np.uint8


def test_a_cell_of_several_pages_shows_the_one_hardest_to_get_back():
    nr_pages = 262_144
    zone = Machine(boot(nr_pages)).zone
    tape = Tape(Machine(zone)).then("alloc 0; alloc 0 x8; alloc 10")
    states = tape.at(len(tape)).zone.page_states()
    where = layout(0, nr_pages)
    image = where.image(states)
    assert where.per_cell == 4
    for place in (0, 1, 2, 3, 255, 256, 300, 65_535):
        row, column = np.argwhere(where.cells == place)[0]
        assert image[row, column] == max(states[4 * place : 4 * place + 4])


def test_the_image_of_a_part_of_a_cell_has_it_too():
    where = layout(0, 65_537)
    assert where.per_cell == 2
    states = np.full(65_537, 0x10, np.uint8)
    states[-1] = 0x90
    image = where.image(states)
    assert image[where.cells == where.cells.max()] == [0x90]
    assert (image == 0x90).sum() == 1
