"""One slot of a slab, byte for byte: its fields as a bar, and each with the bytes in it and what they mean."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from ..mm.free_pointer import PAGE_OFFSET, object_address, stray_pointer
from ..mm.slab import END, IN_SHEAF, IN_USE, LOST, KmemCache
from ..mm.slab_debug import POISON_END, POISON_FREE, slot_bytes
from ..mm.slab_layout import Field, Slab, slot_fields
from .drawing import Drawing, Rect
from .palette import FREE_LOOK, HOLE_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, USED_LOOKS, Look
from .words import html_table

WIDTH, TOP, BAR, ROW = 824, 44, 30, 20
LEAST = 26
COLUMNS = (24, 108, 232, 480)
TRACK_LOOK = UNKNOWN_LOOK


class SlotShown(NamedTuple):
    """A slot as it is shown: where it is, whether its object is free, and its fields with bytes and meaning."""

    title: str
    state: str
    size: int
    fields: list["Part"]


class Part(NamedTuple):
    """A field of a slot: its place, its bytes in hex, what they mean, whether somebody wrote astray in it, and how it is drawn."""

    field: Field
    held: str
    meaning: str
    astray: bool
    look: Look


def slot_of(cache: KmemCache, slab: int, obj: int, random: int | None = None) -> SlotShown:
    """Read a slot.

    Args:
        cache: whose it is.
        slab, obj: numbers of the slab and of the object.
        random: of the cache, for its free pointer as it is stored; None for a kernel without CONFIG_SLAB_FREELIST_HARDENED.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> [(part.field.name, part.held, part.meaning) for part in slot_of(cache, cache.carve(3, 0), 0).fields][1]
    ('free pointer', '40 30 00 00 80 88 ff ff', 'leads to 0xffff888000003040: object 1')
    """
    after, layout = cache.next[slab * cache.stride + obj], cache.layout
    listed = after < IN_SHEAF or after == END
    values, start = slot_bytes(cache, slab, obj, random), object_address(cache, slab, obj) - layout.object_start
    parts = []
    for field in slot_fields(layout, listed):
        held = values[field.start : field.end]
        astray = any(start + byte in cache.stains for byte in range(field.start, field.end))
        meaning = _pointer(cache, slab, obj, random) if field.name == "free pointer" and listed else _meaning(cache, field, after)
        parts.append(Part(field, hex_runs(held), meaning, astray, _look(field, after)))
    state = {IN_USE: "in use", LOST: "lost: nobody has it", IN_SHEAF: "in a sheaf"}.get(after, "free")
    pfn = cache.pfn[slab]
    title = f"Object {obj} of the slab at {pfn}, {cache.name}"
    return SlotShown(title, state, layout.size, parts)


def hex_runs(values: Sequence[int | None], most: int = 10) -> str:
    """Write bytes in hex; many equal ones are written once, with their number, and what is not known is written ??.

    >>> hex_runs([0x6B] * 63 + [0xA5]), hex_runs([None] * 8), hex_runs([0x40, 0x30, 0, 0])
    ('6b x63 a5', '?? x8', '40 30 00 00')
    """
    runs = [("??", len(list(run))) if value is None else (f"{value:02x}", len(list(run))) for value, run in groupby(values)]
    words = [word for text, count in runs for word in ([text] * count if count < 5 and len(values) <= 8 else [f"{text} x{count}"])]
    words = [word.removesuffix(" x1") for word in words]
    return " ".join(words) if len(words) <= most else " ".join([*words[:most], "…"])


def _pointer(cache: KmemCache, slab: int, obj: int, random: int | None) -> str:
    leads = stray_pointer(cache, slab, obj, random)
    how = "leads" if random is None else "decoded, leads"
    if not leads:
        return f"{how} nowhere: the last of its freelist"
    found = cache.owners.get(leads - PAGE_OFFSET >> 12)
    index = cache.index(found[1], (1 << 30) + (leads - PAGE_OFFSET >> 3)) if found and found[0] is cache and not leads % 8 else -1
    return f"{how} to {leads:#x}: {f'object {index}' if index >= 0 and found and found[1] == slab else 'no object of this slab'}"


def _meaning(cache: KmemCache, field: Field, after: int) -> str:
    flags = cache.layout.flags
    match field.name:
        case "left red zone" | "right red zone":
            return "cc: the object is in use" if after == IN_USE else "bb: the object is free"
        case "object" if flags & Slab.OBJECT_POISON:
            return f"poison: {POISON_FREE:02x}, and {POISON_END:02x} at the end, until its owner writes"
        case "object":
            return "whatever its owner writes" if after == IN_USE else "what was there before"
        case "free pointer":
            return "what was there when it was handed out"
        case "alloc track":
            return "who allocated it, when, on which CPU"
        case "free track":
            return "who freed it, when, on which CPU"
        case "orig_size":
            return "the size that was asked for"
    return "5a where it is checked" if flags & Slab.POISON else "so that the next object is aligned"


def _look(field: Field, after: int) -> Look:
    match field.name:
        case "object":
            return USED_LOOKS[0] if after in (IN_USE, IN_SHEAF, LOST) else FREE_LOOK
        case "free pointer":
            return FREE_LOOK._replace(fill="paper", text="ink")
        case "left red zone" | "right red zone":
            return RESERVED_LOOK
        case "alloc track" | "free track" | "orig_size":
            return TRACK_LOOK
    return HOLE_LOOK


def slot_height(slot: SlotShown) -> float:
    """Return the height of the figure, in CSS pixels."""
    return TOP + BAR + 38 + ROW * len(slot.fields)


def draw_slot(drawing: Drawing, slot: SlotShown, top: float = 0) -> None:
    """Draw a slot: the bar of its fields, and a line for each."""
    drawing.word(0, top + 9, slot.title, "ink", 13, bold=True)
    drawing.word(WIDTH, top + 9, slot.state, "ink", bold=True, align="right")
    widths = bar_widths([part.field.end - part.field.start for part in slot.fields])
    scale = "in proportion" if widths[1] else "small fields are drawn wider than they are"
    drawing.word(0, top + 27, f"A slot of {slot.size:,} bytes; {scale}.", "quiet", 12)
    x: float = 0
    for part, width in zip(slot.fields, widths[0], strict=True):
        y, name = top + TOP, part.field.name
        rect = Rect(x + 0.5, y, width - 1, BAR)
        edge = {"free": "free_outline", "paper": "ink" if name == "free pointer" else "quiet"}.get(part.look.fill)
        hatch = part.look.hatch
        drawing.quad(rect, part.look.fill, edge, 1, hatch=hatch, tip=f"<b>{name}</b><br>bytes {part.field.start} to {part.field.end - 1}")
        if width > 6.2 * len(name) + 8 and hatch == "blank":
            drawing.word(rect.x + rect.w / 2, y + BAR / 2, name, part.look.text, align="center")
        if width >= 24:
            drawing.word(x + 1, y + BAR + 8, str(part.field.start), "quiet", 10, mono=True)
        x += width
    _draw_lines(drawing, slot, top + TOP + BAR + 30)


def _draw_lines(drawing: Drawing, slot: SlotShown, top: float) -> None:
    names, bytes_, held, meaning = COLUMNS
    for i, part in enumerate(slot.fields):
        y = top + ROW * i
        edge = {"free": "free_outline", "paper": "quiet"}.get(part.look.fill)
        drawing.quad(Rect(0, y - 5, 16, 10), part.look.fill, edge, 1, hatch=part.look.hatch, tip=" ")
        drawing.word(names, y, f"{part.field.start}-{part.field.end - 1}", "ink", mono=True)
        drawing.word(bytes_, y, part.field.name, "ink")
        drawing.word(held, y, part.held, "ink", mono=True)
        told = f"written astray; {part.meaning}" if part.astray else part.meaning
        drawing.word(meaning, y, told, "ink" if part.astray else "quiet", bold=part.astray)
        drawing.quad(Rect(0, y + ROW / 2 - 1, WIDTH, 1), "hairline")


def bar_widths(sizes: Sequence[int]) -> tuple[list[float], bool]:
    """Return how wide the fields of a slot are drawn, and whether that is in proportion.

    >>> bar_widths([32, 32]), bar_widths([8, 512])[0][0]
    (([412.0, 412.0], True), 26)
    """
    total = sum(sizes)
    small = [size * WIDTH < LEAST * total for size in sizes]
    if not any(small):
        return [WIDTH * size / total for size in sizes], True
    room = WIDTH - LEAST * sum(small)
    rest = sum(size for size, least in zip(sizes, small, strict=True) if not least)
    return [LEAST if least else room * size / rest for size, least in zip(sizes, small, strict=True)], False


def slot_table(slot: SlotShown) -> str:
    """Return a slot as an HTML table: bytes, field, what is in them, what it means."""
    rows = [
        (f"{part.field.start}-{part.field.end - 1}", part.field.name, part.held, f"{'written astray; ' * part.astray}{part.meaning}")
        for part in slot.fields
    ]
    return html_table(f"{slot.title}: {slot.state}", ("bytes", "field", "in hex", "what it means"), rows)
