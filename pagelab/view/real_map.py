"""A real machine's memory as a page map: what /proc/kpageflags says of every page of a zone."""

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..mm.units import PAGEBLOCK_NR_PAGES, format_size
from ..mm.zone import HOLE
from ..real.capture import Capture
from ..real.flags import page_states
from .drawing import Drawing, Rect
from .layout import Layout, layout
from .live_figure import Canvas
from .palette import DARK, FREE_LOOK, LIGHT, Theme, look
from .panel import Panel
from .words import REAL_LOOKS, legend

WIDTH = 824


def _most_mixed(states: NDArray[np.uint8], start: int) -> int:
    """Return the first pfn of the pageblock with the most changes of state from page to page."""
    block = (start + np.flatnonzero(np.diff(states))) // PAGEBLOCK_NR_PAGES
    return int(np.bincount(block).argmax()) * PAGEBLOCK_NR_PAGES if len(block) else start - start % PAGEBLOCK_NR_PAGES


class RealMap(Panel):
    """A zone of a captured machine, page by page; a click on a pageblock shows it large.

    Args:
        capture: a capture with kpageflags and zoneinfo.
        snapshot: as "S0".
        zone: as the kernel prints it, "DMA32".
        node: 0 where there is one.
    """

    def __init__(self, capture: Capture, snapshot: str, zone: str, node: int = 0) -> None:
        zones = {key: one for key, one in capture.zoneinfo(snapshot).items() if one.has_free_lists and one.start_pfn is not None}
        if (node, zone) not in zones:
            names = ", ".join(f"{name} of node {number}" for number, name in zones)
            raise ValueError(f"zone {zone} of node {node} has no pages in {capture.name}, {snapshot}: choose {names}")
        info = zones[node, zone]
        start, end = int(info.start_pfn or 0), int(info.end_pfn)
        self.title = f"{capture.name}, zone {zone}"
        self.start, self.states = start, page_states(capture.kpageflags(snapshot)[start:end], start)
        self.where: Layout = layout(start, end - start)
        self.theme: Theme = LIGHT
        self.block = _most_mixed(self.states, start)
        self.left, self.top = 56.0, 44.0
        self.canvas = Canvas("real-map", WIDTH, self.top + self.where.height + 4, self.theme)
        self.lens = Canvas("real-lens", WIDTH, 120, self.theme)
        for canvas, label in ((self.canvas, "Page map of the zone; its numbers stand below"), (self.lens, "One pageblock, page by page")):
            canvas.on_show(label, self._set_theme)
        self.canvas.map_pages((self.where, (self.left, self.top)))
        self.lens_where = layout(0, PAGEBLOCK_NR_PAGES)
        self.canvas.on_tap(self._tapped)
        self.legend, self.words = widgets.HTML(), widgets.HTML()
        self.words.add_class("pagelab-status")
        super().__init__([self.canvas.widget(), self.legend, self.lens.widget(), self.words])
        self._draw()

    def choose(self, pfn: int) -> None:
        """Show the pageblock of a page large.

        Raises:
            ValueError: the page is not in the zone.
        """
        if not self.start <= pfn < self.start + len(self.states):
            raise ValueError(f"pfn {pfn} is not in this zone: its pages are {self.start}..{self.start + len(self.states) - 1}")
        self.block = pfn - pfn % PAGEBLOCK_NR_PAGES
        self._draw()

    def _tapped(self, x: float, y: float) -> None:
        pfn = self.where.pfn_at(x - self.left, y - self.top)
        if pfn is not None and self.start <= pfn < self.start + len(self.states):
            self.choose(pfn)

    def _set_theme(self, name: str) -> None:
        if name != self.theme.name:
            self.theme = DARK if name == "dark" else LIGHT
            for canvas in (self.canvas, self.lens):
                canvas.set_theme(self.theme)
            self._draw()

    def _draw(self) -> None:
        drawing = Drawing(self.theme)
        drawing.word(0, 10, "The zone, page by page", "ink", 13, bold=True)
        each = f"{self.where.per_cell} pages to a cell" if self.where.per_cell > 1 else "one tile is a pageblock of 512 pages, 16 to a row"
        drawing.word(0, 28, f"{self.title}: {len(self.states):,} pages ({format_size(len(self.states) << 12)}), {each}.", "quiet", 12)
        step = PAGEBLOCK_NR_PAGES * self.where.per_cell
        for pfn in range(self.where.start, self.start + len(self.states), step):
            rect = self.where.rects(pfn, 0)[0]
            if rect.x == 0:
                drawing.word(self.left - 8, self.top + rect.y + 8, str(pfn), mono=True, align="right")
        for rect in self.where.rects(self.block, 9):
            drawing.ring(Rect(rect.x + self.left, rect.y + self.top, rect.w, rect.h), "selected")
        drawing.picture(self.where.image(self.states), self.where.at(self.left, self.top))
        self.canvas.show(drawing)
        self._draw_lens()
        self.legend.value = legend(self.theme, REAL_LOOKS, ())
        self.words.value = f"<div>{self.text()}</div>"

    def _draw_lens(self) -> None:
        drawing = Drawing(self.theme)
        drawing.word(0, 10, f"Pageblock {self.block}-{self.block + PAGEBLOCK_NR_PAGES - 1}", "ink", 13, bold=True)
        drawing.word(230, 10, "Click a tile to choose another; 64 pages to a row.", "quiet", 12)
        pages = np.full(PAGEBLOCK_NR_PAGES, HOLE, np.uint8)
        low, high = max(self.block, self.start), min(self.block + PAGEBLOCK_NR_PAGES, self.start + len(self.states))
        pages[low - self.block : high - self.block] = self.states[low - self.start : high - self.start]
        at, width, row = 0, (WIDTH - 56) / 64, 11
        while at < PAGEBLOCK_NR_PAGES:
            state = int(pages[at])
            order = min(state & 15, 9) if look(state) is FREE_LOOK else 0
            run = at + (1 << order)
            if not order:
                run = at + next((i for i, s in enumerate(pages[at:]) if s != state or (i and (at + i) % 64 == 0)), PAGEBLOCK_NR_PAGES - at)
            rows = max(1, (run - at) // 64)
            rect = Rect(56 + at % 64 * width, 24 + at // 64 * row, min(run - at, 64) * width, rows * row - 1)
            first, last = self.block + at, self.block + run - 1
            name = f"page {first}" if first == last else f"pages {first}-{last}"
            drawing.block(rect, look(state), f"<b>{name}</b><br>{look(state).words}")
            if look(state).letter and rect.w > 11:
                drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, look(state).letter, look(state).text, 10, bold=True, align="center")
            at = run
        for line in range(8):
            drawing.word(48, 24 + line * row + 5, str(self.block + 64 * line), mono=True, align="right", size=10)
        self.lens.show(drawing)

    def text(self) -> str:
        """Return the numbers of the map in words."""
        kinds = [look(int(state)).words for state in range(256)]
        counts: dict[str, int] = {}
        for state, count in zip(*np.unique(self.states, return_counts=True), strict=True):
            counts[kinds[int(state)]] = counts.get(kinds[int(state)], 0) + int(count)
        parts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
        parked = "Pages on per-CPU lists are among those in use, kind not known: kpageflags does not tell them apart."
        return f"{self.title}: of {len(self.states):,} pages, {parts}. {parked}"
