"""One CPU's lists of free pages of one zone: what struct per_cpu_pages holds.

The rules are in pcp.py; Zone's `park` and `unpark` write the lists.
"""

from array import array
from collections import deque

NR_PCP_LISTS = 14
# The order of the blocks on each list: three migratetypes for the orders 0..3, then two lists for order 9.
PCP_ORDERS = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 9, 9)

_NUMBERS = ("batch", "high", "high_min", "high_max", "alloc_factor", "free_factor", "free_count", "prev_high_order")


class PerCpuPages:
    """The lists of one CPU, each with its head on the left, and the numbers that say how much they may hold.

    Args:
        batch: pages that a refill starts from.
        high_min: pages that the lists may hold before they drain; 0 for the boot pageset, which keeps none.
        high_max: how far 6.12 may raise that; 6.1 knows one `high` only. At least high_min.

    `count` is in pages, not in blocks. `types` has the type that a block's pageblock had when the block came (page->index, 6.1).

    Raises:
        ValueError: a batch below 1, or limits that are negative or the wrong way round.

    Source: struct per_cpu_pages, include/linux/mmzone.h, 6.12, and free_factor of 6.1.
    Unlike the kernel, there are two lists for order 9 on 6.1 too.
    """

    __slots__ = ("lists", "types", "count", *_NUMBERS)

    batch: int
    high: int
    high_min: int
    high_max: int
    alloc_factor: int
    free_factor: int
    free_count: int
    prev_high_order: bool

    def __init__(self, batch: int = 1, high_min: int = 0, high_max: int = 0) -> None:
        if batch < 1 or not 0 <= high_min <= max(high_min, high_max):
            raise ValueError(f"batch {batch} and high {high_min}..{high_max} cannot be: give a batch of 1 or more, and limits from 0 up")
        self.lists: list[deque[int]] = [deque() for _ in range(NR_PCP_LISTS)]
        self.types: dict[int, int] = {}
        self.count, self.batch = 0, batch
        self.high, self.high_min, self.high_max = high_min, high_min, max(high_min, high_max)
        self.alloc_factor = self.free_factor = self.free_count = 0
        self.prev_high_order = False

    def first_wrong(self, cpu: int, parked: dict[int, int]) -> str:
        """Say what is wrong with the lists, or nothing.

        Args:
            cpu: whose lists they are, for the sentence.
            parked: order by pfn of the blocks whose state says that they are on a list; those that are found are taken out.
        """
        blocks = [(pfn, order) for order, pfns in zip(PCP_ORDERS, self.lists, strict=True) for pfn in pfns]
        for pfn, order in blocks:
            if parked.pop(pfn, -1) != order or pfn not in self.types:
                return f"page {pfn} is on a list of cpu {cpu} and heads no block of order {order} for it"
        if self.count != sum(1 << order for _, order in blocks) or len(self.types) != len(blocks):
            return f"cpu {cpu} counts {self.count} pages on its lists, which is not what they hold"
        return ""

    def pack(self) -> "array[int]":
        """Return everything as integers, to be read by `unpack`."""
        packed = array("q", [getattr(self, name) for name in _NUMBERS] + [len(blocks) for blocks in self.lists])
        packed.extend(pfn << 3 | self.types[pfn] for blocks in self.lists for pfn in blocks)
        return packed

    def unpack(self, packed: "array[int]", at: int) -> int:
        """Read what `pack` wrote, from an index on; return the index after it."""
        for name in _NUMBERS:
            setattr(self, name, packed[at])
            at += 1
        self.prev_high_order = bool(self.prev_high_order)
        lengths, at = packed[at : at + NR_PCP_LISTS], at + NR_PCP_LISTS
        self.types, self.count = {}, 0
        for pindex, length in enumerate(lengths):
            entries, at = packed[at : at + length], at + length
            self.lists[pindex] = deque(entry >> 3 for entry in entries)
            self.types.update((entry >> 3, entry & 7) for entry in entries)
            self.count += length << PCP_ORDERS[pindex]
        return at
