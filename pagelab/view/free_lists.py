"""The free lists: a row for each order, head to tail, a box for each block."""

from ..mm.act import Looked
from ..mm.zone import MIGRATETYPES
from .columns import Entry, Moment, list_type, orders_of, shown_list
from .drawing import Drawing, Rect
from .palette import FREE_LOOK

ROW = 30
HEADER = 24


def lists_height(orders: int) -> int:
    """Return the height of the figure for so many orders, in CSS pixels.

    >>> lists_height(11)
    354
    """
    return HEADER + ROW * orders


def draw_lists(drawing: Drawing, now: Moment, left: float, top: float, width: float) -> None:
    """Draw the lists of the request's migratetype, and the counts of all three at the right."""
    mt, orders = list_type(now), orders_of(now.zone)
    drawing.word(left + 30, top + 10, f"{MIGRATETYPES[mt].capitalize()}, head → tail", "quiet")
    types = (1, 0, 2)
    for i, other in enumerate(types):
        drawing.word(left + width - 8 - 22 * (2 - i), top + 10, MIGRATETYPES[other][0].upper(), "quiet", bold=True, align="center")
    looked = next((act for act in now.acts[-1:] if isinstance(act, Looked)), None)
    for row, order in enumerate(reversed(range(orders))):
        y = top + HEADER + row * ROW
        drawing.quad(Rect(left, y - 0.5, width, 1), "hairline")
        drawing.word(left + 10, y + ROW / 2, str(order), "ink", 12, bold=True, align="center")
        entries = shown_list(now, order, mt)
        _row(drawing, entries, left + 30, y + 4, width - 100)
        if looked and looked.low <= order <= looked.high:
            drawing.ring(Rect(left + 30, y + 5, 40, ROW - 10), "looked")
            drawing.word(left + 50, y + ROW / 2, "empty", "ink", align="center")
        for i, other in enumerate(types):
            count = len(now.zone.free_list[order][other])
            drawing.word(left + width - 8 - 22 * (2 - i), y + ROW / 2, f"{count:,}" if count else "·", "quiet", align="center")
    drawing.quad(Rect(left, top + HEADER + orders * ROW - 0.5, width, 1), "hairline")


def _row(drawing: Drawing, entries: list[Entry], left: float, y: float, width: float) -> None:
    box = max([34, *(7 * len(str(entry.pfn)) + 10 for entry in entries)])
    shown = _shown(entries, int(width // (box + 4)))
    for i, entry in enumerate(shown):
        rect = Rect(left + i * (box + 4), y, box, ROW - 8)
        if isinstance(entry, str):
            drawing.word(rect.x + box / 2, rect.y + rect.h / 2, entry, "quiet", align="center")
        else:
            _box(drawing, rect, entry)


def _shown(entries: list[Entry], fits: int) -> list[Entry | str]:
    """Leave out blocks from the middle of a long list, with their number in their place; marked ones stay."""
    if len(entries) <= fits:
        return list(entries)
    marked = [i for i, entry in enumerate(entries) if entry.mark]
    last = len(entries) - 1
    gaps = 1 + sum(0 < i < last for i in marked)
    kept = sorted({*range(max(1, fits - 1 - 2 * gaps + 1)), *marked, last})
    shown: list[Entry | str] = []
    for at, following in zip(kept, [*kept[1:], last + 1], strict=True):
        shown.append(entries[at])
        shown += [f"+{following - at - 1}"] * (following > at + 1)
    return shown


def _box(drawing: Drawing, rect: Rect, entry: Entry) -> None:
    y = rect.y + rect.h / 2
    if entry.mark == "gone":
        drawing.quad(rect, None, "quiet", 1, "3 3")
        drawing.word(rect.x + rect.w / 2, y, str(entry.pfn), "quiet", mono=True, align="center")
        drawing.quad(Rect(rect.x + 4, y - 0.5, rect.w - 8, 1), "quiet")
        return
    drawing.block(rect, FREE_LOOK, f"<b>{entry.pfn}</b>")
    if entry.mark == "changed":
        drawing.ring(rect, "changed")
    drawing.word(rect.x + rect.w / 2, y, str(entry.pfn), "ink", mono=True, align="center")
