"""The ladder: one request, order by order, over the same pages on every rung."""

from collections.abc import Sequence

from ..lab.caption import span
from ..mm.act import Act, Asked, Compared, Given, Linked, Looked, Parked, Refused, Taken, Unlinked, Unparked, held_block
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


def stretch(now: Moment) -> tuple[tuple[Act, ...], tuple[Act, ...]]:
    """Return the acts so far about the block that the request has in hand, and all acts about it.

    A refill takes several blocks one after the other, and a drain frees several: each is a ladder of its own.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> [len(acts) for acts in stretch(moment(scenario.text("alloc 3"), 0, 1))]
    [2, 5]
    """
    acts = now.all_here
    starts = {i for i, act in enumerate(acts) if isinstance(act, Unparked) or (isinstance(act, Given) and i > 1)}
    starts |= {i + 1 for i, act in enumerate(acts) if isinstance(act, Parked)}
    done = len(now.here)
    low = max((i for i in starts if i < done), default=0)
    return now.here[low:], acts[low : min((i for i in starts if i > low), default=len(acts))]


def draw_ladder(drawing: Drawing, now: Moment, left: float, top: float, width: float) -> None:
    """Draw the rungs that the acts so far have reached."""
    asked = now.all[0] if now.all else None
    if not isinstance(asked, Asked):
        drawing.word(left, top + 10, "The end: no request follows.", "quiet")
        return
    acts, every = stretch(now)
    rungs = _Rungs(drawing, acts, every, left, top + 26, width)
    freed = next((act for act in every if isinstance(act, Given) or (isinstance(act, Unparked) and act.tail)), None)
    if freed:
        drawing.word(left, top + 10, f"Free pfn {freed.pfn}, order {freed.order}, order by order", "ink", 12, bold=True)
        rungs.merge()
    elif asked.order >= 0:
        drawing.word(left, top + 10, f"Allocate order {asked.order}, order by order", "ink", 12, bold=True)
        rungs.split()
    else:
        drawing.word(left, top + 10, "Nothing is split or merged for a caller.", "quiet")
        return
    rungs.name_ahead()


