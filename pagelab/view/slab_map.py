"""A slab, byte for byte: a row for each page, so that objects that cross a page show, and for each free object its place on a freelist."""

from collections.abc import Iterator
from typing import NamedTuple

from ..lab.caption import span
from ..mm.sheaf_act import Refilled
from ..mm.slab_act import (
    Carved,
    Delisted,
    Discarded,
    Drawn,
    Enlisted,
    Loaded,
    Lost,
    Popped,
    Pushed,
    Put,
    Regained,
    Rested,
    Unloaded,
)
from ..mm.slab_layout import Layout
from ..mm.units import PAGE_SIZE
from .drawing import Drawing, Rect
from .freelist_arrows import Stop, arrows, draw_arrows, thin_line
from .palette import FREE_LOOK, HOLE_LOOK, PCP_LOOK, UNKNOWN_LOOK, USED_LOOKS, Look
from .slab_columns import SlabMoment, SlabShown, Slot, place_name
from .summary import plural

WIDTH, GUTTER = 824, 56
ACROSS = WIDTH - GUTTER
TOP, LEGEND = 50, 26
LOOKS = {
    "in use": USED_LOOKS[0]._replace(letter="", words="in use"),
    "free": FREE_LOOK._replace(words="free, with its place on the CPU's freelist"),
    "in a sheaf": PCP_LOOK._replace(letter="s", words="in a sheaf"),
    "lost": UNKNOWN_LOOK._replace(hatch="diagonal_cross", letter="L", words="lost: nobody has it"),
}
LOST = "lost"


class Grid(NamedTuple):
    """The rows of a slab's map: how many bytes are in one, how many there are, how high they are and how far apart, in CSS pixels."""

    per_row: int
    rows: int
    high: float
    pitch: float

    def x(self, byte: int) -> float:
        """Return where a byte of a row lies, counted from the row's start."""
        return ACROSS * byte / self.per_row


def slab_grid(layout: Layout) -> Grid:
    """Choose the rows: a page each, less where objects would be too narrow, more where there would be too many.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> slab_grid(slab_layout(704, cpus=4))[:2], slab_grid(slab_layout(8))[:2]
    ((4096, 4), (512, 8))
    """
    per_row, slab = PAGE_SIZE, PAGE_SIZE << layout.order
    while per_row > 512 and layout.size * ACROSS < 12 * per_row:
        per_row //= 2
    while slab > 8 * per_row:
        per_row *= 2
    rows = slab // per_row
    return Grid(per_row, rows, *((34, {1: 62, 2: 54}.get(rows, 46)) if rows <= 4 else (20, 28)))


def slab_height(layout: Layout) -> float:
    """Return the height of the figure, in CSS pixels.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> slab_height(slab_layout(704, cpus=4))
    260
    """
    grid = slab_grid(layout)
    return TOP + grid.rows * grid.pitch + LEGEND


