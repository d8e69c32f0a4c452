"""Read the text of a kmem trace, one event at a time: what the page allocator of a real kernel did.

The text is what tracefs prints in `trace`. Lines stream through; nothing is kept. Events that the model has no use for are passed over, but
a line of another layout ends the reading with one sentence that names it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pagelab.mm.units import MAX_PAGE_ORDER
from pagelab.mm.zone import MIGRATETYPES
from pagelab.real.archive import fail, shorten

LAYOUT = "a line of tracefs, as '  dd-101  [000] d..3.  5.241034: mm_page_alloc_zone_locked: page=... pfn=0x478b order=0 ...'"
VMEMMAP_BASE, STRUCT_PAGE = 0xFFFFEA0000000000, 64
MAX_PFN = 1 << 40  # 4 PiB of memory: all that 52 bits of physical address can name

# TASK-PID, with record-tgid the thread group, [CPU], flags, timestamp, event.
_FLAGS = r"[a-zA-Z.\d]{3}[.\da-f][a-zA-Z.\d]{0,2}"
LINE = re.compile(
    r"\s{0,20}\S.{0,40}-(\d{1,9})\s{1,20}(?:\([\s\d-]{1,20}\)\s{1,20})?\[(\d{1,5})\]\s{1,20}("
    + _FLAGS
    + r")\s{1,20}\d{1,12}\.\d{1,12}: (\w+): ?(.*)",
    re.ASCII,
)
_LOST = re.compile(r"CPU:(\d{1,5}) \[LOST (?:(\d{1,18}) )?EVENTS\]", re.ASCII)
_NUMBER = r"(0x[0-9a-fA-F]{1,16}|0|[1-9]\d{0,18})"
_PFN = r"page=\S+ pfn=" + _NUMBER + " "
_FORMS = {
    "mm_page_alloc": ("alloc", _PFN + r"order=(\d{1,3}) migratetype=(\d{1,3}) gfp_flags="),
    "mm_page_free": ("free", _PFN + r"order=(\d{1,3})"),
    "mm_page_free_batched": ("batched", _PFN + r"order=(\d{1,3})"),
    "mm_page_alloc_zone_locked": ("take", _PFN + r"order=(\d{1,3}) migratetype=(\d{1,3}) percpu_refill=([01])"),
    "mm_page_pcpu_drain": ("drain", _PFN + r"order=(\d{1,3}) migratetype=(\d{1,3})"),
    "mm_page_alloc_extfrag": (
        "extfrag",
        _PFN + r"alloc_order=(\d{1,3}) fallback_order=(\d{1,3}) pageblock_order=9 "
        r"alloc_migratetype=(\d{1,3}) fallback_migratetype=(\d{1,3}) fragmenting=[01] change_ownership=([01])",
    ),
    "iso": ("isolate", r"\([^()]{0,200}\) page=(?:0x)?([0-9a-fA-F]{16}) order=" + _NUMBER),
}
_WITH_TYPE = ("alloc", "take", "drain")
_READERS = {name: (kind, re.compile(form, re.ASCII)) for name, (kind, form) in _FORMS.items()}


class Event(NamedTuple):
    """One line of a trace that says something about pages.

    kind is "alloc" (to a caller), "free" (by a caller), "batched" (a page of a batch reaches its list), "take" (off the buddy lists),
    "drain" (back to them), "extfrag" (a fallback), "isolate" (compaction takes a free block), "mark" (text) or "lost" (number of events;
    1 where the kernel does not know it).
    softirq and depth are the context in which it was traced. refill: a take for a per-CPU list. fallback: the order of the block, its
    migratetype, and whether the pageblock changed. pid: of the task that was running.
    """

    line: int
    kind: str
    cpu: int
    softirq: bool
    depth: int
    pfn: int = -1
    order: int = -1
    mt: int = -1
    refill: bool = False
    fallback: tuple[int, int, bool] = (-1, -1, False)
    text: str = ""
    number: int = 0
    pid: int = -1


def read_events(lines: Iterable[tuple[int, str]], place: str = "trace.txt") -> Iterator[Event]:
    """Read a trace line by line.

    Args:
        lines: pairs of line number and text.
        place: the name that errors give to the text.

    Returns:
        The events, in the order of the lines.

    Raises:
        CaptureError: the first line of another layout, or an event without its fields.

    Source: include/trace/events/kmem.h and kernel/trace/trace_output.c, 6.12.

    >>> line = "  dd-101  [000] d..3.  5.241034: mm_page_pcpu_drain: page=0000 pfn=0x7dfc order=2 migratetype=0"
    >>> [(e.kind, hex(e.pfn), e.order, e.depth) for e in read_events([(1, line)])]
    [('drain', '0x7dfc', 2, 3)]
    """
    match, readers = LINE.match, _READERS
    for number, text in lines:
        found = match(text)
        if not found:
            if text.startswith("#") or not text.strip():
                continue
            if lost := _LOST.match(text):
                yield Event(number, "lost", int(lost[1]), False, 0, number=int(lost[2] or 1))
                continue
            fail(f"{place} line {number}", f"{shorten(text)} is not understood", LAYOUT)
        name = found[4]
        if name in readers:
            kind, form = readers[name]
            fields = form.match(found[5])
            if not fields:
                fail(f"{place} line {number}", f"{name} has {shorten(found[5])}", "the fields that 6.1 and 6.12 print")
            yield _check(_EVENTS[kind](number, kind, found, fields), place)
        elif name == "tracing_mark_write":
            yield Event(number, "mark", int(found[2]), False, 0, text=found[5].strip())


def _context(number: int, kind: str, found: re.Match[str]) -> tuple[int, str, int, bool, int]:
    """Read the CPU and the flags: irqs-off, need-resched, hardirq/softirq, preempt-depth."""
    flags = found[3]
    depth = flags[3]
    return number, kind, int(found[2]), flags[2] in "sSH", 0 if depth == "." else int(depth, 16)


def _page(number: int, kind: str, found: re.Match[str], fields: re.Match[str]) -> Event:
    mt, refill = (int(fields[3]) if kind in _WITH_TYPE else -1), kind == "take" and fields[4] == "1"
    return Event(*_context(number, kind, found), int(fields[1], 0), int(fields[2]), mt, refill, pid=int(found[1]))


def _extfrag(number: int, kind: str, found: re.Match[str], fields: re.Match[str]) -> Event:
    fallback = (int(fields[3]), int(fields[5]), fields[6] == "1")
    return Event(*_context(number, kind, found), int(fields[1], 0), int(fields[2]), int(fields[4]), fallback=fallback)


def _isolate(number: int, kind: str, found: re.Match[str], fields: re.Match[str]) -> Event:
    """The probe prints the address of struct page: with nokaslr the memmap begins at VMEMMAP_BASE."""
    pfn = (int(fields[1], 16) - VMEMMAP_BASE) // STRUCT_PAGE
    return Event(*_context(number, kind, found), pfn, int(fields[2], 0))


_EVENTS: Mapping[str, Callable[[int, str, re.Match[str], re.Match[str]], Event]] = dict.fromkeys(
    ("alloc", "free", "batched", "take", "drain"), _page
) | {"extfrag": _extfrag, "isolate": _isolate}


def _check(event: Event, place: str) -> Event:
    """Refuse numbers that no kernel prints; a failed allocation prints pfn 0, or -1 on some kernels."""
    where = f"{place} line {event.line}"
    if not 0 <= event.order <= MAX_PAGE_ORDER:
        fail(where, f"order {event.order} does not exist", "an order from 0 to 10")
    order, mt, _ = event.fallback
    if not -1 <= order <= MAX_PAGE_ORDER:
        fail(where, f"fallback_order {order} does not exist", "an order from 0 to 10")
    for number in (event.mt, mt):
        if not -1 <= number < len(MIGRATETYPES):
            fail(where, f"migratetype {number} does not exist", "a migratetype from 0 to 5")
    if not 0 <= event.pfn < MAX_PFN and event.kind not in ("alloc", "isolate"):
        fail(where, f"pfn {event.pfn:#x} does not exist", f"a pfn below {MAX_PFN:#x}")
    return event
