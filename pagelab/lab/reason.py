"""Reasons for an answer that no belief explains: the rule, the numbers of the case, and the step to look at."""

from collections.abc import Callable
from typing import Any

from ..mm.act import Checked, Compared, Counted, Linked, Parked, Relabelled, Unlinked
from ..mm.units import PAGEBLOCK_NR_PAGES
from ..mm.zone import Zone
from .belief import HEAD_RULE, evidence, stopped, unlinked
from .form import REFUSAL, write_answer
from .question import (
    Batch,
    CountsOf,
    Fit,
    Heads,
    LargestOrder,
    MostInUse,
    PagesIn,
    Question,
    Run,
    StepWith,
    Useless,
    Value,
    Walked,
)
from .request import verb_of
from .slab_question import FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn
from .slab_reason import reason_of_caches, slab_run
from .trace_question import BlocksIn, Learned, WaitsFor, WrongPicks


def reason(question: Question, given: Any, truth: Any) -> str:
    """Say why an answer is not right.

    Args:
        question: what was asked.
        given: the answer, as `read_answer` returns it.
        truth: what the model says.

    Returns:
        Two or three sentences.

    >>> reason(Fit(5), 4, 3)
    'Rule: a block of order o has 2^o pages: 1, 2, 4, 8. Order 4 has 16, and a smaller one holds 5.'
    """
    return _REASONS[type(question)](question, given, truth)


def _run(question: Run, given: Any, truth: Any) -> str:
    if question.ask == "pfns":
        return _pfns(question, given, truth)
    if question.ask == "pfn":
        return f"{_head_rule(question)} {_about(question.tape.at(len(question.tape)).zone, given)}{evidence(question, unlinked)}"
    if question.ask in ("counts", "free pages"):
        total = question.after().at(len(question.after())).zone.nr_free_pages()
        mine = sum(count << order for order, count in enumerate(given)) if isinstance(given, list) else given
        return f"Rule: no page is lost. Yours add up to {mine:,} pages, and {total:,} are free. {evidence(question, unlinked)}"
    if question.ask.startswith("lists"):
        return _lists(question, given, truth)
    if question.ask in ("merges", "block"):
        return _merges(question, given, truth)
    return _of_the_machine(question, given)


def _head_rule(question: Run) -> str:
    if question.tape.at(0).zone.pcp:
        return "Rule: a request takes the head of its CPU's list, which a refill fills at the tail when it is empty."
    return HEAD_RULE


def _of_the_machine(question: Run, given: Any) -> str:
    """Speak of labels, per-CPU lists and marks."""
    half = f"{PAGEBLOCK_NR_PAGES // 2} of its {PAGEBLOCK_NR_PAGES} pages"
    if question.ask == "relabelled":
        wanted: type = Relabelled
        rule = f"Rule: a claim relabels every pageblock that the block covers, or one of which {half} are free. Not {write_answer(given)}."
    elif question.ask in ("label", "pageblocks"):
        wanted = Counted
        rule = f"Rule: a pageblock is relabelled when {half} are free or alike. If fewer are, single blocks are stolen. Not {given}."
    elif question.ask == "on CPU lists":
        wanted = Parked
        rule = f"Rule: a refill adds pages at the tail, a free at the head, and a request takes one away. Count them: not {given}."
    else:
        wanted = Checked
        rule = f"Rule: a request needs more free pages than the zone's mark and protection together. Not {given}."
    return f"{rule} {evidence(question, lambda act: isinstance(act, wanted))}"


def _pfns(question: Run, given: list[Any], truth: list[Any]) -> str:
    if len(given) != len(truth):
        return f"Rule: one number for each request that allocates. {len(truth)} are wanted; you gave {len(given)}."
    after = question.after()
    steps = [k for k in range(len(question.tape), len(after)) if verb_of(after.requests[k]).startswith("alloc")]
    at = next(i for i, (mine, right) in enumerate(zip(given, truth, strict=True)) if mine != right)
    one = Run(after.fork(steps[at]), after.fork(steps[at] + 1).text.rsplit("; ", 1)[-1].split(" x", 1)[0], "pfn")
    return f"{_head_rule(question)} {given[at]} is the first that is not right. {evidence(one, unlinked)}"


