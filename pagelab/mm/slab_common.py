"""The caches of kmalloc, and which cache serves for a new one: merging."""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from .gfp import Gfp
from .slab_layout import NO_FLAGS, SLAB_NEVER_MERGE, WORD, Layout, Slab, calculate_alignment, kmalloc_alignment, slab_layout
from .units import MAX_PAGE_ORDER, PAGE_SIZE, get_order

# The size of the kmalloc caches of each index, in bytes; 96 and 192 stand before the powers of two.
KMALLOC_SIZES = (0, 96, 192, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
KMALLOC_MAX_CACHE_SIZE = KMALLOC_SIZES[-1]
KMALLOC_MAX_SIZE = PAGE_SIZE << MAX_PAGE_ORDER
SLAB_MERGE_SAME = Slab.RECLAIM_ACCOUNT | Slab.CACHE_DMA | Slab.CACHE_DMA32 | Slab.ACCOUNT


class KmallocType(IntEnum):
    """The kinds of kmalloc caches: KmallocType.DMA is KMALLOC_DMA, and so on.

    Source: enum kmalloc_cache_type, include/linux/slab.h, 6.12.
    Unlike the kernel, there is one set of NORMAL caches, not 16 to draw from (CONFIG_RANDOM_KMALLOC_CACHES).

    >>> KmallocType.CGROUP
    <KmallocType.CGROUP: 3>
    """

    NORMAL = 0
    RECLAIM = 1
    DMA = 2
    CGROUP = 3


class _Kind(NamedTuple):
    prefix: str
    flags: Slab


_KINDS = {
    KmallocType.NORMAL: _Kind("kmalloc-", Slab.NO_MERGE),
    KmallocType.RECLAIM: _Kind("kmalloc-rcl-", Slab.RECLAIM_ACCOUNT),
    KmallocType.DMA: _Kind("dma-kmalloc-", Slab.CACHE_DMA),
    KmallocType.CGROUP: _Kind("kmalloc-cg-", Slab.ACCOUNT),
}


class CacheInfo(NamedTuple):
    """A cache as far as merging goes.

    usersize: bytes of an object that may be copied to and from user space. refcount: how many caches it stands for; negative for the two
    that the kernel makes first, kmem_cache and kmem_cache_node.
    """

    name: str
    layout: Layout
    ctor: bool = False
    usersize: int = 0
    refcount: int = 1


def kmalloc_index(size: int) -> int | None:
    """Find the kmalloc caches that serve a size.

    Args:
        size: bytes asked for.

    Returns:
        An index into KMALLOC_SIZES: 0 for no bytes at all, 1..13 for a cache; None where the pages come straight from the buddy allocator.

    Raises:
        ValueError: the size is negative, or more than the largest block.

    Source: kmalloc_index and __kmalloc_index, include/linux/slab.h, and kmalloc_size_index, mm/slab_common.c, 6.12.

    >>> [kmalloc_index(size) for size in (0, 1, 72, 100, 129, 193, 8192, 8193)]
    [0, 3, 1, 7, 2, 8, 13, None]
    """
    if not 0 <= size <= KMALLOC_MAX_SIZE:
        raise ValueError(f"kmalloc of {size} bytes: it must be 0 up to {KMALLOC_MAX_SIZE}")
    if size > KMALLOC_MAX_CACHE_SIZE:
        return None
    return KMALLOC_SIZES.index(min(room for room in KMALLOC_SIZES if room >= size))


def kmalloc_order(size: int) -> int:
    """Find the order of the block that serves a size too large for any cache.

    Args:
        size: bytes asked for, more than 8,192.

    Returns:
        The order.

    Raises:
        ValueError: a cache serves the size, or nothing does.

    Source: ___kmalloc_large_node, mm/slub.c, 6.12.

    >>> kmalloc_order(8193), kmalloc_order(16385)
    (2, 3)
    """
    index = kmalloc_index(size)
    if index is not None:
        raise ValueError(f"kmalloc of {size} bytes comes from a cache of {KMALLOC_SIZES[index]}: only more than 8192 bytes come as pages")
    return get_order(-(-size // PAGE_SIZE))


def kmalloc_size(size: int) -> int:
    """Tell how many bytes kmalloc really gives.

    Args:
        size: bytes asked for.

    Returns:
        Bytes.

    Raises:
        ValueError: the size is negative, or more than the largest block.

    Source: kmalloc_size_roundup, mm/slab_common.c, 6.12.

    >>> [kmalloc_size(size) for size in (100, 193, 8193)]
    [128, 256, 16384]
    """
    index = kmalloc_index(size)
    return PAGE_SIZE << kmalloc_order(size) if index is None else KMALLOC_SIZES[index]


def kmalloc_type(gfp: int) -> KmallocType:
    """Find the kind of cache that a caller of kmalloc is served from.

    Args:
        gfp: a gfp mask.

    Returns:
        The KmallocType: DMA goes before RECLAIM, and RECLAIM before CGROUP.

    Source: kmalloc_type, include/linux/slab.h, 6.12, with CONFIG_ZONE_DMA and CONFIG_MEMCG.

    >>> kmalloc_type(Gfp.ACCOUNT | Gfp.RECLAIMABLE).name, kmalloc_type(Gfp.ACCOUNT).name, kmalloc_type(0).name
    ('RECLAIM', 'CGROUP', 'NORMAL')
    """
    if gfp & Gfp.DMA:
        return KmallocType.DMA
    if gfp & Gfp.RECLAIMABLE:
        return KmallocType.RECLAIM
    return KmallocType.CGROUP if gfp & Gfp.ACCOUNT else KmallocType.NORMAL


def kmalloc_name(index: int, kind: KmallocType = KmallocType.NORMAL) -> str:
    """Name a kmalloc cache.

    Args:
        index: 1..13.
        kind: which of the caches of this size.

    Returns:
        The name as /proc/slabinfo has it.

    Raises:
        ValueError: no cache has the index.

    Source: kmalloc_info, mm/slab_common.c, 6.12.

    >>> kmalloc_name(1), kmalloc_name(10, KmallocType.CGROUP), kmalloc_name(3, KmallocType.DMA)
    ('kmalloc-96', 'kmalloc-cg-1k', 'dma-kmalloc-8')
    """
    size = _cache_size(index)
    return _KINDS[kind].prefix + (f"{size}" if size < 1024 else f"{size >> 10}k")


def kmalloc_layout(
    index: int,
    kernel: str = "6.12",
    cpus: int = 1,
    flags: Slab = NO_FLAGS,
    kind: KmallocType = KmallocType.NORMAL,
) -> Layout:
    """Work out the geometry of a kmalloc cache.

    Args:
        index: 1..13.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: num_present_cpus(), or nr_cpu_ids where that is 1.
        flags: those of slab_debug.
        kind: which of the caches of this size.

    Returns:
        The Layout.

    Raises:
        ValueError: no cache has the index, there is no CPU, or the kernel is not modelled.

    Source: new_kmalloc_cache and create_kmalloc_cache, mm/slab_common.c, 6.12. 6.1 has no NO_MERGE and gives the NORMAL caches a refcount
    of -1, which comes to the same.

    >>> [kmalloc_layout(1, kernel).align for kernel in ("6.1", "6.12")]
    [8, 32]
    """
    size = _cache_size(index)
    return slab_layout(size, kmalloc_alignment(size, kernel), Slab.KMALLOC | _KINDS[kind].flags | flags, cpus=cpus, kernel=kernel)


def kmalloc_caches(kernel: str = "6.12", cpus: int = 1, flags: Slab = NO_FLAGS) -> list[CacheInfo]:
    """List the kmalloc caches of a machine.

    Args:
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: num_present_cpus(), or nr_cpu_ids where that is 1.
        flags: those of slab_debug.

    Returns:
        All of them, kind by kind and index by index.

    Raises:
        ValueError: there is no CPU, or the kernel is not modelled.

    Source: create_kmalloc_caches, mm/slab_common.c, 6.12.

    >>> [cache.name for cache in kmalloc_caches()][:3], len(kmalloc_caches())
    (['kmalloc-96', 'kmalloc-192', 'kmalloc-8'], 52)
    """
    caches = []
    for kind in KmallocType:
        for index in range(1, len(KMALLOC_SIZES)):
            layout = kmalloc_layout(index, kernel, cpus, flags, kind)
            caches.append(CacheInfo(kmalloc_name(index, kind), layout, usersize=layout.object_size))
    return caches


def slab_unmergeable(cache: CacheInfo) -> bool:
    """Tell whether a cache stands for itself alone.

    Args:
        cache: as it is.

    Returns:
        True if no other cache is merged into it.

    Source: slab_unmergeable, mm/slab_common.c, 6.12.
    Unlike the kernel, the boot parameter slab_nomerge is never given.

    >>> slab_unmergeable(CacheInfo("dentry", slab_layout(192), usersize=40)), slab_unmergeable(CacheInfo("cred", slab_layout(184)))
    (True, False)
    """
    return bool(cache.layout.flags & SLAB_NEVER_MERGE) or cache.ctor or cache.usersize > 0 or cache.refcount < 0


def find_mergeable(
    caches: Iterable[CacheInfo],
    object_size: int,
    align: int = 0,
    flags: Slab = NO_FLAGS,
    *,
    ctor: bool = False,
    usersize: int = 0,
) -> CacheInfo | None:
    """Find the cache that serves for a new one.

    Args:
        caches: those that exist, the oldest first.
        object_size: of the new cache, in bytes.
        align: what its maker asks for in bytes, 0 for nothing.
        flags: of the new cache, those of slab_debug included.
        ctor: whether the new cache has a constructor.
        usersize: bytes of its objects that may be copied to and from user space.

    Returns:
        The first cache with slots of the size that the new one would have, in the same kind of memory; None where the new cache must be
        made.

    Source: find_mergeable and __kmem_cache_create_args, mm/slab_common.c, 6.12, with CONFIG_HARDENED_USERCOPY.
    Unlike the kernel, which asks for slots that are not smaller, less than 8 bytes larger and a multiple of the alignment: the sizes of
    slots are multiples of 8, so that is the same size. On 6.18 a cache with sheaves stays apart; nothing here says that it has any.

    >>> old = CacheInfo("cred", slab_layout(184, flags=Slab.HWCACHE_ALIGN))
    >>> find_mergeable([old], 192) == old, find_mergeable([old], 184)
    (True, None)
    """
    if ctor or usersize or flags & SLAB_NEVER_MERGE:
        return None
    align = calculate_alignment(object_size, align, flags)
    size = -(-object_size // align) * align
    for cache in caches:
        same = not (flags ^ cache.layout.flags) & SLAB_MERGE_SAME
        if same and cache.layout.size == size and not slab_unmergeable(cache):
            return cache
    return None


def merged(cache: CacheInfo, object_size: int) -> CacheInfo:
    """Let a cache stand for one more.

    Args:
        cache: what find_mergeable found.
        object_size: of the new cache, in bytes.

    Returns:
        The cache with one more reference; its objects are at least as large as the new cache's, its slots are as they were.

    Source: __kmem_cache_alias, mm/slub.c, 6.12.

    >>> cache = merged(CacheInfo("cred", slab_layout(184, flags=Slab.HWCACHE_ALIGN)), 192)
    >>> cache.refcount, cache.layout.object_size, cache.layout.inuse
    (2, 192, 192)
    """
    layout = cache.layout
    inuse = max(layout.inuse, -(-object_size // WORD) * WORD)
    grown = layout._replace(object_size=max(layout.object_size, object_size), inuse=inuse)
    return cache._replace(layout=grown, refcount=cache.refcount + 1)


def merged_name(layout: Layout) -> str:
    """Name the cache that others are merged into, as /sys/kernel/slab does: their names there are links to it.

    Args:
        layout: of the cache.

    Returns:
        A colon; d (DMA), D (DMA32), a (reclaimable), F (consistency checks) and A (accounted) where they hold, and then a dash; the size
        of a slot in seven digits.

    Source: create_unique_id, mm/slub.c, 6.12.

    >>> merged_name(slab_layout(60)), merged_name(slab_layout(144, flags=Slab.RECLAIM_ACCOUNT | Slab.ACCOUNT))
    (':0000064', ':aA-0000144')
    """
    letters = {
        "d": Slab.CACHE_DMA,
        "D": Slab.CACHE_DMA32,
        "a": Slab.RECLAIM_ACCOUNT,
        "F": Slab.CONSISTENCY_CHECKS,
        "A": Slab.ACCOUNT,
    }
    said = "".join(letter for letter, flag in letters.items() if layout.flags & flag)
    return f":{said}{'-' if said else ''}{layout.size:07}"


def _cache_size(index: int) -> int:
    if not 1 <= index < len(KMALLOC_SIZES):
        raise ValueError(f"kmalloc index {index}: caches have 1 up to {len(KMALLOC_SIZES) - 1}")
    return KMALLOC_SIZES[index]
