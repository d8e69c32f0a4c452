"""A whole request in a sentence or two: what was asked, what was done, and why it stopped there. No bokeh here."""

from collections.abc import Sequence
from typing import TypeVar

from ..lab.caption import Caption, captions, span
from ..lab.slab_summary import slab_summary
from ..mm.act import Act, Asked, Compared, Given, Linked, Migrated, Moved, Parked, Refused, Relabelled, Taken, Unlinked, Unparked
from ..mm.slab_act import Called, SlabAct
from ..mm.units import PAGE_SIZE, format_size
from ..mm.zone import HIGHATOMIC, MIGRATETYPES

_FILE = "mm/page_alloc.c"
A = TypeVar("A", bound=Act)


def joined(words: Sequence[str], most: int = 12) -> str:
    """Join words with commas and "and"; those beyond `most` are a number.

    >>> joined(["8", "4", "2"]), joined(["8", "4", "2"], 2)
    ('8, 4 and 2', '8, 4 and 1 more')
    """
    if len(words) > most:
        return joined([*words[:most], f"{len(words) - most:,} more"], most + 1)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plural(count: int, word: str) -> str:
    """Write a count and its word.

    >>> plural(1, "page"), plural(1200, "page")
    ('1 page', '1,200 pages')
    """
    return f"{count:,} {word}{'s' * (count != 1)}"


def summary(acts: Sequence[Act | SlabAct]) -> Caption:
    """Put a whole request, all its acts, into one caption.

    >>> from pagelab.lab import scenario
    >>> summary(scenario.text("alloc 0").acts(0)).sentence
    'A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0.'
    """
    if isinstance(acts[0], Called):
        return slab_summary(acts)
    return _of_pages(acts)  # type: ignore[arg-type]


def _of_pages(acts: Sequence[Act]) -> Caption:
    asked = acts[0]
    assert isinstance(asked, Asked)
    if isinstance(acts[-1], Refused):
        return captions(acts)[-1]
    if asked.verb in _OTHERS:
        return _OTHERS[asked.verb](acts, asked)
    return _allocated(acts, asked) if asked.pfn < 0 else _freed(acts, asked)


def _all(acts: Sequence[Act], kind: type[A]) -> list[A]:
    return [act for act in acts if isinstance(act, kind)]


def _allocated(acts: Sequence[Act], asked: Asked) -> Caption:
    back = sum(1 << act.order for act in _all(acts, Given))
    if back:  # what follows is about the pages that go back
        acts = acts[: next(i for i, act in enumerate(acts) if isinstance(act, Given))]
    received = next(act for act in (acts if back else reversed(acts)) if isinstance(act, Taken) and act.order == asked.order)
    taken, parked = _all(acts, Unlinked), _all(acts, Parked)
    from_list = next((act for act in _all(acts, Unparked) if not act.tail), None)
    function, text, who = "__rmqueue_smallest() → expand()", "", "refill" if asked.verb == "refill" else "request"
    if from_list and parked:
        pages = joined([str(act.pfn) for act in parked], 8)
        text = f"Cpu {from_list.cpu}'s list of order {asked.order} is empty and gets {plural(len(parked), 'block')}: {pages}. "
        function = "rmqueue_pcplist() → rmqueue_bulk()"
    elif from_list:
        text, function = f"{from_list.pfn} is the head of cpu {from_list.cpu}'s list of order {asked.order}. ", "rmqueue_pcplist()"
    elif taken:
        splits = len(_all(acts, Linked))
        how = f" and splits it {'once' if splits == 1 else f'{splits} times'}" if splits else ""
        text = f"A {who} of order {asked.order} takes {taken[0].pfn} off list {taken[0].order}{how}. "
    fallback = _fallback(acts, asked.mt)
    function = "__rmqueue()" if fallback else function
    pages = span(received.pfn, received.order)
    if back:
        pages = f"pages {received.pfn}-{received.pfn + (1 << received.order) - back - 1}; {plural(back, 'page')} after them go back"
    whose = "The CPU's list" if who == "refill" else "The caller"
    kept = " Its pageblock is kept for such requests." if any(act.mt == HIGHATOMIC for act in _all(acts, Relabelled)) else ""
    return Caption(f"hand out {received.pfn}", f"{fallback}{text}{whose} receives {pages}.{kept}", function, _FILE)


