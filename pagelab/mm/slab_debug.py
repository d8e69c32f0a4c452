"""Caches under slab_debug: what lies in the bytes of a slot, who writes where he should not, and which checks find it.

A debugged cache has no cpu slabs and no partial lists of CPUs. Each object is taken from a slab of the node and goes back to it by itself.
The letters do different things. Z and P lay out red zones and poison, and U keeps full slabs on a list of their own; only with F anything
of it is checked, when an object is allocated or freed.
"""

from collections.abc import Iterator, Sequence

from .free_pointer import PAGE_OFFSET, follow, free_pointer, freelist_ptr_encode, object_address, renew, stray_pointer
from .slab import END, FULL, IN_SHEAF, IN_USE, LOST, NODE_PARTIAL, KmemCache
from .slab_layout import WORD, Slab, slot_fields
from .slub import Pages, Rules, discard_slab, new_slab, nodes_to_ask
from .units import PAGE_SHIFT

POISON_INUSE, POISON_FREE, POISON_END = 0x5A, 0x6B, 0xA5
SLUB_RED_INACTIVE, SLUB_RED_ACTIVE = 0xBB, 0xCC
WRITTEN = 0x41


def slot_bytes(cache: KmemCache, slab: int, obj: int, random: int | None = 0) -> list[int | None]:
    """Say what lies in each byte of a slot.

    Args:
        cache: whose slot it is.
        slab: the number of the slab.
        obj: the index of the object.
        random: of the cache, for its free pointer as it is stored; None for a kernel without CONFIG_SLAB_FREELIST_HARDENED.

    Returns:
        Values 0..255 from byte 0 of the slot to its last; None for what cannot be known: what an owner wrote, who allocated it, or what was
        there before. A poisoned object in use is as its owner received it.

    Source: init_object, setup_slab_debug, set_freepointer, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_layout import slab_debug, slab_layout
    >>> cache = KmemCache("spoon", slab_layout(8, flags=slab_debug("ZP")))
    >>> bytes(byte for byte in slot_bytes(cache, cache.carve(3, 0), 101, None) if byte is not None).hex(" ", -8)
    'bbbbbbbbbbbbbbbb 6b6b6b6b6b6b6ba5 bbbbbbbbbbbbbbbb 0000000000000000 5a5a5a5a5a5a5a5a'
    """
    layout, state = cache.layout, cache.next[slab * cache.stride + obj]
    listed = state < IN_SHEAF or state == END
    start = object_address(cache, slab, obj)
    slot = start - layout.object_start
    values: list[int | None] = []
    for name, begin, end in slot_fields(layout, listed):
        values += [_laid(cache, name, state)] * (end - begin)
        if name == "object" and layout.flags & Slab.OBJECT_POISON and end == layout.object_start + layout.object_size:
            values[-1] = POISON_END
        if name == "free pointer" and listed:
            at = PAGE_OFFSET + slot + begin
            values[begin:] = freelist_ptr_encode(free_pointer(cache, slab, obj), at, random).to_bytes(WORD, "little")
    return [cache.stains.get(slot + byte, value) for byte, value in enumerate(values)]


def _laid(cache: KmemCache, name: str, state: int) -> int | None:
    """Return what the kernel wrote into each byte of a field."""
    flags = cache.layout.flags
    match name:
        case "left red zone" | "right red zone":
            return SLUB_RED_ACTIVE if state == IN_USE else SLUB_RED_INACTIVE
        case "object":
            return POISON_FREE if flags & Slab.OBJECT_POISON else None
        case "padding" | "alignment padding":
            return POISON_INUSE if flags & Slab.POISON else None
    return None


def write(cache: KmemCache, slab: int, obj: int, size: int) -> None:
    """Let whoever received an object write to it from its start, whether it is still his or not.

    Args:
        cache: whose object it is.
        slab: the number of the slab.
        obj: the index of the object.
        size: bytes. What would reach beyond the slab's last page is left out.

    Inside an object in use this changes nothing that the cache knows. Past its end, or in an object that is free, the bytes are stains.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> slab = cache.carve(0, 0); word = cache.draw(slab); write(cache, slab, 0, 64); len(cache.stains)
    0
    >>> write(cache, slab, 0, 72); sorted(cache.stains)[0], len(cache.stains)
    (64, 8)
    """
    start = object_address(cache, slab, obj)
    end = min(start + size, cache.pfn[slab] + (1 << cache.order(slab)) << PAGE_SHIFT)
    own = start
    if cache.next[slab * cache.stride + obj] == IN_USE:
        own = min(end, start + cache.layout.object_size)
        cache.clean(start, own)
    if own < end:
        cache.stain(own, end - own, WRITTEN)


