"""A zone of a captured machine: which pages are free is known, the order of the lists is not, and where a pick hangs on it, it says so.

`Learning` stands in for Zone. A block that was free when the trace began is on a list of which neither the type nor the place is known.
What the trace links later has a known place: ahead of those blocks at the head, behind them at the tail.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pagelab.mm.free_set import free_blocks
from pagelab.mm.units import MAX_PAGE_ORDER, NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from pagelab.mm.zone import HELD, IN_USE, MIGRATE_PCPTYPES, MOVABLE, NOT_HEAD, UNMOVABLE, Zone

# The list on which blocks of unknown type are kept: that of isolated pageblocks on a kernel with CMA, which no trace here shows.
UNKNOWN = 5
HALF_A_PAGEBLOCK = PAGEBLOCK_NR_PAGES // 2


class UnsureError(Exception):
    """What is asked hangs on something that the trace has not shown yet."""


class Learning(Zone):
    """A zone that knows what it does not know.

    Attributes:
        strict: whether a block's list follows from its pageblock's type, as in 6.12; 6.1 may list a block as another type.
        asked: the migratetype of the pick in hand.
        fell_back: the kernel said that the lists of that type were empty.
        claimed: whether a fallback may have changed a pageblock's type; the kernel says so by the kind of line.
    """

    strict = True
    asked, fell_back, claimed = MOVABLE, False, True

    def begin(self, free: NDArray[np.bool_], strict: bool) -> None:
        """Fill the zone: free is a bool array, shape (nr_pages,), True where the page is on a free list. All others are in use."""
        self.strict, self.free = strict, int(free.sum())
        self.sure_type = bytearray(len(self.pageblock_type))
        self.behind: set[int] = set()
        self.loose: set[int] = set()
        self.trailing: set[int] = set()
        self._at_tail = False
        self.never: dict[int, int] = {}
        low = self.start_pfn - self.base
        self.state[low : low + len(free)] = bytes([IN_USE]) * len(free)
        for order, heads in enumerate(free_blocks(free, self.start_pfn)):
            for pfn in map(int, heads):
                self.vacate(pfn, order)
                Zone.link(self, pfn, order, UNKNOWN, tail=True)

    def paint(self, states: NDArray[np.uint8]) -> None:
        """Note what is known of pages in use: states is a uint8 array, shape (nr_pages,), a state byte for each page."""
        now = np.frombuffer(self.state, np.uint8)[self.start_pfn - self.base :][: len(states)]
        now[now == IN_USE] = states[now == IN_USE]

    # What is not known.

    def candidates(self, order: int, mt: int) -> list[int]:
        """Return the blocks of unknown type that may be on a list."""
        return [pfn for pfn in self.free_list[order][UNKNOWN] if self._may_be(pfn, mt)]

    def _may_be(self, pfn: int, mt: int) -> bool:
        if self.strict and (known := self.type_of(pfn)) >= 0:
            return known == mt
        return not self.never.get(pfn, 0) >> mt & 1

    def type_of(self, pfn: int) -> int:
        """Return the migratetype of a page's pageblock, or -1 while it is not known."""
        at = pfn - self.base >> PAGEBLOCK_ORDER
        return self.pageblock_type[at] if self.sure_type[at] else -1

    def learn_type(self, pfn: int, mt: int) -> None:
        """Note the migratetype of a page's pageblock."""
        at = pfn - self.base >> PAGEBLOCK_ORDER
        self.pageblock_type[at], self.sure_type[at] = mt, 1

    def exclude(self, order: int, mt: int, pfn: int, its_order: int) -> None:
        """Note that a pick of mt, which began at `order`, passed all blocks of unknown type on its way to the block at pfn."""
        for passed in range(order, min(its_order + 1, NR_PAGE_ORDERS)):
            for block in self.candidates(passed, mt):
                # On the list of the pick itself, those that were free from the beginning stand ahead of what was linked at the tail.
                if passed < its_order or (pfn in self.behind and block not in self.loose and block not in self.trailing):
                    self.never[block] = self.never.get(block, 0) | 1 << mt

    # The primitives.

    def first(self, order: int, mt: int) -> int:
        """Return the head of a list, or -1 where it is empty.

        Raises:
            UnsureError: a block of unknown type may stand ahead.
        """
        pfn = super().first(order, mt)
        if mt >= MIGRATE_PCPTYPES or (pfn >= 0 and pfn not in self.behind and not self.loose):
            return pfn
        found = self.candidates(order, mt)
        if pfn >= 0 and pfn not in self.behind:
            found = [block for block in found if block in self.loose]
        if not found or (self.fell_back and mt == self.asked):
            return pfn
        placed = pfn < 0 or (found[0] not in self.loose and found[0] not in self.trailing)
        if len(found) == 1 and placed and self.strict and self.type_of(found[0]) == mt:
            return found[0]
        raise UnsureError

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Link, and note what stands behind blocks whose place is not known."""
        super().link(pfn, order, mt, tail)
        self._at_tail = tail
        self.free += 1 << order
        if tail and self.free_list[order][UNKNOWN]:
            self.behind.add(pfn)

    def unlink(self, pfn: int) -> None:
        """Unlink, and forget what was known of the place."""
        self.free -= 1 << (self.state[pfn - self.base] & 15)
        super().unlink(pfn)
        self._forget(pfn)

    def move(self, pfn: int, mt: int) -> None:
        """Move to the tail, which is behind blocks whose place is not known."""
        super().move(pfn, mt)
        self._forget(pfn)
        if self.free_list[self.state[pfn - self.base] & 15][UNKNOWN]:
            self.behind.add(pfn)

    def _forget(self, pfn: int) -> None:
        self.behind.discard(pfn)
        self.loose.discard(pfn)
        self.trailing.discard(pfn)
        self.never.pop(pfn, None)

    def relabel(self, pfn: int, order: int, mt: int) -> None:
        """Relabel; the type is known from here on."""
        super().relabel(pfn, order, mt)
        for page in range(pfn, pfn + (1 << order), PAGEBLOCK_NR_PAGES):
            self.learn_type(page, mt)

    def census(self, pfn: int) -> tuple[int, int]:
        """Count the free pages of a pageblock; how many are movable the trace does not tell.

        Raises:
            UnsureError: a claim hangs on it, and the kernel has not said that there was none.
        """
        free = sum(1 << (self.state[head - self.base] & 15) for head in self.free_heads(pfn))
        if self.strict and not self.claimed:
            free = 0  # the kernel stole: whatever the pageblock has, it was not asked
        elif free >= HALF_A_PAGEBLOCK:
            return free, 0
        elif self.claimed:
            raise UnsureError
        return free, 0 if self.asked == MOVABLE else PAGEBLOCK_NR_PAGES - free

    # Following the trace.

    def free_block(self, pfn: int) -> tuple[int, int] | None:
        """Return head and order of the free block that holds a page, or None where it is not free."""
        for order in range(NR_PAGE_ORDERS):
            head = pfn & -(1 << order)
            state = self.state[head - self.base]
            if state < HELD and state & 15 >= order:
                return head, state & 15
        return None

    def vacate(self, pfn: int, order: int) -> None:
        """Mark the pages of a block as neither in use nor free, to be linked or taken next; what they were a part of is split."""
        owner = self.block(pfn)
        if owner.kind == "in use" and order < owner.order <= MAX_PAGE_ORDER:
            for page in range(owner.head, owner.head + (1 << owner.order)):
                Zone.take(self, page, 0, owner.mt)
        at = pfn - self.base
        self.state[at : at + (1 << order)] = bytes([NOT_HEAD]) * (1 << order)

    def place(self, pfn: int, mt: int) -> None:
        """Note that the free block at pfn, if its list was not known, is the head of the list of mt: the kernel is about to take it."""
        if (block := self.block(pfn)).kind == "free" and block.mt == UNKNOWN:
            Zone.unlink(self, block.head)
            Zone.link(self, block.head, block.order, mt)

    def occupy(self, pfn: int, order: int) -> None:
        """Mark a block as one that is in use, whatever it was allocated as, to be given back next."""
        if self.in_use(pfn) != order:
            self.vacate(pfn, order)
            Zone.take(self, pfn, order, max(self.type_of(pfn), UNMOVABLE))

    def loosen(self, pfn: int) -> None:
        """Note that the block just linked with the page at pfn in it is on the list of a type that is not known."""
        block = self.free_block(pfn)
        if block:
            Zone.move(self, block[0], UNKNOWN)
            self._forget(block[0])
            (self.trailing if self._at_tail else self.loose).add(block[0])
            if self.strict and block[1] > PAGEBLOCK_ORDER:
                # What it merged with has its type from here on.
                at = block[0] - self.base >> PAGEBLOCK_ORDER
                self.sure_type[at : at + 2] = bytes(2)

    # A picture of it, for a tape.

    def snapshot(self) -> Any:
        """Return the whole state, with what is not known."""
        places = frozenset(self.behind), frozenset(self.loose), frozenset(self.trailing)
        unknown = places, tuple(self.never.items()), bytes(self.sure_type)
        return super().snapshot(), unknown, self.strict

    def restore(self, snapshot: Any) -> None:
        """Bring back the state of a snapshot of a zone of the same span."""
        kept, (places, never, sure_type), self.strict = snapshot
        super().restore(kept)
        self.behind, self.loose, self.trailing = map(set, places)
        self.never, self.sure_type, self._at_tail = dict(never), bytearray(sure_type), False
        self.free = self.nr_free_pages()

    def free_pages(self) -> NDArray[np.bool_]:
        """Return a bool array, shape (nr_pages,): True where the page is on a free list."""
        return self.page_states() < HELD
