"""Where a cache keeps its slabs: a row for each list, head first, a bar for each slab, filled as far as its objects are in use."""

from collections.abc import Sequence

from ..mm.slab import FULL
from .drawing import Drawing, Rect
from .free_lists import shown_entries
from .palette import FREE_LOOK, PCP_LOOK, USED_LOOKS
from .sheaf_rows import SHEAVES, Bar, ListRow

TITLE, ROW = 32, 36
NAMES, GAP = 204, 12
BAR_HIGH = 14
# From the widest to the narrowest: the pitch of bars, and how wide they are.
BARS = ((112, 82), (76, 48), (44, 24))

Placed = tuple[Rect, int]


def cache_lists_height(rows: int) -> float:
    """Return the height of the figure for so many lists, in CSS pixels.

    >>> cache_lists_height(4)
    176
    """
    return TITLE + ROW * rows


def draw_cache_lists(
    drawing: Drawing, rows: Sequence[ListRow], objects: int, longest: int, shown: int, top: float, left: float = 0, width: float = 824
) -> list[Placed]:
    """Draw the lists; return where each slab stands, and its first page.

    objects: of a whole slab. longest: slabs of the longest list of the run. shown: the first page of the slab that is shown elsewhere.
    """
    drawing.word(left, top + 12, "Where this cache keeps its slabs", "ink", 13, bold=True)
    drawing.word(left + NAMES + GAP, top + 12, f"objects in use, of {objects:,}; below, the slab's first page", "quiet")
    fork = any(row.at[0] == SHEAVES for row in rows)
    told = "sheaves: as one fork of 7.0 and 7.1 has them" if fork else "head → tail"
    drawing.word(left + width, top + 12, told, "quiet", align="right")
    room, placed = width - NAMES, list[Placed]()
    pitch, wide = next((bars for bars in BARS if bars[0] * longest <= room), BARS[-1])
    for i, row in enumerate(rows):
        y = top + TITLE + i * ROW
        drawing.word(left, y + 10, row.name, "ink", 12)
        drawing.word(left, y + 25, row.note, "quiet")
        drawing.quad(Rect(left, y + ROW - 1, width, 1), "hairline")
        placed += _draw_row(drawing, row, left + NAMES, y, width - NAMES, pitch, wide, shown)
    return placed


def _draw_row(drawing: Drawing, row: ListRow, left: float, y: float, room: float, pitch: float, wide: float, shown: int) -> list[Placed]:
    fits = int((room - (150 if row.looked else 90 if row.at[0] == FULL else 0)) // pitch)
    placed, x = list[Placed](), left
    more = 0
    for bar in shown_entries(row.bars, max(fits, 1)):
        if isinstance(bar, str):
            if row.at[0] == FULL:
                more += int(bar)
                continue
            drawing.word(x + wide / 2, y + 3 + BAR_HIGH / 2, bar, "quiet", align="center")
        else:
            rect = Rect(x, y + 4, wide, BAR_HIGH)
            _draw_bar(drawing, rect, bar, bar.pfn == shown >= 0)
            placed += [(rect.grown(6), bar.pfn)] * (bar.pfn >= 0)
        x += pitch
    if more:
        drawing.word(x, y + 11, f"+ {more:,} more: only counted" if room - (x - left) > 140 else f"+ {more:,} more", "quiet")
    if row.looked:
        need = 5.6 * len(row.looked) + 12
        drawing.ring(Rect(x + 2, y + 2, need, 19), "looked")
        drawing.word(x + 2 + need / 2, y + 11.5, row.looked, "ink", align="center")
    return placed


def _draw_bar(drawing: Drawing, rect: Rect, bar: Bar, shown: bool) -> None:
    middle = rect.y + rect.h / 2
    if bar.mark == "gone":
        drawing.quad(rect, None, "quiet", 1, "3 3")
        drawing.word(rect.x + rect.w / 2, rect.y + rect.h + 8, str(bar.pfn), "quiet", 10, mono=True, align="center")
        drawing.quad(Rect(rect.x + rect.w / 2 - 3.4 * len(str(bar.pfn)), rect.y + rect.h + 8, 6.8 * len(str(bar.pfn)), 1), "quiet")
        return
    tip = f"<b>slab at page {bar.pfn}</b><br>{bar.live} of {bar.objects} objects in use{f', {bar.resting} in sheaves' * (bar.resting > 0)}"
    if bar.pfn < 0:
        tip = f"<b>{bar.name} sheaf</b><br>{bar.live} of {bar.objects} objects wait in it"
    drawing.block(rect, FREE_LOOK, tip)
    x = rect.x
    for count, look in ((bar.live, PCP_LOOK if bar.pfn < 0 else USED_LOOKS[0]), (bar.resting, PCP_LOOK)):
        if count:
            part = Rect(x, rect.y, rect.w * count / bar.objects, rect.h)
            drawing.quad(part, look.fill, hatch=look.hatch, tip=tip)
            x += part.w
    if bar.mark == "changed":
        drawing.ring(rect, "changed")
    elif shown:
        drawing.ring(rect, "selected")
    if bar.mark == "moved":
        drawing.quad(Rect(rect.x, rect.y + rect.h + 1, rect.w, 2), "changed")
    drawing.word(rect.x + rect.w + 6, middle, str(bar.live), "quiet")
    name = bar.name or str(bar.pfn)
    drawing.word(rect.x + rect.w / 2, rect.y + rect.h + 9, name, "quiet", 10, mono=not bar.name, align="center")
