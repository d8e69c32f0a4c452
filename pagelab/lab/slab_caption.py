"""Words for the acts of a cache: what one did, why, and the kernel function that does it."""

from collections.abc import Sequence
from typing import Any

from ..mm.sheaf_act import SHEAF_ACTS, Refilled
from ..mm.slab import CPU_PARTIAL, FULL
from ..mm.slab_act import (
    Called,
    Carved,
    Cleaned,
    Crowded,
    Delisted,
    Discarded,
    Drawn,
    Enlisted,
    FoundEmpty,
    Loaded,
    Lost,
    Popped,
    Pushed,
    Put,
    Regained,
    Reported,
    Rested,
    SlabAct,
    Stained,
    Unloaded,
    Weighed,
)
from ..mm.slab_common import kmalloc_order, kmalloc_size
from .machine_caption import SLAB_COMMON, SLUB, Caption, span
from .sheaf_caption import sheaf_caption

_FREES = ("kfree", "shrink")


def slab_caption(acts: Sequence[Any], i: int) -> Caption:
    """Put one act of a cache into words.

    Args:
        acts: all acts of the request, in order; the first is the Called.
        i: which one, an act of slab_act.py.

    Returns:
        The Caption.

    >>> from pagelab.lab import scenario
    >>> acts = scenario.slab("kmalloc 512 x9; kfree @3").acts(9)
    >>> slab_caption(acts, 1).sentence
    "Object 3 of the slab at 0 goes to the head of the slab's own freelist. That was empty: the slab was full, and is on no list yet."
    """
    act, called = acts[i], acts[0]
    match act:
        case Called():
            return _called(act)
        case FoundEmpty():
            return _found_empty(act)
        case Crowded():
            return _crowded(act)
        case Weighed():
            return _weighed(act, called.verb, _from_cpu(acts, i))
        case Carved() | Discarded():
            return _pages(act)
        case Popped() | Pushed() | Drawn() | Put() | Rested():
            return _object(act, acts[i + 1 : i + 2])
        case Loaded() | Regained() | Unloaded():
            return _cpu_slab(act, called.verb)
        case Enlisted() | Delisted():
            return _listed(acts, i)
        case _ if isinstance(act, (Refilled, *SHEAF_ACTS)):
            return sheaf_caption(acts[i])
    return _checked(act)


def _from_cpu(acts: Sequence[Any], i: int) -> bool:
    """Tell whether a slab comes from a CPU's partial list: whether that was emptied in this request."""
    return any(isinstance(act, Delisted) and act.place == CPU_PARTIAL for act in acts[:i])


def objects_of(count: int) -> str:
    """Write a count of objects.

    Args:
        count: how many.

    Returns:
        The number and its word.

    >>> objects_of(1), objects_of(8)
    ('1 object', '8 objects')
    """
    return f"{count} object{'s' * (count != 1)}"


def _called(act: Called) -> Caption:
    verb, cache, size, cpu, pfn, obj = act
    whose = f"on cpu {cpu} " if cpu else ""
    what = f"object {obj} of the slab at {pfn}, {cache}" if cache else f"the pages at {pfn}"
    match verb:
        case "kmalloc" if not cache:
            order = kmalloc_order(size)
            text = f"A caller {whose}asks for {size:,} bytes. No cache has objects of that size: a block of order {order} will serve."
            return Caption(f"ask: {size:,} bytes", text, "___kmalloc_large_node()", SLUB)
        case "kmalloc":
            room = kmalloc_size(size)
            fits = f"exactly the size of an object of {cache}"
            if room != size:
                fits = f"the smallest size of a kmalloc cache that holds them is {room:,}, of {cache}"
            text = f"A caller {whose}asks for {size:,} bytes: {fits}."
            return Caption(f"ask: {size:,} bytes", text, "kmalloc() → kmalloc_index()", "include/linux/slab.h")
        case "kmem_cache_alloc":
            return Caption(f"ask: {cache}", f"A caller {whose}asks for an object of {cache}.", "kmem_cache_alloc()", SLUB)
        case "kfree":
            short = f"ask: free object {obj} of {pfn}" if cache else f"ask: free {pfn}"
            rest = "" if cache else " They belong to no slab, so they go straight back to the page allocator."
            text = f"A caller {whose}frees {what}.{rest}"
            return Caption(short, text, "kfree()" if cache else "free_large_kmalloc()", SLUB)
        case "shrink":
            text = f"{cache} is to give back every slab that it can: the CPUs are emptied first."
            return Caption(f"ask: shrink {cache}", text, "kmem_cache_shrink()", SLAB_COMMON)
    return Caption(f"ask: write {size} bytes", f"A caller writes {size:,} bytes to {what}, from its start.", "", "")


