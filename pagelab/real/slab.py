"""Hold the slab caches of a captured machine against the model's geometry.

The model is given what a cache was made with (object size, alignment, flags, constructor), the number of CPUs and the kernel's version.
What the kernel made of that is compared, not used; only where a capture does not tell of constructors does the size of a slot tell of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pagelab.mm.slab_layout import FREEPTR_OFFSET, Layout, Slab, slab_layout
from pagelab.real.archive import fail
from pagelab.real.capture import Capture
from pagelab.real.replay import rules_of
from pagelab.real.slabinfo import SlabRow, parse_slab_table, unique_caches

TABLE = "slab.tsv"
MAX_NAMED = 10  # wrong numbers that get a note each

# What the model calls it, and the kernel.
COLUMNS = {
    "order": "order",
    "objects": "objs_per_slab",
    "size": "slab_size",
    "min_partial": "min_partial",
    "cpu_partial": "cpu_partial",
}
_GIVEN = ("object_size", "align", "destroy_by_rcu")
_FLAGS = {
    "destroy_by_rcu": Slab.TYPESAFE_BY_RCU,
    "sanity_checks": Slab.CONSISTENCY_CHECKS,
    "red_zone": Slab.RED_ZONE,
    "poison": Slab.POISON,
    "store_user": Slab.STORE_USER,
}


@dataclass(frozen=True)
class CacheRow:
    """One cache.

    Attributes:
        name: as the kernel has it in /sys/kernel/slab.
        layout: what the model says of it.
        kernel: what the kernel says, by the model's names; None for what the capture does not tell.
        by_ctor: whether the layout has a constructor because only so its size is the kernel's.
    """

    name: str
    layout: Layout
    kernel: dict[str, int | None]
    by_ctor: bool

    def exact(self, column: str) -> bool:
        """Whether the model's number, which hangs on nothing that it should say itself, is the kernel's."""
        return getattr(self.layout, column) == self.kernel[column] and not (self.by_ctor and column == "size")

    def wrong(self) -> list[str]:
        """Return the columns where the kernel has another number."""
        return [column for column, number in self.kernel.items() if number is not None and number != getattr(self.layout, column)]


@dataclass
class SlabGeometry:
    """What the table of a capture's slab caches says of the rules.

    Attributes:
        place: the file.
        rows: for each cache that could be checked, aliases folded.
        notes: a sentence each.
    """

    place: str = ""
    rows: list[CacheRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many numbers are wrong."""
        return sum(len(row.wrong()) for row in self.rows)

    def exact(self, column: str) -> int | None:
        """Count the caches for which a number is exact; None where the capture tells it of no cache."""
        if all(row.kernel[column] is None for row in self.rows):
            return None
        return sum(row.exact(column) for row in self.rows)

    @property
    def by_ctor(self) -> int:
        """How many caches have a size that fits only with a constructor, of which the capture does not tell."""
        return sum(row.by_ctor for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Give the counts as JSON values."""
        if not self.rows:
            return {"slab": None}
        told: dict[str, Any] = {"caches": len(self.rows)}
        for column in COLUMNS:
            told[f"{column}_exact"] = self.exact(column)
            if column == "size":
                told["size_by_ctor"] = self.by_ctor
        return {"slab": told}

    def as_text(self) -> Iterator[str]:
        """Give the counts as a line, if there are any."""
        if self.rows:
            counts = {column: self.exact(column) for column in COLUMNS}
            words = [f"{column} {'unknown' if count is None else f'{count:,}'}" for column, count in counts.items()]
            if self.by_ctor:
                words[2] += f" and {self.by_ctor:,} with a constructor"
            yield f"  slab caches: {len(self.rows):,}; exact: {', '.join(words)}" + (f"; {self.wrong:,} WRONG" if self.wrong else "")


def slab_geometry(capture: Capture) -> SlabGeometry:
    """Check the geometry of each cache in the latest slab.tsv of a capture.

    Args:
        capture: with slab.tsv, and zoneinfo for the number of CPUs.

    Returns:
        The SlabGeometry.

    Raises:
        CaptureError: a file is damaged or of another form, or no kernel could have such a cache.

    >>> from pagelab.real.capture import example
    >>> slab_geometry(example("612-slab-768M-1cpu")).as_json()["slab"]["order_exact"]
    179
    """
    found = SlabGeometry()
    snapshots = [snapshot for snapshot in capture.snapshots if f"{snapshot}.{TABLE}" in capture]
    if not snapshots:
        return found
    name = f"{snapshots[-1]}.{TABLE}"
    found.place = capture.file_name(name)
    cpus = _cpus(capture, snapshots[-1])
    if not cpus:
        found.notes.append(f"{found.place}: not checked, because no zoneinfo tells the number of CPUs.")
        return found
    version = rules_of(capture.kernel)[0]
    if version != capture.kernel:
        found.notes.append(f"{found.place}: the rules of {version} are used for kernel {capture.kernel or 'unknown'}.")
    caches = unique_caches(parse_slab_table(capture.text(name), found.place))
    told = [row for row in caches if all(getattr(row, column) is not None for column in _GIVEN)]
    found.rows += (_check(row, cpus, version, found.place) for row in told)
    if len(told) < len(caches) or not told:
        missing = f"{', '.join(_GIVEN[:-1])} or {_GIVEN[-1]}"
        found.notes.append(f"{found.place}: {len(told):,} of {len(caches):,} caches are checked; of the others the table lacks {missing}.")
    found.notes += _remarks(found)
    return found


def _cpus(capture: Capture, snapshot: str) -> int:
    """Count the CPUs that zoneinfo names, if possible that of the same snapshot."""
    for name in (snapshot, *reversed(capture.snapshots)):
        if f"{name}.zoneinfo" in capture:
            return len({cpu for zone in capture.zoneinfo(name).values() for cpu in zone.pcp})
    return 0


def _check(row: SlabRow, cpus: int, version: str, place: str) -> CacheRow:
    kernel = {ours: getattr(row, theirs) for ours, theirs in COLUMNS.items()}
    try:
        layout = _layout(row, bool(row.ctor), cpus, version)
        if row.ctor is None and row.slab_size not in (None, layout.size):
            with_ctor = _layout(row, True, cpus, version)
            if with_ctor.size == row.slab_size:
                return CacheRow(row.name, with_ctor, kernel, True)
    except ValueError as error:
        fail(f"{place} line {row.line}", str(error).rstrip("."), "a cache that a kernel could make")
    return CacheRow(row.name, layout, kernel, False)


def _layout(row: SlabRow, ctor: bool, cpus: int, version: str) -> Layout:
    """Lay the cache out. Its alignment stands in the table as the kernel worked it out, so HWCACHE_ALIGN has nothing left to say."""
    flags = Slab(0)
    for column, flag in _FLAGS.items():
        flags |= flag if getattr(row, column) else Slab(0)
    if row.name.removeprefix("dma-").startswith("kmalloc-"):
        flags |= Slab.KMALLOC
    freeptr = FREEPTR_OFFSET[version].get(row.name) if row.destroy_by_rcu else None
    return slab_layout(row.object_size or 0, row.align or 0, flags, ctor=ctor, cpus=cpus, kernel=version, freeptr_offset=freeptr)


def _remarks(found: SlabGeometry) -> Iterator[str]:
    """Name the wrong numbers, the first of them one by one."""
    wrong = [(row, column) for row in found.rows for column in row.wrong()]
    for row, column in wrong[:MAX_NAMED]:
        ours = f"{column} {getattr(row.layout, column)} by the rules"
        yield f"{found.place}, cache {row.name}: {ours}, {COLUMNS[column]} {row.kernel[column]} in the kernel; this is wrong."
    if len(wrong) > MAX_NAMED:
        yield f"{found.place}: {len(wrong) - MAX_NAMED:,} more numbers are wrong."
