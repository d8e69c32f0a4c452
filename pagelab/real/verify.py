"""Hold a capture against the rules of the model, as one report.

The free pages of each zone come from kpageflags alone. Merged by the model's rules, they must give the kernel's own
buddyinfo. A trace is followed by `replay`, which reports what it predicted. `slab` checks the slab caches, and `slab_trace` the
objects of a trace.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pagelab.mm.free_set import free_counts
from pagelab.real.capture import Capture, CaptureError
from pagelab.real.proc import ZoneInfo, ZoneKey
from pagelab.real.replay import TRACE, Replay, replay
from pagelab.real.slab import SlabGeometry, slab_geometry
from pagelab.real.slab_trace import SlabTrace, slab_trace


@dataclass(frozen=True)
class ZoneRow:
    """One zone of one snapshot.

    Attributes:
        snapshot: such as "S0".
        node: number of the NUMA node.
        zone: name, as the kernel prints it.
        torn: whether buddyinfo changed while kpageflags was read; None where buddyinfo was not read before and after.
        counts: free blocks of the orders 0..10, merged from kpageflags.
        kernel_counts: the same from buddyinfo.
    """

    snapshot: str
    node: int
    zone: str
    torn: bool | None
    counts: list[int]
    kernel_counts: list[int]

    @property
    def exact(self) -> bool:
        """Whether both counts agree at every order."""
        return self.counts == self.kernel_counts

    @property
    def wrong(self) -> bool:
        """Whether they differ although nothing moved while they were read."""
        return self.torn is False and not self.exact

    def as_json(self) -> dict[str, Any]:
        """Give the row as JSON values."""
        exact = {"torn": self.torn, "buddyinfo_exact": self.exact}
        where = {"snapshot": self.snapshot, "node": self.node, "zone": self.zone}
        return where | exact | {"counts": self.counts, "kernel_counts": self.kernel_counts}

    def as_text(self) -> str:
        """Give the row as a line, and the kernel's counts under ours where they differ."""
        where = f"  {self.snapshot}  node {self.node}  {self.zone:<8}"
        state = "exact" if self.exact else "WRONG" if self.wrong else "differs"
        line = f"{where} {state + (', torn' if self.torn else ''):<13} {_columns(self.counts)}"
        kernel = f"{'  buddyinfo':<{len(where) + 14}} {_columns(self.kernel_counts)}"
        return line if self.exact else f"{line}\n{kernel}"

    def remarks(self) -> Iterator[str]:
        """Say in words what is not as it should be: the snapshot is torn, the orders that differ."""
        where = f"{self.snapshot}, node {self.node}, zone {self.zone}"
        if self.torn:
            yield f"{where}: torn, buddyinfo changed while kpageflags was read."
        if not self.exact:
            pairs = enumerate(zip(self.counts, self.kernel_counts, strict=True))
            orders = [f"order {order}: {ours} against {kernel}" for order, (ours, kernel) in pairs if ours != kernel]
            words = f"{where}: kpageflags against buddyinfo, free blocks of {', '.join(orders)}"
            yield (
                words
                + {
                    False: "; this is wrong, because buddyinfo did not change.",
                    True: "; no failure, because the snapshot is torn.",
                    None: "; no failure, because without buddyinfo.pre and .post it may be torn.",
                }[self.torn]
            )


@dataclass(frozen=True)
class Report:
    """What verify found in one capture.

    Attributes:
        capture: its name.
        kernel: major and minor version, None if the capture does not tell.
        zones: a row for each snapshot, node and zone that could be checked.
        replay: the trace through the model.
        slab: the geometry of the slab caches.
        slab_trace: the objects of the trace.
        notes: what is torn, what differs and what could not be checked, a sentence each.
    """

    capture: str
    kernel: str | None
    zones: tuple[ZoneRow, ...]
    replay: Replay
    slab: SlabGeometry
    slab_trace: SlabTrace
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """2 if there was nothing to check; 1 if a zone that is not torn, a page of the trace, a cache or an object is wrong; else 0."""
        if not (self.zones or self.slab.rows or self.slab_trace.objects):
            return 2
        torn = any(row.torn for row in self.zones if row.snapshot in ("S0", "S1"))
        pages = any(row.wrong for row in self.zones) or (self.replay.wrong and not torn)
        return int(pages or bool(self.slab.wrong) or self.slab_trace.wrong)

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        where = {"capture": self.capture, "kernel": self.kernel, "snapshots": [row.as_json() for row in self.zones]}
        return where | self.replay.as_json() | self.slab.as_json() | self.slab_trace.as_json() | {"notes": list(self.notes)}

    def as_text(self) -> str:
        """Give the report as lines for a terminal."""
        exact = sum(row.exact for row in self.zones)
        found = f"{exact} of {len(self.zones)} zone snapshots exact" if self.zones else "no zone snapshot to check"
        head = f"{self.capture}, kernel {self.kernel or 'unknown'}: {found if self.exit_code < 2 else 'nothing to check'}"
        parts = (*self.replay.as_text(), *self.slab.as_text(), *self.slab_trace.as_text())
        return "\n".join([head, *(row.as_text() for row in self.zones), *parts, *(f"  {note}" for note in self.notes)])


