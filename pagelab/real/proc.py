"""Read what /proc says about memory: buddyinfo, zoneinfo and pagetypeinfo as text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from pagelab.mm.units import NR_PAGE_ORDERS
from pagelab.real.archive import fail, shorten

ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
MARKS = ("min", "low", "high")

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)
_ROW = re.compile(r"Node +([0-9]{1,9}), +zone +(\S+?)(?:, +type +(\S+))?(?: +(.*))?")
_ROW_FORM = "'Node 0, zone DMA32' and its numbers"
_BLOCKS_HEADER = "Number of blocks type"

ZoneKey = tuple[int, str]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class ZoneInfo:
    """One zone of /proc/zoneinfo.

    Attributes:
        node: number of the NUMA node.
        zone: name, as the kernel prints it.
        spanned: pfns from the first page to the last, holes included.
        present: pages that exist.
        managed: pages that the buddy allocator was given.
        start_pfn: the first pfn; None where the kernel prints none, as for a zone without pages.
        pcp: pages on the per-CPU lists, for each cpu.
        marks: the watermarks min, low and high, where the kernel prints them.
        lists: what each cpu's lists may hold and how much they take at a time, as (high, batch).
    """

    node: int
    zone: str
    spanned: int
    present: int
    managed: int
    start_pfn: int | None
    pcp: dict[int, int]
    marks: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    lists: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def has_free_lists(self) -> bool:
        """Whether the buddy allocator has pages here: not in a zone without pages, nor in Device."""
        return self.start_pfn is not None and self.present > 0 and self.zone != "Device"

    @property
    def end_pfn(self) -> int:
        """The first pfn after the zone."""
        return (self.start_pfn or 0) + self.spanned


@dataclass(frozen=True)
class PageTypeInfo:
    """What /proc/pagetypeinfo says.

    Attributes:
        free: 11 counts of free blocks for each (node, zone, migratetype); the kernel counts no further than 100,000.
        blocks: the number of pageblocks of each migratetype, for each (node, zone).
    """

    free: dict[tuple[int, str, str], list[int]]
    blocks: dict[ZoneKey, dict[str, int]]


def parse_buddyinfo(text: str, place: str = "buddyinfo") -> dict[ZoneKey, list[int]]:
    """Read the text of /proc/buddyinfo.

    Args:
        text: one line for each zone that has pages.
        place: the name that errors give to the text.

    Returns:
        11 counts of free blocks, for the orders 0..10, for each (node, zone).

    Raises:
        CaptureError: a line of another form, not 11 columns, an unknown zone, a zone twice, or no line at all.

    Source: frag_show_print, mm/vmstat.c, 6.12.

    >>> parse_buddyinfo("Node 0, zone    DMA32   3   2   2   0   2   1   0   2   5   2  29 ")
    {(0, 'DMA32'): [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29]}
    """
    zones: dict[ZoneKey, list[int]] = {}
    for where, line in _lines(text, place):
        match = _row(line, where)
        _add(zones, _zone_key(match, where), _counts(match[4], where, NR_PAGE_ORDERS, "orders 0..10"), where)
    return zones


def parse_zoneinfo(text: str, place: str = "zoneinfo") -> dict[ZoneKey, ZoneInfo]:
    """Read the text of /proc/zoneinfo.

    Args:
        text: all of it, with the zones that have no pages.
        place: the name that errors give to the text.

    Returns:
        A ZoneInfo for each (node, zone).

    Raises:
        CaptureError: an unknown zone, a zone twice, a zone without its sizes, or no number where one belongs.

    Source: zoneinfo_show_print, mm/vmstat.c, 6.12.

    >>> text = "Node 0, zone  DMA; spanned 4095; present 3998; managed 3840; cpu: 0; count: 5; start_pfn: 1"
    >>> parse_zoneinfo(text.replace("; ", chr(10)))[0, "DMA"]
    ZoneInfo(node=0, zone='DMA', spanned=4095, present=3998, managed=3840, start_pfn=1, pcp={0: 5})
    """
    sizes: dict[ZoneKey, dict[str, int]] = {}
    cpus: dict[ZoneKey, dict[int, dict[str, int]]] = {}
    key, cpu = (0, ""), -1
    for where, line in _lines(text, place):
        word, _, value = line.partition(" ")
        if word == "Node":
            key = _zone_key(_row(line, where), where)
            _add(sizes, key, {}, where)
            cpus[key] = {}
        elif not sizes:
            fail(where, f"{shorten(line)} comes before any zone", _ROW_FORM)
        elif word in ("spanned", "present", "managed", "start_pfn:", *MARKS):
            _add(sizes[key], word, _number(value, where), where)
        elif word == "cpu:":
            cpu = _number(value, where)
            _add(cpus[key], cpu, {}, where)
        elif word in ("count:", "high:", "batch:"):
            _add(cpus[key].setdefault(cpu, {}), word, _number(value, where), where)
    return {key: _zone_info(key, sizes[key], cpus[key], place) for key in sizes}


def parse_pagetypeinfo(text: str, place: str = "pagetypeinfo") -> PageTypeInfo:
    """Read the text of /proc/pagetypeinfo.

    Args:
        text: all of it; the kernel prints both tables for each node.
        place: the name that errors give to the text.

    Returns:
        The free blocks and the pageblocks of each migratetype.

    Raises:
        CaptureError: a row without its number of columns, an unknown zone, a row twice, or no number where one belongs.

    Source: pagetypeinfo_show, mm/vmstat.c, 6.12.

    >>> text = "Number of blocks type    Unmovable    Movable; Node 0, zone    DMA    1    7"
    >>> parse_pagetypeinfo(text.replace("; ", chr(10))).blocks
    {(0, 'DMA'): {'Unmovable': 1, 'Movable': 7}}
    """
    info = PageTypeInfo({}, {})
    types: list[str] = []
    for where, line in _lines(text, place):
        if line.startswith(_BLOCKS_HEADER):
            types = line.removeprefix(_BLOCKS_HEADER).split()
        elif line.startswith("Node"):
            match = _row(line, where)
            key = _zone_key(match, where)
            if match[3]:
                counts = _counts(match[4].replace(">", ""), where, NR_PAGE_ORDERS, "orders 0..10")
                _add(info.free, (*key, match[3]), counts, where)
            else:
                counts = _counts(match[4], where, len(types), "the migratetypes named above")
                _add(info.blocks, key, dict(zip(types, counts, strict=True)), where)
    return info


def _lines(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Yield place and text of each line that is not blank; there must be one."""
    if not text.strip():
        fail(place, "is empty", _ROW_FORM)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{place} line {number}", line.strip()


