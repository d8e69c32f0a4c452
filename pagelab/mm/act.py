"""Acts: what the rules did in one request, one visible thing each.

`Watched` stands in for a zone, passes every primitive on and writes it down. `redo` does acts again, so that a request can be shown half
done. The rules of page_alloc.py do not know that they are watched.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .per_cpu_pages import PCP_ORDERS
from .zone import MOVABLE, Block, Zone


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


class Moved(NamedTuple):
    """A free block went to the tail of the same order's list of another type."""

    pfn: int
    order: int
    old: int
    mt: int


class Counted(NamedTuple):
    """The pageblock of pfn was counted, from pfn on: its free pages, and its pages in use as movable. mt is its type. Changes nothing."""

    pfn: int
    free: int
    movable: int
    mt: int = MOVABLE


class Parked(NamedTuple):
    """A block went to the head or the tail of a CPU's list."""

    pfn: int
    order: int
    cpu: int
    pindex: int
    tail: bool


class Unparked(NamedTuple):
    """A block left the head of a CPU's list, to be handed out, or the tail, to be freed."""

    pfn: int
    order: int
    cpu: int
    pindex: int
    tail: bool


class Held(NamedTuple):
    """A block was set aside by compaction: on no list, not in use."""

    pfn: int
    order: int


class Unheld(NamedTuple):
    """A block that was set aside is taken up again."""

    pfn: int
    order: int


class Migrated(NamedTuple):
    """What a block held was copied to another block, which is in use in its place; the old one is freed next."""

    pfn: int
    to: int
    order: int


class Checked(NamedTuple):
    """A zone was asked whether it has pages to spare; what follows is about that zone. Changes nothing.

    zone is its place among the machine's zones; ok says whether free is more than mark and reserve together.
    """

    zone: int
    free: int
    mark: int
    reserve: int
    ok: bool


class Refused(NamedTuple):
    """No list had a block: the caller gets NULL. Changes nothing."""

    order: int
    mt: int


Act = (
    (Asked | Looked | Compared | Unlinked | Linked | Taken | Given | Relabelled | Refused)
    | (Moved | Counted | Parked | Unparked)
    | (Held | Unheld | Migrated | Checked)
)


class Watched(Zone):
    """A zone seen through: same primitives, same state, and `acts` grows with each."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self.acts: list[Act] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._zone, name)

    def first(self, order: int, mt: int) -> int:
        """Look at a list; the empty lists of one type are one act until something else happens."""
        pfn = self._zone.first(order, mt)
        if pfn < 0:
            self._looked(order, mt)
        return pfn

    def _looked(self, order: int, mt: int) -> None:
        for at in range(len(self.acts) - 1, -1, -1):
            act = self.acts[at]
            if not isinstance(act, Looked):
                break
            if act.mt == mt and act.low - 1 <= order <= act.high + 1:
                self.acts[at] = Looked(min(act.low, order), max(act.high, order), mt)
                return
        self.acts.append(Looked(order, order, mt))

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

    def move(self, pfn: int, mt: int) -> None:
        """Move, and write it down."""
        block = self._zone.block(pfn)
        self._zone.move(pfn, mt)
        self.acts.append(Moved(pfn, block.order, block.mt, mt))

    def census(self, pfn: int) -> tuple[int, int]:
        """Count, and write it down."""
        free, movable = self._zone.census(pfn)
        self.acts.append(Counted(pfn, free, movable, self._zone.block_type(pfn)))
        return free, movable

    def park(self, pfn: int, order: int, cpu: int, pindex: int, tail: bool = False) -> None:
        """Park, and write it down."""
        self._zone.park(pfn, order, cpu, pindex, tail)
        self.acts.append(Parked(pfn, order, cpu, pindex, tail))

    def unpark(self, cpu: int, pindex: int, tail: bool = False) -> int:
        """Unpark, and write it down."""
        pfn = self._zone.unpark(cpu, pindex, tail)
        self.acts.append(Unparked(pfn, PCP_ORDERS[pindex], cpu, pindex, tail))
        return pfn

    def hold(self, pfn: int, order: int) -> None:
        """Hold, and write it down."""
        self._zone.hold(pfn, order)
        self.acts.append(Held(pfn, order))

    def unhold(self, pfn: int) -> int:
        """Let go, and write it down."""
        order = self._zone.unhold(pfn)
        self.acts.append(Unheld(pfn, order))
        return order

    def migrate(self, pfn: int, to: int) -> int:
        """Migrate, and write it down."""
        order = self._zone.migrate(pfn, to)
        self.acts.append(Migrated(pfn, to, order))
        return order


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
    for act in acts:
        match act:
            case Given(pfn, order) | Unheld(pfn, order) | Unparked(pfn, order) | Migrated(pfn, _, order):
                held = (pfn, order)
            case Unlinked(pfn, order):
                held = (held[0] & pfn, order + 1) if held else (pfn, order)
            case Linked(pfn, order) | Held(pfn, order) if held and order < held[1]:
                # Half of what is held was put away: the upper half by a split, the lower one by split_large_buddy().
                held = (pfn + (1 << order) if pfn == held[0] else held[0], order)
            case Linked() | Held() | Parked() | Taken():
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
            case Moved(pfn, _, _, mt):
                zone.move(pfn, mt)
            case Parked(pfn, order, cpu, pindex, tail):
                zone.park(pfn, order, cpu, pindex, tail)
            case Unparked(_, _, cpu, pindex, tail):
                zone.unpark(cpu, pindex, tail)
            case Held(pfn, order):
                zone.hold(pfn, order)
            case Unheld(pfn):
                zone.unhold(pfn)
            case Migrated(pfn, to):
                zone.migrate(pfn, to)
    if held := held_block(acts):
        zone.hold(*held)
