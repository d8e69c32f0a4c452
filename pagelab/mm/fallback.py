"""What happens when the lists of a migratetype are empty: taking pages, or whole pageblocks, of another type, as 6.1 and as 6.12 do it.

Both versions have one entry, rmqueue_bulk_6_1 and rmqueue_bulk_6_12; a direct allocation is a bulk of one block.
"""

from collections.abc import Callable

from .page_alloc import expand, page_del_and_expand, rmqueue_smallest
from .units import MAX_PAGE_ORDER, NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from .zone import CMA, HIGHATOMIC, MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone

FALLBACKS = ((RECLAIMABLE, MOVABLE), (RECLAIMABLE, UNMOVABLE), (UNMOVABLE, MOVABLE), (), (), ())
ALLOC_NOFRAGMENT, ALLOC_CMA = 1, 2

RMQUEUE_NORMAL, RMQUEUE_CMA, RMQUEUE_CLAIM, RMQUEUE_STEAL = range(4)
CLAIMABLE_ORDER = PAGEBLOCK_ORDER // 2
ENOUGH_PAGES = PAGEBLOCK_NR_PAGES // 2

_Rmqueue = Callable[[Zone, int, int, int, int], tuple[int, int]]


def rmqueue_bulk_6_12(zone: Zone, order: int, count: int, mt: int, flags: int = 0, pcp: tuple[int, int] | None = None) -> list[int]:
    """Take blocks off the free lists as 6.12 does; how the last one was found is where the search for the next one begins.

    Args:
        zone: where to take them.
        order: 0..10.
        count: blocks wanted.
        mt: migratetype, 0..5; only 0..2 fall back to others.
        flags: ALLOC_NOFRAGMENT and ALLOC_CMA.
        pcp: (cpu, pindex) of the per-CPU list whose tail gets each block, or None to leave them in use.

    Returns:
        The pfns, in the order they were taken; fewer than count when nothing is left.

    Source: rmqueue_bulk, __rmqueue, __rmqueue_claim and __rmqueue_steal, mm/page_alloc.c, 6.12.
    Unlike the kernel, no watermark is boosted, and grouping by mobility is never off, so that zones of a few pages have migratetypes too.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(2048)
    >>> rmqueue_bulk_6_12(zone, 0, 3, UNMOVABLE), zone.block_type(512) == UNMOVABLE, zone.blocks(10, MOVABLE)
    ([0, 1, 2], True, [1024])
    """
    return _bulk(_rmqueue_6_12, zone, order, count, mt, flags, pcp)


def rmqueue_bulk_6_1(zone: Zone, order: int, count: int, mt: int, flags: int = 0, pcp: tuple[int, int] | None = None) -> list[int]:
    """Take blocks off the free lists as 6.1 does: a fallback moves free pages to the lists of mt, and then they are taken from there.

    Args:
        zone: where to take them.
        order: 0..10.
        count: blocks wanted.
        mt: migratetype, 0..5; only 0..2 fall back to others.
        flags: ALLOC_NOFRAGMENT and ALLOC_CMA.
        pcp: (cpu, pindex) of the per-CPU list whose tail gets each block, or None to leave them in use.

    Returns:
        The pfns, in the order they were taken; fewer than count when nothing is left.

    Source: rmqueue_bulk, __rmqueue, __rmqueue_fallback and steal_suitable_fallback, mm/page_alloc.c, 6.1.
    Unlike the kernel, no watermark is boosted, and grouping by mobility is never off, so that zones of a few pages have migratetypes too.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(64)
    >>> rmqueue_bulk_6_1(zone, 0, 1, UNMOVABLE), zone.blocks(5, UNMOVABLE), zone.block_type(0) == MOVABLE
    ([0], [32], True)
    """
    return _bulk(_rmqueue_6_1, zone, order, count, mt, flags, pcp)


def _bulk(rmqueue: _Rmqueue, zone: Zone, order: int, count: int, mt: int, flags: int, pcp: tuple[int, int] | None) -> list[int]:
    pfns, mode = list[int](), RMQUEUE_NORMAL
    while len(pfns) < count:
        pfn, mode = rmqueue(zone, order, mt, flags, mode)
        if pfn < 0:
            break
        if pcp:
            zone.park(pfn, order, *pcp, tail=True)
        pfns.append(pfn)
    return pfns


def _rmqueue_6_12(zone: Zone, order: int, mt: int, flags: int, mode: int) -> tuple[int, int]:
    """Find one block, from the step at which the last one was found: __rmqueue."""
    if flags & ALLOC_CMA and _cma_first(zone) and (pfn := _steal(zone, order, mt, (CMA,))) >= 0:
        return pfn, mode
    if mode <= RMQUEUE_NORMAL and (pfn := rmqueue_smallest(zone, order, mt)) >= 0:
        return pfn, mode
    if mode <= RMQUEUE_CMA and flags & ALLOC_CMA and (pfn := _steal(zone, order, mt, (CMA,))) >= 0:
        return pfn, RMQUEUE_CMA
    if mode <= RMQUEUE_CLAIM and (pfn := _claim(zone, order, mt, flags)) >= 0:
        return pfn, RMQUEUE_NORMAL
    if not flags & ALLOC_NOFRAGMENT and (pfn := _steal(zone, order, mt, FALLBACKS[mt])) >= 0:
        return pfn, RMQUEUE_STEAL
    return -1, mode


