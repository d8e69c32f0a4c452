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
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from pagelab.mm.units import PAGE_SIZE
from pagelab.real.archive import CHUNK, MAX_FILE, PACKED, fail, find_files, read_file, read_lines
from pagelab.real.archive import CaptureError as CaptureError
from pagelab.real.proc import PageTypeInfo, ZoneInfo, ZoneKey, parse_buddyinfo, parse_pagetypeinfo, parse_zoneinfo
from pagelab.real.slabinfo import read_slab_table

KPF_BUDDY = 10
KPF_NOPAGE = 20
MAX_TEXT = 16 << 20  # bytes of a text file, unpacked: a zoneinfo of 1,000 CPUs is 1 MB
SLAB_TABLE = "S0.slab.tsv"
TEXTS = ("pagetypeinfo", "zoneinfo", "slabinfo", "iomem", "meminfo", "version", "cmdline", "vmstat", "modules")
EXAMPLES = Path(__file__).parent / "slices"

_KINDS = "|".join((r"buddyinfo(?:\.pre|\.post)?", "kpageflags", "kpagecount", r"slab\.tsv", "nd", *TEXTS))
_FILE = re.compile(rf"(?:(?P<snapshot>[\w -]+)\.(?:{_KINDS})|dmesg|trace\.txt|trace\.cpu[0-9]+\.stats)(?:\.gz|\.xz)?")


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
        name: 61-buddy-256M-1cpu is a 6.1 kernel with 256 MiB and 1 CPU, of which only snapshot S0 is here; 612-hi-256M-1cpu a 6.12
            kernel of that size, with its trace and both snapshots; 612-boot-512M-1cpu a 6.12 kernel's trace from boot to S0;
            612-slab-768M-1cpu a 6.12 kernel's snapshot S0, and a piece of its trace of slab objects.

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


def write_capture(directory: str | Path, proc: str | Path = "/proc", slab: str | Path = "/sys/kernel/slab") -> Written:
    """Write a capture of this machine, with one snapshot, S0.

    Args:
        directory: a new or empty folder.
        proc: where /proc is.
        slab: where /sys/kernel/slab is.

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
    try:
        (target / SLAB_TABLE).write_text(read_slab_table(Path(slab)))
    except OSError as error:
        left_out[SLAB_TABLE] = error.strerror or str(error)
    return Written(target, tuple(name for name in (*plan, SLAB_TABLE) if name not in left_out), left_out)


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