def verify(capture: Capture) -> Report:
    """Check everything in a capture that the model has a rule for.

    Args:
        capture: from open_capture or example.

    Returns:
        The report.

    Raises:
        CaptureError: a file is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> verify(example()).as_text().splitlines()[0]
    '61-buddy-256M-1cpu, kernel 6.1: 2 of 2 zone snapshots exact'
    """
    zones, notes = free_set_rows(capture)
    replayed = replay(capture) if TRACE in capture else Replay()
    caches, objects = slab_geometry(capture), slab_trace(capture)
    notes += [*replayed.notes, *caches.notes, *objects.notes]
    return Report(capture.name, capture.kernel, tuple(zones), replayed, caches, objects, tuple(notes))


def exit_code(results: Sequence[Report | CaptureError]) -> int:
    """Sum up several captures in one exit code.

    Args:
        results: for each capture its report, or the error that stopped it.

    Returns:
        2 if any capture was unreadable or had nothing to check, else 1 if anything in one is wrong, else 0.

    >>> from pagelab.real.capture import example
    >>> exit_code([verify(example())]), exit_code([verify(example()), CaptureError("no such file")])
    (0, 2)
    """
    return max((2 if isinstance(result, CaptureError) else result.exit_code for result in results), default=2)


def free_set_rows(capture: Capture) -> tuple[list[ZoneRow], list[str]]:
    """Check the free pages of every snapshot against its buddyinfo.

    Args:
        capture: from open_capture or example.

    Returns:
        A row for each zone that can be checked, and the notes.

    Raises:
        CaptureError: a file is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> rows, notes = free_set_rows(example())
    >>> rows[1].zone, rows[1].torn, rows[1].exact
    ('DMA32', False, True)
    """
    rows: list[ZoneRow] = []
    notes: list[str] = []
    if not capture.snapshots:
        notes.append("Nothing to check, because files such as S0.kpageflags, S0.zoneinfo and S0.buddyinfo are missing.")
    for snapshot in capture.snapshots:
        buddyinfo = any(f"{snapshot}.buddyinfo{when}" in capture for when in ("", ".pre", ".post"))
        missing = [kind for kind in ("kpageflags", "zoneinfo") if f"{snapshot}.{kind}" not in capture]
        missing += [] if buddyinfo else ["buddyinfo"]
        if missing:
            notes.append(f"{snapshot}: nothing to check, because {' and '.join(missing)} {_are(missing)} missing.")
        else:
            _check_snapshot(capture, snapshot, rows, notes)
    return rows, notes


def _check_snapshot(capture: Capture, snapshot: str, rows: list[ZoneRow], notes: list[str]) -> None:
    zones = capture.zoneinfo(snapshot)
    free = capture.free_pages(snapshot)
    pre, plain, post = (
        capture.buddyinfo(snapshot, when) if f"{snapshot}.buddyinfo{when}" in capture else None for when in (".pre", "", ".post")
    )
    unchecked = _unchecked(zones)
    if not free and not unchecked:
        notes.append(f"{snapshot}: nothing to check, because zoneinfo has no zone with pages.")
    for key, bitmap in free.items():
        kernel_counts = next((lines[key] for lines in (pre, plain, post) if lines and key in lines), None)
        if kernel_counts is None:
            unchecked.setdefault(key, "buddyinfo has no line for it")
        elif key not in unchecked:
            torn = pre.get(key) != post.get(key) if pre and post else None
            row = ZoneRow(snapshot, *key, torn, free_counts(bitmap, zones[key].start_pfn or 0), kernel_counts)
            rows.append(row)
            notes.extend(row.remarks())
    notes += [f"{snapshot}, node {node}, zone {zone}: not checked, {why}." for (node, zone), why in unchecked.items()]


def _unchecked(zones: dict[ZoneKey, ZoneInfo]) -> dict[ZoneKey, str]:
    """Find the zones with pages whose free pages kpageflags and zoneinfo do not tell."""
    unknown = [key for key, zone in zones.items() if zone.present and zone.start_pfn is None]
    reasons = dict.fromkeys(unknown, "zoneinfo has no start_pfn for it")
    known = sorted((zone.start_pfn or 0, key) for key, zone in zones.items() if zone.has_free_lists)
    reached = known[0][1] if known else (0, "")
    for start_pfn, key in known[1:]:
        if start_pfn < zones[reached].end_pfn:
            reasons |= dict.fromkeys((reached, key), "its pfns lie among those of another zone")
        reached = max(reached, key, key=lambda one: zones[one].end_pfn)
    return reasons


def _are(words: list[str]) -> str:
    return "is" if len(words) == 1 else "are"


def _columns(counts: list[int]) -> str:
    return " ".join(f"{count:>5}" for count in counts)
