"""Model to numbers: everything that a figure or a text shows of a moment, as arrays and plain lists. No bokeh here.

A moment is (tape, k, act): the state after the first act + 1 acts of request k.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..lab.tape import Tape
from ..mm.act import Act, Linked, Unlinked, redo
from ..mm.machine import REFUSED, Machine
from ..mm.units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES
from ..mm.zone import MOVABLE, Zone
from .drawing import Rect
from .palette import GAP

MAX_CELLS = 65_536


@dataclass(frozen=True)
class Moment:
    """One position of a run.

    acts are those done so far in request k, all are all of them; zone is the state now, before the state before the request.
    """

    k: int
    acts: tuple[Act, ...]
    all: tuple[Act, ...]
    zone: Zone
    before: Zone
    end: bool


def moment(tape: Tape[Machine], k: int, act: int) -> Moment:
    """Return the state at act `act` of request k; at k = len(tape), the end.

    Args:
        tape: any tape of a machine.
        k: 0..len(tape).
        act: 0..(number of acts - 1), or negative from the last.

    Returns:
        The Moment; act 0 shows the state before the request.

    Raises:
        ValueError: k or act is out of range.

    >>> from pagelab.lab import scenario
    >>> moment(scenario.text("alloc 3"), 0, -1).zone.nr_free_pages()
    8
    """
    before = tape.at(k).zone
    if k == len(tape):
        return Moment(k, (), (), before, before, True)
    every = tuple(tape.acts(k))
    if not -len(every) <= act < len(every):
        raise ValueError(f"act {act} does not exist: request {k} has acts 0..{len(every) - 1}")
    done = every[: act % len(every) + 1]
    zone = tape.at(k).zone
    redo(zone, done)
    return Moment(k, done, every, zone, before, False)


@dataclass(frozen=True)
class Entry:
    """A block on a list as it is shown: its head and "", "changed" (linked now), "linked" (linked earlier in this request) or "gone"."""

    pfn: int
    mark: str = ""


def shown_list(now: Moment, order: int, mt: int) -> list[Entry]:
    """Return one free list, head first; blocks that this request unlinked keep their place, marked "gone".

    >>> from pagelab.lab import scenario
    >>> [(e.pfn, e.mark) for e in shown_list(moment(scenario.text("alloc 3"), 0, -1), 4, 1)]
    [(0, 'gone')]
    """
    entries = [Entry(pfn) for pfn in now.before.blocks(order, mt)]
    for i, act in enumerate(now.acts):
        match act:
            case Unlinked(pfn, at, of) if (at, of) == (order, mt):
                entries = [Entry(pfn, "gone") if entry.pfn == pfn else entry for entry in entries]
            case Linked(pfn, at, of, tail) if (at, of) == (order, mt):
                new = Entry(pfn, "changed" if i == len(now.acts) - 1 else "linked")
                entries = [*entries, new] if tail else [new, *entries]
    return entries


def orders_of(zone: Zone) -> int:
    """Return how many orders a block of this zone can have, 1..11.

    >>> orders_of(Zone(16)), orders_of(Zone(4096))
    (5, 11)
    """
    return min(NR_PAGE_ORDERS, (zone.end_pfn - zone.start_pfn).bit_length())


def list_type(now: Moment) -> int:
    """Return the migratetype whose lists are shown: that of the request."""
    asked = now.all[0] if now.all else None
    mt = getattr(asked, "mt", MOVABLE)
    return mt if mt >= 0 else MOVABLE


@dataclass(frozen=True)
class Strip:
    """The whole run in numbers.

    steps: int array, positions 0..len(tape) that are shown; free and largest: free pages and largest free order there (-1: nothing
    free); refused: the requests that were refused.
    """

    steps: NDArray[np.int64]
    free: NDArray[np.int64]
    largest: NDArray[np.int64]
    refused: NDArray[np.int64]
    pages: int


def strip(tape: Tape[Machine], points: int = 1600) -> Strip:
    """Run a tape once and note free pages and the largest free order.

    Args:
        tape: any tape of a machine.
        points: how many positions are shown at most; the end is always one.

    Returns:
        The Strip.

    >>> from pagelab.lab import scenario
    >>> strip(scenario.text("alloc 3; alloc 4")).free.tolist()
    [16, 8, 8]
    """
    model = tape.at(0)
    every = -(-(len(tape) + 1) // points)
    steps, free, largest = [], [], []
    for k in range(len(tape) + 1):
        if k % every == 0 or k == len(tape):
            steps.append(k)
            free.append(model.zone.nr_free_pages())
            largest.append(model.zone.largest_free_order())
        if k < len(tape):
            model.apply(tape.requests[k], tape.received)
    refused = np.flatnonzero(np.asarray(tape.received) == REFUSED)
    zone = model.zone
    return Strip(np.array(steps), np.array(free), np.array(largest), refused, zone.end_pfn - zone.start_pfn)


@dataclass(frozen=True)
class Layout:
    """Where each page lies on a map.

    cells: int64 array, shape (rows, columns): the place of a page (its pfn minus `start`, divided by `per_cell`) or -1 for a gap.
    w, h: CSS pixels of a cell. start: pfn of place 0. per_cell: pages per cell, 1, 2, 4 ...
    """

    cells: NDArray[np.int64]
    w: float
    h: float
    start: int
    per_cell: int
    across: int
    kind: str

    @property
    def width(self) -> float:
        """CSS pixels across."""
        return self.cells.shape[1] * self.w

    @property
    def height(self) -> float:
        """CSS pixels down."""
        return self.cells.shape[0] * self.h

    def rects(self, pfn: int, order: int) -> list[Rect]:
        """Return the rectangles that a block covers: one, or one for each pageblock or row that it spans."""
        first = (pfn - self.start) // self.per_cell
        last = (pfn - self.start + (1 << order) - 1) // self.per_cell
        unit = PAGEBLOCK_NR_PAGES if self.kind != "rows" else self.across
        found = []
        at = first
        while at <= last:
            end = min(last, at - at % unit + unit - 1)
            (top, left), (bottom, right) = self._place(at), self._place(end)
            if bottom > top and (right - left + 1) % self.across:
                end = at - at % self.across + self.across - 1
                bottom, right = self._place(end)
            found.append(Rect(left * self.w, top * self.h, (right - left + 1) * self.w, (bottom - top + 1) * self.h))
            at = end + 1
        return _joined(found)

    def _place(self, at: int) -> tuple[int, int]:
        row, column = _places(self.kind, self.across, self.cells.shape[1])(np.array([at]))
        return int(row[0]), int(column[0])

    def image(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the map as an image of state bytes, row 0 on top; gaps are GAP.

        states: uint8 array, one state byte a page, the first that of pfn `start`.
        """
        if self.per_cell > 1:
            states = np.maximum.reduceat(states, np.arange(0, len(states), self.per_cell))
        return np.where(self.cells >= 0, np.append(states, GAP)[self.cells], np.uint8(GAP))


