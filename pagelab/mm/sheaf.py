"""The rules of sheaves: objects come from an array of the CPU and go back to it, and slabs are asked only for a whole sheaf at a time.

Where the main sheaf is empty, the spare one takes its place, or a full one of the node's barn, or it is filled out of slabs. Where it is
full, the spare one takes its place, or an empty one while the barn has room for the full one; else the spare one is emptied into its slabs.
There are no cpu slabs and no partial lists of CPUs then.

All of this is known as one fork of 7.0 and 7.1 has it.
"""

from collections.abc import Callable, Sequence

from .free_pointer import follow
from .percpu_sheaves import MAX_FULL_SHEAVES, NO_BARN
from .slab import END, IN_SHEAF, NODE_PARTIAL, KmemCache
from .slub import Pages, Rules, discard_slab, free_bulk, new_slab, nodes_to_ask, place_of, slab_free

PCS_BATCH_MAX = 32

Take = Callable[[int, int], int]


def sheaf_alloc(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Allocate an object: the last one of the CPU's main sheaf.

    Args:
        pages: the machine.
        cache: where from.
        cpu: that asks.

    Returns:
        The object's address in words, or -1 where the kernel returns NULL.

    Source: alloc_from_pcs, __pcs_replace_empty_main, ___slab_alloc, mm/slub.c, 7.1, as one fork of it has it.
    Unlike that kernel, what came into a sheaf that memory did not suffice to fill goes back to its slabs.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> cache = machine.cache("kmalloc-1k")
    >>> machine.object_at(sheaf_alloc(machine, cache, 0)), len(cache.sheaves.cpu[0].main)
    (('kmalloc-1k', 2, 3), 11)
    """
    if cache.sheaves.cpu[cpu].main or _replace_empty_main(pages, cache, cpu):
        return cache.wake(cpu)
    return _alloc_single(pages, cache, cpu)


def _replace_empty_main(pages: Pages, cache: KmemCache, cpu: int) -> bool:
    sheaves, node = cache.sheaves, pages.node_of_cpu(cpu)
    if not sheaves.capacity:
        return False
    if _any_main(cache, cpu, node):
        return True
    if sheaves.cpu[cpu].spare is None:
        sheaves.add_empty(cpu, node if sheaves.barn[node].empty else NO_BARN)
    if not _refill(pages, cache, cpu, sheaves.capacity, lambda slab, limit: _fill(cache, cpu, slab, limit)):
        _flush(pages, cache, "main", cpu)
        sheaves.drop("spare", cpu)
    return bool(sheaves.cpu[cpu].main)


def _any_main(cache: KmemCache, cpu: int, node: int) -> bool:
    """Put another sheaf with objects in place of the empty main one, the spare or one of the barn; tell whether there was any."""
    sheaves = cache.sheaves
    if sheaves.cpu[cpu].spare:
        sheaves.swap(cpu)
    elif sheaves.barn[node].full:
        sheaves.take_full(cpu, node)
    return bool(sheaves.cpu[cpu].main)


def _fill(cache: KmemCache, cpu: int, slab: int, limit: int) -> int:
    _follow_all(cache, slab, limit)
    return cache.fill(cpu, slab, limit)


def _follow_all(cache: KmemCache, slab: int, limit: int) -> None:
    """Look at the pointers of the first objects of a freelist before they are handed out."""
    index = cache.head[slab]
    while cache.stains and limit and index < IN_SHEAF:
        follow(cache, slab, index)
        index, limit = cache.next[slab * cache.stride + index], limit - 1


def _refill(pages: Pages, cache: KmemCache, cpu: int, wanted: int, take: Take) -> bool:
    """Take objects out of the slabs of this node, then of others, then out of new ones; tell whether there were enough: refill_objects."""
    for node in nodes_to_ask(pages, cache, cpu):
        wanted -= _refill_node(pages, cache, node, wanted, take, cpu)
    while wanted:
        slab = new_slab(pages, cache, cpu)
        if slab < 0:
            return False
        wanted -= take(slab, wanted)
        if cache.head[slab] != END:
            cache.enlist(slab, NODE_PARTIAL, pages.node_of_page(cache.pfn[slab]))
    return True


def _refill_node(pages: Pages, cache: KmemCache, node: int, wanted: int, take: Take, cpu: int) -> int:
    """Take enough slabs off a node's partial list, and objects out of them, the last slab first: __refill_objects_node."""
    slabs: list[int] = []
    free = taken = 0
    while free < wanted and (slab := cache.first(NODE_PARTIAL, node)) >= 0:
        cache.delist(slab)
        slabs.append(slab)
        free += cache.objects[slab] - cache.inuse[slab]
    while slabs and taken < wanted:
        slab = slabs.pop()
        taken += take(slab, wanted - taken)
        if cache.head[slab] != END:
            cache.enlist(slab, NODE_PARTIAL, node, tail=True)
    for slab in reversed(slabs):
        if cache.surplus(slab, node):
            discard_slab(pages, cache, slab, cpu)
        else:
            cache.enlist(slab, NODE_PARTIAL, node)
    return taken


def _alloc_single(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Take one object out of a slab, past the sheaves: ___slab_alloc."""
    for node in nodes_to_ask(pages, cache, cpu):
        slab = cache.first(NODE_PARTIAL, node)
        if slab >= 0:
            _follow_all(cache, slab, 1)
            word = cache.draw(slab)
            if cache.head[slab] == END:
                cache.delist(slab)
            return word
    slab = new_slab(pages, cache, cpu)
    if slab < 0:
        return -1
    word = cache.draw(slab)
    if cache.head[slab] != END:
        cache.enlist(slab, NODE_PARTIAL, pages.node_of_page(cache.pfn[slab]))
    return word


def _draw(cache: KmemCache, slab: int, limit: int, words: list[int]) -> int:
    _follow_all(cache, slab, limit)
    before = len(words)
    while len(words) - before < limit and cache.head[slab] != END:
        words.append(cache.draw(slab))
    return len(words) - before


def sheaf_free(pages: Pages, cache: KmemCache, slab: int, indices: Sequence[int], cpu: int) -> None:
    """Free objects of one slab to the CPU's main sheaf; those of another node go straight to their slab.

    Args:
        pages: the machine.
        cache: whose they are.
        slab: the number of the slab.
        indices: of the objects; the last will be the next to be handed out.
        cpu: that frees.

    Source: slab_free, free_to_pcs, __pcs_replace_full_main, mm/slub.c, 7.1, as one fork of it has it.
    Unlike the kernel, there is always memory for an empty sheaf.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> cache = machine.cache("kmalloc-1k")
    >>> word = sheaf_alloc(machine, cache, 0); sheaf_free(machine, cache, 1, (3,), 0); sheaf_alloc(machine, cache, 0) == word
    True
    """
    node = pages.node_of_cpu(cpu)
    if not cache.sheaves.capacity or pages.node_of_page(cache.pfn[slab]) != node:
        slab_free(pages, cache, slab, indices, cpu)
        return
    for index in indices:
        if len(cache.sheaves.cpu[cpu].main) == cache.sheaves.capacity:
            _replace_full_main(pages, cache, cpu, node)
        cache.rest(cpu, slab, index)


def _replace_full_main(pages: Pages, cache: KmemCache, cpu: int, node: int) -> None:
    sheaves, barn = cache.sheaves, cache.sheaves.barn[node]
    spare = sheaves.cpu[cpu].spare
    if spare is None:
        sheaves.add_empty(cpu, node if barn.empty else NO_BARN)
    elif len(spare) == sheaves.capacity and len(barn.full) < MAX_FULL_SHEAVES:
        sheaves.give_full(cpu, node, new=not barn.empty)
    else:
        if len(spare) == sheaves.capacity:
            _flush(pages, cache, "spare", cpu)
        sheaves.swap(cpu)


def _flush(pages: Pages, cache: KmemCache, which: str, cpu: int) -> None:
    """Give the objects of a CPU's sheaf back to their slabs, those of the main one in batches: sheaf_flush_unused, sheaf_flush_main."""
    limit = PCS_BATCH_MAX if which == "main" else cache.sheaves.capacity
    while cache.sheaves.cpu[cpu].main if which == "main" else cache.sheaves.cpu[cpu].spare:
        slots = cache.sheaves.empty_out(which, cpu, limit)
        free_bulk(pages, cache, slab_free, [divmod(slot, cache.stride) for slot in slots], cpu)


def flush_cpu_sheaves(pages: Pages, cache: KmemCache, cpu: int) -> None:
    """Take everything away from a CPU: the objects of its sheaves go back to their slabs, not to the barn.

    Args:
        pages: the machine.
        cache: any.
        cpu: that is to keep nothing of it.

    Source: pcs_flush_all, mm/slub.c, 7.1, as one fork of it has it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> cache = machine.cache("kmalloc-1k")
    >>> word = sheaf_alloc(machine, cache, 0); flush_cpu_sheaves(machine, cache, 0); cache.sheaves.slots()
    []
    """
    _flush(pages, cache, "spare", cpu)
    if cache.sheaves.cpu[cpu].spare is not None:
        cache.sheaves.drop("spare", cpu)
    _flush(pages, cache, "main", cpu)


def sheaf_alloc_bulk(pages: Pages, cache: KmemCache, count: int, cpu: int) -> list[int]:
    """Allocate many objects, all of them or none: what sheaves have, in the order in which it lies there, then straight from slabs.

    Args:
        pages: the machine.
        cache: where from.
        count: how many.
        cpu: that asks.

    Returns:
        Their addresses in words; none where the kernel returns 0.

    Source: kmem_cache_alloc_bulk, alloc_from_pcs_bulk, mm/slub.c, 7.1, as one fork of it has it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> cache = machine.cache("kmalloc-1k")
    >>> [machine.object_at(word)[2] for word in sheaf_alloc_bulk(machine, cache, 6, 0)]
    [0, 1, 2, 3, 4, 5]
    """
    words: list[int] = []
    main, node = cache.sheaves.cpu[cpu], pages.node_of_cpu(cpu)
    while len(words) < count and (main.main or _any_main(cache, cpu, node)):
        words += [cache.wake(cpu) for _ in range(min(count - len(words), len(main.main)))][::-1]
    if _refill(pages, cache, cpu, count - len(words), lambda slab, limit: _draw(cache, slab, limit, words)):
        return words
    free_bulk(pages, cache, slab_free, [place_of(cache, word) for word in words], cpu)
    return []


def sheaf_free_bulk(pages: Pages, cache: KmemCache, objects: list[tuple[int, int]], cpu: int) -> None:
    """Free many objects: to sheaves as long as there are any to be had, then straight to slabs, as those of other nodes.

    Args:
        pages: the machine.
        cache: whose they are.
        objects: slab and index of each.
        cpu: that frees.

    Source: free_to_pcs_bulk, mm/slub.c, 7.1, as one fork of it has it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> cache = machine.cache("kmalloc-1k")
    >>> words = sheaf_alloc_bulk(machine, cache, 6, 0)
    >>> sheaf_free_bulk(machine, cache, [place_of(cache, word) for word in words], 0); len(cache.sheaves.cpu[0].main)
    6
    """
    node = pages.node_of_cpu(cpu)
    objects, remote = _part(pages, cache, objects, cpu)
    c, capacity = cache.sheaves.cpu[cpu], cache.sheaves.capacity
    while objects and (len(c.main) < capacity or _other_main(cache, cpu, node)):
        batch = capacity - len(c.main)
        for slab, index in objects[:batch]:
            cache.rest(cpu, slab, index)
        del objects[:batch]
    free_bulk(pages, cache, slab_free, objects, cpu)
    free_bulk(pages, cache, slab_free, remote, cpu)


def _part(pages: Pages, cache: KmemCache, objects: list[tuple[int, int]], cpu: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Sort out what is of another node, the last object into each gap; every 32 of those go to their slabs at once."""
    local, remote, at = list(objects), list[tuple[int, int]](), 0
    while at < len(local):
        if pages.node_of_page(cache.pfn[local[at][0]]) == pages.node_of_cpu(cpu):
            at += 1
            continue
        remote.append(local[at])
        local[at] = local[-1]
        local.pop()
        if len(remote) == PCS_BATCH_MAX:
            free_bulk(pages, cache, slab_free, remote, cpu)
            remote = []
    return local, remote


def _other_main(cache: KmemCache, cpu: int, node: int) -> bool:
    """Put a sheaf with room in place of the full main one, if it can be had without a new one and without emptying any."""
    sheaves, barn = cache.sheaves, cache.sheaves.barn[node]
    spare = sheaves.cpu[cpu].spare
    if spare is not None and len(spare) < sheaves.capacity:
        sheaves.swap(cpu)
    elif not barn.empty or (spare is not None and len(barn.full) >= MAX_FULL_SHEAVES):
        return False
    elif spare is None:
        sheaves.add_empty(cpu, node)
    else:
        sheaves.give_full(cpu, node, new=False)
    return True


SHEAVES = Rules(sheaf_alloc, sheaf_free, flush_cpu_sheaves)
