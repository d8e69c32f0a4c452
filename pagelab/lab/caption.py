"""Words for acts: what one did, why, and the kernel function that does it."""

from collections.abc import Sequence
from typing import NamedTuple

from ..mm.act import (
    Act,
    Asked,
    Compared,
    Given,
    Linked,
    Looked,
    Refused,
    Relabelled,
    Taken,
    Unlinked,
    held_block,
)
from ..mm.units import MAX_PAGE_ORDER
from ..mm.zone import MIGRATETYPES

KERNEL = "6.12"
_ALLOC = "mm/page_alloc.c"
_MERGE = "mm/page_alloc.c, mm/internal.h"


class Caption(NamedTuple):
    """What an act did: a few words, one or two sentences, the kernel function and its file."""

    short: str
    sentence: str
    function: str
    file: str

    @property
    def source(self) -> str:
        """The function, the file and the kernel version in one line."""
        return f"{self.function}   {self.file}   {KERNEL}"


def span(pfn: int, order: int) -> str:
    """Name the pages of a block.

    Args:
        pfn: its head.
        order: 0..10.

    Returns:
        "page 5" or "pages 4-7".

    >>> span(5, 0), span(4, 2)
    ('page 5', 'pages 4-7')
    """
    return f"page {pfn}" if order == 0 else f"pages {pfn}-{pfn + (1 << order) - 1}"


def captions(acts: Sequence[Act]) -> list[Caption]:
    """Put each act of one request into words.

    Args:
        acts: all acts of the request, in order.

    Returns:
        A Caption for each.

    >>> from pagelab.lab import scenario
    >>> [c.short for c in captions(scenario.text("alloc 3").acts(0))]
    ['ask: order 3', 'list 3: empty', 'take 0 off list 4', 'split: 8 to list 3', 'hand out 0']
    """
    return [_caption(acts[:i], act) for i, act in enumerate(acts)]


def _caption(before: Sequence[Act], act: Act) -> Caption:
    held = held_block(before)
    freeing = any(isinstance(a, Given) for a in before)
    match act:
        case Asked("alloc", order, mt, _):
            pages = "1 page" if order == 0 else f"{1 << order} pages"
            text = f"A caller asks for a block of order {order} ({pages}), {MIGRATETYPES[mt]}."
            return Caption(f"ask: order {order}", text, "__alloc_pages()", _ALLOC)
        case Asked(_, order, _, pfn):
            text = f"The owner of {span(pfn, order)} gives it back: order {order}."
            return Caption(f"ask: free {pfn}", text, "__free_pages()", _ALLOC)
        case Given(pfn, order):
            back = "come back. Their" if order else "comes back. Its"
            buddy = f"{back} buddy at order {order} is {pfn} ^ {1 << order} = {pfn ^ (1 << order)}."
            largest = "come back. No block is larger, so no buddy is looked for."
            text = f"{span(pfn, order).capitalize()} {largest if order == MAX_PAGE_ORDER else buddy}"
            return Caption(f"{pfn} comes back", text, "__free_one_page()", _ALLOC)
        case Compared():
            return _compared(act, held)
        case Relabelled(pfn, order, mt):
            text = f"The pageblocks of {span(pfn, order)} are labelled {MIGRATETYPES[mt]} now."
            return Caption(f"label {pfn} {MIGRATETYPES[mt]}", text, "__free_one_page()", _ALLOC)
        case Unlinked(pfn, order, _) if freeing and held:
            return _merged(held, pfn, order)
        case Linked(pfn, order, mt, tail) if freeing:
            end, on = "tail" if tail else "head", f"{MIGRATETYPES[mt]} list of order {order}"
            text = f"{span(pfn, order).capitalize()}: free, order {order}. The block goes to the {end} of the {on}."
            return Caption(f"link {pfn} at the {end} of list {order}", text, "__add_to_free_list()", _ALLOC)
    return _handed_out(before, act, held)


def _handed_out(before: Sequence[Act], act: Act, held: tuple[int, int] | None) -> Caption:
    function = "__rmqueue_smallest()"
    match act:
        case Looked(low, high, mt):
            which = f"list of order {low} is" if low == high else f"lists of orders {low} to {high} are"
            short = f"list {low}: empty" if low == high else f"lists {low} to {high}: empty"
            return Caption(short, f"The {MIGRATETYPES[mt]} {which} empty.", function, _ALLOC)
        case Unlinked(pfn, order, mt):
            wanted = next(a.order for a in before if isinstance(a, Asked))
            rest = "It fits exactly." if order == wanted else f"It is larger than order {wanted}, so it is split."
            text = f"The head of the {MIGRATETYPES[mt]} list of order {order} is {pfn}. It leaves the list. {rest}"
            return Caption(f"take {pfn} off list {order}", text, function, _ALLOC)
        case Linked(pfn, order, _, _):
            lower = held[0] if held else pfn
            text = f"The upper half, {pfn}, goes to the head of list {order}. What is left at {lower} has order {order}."
            return Caption(f"split: {pfn} to list {order}", text, "expand()", _ALLOC)
        case Taken(pfn, order, _):
            text = f"The caller receives {span(pfn, order)}: pfn {pfn}, order {order}."
            return Caption(f"hand out {pfn}", text, function, _ALLOC)
        case Refused(order, mt):
            text = f"No {MIGRATETYPES[mt]} list from order {order} up has a block. The caller receives NULL: the request is refused."
            return Caption("refused", text, function, _ALLOC)
    raise ValueError(f"{act!r} is no act of an allocation")


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
    return f"{act.pfn} is {block.kind}"
