"""Where each page lies on a map, in CSS pixels: labelled pages, rows of 64, or a tile for each pageblock. No bokeh here."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..mm.units import PAGEBLOCK_NR_PAGES
from .drawing import Rect
from .palette import GAP

MAX_CELLS = 65_536
MAX_NARROW_CELLS = 16_384
TILES, NARROW_TILES = 16, 8  # pageblocks in a row of tiles


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each page lies on a map.

    cells: int64 array, shape (rows, columns): the place of a page (its pfn minus `start`, divided by `per_cell`) or -1 for a gap.
    w, h: CSS pixels of a cell. start: pfn of place 0. per_cell: pages per cell, 1, 2, 4 ... across: places in a row. tiles: tiles in a row
    where a pageblock is a tile of 16 x 32 places, else 0. skip: places before the zone's first page.
    """

    cells: NDArray[np.int64]
    w: float
    h: float
    start: int
    per_cell: int
    across: int
    tiles: int
    skip: int

    @property
    def tiled(self) -> bool:
        """Whether a pageblock is a tile and not some rows."""
        return self.tiles > 0

    @property
    def offset(self) -> int:
        """Pages from the start of the first pageblock to place 0."""
        return 0 if self.tiled else self.start % PAGEBLOCK_NR_PAGES

    @property
    def width(self) -> float:
        """CSS pixels across."""
        return float(self.cells.shape[1] * self.w)

    @property
    def height(self) -> float:
        """CSS pixels down."""
        return float(self.cells.shape[0] * self.h)

    def at(self, left: float, top: float) -> Rect:
        """Return the rectangle of the whole map with its upper left corner there."""
        return Rect(left, top, self.width, self.height)

    def rects(self, pfn: int, order: int) -> list[Rect]:
        """Return the rectangles that a block covers: one, or one for each pageblock that it spans."""
        return self.spans(pfn, pfn + (1 << order))

    def spans(self, pfn: int, end: int) -> list[Rect]:
        """Return the rectangles that the pages from pfn up to, not including, end cover; few of them."""
        first, last = (pfn - self.start) // self.per_cell, (end - 1 - self.start) // self.per_cell + 1
        next_block = first + -(first + self.offset) % PAGEBLOCK_NR_PAGES
        edges = sorted({first, last, *range(next_block, last, PAGEBLOCK_NR_PAGES)})
        return [rect for low, high in zip(edges, edges[1:], strict=False) for rect in self._runs(low, high)]

    def _runs(self, low: int, high: int) -> list[Rect]:
        """Return rectangles for places inside a pageblock: of a first row cut short, of full rows, of a last row cut short."""
        first, last = -(-low // self.across) * self.across, high // self.across * self.across
        edges = [low, high] if first > last else sorted({low, first, last, high})
        return [self._rect(one, other) for one, other in zip(edges, edges[1:], strict=False)]

    def _rect(self, low: int, high: int) -> Rect:
        rows, columns = _places(self.across, self.offset, self.tiles, np.array([low, high - 1]))
        x, y = float(columns[0] * self.w), float(rows[0] * self.h)
        return Rect(x, y, float((columns[1] - columns[0] + 1) * self.w), float((rows[1] - rows[0] + 1) * self.h))

    def pfn_at(self, x: float, y: float) -> int | None:
        """Return the first pfn of the cell at a place of the map, or None where there is no page."""
        row, column = int(y // self.h), int(x // self.w)
        if not (0 <= row < self.cells.shape[0] and 0 <= column < self.cells.shape[1]) or self.cells[row, column] < 0:
            return None
        return self.start + int(self.cells[row, column]) * self.per_cell

    def image(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the map as an image of state bytes, row 0 on top; gaps, and cells before the zone, are GAP.

        states: uint8 array, one state byte a page, the first that of the zone's first page.
        """
        before = np.full(self.skip, GAP, np.uint8)
        states = np.concatenate([before, states])
        if self.per_cell > 1:
            states = np.maximum.reduceat(states, np.arange(0, len(states), self.per_cell))
        return np.append(states, np.uint8(GAP))[self.cells]


def _places(across: int, offset: int, tiles: int, at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of places, with a gap between pageblocks; place 0 stands `offset` pages into its pageblock."""
    block, inside = (at + offset) // PAGEBLOCK_NR_PAGES, at % PAGEBLOCK_NR_PAGES
    if tiles:
        down = PAGEBLOCK_NR_PAGES // across
        return block // tiles * (down + 2) + inside // across, block % tiles * (across + 1) + inside % across
    return at // across + block * (across == 64), at % across


@lru_cache(maxsize=8)
def layout(start_pfn: int, nr_pages: int, narrow: bool = False) -> Layout:
    """Choose the map for a zone: labelled pages, rows of 64, or a tile for each pageblock.

    Args:
        start_pfn: the first pfn.
        nr_pages: pages spanned.
        narrow: 320 CSS pixels wide, for two maps beside each other.

    Returns:
        The Layout; up to 4,096 pages every buddy block of it is a rectangle.

    >>> layout(0, 16).cells.shape, layout(0, 4096).cells.shape, layout(0, 4096, narrow=True).width
    ((1, 16), (71, 64), 320.0)
    """
    per_cell, cells = 1, MAX_NARROW_CELLS if narrow else MAX_CELLS
    tiles = (NARROW_TILES if narrow else TILES) if nr_pages > 4096 else 0
    start = start_pfn - start_pfn % (PAGEBLOCK_NR_PAGES if tiles else 64 if nr_pages > 64 else 1)
    while start_pfn - start + nr_pages > cells * per_cell:
        per_cell *= 2
    places = -(-(start_pfn - start + nr_pages) // per_cell)
    across = 16 if tiles or nr_pages <= (64 if narrow else 16) else 32 if nr_pages <= 64 else 64
    w, h = (2.8, 2.0) if tiles else {16: (28.0, 28.0), 32: (14.0, 28.0), 64: (7.0, 8.0 if places <= 1024 else 6.0)}[across]
    if narrow:
        w, h = (320 / 135, 2.0) if tiles else {16: (20.0, 26.0), 64: (5.0, h)}[across]
    rows, columns = _places(across, start % PAGEBLOCK_NR_PAGES if not tiles else 0, tiles, np.arange(places))
    grid = np.full((int(rows.max()) + 1, int(columns.max()) + 1), -1, np.int64)
    grid[rows, columns] = np.arange(places)
    return Layout(grid, w, h, start, per_cell, across, tiles, start_pfn - start)
