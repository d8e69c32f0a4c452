"""The rules of the page allocator over one zone: split on the way out, merge on the way back.

Each function is one of the kernel's, read in mm/page_alloc.c of 6.12. 6.1 has the same logic, but for what `free_one_page_6_1` says. They
keep no state of their own.
"""

from collections.abc import Iterable

from .units import MAX_PAGE_ORDER, NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from .zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE, Zone


def alloc_pages(zone: Zone, order: int, mt: int = MOVABLE) -> int | None:
    """Allocate a block of 2^order pages.

    Args:
        zone: where to take it.
        order: 0..10.
        mt: migratetype, 0..5; only its own lists are used.

    Returns:
        The pfn of the first page, or None where the kernel returns NULL.

    Raises:
        ValueError: the order or the migratetype does not exist.

    Source: __rmqueue_smallest, mm/page_alloc.c, 6.12.
    Unlike the kernel, there is no fallback to another migratetype: that is in fallback.py.

    >>> zone = boot(16)
    >>> alloc_pages(zone, 0), alloc_pages(zone, 1), alloc_pages(zone, 4)
    (0, 2, None)
    """
    if not 0 <= order <= MAX_PAGE_ORDER:
        raise ValueError(f"order {order} does not exist: orders are 0..{MAX_PAGE_ORDER}")
    if not 0 <= mt < len(MIGRATETYPES):
        raise ValueError(f"migratetype {mt} does not exist: migratetypes are 0..{len(MIGRATETYPES) - 1}")
    pfn = rmqueue_smallest(zone, order, mt)
    return None if pfn < 0 else pfn


def rmqueue_smallest(zone: Zone, order: int, mt: int) -> int:
    """Take the head of the lowest order that has a block, and split it down.

    Args:
        zone: where to look.
        order: 0..10.
        mt: whose lists.

    Returns:
        The pfn, now in use, or -1 when no list from this order up has a block.

    Source: __rmqueue_smallest, mm/page_alloc.c, 6.12.

    >>> rmqueue_smallest(boot(16), 5, MOVABLE)
    -1
    """
    for current in range(order, NR_PAGE_ORDERS):
        pfn = zone.first(current, mt)
        if pfn >= 0:
            zone.unlink(pfn)
            if current > order:
                expand(zone, pfn, order, current, mt)
            zone.take(pfn, order, mt)
            return pfn
    return -1


def expand(zone: Zone, pfn: int, low: int, high: int, mt: int) -> None:
    """Cut a block of order high down to order low; each upper half goes to the head of its list.

    Args:
        zone: whose block it is.
        pfn: the block's head, on no list.
        low: the order wanted.
        high: the order of the block, low or more.
        mt: the lists that get the halves.

    Returns:
        Nothing; the block at pfn is left with order low.

    Source: expand, mm/page_alloc.c, 6.12.

    >>> zone = Zone(16)
    >>> expand(zone, 0, 0, 2, MOVABLE); zone.blocks(0, MOVABLE), zone.blocks(1, MOVABLE)
    ([1], [2])
    """
    while high > low:
        high -= 1
        zone.link(pfn + (1 << high), high, mt)


def free_pages(zone: Zone, pfn: int, order: int) -> None:
    """Free a block that `alloc_pages` gave out.

    Args:
        zone: whose block it is.
        pfn: the block's first page.
        order: 0..10, the order it was allocated with.

    Returns:
        Nothing.

    Raises:
        ValueError: no block of this order is in use at pfn; the zone is unchanged.

    Source: free_one_page, mm/page_alloc.c, 6.12.

    >>> zone = boot(16)
    >>> free_pages(zone, alloc_pages(zone, 0), 0); zone.blocks(4, MOVABLE)
    [0]
    >>> free_pages(zone, 0, 0)
    Traceback (most recent call last):
        ...
    ValueError: cannot free pfn 0, order 0: in zone Normal, a block of order 4 at 0 is free
    """
    if not 0 <= order == zone.in_use(pfn):
        raise ValueError(f"cannot free pfn {pfn}, order {order}: in zone {zone.name}, {zone.block(pfn)}")
    zone.give(pfn)
    free_one_page(zone, pfn, order, zone.block_type(pfn))


