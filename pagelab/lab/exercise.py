"""Answers graded with a reason.

A wrong answer that a variant gives gets that variant's message. Any other is met with the rule, the numbers of the case and the step to
look at. What is right is said first.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ..mm.machine import Machine
from .form import read_answer, write_answer
from .question import LargestOrder, Question, Run
from .reason import reason
from .scenario import on_kernel, one_zone, slab, some_free
from .slab_question import RowOfSlabinfo, SlabRun, SlabShape
from .tape import Tape
from .variant import VARIANTS

Q = TypeVar("Q", Run, SlabRun)
RIGHT, NOT_YET, OPEN = "right", "not yet", "not answered yet"
DRAWS = 2_000


class Verdict(NamedTuple):
    """How an answer stands: its state (right, not yet, not answered yet), what to say, and the variant that gives the same answer."""

    state: str
    text: str
    variant: str | None = None

    def __str__(self) -> str:
        return f"{self.state[0].upper()}{self.state[1:]}{': ' if self.text else '.'}{self.text}"


def grade(question: Question, answer: Any) -> Verdict:
    """Grade one answer.

    Args:
        question: what was asked.
        answer: text or a plain value; None or empty text is no answer.

    Returns:
        The Verdict.

    >>> from pagelab.lab.scenario import text
    >>> question = Run(text("alloc 0"), "alloc 1", "pfn")
    >>> grade(question, 2).state, grade(question, 1).variant, grade(question, None).state
    ('right', 'next-page', 'not answered yet')
    """
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return Verdict(OPEN, "")
    try:
        given = read_answer(question.form, answer)
    except ValueError as problem:
        return Verdict(NOT_YET, str(problem) + ".")
    truth = question.truth()
    if given == truth:
        return Verdict(RIGHT, write_answer(truth) + ".")
    said = [(variant, variant.answer(question)) for variant in VARIANTS]
    for same in (_exactly, _as_sets):
        for variant, answer in said:
            if answer is not None and same(answer, given) and not same(answer, truth):
                return Verdict(NOT_YET, _partly(given, truth) + variant.message(question), variant.name)
    return Verdict(NOT_YET, _partly(given, truth) + reason(question, given, truth))


def grade_all(questions: Mapping[str, Question], answers: Mapping[str, Any]) -> Verdict:
    """Grade the parts of one prediction together.

    Args:
        questions: from a part's name, as "pfn", to its question.
        answers: from the same names to answers.

    Returns:
        Right when every part is; else what is right is said first, and then the first part that is not.

    >>> from pagelab.lab.scenario import text
    >>> tape = text("alloc 0 x2")
    >>> parts = {"free pages": Run(tape, "free 0; alloc 1", "free pages"), "pfn": Run(tape, "free 0; alloc 1", "pfn")}
    >>> grade_all(parts, {"free pages": 13, "pfn": 0}).text[:43]
    'The free pages part is right; pfn is not. R'
    """
    verdicts = {name: grade(question, answers.get(name)) for name, question in questions.items()}
    if len(verdicts) == 1:
        return next(iter(verdicts.values()))
    states = [verdict.state for verdict in verdicts.values()]
    if all(state == OPEN for state in states):
        return Verdict(OPEN, "")
    if all(state == RIGHT for state in states):
        return Verdict(RIGHT, " ".join(f"{name} {verdict.text}" for name, verdict in verdicts.items()))
    right = [name for name, verdict in verdicts.items() if verdict.state == RIGHT]
    wrong, verdict = next((name, verdict) for name, verdict in verdicts.items() if verdict.state != RIGHT)
    named = [f'"{name}"' if "," in name else name for name in right]
    parts = f"The {' and '.join(named)} part{'s are' if len(right) > 1 else ' is'} right"
    first = f"{parts}; {wrong} is not{' answered' * (verdict.state == OPEN)}. " if right else ""
    return Verdict(NOT_YET, first + (verdict.text if right else f"{wrong}: {verdict.text or 'not answered.'}"), verdict.variant)


def _exactly(one: Any, other: Any) -> bool:
    return bool(one == other)


def _as_sets(one: Any, other: Any) -> bool:
    """Tell whether two answers are the same lists, whatever the order on each list."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    return {name: sorted(blocks) for name, blocks in one.items()} == {name: sorted(blocks) for name, blocks in other.items()}


