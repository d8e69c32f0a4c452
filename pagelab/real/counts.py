"""A captured trace through the rules of how many: what each refill and each drain of a per-CPU list moves.

Only numbers are followed, one PerCpuPages for each CPU and zone, begun from zoneinfo. What a 6.12 kernel does not show (its worker lowers
`high` now and then, reclaim limits it, pages leave without a line) is not made up, so there a drain can be missed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pagelab.mm.kernels import Kernel
from pagelab.mm.pcp import pcp_allowed
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import MIGRATE_PCPTYPES
from pagelab.real.ahead import Ahead
from pagelab.real.buddy import LOCKED, Zones, bypasses_lists, is_second_of_take
from pagelab.real.learning import Learning
from pagelab.real.trace import Event


@dataclass
class Exact:
    """How many sizes came out exactly: exact of all; and those that were said to come and did not."""

    exact: int = 0
    all: int = 0
    false: int = 0
    first: str = ""


@dataclass
class _Run:
    """Pages that move under one lock: what was expected, and what has moved so far."""

    kind: str
    zone: Learning
    expected: int
    line: int
    order: int
    mt: int
    pid: int
    moved: int = 0
    last: int = 0


class CountReplay:
    """The counts of the per-CPU lists, led by a trace.

    Args:
        zones: the machine's zones, with their free pages as they are at each event.
        kernel: whose rules.
        ahead: what comes next to each page.
        lists: by node, zone and CPU: the numbers of the lists at the start.
        high: by node and zone, the high watermark.
    """

    def __init__(
        self,
        zones: Zones,
        kernel: Kernel,
        ahead: Ahead,
        lists: Mapping[tuple[int, str, int], PerCpuPages],
        high: Mapping[tuple[int, str], int],
    ) -> None:
        self.zones, self.kernel, self.ahead, self.lists, self.high = zones, kernel, ahead, lists, high
        self.refills, self.drains = Exact(), Exact()
        self._runs: dict[int, _Run] = {}
        self._direct: set[int] = set()
        self._below: set[Learning] = set()
        self._filled: set[int] = set()
        self._inserted: dict[int, tuple[Learning, int]] = {}
        self._before: dict[int, Event] = {}
        self._do: dict[str, Callable[[Learning, PerCpuPages, Event], None]] = {
            "alloc": self._alloc,
            "take": self._take,
            "extfrag": self._take,
            "free": self._free,
            "batched": self._batched,
        }

    def step(self, event: Event, holder: int) -> None:
        """Follow one event; holder is the CPU whose lists hold its page."""
        zone = self.zones.of(event.pfn)
        run = self._runs.get(event.cpu)
        if run and not self._continues(run, zone, event):
            self._close(event.cpu, run)
        if event.kind == "drain" and zone:
            self._drain(zone, event, holder)
        else:
            self._inserted.pop(event.cpu, None)
            if event.kind == "alloc" and event.pfn <= 0:
                self._below_high(None, event.order)
            pcp = self.lists.get((zone.node, zone.name, event.cpu)) if zone else None
            if zone and pcp and event.kind in self._do:
                self._do[event.kind](zone, pcp, event)
        self._before[event.cpu] = event

    def pages(self, zone: Learning, cpu: int) -> int:
        """Return the pages that a CPU's lists of a zone hold."""
        pcp = self.lists.get((zone.node, zone.name, cpu))
        return pcp.count if pcp else 0

    def left(self, zone: Learning, cpu: int, pages: int) -> None:
        """Take off pages that left a CPU's lists without a line."""
        if pcp := self.lists.get((zone.node, zone.name, cpu)):
            pcp.count = max(pcp.count - pages, 0)

    def finish(self) -> None:
        """Close what is still open at the end of the trace."""
        for cpu, run in list(self._runs.items()):
            self._close(cpu, run)

    def _continues(self, run: _Run, zone: Learning | None, event: Event) -> bool:
        if zone is not run.zone:
            return False
        if run.kind == "drain":
            return event.kind == "drain" and event.pid == run.pid
        return event.kind in ("take", "extfrag") and (event.order, event.mt) == (run.order, run.mt)

    # What happens to the numbers.

    def _below_high(self, zone: Learning | None, order: int) -> bool:
        """Note the zones tried that fail the test against their high watermark, all of them where no page was found; 6.12 remembers it."""
        if not self.kernel.auto_tuned:
            return False
        for other in self.zones.all:
            if zone is None or (other.node == zone.node and other.start_pfn >= zone.start_pfn):
                enough = other.free - (1 << order) >= self.high[other.node, other.name]
                if not enough or (order and other.largest_free_order() < order):
                    self._below.add(other)
        return zone in self._below

    def _take(self, zone: Learning, pcp: PerCpuPages, event: Event) -> None:
        if event.kind == "extfrag" and (not self.kernel.strict or is_second_of_take(self._before.get(event.cpu), event)):
            return
        if event.depth < LOCKED:
            self._below_high(zone, event.order)
            self._direct.add(event.pfn)
            return
        run = self._runs.get(event.cpu)
        if not run:
            below = self._below_high(zone, event.order)
            blocks = self.kernel.pcp.refill(pcp, event.order, below)
            run = self._runs[event.cpu] = _Run("refill", zone, blocks, event.line, event.order, event.mt, event.pid)
            self._filled.add(event.cpu)
        run.moved += 1
        pcp.count += 1 << event.order

    def _alloc(self, zone: Learning, pcp: PerCpuPages, event: Event) -> None:
        if event.pfn in self._direct or event.mt >= MIGRATE_PCPTYPES or not pcp_allowed(event.order):
            self._direct.discard(event.pfn)
            return
        if event.cpu not in self._filled:
            self._below_high(zone, event.order)
        # Halved before a refill, which does not ask; alloc_pages_bulk refills too, halves nothing and traces no allocation.
        self.kernel.pcp.on_alloc(pcp)
        self._filled.discard(event.cpu)
        pcp.count = max(pcp.count - (1 << event.order), 0)

    def _free(self, zone: Learning, pcp: PerCpuPages, event: Event) -> None:
        if not bypasses_lists(event) and self.ahead.kind(event.line) != "batched":
            self._insert(zone, pcp, event)

    def _batched(self, zone: Learning, pcp: PerCpuPages, event: Event) -> None:
        self._insert(zone, pcp, event)

    def _insert(self, zone: Learning, pcp: PerCpuPages, event: Event) -> None:
        pcp.count += 1 << event.order
        self._inserted[event.cpu] = zone, event.pid
        pages = self.kernel.pcp.after_free(pcp, event.order, zone in self._below)
        if pages:
            self._runs[event.cpu] = _Run("drain", zone, min(pages, pcp.count), event.line, event.order, -1, event.pid)

    def _drain(self, zone: Learning, event: Event, holder: int) -> None:
        run = self._runs.get(event.cpu)
        if not run and self._inserted.get(event.cpu) == (zone, event.pid):
            run = self._runs[event.cpu] = _Run("drain", zone, 0, event.line, event.order, -1, event.pid)
        if run:
            run.last = 1 << event.order
            run.moved += run.last
            if run.expected and run.moved >= run.expected:
                self._risen(zone, run.last)
        if pcp := self.lists.get((zone.node, zone.name, holder)):
            pcp.count = max(pcp.count - (1 << event.order), 0)

    def _close(self, cpu: int, run: _Run) -> None:
        del self._runs[cpu]
        if run.kind == "refill":
            # A zone that has no block left ends a refill early.
            ended = run.moved < run.expected and run.zone.largest_free_order() < run.order
            self._count(self.refills, run, run.moved == run.expected or ended)
            return
        if not run.moved:
            self.drains.false += 1
        else:
            self._count(self.drains, run, run.moved - run.last < run.expected <= run.moved)
            if not run.moved >= run.expected > 0:
                self._risen(run.zone)

    def _risen(self, zone: Learning, pages: int = 0) -> None:
        """A drain has ended, and the free lists have so many pages more: a zone above its high watermark is no longer marked."""
        if zone.free + pages > self.high[zone.node, zone.name]:
            self._below.discard(zone)

    def _count(self, kind: Exact, run: _Run, exact: bool) -> None:
        kind.all += 1
        kind.exact += exact
        if not exact and not kind.first:
            kind.first = f"line {run.line}: {run.expected} expected, {run.moved} moved"
