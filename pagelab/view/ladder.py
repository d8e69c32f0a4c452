"""The ladder: one request, order by order, over the same pages on every rung."""

from ..mm.act import Act, Asked, Compared, Given, Linked, Taken, Unlinked, held_block
from .columns import Moment
from .drawing import Drawing, Rect
from .palette import FREE_LOOK, USED_LOOKS

RUNG = 24
BOX = 17


def ladder_height(orders: int) -> int:
    """Return the height for so many orders, in CSS pixels.

    >>> ladder_height(5)
    168
    """
    return RUNG * (orders + 1) + 24


def draw_ladder(drawing: Drawing, now: Moment, left: float, top: float, width: float) -> None:
    """Draw the rungs that the acts so far have reached."""
    asked = now.all[0] if now.all else None
    if not isinstance(asked, Asked):
        drawing.word(left, top + 10, "The end: no request follows.", "quiet")
        return
    rungs = _Rungs(drawing, now, left, top + 26, width)
    if asked.verb == "alloc":
        drawing.word(left, top + 10, f"Allocate order {asked.order}, order by order", "ink", 12, bold=True)
        rungs.split()
    else:
        drawing.word(left, top + 10, f"Free pfn {asked.pfn}, order {asked.order}, order by order", "ink", 12, bold=True)
        rungs.merge()


class _Rungs:
    """The rungs of one request: the pages that they span, and where each order stands."""

    def __init__(self, drawing: Drawing, now: Moment, left: float, top: float, width: float) -> None:
        self.drawing, self.acts = drawing, now.acts
        self.left, self.top, self.width = left, top, width
        self.first, self.last = _span(now.all)
        self.order = self.last

    def box(self, pfn: int, order: int, rung: int) -> Rect:
        """Return the place of a block on the rung of an order."""
        pages = 1 << self.last
        x = self.left + (pfn - self.first) * self.width / pages
        return Rect(x, self.top + (self.last - rung) * RUNG, max(3.0, (1 << order) * self.width / pages), BOX)

    def name(self, rung: int) -> None:
        self.drawing.word(self.left - 14, self.top + (self.last - rung) * RUNG + BOX / 2, str(rung), "ink", 12, bold=True, align="right")

    def say(self, text: str, beside: Rect, color: str = "quiet", bold: bool = False) -> None:
        """Write inside the box if the text fits, else to its right, else to its left."""
        need, y = 5.9 * len(text) + 10, beside.y + BOX / 2
        if beside.w > need:
            self.drawing.word(beside.x + beside.w / 2, y, text, color, bold=bold, align="center")
        elif beside.x + beside.w + need < self.left + self.width:
            self.drawing.word(beside.x + beside.w + 8, y, text, color, bold=bold)
        else:
            self.drawing.word(beside.x - 8, y, text, color, bold=bold, align="right")

    def split(self) -> None:
        for i, act in enumerate(self.acts):
            now = i == len(self.acts) - 1
            match act:
                case Unlinked(pfn, order, _):
                    self.name(order)
                    rect = self.box(pfn, order, order)
                    self.drawing.quad(rect, "free", "ink", 1.5, "4 3")
                    self.say(f"{pfn}, head of list {order}: unlinked", rect, "changed_text" if now else "quiet", now)
                case Linked(pfn, order, _, _):
                    self.name(order)
                    rect, kept = self.box(pfn, order, order), self.box(pfn - (1 << order), order, order)
                    self.drawing.quad(kept, None, "quiet", 1, "3 3")
                    self.drawing.block(rect, FREE_LOOK)
                    if now:
                        self.drawing.ring(rect, "changed")
                    self.say(f"{pfn} to the head of list {order}", rect, "changed_text" if now else "quiet", now)
                case Taken(pfn, order, mt):
                    self.name(order)
                    rect = self.box(pfn, order, order)
                    self.drawing.block(rect, USED_LOOKS[min(mt, 2)])
                    self.drawing.ring(rect, "changed")
                    text = f"{pfn} handed out"
                    far = self.left + self.width if order < self.last else rect.x + rect.w + 8
                    if order < self.last:
                        self.drawing.word(far, rect.y + BOX / 2, text, "changed_text", bold=True, align="right")
                    else:
                        self.drawing.word(rect.x + rect.w / 2, rect.y - 7, text, "changed_text", bold=True, align="center")

    def merge(self) -> None:
        for i, act in enumerate(self.acts):
            now, held = i == len(self.acts) - 1, held_block(self.acts[:i])
            match act:
                case Given(pfn, order):
                    self.name(order)
                    self.drawing.quad(self.box(pfn, order, order), "changed")
                case Unlinked(pfn, order, _) if held:
                    self.drawing.quad(self.box(pfn, order, order), "free", "ink", 1.5, "4 3")
                    grown = self.box(held[0] & pfn, order + 1, order + 1)
                    self.name(order + 1)
                    self.drawing.quad(grown, "free", "ink", 1)
                    if now:
                        self.drawing.ring(grown, "changed")
                    pair = self.box(held[0] & pfn, order + 1, order)
                    self.say(f"{pfn} is free, order {order}: merge", pair, "changed_text" if now else "quiet", now)
                case Compared(pfn, order) if held and order == held[1]:
                    rect = self.box(pfn, order, order)
                    if self.left - 1 <= rect.x <= self.left + self.width:
                        self.drawing.quad(rect, None, "ink", 1.5, "4 3")
                    self.below(f"{pfn}: {_why(act)}. Merging stops.", now)
                case Linked(pfn, order, _, tail):
                    rect = self.box(pfn, order, order)
                    self.drawing.quad(rect, "free", "free_outline")
                    self.drawing.ring(rect, "changed")
                    self.say(f"{pfn} to the {'tail' if tail else 'head'} of list {order}", rect, "changed_text", True)

    def below(self, text: str, now: bool) -> None:
        lowest = next(act.order for act in self.acts if isinstance(act, Given))
        y = self.top + (self.last - lowest + 1) * RUNG + BOX / 2
        self.drawing.word(self.left, y, text, "ink" if now else "quiet")


def _why(act: Compared) -> str:
    block = act.block
    if block.kind == "hole":
        return "outside the zone"
    return f"free, but order {block.order}" if block.kind == "free" else block.kind


def _span(acts: tuple[Act, ...]) -> tuple[int, int]:
    """Return the block that holds all pages of a request and the buddies it asked: its pfn and order."""
    blocks = [(a.pfn, a.order) for a in acts if isinstance(a, (Unlinked, Given, Linked, Taken))]
    linked = acts[-1] if isinstance(acts[-1], Linked) else None
    if linked and any(isinstance(a, Compared) and a.order == linked.order and a.block.kind != "hole" for a in acts):
        blocks.append((linked.pfn & ~(1 << linked.order), linked.order + 1))
    pfn, order = max(blocks, key=lambda block: block[1], default=(0, 0))
    return pfn, order
