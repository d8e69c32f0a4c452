"""Words for what goes on around the free lists: requests, watermarks, pageblocks that change their type, per-CPU lists, compaction."""

from typing import NamedTuple

from ..mm.act import Asked, Checked, Counted, Held, Migrated, Moved, Parked, Relabelled, Unheld, Unparked
from ..mm.units import MAX_PAGE_ORDER, PAGEBLOCK_NR_PAGES
from ..mm.zone import HIGHATOMIC, MIGRATETYPES, MOVABLE

KERNEL = "6.12"
ALLOC, ISOLATION, COMPACTION = "mm/page_alloc.c", "mm/page_isolation.c", "mm/compaction.c"
SLUB, SLAB_COMMON = "mm/slub.c", "mm/slab_common.c"
ENOUGH_PAGES = PAGEBLOCK_NR_PAGES // 2
_IN_6_1 = {
    "__rmqueue_claim()": "__rmqueue_fallback()",
    "__rmqueue_steal()": "__rmqueue_fallback()",
    "try_to_steal_block()": "steal_suitable_fallback()",
    "__add_to_free_list()": "add_to_free_list()",
    "__del_page_from_free_list()": "del_page_from_free_list()",
    "__put_partials()": "__unfreeze_partials()",
    "___kmalloc_large_node()   mm/slub.c": "__kmalloc_large_node()   mm/slab_common.c",
    "free_large_kmalloc()   mm/slub.c": "free_large_kmalloc()   mm/slab_common.c",
    "kfree()   mm/slub.c": "kfree()   mm/slab_common.c",
}
# What the functions of sheaves have in their names: no kernel here but 7.x has them.
_IN_A_FORK = ("sheaf", "barn", "pcs", "refill_objects")


class Caption(NamedTuple):
    """What an act did: a few words, one or two sentences, the kernel function and its file."""

    short: str
    sentence: str
    function: str
    file: str

    def source(self, version: str = KERNEL) -> str:
        """Return the function, the file and the kernel version in one line; 6.1 has some functions by other names or elsewhere."""
        source = f"{self.function}   {self.file}"
        if any(word in self.function for word in _IN_A_FORK):
            return f"{source}   7.1, as one fork has it"
        if version != "6.1":
            return f"{source}   {KERNEL}"
        for newer, older in _IN_6_1.items():
            source = source.replace(newer, older)
        return f"{source}   {version}"


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


def asked(act: Asked) -> Caption:
    """Tell what a caller wants.

    Args:
        act: the request.

    Returns:
        The Caption.

    >>> asked(Asked("drain", -1, -1, 2)).sentence
    'The lists of cpu 2 are to be emptied: their pages go back to the free lists.'
    """
    verb, order, mt, pfn = act
    pages = "1 page" if order == 0 else f"{1 << max(0, order)} pages"
    match verb:
        case "alloc":
            text = f"A caller asks for a block of order {order} ({pages}), {MIGRATETYPES[mt]}."
            return Caption(f"ask: order {order}", text, "__alloc_pages()", ALLOC)
        case "alloc_exact":
            text = (
                f"A caller asks for a number of pages, {MIGRATETYPES[mt]}. The smallest block that holds them has order {order} ({pages})."
            )
            return Caption(f"ask: pages of order {order}", text, "alloc_pages_exact()", ALLOC)
        case "refill":
            text = f"A CPU's list is empty and asks for a block of order {order} ({pages}), {MIGRATETYPES[mt]}."
            return Caption(f"refill: order {order}", text, "rmqueue_bulk()", ALLOC)
        case "drained":
            text = f"A CPU's list gives {span(pfn, order)} back: order {order}."
            return Caption(f"drain: {pfn}", text, "free_pcppages_bulk()", ALLOC)
        case "free":
            text = f"The owner of {span(pfn, order)} gives it back: order {order}."
            return Caption(f"ask: free {pfn}", text, "__free_pages()", ALLOC)
        case "drain":
            whose = "The lists of all CPUs" if pfn < 0 else f"The lists of cpu {pfn}"
            return Caption("ask: drain", f"{whose} are to be emptied: their pages go back to the free lists.", "drain_all_pages()", ALLOC)
        case "isolate":
            text = f"The pageblock of page {pfn} is to serve no request any more."
            return Caption(f"ask: isolate {pfn}", text, "set_migratetype_isolate()", ISOLATION)
        case "unisolate":
            text = f"The pageblock of page {pfn} is to serve requests again."
            return Caption(f"ask: unisolate {pfn}", text, "unset_migratetype_isolate()", ISOLATION)
    text = "What is in use and movable is to move up, so that free pages come together."
    return Caption(f"ask: {verb}", text, "compact_zone()", COMPACTION)


def checked(act: Checked, order: int) -> Caption:
    """Tell whether a zone has pages to spare, with the numbers.

    Args:
        act: the test.
        order: of the block that is asked for.

    Returns:
        The Caption.

    >>> checked(Checked(0, 270, 30, 240, False), 0).sentence
    'Zone 0 has 270 pages to count on. 270 <= 30 + 240 = 270: it is passed over.'
    """
    z, free, mark, reserve, ok = act
    function = "zone_watermark_fast()"
    if not mark and not reserve:
        return Caption(f"try zone {z}", f"Zone {z} is tried. It keeps nothing back.", function, ALLOC)
    kept = f"{mark} + {reserve} = {mark + reserve}" if reserve else str(mark)
    has = f"Zone {z} has {free} pages to count on"
    if ok:
        return Caption(f"zone {z}: {free} > {mark + reserve}", f"{has}. {free} > {kept}: it may serve.", function, ALLOC)
    if free > mark + reserve:
        text = f"{has}, but no block of order {order} or more: it is passed over."
        return Caption(f"zone {z}: no block of order {order}", text, function, ALLOC)
    return Caption(f"zone {z}: {free} <= {mark + reserve}", f"{has}. {free} <= {kept}: it is passed over.", function, ALLOC)


