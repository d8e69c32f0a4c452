"""A whole request for objects in a sentence or two."""

from collections.abc import Sequence
from typing import Any, TypeVar

from ..mm.act import Refused, Taken
from ..mm.slab import CPU_PARTIAL
from ..mm.slab_act import Carved, Crowded, Delisted, Discarded, Drawn, Enlisted, Popped, Pushed, Put, Regained, Reported, Rested, Stained
from .machine_caption import SLAB_COMMON, SLUB, Caption, span
from .slab_caption import objects_of, slab_caption

A = TypeVar("A", bound=Any)


def slab_summary(acts: Sequence[Any]) -> Caption:
    """Put a whole request for objects, all its acts, into one caption.

    Args:
        acts: all acts of the request, in order; the first is the Called.

    Returns:
        The Caption.

    >>> from pagelab.lab import scenario
    >>> slab_summary(scenario.slab("kmalloc 512").acts(0)).sentence
    'No slab has a free object: page 0 becomes a slab of 8. The caller receives object 0 of the slab at 0.'
    """
    called, reported = acts[0], _all(acts, Reported)
    caption = _SUMMARIES.get(called.verb, _allocated)(acts)
    if reported:
        return caption._replace(sentence=f"{caption.sentence} {slab_caption(acts, acts.index(reported[0])).sentence}")
    return caption


def _all(acts: Sequence[Any], kind: type[A]) -> list[A]:
    return [act for act in acts if isinstance(act, kind)]


def _allocated(acts: Sequence[Any]) -> Caption:
    given = [act for act in acts if isinstance(act, (Popped, Drawn)) or (isinstance(act, Rested) and act.awake)]
    if not given:
        taken = _all(acts, Taken)
        if not taken or isinstance(acts[-1], Refused):
            text = "No block of pages is free for it. The caller receives NULL: the request is refused."
            return Caption("refused", text, "___slab_alloc()", SLUB)
        pages = span(taken[0].pfn, taken[0].order)
        text = f"{acts[0].size:,} bytes are too many for a cache: {pages} come straight from the page allocator."
        return Caption(f"hand out {taken[0].pfn}", text, "___kmalloc_large_node()", SLUB)
    act = given[-1]
    text = f"{_found(acts, act)} The caller receives object {act.obj} of the slab at {act.pfn}."
    function = "slab_alloc_node()" if len(acts) == 2 else "___slab_alloc()"
    if isinstance(act, Rested):
        function = "alloc_from_pcs()" if len(acts) == 2 else "__pcs_replace_empty_main()"
    return Caption(f"hand out object {act.obj} of {act.pfn}", text, function, SLUB)


def _found(acts: Sequence[Any], act: Any) -> str:
    """Say where a free object was found."""
    if isinstance(act, Rested):
        full = "The CPU's main sheaf has a free object."
        return full if len(acts) == 2 else "The CPU's main sheaf was empty: another one, or one filled from slabs, takes its place."
    more = [a for a in _all(acts, Enlisted) if a.place == CPU_PARTIAL]
    if carved := _all(acts, Carved):
        pages = span(carved[0].pfn, carved[0].order)
        return f"No slab has a free object: {pages} become{'s' * (not carved[0].order)} a slab of {carved[0].objects}."
    if regained := _all(acts, Regained):
        return f"Cpu {regained[0].cpu}'s freelist is empty, and takes the {objects_of(regained[0].free)} freed to its slab meanwhile."
    if listed := _all(acts, Delisted):
        first = listed[0]
        if first.place == CPU_PARTIAL:
            return f"The first slab of cpu {first.owner}'s partial list becomes its cpu slab."
        moved = f", and {len(more)} more wait{'s' * (len(more) == 1)} on its partial list" if more else ""
        return f"The first slab of node {first.owner}'s partial list becomes the cpu slab{moved}."
    if isinstance(act, Popped):
        return f"Cpu {act.cpu}'s freelist has a free object."
    return "A slab on the node's list has a free object."


def _freed(acts: Sequence[Any]) -> Caption:
    called = acts[0]
    if not called.cache:
        return Caption(f"free {called.pfn}", slab_caption(acts, 0).sentence, "free_large_kmalloc()", SLUB)
    last = next((act for act in acts if isinstance(act, (Pushed, Put, Rested))), None)
    text = f"{slab_caption(acts, acts.index(last)).sentence}" if last else f"Object {called.obj} of the slab at {called.pfn} is not freed."
    onto = [act for act in _all(acts, Enlisted) if act.pfn == called.pfn]
    text = text.replace(", and is on no list yet", "") + (f" {slab_caption(acts, acts.index(onto[0])).sentence}" if onto else "")
    for crowd in (act for act in _all(acts, Crowded) if act.yes):
        text += f" {crowd.slabs} slabs were on that list, its limit: they go to the node."
    function = "free_to_pcs()" if isinstance(last, Rested) else "do_slab_free()"
    return Caption(f"free object {called.obj} of {called.pfn}", text + _gone(acts), f"kfree() → {function}", SLUB)


def _gone(acts: Sequence[Any]) -> str:
    """Say which slabs went back to the page allocator, where some did."""
    gone = _all(acts, Discarded)
    if not gone:
        return ""
    pages = sum(1 << act.order for act in gone)
    slabs = "1 empty slab goes" if len(gone) == 1 else f"{len(gone)} empty slabs go"
    return f" {slabs} back to the page allocator: {pages} page{'s' * (pages != 1)}."


def _shrunk(acts: Sequence[Any]) -> Caption:
    text = f"{acts[0].cache} gives back what it can.{_gone(acts) or ' No slab is empty.'}"
    return Caption(f"shrink {acts[0].cache}", text, "kmem_cache_shrink()", SLAB_COMMON)


def _written(acts: Sequence[Any]) -> Caption:
    astray = sum(act.length for act in _all(acts, Stained))
    more = f" {astray:,} of them lie{'s' * (astray == 1)} outside an object in use." if astray else ""
    return Caption(f"write {acts[0].size} bytes", slab_caption(acts, 0).sentence + more, "", "")


_SUMMARIES = {"kfree": _freed, "shrink": _shrunk, "write": _written}
