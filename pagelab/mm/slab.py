"""A cache: its slabs, which objects of them are free, and on which list each slab stands.

KmemCache is the only writer of that state. The rules read and change it through its primitives: `first`, `crowded`, `surplus`, `carve`,
`discard`, `pop`, `push`, `draw`, `put`, `load`, `regain`, `unload`, `enlist`, `delist`, `rest`, `wake`, `fill`, `lose`, `sever`, `stain`,
`clean` and `report`. Whatever watches or replaces the rules stands in for KmemCache there.

A slab has a number, an object an index in its slab. As in the kernel, each free object holds the index of the next one, so one number for
every slot says all there is to know of it:

    0..32766   free, and this object is the next on the same freelist
    0xFFFF     free, the last of its freelist
    0xFFFE     in use
    0xFFFD     lost: neither in use nor on a freelist, after a pointer or a debug check failed; as the head of a slab, nothing of it is used
    0xFFFC     in a sheaf: free for a caller, in use for its slab

An address is counted in words of 8 bytes and has bit 30 set, so that it fits a tape and is no pfn: 2^30 + pfn * 512 + offset / 8.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from .percpu_sheaves import Sheaves, SheavesSnapshot
from .slab_layout import Layout, order_objects
from .units import PAGE_SHIFT

END, IN_USE, LOST, IN_SHEAF = 0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC
WORD_SHIFT = 3
PAGE_BITS = PAGE_SHIFT - WORD_SHIFT
PAGE_WORDS = 1 << PAGE_BITS
OBJECT = 1 << 30

# Where a slab stands. A full slab is on no list.
NO_LIST, CPU_SLAB, CPU_PARTIAL, NODE_PARTIAL, FULL = range(5)
PLACES = ("on no list", "cpu slab", "cpu partial", "node partial", "full")


class KmemCacheCpu:
    """What one CPU has of a cache: struct kmem_cache_cpu. slab is -1 for none; the head of partial is its last entry."""

    __slots__ = ("base", "freelist", "partial", "slab", "word")

    def __init__(self) -> None:
        self.slab, self.freelist, self.base, self.word = -1, END, 0, 0
        self.partial: list[int] = []


class KmemCacheNode(NamedTuple):
    """What one node has of a cache: the slabs on its lists, head first: struct kmem_cache_node."""

    partial: OrderedDict[int, None]
    full: OrderedDict[int, None]


class SlabState(NamedTuple):
    """One slab, as `KmemCache.slab` reads it.

    pfn: its first page. order: of its pages. objects: how many it has. inuse: as the kernel counts them, all of them while it is a cpu
    slab. live: how many are in use in truth. place: one of PLACES. owner: the CPU or node whose list that is. freelist: indices of the free
    objects of the slab itself, head first; for a cpu slab, cpu_freelist has those that its CPU took.
    """

    pfn: int
    order: int
    objects: int
    inuse: int
    live: int
    place: str
    owner: int
    freelist: tuple[int, ...]
    cpu_freelist: tuple[int, ...]


CacheSnapshot = tuple[tuple[bytes, ...], tuple[Any, ...], tuple[Any, ...], int, dict[int, int], tuple[str, ...], SheavesSnapshot]


class KmemCache:
    """A cache and its state.

    Args:
        name: as slabinfo prints it.
        layout: from `pagelab.mm.slab_layout`.
        cpus, nodes: of the machine.
        owners: the machine's record of which page belongs to which slab, filled here: from a pfn to (cache, slab number).
        sheaf_capacity: objects in a sheaf, 0 for a cache without sheaves.
        sequence: the order in which a new slab's objects are linked, or none for that of their addresses. Each slab starts elsewhere in it.

    `slabs` counts the slabs, `carved` those ever made. `stains` has the bytes that somebody wrote where he should not: from a byte address
    to a value. `reports` has what the kernel would print of it.

    Source: struct kmem_cache and struct slab, mm/slab.h, 6.12.
    Unlike the kernel, the cache's own descriptors take no memory.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        cpus: int = 1,
        nodes: int = 1,
        owners: "dict[int, tuple[KmemCache, int]] | None" = None,
        sequence: tuple[int, ...] = (),
        sheaf_capacity: int = 0,
    ) -> None:
        self.name, self.layout, self.sequence = name, layout, sequence
        self.owners = {} if owners is None else owners
        self.stride, self.step = layout.objects, layout.size >> WORD_SHIFT
        self._start = OBJECT + (layout.red_left_pad >> WORD_SHIFT)
        self._chain = array("H", [*range(1, self.stride), END])
        self.sheaves = Sheaves(sheaf_capacity, cpus, nodes)
        self._begin(cpus, nodes)

    def _begin(self, cpus: int, nodes: int) -> None:
        self.next, self.head, self.inuse, self.objects = array("H"), array("H"), array("H"), array("H")
        self.pfn, self.place, self.owner = array("I"), bytearray(), bytearray()
        self._unused: list[int] = []
        self.cpu = [KmemCacheCpu() for _ in range(cpus)]
        self.node = [KmemCacheNode(OrderedDict(), OrderedDict()) for _ in range(nodes)]
        self.slabs = self.carved = 0
        self.stains: dict[int, int] = {}
        self.reports: list[str] = []

    def blank(self, owners: "dict[int, tuple[KmemCache, int]]") -> "KmemCache":
        """Return an empty cache of the same shape, which fills another machine's record."""
        return type(self)(self.name, self.layout, len(self.cpu), len(self.node), owners, self.sequence, self.sheaves.capacity)

    # Where things are.

    def word(self, slab: int, index: int) -> int:
        """Return the address of an object, in words."""
        return self._start + self.pfn[slab] * PAGE_WORDS + index * self.step

    def index(self, slab: int, word: int) -> int:
        """Return the index of the object at an address, or -1 where no object of this slab starts."""
        index, rest = divmod(word - self._start - self.pfn[slab] * PAGE_WORDS, self.step)
        return index if not rest and 0 <= index < self.objects[slab] else -1

    def order(self, slab: int) -> int:
        """Return the order of a slab's pages: the cache's own, or the least where those were not to be had."""
        return self.layout.order if self.objects[slab] == self.stride else self.layout.min_order

    def nr_partial(self, node: int) -> int:
        """Return the length of a node's partial list."""
        return len(self.node[node].partial)

    # The primitives. What is asked before anything is done.

    def first(self, place: int, owner: int) -> int:
        """Return the number of the slab at the head of a list, or -1 where that is empty."""
        if place == CPU_PARTIAL:
            return self.cpu[owner].partial[-1] if self.cpu[owner].partial else -1
        return next(iter(self.node[owner].partial), -1)

    def crowded(self, cpu: int) -> bool:
        """Tell whether a CPU's partial list has as many slabs as it may have."""
        return len(self.cpu[cpu].partial) >= self.layout.cpu_partial_slabs

    def surplus(self, slab: int, node: int) -> bool:
        """Tell whether a slab is empty and its node has enough partial slabs without it."""
        return not self.inuse[slab] and len(self.node[node].partial) >= self.layout.min_partial

    # A slab is made and unmade.

    def carve(self, pfn: int, order: int) -> int:
        """Cut a block of pages into objects, all free; return the number of the new slab."""
        count = order_objects(order, self.layout.size)
        if self._unused:
            slab = self._unused.pop()
        else:
            slab = len(self.pfn)
            for column in (self.head, self.inuse, self.objects, self.pfn, self.place, self.owner):
                column.append(0)
            self.next.extend(self._chain)
        self.pfn[slab], self.objects[slab], self.inuse[slab], self.place[slab] = pfn, count, 0, NO_LIST
        self.head[slab] = self._link_all(slab * self.stride, count)
        for page in range(pfn, pfn + (1 << order)):
            self.owners[page] = (self, slab)
        self.slabs += 1
        self.carved += 1
        return slab

    def _link_all(self, base: int, count: int) -> int:
        """Link the objects of a new slab; return the first: shuffle_freelist."""
        if not self.sequence:
            self.next[base : base + self.stride] = self._chain
            self.next[base + count - 1] = END
            return 0
        # Each slab walks the same permutation, from a place of its own.
        at = (self.carved * 2654435761 >> 7) % len(self.sequence)
        walk = [index for index in self.sequence[at:] + self.sequence[:at] if index < count]
        for index, after in zip(walk, [*walk[1:], END], strict=True):
            self.next[base + index] = after
        return walk[0]

    def discard(self, slab: int) -> int:
        """Give up an empty slab that is on no list; return its first page."""
        pfn, end = self.pfn[slab], self.pfn[slab] + (1 << self.order(slab))
        for page in range(pfn, end):
            del self.owners[page]
        self.clean(pfn << PAGE_SHIFT, end << PAGE_SHIFT)
        self.objects[slab] = 0
        self._unused.append(slab)
        self.slabs -= 1
        return pfn

    # Objects.

    def pop(self, cpu: int) -> int:
        """Hand out the first object of a CPU's freelist; return its address, or -1 where that is empty."""
        c = self.cpu[cpu]
        index = c.freelist
        if index == END:
            return -1
        slot = c.base + index
        c.freelist = self.next[slot]
        self.next[slot] = IN_USE
        return c.word + index * self.step

    def push(self, cpu: int, index: int) -> None:
        """Put an object of the cpu slab at the head of the CPU's freelist."""
        c = self.cpu[cpu]
        self.next[c.base + index] = c.freelist
        c.freelist = index

    def draw(self, slab: int) -> int:
        """Hand out the first object of a slab's own freelist, which is not empty; return its address."""
        index = self.head[slab]
        slot = slab * self.stride + index
        self.head[slab] = self.next[slot]
        self.next[slot] = IN_USE
        self.inuse[slab] += 1
        return self.word(slab, index)

    def put(self, slab: int, index: int) -> None:
        """Put an object at the head of its slab's own freelist."""
        self.next[slab * self.stride + index] = self.head[slab]
        self.head[slab] = index
        self.inuse[slab] -= 1

    def rest(self, cpu: int, slab: int, index: int) -> None:
        """Put an object in use into the main sheaf of a CPU."""
        self.next[slab * self.stride + index] = IN_SHEAF
        self.sheaves.push(cpu, slab * self.stride + index)

    def wake(self, cpu: int) -> int:
        """Hand out the last object of a CPU's main sheaf, which is not empty; return its address."""
        slot = self.sheaves.pop(cpu)
        self.next[slot] = IN_USE
        return self.word(*divmod(slot, self.stride))

    def fill(self, cpu: int, slab: int, limit: int) -> int:
        """Put up to limit objects of a slab's own freelist, which is not empty, into the main sheaf of a CPU; return how many."""
        slots = [slab * self.stride + index for index in list(self.walk(slab, self.head[slab]))[:limit]]
        self.head[slab] = self.next[slots[-1]]
        self.inuse[slab] += len(slots)
        for slot in slots:
            self.next[slot] = IN_SHEAF
        return self.sheaves.extend(cpu, slots)

    def lose(self, slab: int) -> None:
        """Give up the free objects of a slab that cannot be trusted: all of it counts as in use, and nothing can be freed to it."""
        for index in list(self.walk(slab, self.head[slab])):
            self.next[slab * self.stride + index] = LOST
        self.head[slab], self.inuse[slab] = LOST, self.objects[slab]

    def sever(self, slab: int, index: int) -> None:
        """Give up what follows an object on its freelist: its pointer leads nowhere."""
        base = slab * self.stride
        lost = list(self.walk(slab, self.next[base + index]))
        for after in lost:
            self.next[base + after] = LOST
        self.next[base + index] = END
        self.inuse[slab] += len(lost) * (self.place[slab] != CPU_SLAB)

    # Bytes written astray, and what is said of them.

    def stain(self, address: int, length: int, value: int) -> None:
        """Write bytes where they should not be."""
        self.stains.update(dict.fromkeys(range(address, address + length), value))

    def clean(self, start: int, end: int) -> None:
        """Write over the stains of some bytes."""
        self.stains = {address: value for address, value in self.stains.items() if not start <= address < end}

    def report(self, text: str) -> None:
        """Say what a check found, as the kernel prints it."""
        self.reports.append(text)

    # A CPU and its slab.

    def load(self, cpu: int, slab: int) -> None:
        """Make a slab that is on no list the cpu slab: the CPU takes its whole freelist."""
        c, self.place[slab], self.owner[slab] = self.cpu[cpu], CPU_SLAB, cpu
        c.slab, c.base, c.word = slab, slab * self.stride, self._start + self.pfn[slab] * PAGE_WORDS
        c.freelist, self.head[slab], self.inuse[slab] = self.head[slab], END, self.objects[slab]

    def regain(self, cpu: int) -> int:
        """Let a CPU, whose freelist is empty, take what was freed to its slab's own freelist; return how many objects."""
        c = self.cpu[cpu]
        slab = c.slab
        index = self.head[slab]
        if index == END:
            return 0
        count = self.objects[slab] - self.inuse[slab]
        c.freelist, self.head[slab], self.inuse[slab] = index, END, self.objects[slab]
        return count

    def unload(self, cpu: int) -> int:
        """Take the slab away from a CPU, whose free objects go back to it, in front; return its number."""
        c = self.cpu[cpu]
        slab = c.slab
        if c.freelist != END:
            free = list(self.walk(slab, c.freelist))
            self.next[c.base + free[-1]] = self.head[slab]
            self.head[slab] = free[0]
            self.inuse[slab] -= len(free)
        c.slab, c.freelist = -1, END
        self.place[slab] = NO_LIST
        return slab

    # Lists of slabs.

    def enlist(self, slab: int, place: int, owner: int, tail: bool = False) -> None:
        """Put a slab that is on no list on one: CPU_PARTIAL of a CPU, NODE_PARTIAL or FULL of a node."""
        self.place[slab], self.owner[slab] = place, owner
        if place == CPU_PARTIAL:
            self.cpu[owner].partial.append(slab)
            return
        listed = self.node[owner].partial if place == NODE_PARTIAL else self.node[owner].full
        listed[slab] = None
        if not tail:
            listed.move_to_end(slab, False)

    def delist(self, slab: int) -> None:
        """Take a slab off its list; of a CPU's partial list only the first can go."""
        place, owner = self.place[slab], self.owner[slab]
        if place == CPU_PARTIAL:
            self.cpu[owner].partial.pop()
        elif place == NODE_PARTIAL:
            del self.node[owner].partial[slab]
        else:
            self.node[owner].full.pop(slab, None)
        self.place[slab] = NO_LIST

    # Reading.

    def walk(self, slab: int, index: int) -> Iterator[int]:
        """Follow a freelist from one object to its end; yield indices, at most one more than there can be."""
        base = slab * self.stride
        for _ in range(self.stride + 1):
            if index >= self.stride:
                return
            yield index
            index = self.next[base + index]

    def numbers(self) -> list[int]:
        """Return the numbers of the slabs that there are."""
        return [slab for slab, count in enumerate(self.objects) if count]

    def slab(self, slab: int) -> SlabState:
        """Read one slab."""
        free = tuple(self.walk(slab, self.head[slab]))
        taken = tuple(self.walk(slab, self.cpu[self.owner[slab]].freelist)) if self.place[slab] == CPU_SLAB else ()
        base, count = slab * self.stride, self.objects[slab]
        live, where = self.next[base : base + count].count(IN_USE), PLACES[self.place[slab]]
        return SlabState(self.pfn[slab], self.order(slab), count, self.inuse[slab], live, where, self.owner[slab], free, taken)

    def live(self) -> int:
        """Count the objects in use."""
        return self.next.count(IN_USE)

    def snapshot(self) -> CacheSnapshot:
        """Return the whole state, small enough to keep by the hundred."""
        columns = (self.next, self.head, self.inuse, self.objects, self.pfn, self.place, self.owner, array("I", self._unused))
        cpus = tuple((c.slab, c.freelist, tuple(c.partial)) for c in self.cpu)
        nodes = tuple((tuple(n.partial), tuple(n.full)) for n in self.node)
        return tuple(map(bytes, columns)), cpus, nodes, self.carved, dict(self.stains), tuple(self.reports), self.sheaves.snapshot()

    def restore(self, snapshot: CacheSnapshot) -> None:
        """Bring back the state of a snapshot of a cache of the same shape, and what the machine records of its pages."""
        columns, cpus, nodes, carved, stains, reports, sheaves = snapshot
        self.sheaves.restore(sheaves)
        self._begin(len(cpus), len(nodes))
        self.stains, self.reports = dict(stains), list(reports)
        self.next, self.head, self.inuse, self.objects = (array("H", column) for column in columns[:4])
        self.pfn, self.place, self.owner = array("I", columns[4]), bytearray(columns[5]), bytearray(columns[6])
        self._unused, self.carved = array("I", columns[7]).tolist(), carved
        for c, (slab, freelist, partial) in zip(self.cpu, cpus, strict=True):
            c.slab, c.freelist, c.partial = slab, freelist, list(partial)
            c.base, c.word = (slab * self.stride, self.word(slab, 0)) if slab >= 0 else (0, 0)
        for n, (partial, full) in zip(self.node, nodes, strict=True):
            n.partial.update(dict.fromkeys(partial))
            n.full.update(dict.fromkeys(full))
        for slab in self.numbers():
            self.slabs += 1
            self.owners.update(dict.fromkeys(range(self.pfn[slab], self.pfn[slab] + (1 << self.order(slab))), (self, slab)))
