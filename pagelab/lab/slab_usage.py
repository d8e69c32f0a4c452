"""Memory asked for against memory held: where the bytes of the caches are."""

from typing import NamedTuple

from ..mm.slab import IN_USE, OBJECT, PAGE_BITS
from ..mm.slab_call import unpack_slab
from ..mm.slab_machine import SlabMachine
from ..mm.units import PAGE_SIZE
from .request import verb_of
from .tape import Tape


class Usage(NamedTuple):
    """Where the bytes are. held = asked + internal + free + slack.

    asked: bytes that the holders of objects asked for. internal: what their slots have beyond that. free: bytes in slots of objects
    that nobody holds. slack: bytes at the ends of slabs, too few for an object. held: bytes of all slabs. in_use: bytes in slots of
    objects in use. objects: how many are in use. slabs, pages: how many are held. pinned: pages of slabs that have a free object and
    are kept by one in use. empty: pages of slabs of which no object is in use.
    """

    asked: int
    internal: int
    free: int
    slack: int
    objects: int
    slabs: int
    pages: int
    pinned: int
    empty: int

    @property
    def held(self) -> int:
        """The bytes of all slabs."""
        return self.pages * PAGE_SIZE

    @property
    def in_use(self) -> int:
        """The bytes in slots of objects in use."""
        return self.asked + self.internal


def usage(tape: Tape[SlabMachine], k: int) -> dict[str, Usage]:
    """Say where the bytes of each cache are.

    Args:
        tape: any tape of a machine with caches.
        k: a step; what is said is so before request k.

    Returns:
        From the name of each cache that holds a slab to its Usage. What kmalloc took straight from the page allocator is in none.

    Raises:
        ValueError: k is out of range.

    >>> from pagelab.lab.scenario import slab
    >>> usage(slab("kmalloc 100 x3; kmalloc 512"), 4)["kmalloc-128"]
    Usage(asked=300, internal=84, free=3712, slack=0, objects=3, slabs=1, pages=1, pinned=1, empty=0)
    """
    machine = tape.at(k)
    asked = dict.fromkeys((cache.name for cache in machine.caches if cache.slabs), 0)
    for word, size in _sizes(tape, k, machine).items():
        cache, number = machine.owners.get(word - OBJECT >> PAGE_BITS, (None, -1))
        if cache and cache.next[number * cache.stride + cache.index(number, word)] == IN_USE:
            asked[cache.name] += size
    return {name: usage_of(machine, name, size) for name, size in asked.items()}


def _sizes(tape: Tape[SlabMachine], k: int, machine: SlabMachine) -> dict[int, int]:
    """Return what was asked for at each address that was handed out, last."""
    sizes = dict[int, int]()
    for request, word in zip(tape.requests[:k], tape.received[:k], strict=True):
        verb = verb_of(request)
        if verb == "kmalloc":
            sizes[word] = unpack_slab(request).number
        elif verb == "kmem_cache_alloc":
            sizes[word] = machine.cache(machine.names[unpack_slab(request).number]).layout.object_size
    return sizes


def usage_of(machine: SlabMachine, name: str, asked: int) -> Usage:
    """Say where the bytes of one cache are now.

    Args:
        machine: a machine with caches.
        name: of the cache.
        asked: bytes that the holders of its objects asked for.

    Returns:
        The Usage.

    >>> from pagelab.lab.scenario import slab
    >>> usage_of(slab("kmalloc 100").at(1), "kmalloc-128", 100).free
    3968
    """
    cache = machine.cache(name)
    slabs = [cache.slab(number) for number in cache.numbers()]
    size, live = cache.layout.size, sum(slab.live for slab in slabs)
    pages = sum(1 << slab.order for slab in slabs)
    slots = sum(slab.objects for slab in slabs) * size
    return Usage(
        asked,
        live * size - asked,
        slots - live * size,
        pages * PAGE_SIZE - slots,
        live,
        len(slabs),
        pages,
        sum(1 << slab.order for slab in slabs if 0 < slab.live < slab.objects),
        sum(1 << slab.order for slab in slabs if not slab.live),
    )
