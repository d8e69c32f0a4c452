"""A call of the slab allocator as one integer of 32 bits, beside those of call.py: bits 28-30 say which, and bit 31 is clear.

1 kmalloc            size - 1 in bits 0-21, the CPU in 22-25, the type in 26-27
2 kmem_cache_alloc   a cache in bits 0-7, the CPU in 22-25
3 kfree              the number of an earlier request in bits 0-23, the CPU in 24-27
4 shrink             a cache in bits 0-7
5 write              the number of an earlier request in bits 0-13, the bytes written from the object's start in 14-27
"""

from typing import NamedTuple

from .call import check_ranges
from .slab_common import KMALLOC_MAX_SIZE

KMALLOC_TYPES = ("normal", "reclaimable", "dma", "account")
SLAB_VERBS = ("", "kmalloc", "kmem_cache_alloc", "kfree", "shrink", "write")
VERB_SHIFT, KFREE, WRITE = 28, SLAB_VERBS.index("kfree"), SLAB_VERBS.index("write")
MAX_CACHES = 256
KFREE_NUMBER, KFREE_CPU_SHIFT = (1 << 24) - 1, 24
WRITER_END, LENGTH_END = 1 << 14, 1 << 14


class SlabCall(NamedTuple):
    """A request taken apart.

    verb is one of SLAB_VERBS. number is the bytes of a kmalloc, the cache of a kmem_cache_alloc or shrink, and the number of an earlier
    request for the others. kind is a kmalloc's type, and size the bytes of a write.
    """

    verb: str
    number: int
    cpu: int = 0
    kind: int = 0
    size: int = 0


def kmalloc_request(size: int, cpu: int = 0, kind: int = 0) -> int:
    """Write a kmalloc as a request.

    Args:
        size: bytes, 1 up to 4 MiB.
        cpu: 0..15, the CPU that asks.
        kind: 0 normal, 1 reclaimable, 2 DMA, 3 accounted.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> hex(kmalloc_request(512))
    '0x100001ff'
    """
    if not 1 <= size <= KMALLOC_MAX_SIZE:
        raise ValueError(f"{size} bytes cannot be asked of kmalloc: give 1..{KMALLOC_MAX_SIZE}")
    check_ranges(("cpu", cpu, 16), ("kmalloc type", kind, len(KMALLOC_TYPES)))
    return 1 << VERB_SHIFT | size - 1 | cpu << 22 | kind << 26


def cache_request(verb: str, cache: int, cpu: int = 0) -> int:
    """Write a kmem_cache_alloc or a shrink as a request.

    Args:
        verb: "kmem_cache_alloc" or "shrink".
        cache: the number of the cache on its machine.
        cpu: 0..15.

    Returns:
        The request.

    Raises:
        ValueError: the verb does not exist, or a number is out of its range.

    >>> hex(cache_request("shrink", 6))
    '0x40000006'
    """
    if verb not in ("kmem_cache_alloc", "shrink"):
        raise ValueError(f"{verb!r} is no request about a cache: give kmem_cache_alloc or shrink")
    check_ranges(("cache", cache, MAX_CACHES), ("cpu", cpu, 16))
    return SLAB_VERBS.index(verb) << VERB_SHIFT | cache | cpu << 22


def kfree_request(number: int, cpu: int = 0) -> int:
    """Write the free of what an earlier request received as a request.

    Args:
        number: the number of that request, from 0.
        cpu: 0..15, the CPU that frees.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> hex(kfree_request(3))
    '0x30000003'
    """
    check_ranges(("request", number, KFREE_NUMBER + 1), ("cpu", cpu, 16))
    return KFREE << VERB_SHIFT | number | cpu << KFREE_CPU_SHIFT


def write_request(number: int, size: int) -> int:
    """Write as a request: whoever received that object writes so many bytes, from its start.

    Args:
        number: the number of the request that received it, 0..16383.
        size: bytes, 0..16383.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> hex(write_request(0, 72))
    '0x50120000'
    """
    check_ranges(("request", number, WRITER_END), ("size", size, LENGTH_END))
    return WRITE << VERB_SHIFT | number | size << 14


def unpack_slab(request: int) -> SlabCall:
    """Take a request apart.

    Args:
        request: a packed request.

    Returns:
        The SlabCall.

    Raises:
        ValueError: no call of the slab allocator is written like this.

    >>> unpack_slab(kmalloc_request(96, cpu=1))
    SlabCall(verb='kmalloc', number=96, cpu=1, kind=0, size=0)
    """
    verb = SLAB_VERBS[request >> VERB_SHIFT] if 0 <= request >> VERB_SHIFT < len(SLAB_VERBS) else ""
    match verb:
        case "kmalloc":
            return SlabCall(verb, (request & KMALLOC_MAX_SIZE - 1) + 1, request >> 22 & 15, request >> 26 & 3)
        case "kmem_cache_alloc" | "shrink":
            return SlabCall(verb, request & MAX_CACHES - 1, request >> 22 & 15)
        case "kfree":
            return SlabCall(verb, request & KFREE_NUMBER, request >> KFREE_CPU_SHIFT & 15)
        case "write":
            return SlabCall(verb, request & WRITER_END - 1, size=request >> 14 & LENGTH_END - 1)
    raise ValueError(f"request {request:#x} is no call of the slab allocator")
