"""Beliefs about splitting and merging, and about lines of /proc/buddyinfo."""

from collections.abc import Callable
from typing import Any

from ..mm.call import unpack
from ..mm.units import NR_PAGE_ORDERS, PAGE_SIZE, format_size, get_order
from ..mm.zone import MOVABLE, Zone
from .belief import HEAD_RULE, Variant, evidence, linked_at_head, run_by, stopped, unlinked, waits
from .caption import span
from .form import REFUSAL
from .question import CountsOf, Fit, Heads, LargestOrder, PagesIn, Question, Run, StepWith, Useless, Value, Walked
from .request import verb_of
from .stand_in import Fifo, LifoOnly, LowestAddress, Neighbour, NeverMerge, OneMerge, Shatter


def _pfns_by(next_page: Callable[[list[tuple[int, int]]], int]) -> Callable[[Question], Any]:
    def answer(question: Question) -> Any:
        if not isinstance(question, Run) or question.ask not in ("pfn", "pfns") or not _plain(question):
            return None
        after, taken, pfns = question.after(), [(0, 0)], list[int | str]()
        end = after.at(0).zone.end_pfn
        for k, request in enumerate(after.requests):
            if verb_of(request) == "alloc":
                known = k < len(question.tape)
                pfn, size = after.received[k] if known else next_page(taken), 1 << unpack(request).number
                fits = 0 <= pfn <= end - size
                taken += [(pfn, size)] * fits
                pfns += [] if known else [pfn if fits else REFUSAL]
        return (pfns[-1] if question.ask == "pfn" else pfns) if pfns else None

    return answer


def _plain(question: Run) -> bool:
    """Tell whether only movable pages go out and come back, with no per-CPU lists between."""
    requests = question.after().requests[len(question.tape) :]
    plain = (verb_of(request) in ("alloc", "free") and unpack(request).mt == MOVABLE for request in requests)
    return not question.tape.at(0).zone.pcp and all(plain)


def _standing_in(zone_type: type[Zone]) -> Callable[[Question], Any]:
    """Say what a stand-in says of the lists, and of what comes off them; not where compaction moves pages."""
    return run_by(lambda question: question.under(zone_type) if question.ask in _OF_LISTS and "compact" not in question.requests else None)


_OF_LISTS = ("pfn", "pfns", "lists", "lists before", "counts", "free pages", "merges", "block")


def _bump(taken: list[tuple[int, int]]) -> int:
    return max(pfn + size for pfn, size in taken)


def _next_page(taken: list[tuple[int, int]]) -> int:
    return sum(taken[-1])


def _count_blocks(question: Question) -> int | None:
    if not isinstance(question, PagesIn):
        return None
    return sum(question.counts) if question.order == 0 else None


def _one_column(question: Question) -> int | None:
    if isinstance(question, Useless):
        return _free_pages(question) - (question.counts[question.order] << question.order)
    return question.counts[question.order] if isinstance(question, PagesIn) and question.order else None


def _free_is_enough(question: Question) -> int | None:
    if isinstance(question, LargestOrder):
        return min(NR_PAGE_ORDERS - 1, _free_pages(question).bit_length() - 1)
    if isinstance(question, PagesIn) and question.order:
        return _free_pages(question) >> question.order
    return _free_pages(question) % (1 << question.order) if isinstance(question, Useless) else None


def _free_pages(question: LargestOrder | PagesIn | Useless) -> int:
    return sum(count << order for order, count in enumerate(question.counts))


def _needs_one_block(question: LargestOrder | PagesIn | Useless) -> str:
    pages, largest = _free_pages(question), LargestOrder(question.counts).truth()
    free = f"Rule: a request needs one block. {pages:,} pages ({format_size(pages << 12)}) are free,"
    if isinstance(question, LargestOrder):
        return f"{free} but no column above {largest} has a block: the largest is of order {largest}, {format_size(PAGE_SIZE << largest)}."
    order, usable = question.order, PagesIn(question.counts, question.order).truth() << question.order
    return f"Rule: a request needs one block. {pages:,} pages are free, and {usable:,} of them lie in blocks of order {order} or more."


def _larger_blocks_too(question: PagesIn | Useless) -> str:
    order, counts = question.order, question.counts
    if isinstance(question, Useless):
        usable = _free_pages(question) - question.truth()
        return f"Rule: a larger block can be split, so it is of use too. Blocks of order {order} and more have {usable:,} pages."
    return (
        f"Rule: a larger block can be split. Column {order} has {counts[order]}, and each block of order {order + 1} "
        f"in the next column holds two more: {question.truth():,}."
    )


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


def _start_message(question: Run) -> str:
    after = question.after()
    for k in range(len(question.tape), len(after)):
        request, pfn = after.requests[k], after.received[k]
        if verb_of(request) == "alloc" and (order := unpack(request).number) and pfn >= 0:
            multiple = "an even pfn" if order == 1 else f"a multiple of {1 << order}"
            return f"Rule: a block of order {order} starts at {multiple}. This one is {span(pfn, order)}. Step {k}."
    return f"{HEAD_RULE} {evidence(question, unlinked)}"


BUDDY_BELIEFS = (
    Variant(
        "lifo-only",
        _standing_in(LifoOnly),
        lambda q: f"Rule: a freed block goes to the head, or to the tail if a larger block may form soon. {evidence(q, waits)}",
    ),
    Variant(
        "lowest-address",
        _standing_in(LowestAddress),
        lambda q: "Rule: the lowest order comes first, and of its list the head, not the lowest pfn. " + evidence(q, unlinked),
    ),
    Variant(
        "fifo",
        _standing_in(Fifo),
        lambda q: f"Rule: a block goes to the head of its list and is taken first, unless it has to wait. {evidence(q, linked_at_head)}",
    ),
    Variant(
        "one-merge",
        _standing_in(OneMerge),
        lambda q: f"Rule: after a merge, ask again one order up. {evidence(q, unlinked)}",
    ),
    Variant(
        "never-merge",
        _standing_in(NeverMerge),
        lambda q: f"Rule: a freed block joins its free buddy. If blocks stayed apart, yours would be right. {evidence(q, unlinked)}",
    ),
    Variant("neighbour", _standing_in(Neighbour), lambda q: f"Rule: only buddies merge, not neighbours. {evidence(q, stopped)}"),
    Variant(
        "shatter",
        _standing_in(Shatter),
        lambda q: f"Rule: each split cuts one block in two and keeps its upper half whole. {evidence(q, linked_at_head)}",
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
    Variant("one-column", _one_column, _larger_blocks_too),
    Variant("free-is-enough", _free_is_enough, _needs_one_block),
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