def _fallback(acts: Sequence[Act], mt: int) -> str:
    """Say what was taken from another migratetype, or nothing."""
    labels, moved, name = [act for act in _all(acts, Relabelled) if act.mt == mt], _all(acts, Moved), MIGRATETYPES[mt]
    others = [act for act in _all(acts, Unlinked) if act.mt != mt and not any(m.pfn == act.pfn for m in moved)]
    if others and others[0].mt == HIGHATOMIC:
        return "A block that is kept for requests that cannot wait is used. "
    if labels:
        free = f", and {plural(len(moved), 'free block')} with them" if moved else ""
        return f"No {name} list has a block: {span(labels[0].pfn, labels[0].order)} become {name}{free}. "
    if moved:
        return f"No {name} list has a block: {plural(len(moved), 'free block')} of a {MIGRATETYPES[moved[0].old]} pageblock move to them. "
    if others:
        return f"No {name} list has a block: one is stolen, and its pageblock stays {MIGRATETYPES[others[0].mt]}. "
    return ""


def _freed(acts: Sequence[Act], asked: Asked) -> Caption:
    text, drained = f"{'Drain' if asked.verb == 'drained' else 'Free'} of {span(asked.pfn, asked.order)}: ", _all(acts, Unparked)
    if parked := next(iter(_all(acts, Parked)), None):
        text += f"it goes to the head of cpu {parked.cpu}'s list, and no buddy is asked."
        more = f" The lists are too long: {plural(sum(1 << act.order for act in drained), 'page')} go back to the free lists."
        return Caption(f"park {asked.pfn}", text + more * bool(drained), "free_unref_page_commit()", _FILE)
    merges, linked = len(_all(acts, Unlinked)), _all(acts, Linked)
    text += f"{plural(merges, 'merge')}. " if merges else "no merge. "
    stops = [i for i, act in enumerate(acts) if isinstance(act, Compared) and act.order == linked[0].order]
    text += captions(acts)[stops[0]].sentence.replace(", so merging stops here", "") + " " if stops else ""
    ends = [f"{act.pfn}, order {act.order}, goes to the {'tail' if act.tail else 'head'} of its list." for act in linked]
    return Caption(f"free {asked.pfn}", text + " ".join(ends), "__free_one_page()", _FILE)


def _drained(acts: Sequence[Act], asked: Asked) -> Caption:
    pages = sum(1 << act.order for act in _all(acts, Unparked))
    whose = "All per-CPU lists" if asked.pfn < 0 else f"The lists of cpu {asked.pfn}"
    text = f"{whose} are drained: {plural(pages, 'page')} go back to the free lists, the tail of each list first."
    return Caption("drain", text, "drain_pages_zone() → free_pcppages_bulk()", _FILE)


def _compacted(acts: Sequence[Act], asked: Asked) -> Caption:
    pages, aside = sum(1 << act.order for act in _all(acts, Migrated)), _all(acts, Taken)
    if aside and not pages:
        text = f"{span(aside[0].pfn, aside[0].order).capitalize()}: free, and set aside for pages that move."
        return Caption("compact", text, "__isolate_free_page()", "mm/page_alloc.c")
    text = (
        f"{plural(pages, 'movable page')} move up: {format_size(pages * PAGE_SIZE)}." if pages else "No page can be moved: nothing changes."
    )
    return Caption("compact", text, "compact_zone()", "mm/compaction.c")


def _relabelled(acts: Sequence[Act], asked: Asked) -> Caption:
    labels, moved = _all(acts, Relabelled), len(_all(acts, Moved))
    if not labels:
        return Caption(asked.verb, "Nothing changes.", "", "")
    label, more = labels[0], f"; {plural(moved, 'free block')} in them change lists" if moved else ""
    text = f"{span(label.pfn, label.order).capitalize()} are labelled {MIGRATETYPES[label.mt]}{more}."
    function = "set_migratetype_isolate()" if asked.verb == "isolate" else "unset_migratetype_isolate()"
    return Caption(asked.verb, text, function, "mm/page_isolation.c")


_OTHERS = {"drain": _drained, "compact": _compacted, "isolate": _relabelled, "unisolate": _relabelled}
