"""The text twin: the same moment in sentences and a table, for screen readers, for the terminal and for tests. No bokeh here."""

from collections.abc import Mapping, Sequence
from html import escape

from ..lab.caption import Caption, captions, span
from ..lab.question import lists_of
from ..lab.request import to_text
from ..lab.tape import Tape
from ..mm.act import Act, Asked, Compared, Linked, Refused, Taken, Unlinked
from ..mm.machine import Machine
from ..mm.units import NR_PAGE_ORDERS
from .columns import Moment
from .palette import FREE_LOOK, HOLE_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, USED_LOOKS, Theme


def summary(acts: Sequence[Act]) -> Caption:
    """Put a whole request, all its acts, into one caption: what was asked, what was done, and why it stopped there.

    >>> from pagelab.lab import scenario
    >>> summary(scenario.text("alloc 0").acts(0)).sentence
    'A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0.'
    """
    words = captions(acts)
    asked = acts[0]
    assert isinstance(asked, Asked)
    taken = [act for act in acts if isinstance(act, Unlinked)]
    last = words[-1]
    if asked.verb == "alloc":
        if isinstance(acts[-1], Refused):
            return last
        splits = sum(isinstance(act, Linked) for act in acts)
        times = "once" if splits == 1 else f"{splits} times"
        how = f" and splits it {times}" if splits else ""
        received = next(act for act in acts if isinstance(act, Taken))
        text = f"A request of order {asked.order} takes {taken[0].pfn} off list {taken[0].order}{how}. "
        text += f"The caller receives {span(received.pfn, received.order)}."
        return Caption(last.short, text, "__rmqueue_smallest() → expand()", last.file)
    merges = f"{len(taken)} merge{'s' * (len(taken) != 1)}" if taken else "no merge"
    text = f"Free of {span(asked.pfn, asked.order)}: {merges}. "
    linked = next(act for act in acts if isinstance(act, Linked))
    why = next((word for act, word in zip(acts, words, strict=True) if isinstance(act, Compared) and act.order == linked.order), None)
    text += why.sentence.replace(", so merging stops here", "") + " " if why else ""
    end = f"{linked.pfn}, order {linked.order}, goes to the {'tail' if linked.tail else 'head'} of its list."
    return Caption(last.short, text + end, "__free_one_page()", last.file)


def sentence(now: Moment) -> str:
    """Say in one or two sentences what a moment shows.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> sentence(moment(scenario.text("alloc 0"), 0, -1))
    '16 of 16 pages were free before this step, 15 are now. 8, 4, 2 and 1 were linked; 0 left its list.'
    """
    pages = now.zone.end_pfn - now.zone.start_pfn
    before, after = now.before.nr_free_pages(), now.zone.nr_free_pages()
    if now.end:
        return f"The end: {after:,} of {pages:,} pages are free."
    text = f"{before:,} of {pages:,} pages were free before this step, {after:,} are now."
    linked = [str(act.pfn) for act in now.acts if isinstance(act, Linked)]
    gone = [str(act.pfn) for act in now.acts if isinstance(act, Unlinked)]
    parts = [f"{joined(linked)} {'was' if len(linked) == 1 else 'were'} linked"] if linked else []
    parts += [f"{joined(gone)} left {'its list' if len(gone) == 1 else 'their lists'}"] if gone else []
    return f"{text} {'; '.join(parts)}." if parts else text


