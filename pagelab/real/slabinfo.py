"""Read what a kernel says of its slab caches: /proc/slabinfo, and a table of what stands in /sys/kernel/slab.

A slab is some pages that a cache has taken. What slabinfo counts of them adds up to what a cache holds, and what of that is wasted.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pagelab.mm.units import MAX_PAGE_ORDER, PAGE_SIZE
from pagelab.real.archive import fail, shorten

MAX_OBJECT = PAGE_SIZE << MAX_PAGE_ORDER  # bytes: a slab is one block of pages
VERSION = "slabinfo - version: 2.1"

# Of the columns of a table, where it is not 0 to MAX_OBJECT.
_BOUNDS = {"object_size": (1, MAX_OBJECT), "slab_size": (1, MAX_OBJECT), "align": (1, MAX_OBJECT), "order": (0, MAX_PAGE_ORDER)}

# What a table has of each entry of /sys/kernel/slab, after its name and the entry that it links to.
_FILES = (
    "object_size slab_size objs_per_slab order align cpu_partial min_partial aliases cache_dma reclaim_account destroy_by_rcu red_zone "
    "poison store_user sanity_checks slabs objects partial cpu_slabs usersize hwcache_align ctor total_objects objects_partial "
    "slabs_cpu_partial remote_node_defrag_ratio"
)

_FORM = "'kmalloc-64  704  704  64  64  1 : tunables  0  0  0 : slabdata  11  11  0'"
_COUNT = r"\s+([0-9]{1,20})"
_ROW = re.compile(
    rf"(\S(?:.{{0,98}}?\S)?){_COUNT * 5}\s+:\s+tunables{_COUNT * 3}\s+:\s+slabdata{_COUNT * 3}",
    re.ASCII,
)
_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


class Waste(NamedTuple):
    """Where the bytes of some slabs are.

    held: all pages of the slabs. active: in objects that count as active. free: in objects that count as free. slack: after the last object
    of each slab, where no other fits. All objects of a CPU's slab and of its partial list count as active, also those that nobody has.
    """

    held: int
    active: int
    free: int
    slack: int


class SlabInfo(NamedTuple):
    """One line of /proc/slabinfo.

    active_objs and num_objs: objects that count as active, and all. objsize: bytes of a slot, with all that the kernel adds to an object.
    objperslab, pagesperslab: of a slab. active_slabs and num_slabs: slabs; SLUB prints the same twice.
    """

    name: str
    active_objs: int
    num_objs: int
    objsize: int
    objperslab: int
    pagesperslab: int
    active_slabs: int
    num_slabs: int

    @property
    def waste(self) -> Waste:
        """Where the cache's bytes are. A slab that had to be smaller than the others is counted as one of full size."""
        held, objects = self.num_slabs * self.pagesperslab * PAGE_SIZE, self.num_objs * self.objsize
        active = self.active_objs * self.objsize
        return Waste(held, active, objects - active, held - objects)


class SlabRow(NamedTuple):
    """One entry of /sys/kernel/slab; None for what the table does not tell.

    line: its line in the table. link: the cache that an alias stands for, else "". slab_size: bytes of a slot, as objsize in slabinfo.
    ctor: whether the cache has a constructor. The others are the kernel's words.
    """

    line: int
    name: str
    link: str
    ctor: bool | None = None
    object_size: int | None = None
    slab_size: int | None = None
    objs_per_slab: int | None = None
    order: int | None = None
    align: int | None = None
    min_partial: int | None = None
    cpu_partial: int | None = None
    destroy_by_rcu: int | None = None
    sanity_checks: int | None = None
    red_zone: int | None = None
    poison: int | None = None
    store_user: int | None = None


def parse_slabinfo(text: str, place: str = "slabinfo") -> list[SlabInfo]:
    """Read the text of /proc/slabinfo.

    Args:
        text: a line for each cache; the two lines above them may be missing.
        place: the name that errors give to the text.

    Returns:
        The rows, in the order of the lines.

    Raises:
        CaptureError: another version, a line of another form, numbers that cannot be, or no line at all.

    Source: print_slabinfo_header and cache_show, mm/slab_common.c, 6.12.

    >>> text = "kmalloc-96  30  42  96  42  1 : tunables  0  0  0 : slabdata  1  1  0"
    >>> parse_slabinfo(text)[0].waste
    Waste(held=4096, active=2880, free=1152, slack=64)
    """
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        line, where = line.strip(), f"{place} line {number}"
        if line.startswith("slabinfo - version") and line != VERSION:
            fail(where, shorten(line), repr(VERSION))
        if line and not line.startswith("#") and line != VERSION:
            rows.append(_slab_info(line, where))
    if not rows:
        fail(place, "has no line of a cache", _FORM)
    return rows


def line_of(rows: Iterable[SlabInfo], name: str) -> SlabInfo:
    """Find the line of one cache.

    Args:
        rows: from parse_slabinfo.
        name: of the cache.

    Returns:
        Its row.

    Raises:
        ValueError: no row has the name.

    >>> line_of(parse_slabinfo("kmalloc-8  512  512  8  512  1 : tunables  0  0  0 : slabdata  1  1  0"), "kmalloc-8").objperslab
    512
    """
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        raise ValueError(f"slabinfo has no line of {name!r}: give the name of a cache that is in it")
    return found