def _about(zone: Zone, given: Any) -> str:
    """Say what is at the page that was answered, where this alone rules it out."""
    if given == REFUSAL:
        return f"{zone.nr_free_pages():,} pages are free, and a block is large enough. "
    if not zone.start_pfn <= given < zone.end_pfn:
        return f"The pages are {zone.start_pfn} to {zone.end_pfn - 1}. "
    return f"Page {given} is in use. " if zone.block(given).kind == "in use" else ""


def _merges(question: Run, given: Any, truth: Any) -> str:
    after = question.after()
    acts = after.acts(len(after) - 1)
    merged = [act.order for act in acts if isinstance(act, Unlinked)]
    path = " to ".join(map(str, [*merged, merged[-1] + 1])) if merged else ""
    times = f"{len(merged)} merge{'s' * (len(merged) != 1)}"
    how = f"Here: {times}, from order {path}." if merged else "Here no buddy is free."
    too_few = given < truth if isinstance(given, int) else given[-1:] < truth[-1:]
    why = evidence(question, _unlinked_last if too_few and merged else stopped)
    return f"Rule: a freed block merges with its buddy, pfn ^ (1 << order), as long as that is free. {how} {why}"


def _unlinked_last(act: Any) -> bool:
    return isinstance(act, Unlinked)


def _lists(question: Run, given: dict[str, list[int]], truth: dict[str, list[int]]) -> str:
    before = question.ask == "lists before"
    zone = question.after().at(len(question.after()) - before).zone
    for name in sorted(set(given) | set(truth)):
        for pfn in given.get(name, []):
            if pfn not in truth.get(name, []):
                rule = "Rule: a list holds the heads of free blocks of its order."
                return f"{rule} {str(zone.block(pfn)).capitalize()}. {evidence(question, _changed)}"
        for pfn in truth.get(name, []):
            if pfn not in given.get(name, []):
                where = f"{str(zone.block(pfn)).capitalize()}: it belongs on {name}."
                return f"Rule: every free page is in one block. {where} {evidence(question, _changed)}"
    rule = "Rule: the block freed last stands at the head, unless it has to wait. The blocks are right, their order is not."
    return f"{rule} {evidence(question, _listed)}"


def _changed(act: Any) -> bool:
    return isinstance(act, (Unlinked, Linked))


def _listed(act: Any) -> bool:
    return isinstance(act, (Linked, Compared))


def _fit(question: Fit, given: int, truth: int) -> str:
    rule = "Rule: a block of order o has 2^o pages: 1, 2, 4, 8."
    if question.ask == "spare":
        return f"{rule} Take the smallest that holds {question.pages}; spare is what is left of it."
    if given > 10:
        return f"{rule} Orders are 0 to 10."
    enough = "and a smaller one holds" if given > truth else "fewer than the"
    return f"{rule} Order {given} has {1 << given}, {enough} {question.pages}."


def _pages_in(question: PagesIn, given: int, truth: int) -> str:
    if not question.order:
        return "Rule: column o counts blocks of 2^o pages. Multiply each count by its pages, then add."
    order, counts = question.order, question.counts
    rule = f"Rule: count the blocks of order {order}, and those that larger blocks can be split into."
    return f"{rule} Column {order} has {counts[order]}; each of the {counts[order + 1]} in column {order + 1} holds two."


def _useless(question: Useless, given: int, truth: int) -> str:
    total = sum(count << order for order, count in enumerate(question.counts))
    return (
        f"Rule: what is of no use lies in blocks of the orders 0 to {question.order - 1}. Add up their pages: not {given:,} of {total:,}."
    )


