"""Notes beside a page map: free pages of each pageblock, and what this step did, each at the height of what it is about."""

from ..lab.caption import span
from ..mm.act import Act, Asked, Compared, Counted, Given, Linked, Migrated, Moved, Parked, Relabelled, Taken, Unlinked, Unparked
from ..mm.zone import HELD, MIGRATETYPES
from .columns import Moment, pageblocks
from .drawing import Drawing, Rect
from .layout import Layout
from .page_map import marks
from .summary import plural

LINE, TEXT = 15, 84


def free_in_pageblocks(now: Moment) -> dict[int, int]:
    """Count the free pages of each pageblock, from a pfn in it.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> free_in_pageblocks(moment(scenario.text("alloc 0", 1024), 1, 0))
    {0: 511, 512: 512}
    """
    free = now.zone.page_states() < HELD
    firsts = pageblocks(now.zone)
    edges = [*firsts, now.zone.end_pfn]
    return {pfn: int(free[pfn - firsts[0] : end - firsts[0]].sum()) for pfn, end in zip(firsts, edges[1:], strict=True)}


def note(act: Act) -> tuple[int, str] | None:
    """Say what an act did in a few words, with the pfn that it is about; None where a map has nothing to show of it.

    >>> note(Linked(1888, 5, 1, False))
    (1888, '1888 is free, order 5')
    """
    match act:
        case Given(pfn, order):
            return pfn, f"{pfn} came back, order {order}"
        case Unlinked(pfn, order, _):
            return pfn, f"{pfn} left list {order}"
        case Linked(pfn, order, _, _):
            return pfn, f"{pfn} is free, order {order}"
        case Moved(pfn, order, old, mt):
            return pfn, f"{pfn}, order {order}: {MIGRATETYPES[old]} to {MIGRATETYPES[mt]} list"
        case Relabelled(pfn, order, mt):
            return pfn, f"{span(pfn, order)}: {MIGRATETYPES[mt]} now"
        case Counted(pfn, free, movable):
            return pfn, f"{plural(free, 'page')} free, {movable:,} movable in use"
        case Compared(pfn, order, yes, block):
            return pfn, f"{pfn} is {'' if yes else 'not '}free at order {order}" if block.kind != "hole" else f"{pfn} is outside the zone"
        case Taken(pfn, order, _):
            return pfn, f"{span(pfn, order)} handed out"
        case Parked(pfn, _, cpu, _, tail):
            return pfn, f"{pfn} to the {'tail' if tail else 'head'} of cpu {cpu}'s list"
        case Unparked(pfn, _, cpu, _, _):
            return pfn, f"{pfn} off cpu {cpu}'s list"
        case Migrated(pfn, to, _):
            return to, f"{pfn} moved to {to}"
    return None


def shown_notes(now: Moment) -> list[tuple[int, str, str]]:
    """Return the notes of a moment: what the request did before that is still worth a word, and what it did now.

    Each is (pfn, text, role of its colour).

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> shown_notes(moment(scenario.text("alloc 9 unmovable", 2048), 0, -1))[0]
    (0, 'pages 0-1023: unmovable now', 'quiet')
    """
    before = [act for act in now.here[:-1] if isinstance(act, (Given, Relabelled))]
    moved = [act for act in now.here[:-1] if isinstance(act, Moved)]
    found = [(*told, "quiet") for told in map(note, before) if told]
    if moved:
        found.append((moved[0].pfn, f"{plural(len(moved), 'block')} to the {MIGRATETYPES[moved[0].mt]} lists", "quiet"))
    last = note(now.act) if now.act and not isinstance(now.act, Asked) else None
    if last:
        found.append((*last, "changed_text" if marks(now)[1] and not isinstance(now.act, (Compared, Counted)) else "ink"))
    return found


def draw_notes(drawing: Drawing, where: Layout, now: Moment, left: float, top: float) -> None:
    """Draw the notes of a map whose right edge is at `left`; notes that would stand on each other give way."""
    notes = sorted((where.rects(max(pfn, where.start), 0)[0].y + where.h / 2, text, role) for pfn, text, role in shown_notes(now))
    places = list[float]()
    for y, _, _ in notes:
        places.append(max(y, places[-1] + LINE if places else 5))
    for i in range(len(places)):
        places[i] = min(places[i], where.height - 5 - LINE * (len(places) - 1 - i))
    counts = {where.rects(max(pfn, where.start), 0)[0].y + 7: free for pfn, free in free_in_pageblocks(now).items()}
    for at, (y, text, role) in zip(places, notes, strict=True):
        if role == "changed_text" and at == y and all(abs(y - other) > 8 for other in counts):
            drawing.quad(Rect(left + 4, top + y - 0.5, TEXT - 10, 1), "changed")
        drawing.word(left + TEXT, top + at, text, role, bold=role == "changed_text")
    for y, free in counts.items():
        drawing.word(left + 44, top + y, f"{free:,}", "quiet", mono=True, align="right")
        drawing.word(left + 50, top + y, "free", "quiet")
