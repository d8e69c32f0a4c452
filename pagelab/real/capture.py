"""Read what a real kernel said about its memory, and write it down.

A capture is a folder or an archive of files named SNAPSHOT.KIND, such as S0.buddyinfo: what /proc held at that moment,
plain, .gz or .xz. Any of them may be missing. A file is read when it is asked for; what is wrong with it is said in one
sentence, a CaptureError.
"""

import gzip
import mmap
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pagelab.mm.units import NR_PAGE_ORDERS, PAGE_SIZE
from pagelab.real.archive import CHUNK, MAX_FILE, PACKED, fail, find_files, read_file, read_lines, shorten
from pagelab.real.archive import CaptureError as CaptureError

ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
KPF_BUDDY = 10
KPF_NOPAGE = 20
MAX_TEXT = 16 << 20  # bytes of a text file, unpacked: a zoneinfo of 1,000 CPUs is 1 MB
TEXTS = ("pagetypeinfo", "zoneinfo", "slabinfo", "iomem", "meminfo", "version", "cmdline", "vmstat", "modules")
EXAMPLES = Path(__file__).parent / "slices"

_KINDS = "|".join((r"buddyinfo(?:\.pre|\.post)?", "kpageflags", "kpagecount", r"slab\.tsv", "nd", *TEXTS))
_FILE = re.compile(rf"(?:(?P<snapshot>[\w -]+)\.(?:{_KINDS})|dmesg|trace\.txt|trace\.cpu[0-9]+\.stats)(?:\.gz|\.xz)?")
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
    """

    node: int
    zone: str
    spanned: int
    present: int
    managed: int
    start_pfn: int | None
    pcp: dict[int, int]

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
    pcp: dict[ZoneKey, dict[int, int]] = {}
    key, cpu = (0, ""), -1
    for where, line in _lines(text, place):
        word, _, value = line.partition(" ")
        if word == "Node":
            key = _zone_key(_row(line, where), where)
            _add(sizes, key, {}, where)
            pcp[key] = {}
        elif not sizes:
            fail(where, f"{shorten(line)} comes before any zone", _ROW_FORM)
        elif word in ("spanned", "present", "managed", "start_pfn:"):
            _add(sizes[key], word, _number(value, where), where)
        elif word == "cpu:":
            cpu = _number(value, where)
        elif word == "count:":
            _add(pcp[key], cpu, _number(value, where), where)
    return {key: _zone_info(key, sizes[key], pcp[key], place) for key in sizes}


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


class Capture:
    """An opened capture: its files by name.

    Attributes:
        name: the name of the folder or archive.
        snapshots: what stands before the first dot of the files' names, such as "S0", in order.
    """

    def __init__(self, name: str, files: dict[str, bytearray | Path]) -> None:
        """Take the files that open_capture has found."""
        self.name = name
        self._files: dict[str, tuple[str, bytearray | Path]] = {}
        for packed in sorted(files):
            plain = packed.removesuffix(PACKED[0]).removesuffix(PACKED[1])
            if plain in self._files:
                fail(name, f"{plain} is there twice, as {self._files[plain][0]} and {packed}", "one of the two")
            self._files[plain] = (packed, files[packed])
        found = {match["snapshot"] for match in map(_FILE.fullmatch, self._files) if match and match["snapshot"]}
        self.snapshots = tuple(sorted(found))

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a file such as "S0.zoneinfo", plain or packed."""
        return name in self._files

    @property
    def kernel(self) -> str | None:
        """Major and minor version, as in "6.12": of a version file, else of the first line of dmesg, else None."""
        for name in (*(f"{snapshot}.version" for snapshot in self.snapshots), "dmesg"):
            first_line = self.read(name, MAX_TEXT).partition(b"\n")[0] if name in self else bytearray()
            if match := re.search(r"Linux version ([0-9]{1,4}\.[0-9]{1,4})", self._decode(first_line, name)):
                return match[1]
        return None

    def read(self, name: str, limit: int = MAX_FILE) -> bytearray:
        """Read one file.

        Args:
            name: such as "S0.kpageflags", without .gz or .xz.
            limit: bytes that it may have when unpacked.

        Returns:
            The unpacked bytes.

        Raises:
            CaptureError: the file is missing, damaged or too large.

        >>> len(example().read("S0.kpageflags"))
        524288
        """
        if name not in self:
            fail(self.name, f"{name} is missing", f"a capture with {name}, plain, .gz or .xz")
        return read_file(*self._files[name], limit)

    def text(self, name: str) -> str:
        """Read one file as text.

        Args:
            name: such as "S0.meminfo".

        Returns:
            Its text.

        Raises:
            CaptureError: the file is missing, damaged, too large, or not UTF-8.

        >>> example().text("S0.version")[:17]
        'Linux version 6.1'
        """
        return self._decode(self.read(name, MAX_TEXT), name)

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """Read one file line by line, so that a long one need not fit into memory.

        Args:
            name: such as "trace.txt".

        Returns:
            Pairs of line number, from 1, and text.

        Raises:
            CaptureError: the file is missing, damaged or too large, or a line is too long.

        >>> next(example().lines("S0.version"))[1][:17]
        'Linux version 6.1'
        """
        if name not in self:
            fail(self.name, f"{name} is missing", f"a capture with {name}, plain, .gz or .xz")
        return read_lines(*self._files[name])

    def file_name(self, name: str) -> str:
        """Return the name that a file has in the capture, with .gz or .xz."""
        return self._files[name][0]

    def _decode(self, data: bytearray, name: str) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            problem = f"byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8"
            fail(self._files[name][0], problem, "the text that the kernel printed")

    def buddyinfo(self, snapshot: str, when: str = "") -> dict[ZoneKey, list[int]]:
        """Read the kernel's own counts of free blocks.

        Args:
            snapshot: such as "S0".
            when: ".pre" or ".post" for what was read just before or after kpageflags, "" for the plain file.

        Returns:
            As parse_buddyinfo.

        Raises:
            CaptureError: the file is missing or of another form.

        >>> example().buddyinfo("S0", ".pre")[0, "DMA32"]
        [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29]
        """
        name = f"{snapshot}.buddyinfo{when}"
        return parse_buddyinfo(self.text(name), self._files[name][0])

    def zoneinfo(self, snapshot: str) -> dict[ZoneKey, ZoneInfo]:
        """Read the zones.

        Args:
            snapshot: such as "S0".

        Returns:
            As parse_zoneinfo.

        Raises:
            CaptureError: the file is missing or of another form.

        >>> example().zoneinfo("S0")[0, "DMA32"].start_pfn
        4096
        """
        name = f"{snapshot}.zoneinfo"
        return parse_zoneinfo(self.text(name), self._files[name][0])

    def pagetypeinfo(self, snapshot: str) -> PageTypeInfo:
        """Read the free blocks and the pageblocks of each migratetype.

        Args:
            snapshot: such as "S0".

        Returns:
            As parse_pagetypeinfo.

        Raises:
            CaptureError: the file is missing or of another form.

        >>> example().pagetypeinfo("S0").blocks[0, "DMA"]["Movable"]
        7
        """
        name = f"{snapshot}.pagetypeinfo"
        return parse_pagetypeinfo(self.text(name), self._files[name][0])

    def kpageflags(self, snapshot: str) -> npt.NDArray[np.uint64]:
        """Read the flags of every page.

        Args:
            snapshot: such as "S0".

        Returns:
            uint64 array, shape (nr_pfns,): the KPF_ bits of pfn 0, 1, 2 and so on.

        Raises:
            CaptureError: the file is missing, damaged, or no whole number of entries.

        Source: kpageflags_read and stable_page_flags, fs/proc/page.c, 6.12.

        >>> hex(example().kpageflags("S0")[0])
        '0x100000000'
        """
        name = f"{snapshot}.kpageflags"
        data = self.read(name)
        if len(data) % 8:
            fail(self._files[name][0], f"{len(data):,} bytes are not a multiple of 8", "8 bytes for each pfn")
        return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)

    def free_pages(self, snapshot: str) -> dict[ZoneKey, npt.NDArray[np.bool_]]:
        """Find the pages in the free lists: KPF_BUDDY and not KPF_NOPAGE.

        Args:
            snapshot: such as "S0".

        Returns:
            For each (node, zone) with free lists a bool array, shape (spanned,), beginning at the zone's start_pfn.

        Raises:
            CaptureError: kpageflags or zoneinfo is missing or of another form, or kpageflags ends inside a zone.

        Unlike the kernel, pages on per-CPU lists are not free here: kpageflags does not tell them from pages in use.

        >>> int(example().free_pages("S0")[0, "DMA32"].sum())
        32335
        """
        zones = {key: zone for key, zone in self.zoneinfo(snapshot).items() if zone.has_free_lists}
        flags = self.kpageflags(snapshot)
        for (node, name), zone in zones.items():
            if zone.end_pfn > flags.size:
                problem = f"ends at pfn {flags.size}, inside node {node}, zone {name}"
                fail(self._files[f"{snapshot}.kpageflags"][0], problem, f"{8 * zone.end_pfn:,} bytes or more")
        free = (flags & np.uint64(1 << KPF_BUDDY | 1 << KPF_NOPAGE)) == np.uint64(1 << KPF_BUDDY)
        return {key: free[zone.start_pfn : zone.end_pfn] for key, zone in zones.items()}


