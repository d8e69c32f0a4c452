"""The page map: every page of a zone in its place, free blocks outlined, what this step changed ringed."""

from collections.abc import Iterable

from ..lab.caption import span
from ..mm.act import (
    Asked,
    Compared,
    Counted,
    Given,
    Held,
    Linked,
    Migrated,
    Moved,
    Parked,
    Relabelled,
    Taken,
    Unlinked,
    Unparked,
    held_block,
)
from ..mm.units import PAGE_SHIFT, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from ..mm.zone import ISOLATE, MIGRATETYPES, Block, Zone
from .columns import LETTERS, Moment, pageblocks
from .drawing import Drawing, Rect
from .layout import Layout
from .palette import FREE_LOOK, HOLE_LOOK, PCP_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, USED_LOOKS, Look
from .texture import draw_texture

MAX_OUTLINES = 600
# A recorded zone has free blocks whose list is not known yet, and pages whose use the flags did not tell.
UNKNOWN_TYPE = {"free": "isolated, or its list not known", "in use": "kind not known"}


def look_of(block: Block) -> Look:
    """Return how a block of a zone is drawn.

    >>> look_of(Block(0, 0, "in use", 1)).letter
    'M'
    """
    kinds = {"free": FREE_LOOK, "held": FREE_LOOK, "pcp": PCP_LOOK, "hole": HOLE_LOOK, "reserved": RESERVED_LOOK}
    return kinds.get(block.kind) or (UNKNOWN_LOOK if block.mt == ISOLATE else USED_LOOKS[min(block.mt, 2)])


def tip(block: Block) -> str:
    """Return what hovering over a block says, in three lines of HTML.

    >>> tip(Block(4, 1, "free", 1))
    '<b>pages 4-5</b><br>free, order 1, movable<br>0x4000'
    """
    kind = f"on a per-CPU list, order {block.order}" if block.kind == "pcp" else block.kind
    if block.mt >= 0:
        mt = UNKNOWN_TYPE.get(block.kind) if block.mt == ISOLATE else MIGRATETYPES[block.mt]
        kind = f"{kind}, order {block.order}, {mt}"
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
        image = where.image(now.zone.page_states())
        drawing.picture(image, where.at(left, top))
        draw_texture(drawing, where, image, left, top)
        _gutter(drawing, where, now, left, top)
        if not where.tiled:
            free = [Block(pfn, order, "free", mt) for order in reversed(range(11)) for mt in range(6) for pfn in now.zone.blocks(order, mt)]
            held = held_block(now.here)
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
    if selected is not None and now.zone.start_pfn <= selected < now.zone.end_pfn:
        _selection(drawing, where, now.zone.block(selected), left, top)


def marks(now: Moment) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Return what to mark at a moment: the request's own pages inside a larger block, what changed, what was looked at.

    Each is a list of (pfn, order).

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> marks(moment(scenario.text("alloc 0; free 0"), 1, 2))
    ([(0, 0)], [(0, 1)], [])
    """
    held = held_block(now.here)
    changed, looked = [held] if held else [], list[tuple[int, int]]()
    match now.act:
        case Asked("free", order, _, pfn) | Given(pfn, order) | Linked(pfn, order) | Taken(pfn, order) | Parked(pfn, order):
            changed = [(pfn, order)]
        case Unparked(pfn, order) | Moved(pfn, order) | Relabelled(pfn, order) | Held(pfn, order):
            changed = [(pfn, order)]
        case Migrated(pfn, to, order):
            changed, looked = [(to, order)], [(pfn, order)]
        case Compared(pfn, order):
            looked = [(pfn, order)]
        case Counted(pfn):
            looked = [(pfn & -PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER)]
    # One of several blocks that a request gives back is not to be told from the others.
    given = [(a.pfn, a.order) for a in now.acts if isinstance(a, Given)]
    own = given if len(given) == 1 and any(isinstance(a, Unlinked) for a in now.here) and _holds(changed, given[0][0]) else []
    return own, changed, looked


def _holds(blocks: Iterable[tuple[int, int]], pfn: int) -> bool:
    return any(head <= pfn < head + (1 << order) for head, order in blocks)


def _moved(rects: Iterable[Rect], left: float, top: float) -> list[Rect]:
    return [Rect(rect.x + left, rect.y + top, rect.w, rect.h) for rect in rects]


def _labelled_pages(drawing: Drawing, where: Layout, zone: Zone, left: float, top: float) -> None:
    for block in blocks_of(zone):
        look = look_of(block)
        for rect in _moved(where.rects(block.head, block.order), left, top):
            draw_block(drawing, rect, block)
        for pfn in range(block.head, block.head + (1 << block.order)):
            rect = _moved(where.rects(pfn, 0), left, top)[0]
            size = 11 if rect.w > 20 else 10
            drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, str(pfn), look.text, size, mono=size > 10, align="center")


def draw_block(drawing: Drawing, rect: Rect, block: Block, alpha: float = 1) -> None:
    """Draw a block on whose pages numbers stand: dots stand below these, not under them."""
    look, dots = look_of(block), Rect(rect.x + 0.75, rect.y + rect.h - 8, rect.w - 1.5, 7.25)
    drawing.block(rect.grown(-0.75), look if look is not PCP_LOOK else look._replace(hatch="blank"), tip(block), alpha)
    if look is PCP_LOOK:
        drawing.block(dots, look, tip(block), alpha)


def _outlines(drawing: Drawing, where: Layout, blocks: Iterable[Block], left: float, top: float) -> None:
    for block in blocks:
        for rect in _moved(where.rects(block.head, block.order), left, top):
            drawing.block(rect.grown(-0.5), FREE_LOOK, tip(block))
            if rect.h >= 15 and rect.w > 60:
                drawing.word(rect.x + rect.w / 2, rect.y + rect.h / 2, f"order {block.order}", align="center")


def _gutter(drawing: Drawing, where: Layout, now: Moment, left: float, top: float) -> None:
    """Name each pageblock: its first pfn, and the letter of its label, in accent where this request changed it."""
    step = PAGEBLOCK_NR_PAGES * where.per_cell
    changed = [act for act in now.here if isinstance(act, Relabelled)]
    for pfn in pageblocks(now.zone):
        if where.tiled and (pfn - where.start) % step:
            continue
        rect = _moved(where.rects(pfn, 0), left, top)[0]
        # The map of a zone that begins inside a row begins with that row.
        rect, first = (rect, pfn) if pfn != now.zone.start_pfn else (_moved(where.rects(where.start, 0), left, top)[0], where.start)
        letter, mine = LETTERS[now.zone.block_type(pfn)], any(_holds([act[:2]], pfn) for act in changed)
        if where.tiled:
            if letter != "M" or mine:
                drawing.quad(Rect(rect.x, rect.y, 13, 14), "paper")
                drawing.word(rect.x + 6.5, rect.y + 7, letter, "changed_text" if mine else "ink", bold=True, align="center")
            if rect.x > left:
                continue
        drawing.word(left - 8, rect.y + 7, str(first), "quiet", mono=True, align="right")
        if not where.tiled:
            drawing.word(left - 8, rect.y + 20, letter, "changed_text" if mine else "quiet", bold=True, align="right")


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