def joined(words: Sequence[str]) -> str:
    """Join words with commas and "and".

    >>> joined(["8", "4", "2"])
    '8, 4 and 2'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plural(count: int, word: str) -> str:
    """Write a count and its word.

    >>> plural(1, "page"), plural(1200, "page")
    ('1 page', '1,200 pages')
    """
    return f"{count:,} {word}{'s' * (count != 1)}"


def lists_table(now: Moment) -> str:
    """Return the free lists as an HTML table: list, blocks, heads.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> "<td>M4</td><td>1</td><td>0</td>" in lists_table(moment(scenario.text(), 0, 0))
    True
    """
    rows = "".join(
        f"<tr><td>{name}</td><td>{len(heads):,}</td><td>{' '.join(map(str, heads[:40]))}{' …' * (len(heads) > 40)}</td></tr>"
        for name, heads in lists_of(now.zone).items()
    )
    head = '<tr><th scope="col">list</th><th scope="col">blocks</th><th scope="col">heads, head of the list first</th></tr>'
    return f'<table class="pagelab-table"><caption>Free lists; M movable, U unmovable, R reclaimable</caption>{head}{rows}</table>'


def run_text(tape: Tape[Machine]) -> str:
    """Tell a whole run: each request, what it did, and the lists at the end.

    Args:
        tape: any tape of a machine.

    Returns:
        Lines of text.

    >>> from pagelab.lab import scenario
    >>> print(run_text(scenario.text("alloc 3")))
    step 0: alloc 3
      A request of order 3 takes 0 off list 4 and splits it once. The caller receives pages 0-7.
    8 of 16 pages are free.
      M3: 8
    """
    lines, machine = [], tape.at(0)
    for k, request in enumerate(tape.requests):
        acts = machine.acts(request, tape.received[:k])
        lines += [f"step {k}: {to_text([request])}", f"  {summary(acts).sentence}"]
    zone = machine.zone
    lines.append(f"{zone.nr_free_pages():,} of {zone.end_pfn - zone.start_pfn:,} pages are free.")
    lines += [f"  {name}: {' '.join(map(str, heads))}" for name, heads in lists_of(zone).items()]
    return "\n".join(lines)


def legend(theme: Theme, real: bool = False, compared: bool = False) -> str:
    """Return the legend of the states that a zone's pages can be in, as HTML.

    real: for a map made from kpageflags, whose pages on per-CPU lists are among those of unknown kind. compared: for two maps, where what
    is the same is faded.

    >>> from pagelab.view.palette import LIGHT
    >>> "movable" in legend(LIGHT)
    True
    """
    roles = theme._asdict()

    def item(words: str, style: str, letter: str = "") -> str:
        return f'<span><i style="{style}">{letter}</i>{words}</span>'

    items = []
    captured = (FREE_LOOK, USED_LOOKS[1], USED_LOOKS[0], UNKNOWN_LOOK, RESERVED_LOOK, HOLE_LOOK)
    for look in (FREE_LOOK, USED_LOOKS[1], USED_LOOKS[2], USED_LOOKS[0], RESERVED_LOOK) if not real else captured:
        outline = {"free": roles["free_outline"], "paper": roles["quiet"]}.get(look.fill)
        line = f"border:1px solid {outline};" if outline else ""
        items.append(item(look.words, f"background:{roles[look.fill]};color:{roles[look.text]};{line}", look.letter))
    if compared:
        items.append(item("differs", f"border:1.5px solid {roles['ink']};background:{roles['movable']}"))
        items.append(item("the same", f"background:{roles['movable']};opacity:.34"))
    elif not real:
        items.append(item("changed now", f"border:2px solid {roles['changed']}"))
        items.append(item("looked at", f"border:1.5px dashed {roles['ink']}"))
    return f'<div class="pagelab-legend">{"".join(items)}</div>'


def counts_html(lines: Mapping[str, Sequence[int]]) -> str:
    """Return lines of 11 counts as an HTML table; a count that differs from the first line's is underlined and marked with an asterisk.

    Args:
        lines: from a label to counts, orders 0..10.

    Returns:
        HTML.

    >>> "1*" in counts_html({"a": [0] * 11, "b": [1] + [0] * 10})
    True
    """
    first = next(iter(lines.values()))
    head = "".join(f'<th scope="col">{order}</th>' for order in range(NR_PAGE_ORDERS))
    rows = ""
    for label, counts in lines.items():
        cells = (str(n) if n == same else f"<u>{n}*</u>" for n, same in zip(counts, first, strict=True))
        rows += f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    caption = "<caption>Free blocks of each order; *: not as in the first line</caption>"
    return f'<table class="pagelab-table">{caption}<tr><td></td>{head}</tr>{rows}</table>'
