"""The per-CPU lists: for each CPU, what it keeps of a zone, a row for each list that is not empty, head to tail."""

from collections.abc import Iterable
from itertools import groupby

from .columns import CpuList, Moment, cpu_lists, cpu_of
from .drawing import Drawing, Rect
from .free_lists import BOX, GUTTER, HEADER, LOW_ROW, draw_row
from .palette import PCP_LOOK
from .summary import plural

GROUP = 24
# Numbers stand on these boxes, so they have no dots; those put there in this request have a line.
ON_LIST = PCP_LOOK._replace(hatch="blank")


def draw_cpu_lists(drawing: Drawing, now: Moment, left: float, top: float, width: float, height: float) -> None:
    """Draw the lists of every CPU, as far as there is room; the CPU that the request is on comes first where there is not."""
    drawing.word(left, top + 10, "Per-CPU lists", "ink", 12, bold=True)
    drawing.word(left + 88, top + 10, "head → tail", "quiet")
    groups = [(cpu, list(lists)) for cpu, lists in groupby(cpu_lists(now), lambda one: one.cpu)]
    if not groups:
        drawing.quad(Rect(left, top + HEADER - 0.5, width, 1), "hairline")
        drawing.word(left, top + HEADER + LOW_ROW / 2, "No CPU keeps a page of this zone.", "quiet")
    if HEADER + _height(groups) > height:
        mine = cpu_of(now)
        groups.sort(key=lambda group: group[0] != mine)
    y, left_out = top + HEADER, 0
    for cpu, lists in groups:
        fits = int((top + height - y - GROUP) // LOW_ROW)
        left_out += max(0, len(lists) - max(0, fits))
        if fits > 0:
            y = _cpu(drawing, now, cpu, lists[:fits], left, y, width)
    if left_out:
        drawing.word(left + width, top + 10, f"{plural(left_out, 'list')} more, in words below", "quiet", align="right")


def _height(groups: Iterable[tuple[int, list[CpuList]]]) -> float:
    return sum(GROUP + LOW_ROW * len(lists) for _, lists in groups)


def _cpu(drawing: Drawing, now: Moment, cpu: int, lists: list[CpuList], left: float, y: float, width: float) -> float:
    """Draw what one CPU keeps: its count and high, then its lists; return where it ends."""
    pcp = now.zone.pcp[cpu]
    drawing.quad(Rect(left, y - 0.5, width, 1), "hairline")
    drawing.word(left, y + GROUP / 2, f"cpu {cpu}", "ink", bold=True)
    drawing.word(
        left + width, y + GROUP / 2, f"{plural(pcp.count, 'page')}, high {pcp.high:,}, batch {pcp.batch:,}", "quiet", align="right"
    )
    y += GROUP
    for one in lists:
        drawing.word(left, y + BOX / 2, str(one.order), "ink", 12, bold=True)
        drawing.word(left + 9, y + BOX / 2, one.types, "quiet", bold=True)
        draw_row(drawing, one.entries, left + GUTTER, y, width - GUTTER - 30, ON_LIST)
        count = len(pcp.lists[one.pindex])
        drawing.word(left + width, y + BOX / 2, f"{count:,}" if count else "·", "quiet", align="right")
        y += LOW_ROW
    return y
