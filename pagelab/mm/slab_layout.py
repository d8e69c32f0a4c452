"""SLUB geometry: how large the slot of an object is, what lies where in it, and how many slots a slab has.

All of it follows from the object's size, its alignment, the flags and the number of CPUs, and is fixed when the cache is made.
"""

from collections.abc import Callable
from enum import IntFlag, auto
from typing import NamedTuple

from .units import MAX_PAGE_ORDER, PAGE_SIZE, get_order

WORD = 8  # sizeof(void *)
CACHE_LINE = 64
TRACK = 32  # sizeof(struct track): who allocated or freed an object
SLUB_MAX_ORDER = 3
MIN_PARTIAL, MAX_PARTIAL = 5, 10


class Slab(IntFlag):
    """The flags of a cache: Slab.RED_ZONE is SLAB_RED_ZONE, and so on; OBJECT_POISON is __OBJECT_POISON.

    Source: include/linux/slab.h and mm/slub.c, 6.12.
    Unlike the kernel's, the values are consecutive bits.

    >>> Slab.RED_ZONE | Slab.POISON
    <Slab.RED_ZONE|POISON: 6>
    """

    CONSISTENCY_CHECKS = auto()
    RED_ZONE = auto()
    POISON = auto()
    STORE_USER = auto()
    TRACE = auto()
    FAILSLAB = auto()
    OBJECT_POISON = auto()
    HWCACHE_ALIGN = auto()
    CACHE_DMA = auto()
    CACHE_DMA32 = auto()
    RECLAIM_ACCOUNT = auto()
    ACCOUNT = auto()
    TYPESAFE_BY_RCU = auto()
    NOLEAKTRACE = auto()
    NO_MERGE = auto()
    KMALLOC = auto()


NO_FLAGS = Slab(0)
_CHANGES_SLOT = Slab.RED_ZONE | Slab.POISON | Slab.STORE_USER | Slab.TRACE
SLAB_DEBUG_FLAGS = _CHANGES_SLOT | Slab.CONSISTENCY_CHECKS
SLAB_NEVER_MERGE = _CHANGES_SLOT | Slab.FAILSLAB | Slab.TYPESAFE_BY_RCU | Slab.NOLEAKTRACE | Slab.NO_MERGE

_LETTERS = {
    "F": Slab.CONSISTENCY_CHECKS,
    "Z": Slab.RED_ZONE,
    "P": Slab.POISON,
    "U": Slab.STORE_USER,
    "T": Slab.TRACE,
    "A": Slab.FAILSLAB,
}

# Where a cache asks for its free pointer (kmem_cache_args.freeptr_offset), in bytes. vm_area_struct: vm_freeptr shares the first word with
# vm_start (include/linux/mm_types.h; since 6.15). filp: f_freeptr shares the last 32 of 184 bytes with f_ra (include/linux/fs.h, 6.12).
FREEPTR_OFFSET: dict[str, dict[str, int]] = {
    "6.1": {},
    "6.12": {"filp": 152},
    "6.18": {"vm_area_struct": 0},
    "7.x": {"vm_area_struct": 0},
}


class Layout(NamedTuple):
    """The geometry of a cache; sizes and offsets in bytes.

    size: of a slot: the object and all that goes with it. inuse: the end of what belongs to the object, red zone included. offset: of the
    free pointer, from the object's start; freeptr_outside: whether it lies behind the object. red_left_pad: what lies before the object.
    orig_size: how long the place is where the size asked of kmalloc is kept, 0 for none. objects: slots per slab of the order; min_order,
    min_objects: the slab that is taken when memory is short. min_partial: slabs that a node keeps though they are empty. cpu_partial:
    objects that a CPU keeps on its partial list, as cpu_partial_slabs slabs.
    """

    object_size: int
    size: int
    align: int
    flags: Slab
    inuse: int
    offset: int
    freeptr_outside: bool
    red_left_pad: int
    orig_size: int
    order: int
    objects: int
    min_order: int
    min_objects: int
    min_partial: int
    cpu_partial: int
    cpu_partial_slabs: int

    @property
    def waste(self) -> int:
        """The bytes at a slab's end that no slot has."""
        return (PAGE_SIZE << self.order) - self.objects * self.size

    @property
    def object_start(self) -> int:
        """Where in its slot the object starts."""
        return self.red_left_pad