def _most_in_use(question: MostInUse, given: int, truth: int) -> str:
    half = PAGEBLOCK_NR_PAGES // 2
    if given > PAGEBLOCK_NR_PAGES:
        return f"Rule: a pageblock has {PAGEBLOCK_NR_PAGES} pages, and no more of them can be in use. Not {given:,}."
    left = PAGEBLOCK_NR_PAGES - given
    enough = f"{left - half} more than are needed" if left > half else f"{half - left} too few"
    return f"Rule: {half} pages of the pageblock must be free. With {given} in use, {left} are: {enough}."


def _heads(question: Heads, given: list[int], truth: list[int]) -> str:
    right = next((i for i, (mine, other) in enumerate(zip(given, truth, strict=False)) if mine != other), min(len(given), len(truth)))
    if right >= len(truth):
        return f"Rule: the range ends at {question.end - 1}. The first {right} are right, and no block follows."
    so_far = f"{', '.join(map(str, truth[:right]))} {'is' if right == 1 else 'are'} right. " if right else ""
    at = truth[right]
    return f"Rule: a block of order o starts at a multiple of 2^o, and it is as large as that allows. {so_far}The next one starts at {at}."


def _first_pairs(question: CountsOf) -> str:
    pairs = [f"{pfn}-{pfn + 1}" for pfn in question.free if not pfn & 1 and pfn + 1 in question.free][:2]
    return f"Pair the pages first: {', then '.join(pairs)}." if pairs else f"No two of these {len(question.free)} are buddies."


def _largest(question: LargestOrder, given: int, truth: int) -> str:
    if given > 10:
        return f"Rule: the answer is the number of a column, 0 to 10. {given} is what stands in one, or no column at all."
    return f"Rule: a request of order o needs a block of order o or more. Look for the last column that is not 0: not {given}."


def _learned(question: Learned, given: list[int], truth: list[int]) -> str:
    rule = "Rule: a pick is learned when a block whose place is not known may stand ahead."
    for step in given:
        if step not in question.takes:
            return f"{rule} Step {step} takes nothing."
        if step not in truth:
            return f"{rule} At step {step} a block that the trace linked itself is at the head."
    step = next(step for step in truth if step not in given)
    return f"{rule} At step {step} no block of known place is left on the list."


_REASONS: dict[type, Callable[[Any, Any, Any], str]] = {
    Run: _run,
    Fit: _fit,
    PagesIn: _pages_in,
    Heads: _heads,
    LargestOrder: _largest,
    StepWith: lambda q, given, truth: (
        f"Rule: a request of order o hands out 2^o pages. After step {given}, not {q.pages} are in use first."
    ),
    Walked: lambda q, given, truth: (
        "Rule: from the head of the list, each node before the buddy is passed once. Page 0 was freed first: it stands last."
    ),
    CountsOf: lambda q, given, truth: f"Rule: two free buddies of one order are one block of the next. {_first_pairs(q)}",
    Useless: _useless,
    MostInUse: _most_in_use,
    Batch: lambda q, given, truth: (
        f"Rule: the batch is a power of two less 1, and grows with the zone up to 63. {q.managed:,} pages are "
        f"{min(q.managed >> 10, 256)} times 1,024; take a quarter of that, and half as much again. Not {given}."
    ),
    Value: lambda q, given, truth: f"Rule: pages on per-CPU lists are in no column. Not {given}: look at pcp in the output above.",
    BlocksIn: lambda q, given, truth: (
        f"Rule: each number in a line counts blocks. Add the {len(q.lines) * 11} numbers; {given:,} is not their sum."
    ),
    WaitsFor: lambda q, given, truth: (
        f"Rule: a block waits at the tail when its pair, one order up, has a free buddy. The pair of {q.freed().pfn} would start at "
        f"{q.freed().pfn & ~(1 << q.freed().order)}. Step {q.k}."
    ),
    Learned: _learned,
    SlabRun: slab_run,
    **dict.fromkeys((SecondPage, KmallocGives, SlabShape, FreePointer, SlabsUntilReturn, RowOfSlabinfo), reason_of_caches),
    WrongPicks: lambda q, given, truth: (
        f"Rule: count the picks that {q.belief} gets wrong, over the whole trace. `replay(machine, {q.belief}).pages` says how many."
    ),
}