def open_capture(path: str | Path) -> Capture:
    """Open a capture; its files are read later, when they are asked for.

    Args:
        path: a folder, a .zip or a .tar.gz; in an archive the files may lie in one top folder.

    Returns:
        The capture.

    Raises:
        CaptureError: there is no capture at this path, or the archive could do harm.

    >>> open_capture(EXAMPLES / "61-buddy-256M-1cpu").snapshots
    ('S0',)
    """
    files = find_files(path, lambda file: _FILE.fullmatch(file) is not None)
    if not files:
        fail(str(path), "holds no file of a capture", "names such as S0.buddyinfo, S0.zoneinfo and S0.kpageflags.gz")
    return Capture(Path(path).absolute().name, files)


def example(name: str = "61-buddy-256M-1cpu") -> Capture:
    """Open a capture that comes with pagelab.

    Args:
        name: 61-buddy-256M-1cpu is a 6.1 kernel with 256 MiB and 1 CPU; only its snapshot S0 is here.

    Returns:
        The capture.

    Raises:
        ValueError: there is no example of that name.

    >>> example().kernel
    '6.1'
    """
    names = sorted(path.name for path in EXAMPLES.iterdir())
    if name not in names:
        raise ValueError(f"{name!r} is not an example: choose from {', '.join(names)}")
    return open_capture(EXAMPLES / name)


