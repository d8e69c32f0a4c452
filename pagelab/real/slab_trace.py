"""Check the objects of a captured kmem trace: where they lie in their slabs, how they are aligned, which one is used next.

The table of /sys/kernel/slab gives the slots; only events between the snapshots count. A pointer tells all of that: pages are mapped in a row
from an address that is a multiple of any block's size, so an object's place in its block is what its address leaves over.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pagelab.mm.units import PAGE_SIZE, get_order
from pagelab.real.archive import fail, shorten
from pagelab.real.capture import Capture
from pagelab.real.replay import BEGIN, END, TRACE, rules_of
from pagelab.real.slab import TABLE
from pagelab.real.slabinfo import SlabRow, parse_slab_table
from pagelab.real.trace import LAYOUT, LINE

WORD = 8
KERNEL_HALF = 1 << 63  # an address of the kernel is above; what %p makes of one is below
MAX_LIVE = 1 << 20  # objects that are remembered at a time

_POINTER = r"call_site=\S{1,300} ptr=(\S{1,40})"
_ALLOC = re.compile(_POINTER + r" bytes_req=(\d{1,19}) bytes_alloc=(\d{1,19}) gfp_flags=\S+(?: node=-?\d{1,9})?(?: accounted=(\w+))?", re.ASCII)
_FREE = re.compile(_POINTER + r"(?: name=(.{1,200}))?", re.ASCII)
_FORMS = {"kmalloc": _ALLOC, "kmem_cache_alloc": _ALLOC, "kfree": _FREE, "kmem_cache_free": _FREE}
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{1,16}", re.ASCII)

Key = tuple[str, int, str | None]


@dataclass
class SlabTrace:
    """What a trace says of the objects.

    Attributes:
        checked: whether it has such events, with addresses.
        free_pointers, on_boundary: pointers given to kmem_cache_free, and those where a slot's object begins.
        kmalloc_pointers, aligned: pointers that kmalloc returned, and those that its size class allows.
        lifo_checked, lifo: allocations after a free of the same kind, and those that got the object that was freed.
        first: in words, the first pointer that is wrong.
        notes: a sentence each.
    """

    checked: bool = False
    free_pointers: int = 0
    on_boundary: int = 0
    kmalloc_pointers: int = 0
    aligned: int = 0
    lifo_checked: int = 0
    lifo: int = 0
    first: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many pointers are wrong. Which object comes next is no rule of one number: CPUs and slabs take turns."""
        return self.free_pointers - self.on_boundary + self.kmalloc_pointers - self.aligned

    def as_json(self) -> dict[str, Any]:
        """Give the counts as JSON values."""
        names = ("free_pointers", "on_boundary", "kmalloc_pointers", "aligned", "lifo_checked", "lifo")
        return {"slab_trace": {name: getattr(self, name) for name in names} if self.checked else None}

    def as_text(self) -> Iterable[str]:
        """Give the counts as lines, if there are any."""
        if self.checked:
            for name, all_of, right, where in (
                ("objects freed", self.free_pointers, self.on_boundary, "on an object's boundary"),
                ("objects of kmalloc", self.kmalloc_pointers, self.aligned, "aligned to their size class"),
            ):
                yield f"  {name}: {right:,} of {all_of:,} {where}" + (f", {all_of - right:,} WRONG" if right < all_of else "")
            yield f"  last freed, first used: {self.lifo:,} of {self.lifo_checked:,}"


