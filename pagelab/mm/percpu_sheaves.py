"""Sheaves of a cache: the arrays of free objects that each CPU has, and the barn where a node keeps whole ones.

A sheaf is an array that works as a stack. Each CPU has a main sheaf, and often a spare one; a barn has full sheaves, and empty ones, of
which only the number matters. Objects are here by the number of their slot: the number of the slab times the objects of a slab, and the
index.

All of this is known as one fork of 7.0 and 7.1 has it.
"""

from .slab_layout import SLAB_DEBUG_FLAGS, WORD, Layout, Slab
from .units import PAGE_SIZE

MAX_FULL_SHEAVES = 10
SHEAF_HEADER = 32  # sizeof(struct slab_sheaf) without its objects
NO_BARN = -1
_CAPACITIES = ((PAGE_SIZE, 4), (1024, 12), (256, 26), (0, 60))


def sheaf_capacity(layout: Layout, kernel: str = "7.x") -> int:
    """Tell how many objects a sheaf of a cache holds, so that the sheaf fills a kmalloc object.

    Args:
        layout: of the cache.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Returns:
        Objects, 0 for a cache without sheaves: one before 7.x, one that is debugged, or one that kmemleak itself may use.

    Source: calculate_sheaf_capacity, mm/slub.c, 7.1, as one fork of it has it.
    Unlike the kernel, no cache asks for a capacity of its own, as a few do from 6.18 on, and none has SLAB_NO_OBJ_EXT.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> [sheaf_capacity(slab_layout(size)) for size in (8192, 1024, 256, 64)]
    [4, 12, 28, 60]
    """
    if kernel != "7.x" or layout.flags & (SLAB_DEBUG_FLAGS | Slab.NOLEAKTRACE):
        return 0
    wanted = next(objects for size, objects in _CAPACITIES if layout.size >= size)
    bucket = 1 << (SHEAF_HEADER + WORD * wanted - 1).bit_length()
    return (bucket - SHEAF_HEADER) // WORD


class PercpuSheaves:
    """What one CPU has: struct slub_percpu_sheaves. spare is None where there is none; the next object of a sheaf is its last."""

    __slots__ = ("main", "spare")

    def __init__(self) -> None:
        self.main: list[int] = []
        self.spare: list[int] | None = None


class NodeBarn:
    """What one node keeps: struct node_barn. The head of full is its last entry; of empty sheaves it has a number."""

    __slots__ = ("empty", "full")

    def __init__(self) -> None:
        self.full: list[list[int]] = []
        self.empty = 0


SheavesSnapshot = tuple[tuple[tuple[tuple[int, ...], tuple[int, ...] | None], ...], tuple[tuple[tuple[tuple[int, ...], ...], int], ...]]


class Sheaves:
    """The sheaves of a cache, and the only writer of them.

    Its primitives are `pop`, `push`, `extend`, `swap`, `add_empty`, `take_full`, `give_full`, `empty_out` and `drop`.

    Args:
        capacity: of a sheaf, in objects; 0 for a cache that has none.
        cpus, nodes: of the machine.

    Source: struct slub_percpu_sheaves, struct node_barn and what barn_ functions do, mm/slub.c, 7.1, as one fork of it has it.
    Unlike the kernel, sheaves take no memory, and there are none for kfree_rcu.

    >>> sheaves = Sheaves(2)
    >>> sheaves.push(0, 5); sheaves.push(0, 6); sheaves.add_empty(0, NO_BARN); sheaves.cpu[0].main, sheaves.cpu[0].spare
    ([], [5, 6])
    """

    def __init__(self, capacity: int, cpus: int = 1, nodes: int = 1) -> None:
        self.capacity = capacity
        self.cpu = [PercpuSheaves() for _ in range(cpus)]
        self.barn = [NodeBarn() for _ in range(nodes)]

    def pop(self, cpu: int) -> int:
        """Take the last object off the main sheaf, which is not empty; return its slot."""
        return self.cpu[cpu].main.pop()

    def push(self, cpu: int, slot: int) -> None:
        """Put an object on the main sheaf, which has room."""
        self.cpu[cpu].main.append(slot)

    def extend(self, cpu: int, slots: list[int]) -> int:
        """Put objects on the main sheaf, which has room, the last one to be taken first; return how many."""
        self.cpu[cpu].main += slots
        return len(slots)

    def swap(self, cpu: int) -> None:
        """Let main and spare sheaf, of which there is one, change places."""
        c = self.cpu[cpu]
        if c.spare is not None:
            c.main, c.spare = c.spare, c.main

    def add_empty(self, cpu: int, node: int) -> None:
        """Make an empty sheaf the main one, and the main one the spare: out of a node's barn, or a new one for NO_BARN."""
        c = self.cpu[cpu]
        if node != NO_BARN:
            self.barn[node].empty -= 1
        c.main, c.spare = [], c.main

    def take_full(self, cpu: int, node: int) -> None:
        """Give the empty main sheaf to a barn, and take the full one at its head instead."""
        barn = self.barn[node]
        self.cpu[cpu].main = barn.full.pop()
        barn.empty += 1

    def give_full(self, cpu: int, node: int, new: bool) -> None:
        """Put the full main sheaf at the head of a barn, and take an empty one instead: the barn's, or a new one."""
        barn = self.barn[node]
        barn.full.append(self.cpu[cpu].main)
        self.cpu[cpu].main = []
        barn.empty -= not new

    def empty_out(self, which: str, owner: int, limit: int) -> list[int]:
        """Take up to limit objects, the last ones, out of a CPU's main or spare sheaf or the first full one of a barn; return their slots.

        A sheaf of a barn is given up with its last object.
        """
        sheaf = self.barn[owner].full[-1] if which == "barn" else self.cpu[owner].main if which == "main" else self.cpu[owner].spare or []
        slots = sheaf[-limit:]
        del sheaf[-limit:]
        if which == "barn" and not sheaf:
            self.barn[owner].full.pop()
        return slots

    def drop(self, which: str, owner: int) -> None:
        """Give up what is empty: a CPU's spare sheaf, or all empty ones of a barn."""
        if which == "spare":
            self.cpu[owner].spare = None
        else:
            self.barn[owner].empty = 0

    def slots(self) -> list[int]:
        """Return every object that rests in a sheaf."""
        loose = [slot for c in self.cpu for slot in (*c.main, *(c.spare or ()))]
        return loose + [slot for barn in self.barn for sheaf in barn.full for slot in sheaf]

    def snapshot(self) -> SheavesSnapshot:
        """Return the whole state."""
        cpus = tuple((tuple(c.main), None if c.spare is None else tuple(c.spare)) for c in self.cpu)
        return cpus, tuple((tuple(map(tuple, barn.full)), barn.empty) for barn in self.barn)

    def restore(self, snapshot: SheavesSnapshot) -> None:
        """Bring back the state of a snapshot of the same shape."""
        cpus, barns = snapshot
        for c, (main, spare) in zip(self.cpu, cpus, strict=True):
            c.main, c.spare = list(main), None if spare is None else list(spare)
        for barn, (full, empty) in zip(self.barn, barns, strict=True):
            barn.full, barn.empty = [list(sheaf) for sheaf in full], empty
