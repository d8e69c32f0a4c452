"""Take named files out of a folder, a .zip or a .tar.gz that nobody vouches for.

Nothing is written to disk, no link leads out, and every size is limited while data is unpacked, so that a few kilobytes
cannot become gigabytes. Whatever is wrong becomes a CaptureError: one sentence with the value, its place and what would
be right.
"""

import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, cast

MAX_FILE = 1 << 30  # bytes of one file, unpacked: a kpageflags of 512 GiB of memory
MAX_ARCHIVE = 2 << 30  # bytes of an archive's members together
MAX_MEMBERS = 10_000
MAX_LINE = 1 << 16  # bytes of one line of a text that is read line by line
MAX_READ = 4 << 20  # bytes of one read inside an archive: a zip's list of 10,000 members is 1 MB
CHUNK = 1 << 20
PACKED = (".gz", ".xz")
RIGHT = "a folder, a .zip or a .tar.gz"


class CaptureError(ValueError):
    """A capture that cannot be read: one sentence with the value, its place and what would be right."""


def fail(place: str, problem: str, right: str) -> NoReturn:
    """Raise the sentence.

    Args:
        place: the file, and the line where there is one.
        problem: what is there, with its value.
        right: what should be there.

    Returns:
        Never.

    Raises:
        CaptureError: always.

    >>> fail("S0.buddyinfo line 2", "'x' is not a number", "a count of free blocks")
    Traceback (most recent call last):
    pagelab.real.archive.CaptureError: S0.buddyinfo line 2: 'x' is not a number; expected a count of free blocks
    """
    text = f"{place}: {problem}; expected {right}"
    raise CaptureError("".join(c if c.isprintable() else "?" for c in text))


def find_files(path: str | Path, wanted: Callable[[str], bool]) -> dict[str, bytearray | Path]:
    """Find the wanted files of a folder or an archive.

    Args:
        path: a folder, or an archive of files that may lie in one top folder.
        wanted: tells from a file's name whether to take it.

    Returns:
        For each name the path of the file, or its bytes where it came out of an archive.

    Raises:
        CaptureError: nothing readable is there, or what is there could do harm.

    >>> folder = Path(__file__).parent / "slices" / "61-buddy-256M-1cpu"
    >>> sorted(find_files(folder, lambda name: name.startswith("S0.buddy")))
    ['S0.buddyinfo', 'S0.buddyinfo.post', 'S0.buddyinfo.pre']
    """
    path = Path(path)
    with _one_sentence(str(path)):
        if path.is_dir():
            return dict(_folder_files(path, wanted))
        if not path.is_file():
            fail(str(path), "there is no such file or folder", RIGHT)
        with open(path, "rb") as raw:
            return dict(_archive_files(_members(raw, str(path)), str(path), wanted))


def read_file(name: str, source: bytearray | Path, limit: int = MAX_FILE) -> bytearray:
    """Read a file that find_files has found, and unpack it if its name ends in .gz or .xz.

    Args:
        name: its name, for the ending and for errors.
        source: its path or its bytes.
        limit: bytes that it may have when unpacked.

    Returns:
        The unpacked bytes.

    Raises:
        CaptureError: the file is damaged or too large.

    >>> read_file("S0.version.gz", bytearray(gzip.compress(b"Linux version 6.12")))
    bytearray(b'Linux version 6.12')
    """
    with _one_sentence(name), open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as raw:
        if raw.seek(0, os.SEEK_END) > MAX_FILE:
            fail(name, f"has more than {MAX_FILE:,} bytes", "a smaller file")
        raw.seek(0)
        return _read(_unpacked(raw, Path(name).suffix), name, limit)


def read_lines(name: str, source: bytearray | Path, limit: int = MAX_FILE) -> Iterator[tuple[int, str]]:
    """Read a text that find_files has found line by line, unpacking it on the way.

    Args:
        name: its name, for the ending and for errors.
        source: its path or its bytes.
        limit: bytes that it may have when unpacked.

    Returns:
        Pairs of line number, from 1, and text without the line's end; bytes that are not UTF-8 become a replacement character.

    Raises:
        CaptureError: the file is damaged or too large, or a line is too long.

    >>> list(read_lines("trace.txt.gz", bytearray(gzip.compress(b"a" + bytes([10]) + b"b"))))
    [(1, 'a'), (2, 'b')]
    """
    with _one_sentence(name), open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as raw:
        stream, total = _unpacked(raw, Path(name).suffix), 0
        for number, line in enumerate(iter(partial(stream.readline, MAX_LINE), b""), 1):
            total += len(line)
            if len(line) == MAX_LINE:
                fail(f"{name} line {number}", f"has {MAX_LINE:,} bytes or more", "shorter lines")
            if total > limit:
                fail(name, f"unpacks to more than {limit:,} bytes", "a smaller file")
            yield number, line.decode(errors="replace").rstrip("\r\n")


