"""The rules of SLUB: where an object comes from, and where it goes when it is freed.

An allocation takes the first object that the CPU's own slab has; else what was freed to that slab meanwhile; else the first slab of the
CPU's partial list; else one of the node's; else a new slab, from the page allocator. A free to the CPU's own slab is as short. A slab that
was full goes to the CPU's partial list with its first free object, and comes to the node's when that list is full. Only there an empty slab
can be one too many, and goes back to the page allocator.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from .free_pointer import follow, renew
from .slab import CPU_PARTIAL, CPU_SLAB, END, NO_LIST, NODE_PARTIAL, OBJECT, PAGE_BITS, KmemCache

SHRINK_PROMOTE_MAX = 32


class Rules(NamedTuple):
    """What a cache does: alloc(pages, cache, cpu), free(pages, cache, slab, indices, cpu) and flush(pages, cache, cpu)."""

    alloc: Callable[["Pages", KmemCache, int], int]
    free: "Free"
    flush: Callable[["Pages", KmemCache, int], None]


class Pages(Protocol):
    """What the rules ask of the machine around them."""

    def alloc_slab_page(self, cache: KmemCache, order: int, cpu: int) -> int:
        """Return the first pfn of a block for a slab, or a negative number."""

    def free_slab_page(self, pfn: int, order: int, cpu: int) -> None:
        """Take the pages of a slab back."""

    def node_of_cpu(self, cpu: int) -> int:
        """Return the node that a CPU is on."""

    def node_of_page(self, pfn: int) -> int:
        """Return the node that a page is on."""


Free = Callable[[Pages, KmemCache, int, Sequence[int], int], None]


def slab_alloc(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Allocate an object.

    Args:
        pages: the machine.
        cache: where from.
        cpu: that asks.

    Returns:
        The object's address in words, or -1 where the kernel returns NULL.

    Source: slab_alloc_node, ___slab_alloc, mm/slub.c, 6.12; 6.1 decides alike.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> [machine.object_at(slab_alloc(machine, cache, 0)) for _ in range(2)]
    [('kmalloc-512', 0, 0), ('kmalloc-512', 0, 1)]
    """
    word = _pop_stained(cache, cpu) if cache.stains else cache.pop(cpu)
    if word >= 0:
        return word
    if cache.cpu[cpu].slab >= 0:
        if cache.regain(cpu):
            return _pop_stained(cache, cpu) if cache.stains else cache.pop(cpu)
        cache.unload(cpu)
    slab = cache.first(CPU_PARTIAL, cpu)
    if slab >= 0:
        cache.delist(slab)
    else:
        slab = get_partial(pages, cache, cpu)
        if slab < 0 and (slab := new_slab(pages, cache, cpu)) < 0:
            return -1
    cache.load(cpu, slab)
    return _pop_stained(cache, cpu) if cache.stains else cache.pop(cpu)


def _pop_stained(cache: KmemCache, cpu: int) -> int:
    """Pop, after a look at the pointer that will be followed."""
    follow(cache, cache.cpu[cpu].slab, cache.cpu[cpu].freelist)
    return cache.pop(cpu)


def nodes_to_ask(pages: Pages, cache: KmemCache, cpu: int) -> Iterator[int]:
    """Yield the nodes whose partial lists may serve a CPU: its own, and then each that has slabs to spare when it is asked.

    Args:
        pages: the machine.
        cache: whose lists.
        cpu: that asks.

    Returns:
        The nodes, one after the other.

    Source: get_any_partial, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> list(nodes_to_ask(machine, machine.cache("kmalloc-512"), 0))
    [0]
    """
    home = pages.node_of_cpu(cpu)
    yield home
    for node in range(len(cache.node)):
        if node != home and cache.nr_partial(node) > cache.layout.min_partial:
            yield node