def free_one_page(zone: Zone, pfn: int, order: int, mt: int, to_tail: bool = False, relabel: bool = True) -> None:
    """Merge a block with its free buddies, as far up as they go, and link what results, as 6.12 does.

    A buddy of another migratetype gets the type of the block that comes back. A block of two pageblocks of two types comes back as two.

    Args:
        zone: whose block it is.
        pfn: the block's head, on no list and not in use.
        order: 0..10.
        mt: the migratetype of its pageblock.
        to_tail: link at the tail without asking (FPI_TO_TAIL, the boot hand-over).
        relabel: False for what 6.1 does: whatever the types of the pageblocks are, they stay.

    Returns:
        Nothing.

    Source: free_one_page, split_large_buddy and __free_one_page, mm/page_alloc.c, 6.12.
    Unlike the kernel, a block of two pageblocks of one type is not split only to be merged again.

    >>> zone = Zone(16)
    >>> free_one_page(zone, 0, 3, MOVABLE); free_one_page(zone, 8, 3, MOVABLE); zone.blocks(4, MOVABLE)
    [0]
    """
    if order > PAGEBLOCK_ORDER and relabel and zone.block_type(pfn + PAGEBLOCK_NR_PAGES) != zone.block_type(pfn):
        for half in (pfn, pfn + PAGEBLOCK_NR_PAGES):
            free_one_page(zone, half, PAGEBLOCK_ORDER, zone.block_type(half), to_tail)
        return
    while order < MAX_PAGE_ORDER:
        buddy = pfn ^ (1 << order)
        if not zone.page_is_buddy(buddy, order):
            break
        theirs = mt if order < PAGEBLOCK_ORDER else zone.block_type(buddy)
        if theirs != mt and not (mt < MIGRATE_PCPTYPES and theirs < MIGRATE_PCPTYPES):
            break
        zone.unlink(buddy)
        if theirs != mt and relabel:
            zone.relabel(buddy, order, mt)
        pfn &= buddy
        order += 1
    zone.link(pfn, order, mt, to_tail or buddy_merge_likely(zone, pfn, order))


def free_one_page_6_1(zone: Zone, pfn: int, order: int, mt: int, to_tail: bool = False) -> None:
    """Merge and link as 6.1 does: a block goes to the list of mt, and no pageblock changes its type.

    Args:
        zone: whose block it is.
        pfn: the block's head, on no list and not in use.
        order: 0..10.
        mt: the migratetype that the caller read; a block of order 10 has that of its first pageblock.
        to_tail: link at the tail without asking.

    Returns:
        Nothing.

    Source: __free_one_page, mm/page_alloc.c, 6.1.

    >>> from pagelab.mm.zone import UNMOVABLE
    >>> zone = Zone(1024)
    >>> zone.relabel(512, 9, UNMOVABLE); free_one_page_6_1(zone, 0, 9, MOVABLE); free_one_page_6_1(zone, 512, 9, UNMOVABLE)
    >>> zone.blocks(10, UNMOVABLE), zone.block_type(0) == MOVABLE
    ([0], True)
    """
    free_one_page(zone, pfn, order, mt, to_tail, relabel=False)


def page_del_and_expand(zone: Zone, pfn: int, low: int, high: int, theirs: int, mt: int) -> None:
    """Take a block of another migratetype off its list and hand out its first 2^low pages; the rest stays on the lists it is on.

    Args:
        zone: whose block it is.
        pfn: the block's head, on a free list.
        low: the order wanted.
        high: the order of the block, low or more.
        theirs: whose lists get the halves.
        mt: what the block is allocated as.

    Returns:
        Nothing; the block at pfn is in use with order low.

    Source: page_del_and_expand, mm/page_alloc.c, 6.12.

    >>> zone = boot(16)
    >>> page_del_and_expand(zone, 0, 2, 4, MOVABLE, 0); zone.blocks(2, MOVABLE), zone.block(0).mt
    ([4], 0)
    """
    zone.unlink(pfn)
    expand(zone, pfn, low, high, theirs)
    zone.take(pfn, low, mt)


