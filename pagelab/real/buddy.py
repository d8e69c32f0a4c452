"""A captured trace through the rules of the page allocator: which page the free lists give, pick by pick.

A line says who asked and for what; the rules say which page; then the line's pfn is read. What hangs on the order that the lists had
when the trace began is learned from the line and counted apart.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pagelab.mm.fallback import claimable, stolen_from
from pagelab.mm.kernels import Kernel
from pagelab.mm.pcp import pcp_allowed
from pagelab.mm.units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from pagelab.mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE
from pagelab.real.learning import Learning, UnsureError
from pagelab.real.trace import Event

LOCKED = 3  # preempt depth inside a refill: the lists' lock and the zone's; a take at less comes past the lists


@dataclass
class Score:
    """How predictions came out: definite ones, those of them that were wrong, and picks that were learned; the first wrong one in words."""

    definite: int = 0
    wrong: int = 0
    learned: int = 0
    first: str = ""

    def miss(self, words: str) -> None:
        """Count a wrong one."""
        self.wrong += 1
        self.first = self.first or words


class Zones:
    """The zones of a machine, found by pfn."""

    def __init__(self, zones: Iterable[Learning]) -> None:
        self.all: Sequence[Learning] = sorted(zones, key=lambda zone: zone.start_pfn)
        self._starts = [zone.start_pfn for zone in self.all]

    def of(self, pfn: int) -> Learning | None:
        """Return the zone that holds a page, or None."""
        at = bisect_right(self._starts, pfn) - 1
        return self.all[at] if at >= 0 and pfn < self.all[at].end_pfn else None


def bypasses_lists(event: Event) -> bool:
    """Tell whether a freed page goes straight to the free lists, past the per-CPU lists.

    Args:
        event: a free.

    Returns:
        True for orders without per-CPU lists, and where the lists of the CPU are in use by what this softirq interrupted.

    Source: free_unref_page, mm/page_alloc.c, 6.12: pcp_spin_trylock fails.

    >>> bypasses_lists(Event(1, "free", 0, True, 3, 7, 0)), bypasses_lists(Event(1, "free", 0, False, 0, 7, 9))
    (True, False)
    """
    return not pcp_allowed(event.order) or (event.softirq and event.depth >= LOCKED)


def is_second_of_take(before: Event | None, event: Event) -> bool:
    """Tell whether a line says more of the take before it: that on 6.12 the page's pageblock was claimed for it.

    Args:
        before: the line before, of the same CPU, or None.
        event: the line.

    Returns:
        False for the line of a fallback that is itself a take.

    Source: __rmqueue_claim and __rmqueue_steal, mm/page_alloc.c, 6.12.

    >>> take, fallback = Event(1, "take", 0, False, 3, 7, 0), Event(2, "extfrag", 0, False, 3, 7, 0)
    >>> is_second_of_take(take, fallback), is_second_of_take(fallback, fallback), is_second_of_take(None, fallback)
    (True, False, False)
    """
    return event.kind == "extfrag" and before is not None and before.kind == "take" and before.pfn == event.pfn


Kept = tuple[dict[int, Event], dict[int, int], dict[int, int]]


class BuddyReplay:
    """The free lists of a machine, led by a trace.

    Args:
        zones: as they were when the trace began.
        kernel: whose rules.
    """

    def __init__(self, zones: Zones, kernel: Kernel) -> None:
        self.zones, self.kernel, self.strict = zones, kernel, kernel.strict
        self.score, self.fallbacks = Score(), Score()
        self._before: dict[int, Event] = {}
        self._freed_pages: dict[int, int] = {}
        self._changes: dict[int, int] = {}
        self._rmqueue, self._free = kernel.pcp.rmqueue_bulk, kernel.free_one_page
        self._do: dict[str, Callable[[Learning, Event], None]] = {
            "take": self._take,
            "extfrag": self._fallback_6_12 if kernel.strict else self._nothing,
            "drain": self._drain,
            "free": self._freed,
            "isolate": self._isolate,
        }

    def step(self, event: Event) -> None:
        """Follow one event."""
        zone = self.zones.of(event.pfn)
        if zone and event.kind in self._do:
            self._do[event.kind](zone, event)
        self._before[event.cpu] = event

    def over(self, zones: Zones) -> "BuddyReplay":
        """Return the same, with other zones in place of these."""
        other = BuddyReplay(zones, self.kernel)
        other.keep(self.kept())
        return other

    def kept(self) -> Kept:
        """Return what is remembered beside the zones."""
        return dict(self._before), dict(self._freed_pages), dict(self._changes)

    def keep(self, kept: Kept) -> None:
        """Bring back what `kept` returned."""
        self._before, self._freed_pages, self._changes = dict(kept[0]), dict(kept[1]), dict(kept[2])

    def _nothing(self, zone: Learning, event: Event) -> None:
        pass

    def _take(self, zone: Learning, event: Event) -> None:
        fallback = self._extfrag_before(event)
        zone.asked, zone.claimed, zone.fell_back = event.mt, self.strict, fallback is not None
        self._pick(self.score, zone, event, event.mt, fallback)
        if self.strict:
            for page in range(event.pfn, event.pfn + (1 << event.order), PAGEBLOCK_NR_PAGES):
                zone.learn_type(page, event.mt)
        elif fallback and fallback.fallback[2]:
            for page in range(fallback.pfn, fallback.pfn + (1 << fallback.fallback[0]), PAGEBLOCK_NR_PAGES):
                self._changes[page >> PAGEBLOCK_ORDER] = event.line
                zone.learn_type(page, event.mt)

    def _extfrag_before(self, event: Event) -> Event | None:
        """Return the line that announces a fallback on 6.1; on 6.12 it comes after the take."""
        before = self._before.get(event.cpu)
        return before if not self.strict and before and before.kind == "extfrag" else None

    def _pick(self, score: Score, zone: Learning, event: Event, theirs: int, fallback: Event | None = None) -> None:
        """Predict, compare, and leave the zone as the kernel's line says; the block comes off a list of `theirs`."""
        taken = False
        try:
            pfn, taken = self._predict(zone, event.order, event.mt)
        except UnsureError:
            pfn = event.pfn
            score.learned += 1
            self._learn(zone, event, fallback)
        else:
            score.definite += 1
        if pfn != event.pfn:
            score.miss(_words(event, pfn))
            if taken:
                self._free(zone, pfn, event.order, zone.block_type(pfn))
        if (pfn != event.pfn or not taken) and _fits(zone, event):
            zone.place(event.pfn, theirs)
            if carve(zone, event.pfn, event.order, event.mt if event.fallback[2] else theirs, event.fallback[2]):
                zone.take(event.pfn, event.order, event.mt)

    def _predict(self, zone: Learning, order: int, mt: int) -> tuple[int, bool]:
        """Name the page that a request gets, and tell whether finding it took it already: a fallback moves blocks on its way."""
        for current in range(order, NR_PAGE_ORDERS):
            if (pfn := zone.first(current, mt)) >= 0:
                return pfn, False
        pfns = self._rmqueue(zone, order, 1, mt)
        return (pfns[0], True) if pfns else (-1, False)

    def _learn(self, zone: Learning, event: Event, fallback: Event | None) -> None:
        """Note what a pick says about the blocks that it passed, and do what a line before it announced."""
        if block := zone.free_block(event.pfn):
            zone.exclude(event.order, event.mt, *block)
        if not fallback or zone.free_block(fallback.pfn) != (fallback.pfn, fallback.fallback[0]):
            return
        order = fallback.fallback[0]
        if order >= PAGEBLOCK_ORDER:
            zone.relabel(fallback.pfn, order, event.mt)
        whole = order < PAGEBLOCK_ORDER and claimable(order, event.mt)
        first = stolen_from(zone, fallback.pfn) if whole else -1
        for head in zone.free_heads(fallback.pfn) if first >= 0 else [fallback.pfn]:
            if head >= first:
                zone.move(head, event.mt)

    def _fallback_6_12(self, zone: Learning, event: Event) -> None:
        """After a take of the same page this line says that its pageblock was claimed; else it is itself a take, by fallback."""
        _, theirs, owned = event.fallback
        if is_second_of_take(self._before.get(event.cpu), event):
            for head in zone.free_heads(event.pfn) if owned else ():
                if zone.block(head).mt != event.mt:
                    zone.move(head, event.mt)
            return
        zone.asked, zone.claimed, zone.fell_back = event.mt, False, True
        zone.exclude(event.order, event.mt, -1, NR_PAGE_ORDERS)
        self._pick(self.fallbacks, zone, event, theirs)
        if not owned:
            zone.learn_type(event.pfn, theirs)

    def _drain(self, zone: Learning, event: Event) -> None:
        block = event.pfn >> PAGEBLOCK_ORDER
        if self.strict or self._freed_pages.get(event.pfn) == self._changes.get(block, 0):
            zone.learn_type(event.pfn, event.mt)
        self._give(zone, event, event.mt)

    def _freed(self, zone: Learning, event: Event) -> None:
        """A free by a caller: most pages wait on a per-CPU list, and a drain says when they come."""
        if bypasses_lists(event):
            self._give(zone, event, zone.type_of(event.pfn))
        else:
            self._freed_pages[event.pfn] = self._changes.get(event.pfn >> PAGEBLOCK_ORDER, 0)

    def _give(self, zone: Learning, event: Event, mt: int) -> None:
        """Free a block as the rules do; where its list is not known, it may stand at the head of any."""
        if not _fits(zone, event):
            self.score.miss(f"line {event.line}: no block of order {event.order} can start at {event.pfn:#x}")
            return
        self._freed_pages.pop(event.pfn, None)
        while zone.free_block(event.pfn):
            carve(zone, event.pfn, event.order, zone.block_type(event.pfn))
        zone.occupy(event.pfn, event.order)
        zone.give(event.pfn)
        self._free(zone, event.pfn, event.order, mt if mt >= 0 else zone.block_type(event.pfn))
        if mt < 0:
            zone.loosen(event.pfn)

    def _isolate(self, zone: Learning, event: Event) -> None:
        """Compaction takes a free block; from half a pageblock on, the pageblock becomes movable: __isolate_free_page."""
        if not _fits(zone, event) or not carve(zone, event.pfn, event.order, zone.block_type(event.pfn)):
            return
        zone.take(event.pfn, event.order, MOVABLE)
        for page in range(event.pfn, event.pfn + (1 << event.order), PAGEBLOCK_NR_PAGES) if event.order >= PAGEBLOCK_ORDER - 1 else ():
            for head in zone.free_heads(page) if self.strict and zone.type_of(page) < MIGRATE_PCPTYPES else ():
                zone.move(head, MOVABLE)
            self._changes[page >> PAGEBLOCK_ORDER] = event.line
            zone.learn_type(page, MOVABLE)


