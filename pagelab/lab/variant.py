"""Wrong models: one small change of the rules for each thing that a learner may believe.

A variant gives the answer that its belief leads to. When a learner's answer equals it, the belief is known by name, whatever the seed. A
belief about the rules is a stand-in for Zone with one rule replaced; the others are one function from the question.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..mm.act import Act, Compared, Linked, Refused, Unlinked, held_block
from ..mm.machine import FREE
from ..mm.units import NR_PAGE_ORDERS, PAGE_SIZE, format_size, get_order
from ..mm.zone import Zone
from .caption import captions, span
from .question import REFUSAL, CountsOf, Fit, Heads, LargestOrder, PagesIn, Question, Run, StepWith, Value, Walked
from .stand_in import Fifo, LifoOnly, LowestAddress, Neighbour, NeverMerge, OneMerge, Shatter


class Variant(NamedTuple):
    """A belief: its name, the answer it gives (None where it has none), and what to say to it."""

    name: str
    answer: Callable[[Any], Any]
    message: Callable[[Any], str]


def _under(zone_type: type[Zone]) -> Callable[[Question], Any]:
    def answer(question: Question) -> Any:
        if not isinstance(question, Run):
            return None
        try:
            return question.under(zone_type)
        except (ValueError, IndexError, KeyError, StopIteration):
            return None

    return answer


def _pfns_by(next_page: Callable[[list[tuple[int, int]]], int]) -> Callable[[Question], Any]:
    def answer(question: Question) -> Any:
        if not isinstance(question, Run) or question.ask not in ("pfn", "pfns"):
            return None
        after, taken, pfns = question.after(), [(0, 0)], list[int | str]()
        end = after.at(0).zone.end_pfn
        for k, request in enumerate(after.requests):
            if request < FREE:
                known = k < len(question.tape)
                pfn, size = after.received[k] if known else next_page(taken), 1 << (request & 15)
                fits = 0 <= pfn <= end - size
                taken += [(pfn, size)] * fits
                pfns += [] if known else [pfn if fits else REFUSAL]
        return (pfns[-1] if question.ask == "pfn" else pfns) if pfns else None

    return answer


def _bump(taken: list[tuple[int, int]]) -> int:
    return max(pfn + size for pfn, size in taken)


def _next_page(taken: list[tuple[int, int]]) -> int:
    return sum(taken[-1])


def _count_blocks(question: Question) -> int | None:
    if not isinstance(question, PagesIn):
        return None
    return sum(question.counts) if question.order == 0 else None


def _one_column(question: Question) -> int | None:
    return question.counts[question.order] if isinstance(question, PagesIn) and question.order else None


def _free_is_enough(question: Question) -> int | None:
    return min(NR_PAGE_ORDERS - 1, _free_pages(question).bit_length() - 1) if isinstance(question, LargestOrder) else None


def _free_pages(question: LargestOrder) -> int:
    return sum(count << order for order, count in enumerate(question.counts))


def _round_down(question: Question) -> int | None:
    return question.pages.bit_length() - 1 if isinstance(question, Fit) and question.ask == "order" else None


def _exact_cost(question: Question) -> int | None:
    return 0 if isinstance(question, Fit) and question.ask == "spare" else None


def _from_the_left(question: Question) -> list[int] | None:
    if not isinstance(question, Heads):
        return None
    heads, at = [], question.start
    while at < question.end:
        heads.append(at)
        at += 1 << min(NR_PAGE_ORDERS - 1, (question.end - at).bit_length() - 1)
    return heads


def _run_length(question: Question) -> list[int] | None:
    if not isinstance(question, CountsOf):
        return None
    counts, left = [0] * NR_PAGE_ORDERS, sorted(question.free)
    while left:
        run = next(i for i in range(1, len(left) + 1) if i == len(left) or left[i] != left[0] + i)
        order = min(run.bit_length() - 1, NR_PAGE_ORDERS - 1)
        counts[order] += 1
        del left[: 1 << order]
    return counts


def _one_page_each(question: Question) -> int | None:
    return question.pages - 1 if isinstance(question, StepWith) else None


def _counts_itself(question: Question) -> int | None:
    return question.truth() + question.pages // 2 if isinstance(question, Walked) else None


def _nothing_missing(question: Question) -> int | None:
    return 0 if isinstance(question, Value) else None


def evidence(question: Run, wanted: Callable[[Any], bool]) -> str:
    """Say what the last act of a kind did in the requests of a question, and at which step to look.

    Args:
        question: a run.
        wanted: tells whether an act is of the kind.

    Returns:
        The act's caption and its step, or the last step where there is no such act.

    >>> from pagelab.lab import scenario
    >>> evidence(Run(scenario.text("alloc 0 x2"), "free 1", "lists"), stopped)
    'The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use, so merging stops here. Step 2.'
    """
    after = question.after()
    for k in reversed(range(len(question.tape), len(after))):
        acts = after.acts(k)
        for i in reversed(range(len(acts))):
            if wanted(acts[i]) and not (wanted is stopped and _asks_for_larger(acts[:i], acts[i])):
                return f"{captions(acts)[i].sentence} Step {k}."
    return f"Step {len(after) - 1}."


def _asks_for_larger(before: Sequence[Act], act: Any) -> bool:
    held = held_block(before)
    return held is not None and act.order > held[1]


def _waits(act: Any) -> bool:
    return isinstance(act, Compared) and act.yes


def stopped(act: Any) -> bool:
    """Tell whether an act is a buddy that refuses.

    Args:
        act: any act.

    Returns:
        True for a comparison that said no.

    >>> from pagelab.mm.zone import Zone
    >>> stopped(Compared(1, 0, False, Zone(16).block(1)))
    True
    """
    return isinstance(act, Compared) and not act.yes


def unlinked(act: Any) -> bool:
    """Tell whether an act takes a block off a list, or finds none.

    Args:
        act: any act.

    Returns:
        True for Unlinked and Refused.

    >>> unlinked(Refused(0, 1))
    True
    """
    return isinstance(act, (Unlinked, Refused))


def _linked_at_head(act: Any) -> bool:
    return isinstance(act, Linked) and not act.tail


HEAD_RULE = "Rule: a request takes the head of the lowest order that has a block."


def _start_message(question: Run) -> str:
    after = question.after()
    for k in range(len(question.tape), len(after)):
        order, pfn = after.requests[k] & 15, after.received[k]
        if after.requests[k] < FREE and order and pfn >= 0:
            multiple = "an even pfn" if order == 1 else f"a multiple of {1 << order}"
            return f"Rule: a block of order {order} starts at {multiple}. This one is {span(pfn, order)}. Step {k}."
    return f"{HEAD_RULE} {evidence(question, unlinked)}"


VARIANTS = (
    Variant(
        "lifo-only",
        _under(LifoOnly),
        lambda q: f"Rule: a freed block goes to the head, or to the tail if a larger block may form soon. {evidence(q, _waits)}",
    ),
    Variant(
        "lowest-address",
        _under(LowestAddress),
        lambda q: "Rule: the lowest order comes first, and of its list the head, not the lowest pfn. " + evidence(q, unlinked),
    ),
    Variant(
        "fifo",
        _under(Fifo),
        lambda q: f"Rule: a block goes to the head of its list and is taken first, unless it has to wait. {evidence(q, _linked_at_head)}",
    ),
    Variant(
        "one-merge",
        _under(OneMerge),
        lambda q: f"Rule: after a merge, ask again one order up. {evidence(q, unlinked)}",
    ),
    Variant(
        "never-merge",
        _under(NeverMerge),
        lambda q: f"Rule: a freed block joins its free buddy. If blocks stayed apart, yours would be right. {evidence(q, unlinked)}",
    ),
    Variant("neighbour", _under(Neighbour), lambda q: f"Rule: only buddies merge, not neighbours. {evidence(q, stopped)}"),
    Variant(
        "shatter",
        _under(Shatter),
        lambda q: f"Rule: each split cuts one block in two and keeps its upper half whole. {evidence(q, _linked_at_head)}",
    ),
    Variant("next-page", _pfns_by(_next_page), _start_message),
    Variant("bump", _pfns_by(_bump), _start_message),
    Variant(
        "count-blocks",
        _count_blocks,
        lambda q: (
            "Rule: column o counts blocks, and each has 2^o pages. "
            f"These {sum(q.counts)} blocks have {q.truth():,} pages. Look at column 10: {q.counts[10]} blocks of 1,024 pages."
        ),
    ),
    Variant(
        "one-column",
        _one_column,
        lambda q: (
            f"Rule: a larger block can be split. Column {q.order} has {q.counts[q.order]}, and each block of order {q.order + 1} "
            f"in the next column holds two more: {q.truth()}."
        ),
    ),
    Variant(
        "free-is-enough",
        _free_is_enough,
        lambda q: (
            f"Rule: a request needs one block. {_free_pages(q):,} pages ({format_size(_free_pages(q) << 12)}) are free, "
            f"but no column above {q.truth()} has a block: the largest is of order {q.truth()}, {format_size(PAGE_SIZE << q.truth())}."
        ),
    ),
    Variant(
        "round-down",
        _round_down,
        lambda q: (
            f"Rule: the block must hold all {q.pages} pages. Order {q.truth() - 1} has only {1 << q.truth() - 1}; "
            f"order {q.truth()} has {1 << q.truth()}."
        ),
    ),
    Variant(
        "exact-cost",
        _exact_cost,
        lambda q: (
            f"Rule: a block has 2^o pages. The smallest that holds {q.pages} has {1 << get_order(q.pages)}, "
            f"so {q.truth()} are spare unless the caller gives them back."
        ),
    ),
    Variant(
        "from-the-left",
        _from_the_left,
        lambda q: (
            f"Rule: a block of order o starts at a multiple of 2^o. {q.start} is no multiple of 1,024; "
            f"it is one of {q.start & -q.start}, so the first block has {q.start & -q.start} pages."
        ),
    ),
    Variant(
        "run-length",
        _run_length,
        lambda q: (
            "Rule: a block of order o starts at a multiple of 2^o. Pages in a row are not one block: "
            f"page {min(q.free)} has the buddy {min(q.free) ^ 1}. Start with the pairs: 2-3, 4-5, 6-7."
        ),
    ),
    Variant(
        "one-page-each",
        _one_page_each,
        lambda q: (
            f"Rule: a request of order o hands out 2^o pages. `{q.tape.fork(q.truth() + 1).text}` hands out {q.pages} already. "
            f"Step {q.truth()}, its last act."
        ),
    ),
    Variant(
        "counts-itself",
        _counts_itself,
        lambda q: (
            "Rule: a node is walked when it is passed on the way. The block looked for is reached, not passed: "
            f"{q.pages // 2} fewer, {q.truth():,}."
        ),
    ),
    Variant(
        "nothing-missing",
        _nothing_missing,
        lambda q: (
            "Rule: a free page is on a free list or on a CPU's own list, and the line counts free lists only. "
            "0 would mean that no CPU keeps any. Look at pcp in the output above: a CPU's number, then its pages."
        ),
    ),
)


def beliefs(question: Question) -> dict[str, Any]:
    """Return the answer of each variant that has one.

    Args:
        question: any question.

    Returns:
        From the variant's name to its answer.

    >>> beliefs(Fit(5))
    {'round-down': 2}
    """
    answers = ((variant.name, variant.answer(question)) for variant in VARIANTS)
    return {name: answer for name, answer in answers if answer is not None}
