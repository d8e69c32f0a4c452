"""Tasks: goals over a live tape, scored by the requests used."""

from collections.abc import Callable
from typing import Any

from ..mm.machine import Machine
from ..mm.units import MAX_PAGE_ORDER
from ..mm.zone import MIGRATETYPES, MOVABLE, UNMOVABLE
from .exercise import NOT_YET, OPEN, RIGHT, Verdict
from .request import parse, to_text
from .scenario import give_back, one_zone, text
from .tape import Tape

Judge = Callable[[Tape[Any]], tuple[bool, str]]


class Task:
    """A goal, the tape to reach it on, and the requests used so far.

    Args:
        goal: what is to be reached, one sentence.
        start: the tape to begin with.
        par: the fewest requests known.
        judge: from the tape to whether the goal is reached, and a sentence with the numbers.
        only: the requests that the goal allows, as "alloc" or "kmalloc kfree"; "" for any.

    >>> task = refuse_with_most_free()
    >>> task.do("alloc 0; alloc 5").state, task.used
    ('right', 2)
    """

    def __init__(self, goal: str, start: Tape[Any], par: int, judge: Judge, only: str = "") -> None:
        self.goal, self.start, self.par, self.only = goal, start, par, only
        self._judge = judge
        self.tape = start

    @property
    def used(self) -> int:
        """The number of requests used."""
        return len(self.tape) - len(self.start)

    @property
    def typed(self) -> str:
        """The requests used, as text."""
        return to_text(self.tape.requests[len(self.start) :], self.tape.names)

    def do(self, requests: str) -> Verdict:
        """Do more requests.

        Args:
            requests: as `pagelab.lab.request` reads them.

        Returns:
            How the task stands.

        Raises:
            RequestError: a request cannot be read or done, or this task does not allow it; nothing is done.
        """
        parse(requests, self.tape.names, self.only.split())
        self.tape = self.tape.then(requests)
        return self.verdict()

    def undo(self) -> Verdict:
        """Take back the last request, if there is one; return how the task stands."""
        self.tape = self.tape.fork(max(len(self.start), len(self.tape) - 1))
        return self.verdict()

    def reset(self) -> Verdict:
        """Take back every request; return how the task stands."""
        self.tape = self.start
        return self.verdict()

    def verdict(self) -> Verdict:
        """Return how the task stands."""
        if not self.used:
            return Verdict(OPEN, "")
        reached, sentence = self._judge(self.tape)
        plural = "s" * (self.used != 1)
        return Verdict(RIGHT if reached else NOT_YET, f"{sentence} {self.used} request{plural} used; the fewest known is {self.par}.")


def _state(tape: Tape[Machine], order: int) -> tuple[bool, int, str]:
    """Say whether an order is refused now, how many pages are free, and both in words."""
    zone = tape.at(len(tape)).zone
    largest, free = zone.largest_free_order(), zone.nr_free_pages()
    pages = f"{free} page{'s' * (free != 1)} free"
    if largest < order:
        return True, free, f"Order {order} is refused with {pages}."
    head = next(pfn for row in zone.free_list[order:] for blocks in row for pfn in blocks)
    return False, free, f"{pages}, and order {order} is not refused: it can come out of the block at {head}."


def refuse_with_most_free() -> Task:
    """Return the task: 64 fresh pages, allocations only, order 5 refused with the most pages free.

    Returns:
        The task; 31 pages free is the most there can be.

    >>> refuse_with_most_free().do("alloc 5 x2").state
    'not yet'
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        refused, free, words = _state(tape, 5)
        return refused and free == 31, words + (f" {31 - free} more can stay free." if refused and free < 31 else "")

    goal = "Hand out memory until a request of order 5 is refused, with as many pages free as you can."
    return Task(goal, text(pages=64), 2, judge, only="alloc")


def free_without_a_pair() -> Task:
    """Return the task: 32 pages in use; free as many as possible, 1 and 2 among them, with order 1 still refused.

    Returns:
        The task; 16 pages, one of each pair, is the most there can be.

    >>> free_without_a_pair().do("free 1; free 2").state
    'not yet'
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        refused, free, words = _state(tape, 1)
        zone = tape.at(len(tape)).zone
        missing = [pfn for pfn in (1, 2) if zone.block(pfn).kind != "free"]
        if missing:
            return False, f"{words} Page {missing[0]} must be free too."
        return refused and free == 16, words + (f" {16 - free} more can be freed." if refused and free < 16 else "")

    goal = "Free as many pages as you can, pages 1 and 2 among them, so that a request of order 1 is still refused."
    return Task(goal, text("alloc 0 x32", pages=32), 16, judge, only="free")


