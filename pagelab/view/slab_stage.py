"""The stage of a cache: a slab, the lists of slabs, the pages under them and what they are used for, all of them drawn."""

from typing import NamedTuple

from ..lab.tape import Tape
from ..mm.slab_machine import SlabMachine
from ..mm.slub import get_slabinfo
from .cache_lists import Placed, cache_lists_height, draw_cache_lists
from .cache_usage import CacheRun, usage, usage_parts
from .drawing import Drawing, Rect
from .layout import Layout, layout
from .page_map import draw_map
from .palette import FREE_LOOK
from .slab_columns import SlabMoment, list_rows, shown_slab, slab_in_focus, slab_moment
from .slab_map import draw_slab, slab_height
from .summary import plural

WIDTH, LEFT, GAP = 824, 56, 20
MOST_CPUS, MOST_PAGES = 4, 64
PAGES_TITLE, PAGES_HIGH = 32, 138


class SlabStage(NamedTuple):
    """The places of a cache's figures, in CSS pixels from the top.

    cpus: whose lists are shown. where: the pages, None where they are too many.
    """

    cpus: tuple[int, ...]
    lists: float
    pages: float
    where: Layout | None
    height: float


def arrange_slab(tape: Tape[SlabMachine], name: str, run: CacheRun) -> SlabStage:
    """Find a place for everything that is shown of a cache; it stays there through the run.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> from pagelab.view.cache_usage import slab_run
    >>> tape = Tape(slab_machine(64))
    >>> arrange_slab(tape, "kmalloc-512", slab_run(tape, "kmalloc-512"))[:3]
    ((0,), 158, 390)
    """
    now, zone, cpus = slab_moment(tape, 0, 0, name), tape.at(0).zone, run.cpus[:MOST_CPUS]
    lists = slab_height(now.cache.layout) + GAP
    # A slab that is in hand has a row of its own.
    pages = lists + cache_lists_height(len(list_rows(now, cpus)) + 1) + GAP
    small = zone.end_pfn - zone.start_pfn <= MOST_PAGES
    return SlabStage(cpus, lists, pages, layout(zone.start_pfn, zone.end_pfn - zone.start_pfn) if small else None, pages + PAGES_HIGH)


def draw_slab_stage(drawing: Drawing, stage: SlabStage, now: SlabMoment, run: CacheRun, selected: int | None) -> list[Placed]:
    """Draw all that is shown of a moment; return where each slab stands on the lists, and its first page."""
    slab = shown_slab(now, slab_in_focus(now) if selected is None else selected)
    pfn = slab.pfn if slab else -1
    draw_slab(drawing, now, slab, len(now.cache.cpu), 0)
    drawing.quad(Rect(0, stage.lists - GAP / 2 - 1, WIDTH, 1), "hairline")
    rows = list_rows(now, stage.cpus)
    placed = draw_cache_lists(drawing, rows, now.cache.stride, run.longest, pfn, stage.lists)
    left: float = 0
    if stage.where:
        left = LEFT + stage.where.width + 32
        _draw_pages(drawing, stage.where, now, pfn, stage.pages)
    _draw_usage(drawing, now, run, left, stage.pages, WIDTH - left)
    return placed


def _draw_pages(drawing: Drawing, where: Layout, now: SlabMoment, shown: int, top: float) -> None:
    """Draw the pages of the zone; those of a slab of this cache have a line."""
    drawing.word(0, top + 12, "The pages under it", "ink", 13, bold=True)
    drawing.word(138, top + 12, f"underlined: a slab of {now.cache.name}", "quiet")
    top += PAGES_TITLE
    draw_map(drawing, where, now.pages, LEFT, top)
    for number in now.cache.numbers():
        pfn, order = now.cache.pfn[number], now.cache.order(number)
        if where.start <= pfn < where.start + where.cells.size:
            for x, y, w, h in where.rects(pfn, order):
                drawing.quad(Rect(LEFT + x + 3, top + y + h - 6, w - 6, 2), "paper")
                if pfn == shown:
                    drawing.ring(Rect(LEFT + x + 1, top + y + 1, w - 2, h - 2), "selected")


def _draw_usage(drawing: Drawing, now: SlabMoment, run: CacheRun, left: float, top: float, width: float) -> None:
    """Draw what is held as a bar, and say what it is for."""
    used, (active, total) = usage(now, run), get_slabinfo(now.cache)
    drawing.word(left, top + 12, "What the slabs hold", "ink", 13, bold=True)
    drawing.word(left + width, top + 12, f"{used.held:,} B", "ink", bold=True, align="right")
    x = left
    for i, (name, size, look) in enumerate(usage_parts(used)):
        y = top + 58 + 16 * i
        if size:
            part = width * size / used.held
            drawing.quad(Rect(x, top + PAGES_TITLE - 2, part, 12), look.fill, hatch=look.hatch, tip=f"<b>{size:,} bytes</b><br>{name}")
            x += part
        drawing.quad(Rect(left, y - 5, 16, 10), look.fill, "free_outline" if look is FREE_LOOK else None, hatch=look.hatch, tip=" ")
        drawing.word(left + 24, y, name, "quiet")
        drawing.word(left + width, y, f"{size:,} B", "ink", align="right")
    if not used.held:
        drawing.quad(Rect(left, top + PAGES_TITLE - 2, width, 12), None, "quiet", 1, "3 3")
    else:
        drawing.quad(Rect(left, top + PAGES_TITLE - 2, width, 12), None, "free_outline", 1)
    drawing.word(left, top + 124, f"slabinfo: {active:,} of {total:,} active", "ink")
    drawing.word(left + width, top + 124, f"pinned {plural(used.pinned, 'page')}, empty {used.empty:,}", "ink", align="right")
