"""The rules of the per-CPU lists: which order has one, how many pages a refill takes, when and how many pages drain back.

The rules about numbers take a PerCpuPages and nothing else, so that a real kernel's trace can be followed with them. The functions over
a zone move the pages.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .fallback import rmqueue_bulk_6_1, rmqueue_bulk_6_12
from .page_alloc import free_one_page, free_one_page_6_1
from .per_cpu_pages import NR_PCP_LISTS, PCP_ORDERS, PerCpuPages
from .units import PAGEBLOCK_ORDER
from .zone import ISOLATE, MIGRATE_PCPTYPES, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone

PAGE_ALLOC_COSTLY_ORDER = 3
PCP_BATCH_SCALE_MAX = 5
HIGH_FRACTION = 8  # of a zone's managed pages, what per-CPU lists may hold at most: MIN_PERCPU_PAGELIST_HIGH_FRACTION


def pcp_allowed(order: int) -> bool:
    """Tell whether blocks of an order go through the per-CPU lists.

    Args:
        order: 0..10.

    Returns:
        True for 0..3 and 9.

    Source: pcp_allowed_order, mm/page_alloc.c, 6.12, with transparent huge pages.

    >>> [order for order in range(11) if pcp_allowed(order)]
    [0, 1, 2, 3, 9]
    """
    return order <= PAGE_ALLOC_COSTLY_ORDER or order == PAGEBLOCK_ORDER


def pindex(order: int, mt: int) -> int:
    """Find the list of an order and a migratetype.

    Args:
        order: 0..3 or 9.
        mt: migratetype; HIGHATOMIC and CMA blocks wait on the list for MOVABLE.

    Returns:
        0..13.

    Source: order_to_pindex and free_unref_page, mm/page_alloc.c, 6.12.

    >>> pindex(0, 1), pindex(3, 2), pindex(9, 0), pindex(9, 1), pindex(0, 3)
    (1, 11, 12, 13, 1)
    """
    kind = mt if mt < MIGRATE_PCPTYPES else MOVABLE
    return 3 * order + kind if order < PAGEBLOCK_ORDER else 12 + (kind == MOVABLE)


def batch_of(managed: int) -> int:
    """Compute how many pages a refill of a zone's lists starts from.

    Args:
        managed: pages of the zone that the allocator manages.

    Returns:
        1 to 63.

    Source: zone_batchsize, mm/page_alloc.c, 6.12.

    >>> [batch_of(pages) for pages in (3_840, 12_288, 48_842, 115_018, 179_338)]
    [1, 3, 15, 31, 63]
    """
    batch = max(min(managed >> 10, 256) // 4, 1)
    return max((1 << (batch + batch // 2).bit_length() - 1) - 1, 1)


def high_of(pages: int, cpus: int, batch: int) -> int:
    """Compute how many pages the lists of one CPU may hold.

    Args:
        pages: the low watermark of the zone; for the high_max of 6.12 an eighth of its managed pages.
        cpus: CPUs of the zone's node, 1 or more.
        batch: as `batch_of` gives it.

    Returns:
        Pages, at least four batches.

    Source: zone_highsize, mm/page_alloc.c, 6.12.

    >>> high_of(6667, 2, 63), high_of(32, 2, 1)
    (3333, 16)
    """
    return max(pages // cpus, 4 * batch)


def on_alloc_6_1(pcp: PerCpuPages) -> None:
    """Halve what the next drain would be multiplied by; called at each allocation, before a refill.

    Args:
        pcp: the CPU's lists.

    Returns:
        Nothing.

    Source: rmqueue_pcplist, mm/page_alloc.c, 6.1.

    >>> pcp = PerCpuPages(3, 276); pcp.free_factor = 2
    >>> on_alloc_6_1(pcp); pcp.free_factor
    1
    """
    pcp.free_factor >>= 1


def on_alloc_6_12(pcp: PerCpuPages) -> None:
    """Halve the pages freed in a row; called at each allocation, before a refill.

    Args:
        pcp: the CPU's lists.

    Returns:
        Nothing.

    Source: rmqueue_pcplist, mm/page_alloc.c, 6.12.

    >>> pcp = PerCpuPages(3, 276); pcp.free_count = 9
    >>> on_alloc_6_12(pcp); pcp.free_count
    4
    """
    pcp.free_count >>= 1


def refill_6_1(pcp: PerCpuPages, order: int, below_high: bool = False) -> int:
    """Count the blocks that an empty list asks for.

    Args:
        pcp: the CPU's lists.
        order: of the blocks.
        below_high: without meaning on 6.1.

    Returns:
        1 or more blocks.

    Source: __rmqueue_pcplist, mm/page_alloc.c, 6.1.

    >>> refill_6_1(PerCpuPages(63, 3333), 0), refill_6_1(PerCpuPages(63, 3333), 3), refill_6_1(PerCpuPages(63, 3333), 9)
    (63, 7, 2)
    """
    return max(pcp.batch >> order, 2) if pcp.batch > 1 else 1


def refill_6_12(pcp: PerCpuPages, order: int, below_high: bool = False) -> int:
    """Count the blocks that an empty list asks for: twice as many pages each time, while nothing is freed.

    Args:
        pcp: the CPU's lists; high and alloc_factor grow.
        order: of the blocks.
        below_high: the zone has no more free pages than its high watermark.

    Returns:
        1 or more blocks.

    Source: nr_pcp_alloc, mm/page_alloc.c, 6.12.

    >>> pcp = PerCpuPages(3, 276, 1536)
    >>> [refill_6_12(pcp, 0) for _ in range(4)], pcp.high
    ([3, 6, 12, 24], 321)
    """
    high = pcp.high = min(max(pcp.high, pcp.high_min), pcp.high_max)
    if high < pcp.batch:
        return 1
    pages = pcp.batch if order else pcp.batch << pcp.alloc_factor
    if pcp.high_min != pcp.high_max and not below_high:
        high = pcp.high = min(high + pages, pcp.high_max)
    if not order:
        most = max(high - pcp.count - pcp.batch, pcp.batch)
        if pages <= most and pcp.alloc_factor < PCP_BATCH_SCALE_MAX:
            pcp.alloc_factor += 1
        pages = min(pages, most)
    return max(pages >> order, 2) if pages > 1 else 1


def after_free_6_1(pcp: PerCpuPages, order: int, below_high: bool = False) -> int:
    """Count the pages that drain after a block came to a list and `count` was raised.

    Args:
        pcp: the CPU's lists; free_factor grows when they drain.
        order: of the block.
        below_high: without meaning on 6.1.

    Returns:
        Pages, 0 for none.

    Source: free_unref_page_commit, nr_pcp_high and nr_pcp_free, mm/page_alloc.c, 6.1.
    Unlike the kernel, no reclaim is ever active.

    >>> pcp = PerCpuPages(3, 12); pcp.count = 12
    >>> after_free_6_1(pcp, 0), after_free_6_1(pcp, 0), after_free_6_1(pcp, 1)
    (3, 6, 12)
    """
    if 0 < order <= PAGE_ALLOC_COSTLY_ORDER and pcp.free_factor:
        return pcp.count
    if pcp.count < pcp.high:
        return 0
    if pcp.high < pcp.batch:
        return 1
    pages, most = pcp.batch << pcp.free_factor, pcp.high - pcp.batch
    if pages < most and pcp.free_factor < PCP_BATCH_SCALE_MAX:
        pcp.free_factor += 1
    return min(max(pages, pcp.batch), most)


def after_free_6_12(pcp: PerCpuPages, order: int, below_high: bool = False) -> int:
    """Count the pages that drain after a block came to a list and `count` was raised.

    Args:
        pcp: the CPU's lists; the factors, the pages freed in a row and high change.
        order: of the block.
        below_high: the zone has no more free pages than its high watermark.

    Returns:
        Pages, 0 for none.

    Source: free_unref_page_commit, nr_pcp_high and nr_pcp_free, mm/page_alloc.c, 6.12.
    Unlike the kernel, no reclaim is ever active, and a CPU's cache is never so large that single blocks of orders 1..3 drain.

    >>> pcp = PerCpuPages(3, 12); pcp.count = 12
    >>> after_free_6_12(pcp, 0), pcp.free_count, after_free_6_12(pcp, 3), pcp.free_count
    (3, 1, 9, 9)
    """
    most_freed, high_order = pcp.batch << PCP_BATCH_SCALE_MAX, 0 < order <= PAGE_ALLOC_COSTLY_ORDER
    free_high = high_order and pcp.prev_high_order and pcp.free_count >= pcp.batch and pcp.count >= pcp.batch
    pcp.alloc_factor >>= 1
    pcp.prev_high_order = high_order
    if pcp.free_count < most_freed:
        pcp.free_count += 1 << order
    high = pcp.high = min(max(pcp.high, pcp.high_min), pcp.high_max)
    if free_high:
        pcp.high = max(high - most_freed, pcp.high_min)
        return min(pcp.count, most_freed)
    if below_high and pcp.high_min != pcp.high_max:
        pcp.high = max(high - max(pcp.free_count, pcp.batch), pcp.high_min)
        high = max(pcp.count, pcp.high_min)
    elif pcp.count >= high and pcp.high_min != pcp.high_max:
        pcp.high = min(max(high, pcp.free_count + pcp.batch), pcp.high_max)
    if pcp.count < high:
        return 0
    return min(max(pcp.free_count, pcp.batch), high - pcp.batch) if high >= pcp.batch else 1


def free_pcppages_bulk(
    zone: Zone,
    cpu: int,
    count: int,
    pindex: int,
    type_of: Callable[[Zone, int, int], int],
    free: Callable[[Zone, int, int, int], None],
) -> int:
    """Bring pages of a CPU's lists back to the free lists, from the tail of each.

    Args:
        zone: whose pages they are.
        cpu: whose lists.
        count: pages wanted; the last block may overshoot.
        pindex: the list to begin with; the next ones follow, and the first after the last.
        type_of: zone, cpu and pindex to the type of the tail of that list: that of its pageblock now (6.12), or as it was when the block
            came (6.1).
        free: `free_one_page` of the kernel.

    Returns:
        The pages that drained.

    Source: free_pcppages_bulk, mm/page_alloc.c, 6.1 and 6.12.

    >>> zone = Zone(16)
    >>> zone.pcp.append(PerCpuPages(3, 12)); zone.park(8, 0, 0, pindex(0, MOVABLE)); zone.park(9, 0, 0, pindex(0, MOVABLE))
    >>> PCP_6_1.drain(zone, 0, 1, 0), zone.blocks(0, MOVABLE), zone.pcp[0].count
    (1, [8], 1)
    """
    pcp = zone.pcp[cpu]
    drained, count = 0, min(count, pcp.count)
    while drained < count:
        blocks, order = pcp.lists[pindex], PCP_ORDERS[pindex]
        while blocks and drained < count:
            mt = type_of(zone, cpu, pindex)
            free(zone, zone.unpark(cpu, pindex, tail=True), order, mt)
            drained += 1 << order
        pindex = (pindex + 1) % NR_PCP_LISTS
    return drained


def _block_type(zone: Zone, cpu: int, pindex: int) -> int:
    return zone.block_type(zone.pcp[cpu].lists[pindex][-1])


def _known_type(zone: Zone, cpu: int, at: int) -> int:
    """Say what page->index has: the pageblock's type when the block was freed, or else the type that a refill asked for.

    While any pageblock is isolated, that is not trusted.
    """
    if ISOLATE in zone.pageblock_type:
        return _block_type(zone, cpu, at)
    pcp = zone.pcp[cpu]
    mt = pcp.types[pcp.lists[at][-1]]
    return mt if pindex(PCP_ORDERS[at], mt) == at else _LIST_TYPES[at]


_LIST_TYPES = (UNMOVABLE, MOVABLE, RECLAIMABLE) * 4 + (UNMOVABLE, MOVABLE)


class PcpRules(NamedTuple):
    """What one kernel version does with per-CPU lists: one function for each decision."""

    rmqueue_bulk: Callable[..., list[int]]
    on_alloc: Callable[[PerCpuPages], None]
    refill: Callable[[PerCpuPages, int, bool], int]
    after_free: Callable[[PerCpuPages, int, bool], int]
    drain: Callable[[Zone, int, int, int], int]


_drain_6_1 = partial(free_pcppages_bulk, type_of=_known_type, free=free_one_page_6_1)
_drain_6_12 = partial(free_pcppages_bulk, type_of=_block_type, free=free_one_page)
PCP_6_1 = PcpRules(rmqueue_bulk_6_1, on_alloc_6_1, refill_6_1, after_free_6_1, _drain_6_1)
PCP_6_12 = PcpRules(rmqueue_bulk_6_12, on_alloc_6_12, refill_6_12, after_free_6_12, _drain_6_12)


def alloc_pcp(zone: Zone, rules: PcpRules, cpu: int, order: int, mt: int, below_high: bool = False, flags: int = 0) -> int:
    """Hand out the head of a CPU's list, after a refill if the list is empty.

    Args:
        zone: whose pages they are.
        rules: of the kernel.
        cpu: the CPU that asks.
        order: 0..3 or 9.
        mt: migratetype, 0..2.
        below_high: the zone has no more free pages than its high watermark.
        flags: ALLOC_NOFRAGMENT and ALLOC_CMA, for a refill.

    Returns:
        The pfn, now in use, or -1 when the list is empty and the free lists have nothing.

    Source: rmqueue_pcplist, mm/page_alloc.c, 6.12.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(16); zone.pcp.append(PerCpuPages(3, 12))
    >>> alloc_pcp(zone, PCP_6_12, 0, 0, MOVABLE), list(zone.pcp[0].lists[pindex(0, MOVABLE)]), zone.nr_free_pages()
    (0, [1, 2], 13)
    """
    pcp, at = zone.pcp[cpu], pindex(order, mt)
    rules.on_alloc(pcp)
    if not pcp.lists[at]:
        rules.rmqueue_bulk(zone, order, rules.refill(pcp, order, below_high), mt, flags, (cpu, at))
        if not pcp.lists[at]:
            return -1
    pfn = zone.unpark(cpu, at)
    zone.take(pfn, order, mt)
    return pfn
