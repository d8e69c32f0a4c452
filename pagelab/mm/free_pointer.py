"""The pointer to the next free object, which each free object of a slab holds: its bytes, and what comes of writing over them."""

import random

from .slab import END, IN_SHEAF, OBJECT, WORD_SHIFT, KmemCache
from .slab_layout import WORD

PAGE_OFFSET = 0xFFFF888000000000
_CANONICAL = 0xFFFF800000000000


def freelist_ptr_encode(pointer: int, address: int, random: int | None) -> int:
    """Work out what is stored for a free pointer.

    Args:
        pointer: to the next free object, a virtual address; 0 for none.
        address: where it is stored, a virtual address.
        random: of the cache, 64 bits; None for a kernel without CONFIG_SLAB_FREELIST_HARDENED.

    Returns:
        64 bits: the pointer itself, or that with the random number and the address, its bytes swapped, over it. Then NULL is stored as
        something else too.

    Source: freelist_ptr_encode, mm/slub.c, 6.12; 6.1 alike.

    >>> hex(freelist_ptr_encode(0, 0xFFFF888000001020, 0x1234))
    '0x201000008088edcb'
    """
    if random is None:
        return pointer
    return pointer ^ random ^ int.from_bytes(address.to_bytes(WORD, "little"), "big")


def freelist_ptr_decode(stored: int, address: int, random: int | None) -> int:
    """Read a free pointer as the kernel does.

    Args:
        stored: 64 bits.
        address: where they are stored, a virtual address.
        random: of the cache; None for a kernel without CONFIG_SLAB_FREELIST_HARDENED.

    Returns:
        The pointer.

    Source: freelist_ptr_decode, mm/slub.c, 6.12.

    >>> freelist_ptr_decode(0x201000008088EDCB, 0xFFFF888000001020, 0x1234)
    0
    """
    return freelist_ptr_encode(stored, address, random)


def cache_random(cache: KmemCache) -> int:
    """Return the random number of a cache: 64 bits.

    Args:
        cache: any.

    Returns:
        The number.

    Source: kmem_cache_open, mm/slub.c, 6.12.
    Unlike the kernel, which draws it anew at each boot, it is drawn from the cache's name.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> hex(cache_random(KmemCache("spoon", slab_layout(64))))
    '0xef1f1913e553b44b'
    """
    return random.Random(cache.name).getrandbits(64)


def object_address(cache: KmemCache, slab: int, index: int) -> int:
    """Find an object's first byte.

    Args:
        cache: whose it is.
        slab: its number.
        index: of the object.

    Returns:
        Its physical address, in bytes.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> object_address(cache, cache.carve(3, 0), 2)
    12416
    """
    return cache.word(slab, index) - OBJECT << WORD_SHIFT


def free_pointer(cache: KmemCache, slab: int, index: int) -> int:
    """Say which pointer an object on a freelist should hold.

    Args:
        cache: whose it is.
        slab: its number.
        index: of the object.

    Returns:
        The virtual address of the next object, or 0 for none.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> hex(free_pointer(cache, cache.carve(3, 0), 2))
    '0xffff8880000030c0'
    """
    after = cache.next[slab * cache.stride + index]
    return 0 if after == END else PAGE_OFFSET + object_address(cache, slab, after)


def stray_pointer(cache: KmemCache, slab: int, index: int, random: int | None = None) -> int:
    """Read the pointer of an object on a freelist as the kernel would, with whatever was written over it.

    Args:
        cache: whose it is.
        slab: its number.
        index: of the object.
        random: of the cache; None for a kernel without CONFIG_SLAB_FREELIST_HARDENED.

    Returns:
        A virtual address, or 0 for NULL.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> slab = cache.carve(3, 0); cache.stain(object_address(cache, slab, 2), 34, 0x41); hex(stray_pointer(cache, slab, 2))
    '0xffff888000004141'
    """
    at = object_address(cache, slab, index) + cache.layout.offset
    stored = freelist_ptr_encode(free_pointer(cache, slab, index), PAGE_OFFSET + at, random).to_bytes(WORD, "little")
    read = bytes(cache.stains.get(at + byte, value) for byte, value in enumerate(stored))
    return freelist_ptr_decode(int.from_bytes(read, "little"), PAGE_OFFSET + at, random)


def follow(cache: KmemCache, slab: int, index: int) -> None:
    """Look at the pointer of the first object of a freelist before it is handed out: one that was written over ends the list here.

    Args:
        cache: with stains.
        slab: its number.
        index: of the object, or END for none.

    Source: get_freepointer, mm/slub.c, 6.12.
    Unlike the kernel, which goes where the pointer leads, the rest of the list is given up, and a report says where that would be. What the
    caller did not write himself in his object is forgotten.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(512))
    >>> slab = cache.carve(3, 0); cache.stain(object_address(cache, slab, 0), 512, 0x41); follow(cache, slab, 0); cache.slab(slab).freelist
    (0,)
    >>> cache.reports[0][:79]
    'spoon: the free pointer of object 0 of the slab at page 3 is 0x4141414141414141'
    """
    if index >= IN_SHEAF:
        return
    read = stray_pointer(cache, slab, index)
    if read != free_pointer(cache, slab, index):
        hardened = stray_pointer(cache, slab, index, cache_random(cache))
        where = f"{cache.name}: the free pointer of object {index} of the slab at page {cache.pfn[slab]}"
        also = f"with CONFIG_SLAB_FREELIST_HARDENED it is taken for {hardened:#x}, and the next allocation {_consequence(hardened)}"
        cache.report(f"{where} is {read:#x}: the next allocation {_consequence(read)}; {also}")
        cache.sever(slab, index)
    start = object_address(cache, slab, index)
    cache.clean(start, start + max(cache.layout.object_size, cache.layout.offset + WORD))


def _consequence(pointer: int) -> str:
    return "faults" if pointer < _CANONICAL else "gets whatever lies there"


def renew(cache: KmemCache, slab: int, index: int) -> None:
    """Write the free pointer of an object anew, over whatever was written there.

    Args:
        cache: whose it is.
        slab: its number.
        index: of the object.

    Source: set_freepointer, mm/slub.c, 6.12.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(64))
    >>> slab = cache.carve(3, 0); cache.stain(object_address(cache, slab, 2), 34, 0x41); renew(cache, slab, 2); len(cache.stains)
    32
    """
    at = object_address(cache, slab, index) + cache.layout.offset
    cache.clean(at, at + WORD)