def buddy_merge_likely(zone: Zone, pfn: int, order: int) -> bool:
    """Tell whether the block would merge twice if its buddy came back: then it waits at the tail.

    Args:
        zone: whose block it is.
        pfn: the block's head.
        order: 0..10.

    Returns:
        True if the buddy of the next higher order is free.

    Source: buddy_merge_likely, mm/page_alloc.c, 6.12.

    >>> zone = Zone(16)
    >>> zone.link(0, 1, MOVABLE); buddy_merge_likely(zone, 3, 0)
    True
    """
    if order >= MAX_PAGE_ORDER - 1:
        return False
    return zone.page_is_buddy(pfn & ~(1 << order) ^ (2 << order), order + 1)


def split_page(zone: Zone, pfn: int, order: int) -> None:
    """Turn a block in use into 2^order pages of order 0, each to be freed alone.

    Args:
        zone: whose block it is.
        pfn: the block's first page.
        order: 0..10, the order it was allocated with.

    Returns:
        Nothing.

    Raises:
        ValueError: no block of this order is in use at pfn; the zone is unchanged.

    Source: split_page, mm/page_alloc.c, 6.12.

    >>> zone = boot(16)
    >>> split_page(zone, alloc_pages(zone, 1), 1); free_pages(zone, 1, 0); zone.blocks(0, MOVABLE)
    [1]
    """
    if not 0 <= order == zone.in_use(pfn):
        raise ValueError(f"cannot split pfn {pfn}, order {order}: in zone {zone.name}, {zone.block(pfn)}")
    mt = zone.block(pfn).mt
    for page in range(pfn, pfn + (1 << order)):
        zone.take(page, 0, mt)


def hand_over(zone: Zone, ranges: Iterable[tuple[int, int]]) -> None:
    """Give memory to the allocator at boot: ascending, the largest aligned blocks, each to the tail.

    Args:
        zone: whose pages they are, reserved until now.
        ranges: (start_pfn, end_pfn) pairs in ascending order, end excluded.

    Returns:
        Nothing.

    Raises:
        ValueError: a range has a page that is not a reserved page of this zone; the ranges before it are handed over.

    Source: __free_pages_memory, mm/memblock.c, and __free_pages_core, mm/page_alloc.c, 6.12.
    Unlike the kernel's default, no part of the hand-over is deferred.

    >>> zone = Zone(4095, start_pfn=1, name="DMA")
    >>> hand_over(zone, [(256, 4096)]); zone.counts()
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]
    """
    for start, end in ranges:
        zone.unreserve(start, end)
        while start < end:
            order = min(MAX_PAGE_ORDER, (start & -start).bit_length() - 1) if start else MAX_PAGE_ORDER
            while start + (1 << order) > end:
                order -= 1
            free_one_page(zone, start, order, zone.block_type(start), to_tail=True)
            start += 1 << order


def boot(nr_pages: int, start_pfn: int = 0, name: str = "Normal") -> Zone:
    """Make a zone and hand all of it over.

    Args:
        nr_pages: pages in the zone.
        start_pfn: its first pfn.
        name: as the kernel prints it.

    Returns:
        The zone with every page free.

    Raises:
        ValueError: the zone cannot be, as `Zone` says.

    >>> boot(2048).blocks(10, MOVABLE)
    [0, 1024]
    """
    zone = Zone(nr_pages, start_pfn, name)
    hand_over(zone, [(start_pfn, start_pfn + nr_pages)])
    return zone
