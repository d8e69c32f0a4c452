"""A captured trace through the model: what is predicted, what is learned, what is wrong.

Four levels, in one pass: the set of free pages at the end; the page off the free lists at every take; the page that each caller gets; how
many pages each refill and each drain moves.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pagelab.mm.kernels import KERNELS, Kernel
from pagelab.mm.pcp import HIGH_FRACTION, high_of
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import Zone
from pagelab.real.ahead import Ahead
from pagelab.real.buddy import BuddyReplay, Score, Zones
from pagelab.real.capture import Capture
from pagelab.real.counts import CountReplay, Exact
from pagelab.real.learning import Learning
from pagelab.real.percpu import PerCpuReplay
from pagelab.real.proc import ZoneInfo, ZoneKey
from pagelab.real.trace import Event, read_events

TRACE = "trace.txt"
S0_END, S1_BEGIN = "SNAP0 end", "SNAP1 begin"


@dataclass
class Replay:
    """What a trace says of the rules. A level that the trace cannot show is None, and a note says why.

    Attributes:
        wrong_pages: pages whose state at the end is not what kpageflags says.
        pages: the page off the free lists, at every take.
        fallbacks: the same where only a fallback's own line tells of the take.
        percpu: the page that a caller gets from a per-CPU list.
        refills, drains: how many blocks a refill, how many pages a drain moves.
        notes: a sentence each.
    """

    wrong_pages: int | None = None
    pages: Score | None = None
    fallbacks: Score | None = None
    percpu: Score | None = None
    refills: Exact | None = None
    drains: Exact | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether a page was wrong. Sizes do not count: they hang on what a kernel does not show."""
        return bool(self.wrong_pages) or any(score is not None and score.wrong for score in (self.pages, self.fallbacks, self.percpu))

    def as_json(self) -> dict[str, Any]:
        """Give the levels as JSON values."""
        exact = None if self.wrong_pages is None else {"free_set_exact": not self.wrong_pages, "wrong_pages": self.wrong_pages}
        told: dict[str, Any] = {"replay": exact}
        for name in ("pages", "fallbacks", "percpu", "refills", "drains"):
            told[name] = (found := getattr(self, name)) and asdict(found)
            if found:
                del told[name]["first"]
        if self.refills:
            del told["refills"]["false"]
        return told

    def as_text(self) -> Iterator[str]:
        """Give each level that there is as a line."""
        if self.wrong_pages is not None:
            yield f"  free set at the end: {'exact' if not self.wrong_pages else f'{self.wrong_pages:,} pages WRONG'}"
        names = {"pages off the free lists": self.pages, "  by fallback": self.fallbacks, "pages to callers": self.percpu}
        for name, score in names.items():
            if score and (score.definite or score.learned):
                wrong = "none wrong" if not score.wrong else f"{score.wrong:,} WRONG"
                yield f"  {name}: {score.definite:,} predicted, {wrong}; {score.learned:,} learned"
        for name, size in {"refills": self.refills, "drains": self.drains}.items():
            if size:
                more = f"; {size.false:,} expected that did not come" if size.false else ""
                yield f"  sizes of {name}: {size.exact:,} of {size.all:,} exact{more}"