def _partly(given: Any, truth: Any) -> str:
    """Say first what is right, if something is and something is not."""
    if isinstance(truth, dict):
        names = sorted(set(given) | set(truth))
        right = [name for name in names if given.get(name) == truth.get(name)]
        wrong = [name for name in names if name not in right]
    elif isinstance(truth, list) and len(truth) == len(given) == 11:
        wrong = [f"order {order}" for order, (mine, other) in enumerate(zip(given, truth, strict=True)) if mine != other]
        right = ["the other orders"] if len(wrong) < 11 else []
    elif isinstance(truth, list) and len(truth) == len(given):
        right = [str(mine) for mine, other in zip(given, truth, strict=True) if mine == other]
        wrong = [str(mine) for mine, other in zip(given, truth, strict=True) if mine != other]
    else:
        return ""
    if not right or not wrong:
        return ""
    verb = "is" if len(right) == 1 and not right[0].endswith("orders") else "are"
    said = f"{', '.join(right)} {verb} right; {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not. "
    return said[0].upper() + said[1:]


def draw(seed: int, make: Callable[[random.Random], Q], apart: tuple[str, ...]) -> Q:
    """Draw questions until the right answer differs from the answers of the variants named.

    Args:
        seed: any integer; the same seed gives the same question.
        make: from a source of random numbers to a question.
        apart: names of variants, each of which must have an answer of its own.

    Returns:
        The first question that no wrong theory passes.

    Raises:
        ValueError: as many questions as `DRAWS` were drawn and none tells the theories apart.

    >>> draw(1, lambda r: Run(some_free([0]), f"free {r.randrange(2, 9)}; alloc 0", "pfn"), ("fifo",)).ask
    'pfn'
    """
    source = random.Random(seed)
    for _ in range(DRAWS):
        question = make(source)
        truth = question.truth()
        if all(variant.answer(question) not in (None, truth) for variant in VARIANTS if variant.name in apart):
            return question
    raise ValueError(f"seed {seed}: none of {DRAWS:,} questions tells the right answer from {', '.join(apart)}")


def next_page(seed: int, pages: int = 16, free: int = 6) -> Run:
    """Draw: all pages in use, some freed; which pfn does the next request of order 0 receive?

    Args:
        seed: any integer.
        pages: pages of the zone.
        free: how many are freed.

    Returns:
        A question that lifo-only, fifo, lowest-address and neighbour all get wrong.

    >>> next_page(1).truth()
    6
    """

    def make(source: random.Random) -> Run:
        freed = "; ".join(f"free {pfn}" for pfn in source.sample(range(pages), free))
        return Run(some_free([], pages), f"{freed}; alloc 0", "pfn")

    return draw(seed, make, ("lifo-only", "fifo", "lowest-address", "neighbour"))


def lowest_order_first(seed: int) -> Run:
    """Draw: a few blocks of unlike orders are free; which pfn does the next request of order 0 receive?

    Args:
        seed: any integer.

    Returns:
        A question that lowest-address, next-page and bump get wrong.

    >>> lowest_order_first(1).form
    'pfn'
    """

    def make(source: random.Random) -> Run:
        block, page = sorted(source.sample(range(4), 2))
        pages = [*range(4 * block, 4 * block + 4), 4 * page + source.randrange(4)]
        return Run(some_free(pages), "alloc 0", "pfn")

    return draw(seed, make, ("lowest-address", "next-page", "bump"))


