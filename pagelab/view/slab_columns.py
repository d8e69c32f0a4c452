"""A cache to numbers: all that a figure or a text shows of its slabs at a moment, as plain lists. No bokeh here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..lab.tape import Tape
from ..mm.act import Asked
from ..mm.slab import CPU_PARTIAL, CPU_SLAB, END, FULL, IN_SHEAF, IN_USE, LOST, NO_LIST, NODE_PARTIAL, KmemCache
from ..mm.slab_act import (
    SLAB_ACTS,
    Called,
    Carved,
    Crowded,
    Delisted,
    Discarded,
    Drawn,
    Enlisted,
    FoundEmpty,
    Loaded,
    Popped,
    Pushed,
    Put,
    Rested,
    Unloaded,
    Weighed,
)
from ..mm.slab_layout import Slab
from ..mm.slab_machine import SlabMachine
from ..mm.units import PAGE_SIZE
from .columns import Entry, Moment, moment
from .sheaf_rows import Bar, ListRow, Row, sheaf_rows

STATES = {IN_USE: "in use", LOST: "lost", IN_SHEAF: "in a sheaf"}
OBJECT_ACTS = (Popped, Pushed, Drawn, Put, Rested)


@dataclass(frozen=True)
class SlabMoment:
    """One position of a run, as far as one cache goes.

    pages: the Moment of the machine. cache is its state now, before that before the request. acts are those of this cache so far in the
    request, act the last of all acts where it is this cache's.
    """

    pages: Moment
    cache: KmemCache
    before: KmemCache
    acts: tuple[Any, ...]
    act: Any


def slab_moment(tape: Tape[SlabMachine], k: int, act: int, name: str) -> SlabMoment:
    """Return the state of a cache at act `act` of request k; at k = len(tape), the end. The zone that is shown is the largest.

    Args:
        tape: any tape of a machine with caches.
        k, act: as `pagelab.view.columns.moment` has them.
        name: of the cache.

    Raises:
        ValueError: k or act is out of range, or there is no such cache.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> now = slab_moment(Tape(slab_machine(64)).then([kmalloc_request(512)]), 0, -1, "kmalloc-512")
    >>> now.cache.live(), now.before.live(), type(now.act).__name__
    (1, 0, 'Popped')
    """
    start = tape.at(k)
    now = moment(tape, k, act, start.zones.index(start.zone))  # type: ignore[arg-type]
    machine: Any = now.machine
    cache = machine.cache(name)
    acts = tuple(a for a in now.acts if isinstance(a, SLAB_ACTS) and a.cache == cache.name)
    last = acts[-1] if acts and acts[-1] is now.acts[-1] else None
    return SlabMoment(replace(now, here=_segment(now.acts)), cache, start.cache(name), acts, last)


def _segment(acts: Sequence[Any]) -> tuple[Any, ...]:
    """Return the page acts of the block that was asked for or given back last."""
    pages = [act for act in acts if not isinstance(act, SLAB_ACTS)]
    first = max((i for i, act in enumerate(pages) if isinstance(act, Asked)), default=0)
    return tuple(pages[first:])


# A slab.


class Slot(NamedTuple):
    """One object of a slab: its index, and bytes start up to end of it.

    state: "in use", "free", "lost" or "in a sheaf". place: of a free one on its freelist, from 1, and whose that is: "cpu" or "slab";
    after: the next one there, or -1. mark: "" or "changed" (by this act), "moved" (earlier in this request), "looked".
    """

    obj: int
    start: int
    end: int
    state: str
    place: int
    whose: str
    after: int
    mark: str


class SlabShown(NamedTuple):
    """One slab as it is shown.

    where: on which list it is, in words; served: whether that is a CPU, which has a freelist of its own. Bytes from waste up to size have
    no object.
    """

    pfn: int
    order: int
    live: int
    where: str
    served: bool
    slots: list[Slot]
    waste: int
    size: int


def shown_slab(now: SlabMoment, pfn: int) -> SlabShown | None:
    """Return the slab that page pfn is of, or None where it is of none of this cache.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> now = slab_moment(Tape(slab_machine(64)).then([kmalloc_request(512)]), 0, -1, "kmalloc-512")
    >>> slab = shown_slab(now, 0)
    >>> slab.where, [(slot.state, slot.place) for slot in slab.slots[:3]]
    ('cpu 0 slab', [('in use', 0), ('free', 1), ('free', 2)])
    """
    cache = now.cache
    owner, number = cache.owners.get(pfn, (None, -1))
    if owner is None or owner.name != cache.name:
        return None
    state, size, marks = cache.slab(number), cache.layout.size, _object_marks(now, cache.pfn[number])
    places = {index: (i, "slab") for i, index in enumerate(state.freelist, 1)}
    places |= {index: (i, "cpu") for i, index in enumerate(state.cpu_freelist, 1)}
    slots = []
    for index in range(state.objects):
        after, (place, whose) = cache.next[number * cache.stride + index], places.get(index, (0, ""))
        nearest = after if place and after != END else -1
        kind = STATES.get(after, "free")
        slots.append(Slot(index, index * size, (index + 1) * size, kind, place, whose, nearest, marks.get(index, "")))
    full = cache.place[number] == NO_LIST and not state.freelist
    where = place_name(now, (FULL if full else cache.place[number], cache.owner[number]))
    return SlabShown(
        state.pfn, state.order, state.live, where, cache.place[number] == CPU_SLAB, slots, state.objects * size, PAGE_SIZE << state.order
    )


def _object_marks(now: SlabMoment, pfn: int) -> dict[int, str]:
    marks = {act.obj: "moved" for act in now.acts if isinstance(act, OBJECT_ACTS) and act.pfn == pfn}
    match now.act:
        case Popped() | Pushed() | Drawn() | Put() | Rested() if now.act.pfn == pfn:
            marks[now.act.obj] = "changed"
        case Called() if now.act.pfn == pfn and now.act.obj >= 0:
            marks[now.act.obj] = "looked"
    return marks


def slab_in_focus(now: SlabMoment) -> int:
    """Return the first page of the slab that the present act is about, or of that which serves its CPU; -1 where the cache has none."""
    for act in reversed(now.acts):
        pfn = getattr(act, "pfn", -1)
        if pfn >= 0 and (act is now.act or pfn in now.cache.owners):
            return int(pfn)
        cpu = act.owner if isinstance(act, FoundEmpty) else getattr(act, "cpu", -1)
        if isinstance(act, Called | FoundEmpty) and 0 <= cpu < len(now.cache.cpu) and (slab := now.cache.cpu[cpu].slab) >= 0:
            return now.cache.pfn[slab]
    served = [c.slab for c in now.cache.cpu if c.slab >= 0] or now.cache.numbers()
    return now.cache.pfn[served[0]] if served else -1


# The lists.


NOTES = {
    CPU_SLAB: "allocations come from here",
    CPU_PARTIAL: "next in line, no lock",
    NODE_PARTIAL: "shared, list_lock",
    NO_LIST: "on its way, in this request",
}
HAND = (NO_LIST, 0)


def place_name(now: SlabMoment, at: Row) -> str:
    """Name a list.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> now = slab_moment(Tape(slab_machine(64)), 0, 0, "kmalloc-512")
    >>> [place_name(now, (place, 0)) for place in (CPU_PARTIAL, NODE_PARTIAL, FULL, NO_LIST)]
    ['cpu 0 partial', 'node partial', 'full', 'in hand']
    """
    place, owner = at
    if place == NODE_PARTIAL:
        return f"node {owner} partial" if len(now.cache.node) > 1 else "node partial"
    # With sheaves, objects that a slab has not may wait in one of them.
    full = "no free object" if now.cache.sheaves.capacity else "full"
    return {CPU_SLAB: f"cpu {owner} slab", CPU_PARTIAL: f"cpu {owner} partial", FULL: full}.get(place, "in hand")


def list_rows(now: SlabMoment, cpus: Iterable[int]) -> list[ListRow]:
    """Return every list of the cache, for the CPUs named; slabs that left one in this request keep their place, marked "gone".

    A slab that is on no list is full, or in the hand of the request: then it stands in a last row, which is there only while it is needed.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> now = slab_moment(Tape(slab_machine(64)).then([kmalloc_request(512)] * 9), 8, -1, "kmalloc-512")
    >>> [(row.name, [(bar.pfn, bar.live, bar.mark) for bar in row.bars]) for row in list_rows(now, [0])]
    [('cpu 0 slab', [(0, 8, 'gone'), (1, 1, 'moved')]), ('cpu 0 partial', []), ('node partial', []), ('full', [(0, 8, 'moved')])]
    """
    found, rows = sheaf_rows(now.cache, now.act, cpus), _lists_before(now, cpus)
    for act in now.acts:
        _follow(rows, act, "changed" if act is now.act else "moved")
    _tell_full_from_hand(now, rows)
    for at, entries in rows.items():
        if entries or at != HAND:
            note = NOTES.get(at[0]) or _full_note(now)
            found.append(ListRow(at, place_name(now, at), note, [_bar(now, entry) for entry in entries], _looked(now, at)))
    return found


def _full_note(now: SlabMoment) -> str:
    if now.cache.layout.flags & Slab.STORE_USER:
        return "kept for checks, list_lock"
    return "on no list; in use or in sheaves" if now.cache.sheaves.capacity else "on no list"


def _lists_before(now: SlabMoment, cpus: Iterable[int]) -> dict[Row, list[Entry]]:
    before, rows = now.before, dict[Row, list[int]]()
    # A cache with sheaves, or one that is debugged, has no cpu slabs.
    for cpu in cpus if before.layout.cpu_partial else ():
        c = before.cpu[cpu]
        rows[CPU_SLAB, cpu] = [c.slab] * (c.slab >= 0)
        rows[CPU_PARTIAL, cpu] = c.partial[::-1]
    for node, n in enumerate(before.node):
        rows[NODE_PARTIAL, node] = list(n.partial)
    rows[FULL, 0] = [slab for slab in before.numbers() if before.place[slab] in (NO_LIST, FULL)]
    rows[HAND] = []
    return {at: [Entry(before.pfn[slab]) for slab in slabs] for at, slabs in rows.items()}


def _follow(rows: dict[Row, list[Entry]], act: Any, mark: str) -> None:
    """Let an act move its slab from list to list; on its way it is in hand."""
    if isinstance(act, Loaded | Enlisted | Discarded):
        _leave(rows, HAND, act.pfn)
        _leave(rows, (FULL, 0), act.pfn)
    match act:
        case Carved():
            _add(rows, HAND, act.pfn, mark)
        case Loaded():
            _add(rows, (CPU_SLAB, act.cpu), act.pfn, mark)
        case Unloaded():
            _leave(rows, (CPU_SLAB, act.cpu), act.pfn)
            _add(rows, HAND, act.pfn, mark)
        case Enlisted():
            at = (act.place, 0 if act.place == FULL else act.owner)
            _add(rows, at, act.pfn, mark, act.tail and act.place != CPU_PARTIAL)
        case Delisted():
            _leave(rows, (act.place, 0 if act.place == FULL else act.owner), act.pfn)
            _add(rows, HAND, act.pfn, mark)


def _tell_full_from_hand(now: SlabMoment, rows: dict[Row, list[Entry]]) -> None:
    """Let slabs in hand without a free object stand with the full ones, and full ones that got one, and are on no list yet, in hand."""
    for entry in [entry for entry in rows[HAND] if not _bar(now, entry).free]:
        rows[HAND].remove(entry)
        rows[FULL, 0].insert(0, entry)
    for pfn in [entry.pfn for entry in rows[FULL, 0] if entry.mark != "gone" and _bar(now, entry).free]:
        if now.cache.place[now.cache.owners[pfn][1]] == NO_LIST:
            _leave(rows, (FULL, 0), pfn)
            _add(rows, HAND, pfn, "changed" if getattr(now.act, "pfn", -1) == pfn else "moved")


def _leave(rows: dict[Row, list[Entry]], at: Row, pfn: int) -> None:
    """Mark a slab as gone where it stood at the start of the request; one that only passed through is not shown."""
    entries = rows.get(at, [])
    for i, entry in enumerate(entries):
        if entry.pfn == pfn and entry.mark != "gone":
            entries[i : i + 1] = [] if entry.mark else [Entry(pfn, "gone")]
            return


def _add(rows: dict[Row, list[Entry]], at: Row, pfn: int, mark: str, tail: bool = False) -> None:
    if at in rows:
        rows[at].insert(len(rows[at]) if tail or at[0] == CPU_SLAB else 0, Entry(pfn, mark))


def _bar(now: SlabMoment, entry: Entry) -> Bar:
    for cache in (now.cache, now.before):
        owner, slab = cache.owners.get(entry.pfn, (None, -1))
        if owner is not None and owner.name == cache.name:
            count, slots = cache.objects[slab], cache.next[slab * cache.stride :][: cache.objects[slab]]
            live, resting, lost = map(slots.count, (IN_USE, IN_SHEAF, LOST))
            return Bar(entry.pfn, count, live, entry.mark, resting=resting, free=count - live - resting - lost)
    return Bar(entry.pfn, now.cache.stride, 0, entry.mark)


def _looked(now: SlabMoment, at: Row) -> str:
    place, owner = at
    match now.act:
        case FoundEmpty(_, "freelist", whose) if at == (CPU_SLAB, whose):
            return "its freelist is empty"
        case FoundEmpty(_, "slab", whose) if at == (CPU_SLAB, whose):
            return "nothing was freed to it"
        case FoundEmpty(_, "cpu partial", whose) if at == (CPU_PARTIAL, whose):
            return "empty"
        case FoundEmpty(_, "node partial", whose) if at == (NODE_PARTIAL, whose):
            return "empty"
        case Crowded(_, cpu, slabs, limit, yes) if at == (CPU_PARTIAL, cpu):
            return f"{slabs} of {limit}: {'no room' if yes else 'room for one more'}"
        case Weighed(_, _, _, nr_partial, least, yes) if place == NODE_PARTIAL:
            return f"has {nr_partial}, keeps {least}: {'one too many' if yes else 'it may stay'}"
    return ""