# The checks. Each reports what it finds and puts the bytes right.


def check_object(cache: KmemCache, slab: int, obj: int, active: bool) -> bool:
    """Check the bytes of a slot.

    Args:
        cache: with consistency checks.
        slab: the number of the slab.
        obj: the index of the object.
        active: whether it should be in use.

    Returns:
        Whether all was well.

    Source: check_object, check_pad_bytes, mm/slub.c, 6.12. 6.1 stops at the first zone that is not as it should be.
    Unlike the kernel, the bytes between the size asked of kmalloc and the object's end are never checked.

    >>> from pagelab.mm.slab_layout import slab_debug, slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64, flags=slab_debug("FZ")))
    >>> slab = cache.carve(0, 0); word = cache.draw(slab); write(cache, slab, 0, 65); check_object(cache, slab, 0, True)
    False
    >>> cache.reports[0]
    'BUG spoon: Right Redzone overwritten. 0xffff888000000048-0xffff888000000048 @offset=72. First byte 0x41 instead of 0xcc'
    """
    state = cache.next[slab * cache.stride + obj]
    if not cache.stains and active == (state == IN_USE):
        return True
    start = object_address(cache, slab, obj)
    right = True
    for what, begin, end, value in _zones(cache, active):
        held = _laid(cache, "left red zone", state) if "Redzone" in what else value
        right &= _check_bytes(cache, slab, what, range(start + begin, start + end), value, held)
    listed = state < IN_SHEAF or state == END
    pointer = range(start + cache.layout.offset, start + cache.layout.offset + WORD)
    if not (cache.layout.freeptr_outside or not active) or not any(address in cache.stains for address in pointer):
        return right
    if not listed or stray_pointer(cache, slab, obj) != free_pointer(cache, slab, obj):
        cache.report(f"BUG {cache.name}: Freepointer corrupt. Object {PAGE_OFFSET + start:#x} @offset={_offset(cache, slab, start)}")
        right = False
    renew(cache, slab, obj)
    return right


def _zones(cache: KmemCache, active: bool) -> Iterator[tuple[str, int, int, int]]:
    """Yield what is checked of a slot, counted from the object's start: its name in reports, start, end, and the value it should have."""
    layout = cache.layout
    for name, begin, end in slot_fields(layout):
        start, stop = begin - layout.object_start, end - layout.object_start
        match name:
            case "left red zone":
                yield "Left Redzone", start, stop, SLUB_RED_ACTIVE if active else SLUB_RED_INACTIVE
            case "right red zone":
                yield "Right Redzone", start, stop, SLUB_RED_ACTIVE if active else SLUB_RED_INACTIVE
            case "alignment padding" if layout.flags & Slab.POISON:
                yield "Alignment padding", start, stop, POISON_INUSE
            case "object" if layout.flags & Slab.OBJECT_POISON and not active:
                yield "Poison", start, stop - 1, POISON_FREE
                yield "End Poison", stop - 1, stop, POISON_END
            case "padding" if layout.flags & Slab.POISON:
                yield "Object padding", start, stop, POISON_INUSE


def _check_bytes(cache: KmemCache, slab: int, what: str, where: range, value: int, held: int | None) -> bool:
    """Look for a byte that is not what it should be: check_bytes_and_report."""
    faults = [address for address in where if cache.stains.get(address, held) != value]
    if not faults:
        cache.clean(where.start, where.stop)
        return True
    first, last = faults[0], faults[-1]
    span = f"{PAGE_OFFSET + first:#x}-{PAGE_OFFSET + last:#x}"
    found = f". First byte {cache.stains.get(first, held):#x} instead of {value:#x}" if what != "Padding" else ""
    cache.report(f"BUG {cache.name}: {what} overwritten. {span} @offset={_offset(cache, slab, first)}{found}")
    cache.report(f"FIX {cache.name}: Restoring {'slab padding' if what == 'Padding' else what} {span}={value:#x}")
    cache.clean(where.start, where.stop)
    return False


