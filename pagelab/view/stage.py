"""The stage: where map, notes, ladder, lists, per-CPU lists and watermark bars stand, and all of them drawn."""

from collections.abc import Sequence
from typing import NamedTuple

from ..mm.machine import Machine
from .columns import Moment, orders_of
from .drawing import Drawing
from .free_lists import GUTTER, draw_lists, lists_height
from .ladder import draw_ladder, ladder_height
from .layout import Layout, layout
from .notes import draw_notes
from .page_map import draw_map
from .per_cpu_lists import draw_cpu_lists
from .watermark_bars import bars_height, draw_bars

WIDTH, LISTS, GAP = 824, 308, 16
LISTS_WITH_CPUS = 446

Point = tuple[float, float]


class Stage(NamedTuple):
    """The places of one zone's figures, in CSS pixels; None for what is not there.

    types: the migratetypes whose lists stand beside each other, none where there is only one. notes: whether they stand at the map's right.
    """

    where: Layout
    types: tuple[int, ...]
    map: Point
    notes: bool
    ladder: Point | None
    lists: Point
    lists_width: float
    cpus: Point | None
    height: float


def arrange(machine: Machine, z: int, types: Sequence[int]) -> Stage:
    """Find a place for everything that is shown of a zone.

    A map with one type of lists has them at its right, and a small one has a ladder below. Several types, or per-CPU lists, need the whole
    width below a map of more than 64 pages; then a map of rows has notes at its right.

    >>> from pagelab.mm.machine import machine
    >>> arrange(machine(4096), 0, (1,)).lists, arrange(machine(4096), 0, (1, 0)).lists
    ((516.0, 0), (14.0, 446.0))
    """
    zone = machine.zones[z]
    where, orders = layout(zone.start_pfn, zone.end_pfn - zone.start_pfn), orders_of(zone)
    top, left = bars_height(machine), 56.0 if where.tiled else 44.0
    below = top + 4 + where.height + GAP
    several, ladder, cpus = len(types) > 1, 0, None
    beside = not where.tiled and (where.cells.size <= 64 or not (several or zone.pcp))
    if beside:
        lists, width = (WIDTH - LISTS + 0.0, top), LISTS
        ladder = ladder_height(orders) if where.height <= 200 else 0
        end = max(below + ladder, top + lists_height(orders, several) + 4)
        if zone.pcp:
            cpus, end = (left, end + GAP), end + GAP + lists_height(5, several=True)
    else:
        lists, width = (left - GUTTER, below), LISTS_WITH_CPUS if zone.pcp else WIDTH - round(left) + GUTTER
        end = lists[1] + lists_height(11 if zone.pcp else orders, several) + 4
        if zone.pcp:
            cpus = (lists[0] + width + 32, lists[1])
    notes, shown = not (where.tiled or beside), tuple(types) if several else ()
    return Stage(where, shown, (left, top + 4), notes, (left, below) if ladder else None, lists, width, cpus, end)


def draw_stage(drawing: Drawing, stage: Stage, now: Moment, selected: int | None = None) -> None:
    """Draw all that is shown of a moment."""
    where, end = stage.where, stage.map[0] + stage.where.width
    if now.machine.marks:
        draw_bars(drawing, now, 0)
    draw_map(drawing, where, now, *stage.map, selected=selected)
    if stage.notes:
        draw_notes(drawing, where, now, end, stage.map[1])
    if stage.ladder:
        draw_ladder(drawing, now, *stage.ladder, where.width)
    draw_lists(drawing, now, *stage.lists, stage.lists_width, stage.types)
    if stage.cpus:
        draw_cpu_lists(drawing, now, *stage.cpus, WIDTH - stage.cpus[0], stage.height - stage.cpus[1])
