"""The page map: every page of a zone in its place, free blocks outlined, what this step changed ringed."""

from collections.abc import Iterable

from ..lab.caption import span
from ..mm.act import Asked, Compared, Given, Linked, Taken, Unlinked, held_block
from ..mm.units import PAGE_SHIFT, PAGEBLOCK_NR_PAGES
from ..mm.zone import MIGRATETYPES, Block, Zone
from .columns import Layout, Moment
from .drawing import Drawing, Rect
from .palette import FREE_LOOK, HOLE_LOOK, RESERVED_LOOK, USED_LOOKS, Look

MAX_OUTLINES = 600


def look_of(block: Block) -> Look:
    """Return how a block of a zone is drawn.

    >>> look_of(Block(0, 0, "in use", 1)).letter
    'M'
    """
    kinds = {"free": FREE_LOOK, "held": FREE_LOOK, "hole": HOLE_LOOK, "reserved": RESERVED_LOOK}
    return kinds.get(block.kind) or USED_LOOKS[min(block.mt, 2)]


def tip(block: Block) -> str:
    """Return what hovering over a block says, in three lines of HTML.

    >>> tip(Block(4, 1, "free", 1))
    '<b>pages 4-5</b><br>free, order 1, movable<br>0x4000'
    """
    kind = block.kind if block.mt < 0 else f"{block.kind}, order {block.order}, {MIGRATETYPES[block.mt]}"
    return f"<b>{span(block.head, block.order)}</b><br>{kind}<br>{block.head << PAGE_SHIFT:#x}"


def blocks_of(zone: Zone) -> list[Block]:
    """Return every block of a zone, ascending.

    >>> blocks_of(Zone(16))[0].kind
    'reserved'
    """
    found, pfn = [], zone.start_pfn
    while pfn < zone.end_pfn:
        found.append(zone.block(pfn))
        pfn = found[-1].head + (1 << found[-1].order)
    return found


def draw_map(drawing: Drawing, where: Layout, now: Moment, left: float, top: float, selected: int | None = None) -> None:
    """Draw the map of a moment with its upper left corner at (left, top)."""
    if where.cells.size <= 64:
        _labelled_pages(drawing, where, now.zone, left, top)
    else:
        drawing.picture(where.image(now.zone.page_states()), where.at(left, top))
        _gutter(drawing, where, now.zone, left, top)
        if not where.tiled:
            free = [Block(pfn, order, "free", mt) for order in reversed(range(11)) for mt in range(6) for pfn in now.zone.blocks(order, mt)]
            held = held_block(now.acts)
            _outlines(drawing, where, [*([Block(*held, "held", -1)] if held else []), *free[:MAX_OUTLINES]], left, top)
    own, changed, looked = marks(now)
    for block in own:
        for rect in _moved(where.rects(*block), left, top):
            low, high = (0.78, 0.14) if where.cells.size <= 64 else (0.3, 0.4)
            drawing.quad(Rect(rect.x + 1, rect.y + rect.h * low, rect.w - 2, rect.h * high), "changed")
    for blocks, kind in ((looked, "looked"), (changed, "changed")):
        for block in blocks:
            if where.start <= block[0] and block[0] + (1 << block[1]) <= now.zone.end_pfn:
                for rect in _moved(where.rects(*block), left, top):
                    drawing.ring(rect, kind)
    if selected is not None:
        _selection(drawing, where, now.zone.block(selected), left, top)


def marks(now: Moment) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Return what to mark at a moment: the request's own pages inside a larger block, what changed, what was looked at.

    Each is a list of (pfn, order).

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> marks(moment(scenario.text("alloc 0; free 0"), 1, 2))
    ([(0, 0)], [(0, 1)], [])
    """
    if not now.acts:
        return [], [], []
    act, asked = now.acts[-1], now.acts[0]
    held = held_block(now.acts)
    looked = [(act.pfn, act.order)] if isinstance(act, Compared) else []
    changed = [held] if held else []
    match act:
        case Asked("free", order, _, pfn) | Given(pfn, order):
            changed = [(pfn, order)]
        case Linked(pfn, order, _, _) | Taken(pfn, order, _):
            changed = [(pfn, order)]
    given = next((a for a in now.acts if isinstance(a, Given)), None)
    merged = any(isinstance(a, Unlinked) for a in now.acts)
    own = [(given.pfn, given.order)] if given and merged and isinstance(asked, Asked) else []
    return own, changed, looked


def _moved(rects: Iterable[Rect], left: float, top: float) -> list[Rect]:
    return [Rect(rect.x + left, rect.y + top, rect.w, rect.h) for rect in rects]


def _labelled_pages(drawing: Drawing, where: Layout, zone: Zone, left: float, top: float) -> None:
    for block in blocks_of(zone):
        look = look_of(block)
        for rect in _moved(where.rects(block.head, block.order), left, top):
            drawing.block(rect.grown(-0.75), look, tip(block))
        for pfn in range(block.head, block.head + (1 << block.order)):
            rect = _moved(where.rects(pfn, 0), left, top)[0]
            size = 11 if rect.w > 20 else 10
            drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, str(pfn), look.text, size, mono=size > 10, align="center")


def _outlines(drawing: Drawing, where: Layout, blocks: Iterable[Block], left: float, top: float) -> None:
    for block in blocks:
        for rect in _moved(where.rects(block.head, block.order), left, top):
            drawing.block(rect.grown(-0.5), FREE_LOOK, tip(block))
            if rect.h >= 15 and rect.w > 60:
                drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, f"order {block.order}", align="center")


def _gutter(drawing: Drawing, where: Layout, zone: Zone, left: float, top: float) -> None:
    step = PAGEBLOCK_NR_PAGES * where.per_cell
    for pfn in sorted({where.start, *range(-(-where.start // step) * step, zone.end_pfn, step)}):
        rect = _moved(where.rects(pfn, 0), left, top)[0]
        label = MIGRATETYPES[zone.block_type(max(pfn, zone.start_pfn))][0].upper()
        if where.tiled:
            if label != "M":
                drawing.quad(Rect(rect.x, rect.y, 13, 14), "paper")
                drawing.word(rect.x + 6.5, rect.y + 7, label, "ink", bold=True, align="center")
            if rect.x > left:
                continue
        drawing.word(left - 8, rect.y + 7, str(pfn), "quiet", mono=True, align="right")
        if not where.tiled:
            drawing.word(left - 8, rect.y + 20, label, "quiet", bold=True, align="right")


def _selection(drawing: Drawing, where: Layout, block: Block, left: float, top: float) -> None:
    rects = _moved(where.rects(block.head, block.order), left, top)
    for rect in rects:
        drawing.ring(rect, "selected")
    text = f"{span(block.head, block.order)}: {block.kind}"
    x, y = rects[0].x + rects[0].w + 6, rects[0].y + rects[0].h / 2
    width = 6.2 * len(text) + 8
    if x + width > left + where.width:
        x = max(left, rects[0].x - width - 6)
    drawing.quad(Rect(x, y - 8, width, 16), "paper")
    drawing.word(x + 4, y, text, "ink", bold=True)