def _offset(cache: KmemCache, slab: int, address: int) -> int:
    return address - (cache.pfn[slab] << PAGE_SHIFT)


def check_slab(cache: KmemCache, slab: int) -> bool:
    """Check a slab as a whole: that no check failed in it before, and the bytes at its end that no slot has.

    Args:
        cache: with consistency checks.
        slab: the number of the slab.

    Returns:
        Whether it can be used. Its padding is put right and does not count.

    Source: check_slab, slab_pad_check, mm/slub.c, 6.12. An older 6.1 goes on with a slab in which a check failed.

    >>> from pagelab.mm.slab_layout import slab_debug, slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64, flags=slab_debug("F")))
    >>> slab = cache.carve(0, 0); cache.lose(slab); check_slab(cache, slab), cache.reports
    (False, ['BUG spoon: Slab disabled since SLUB metadata consistency check failed'])
    """
    if cache.head[slab] == LOST:
        cache.report(f"BUG {cache.name}: Slab disabled since SLUB metadata consistency check failed")
        return False
    if cache.stains and cache.layout.flags & Slab.POISON:
        first = cache.pfn[slab] << PAGE_SHIFT
        end = first + (1 << cache.order(slab) + PAGE_SHIFT)
        _check_bytes(cache, slab, "Padding", range(first + cache.objects[slab] * cache.layout.size, end), POISON_INUSE, POISON_INUSE)
    return True


def on_freelist(cache: KmemCache, slab: int, obj: int) -> bool:
    """Walk the freelist of a slab in search of an object; a pointer on the way that leads nowhere ends the list.

    Args:
        cache: with consistency checks.
        slab: the number of the slab.
        obj: the index of the object.

    Returns:
        Whether it is free.

    Source: on_freelist, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_layout import slab_debug, slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64, flags=slab_debug("F")))
    >>> slab = cache.carve(0, 0); word = cache.draw(slab); on_freelist(cache, slab, 0), on_freelist(cache, slab, 1)
    (False, True)
    """
    if cache.stains:
        for nr, index in enumerate(list(cache.walk(slab, cache.head[slab])), 1):
            if index == obj:
                return True
            if stray_pointer(cache, slab, index) != free_pointer(cache, slab, index):
                counter = cache.inuse[slab]
                cache.report(f"BUG {cache.name}: Freechain corrupt. Object {PAGE_OFFSET + object_address(cache, slab, index):#x}")
                cache.sever(slab, index)
                renew(cache, slab, index)
                if counter != cache.inuse[slab]:
                    counted = cache.objects[slab] - nr
                    cache.report(f"BUG {cache.name}: Wrong object count. Counter is {counter} but counted were {counted}")
                    cache.report(f"FIX {cache.name}: Object count adjusted")
                break
    state = cache.next[slab * cache.stride + obj]
    return state < IN_SHEAF or state == END


def _init_object(cache: KmemCache, slab: int, obj: int) -> None:
    """Write red zones and poison anew: init_object."""
    if not cache.stains:
        return
    layout, start = cache.layout, object_address(cache, slab, obj)
    if layout.flags & Slab.RED_ZONE:
        cache.clean(start - layout.red_left_pad, start)
        cache.clean(start + layout.object_size, start + layout.inuse)
    if layout.flags & Slab.OBJECT_POISON:
        cache.clean(start, start + layout.object_size)


# The rules.


