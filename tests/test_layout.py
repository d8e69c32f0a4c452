"""Where each page lies on a map: every page once, blocks as rectangles, and images of states."""

import random

import numpy as np
import pytest
from runs import pages, random_run

from pagelab.lab.tape import Tape
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import boot
from pagelab.view.layout import MAX_CELLS, MAX_NARROW_CELLS, layout
from pagelab.view.palette import GAP

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