class Slots(NamedTuple):
    """Where the objects of a cache begin. size: of a slot in bytes. objects, order: of a slab. pad: bytes of a slot before the object."""

    size: int
    objects: int
    order: int
    pad: int

    def hold(self, pointer: int) -> bool:
        """Tell whether an object may begin at an address."""
        at = pointer % (PAGE_SIZE << self.order) - self.pad
        return at >= 0 and at % self.size == 0 and at // self.size < self.objects

    def smallest(self) -> "Slots":
        """Return the slots of the slab that is taken when memory is short: the smallest that holds an object."""
        order = get_order(-(-self.size // PAGE_SIZE))
        return Slots(self.size, (PAGE_SIZE << order) // self.size, order, self.pad)


def slab_trace(capture: Capture) -> SlabTrace:
    """Check the kmalloc, kfree, kmem_cache_alloc and kmem_cache_free events between the snapshots of a capture.

    Args:
        capture: with trace.txt, recorded with no_hash_pointers; with slab.tsv too for the slots.

    Returns:
        The SlabTrace.

    Raises:
        CaptureError: a file is damaged or of another form.

    Source: include/trace/events/kmem.h, 6.12.

    >>> from pagelab.real.capture import example
    >>> found = slab_trace(example("612-slab-768M-1cpu"))
    >>> found.free_pointers == found.on_boundary > 1_000
    True
    """
    if TRACE not in capture:
        return SlabTrace()
    run = _Run(_slots(capture), alignment_of(rules_of(capture.kernel)[0]), capture.file_name(TRACE))
    run.follow(capture.lines(TRACE))
    return run.result()


def alignment_of(version: str) -> Callable[[int], int]:
    """Tell how a kernel aligns what kmalloc returns.

    Args:
        version: one of those that `rules_of` gives.

    Returns:
        A function from the bytes of a size class to the alignment in bytes.

    Source: kmalloc alignment in Documentation/core-api/memory-allocation.rst; new_kmalloc_cache, mm/slab_common.c, 6.1 and 6.12.

    >>> [(alignment_of("6.1")(size), alignment_of("6.12")(size)) for size in (8, 96, 192, 256)]
    [(8, 8), (8, 32), (8, 64), (256, 256)]
    """
    return _power_of_two if version == "6.1" else _divisor


class _Run:
    """One pass over the lines; ended holds why it gives nothing."""

    def __init__(self, slots: dict[str, Slots], alignment: Callable[[int], int], place: str) -> None:
        self.slots, self.alignment, self.place = slots, alignment, place
        self.found = SlabTrace()
        self.seen = self.hashed = False
        self.marks: set[str] = set()
        self.lost = self.unknown = self.smaller = 0
        self.live: dict[int, Key] = {}
        self.freed: dict[Key, int] = {}  # by kind of allocation: the object if its last event was a free, else 0
        self.do = {"kmalloc": self._kmalloc, "kmem_cache_alloc": self._alloc, "kfree": self._free, "kmem_cache_free": self._cache_free}

    def follow(self, lines: Iterable[tuple[int, str]]) -> None:
        match, between = LINE.match, False
        for number, text in lines:
            found = match(text)
            if not found:
                if text.startswith("CPU:") and between:
                    self.lost += 1
                    self._forget()
                elif text.strip() and not text.startswith(("#", "CPU:")):
                    fail(f"{self.place} line {number}", f"{shorten(text)} is not understood", LAYOUT)
                continue
            name = found[4]
            if name in _FORMS:
                self.seen = True
                if between and not self._event(number, name, found[5]):
                    return
            elif name == "tracing_mark_write":
                self.marks.add(found[5].strip())
                between = BEGIN in self.marks
                if END in self.marks and between:
                    return

    def result(self) -> SlabTrace:
        found, missing = self.found, [mark for mark in (BEGIN, END) if mark not in self.marks]
        if self.hashed:
            reason = "its pointers are hashed; no_hash_pointers on the kernel's command line would show them"
        elif self.seen and missing:
            reason = f"the trace has no mark {' and no mark '.join(map(repr, missing))}"
        else:
            reason = ""
        if reason:
            return SlabTrace(notes=[f"Objects of the trace are not checked: {reason}."])
        if found.first:
            found.notes.append(f"First wrong object: {found.first}.")
        for count, words in (
            (self.unknown, f"freed objects are not checked, because {TABLE} does not tell the slots of their caches"),
            (self.smaller, "freed objects lie on a boundary only if their slabs are smaller than usual, as when memory is short"),
            (self.lost, "times events of the trace were lost; what is used next is counted afresh after each"),
        ):
            if count:
                found.notes.append(f"{count:,} {words}.")
        return found

    def _event(self, number: int, name: str, text: str) -> bool:
        """Follow one event; False if its pointer is hashed."""
        fields = _FORMS[name].match(text)
        if not fields or (name == "kmem_cache_free" and not fields[2]):
            fail(f"{self.place} line {number}", f"{name} has {shorten(text)}", "the fields that 6.1 and 6.12 print")
        digits = _HEX.fullmatch(fields[1])
        pointer = int(fields[1], 16) if digits else 0
        if pointer >= KERNEL_HALF:
            self.found.checked = True
            self.do[name](number, pointer, fields)
        elif pointer >= PAGE_SIZE or (not digits and fields[1] not in ("(null)", "(nil)")):
            # Below the first page are NULL and ZERO_SIZE_PTR.
            self.hashed = True
        return not self.hashed

    def _kmalloc(self, number: int, pointer: int, fields: re.Match[str]) -> None:
        size = int(fields[3])
        alignment = self.alignment(size)
        self.found.kmalloc_pointers += 1
        if pointer % alignment == 0:
            self.found.aligned += 1
        else:
            self._wrong(f"line {number}: kmalloc of {size} bytes at {pointer:#x}, no multiple of {alignment}")
        self._alloc(number, pointer, fields)

    def _alloc(self, number: int, pointer: int, fields: re.Match[str]) -> None:
        key = ("kmalloc" if fields.re is _KMALLOC else "", int(fields[3]), fields[4])
        if freed := self.freed.get(key, 0):
            self.found.lifo_checked += 1
            self.found.lifo += freed == pointer
        if len(self.live) >= MAX_LIVE:
            self._forget()
        self.freed[key] = 0
        self.live[pointer] = key