def refuse_with_half_free() -> Task:
    """Return the task: 64 fresh pages; order 4 refused with exactly 32 pages free.

    Returns:
        The task.

    >>> refuse_with_half_free().do("alloc 3 x7; free 8; free 24; free 40").state
    'right'
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        refused, free, words = _state(tape, 4)
        return refused and free == 32, words + (" Exactly 32 are wanted." if free != 32 else "")

    goal = "Reach a state in which a request of order 4 is refused although exactly 32 of the 64 pages are free."
    return Task(goal, text(pages=64), 10, judge)


def label_and_back() -> Task:
    """Return the task: one pageblock with 300 movable pages in use; change its label to unmovable, and back.

    Returns:
        The task.

    >>> label_and_back().do("alloc 0 unmovable").text
    'The label is movable, and was nothing else yet. 1 request used; the fewest known is 3.'
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        labels = [tape.at(k).zone.block_type(0) for k in range(len(tape) + 1)]
        if UNMOVABLE not in labels:
            return False, f"The label is {MIGRATETYPES[labels[-1]]}, and was nothing else yet."
        changed = f"The label became unmovable in step {labels.index(UNMOVABLE) - 1}"
        if labels[-1] != MOVABLE:
            return False, f"{changed}, and is still {MIGRATETYPES[labels[-1]]}."
        return True, f"{changed}, and is movable again."

    goal = "Change the label of the pageblock, pages 0 to 511, from movable to unmovable and back to movable."
    return Task(goal, text("alloc 8; alloc 5; alloc 3; alloc 2", pages=512), 3, judge)


def refuse_for_good() -> Task:
    """Return the task: 64 fresh pages; order 4 refused with 32 free, and still refused if all that is movable were given back.

    Returns:
        The task.

    >>> refuse_for_good().do("alloc 3 unmovable x7; free 8; free 24; free 40").state
    'right'
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        refused, free, words = _state(tape, 4)
        if not refused or free != 32:
            return False, words + (" Exactly 32 are wanted." if free != 32 else "")
        stays, _, moved = _state(give_back(tape), 4)
        return stays, f"{words} {'No movable page decides that.' if stays else f'But without the movable pages: {moved}'}"

    goal = (
        "Reach a state in which a request of order 4 is refused although exactly 32 of the 64 pages are free, "
        "and which would stay so if every movable page were moved away."
    )
    return Task(goal, text(pages=64), 10, judge)


def whole_again() -> Task:
    """Return the task: 48 MiB, of which 4 pages went out and came back; make all of it blocks of order 10 again.

    Returns:
        The task.

    >>> whole_again().do("alloc 0; free @8").state, whole_again().do("drain").state
    ('not yet', 'right')
    """

    def judge(tape: Tape[Machine]) -> tuple[bool, str]:
        zone = tape.at(len(tape)).zone
        blocks, waiting = zone.nr_free(MAX_PAGE_ORDER), sum(pcp.count for pcp in zone.pcp)
        words = f"{blocks} blocks of order {MAX_PAGE_ORDER} are free, and {waiting} pages are on the CPU's lists."
        return blocks << MAX_PAGE_ORDER == zone.managed, words

    goal = f"Four pages went out and came back. Bring the zone back to 12 free blocks of order {MAX_PAGE_ORDER}."
    return Task(goal, one_zone("alloc 0 x4; free @0; free @1; free @2; free @3"), 1, judge)
