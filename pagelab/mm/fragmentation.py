"""How broken up free memory is: the two indices of /sys/kernel/debug/extfrag, from 0 to 1."""

from .units import MAX_PAGE_ORDER
from .zone import Zone


def extfrag_index(zone: Zone, order: int) -> float:
    """Say why a request for an order would fail.

    Args:
        zone: whose free lists; the migratetypes are counted together.
        order: 0..10.

    Returns:
        -1 where the request would not fail; towards 0 because too little is free, towards 1 because it is in pieces. In thousandths, as the
        kernel prints it.

    Raises:
        ValueError: the order does not exist.

    Source: __fragmentation_index, mm/vmstat.c, 6.12.

    >>> zone = Zone(64)
    >>> for pfn in range(0, 64, 2): zone.link(pfn, 0, 1)
    >>> extfrag_index(zone, 0), extfrag_index(zone, 4), extfrag_index(Zone(64), 4)
    (-1.0, 0.907, 0.0)
    """
    pages, blocks, suitable = _contig_page_info(zone, order)
    if not blocks:
        return 0.0
    if suitable:
        return -1.0
    return (1000 - (1000 + pages * 1000 // (1 << order)) // blocks) / 1000


def unusable_free(zone: Zone, order: int) -> float:
    """Say which part of the free memory is of no use to a request for an order.

    Args:
        zone: whose free lists; the migratetypes are counted together.
        order: 0..10.

    Returns:
        0 to 1, in thousandths as the kernel prints it; 1 when nothing is free.

    Raises:
        ValueError: the order does not exist.

    Source: unusable_free_index, mm/vmstat.c, 6.12.

    >>> zone = Zone(64)
    >>> zone.link(0, 3, 1); zone.link(16, 4, 1); unusable_free(zone, 3), unusable_free(zone, 4), unusable_free(zone, 5)
    (0.0, 0.333, 1.0)
    """
    pages, _, suitable = _contig_page_info(zone, order)
    return (pages - (suitable << order)) * 1000 // pages / 1000 if pages else 1.0


def _contig_page_info(zone: Zone, order: int) -> tuple[int, int, int]:
    """Return the free pages, the free blocks, and how many blocks of an order they would make."""
    if not 0 <= order <= MAX_PAGE_ORDER:
        raise ValueError(f"order {order} does not exist: orders are 0..{MAX_PAGE_ORDER}")
    counts = zone.counts()
    suitable = sum(count << larger - order for larger, count in enumerate(counts) if larger >= order)
    return zone.nr_free_pages(), sum(counts), suitable
