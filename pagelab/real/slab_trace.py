"""Check the objects of a captured kmem trace: where they lie in their slabs, how they are aligned, which one is used next.

Only events between the snapshots count. The kernel sees all pages in a row, from an address that is a multiple of every block's size: so
what an address leaves over tells where in its slab an object lies, and the table of /sys/kernel/slab tells where objects may begin.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pagelab.mm.slab_common import kmalloc_size
from pagelab.mm.slab_layout import WORD, kmalloc_alignment
from pagelab.mm.units import PAGE_SIZE, get_order
from pagelab.real.archive import fail, shorten
from pagelab.real.capture import Capture
from pagelab.real.replay import S0_END, S1_BEGIN, TRACE, rules_of
from pagelab.real.slab import TABLE
from pagelab.real.slabinfo import SlabRow, parse_slab_table
from pagelab.real.trace import LAYOUT, LINE

KERNEL_HALF = 1 << 63  # addresses of the kernel are above it; what %p makes of one, to hide it, is below
MAX_LIVE = 1 << 20  # objects that are remembered at a time

_POINTER = r"call_site=\S{1,300} ptr=(?:0x)?([0-9a-fA-F]{1,16}|\([_a-z]{3,16}\)) ?"
_BYTES = r"bytes_req=(\d{1,18}) bytes_alloc=(\d{1,18}) gfp_flags=\S+(?: node=-?\d{1,9})?(?: accounted=(true|false))?"
_FORMS = {
    name: re.compile(_POINTER + fields, re.ASCII)
    for name, fields in {"kmalloc": _BYTES, "kmem_cache_alloc": _BYTES, "kfree": "", "kmem_cache_free": r"name=(.{1,200})"}.items()
}
_NULL = ("(null)", "(nil)")

Key = tuple[str, str, str | None]


@dataclass
class Objects:
    """What was counted.

    free_pointers, on_boundary: pointers given to kmem_cache_free, and those where an object may begin. kmalloc_pointers, aligned: pointers
    that kmalloc returned, and those that are aligned as their size class is. lifo_checked, lifo: allocations that follow a free of their
    kind (event, bytes, accounted or not), and those that got the object freed.
    """

    free_pointers: int = 0
    on_boundary: int = 0
    kmalloc_pointers: int = 0
    aligned: int = 0
    lifo_checked: int = 0
    lifo: int = 0


class SlabTrace(NamedTuple):
    """What a trace says of its objects; objects is None where it does not tell. notes: a sentence each."""

    objects: Objects | None = None
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether a pointer is wrong. That the object freed last is used first is no law: CPUs and slabs take turns."""
        found = self.objects or Objects()
        return found.on_boundary < found.free_pointers or found.aligned < found.kmalloc_pointers

    def as_json(self) -> dict[str, Any]:
        """Give the counts as JSON values."""
        return {"slab_trace": asdict(self.objects) if self.objects else None}

    def as_text(self) -> Iterator[str]:
        """Give the counts as lines, if there are any."""
        if found := self.objects:
            for name, right, pointers, where in (
                ("objects freed", found.on_boundary, found.free_pointers, "on a boundary"),
                ("objects of kmalloc", found.aligned, found.kmalloc_pointers, "aligned"),
            ):
                yield f"  {name}: {right:,} of {pointers:,} {where}" + (f", {pointers - right:,} WRONG" if right < pointers else "")
            yield f"  last freed, first used: {found.lifo:,} of {found.lifo_checked:,}"


