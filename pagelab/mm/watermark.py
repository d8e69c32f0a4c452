"""How many pages each zone keeps back, and whether a request may still come in.

All of these are functions of numbers: which zones there are and how many pages each manages.
"""

from collections.abc import Collection, Sequence
from math import isqrt
from typing import NamedTuple

from .gfp import ZONE_DMA, ZONE_DMA32, ZONE_HIGHMEM, ZONE_MOVABLE, ZONE_NAMES, ZONE_NORMAL
from .units import NR_PAGE_ORDERS, PAGE_SIZE, PAGEBLOCK_NR_PAGES
from .zone import HIGHATOMIC, MIGRATE_PCPTYPES, Zone

KIB_A_PAGE = PAGE_SIZE >> 10
WATERMARK_SCALE_FACTOR = 10  # in 10,000: how far apart the marks of a large zone are
LOWMEM_RESERVE_RATIO = {ZONE_DMA: 256, ZONE_DMA32: 256, ZONE_NORMAL: 32}
THP_FROM_PAGES = 512 << 8  # transparent huge pages are off by default below 512 MiB
SWAP_CLUSTER_MAX = 32
# May go below the min mark: __GFP_HIGH; and, where the caller cannot wait, further below, and into blocks kept for it.
ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, ALLOC_HIGHATOMIC = 0x20, 0x10, 0x200
ALLOC_RESERVES = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK


class Size(NamedTuple):
    """A zone as far as its marks go: its node, its type (ZONE_DMA and so on) and the pages that the allocator manages in it."""

    node: int
    kind: int
    managed: int


class Marks(NamedTuple):
    """The watermarks of a zone, in pages."""

    min: int
    low: int
    high: int
    promo: int


