"""Which blocks a set of free pages makes: no lists and no history, only the merging rule.

Two free blocks of order o that are buddies are one block of order o + 1. So the set of free pages fixes every block,
and a bitmap is enough to know them all. This is how a real kernel's pages are held against its own /proc/buddyinfo,
and a cheap check of any zone.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pagelab.mm.units import MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER

BOTH_FREE = 0x0101  # two bytes of the bitmap, both 1, read as one uint16


def free_counts(free: npt.ArrayLike, start_pfn: int) -> list[int]:
    """Count the free blocks of each order, as a line of /proc/buddyinfo does.

    Args:
        free: bool array, shape (nr_pages,); True where the page is free.
        start_pfn: the pfn of free[0]. Alignment is that of pfns, not of places in the array.

    Returns:
        11 counts, for the orders 0..10.

    Raises:
        ValueError: free is not one-dimensional, or start_pfn is negative.

    Source: the merging of __free_one_page, mm/page_alloc.c, 6.12; the form of frag_show_print, mm/vmstat.c, 6.12.

    >>> free_counts([True] * 8 + [False] * 3 + [True], start_pfn=1)
    [3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    nr_free = [int(np.count_nonzero(level)) for level in _levels(_aligned(free, start_pfn))]
    return [here - 2 * merged for here, merged in zip(nr_free, [*nr_free[1:], 0], strict=True)]


def free_blocks(free: npt.ArrayLike, start_pfn: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Find the head of each free block.

    Args:
        free: bool array, shape (nr_pages,); True where the page is free.
        start_pfn: the pfn of free[0].

    Returns:
        11 int64 arrays, for the orders 0..10: the head pfns in ascending order.

    Raises:
        ValueError: free is not one-dimensional, or start_pfn is negative.

    Source: the merging of __free_one_page, mm/page_alloc.c, 6.12.

    >>> blocks = free_blocks([True] * 8 + [False] * 3 + [True], start_pfn=1)
    >>> [heads.tolist() for heads in blocks[:4]]
    [[1, 8, 12], [2], [4], []]
    """
    base = start_pfn & -MAX_ORDER_NR_PAGES
    levels = list(_levels(_aligned(free, start_pfn)))
    for lower, upper in zip(levels, levels[1:], strict=False):
        lower.view(np.uint16)[...] *= ~upper
    return tuple(base + (np.flatnonzero(level).astype(np.int64) << order) for order, level in enumerate(levels))


def _aligned(free: npt.ArrayLike, start_pfn: int) -> npt.NDArray[np.bool_]:
    """Copy the bitmap into whole blocks of order 10, pages outside being in use."""
    bitmap = np.asarray(free, dtype=np.bool_)
    if bitmap.ndim != 1:
        raise ValueError(f"a free bitmap has 1 dimension, this one has {bitmap.ndim}: give one value for each page")
    if start_pfn < 0:
        raise ValueError(f"start_pfn is {start_pfn}: the first pfn of a zone is 0 or more")
    offset = start_pfn % MAX_ORDER_NR_PAGES
    nr_blocks = -(-(offset + bitmap.size) // MAX_ORDER_NR_PAGES)
    padded = np.zeros(nr_blocks * MAX_ORDER_NR_PAGES, dtype=np.bool_)
    padded[offset : offset + bitmap.size] = bitmap
    return padded


def _levels(bitmap: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield, for each order, one value for each aligned block: True where all of its pages are free."""
    yield bitmap
    for _ in range(MAX_PAGE_ORDER):
        bitmap = bitmap.view(np.uint16) == BOTH_FREE
        yield bitmap