def shorten(text: str) -> str:
    """Quote a text for an error, and cut it where it is long.

    Args:
        text: any.

    Returns:
        Its repr, 62 characters at most.

    >>> shorten(" x "), len(shorten("x" * 999))
    ("'x'", 62)
    """
    text = text.strip()
    while len(repr(text)) > 62:
        text = text.removesuffix("...")[: min(57, len(text) - 4)] + "..."
    return repr(text)


class _Member(NamedTuple):
    """One member of an archive; open is None for what is neither a file nor a folder."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None] | None


class _Careful:
    """A file that gives no large pieces, whatever sizes an archive claims: zipfile and tarfile read headers whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= MAX_READ else MAX_READ + 1)
        if len(data) > MAX_READ:
            raise ValueError(f"a header has more than {MAX_READ:,} bytes")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _members(raw: IO[bytes], name: str) -> Iterator[_Member]:
    """Tell the kind of archive by its first bytes, and list its members."""
    magic = raw.read(262)
    raw.seek(0)
    if magic.startswith(b"PK"):
        return _zip_members(cast(IO[bytes], _Careful(raw)))
    suffix = {b"\x1f\x8b": ".gz", b"\xfd7": ".xz"}.get(magic[:2], "")
    if not suffix and not magic.endswith(b"ustar"):
        fail(name, "is neither a folder nor an archive", RIGHT)
    return _tar_members(cast(IO[bytes], _Careful(_unpacked(raw, suffix))))


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # The other methods are unpacked without a limit on what one read gives.
            known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            plain = known and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            yield _Member(info.filename, info.file_size, info.is_dir(), partial(archive.open, info) if plain else None)


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for info in archive:
            data = partial(archive.extractfile, info) if info.isreg() else None
            yield _Member(info.name, info.size, info.isdir(), data)


def _archive_files(members: Iterator[_Member], place: str, wanted: Callable[[str], bool]) -> dict[str, bytearray]:
    """Read the wanted members, all from the top or all from one folder."""
    files: dict[tuple[str, ...], bytearray] = {}
    total = 0
    for number, member in enumerate(members, 1):
        total += abs(member.size)
        if number > MAX_MEMBERS or total > MAX_ARCHIVE:
            fail(place, f"has more than {MAX_MEMBERS:,} members or {MAX_ARCHIVE:,} bytes", "a smaller archive")
        parts = _safe_parts(member.name, place)
        if member.is_folder:
            continue
        if member.open is None:
            fail(place, f"member {member.name!r} is a link, a device or packed in a rare way", "plain files")
        if len(parts) > 2 or not parts or not wanted(parts[-1]):
            continue
        if parts in files:
            fail(place, f"member {member.name!r} is there twice", "each name once")
        files[parts] = _read(member.open(), member.name, MAX_FILE)
    if len({parts[:-1] for parts in files}) > 1:
        fail(place, "holds the files of more than one capture", "one capture in an archive")
    return {parts[-1]: data for parts, data in files.items()}


def _safe_parts(name: str, place: str) -> tuple[str, ...]:
    """Split a member's name, and refuse one that points out of the archive."""
    name = name.replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name):
        fail(place, f"member {name!r} points out of the archive", "names inside it, without a leading / and without ..")
    return parts


def _folder_files(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    root = path.resolve()
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries, 1):
            if number > MAX_MEMBERS:
                fail(str(path), f"has more than {MAX_MEMBERS:,} files", "a smaller folder")
            if not wanted(entry.name):
                continue
            real = Path(entry.path).resolve()
            if not real.is_relative_to(root):
                fail(entry.name, f"is a link to {str(real)!r}, out of the capture", "a file inside it")
            if not real.is_file():
                fail(entry.name, "is not a plain file", "a file")
            yield entry.name, real


def _unpacked(raw: IO[bytes], suffix: str) -> IO[bytes]:
    """Choose what unpacks a file, by the ending of its name."""
    if suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    return lzma.LZMAFile(raw) if suffix == ".xz" else raw


def _read(stream: IO[bytes] | None, place: str, limit: int) -> bytearray:
    """Read to the end, and stop as soon as there is more than the limit."""
    data = bytearray()
    while stream and (chunk := stream.read(CHUNK)):
        data += chunk
        if len(data) > limit:
            fail(place, f"unpacks to more than {limit:,} bytes", "a smaller file")
    return data


@contextmanager
def _one_sentence(place: str) -> Iterator[None]:
    """Turn any error of the unpackers into a CaptureError: damaged data makes them raise a dozen kinds."""
    try:
        yield
    except CaptureError:
        raise
    except Exception as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        fail(place, f"cannot be read ({reason})", "a whole file that may be read")