def _row(line: str, where: str) -> re.Match[str]:
    return _ROW.fullmatch(line) or fail(where, f"{shorten(line)} is not the row of a zone", _ROW_FORM)


def _zone_key(match: re.Match[str], where: str) -> ZoneKey:
    if match[2] not in ZONES:
        fail(where, f"{shorten(match[2])} is not a zone", f"one of {', '.join(ZONES)}")
    return int(match[1]), match[2]


def _counts(text: str | None, where: str, columns: int, meaning: str) -> list[int]:
    values = (text or "").split()
    if len(values) != columns:
        fail(where, f"{len(values)} columns", f"{columns}, for {meaning}")
    return [_number(value, where) for value in values]


def _number(text: str, where: str) -> int:
    if not _NUMBER.fullmatch(text.strip()):
        fail(where, f"{shorten(text.strip())} is not a number", "digits, 20 at most")
    return int(text)


def _add(table: dict[K, V], key: K, value: V, where: str) -> None:
    if key in table:
        fail(where, f"{key!r} is there twice", "each once")
    table[key] = value


def _zone_info(key: ZoneKey, sizes: dict[str, int], cpus: dict[int, dict[str, int]], place: str) -> ZoneInfo:
    if missing := [word for word in ("spanned", "present", "managed") if word not in sizes]:
        problem = f"node {key[0]}, zone {key[1]} has no {' and no '.join(missing)}"
        fail(place, problem, "the whole text of /proc/zoneinfo")
    pcp = {cpu: told["count:"] for cpu, told in cpus.items() if "count:" in told}
    lists = {cpu: (told["high:"], told["batch:"]) for cpu, told in cpus.items() if {"high:", "batch:"} <= set(told)}
    marks = {word: sizes[word] for word in MARKS if word in sizes}
    return ZoneInfo(*key, sizes["spanned"], sizes["present"], sizes["managed"], sizes.get("start_pfn:"), pcp, marks, lists)
