"""Compaction: pages in use move up, so that what is free comes together below.

Two scanners walk towards each other over the pageblocks. From the bottom comes the one that looks for pages to move, from the top the one
that looks for free pages to move them to.
"""

from collections import deque
from collections.abc import Callable

from .page_alloc import free_one_page
from .units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from .zone import CMA, HELD, IN_USE, MOVABLE, Zone

COMPACT_CLUSTER_MAX = 32


def compact(zone: Zone, free: Callable[[Zone, int, int, int], None] = free_one_page) -> dict[int, int]:
    """Compact a whole zone, as a write to /proc/sys/vm/compact_memory does.

    Args:
        zone: any zone.
        free: how a block comes back: free_one_page of the kernel's version.

    Returns:
        From the old pfn of each block that moved to its new one, in the order of the moves.

    Source: compact_zone, isolate_migratepages, isolate_freepages and compaction_alloc, mm/compaction.c, 6.12.
    Unlike the kernel, every movable page can be moved, a block that finds no place of its size is not split, nothing is remembered from
    one compaction to the next, what is freed goes past the per-CPU lists, and 6.1 does not split what it set aside into single pages first.
    Only a whole zone is compacted, never for one request.

    >>> from pagelab.mm.page_alloc import alloc_pages, boot, free_pages
    >>> zone = boot(2048)
    >>> pfns = [alloc_pages(zone, 0) for _ in range(1539)]
    >>> for pfn in pfns[:510] + pfns[512:1536]: free_pages(zone, pfn, 0)
    >>> compact(zone), zone.counts()[10]
    ({511: 1539, 510: 1540}, 1)
    """
    control = _CompactControl(zone)
    moved = dict[int, int]()
    while cluster := control.isolate_migratepages():
        while cluster:
            pfn, order = cluster[-1]
            to = control.take_target(order, sum(1 << size for _, size in cluster))
            if to < 0:
                break
            zone.migrate(pfn, to)
            free(zone, pfn, order, zone.block_type(pfn))
            moved[pfn] = to
            cluster.pop()
        if cluster:
            break
    control.release(free)
    return moved


class _CompactControl:
    """Where the scanners stand, and the free blocks that were set aside: struct compact_control."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.migrate_pfn = zone.start_pfn
        self.free_pfn = zone.end_pfn - 1 & -PAGEBLOCK_NR_PAGES
        self.freepages: list[deque[int]] = [deque() for _ in range(NR_PAGE_ORDERS)]

    def isolate_migratepages(self) -> list[tuple[int, int]]:
        """Return the next blocks to move, 32 pages or all that a pageblock has; none where the scanners meet."""
        cluster, pages = list[tuple[int, int]](), 0
        while not cluster and (end := (self.migrate_pfn & -PAGEBLOCK_NR_PAGES) + PAGEBLOCK_NR_PAGES) <= self.free_pfn:
            for head, state in self.zone.pageblock(self.migrate_pfn) if self._movable(self.migrate_pfn) else ():
                order = state & 15
                if head >= self.migrate_pfn and state & 0xF0 == IN_USE | MOVABLE << 4 and order < PAGEBLOCK_ORDER:
                    cluster.append((head, order))
                    pages += 1 << order
                    if pages >= COMPACT_CLUSTER_MAX:
                        self.migrate_pfn = head + (1 << order)
                        return cluster
            self.migrate_pfn = end
        return cluster

    def take_target(self, order: int, wanted: int) -> int:
        """Take a block of an order from what was set aside, and set more aside if there is none; -1 if that fails too."""
        found = self._smallest(order)
        if found < 0:
            self._isolate_freepages(wanted)
            found = self._smallest(order)
        if found < 0:
            return -1
        pfn = self.freepages[found].popleft()
        self.zone.unhold(pfn)
        for half in range(found - 1, order - 1, -1):
            self.zone.hold(pfn + (1 << half), half)
            self.freepages[half].appendleft(pfn + (1 << half))
        return pfn

    def release(self, free: Callable[[Zone, int, int, int], None]) -> None:
        """Free what was set aside and not used."""
        for order, blocks in enumerate(self.freepages):
            for pfn in blocks:
                self.zone.unhold(pfn)
                free(self.zone, pfn, order, self.zone.block_type(pfn))

    def _isolate_freepages(self, wanted: int) -> None:
        """Set free blocks aside, pageblock by pageblock downwards, until as many pages are there as wanted."""
        low = (self.migrate_pfn & -PAGEBLOCK_NR_PAGES) + PAGEBLOCK_NR_PAGES
        while self.free_pfn >= low:
            if self._suitable_target(self.free_pfn) and self._isolate_freepages_block(wanted):
                break
            self.free_pfn -= PAGEBLOCK_NR_PAGES

    def _isolate_freepages_block(self, wanted: int) -> bool:
        """Set free blocks of one pageblock aside, upwards; tell whether that was enough."""
        for head, state in self.zone.pageblock(self.free_pfn):
            if state < HELD:
                order = state & 15
                self.zone.unlink(head)
                self.zone.hold(head, order)
                self.freepages[order].append(head)
                if self._pages() >= wanted:
                    return True
        return False

    def _pages(self) -> int:
        return sum(len(blocks) << order for order, blocks in enumerate(self.freepages))

    def _smallest(self, order: int) -> int:
        return next((found for found in range(order, NR_PAGE_ORDERS) if self.freepages[found]), -1)

    def _movable(self, pfn: int) -> bool:
        return self.zone.block_type(pfn) in (MOVABLE, CMA)

    def _suitable_target(self, start: int) -> bool:
        """Tell whether pages may move here: suitable_migration_target. A pageblock that is all free is what compaction wants to keep."""
        block = self.zone.block(start)
        return self._movable(start) and not (block.kind == "free" and block.order >= PAGEBLOCK_ORDER)