class _Rungs:
    """The rungs of one request: the pages that they span, and where each order stands."""

    def __init__(self, drawing: Drawing, acts: Sequence[Act], every: Sequence[Act], left: float, top: float, width: float) -> None:
        self.drawing, self.acts, self.every = drawing, acts, every
        self.left, self.top, self.width = left, top, width
        self.first, self.span = _span(every)
        orders = [a.order for a in every if isinstance(a, (Unlinked, Linked, Taken, Given, Unparked))]
        self.highest, lowest = max(orders, default=0), min(orders, default=1)
        self.ahead = set(range(lowest, self.highest + 1))

    def y(self, rung: int) -> float:
        return self.top + (self.highest - rung) * RUNG

    def box(self, pfn: int, order: int, rung: int) -> Rect:
        """Return the place of a block on the rung of an order."""
        page = self.width / (1 << self.span)
        return Rect(self.left + (pfn - self.first) * page, self.y(rung), max(3.0, (1 << order) * page), BOX)

    def name(self, rung: int) -> None:
        self.ahead.discard(rung)
        self.drawing.word(self.left - 14, self.y(rung) + BOX / 2, str(rung), "ink", 12, bold=True, align="right")

    def name_ahead(self) -> None:
        """Name the rungs that the acts so far have not reached."""
        for rung in self.ahead:
            self.drawing.word(self.left - 14, self.y(rung) + BOX / 2, str(rung), "quiet", 12, align="right")

    def say(self, text: str, beside: Rect, now: bool, inside: Rect | None = None) -> None:
        """Write inside a box (`inside`, where that is given), to its right or to its left: where there is room first."""
        color, need, y = "changed_text" if now else "quiet", 5.9 * len(text) + 12, beside.y + BOX / 2
        if inside is None and beside.w > need:
            self.drawing.word(beside.x + beside.w / 2, y, text, color, bold=now, align="center")
        elif beside.x + beside.w + need < self.left + self.width:
            self.drawing.word(beside.x + beside.w + 8, y, text, color, bold=now)
        elif beside.x - need > self.left:
            self.drawing.word(beside.x - 8, y, text, color, bold=now, align="right")
        else:
            into = inside or beside
            self.drawing.word(into.x + into.w / 2, y, text, color, bold=now, align="center")

    def split(self) -> None:
        for i, act in enumerate(self.acts):
            now = i == len(self.acts) - 1
            match act:
                case Unlinked(pfn, order, _):
                    self.name(order)
                    rect = self.box(pfn, order, order)
                    self.drawing.quad(rect, "free", "ink", 1.5, "4 3")
                    if not any(isinstance(a, Taken) and a.order == order for a in self.acts):
                        self.say(f"{pfn}, head of list {order}: unlinked", rect, now)
                case Linked(pfn, order, _, _):
                    self.name(order)
                    rect, kept = self.box(pfn, order, order), self.box(pfn - (1 << order), order, order)
                    self.drawing.quad(kept, None, "quiet", 1, "3 3")
                    if now and kept.w > 60:
                        self.drawing.word(kept.x + kept.w / 2, kept.y + BOX / 2, f"{pfn - (1 << order)} in hand", "ink", align="center")
                    self.drawing.block(rect, FREE_LOOK)
                    if now:
                        self.drawing.ring(rect, "changed")
                    self.say(f"{pfn} to the head of list {order}", rect, now)
                case _:
                    self.end_of_split(act, now)

    def end_of_split(self, act: Act, now: bool) -> None:
        parks, unparked = (any(isinstance(other, kind) for other in self.every) for kind in (Parked, Unparked))
        match act:
            case Taken(pfn, order, mt):
                self.name(order)
                rect = self.box(pfn, order, order)
                self.drawing.quad(rect, USED_LOOKS[min(mt, 2)].fill)
                self.drawing.ring(rect, "changed")
                text = f"{span(pfn, order).capitalize()}: {'taken' if parks else 'handed out'}"
                text = text if order < self.highest or unparked else f"{text}, an exact fit"
                if not parks or now:
                    self.drawing.word(self.left, rect.y + RUNG + BOX / 2, text, "changed_text", bold=True)
            case Unparked(pfn, order, cpu):
                self.name(order)
                self.drawing.quad(self.box(pfn, order, order), "pcp")
                if now:
                    self.below(f"{pfn} is the head of cpu {cpu}'s list.", now)
            case Parked(pfn, order, cpu):
                self.drawing.quad(self.box(pfn, order, order), "pcp")
                self.below(f"{pfn} goes to the tail of cpu {cpu}'s list.", now)
            case Refused(order, _):
                found = any(isinstance(other, Looked) for other in self.acts)
                text = f"No list from order {order} up has a block." if found else "No zone has pages to spare."
                self.drawing.word(self.left, self.top + BOX / 2, text, "ink")

    def merge(self) -> None:
        for i, act in enumerate(self.acts):
            now, held = i == len(self.acts) - 1, held_block(self.acts[:i])
            match act:
                case Given(pfn, order) | Unparked(pfn, order):
                    self.name(order)
                    self.drawing.quad(self.box(pfn, order, order), "changed")
                case Parked(pfn, _, cpu):
                    self.below(f"{pfn} goes to the head of cpu {cpu}'s list. No buddy is asked.", now)
                case Unlinked(pfn, order, _) if held:
                    dashed = self.box(pfn, order, order)
                    self.drawing.quad(dashed, "free", "ink", 1.5, "4 3")
                    pair = self.box(held[0] & pfn, order + 1, order)
                    beside = pair.w < self.width - 1
                    if beside and dashed.w > 9 * len(str(pfn)):
                        self.drawing.word(dashed.x + dashed.w / 2, dashed.y + BOX / 2, str(pfn), "quiet", mono=True, align="center")
                    grown = self.box(held[0] & pfn, order + 1, order + 1)
                    self.name(order + 1)
                    self.drawing.quad(grown, "free", "ink", 1)
                    if now:
                        self.drawing.ring(grown, "changed")
                    self.say(f"{pfn} is free, order {order}: merge", pair, now, inside=dashed)
                case Compared(pfn, order) if held and order == held[1]:
                    rect = self.box(pfn, order, order)
                    if act.block.kind != "hole":
                        self.drawing.quad(rect, None, "ink", 1.5, "4 3")
                        self.drawing.word(rect.x + rect.w / 2, rect.y + BOX / 2, str(pfn), "quiet", mono=True, align="center")
                    self.below(f"{pfn}: {_why(act)}. Merging stops.", now)
                case Linked(pfn, order, _, tail):
                    rect = self.box(pfn, order, order)
                    self.drawing.quad(rect, "free", "free_outline")
                    self.drawing.ring(rect, "changed")
                    text = f"{pfn} to the {'tail' if tail else 'head'} of list {order}"
                    if rect.w > 6.2 * len(text):
                        self.drawing.word(rect.x + 8, rect.y + BOX / 2, text, "changed_text", bold=True)
                    else:
                        self.say(text, rect, True)

    def below(self, text: str, now: bool) -> None:
        lowest = next(act.order for act in self.acts if isinstance(act, (Given, Unparked, Taken)))
        y = self.y(lowest) + RUNG + BOX / 2
        self.drawing.word(self.left, y, text, "ink" if now else "quiet")


def _why(act: Compared) -> str:
    block = act.block
    if block.kind == "hole":
        return "outside the zone"
    return f"free, but order {block.order}" if block.kind == "free" else "on a per-CPU list" if block.kind == "pcp" else block.kind


def _span(acts: Sequence[Act]) -> tuple[int, int]:
    """Return the block that holds all pages of a request and the buddies it asked: its pfn and order."""
    blocks = [(a.pfn, a.order) for a in acts if isinstance(a, (Unlinked, Given, Linked, Taken, Unparked))]
    linked = acts[-1] if isinstance(acts[-1], Linked) else None
    if linked and any(isinstance(a, Compared) and a.order == linked.order and a.block.kind != "hole" for a in acts):
        blocks.append((linked.pfn & ~(1 << linked.order), linked.order + 1))
    pfn, order = max(blocks, key=lambda block: block[1], default=(0, 0))
    return pfn, order
