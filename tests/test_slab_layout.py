"""SLUB geometry: the tables of kmalloc, the sizes under slab_debug, what real kernels chose, and slots whose bytes are each one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slab_rows import ctors_of, flags_of, machine_of, slab_rows

from pagelab.mm.slab_layout import (
    FREEPTR_OFFSET,
    SLAB_DEBUG_FLAGS,
    SLAB_NEVER_MERGE,
    Slab,
    calculate_order,
    min_objects,
    set_cpu_partial,
    slab_debug,
    slab_layout,
    slot_fields,
)

KERNELS = ["6.1", "6.12", "6.18", "7.x"]
SIZES = st.one_of(st.integers(1, 300), st.integers(1, 40_000), st.integers(1, 3 << 20))
FLAGS = st.integers(0, sum(Slab)).map(Slab)
ALIGNS = st.sampled_from([0, 1, 8, 16, 32, 64, 128, 256, 512, 4096])
CACHES = st.builds(
    slab_layout,
    SIZES,
    ALIGNS,
    FLAGS,
    ctor=st.booleans(),
    cpus=st.integers(1, 512),
    kernel=st.sampled_from(KERNELS),
)

# Order and objects per slab of the kmalloc caches of 6.12: size, alignment, then 2, 4, 8, 16 and 128 CPUs up to the next.
KMALLOC = [
    (8, 8, "0/512 0/512 0/512 0/512 0/512"),
    (16, 16, "0/256 0/256 0/256 0/256 0/256"),
    (32, 32, "0/128 0/128 0/128 0/128 0/128"),
    (64, 64, "0/64 0/64 0/64 0/64 0/64"),
    (96, 32, "0/42 0/42 0/42 0/42 0/42"),
    (128, 128, "0/32 0/32 0/32 0/32 1/64"),
    (192, 64, "0/21 0/21 0/21 1/42 1/42"),
    (256, 256, "0/16 0/16 1/32 1/32 2/64"),
    (512, 512, "1/16 1/16 2/32 2/32 3/64"),
    (1024, 1024, "2/16 2/16 3/32 3/32 3/32"),
    (2048, 2048, "3/16 3/16 3/16 3/16 3/16"),
    (4096, 4096, "3/8 3/8 3/8 3/8 3/8"),
    (8192, 8192, "3/4 3/4 3/4 3/4 3/4"),
]
CPU_COLUMNS = [range(2, 4), range(4, 8), range(8, 16), range(16, 128), [128, 129, 255, 256, 511]]


@pytest.mark.parametrize(("size", "align", "columns"), KMALLOC)
def test_the_table_of_kmalloc(size, align, columns):
    for cpus, column in zip(CPU_COLUMNS, columns.split(), strict=True):
        layouts = [slab_layout(size, align, Slab.KMALLOC, cpus=n) for n in cpus]
        assert {(layout.size, f"{layout.order}/{layout.objects}") for layout in layouts} == {(size, column)}


def test_the_objects_wanted_for_a_number_of_cpus():
    table = {1: 8, 2: 12, 3: 12, 4: 16, 7: 16, 8: 20, 15: 20, 16: 24, 31: 24, 32: 28, 63: 28, 64: 32, 127: 32, 128: 36, 255: 36, 256: 40}
    assert {cpus: min_objects(cpus) for cpus in table} == table


# Slot sizes under slab_debug, 6.12.
DEBUG = [
    (8, 8, Slab.KMALLOC, {"P": 16, "Z": 32, "U": 80, "ZP": 40, "ZPU": 112}),
    (64, 64, Slab.KMALLOC, {"P": 128, "Z": 192, "U": 192, "ZP": 192, "ZPU": 256}),
    (192, 64, Slab.KMALLOC, {"P": 256, "Z": 320, "U": 320, "ZPU": 384}),
    (1024, 1024, Slab.KMALLOC, {"P": 2048, "Z": 3072, "U": 2048, "ZPU": 3072}),
    (24, 8, Slab(0), {"P": 32, "Z": 48, "U": 88, "ZP": 56, "ZPU": 120}),
]


@pytest.mark.parametrize(("size", "align", "kind", "sizes"), DEBUG)
def test_what_slab_debug_adds(size, align, kind, sizes):
    assert {letters: slab_layout(size, align, kind | slab_debug(letters)).size for letters in sizes} == sizes


def fields(layout, free=False):
    return " ".join(f"{name.replace(' ', '-')}:{end - start}" for name, start, end in slot_fields(layout, free))


def test_where_everything_lies_in_a_slot_under_slab_debug():
    layout = slab_layout(64, 64, Slab.KMALLOC | slab_debug("FZPU"))
    places = "left-red-zone:64 object:64 right-red-zone:8 free-pointer:8 alloc-track:32 free-track:32 orig_size:8 padding:40"
    assert fields(layout) == fields(layout, free=True) == places
    assert (layout.object_start, layout.offset, layout.inuse, layout.size) == (64, 72, 72, 256)


def test_the_size_asked_of_kmalloc_takes_half_a_word_on_6_1():
    layout = slab_layout(64, 8, Slab.KMALLOC | slab_debug("U"), kernel="6.1")
    assert fields(layout) == "object:64 alloc-track:32 free-track:32 orig_size:4 padding:4"
    assert fields(slab_layout(64, 8, slab_debug("U"), kernel="6.1")) == "object:64 alloc-track:32 free-track:32"


def test_a_red_zone_moves_the_free_pointer_of_kmalloc_out_since_6_12():
    flags = Slab.KMALLOC | slab_debug("ZU")
    assert [slab_layout(64, 8, flags, kernel=kernel).freeptr_outside for kernel in KERNELS] == [False, True, True, True]
    assert [slab_layout(7, 8, Slab.RED_ZONE, kernel=kernel).freeptr_outside for kernel in KERNELS] == [True] * 4
    assert [slab_layout(8, 8, Slab.RED_ZONE, kernel=kernel).freeptr_outside for kernel in KERNELS] == [False] * 4


def test_a_red_zone_uses_the_padding_where_there_is_some():
    assert fields(slab_layout(60, flags=Slab.RED_ZONE)) == "left-red-zone:8 object:60 right-red-zone:4 padding:8"
    assert fields(slab_layout(64, flags=Slab.RED_ZONE)) == "left-red-zone:8 object:64 right-red-zone:8 padding:8"


def test_alignment():
    line = Slab.HWCACHE_ALIGN
    sizes = {1: 8, 8: 8, 9: 16, 16: 16, 17: 32, 32: 32, 33: 64, 64: 64, 65: 64, 1000: 64}
    assert {size: slab_layout(size, flags=line).align for size in sizes} == sizes
    assert [slab_layout(20, align, line).align for align in (0, 8, 32, 128)] == [32, 32, 32, 128]
    assert [slab_layout(20, align).align for align in (0, 1, 8, 16)] == [8, 8, 8, 16]


@pytest.mark.parametrize(
    ("size", "in_use", "free"),
    [
        (3, "object:3 alignment-padding:5", "free-pointer:8"),
        (8, "object:8", "free-pointer:8"),
        (12, "object:12 alignment-padding:4", "free-pointer:8 object:4 alignment-padding:4"),
        (16, "object:16", "object:8 free-pointer:8"),
        (40, "object:40", "object:16 free-pointer:8 object:16"),
    ],
)
def test_the_free_pointer_lies_in_the_middle_of_a_free_object(size, in_use, free):
    assert (fields(slab_layout(size)), fields(slab_layout(size), free=True)) == (in_use, free)


@pytest.mark.parametrize(("flags", "ctor"), [(Slab.TYPESAFE_BY_RCU, False), (Slab(0), True), (Slab.POISON, False)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_an_object_that_a_free_pointer_would_spoil_has_it_behind(kernel, flags, ctor):
    layout = slab_layout(60, flags=flags, ctor=ctor, kernel=kernel)
    assert (layout.freeptr_outside, layout.offset, layout.size) == (True, 64, 72)
    assert fields(layout) == fields(layout, free=True) == "object:60 alignment-padding:4 free-pointer:8"


def test_an_object_is_poisoned_only_where_nobody_reads_it_once_free():
    given = [(Slab.POISON, False), (Slab.POISON | Slab.TYPESAFE_BY_RCU, False), (Slab.POISON, True), (Slab.OBJECT_POISON, False)]
    layouts = [slab_layout(64, flags=flags, ctor=ctor) for flags, ctor in given]
    assert [bool(layout.flags & Slab.OBJECT_POISON) for layout in layouts] == [True, False, False, False]


@pytest.mark.parametrize(
    ("kernel", "name", "size"), [("6.12", "filp", 184), ("6.18", "vm_area_struct", 192), ("7.x", "vm_area_struct", 192)]
)
def test_a_cache_that_places_its_free_pointer_does_not_grow(kernel, name, size):
    at = FREEPTR_OFFSET[kernel][name]
    layout = slab_layout(size, 8, Slab.TYPESAFE_BY_RCU, kernel=kernel, freeptr_offset=at)
    assert (layout.size, layout.offset, layout.freeptr_outside) == (size, at, False)
    assert [tuple(field) for field in slot_fields(layout, free=True) if field.name == "free pointer"] == [("free pointer", at, at + 8)]
    assert slab_layout(size, 8, Slab.TYPESAFE_BY_RCU | Slab.POISON, kernel=kernel, freeptr_offset=at).freeptr_outside
    assert slab_layout(size, 8, Slab.TYPESAFE_BY_RCU, kernel=kernel).size == size + 8


def test_a_constructor_may_place_the_free_pointer_since_7():
    assert slab_layout(64, ctor=True, kernel="7.x", freeptr_offset=8).size == 64
    assert slab_layout(64, flags=Slab.TYPESAFE_BY_RCU, ctor=True, kernel="6.12", freeptr_offset=8).size == 72
    for kernel, flags in (("6.12", Slab(0)), ("6.1", Slab.TYPESAFE_BY_RCU)):
        with pytest.raises(ValueError, match="freeptr_offset 8: only a cache with TYPESAFE_BY_RCU has one, since 6.12"):
            slab_layout(64, flags=flags, ctor=True, kernel=kernel, freeptr_offset=8)


def test_partial_lists():
    assert [set_cpu_partial(size) for size in (255, 256, 1023, 1024, 4095, 4096)] == [120, 52, 52, 24, 24, 6]
    assert [slab_layout(size).min_partial for size in (8, 2048, 4096, 1 << 17, 1 << 20)] == [5, 5, 6, 8, 10]
    assert [(layout.cpu_partial, layout.cpu_partial_slabs) for layout in map(slab_layout, (8, 192, 4096))] == [(120, 1), (120, 12), (6, 2)]
    assert [slab_layout(64, kernel=kernel).cpu_partial for kernel in KERNELS] == [120, 120, 120, 0]
    assert [slab_layout(64, flags=flag).cpu_partial for flag in SLAB_DEBUG_FLAGS] == [0] * 5
    assert slab_layout(64, flags=Slab.FAILSLAB).cpu_partial == 120


def test_letters():
    assert slab_debug("FZPU") == slab_debug("") == slab_debug("fzpu")
    assert slab_debug("-") == Slab(0)
    assert slab_debug("AT") == Slab.FAILSLAB | Slab.TRACE
    assert slab_debug("F") & SLAB_NEVER_MERGE == 0
    with pytest.raises(ValueError, match="slab_debug 'FX': 'X' is none of the letters F, Z, P, U, T, A"):
        slab_debug("FX")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"object_size": 0}, "an object of 0 bytes: it must have 1 or more"),
        ({"object_size": (4 << 20) + 1}, "an object of 4194305 bytes needs a slab of order 11: it must fit into order 10"),
        ({"object_size": 8, "align": 24}, "align 24: it must be a power of two, or 0 for none"),
        ({"object_size": 8, "cpus": 0}, "0 CPUs: there must be 1 or more"),
        ({"object_size": 8, "kernel": "5.10"}, "kernel '5.10' is not modelled: give one of 6.1, 6.12, 6.18, 7.x"),
        ({"object_size": 8, "flags": Slab.TYPESAFE_BY_RCU, "freeptr_offset": 8}, "0 or more and less than the size 8"),
        ({"object_size": 64, "flags": Slab.TYPESAFE_BY_RCU, "freeptr_offset": 12}, "freeptr_offset 12: it must be a multiple of 8"),
    ],
)
def test_what_no_cache_can_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        slab_layout(**arguments)


def test_an_unknown_kernel_has_no_order():
    with pytest.raises(ValueError, match="kernel '7' is not modelled"):
        calculate_order(64, kernel="7")


# Invariants.


@given(CACHES)
def test_objects_fit_and_start_where_they_should(layout):
    slab = 4096 << layout.order
    assert layout.objects >= 1
    assert layout.waste == slab - layout.objects * layout.size
    assert 0 <= layout.waste < layout.size
    assert layout.order <= max(3, layout.min_order)
    assert layout.size % layout.align == layout.object_start % layout.align == 0
    assert layout.size >= layout.object_size
    assert 4096 << layout.min_order >= layout.size > (2048 << layout.min_order) * (layout.min_order > 0)
    assert layout.min_objects == (4096 << layout.min_order) // layout.size <= layout.objects


@given(CACHES, st.booleans())
def test_each_byte_of_a_slot_is_one_thing(layout, free):
    found = slot_fields(layout, free)
    assert all(field.start < field.end for field in found)
    assert [field.start for field in found] == [0, *(field.end for field in found[:-1])]
    assert found[-1].end == layout.size
    lengths = {name: sum(field.end - field.start for field in found if field.name == name) for name, _, _ in found}
    assert lengths.get("free pointer", 0) == (8 if free or layout.freeptr_outside else 0)
    assert lengths.get("alloc track") == lengths.get("free track") == (32 if layout.flags & Slab.STORE_USER else None)
    assert ("left red zone" in lengths) == bool(layout.flags & Slab.RED_ZONE)
    assert "right red zone" not in lengths or layout.flags & Slab.RED_ZONE
    if not free or layout.freeptr_outside:
        assert lengths["object"] == layout.object_size


@given(CACHES)
def test_a_red_zone_on_both_sides_of_an_object(layout):
    found = [field for field in slot_fields(layout) if field.name in ("left red zone", "object", "right red zone")]
    if layout.flags & Slab.RED_ZONE:
        assert [field.name for field in found] == ["left red zone", "object", "right red zone"]


@given(st.integers(1, 4 << 20), st.sampled_from(KERNELS), st.integers(1, 512))
def test_looking_for_bugs_never_makes_a_slot_smaller(size, kernel, cpus):
    plain = slab_layout(size, 8, Slab.KMALLOC, kernel=kernel, cpus=cpus)
    for letters in ("F", "Z", "P", "U", "ZP", "PU", "ZU", "FZPU"):
        if size < (4 << 20) - 200:
            assert slab_layout(size, 8, Slab.KMALLOC | slab_debug(letters), kernel=kernel, cpus=cpus).size >= plain.size


# The order, found in another way: all orders are judged, and the best is taken.


def judged(size, wanted, shares):
    """Give (number of limits broken, order) of each order that holds the objects wanted and keeps at least one limit."""
    for order in range(4):
        slab = 2 ** (12 + order)
        broken = sum(slab % size > slab // share for share in shares)
        if wanted * size <= slab and broken < len(shares):
            yield broken, order


def best_order(size, cpus, kernel):
    wanted = 8 + 4 * sum(cpus >= 2**n for n in range(1, 20))
    wanted = min(wanted, 32768 // size)
    if kernel == "6.1":
        choices = (min(judged(size, objects, (16, 8, 4)), default=None) for objects in range(wanted, 1, -1))
        best = next((choice for choice in choices if choice), None)
    else:
        best = min(judged(size, max(wanted, 1), (16, 8, 4, 2)), default=None)
    return best[1] if best else next(order for order in range(30) if 4096 * 2**order >= size)


@given(SIZES, st.integers(1, 1023), st.sampled_from(KERNELS))
def test_the_order_is_the_best_of_all(size, cpus, kernel):
    assert calculate_order(size, cpus, kernel) == best_order(size, cpus, kernel)


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_order_of_every_size_on_two_cpus(kernel):
    assert [size for size in range(8, 40_000, 8) if calculate_order(size, 2, kernel) != best_order(size, 2, kernel)] == []


def test_6_1_gives_up_objects_where_6_12_gives_up_room():
    differ = [size for size in range(8, 32_769, 8) if calculate_order(size, 2, "6.1") != calculate_order(size, 2, "6.12")]
    assert differ
    for size in differ:
        old, new = (slab_layout(size, cpus=2, kernel=kernel) for kernel in ("6.1", "6.12"))
        assert old.objects < new.objects
        assert old.waste / (4096 << old.order) <= new.waste / (4096 << new.order)


# What real kernels chose: CPUs, object size, alignment, flags, whether a constructor; slot, order, objects, min_partial, cpu_partial.
RCU, LINE = Slab.TYPESAFE_BY_RCU, Slab.HWCACHE_ALIGN
REAL = [
    ("task_struct", "6.1", 1, 6208, 64, Slab(0), False, (6208, 3, 5, 6, 6)),
    ("inode_cache", "6.1", 1, 632, 8, Slab.RECLAIM_ACCOUNT, True, (640, 1, 12, 5, 52)),
    ("sighand_cache", "6.1", 1, 2080, 64, RCU | LINE, True, (2112, 3, 15, 5, 24)),
    ("kmalloc-96", "6.1", 1, 96, 8, Slab.KMALLOC, False, (96, 0, 42, 5, 120)),
    ("TCPv6", "6.1", 1, 2440, 64, RCU | LINE, False, (2496, 3, 13, 5, 24)),
    ("inode_cache", "6.12", 1, 624, 8, Slab.RECLAIM_ACCOUNT, True, (632, 2, 25, 5, 52)),
    ("bdev_cache", "6.12", 1, 1600, 64, LINE, True, (1664, 3, 19, 5, 24)),
    ("mm_struct", "6.12", 1, 1360, 64, LINE, False, (1408, 2, 11, 5, 24)),
    ("mm_struct", "6.12", 2, 1360, 64, LINE, False, (1408, 3, 23, 5, 24)),
    ("names_cache", "6.12", 1, 4096, 64, LINE, False, (4096, 3, 8, 6, 6)),
    ("kmem_cache_node", "6.12", 2, 64, 64, LINE, False, (64, 0, 64, 5, 120)),
]


@pytest.mark.parametrize(("name", "kernel", "cpus", "size", "align", "flags", "ctor", "chosen"), REAL)
def test_what_real_kernels_chose(name, kernel, cpus, size, align, flags, ctor, chosen):
    layout = slab_layout(size, align, flags, ctor=ctor, cpus=cpus, kernel=kernel)
    assert (layout.size, layout.order, layout.objects, layout.min_partial, layout.cpu_partial) == chosen, name


def told(row):
    return [int(row[column]) for column in ("slab_size", "align", "order", "objs_per_slab", "min_partial", "cpu_partial")]


def found(row, kernel, cpus):
    """What the model says of a row: once, or twice where the row does not tell whether there is a constructor."""
    for ctor in ctors_of(row):
        placed = FREEPTR_OFFSET[kernel].get(row["name"])
        sizes, how = (int(row["object_size"]), int(row["align"])), {"kernel": kernel, "cpus": cpus, "freeptr_offset": placed}
        layout = slab_layout(*sizes, flags_of(row), ctor=ctor, **how)
        yield [layout.size, layout.align, layout.order, layout.objects, layout.min_partial, layout.cpu_partial]


def test_every_cache_of_a_capture(capture_path):
    unlike = [row["name"] for row in slab_rows(capture_path) if told(row) not in found(row, **machine_of(capture_path))]
    assert not unlike
