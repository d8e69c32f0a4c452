"""What /proc/kpageflags says of each page, as the state bytes of a zone."""

import numpy as np
from numpy.typing import NDArray

from pagelab.mm.free_set import free_blocks
from pagelab.mm.zone import HOLE, IN_USE, ISOLATE, MOVABLE, RESERVED, UNMOVABLE

KPF_LRU, KPF_SLAB, KPF_BUDDY, KPF_ANON, KPF_NOPAGE, KPF_PGTABLE, KPF_RESERVED = 5, 7, 10, 12, 20, 26, 32
KIND_UNKNOWN = IN_USE | ISOLATE << 4  # in use, of a type that no page in use can have


def page_states(flags: NDArray[np.uint64], start_pfn: int) -> NDArray[np.uint8]:
    """Turn kpageflags into the state bytes of a zone.

    Args:
        flags: uint64 array, shape (nr_pages,): /proc/kpageflags of the zone's pages.
        start_pfn: the pfn of flags[0].

    Returns:
        uint8 array, shape (nr_pages,): free pages carry the order of the block that the merging rule gives them.

    Source: include/uapi/linux/kernel-page-flags.h, 6.12.

    >>> page_states(np.array([1 << 10, 1 << 10, 1 << 7, 1 << 20, 0], np.uint64), 0).tolist() == [17, 17, 128, HOLE, KIND_UNKNOWN]
    True
    """

    def has(*bits: int) -> NDArray[np.bool_]:
        mask = np.uint64(sum(1 << bit for bit in bits))
        return np.asarray((flags & mask) != 0)

    states = np.full(len(flags), KIND_UNKNOWN, np.uint8)
    states[has(KPF_LRU, KPF_ANON)] = IN_USE | MOVABLE << 4
    states[has(KPF_SLAB, KPF_PGTABLE)] = IN_USE | UNMOVABLE << 4
    states[has(KPF_RESERVED)] = RESERVED
    free = has(KPF_BUDDY) & ~has(KPF_NOPAGE)
    for order, heads in enumerate(free_blocks(free, start_pfn)):
        for page in range(1 << order) if len(heads) else ():
            states[heads - start_pfn + page] = MOVABLE << 4 | order
    states[has(KPF_NOPAGE)] = HOLE
    return states
