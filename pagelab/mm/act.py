"""Acts: what the rules did in one request, one visible thing each.

`Watched` stands in for a zone, passes every primitive on and writes it down. `redo` does acts again, so that a request can be shown half
done. The rules of page_alloc.py do not know that they are watched.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .zone import Block, Zone


class Asked(NamedTuple):
    """The request as the caller made it: verb "alloc", "free" or "split"; pfn is -1 for alloc. Changes nothing."""

    verb: str
    order: int
    mt: int
    pfn: int


class Looked(NamedTuple):
    """The lists of one migratetype were empty from order low to order high. Changes nothing."""

    low: int
    high: int
    mt: int


class Compared(NamedTuple):
    """A page was asked whether it heads a free block of this order; block is what stands there. Changes nothing."""

    pfn: int
    order: int
    yes: bool
    block: Block


class Unlinked(NamedTuple):
    """A free block left its list."""

    pfn: int
    order: int
    mt: int


class Linked(NamedTuple):
    """A block went to the head or the tail of a list."""

    pfn: int
    order: int
    mt: int
    tail: bool


class Taken(NamedTuple):
    """A block was handed out."""

    pfn: int
    order: int
    mt: int


class Given(NamedTuple):
    """A block in use came back."""

    pfn: int
    order: int


class Relabelled(NamedTuple):
    """The pageblocks of a block changed their migratetype."""

    pfn: int
    order: int
    mt: int


class Refused(NamedTuple):
    """No list had a block: the caller gets NULL. Changes nothing."""

    order: int
    mt: int


Act = Asked | Looked | Compared | Unlinked | Linked | Taken | Given | Relabelled | Refused


class Watched(Zone):
    """A zone seen through: same primitives, same state, and `acts` grows with each."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self.acts: list[Act] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._zone, name)

    def first(self, order: int, mt: int) -> int:
        """Look at a list; empty lists that follow each other are one act."""
        pfn = self._zone.first(order, mt)
        if pfn < 0:
            last = self.acts[-1] if self.acts else None
            low = self.acts.pop().low if isinstance(last, Looked) and last.mt == mt else order  # type: ignore[union-attr]
            self.acts.append(Looked(low, order, mt))
        return pfn

    def page_is_buddy(self, pfn: int, order: int) -> bool:
        """Compare; what was found is kept with the answer."""
        yes = self._zone.page_is_buddy(pfn, order)
        self.acts.append(Compared(pfn, order, yes, self._zone.block(pfn)))
        return yes

    def unlink(self, pfn: int) -> None:
        """Unlink; the comparison that led to it is part of the same act."""
        block = self._zone.block(pfn)
        last = self.acts[-1] if self.acts else None
        if isinstance(last, Compared) and last.pfn == pfn:
            self.acts.pop()
        self._zone.unlink(pfn)
        self.acts.append(Unlinked(pfn, block.order, block.mt))

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Link, and write it down."""
        self._zone.link(pfn, order, mt, tail)
        self.acts.append(Linked(pfn, order, mt, tail))

    def take(self, pfn: int, order: int, mt: int) -> None:
        """Hand out, and write it down."""
        self._zone.take(pfn, order, mt)
        self.acts.append(Taken(pfn, order, mt))

    def give(self, pfn: int) -> int:
        """Give back, and write it down."""
        order = self._zone.give(pfn)
        if order >= 0:
            self.acts.append(Given(pfn, order))
        return order

    def relabel(self, pfn: int, order: int, mt: int) -> None:
        """Relabel, and write it down."""
        self._zone.relabel(pfn, order, mt)
        self.acts.append(Relabelled(pfn, order, mt))


def held_block(acts: Iterable[Act]) -> tuple[int, int] | None:
    """Follow the block that a request holds between its acts.

    Args:
        acts: the acts of one request so far, in order.

    Returns:
        (pfn, order) of the block that is off its list and not yet handed out or listed, or None.

    >>> held_block([Given(2, 0), Unlinked(3, 0, 1)])
    (2, 1)
    """
    held: tuple[int, int] | None = None
    freeing = False
    for act in acts:
        match act:
            case Given(pfn, order):
                held, freeing = (pfn, order), True
            case Unlinked(pfn, order, _):
                held = (held[0] & pfn, order + 1) if held else (pfn, order)
            case Linked(_, order, _, _) if held and not freeing:
                held = (held[0], order)
            case Linked() | Taken():
                held = None
    return held


def redo(zone: Zone, acts: Iterable[Act]) -> None:
    """Do the first acts of a request again, and mark the block that it then holds.

    Args:
        zone: in the state before the request.
        acts: the first acts of the request, in order.

    Returns:
        Nothing; the zone stands in the middle of the request.

    >>> zone = Zone(16)
    >>> zone.link(0, 4, 1); redo(zone, [Unlinked(0, 4, 1), Linked(8, 3, 1, False)]); zone.block(0)
    Block(head=0, order=3, kind='held', mt=-1)
    """
    acts = list(acts)
    for act in acts:
        match act:
            case Unlinked(pfn):
                zone.unlink(pfn)
            case Linked(pfn, order, mt, tail):
                zone.link(pfn, order, mt, tail)
            case Taken(pfn, order, mt):
                zone.take(pfn, order, mt)
            case Given(pfn):
                zone.give(pfn)
            case Relabelled(pfn, order, mt):
                zone.relabel(pfn, order, mt)
    if held := held_block(acts):
        zone.hold(*held)