def _found_empty(act: FoundEmpty) -> Caption:
    cache, what, owner = act
    match what:
        case "freelist":
            text = f"Cpu {owner}'s freelist of {cache} is empty."
            return Caption("cpu freelist: empty", text, "slab_alloc_node()", SLUB)
        case "slab":
            text = f"Nothing was freed to the cpu slab's own freelist meanwhile: all its objects are in use, and cpu {owner} lets it go."
            return Caption("slab's freelist: empty", text, "get_freelist()", SLUB)
        case "cpu partial":
            text = f"No slab waits on cpu {owner}'s partial list."
            return Caption("cpu partial list: empty", text, "___slab_alloc()", SLUB)
        case "node partial":
            text = f"No slab is on the partial list of node {owner}."
            return Caption("node partial list: empty", text, "get_partial_node()", SLUB)
    return Caption(f"{what}: empty", f"The {what} of cpu {owner} has no object.", "", "")


def _crowded(act: Crowded) -> Caption:
    _, cpu, slabs, limit, yes = act
    wait = f"{slabs or 'No'} slab{'s wait' if slabs > 1 else ' waits'} on cpu {cpu}'s partial list, and {limit} is the limit"
    end = "all of them go to the node first" if yes else "there is room for one more"
    return Caption(f"cpu partial: {slabs} of {limit}", f"{wait}: {end}.", "put_cpu_partial()", SLUB)


def _weighed(act: Weighed, verb: str, from_cpu: bool) -> Caption:
    _, pfn, _, nr_partial, min_partial, yes = act
    has = f"The slab at {pfn} is empty. Its node keeps {min_partial} partial slabs and has {nr_partial}"
    end = "this one goes back to the page allocator" if yes else "it stays"
    function = "__put_partials()" if from_cpu else "deactivate_slab()" if verb == "shrink" else "__slab_free()"
    return Caption(f"empty {pfn}: {'give back' if yes else 'keep'}", f"{has}: {end}.", function, SLUB)


def _pages(act: Carved | Discarded) -> Caption:
    pages = span(act.pfn, act.order)
    if isinstance(act, Carved):
        text = f"{pages.capitalize()} become{'s' * (not act.order)} a slab of {act.cache}: {objects_of(act.objects)}, all free."
        return Caption(f"new slab at {act.pfn}", text, "allocate_slab()", SLUB)
    text = f"The slab at {act.pfn} is a slab no more. {pages.capitalize()} go{'es' * (not act.order)} back to the page allocator."
    return Caption(f"discard the slab at {act.pfn}", text, "discard_slab() → free_slab()", SLUB)


def _object(act: Any, after: Sequence[Any]) -> Caption:
    match act:
        case Popped(_, pfn, obj, cpu):
            text = f"The head of cpu {cpu}'s freelist is object {obj} of the slab at {pfn}. The caller receives it."
            return Caption(f"hand out object {obj} of {pfn}", text, "slab_alloc_node()", SLUB)
        case Pushed(_, pfn, obj, cpu):
            text = f"The slab at {pfn} is the cpu slab. Object {obj} goes to the head of cpu {cpu}'s freelist: it will be handed out next."
            return Caption(f"object {obj} to cpu {cpu}'s freelist", text, "do_slab_free()", SLUB)
        case Drawn(_, pfn, obj):
            text = f"Object {obj} of the slab at {pfn} is the head of the slab's own freelist: it is handed out."
            return Caption(f"hand out object {obj} of {pfn}", text, "alloc_single_from_partial()", SLUB)
        case Put(_, pfn, obj):
            text = f"Object {obj} of the slab at {pfn} goes to the head of the slab's own freelist. {_put(act, after)}"
            return Caption(f"object {obj} to the slab at {pfn}", text, "__slab_free()", SLUB)
    if act.awake:
        text = f"The last object in the CPU's main sheaf is object {act.obj} of the slab at {act.pfn}. The caller receives it."
        return Caption(f"hand out object {act.obj} of {act.pfn}", text, "alloc_from_pcs()", SLUB)
    text = f"Object {act.obj} of the slab at {act.pfn} goes into the CPU's main sheaf. For its slab it is still in use."
    return Caption(f"object {act.obj} into the sheaf", text, "free_to_pcs()", SLUB)


def _put(put: Put, after: Sequence[Any]) -> str:
    """Say where the slab stands that an object went to: what follows tells."""
    follows = next(iter(after), None)
    if isinstance(follows, Put) and follows.pfn == put.pfn:
        return "More objects of this slab follow."
    was = "The slab was full" if put.before else "That was empty: the slab was full"
    if isinstance(follows, (Crowded, Enlisted)):
        return f"{was}, and is on no list yet."
    if put.before:
        return "The slab is empty now." if isinstance(follows, Weighed) else "The slab stays where it is."
    if after:
        return f"{was}."
    return "The slab is a cpu slab, whose CPU will look here when its own freelist is empty."