def draw_slab(drawing: Drawing, now: SlabMoment, slab: SlabShown | None, cpus: int, top: float) -> None:
    """Draw a slab with its title and its legend; where there is none, say so."""
    layout = now.cache.layout
    grid = slab_grid(layout)
    drawing.word(0, top + 15, f"A slab of {now.cache.name}, byte for byte", "ink", 13, bold=True)
    drawing.word(0, top + 33, geometry(layout, cpus), "quiet", 12)
    for row in range(grid.rows):
        drawing.word(GUTTER - 8, top + TOP + row * grid.pitch + grid.high / 2, f"+{row * grid.per_row}", "quiet", mono=True, align="right")
    if slab is None:
        for row in range(grid.rows):
            drawing.quad(Rect(GUTTER, top + TOP + row * grid.pitch, ACROSS, grid.high), None, "quiet", 1, "3 3")
        drawing.word(GUTTER + 12, top + TOP + grid.high / 2, missing(now), "ink")
        return
    where = f"{span(slab.pfn, slab.order)}: {slab.where}, {slab.live} of {plural(len(slab.slots), 'object')} in use"
    drawing.word(WIDTH, top + 15, where, "ink", align="right")
    for slot in slab.slots:
        _draw_slot(drawing, grid, slot, top + TOP, slab.served)
    if grid.high >= 30:
        step = 3 if grid.rows > 2 else 4
        found = arrows([_chain(grid, slab, "cpu"), _chain(grid, slab, "slab")], int(grid.pitch - grid.high) // step - 1)
        draw_arrows(drawing, found, top + TOP, grid.high, grid.pitch, step)
    for row, x, width, *_ in _pieces(grid, slab.waste, slab.size):
        drawing.block(Rect(x + 1, top + TOP + row * grid.pitch, width - 1, grid.high), HOLE_LOOK, "<b>waste</b>")
    _draw_legend(drawing, now, slab, top + TOP + grid.rows * grid.pitch + 7)


def geometry(layout: Layout, cpus: int) -> str:
    """Tell the geometry of a cache in a sentence.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> geometry(slab_layout(704, cpus=4), 4)
    'Slots of 704 bytes on a machine with 4 CPUs: order 2, so 4 pages hold 23 objects, and 192 bytes are left over.'
    """
    left = f"{plural(layout.waste, 'byte')} {'is' if layout.waste == 1 else 'are'} left over" if layout.waste else "nothing is left over"
    pages = plural(1 << layout.order, "page")
    held = f"{pages} hold{'s' * (not layout.order)} {plural(layout.objects, 'object')}"
    return f"Slots of {layout.size:,} bytes on a machine with {plural(cpus, 'CPU')}: order {layout.order}, so {held}, and {left}."


def missing(now: SlabMoment) -> str:
    """Say why no slab is shown."""
    gone = next((act for act in reversed(now.acts) if isinstance(act, Discarded)), None)
    if gone:
        return f"{span(gone.pfn, gone.order).capitalize()}: a slab no more. Its pages go back to the page allocator."
    return f"{now.cache.name} has no slab." if now.before.carved else f"{now.cache.name} has no slab yet: the first request takes one."


def ordinal(place: int) -> str:
    """Write a number as a place.

    >>> [ordinal(place) for place in (1, 2, 3, 4, 11, 12, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '21st', '112th']
    """
    return f"{place}{'th' if place % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"


def look_of_slot(slot: Slot) -> Look:
    """Return how an object is drawn."""
    return LOOKS[slot.state]


def _pieces(grid: Grid, start: int, end: int) -> Iterator[tuple[int, float, float, bool, bool]]:
    """Yield the parts of some bytes in the rows: row, left, width, and whether the bytes begin and end there."""
    for row in range(start // grid.per_row, -(-end // grid.per_row)):
        low, high = max(start - row * grid.per_row, 0), min(end - row * grid.per_row, grid.per_row)
        first, last = start >= row * grid.per_row, end <= (row + 1) * grid.per_row
        yield row, GUTTER + grid.x(low), grid.x(high) - grid.x(low), first, last


def _draw_slot(drawing: Drawing, grid: Grid, slot: Slot, top: float, bracketed: bool) -> None:
    look, pieces = look_of_slot(slot), list(_pieces(grid, slot.start, slot.end))
    gap = 1.0 if grid.x(slot.end - slot.start) >= 24 else 0.5
    widest = max(pieces, key=lambda piece: piece[2])
    for piece in pieces:
        row, x, width, first, last = piece
        left, right = x + gap * first, x + width - gap * last
        rect = Rect(left, top + row * grid.pitch, max(right - left, 0.5), grid.high)
        dashed = slot.whose == "slab"
        drawing.quad(rect, look.fill, hatch=look.hatch, tip=_tip(slot))
        if look.fill == "free":
            _outline(drawing, rect, first, last, dashed)
        if slot.mark in ("changed", "looked"):
            drawing.ring(rect, slot.mark)
        elif slot.mark == "moved":
            drawing.quad(Rect(rect.x + 1, rect.y + rect.h - 4, rect.w - 2, 3), "changed")
        _write(drawing, slot, look, rect, first or piece is widest, piece is widest, bracketed)


def _chain(grid: Grid, slab: SlabShown, whose: str) -> tuple[list[Stop], bool]:
    """Return where the objects of one freelist stand, head first, and whether its arrows are dashed."""
    stops = []
    for slot in sorted((slot for slot in slab.slots if slot.whose == whose), key=lambda slot: slot.place):
        row, x, width, *_ = max(_pieces(grid, slot.start, slot.end), key=lambda piece: piece[2])
        stops.append(Stop(row, x + width / 2))
    return stops, whose == "slab"


def _outline(drawing: Drawing, rect: Rect, first: bool, last: bool, dashed: bool) -> None:
    """Draw the edge of a free object, open where it goes on in another row."""
    if first and last:
        drawing.quad(rect.grown(-0.5), None, "free_outline", 1, "3 2" if dashed else "solid")
        return
    right, bottom = rect.x + rect.w - 1, rect.y + rect.h - 1
    for y in (rect.y, bottom):
        thin_line(drawing, rect.x, y, right, y, dashed, "free_outline")
    if first or last:
        x = rect.x if first else right
        thin_line(drawing, x, rect.y, x, bottom, dashed, "free_outline")


def _write(drawing: Drawing, slot: Slot, look: Look, rect: Rect, number: bool, place: bool, bracketed: bool) -> None:
    """Write an object's number, and its place on its freelist or the letter of its state, as far as there is room."""
    tall, index = rect.h >= 30, str(slot.obj)
    word = ordinal(slot.place) if slot.place else look.letter
    word = f"({word})" if bracketed and slot.whose == "slab" else word
    if number and rect.w >= 6 * len(index) + 4:
        color = "quiet" if look.fill == "free" else look.text
        if tall and rect.w >= 40:
            drawing.word(rect.x + 7, rect.y + 9, index, color, 10)
        elif tall:
            drawing.word(rect.x + rect.w / 2, rect.y + 9, index, color, 10, align="center")
        elif rect.w >= 40:
            drawing.word(rect.x + 5, rect.y + rect.h / 2, index, color, 10)
    if place and word and tall and rect.w >= 6.4 * len(word) + 4:
        large = rect.w >= 8 * len(word) + 12
        drawing.word(rect.x + rect.w / 2, rect.y + 21, word, look.text, 12 if large else 10, bold=True, align="center")
    elif place and word and not tall and rect.w >= 6.4 * len(word) + 2 * (6 * len(index) + 8):
        drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, word, look.text, 11, bold=True, align="center")


def _tip(slot: Slot) -> str:
    place = f", {ordinal(slot.place)} on the {'CPU' if slot.whose == 'cpu' else 'slab'}'s freelist" if slot.place else ""
    after = f"<br>next: object {slot.after}" if slot.after >= 0 else ""
    return f"<b>object {slot.obj}</b><br>{slot.state}{place}<br>bytes {slot.start:,} to {slot.end - 1:,}{after}"


def _draw_legend(drawing: Drawing, now: SlabMoment, slab: SlabShown, y: float) -> None:
    states = {slot.state for slot in slab.slots}
    bracketed = slab.served and any(slot.whose == "slab" for slot in slab.slots)
    own = "free; (1st): on the slab's own freelist" if bracketed else "free, with its place on the slab's freelist"
    whose = LOOKS["free"].words if slab.served and not bracketed else own
    shown = [LOOKS["free"]._replace(words=whose), LOOKS["in use"], *(LOOKS[state] for state in ("in a sheaf", "lost") if state in states)]
    if waste := slab.size - slab.waste:
        shown.append(HOLE_LOOK._replace(words=f"waste, {waste:,} B ({100 * waste / slab.size:.1f} %)"))
    x: float = GUTTER
    for look in shown:
        edge, dash = "free_outline" if look.fill == "free" else None, "solid" if slab.served else "3 2"
        drawing.quad(Rect(x, y - 6, 20, 12), look.fill, edge, 1, dash, look.hatch, " ")
        if look.letter:
            drawing.word(x + 10, y, look.letter, look.text, 10, bold=True, align="center")
        drawing.word(x + 26, y, look.words, "quiet")
        x += 26 + 5.3 * len(look.words) + 18
    drawing.word(WIDTH, y, said(now, slab.pfn), "changed_text", bold=True, align="right")


def said(now: SlabMoment, pfn: int) -> str:
    """Tell in a few words what this act changed in a slab, or nothing.

    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> from pagelab.view.slab_columns import slab_moment
    >>> said(slab_moment(Tape(slab_machine(64)).then([kmalloc_request(512)]), 0, -1, "kmalloc-512"), 0)
    'object 0 handed out'
    """
    act = now.act
    if act is None or getattr(act, "pfn", -1) != pfn:
        return ""
    match act:
        case Popped() | Drawn():
            return f"object {act.obj} handed out"
        case Pushed():
            return f"object {act.obj} just freed: next to be used"
        case Put():
            return f"object {act.obj} just freed: the slab's 1st"
        case Rested():
            return f"object {act.obj} {'comes out of' if act.awake else 'goes into'} a sheaf"
        case Refilled():
            return f"{plural(act.objects, 'free object')} {'goes' if act.objects == 1 else 'go'} into a sheaf of cpu {act.cpu}"
        case Lost():
            return "its free objects are given up"
        case Carved():
            return f"a new slab: {plural(act.objects, 'object')}, all free"
        case Loaded() | Regained():
            return f"cpu {act.cpu} takes {plural(act.free, 'free object')}"
        case Unloaded():
            return f"cpu {act.cpu} gives the slab up"
        case Enlisted():
            return f"to the {'tail' if act.tail else 'head'} of {place_name(now, (act.place, act.owner))}"
        case Delisted():
            return f"taken off {place_name(now, (act.place, act.owner))}"
    return ""
