"""Beliefs about which object of a cache is handed out next."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..mm.slab_act import Enlisted, Pushed, Put, Rested
from ..mm.slab_call import unpack_slab
from ..mm.slab_common import kmalloc_size
from .belief import Variant, evidence, handed_out
from .form import REFUSAL
from .question import Question
from .request import verb_of
from .slab_question import ALLOCATIONS, SlabRun


class Freed(NamedTuple):
    """An object that came back: the request that first received it, its address, and the CPU that freed it."""

    name: int
    word: int
    cpu: int


def _objects_by(pick: Callable[[Sequence[Freed], int], Freed | None]) -> Callable[[Question], Any]:
    """Give the objects that a theory picks of those freed, for a CPU that asks; where it picks none, one never used."""

    def answer(question: Question) -> Any:
        if not isinstance(question, SlabRun) or question.ask not in ("object", "objects"):
            return None
        names = _picked(question, pick)
        return (names[-1] if names else None) if question.ask == "object" else names

    return answer


def _picked(question: SlabRun, pick: Callable[[Sequence[Freed], int], Freed | None]) -> list[str]:
    after, first, names = question.after(), dict[int, int](), list[str]()
    freed, held = dict[str, list[Freed]](), dict[int, tuple[str, int]]()
    machine = question.tape.at(0)
    for k, (request, word) in enumerate(zip(after.requests, after.received, strict=True)):
        if verb_of(request) not in (*ALLOCATIONS, "kfree"):
            continue
        call = unpack_slab(request)
        if call.verb == "kfree":
            cache, name = held[call.number]
            freed.setdefault(cache, []).append(Freed(name, after.received[name], call.cpu))
            continue
        cache = f"kmalloc {kmalloc_size(call.number)} {call.kind}"
        if call.verb == "kmem_cache_alloc":
            cache = machine.cache(machine.names[call.number]).name
        known = k < len(question.tape)
        of = freed.setdefault(cache, [])
        name = first.setdefault(word, k) if known else k
        chosen = next((one for one in of if one.name == name), None) if known else pick(of, call.cpu)
        if chosen:
            of.remove(chosen)
            name = chosen.name
        held[k] = cache, name
        if not known:
            names.append(REFUSAL if word < 0 else f"#{held[k][1]}")
    return names


def _last_of(cpu: int, freed: Sequence[Freed]) -> Freed | None:
    return next((one for one in reversed(freed) if one.cpu == cpu), None)


def _put_back(act: Any) -> bool:
    return isinstance(act, (Pushed, Put, Enlisted)) or (isinstance(act, Rested) and not act.awake)


def _rule(question: SlabRun, slabs: str, sheaves: str) -> str:
    """Choose the rule of a kernel with cpu slabs, or of one with sheaves."""
    return f"Rule: {sheaves if question.tape.at(0).version == '7.x' else slabs}"


_ANY, _END = "whatever its address.", "and not to its end."
OBJECT_BELIEFS = (
    Variant(
        "own-frees",
        lambda q: _objects_by(lambda freed, cpu: _last_of(cpu, freed))(q) if isinstance(q, SlabRun) and q.tape.at(0).cpus > 1 else None,
        lambda q: f"Rule: a remote free goes to the slab's own freelist, for the CPU whose slab it is. {evidence(q, _put_back)}",
    ),
    Variant(
        "global-lifo",
        _objects_by(lambda freed, cpu: freed[-1] if freed else None),
        lambda q: (
            _rule(q, "the cpu slab serves first, and each slab has a freelist of its own.", "each CPU's own sheaf serves it first.")
            + f" {evidence(q, handed_out)}"
        ),
    ),
    Variant(
        "lowest-first",
        _objects_by(lambda freed, cpu: min(freed, key=lambda one: one.word, default=None)),
        lambda q: (
            _rule(q, f"a freed object goes to the front of the freelist, {_ANY}", f"a freed object is the first to leave its sheaf, {_ANY}")
            + f" {evidence(q, _put_back)}"
        ),
    ),
    Variant(
        "oldest-first",
        _objects_by(lambda freed, cpu: freed[0] if freed else None),
        lambda q: (
            _rule(q, f"a freed object goes to the front of the freelist, {_END}", "what came last into a sheaf leaves it first.")
            + f" {evidence(q, _put_back)}"
        ),
    ),
    Variant(
        "fresh-first",
        _objects_by(lambda freed, cpu: None),
        lambda q: f"Rule: a freed object is handed out again before one that was never used. {evidence(q, handed_out)}",
    ),
)
