"""The page allocator of a whole machine: its zones, and the way of a block through them.

A request goes down its zonelist twice: to zones above their low watermark, then to zones above their min watermark. In a zone it takes a
page of its CPU's list, which is refilled when it is empty, or goes straight to the free lists.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from .act import Act, Checked
from .call import Call
from .compaction import compact
from .fallback import ALLOC_NOFRAGMENT, reserve_highatomic, validate_types
from .gfp import ZONE_MOVABLE, ZONE_NAMES
from .kernels import KERNELS
from .page_alloc import rmqueue_smallest, split_page
from .pcp import HIGH_FRACTION, PCP_BATCH_SCALE_MAX, alloc_pcp, batch_of, high_of, pcp_allowed, pindex
from .per_cpu_pages import PerCpuPages
from .units import NR_PAGE_ORDERS, PAGEBLOCK_ORDER
from .watermark import ALLOC_HIGHATOMIC, ALLOC_RESERVES, Marks, Size, has_block, lowmem_reserve, watermarks
from .zone import HIGHATOMIC, ISOLATE, MIGRATETYPES, Zone
from .zonelist import Place, Plan, make_plan

REFUSED = -1
# The per-CPU list that a block comes back to, by order and by the type of its pageblock; -1 for none.
_LISTS = [[pindex(order, mt) if pcp_allowed(order) else -1 for mt in range(ISOLATE)] + [-1] for order in range(NR_PAGE_ORDERS)]


class Allocator:
    """The zones of a machine and what is counted over them.

    Args:
        zones: its memory: one zone, or several with their nodes, whose pages do not overlap.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16, shared out evenly over the nodes.
        pcp: whether each CPU has lists of its own.
        min_free_kbytes: what the watermarks are made from; 0 for no watermarks and no reserves.

    `zones` are in ascending order, `zone` is the largest. `free`, `marks`, `reserve` and `below_high` have an entry for each zone: its free
    pages, its watermarks, what it keeps from requests of each highest zone, and whether it was seen below its high watermark. `version` and
    `min_free_kbytes` are what was given.

    Raises:
        ValueError: the kernel is not modelled, the zones overlap or their names are unknown, or there are no CPUs or too many.

    Source: mm/page_alloc.c, 6.12.
    Unlike the kernel, nothing is reclaimed, compacted or drained before a request is refused, and no marks are boosted.
    """

    def __init__(
        self, zones: Zone | Iterable[Zone], kernel: str = "6.12", cpus: int = 1, pcp: bool = False, min_free_kbytes: int = 0
    ) -> None:
        zones = [zones] if isinstance(zones, Zone) else sorted(zones, key=lambda zone: zone.start_pfn)
        if not 1 <= cpus <= 16:
            raise ValueError(f"{cpus} CPUs cannot be: give 1..16")
        self.cpus, self.min_free_kbytes, self.sizes = cpus, min_free_kbytes, _sizes(zones)
        self.nodes = 1 + max(size.node for size in self.sizes)
        self.reserve = lowmem_reserve(self.sizes)
        self._lists = _LISTS if pcp else [[-1] * len(MIGRATETYPES)] * NR_PAGE_ORDERS
        self._starts = [zone.start_pfn for zone in zones[1:]]
        self._acts: list[Act] | None = None
        self._choose(kernel)
        for z, zone in enumerate(zones if pcp else ()):
            zone.pcp[:] = self._pageset(z)
        self._stand_on(zones)
        self._begin()

    def _choose(self, kernel: str) -> None:
        """Choose the rules, once."""
        if kernel not in KERNELS:
            raise ValueError(f"kernel {kernel!r} is not modelled: give {', '.join(KERNELS)}")
        self.version, self.kernel = kernel, KERNELS[kernel]
        self.marks: list[Marks] = watermarks(self.sizes, self.min_free_kbytes, self.kernel.apart) if self.min_free_kbytes else []
        self._on_alloc, self._after_free = self.kernel.pcp.on_alloc, self.kernel.pcp.after_free

    def _pageset(self, z: int) -> list[PerCpuPages]:
        """Make the per-CPU lists of a zone: zone_set_pageset_high_and_batch."""
        node, _, managed = self.sizes[z]
        cpus = sum(cpu * self.nodes // self.cpus == node for cpu in range(self.cpus)) or self.cpus
        batch, low = batch_of(managed), self.marks[z].low if self.marks else 0
        high_max = managed // HIGH_FRACTION if self.kernel.auto_tuned else low
        return [PerCpuPages(batch, high_of(low, cpus, batch), high_of(high_max, cpus, batch)) for _ in range(self.cpus)]

    def _stand_on(self, zones: Sequence[Zone]) -> None:
        """Put zones of the same shape in place of those here."""
        self.zones = list(zones)
        self.zone = max(self.zones, key=lambda zone: (zone.name != "Device", zone.end_pfn - zone.start_pfn))

    def _begin(self) -> None:
        """Begin with the state that the zones have."""
        self.below_high = [False] * len(self.zones)
        self._free, self._kept = [0] * len(self.zones), [False] * len(self.zones)
        self._count()

    def _count(self) -> None:
        """Count the free pages of each zone anew; isolated ones are not free."""
        for z, zone in enumerate(self.zones):
            isolated = sum(len(row[ISOLATE]) << order for order, row in enumerate(zone.free_list)) if ISOLATE in zone.pageblock_type else 0
            self._free[z] = zone.nr_free_pages() - isolated
            self._kept[z] = HIGHATOMIC in zone.pageblock_type

    @property
    def free(self) -> list[int]:
        """The free pages of each zone: NR_FREE_PAGES. Pages on per-CPU lists and in isolated pageblocks are not among them."""
        return self._free

    def zone_of(self, pfn: int) -> int:
        """Return the index of the zone that a pfn is in, or would be in."""
        return bisect_right(self._starts, pfn)

    def plan(self, call: Call) -> Plan:
        """Work out what is known of an allocation before it is made."""
        return make_plan(call, self.sizes, self.marks, self.reserve, bool(self.zone.pcp))

    # An allocation: __alloc_pages(), get_page_from_freelist() and rmqueue().

    def alloc(self, plan: Plan) -> int:
        """Allocate a block; return its pfn or REFUSED."""
        place = plan.low[0]
        z, at = place.z, plan.at
        if at >= 0 and self._free[z] > place.high and self._acts is None:
            # Nothing to decide: the first zone is above all its marks, and the CPU has a page.
            zone, order = self.zones[z], plan.order
            pcp = zone.pcp[plan.cpu]
            if pcp.lists[at] and not self._kept[z] and (order == 0 or has_block(zone, order)):
                self._on_alloc(pcp)
                pfn = zone.unpark(plan.cpu, at)
                zone.take(pfn, order, plan.mt)
                return pfn
        pfn = self._get_page(plan, plan.low, plan.flags)
        return pfn if pfn >= 0 else self._get_page(plan, plan.min, plan.slow_flags)

    def _get_page(self, plan: Plan, places: Sequence[Place], flags: int) -> int:
        """Try zone after zone; where the first round may not mix types, there is a second one that may."""
        for place in places:
            if flags & ALLOC_NOFRAGMENT and place.remote:
                break
            if self._watermark_ok(place, plan.order, flags):
                pfn = self._rmqueue(place.z, plan, flags)
                if pfn >= 0:
                    return pfn
        return self._get_page(plan, places, flags ^ ALLOC_NOFRAGMENT) if flags & ALLOC_NOFRAGMENT else REFUSED

    def _watermark_ok(self, place: Place, order: int, flags: int) -> bool:
        z, ok = place.z, True
        free = self._free[z]
        if self.marks:
            if self._kept[z] and not flags & ALLOC_RESERVES:
                free -= self.kernel.kept(self.zones[z])
            ok = free > place.limit and (not order or has_block(self.zones[z], order, flags))
            if self.kernel.auto_tuned and not (ok and free > place.high):
                self.below_high[z] = True
        if self._acts is not None and (self.marks or len(self.zones) > 1):
            self._acts.append(Checked(z, free - (1 << order) + 1, place.mark, place.reserve, ok))
        return ok

    def _rmqueue(self, z: int, plan: Plan, flags: int) -> int:
        zone, order, pfn = self.zones[z], plan.order, -1
        if plan.at >= 0:
            pcp = zone.pcp[plan.cpu]
            before = pcp.count
            pfn = alloc_pcp(zone, self.kernel.pcp, plan.cpu, order, plan.mt, self.below_high[z], flags)
            self._free[z] += before - pcp.count - (1 << order if pfn >= 0 else 0)
        if pfn < 0:
            pfn = self.rmqueue_buddy(zone, order, plan.mt, flags)
            self._free[z] -= 1 << order if pfn >= 0 else 0
        if flags & ALLOC_HIGHATOMIC and pfn >= 0 and reserve_highatomic(zone, pfn):
            self._kept[z] = True
        return pfn

    def rmqueue_buddy(self, zone: Zone, order: int, mt: int, flags: int = 0) -> int:
        """Take a block off the free lists of a zone, of whatever type it takes; return its pfn or REFUSED."""
        pfn = rmqueue_smallest(zone, order, HIGHATOMIC) if flags & ALLOC_HIGHATOMIC else REFUSED
        if pfn < 0:
            pfn = next(iter(self.kernel.pcp.rmqueue_bulk(zone, order, 1, mt, flags)), REFUSED)
        if pfn < 0 and flags & self.kernel.last_resort:
            pfn = rmqueue_smallest(zone, order, HIGHATOMIC)
        return pfn

    def trim(self, pfn: int, order: int, pages: int) -> None:
        """Cut a block in use into pages and give back those past the first so many, at the tail: make_alloc_exact()."""
        z = self.zone_of(pfn)
        split_page(self.zones[z], pfn, order)
        for page in range(pfn + pages, pfn + (1 << order)):
            self.zones[z].give(page)
            self._free_one_page(z, page, 0, to_tail=True)

    # A free: __free_pages(), free_unref_page() and __free_pages_ok().

    def give_back(self, pfn: int, cpu: int) -> None:
        """Free the block in use at pfn.

        Raises:
            ValueError: none is; nothing changes.
        """
        z = bisect_right(self._starts, pfn)
        zone = self.zones[z]
        order = zone.give(pfn)
        if order < 0:
            raise ValueError(f"cannot free pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        at = self._lists[order][zone.pageblock_type[pfn - zone.base >> PAGEBLOCK_ORDER]]
        if at < 0:
            self._free_one_page(z, pfn, order)
            return
        zone.park(pfn, order, cpu, at)
        pages = self._after_free(zone.pcp[cpu], order, self.below_high[z])
        if pages:
            self._came_back(z, self.kernel.pcp.drain(zone, cpu, pages, at))
            if self.below_high[z] and self._free[z] > self.marks[z].high + self.reserve[z][ZONE_MOVABLE]:
                self.below_high[z] = False

    def _free_one_page(self, z: int, pfn: int, order: int, to_tail: bool = False) -> None:
        zone = self.zones[z]
        self.kernel.free_one_page(zone, pfn, order, zone.block_type(pfn), to_tail)
        self._came_back(z, 1 << order)

    def _came_back(self, z: int, pages: int) -> None:
        self._free[z] += pages
        if ISOLATE in self.zones[z].pageblock_type:
            self._count()

    # What else can be asked.

    def drain(self, cpus: Iterable[int]) -> None:
        """Bring the pages on the lists of some CPUs back to the free lists: drain_all_pages()."""
        for z, cpu in ((z, cpu) for z, zone in enumerate(self.zones) if zone.pcp for cpu in cpus):
            zone = self.zones[z]
            while zone.pcp[cpu].count:
                self._came_back(z, self.kernel.pcp.drain(zone, cpu, zone.pcp[cpu].batch << PCP_BATCH_SCALE_MAX, 0))

    def compact(self) -> dict[int, int]:
        """Compact each zone; return the new pfn of each block that moved."""
        moved: dict[int, int] = {}
        for zone in self.zones:
            moved |= compact(zone, self.kernel.free_one_page)
        self._count()
        return moved

    def isolate(self, pfn: int, end: bool = False) -> bool:
        """Isolate the pageblock of pfn, or end that; tell whether that was done.

        Raises:
            ValueError: no zone has this page.
        """
        zone = self.zones[self.zone_of(pfn)]
        if not zone.start_pfn <= pfn < zone.end_pfn:
            raise ValueError(f"cannot {'un' * end}isolate pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        done = (self.kernel.unisolate if end else self.kernel.isolate)(zone, pfn)
        self._count()
        return done

    def validate(self) -> None:
        """Check every invariant of the zones, and the free pages that are counted.

        Raises:
            ValueError: one sentence that says what is wrong.
        """
        counted = list(self.free)
        self._count()
        if counted != self._free:
            raise ValueError(f"the machine counts {counted} free pages, and its zones have {self._free}")
        for zone in self.zones:
            zone.validate()
            if self.kernel.strict:
                validate_types(zone)


def _sizes(zones: Sequence[Zone]) -> list[Size]:
    """Return what the marks of zones are made from, after a check that these zones can be a machine."""
    if not zones:
        raise ValueError("a machine without a zone cannot be: give one or more")
    for zone in zones:
        if zone.name not in ZONE_NAMES:
            raise ValueError(f"zone {zone.name!r} cannot be: zones are named {', '.join(ZONE_NAMES)}")
    for lower, upper in zip(zones, zones[1:], strict=False):
        if upper.start_pfn < lower.end_pfn:
            raise ValueError(f"zones {lower.name} and {upper.name} overlap at pfn {upper.start_pfn}: give each page to one zone")
    return [Size(zone.node, ZONE_NAMES.index(zone.name), zone.managed) for zone in zones]
