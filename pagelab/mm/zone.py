"""A zone: which pages are free, on which list, in which order.

Zone is the only writer of free-block state. The rules read and change it through its primitives: `first`, `link`, `unlink`, `move`,
`page_is_buddy`, `take`, `give`, `hold`, `unhold`, `migrate`, `park`, `unpark`, `census` and `relabel`. Whatever watches, replaces or
mistrusts the allocator stands in for Zone there.

One byte says what stands at a pfn. The low four bits are the order of the block whose head is here, the high four bits what it is:

    0x00 + (mt << 4)   a free block on the free_list of migratetype mt
    0x60               a block held by the allocator in the middle of a request: off its list, not yet given out or listed
    0x70               a block on a list of one CPU: off the free lists, not in use
    0x80 + (mt << 4)   a block in use, allocated as migratetype mt
    0xE0               no page here: a hole, or another zone's page
    0xF0               reserved: never handed over to the page allocator
    0xFF               not a head: the block that owns this page starts further down
"""

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .per_cpu_pages import PCP_ORDERS, PerCpuPages
from .units import MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER

UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, CMA, ISOLATE = range(6)
MIGRATETYPES = ("unmovable", "movable", "reclaimable", "highatomic", "cma", "isolate")
MIGRATE_PCPTYPES = 3

HELD, PCP, IN_USE, HOLE, RESERVED, NOT_HEAD = 0x60, 0x70, 0x80, 0xE0, 0xF0, 0xFF  # a state below HELD is free

Snapshot = tuple[bytes, bytes, bytes, bytes]


class Block(NamedTuple):
    """What a zone holds at a pfn: the block that owns the page.

    kind is "free", "held", "pcp", "in use", "reserved" or "hole"; mt is the migratetype, or -1 where there is none. A page that no head
    owns belongs to a block that a request has in hand: it is held.
    """

    head: int
    order: int
    kind: str
    mt: int

    def __str__(self) -> str:
        if self.kind == "hole":
            return f"no page of this zone is at {self.head}"
        if self.kind == "reserved":
            return f"page {self.head} is reserved"
        return f"a block of order {self.order} at {self.head} is {'on a per-CPU list' if self.kind == 'pcp' else self.kind}"


