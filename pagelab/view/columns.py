"""Model to numbers: everything that a figure or a text shows of a moment, as arrays and plain lists. No bokeh here.

A moment is (tape, k, act): the state after the first act + 1 acts of request k.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..lab.tape import Tape
from ..mm.act import Act, Asked, Checked, Compared, Counted, Linked, Looked, Moved, Parked, Refused, Relabelled, Unlinked, Unparked
from ..mm.allocator import REFUSED
from ..mm.call import unpack
from ..mm.machine import Machine
from ..mm.per_cpu_pages import PCP_ORDERS
from ..mm.units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES
from ..mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone

LETTERS = tuple(name[0].upper() for name in MIGRATETYPES)
# In the order in which types are shown.
TYPES = (MOVABLE, UNMOVABLE, RECLAIMABLE)


@dataclass(frozen=True)
class Moment:
    """One position of a run.

    acts are those done so far in request k, all are all of them; here and all_here are those of them that are about the zone that is
    shown, the request itself among them. machine is the state now; zone is its zone number z, before the same zone before the request.
    """

    k: int
    acts: tuple[Act, ...]
    all: tuple[Act, ...]
    here: tuple[Act, ...]
    all_here: tuple[Act, ...]
    machine: Machine
    z: int
    before: Zone
    end: bool

    @property
    def zone(self) -> Zone:
        """The zone that is shown, as it is now."""
        return self.machine.zones[self.z]

    @property
    def act(self) -> Act | None:
        """The act that was done last, where it is about the zone that is shown."""
        return self.here[-1] if self.here and self.here[-1] is self.acts[-1] else None


def moment(tape: Tape[Machine], k: int, act: int, z: int | None = None) -> Moment:
    """Return the state at act `act` of request k; at k = len(tape), the end.

    Args:
        tape: any tape of a machine.
        k: 0..len(tape).
        act: 0..(number of acts - 1), or negative from the last.
        z: which zone is shown; None for the one that the request used last, or the largest.

    Returns:
        The Moment; act 0 shows the state before the request.

    Raises:
        ValueError: k or act is out of range.

    >>> from pagelab.lab import scenario
    >>> moment(scenario.text("alloc 3"), 0, -1).zone.nr_free_pages()
    8
    """
    machine = tape.at(k)
    largest = machine.zones.index(machine.zone)
    if k == len(tape):
        at = largest if z is None else z
        return Moment(k, (), (), (), (), machine, at, machine.zones[at], True)
    every = tuple(tape.acts(k))
    if not -len(every) <= act < len(every):
        raise ValueError(f"act {act} does not exist: request {k} has acts 0..{len(every) - 1}")
    places, done = _zones_of(machine, every), act % len(every) + 1
    if z is None:
        z = next((at for a, at in zip(reversed(every), reversed(places), strict=True) if not isinstance(a, _IDLE)), largest)
    # After the last act, what a CPU's lists may hold has changed too.
    now = tape.at(k if done < len(every) else k + 1)
    if done < len(every):
        now.redo(every[:done])
    here = tuple(a for a, place in zip(every, places, strict=True) if place == z or isinstance(a, Asked))
    so_far = sum(place == z or isinstance(a, Asked) for a, place in zip(every[:done], places, strict=False))
    return Moment(k, every[:done], every, here[:so_far], here, now, z, machine.zones[z], False)


_IDLE = (Asked, Checked, Looked, Refused)


def _zones_of(machine: Machine, acts: Sequence[Act]) -> list[int]:
    """Return the zone that each act is about: where its page is, or else that of the act before."""
    at, places = machine.zones.index(machine.zone), []
    for act in acts:
        match act:
            case Checked(zone):
                at = zone
            case Compared() | Looked() | Counted() | Refused() | Relabelled() | Asked("drain" | "compact"):
                pass
            case _ if (pfn := getattr(act, "pfn", -1)) >= 0:
                at = machine.zone_of(pfn)
        places.append(at)
    return places


@dataclass(frozen=True)
class Entry:
    """A block on a list as it is shown: its head and a mark.

    The marks: "", "changed" (put there now), "linked" (put there earlier in this request), "moved" (so too, from another type's list or on
    to a CPU's) or "gone" (left in this request).
    """

    pfn: int
    mark: str = ""


def _gone(entries: list[Entry], pfn: int) -> list[Entry]:
    return [Entry(pfn, "gone") if entry.pfn == pfn else entry for entry in entries]


def _added(entries: list[Entry], new: Entry, tail: bool) -> list[Entry]:
    return [*entries, new] if tail else [new, *entries]


def shown_list(now: Moment, order: int, mt: int) -> list[Entry]:
    """Return one free list, head first; blocks that this request took off it keep their place, marked "gone".

    >>> from pagelab.lab import scenario
    >>> [(e.pfn, e.mark) for e in shown_list(moment(scenario.text("alloc 3"), 0, -1), 4, 1)]
    [(0, 'gone')]
    """
    entries = [Entry(pfn) for pfn in now.before.blocks(order, mt)]
    for act in now.here:
        match act:
            case Unlinked(pfn, at, of) | Moved(pfn, at, of) if (at, of) == (order, mt):
                entries = _gone(entries, pfn)
            case Linked(pfn, at, of, tail) if (at, of) == (order, mt):
                entries = _added(entries, Entry(pfn, "changed" if act is now.act else "linked"), tail)
            case Moved(pfn, at, _, of) if (at, of) == (order, mt):
                entries = _added(entries, Entry(pfn, "changed" if act is now.act else "moved"), True)
    return entries


@dataclass(frozen=True)
class CpuList:
    """One of a CPU's lists as it is shown: whose it is, its place among them, the order and the letters of the types on it, its blocks."""

    cpu: int
    pindex: int
    order: int
    types: str
    entries: list[Entry]


def pindex_types(pindex: int) -> str:
    """Return the letters of the types on a per-CPU list.

    >>> pindex_types(1), pindex_types(3), pindex_types(12)
    ('M', 'U', 'UR')
    """
    return LETTERS[pindex % MIGRATE_PCPTYPES] if PCP_ORDERS[pindex] < 9 else "UR" if pindex == len(PCP_ORDERS) - 2 else "M"


def cpu_lists(now: Moment) -> list[CpuList]:
    """Return the per-CPU lists of the zone that are not empty, or were not before this request, head first.

    >>> from pagelab.mm.machine import machine
    >>> from pagelab.lab.tape import Tape
    >>> tape = Tape(machine("48 MiB", pcp=True)).then("alloc 0 x2")
    >>> [(one.cpu, one.order, one.types, [entry.pfn for entry in one.entries]) for one in cpu_lists(moment(tape, 1, 0))]
    [(0, 0, 'M', [1, 2])]
    """
    found = []
    for cpu, pcp in enumerate(now.before.pcp):
        for pindex, blocks in enumerate(pcp.lists):
            entries = [Entry(pfn) for pfn in blocks]
            for act in now.here:
                match act:
                    case Unparked(pfn, _, whose, at, _) if (whose, at) == (cpu, pindex):
                        entries = _gone(entries, pfn)
                    case Parked(pfn, _, whose, at, tail) if (whose, at) == (cpu, pindex):
                        entries = _added(entries, Entry(pfn, "changed" if act is now.act else "moved"), tail)
            if entries:
                found.append(CpuList(cpu, pindex, PCP_ORDERS[pindex], pindex_types(pindex), entries))
    return found


def cpu_of(now: Moment) -> int:
    """Return the CPU whose lists the request touches, or 0."""
    return next((act.cpu for act in now.all if isinstance(act, (Parked, Unparked))), 0)


def pageblocks(zone: Zone) -> list[int]:
    """Return a pfn in each pageblock of a zone: its first one there.

    >>> pageblocks(Zone(1000, start_pfn=100))
    [100, 512, 1024]
    """
    first = zone.start_pfn - zone.start_pfn % PAGEBLOCK_NR_PAGES
    return [max(pfn, zone.start_pfn) for pfn in range(first, zone.end_pfn, PAGEBLOCK_NR_PAGES)]


def orders_of(zone: Zone) -> int:
    """Return how many orders a block of this zone can have, 1..11.

    >>> orders_of(Zone(16)), orders_of(Zone(4096))
    (5, 11)
    """
    return min(NR_PAGE_ORDERS, (zone.end_pfn - zone.start_pfn).bit_length())


def list_type(now: Moment) -> int:
    """Return the migratetype whose lists are shown first: that of the request."""
    asked = now.all[0] if now.all else None
    mt = getattr(asked, "mt", MOVABLE)
    return mt if mt >= 0 else MOVABLE


def types_of(tape: Tape[Machine]) -> tuple[int, ...]:
    """Return the migratetypes that play a part in a run: of its requests, and of pageblocks at its start and at its end.

    >>> from pagelab.lab import scenario
    >>> types_of(scenario.text("alloc 0; alloc 0 unmovable; free 0"))
    (1, 0)
    """
    found = {MOVABLE}
    for request in np.unique(np.asarray(tape.requests)).tolist():
        call = unpack(request)
        found |= {call.mt} if call.verb.startswith("alloc") else {MIGRATETYPES.index("isolate")} if call.verb == "isolate" else set()
    for zone in (*tape.at(0).zones, *tape.at(len(tape)).zones):
        found |= {zone.block_type(pfn) for pfn in pageblocks(zone)}
    return tuple(mt for mt in (*TYPES, *range(len(TYPES), len(MIGRATETYPES))) if mt in found)


class Says(NamedTuple):
    """What the two bands of a strip are called: the area and how its top is told, the line and how its range is told, and both in a tip."""

    area: str
    top: str
    line: str
    span: str
    area_tip: str
    line_tip: str


@dataclass(frozen=True)
class Strip:
    """The whole run in numbers, over all zones.

    steps: int array, positions 0..len(tape) that are shown; free and largest: free pages and largest free order there (-1: nothing
    free); refused: the requests that were refused; orders: how many a block can have. Where says says so, free and largest are other
    numbers, up to pages and below orders.
    """

    steps: NDArray[np.int64]
    free: NDArray[np.int64]
    largest: NDArray[np.int64]
    refused: NDArray[np.int64]
    pages: int
    orders: int
    says: Says = Says("free pages", "of", "largest free", "order, 0 to", "free", "largest order")


def strip(tape: Tape[Machine], points: int = 400) -> Strip:
    """Run a tape once and note free pages and the largest free order.

    Args:
        tape: any tape of a machine.
        points: how many positions are shown at most; the end is always one.

    Returns:
        The Strip.

    >>> from pagelab.lab import scenario
    >>> strip(scenario.text("alloc 3; alloc 4")).free.tolist()
    [16, 8, 8]
    """
    model = tape.at(0)
    every = -(-len(tape) // (points - 1)) or 1
    steps, free, largest = [], [], []
    for k in range(len(tape) + 1):
        if k % every == 0 or k == len(tape):
            steps.append(k)
            free.append(sum(zone.nr_free_pages() for zone in model.zones))
            largest.append(max(zone.largest_free_order() for zone in model.zones))
        if k < len(tape):
            model.apply(tape.requests[k], tape.received)
    refused = np.flatnonzero(np.asarray(tape.received) == REFUSED)
    pages = sum(zone.end_pfn - zone.start_pfn for zone in model.zones)
    return Strip(np.array(steps), np.array(free), np.array(largest), refused, pages, max(map(orders_of, model.zones)))
