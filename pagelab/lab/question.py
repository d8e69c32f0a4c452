"""Questions that a learner answers before the model does.

A question knows how its answer is written (form.py) and what the model says.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..mm.allocator import REFUSED
from ..mm.free_set import free_blocks, free_counts
from ..mm.free_state import SinglyLinked
from ..mm.machine import Machine
from ..mm.pcp import batch_of
from ..mm.units import NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES, get_order
from ..mm.zone import IN_USE, MIGRATETYPES, UNMOVABLE, Zone
from .form import HOW as HOW
from .form import LETTERS, REFUSAL
from .form import read_answer as read_answer
from .form import write_answer as write_answer
from .request import parse, verb_of
from .scenario import even_then_odd, text
from .slab_question import SLAB_ASKS, FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn
from .tape import Tape
from .trace_question import BlocksIn, Learned, WaitsFor, WrongPicks


def lists_of(zone: Zone) -> dict[str, list[int]]:
    """Return the free lists that are not empty, named as answers name them.

    Args:
        zone: any zone.

    Returns:
        From "M0" and the like to the heads, head of the list first.

    >>> from pagelab.mm.page_alloc import boot
    >>> lists_of(boot(16))
    {'M4': [0]}
    """
    return {
        f"{LETTERS[mt]}{order}": zone.blocks(order, mt) for mt in (1, 0, 2) for order in range(NR_PAGE_ORDERS) if zone.free_list[order][mt]
    }


@dataclass(frozen=True)
class Run:
    """What do these requests do, from the end of this tape?

    ask is "pfn" (what the last allocation receives), "pfns" (what each receives), "lists" (at the end), "lists before" (before the last
    request), "counts", "free pages" (on the free lists), "free in DMA" (or in another zone), "on CPU lists" (pages), "merges" (of the last
    request), "block" (head and order of the block that the last free links), "relabelled" (pageblocks, numbered from 0), "label" (of the
    pageblock that the last allocation comes from) or "pageblocks" (how many hold unmovable pages).
    """

    tape: Tape[Machine]
    requests: str
    ask: str

    @property
    def form(self) -> str:
        """How the answer is written."""
        if self.ask not in _FORMS and not self.ask.startswith(FREE_IN):
            raise ValueError(f"{self.ask!r} cannot be asked: ask {', '.join(_FORMS)}, or {FREE_IN}DMA")
        return _FORMS.get(self.ask, "number")

    def after(self) -> Tape[Machine]:
        """Return the tape with the requests done."""
        return self.tape.then(self.requests)

    def truth(self) -> Any:
        """Return what the model says."""
        return self.under(Zone)

    def under(self, zone_type: type[Zone]) -> Any:
        """Return what the model says when a stand-in takes the place of Zone from the end of the tape on."""
        return self.on(restart(self.tape, zone_type, len(self.tape)))

    def on(self, machine: Machine) -> Any:
        """Return what a machine says that stands where the tape ends."""
        did = _Did(machine, list(self.tape.received))
        for parsed in parse(self.requests, machine.names):
            did.apply(parsed.request)
        return did.free_in(self.ask.removeprefix(FREE_IN)) if self.ask.startswith(FREE_IN) else _ASKS[self.ask](did)


class _Did:
    """A machine that does the requests of a question, and what there is to know of them afterwards."""

    def __init__(self, machine: Machine, received: list[int]) -> None:
        self.machine, self.received = machine, received
        self.labels, self.pfns = _labels(machine.zone), list[int | str]()
        self.before, self.freed, self.order = lists_of(machine.zone), -1, -1

    def apply(self, request: int) -> None:
        machine, verb = self.machine, verb_of(request)
        self.before = lists_of(machine.zone)
        if verb == "free":
            self.freed = machine.pfn_to_free(request, self.received)
            self.order = machine.zone.in_use(self.freed)
        self.received.append(machine.apply(request, self.received))
        if verb.startswith("alloc"):
            self.pfns.append(REFUSAL if self.received[-1] == REFUSED else self.received[-1])

    def block(self) -> list[int]:
        """Find the free block that holds the page freed last on the lists: under a stand-in a block may start anywhere."""
        free = ([head, order] for order, row in enumerate(self.machine.zone.free_list) for heads in row for head in heads)
        return next(block for block in free if block[0] <= self.freed < block[0] + (1 << block[1]))

    def relabelled(self) -> list[int]:
        now = _labels(self.machine.zone)
        return [number for number, label in now.items() if label != self.labels[number]]

    def label(self) -> str:
        """Name the type of the pageblock of the page handed out last; a ValueError if none was."""
        return MIGRATETYPES[self.machine.zone.block_type(int(self.pfns[-1]))]

    def free_in(self, name: str) -> int:
        return next(free for free, zone in zip(self.machine.free, self.machine.zones, strict=True) if zone.name == name)


def _labels(zone: Zone) -> dict[int, int]:
    first = zone.start_pfn // PAGEBLOCK_NR_PAGES
    return {number: zone.block_type(number * PAGEBLOCK_NR_PAGES) for number in range(first, -(-zone.end_pfn // PAGEBLOCK_NR_PAGES))}


def _with_unmovable(zone: Zone) -> int:
    """Count the pageblocks that hold pages in use that were allocated as unmovable."""
    blocks = (zone.pageblock(number * PAGEBLOCK_NR_PAGES) for number in _labels(zone))
    return sum(any(state & 0xF0 == IN_USE | UNMOVABLE << 4 for _, state in block) for block in blocks)


FREE_IN = "free in "
_ASKS: dict[str, Callable[[_Did], Any]] = {
    "pfn": lambda did: did.pfns[-1],
    "pfns": lambda did: did.pfns,
    "lists": lambda did: lists_of(did.machine.zone),
    "lists before": lambda did: did.before,
    "counts": lambda did: did.machine.zone.counts(),
    "free pages": lambda did: did.machine.zone.nr_free_pages(),
    "on CPU lists": lambda did: sum(pcp.count for zone in did.machine.zones for pcp in zone.pcp),
    "merges": lambda did: did.block()[1] - did.order,
    "block": lambda did: did.block(),
    "relabelled": lambda did: did.relabelled(),
    "label": lambda did: did.label(),
    "pageblocks": lambda did: _with_unmovable(did.machine.zone),
}
_FORMS = dict.fromkeys(_ASKS, "number") | {
    **{ask: ask for ask in ("pfn", "pfns", "lists", "counts")},
    **{"lists before": "lists", "block": "numbers", "relabelled": "pageblocks", "label": "type"},
}


@dataclass(frozen=True)
class StepWith:
    """After which request is this many pages in use for the first time?"""

    tape: Tape[Machine]
    pages: int
    form: str = "number"

    def truth(self) -> int:
        """Return the number of the request."""
        total = self.tape.at(0).zone.nr_free_pages()
        return next(k for k in range(len(self.tape)) if total - self.tape.at(k + 1).zone.nr_free_pages() == self.pages)


@dataclass(frozen=True)
class Fit:
    """Which order holds this many pages (ask "order"), and how many pages of that block are spare (ask "spare")?"""

    pages: int
    ask: str = "order"
    form: str = "number"

    def truth(self) -> int:
        """Return the order, or the spare pages."""
        order = get_order(self.pages)
        return order if self.ask == "order" else (1 << order) - self.pages


@dataclass(frozen=True)
class Walked:
    """How many nodes are walked to take buddies out of a singly linked list, even pages freed and then odd ones?"""

    pages: int
    form: str = "number"

    def truth(self) -> int:
        """Return the nodes passed before the one looked for, over the whole run."""
        return nodes_walked(even_then_odd(self.pages), SinglyLinked)


@dataclass(frozen=True)
class PagesIn:
    """How many pages, or blocks of one order, are free in a line of /proc/buddyinfo?

    order 0 asks for pages; order 9 for the blocks of 2 MiB that could be handed out.
    """

    counts: tuple[int, ...]
    order: int = 0
    form: str = "number"

    def truth(self) -> int:
        """Return the number of blocks of that order that the line holds."""
        return sum(count << order - self.order for order, count in enumerate(self.counts) if order >= self.order)


@dataclass(frozen=True)
class LargestOrder:
    """What is the largest order that a line of /proc/buddyinfo can serve as it stands, nothing reclaimed or moved?"""

    counts: tuple[int, ...]
    form: str = "number"

    def truth(self) -> int:
        """Return the highest order with a free block."""
        return max(order for order, count in enumerate(self.counts) if count)


@dataclass(frozen=True)
class Heads:
    """At which pfns do the free blocks of this range start, all its pages free?"""

    start: int
    end: int
    form: str = "numbers"

    def truth(self) -> list[int]:
        """Return the heads, ascending."""
        blocks = free_blocks(np.ones(self.end - self.start, bool), self.start)
        return sorted(int(head) for heads in blocks for head in heads)


@dataclass(frozen=True)
class CountsOf:
    """How many free blocks of each order do these free pages make?"""

    free: tuple[int, ...]
    form: str = "counts"

    def truth(self) -> list[int]:
        """Return 11 counts."""
        return free_counts(np.isin(np.arange(max(self.free) + 1), self.free), 0)


@dataclass(frozen=True)
class Useless:
    """How many of the free pages in a line of /proc/buddyinfo are of no use to a request of this order?"""

    counts: tuple[int, ...]
    order: int
    form: str = "number"

    def truth(self) -> int:
        """Return the pages in blocks that are too small."""
        return sum(count << order for order, count in enumerate(self.counts[: self.order]))


@dataclass(frozen=True)
class MostInUse:
    """How many pages of a pageblock may be in use as movable, so that an unmovable request still claims it?"""

    form: str = "number"

    def truth(self) -> int:
        """Return the most pages: the more are in use, the fewer are free to claim it."""
        full = text(f"alloc 0 x{PAGEBLOCK_NR_PAGES - 1}", PAGEBLOCK_NR_PAGES)
        return bisect_left(
            range(1, PAGEBLOCK_NR_PAGES), 1, key=lambda used: not Run(full.fork(used), "alloc 0 unmovable", "relabelled").truth()
        )


@dataclass(frozen=True)
class Batch:
    """How many pages is the batch of a zone with this many managed pages?"""

    managed: int
    form: str = "number"

    def truth(self) -> int:
        """Return the pages."""
        return batch_of(self.managed)


@dataclass(frozen=True)
class Value:
    """A number that was read from a machine or a capture."""

    value: int
    form: str = "number"

    def truth(self) -> int:
        """Return it."""
        return self.value


Question = (Run | StepWith | Fit | Walked | PagesIn | LargestOrder | Heads | CountsOf | Useless | MostInUse | Batch | Value) | (
    (BlocksIn | WaitsFor | Learned | WrongPicks)
    | (SlabRun | SecondPage | KmallocGives | SlabShape | FreePointer | SlabsUntilReturn | RowOfSlabinfo)
)


def run_of(tape: Tape[Any], requests: str, ask: str) -> Run | SlabRun:
    """Ask what requests do, of the pages of a machine or of its caches.

    Args:
        tape: any tape of a machine.
        requests: what comes next.
        ask: what `SlabRun` can be asked where the machine has caches, or what `Run` can be.

    Returns:
        The question.

    >>> run_of(text(), "alloc 0", "pfn").truth()
    0
    """
    return SlabRun(tape, requests, ask) if tape.names and ask in SLAB_ASKS else Run(tape, requests, ask)


def restart(tape: Tape[Machine], zone_type: type[Zone], k: int = 0) -> Machine:
    """Return the machine of a tape with stand-ins for its zones.

    Args:
        tape: any tape of a machine.
        zone_type: a stand-in for Zone.
        k: a step of the tape.

    Returns:
        A machine in the state before request k.

    >>> from pagelab.lab import scenario
    >>> type(restart(scenario.text("alloc 0"), SinglyLinked).zone).__name__
    'SinglyLinked'
    """
    start = tape.at(k)
    machine = start.like(zone_type)
    machine.restore(start.snapshot())
    return machine


def nodes_walked(tape: Tape[Machine], store: type[Zone]) -> int:
    """Run a tape over another kind of list, and count the nodes that taking blocks out of the middle walks.

    Args:
        tape: any tape of a machine.
        store: SinglyLinked, DoublyLinked or SwapWithLast of `pagelab.mm.free_state`.

    Returns:
        The number of nodes.

    >>> nodes_walked(even_then_odd(16), SinglyLinked)
    28
    """
    machine = restart(tape, store)
    for request in tape.requests:
        machine.apply(request, tape.received)
    return int(machine.zone.walked)  # type: ignore[attr-defined]
