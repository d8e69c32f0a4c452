"""Two machines at the same step of the same requests: what differs, as numbers and in words. No bokeh here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..lab.caption import span
from ..lab.tape import Tape
from ..mm.allocator import REFUSED
from ..mm.machine import Machine
from ..mm.units import PAGEBLOCK_NR_PAGES
from ..mm.zone import HELD, HOLE, IN_USE, MIGRATETYPES, PCP, Zone
from .columns import Moment, pageblocks
from .palette import look
from .summary import joined, plural
from .words import all_lists, cpu_heads, html_table

Labels = tuple[str, str]
MAX_ROWS, MAX_HEADS = 24, 24


@dataclass(frozen=True)
class Difference:
    """What differs between two moments of one request.

    received: what each caller got, in words; "" before the request is done and for a free. states: one state byte a page for each machine.
    pages: which of them differ in what they are, whatever the order. labels: (first pfn, type, type) of the pageblocks labelled otherwise.
    lists: from the name of a list to its heads on each, where they differ.
    """

    received: Labels
    states: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    pages: NDArray[np.bool_]
    labels: tuple[tuple[int, int, int], ...]
    lists: dict[str, tuple[list[int], list[int]]]

    def runs(self) -> list[tuple[int, int, int, int]]:
        """Return (first, end, state, state) for the pages in a row that differ in the same way; pages count from the zone's first."""
        left, right = self.states
        kinds = np.where(self.pages, (left >> 4).astype(np.int64) << 4 | right >> 4, -1)
        edges = np.flatnonzero(np.diff(kinds, prepend=-2, append=-2)).tolist()
        return [(low, high, int(left[low]), int(right[low])) for low, high in zip(edges, edges[1:], strict=False) if self.pages[low]]


def difference(left: Moment, right: Moment, received: Sequence[int]) -> Difference:
    """Compare two moments.

    Args:
        left, right: moments of the same request on two machines.
        received: what each received, as a tape has it; empty at the end of a run.

    Returns:
        The Difference.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> one, other = (moment(scenario.text(f"alloc {order}"), 0, -1) for order in (0, 1))
    >>> difference(one, other, [0, 0]).runs()
    [(1, 2, 16, 145)]
    """
    states = left.zone.page_states(), right.zone.page_states()
    ours, theirs = all_lists(left.zone), all_lists(right.zone)
    names = sorted({**ours, **theirs}, key=lambda name: (name[0], int(name[1:])))
    lists = {name: (ours.get(name, []), theirs.get(name, [])) for name in names}
    kept = cpu_heads(left.zone), cpu_heads(right.zone)
    lists |= {name: (kept[0].get(name, []), kept[1].get(name, [])) for name in sorted({**kept[0], **kept[1]})}
    return Difference(
        (_received(left, received[:1]), _received(right, received[1:])),
        states,
        states[0] >> 4 != states[1] >> 4,
        tuple((pfn, *types) for pfn, types in _labels(left.zone, right.zone).items() if types[0] != types[1]),
        {name: heads for name, heads in lists.items() if heads[0] != heads[1]},
    )


def _received(now: Moment, received: Sequence[int]) -> str:
    if now.end or len(now.acts) < len(now.all) or not received or received[0] < REFUSED:
        return ""
    return "refused" if received[0] == REFUSED else span(received[0], getattr(now.all[0], "order", 0))


def _labels(left: Zone, right: Zone) -> dict[int, tuple[int, int]]:
    return {pfn & -PAGEBLOCK_NR_PAGES: (left.block_type(pfn), right.block_type(pfn)) for pfn in pageblocks(left)}


def first_difference(left: Tape[Machine], right: Tape[Machine]) -> int | None:
    """Return the first request after which pages, labels or what was received differ, or None.

    >>> from pagelab.lab import scenario
    >>> first_difference(scenario.text("alloc 0; alloc 1"), scenario.text("alloc 0; alloc 2"))
    1
    """
    one, other = left.at(0), right.at(0)
    for k, (ours, theirs) in enumerate(zip(left.requests, right.requests, strict=True)):
        same = one.apply(ours, left.received) == other.apply(theirs, right.received)
        if not same or one.zone.state != other.zone.state or one.zone.pageblock_type != other.zone.pageblock_type:
            return k
    return None


def state_words(state: int) -> str:
    """Name what a page is by its state byte.

    >>> state_words(0x13), state_words(0x82), state_words(0xF0)
    ('free, movable list', 'in use, unmovable', 'reserved')
    """
    if state < HELD:
        return f"free, {MIGRATETYPES[state >> 4]} list"
    if state < PCP:
        return "held by the request"
    return f"in use, {MIGRATETYPES[state >> 4 & 7]}" if IN_USE <= state < HOLE else look(state).words


def difference_sentence(found: Difference, names: Labels) -> str:
    """Say in a few sentences what differs.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> one, other = (moment(scenario.text(f"alloc {order}"), 0, -1) for order in (0, 1))
    >>> difference_sentence(difference(one, other, [0, 0]), ("a", "b"))
    'a: page 0; b: pages 0-1. 1 page is in another state. Lists that differ: M0.'
    """
    ours, theirs = found.received
    text = f"{names[0]}: {ours}; {names[1]}: {theirs}. " if ours != theirs else f"Both: {ours}. " if ours else ""
    if not (found.pages.any() or found.labels or found.lists):
        return f"{text}Pages, labels and lists are the same."
    count = int(found.pages.sum())
    text += f"{plural(count, 'page')} {'is' if count == 1 else 'are'} in another state. " if count else "Every page is in the same state. "
    if found.labels:
        text += f"{plural(len(found.labels), 'pageblock')} {'has' if len(found.labels) == 1 else 'have'} another label. "
    if found.lists:
        shown = [*found.lists][:8]
        rest = f" and {len(found.lists) - len(shown)} more" if len(found.lists) > len(shown) else ""
        text += f"Lists that differ: {', '.join(shown)}{rest}." if rest else f"Lists that differ: {joined(shown)}."
    return text.strip()


def difference_table(found: Difference, names: Labels, start: int) -> str:
    """Return what differs as an HTML table: received, labels, lists, pages; nothing where nothing differs and nothing was received.

    start: the zone's first pfn.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> one, other = (moment(scenario.text(f"alloc {order}"), 0, -1) for order in (0, 1))
    >>> "<td>page 1</td><td>free, movable list</td>" in difference_table(difference(one, other, [0, 0]), ("a", "b"), 0)
    True
    """
    rows = [("received", *found.received)] if any(found.received) else []
    rows += [(f"label of pageblock {pfn}", MIGRATETYPES[ours], MIGRATETYPES[theirs]) for pfn, ours, theirs in found.labels]
    rows += [(f"list {name}", _heads(ours), _heads(theirs)) for name, (ours, theirs) in found.lists.items()]
    for low, end, ours, theirs in found.runs():
        pages = f"page {start + low}" if end == low + 1 else f"pages {start + low}-{start + end - 1}"
        rows.append((pages, state_words(ours), state_words(theirs)))
    more = [(f"and {len(rows) - MAX_ROWS:,} more", "", "")] if len(rows) > MAX_ROWS else []
    return html_table("What differs; lists with their head first", ("", *names), [*rows[:MAX_ROWS], *more]) if rows else ""


def _heads(heads: list[int]) -> str:
    return " ".join(map(str, heads[:MAX_HEADS])) + " …" * (len(heads) > MAX_HEADS) or "empty"
