"""The free lists: a row for each order, head to tail, a box for each block; one migratetype, or several beside each other."""

from collections.abc import Sequence
from itertools import islice
from typing import Protocol, TypeVar

from ..mm.act import Looked
from ..mm.units import PAGE_SIZE, format_size
from ..mm.zone import MIGRATETYPES
from .columns import LETTERS, TYPES, Entry, Moment, list_type, orders_of, shown_list
from .drawing import Drawing, Rect
from .palette import FREE_LOOK, Look

ROW, LOW_ROW, BOX = 30, 27, 22
HEADER = 24
GUTTER = 30


class Marked(Protocol):
    """What stands on a list, and whether it changed."""

    @property
    def mark(self) -> str:
        """The mark of an Entry."""


E = TypeVar("E", bound=Marked)


def lists_height(orders: int, several: bool = False) -> int:
    """Return the height of the figure for so many orders, in CSS pixels; several types have lower rows.

    >>> lists_height(11), lists_height(11, several=True)
    (354, 321)
    """
    return HEADER + (LOW_ROW if several else ROW) * orders


def draw_lists(drawing: Drawing, now: Moment, left: float, top: float, width: float, types: Sequence[int] = ()) -> None:
    """Draw the lists of several migratetypes beside each other; with one type or none, those of the request's and the counts of all."""
    orders, wide = orders_of(now.zone), len(types) > 1
    pitch = LOW_ROW if wide else ROW
    columns = types if wide else [list_type(now)]
    sizes = 52 if wide and width > 620 else 0
    each = (width - GUTTER - sizes - (0 if wide else 70)) / len(columns)
    for row, order in enumerate(reversed(range(orders))):
        y = top + HEADER + row * pitch
        drawing.quad(Rect(left, y - 0.5, width, 1), "hairline")
        drawing.word(left + 10, y + pitch / 2, str(order), "ink", 12, bold=True, align="center")
        if sizes:
            drawing.word(left + GUTTER, y + pitch / 2, format_size(PAGE_SIZE << order), "quiet")
    drawing.quad(Rect(left, top + HEADER + orders * pitch - 0.5, width, 1), "hairline")
    for i, mt in enumerate(columns):
        _column(drawing, now, mt, left + GUTTER + sizes + i * each, top, each, wide)
    if not wide:
        _counts(drawing, now, left + width, top)


def _column(drawing: Drawing, now: Moment, mt: int, left: float, top: float, width: float, wide: bool) -> None:
    """Draw the lists of one type; beside others, with its counts."""
    name = MIGRATETYPES[mt].capitalize()
    if wide:
        drawing.word(left, top + 10, name, "ink", 12, bold=True)
        if width > 180:
            drawing.word(left + 7 * len(name) + 12, top + 10, "head → tail", "quiet")
    else:
        drawing.word(left, top + 10, f"{name}, head → tail", "quiet")
    looked = now.act if isinstance(now.act, Looked) and now.act.mt == mt else None
    orders, pitch = orders_of(now.zone), LOW_ROW if wide else ROW
    for row, order in enumerate(reversed(range(orders))):
        y, entries = top + HEADER + row * pitch, shown_list(now, order, mt)
        middle, found_empty = y + pitch / 2, looked is not None and looked.low <= order <= looked.high
        room = width - (34 if wide else 0) - (44 if found_empty else 0)
        end = left + draw_row(drawing, entries, left, middle - BOX / 2, room, FREE_LOOK)
        if found_empty:
            drawing.ring(Rect(end, middle - 10, 40, 20), "looked")
            drawing.word(end + 20, middle, "empty", "ink", align="center")
        if wide:
            count = len(now.zone.free_list[order][mt])
            if count:
                drawing.word(left + width - 14, middle, f"{count:,}", "quiet", align="right")
            elif not entries and not found_empty:
                drawing.word(left + 2, middle, "·", "quiet")


def _counts(drawing: Drawing, now: Moment, right: float, top: float) -> None:
    """Write how many blocks each of the three types has."""
    for i, mt in enumerate(TYPES):
        x = right - 8 - 22 * (2 - i)
        drawing.word(x, top + 10, LETTERS[mt], "quiet", bold=True, align="center")
        for row, order in enumerate(reversed(range(orders_of(now.zone)))):
            count = len(now.zone.free_list[order][mt])
            drawing.word(x, top + HEADER + row * ROW + ROW / 2, f"{count:,}" if count else "·", "quiet", align="center")


def draw_row(drawing: Drawing, entries: list[Entry], left: float, y: float, width: float, look: Look) -> float:
    """Draw one list in a row that is 22 pixels high; what has no room is a number. Return how much of the width it took."""
    box = max([34, *(7 * len(str(entry.pfn)) + 10 for entry in entries)])
    shown = shown_entries(entries, int((width + 4) // (box + 4)))
    for i, entry in enumerate(shown):
        rect = Rect(left + i * (box + 4), y, box, BOX)
        if isinstance(entry, str):
            drawing.word(rect.x + box / 2, rect.y + rect.h / 2, entry, "quiet", align="center")
        else:
            _box(drawing, rect, entry, look)
    return len(shown) * (box + 4)


def shown_entries(entries: Sequence[E], fits: int) -> list[E | str]:
    """Leave out blocks of a long list, with their number in their place: what changed stays, then the ends, what is marked, and more.

    >>> shown_entries([Entry(pfn) for pfn in range(9)], 4)[1:3]
    [Entry(pfn=1, mark=''), '+6']
    """
    if len(entries) <= fits:
        return list(entries)
    last = len(entries) - 1
    kept = {i for i, entry in enumerate(entries) if entry.mark == "changed"}
    marked = (i for i, entry in enumerate(entries) if entry.mark)
    for i in (0, last, *islice(marked, fits), *range(1, min(fits, last))):
        if len(_places(kept | {i}, last)) <= max(fits, 1):
            kept.add(i)
    return [entries[at] if at >= 0 else f"+{-at}" for at in _places(kept, last)]


def _places(kept: set[int], last: int) -> list[int]:
    """Return what stands in a row where some blocks of a list are kept: their places, and less than 0 for so many left out."""
    found, at = [], 0
    for place in sorted(kept):
        found += [at - place] * (place > at) + [place]
        at = place + 1
    return found + [at - last - 1] * (at <= last)


def _box(drawing: Drawing, rect: Rect, entry: Entry, look: Look) -> None:
    y = rect.y + rect.h / 2
    if entry.mark == "gone":
        drawing.quad(rect, None, "quiet", 1, "3 3")
        drawing.word(rect.x + rect.w / 2, y, str(entry.pfn), "quiet", mono=True, align="center")
        drawing.quad(Rect(rect.x + 4, y - 0.5, rect.w - 8, 1), "quiet")
        return
    drawing.block(rect, look, f"<b>{entry.pfn}</b>")
    if entry.mark == "changed":
        drawing.ring(rect, "changed")
    elif entry.mark == "moved":
        drawing.quad(Rect(rect.x + 1, rect.y + rect.h - 4, rect.w - 2, 3), "changed")
    drawing.word(rect.x + rect.w / 2, y, str(entry.pfn), "ink", mono=True, align="center")
