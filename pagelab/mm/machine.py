"""The machine as a caller sees it: requests in, pfns out.

A request goes down its zonelist twice: to zones above their low watermark, then to zones above their min watermark. In a zone it takes a
page of its CPU's list, which is refilled when it is empty, or goes straight to the free lists.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import Any, Self

from .act import Act, Asked, Checked, Refused, Watched
from .call import FREE as FREE
from .call import NUMBER_END, Call, unpack
from .call import REF as REF
from .call import alloc_request as alloc_request
from .call import exact_request as exact_request
from .call import free_received as free_received
from .call import free_request as free_request
from .compaction import compact
from .fallback import ALLOC_NOFRAGMENT, reserve_highatomic, validate_types
from .gfp import GFP_KERNEL, ZONE_MOVABLE, ZONE_NAMES, Gfp, gfp_migratetype
from .kernels import KERNELS
from .page_alloc import boot, rmqueue_smallest, split_page
from .pcp import PCP_BATCH_SCALE_MAX, PerCpuPages, alloc_pcp, batch_of, free_pcp, high_of, pcp_allowed
from .units import PAGE_SIZE, PAGEBLOCK_ORDER, get_order, to_pages
from .watermark import ALLOC_HIGHATOMIC, ALLOC_RESERVES, Marks, Size, has_block, lowmem_reserve, watermarks
from .zone import HIGHATOMIC, ISOLATE, Snapshot, Zone
from .zonelist import MODIFIER_BITS, Place, Plan, make_plan

REFUSED, NOTHING, COMPACTED = -1, -2, -3
Moves = tuple[int, dict[int, int]]
MachineSnapshot = tuple[tuple[Snapshot, ...], tuple[bool, ...], tuple[Moves, ...]]


class Machine:
    """A machine with its zones, which a tape can drive.

    Args:
        zones: its memory: one zone, or several with their nodes, whose pages do not overlap.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16, shared out evenly over the nodes.
        pcp: whether each CPU has lists of its own.
        min_free_kbytes: what the watermarks are made from; 0 for no watermarks and no reserves.

    `zones` are in ascending order, `zone` is the largest. `free`, `marks`, `reserve` and `below_high` have an entry for each zone: its free
    pages, its watermarks, what it keeps from requests of each highest zone, and whether it was seen below its high watermark.

    Raises:
        ValueError: the kernel is not modelled, the zones overlap or their names are unknown, or there are no CPUs or too many.

    >>> machine = Machine(boot(16))
    >>> machine.apply(alloc_request(0), []), machine.apply(free_received(0), [0]) == NOTHING
    (0, True)
    """

    def __init__(
        self, zones: Zone | Iterable[Zone], kernel: str = "6.12", cpus: int = 1, pcp: bool = False, min_free_kbytes: int = 0
    ) -> None:
        zones = [zones] if isinstance(zones, Zone) else sorted(zones, key=lambda zone: zone.start_pfn)
        if kernel not in KERNELS:
            raise ValueError(f"kernel {kernel!r} is not modelled: give {', '.join(KERNELS)}")
        if not 1 <= cpus <= 16:
            raise ValueError(f"{cpus} CPUs cannot be: give 1..16")
        self.kernel, self.cpus = KERNELS[kernel], cpus
        self.sizes = _sizes(zones)
        self.nodes = 1 + max(size.node for size in self.sizes)
        self.marks: list[Marks] = watermarks(self.sizes, min_free_kbytes, self.kernel.apart) if min_free_kbytes else []
        self.reserve = lowmem_reserve(self.sizes)
        for z, zone in enumerate(zones if pcp else ()):
            zone.pcp[:] = self._pageset(z)
        self._bare = len(self.sizes) == 1 and not self.marks and not pcp
        self._plans: dict[int, tuple[Any, ...]] = {}
        self._acts: list[Act] | None = None
        self._stand_on(zones)
        self._begin()

    def _pageset(self, z: int) -> list[PerCpuPages]:
        """Make the per-CPU lists of a zone: zone_set_pageset_high_and_batch, mm/page_alloc.c."""
        node, _, managed = self.sizes[z]
        cpus = sum(cpu * self.nodes // self.cpus == node for cpu in range(self.cpus)) or self.cpus
        batch, low = batch_of(managed), self.marks[z].low if self.marks else 0
        high_max = managed // 8 if self.kernel.auto_tuned else low
        return [PerCpuPages(batch, high_of(low, cpus, batch), high_of(high_max, cpus, batch)) for _ in range(self.cpus)]

    def _stand_on(self, zones: Sequence[Zone]) -> None:
        """Put zones of the same shape in place of those here."""
        self.zones = list(zones)
        self.zone = max(self.zones, key=lambda zone: (zone.name != "Device", zone.end_pfn - zone.start_pfn))
        self._starts = [zone.start_pfn for zone in self.zones]
        self._low: Callable[..., int] = self._above_low
        self._min: Callable[..., int] = self._above_min
        self._back: Callable[[int, int], int] = self._free
        if self._bare:
            # One zone, no watermarks, no per-CPU lists: the same rules, without looking for what is not there.
            self._low, self._min, self._back = partial(rmqueue_smallest, self.zone), self._fall_back, self._free_bare

    def _begin(self) -> None:
        """Begin with the state that the zones have."""
        self.below_high = [False] * len(self.zones)
        self._moves: list[Moves] = []
        self._free_pages = [0] * len(self.zones)
        self._kept = [False] * len(self.zones)
        self._count()

    def _count(self) -> None:
        """Count the free pages of each zone anew; isolated ones are not free."""
        for z, zone in enumerate(self.zones):
            isolated = sum(len(row[ISOLATE]) << order for order, row in enumerate(zone.free_list)) if ISOLATE in zone.pageblock_type else 0
            self._free_pages[z] = zone.nr_free_pages() - isolated
            self._kept[z] = HIGHATOMIC in zone.pageblock_type

    @property
    def free(self) -> list[int]:
        """The free pages of each zone: NR_FREE_PAGES. Pages on per-CPU lists and in isolated pageblocks are not among them."""
        if self._bare:
            self._count()
        return self._free_pages

    # Requests.

    def apply(self, request: int, received: Sequence[int]) -> int:
        """Do one request.

        Args:
            request: as `pagelab.mm.call` writes it.
            received: what each request before this one received.

        Returns:
            The pfn an allocation received or REFUSED; COMPACTED for a compaction; NOTHING for any other request.

        Raises:
            ValueError: a free of what is not in use, or a CPU or node that the machine does not have; nothing changes.
        """
        if plan := self._plans.get(request):
            pfn = self._low(*plan)
            return pfn if pfn >= 0 else self._min(*plan)
        if not FREE <= request < 2 * FREE:
            return self._other(unpack(request), request, received)
        cpu = request >> 26 & 15
        if cpu >= self.cpus:
            raise ValueError(self._unknown(unpack(request)))
        return self._back(self.pfn_to_free(request, received) if request & REF else request & NUMBER_END - 1, cpu)

    def pfn_to_free(self, request: int, received: Sequence[int]) -> int:
        """Return the pfn that a free names: by itself, or through an earlier request, wherever compaction moved its page since.

        Raises:
            ValueError: the earlier request does not exist, was refused, or was no allocation.
        """
        number = request & NUMBER_END - 1
        if not request & REF:
            return number
        if number >= len(received):
            raise ValueError(f"@{number} names no earlier request: there are {len(received)} so far, numbered from 0")
        pfn = received[number]
        if pfn < 0:
            was = "was refused" if pfn == REFUSED else "was no allocation"
            raise ValueError(f"@{number} cannot be freed: request {number} {was} and received no page")
        for step, moved in self._moves:
            if step > number:
                pfn = moved.get(pfn, pfn)
        return pfn

    def _other(self, call: Call, request: int, received: Sequence[int]) -> int:
        """Do a request that is no free, and no allocation that was made before."""
        if not (call.cpu < self.cpus and call.node < self.nodes) or (call.verb == "drain" and call.number > self.cpus):
            raise ValueError(self._unknown(call))
        match call.verb:
            case "alloc":
                plan = make_plan(call, self.sizes, self.marks, self.reserve, bool(self.zone.pcp))
                if not plan.low:
                    return REFUSED
                self._plans[request] = (call.number, call.mt) if self._bare else (plan,)
                return self.apply(request, received)
            case "alloc_exact":
                return self._alloc_exact(call)
            case "compact":
                self._compact(received)
                return COMPACTED
            case "drain":
                self._drain(call.number)
            case verb:
                zone = self.zones[self.zone_of(call.number)]
                (self.kernel.isolate if verb == "isolate" else self.kernel.unisolate)(zone, call.number)
                self._count()
        return NOTHING

    def _unknown(self, call: Call) -> str:
        cpu = call.number - 1 if call.verb == "drain" else call.cpu
        has = (f"{name} 0" if count == 1 else f"{name}s 0..{count - 1}" for name, count in (("cpu", self.cpus), ("node", self.nodes)))
        return f"cpu {cpu} of node {call.node} does not exist: this machine has {' and '.join(has)}"

    # An allocation: get_page_from_freelist() and rmqueue(), mm/page_alloc.c.

    def _above_low(self, plan: Plan) -> int:
        return self._get_page(plan, plan.low, plan.flags)

    def _above_min(self, plan: Plan) -> int:
        return self._get_page(plan, plan.min, plan.slow_flags)

    def _get_page(self, plan: Plan, places: Sequence[Place], flags: int) -> int:
        """Try zone after zone; where the first pass may not mix types, there is a second one that may."""
        for place in places:
            if flags & ALLOC_NOFRAGMENT and place.remote:
                break
            if self._watermark_ok(place, plan.order, flags):
                pfn = self._rmqueue(place.z, plan, flags)
                if pfn >= 0:
                    return pfn
        return self._get_page(plan, places, flags ^ ALLOC_NOFRAGMENT) if flags & ALLOC_NOFRAGMENT else REFUSED

    def _watermark_ok(self, place: Place, order: int, flags: int) -> bool:
        z, mark, reserve, limit, high, _ = place
        free, ok = self._free_pages[z], True
        if self.marks:
            if self._kept[z] and not flags & ALLOC_RESERVES:
                free -= self.kernel.kept(self.zones[z])
            ok = free > limit and (not order or has_block(self.zones[z], order, flags))
            if self.kernel.auto_tuned and not (ok and free > high):
                self.below_high[z] = True
        if self._acts is not None and (self.marks or len(self.zones) > 1):
            self._acts.append(Checked(z, free - (1 << order) + 1, mark, reserve, ok))
        return ok

    def _rmqueue(self, z: int, plan: Plan, flags: int) -> int:
        order, mt, cpu, at = plan[:4]
        zone, pfn = self.zones[z], -1
        if at >= 0:
            pcp = zone.pcp[cpu]
            before = pcp.count
            pfn = alloc_pcp(zone, self.kernel.pcp, cpu, order, mt, self.below_high[z], flags)
            self._free_pages[z] += before - pcp.count - (1 << order if pfn >= 0 else 0)
        if pfn < 0:
            pfn = self._rmqueue_buddy(zone, order, mt, flags)
            self._free_pages[z] -= 1 << order if pfn >= 0 else 0
        if flags & ALLOC_HIGHATOMIC and pfn >= 0 and reserve_highatomic(zone, pfn):
            self._kept[z] = True
        return pfn

    def _rmqueue_buddy(self, zone: Zone, order: int, mt: int, flags: int) -> int:
        pfn = rmqueue_smallest(zone, order, HIGHATOMIC) if flags & ALLOC_HIGHATOMIC else -1
        if pfn < 0:
            pfn = next(iter(self.kernel.pcp.rmqueue_bulk(zone, order, 1, mt, flags)), -1)
        if pfn < 0 and flags & self.kernel.last_resort:
            pfn = rmqueue_smallest(zone, order, HIGHATOMIC)
        return pfn

    def _fall_back(self, order: int, mt: int) -> int:
        return self._rmqueue_buddy(self.zone, order, mt, 0)

    def _alloc_exact(self, call: Call) -> int:
        """Allocate a block, cut it into pages and give back those not asked for, at the tail: make_alloc_exact."""
        order = get_order(call.number)
        modifier = call.modifier % MODIFIER_BITS.index(Gfp.HIGHMEM)
        pfn = self.apply(alloc_request(order, call.mt, call.cpu, call.node, modifier, call.atomic), ())
        if pfn >= 0:
            z = self.zone_of(pfn)
            split_page(self.zones[z], pfn, order)
            for page in range(pfn + call.number, pfn + (1 << order)):
                self.zones[z].give(page)
                self._free_one_page(z, page, 0, to_tail=True)
        return pfn

    # A free: free_unref_page() and __free_pages_ok(), mm/page_alloc.c.

    def _free(self, pfn: int, cpu: int) -> int:
        z = self.zone_of(pfn)
        zone = self.zones[z]
        order = zone.give(pfn)
        if order < 0:
            raise ValueError(f"cannot free pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        mt = zone.block_type(pfn)
        if not zone.pcp or mt == ISOLATE or not pcp_allowed(order):
            self._free_one_page(z, pfn, order)
        elif drained := free_pcp(zone, self.kernel.pcp, cpu, pfn, order, mt, self.below_high[z]):
            self._came_back(z, drained)
            if self.below_high[z] and self._free_pages[z] > self.marks[z].high + self.reserve[z][ZONE_MOVABLE]:
                self.below_high[z] = False
        return NOTHING

    def _free_one_page(self, z: int, pfn: int, order: int, to_tail: bool = False) -> None:
        zone = self.zones[z]
        self.kernel.free_one_page(zone, pfn, order, zone.block_type(pfn), to_tail)
        self._came_back(z, 1 << order)

    def _came_back(self, z: int, pages: int) -> None:
        self._free_pages[z] += pages
        if ISOLATE in self.zones[z].pageblock_type:
            self._count()

    def _free_bare(self, pfn: int, cpu: int) -> int:
        zone = self.zone
        order = zone.give(pfn)
        if order < 0:
            raise ValueError(f"cannot free pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        self.kernel.free_one_page(zone, pfn, order, zone.pageblock_type[pfn - zone.base >> PAGEBLOCK_ORDER])
        return NOTHING

    # The other requests.

    def _drain(self, number: int) -> None:
        """Bring the pages of one CPU's lists, or of all, back to the free lists: drain_all_pages, drain_pages."""
        for z, zone in enumerate(self.zones):
            for cpu in range(len(zone.pcp)) if number == 0 else (number - 1,) if zone.pcp else ():
                while zone.pcp[cpu].count:
                    self._came_back(z, self.kernel.pcp.drain(zone, cpu, zone.pcp[cpu].batch << PCP_BATCH_SCALE_MAX, 0))

    def _compact(self, received: Sequence[int]) -> None:
        """Compact each zone, and keep in mind where pages went."""
        moved: dict[int, int] = {}
        for zone in self.zones:
            moved |= compact(zone, self.kernel.free_one_page)
        after = 1 + self._moves[-1][0] if self._moves else 0
        step = next((k for k in range(after, len(received)) if received[k] == COMPACTED), len(received))
        self._moves.append((step, moved))
        self._count()

    def zone_of(self, pfn: int) -> int:
        """Return the index of the zone that a pfn is in, or would be in."""
        return max(0, bisect_right(self._starts, pfn) - 1)

    # As a caller in the kernel would write it.

    def alloc_pages(self, order: int, gfp: int = GFP_KERNEL, cpu: int = 0, node: int = 0) -> int | None:
        """Allocate a block.

        Args:
            order: 0..10.
            gfp: a gfp mask.
            cpu: the CPU that asks.
            node: the node that it prefers.

        Returns:
            The pfn of the first page, or None where the kernel returns NULL.

        Raises:
            ValueError: a number is out of its range, or the mask contradicts itself.

        Source: __alloc_pages, mm/page_alloc.c, 6.12.
        Unlike the kernel, nothing is reclaimed, compacted or drained before a request is refused; only GFP_ATOMIC may use reserves.

        >>> machine(16).alloc_pages(2)
        0
        """
        pfn = self.apply(alloc_request(order, *_options(gfp, cpu, node)), ())
        return None if pfn < 0 else pfn

    def alloc_pages_exact(self, size: int, gfp: int = GFP_KERNEL, cpu: int = 0, node: int = 0) -> int | None:
        """Allocate a number of bytes in whole pages, each of which can be freed by itself.

        Args:
            size: bytes, up to 4 MiB.
            gfp: a gfp mask; HIGHMEM is left out of it.
            cpu: the CPU that asks.
            node: the node that it prefers.

        Returns:
            The pfn of the first page, or None where the kernel returns NULL.

        Raises:
            ValueError: a number is out of its range, or the mask contradicts itself.

        Source: alloc_pages_exact, mm/page_alloc.c, 6.12.

        >>> small = machine(16)
        >>> small.alloc_pages_exact(5 * 4096, Gfp.MOVABLE), small.zone.blocks(0, 1), small.zone.blocks(1, 1), small.zone.blocks(3, 1)
        (0, [5], [6], [8])
        """
        pfn = self.apply(exact_request(-(-size // PAGE_SIZE), *_options(gfp, cpu, node)), ())
        return None if pfn < 0 else pfn

    def free_pages(self, pfn: int, order: int, cpu: int = 0) -> None:
        """Free a block.

        Args:
            pfn: its first page.
            order: 0..10, the order it was allocated with.
            cpu: the CPU that frees.

        Raises:
            ValueError: no block of this order is in use at pfn, or the CPU does not exist; nothing changes.

        Source: __free_pages, mm/page_alloc.c, 6.12.
        """
        zone = self.zones[self.zone_of(pfn)]
        if not 0 <= order == zone.in_use(pfn):
            raise ValueError(f"cannot free pfn {pfn}, order {order}: in zone {zone.name}, {zone.block(pfn)}")
        self.apply(free_request(pfn, cpu), ())

    # Watching, and keeping.

    def acts(self, request: int, received: Sequence[int]) -> list[Act]:
        """Do one request and return what happened, act by act; the first act is the request itself."""
        asked = self._asked(unpack(request), request, received)
        acts: list[Act] = [asked]
        watched = copy(self)
        zones = [Watched(zone) for zone in self.zones]
        for zone in zones:
            zone.acts = acts
        watched._acts = acts
        watched._stand_on(zones)
        if watched.apply(request, received) == REFUSED:
            acts.append(Refused(asked.order, asked.mt))
        return acts

    def _asked(self, call: Call, request: int, received: Sequence[int]) -> Asked:
        match call.verb:
            case "alloc":
                return Asked("alloc", call.number, call.mt, -1)
            case "alloc_exact":
                return Asked("alloc_exact", get_order(call.number), call.mt, -1)
            case "free":
                pfn = self.pfn_to_free(request, received)
                zone = self.zones[self.zone_of(pfn)]
                return Asked("free", zone.in_use(pfn), zone.block(pfn).mt, pfn)
            case "drain":
                return Asked("drain", -1, -1, call.number - 1)
        return Asked(call.verb, -1, -1, call.number)

    def like(self, zone_type: type[Zone]) -> Self:
        """Return a machine of the same shape with stand-ins for its zones, to be filled by `restore`."""
        other = copy(self)
        other._stand_on([zone.like(zone_type) for zone in self.zones])
        other._begin()
        return other

    def blank(self) -> Self:
        """Return a machine of the same shape, to be filled by `restore`."""
        other = copy(self)
        other._stand_on([zone.blank() for zone in self.zones])
        other._begin()
        return other

    def snapshot(self) -> MachineSnapshot:
        """Return the whole state, small enough to keep by the hundred."""
        return tuple(zone.snapshot() for zone in self.zones), tuple(self.below_high), tuple(self._moves)

    def restore(self, snapshot: MachineSnapshot) -> None:
        """Bring back the state of a snapshot of a machine of the same shape."""
        zones, below_high, moves = snapshot
        for zone, kept in zip(self.zones, zones, strict=True):
            zone.restore(kept)
        self._begin()
        self.below_high, self._moves = list(below_high), list(moves)

    def validate(self) -> None:
        """Check every invariant of the zones, and the free pages that the machine counts.

        Raises:
            ValueError: one sentence that says what is wrong.
        """
        for zone in self.zones:
            zone.validate()
            if self.kernel.strict:
                validate_types(zone)
        counted = list(self._free_pages)
        self._count()
        if counted != self._free_pages and not self._bare:
            raise ValueError(f"the machine counts {counted} free pages, and its zones have {self._free_pages}")


def _sizes(zones: Sequence[Zone]) -> list[Size]:
    """Return what the marks of zones are made from, after a check that these zones can be a machine."""
    for zone in zones:
        if zone.name not in ZONE_NAMES:
            raise ValueError(f"zone {zone.name!r} is none of {', '.join(ZONE_NAMES)}")
    for lower, upper in zip(zones, zones[1:], strict=False):
        if upper.start_pfn < lower.end_pfn:
            raise ValueError(f"zones {lower.name} and {upper.name} overlap at pfn {upper.start_pfn}: give each page to one zone")
    return [Size(zone.node, ZONE_NAMES.index(zone.name), zone.managed) for zone in zones]


def _options(gfp: int, cpu: int, node: int) -> tuple[int, int, int, int, bool]:
    """Take a gfp mask apart into what a request can say."""
    modifier = MODIFIER_BITS.index(Gfp(gfp & (Gfp.DMA | Gfp.DMA32 | Gfp.HIGHMEM)))
    return gfp_migratetype(gfp), cpu, node, modifier, bool(gfp & Gfp.HIGH and not gfp & Gfp.DIRECT_RECLAIM)


def machine(pages: int | str, kernel: str = "6.12", cpus: int = 1, pcp: bool = False, min_free_kbytes: int = 0) -> Machine:
    """Make a machine of one zone whose memory is all free.

    Args:
        pages: a number of pages, or a size such as "64 MiB".
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16.
        pcp: whether each CPU has lists of its own.
        min_free_kbytes: what the watermarks are made from; 0 for none.

    Returns:
        The machine.

    Raises:
        ValueError: the size is not a whole number of pages, or no page at all, or there can be no such machine.

    >>> machine("4 MiB").zone.counts()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    return Machine(boot(to_pages(pages)), kernel, cpus, pcp, min_free_kbytes)