def replay(capture: Capture, belief: type[Zone] | None = None) -> Replay:
    """Follow the trace of a capture from its first snapshot to its second.

    Args:
        capture: with trace.txt, S0.kpageflags and S0.zoneinfo; S1 too for the free set at the end.
        belief: a stand-in for Zone with one rule replaced, as in `pagelab.lab.stand_in`: the pages off the free lists under that belief,
            and no other level. None for the kernel's own rules.

    Returns:
        The Replay.

    Raises:
        CaptureError: a file is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> replay(example()).notes
    ['No replay: trace.txt is missing.']
    """
    found = Replay()
    if missing := [name for name in (TRACE, "S0.kpageflags", "S0.zoneinfo") if name not in capture]:
        found.notes.append(f"No replay: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.")
        return found
    # A belief is about the free lists alone, for which nothing has to be looked up ahead.
    ahead = Ahead(() if belief else events(capture))
    if not belief and (reason := _cannot(ahead)):
        found.notes.append(f"No replay: {reason}.")
        return found
    version, kernel = rules_of(capture.kernel)
    if version != capture.kernel:
        found.notes.append(f"The rules of {version} are used for this kernel, {capture.kernel or 'whose version is not known'}.")
    run = _Run(capture, kernel, ahead, belief)
    run.follow(events(capture))
    found.pages, found.fallbacks = run.buddy.score, run.buddy.fallbacks
    if not belief:
        found.percpu, found.refills, found.drains = run.percpu.score, run.counts.refills, run.counts.drains
    _free_set(capture, run.zones, found)
    _remarks(found, kernel, ahead)
    return found


def events(capture: Capture) -> Iterator[Event]:
    """Read the trace of a capture.

    Args:
        capture: with trace.txt.

    Returns:
        Its events, in the order of the lines.

    Raises:
        CaptureError: the trace is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> next((event.line, event.kind, event.text) for event in events(example("612-hi-256M-1cpu")))
    (13, 'mark', 'TRACE ON')
    """
    return read_events(capture.lines(TRACE), capture.file_name(TRACE))


def rules_of(version: str | None) -> tuple[str, Kernel]:
    """Choose the rules for a kernel: those of the newest modelled version that is not newer.

    Args:
        version: as "6.12", or None.

    Returns:
        The version whose rules they are, and the Kernel.

    >>> [rules_of(version)[0] for version in ("6.1", "6.6", "6.12", "6.14", "5.10", "7.1", None)]
    ['6.1', '6.1', '6.12', '6.12', '6.1', '7.x', '6.12']
    """
    known = {name: int(name.split(".")[0]) * 100 + int(name.split(".")[1].replace("x", "0")) for name in KERNELS}
    if version is None:
        return "6.12", KERNELS["6.12"]
    major, minor = version.split(".")[:2]
    fit = [name for name, number in known.items() if number <= int(major) * 100 + int(minor)]
    chosen = max(fit or ["6.1"], key=lambda name: known[name])
    return chosen, KERNELS[chosen]


def zones_of(capture: Capture, snapshot: str, strict: bool, belief: type[Zone] | None = None) -> Zones:
    """Make the zones of a snapshot: its free pages are known, the order of its lists is not.

    Args:
        capture: with kpageflags and zoneinfo.
        snapshot: as "S0".
        strict: whether a block is always on the list of its pageblock's type.
        belief: as `replay`.

    Returns:
        The Zones.

    Raises:
        CaptureError: a file is damaged or of another form.

    >>> from pagelab.real.capture import example
    >>> [(zone.name, zone.nr_free_pages()) for zone in zones_of(example(), "S0", strict=False).all]
    [('DMA', 3808), ('DMA32', 32335)]
    """
    kind: type[Learning] = type("Learning", (belief, Learning), {}) if belief else Learning
    info, zones = capture.zoneinfo(snapshot), []
    for (node, name), free in capture.free_pages(snapshot).items():
        zone = kind(len(free), info[node, name].start_pfn or 0, name, node)
        zone.begin(free, strict)
        zones.append(zone)
    return Zones(zones)


class _Run:
    """One pass over the events: the free lists, and, under the kernel's own rules, the per-CPU lists too."""

    def __init__(self, capture: Capture, kernel: Kernel, ahead: Ahead, belief: type[Zone] | None) -> None:
        info = capture.zoneinfo("S0")
        self.boot, self.per_cpu = ahead.boot, not belief
        self.zones = zones_of(capture, "S0", kernel.strict, belief)
        self.buddy = BuddyReplay(self.zones, kernel)
        high = {key: zone.marks.get("high", 0) for key, zone in info.items()}
        self.counts = CountReplay(self.zones, kernel, ahead, _lists(info, kernel), high)
        self.percpu = PerCpuReplay(self.zones, kernel.strict, ahead, self.counts)

    def follow(self, events: Iterator[Event]) -> None:
        """Follow the events between the snapshots; the per-CPU lists of a trace from boot are followed from its beginning."""
        between = self.percpu.counting = False
        for event in events:
            if event.kind == "mark":
                between = self.percpu.counting = between or event.text == S0_END
                if event.text == S1_BEGIN:
                    break
                continue
            if self.per_cpu and (between or self.boot):
                self.percpu.step(event)
            if between:
                self.buddy.step(event)
        self.counts.finish()