def waste_of(rows: Iterable[SlabInfo]) -> Waste:
    """Add up where the bytes of caches are.

    Args:
        rows: from parse_slabinfo.

    Returns:
        The sums.

    >>> waste_of(parse_slabinfo("kmalloc-8  512  512  8  512  1 : tunables  0  0  0 : slabdata  1  1  0"))
    Waste(held=4096, active=4096, free=0, slack=0)
    """
    sums = [sum(part) for part in zip(*(row.waste for row in rows), strict=True)]
    return Waste(*sums) if sums else Waste(0, 0, 0, 0)


def parse_slab_table(text: str, place: str = "slab.tsv") -> list[SlabRow]:
    """Read a table of /sys/kernel/slab: a row for each entry there, a column for each file, tabs between.

    Args:
        text: with the names of the columns in the first line, in any order. `name` must be there; columns with other names are passed over.
        place: the name that errors give to the text.

    Returns:
        The rows, in the order of the lines.

    Raises:
        CaptureError: no header, a row without its number of columns, a name twice, or a number that cannot be.

    Source: slab_attrs, mm/slub.c, 6.12.

    >>> text = "name link object_size slab_size ctor|memdup_user-96  96 96 ".replace(" ", chr(9)).replace("|", chr(10))
    >>> row = parse_slab_table(text)[0]
    >>> row.name, row.link, row.object_size, row.order, row.ctor
    ('memdup_user-96', '', 96, None, False)
    """
    lines = _lines(text)
    number, header = next(lines, (1, ""))
    columns = [column.strip() for column in header.split("\t")]
    if "name" not in columns:
        fail(f"{place} line {number}", f"{shorten(header)} has no column 'name'", "the columns' names, with tabs between them")
    if twice := [column for column in columns if columns.count(column) > 1]:
        fail(f"{place} line {number}", f"column {shorten(twice[0])} is there twice", "each once")
    rows: dict[str, SlabRow] = {}
    for number, line in lines:
        where, cells = f"{place} line {number}", [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(columns):
            fail(where, f"{len(cells)} columns", f"{len(columns)}, as in the first line")
        row = _slab_row(number, dict(zip(columns, cells, strict=True)), where)
        if row.name in rows:
            fail(where, f"cache {shorten(row.name)} is there twice", "each once")
        rows[row.name] = row
    return list(rows.values())


def read_slab_table(folder: Path) -> str:
    """Write down what stands in /sys/kernel/slab.

    Args:
        folder: where that is.

    Returns:
        A table as `parse_slab_table` reads it: a row for each entry, with the one that it links to. A file that is not there is left empty.

    Raises:
        OSError: the folder is not there, or a file of it may not be read: most of them only by root.

    >>> read_slab_table(Path("no such folder"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no such folder'
    """
    lines = ["\t".join(["name", "link", *_FILES.split()])]
    for entry in sorted(folder.iterdir()):
        cells = [entry.name, entry.readlink().name if entry.is_symlink() else ""]
        for name in _FILES.split():
            file = entry / name
            cells.append(" ".join(file.read_text(errors="replace").split()) if file.exists() else "")
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def unique_caches(rows: Iterable[SlabRow]) -> list[SlabRow]:
    """Fold the aliases: each cache once.

    Args:
        rows: from parse_slab_table.

    Returns:
        For each cache its own row, or that of an alias where it has none.

    >>> alias, own = SlabRow(2, "pid_2", ":0000128"), SlabRow(3, ":0000128", "")
    >>> [row.name for row in unique_caches([alias, own])]
    [':0000128']
    """
    caches: dict[str, SlabRow] = {}
    for row in rows:
        if not row.link:
            caches[row.name] = row
        else:
            caches.setdefault(row.link, row)
    return list(caches.values())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank; a tab at the end is an empty cell."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip("\r")


def _slab_info(line: str, where: str) -> SlabInfo:
    match = _ROW.fullmatch(line) or fail(where, f"{shorten(line)} is not the line of a cache", _FORM)
    row = SlabInfo(match[1], *(int(match[group]) for group in (2, 3, 4, 5, 6, 10, 11)))
    slab = row.pagesperslab * PAGE_SIZE
    if not 1 <= row.objsize * row.objperslab <= slab:
        problem = f"{row.objperslab} objects of {row.objsize} bytes in {row.pagesperslab} pages"
        fail(where, problem, f"objects that fit into {slab:,} bytes, with pages of {PAGE_SIZE:,}")
    if row.active_objs > row.num_objs:
        fail(where, f"{row.active_objs} active objects of {row.num_objs}", "no more active objects than objects")
    return row


def _slab_row(number: int, cells: dict[str, str], where: str) -> SlabRow:
    if not cells["name"]:
        fail(where, "a cache without a name", "a name in each row")
    numbers = {}
    for column in SlabRow._fields[4:]:
        if text := cells.get(column):
            least, most = _BOUNDS.get(column, (0, MAX_OBJECT))
            numbers[column] = value = int(text) if _NUMBER.fullmatch(text) else -1
            if not least <= value <= most or (column == "align" and value & (value - 1)):
                right = "a power of two" if column == "align" else "a number"
                fail(where, f"{column} {shorten(text)}", f"{right} from {least} to {most:,}")
    ctor = bool(cells["ctor"]) if "ctor" in cells else None
    return SlabRow(number, cells["name"], cells.get("link", ""), ctor, **numbers)
