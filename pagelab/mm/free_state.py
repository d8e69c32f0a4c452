"""Where a free list could live, as stand-ins for Zone that count what taking a block from the middle costs.

The kernel's list is doubly linked: a block knows both neighbours and leaves in place. `Zone` itself is that list.
"""

from .zone import Zone


class DoublyLinked(Zone):
    """A doubly linked list: no node is walked, because a block knows its neighbours.

    Source: list_del, include/linux/list.h, 6.12.
    """

    walked = 0


class SinglyLinked(Zone):
    """A singly linked list: to take a block out, its predecessor is found from the head of the list.

    `walked` counts the nodes passed before the block.
    """

    walked = 0

    def unlink(self, pfn: int) -> None:
        """Walk from the head to the block, then take it out."""
        block = self.block(pfn)
        for other in self.free_list[block.order][block.mt]:
            if other == pfn:
                break
            self.walked += 1
        super().unlink(pfn)


class SwapWithLast(Zone):
    """An array and, in each block, its index: the last entry moves into the gap, and the last entry is the next one taken.

    The array has no tail to wait at, so its order is not the kernel's. No node is walked.

    Source: Kent Overstreet, 27 Sep 2021, 20:14, in the thread "Struct page proposal".
    """

    walked = 0

    def first(self, order: int, mt: int) -> int:
        """Return the last entry, or -1 when there is none."""
        blocks = self.free_list[order][mt]
        return next(reversed(blocks)) if blocks else -1

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Append the block."""
        super().link(pfn, order, mt, tail=True)

    def unlink(self, pfn: int) -> None:
        """Move the last entry to where the block was."""
        block = self.block(pfn)
        entries = self.blocks(block.order, block.mt)
        index, last = entries.index(pfn), entries[-1]
        super().unlink(pfn)
        if last != pfn:
            entries[index] = last
            for entry in entries[index:-1]:
                self.free_list[block.order][block.mt].move_to_end(entry)
