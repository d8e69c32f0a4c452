"""Stand-ins for Zone with one rule replaced: what the allocator would be if a belief about it were true."""

from collections.abc import Iterator

from ..mm.page_alloc import free_one_page
from ..mm.per_cpu_pages import PCP_ORDERS, PerCpuPages
from ..mm.units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from ..mm.zone import IN_USE, MOVABLE, RECLAIMABLE, UNMOVABLE, Snapshot, Zone


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

    def park(self, pfn: int, order: int, cpu: int, pindex: int, tail: bool = False) -> None:
        """Put a page at the tail of the CPU's list too."""
        super().park(pfn, order, cpu, pindex, tail=True)


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


# Beliefs about migratetypes.


class OneBlock(Zone):
    """A claim relabels one pageblock, however large the block is."""

    def relabel(self, pfn: int, order: int, mt: int) -> None:
        """Relabel the first pageblock."""
        super().relabel(pfn, PAGEBLOCK_ORDER, mt)


class LabelsStay(Zone):
    """A pageblock keeps its label for ever."""

    def relabel(self, pfn: int, order: int, mt: int) -> None:
        """Relabel nothing."""


class AnyFree(Zone):
    """One free page is enough to claim a pageblock."""

    def census(self, pfn: int) -> tuple[int, int]:
        """Find enough free pages."""
        return PAGEBLOCK_NR_PAGES, 0


class LargestFirst(Zone):
    """A page comes out of the largest block."""

    def first(self, order: int, mt: int) -> int:
        """Pass over a list as long as there is a larger block."""
        return -1 if any(row[mt] for row in self.free_list[order + 1 :]) else super().first(order, mt)


class MovesAnything(Zone):
    """Compaction can move every page in use."""

    def pageblock(self, pfn: int) -> Iterator[tuple[int, int]]:
        """Show pages in use as movable ones."""
        return _in_use_as(MOVABLE, super().pageblock(pfn))


class NothingMoves(Zone):
    """Compaction can move no page in use."""

    def pageblock(self, pfn: int) -> Iterator[tuple[int, int]]:
        """Show pages in use as unmovable ones."""
        return _in_use_as(UNMOVABLE, super().pageblock(pfn))


def _in_use_as(mt: int, blocks: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for head, state in blocks:
        usual = IN_USE <= state < IN_USE | RECLAIMABLE + 1 << 4
        yield head, IN_USE | mt << 4 | state & 15 if usual else state


# Beliefs about per-CPU lists.


class OneList(Zone):
    """All CPUs share the lists of the first."""

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the state back, and give each CPU the same lists."""
        super().restore(snapshot)
        self.pcp[:] = self.pcp[:1] * len(self.pcp)


class NoPcp(Zone):
    """There are no per-CPU lists: those there are keep nothing, as early in boot."""

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the state back, and all parked pages to the free lists."""
        super().restore(snapshot)
        for cpu, pcp in enumerate(self.pcp):
            for pindex, order in enumerate(PCP_ORDERS):
                while pcp.lists[pindex]:
                    pfn = self.unpark(cpu, pindex)
                    free_one_page(self, pfn, order, self.block_type(pfn))
        self.pcp[:] = [PerCpuPages() for _ in self.pcp]


class FreeMerges(Zone):
    """A freed page merges at once: only a refill puts pages on a CPU's list."""

    def park(self, pfn: int, order: int, cpu: int, pindex: int, tail: bool = False) -> None:
        """Park what a refill brings, and merge what is freed."""
        if tail:
            super().park(pfn, order, cpu, pindex, tail)
        else:
            free_one_page(self, pfn, order, self.block_type(pfn))