def _claim(zone: Zone, order: int, mt: int, flags: int) -> int:
    """Make a pageblock of another type ours, from the largest free block down: __rmqueue_claim."""
    for current in range(MAX_PAGE_ORDER, _min_order(order, flags) - 1, -1):
        if not claimable(current, mt):
            break
        head, theirs = _suitable(zone, current, FALLBACKS[mt])
        if head >= 0 and (pfn := _try_to_claim_block(zone, head, order, current, mt, theirs)) >= 0:
            return pfn
    return -1


def _try_to_claim_block(zone: Zone, pfn: int, order: int, current: int, mt: int, theirs: int) -> int:
    if current >= PAGEBLOCK_ORDER:
        zone.unlink(pfn)
        zone.relabel(pfn, current, mt)
        expand(zone, pfn, order, current, mt)
        zone.take(pfn, order, mt)
        return pfn
    start = pfn & -PAGEBLOCK_NR_PAGES
    if not zone.start_pfn <= start <= zone.end_pfn - PAGEBLOCK_NR_PAGES:
        return -1
    free, movable = zone.census(start)
    if free + _alike(mt, theirs, free, movable) < ENOUGH_PAGES:
        return -1
    for head in zone.free_heads(pfn):
        zone.move(head, mt)
    zone.relabel(start, PAGEBLOCK_ORDER, mt)
    return rmqueue_smallest(zone, order, mt)


def _alike(mt: int, theirs: int, free: int, movable: int) -> int:
    """Guess the pages in use that suit a type: only movable ones can be told from the others."""
    if mt == MOVABLE:
        return movable
    return PAGEBLOCK_NR_PAGES - (free + movable) if theirs == MOVABLE else 0


def _steal(zone: Zone, order: int, mt: int, types: tuple[int, ...]) -> int:
    """Take the smallest block of other types and leave the rest of it theirs: __rmqueue_steal, __rmqueue_cma_fallback."""
    head, current, theirs = _smallest(zone, order, types)
    if head >= 0:
        page_del_and_expand(zone, head, order, current, theirs, mt)
    return head


def _rmqueue_6_1(zone: Zone, order: int, mt: int, flags: int, mode: int) -> tuple[int, int]:
    """Find one block, each time from the beginning: __rmqueue."""
    if flags & ALLOC_CMA and _cma_first(zone) and (pfn := _steal(zone, order, mt, (CMA,))) >= 0:
        return pfn, mode
    while (pfn := rmqueue_smallest(zone, order, mt)) < 0:
        if flags & ALLOC_CMA and (pfn := _steal(zone, order, mt, (CMA,))) >= 0:
            break
        if not _fallback_6_1(zone, order, mt, flags):
            break
    return pfn, mode


def _fallback_6_1(zone: Zone, order: int, mt: int, flags: int) -> bool:
    """Move free pages of another type to the lists of mt, or find none: __rmqueue_fallback."""
    for current in range(MAX_PAGE_ORDER, _min_order(order, flags) - 1, -1):
        head, _ = _suitable(zone, current, FALLBACKS[mt])
        if head < 0:
            continue
        whole = claimable(current, mt)
        if not whole:
            head, current, _ = _smallest(zone, order, FALLBACKS[mt])
        _steal_suitable_fallback(zone, head, current, mt, whole)
        return True
    return False


def _steal_suitable_fallback(zone: Zone, pfn: int, order: int, mt: int, whole: bool) -> None:
    theirs = zone.block_type(pfn)
    if theirs != HIGHATOMIC and order >= PAGEBLOCK_ORDER:
        zone.relabel(pfn, order, mt)
    elif theirs != HIGHATOMIC and whole and (first := stolen_from(zone, pfn)) >= 0:
        free, movable = zone.census(first)
        for head in zone.free_heads(first):
            if head >= first:
                zone.move(head, mt)
        if free + _alike(mt, theirs, free, movable) >= ENOUGH_PAGES:
            zone.relabel(pfn & -PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, mt)
        return
    zone.move(pfn, mt)


