"""A captured trace as a tape: each event of a zone's free lists is a step that a player can open.

A step is written as a caller would ask for it, and done as the kernel's line says: the next event of the trace decides, not the request.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any

from pagelab.lab.tape import Tape
from pagelab.mm.act import Act, Asked, Watched, redo
from pagelab.mm.call import alloc_request, free_request, other_request
from pagelab.mm.machine import NOTHING, Machine
from pagelab.mm.zone import Zone
from pagelab.real.archive import fail
from pagelab.real.buddy import LOCKED, BuddyReplay, Zones, bypasses_lists
from pagelab.real.capture import Capture
from pagelab.real.flags import page_states
from pagelab.real.learning import UNKNOWN, Learning
from pagelab.real.replay import S0_END, S1_BEGIN, TRACE, events, rules_of, zones_of
from pagelab.real.trace import Event

Step = tuple[Event, ...]


class Recording(Machine):
    """One zone of a captured machine, led by its trace.

    Args:
        zone: as it was before the first event.
        kernel: whose rules.
        steps: the events of the zone's free lists, in order; a take and the line of its fallback are one step.
        cpus: CPUs of the machine.
    """

    def __init__(self, zone: Learning, kernel: str, steps: Sequence[Step], cpus: int = 1) -> None:
        self.version, self.steps, self.done = kernel, steps, 0
        self.buddy = BuddyReplay(Zones([zone]), rules_of(kernel)[1])
        super().__init__([zone], kernel, cpus)

    def _stand_on(self, zones: Sequence[Zone]) -> None:
        super()._stand_on(zones)
        self.buddy = self.buddy.over(Zones(zones))  # type: ignore[arg-type]

    def lines(self) -> tuple[int, ...]:
        """Return the line of the trace that each step from here on stands at."""
        return tuple(_main(step).line for step in self.steps[self.done :])

    def apply(self, request: int, received: Sequence[int]) -> int:
        """Follow the next step; return the pfn of a take, NOTHING for any other."""
        step = self.steps[self.done]
        for event in step:
            self.buddy.step(event)
        self.done += 1
        return _main(step).pfn if _taken(step) else NOTHING

    def acts(self, request: int, received: Sequence[int]) -> list[Act]:
        """Follow the next step and return what the rules did, act by act."""
        step, zone = self.steps[self.done], self.zones[0]
        event, watched = _main(step), Watched(zone)
        taken = _taken(step)
        mt, pfn = (event.mt, -1) if taken else (zone.block_type(event.pfn), event.pfn)
        verb = "alloc" if taken and event.depth < LOCKED else _VERBS[event.kind]
        watched.acts.append(Asked(verb, event.order, mt, pfn))
        follower = copy(self)
        follower._stand_on([watched])
        follower.apply(request, received)
        return watched.acts

    def redo(self, acts: Sequence[Act]) -> None:
        """Do the first acts of the next step again, and mark the block that it then holds."""
        event, zone = _main(self.steps[self.done]), self.zones[0]
        if event.kind in ("drain", "free") and isinstance(zone, Learning):
            zone.occupy(event.pfn, event.order)
        redo(zone, acts)

    def snapshot(self) -> Any:
        """Return the whole state."""
        return super().snapshot(), self.buddy.kept(), self.done

    def restore(self, snapshot: Any) -> None:
        """Bring back the state of a snapshot of the same recording."""
        super().restore(snapshot[0])
        self.buddy.keep(snapshot[1])
        self.done = snapshot[2]


def _main(step: Step) -> Event:
    """Return the event of a step that is not the line of a fallback, where there is one."""
    return next((event for event in step if event.kind != "extfrag"), step[0])


def _taken(step: Step) -> bool:
    return _main(step).kind in ("take", "extfrag")


_VERBS = {"take": "refill", "extfrag": "refill", "drain": "drained", "free": "free", "isolate": "compact"}


def record(capture: Capture, zone: str, node: int = 0, lines: tuple[int, int] | None = None) -> Tape[Recording]:
    """Make a tape of what a trace says of one zone's free lists, from the first snapshot to the second.

    Args:
        capture: with trace.txt, S0.kpageflags and S0.zoneinfo.
        zone: as the kernel prints it.
        node: 0 where there is one.
        lines: first and last line of the trace, where not all of it is wanted; the tape begins with the state before the first.

    Returns:
        The tape; `step_at` finds the step of a line.

    Raises:
        CaptureError: a file is missing, damaged or of another form.
        ValueError: there is no such zone, or no event of it in these lines.

    >>> from pagelab.real.capture import example
    >>> tape = record(example("612-hi-256M-1cpu"), "DMA32", lines=(6691, 6704))
    >>> tape.text[:30], hex(tape.received[-1])
    ('free 32252; free 34868; free 2', '0x8834')
    """
    version, kernel = rules_of(capture.kernel)
    zones = {(one.node, one.name): one for one in zones_of(capture, "S0", kernel.strict).all}
    if (node, zone) not in zones:
        names = ", ".join(f"{name} of node {number}" for number, name in zones)
        raise ValueError(f"zone {zone} of node {node} has no free lists in {capture.name}: choose {names}")
    of = zones[node, zone]
    of.paint(page_states(capture.kpageflags("S0")[of.start_pfn : of.end_pfn], of.start_pfn))
    first, last = lines or (0, 1 << 62)
    steps = list(_steps(_zone_events(capture, of, last), kernel.strict))
    model = Recording(of, version, steps, len(capture.zoneinfo("S0")[node, zone].pcp) or 1)
    begin = sum(_main(step).line < first for step in steps)
    if begin == len(steps):
        raise ValueError(f"lines {first}..{last} have no event of zone {zone}'s free lists")
    for _ in range(begin):
        model.apply(0, ())
    return Tape(model).then(map(_request, steps[begin:]))


def _zone_events(capture: Capture, zone: Zone, last: int) -> Iterator[Event]:
    """Yield the events between the snapshots that are about a zone's free lists."""
    if TRACE not in capture:
        fail(capture.name, f"{TRACE} is missing", "a capture with a trace of kmem events")
    on = False
    for event in events(capture):
        if event.text == S1_BEGIN or event.line > last:
            return
        on = on or event.text == S0_END
        inside = on and zone.start_pfn <= event.pfn < zone.end_pfn
        if inside and (event.kind in ("take", "drain", "isolate", "extfrag") or (event.kind == "free" and bypasses_lists(event))):
            yield event


