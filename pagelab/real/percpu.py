"""A captured trace through the per-CPU lists: which page each caller gets, and how many pages each refill and each drain moves.

The trace says when a list is refilled and drained. Two things are looked up ahead, facts that the trace tells too late: whether a freed
page comes to its list only with the rest of its batch, and whether a page on a list will be seen again in a way that shows that it had
left (alloc_pages_bulk takes pages and traces nothing).
"""

from collections import OrderedDict
from collections.abc import Callable

from pagelab.mm.pcp import pcp_allowed, pindex
from pagelab.mm.per_cpu_pages import NR_PCP_LISTS, PCP_ORDERS
from pagelab.mm.units import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from pagelab.mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE
from pagelab.real.ahead import Ahead
from pagelab.real.buddy import LOCKED, Score, Zones, bypasses_lists, is_second_of_take
from pagelab.real.counts import CountReplay
from pagelab.real.learning import Learning
from pagelab.real.trace import Event


class _Lists:
    """The lists of one CPU and zone: pfns, head first. `known` says of which the content is known to the end."""

    def __init__(self, cpu: int, zone: Learning, empty: bool) -> None:
        self.cpu, self.zone = cpu, zone
        self.of: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(NR_PCP_LISTS)]
        self.known = [empty] * NR_PCP_LISTS


