"""What a caller may say besides an order: the gfp bits, and the zone and the migratetype that they choose."""

from enum import IntFlag

from .zone import MOVABLE, RECLAIMABLE, UNMOVABLE

ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_HIGHMEM, ZONE_MOVABLE, ZONE_DEVICE = range(6)
ZONE_NAMES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")


class Gfp(IntFlag):
    """The bits of a gfp mask: Gfp.HIGH is __GFP_HIGH, and so on.

    Source: include/linux/gfp_types.h, 6.12; 6.1 has __GFP_ATOMIC at bit 9, and its other bits from 10 on stand where these do.

    >>> hex(GFP_KERNEL), GFP_ATOMIC & Gfp.DIRECT_RECLAIM == 0
    ('0xcc0', True)
    """

    DMA = 1 << 0
    HIGHMEM = 1 << 1
    DMA32 = 1 << 2
    MOVABLE = 1 << 3
    RECLAIMABLE = 1 << 4
    HIGH = 1 << 5
    IO = 1 << 6
    FS = 1 << 7
    ZERO = 1 << 8
    DIRECT_RECLAIM = 1 << 10
    KSWAPD_RECLAIM = 1 << 11
    WRITE = 1 << 12
    NOWARN = 1 << 13
    RETRY_MAYFAIL = 1 << 14
    NOFAIL = 1 << 15
    NORETRY = 1 << 16
    MEMALLOC = 1 << 17
    COMP = 1 << 18
    NOMEMALLOC = 1 << 19
    HARDWALL = 1 << 20
    THISNODE = 1 << 21
    ACCOUNT = 1 << 22


GFP_ATOMIC = Gfp.HIGH | Gfp.KSWAPD_RECLAIM
GFP_KERNEL = Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM | Gfp.IO | Gfp.FS
GFP_USER = GFP_KERNEL | Gfp.HARDWALL
GFP_HIGHUSER = GFP_USER | Gfp.HIGHMEM
GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | Gfp.MOVABLE


def gfp_zone(gfp: int, highmem: bool = False) -> int:
    """Find the highest zone that a request may come from.

    Args:
        gfp: a gfp mask.
        highmem: whether the machine is a 32-bit one: it has a zone HighMem and no zone DMA32.

    Returns:
        ZONE_DMA up to ZONE_MOVABLE; zones below it may serve the request too.

    Raises:
        ValueError: more than one zone is named.

    Source: gfp_zone and GFP_ZONE_TABLE, include/linux/gfp.h, 6.12.
    Unlike the kernel, a zone has the same number on every machine: HighMem is 3 and Movable 4 everywhere.

    >>> gfp_zone(GFP_KERNEL), gfp_zone(GFP_HIGHUSER_MOVABLE), gfp_zone(GFP_KERNEL | Gfp.MOVABLE)
    (2, 4, 2)
    """
    match gfp & (Gfp.DMA | Gfp.DMA32 | Gfp.HIGHMEM):
        case 0:
            return ZONE_NORMAL
        case Gfp.DMA:
            return ZONE_DMA
        case Gfp.DMA32:
            return ZONE_NORMAL if highmem else ZONE_DMA32
        case Gfp.HIGHMEM:
            return ZONE_MOVABLE if gfp & Gfp.MOVABLE else ZONE_HIGHMEM if highmem else ZONE_NORMAL
    raise ValueError(f"gfp {gfp:#x} names two zones: give DMA, DMA32 or HIGHMEM, one of them or none")


def gfp_migratetype(gfp: int) -> int:
    """Find the migratetype that a request is served from.

    Args:
        gfp: a gfp mask.

    Returns:
        UNMOVABLE, MOVABLE or RECLAIMABLE.

    Raises:
        ValueError: the mask says both movable and reclaimable.

    Source: gfp_migratetype, include/linux/gfp.h, 6.12.

    >>> gfp_migratetype(GFP_KERNEL), gfp_migratetype(GFP_HIGHUSER_MOVABLE), gfp_migratetype(GFP_KERNEL | Gfp.RECLAIMABLE)
    (0, 1, 2)
    """
    match gfp & (Gfp.MOVABLE | Gfp.RECLAIMABLE):
        case 0:
            return UNMOVABLE
        case Gfp.MOVABLE:
            return MOVABLE
        case Gfp.RECLAIMABLE:
            return RECLAIMABLE
    raise ValueError(f"gfp {gfp:#x} says movable and reclaimable: give one of them, or none for unmovable")