class Field(NamedTuple):
    """Bytes start up to end of a slot, and what they are."""

    name: str
    start: int
    end: int


class _Rules(NamedTuple):
    """What one version does: calculate_order; when the free pointer is behind the object; which flags or ctor may place it themselves."""

    calculate_order: Callable[[int, int], int]
    freeptr_outside: Callable[[int, Slab, bool, bool], bool]
    places_freeptr: Callable[[Slab, bool], bool]
    orig_size: int
    kmalloc_alignment: Callable[[int], int]
    has_cpu_partial: bool


def slab_debug(letters: str) -> Slab:
    """Read the letters of the boot parameter slab_debug.

    Args:
        letters: any of F (consistency checks), Z (red zones), P (poison), U (user tracking), T (trace), A (failslab); "" means FZPU
            and "-" none.

    Returns:
        The flags.

    Raises:
        ValueError: a letter has no meaning for a cache.

    Source: parse_slub_debug_flags, mm/slub.c, 6.12.
    Unlike the kernel, an unknown letter is an error, and O (no debugging where it needs a larger order) is not known.

    >>> slab_debug("ZP"), slab_debug("") == slab_debug("FZPU")
    (<Slab.RED_ZONE|POISON: 6>, True)
    """
    flags = Slab(0)
    for letter in "" if letters == "-" else letters or "FZPU":
        if letter.upper() not in _LETTERS:
            raise ValueError(f"slab_debug {letters!r}: {letter!r} is none of the letters F, Z, P, U, T, A")
        flags |= _LETTERS[letter.upper()]
    return flags


def order_objects(order: int, size: int) -> int:
    """Count the slots of a slab.

    Args:
        order: of the slab's pages.
        size: of a slot, in bytes.

    Returns:
        The number that fits.

    Source: order_objects, mm/slub.c, 6.12.

    >>> order_objects(0, 96), order_objects(3, 4096)
    (42, 8)
    """
    return (PAGE_SIZE << order) // size


def min_objects(cpus: int) -> int:
    """Tell how many objects a slab should have at least, so that CPUs seldom fetch one.

    Args:
        cpus: num_present_cpus(), or nr_cpu_ids where that is 1.

    Returns:
        4 for each bit of the number of CPUs, and 4.

    Source: calculate_order, mm/slub.c, 6.12.

    >>> [min_objects(cpus) for cpus in (1, 2, 4, 64)]
    [8, 12, 16, 32]
    """
    return 4 * (cpus.bit_length() + 1)


def calculate_order(size: int, cpus: int = 1, kernel: str = "6.12") -> int:
    """Choose the order of a cache's slabs: enough objects, little waste, not above order 3 unless one object needs it.

    Args:
        size: of a slot, in bytes.
        cpus: of the machine.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Returns:
        The order; above 10 no slab is possible.

    Raises:
        ValueError: the kernel is not modelled.

    Source: calculate_order, mm/slub.c, 6.1 and 6.12.
    Unlike the kernel, slub_min_order, slub_max_order and slub_min_objects are what they are when nobody sets them.

    >>> calculate_order(192, cpus=2), calculate_order(192, cpus=16), calculate_order(3400, 16), calculate_order(3400, 16, "6.1")
    (0, 1, 3, 3)
    """
    return _rules(kernel).calculate_order(size, cpus)