class PerCpuReplay:
    """The per-CPU lists of a machine, led by a trace.

    Args:
        zones: the machine's zones.
        strict: the rules of 6.12, where a page that comes to a list is sorted by its pageblock's type at that moment; else those of 6.1.
        ahead: what comes next to each page.
        counts: follows the numbers of the lists; where it knows no pages at the start, the lists begin empty.
    """

    def __init__(self, zones: Zones, strict: bool, ahead: Ahead, counts: CountReplay) -> None:
        self.zones, self.strict, self.ahead, self.counts = zones, strict, ahead, counts
        self.score, self.counting = Score(), True
        self._lists: dict[tuple[int, Learning], _Lists] = {}
        self._where: dict[int, list[tuple[_Lists, int]]] = {}
        self._types: dict[int, int] = {}
        self._changes: dict[int, int] = {}
        self._parked_at: dict[int, int] = {}
        self._maybe: dict[int, tuple[set[int], int]] = {}
        self._batch: dict[int, int] = {}
        self._filling: dict[int, OrderedDict[int, None] | None] = {}
        self._direct: set[int] = set()
        self._before: dict[int, Event] = {}
        self._allocated: set[int] = set()
        self._do: dict[str, Callable[[Learning, Event], None]] = {
            "alloc": self._alloc,
            "take": self._take,
            "extfrag": self._extfrag,
            "free": self._free,
            "batched": self._batched,
            "drain": self._drain,
            "isolate": self._isolate,
        }

    def step(self, event: Event) -> None:
        """Follow one event."""
        zone = self.zones.of(event.pfn)
        if self.strict:
            self._learn_of_take(self._before.get(event.cpu), event)
        held = self._where.get(event.pfn)
        holder = held[0][0].cpu if held else event.cpu
        if zone and event.kind in self._do:
            self._do[event.kind](zone, event)
        if event.kind not in ("take", "extfrag"):
            self._filling[event.cpu] = None
        self._before[event.cpu] = event
        if self.counting:
            self.counts.step(event, holder)

    def pages(self) -> int:
        """Return the pages believed to be on the lists."""
        return sum(1 << PCP_ORDERS[where[0][1]] for where in self._where.values())

    def _of(self, cpu: int, zone: Learning) -> _Lists:
        if (cpu, zone) not in self._lists:
            self._lists[cpu, zone] = _Lists(cpu, zone, self.ahead.boot or not self.counts.pages(zone, cpu))
        return self._lists[cpu, zone]

    # What happens to lists.

    def _alloc(self, zone: Learning, event: Event) -> None:
        """A caller gets a page: the head of its list, which was filled before if it was empty."""
        self._allocated.add(event.pfn)
        if not pcp_allowed(event.order) or event.pfn in self._direct or event.mt >= MIGRATE_PCPTYPES:
            self._direct.discard(event.pfn)
            return
        lists, at = self._of(event.cpu, zone), pindex(event.order, event.mt)
        pages = lists.of[at]
        self._drop_silent(pages)
        head = next(iter(pages), -1)
        if head < 0 and not lists.known[at] or head in self._maybe:
            self.score.learned += self.counting
        elif self.counting:
            self.score.definite += 1
            if head != event.pfn:
                self.score.miss(_words(event, head))
        self._learn_of(event.pfn, event.mt, event.order)
        for above in list(pages) if event.pfn in pages else ():
            if above == event.pfn:
                break
            self._not_here(above, at)
        self._remove(event.pfn)

    def _drop_silent(self, pages: OrderedDict[int, None]) -> None:
        """Drop pages at the head that had left: the next that the trace says of them is neither an allocation nor a drain."""
        while pages:
            head = next(iter(pages))
            if self.ahead.kind(self._parked_at[head]) in ("alloc", "drain"):
                return
            self._leave(head)

    def _take(self, zone: Learning, event: Event) -> None:
        if self.strict:
            self._types[event.pfn >> PAGEBLOCK_ORDER] = event.mt
        if event.refill and event.depth >= LOCKED:
            self._fill(zone, event)
        elif pcp_allowed(event.order):
            self._direct.add(event.pfn)

    def _extfrag(self, zone: Learning, event: Event) -> None:
        order, theirs, owned = event.fallback
        if owned:
            self._change(event.pfn, order, event.mt)
        if self.strict and not owned:
            self._learn(event.pfn, theirs)
        if self.strict and not is_second_of_take(self._before.get(event.cpu), event) and pcp_allowed(event.order):
            if event.depth >= LOCKED:
                self._fill(zone, event)
            else:
                self._direct.add(event.pfn)

    def _isolate(self, zone: Learning, event: Event) -> None:
        """Compaction takes a free block; from half a pageblock on, the pageblock becomes movable."""
        if event.order >= PAGEBLOCK_ORDER - 1:
            self._change(event.pfn, event.order, MOVABLE)

    def _fill(self, zone: Learning, event: Event) -> None:
        """A page comes to the tail; the first of a run comes to an empty list, whatever was believed to be there."""
        lists, at = self._of(event.cpu, zone), pindex(event.order, event.mt)
        pages = lists.of[at]
        if self._filling.get(event.cpu) is not pages:
            for page in list(pages):
                self._not_here(page, at)
            lists.known[at], self._filling[event.cpu] = True, pages
        self._remove(event.pfn)
        self._put(lists, at, event, tail=True)

    def _free(self, zone: Learning, event: Event) -> None:
        """A page comes back: to the head of a list, at once or with the rest of its batch."""
        from_boot = self.ahead.boot and event.order == PAGEBLOCK_ORDER and event.pfn not in self._allocated
        self._remove(event.pfn)
        if bypasses_lists(event) or from_boot:
            return
        if self.ahead.kind(event.line) == "batched":
            self._batch[event.pfn] = event.order if self.strict else self._type(event.pfn) << 4 | event.order
        else:
            self._insert(zone, event, event.order, self._type(event.pfn))

    def _batched(self, zone: Learning, event: Event) -> None:
        kept = self._batch.pop(event.pfn, None)
        if kept is not None:
            self._insert(zone, event, kept & 15, self._type(event.pfn) if self.strict else kept >> 4)

    def _insert(self, zone: Learning, event: Event, order: int, mt: int) -> None:
        """Put a page on the list of its type, or, where that is not known, on each list that it may be on."""
        lists = self._of(event.cpu, zone)
        types = [mt] if mt >= 0 else range(MIGRATE_PCPTYPES) if order < PAGEBLOCK_ORDER else (0, 1)
        for one in types:
            self._put(lists, pindex(order, one), event)
        if mt < 0:
            self._maybe[event.pfn] = set(types), self._changes.get(event.pfn >> PAGEBLOCK_ORDER, 0)

    def _put(self, lists: _Lists, at: int, event: Event, tail: bool = False) -> None:
        pages = lists.of[at]
        pages[event.pfn] = None
        if not tail:
            pages.move_to_end(event.pfn, last=False)
        self._where.setdefault(event.pfn, []).append((lists, at))
        self._parked_at[event.pfn] = event.line

    def _drain(self, zone: Learning, event: Event) -> None:
        if self.strict:
            self._learn(event.pfn, event.mt)
        else:
            self._learn_of(event.pfn, event.mt)
        self._remove(event.pfn)

    def _leave(self, page: int) -> None:
        """A page had left without a line."""
        lists, at = self._where[page][0]
        if self.counting:
            self.counts.left(lists.zone, lists.cpu, 1 << PCP_ORDERS[at])
        self._remove(page)

    def _remove(self, pfn: int) -> None:
        for lists, at in self._where.pop(pfn, ()):
            lists.of[at].pop(pfn, None)
        self._maybe.pop(pfn, None)
        self._parked_at.pop(pfn, None)

    # What is known of types.

    def _type(self, pfn: int) -> int:
        mt = self._types.get(pfn >> PAGEBLOCK_ORDER, -1)
        return MOVABLE if mt >= MIGRATE_PCPTYPES else mt

    def _change(self, pfn: int, order: int, mt: int) -> None:
        """Note that the pageblocks of a block have another type from here on."""
        for page in range(pfn, pfn + (1 << order), PAGEBLOCK_NR_PAGES):
            block = page >> PAGEBLOCK_ORDER
            self._changes[block] = self._changes.get(block, 0) + 1
            self._types[block] = mt

    def _learn(self, pfn: int, mt: int) -> None:
        """Note a pageblock's type; pages of it that came since it changed last, and may be on several lists, are on one."""
        block = pfn >> PAGEBLOCK_ORDER
        self._types[block], now = mt, self._changes.get(block, 0)
        for page in [page for page, (_, then) in self._maybe.items() if page >> PAGEBLOCK_ORDER == block and then == now]:
            self._settle(page, self._type(pfn))

    def _learn_of_take(self, before: Event | None, event: Event) -> None:
        """Learn from a take on 6.12 that its pageblock had that type before, unless the line after it says that it was claimed just now."""
        if before and before.kind == "take":
            claimed = is_second_of_take(before, event) and event.fallback[2]
            if not claimed and self._types.get(before.pfn >> PAGEBLOCK_ORDER) == before.mt:
                self._learn(before.pfn, before.mt)

    def _learn_of(self, page: int, mt: int, order: int = 0) -> None:
        """Note what type a page's pageblock had when the page came, if that was not known; one list of order 9 is for two types."""
        if page not in self._maybe:
            return
        told = order < PAGEBLOCK_ORDER or mt == MOVABLE
        if told and self._maybe[page][1] == self._changes.get(page >> PAGEBLOCK_ORDER, 0):
            self._learn(page, mt)
        else:
            self._settle(page, MOVABLE if mt >= MIGRATE_PCPTYPES else mt)

    def _settle(self, page: int, mt: int) -> None:
        del self._maybe[page]
        where = self._where[page]
        for lists, at in where:
            if at != pindex(PCP_ORDERS[at], mt):
                lists.of[at].pop(page, None)
        self._where[page] = [(lists, at) for lists, at in where if at == pindex(PCP_ORDERS[at], mt)]

    def _not_here(self, page: int, at: int) -> None:
        """A list was empty: a page that was believed to be there had left, one that may be there is on another."""
        if not any(other == at and page in lists.of[at] for lists, other in self._where.get(page, ())):
            return  # what was learned of another page has shown it already
        types = self._maybe[page][0] if page in self._maybe else None
        silent = self.ahead.kind(self._parked_at[page]) not in ("alloc", "drain")
        if types is None or (silent and len(types) == 1):
            self._leave(page)
            return
        types.discard(at % 3 if at < 12 else at - 12)
        for lists, other in self._where[page]:
            if other == at:
                lists.of[at].pop(page, None)
        self._where[page] = [(lists, other) for lists, other in self._where[page] if other != at]
        if len(types) == 1:
            self._learn_of(page, next(iter(types)), PCP_ORDERS[at])


def _words(event: Event, pfn: int) -> str:
    rules = f"CPU {event.cpu} has {pfn:#x} at the head" if pfn >= 0 else f"CPU {event.cpu} has no page"
    return f"line {event.line}, order {event.order}, {MIGRATETYPES[event.mt]}: {rules} of its list, the caller got {event.pfn:#x}"
