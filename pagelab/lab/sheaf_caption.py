"""Words for the acts of sheaves, which are known as one fork of 7.0 and 7.1 has them."""

from ..mm.percpu_sheaves import NO_BARN
from ..mm.sheaf_act import BarnGiven, BarnTaken, Flushed, Refilled, SheafAct, SheafAdded, SheafSwapped
from .machine_caption import SLUB, Caption


def sheaf_caption(act: SheafAct | Refilled) -> Caption:
    """Put one act of the sheaves of a cache into words.

    Args:
        act: one of sheaf_act.py, but Rested.

    Returns:
        The Caption.

    >>> sheaf_caption(SheafSwapped("kmalloc-64", 0)).sentence
    'The main and the spare sheaf of cpu 0 change places.'
    """
    match act:
        case SheafSwapped(_, cpu):
            return Caption(
                "sheaves swapped", f"The main and the spare sheaf of cpu {cpu} change places.", "swap(pcs->main, pcs->spare)", SLUB
            )
        case SheafAdded(_, cpu, node):
            source = "a new one" if node == NO_BARN else f"out of the barn of node {node}"
            text = f"An empty sheaf, {source}, becomes the main one of cpu {cpu}; the main one becomes the spare."
            return Caption("empty sheaf", text, "alloc_empty_sheaf()" if node == NO_BARN else "barn_get_empty_sheaf()", SLUB)
        case BarnTaken(_, cpu, node, objects):
            text = f"Cpu {cpu} gives its empty main sheaf to the barn of node {node} and takes a full one of {objects} objects."
            return Caption("full sheaf from the barn", text, "barn_replace_empty_sheaf()", SLUB)
        case BarnGiven(_, cpu, node, new):
            text = f"Cpu {cpu} gives its full main sheaf to the barn of node {node}; its main one is {'a new' if new else 'an'} empty one."
            return Caption("full sheaf to the barn", text, "barn_put_full_sheaf()" if new else "barn_replace_full_sheaf()", SLUB)
        case Refilled(_, pfn, cpu, objects):
            text = f"{objects} free objects of the slab at {pfn} go into cpu {cpu}'s main sheaf; for their slab they are in use."
            return Caption(f"{objects} objects into the sheaf", text, "refill_objects()", SLUB)
        case Flushed(_, which, owner, objects):
            whose = f"a full sheaf in the barn of node {owner}" if which == "barn" else f"the {which} sheaf of cpu {owner}"
            function = "sheaf_flush_main()" if which == "main" else "sheaf_flush_unused()"
            return Caption("sheaf flushed", f"{objects} objects leave {whose}, and go back to their slabs.", function, SLUB)
    whose = (
        f"The barn of node {act.owner} gives up its empty sheaves." if act.which == "barn" else f"Cpu {act.owner} gives up its spare sheaf."
    )
    return Caption("sheaf freed", whose, "free_empty_sheaf()", SLUB)