def one_free(seed: int, pages: int = 32) -> dict[str, Question]:
    """Draw: about half of the pages are free and one more is freed; which block results, after how many merges?

    Args:
        seed: any integer.
        pages: pages of the zone.

    Returns:
        The parts "block" (head and order) and "merges"; one-merge and neighbour get the block wrong.

    >>> sorted(one_free(1))
    ['block', 'merges']
    """

    def make(source: random.Random) -> Run:
        freed = source.sample(range(pages), pages // 2)
        return Run(some_free(freed[:-1], pages), f"free {freed[-1]}", "block")

    block = draw(seed, make, ("one-merge", "neighbour"))
    return {"block": block, "merges": Run(block.tape, block.requests, "merges")}


def on_both(tape: Tape[Machine], requests: str, ask: str) -> dict[str, Question]:
    """Ask the same of two kernels, each of which did all of the tape.

    Args:
        tape: any tape of a machine.
        requests: what comes next.
        ask: as `Run` has it.

    Returns:
        The parts "6.1" and "6.12".

    >>> from pagelab.lab.scenario import text
    >>> parts = on_both(text("alloc 0 x300", 512), "alloc 0 unmovable", "lists")
    >>> parts["6.1"].truth()["U0"], parts["6.12"].truth()["M0"]
    ([301], [301])
    """
    return {kernel: Run(on_kernel(tape, kernel), requests, ask) for kernel in ("6.1", "6.12")}


def stolen_pages(seed: int, pages: int = 1024) -> Run:
    """Draw: all pages are in use as movable, and a few come back; which pfns do four unmovable requests receive?

    Args:
        seed: any integer.
        pages: pages of the zone, 512 or more.

    Returns:
        A question that strict-types, lowest-address and largest-first get wrong.

    >>> len(stolen_pages(1).truth())
    4
    """

    def make(source: random.Random) -> Run:
        pairs = source.sample(range(0, pages, 2), 6)
        freed = [page for pair in pairs[:3] for page in (pair, pair + 1)] + [pair + source.randrange(2) for pair in pairs[3:]]
        source.shuffle(freed)
        return Run(some_free(freed, pages), "alloc 0 unmovable x4", "pfns")

    return draw(seed, make, ("strict-types", "lowest-address", "largest-first"))


def two_cpus(seed: int) -> Run:
    """Draw: two CPUs ask for pages, and one of them frees a page; which pfns are received?

    Args:
        seed: any integer.

    Returns:
        A question that no-pcp, one-list, fifo and free-merges get wrong.

    >>> two_cpus(1).requests.count("alloc 0"), two_cpus(1).requests.count("free @")
    (6, 1)
    """
    tape = one_zone(cpus=2)

    def make(source: random.Random) -> Run:
        cpus = [f" cpu {cpu}" if cpu else "" for cpu in (source.randrange(2) for _ in range(7))]
        requests = [f"alloc 0{cpu}" for cpu in cpus]
        requests[3] = f"free @{source.randrange(3)}{cpus[3]}"
        return Run(tape, "; ".join(requests), "pfns")

    return draw(seed, make, ("no-pcp", "one-list", "fifo", "free-merges"))


def next_objects(seed: int, slabs: int = 3) -> SlabRun:
    """Draw: a cache of 512 bytes has given out all objects of its slabs, and four come back; which do the next three requests receive?

    Args:
        seed: any integer.
        slabs: of 8 objects each.

    Returns:
        A question that global-lifo, lowest-first, oldest-first and fresh-first get wrong.

    >>> next_objects(1).requests, next_objects(1).truth()
    ('kfree @4; kfree @18; kfree @2; kfree @8; kmalloc 512 x3', ['#18', '#8', '#2'])
    """
    tape = slab(f"kmalloc 512 x{8 * slabs}")

    def make(source: random.Random) -> SlabRun:
        freed = "; ".join(f"kfree @{k}" for k in source.sample(range(8 * slabs), 4))
        return SlabRun(tape, f"{freed}; kmalloc 512 x3", "objects")

    return draw(seed, make, ("global-lifo", "lowest-first", "oldest-first", "fresh-first"))


def objects_of_two_cpus(seed: int) -> SlabRun:
    """Draw: one CPU fills its slab of 16 objects of 512 bytes, and two CPUs free some of them and ask again; which are received?

    Args:
        seed: any integer.

    Returns:
        A question that global-lifo, own-frees, lowest-first and fresh-first get wrong.

    >>> objects_of_two_cpus(1).truth()
    ['#19', '#20', '#3']
    """
    tape = slab("kmalloc 512 x16", cpus=2)

    def make(source: random.Random) -> SlabRun:
        freed = "; ".join(f"kfree @{k}{' cpu 1' * source.randrange(2)}" for k in source.sample(range(16), 3))
        asked = "; ".join(f"kmalloc 512{' cpu 1' * source.randrange(2)}" for _ in range(3))
        return SlabRun(tape, f"{freed}; {asked}", "objects")

    return draw(seed, make, ("global-lifo", "own-frees", "lowest-first", "fresh-first"))


def pinned_pages(objects: int = 64) -> SlabRun:
    """Ask: objects of 512 bytes are given out, and one of each slab of 8 is kept; how many pages do slabs hold?

    Args:
        objects: a multiple of 8.

    Returns:
        The question.

    >>> pinned_pages().truth()
    8
    """
    freed = "; ".join(f"kfree @{k}" for k in range(objects) if k % 8)
    return SlabRun(slab(f"kmalloc 512 x{objects}", 2 * objects), freed, "pages")


def slab_shapes(object_size: int, cpus: Iterable[int]) -> dict[str, Question]:
    """Ask for each number of CPUs: the order of a cache's slabs, their objects, and the bytes that are left over.

    Args:
        object_size: bytes.
        cpus: numbers of CPUs.

    Returns:
        The parts "order, 1 CPU" and so on.

    >>> {part: question.truth() for part, question in slab_shapes(704, [4]).items()}
    {'order, 4 CPUs': 2, 'objects, 4 CPUs': 23, 'waste, 4 CPUs': 192}
    """
    asks = [(ask, number) for number in cpus for ask in ("order", "objects", "waste")]
    return {f"{ask}, {number} CPU{'s' * (number != 1)}": SlabShape(object_size, number, ask) for ask, number in asks}


def row_of_slabinfo(row: Sequence[Any]) -> dict[str, Question]:
    """Ask of a row of /proc/slabinfo: how many bytes does the cache hold, and how many of them are at the ends of its slabs?

    Args:
        row: name and numbers, as `pagelab.real.slabinfo.SlabInfo` has them.

    Returns:
        The parts "held" and "slack".

    >>> {part: question.truth() for part, question in row_of_slabinfo(["kmalloc-96", 30, 42, 96, 42, 1, 1, 1]).items()}
    {'held': 4096, 'slack': 64}
    """
    _, active_objs, num_objs, objsize, objperslab, pagesperslab, _, num_slabs = row
    counts = active_objs, num_objs, objsize, objperslab, pagesperslab, num_slabs
    return {ask: RowOfSlabinfo(*counts, ask) for ask in ("held", "slack")}


def largest_orders(zones: Mapping[tuple[int, str], Sequence[int]]) -> dict[str, Question]:
    """Ask for each zone with a free block: what is the largest order that its lists can serve?

    Args:
        zones: 11 counts of free blocks for each (node, zone), as `pagelab.real.capture.parse_buddyinfo` returns them.

    Returns:
        From the zone's name, with its node where there is more than one, to the question.

    >>> largest_orders({(0, "DMA32"): [9, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]})["DMA32"].truth()
    2
    """
    several = len({node for node, _ in zones}) > 1
    return {
        f"node {node} {zone}" if several else zone: LargestOrder(tuple(counts)) for (node, zone), counts in zones.items() if any(counts)
    }
