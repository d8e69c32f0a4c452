"""Beliefs about migratetypes, compaction, per-CPU lists and watermarks."""

from collections.abc import Callable
from typing import Any, TypeVar

from ..mm.act import Act, Checked, Counted, Migrated, Parked, Relabelled
from ..mm.machine import Machine
from ..mm.page_alloc import rmqueue_smallest
from ..mm.units import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from ..mm.zone import Zone
from .belief import Variant, evidence, run_by, under, unlinked
from .question import Batch, MostInUse, Question, Run
from .stand_in import AnyFree, FreeMerges, LabelsStay, LargestFirst, MovesAnything, NoPcp, NothingMoves, OneBlock, OneList

A = TypeVar("A", bound=Act)


def _on(change: Callable[[Machine], None], version: str = "") -> Callable[[Question], Any]:
    """Give the answer of a machine, or of one with another kernel, after a change."""

    def answer(question: Run) -> Any:
        machine = question.tape.at(len(question.tape))
        # A machine of its own, whose plans no other one shares.
        machine = machine.under(version or machine.version)
        change(machine)
        return question.on(machine)

    return run_by(answer)


def _when_compacted(zone_type: type[Zone]) -> Callable[[Question], Any]:
    return run_by(lambda question: question.under(zone_type) if "compact" in question.requests else None)


def _own_lists_only(machine: Machine) -> None:
    def bulk(zone: Zone, order: int, count: int, mt: int, flags: int = 0, pcp: tuple[int, int] | None = None) -> list[int]:
        pfns = list[int]()
        while len(pfns) < count and (pfn := rmqueue_smallest(zone, order, mt)) >= 0:
            if pcp:
                zone.park(pfn, order, *pcp, tail=True)
            pfns.append(pfn)
        return pfns

    machine.kernel = machine.kernel._replace(pcp=machine.kernel.pcp._replace(rmqueue_bulk=bulk))


def _no_reserve(machine: Machine) -> None:
    machine.reserve = [[0] * len(row) for row in machine.reserve]


def _no_marks(machine: Machine) -> None:
    machine.marks = []


def _other(version: str) -> Callable[[Question], Any]:
    def answer(question: Run) -> Any:
        if question.tape.at(0).version == version:
            return None
        return _on(lambda _: None, version)(question)

    return run_by(answer)


def _no_haste(question: Run) -> Any:
    return Run(question.tape, question.requests.replace(" atomic", ""), question.ask).truth() if "atomic" in question.requests else None


# What is said: the rule, the numbers of the case, the step to look at.


def _last(question: Run, kind: type[A]) -> tuple[int, A] | None:
    """Find the last act of a kind, with its step."""
    after = question.after()
    for k in reversed(range(len(question.tape), len(after))):
        for act in reversed(after.acts(k)):
            if isinstance(act, kind):
                return k, act
    return None


def _claimed(question: Run, rule: str) -> str:
    """Say what was claimed last, and why it could be."""
    if not (found := _last(question, Relabelled)):
        return f"{rule} {evidence(question, unlinked)}"
    k, act = found
    counted = next((act for act in reversed(question.after().acts(k)) if isinstance(act, Counted)), None)
    if act.order == PAGEBLOCK_ORDER and counted:
        return f"{rule} {counted.free} pages of the pageblock at {act.pfn} are free, and {PAGEBLOCK_NR_PAGES // 2} are enough. Step {k}."
    blocks = 1 << act.order - PAGEBLOCK_ORDER
    return f"{rule} The block at {act.pfn} has order {act.order}: {blocks} whole pageblock{'s' * (blocks > 1)}. Step {k}."


def _too_few(question: Run | MostInUse) -> str:
    rule = f"Rule: to claim a pageblock, {PAGEBLOCK_NR_PAGES // 2} of its pages or more must be free, or of a like kind."
    if isinstance(question, MostInUse):
        used = PAGEBLOCK_NR_PAGES - 1
        return f"{rule} With {used} in use only {PAGEBLOCK_NR_PAGES - used} is free, and movable pages are not alike."
    if not (found := _last(question, Counted)):
        return f"{rule} {evidence(question, unlinked)}"
    k, act = found
    return f"{rule} Here {act.free} are free, and the {act.movable} movable ones are not alike: the page is stolen. Step {k}."


def _stuck(question: Run) -> str:
    zone = question.tape.at(len(question.tape)).zone
    stuck = int((zone.page_states() & 0xF0 == 0x80).sum())
    return f"Rule: compaction moves movable pages only. Here {stuck} pages in use are unmovable. {evidence(question, unlinked)}"


def _refills(question: Run) -> list[int]:
    after = question.after()
    sizes = (sum(isinstance(a, Parked) and a.tail for a in after.acts(k)) for k in range(len(question.tape), len(after)))
    return [size for size in sizes if size]


