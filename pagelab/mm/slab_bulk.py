"""Many objects in one call, as code in the kernel asks for them: all of them or none, and freed together slab by slab."""

from collections.abc import Sequence

from .sheaf import sheaf_alloc_bulk, sheaf_free_bulk
from .slab import IN_USE
from .slab_layout import Slab
from .slab_machine import SlabMachine
from .slab_rules import rules_of
from .slub import alloc_bulk, free_bulk, place_of


def kmem_cache_alloc_bulk(machine: SlabMachine, name: str, count: int, cpu: int = 0) -> list[int]:
    """Allocate objects of one cache.

    Args:
        machine: with the cache.
        name: of the cache.
        count: how many objects, 0 or more.
        cpu: 0 up to the machine's last one.

    Returns:
        Their addresses in words, as slab.py counts them; none where the kernel returns 0 because memory did not suffice for all.

    Raises:
        ValueError: the cache or the CPU does not exist, or the count is negative; nothing changes.

    Source: kmem_cache_alloc_bulk, mm/slub.c, 6.1 and 6.12; 7.1 as one fork of it has it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> [machine.object_at(word)[2] for word in kmem_cache_alloc_bulk(machine, "kmalloc-512", 3)]
    [0, 1, 2]
    """
    cache = machine.cache(name)
    _check(machine, count, cpu)
    if cache.sheaves.capacity:
        return sheaf_alloc_bulk(machine, cache, count, cpu)
    return alloc_bulk(machine, cache, rules_of(cache, machine.version), count, cpu)


def kmem_cache_free_bulk(machine: SlabMachine, name: str, words: Sequence[int], cpu: int = 0) -> None:
    """Free objects of one cache.

    Args:
        machine: with the cache.
        name: of the cache.
        words: addresses of objects, in words.
        cpu: 0 up to the machine's last one.

    Raises:
        ValueError: the cache or the CPU does not exist, or an address is no object of it in use, or given twice; nothing changes.

    Source: kmem_cache_free_bulk, mm/slub.c, 6.1 and 6.12; 7.1 as one fork of it has it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> words = kmem_cache_alloc_bulk(machine, "kmalloc-512", 3)
    >>> kmem_cache_free_bulk(machine, "kmalloc-512", words); machine.cache("kmalloc-512").slab(0).cpu_freelist[:4]
    (0, 1, 2, 3)
    """
    cache = machine.cache(name)
    _check(machine, len(words), cpu)
    if len(set(words)) < len(words):
        raise ValueError("an object is to be freed twice in one call: give each address once")
    for word in words:
        owner = machine.object_at(word)[0]
        slab, index = place_of(cache, word)
        if owner != cache.name:
            raise ValueError(f"an object of {owner} cannot be freed to {cache.name}: give objects of one cache")
        if cache.next[slab * cache.stride + index] != IN_USE and not cache.layout.flags & Slab.CONSISTENCY_CHECKS:
            raise ValueError(f"object {index} of the slab of {cache.name} at page {cache.pfn[slab]} is free already")
    objects = [place_of(cache, word) for word in words]
    if cache.sheaves.capacity:
        sheaf_free_bulk(machine, cache, objects, cpu)
    else:
        free_bulk(machine, cache, rules_of(cache, machine.version).free, objects, cpu)


def _check(machine: SlabMachine, count: int, cpu: int) -> None:
    if count < 0:
        raise ValueError(f"{count} objects cannot be asked for: give 0 or more")
    if not 0 <= cpu < machine.cpus:
        raise ValueError(f"cpu {cpu} does not exist: this machine has cpus 0..{machine.cpus - 1}")
