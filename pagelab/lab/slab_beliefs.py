"""Beliefs about caches: what a slab is, what a slot is, and when memory comes back."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..mm.slab import CPU_PARTIAL, CPU_SLAB, NODE_PARTIAL, KmemCache
from ..mm.slab_act import Carved, Crowded, Discarded, Weighed
from ..mm.slab_layout import min_objects
from ..mm.units import PAGE_SIZE
from .belief import Variant, evidence
from .question import Question
from .slab_question import FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


# What is held.


class _Slab(NamedTuple):
    cache: KmemCache
    place: int
    live: int
    objects: int
    pages: int


def _slabs(question: SlabRun) -> list[_Slab]:
    machine = question.machine()
    states = [(cache, number, cache.slab(number)) for cache in machine.caches for number in cache.numbers()]
    return [_Slab(cache, cache.place[number], slab.live, slab.objects, 1 << slab.order) for cache, number, slab in states]


def _held_by(keeps: Callable[[SlabRun], list[_Slab]]) -> Callable[[Question], Any]:
    """Give what is held by the slabs that a theory keeps; its slabinfo counts the objects in use."""

    def answer(question: Question) -> Any:
        if not isinstance(question, SlabRun) or question.ask not in ("slabs", "pages", "slabinfo", "returned"):
            return None
        kept = keeps(question)
        pages = sum(slab.pages for slab in kept)
        if question.ask == "returned":
            return question.returned() + len(question.machine().owners) - pages
        if question.ask == "slabinfo":
            return [sum(slab.live for slab in kept), sum(slab.objects for slab in kept)]
        return pages if question.ask == "pages" else len(kept)

    return answer


def _with_objects(question: SlabRun) -> list[_Slab]:
    return [slab for slab in _slabs(question) if slab.live]


def _and_few_empty(question: SlabRun) -> list[_Slab]:
    """Keep of the empty slabs of each cache as many as a node would."""
    kept, empty = list[_Slab](), dict[str, int]()
    for slab in _slabs(question):
        empty[slab.cache.name] = empty.get(slab.cache.name, 0) + (not slab.live)
        if slab.live or empty[slab.cache.name] <= slab.cache.layout.min_partial:
            kept.append(slab)
    return kept


def _never_returns(question: Question) -> Any:
    if not isinstance(question, SlabRun) or question.ask not in ("slabs", "pages", "returned"):
        return None
    if question.ask == "returned":
        return 0
    after = question.after()
    carved = [act for k in range(len(after)) for act in after.acts(k) if isinstance(act, Carved)]
    return len(carved) if question.ask == "slabs" else sum(1 << act.order for act in carved)


def _live_is_held(question: Question) -> Any:
    if not isinstance(question, SlabRun) or question.ask not in ("slabs", "pages"):
        return None
    slabs = _slabs(question)
    size = sum(slab.live * slab.cache.layout.size for slab in slabs)
    pages = -(-size // PAGE_SIZE)
    return pages if question.ask == "pages" else -(-pages // max((slab.pages for slab in slabs), default=1))


def _slabinfo_is_truth(question: Question) -> Any:
    if not isinstance(question, SlabRun) or question.ask not in ("slabinfo", "live"):
        return None
    live, (active, total) = SlabRun(question.tape, question.requests, "live").truth(), _slabinfo(question)
    return active if question.ask == "live" else [live, total]


def _slabinfo(question: SlabRun) -> list[int]:
    counts: list[int] = SlabRun(question.tape, question.requests, "slabinfo").truth()
    return counts


def _waiting(question: SlabRun) -> str:
    """Say where the empty slabs are, or those with free objects where none is empty."""
    slabs = _slabs(question)
    empty = [slab.place for slab in slabs if not slab.live]
    if not empty:
        used = sum(slab.live for slab in slabs)
        return f"{used} objects in use keep {len(slabs)} slabs, and the {sum(s.objects for s in slabs) - used} free objects with them"
    waits, cpu, node = empty.count(CPU_PARTIAL), empty.count(CPU_SLAB), empty.count(NODE_PARTIAL)
    parts = [f"{_number(waits)} empty slab{'s wait' if waits > 1 else ' waits'} on the CPU's partial list"] if waits else []
    parts += [f"{_number(cpu)} {'is the cpu slab' if cpu == 1 else 'are cpu slabs'}"] if cpu else []
    parts += (
        [f"{_number(node)} {'is' if node == 1 else 'are'} on a node's list, which keeps {slabs[0].cache.layout.min_partial}"]
        if node
        else []
    )
    sheaves = len(empty) - waits - cpu - node
    parts += [f"{_number(sheaves)} {'has its' if sheaves == 1 else 'have their'} objects in sheaves"] if sheaves else []
    return ", ".join(parts)


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _still_held(question: SlabRun, rule: str) -> str:
    also = "; slabinfo subtracts only what is on node lists" if question.ask == "slabinfo" or not _with_objects(question) else ""
    return f"Rule: {rule} Here {_waiting(question)}{also}. {evidence(question, _limits)}"


def _limits(act: Any) -> bool:
    return isinstance(act, (Crowded, Weighed, Discarded))


# Sizes and shapes.


def _of_size(size: Callable[[int], int]) -> Callable[[Question], Any]:
    return lambda question: size(question.size) if isinstance(question, KmallocGives) else None


def _gives(question: KmallocGives) -> str:
    if question.truth() > 2 * PAGE_SIZE:
        pages = question.truth() // PAGE_SIZE
        return (
            f"{question.size:,} bytes are more than any cache has, 8,192: a block of {pages} pages, {question.truth():,} bytes, and no slab"
        )
    return f"the smallest that holds {question.size:,} bytes has objects of {question.truth():,}"


_SIZES = "kmalloc takes an object of a cache of fixed size: 8, 16, 32, 64, 96, 128, 192, 256 and so on to 8,192."


def _page_each(question: Question) -> int | None:
    if isinstance(question, SecondPage):
        return 2
    return -(-question.size // PAGE_SIZE) * PAGE_SIZE if isinstance(question, KmallocGives) else None


def _page_each_message(question: Any) -> str:
    if isinstance(question, KmallocGives):
        rest = "A block has 1, 2, 4 or 8 pages, and so on" if question.truth() > 2 * PAGE_SIZE else "Objects share pages"
        return f"Rule: {_SIZES} Here {_gives(question)}. {rest}."
    return _second_page(question, "a slab is cut into objects, and a request takes one of them.")


def _second_page(question: SecondPage, rule: str) -> str:
    acts = question.tape.acts(0)
    objects = next(act.objects for act in acts if isinstance(act, Carved))
    return f"Rule: {rule} The first slab has {objects} objects, so request {objects + 1} takes the next pages. Step {question.truth() - 1}."


def _one_page(question: Question) -> int | None:
    return question.of(0, question.layout().size) if isinstance(question, SlabShape) else None


def _one_page_message(question: SlabShape) -> str:
    wanted, cpus, layout = min_objects(question.cpus), question.cpus, question.layout()
    fls = f"4 * (fls({cpus}) + 1)"
    on = f"on {cpus} CPU{'s' * (cpus != 1)} a slab should hold {wanted} objects ({fls}), so order {layout.order}"
    fits = PAGE_SIZE // layout.size
    return f"Rule: {on}. One page holds {fits} of {layout.size} bytes; look at order {layout.order}: it holds {layout.objects}."


def _pointer_at(offset: Callable[[FreePointer], int]) -> Callable[[Question], Any]:
    return lambda question: offset(question) if isinstance(question, FreePointer) else None


def _pointer(question: FreePointer) -> str:
    size = question.object_size
    at = question.truth() - question.obj * size
    start = question.obj * size
    return (
        "Rule: the pointer is in the middle of a free object, away from what overflows a neighbour. "
        f"Object {question.obj} starts at {question.obj} * {size} = {start:,}, and {start:,} + {at} = {question.truth():,}. "
        "Look at the bytes of its slot."
    )


def _until(count: Callable[[SlabsUntilReturn], int]) -> Callable[[Question], Any]:
    return lambda question: count(question) if isinstance(question, SlabsUntilReturn) else None


def _until_message(question: SlabsUntilReturn) -> str:
    limit, keeps, last = question.layout().cpu_partial_slabs, question.layout().min_partial, question.truth() - 1
    return (
        f"Rule: a CPU's partial list takes {limit} slabs. The next one sends all of them to the node, which keeps {keeps} empty ones; none "
        f"need be there before. The cpu slab is on no list. Here {last - 1} slabs wait, and the first free of one more sends them on."
    )


def _of_row(answer: Callable[[RowOfSlabinfo], int], ask: str) -> Callable[[Question], Any]:
    return lambda question: answer(question) if isinstance(question, RowOfSlabinfo) and question.ask == ask else None


def _row(question: RowOfSlabinfo, rule: str) -> str:
    slabs, pages = question.num_slabs, question.pagesperslab
    held = f"{slabs:,} slabs of {pages} page{'s' * (pages != 1)} are {slabs * pages * PAGE_SIZE:,} bytes"
    objects = f"; {question.num_objs:,} objects of {question.objsize:,} are {question.num_objs * question.objsize:,}"
    return f"Rule: {rule} Here {held}{objects if question.ask == 'slack' else ''}. Look at the last columns of the row."


SLAB_BELIEFS = (
    Variant(
        "free-now",
        lambda q: 1 if isinstance(q, SlabsUntilReturn) else _held_by(_with_objects)(q),
        lambda q: (
            _until_message(q)
            if isinstance(q, SlabsUntilReturn)
            else _still_held(q, "an empty slab is kept until a list of slabs is too long.")
        ),
    ),
    Variant(
        "slabinfo-is-truth",
        _slabinfo_is_truth,
        lambda q: (
            f"Rule: slabinfo subtracts only what is free on node lists. It says {' of '.join(map(str, _slabinfo(q)))}, and "
            f"{SlabRun(q.tape, q.requests, 'live').truth()} are in use: {_waiting(q)}. Step {len(q.after()) - 1}."
        ),
    ),
    Variant(
        "live-is-held",
        _live_is_held,
        lambda q: f"Rule: a slab stays as long as one of its objects is in use. Here {_waiting(q)}. Step {len(q.after()) - 1}.",
    ),
    Variant(
        "min-partial-only",
        lambda q: q.layout().min_partial + 1 if isinstance(q, SlabsUntilReturn) else _held_by(_and_few_empty)(q),
        lambda q: (
            _until_message(q)
            if isinstance(q, SlabsUntilReturn)
            else _still_held(q, "a CPU's partial list comes before the node's, and keeps more.")
        ),
    ),
    Variant("limit-only", _until(lambda q: q.layout().cpu_partial_slabs + 1), _until_message),
    Variant("node-first", _until(lambda q: q.layout().cpu_partial_slabs + q.layout().min_partial + 2), _until_message),
    Variant(
        "objects-counted",
        _until(lambda q: q.truth() * q.layout().objects),
        lambda q: f"Rule: slabs are counted here, and not objects. A slab has {q.layout().objects} objects of {q.object_size} bytes.",
    ),
    Variant(
        "never-returns",
        _never_returns,
        lambda q: (
            f"Rule: when a CPU's list is full, all go to the node, and empty ones that it does not keep go back. {evidence(q, _limits)}"
        ),
    ),
    Variant("exact", _of_size(lambda size: size), lambda q: f"Rule: {_SIZES} Here {_gives(q)}. {q.truth() - q.size:,} are spare."),
    Variant("page-each", _page_each, _page_each_message),
    Variant(
        "power-of-two",
        _of_size(lambda size: 1 << max(3, (size - 1).bit_length())),
        lambda q: f"Rule: {_SIZES} Here {_gives(q)}. Two of the sizes are no powers of two: 96 and 192.",
    ),
    Variant(
        "last-that-fits",
        lambda q: q.truth() - 1 if isinstance(q, SecondPage) else None,
        lambda q: _second_page(q, "a slab serves as long as it has a free object."),
    ),
    Variant("one-page", _one_page, _one_page_message),
    Variant(
        "object-alone",
        lambda q: q.on_one_cpu().truth() if isinstance(q, SlabShape) and q.cpus > 1 else None,
        lambda q: f"{_one_page_message(q)} Your answer is right on 1 CPU.",
    ),
    Variant(
        "active-only",
        _of_row(lambda q: q.active_objs * q.objsize, "held"),
        lambda q: _row(q, "a cache holds whole slabs, with all their objects, free or not."),
    ),
    Variant(
        "objects-only",
        _of_row(lambda q: q.num_objs * q.objsize, "held"),
        lambda q: _row(q, "a slab is whole pages, and its objects do not always fill them."),
    ),
    Variant("a-page-a-slab", _of_row(lambda q: q.num_slabs * PAGE_SIZE, "held"), lambda q: _row(q, "a slab has pagesperslab pages.")),
    Variant(
        "free-is-slack",
        _of_row(lambda q: (q.num_objs - q.active_objs) * q.objsize, "slack"),
        lambda q: _row(q, "a free object can still be handed out; slack is what is left over after the last object."),
    ),
    Variant("at-start", _pointer_at(lambda q: q.obj * q.object_size), _pointer),
    Variant("at-end", _pointer_at(lambda q: (q.obj + 1) * q.object_size - 8), _pointer),
    Variant("in-the-object", _pointer_at(lambda q: q.truth() - q.obj * q.object_size), _pointer),
)