class Slots(NamedTuple):
    """The slots of a slab. size: bytes of each; pad: those before its object. objects: how many. order: of the slab's pages."""

    size: int
    pad: int
    objects: int
    order: int

    def begins(self, pointer: int) -> bool:
        """Tell whether an object of such a slab may begin at an address.

        >>> [Slots(size=96, pad=0, objects=42, order=0).begins(0xFFFF888000001000 + at) for at in (0, 96, 100, 42 * 96)]
        [True, True, False, False]
        """
        index, rest = divmod(pointer % (PAGE_SIZE << self.order) - self.pad, self.size)
        return rest == 0 and 0 <= index < self.objects

    def smallest(self) -> "Slots":
        """Return the slots of the slab that is taken when memory is short: the smallest that holds an object."""
        order = get_order(-(-self.size // PAGE_SIZE))
        return self._replace(objects=(PAGE_SIZE << order) // self.size, order=order)


def slab_trace(capture: Capture) -> SlabTrace:
    """Check the events kmalloc, kfree, kmem_cache_alloc and kmem_cache_free between the snapshots of a capture.

    Args:
        capture: with trace.txt, recorded with no_hash_pointers; with slab.tsv too, for the slots.

    Returns:
        The SlabTrace.

    Raises:
        CaptureError: a file is damaged or of another form.

    Source: include/trace/events/kmem.h, 6.12.

    >>> from pagelab.real.capture import example
    >>> found = slab_trace(example("612-slab-768M-1cpu")).objects
    >>> found.on_boundary == found.free_pointers, found.aligned == found.kmalloc_pointers
    (True, True)
    """
    if TRACE not in capture:
        return SlabTrace()
    run = _Run(slots_of(capture), rules_of(capture.kernel)[0], capture.file_name(TRACE))
    run.follow(capture.lines(TRACE))
    return run.result()


def slots_of(capture: Capture) -> dict[str, Slots]:
    """Find the slots of each cache, by every name that it has in a slab.tsv; the latest counts.

    Args:
        capture: with slab.tsv in any snapshot.

    Returns:
        The Slots by name of the cache; caches of which the table does not tell all are left out.

    Raises:
        CaptureError: a file is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> slots_of(example("612-slab-768M-1cpu"))["filp"]
    Slots(size=192, pad=0, objects=21, order=0)
    """
    found: dict[str, Slots] = {}
    for snapshot in capture.snapshots:
        if f"{snapshot}.{TABLE}" in capture:
            name = f"{snapshot}.{TABLE}"
            rows = {row.name: row for row in parse_slab_table(capture.text(name), capture.file_name(name))}
            for row in rows.values():
                if slots := _slots(rows.get(row.link, row)):
                    found[row.name] = slots
    return found


def _slots(row: SlabRow) -> Slots | None:
    if not (row.slab_size and row.objs_per_slab) or row.order is None:
        return None
    pad = -(-WORD // (row.align or WORD)) * (row.align or WORD) if row.red_zone else 0
    return Slots(row.slab_size, pad, row.objs_per_slab, row.order)


class _Run:
    """One pass over the lines of a trace."""

    def __init__(self, slots: dict[str, Slots], version: str, place: str) -> None:
        self.slots, self.version, self.place = slots, version, place
        self.found = Objects()
        self.first = ""
        self.marks: set[str] = set()
        self.seen = self.counted = self.hashed = False
        self.lost = self.unknown = self.smaller = 0
        self.live: dict[int, Key] = {}
        self.freed: dict[Key, int] = {}  # of each kind: the object, if its last event was a free
        self.do = {"kmalloc": self._kmalloc, "kmem_cache_alloc": self._alloc, "kfree": self._free, "kmem_cache_free": self._cache_free}

    def follow(self, lines: Iterable[tuple[int, str]]) -> None:
        """Follow the lines up to the second snapshot, or to a pointer that is hashed."""
        match, forms, between = LINE.match, _FORMS, False
        for number, text in lines:
            found = match(text)
            if not found:
                if text.startswith("CPU:"):
                    self._lost(between)
                elif text.strip() and not text.startswith("#"):
                    fail(f"{self.place} line {number}", f"{shorten(text)} is not understood", LAYOUT)
            elif found[4] in forms:
                self.seen = True
                if between:
                    self._event(f"line {number}", found[4], found[5])
            elif found[4] == "tracing_mark_write" and found[5].strip() in (S0_END, S1_BEGIN):
                self.marks.add(found[5].strip())
                between = S0_END in self.marks
            if self.hashed or len(self.marks) == 2:
                return

    def result(self) -> SlabTrace:
        """Say what was found, or why there is nothing."""
        missing = [repr(mark) for mark in (S0_END, S1_BEGIN) if mark not in self.marks]
        if self.hashed:
            return SlabTrace(None, ("Objects are not checked: the trace's pointers are hashed, for want of no_hash_pointers at boot.",))
        if self.seen and missing:
            return SlabTrace(None, (f"Objects are not checked: the trace has no mark {' and no mark '.join(missing)}.",))
        freed = f"{self.found.free_pointers + self.unknown:,} objects freed"
        told = {
            f"Of {freed}, {self.unknown:,} not checked: {TABLE} does not tell the slots of their caches": self.unknown,
            f"Of {freed}, {self.smaller:,} are on a boundary only in a small slab, as is taken when memory is short": self.smaller,
            f"Places where events were lost: {self.lost:,}; which object is used next is counted afresh after each": self.lost,
            f"First wrong object: {self.first}": self.first,
        }
        return SlabTrace(self.found, tuple(f"{note}." for note, there in told.items() if there)) if self.counted else SlabTrace()

    def _event(self, where: str, name: str, text: str) -> None:
        fields = _FORMS[name].match(text)
        if not fields:
            fail(f"{self.place} {where}", f"{name} has {shorten(text)}", "the fields that 6.1 and 6.12 print")
        if fields[1] in _NULL:
            return
        pointer = -1 if fields[1].startswith("(") else int(fields[1], 16)
        if pointer >= KERNEL_HALF:
            self.counted = True
            self.do[name](where, name, pointer, fields)
        else:
            # In the first page are NULL and the answer to kmalloc of nothing.
            self.hashed = not 0 <= pointer < PAGE_SIZE

    def _kmalloc(self, where: str, name: str, pointer: int, fields: re.Match[str]) -> None:
        # The class of the size asked for: the size given holds what debugging adds.
        try:
            alignment = kmalloc_alignment(kmalloc_size(int(fields[2])), self.version)
        except ValueError as error:
            fail(f"{self.place} {where}", str(error), "a size that kmalloc gives")
        self.found.kmalloc_pointers += 1
        self.found.aligned += pointer % alignment == 0
        if pointer % alignment and not self.first:
            self.first = f"{where}, {pointer:#x}: kmalloc of {int(fields[2]):,} bytes, and no multiple of {alignment:,}"
        self._alloc(where, name, pointer, fields)

    def _alloc(self, where: str, name: str, pointer: int, fields: re.Match[str]) -> None:
        key = name, fields[3], fields[4]
        if freed := self.freed.pop(key, 0):
            self.found.lifo_checked += 1
            self.found.lifo += freed == pointer
        if len(self.live) == MAX_LIVE:
            self._forget()
        self.live[pointer] = key

    def _free(self, where: str, name: str, pointer: int, fields: re.Match[str]) -> None:
        if key := self.live.pop(pointer, None):
            self.freed[key] = pointer

    def _cache_free(self, where: str, name: str, pointer: int, fields: re.Match[str]) -> None:
        self._free(where, name, pointer, fields)
        slots = self.slots.get(fields[2].strip())
        if not slots:
            self.unknown += 1
            return
        self.found.free_pointers += 1
        if slots.begins(pointer):
            self.found.on_boundary += 1
        elif slots.smallest().begins(pointer):
            self.found.on_boundary += 1
            self.smaller += 1
        elif not self.first:
            self.first = f"{where}, {pointer:#x}: no object of {shorten(fields[2])} begins there"

    def _lost(self, between: bool) -> None:
        self.lost += between
        self._forget()

    def _forget(self) -> None:
        """Forget what is in use and what was freed: nothing is known of what comes next."""
        self.live.clear()
        self.freed.clear()