def _cpu_slab(act: Any, verb: str) -> Caption:
    _, pfn, cpu, free = act
    match act:
        case Loaded():
            text = f"The slab at {pfn} becomes cpu {cpu}'s slab. The CPU takes its freelist: {objects_of(free)}."
            return Caption(f"cpu slab: {pfn}", text, "___slab_alloc()", SLUB)
        case Regained():
            text = f"{objects_of(free)} had been freed to the own freelist of the slab at {pfn}. Cpu {cpu} takes all of it."
            return Caption(f"take {objects_of(free)} of {pfn}", text, "get_freelist()", SLUB)
    back = f" {objects_of(free)} of the CPU's freelist go{'es' * (free == 1)} back to it." if free else ""
    function = "deactivate_slab()" if verb == "shrink" else "___slab_alloc()"
    return Caption(f"cpu {cpu} lets {pfn} go", f"Cpu {cpu} gives up its slab, at {pfn}.{back}", function, SLUB)


def _listed(acts: Sequence[Any], i: int) -> Caption:
    act, verb = acts[i], acts[0].verb
    name = {CPU_PARTIAL: f"cpu {act.owner}'s partial list", FULL: f"node {act.owner}'s list of full slabs"}.get(
        act.place, f"node {act.owner}'s partial list"
    )
    if isinstance(act, Delisted):
        text = f"The slab at {act.pfn} leaves {name}."
        if verb not in _FREES:
            text = f"The first slab of {name} is the one at {act.pfn}. It leaves the list."
        return Caption(f"{act.pfn} leaves a list", text, _delisted_by(act, verb), SLUB)
    end = "head" if act.place == CPU_PARTIAL or not act.tail else "tail"
    text = f"The slab at {act.pfn} goes to the {end} of {name}{_why_listed(acts, i)}."
    return Caption(f"{act.pfn} to the {end} of a list", text, _enlisted_by(acts, i), SLUB)


def _why_listed(acts: Sequence[Any], i: int) -> str:
    act, before = acts[i], acts[i - 1]
    if act.place == CPU_PARTIAL:
        return ", for later" if acts[0].verb not in _FREES else ", with its free object"
    if act.place == FULL:
        return ""
    moved = any(isinstance(a, Delisted) and a.pfn == act.pfn and a.place not in (CPU_PARTIAL, FULL) for a in acts[:i])
    if acts[0].verb == "shrink" and moved:
        return ": slabs with few free objects come first"
    return "" if isinstance(before, Weighed) else ": it has objects in use" if acts[0].verb in _FREES else ""


def _delisted_by(act: Delisted, verb: str) -> str:
    if act.place == CPU_PARTIAL:
        return (
            "___slab_alloc()" if verb not in _FREES else "put_cpu_partial()" if verb == "kfree" else "flush_cpu_slab() → __put_partials()"
        )
    if verb == "shrink":
        return "__kmem_cache_do_shrink()"
    return "get_partial_node() → remove_partial()" if verb not in _FREES else "__slab_free() → remove_partial()"


def _enlisted_by(acts: Sequence[Any], i: int) -> str:
    act, verb = acts[i], acts[0].verb
    if act.place == CPU_PARTIAL:
        return "put_cpu_partial()" if verb in _FREES else "get_partial_node() → put_cpu_partial()"
    if act.place == FULL:
        return "add_full()"
    taken = next((a for a in reversed(acts[:i]) if isinstance(a, (Delisted, Unloaded)) and a.pfn == act.pfn), None)
    if isinstance(taken, Unloaded):
        return "deactivate_slab() → add_partial()"
    if taken and taken.place == CPU_PARTIAL:
        return "__put_partials() → add_partial()"
    if verb not in _FREES:
        return "add_partial()"
    return "__kmem_cache_do_shrink()" if taken and verb == "shrink" else "__slab_free() → add_partial()"


def _checked(act: SlabAct) -> Caption:
    """Tell of bytes written astray, and what a check does about them."""
    match act:
        case Stained(_, address, length, value):
            where = f"page {address >> 12}, from byte {address & 4095:,} on"
            those = "1 byte that belongs to no object in use is" if length == 1 else f"{length} bytes that belong to no object in use are"
            text = f"{those} written: {where}, 0x{value:02x}."
            return Caption(f"{length} bytes written astray", text, "", "")
        case Reported(_, words):
            return _reported(words.strip().rstrip("."))
        case Cleaned(_, start, end):
            return Caption("bytes written anew", f"{end - start} bytes get the values again that a check expects.", "", "")
        case Lost(_, pfn, obj):
            what = "The free objects of" if obj < 0 else f"The free objects after object {obj} of"
            text = f"{what} the slab at {pfn} are not used any more: they cannot be trusted."
            return Caption(f"objects of {pfn} lost", text, "slab_fix()" if obj < 0 else "", SLUB if obj < 0 else "")
    raise ValueError(f"{act!r} is no act of a cache")


def _reported(words: str) -> Caption:
    """Tell what a check found, how it was put right, or what becomes of a pointer that no check looks at."""
    if words.startswith("FIX"):
        return Caption("a check repairs", f"The kernel puts right what it can, and prints: {words}.", "slab_fix()", SLUB)
    if words.startswith("BUG"):
        return Caption("a check reports", f"A check finds that something is wrong. The kernel prints: {words}.", "slab_bug()", SLUB)
    return Caption("a pointer is wrong", f"No check looks at this pointer. {words}.", "get_freepointer()", SLUB)
