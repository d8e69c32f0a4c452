"""Words for acts: what one did, why, and the kernel function that does it."""

from collections.abc import Sequence

from ..mm.act import (
    Act,
    Asked,
    Checked,
    Compared,
    Counted,
    Given,
    Held,
    Linked,
    Looked,
    Migrated,
    Moved,
    Parked,
    Refused,
    Relabelled,
    Taken,
    Unheld,
    Unlinked,
    Unparked,
    held_block,
)
from ..mm.slab_act import SLAB_ACTS, SlabAct
from ..mm.zone import HIGHATOMIC, MIGRATETYPES
from .machine_caption import ALLOC, COMPACTION, KERNEL, Caption, asked, buddy_of, checked, compacted, counted, labelled, per_cpu, span
from .slab_caption import slab_caption

__all__ = ["KERNEL", "Caption", "captions", "span"]

_MERGE = "mm/page_alloc.c, mm/internal.h"


def captions(acts: Sequence[Act | SlabAct]) -> list[Caption]:
    """Put each act of one request into words.

    Args:
        acts: all acts of the request, in order; those of a cache have among them what its slabs took and gave, each from its Asked on.

    Returns:
        A Caption for each.

    >>> from pagelab.lab import scenario
    >>> [c.short for c in captions(scenario.text("alloc 3").acts(0))]
    ['ask: order 3', 'list 3: empty', 'take 0 off list 4', 'split: 8 to list 3', 'hand out 0']
    """
    if not acts or not isinstance(acts[0], SLAB_ACTS):
        return [_caption(acts, i) for i in range(len(acts))]  # type: ignore[arg-type]
    said, first = list[Caption](), 0
    for i, act in enumerate(acts):
        if isinstance(act, SLAB_ACTS):
            said.append(slab_caption(acts, i))
        else:
            first = i if isinstance(act, Asked) else first
            end = next((k for k in range(i + 1, len(acts)) if isinstance(acts[k], (*SLAB_ACTS, Asked))), len(acts))
            said.append(_caption(acts[first:end], i - first))  # type: ignore[arg-type]
    return said


def _caption(acts: Sequence[Act], i: int) -> Caption:
    """Tell one act; what was done before says what it is part of, and what comes next what it is for."""
    before, act, after = acts[:i], acts[i], acts[i + 1 : i + 2]
    match act:
        case Asked():
            return asked(act)
        case Checked():
            return checked(act, _wanted(acts).order)
        case Counted():
            return counted(act, _wanted(acts).mt)
        case Moved() | Relabelled():
            return labelled(act, _wanted(acts).verb)
        case Parked() | Unparked():
            return per_cpu(act)
        case Held() | Unheld() | Migrated():
            return compacted(act, isinstance(before[-1], Unlinked))
        case Given() | Compared():
            return _freed(before, act)
        case Unlinked() | Linked() if _freeing(before):
            return _freed(before, act)
    return _handed_out(acts, i, after[0] if after else None)


def _wanted(acts: Sequence[Act]) -> Asked:
    return next(act for act in acts if isinstance(act, Asked))


def _freeing(before: Sequence[Act]) -> bool:
    """Tell whether a block is on its way back to the free lists."""
    for act in reversed(before):
        match act:
            case Given() | Migrated() | Unheld():
                return True
            case Unparked():
                return act.tail
            case Asked(verb) if verb in ("isolate", "unisolate"):
                return True
            case Taken() | Asked() | Refused():
                return False
    return False


def _freed(before: Sequence[Act], act: Act) -> Caption:
    held = held_block(before)
    match act:
        case Given(pfn, order):
            text = f"{span(pfn, order).capitalize()} {'come' if order else 'comes'} back. {buddy_of(pfn, order)}"
            return Caption(f"{pfn} comes back", text, "__free_one_page()", ALLOC)
        case Compared():
            return _compared(act, held)
        case Unlinked(pfn, order) if held:
            return _merged(held, pfn, order)
        case Unlinked(pfn, order):
            text = f"{span(pfn, order).capitalize()} {'leave' if order else 'leaves'} the list of order {order}."
            return Caption(f"take {pfn} off list {order}", text, "__del_page_from_free_list()", ALLOC)
        case Linked(pfn, order, mt, tail):
            end, on = "tail" if tail else "head", f"{MIGRATETYPES[mt]} list of order {order}"
            text = f"{span(pfn, order).capitalize()}: free, order {order}. The block goes to the {end} of the {on}."
            return Caption(f"link {pfn} at the {end} of list {order}", text, "__add_to_free_list()", ALLOC)
    raise ValueError(f"{act!r} is no act of a free")


