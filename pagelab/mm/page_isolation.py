"""Taking a pageblock out of use: its free pages go to lists that no request looks at, and what is freed in it goes there too."""

from .page_alloc import free_one_page
from .units import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from .zone import ISOLATE, MOVABLE, Zone


def isolate(zone: Zone, pfn: int) -> bool:
    """Isolate a pageblock.

    Args:
        zone: whose pageblock it is.
        pfn: any page of it.

    Returns:
        False where the kernel says -EBUSY: it is isolated already, cut by the zone's edge, or has a page that cannot move.

    Source: set_migratetype_isolate, mm/page_isolation.c, and move_freepages_block_isolate, mm/page_alloc.c, 6.12.
    Unlike the kernel, 6.1 is said to do the same: there, who calls it splits the free block of order 10 first.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(1024); isolate(zone, 700), zone.blocks(9, MOVABLE), zone.blocks(9, ISOLATE), isolate(zone, 700)
    (True, [0], [512], False)
    """
    start = pfn & -PAGEBLOCK_NR_PAGES
    if zone.block_type(start) == ISOLATE or _has_unmovable_pages(zone, start):
        return False
    _move_freepages_block(zone, start, ISOLATE)
    return True


def unisolate(zone: Zone, pfn: int) -> bool:
    """Bring an isolated pageblock back, as movable.

    Args:
        zone: whose pageblock it is.
        pfn: any page of it.

    Returns:
        False if it is not isolated.

    Source: unset_migratetype_isolate, mm/page_isolation.c, 6.12 and 6.1, as undo_isolate_page_range calls it.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(1024); isolate(zone, 0), unisolate(zone, 0), zone.blocks(10, MOVABLE)
    (True, True, [0])
    """
    return _unisolate(zone, pfn & -PAGEBLOCK_NR_PAGES, MOVABLE)


def unisolate_6_18(zone: Zone, pfn: int) -> bool:
    """Bring an isolated pageblock back as what it was: isolation is a bit of its own.

    Args:
        zone: whose pageblock it is.
        pfn: any page of it.

    Returns:
        False if it is not isolated.

    Source: enum pageblock_bits (PB_migrate_isolate), include/linux/pageblock-flags.h, 6.18.

    >>> from pagelab.mm.page_alloc import boot
    >>> zone = boot(1024); zone.relabel(0, 10, 2); isolate(zone, 0), unisolate_6_18(zone, 0), zone.block_type(0)
    (True, True, 2)
    """
    start = pfn & -PAGEBLOCK_NR_PAGES
    return _unisolate(zone, start, zone.type_before[start - zone.base >> PAGEBLOCK_ORDER])


def _unisolate(zone: Zone, start: int, mt: int) -> bool:
    if zone.block_type(start) != ISOLATE:
        return False
    block = zone.block(start)
    alone = block.kind == "free" and block.order == PAGEBLOCK_ORDER
    if alone and zone.page_is_buddy(start ^ PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER):
        # The two did not merge while one was isolated: a free brings them together, where a move would not.
        zone.unlink(start)
        zone.relabel(start, PAGEBLOCK_ORDER, mt)
        free_one_page(zone, start, PAGEBLOCK_ORDER, mt, to_tail=True)
    else:
        _move_freepages_block(zone, start, mt)
    return True


def _move_freepages_block(zone: Zone, start: int, mt: int) -> None:
    """Relabel a pageblock and move its free pages; a free block that is larger than it comes apart."""
    block = zone.block(start)
    if block.kind == "free" and block.order > PAGEBLOCK_ORDER:
        zone.unlink(block.head)
        zone.relabel(start, PAGEBLOCK_ORDER, mt)
        free_one_page(zone, block.head, block.order, zone.block_type(block.head))
        return
    for head in zone.free_heads(start):
        zone.move(head, mt)
    zone.relabel(start, PAGEBLOCK_ORDER, mt)


def _has_unmovable_pages(zone: Zone, start: int) -> bool:
    pfn = start
    while pfn < start + PAGEBLOCK_NR_PAGES:
        block = zone.block(pfn)
        if block.kind in ("hole", "reserved") or (block.kind == "in use" and block.mt != MOVABLE):
            return True
        pfn = block.head + (1 << block.order)
    return False