def get_partial(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Take a slab off a node's partial list, and more of them to the CPU's.

    Args:
        pages: the machine.
        cache: whose lists.
        cpu: that asks; its own node comes first, another one only while it has slabs to spare.

    Returns:
        The number of the slab, on no list now, or -1.

    Source: get_partial, get_partial_node, get_any_partial, mm/slub.c, 6.12; 6.1 decides alike.
    Unlike the kernel, another node is always tried, not in 1,000 of 1,024 cases.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> slab = new_slab(machine, cache, 0); cache.enlist(slab, NODE_PARTIAL, 0)
    >>> get_partial(machine, cache, 0) == slab, get_partial(machine, cache, 0)
    (True, -1)
    """
    for node in nodes_to_ask(pages, cache, cpu):
        slab = cache.first(NODE_PARTIAL, node)
        if slab < 0:
            continue
        cache.delist(slab)
        moved, enough = 0, cache.layout.cpu_partial_slabs // 2
        while cache.layout.cpu_partial and moved <= enough and cache.nr_partial(node):
            more = cache.first(NODE_PARTIAL, node)
            cache.delist(more)
            cache.enlist(more, CPU_PARTIAL, cpu)
            moved += 1
        return slab
    return -1


def new_slab(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Make a slab out of pages: of the cache's order, or of the least that holds an object.

    Args:
        pages: the machine.
        cache: whose slab it is.
        cpu: that asks.

    Returns:
        The number of the slab, on no list, or -1.

    Source: allocate_slab, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> cache.slab(new_slab(machine, cache, 0)).freelist
    (0, 1, 2, 3, 4, 5, 6, 7)
    """
    order = cache.layout.order
    pfn = pages.alloc_slab_page(cache, order, cpu)
    if pfn < 0 and cache.layout.min_order < order:
        order = cache.layout.min_order
        pfn = pages.alloc_slab_page(cache, order, cpu)
    return cache.carve(pfn, order) if pfn >= 0 else -1


def slab_free(pages: Pages, cache: KmemCache, slab: int, indices: Sequence[int], cpu: int) -> None:
    """Free objects of one slab.

    Args:
        pages: the machine.
        cache: whose they are.
        slab: the number of the slab.
        indices: of the objects; the first will be the next to be handed out.
        cpu: that frees.

    Source: do_slab_free, __slab_free, mm/slub.c, 6.12; 6.1 decides alike.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> words = [slab_alloc(machine, cache, 0) for _ in range(9)]
    >>> slab_free(machine, cache, 0, (3,), 0); cache.slab(0).place, cache.slab(0).freelist
    ('cpu partial', (3,))
    """
    if cache.stains:
        for index in indices:
            renew(cache, slab, index)
    if slab == cache.cpu[cpu].slab:
        for index in reversed(indices):
            cache.push(cpu, index)
        return
    place = cache.place[slab]
    for index in reversed(indices):
        cache.put(slab, index)
    if place in (CPU_SLAB, CPU_PARTIAL):
        return
    if place == NO_LIST and cache.layout.cpu_partial:
        put_cpu_partial(pages, cache, slab, cpu)
        return
    node = pages.node_of_page(cache.pfn[slab])
    if cache.surplus(slab, node):
        if place == NODE_PARTIAL:
            cache.delist(slab)
        discard_slab(pages, cache, slab, cpu)
    elif place == NO_LIST:
        cache.enlist(slab, NODE_PARTIAL, node, tail=True)


def put_cpu_partial(pages: Pages, cache: KmemCache, slab: int, cpu: int) -> None:
    """Put a slab that was full on the CPU's partial list; a list that has its number goes to the node first, all of it.

    Args:
        pages: the machine.
        cache: whose slab it is.
        slab: its number; it is on no list.
        cpu: that freed its first object.

    Source: put_cpu_partial, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> words = [slab_alloc(machine, cache, 0) for _ in range(9)]
    >>> put_cpu_partial(machine, cache, 0, 0); cache.cpu[0].partial
    [0]
    """
    old = _all_off(cache, cpu) if cache.crowded(cpu) else []
    cache.enlist(slab, CPU_PARTIAL, cpu)
    put_partials(pages, cache, old, cpu)


def put_partials(pages: Pages, cache: KmemCache, slabs: Iterable[int], cpu: int) -> None:
    """Put slabs at the tail of their nodes' partial lists; empty ones of which a node has enough go back to the page allocator.

    Args:
        pages: the machine.
        cache: whose slabs they are.
        slabs: their numbers; they are on no list.
        cpu: that had them.

    Source: __put_partials, mm/slub.c, 6.12; __unfreeze_partials in 6.1.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> put_partials(machine, cache, [new_slab(machine, cache, 0) for _ in range(7)], 0); list(cache.node[0].partial)
    [0, 1, 2, 3, 4]
    """
    doomed = []
    for slab in slabs:
        node = pages.node_of_page(cache.pfn[slab])
        if cache.surplus(slab, node):
            doomed.append(slab)
        else:
            cache.enlist(slab, NODE_PARTIAL, node, tail=True)
    for slab in reversed(doomed):
        discard_slab(pages, cache, slab, cpu)


def _all_off(cache: KmemCache, cpu: int) -> list[int]:
    """Take all slabs off a CPU's partial list, the first one first."""
    slabs = []
    while cache.cpu[cpu].partial:
        slabs.append(cache.first(CPU_PARTIAL, cpu))
        cache.delist(slabs[-1])
    return slabs


def discard_slab(pages: Pages, cache: KmemCache, slab: int, cpu: int) -> None:
    """Give the pages of an empty slab, which is on no list, back to the page allocator.

    Args:
        pages: the machine.
        cache: whose slab it is.
        slab: its number.
        cpu: that gives it back.

    Source: discard_slab, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> discard_slab(machine, cache, new_slab(machine, cache, 0), 0); machine.zone.nr_free_pages()
    64
    """
    order = cache.order(slab)
    pages.free_slab_page(cache.discard(slab), order, cpu)


def flush_cpu_slab(pages: Pages, cache: KmemCache, cpu: int) -> None:
    """Take everything away from a CPU: its slab and its partial list.

    Args:
        pages: the machine.
        cache: any.
        cpu: that is to keep nothing of it.

    Source: __flush_cpu_slab, deactivate_slab, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> word = slab_alloc(machine, cache, 0); flush_cpu_slab(machine, cache, 0); cache.slab(0).place
    'node partial'
    """
    if cache.cpu[cpu].slab >= 0:
        freed = cache.head[cache.cpu[cpu].slab] != END
        slab = cache.unload(cpu)
        node = pages.node_of_page(cache.pfn[slab])
        if cache.surplus(slab, node):
            discard_slab(pages, cache, slab, cpu)
        elif cache.head[slab] != END:
            cache.enlist(slab, NODE_PARTIAL, node, tail=freed)
    put_partials(pages, cache, _all_off(cache, cpu), cpu)


def alloc_bulk(pages: Pages, cache: KmemCache, rules: Rules, count: int, cpu: int) -> list[int]:
    """Allocate many objects: all of them or none.

    Args:
        pages: the machine.
        cache: where from.
        rules: of the cache.
        count: how many.
        cpu: that asks.

    Returns:
        Their addresses in words; none where the kernel returns 0.

    Source: __kmem_cache_alloc_bulk, mm/slub.c, 6.1 and 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(4)
    >>> cache = machine.cache("kmalloc-512")
    >>> len(alloc_bulk(machine, cache, CPU_SLABS, 30, 0)), alloc_bulk(machine, cache, CPU_SLABS, 30, 0), cache.live()
    (30, [], 30)
    """
    words: list[int] = []
    while len(words) < count:
        word = rules.alloc(pages, cache, cpu)
        if word < 0:
            free_bulk(pages, cache, rules.free, [place_of(cache, word) for word in words], cpu)
            return []
        words.append(word)
    return words


def free_bulk(pages: Pages, cache: KmemCache, free: Free, objects: list[tuple[int, int]], cpu: int) -> None:
    """Free many objects of a cache, those of one slab together as far as they are found.

    Args:
        pages: the machine.
        cache: whose they are.
        free: the rule that frees objects of one slab.
        objects: slab and index of each; the list is used up.
        cpu: that frees.

    Source: kmem_cache_free_bulk, mm/slub.c, 6.1 and 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(4)
    >>> cache = machine.cache("kmalloc-512")
    >>> words = alloc_bulk(machine, cache, CPU_SLABS, 3, 0)
    >>> free_bulk(machine, cache, slab_free, [place_of(cache, word) for word in words], 0); cache.slab(0).cpu_freelist[:4]
    (0, 1, 2, 3)
    """
    size = len(objects)
    while size:
        size, slab, indices = build_detached_freelist(objects, size)
        free(pages, cache, slab, indices, cpu)


def build_detached_freelist(objects: list[tuple[int, int]], size: int) -> tuple[int, int, list[int]]:
    """Take the last object, and those before it of the same slab, until a third one of another slab comes in between.

    Args:
        objects: slab and index of each; those that are left behind come together in front.
        size: how many of them are still there, 1 or more.

    Returns:
        How many are left, the slab, and the indices as they are linked: the one that stood first comes first.

    Source: build_detached_freelist, mm/slub.c, 6.1 and 6.12.

    >>> objects = [(0, 0), (1, 0), (0, 1), (0, 2)]
    >>> build_detached_freelist(objects, 4), objects[:1]
    ((1, 0, [0, 1, 2]), [(1, 0)])
    """
    size, lookahead = size - 1, 3
    slab, index = objects[size]
    same, indices = size, [index]
    while size:
        size -= 1
        if objects[size][0] == slab:
            indices.append(objects[size][1])
            same -= 1
            objects[size], objects[same] = objects[same], objects[size]
            continue
        lookahead -= 1
        if not lookahead:
            break
    return same, slab, indices[::-1]


def place_of(cache: KmemCache, word: int) -> tuple[int, int]:
    """Find an object by its address.

    Args:
        cache: whose it is.
        word: its address in words.

    Returns:
        The number of its slab, and its index there.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> [place_of(cache, slab_alloc(machine, cache, 0)) for _ in range(2)]
    [(0, 0), (0, 1)]
    """
    slab = cache.owners[word - OBJECT >> PAGE_BITS][1]
    return slab, cache.index(slab, word)


def get_slabinfo(cache: KmemCache) -> tuple[int, int]:
    """Count objects as /proc/slabinfo does.

    Args:
        cache: any.

    Returns:
        active_objs and num_objs: free objects are subtracted only where their slab is on a node's partial list.

    Source: get_slabinfo, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> word = slab_alloc(machine, cache, 0); get_slabinfo(cache)
    (8, 8)
    """
    slabs = cache.numbers()
    total = sum(cache.objects[slab] for slab in slabs)
    free = sum(cache.objects[slab] - cache.inuse[slab] for slab in slabs if cache.place[slab] == NODE_PARTIAL)
    return total - free, total


def shrink(pages: Pages, cache: KmemCache, flush: Callable[[Pages, KmemCache, int], None], cpus: Iterable[int]) -> None:
    """Give back every page that can be: empty the CPUs, then free the empty slabs of each node and sort the others, nearly full first.

    Args:
        pages: the machine.
        cache: that is to shrink.
        flush: its rule for one CPU.
        cpus: of the machine.

    Source: __kmem_cache_shrink, __kmem_cache_do_shrink, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> cache = machine.cache("kmalloc-512")
    >>> cache.enlist(new_slab(machine, cache, 0), NODE_PARTIAL, 0); shrink(machine, cache, flush_cpu_slab, [0]); cache.slabs
    0
    """
    for cpu in cpus:
        flush(pages, cache, cpu)
    for node in range(len(cache.node)):
        _shrink_barn(pages, cache, node)
        _shrink_node(pages, cache, node)


def _shrink_barn(pages: Pages, cache: KmemCache, node: int) -> None:
    """Give the objects of a node's full sheaves back to their slabs, and all sheaves up."""
    barn = cache.sheaves.barn[node]
    while barn.full:
        slots = cache.sheaves.empty_out("barn", node, cache.sheaves.capacity)
        free_bulk(pages, cache, slab_free, [divmod(slot, cache.stride) for slot in slots], 0)
    if barn.empty:
        cache.sheaves.drop("barn", node)


def _shrink_node(pages: Pages, cache: KmemCache, node: int) -> None:
    empty, nearly_full = [], [list[int]() for _ in range(SHRINK_PROMOTE_MAX)]
    for slab in list(cache.node[node].partial):
        free = cache.objects[slab] - cache.inuse[slab]
        if not cache.inuse[slab]:
            empty.append(slab)
        elif free <= SHRINK_PROMOTE_MAX:
            nearly_full[free - 1].append(slab)
    for slabs in reversed(nearly_full):
        for slab in slabs:
            cache.delist(slab)
            cache.enlist(slab, NODE_PARTIAL, node)
    for slab in reversed(empty):
        cache.delist(slab)
        discard_slab(pages, cache, slab, 0)


CPU_SLABS = Rules(slab_alloc, slab_free, flush_cpu_slab)