def _version(question: Run, other: str) -> str:
    here, step = question.tape.at(0).version, f"What you wrote is right on {other}. Step {len(question.after()) - 1}."
    if sizes := _refills(question):
        rule = "the batch, each time" if here == "6.1" else "twice as many pages as the last, while nothing is freed"
        return f"Rule: on {here} a refill takes {rule}. Here: {', then '.join(map(str, sizes))}. {step}"
    if here == "6.1":
        return f"Rule: 6.1 moves all free pages of a pageblock to the lists of the type that asks, even where the label stays. {step}"
    found = _last(question, Counted)
    free = f"{found[1].free} free pages are too few to claim it, so the label stays, and so do they. " if found else ""
    return f"Rule: 6.12 keeps a free block on the list that the label of its pageblock names. {free}{step}"


def _mark(question: Run, rule: str) -> str:
    found = _last(question, Checked)
    if not found:
        return f"{rule} {evidence(question, unlinked)}"
    k, act = found
    zone = question.tape.at(0).zones[act.zone].name
    both = f"{act.mark} + {act.reserve} = {act.mark + act.reserve}" if act.reserve else f"{act.mark}"
    return f"{rule} In zone {zone}: {both}. Step {k}."


def _quarter(question: Question) -> int | None:
    return max(min(question.managed >> 10, 256) // 4, 1) if isinstance(question, Batch) else None


def _batch(question: Batch) -> str:
    mib, fourth = min(question.managed >> 10, 256), max(min(question.managed >> 10, 256) // 4, 1)
    half = fourth + fourth // 2
    power = 1 << half.bit_length() - 1
    return (
        "Rule: the zone's pages divided by 1,024, at most 256; a quarter of that; half as much again; down to a power of two; less 1. "
        f"Here: {mib}, {fourth}, {half}, {power}, {question.truth()}."
    )


def _at_head(act: Any) -> bool:
    return isinstance(act, Parked) and not act.tail


def _to_a_cpu(act: Any) -> bool:
    return isinstance(act, Parked)


MACHINE_BELIEFS = (
    Variant("6.1", _other("6.1"), lambda q: _version(q, "6.1")),
    Variant("6.12", _other("6.12"), lambda q: _version(q, "6.12")),
    Variant(
        "strict-types",
        _on(_own_lists_only),
        lambda q: (
            "Rule: types are a preference. When all lists of its own type are empty, a request falls back to another. "
            + evidence(q, unlinked)
        ),
    ),
    Variant(
        "one-block", under(OneBlock), lambda q: _claimed(q, "Rule: a block of order 9 or 10 is claimed whole, with all its pageblocks.")
    ),
    Variant(
        "labels-stay", under(LabelsStay), lambda q: _claimed(q, "Rule: a pageblock that is claimed gets the label of the type that asks.")
    ),
    Variant("any-free", lambda q: PAGEBLOCK_NR_PAGES - 1 if isinstance(q, MostInUse) else under(AnyFree)(q), _too_few),
    Variant(
        "off-by-one",
        lambda q: q.truth() - 1 if isinstance(q, MostInUse) else None,
        lambda q: (
            f"Rule: free pages and those of a like kind must be {PAGEBLOCK_NR_PAGES // 2} or more, and exactly so many are enough. "
            f"With {q.truth()} in use, {PAGEBLOCK_NR_PAGES - q.truth()} are free."
        ),
    ),
    Variant(
        "largest-first",
        under(LargestFirst),
        lambda q: f"Rule: a page comes out of the smallest block that is large enough, stolen or not. {evidence(q, unlinked)}",
    ),
    Variant("moves-anything", _when_compacted(MovesAnything), _stuck),
    Variant(
        "nothing-moves",
        _when_compacted(NothingMoves),
        lambda q: f"Rule: compaction moves movable pages out of the way. {evidence(q, lambda act: isinstance(act, Migrated))}",
    ),
    Variant(
        "one-list",
        under(OneList),
        lambda q: f"Rule: each CPU has lists of its own, and refills them for itself. {evidence(q, _to_a_cpu)}",
    ),
    Variant(
        "no-pcp",
        under(NoPcp),
        lambda q: f"Rule: a CPU takes a batch of pages, hands out one and keeps the others on its list. {evidence(q, _to_a_cpu)}",
    ),
    Variant(
        "free-merges",
        under(FreeMerges),
        lambda q: f"Rule: a freed page goes to the head of its CPU's list, and there it cannot merge. {evidence(q, _at_head)}",
    ),
    Variant(
        "min-only",
        _on(_no_reserve),
        lambda q: _mark(q, "Rule: a zone keeps its mark, and its protection from requests that could be served higher up."),
    ),
    Variant(
        "last-page",
        _on(_no_marks),
        lambda q: _mark(q, "Rule: a request is refused when no more than the min mark is free, not when nothing is."),
    ),
    Variant(
        "same-mark",
        run_by(_no_haste),
        lambda q: _mark(q, "Rule: a request that cannot wait may go below the min mark: by half of it, then by a quarter of the rest."),
    ),
    Variant(
        "always-63",
        lambda q: 63 if isinstance(q, Batch) else None,
        _batch,
    ),
    Variant("quarter", _quarter, _batch),
)