def _cannot(ahead: Ahead) -> str:
    """Say why a trace cannot be followed, or ""."""
    if ahead.lost:
        return f"{ahead.lost:,} events of the trace were lost"
    if absent := [mark for mark in (S0_END, S1_BEGIN) if mark not in ahead.marks]:
        return f"the trace has no mark {' and no mark '.join(repr(mark) for mark in absent)}"
    needed = {"take": "mm_page_alloc_zone_locked", "drain": "mm_page_pcpu_drain", "alloc": "mm_page_alloc", "free": "mm_page_free"}
    absent = [name for kind, name in needed.items() if not ahead.seen[kind]]
    return f"the trace has no {' and no '.join(absent)}" if absent else ""


def _lists(info: dict[ZoneKey, ZoneInfo], kernel: Kernel) -> dict[tuple[int, str, int], PerCpuPages]:
    """Begin the numbers of the per-CPU lists as zoneinfo has them; the bounds of `high` on 6.12 follow from the zone's size."""
    found, nodes = {}, len({node for node, _ in info})
    for (node, name), zone in info.items():
        # zoneinfo names all CPUs in each zone; those of the zone's node share its pages.
        cpus = max(len(zone.lists) // nodes, 1)
        for cpu, (high, batch) in zone.lists.items():
            low, most = high, high
            if kernel.auto_tuned and "low" in zone.marks:
                low, most = (high_of(pages, cpus, batch) for pages in (zone.marks["low"], zone.managed // HIGH_FRACTION))
            pcp = PerCpuPages(max(batch, 1), low, most)
            pcp.high, pcp.count = high, zone.pcp.get(cpu, 0)
            found[node, name, cpu] = pcp
    return found


def _free_set(capture: Capture, zones: Zones, found: Replay) -> None:
    if missing := [name for name in ("S1.kpageflags", "S1.zoneinfo") if name not in capture]:
        found.notes.append(f"The free set at the end is not compared: {' and '.join(missing)} missing.")
        return
    truth = capture.free_pages("S1")
    found.wrong_pages = 0
    for zone in zones.all:
        kernel = truth.get((zone.node, zone.name))
        if kernel is not None and len(kernel) == zone.end_pfn - zone.start_pfn:
            differ = np.flatnonzero(zone.free_pages() != kernel)
            found.wrong_pages += len(differ)
            if len(differ):
                first = zone.start_pfn + int(differ[0])
                ours = "in use" if kernel[differ[0]] else "free"
                found.notes.append(
                    f"At the end {len(differ):,} pages of zone {zone.name} are wrong, the first at {first:#x}: {ours} by the trace."
                )


def _remarks(found: Replay, kernel: Kernel, ahead: Ahead) -> None:
    for score in (found.pages, found.fallbacks, found.percpu):
        if score and score.first:
            found.notes.append(f"First wrong: {score.first}.")
    for name, size in {"refill": found.refills, "drain": found.drains}.items():
        if size and size.first:
            hidden = "; a 6.12 kernel does not show when its worker lowers `high`, nor when reclaim is active" if kernel.auto_tuned else ""
            found.notes.append(f"First {name} that is not exact: {size.first}{hidden}.")
    if found.wrong_pages and ahead.seen and not ahead.seen["isolate"]:
        found.notes.append("The trace has no line for free blocks that compaction takes: if it ran, they are among the wrong pages.")