class Here(NamedTuple):
    """Free memory as `this_machine` found it: a sentence that says whose it is, and the text of a /proc/buddyinfo."""

    words: str
    text: str

    def __str__(self) -> str:
        return f"{self.words}\n\n{self.text.rstrip()}"


def this_machine(proc: str | Path = "/proc") -> Here:
    """Read this machine's /proc/buddyinfo; where there is none, or none of the known form, that of the example.

    Args:
        proc: where /proc is.

    Returns:
        The text, and a sentence that says which of the two it is.

    >>> this_machine(EXAMPLES).text == example().text("S0.buddyinfo.pre")
    True
    """
    try:
        text = (Path(proc) / "buddyinfo").read_text("ascii")
        parse_buddyinfo(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        words = f"This machine has no /proc/buddyinfo to read ({reason}). Here is that of the captured machine."
        return Here(words, example().text("S0.buddyinfo.pre"))
    page = "" if mmap.PAGESIZE == PAGE_SIZE else f" A page has {mmap.PAGESIZE:,} bytes here, not {PAGE_SIZE:,}."
    return Here(f"This machine, Linux {platform.release()}, at this moment.{page}", text)


@dataclass(frozen=True)
class Written:
    """What write_capture did.

    Attributes:
        directory: where the capture is.
        files: the names that were written.
        left_out: for each name that could not be read the reason.
    """

    directory: Path
    files: tuple[str, ...]
    left_out: dict[str, str]

    def as_text(self) -> str:
        """Say it in a few lines."""
        lines = [f"{self.directory}: {len(self.files)} files written", *(f"  {name}" for name in self.files)]
        if self.left_out:
            lines.append("left out, because they could not be read (most need root):")
        return "\n".join([*lines, *(f"  {name}: {reason}" for name, reason in self.left_out.items())])


def write_capture(directory: str | Path, proc: str | Path = "/proc") -> Written:
    """Write a capture of this machine, with one snapshot, S0.

    Args:
        directory: a new or empty folder.
        proc: where /proc is.

    Returns:
        What was written, and what was left out because it could not be read.

    Raises:
        CaptureError: this is not Linux, or the folder is not empty or cannot be made.

    >>> write_capture(EXAMPLES)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pagelab.real.archive.CaptureError: ...: is not empty; expected a new or empty folder
    """
    target, proc = Path(directory), Path(proc)
    if proc == Path("/proc") and sys.platform != "linux":
        fail("/proc", f"a capture is made on Linux, and this is {sys.platform}", "a Linux machine")
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            fail(str(directory), "is not empty", "a new or empty folder")
    except OSError as error:
        fail(str(directory), f"cannot be used ({error.strerror})", "a new or empty folder")
    plan = {
        # kpageflags is read between two readings of buddyinfo: if these are equal, nothing moved in between.
        "S0.buddyinfo.pre": proc / "buddyinfo",
        "S0.kpageflags.gz": proc / "kpageflags",
        "S0.buddyinfo.post": proc / "buddyinfo",
        "S0.buddyinfo": target / "S0.buddyinfo.pre",
        "S0.kpagecount.gz": proc / "kpagecount",
    } | {f"S0.{kind}": proc / kind for kind in TEXTS}
    left_out = {name: reason for name, source in plan.items() if (reason := _copy(source, target / name))}
    return Written(target, tuple(name for name in plan if name not in left_out), left_out)


def _copy(source: Path, target: Path) -> str | None:
    """Copy a file of /proc piece by piece; return the reason if that fails, and leave nothing behind."""
    try:
        # Unbuffered, because kpageflags and kpagecount give whole entries only to reads of whole entries.
        with open(source, "rb", buffering=0) as read, _writer(target) as write:
            shutil.copyfileobj(read, write, CHUNK)
    except OSError as error:
        target.unlink(missing_ok=True)
        return error.strerror or str(error)
    return None


def _writer(target: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(target, "wb", compresslevel=1) if target.suffix == ".gz" else open(target, "wb")


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


def _zone_info(key: ZoneKey, sizes: dict[str, int], pcp: dict[int, int], place: str) -> ZoneInfo:
    if missing := [word for word in ("spanned", "present", "managed") if word not in sizes]:
        problem = f"node {key[0]}, zone {key[1]} has no {' and no '.join(missing)}"
        fail(place, problem, "the whole text of /proc/zoneinfo")
    return ZoneInfo(*key, sizes["spanned"], sizes["present"], sizes["managed"], sizes.get("start_pfn:"), pcp)