def carve(zone: Learning, pfn: int, order: int, mt: int, claim: bool = False) -> bool:
    """Take a block out of the free block that holds it; halves go to the heads of the lists of mt.

    Args:
        zone: whose block it is.
        pfn: the block's head.
        order: 0..10.
        mt: migratetype of what is left.
        claim: label the pageblocks of a block of order 9 or 10 so, all of them.

    Returns:
        Whether all of the block was free; a smaller free block at pfn leaves its list all the same.

    >>> import numpy as np
    >>> zone = Learning(16); zone.begin(np.ones(16, bool), strict=True)
    >>> carve(zone, 6, 1, MOVABLE), [zone.blocks(order, MOVABLE) for order in range(4)]
    (True, [[], [4], [0], [8]])
    """
    found = zone.free_block(pfn)
    if not found:
        return False
    head, high = found
    zone.unlink(head)
    if claim and high >= PAGEBLOCK_ORDER:
        zone.relabel(head, high, mt)
    while high > order:
        high -= 1
        upper = head + (1 << high)
        zone.link(head if pfn >= upper else upper, high, mt)
        head = upper if pfn >= upper else head
    return found[1] >= order


def _fits(zone: Learning, event: Event) -> bool:
    return not event.pfn & (1 << event.order) - 1 and event.pfn + (1 << event.order) <= zone.end_pfn


def _words(event: Event, pfn: int) -> str:
    rules = f"give {pfn:#x}" if pfn >= 0 else "have no page"
    return f"line {event.line}, order {event.order}, {MIGRATETYPES[event.mt]}: the rules {rules}, the kernel took {event.pfn:#x}"