def min_free_kbytes(sizes: Sequence[Size], thp: bool | None = None) -> int:
    """Compute how much memory the kernel wants to keep free.

    Args:
        sizes: every zone of the machine.
        thp: whether transparent huge pages raise it; None for what the kernel does by itself: from 512 MiB up.

    Returns:
        KiB, as /proc/sys/vm/min_free_kbytes has them.

    Source: calculate_min_free_kbytes, mm/page_alloc.c, and set_recommended_min_free_kbytes and hugepage_init, mm/khugepaged.c and
    mm/huge_memory.c, 6.12.
    Unlike the kernel, all memory counts at once: the kernel computes it early in boot, before the last of it is handed over.

    >>> min_free_kbytes([Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 772_915), Size(0, ZONE_NORMAL, 1_671_168)])
    67584
    """
    low = [size for size in sizes if size.kind <= ZONE_NORMAL]
    pages = sum(size.managed for size in low)
    kbytes = max(128, min(262_144, isqrt(pages * KIB_A_PAGE * 16)))
    if thp is None:
        thp = sum(size.managed for size in sizes) >= THP_FROM_PAGES
    if not thp:
        return kbytes
    wanted = PAGEBLOCK_NR_PAGES * sum(size.managed > 0 for size in low) * (2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES)
    buffers = pages - sum(marks.high for marks in watermarks(low, kbytes))
    return max(kbytes, min(wanted, buffers // 20) * KIB_A_PAGE)


def watermarks(sizes: Sequence[Size], kbytes: int, apart: Collection[int] = (ZONE_HIGHMEM, ZONE_MOVABLE)) -> list[Marks]:
    """Share min_free_kbytes out over the zones.

    Args:
        sizes: every zone of the machine.
        kbytes: min_free_kbytes.
        apart: the types whose min mark is their own matter; 6.1 has only ZONE_HIGHMEM among them.

    Returns:
        The Marks of each zone, in the order given.

    Source: __setup_per_zone_wmarks, mm/page_alloc.c, 6.12.
    Unlike the kernel, no mark is ever boosted.

    >>> watermarks([Size(0, ZONE_NORMAL, 12_288)], 886)
    [Marks(min=221, low=276, high=331, promo=386)]
    """
    pages, lowmem = kbytes // KIB_A_PAGE, sum(size.managed for size in sizes if size.kind not in apart)
    marks = []
    for size in sizes:
        share = pages * size.managed // max(1, lowmem)
        gap = max(share >> 2, size.managed * WATERMARK_SCALE_FACTOR // 10_000)
        low = max(SWAP_CLUSTER_MAX, min(128, size.managed // 1024)) if size.kind in apart else share
        marks.append(Marks(*(low + i * gap for i in range(4))))
    return marks


def lowmem_reserve(sizes: Sequence[Size]) -> list[list[int]]:
    """Compute what each zone keeps from requests that could have been served higher up.

    Args:
        sizes: every zone of the machine.

    Returns:
        For each zone, in the order given, the pages it keeps from a request whose highest zone is of each type.

    Source: setup_per_zone_lowmem_reserve, mm/page_alloc.c, 6.12.

    >>> lowmem_reserve([Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 61_440)])[0]
    [0, 240, 240, 240, 240, 240]
    """
    return [[_reserve(size, highest, sizes) for highest in range(len(ZONE_NAMES))] for size in sizes]


def _reserve(size: Size, highest: int, sizes: Sequence[Size]) -> int:
    above = sum(other.managed for other in sizes if other.node == size.node and size.kind < other.kind <= highest)
    ratio = LOWMEM_RESERVE_RATIO.get(size.kind, 0)
    return above // ratio if ratio and size.managed else 0


def reserve_mark(mark: int, flags: int) -> int:
    """Lower a mark for a caller that may use reserves.

    Args:
        mark: pages.
        flags: ALLOC_MIN_RESERVE and ALLOC_NON_BLOCK, or 0.

    Returns:
        The mark that holds for this caller.

    Source: __zone_watermark_ok, mm/page_alloc.c, 6.12.

    >>> reserve_mark(30, 0), reserve_mark(30, ALLOC_MIN_RESERVE), reserve_mark(30, ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK)
    (30, 15, 12)
    """
    if flags & ALLOC_MIN_RESERVE:
        mark -= mark // 2
        if flags & ALLOC_NON_BLOCK:
            mark -= mark // 4
    return mark


def zone_watermark_ok(zone: Zone, order: int, mark: int, reserve: int, usable: int, flags: int = 0) -> bool:
    """Tell whether a request leaves a zone enough.

    Args:
        zone: where it would come from.
        order: 0..10.
        mark: min, low or high mark of the zone, in pages.
        reserve: what the zone keeps from this request's highest zone, in pages.
        usable: free pages, less those that only others may use.
        flags: ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK and ALLOC_HIGHATOMIC, or 0.

    Returns:
        True if more than mark and reserve stay, and a block of the order or larger is free.

    Source: __zone_watermark_ok, mm/page_alloc.c, 6.12.

    >>> zone = Zone(16)
    >>> zone.link(0, 3, 1); zone_watermark_ok(zone, 3, 0, 0, 8), zone_watermark_ok(zone, 0, 4, 4, 8), zone_watermark_ok(zone, 4, 0, 0, 40)
    (True, False, False)
    """
    if usable - (1 << order) + 1 <= reserve_mark(mark, flags) + reserve:
        return False
    return order == 0 or has_block(zone, order, flags)


def has_block(zone: Zone, order: int, flags: int = 0) -> bool:
    """Tell whether a block of an order or larger is free for a request.

    Args:
        zone: where to look.
        order: 0..10.
        flags: with ALLOC_HIGHATOMIC, blocks kept for such requests count too.

    Returns:
        True if one is.

    Source: __zone_watermark_ok, mm/page_alloc.c, 6.12.

    >>> has_block(Zone(16), 0)
    False
    """
    while order < NR_PAGE_ORDERS:
        row = zone.free_list[order]
        if row[0] or row[1] or row[2] or (flags & ALLOC_HIGHATOMIC and row[HIGHATOMIC]):
            return True
        order += 1
    return False


def free_highatomic(zone: Zone) -> int:
    """Count the free pages that are kept for requests of high order that cannot wait.

    Args:
        zone: where to count.

    Returns:
        Pages on the lists of type HIGHATOMIC.

    Source: nr_free_highatomic, include/linux/mmzone.h, 6.12.

    >>> free_highatomic(Zone(16))
    0
    """
    return sum(len(row[HIGHATOMIC]) << order for order, row in enumerate(zone.free_list)) if HIGHATOMIC in zone.pageblock_type else 0


def reserved_highatomic(zone: Zone) -> int:
    """Count the pages, free or not, of pageblocks that are kept for requests of high order that cannot wait.

    Args:
        zone: where to count.

    Returns:
        512 pages for each pageblock of type HIGHATOMIC.

    Source: nr_reserved_highatomic, include/linux/mmzone.h, 6.1.

    >>> reserved_highatomic(Zone(16))
    0
    """
    return zone.pageblock_type.count(HIGHATOMIC) * PAGEBLOCK_NR_PAGES