class Zone:
    """A zone of one node, with its free lists and the state of every page.

    Args:
        nr_pages: pages spanned, 1 or more; the notebooks use 16 and up.
        start_pfn: the first pfn; any value, so that zone DMA can start at 1.
        name: as the kernel prints it.
        node: the NUMA node it belongs to.

    Every page is reserved until `page_alloc.hand_over` gives it to the allocator; `managed` counts the pages given. `pcp` has one entry for
    each CPU, or none where there are no per-CPU lists.

    Raises:
        ValueError: no pages, or a negative start_pfn.

    Source: struct zone and struct free_area, include/linux/mmzone.h, 6.12.
    Unlike the kernel, a list is an insertion-ordered mapping and not two pointers in each struct page.
    """

    def __init__(self, nr_pages: int, start_pfn: int = 0, name: str = "Normal", node: int = 0) -> None:
        if nr_pages < 1 or start_pfn < 0:
            raise ValueError(f"a zone of {nr_pages} pages from pfn {start_pfn} cannot be: give 1 page or more, from 0 up")
        self.name, self.node, self.start_pfn, self.end_pfn = name, node, start_pfn, start_pfn + nr_pages
        self.managed, self.pcp = 0, list[PerCpuPages]()
        # The state covers whole blocks of the largest order, so that no buddy of a page lies outside it.
        self.base = start_pfn & -MAX_ORDER_NR_PAGES
        end = -(-self.end_pfn // MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES
        self.state = bytearray([HOLE]) * (start_pfn - self.base) + bytearray([RESERVED]) * nr_pages
        self.state += bytearray([HOLE]) * (end - self.end_pfn)
        self.free_list: list[list[OrderedDict[int, None]]] = [[OrderedDict() for _ in MIGRATETYPES] for _ in range(NR_PAGE_ORDERS)]
        # The same lists, found by the state byte of the blocks on them.
        self._list_of = {mt << 4 | order: blocks for order, row in enumerate(self.free_list) for mt, blocks in enumerate(row)}
        # memmap_init_range() labels a pageblock only at its own first pfn, so a block cut by the zone's start stays unmovable.
        first = -(-(start_pfn - self.base) // PAGEBLOCK_NR_PAGES)
        last = -(-(self.end_pfn - self.base) // PAGEBLOCK_NR_PAGES)
        self.pageblock_type = bytearray([UNMOVABLE]) * (len(self.state) // PAGEBLOCK_NR_PAGES)
        self.pageblock_type[first:last] = bytearray([MOVABLE]) * (last - first)
        # What an isolated pageblock was before.
        self.type_before = bytearray(len(self.pageblock_type))

    def like(self, zone_type: "type[Zone]") -> "Zone":
        """Return an empty zone of another type and the same shape, to be filled by `restore`."""
        return zone_type(self.end_pfn - self.start_pfn, self.start_pfn, self.name, self.node)

    def blank(self) -> "Zone":
        """Return an empty zone of the same type and shape, to be filled by `restore`."""
        return self.like(type(self))

    # The primitives.

    def first(self, order: int, mt: int) -> int:
        """Return the pfn at the head of a free list, or -1 when the list is empty.

        >>> Zone(16).first(0, MOVABLE)
        -1
        """
        for pfn in self.free_list[order][mt]:
            return pfn
        return -1

    def link(self, pfn: int, order: int, mt: int, tail: bool = False) -> None:
        """Put a block on a free list, at the head or at the tail, and mark it free."""
        state = mt << 4 | order
        blocks = self._list_of[state]
        blocks[pfn] = None
        if not tail:
            blocks.move_to_end(pfn, False)
        self.state[pfn - self.base] = state

    def unlink(self, pfn: int) -> None:
        """Take a free block off its list, wherever in the list it stands."""
        at = pfn - self.base
        state = self.state[at]
        del self._list_of[state][pfn]
        self.state[at] = NOT_HEAD

    def move(self, pfn: int, mt: int) -> None:
        """Move a free block to the tail of the same order's list of a migratetype."""
        order = self.state[pfn - self.base] & 15
        Zone.unlink(self, pfn)
        Zone.link(self, pfn, order, mt, tail=True)

    def page_is_buddy(self, pfn: int, order: int) -> bool:
        """Tell whether a free block of exactly this order has its head at pfn, in this zone."""
        state = self.state[pfn - self.base]
        return state < HELD and state & 15 == order

    def take(self, pfn: int, order: int, mt: int) -> None:
        """Mark a block that is on no list as in use."""
        self.state[pfn - self.base] = IN_USE | mt << 4 | order

    def give(self, pfn: int) -> int:
        """Mark the block in use at pfn as given back, to be linked next; return its order, or -1 if none is in use there."""
        if not self.start_pfn <= pfn < self.end_pfn:
            return -1
        at = pfn - self.base
        state = self.state[at]
        if not IN_USE <= state < HOLE:
            return -1
        self.state[at] = NOT_HEAD
        return state & 15

    def hold(self, pfn: int, order: int) -> None:
        """Mark a block that is on no list as held by a request that is not finished."""
        self.state[pfn - self.base] = HELD | order

    def unhold(self, pfn: int) -> int:
        """Mark the block held at pfn as no longer held, to be split, taken or freed next; return its order."""
        at = pfn - self.base
        order = self.state[at] & 15
        self.state[at] = NOT_HEAD
        return order

    def migrate(self, pfn: int, to: int) -> int:
        """Move what the block in use at pfn holds to the block at `to`, which is on no list; return the order of both."""
        at = pfn - self.base
        state = self.state[at]
        self.state[to - self.base], self.state[at] = state, NOT_HEAD
        return state & 15

    def park(self, pfn: int, order: int, cpu: int, pindex: int, tail: bool = False) -> None:
        """Put a block that is on no list on a CPU's list, at the head or at the tail."""
        pcp = self.pcp[cpu]
        if tail:
            pcp.lists[pindex].append(pfn)
        else:
            pcp.lists[pindex].appendleft(pfn)
        pcp.count += 1 << order
        at = pfn - self.base
        pcp.types[pfn] = self.pageblock_type[at >> PAGEBLOCK_ORDER]
        self.state[at] = PCP | order

    def unpark(self, cpu: int, pindex: int, tail: bool = False) -> int:
        """Take the block at the head or at the tail of a CPU's list, which is not empty; return its pfn."""
        pcp = self.pcp[cpu]
        pfn = pcp.lists[pindex].pop() if tail else pcp.lists[pindex].popleft()
        pcp.count -= 1 << PCP_ORDERS[pindex]
        del pcp.types[pfn]
        self.state[pfn - self.base] = NOT_HEAD
        return pfn

    def unreserve(self, start: int, end: int) -> None:
        """Mark reserved pages as given over to the allocator, to be linked next.

        Raises:
            ValueError: one of the pages is not a reserved page of this zone; nothing changes.
        """
        low, high = start - self.base, end - self.base
        if not self.start_pfn <= start < end <= self.end_pfn or self.state.count(RESERVED, low, high) != end - start:
            raise ValueError(f"cannot hand over pfns {start}..{end - 1}: not all are reserved pages of zone {self.name}")
        self.state[low:high] = bytearray([NOT_HEAD]) * (end - start)
        self.managed += end - start

    def relabel(self, pfn: int, order: int, mt: int) -> None:
        """Set the migratetype of the pageblocks that a block of order 9 or 10 covers; what is isolated keeps in mind what it was."""
        first = pfn - self.base >> PAGEBLOCK_ORDER
        for at in range(first, first + (1 << order - PAGEBLOCK_ORDER)):
            self.type_before[at] = self.pageblock_type[at] if mt == ISOLATE else 0
            self.pageblock_type[at] = mt

    def census(self, pfn: int) -> tuple[int, int]:
        """Count, from pfn to the end of its pageblock, the pages on free lists and the pages in use that were allocated as movable."""
        free = movable = 0
        for head, state in self.pageblock(pfn):
            if head < pfn:
                continue
            if state < HELD:
                free += 1 << (state & 15)
            elif state & 0xF0 == IN_USE | MOVABLE << 4:
                movable += 1 << (state & 15)
        return free, movable

    # Questions about the state.

    def block_type(self, pfn: int) -> int:
        """Return the migratetype of the pageblock that holds pfn."""
        return self.pageblock_type[pfn - self.base >> PAGEBLOCK_ORDER]

    def pageblock(self, pfn: int) -> Iterator[tuple[int, int]]:
        """Yield the blocks whose heads stand in the pageblock of pfn, in ascending order: pfn and state byte of each head."""
        at = pfn - self.base & -PAGEBLOCK_NR_PAGES
        end = at + PAGEBLOCK_NR_PAGES
        while at < end:
            if (state := self.state[at]) != NOT_HEAD:
                yield self.base + at, state
            at += 1 << (state & 15)

    def free_heads(self, pfn: int) -> list[int]:
        """Return the heads of the free blocks in the pageblock of pfn, in ascending order."""
        return [head for head, state in self.pageblock(pfn) if state < HELD]

    def in_use(self, pfn: int) -> int:
        """Return the order of the block in use whose head is pfn, or -1 if there is none."""
        if not self.start_pfn <= pfn < self.end_pfn:
            return -1
        state = self.state[pfn - self.base]
        return state & 15 if IN_USE <= state < HOLE else -1

    def block(self, pfn: int) -> Block:
        """Return the block that owns a page.

        Args:
            pfn: any page frame number, in the zone or not.

        Returns:
            The Block; its kind is "hole" for a pfn outside the zone.

        >>> Zone(16).block(99).kind
        'hole'
        """
        if not self.start_pfn <= pfn < self.end_pfn:
            return Block(pfn, 0, "hole", -1)
        head, order = pfn, 0
        while (state := self.state[head - self.base]) == NOT_HEAD and order < MAX_PAGE_ORDER:
            order += 1
            head = pfn & -(1 << order)
        if state in (RESERVED, HOLE):
            return Block(pfn, 0, "reserved" if state == RESERVED else "hole", -1)
        if state == NOT_HEAD:
            return Block(head, order, "held", -1)
        if HELD <= state < IN_USE:
            return Block(head, state & 15, "held" if state < PCP else "pcp", -1)
        return Block(head, state & 15, "in use" if state & IN_USE else "free", state >> 4 & 7)

    def blocks(self, order: int, mt: int) -> list[int]:
        """Return the heads on one free list, head of the list first."""
        return list(self.free_list[order][mt])

    def nr_free(self, order: int) -> int:
        """Return the number of free blocks of one order, over all migratetypes."""
        return sum(map(len, self.free_list[order]))

    def counts(self) -> list[int]:
        """Return the free blocks per order 0..10, as a line of /proc/buddyinfo has them."""
        return [self.nr_free(order) for order in range(NR_PAGE_ORDERS)]

    def nr_free_pages(self) -> int:
        """Return the pages on all free lists."""
        return sum(count << order for order, count in enumerate(self.counts()))

    def largest_free_order(self) -> int:
        """Return the highest order with a free block, or -1 when nothing is free."""
        return max((order for order, count in enumerate(self.counts()) if count), default=-1)

    def page_states(self) -> NDArray[np.uint8]:
        """Return the state byte of the owning block for each page.

        Returns:
            uint8 array, shape (nr_pages,): the state byte of the head that owns the page.

        >>> Zone(16).page_states()[:2].tolist() == [RESERVED, RESERVED]
        True
        """
        state = np.frombuffer(bytes(self.state), np.uint8)
        heads = np.flatnonzero(state != NOT_HEAD)
        pages = np.repeat(state[heads], np.diff(heads, append=len(state)))
        return pages[self.start_pfn - self.base : self.end_pfn - self.base]

    def validate(self) -> None:
        """Check every invariant: each page owned once, lists and states agree, no two free buddies unmerged.

        Raises:
            ValueError: one sentence that names the pfn and what is wrong with it.
        """
        listed = {pfn: state for state, blocks in self._list_of.items() for pfn in blocks}
        if len(listed) != sum(self.counts()):
            twice = next(pfn for pfn in listed if sum(pfn in blocks for blocks in self._list_of.values()) > 1)
            raise ValueError(f"zone {self.name}: block {twice} is on two lists")
        states = np.frombuffer(bytes(self.state), np.uint8)
        places = np.flatnonzero(states != NOT_HEAD)
        heads = dict(zip((places + self.base).tolist(), states[places].tolist(), strict=True))
        if (stray := next((pfn for pfn in listed if pfn not in heads), None)) is not None:
            raise ValueError(f"zone {self.name}: page {stray} is on a list and no head of a block")
        expected = self.base
        for pfn, state in heads.items():
            if state != HOLE and not self.start_pfn <= pfn < self.end_pfn:
                raise ValueError(f"zone {self.name}: page {pfn} is outside the zone and not a hole")
            if pfn != expected:
                raise ValueError(f"zone {self.name}: page {min(pfn, expected)} is owned by two blocks or by none")
            expected = pfn + (1 << (state & 15))
            if state & 15 > MAX_PAGE_ORDER or (state != HOLE and expected > self.end_pfn):
                raise ValueError(f"zone {self.name}: a block of order {state & 15} at {pfn} is too large")
            if state < HOLE and pfn & (expected - pfn - 1):
                raise ValueError(f"zone {self.name}: a block of order {state & 15} cannot start at {pfn}")
            if (state < HELD or pfn in listed) and listed.get(pfn) != state:
                raise ValueError(f"zone {self.name}: the lists and the state of page {pfn} disagree")
        if expected != self.base + len(self.state):
            raise ValueError(f"zone {self.name}: the last block ends at {expected}")
        for pfn, state in listed.items():
            order, buddy = state & 15, pfn ^ (1 << (state & 15))
            if order == MAX_PAGE_ORDER or not self.page_is_buddy(buddy, order):
                continue
            types = {self.block_type(pfn), self.block_type(buddy)}
            if order < PAGEBLOCK_ORDER or len(types) == 1 or max(types) < MIGRATE_PCPTYPES:
                raise ValueError(f"zone {self.name}: {pfn} and its buddy are both free at order {order} and not merged")
        parked = {pfn: state & 15 for pfn, state in heads.items() if PCP <= state < IN_USE}
        wrong = [text for cpu, pcp in enumerate(self.pcp) if (text := pcp.first_wrong(cpu, parked))]
        if wrong or parked:
            what = wrong[0] if wrong else f"page {min(parked)} is on no list of a CPU, and its state says so"
            raise ValueError(f"zone {self.name}: {what}")

    # A picture of the whole zone, small enough to keep by the hundred.

    def snapshot(self) -> Snapshot:
        """Return the whole state as four byte strings: heads, lists, pageblock types, per-CPU lists.

        Only the state bytes of heads are kept: a head's order says where the next one stands.
        """
        state = np.frombuffer(self.state, np.uint8)
        lists = array("q", map(len, self._list_of.values()))
        for blocks in self._list_of.values():
            lists.extend(blocks)
        packer = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
        heads = packer.compress(state[np.flatnonzero(state != NOT_HEAD)].tobytes()) + packer.flush()
        types = bytes(self.pageblock_type) + (bytes(self.type_before) if any(self.type_before) else b"")
        parked = b"".join(pcp.pack().tobytes() for pcp in self.pcp)
        return heads, zlib.compress(lists.tobytes(), 1), types, parked and zlib.compress(parked, 1)

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back the state of a snapshot that was taken of a zone of the same span."""
        heads = np.frombuffer(zlib.decompress(snapshot[0]), np.uint8)
        sizes = np.left_shift(1, heads & 15, dtype=np.int64)
        state = np.full(len(self.state), NOT_HEAD, np.uint8)
        state[np.cumsum(sizes) - sizes] = heads
        self.state = bytearray(state)
        self.managed = int(sizes[heads < HOLE].sum())
        lists, at = array("q", zlib.decompress(snapshot[1])), len(self._list_of)
        for length, blocks in zip(lists[:at], self._list_of.values(), strict=True):
            blocks.clear()
            blocks.update(dict.fromkeys(lists[at : at + length]))
            at += length
        nr_pageblocks = len(self.pageblock_type)
        self.pageblock_type = bytearray(snapshot[2][:nr_pageblocks])
        self.type_before = bytearray(snapshot[2][nr_pageblocks:] or nr_pageblocks)
        self.pcp.clear()
        packed, at = array("q", zlib.decompress(snapshot[3]) if snapshot[3] else b""), 0
        while at < len(packed):
            self.pcp.append(PerCpuPages())
            at = self.pcp[-1].unpack(packed, at)