def debug_alloc(pages: Pages, cache: KmemCache, cpu: int) -> int:
    """Allocate an object of a debugged cache.

    Args:
        pages: the machine.
        cache: where from.
        cpu: that asks.

    Returns:
        The object's address in words, or -1 where the kernel returns NULL.

    Source: get_partial_node, alloc_single_from_partial, alloc_single_from_new_slab, add_full, mm/slub.c, 6.12; 6.1 in effect alike.

    >>> from pagelab.mm.slab_layout import slab_debug
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, debug=slab_debug(""))
    >>> cache = machine.cache("kmalloc-512")
    >>> machine.object_at(debug_alloc(machine, cache, 0)), cache.slab(0).place
    (('kmalloc-512', 0, 0), 'node partial')
    """
    for node in nodes_to_ask(pages, cache, cpu):
        while (slab := cache.first(NODE_PARTIAL, node)) >= 0:
            word = _alloc_single(cache, slab)
            if word < 0 or cache.head[slab] == END:
                cache.delist(slab)
            if word >= 0:
                _add_full(cache, slab, node)
                return word
    slab = new_slab(pages, cache, cpu)
    if slab < 0:
        return -1
    word, node = _alloc_single(cache, slab), pages.node_of_page(cache.pfn[slab])
    if cache.head[slab] != END:
        cache.enlist(slab, NODE_PARTIAL, node)
    _add_full(cache, slab, node)
    return word


def _alloc_single(cache: KmemCache, slab: int) -> int:
    """Take one object of a slab, if it passes the checks; else nothing of the slab is used any more: alloc_debug_processing."""
    obj = cache.head[slab]
    if not cache.layout.flags & Slab.CONSISTENCY_CHECKS:
        if cache.stains:
            follow(cache, slab, obj)
    elif not (check_slab(cache, slab) and check_object(cache, slab, obj, False)):
        cache.report(f"FIX {cache.name}: Marking all objects used")
        cache.lose(slab)
        return -1
    word = cache.draw(slab)
    _init_object(cache, slab, obj)
    return word


def _add_full(cache: KmemCache, slab: int, node: int) -> None:
    if cache.head[slab] == END and cache.layout.flags & Slab.STORE_USER:
        cache.enlist(slab, FULL, node)


def debug_free(pages: Pages, cache: KmemCache, slab: int, indices: Sequence[int], cpu: int) -> None:
    """Free objects of one slab of a debugged cache: all of them, or none where a check fails.

    Args:
        pages: the machine.
        cache: whose they are.
        slab: the number of the slab.
        indices: of the objects; the first will be the next to be handed out.
        cpu: that frees.

    Source: free_to_partial_list, free_debug_processing, mm/slub.c, 6.12; 6.1 in effect alike.

    >>> from pagelab.mm.slab_layout import slab_debug
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, debug=slab_debug("F"))
    >>> cache = machine.cache("kmalloc-512")
    >>> word = debug_alloc(machine, cache, 0); debug_free(machine, cache, 0, (0,), 0); debug_free(machine, cache, 0, (0,), 0)
    >>> cache.reports
    ['BUG kmalloc-512: Object already free', 'FIX kmalloc-512: Object at 0xffff888000000000 not freed']
    """
    for obj in indices:
        if cache.layout.flags & Slab.CONSISTENCY_CHECKS and not _free_consistency_checks(cache, slab, obj):
            cache.report(f"FIX {cache.name}: Object at {PAGE_OFFSET + object_address(cache, slab, obj):#x} not freed")
            return
        _init_object(cache, slab, obj)
    was_full = cache.head[slab] == END
    for obj in reversed(indices):
        renew(cache, slab, obj)
        cache.put(slab, obj)
    if was_full and cache.place[slab] == FULL:
        cache.delist(slab)
    node = pages.node_of_page(cache.pfn[slab])
    if cache.surplus(slab, node):
        if not was_full:
            cache.delist(slab)
        _check_whole(cache, slab)
        discard_slab(pages, cache, slab, cpu)
    elif was_full:
        cache.enlist(slab, NODE_PARTIAL, node, tail=True)


def _free_consistency_checks(cache: KmemCache, slab: int, obj: int) -> bool:
    if not check_slab(cache, slab):
        return False
    if on_freelist(cache, slab, obj):
        cache.report(f"BUG {cache.name}: Object already free")
        return False
    return check_object(cache, slab, obj, True)


def _check_whole(cache: KmemCache, slab: int) -> None:
    """Check every object of a slab that goes back to the page allocator: free_slab."""
    if cache.stains and cache.layout.flags & Slab.CONSISTENCY_CHECKS:
        check_slab(cache, slab)
        for obj in range(cache.objects[slab]):
            check_object(cache, slab, obj, False)


def _flush(pages: Pages, cache: KmemCache, cpu: int) -> None:
    """A CPU has nothing of a debugged cache."""


DEBUG = Rules(debug_alloc, debug_free, _flush)
