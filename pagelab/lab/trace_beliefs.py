"""Beliefs about what a trace tells."""

from typing import Any

from .belief import Variant
from .question import Question
from .trace_question import BlocksIn, Learned, WaitsFor, WrongPicks


def _count_pages(question: Question) -> int | None:
    return sum(n << order for line in question.lines for order, n in enumerate(line)) if isinstance(question, BlocksIn) else None


def _own_buddy(question: Question) -> int | None:
    return question.freed().pfn ^ 1 << question.freed().order if isinstance(question, WaitsFor) else None


def _all_learned(question: Question) -> list[int] | None:
    return list(question.takes) if isinstance(question, Learned) else None


def _once_a_list(question: Question) -> list[int] | None:
    return list(question.learned[:1]) if isinstance(question, Learned) else None


def _beside(question: Question) -> int | None:
    return question.freed().pfn + (1 << question.freed().order) if isinstance(question, WaitsFor) else None


def _right_ones(question: Question) -> int | None:
    return question.picks()[0] - question.picks()[1] if isinstance(question, WrongPicks) else None


def _learned_too(question: Question) -> int | None:
    return question.picks()[1] + question.picks()[2] if isinstance(question, WrongPicks) else None


def _own_buddy_message(question: Any) -> str:
    freed = question.freed()
    buddy, up = freed.pfn ^ 1 << freed.order, question.truth()
    return (
        f"Rule: a block waits at the tail when the block one order up is free, not its own buddy. "
        f"{buddy} is in use; if it came back, the pair would have the buddy {up}. Step {question.k}."
    )


TRACE_BELIEFS = (
    Variant(
        "count-pages",
        _count_pages,
        lambda q: (
            f"Rule: what stands on a list is a block, whatever its size. These {q.truth()} blocks have "
            f"{sum(n << o for line in q.lines for o, n in enumerate(line)):,} pages. Add the columns as they are."
        ),
    ),
    Variant("own-buddy", _own_buddy, _own_buddy_message),
    Variant(
        "all-learned",
        _all_learned,
        lambda q: (
            "Rule: what a split leaves goes to the heads of known lists, in known order. "
            f"The take at step {next(step for step in q.takes if step not in q.learned)} gets what the one before it left."
        ),
    ),
    Variant(
        "once-a-list",
        _once_a_list,
        lambda q: (
            "Rule: each block that was free at S0 has a place of its own to be learned. "
            f"At step {q.learned[1]} the known blocks are used up, and the next one is of unknown place again."
        ),
    ),
    Variant(
        "beside",
        _beside,
        lambda q: (
            f"Rule: what counts is the buddy of the pair, not the block beside it. The pair starts at "
            f"{q.freed().pfn & ~(1 << q.freed().order)}, and its buddy is {q.truth()}. Step {q.k}."
        ),
    ),
    Variant(
        "right-ones",
        _right_ones,
        lambda q: f"Rule: of {q.picks()[0]:,} predictions, count those that name another page than the kernel took: {q.truth():,}.",
    ),
    Variant(
        "learned-too",
        _learned_too,
        lambda q: (
            f"Rule: a learned pick was never predicted, so it cannot be wrong. Leave out the {q.picks()[2]:,} learned ones: {q.truth():,}."
        ),
    ),
)
