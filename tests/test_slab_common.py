"""kmalloc's caches and merging: the names and sizes of the kernel, and what real machines made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slab_rows import flags_of, machine_of, slab_rows

from pagelab.mm.gfp import GFP_KERNEL, Gfp
from pagelab.mm.slab_common import (
    KMALLOC_SIZES,
    CacheInfo,
    KmallocType,
    find_mergeable,
    kmalloc_index,
    kmalloc_layout,
    kmalloc_name,
    kmalloc_order,
    kmalloc_size,
    kmalloc_type,
    merged,
    merged_name,
    slab_unmergeable,
)
from pagelab.mm.slab_layout import NO_FLAGS, SLAB_DEBUG_FLAGS, SLAB_NEVER_MERGE, Slab, slab_debug, slab_layout

INDICES = range(1, 14)


def test_the_index_of_every_size_up_to_192():
    table = {8: 3, 16: 4, 24: 5, 32: 5, 64: 6, 96: 1, 128: 7, 192: 2}
    assert [kmalloc_index(size) for size in range(1, 193)] == [
        next(index for limit, index in table.items() if size <= limit) for size in range(1, 193)
    ]
    assert kmalloc_index(0) == kmalloc_size(0) == 0


@given(st.integers(193, 8192))
def test_above_192_the_index_is_the_power_of_two(size):
    assert kmalloc_index(size) == (size - 1).bit_length()


@given(st.integers(8193, 4 << 20))
def test_a_large_size_comes_as_pages(size):
    assert kmalloc_index(size) is None
    assert kmalloc_size(size) == 4096 << kmalloc_order(size)
    assert kmalloc_size(size) >= size > kmalloc_size(size) // 2


@given(st.integers(1, 8192))
def test_no_cache_wastes_more_than_it_must(size):
    assert kmalloc_size(size) == min(room for room in KMALLOC_SIZES if room >= size)


def test_what_kmalloc_cannot_be_asked_for():
    for size in (-1, (4 << 20) + 1):
        with pytest.raises(ValueError, match=f"kmalloc of {size} bytes: it must be 0 up to 4194304"):
            kmalloc_size(size)
    with pytest.raises(ValueError, match="kmalloc of 100 bytes comes from a cache of 128: only more than 8192 bytes come as pages"):
        kmalloc_order(100)
    for index in (0, 14, -1):
        with pytest.raises(ValueError, match=f"kmalloc index {index}: caches have 1 up to 13"):
            kmalloc_name(index)
        with pytest.raises(ValueError, match=f"kmalloc index {index}: caches have 1 up to 13"):
            kmalloc_layout(index)


def test_the_caller_chooses_the_kind():
    masks = (GFP_KERNEL, GFP_KERNEL | Gfp.ACCOUNT, GFP_KERNEL | Gfp.RECLAIMABLE, GFP_KERNEL | Gfp.DMA)
    normal, reclaim, dma, cgroup = KmallocType
    assert [kmalloc_type(mask) for mask in masks] == [normal, cgroup, reclaim, dma]
    assert kmalloc_type(Gfp.ACCOUNT | Gfp.RECLAIMABLE) == reclaim
    assert kmalloc_type(Gfp.ACCOUNT | Gfp.RECLAIMABLE | Gfp.DMA) == dma


def test_names():
    assert [kmalloc_name(index) for index in INDICES] == [
        *("kmalloc-96", "kmalloc-192", "kmalloc-8", "kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-128", "kmalloc-256"),
        *("kmalloc-512", "kmalloc-1k", "kmalloc-2k", "kmalloc-4k", "kmalloc-8k"),
    ]
    assert [kmalloc_name(11, kind) for kind in KmallocType] == ["kmalloc-2k", "kmalloc-rcl-2k", "dma-kmalloc-2k", "kmalloc-cg-2k"]


def test_the_geometry_of_kmalloc():
    assert [kmalloc_layout(index).align for index in INDICES] == [32, 64, *(1 << n for n in range(3, 14))]
    assert [kmalloc_layout(index, "6.1").align for index in INDICES] == [8, 8, *(1 << n for n in range(3, 14))]
    assert kmalloc_layout(6, flags=slab_debug("ZPU")).size == 256
    assert kmalloc_layout(2, cpus=16).order == 1
    flags = (Slab.NO_MERGE, Slab.RECLAIM_ACCOUNT, Slab.CACHE_DMA, Slab.ACCOUNT)
    assert [kmalloc_layout(6, kind=kind).flags for kind in KmallocType] == [flag | Slab.KMALLOC for flag in flags]
    with pytest.raises(ValueError, match="kernel '5' is not modelled"):
        kmalloc_layout(6, "5")


# Merging.


def cache(name, size, align=0, flags=NO_FLAGS, **more):
    return CacheInfo(name, slab_layout(size, align, flags, ctor=more.get("ctor", False)), **more)


def test_the_oldest_cache_that_fits_serves():
    old, young = cache("old", 64), cache("young", 64)
    assert find_mergeable([old, young], 64) is old
    assert find_mergeable([young, old], 64) is young
    assert find_mergeable([], 64) is None


@pytest.mark.parametrize(("size", "fits"), [(56, False), (57, True), (64, True), (65, False)])
def test_a_slot_may_be_less_than_a_word_larger(size, fits):
    assert (find_mergeable([cache("old", 64)], size) is not None) == fits


def test_the_slots_must_keep_the_alignment():
    assert find_mergeable([cache("old", 96)], 96, align=32).name == "old"
    assert find_mergeable([cache("old", 96)], 96, align=64) is None
    assert find_mergeable([cache("old", 184, flags=Slab.HWCACHE_ALIGN)], 190, flags=Slab.HWCACHE_ALIGN).name == "old"


@pytest.mark.parametrize("flag", [Slab.RECLAIM_ACCOUNT, Slab.CACHE_DMA, Slab.CACHE_DMA32, Slab.ACCOUNT])
def test_memory_of_another_kind_does_not_serve(flag):
    assert find_mergeable([cache("old", 64, flags=flag)], 64) is None
    assert find_mergeable([cache("old", 64)], 64, flags=flag) is None
    assert find_mergeable([cache("old", 64), cache("same", 64, flags=flag)], 64, flags=flag).name == "same"


@pytest.mark.parametrize("flag", list(SLAB_NEVER_MERGE))
def test_flags_that_keep_a_cache_apart(flag):
    kept = cache("old", 64, flags=flag)
    assert slab_unmergeable(kept)
    assert find_mergeable([kept._replace(layout=kept.layout._replace(size=64))], 64) is None
    assert find_mergeable([cache("old", 64)], 64, flags=flag) is None


def test_what_else_keeps_a_cache_apart():
    for more in ({"usersize": 8}, {"refcount": -1}, {"ctor": True}):
        kept = cache("old", 64, **more)
        assert find_mergeable([kept._replace(layout=kept.layout._replace(size=64))], 64) is None
    assert find_mergeable([cache("old", 64)], 64, ctor=True) is None
    assert find_mergeable([cache("old", 64)], 64, usersize=8) is None
    assert find_mergeable([cache("old", 64)], 64, flags=Slab.CONSISTENCY_CHECKS).name == "old"


def test_a_cache_that_serves_for_others_grows_with_them():
    one = cache("old", 184, flags=Slab.HWCACHE_ALIGN)
    two = merged(merged(one, 188), 100)
    assert (two.refcount, two.layout.object_size, two.layout.inuse) == (3, 188, 192)
    assert two.layout._replace(object_size=184, inuse=184) == one.layout


def test_names_of_caches_that_serve_for_others():
    assert merged_name(slab_layout(64, flags=slab_debug("F"))) == ":F-0000064"
    flags = Slab.CACHE_DMA | Slab.CACHE_DMA32 | Slab.RECLAIM_ACCOUNT | Slab.CONSISTENCY_CHECKS | Slab.ACCOUNT
    assert merged_name(slab_layout(64, flags=flags)) == ":dDaFA-0000064"


@given(st.integers(1, 600), st.sampled_from([0, 8, 64, 256]), st.sampled_from([NO_FLAGS, Slab.HWCACHE_ALIGN]), st.integers(1, 600))
def test_a_slot_serves_if_it_has_room_is_hardly_larger_and_keeps_the_alignment(size, align, flags, other):
    alone, old = slab_layout(size, align, flags), cache("old", other)
    serves = old.layout.size >= alone.size and old.layout.size - alone.size < 8 and old.layout.size % alone.align == 0
    assert find_mergeable([old], size, align, flags) == (old if serves else None)


# Real machines.


def flags_and_letters(row):
    """The flags of a cache that others are merged into: those of its row, and ACCOUNT, which only its name tells."""
    return flags_of(row) | (Slab.ACCOUNT if "A" in (row["link"] or row["name"]) else Slab(0))


def test_the_links_of_a_capture(capture_path):
    for row in slab_rows(capture_path):
        target = row["link"] or row["name"]
        if target.startswith(":"):
            layout = slab_layout(int(row["object_size"]), int(row["align"]), flags_and_letters(row), **machine_of(capture_path))
            assert merged_name(layout) == target
            assert not slab_unmergeable(CacheInfo(target, layout, usersize=int(row["usersize"])))


def test_no_two_caches_of_a_capture_could_have_been_one(capture_path):
    """Whichever was made first: the other would have been merged into it."""
    found = []
    for row in slab_rows(capture_path):
        if row["name"].startswith(":"):
            sizes = int(row["object_size"]), int(row["align"]), flags_and_letters(row)
            found.append((CacheInfo(row["name"], slab_layout(*sizes, **machine_of(capture_path))), sizes))
    for one, its in found:
        for other, others in found:
            assert one is other or find_mergeable([one], *others) is None or find_mergeable([other], *its) is None


def test_the_kmalloc_caches_of_a_capture(capture_path):
    rows = {row["name"]: row for row in slab_rows(capture_path)}
    assert not rows or {"kmalloc-8", "kmalloc-96", "kmalloc-8k"} < set(rows)
    for kind in KmallocType:
        for row, index in ((rows[kmalloc_name(index, kind)], index) for index in INDICES if kmalloc_name(index, kind) in rows):
            layout = kmalloc_layout(index, **machine_of(capture_path), flags=flags_of(row) & SLAB_DEBUG_FLAGS, kind=kind)
            told = [int(row[column]) for column in ("object_size", "slab_size", "align", "order", "objs_per_slab")]
            assert told == [layout.object_size, layout.size, layout.align, layout.order, layout.objects]
            assert flags_of(row) == layout.flags & ~(Slab.NO_MERGE | Slab.ACCOUNT | Slab.OBJECT_POISON)
