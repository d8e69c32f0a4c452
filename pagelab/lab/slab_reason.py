"""Reasons for an answer about caches that no belief explains."""

from typing import Any

from ..mm.slab_act import Carved, Crowded, Discarded, Enlisted, Weighed
from ..mm.slab_layout import min_objects
from ..mm.units import PAGE_SIZE
from .belief import evidence, handed_out
from .form import REFUSAL
from .request import verb_of
from .slab_question import ALLOCATIONS, FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn


def slab_run(question: SlabRun, given: Any, truth: Any) -> str:
    """Say why an answer about a run of caches is not right.

    Args:
        question: what was asked.
        given: the answer, as `read_answer` returns it.
        truth: what the model says.

    Returns:
        Two or three sentences.

    >>> from pagelab.lab.scenario import slab
    >>> slab_run(SlabRun(slab("kmalloc 512"), "kfree @0", "slabs"), 2, 1)
    'Rule: a slab is held from its first object until its pages go back. Not 2. Step 1.'
    """
    match question.ask:
        case "object" | "objects":
            return _objects(question, given, truth)
        case "index":
            return f"Rule: the CPU's freelist is served from its head. Not {given}. {evidence(question, handed_out)}"
        case "live":
            return f"Rule: an object is in use from the request that receives it until it is freed. Count both: not {given:,}."
        case "slabinfo":
            rule = "Rule: num_objs counts all objects of all slabs; active_objs leaves out those that are free in slabs of a node's list."
            return f"{rule} {evidence(question, _moved)}"
        case "on CPU lists" | "on node lists":
            rule = f"Rule: a slab that was full goes to a CPU's list, and to the node's when that is full. Not {given}."
            return f"{rule} {evidence(question, _moved)}"
    return f"Rule: a slab is held from its first object until its pages go back. Not {given}. {evidence(question, _came_or_went)}"


def _objects(question: SlabRun, given: Any, truth: Any) -> str:
    rule = "Rule: the cpu slab serves first, from the head of its freelist; then the first slab on the CPU's partial list."
    if question.tape.at(0).version == "7.x":
        rule = "Rule: the CPU's main sheaf serves first, the object that came last before the others."
    mine, right = ([given], [truth]) if question.ask == "object" else (given, truth)
    if len(mine) != len(right):
        return f"Rule: one object for each request that allocates. {len(right)} are wanted; you gave {len(mine)}."
    after = question.after()
    steps = [k for k in range(len(question.tape), len(after)) if verb_of(after.requests[k]) in ALLOCATIONS]
    at = next(i for i, (one, other) in enumerate(zip(mine, right, strict=True)) if one != other)
    at = len(steps) - 1 if question.ask == "object" else at
    name = mine[0] if question.ask == "object" else mine[at]
    k = steps[at]
    one = SlabRun(after.fork(k), after.fork(k + 1).text.rsplit("; ", 1)[-1].split(" x", 1)[0], "object")
    return f"{rule} {_about(after, k, name)}{evidence(one, handed_out)}"


def _about(after: Any, k: int, name: str) -> str:
    """Say what is known of the object that was answered, where this alone rules it out."""
    number = -1 if name == REFUSAL else int(name[1:])
    if name == REFUSAL or number > k:
        return "A free object is there. " if name == REFUSAL else f"Request {number} comes later. "
    if verb_of(after.requests[number]) not in ALLOCATIONS:
        return f"Request {number} receives no object; one that was never used is called after the request that receives it, frees counted. "
    return f"{name} is the first that is not right. "


def _moved(act: Any) -> bool:
    return isinstance(act, (Enlisted, Crowded, Weighed))


def _came_or_went(act: Any) -> bool:
    return isinstance(act, (Carved, Discarded, Weighed, Crowded))


def reason_of_caches(question: Any, given: Any, truth: Any) -> str:
    """Say why an answer about a size or a shape is not right.

    Args:
        question: SecondPage, KmallocGives, SlabShape, FreePointer, SlabsUntilReturn or RowOfSlabinfo.
        given: the answer.
        truth: what the model says.

    Returns:
        Two or three sentences.

    >>> reason_of_caches(KmallocGives(100), 112, 128)
    'Rule: kmalloc gives an object of the smallest cache that holds the bytes asked for. 112 is the size of no cache; 100 are asked for.'
    """
    match question:
        case KmallocGives(size):
            what = "is too few" if given < size else "is not the smallest" if given > truth else "is the size of no cache"
            rule = "Rule: kmalloc gives an object of the smallest cache that holds the bytes asked for."
            return f"{rule} {given:,} {what}; {size:,} are asked for."
        case SecondPage():
            rule = "Rule: a slab serves until it has no free object, and then the cache takes pages again."
            return f"{rule} Not request {given}. Step {truth - 1}."
        case SlabShape(size, cpus):
            layout, wanted = question.layout(), min_objects(cpus)
            return (
                f"Rule: the order is the lowest that wastes little and holds about {wanted} objects, on {cpus} CPU{'s' * (cpus != 1)}. "
                f"Order {layout.order} has {PAGE_SIZE << layout.order:,} bytes; divide them by {size}: not {given:,}."
            )
        case FreePointer(size, obj):
            rule = f"Rule: object {obj} starts after {obj} objects of {size} bytes, at {obj * size:,}, and its pointer is in its middle."
            return f"{rule} Not {given:,}."
        case RowOfSlabinfo(ask="held"):
            rule = f"Rule: multiply num_slabs by pagesperslab and by {PAGE_SIZE:,}."
            return f"{rule} Not {given:,}: {question.num_slabs:,} slabs are in this row."
        case RowOfSlabinfo():
            rule = "Rule: what the slabs hold, less num_objs times objsize, is of no use to any object."
            return f"{rule} Not {given:,}: {question.objperslab} objects of {question.objsize:,} bytes are in each slab."
    assert isinstance(question, SlabsUntilReturn)
    layout = question.layout()
    return (
        f"Rule: pages come back when the CPU's partial list, of {layout.cpu_partial_slabs} slabs, is full, and the node, which keeps "
        f"{layout.min_partial}, has enough. Not {given:,}: the cpu slab counts too."
    )