def _handed_out(acts: Sequence[Act], i: int, after: Act | None) -> Caption:
    before, act = acts[:i], acts[i]
    match act:
        case Looked(low, high, mt):
            which = f"list of order {low} is" if low == high else f"lists of orders {low} to {high} are"
            short = f"list {low}: empty" if low == high else f"lists {low} to {high}: empty"
            return Caption(short, f"The {MIGRATETYPES[mt]} {which} empty.", "__rmqueue_smallest()", ALLOC)
        case Unlinked():
            return _taken_off(act, _wanted(acts), isinstance(after, Relabelled))
        case Linked(pfn, order):
            held = held_block(before)
            lower = held[0] if held else pfn
            text = f"The upper half, {pfn}, goes to the head of list {order}. What is left at {lower} has order {order}."
            return Caption(f"split: {pfn} to list {order}", text, "expand()", ALLOC)
        case Taken(pfn, order) if isinstance(after, Parked):
            text = f"{span(pfn, order).capitalize()}: off the free lists, for cpu {after.cpu}."
            return Caption(f"{pfn} for cpu {after.cpu}", text, "rmqueue_bulk()", ALLOC)
        case Taken(pfn, order) if _cut_up(before, pfn):
            return Caption(f"cut: {pfn} alone", f"Page {pfn} is a block of order 0 now, which can be freed alone.", "split_page()", ALLOC)
        case Taken(pfn, order) if _wanted(before).verb == "compact":
            return Caption(
                f"set {pfn} aside", f"{span(pfn, order).capitalize()}: set aside, for pages that move.", "__isolate_free_page()", ALLOC
            )
        case Taken(pfn, order) if _wanted(before).verb == "refill":
            return Caption(
                f"{pfn} for a CPU", f"{span(pfn, order).capitalize()}: off the free lists, for a CPU's list.", "rmqueue_bulk()", ALLOC
            )
        case Taken(pfn, order):
            text = f"The caller receives {span(pfn, order)}: pfn {pfn}, order {order}."
            return Caption(f"hand out {pfn}", text, "__rmqueue_smallest()", ALLOC)
        case Refused():
            return _refused(before, act)
    raise ValueError(f"{act!r} is no act of an allocation")


def _taken_off(act: Unlinked, wanted: Asked, claimed: bool) -> Caption:
    pfn, order, mt = act
    short, name = f"take {pfn} off list {order}", MIGRATETYPES[mt]
    if wanted.verb == "compact":
        text = f"{span(pfn, order).capitalize()}: off the {name} list of order {order}."
        return Caption(short, text, "isolate_freepages_block()", COMPACTION)
    rest = "It fits exactly." if order == wanted.order else f"It is larger than order {wanted.order}, so it is split."
    if mt in (wanted.mt, HIGHATOMIC):
        text = f"The head of the {name} list of order {order} is {pfn}. It leaves the list. {rest}"
        return Caption(short, text, "__rmqueue_smallest()", ALLOC)
    none = f"No {MIGRATETYPES[wanted.mt]} list has a block"
    if claimed:
        text = f"{none}. The largest block of another type is {pfn}, {name}, order {order}. It leaves its list, to be claimed. {rest}"
        return Caption(f"claim {pfn} of order {order}", text, "__rmqueue_claim()", ALLOC)
    text = (
        f"{none}, and no pageblock can be claimed. The smallest block of another type is {pfn}, {name}, order {order}: it is stolen. {rest}"
    )
    return Caption(f"steal {pfn} of order {order}", text, "__rmqueue_steal()", ALLOC)


def _cut_up(before: Sequence[Act], pfn: int) -> bool:
    """Tell whether a page belongs to a block that was handed out already, to be cut into pages."""
    wanted = _wanted(before)
    received = (act for act in before if isinstance(act, Taken) and act.order == wanted.order)
    return wanted.verb == "alloc_exact" and any(act.pfn <= pfn < act.pfn + (1 << act.order) for act in received)


def _refused(before: Sequence[Act], act: Refused) -> Caption:
    checks = [a for a in before if isinstance(a, Checked)]
    if checks and not any(a.ok for a in checks):
        why = "No zone has pages to spare."
    elif any(isinstance(a, Looked) for a in before):
        why = f"No {MIGRATETYPES[act.mt]} list from order {act.order} up has a block, and no list of another type can stand in."
    else:
        why = "The machine has no zone for such a request."
    return Caption("refused", f"{why} The caller receives NULL: the request is refused.", "__alloc_pages()", ALLOC)


def _merged(held: tuple[int, int], buddy: int, order: int) -> Caption:
    pfn = held[0]
    text = (
        f"The buddy of {pfn} at order {order} is {pfn} ^ {1 << order} = {buddy}. It is free, of order {order}: it leaves its list. "
        f"{span(pfn & buddy, order + 1).capitalize()} are one block of order {order + 1}."
    )
    return Caption(f"merge {buddy}", text, "__free_one_page() → page_is_buddy()", _MERGE)


def _compared(act: Compared, held: tuple[int, int] | None) -> Caption:
    pfn, order = held or (act.pfn, act.order)
    if act.order > order:
        return _tail_test(pfn, order, act)
    text = f"The buddy of {pfn} at order {order} is {pfn} ^ {1 << order} = {act.pfn}. {_why_not(act)}, so merging stops here."
    return Caption(f"look at {act.pfn}: stop", text, "__free_one_page() → page_is_buddy()", _MERGE)


def _tail_test(pfn: int, order: int, act: Compared) -> Caption:
    function = "buddy_merge_likely() → page_is_buddy()"
    buddy, pair = pfn ^ (1 << order), pfn & ~(1 << order)
    if act.yes:
        text = (
            f"If {buddy} came back too, the pair would start at {pair}, and its buddy at order {act.order}, {act.pfn}, is free. "
            f"A larger block may form soon: {pfn} waits at the tail."
        )
        return Caption(f"larger block near {pfn}: wait", text, function, _MERGE)
    text = (
        f"One order up, the pair at {pair} would need {act.pfn} of order {act.order}. {_why_not(act)}. "
        f"No larger block is near: {pfn} goes to the head."
    )
    return Caption(f"no larger block near {pfn}: head", text, function, _MERGE)


def _why_not(act: Compared) -> str:
    block = act.block
    if block.kind == "hole":
        return f"{act.pfn} is outside the zone"
    if block.kind == "free":
        return f"{act.pfn} is free but of order {block.order}, not {act.order}"
    return f"{act.pfn} is {'on a per-CPU list' if block.kind == 'pcp' else block.kind}"
