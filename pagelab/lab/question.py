"""Questions that a learner answers before the model does.

A question knows how its answer is written and what the model says. Answers are plain values: a number, "refused", a list of numbers, or the
free lists as a mapping such as {"M0": [9, 5], "M1": [12]}.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..mm.free_set import free_blocks, free_counts
from ..mm.free_state import SinglyLinked
from ..mm.machine import FREE, REFUSED, Machine
from ..mm.units import NR_PAGE_ORDERS, get_order
from ..mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES, Zone
from .request import parse
from .scenario import even_then_odd
from .tape import Tape

REFUSAL = "refused"
HOW = {
    "number": "a whole number, such as 9",
    "pfn": f"a pfn, such as 9, or {REFUSAL}",
    "pfns": f"pfns in order, such as 0 4 1, with {REFUSAL} where one is",
    "numbers": "numbers in order, such as 0 4 1",
    "counts": "counts from order 0 up, such as 1 1 0; orders left out are 0",
    "lists": "lists, head first, such as M0: 9 5; M1: 12, or none",
}
_LETTERS = "".join(name[0].upper() for name in MIGRATETYPES[:MIGRATE_PCPTYPES])


class _TwiceError(ValueError):
    """A list that is written twice in one answer."""


def read_answer(form: str, answer: Any) -> Any:
    """Read an answer as typed, or as given in code.

    Args:
        form: one of `HOW`.
        answer: text, or a plain value of that form.

    Returns:
        An int or "refused" (pfn), an int (number), a list (pfns, numbers), a list of 11 (counts), a dict from "M0" to a list (lists).

    Raises:
        ValueError: names the answer and how one is written.

    >>> read_answer("lists", "M0: 2 1; M1=[]"), read_answer("counts", [1, 1])[:3], read_answer("pfn", "0x10")
    ({'M0': [2, 1]}, [1, 1, 0], 16)
    """
    try:
        if form == "lists":
            return _read_lists(answer)
        words = re.findall(r"[^\s,\[\]()]+", answer.replace("_", "")) if isinstance(answer, str) else answer
        if form in ("number", "pfn"):
            if isinstance(answer, str):
                words = re.findall(r"\S+", re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip())
            (word,) = words if isinstance(words, (list, tuple)) else [words]
            return _read_number(word, form == "pfn")
        numbers = [_read_number(word, form == "pfns") for word in words]
        if form == "counts":
            if len(numbers) > NR_PAGE_ORDERS:
                raise ValueError
            numbers += [0] * (NR_PAGE_ORDERS - len(numbers))
        return numbers
    except _TwiceError:
        raise
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{answer!r} cannot be read: write {HOW[form]}") from None


def _read_number(word: Any, may_refuse: bool) -> int | str:
    if may_refuse and isinstance(word, str) and word.lower() == REFUSAL:
        return REFUSAL
    number = int(word, 0) if isinstance(word, str) else word
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
        raise ValueError
    return int(number)


def _read_lists(answer: Any) -> dict[str, list[int]]:
    if isinstance(answer, Mapping):
        pairs = [(str(name), blocks.split() if isinstance(blocks, str) else list(blocks)) for name, blocks in answer.items()]
    else:
        before, *parts = re.split(r"([A-Za-z]\d+)\s*[:=]", answer)
        if before.strip().lower() not in ("none", "") or not (parts or before.strip()):
            raise ValueError
        pairs = [(name, re.findall(r"[^\s,;\[\]]+", blocks)) for name, blocks in zip(parts[::2], parts[1::2], strict=True)]
    lists: dict[str, list[int]] = {}
    for name, blocks in pairs:
        key = name[0].upper() + str(int(name[1:]))
        if key[0] not in _LETTERS or int(key[1:]) >= NR_PAGE_ORDERS:
            raise ValueError
        if key in lists:
            raise _TwiceError(f"{key} stands twice: write {key} once, with all its heads")
        if blocks:
            lists[key] = [int(_read_number(block, False)) for block in blocks]
    return lists


def write_answer(value: Any) -> str:
    """Write an answer as a learner would type it.

    Args:
        value: as `read_answer` returns it.

    Returns:
        One line.

    >>> write_answer({"M0": [9, 5], "M1": [12]}), write_answer([0, 4]), write_answer(32335)
    ('M0: 9 5; M1: 12', '0 4', '32335')
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {' '.join(map(str, blocks))}" for name, blocks in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)


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
        f"{_LETTERS[mt]}{order}": zone.blocks(order, mt) for mt in (1, 0, 2) for order in range(NR_PAGE_ORDERS) if zone.free_list[order][mt]
    }


@dataclass(frozen=True)
class Run:
    """What do these requests do, from the end of this tape?

    ask is "pfn" (what the last allocation receives), "pfns" (what each receives), "lists" (at the end), "lists before" (before the last
    request), "counts", "free pages", "merges" (of the last request) or "block" (head and order of the block that the last free links).
    """

    tape: Tape[Machine]
    requests: str
    ask: str

    @property
    def form(self) -> str:
        """How the answer is written."""
        if self.ask not in _FORMS:
            raise ValueError(f"{self.ask!r} cannot be asked: ask {', '.join(_FORMS)}")
        return _FORMS[self.ask]

    def after(self) -> Tape[Machine]:
        """Return the tape with the requests done."""
        return self.tape.then(self.requests)

    def truth(self) -> Any:
        """Return what the model says."""
        return self.under(Zone)

    def under(self, zone_type: type[Zone]) -> Any:
        """Return what the model says when a stand-in takes the place of Zone from the end of the tape on."""
        machine = restart(self.tape, zone_type, len(self.tape))
        received, pfns = list(self.tape.received), list[int | str]()
        before, freed, order = lists_of(machine.zone), -1, -1
        for request in (parsed.request for parsed in parse(self.requests)):
            before = lists_of(machine.zone)
            if request >= FREE:
                freed = machine.pfn_to_free(request, received)
                order = machine.zone.in_use(freed)
            received.append(machine.apply(request, received))
            pfns += [REFUSAL if received[-1] == REFUSED else received[-1]] * (request < FREE)
        match self.ask:
            case "pfn":
                return pfns[-1]
            case "pfns":
                return pfns
            case "counts":
                return machine.zone.counts()
            case "free pages":
                return machine.zone.nr_free_pages()
            case "lists before":
                return before
            case "block":
                return _free_block(machine.zone, freed)
            case "merges":
                return _free_block(machine.zone, freed)[1] - order
        return lists_of(machine.zone)


def _free_block(zone: Zone, pfn: int) -> list[int]:
    """Find the free block that holds a page on the lists: under a stand-in a block may start anywhere."""
    blocks = ([head, order] for order, row in enumerate(zone.free_list) for heads in row for head in heads)
    return next(block for block in blocks if block[0] <= pfn < block[0] + (1 << block[1]))


_FORMS = {
    "pfn": "pfn",
    "pfns": "pfns",
    "lists": "lists",
    "lists before": "lists",
    "counts": "counts",
    "free pages": "number",
    "merges": "number",
    "block": "numbers",
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
class Value:
    """A number that was read from a machine or a capture."""

    value: int
    form: str = "number"

    def truth(self) -> int:
        """Return it."""
        return self.value


Question = Run | StepWith | Fit | Walked | PagesIn | LargestOrder | Heads | CountsOf | Value


def restart(tape: Tape[Machine], zone_type: type[Zone], k: int = 0) -> Machine:
    """Return the machine of a tape with a stand-in for its zone.

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
    zone = start.zone
    machine = Machine(zone_type(zone.end_pfn - zone.start_pfn, zone.start_pfn, zone.name))
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