def _steps(events: Iterable[Event], after: bool) -> Iterator[Step]:
    """Put a take and the line of its fallback together; that line comes after the take on 6.12, before it on 6.1."""
    pair, held = (("take", "extfrag") if after else ("extfrag", "take")), None
    for event in events:
        if held and (held.kind, event.kind) == pair and held.cpu == event.cpu and (held.pfn == event.pfn or not after):
            yield held, event
            held = None
            continue
        if held:
            yield (held,)
        held = event
    if held:
        yield (held,)


def _request(step: Step) -> int:
    """Write a step as the request that it answers."""
    event = _main(step)
    cpu = event.cpu % 16
    if event.kind in ("take", "extfrag"):
        return alloc_request(event.order, event.mt, cpu)
    return other_request("compact") if event.kind == "isolate" else free_request(event.pfn, cpu)


def step_at(tape: Tape[Recording], line: int) -> int:
    """Find the step of a line of the trace: the first event at or after it.

    Args:
        tape: as `record` makes it.
        line: of the trace.

    Returns:
        The step.

    Raises:
        ValueError: the tape ends before that line.

    >>> from pagelab.real.capture import example
    >>> step_at(record(example("612-hi-256M-1cpu"), "DMA32", lines=(6691, 6704)), 6700)
    7
    """
    lines = tape.at(0).lines()
    if not lines or line > lines[-1]:
        raise ValueError(f"line {line} is behind the end of this tape, which is line {lines[-1] if lines else 0}")
    return bisect_left(lines, line)


def as_machine(tape: Tape[Recording], k: int) -> Machine:
    """Make a plain machine of a recording's state, to try requests on; blocks of unknown type go to the tails of their pageblocks' lists.

    Args:
        tape: as `record` makes it.
        k: the step before which the state is taken.

    Returns:
        The machine, with no trace to lead it.

    Raises:
        ValueError: k is no step of the tape.

    >>> from pagelab.real.capture import example
    >>> as_machine(record(example("612-hi-256M-1cpu"), "DMA32", lines=(6691, 6704)), 3).zone.blocks(2, 0)
    [21468, 34868, 32252]
    """
    return plain(tape.at(k))


def plain(recording: Recording) -> Machine:
    """Make a plain machine of a recording as it stands, with no trace to lead it.

    Args:
        recording: at any of its steps.

    Returns:
        The machine; blocks of unknown type are at the tails of their pageblocks' lists.

    >>> from pagelab.real.capture import example
    >>> plain(record(example("612-hi-256M-1cpu"), "DMA32", lines=(6691, 6704)).at(0)).zone.nr_free_pages()
    26553
    """
    learned = recording.zone
    zone = Zone(learned.end_pfn - learned.start_pfn, learned.start_pfn, learned.name, learned.node)
    zone.restore(Zone.snapshot(learned))
    for row in zone.free_list:
        for pfn in list(row[UNKNOWN]):
            zone.move(pfn, zone.block_type(pfn))
    return Machine(zone, recording.version)