def counted(act: Counted, mt: int) -> Caption:
    """Tell whether enough of a pageblock suits a type, with the numbers.

    Args:
        act: the count.
        mt: the type that wants the pageblock.

    Returns:
        The Caption.

    Source: try_to_steal_block, mm/page_alloc.c, 6.12.

    >>> counted(Counted(300, 212, 300), mt=0).sentence
    '212 free + 0 alike < 256: the pageblock of 300, movable, keeps its type.'
    """
    pfn, free, movable, theirs = act
    alike = movable if mt == MOVABLE else PAGEBLOCK_NR_PAGES - (free + movable) if theirs == MOVABLE else 0
    enough = free + alike >= ENOUGH_PAGES
    sums = f"{free} free + {alike} alike {'>=' if enough else '<'} {ENOUGH_PAGES}"
    end = f"becomes {MIGRATETYPES[mt]}" if enough else "keeps its type"
    return Caption(sums, f"{sums}: the pageblock of {pfn}, {MIGRATETYPES[theirs]}, {end}.", "try_to_steal_block()", ALLOC)


def labelled(act: Moved | Relabelled, verb: str) -> Caption:
    """Tell what another type got: pageblocks, or a free block.

    Args:
        act: the move or the new label.
        verb: of the request.

    Returns:
        The Caption.

    >>> labelled(Moved(300, 2, MOVABLE, 0), "alloc").sentence
    'Pages 300-303, free, go from the movable list of order 2 to the tail of the unmovable one.'
    """
    function, file = "__rmqueue_claim() → try_to_steal_block()", ALLOC
    if verb in ("isolate", "unisolate"):
        function, file = f"{'un' * (verb == 'unisolate')}set_migratetype_isolate()", ISOLATION
    elif not verb.startswith("alloc"):
        function = "__free_one_page()"
    elif act.mt == HIGHATOMIC:
        function = "reserve_highatomic_pageblock()"
    name, pages = MIGRATETYPES[act.mt], span(act.pfn, act.order)
    if isinstance(act, Relabelled):
        return Caption(f"label {act.pfn} {name}", f"The pageblocks of {pages} are labelled {name} now.", function, file)
    end = f"{'go' if act.order else 'goes'} from the {MIGRATETYPES[act.old]} list of order {act.order} to the tail of the {name} one."
    return Caption(f"move {act.pfn} to {name}", f"{pages.capitalize()}, free, {end}", function, file)


def per_cpu(act: Parked | Unparked) -> Caption:
    """Tell what goes to a CPU's list or leaves it, and why there.

    Args:
        act: the block, the CPU and the list.

    Returns:
        The Caption.

    >>> per_cpu(Unparked(0, 0, 1, 1, False)).sentence
    "The head of cpu 1's movable list of order 0 is 0. It leaves the list."
    """
    pfn, order, cpu, pindex, tail = act
    kind = MIGRATETYPES[pindex % 3] if pindex < 12 else ("unmovable and reclaimable", "movable")[pindex - 12]
    name, end = f"cpu {cpu}'s {kind} list of order {order}", "tail" if tail else "head"
    if isinstance(act, Unparked):
        why, function = (f", to be freed. {buddy_of(pfn, order)}", "free_pcppages_bulk()") if tail else (".", "rmqueue_pcplist()")
        return Caption(f"{pfn} off cpu {cpu}, {end}", f"The {end} of {name} is {pfn}. It leaves the list{why}", function, ALLOC)
    why = "." if tail else ". No buddy is asked: what waits there cannot merge."
    function = "rmqueue_bulk()" if tail else "free_unref_page_commit()"
    return Caption(f"{pfn} to cpu {cpu}, {end}", f"{span(pfn, order).capitalize()}: to the {end} of {name}{why}", function, ALLOC)


def compacted(act: Held | Unheld | Migrated, found: bool) -> Caption:
    """Tell what compaction did with a block.

    Args:
        act: the block.
        found: the block left a free list just before.

    Returns:
        The Caption.

    >>> compacted(Migrated(3, 900, 0), False).sentence
    'What page 3 holds is copied to page 900. The old place is free.'
    """
    pages, file = span(act.pfn, act.order), COMPACTION
    if isinstance(act, Migrated):
        text = f"What {pages} {'hold' if act.order else 'holds'} is copied to {span(act.to, act.order)}. The old place is free."
        return Caption(f"move {act.pfn} to {act.to}", text, "migrate_pages()", "mm/migrate.c")
    if isinstance(act, Unheld):
        text = f"{pages.capitalize()}, set aside before, {'are' if act.order else 'is'} taken up."
        return Caption(f"take up {act.pfn}", text, "compaction_alloc()", file)
    if found:
        text = f"{pages.capitalize()}: set aside, as a place to move to."
        return Caption(f"set {act.pfn} aside", text, "isolate_freepages_block()", file)
    return Caption(f"set {act.pfn} aside again", f"{pages.capitalize()}: the upper half stays set aside.", "compaction_alloc()", file)


def buddy_of(pfn: int, order: int) -> str:
    """Work out the buddy of a block, in words.

    Args:
        pfn: its head.
        order: 0..10.

    Returns:
        A sentence.

    >>> buddy_of(2, 0)
    'Its buddy at order 0 is 2 ^ 1 = 3.'
    """
    if order == MAX_PAGE_ORDER:
        return "No block is larger, so no buddy is looked for."
    return f"{'Their' if order else 'Its'} buddy at order {order} is {pfn} ^ {1 << order} = {pfn ^ (1 << order)}."
