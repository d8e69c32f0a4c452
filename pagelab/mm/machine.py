"""The machine as a caller sees it: requests in, pfns out."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

from .act import Act, Asked, Checked, Refused, Relabelled, Watched, redo
from .allocator import REFUSED, Allocator
from .call import FREE, NUMBER_END, REF, Call, alloc_request, exact_request, free_request, unpack
from .gfp import GFP_KERNEL, Gfp, gfp_migratetype
from .page_alloc import boot, rmqueue_smallest
from .units import PAGE_SIZE, PAGEBLOCK_ORDER, get_order, to_pages
from .zone import Zone
from .zonelist import MODIFIER_BITS, Plan

NOTHING, COMPACTED = -2, -3
Moves = tuple[int, dict[int, int]]


class Machine(Allocator):
    """A machine that does requests, so that a tape can drive it.

    Args:
        zones, kernel, cpus, pcp, min_free_kbytes: as `Allocator` has them. One zone and nothing else makes a bare machine, of which
            notebooks 01 and 02 tell.

    >>> machine = Machine(boot(16))
    >>> machine.apply(alloc_request(0), []), machine.apply(free_request(0), [0]) == NOTHING
    (0, True)
    """

    # The caches that requests can name, by number.
    names: Sequence[str] = ()

    def _begin(self) -> None:
        super()._begin()
        self._moves: list[Moves] = []

    def _choose(self, kernel: str) -> None:
        super()._choose(kernel)
        self._plans: dict[int, Plan] = {}
        self._merge = self.kernel.free_one_page

    def _stand_on(self, zones: Sequence[Zone]) -> None:
        super()._stand_on(zones)
        # One zone, no watermarks, no per-CPU lists: the same rules, without looking for what is not there.
        self._bare = self.zone if len(self.zones) == 1 and not self.marks and self._lists[0][0] < 0 else None

    @property
    def free(self) -> list[int]:
        """The free pages of each zone: NR_FREE_PAGES. Pages on per-CPU lists and in isolated pageblocks are not among them."""
        if self._bare is not None:
            self._count()
        return self._free

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
        zone = self._bare
        if plan := self._plans.get(request):
            if zone is None:
                return self.alloc(plan)
            pfn = rmqueue_smallest(zone, plan.order, plan.mt)
            return pfn if pfn >= 0 else self.rmqueue_buddy(zone, plan.order, plan.mt)
        pfn = request - FREE
        if not 0 <= pfn < NUMBER_END:
            if not FREE <= request < 2 * FREE:
                return self._other(unpack(request), request, received)
            if request >> 26 & 15 >= self.cpus:
                raise ValueError(self._unknown(unpack(request)))
            pfn = self.pfn_to_free(request, received)
        if zone is None:
            self.give_back(pfn, request >> 26 & 15)
            return NOTHING
        order = zone.give(pfn)
        if order < 0:
            raise ValueError(f"cannot free pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        self._merge(zone, pfn, order, zone.pageblock_type[pfn - zone.base >> PAGEBLOCK_ORDER])
        return NOTHING

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
                plan = self.plan(call)
                if not plan.low:
                    return REFUSED
                self._plans[request] = plan
                return self.apply(request, received)
            case "alloc_exact":
                return self._alloc_exact(call)
            case "compact":
                self._moves.append((self._step(received), self.compact()))
                return COMPACTED
            case "drain":
                self.drain(range(self.cpus) if call.number == 0 else [call.number - 1])
            case verb:
                self.isolate(call.number, end=verb == "unisolate")
        return NOTHING

    def _alloc_exact(self, call: Call) -> int:
        order = get_order(call.number)
        modifier = call.modifier % MODIFIER_BITS.index(Gfp.HIGHMEM)
        pfn = self.apply(alloc_request(order, call.mt, call.cpu, call.node, modifier, call.atomic), ())
        if pfn >= 0:
            self.trim(pfn, order, call.number)
        return pfn

    def _step(self, received: Sequence[int]) -> int:
        """Return the number of the compaction that is done now; a tape that is replayed knows already what it received."""
        after = 1 + self._moves[-1][0] if self._moves else 0
        return next((k for k in range(after, len(received)) if received[k] == COMPACTED), len(received))

    def _unknown(self, call: Call) -> str:
        cpu = call.number - 1 if call.verb == "drain" else call.cpu
        has = (f"{name} 0" if count == 1 else f"{name}s 0..{count - 1}" for name, count in (("cpu", self.cpus), ("node", self.nodes)))
        return f"cpu {cpu} of node {call.node} does not exist: this machine has {' and '.join(has)}"

    # As code in the kernel would ask.

    def alloc_pages(self, order: int, gfp: int = GFP_KERNEL, cpu: int = 0, node: int = 0) -> int | None:
        """Allocate a block.

        Args:
            order: 0..10.
            gfp: a gfp mask; of those that cannot wait, only GFP_ATOMIC may use reserves.
            cpu: the CPU that asks.
            node: the node that it prefers.

        Returns:
            The pfn of the first page, or None where the kernel returns NULL.

        Raises:
            ValueError: a number is out of its range, or the mask contradicts itself.

        Source: __alloc_pages, mm/page_alloc.c, 6.12.

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
        >>> small.alloc_pages_exact(5 * 4096, Gfp.MOVABLE), [small.zone.blocks(order, 1) for order in range(4)]
        (0, [[5], [6], [], [8]])
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

    def acts(self, request: int, received: Sequence[int]) -> list[Any]:
        """Do one request and return what happened, act by act; the first act is the request itself."""
        asked = self._asked(unpack(request), request, received)
        acts: list[Any] = [asked]
        if self.watched(acts).apply(request, received) == REFUSED:
            acts.append(Refused(asked.order, asked.mt))
        return acts

    def watched(self, acts: list[Any]) -> Self:
        """Return this machine seen through: same state, and acts grows with all that it does."""
        watched, zones = copy(self), [Watched(zone) for zone in self.zones]
        watched._acts = acts
        for zone in zones:
            zone.acts = acts
        watched._stand_on(zones)
        return watched

    def redo(self, acts: Sequence[Any]) -> None:
        """Do the first acts of a request again, each in its zone, and mark the blocks that it then holds."""
        of: list[list[Act]] = [[] for _ in self.zones]
        z = 0
        for act in acts:
            match act:
                case Checked(z):
                    pass
                case Relabelled():
                    pass  # a pageblock may begin before its zone does: it is in the zone of the act before
                case _ if (pfn := getattr(act, "pfn", -1)) >= 0:
                    z = self.zone_of(pfn)
            of[z].append(act)
        for zone, its in zip(self.zones, of, strict=True):
            redo(zone, its)

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
        return self._empty([zone.like(zone_type) for zone in self.zones])

    def blank(self) -> Self:
        """Return a machine of the same shape, to be filled by `restore`."""
        return self._empty([zone.blank() for zone in self.zones])

    def _empty(self, zones: Sequence[Zone]) -> Self:
        other = copy(self)
        other._stand_on(zones)
        other._begin()
        return other

    def under(self, kernel: str) -> Self:
        """Return a machine in the same state that goes on under another kernel's rules; what its CPUs counted begins anew.

        Raises:
            ValueError: the kernel is not modelled.

        >>> machine(16).under("6.1").version
        '6.1'
        """
        other = self.blank()
        other._choose(kernel)
        other.restore(self.snapshot())
        for z, zone in enumerate(other.zones):
            for old, new in zip(zone.pcp, other._pageset(z), strict=False):
                old.high, old.high_min, old.high_max = new.high, new.high_min, new.high_max
                old.alloc_factor = old.free_factor = old.free_count = 0
                old.prev_high_order = False
        return other

    def snapshot(self) -> Any:
        """Return the whole state, small enough to keep by the hundred."""
        return tuple(zone.snapshot() for zone in self.zones), tuple(self.below_high), tuple(self._moves)

    def restore(self, snapshot: Any) -> None:
        """Bring back the state of a snapshot of a machine of the same shape."""
        for zone, kept in zip(self.zones, snapshot[0], strict=True):
            zone.restore(kept)
        self._begin()
        self.below_high, self._moves = list(snapshot[1]), list(snapshot[2])


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
