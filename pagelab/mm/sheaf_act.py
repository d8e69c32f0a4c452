"""Acts of the sheaves of a cache, in which objects wait for a CPU to ask for them, as one fork of 7.0 and 7.1 has them.

`WatchedSheaves` stands in for the sheaves of a cache, passes on what changes them and writes it down, and `redo_sheaves` does an act again.
Rested and Refilled are the cache's own acts: they change what it says of an object too.
"""

from typing import Any, NamedTuple

from .percpu_sheaves import Sheaves


class Rested(NamedTuple):
    """An object went into the main sheaf of a CPU (or, awake, was handed out of it)."""

    cache: str
    pfn: int
    obj: int
    awake: bool
    cpu: int = 0


class Refilled(NamedTuple):
    """So many objects of a slab's own freelist went into the main sheaf of a CPU."""

    cache: str
    pfn: int
    cpu: int
    objects: int


class SheafSwapped(NamedTuple):
    """The main and the spare sheaf of a CPU changed places."""

    cache: str
    cpu: int


class SheafAdded(NamedTuple):
    """An empty sheaf became the main one of a CPU, and that its spare: out of the barn of a node, or a new one for NO_BARN."""

    cache: str
    cpu: int
    node: int


class BarnTaken(NamedTuple):
    """A CPU gave its empty main sheaf to a node's barn, and took a full one of so many objects."""

    cache: str
    cpu: int
    node: int
    objects: int


class BarnGiven(NamedTuple):
    """A CPU gave its full main sheaf to a node's barn, and took an empty one: the barn's, or a new one."""

    cache: str
    cpu: int
    node: int
    new: bool


class Flushed(NamedTuple):
    """So many objects left a sheaf, which is "main" or "spare" of a CPU or "barn" of a node; they go back to their slabs next."""

    cache: str
    which: str
    owner: int
    objects: int


class SheafDropped(NamedTuple):
    """Empty sheaves were given up: the "spare" one of a CPU, or all of the "barn" of a node."""

    cache: str
    which: str
    owner: int


SheafAct = SheafSwapped | SheafAdded | BarnTaken | BarnGiven | Flushed | SheafDropped
SHEAF_ACTS = SheafAct.__args__


class WatchedSheaves(Sheaves):
    """Sheaves seen through: same state, and `acts` grows with what changes them."""

    def __init__(self, cache: str, sheaves: Sheaves, acts: list[Any]) -> None:
        self._cache, self._sheaves, self.acts = cache, sheaves, acts
        self.capacity, self.cpu, self.barn = sheaves.capacity, sheaves.cpu, sheaves.barn

    def swap(self, cpu: int) -> None:
        """Swap, and write it down."""
        self._sheaves.swap(cpu)
        self.acts.append(SheafSwapped(self._cache, cpu))

    def add_empty(self, cpu: int, node: int) -> None:
        """Add an empty sheaf, and write it down."""
        self._sheaves.add_empty(cpu, node)
        self.acts.append(SheafAdded(self._cache, cpu, node))

    def take_full(self, cpu: int, node: int) -> None:
        """Take a full sheaf, and write it down."""
        self._sheaves.take_full(cpu, node)
        self.acts.append(BarnTaken(self._cache, cpu, node, len(self.cpu[cpu].main)))

    def give_full(self, cpu: int, node: int, new: bool) -> None:
        """Give a full sheaf, and write it down."""
        self._sheaves.give_full(cpu, node, new)
        self.acts.append(BarnGiven(self._cache, cpu, node, new))

    def empty_out(self, which: str, owner: int, limit: int) -> list[int]:
        """Take objects out, and write down how many."""
        slots = self._sheaves.empty_out(which, owner, limit)
        self.acts.append(Flushed(self._cache, which, owner, len(slots)))
        return slots

    def drop(self, which: str, owner: int) -> None:
        """Drop what is empty, and write it down."""
        self._sheaves.drop(which, owner)
        self.acts.append(SheafDropped(self._cache, which, owner))


def redo_sheaves(sheaves: Sheaves, act: SheafAct) -> None:
    """Do one act of a request again.

    Args:
        sheaves: in the state before the act.
        act: of the cache that they belong to.

    >>> sheaves = Sheaves(2)
    >>> sheaves.push(0, 5); redo_sheaves(sheaves, SheafAdded("spoon", 0, -1)); sheaves.cpu[0].spare
    [5]
    """
    match act:
        case SheafSwapped(_, cpu):
            sheaves.swap(cpu)
        case SheafAdded(_, cpu, node):
            sheaves.add_empty(cpu, node)
        case BarnTaken(_, cpu, node):
            sheaves.take_full(cpu, node)
        case BarnGiven(_, cpu, node, new):
            sheaves.give_full(cpu, node, new)
        case Flushed(_, which, owner, objects):
            sheaves.empty_out(which, owner, objects)
        case SheafDropped(_, which, owner):
            sheaves.drop(which, owner)
