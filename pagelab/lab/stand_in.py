"""Stand-ins for Zone with one rule replaced: what the allocator would be if a belief about it were true."""

from ..mm.units import NR_PAGE_ORDERS
from ..mm.zone import Zone


class LifoOnly(Zone):
    """Every freed block goes to the head of its list."""

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Link at the head."""
        super().link(pfn, order, mt)


class Fifo(Zone):
    """Every block goes to the tail: the one that has waited longest is next."""

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Link at the tail."""
        super().link(pfn, order, mt, tail=True)


class LowestAddress(Zone):
    """The free block with the lowest pfn is next, whatever its order and its place on a list."""

    def first(self, order: int, mt: int) -> int:
        """Return the lowest block of this order, if no larger block is lower."""
        lowest = min((pfn for row in self.free_list[order:] for pfn in row[mt]), default=-1)
        return lowest if lowest in self.free_list[order][mt] else -1


class OneMerge(Zone):
    """A freed block merges at most once."""

    merged = False

    def page_is_buddy(self, pfn: int, order: int) -> bool:
        """Refuse the comparison that follows a merge."""
        if self.merged:
            self.merged = False
            return False
        return super().page_is_buddy(pfn, order)

    def unlink(self, pfn: int) -> None:
        """Remember that the block merged."""
        super().unlink(pfn)
        self.merged = True

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Forget the merge: the block is listed."""
        super().link(pfn, order, mt, tail)
        self.merged = False

    def take(self, pfn: int, order: int, mt: int) -> None:
        """Forget what an allocation unlinked."""
        super().take(pfn, order, mt)
        self.merged = False


class NeverMerge(Zone):
    """A freed block stays as it is."""

    def page_is_buddy(self, pfn: int, order: int) -> bool:
        """Find no buddy."""
        return False


class Neighbour(Zone):
    """A freed block merges with any free block of its order that lies beside it."""

    freeing = False

    def page_is_buddy(self, pfn: int, order: int) -> bool:
        """Leave the merging to `link`."""
        return False

    def give(self, pfn: int) -> int:
        """Remember that what is linked next was freed."""
        self.freeing = True
        return super().give(pfn)

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Merge with the block before or after, as long as there is one of the same order."""
        while self.freeing and order < NR_PAGE_ORDERS - 1:
            size = 1 << order
            beside = [p for p in (pfn - size, pfn + size) if p in self.free_list[order][mt]]
            if not beside:
                break
            self.unlink(beside[0])
            pfn, order = min(pfn, beside[0]), order + 1
        super().link(pfn, order, mt, tail)
        self.freeing = False


class Shatter(Zone):
    """A split cuts the whole block into single pages."""

    freeing = False

    def give(self, pfn: int) -> int:
        """Remember that what is linked next was freed."""
        self.freeing = True
        return super().give(pfn)

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Link each page of what a split leaves by itself."""
        if self.freeing:
            super().link(pfn, order, mt, tail)
        else:
            for page in reversed(range(pfn, pfn + (1 << order))):
                super().link(page, 0, mt)
        self.freeing = False