def _joined(rects: list[Rect]) -> list[Rect]:
    joined = rects[:1]
    for rect in rects[1:]:
        last = joined[-1]
        if (rect.x, rect.w) == (last.x, last.w) and rect.y == last.y + last.h:
            joined[-1] = Rect(last.x, last.y, last.w, last.h + rect.h)
        else:
            joined.append(rect)
    return joined


@lru_cache(maxsize=8)
def layout(start_pfn: int, nr_pages: int) -> Layout:
    """Choose the map for a zone: labelled pages, rows of 64, or a tile for each pageblock.

    Args:
        start_pfn: the first pfn.
        nr_pages: pages spanned.

    Returns:
        The Layout; up to 4,096 pages every buddy block of it is a rectangle.

    >>> layout(0, 16).cells.shape, layout(0, 4096).cells.shape
    ((1, 16), (71, 64))
    """
    per_cell = 1
    if nr_pages <= 4096:
        start = start_pfn - start_pfn % 64 if nr_pages > 64 else start_pfn
        places = start_pfn - start + nr_pages
        across = min(16 if places <= 16 else 32 if places <= 64 else 64, 64)
        size = {16: (28.0, 28.0), 32: (14.0, 28.0), 64: (7.0, 8.0 if places <= 1024 else 6.0)}[across]
        kind = "labelled" if places <= 64 else "rows"
    else:
        start = start_pfn - start_pfn % PAGEBLOCK_NR_PAGES
        while start_pfn - start + nr_pages > MAX_CELLS * per_cell:
            per_cell *= 2
        places, across, size, kind = -(-(start_pfn - start + nr_pages) // per_cell), 16, (3.0, 2.0), "tiles"
    at = np.arange(places)
    rows, columns = _places(kind, across, 0)(at)
    cells = np.full((rows.max() + 1, columns.max() + 1), -1, np.int64)
    cells[rows, columns] = at
    return Layout(cells, *size, start, per_cell, across, kind)