def stolen_from(zone: Zone, pfn: int) -> int:
    """Find the page from which on the free blocks of a pageblock move when 6.1 steals it.

    Args:
        zone: whose pageblock it is.
        pfn: the free block that was found, of an order below 9.

    Returns:
        A pfn: the first of the pageblock, or the block itself where the zone's start cuts the pageblock; -1 where its end does: then the
        block moves alone.

    Source: steal_suitable_fallback and move_freepages_block, mm/page_alloc.c, 6.1.

    >>> [stolen_from(Zone(1400, 100), pfn) for pfn in (110, 520, 1490)]
    [110, 512, -1]
    """
    start = pfn & -PAGEBLOCK_NR_PAGES
    if start > zone.end_pfn - PAGEBLOCK_NR_PAGES:
        return -1
    return start if start >= zone.start_pfn else pfn


def _min_order(order: int, flags: int) -> int:
    return max(order, PAGEBLOCK_ORDER) if flags & ALLOC_NOFRAGMENT else order


def claimable(order: int, mt: int) -> bool:
    """Tell whether a free block of another type is large enough to try for its whole pageblock.

    Args:
        order: of the block, 0..10.
        mt: migratetype that asks.

    Returns:
        True from order 4 on, and for UNMOVABLE and RECLAIMABLE always.

    Source: should_try_claim_block, mm/page_alloc.c, 6.12; can_steal_fallback, 6.1.

    >>> [order for order in range(11) if claimable(order, MOVABLE)], claimable(0, UNMOVABLE)
    ([4, 5, 6, 7, 8, 9, 10], True)
    """
    return order >= CLAIMABLE_ORDER or mt in (UNMOVABLE, RECLAIMABLE)


def _suitable(zone: Zone, order: int, types: tuple[int, ...]) -> tuple[int, int]:
    """Return the head of the first list that is not empty, and its type: find_suitable_fallback."""
    for theirs in types:
        if (pfn := zone.first(order, theirs)) >= 0:
            return pfn, theirs
    return -1, -1


def _smallest(zone: Zone, low: int, types: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the smallest block of other types, its order and its type, or -1 three times."""
    for order in range(low, NR_PAGE_ORDERS):
        pfn, theirs = _suitable(zone, order, types)
        if pfn >= 0:
            return pfn, order, theirs
    return -1, -1, -1


def _cma_first(zone: Zone) -> bool:
    """Tell whether more than half of the free pages are CMA pages."""
    pages = sum(len(row[CMA]) << order for order, row in enumerate(zone.free_list))
    return pages > zone.nr_free_pages() // 2


def reserve_highatomic(zone: Zone, pfn: int) -> bool:
    """Reserve a pageblock for requests that must not wait, after one of them received a page of it.

    Args:
        zone: whose pageblock it is.
        pfn: any page of it.

    Returns:
        True if the pageblock is HIGHATOMIC from now on; False if it cannot be, or enough are.

    Source: reserve_highatomic_pageblock, mm/page_alloc.c, 6.12.
    Unlike the kernel, a block of order 9 or 10 reserves the first of its pageblocks only, and no reserve is given up when memory is short.

    >>> from pagelab.mm.page_alloc import boot
    >>> reserve_highatomic(boot(51_199), 0), reserve_highatomic(boot(51_200), 0)
    (False, True)
    """
    hundredth = zone.managed // 100
    limit = -(-hundredth // PAGEBLOCK_NR_PAGES)
    start = pfn & -PAGEBLOCK_NR_PAGES
    if hundredth < PAGEBLOCK_NR_PAGES or zone.pageblock_type.count(HIGHATOMIC) >= limit:
        return False
    if zone.block_type(pfn) >= MIGRATE_PCPTYPES or not zone.start_pfn <= start <= zone.end_pfn - PAGEBLOCK_NR_PAGES:
        return False
    for head in zone.free_heads(pfn):
        zone.move(head, HIGHATOMIC)
    zone.relabel(start, PAGEBLOCK_ORDER, HIGHATOMIC)
    return True


def validate_types(zone: Zone) -> None:
    """Check what 6.12 holds and 6.1 does not: each free block is on the list of the type of its pageblocks.

    Args:
        zone: any zone.

    Returns:
        Nothing.

    Raises:
        ValueError: one sentence that names the block and both types.

    Source: the warning in __del_page_from_free_list and account_freepages, mm/page_alloc.c, 6.12.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(64); _ = rmqueue_bulk_6_1(zone, 0, 1, UNMOVABLE); validate_types(zone)
    Traceback (most recent call last):
        ...
    ValueError: zone Normal: block 1 is on a list for unmovable, and its pageblock at 0 is movable
    """
    for order, row in enumerate(zone.free_list):
        for mt, blocks in enumerate(row):
            for pfn in blocks:
                wrong = next((at for at in (pfn, pfn + (1 << order) - 1) if zone.block_type(at) != mt), -1)
                if wrong >= 0:
                    where = f"its pageblock at {wrong & -PAGEBLOCK_NR_PAGES} is {MIGRATETYPES[zone.block_type(wrong)]}"
                    raise ValueError(f"zone {zone.name}: block {pfn} is on a list for {MIGRATETYPES[mt]}, and {where}")
