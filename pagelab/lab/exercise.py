"""Answers graded with a reason.

A wrong answer that a variant gives gets that variant's message. Any other is met with the rule, the numbers of the case and the step to
look at. What is right is said first.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .question import LargestOrder, Question, Run, read_answer, write_answer
from .scenario import shuffled_frees, some_free
from .variant import HEAD_RULE, VARIANTS, evidence, stopped, unlinked

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
    for variant in VARIANTS:
        if variant.answer(question) == given:
            return Verdict(NOT_YET, _partly(given, truth) + variant.message(question), variant.name)
    return Verdict(NOT_YET, _partly(given, truth) + _rule(question, given, truth))


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
    first = f"The {' and '.join(right)} part is right; {wrong} is not{' answered' * (verdict.state == OPEN)}. " if right else ""
    return Verdict(NOT_YET, first + (verdict.text if right else f"{wrong}: {verdict.text or 'not answered.'}"), verdict.variant)


def _partly(given: Any, truth: Any) -> str:
    if isinstance(truth, dict):
        names = sorted(set(given) | set(truth))
        right = [name for name in names if given.get(name) == truth.get(name)]
        wrong = [name for name in names if name not in right]
    elif isinstance(truth, list) and len(truth) == len(given):
        pairs = list(zip(given, truth, strict=True))
        right = [str(g) for g, t in pairs if g == t and (g or len(truth) < 11)]
        wrong = [str(g) for g, t in pairs if g != t]
    else:
        return ""
    if not right or not wrong:
        return ""
    return f"{', '.join(right)} {'is' if len(right) == 1 else 'are'} right; {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not. "


def _rule(question: Question, given: Any, truth: Any) -> str:
    if not isinstance(question, Run):
        return _RULES[type(question).__name__].format(q=question, given=write_answer(given), truth=truth)
    if question.ask in ("pfn", "pfns"):
        return f"{HEAD_RULE} {evidence(question, unlinked)}"
    if question.ask in ("counts", "free pages"):
        total = question.after().at(len(question.after())).zone.nr_free_pages()
        mine = sum(n << o for o, n in enumerate(given)) if isinstance(given, list) else given
        return f"Rule: no page is lost. Yours add up to {mine:,} pages, and {total:,} are free. {evidence(question, unlinked)}"
    if question.ask.startswith("lists"):
        return _list_rule(question, given, truth)
    return f"Rule: a freed block merges with its buddy, pfn ^ (1 << order), as long as that is free. {evidence(question, stopped)}"


def _list_rule(question: Run, given: dict[str, list[int]], truth: dict[str, list[int]]) -> str:
    zone = question.after().at(len(question.after())).zone
    for name in sorted(set(given) | set(truth)):
        for pfn in given.get(name, []):
            if pfn not in truth.get(name, []):
                rule = "Rule: a list holds the heads of free blocks of its order."
                return f"{rule} {str(zone.block(pfn)).capitalize()}. {evidence(question, stopped)}"
        for pfn in truth.get(name, []):
            if pfn not in given.get(name, []):
                where = f"{str(zone.block(pfn)).capitalize()}: it belongs on {name}."
                return f"Rule: every free page is in one block. {where} {evidence(question, stopped)}"
    rule = "Rule: the block freed last stands at the head, unless it has to wait. The blocks are right, their order is not."
    return f"{rule} {evidence(question, _listed)}"


def _listed(act: Any) -> bool:
    return type(act).__name__ in ("Linked", "Compared")


_RULES = {
    "StepWith": "Rule: a request of order o hands out 2^o pages. Step on until {q.pages} pages are in use: it is not step {given}.",
    "Fit": "Rule: a block of order o has 2^o pages: 1, 2, 4, 8. Take the smallest that holds {q.pages}.",
    "Walked": "Rule: from the head of the list, each node before the buddy is passed once. Page 0 was freed first: it stands last.",
    "PagesIn": "Rule: column o counts blocks of 2^o pages. Multiply each count by its pages and add.",
    "LargestOrder": "Rule: a request of order o needs a block of order o or more. Look for the last column that is not 0: not {given}.",
    "Heads": "Rule: a block of order o starts at a multiple of 2^o. Ask at {q.start}: of which powers of two is it a multiple?",
    "CountsOf": "Rule: two free buddies of one order are one block of the next. Pair the pages first: 2-3, then 4-5.",
    "Value": "Rule: this number is read from the capture. It is not {given}; look at the line that the text above names.",
}


def draw(seed: int, make: Callable[[random.Random], Run], apart: tuple[str, ...]) -> Run:
    """Draw questions until the right answer differs from the answers of the variants named.

    Args:
        seed: any integer; the same seed gives the same question.
        make: from a source of random numbers to a question.
        apart: names of variants, each of which must have an answer of its own.

    Returns:
        The first question that no wrong theory passes.

    Raises:
        ValueError: as many questions as `DRAWS` were drawn and none tells the theories apart.

    >>> draw(1, lambda r: Run(shuffled_frees(r.randrange(99), 4), "alloc 0", "pfn"), ("lifo-only",)).ask
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
    apart = ("lifo-only", "fifo", "lowest-address", "neighbour")
    return draw(seed, lambda r: Run(shuffled_frees(r.randrange(1 << 30), free, pages), "alloc 0", "pfn"), apart)


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