def set_min_partial(size: int) -> int:
    """Tell how many slabs a node keeps though they are empty.

    Args:
        size: of a slot, in bytes.

    Returns:
        5..10 slabs.

    Source: do_kmem_cache_create, mm/slub.c, 6.12; kmem_cache_open, 6.1.

    >>> set_min_partial(64), set_min_partial(4096)
    (5, 6)
    """
    return max(MIN_PARTIAL, min(MAX_PARTIAL, (size.bit_length() - 1) // 2))


def set_cpu_partial(size: int, debug: bool = False) -> int:
    """Tell how many objects a CPU keeps on its partial list.

    Args:
        size: of a slot, in bytes.
        debug: whether any of SLAB_DEBUG_FLAGS is set: such a cache has no such list.

    Returns:
        Objects.

    Source: set_cpu_partial, mm/slub.c, 6.12. 7.x has no such lists.

    >>> [set_cpu_partial(size) for size in (8, 256, 1024, 4096)]
    [120, 52, 24, 6]
    """
    if debug:
        return 0
    return 6 if size >= PAGE_SIZE else 24 if size >= 1024 else 52 if size >= 256 else 120


def calculate_alignment(object_size: int, align: int, flags: Slab) -> int:
    """Work out the alignment of a cache's objects.

    Args:
        object_size: bytes.
        align: what the caller asks for in bytes, 0 for nothing.
        flags: with HWCACHE_ALIGN, objects do not cross more cache lines than they must.

    Returns:
        Bytes, a multiple of 8.

    Source: calculate_alignment, mm/slab_common.c, 6.12.

    >>> calculate_alignment(40, 0, Slab(0)), calculate_alignment(40, 0, Slab.HWCACHE_ALIGN), calculate_alignment(20, 0, Slab.HWCACHE_ALIGN)
    (8, 64, 32)
    """
    if flags & Slab.HWCACHE_ALIGN:
        line = CACHE_LINE
        while object_size <= line // 2:
            line //= 2
        align = max(align, line)
    return _align_up(max(align, WORD), WORD)


def kmalloc_alignment(size: int, kernel: str = "6.12") -> int:
    """Tell how objects of a kmalloc cache are aligned.

    Args:
        size: of the objects, in bytes.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Returns:
        Bytes: the largest power of two that divides the size; on 6.1, 8 for a size that is no power of two.

    Raises:
        ValueError: the kernel is not modelled.

    Source: create_boot_cache, mm/slab_common.c, 6.1; 6.12.

    >>> kmalloc_alignment(192), kmalloc_alignment(192, "6.1"), kmalloc_alignment(64, "6.1")
    (64, 8, 64)
    """
    return max(WORD, _rules(kernel).kmalloc_alignment(size))


def slab_layout(
    object_size: int,
    align: int = 0,
    flags: Slab = NO_FLAGS,
    *,
    ctor: bool = False,
    cpus: int = 1,
    kernel: str = "6.12",
    freeptr_offset: int | None = None,
) -> Layout:
    """Work out the geometry of a cache.

    Args:
        object_size: bytes that a caller of the cache may use.
        align: what the caller asks for in bytes, 0 for nothing.
        flags: of the cache, those of slab_debug included.
        ctor: whether the cache has a constructor.
        cpus: num_present_cpus(), or nr_cpu_ids where that is 1.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        freeptr_offset: where in the object the cache wants its free pointer, in bytes; None for no wish.

    Returns:
        The Layout.

    Raises:
        ValueError: the size is less than 1 or needs a slab above order 10, the alignment is no power of two, there is no CPU, the kernel
            is not modelled, or the free pointer cannot be where it is wanted.

    Source: calculate_sizes, mm/slub.c, 6.1 and 6.12.
    Unlike the kernel, KASAN takes no bytes, and the boot parameters that set orders are never given.

    >>> layout = slab_layout(40); layout.size, layout.offset, layout.order, layout.objects, layout.waste
    (40, 16, 0, 102, 16)
    >>> slab_layout(40, flags=slab_debug("ZPU"), ctor=True).size
    136
    """
    rules = _rules(kernel)
    _check(object_size, align, cpus)
    outside = rules.freeptr_outside(object_size, flags, ctor, freeptr_offset is not None)
    if freeptr_offset is not None:
        _check_freeptr(freeptr_offset, object_size, rules.places_freeptr(flags, ctor))
    flags = flags & ~Slab.OBJECT_POISON
    if flags & Slab.POISON and not flags & Slab.TYPESAFE_BY_RCU and not ctor:
        flags |= Slab.OBJECT_POISON
    align = calculate_alignment(object_size, align, flags)
    inuse = size = _inuse(object_size, flags)
    offset = inuse if outside else _align_down(object_size // 2, WORD) if freeptr_offset is None else freeptr_offset
    orig_size = rules.orig_size if flags & Slab.STORE_USER and flags & Slab.KMALLOC else 0
    red_left_pad = _align_up(WORD, align) if flags & Slab.RED_ZONE else 0
    size += WORD * outside + (2 * TRACK if flags & Slab.STORE_USER else 0) + orig_size
    size = _align_up(size + (WORD + red_left_pad if flags & Slab.RED_ZONE else 0), align)
    order, min_order = rules.calculate_order(size, cpus), _order_of(size)
    if order > MAX_PAGE_ORDER:
        raise ValueError(f"an object of {object_size} bytes needs a slab of order {order}: it must fit into order {MAX_PAGE_ORDER}")
    objects = order_objects(order, size)
    partial = set_cpu_partial(size, bool(flags & SLAB_DEBUG_FLAGS)) if rules.has_cpu_partial else 0
    slabs = -(-2 * partial // objects)
    few = order_objects(min_order, size)
    places = (size, align, flags, inuse, offset, outside, red_left_pad, orig_size)
    return Layout(object_size, *places, order, objects, min_order, few, set_min_partial(size), partial, slabs)


def slot_fields(layout: Layout, free: bool = False) -> list[Field]:
    """Say what each byte of a slot is.

    Args:
        layout: of the cache.
        free: whether the object is free: the bytes of a free pointer inside it are then the pointer's.

    Returns:
        Fields in order, from byte 0 of the slot to its last; none is empty.

    Source: calculate_sizes, get_track, get_orig_size and check_pad_bytes, mm/slub.c, 6.12.

    >>> [(field.name, field.end) for field in slot_fields(slab_layout(24), free=True)]
    [('object', 8), ('free pointer', 16), ('object', 24)]
    >>> [(field.name, field.end) for field in slot_fields(slab_layout(24, flags=slab_debug("ZP")))]
    [('left red zone', 8), ('object', 32), ('right red zone', 40), ('free pointer', 48), ('padding', 56)]
    """
    tracked = TRACK if layout.flags & Slab.STORE_USER else 0
    names = (
        ("left red zone", layout.red_left_pad),
        ("object", layout.object_size),
        ("right red zone" if layout.flags & Slab.RED_ZONE else "alignment padding", layout.inuse - layout.object_size),
        ("free pointer", WORD * layout.freeptr_outside),
        ("alloc track", tracked),
        ("free track", tracked),
        ("orig_size", layout.orig_size),
    )
    fields, at = [], 0
    for name, length in (*names, ("padding", layout.size - sum(length for _, length in names))):
        fields.append(Field(name, at, at + length))
        at += length
    if free and not layout.freeptr_outside:
        start = layout.object_start + layout.offset
        fields = _cover(fields, Field("free pointer", start, start + WORD))
    return [field for field in fields if field.start < field.end]


def _cover(fields: list[Field], top: Field) -> list[Field]:
    before = [field._replace(end=min(field.end, top.start)) for field in fields]
    after = [field._replace(start=max(field.start, top.end)) for field in fields]
    return [*before, top, *after]


def _order_6_1(size: int, cpus: int) -> int:
    """Give up objects, one by one, rather than waste more than a quarter."""
    for objects in range(min(min_objects(cpus), order_objects(SLUB_MAX_ORDER, size)), 1, -1):
        order = _least_waste(size, _order_of(objects * size), (16, 8, 4))
        if order is not None:
            return order
    return _order_of(size)


def _order_6_12(size: int, cpus: int) -> int:
    """Keep the objects, and waste up to a half."""
    objects = min(min_objects(cpus), max(order_objects(SLUB_MAX_ORDER, size), 1))
    order = _least_waste(size, _order_of(objects * size), (16, 8, 4, 2))
    return _order_of(size) if order is None else order


def _least_waste(size: int, lowest: int, fractions: tuple[int, ...]) -> int | None:
    """Find the first order that wastes no more than the first fraction that any order satisfies."""
    for fraction in fractions:
        for order in range(lowest, SLUB_MAX_ORDER + 1):
            slab = PAGE_SIZE << order
            if slab % size <= slab // fraction:
                return order
    return None


def _outside_6_1(object_size: int, flags: Slab, ctor: bool, placed: bool) -> bool:
    return bool(flags & (Slab.TYPESAFE_BY_RCU | Slab.POISON)) or ctor or bool(flags & Slab.RED_ZONE and object_size < WORD)


def _outside_6_12(object_size: int, flags: Slab, ctor: bool, placed: bool) -> bool:
    return ctor or _outside_7_x(object_size, flags, ctor, placed)


def _outside_7_x(object_size: int, flags: Slab, ctor: bool, placed: bool) -> bool:
    if flags & Slab.POISON or ((ctor or flags & Slab.TYPESAFE_BY_RCU) and not placed):
        return True
    return bool(flags & Slab.RED_ZONE) and (object_size < WORD or bool(flags & Slab.STORE_USER and flags & Slab.KMALLOC))


def _kmalloc_alignment_6_1(size: int) -> int:
    return WORD if size & (size - 1) else size


def _kmalloc_alignment_6_12(size: int) -> int:
    return size & -size


_6_1 = _Rules(_order_6_1, _outside_6_1, lambda flags, ctor: False, 4, _kmalloc_alignment_6_1, True)
_6_12 = _Rules(_order_6_12, _outside_6_12, lambda flags, ctor: bool(flags & Slab.TYPESAFE_BY_RCU), 8, _kmalloc_alignment_6_12, True)
_7_X = _6_12._replace(
    freeptr_outside=_outside_7_x,
    places_freeptr=lambda flags, ctor: ctor or bool(flags & Slab.TYPESAFE_BY_RCU),
    has_cpu_partial=False,
)
_RULES = {"6.1": _6_1, "6.12": _6_12, "6.18": _6_12, "7.x": _7_X}


def _rules(kernel: str) -> _Rules:
    if kernel not in _RULES:
        raise ValueError(f"kernel {kernel!r} is not modelled: give one of {', '.join(_RULES)}")
    return _RULES[kernel]


def _check(object_size: int, align: int, cpus: int) -> None:
    if object_size < 1:
        raise ValueError(f"an object of {object_size} bytes: it must have 1 or more")
    if align < 0 or align & (align - 1):
        raise ValueError(f"align {align}: it must be a power of two, or 0 for none")
    if cpus < 1:
        raise ValueError(f"{cpus} CPUs: there must be 1 or more")


def _check_freeptr(offset: int, object_size: int, may: bool) -> None:
    if not may:
        raise ValueError(f"freeptr_offset {offset}: only a cache with TYPESAFE_BY_RCU has one, since 6.12; since 7.x one with a ctor too")
    if not 0 <= offset < object_size or offset % WORD:
        raise ValueError(f"freeptr_offset {offset}: it must be a multiple of {WORD}, 0 or more and less than the size {object_size}")


def _inuse(object_size: int, flags: Slab) -> int:
    size = _align_up(object_size, WORD)
    return size + WORD if flags & Slab.RED_ZONE and size == object_size else size


def _order_of(size: int) -> int:
    return get_order(-(-size // PAGE_SIZE))


def _align_up(size: int, align: int) -> int:
    return -(-size // align) * align


def _align_down(size: int, align: int) -> int:
    return size // align * align
