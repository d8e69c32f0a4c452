"""The text twin: the same moment in sentences and a table, for screen readers, for the terminal and for tests. No bokeh here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ..lab.caption import span
from ..lab.request import to_text
from ..lab.tape import Tape
from ..mm.act import Linked, Moved, Parked, Relabelled, Unlinked, Unparked
from ..mm.machine import Machine
from ..mm.per_cpu_pages import PCP_ORDERS
from ..mm.units import NR_PAGE_ORDERS
from ..mm.zone import ISOLATE, MIGRATETYPES, Zone
from .columns import LETTERS, TYPES, Moment, cpu_lists, pindex_types
from .palette import FREE_LOOK, HOLE_LOOK, PCP_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, USED_LOOKS, Look, Theme
from .summary import joined, plural, summary

MODEL_LOOKS = (FREE_LOOK, USED_LOOKS[1], USED_LOOKS[2], USED_LOOKS[0], RESERVED_LOOK)
PCP_LOOKS = (FREE_LOOK, PCP_LOOK, *MODEL_LOOKS[1:])
REAL_LOOKS = (FREE_LOOK, USED_LOOKS[1], USED_LOOKS[0], UNKNOWN_LOOK, RESERVED_LOOK, HOLE_LOOK)
EVENTS = ("changed now", "looked at")


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
    parts = [_did(now, Linked, "was linked", "were linked"), _did(now, Unlinked, "left its list", "left their lists")]
    parts += [_did(now, Moved, "went to another list", "went to another type's lists")]
    parts += [
        _did(now, Parked, "went to a CPU's list", "went to CPUs' lists"),
        _did(now, Unparked, "left a CPU's list", "left CPUs' lists"),
    ]
    parts += [f"{span(act.pfn, act.order)} are labelled {MIGRATETYPES[act.mt]}" for act in now.here if isinstance(act, Relabelled)]
    told = "; ".join(part for part in parts if part)
    return f"{text} {told[0].upper()}{told[1:]}." if told else text


def _did(now: Moment, kind: type[Linked] | type[Unlinked] | type[Moved] | type[Parked] | type[Unparked], one: str, many: str) -> str:
    pfns = [str(act.pfn) for act in now.here if isinstance(act, kind)]
    return f"{joined(pfns)} {one if len(pfns) == 1 else many}" if pfns else ""


def lists_table(now: Moment) -> str:
    """Return the free lists as an HTML table: list, blocks, heads.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> "<td>M4</td><td>1</td><td>0</td>" in lists_table(moment(scenario.text(), 0, 0))
    True
    """
    head = ("list", "blocks", "heads, head of the list first")
    rows = [(name, f"{len(heads):,}", _heads(heads)) for name, heads in all_lists(now.zone).items()]
    letters = "Free lists; M movable, U unmovable, R reclaimable"
    if any(row[ISOLATE] for row in now.zone.free_list) and ISOLATE not in now.zone.pageblock_type:
        letters += "; I free, on a list that is not known yet"
    return html_table(letters, head, rows)


def all_lists(zone: Zone) -> dict[str, list[int]]:
    """Return every free list that is not empty, by its letter and order.

    >>> from pagelab.mm.page_alloc import boot
    >>> all_lists(boot(16))
    {'M4': [0]}
    """
    types = (*TYPES, *range(len(TYPES), len(MIGRATETYPES)))
    return {f"{LETTERS[mt]}{order}": zone.blocks(order, mt) for mt in types for order in range(NR_PAGE_ORDERS) if zone.free_list[order][mt]}


def cpu_heads(zone: Zone) -> dict[str, list[int]]:
    """Return every per-CPU list that is not empty, by its CPU, its types and its order.

    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.mm.machine import machine
    >>> cpu_heads(Tape(machine("48 MiB", pcp=True)).then("alloc 0").at(1).zone)
    {'cpu 0 M0': [1, 2]}
    """
    kept = ((cpu, pindex, blocks) for cpu, pcp in enumerate(zone.pcp) for pindex, blocks in enumerate(pcp.lists) if blocks)
    return {f"cpu {cpu} {pindex_types(pindex)}{PCP_ORDERS[pindex]}": list(blocks) for cpu, pindex, blocks in kept}


def cpus_table(now: Moment) -> str:
    """Return the per-CPU lists as an HTML table, or nothing on a machine without them.

    >>> from pagelab.lab import scenario
    >>> from pagelab.view.columns import moment
    >>> cpus_table(moment(scenario.text(), 0, 0))
    ''
    """
    if not now.zone.pcp:
        return ""
    rows = []
    for one in cpu_lists(now):
        pcp = now.zone.pcp[one.cpu]
        heads = list(pcp.lists[one.pindex])
        rows.append(
            (str(one.cpu), f"{one.types}{one.order}", f"{len(heads):,}", _heads(heads), f"{pcp.count:,}", f"{pcp.high:,}", f"{pcp.batch:,}")
        )
    head = ("cpu", "list", "blocks", "heads, head of the list first", "pages of the cpu", "high", "batch")
    return html_table("Per-CPU lists", head, rows)


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain texts as HTML.

    >>> html_table("c", ["a"], [["<1>"]])
    '<table class="pagelab-table"><caption>c</caption><tr><th scope="col">a</th></tr><tr><td>&lt;1&gt;</td></tr></table>'
    """
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="pagelab-table"><caption>{escape(caption)}</caption><tr>{heads}</tr>{body}</table>'


def _heads(heads: Sequence[int]) -> str:
    return " ".join(map(str, heads[:40])) + " …" * (len(heads) > 40)


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
        lines += [f"step {k}: {to_text([request], tape.names)}", f"  {summary(acts).sentence}"]
    for z, zone in enumerate(machine.zones):
        where = f" in zone {zone_name(machine, z)}" if len(machine.zones) > 1 else ""
        lines.append(f"{zone.nr_free_pages():,} of {zone.end_pfn - zone.start_pfn:,} pages{where} are free.")
        lines += [f"  {name}: {' '.join(map(str, heads))}" for name, heads in all_lists(zone).items()]
    return "\n".join(lines)


def zone_name(machine: Machine, z: int) -> str:
    """Name a zone, with its node where there are several.

    >>> from pagelab.mm.machine import machine
    >>> zone_name(machine(16), 0)
    'Normal'
    """
    zone = machine.zones[z]
    return f"{zone.name}, node {zone.node}" if machine.nodes > 1 else zone.name


def zones_line(now: Moment) -> str:
    """Name the zone that is shown, and tell of the others in one line; nothing on a machine with one zone.

    >>> from pagelab.mm.boot import boot_machine
    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.view.columns import moment
    >>> zones_line(moment(Tape(boot_machine([(256, 65_536)])), 0, 0))
    'Zone DMA32: pages 4096-65535. Not shown: DMA, 3,840 of 4,095 pages free.'
    """
    zones = now.machine.zones
    if len(zones) == 1:
        return ""
    others = [
        f"{zone_name(now.machine, z)}, {zone.nr_free_pages():,} of {plural(zone.end_pfn - zone.start_pfn, 'page')} free"
        for z, zone in reversed([*enumerate(zones)])
        if z != now.z
    ]
    name = zone_name(now.machine, now.z)
    return f"Zone {name}: pages {now.zone.start_pfn}-{now.zone.end_pfn - 1}. Not shown: {'; '.join(others)}."


def legend(theme: Theme, looks: Sequence[Look] = MODEL_LOOKS, events: Sequence[str] = EVENTS) -> str:
    """Return the legend of states and of what rings mean, as HTML.

    >>> from pagelab.view.palette import LIGHT
    >>> "movable" in legend(LIGHT), "per-CPU list" in legend(LIGHT), "per-CPU list" in legend(LIGHT, PCP_LOOKS)
    (True, False, True)
    """
    roles = theme._asdict()
    styles = {
        "changed now": f"border:2px solid {roles['changed']}",
        "looked at": f"border:1.5px dashed {roles['ink']}",
        "moved in this step": f"border-bottom:3px solid {roles['changed']}",
        "left in this step": f"border:1px dashed {roles['quiet']}",
        "shown above": f"border:1.5px solid {roles['ink']}",
        "differs": f"border:1.5px solid {roles['ink']};background:{roles['movable']}",
        "the same": f"background:{roles['movable']};opacity:.34",
    }
    swatches = [(look.words, f"{_fill(look, roles)};color:{roles[look.text]}", look.letter) for look in looks]
    swatches += [(event, styles[event], "") for event in events]
    items = "".join(f'<span><i style="{style}">{letter}</i>{words}</span>' for words, style, letter in swatches)
    return f'<div class="pagelab-legend">{items}</div>'


def _fill(look: Look, roles: Mapping[str, str]) -> str:
    """Return the fill, hatch and outline of a state as a style."""
    paper, quiet = f"{roles['paper']}80", f"{roles['quiet']}B0"
    hatch = {
        "horizontal_line": f"repeating-linear-gradient({paper} 0 1px, transparent 1px 4px),",
        "dot": f"radial-gradient({quiet} 1px, transparent 1.5px) 0 0 / 5px 5px,",
        "diagonal_cross": f"repeating-linear-gradient(45deg, {paper} 0 1px, transparent 1px 4px),"
        f"repeating-linear-gradient(-45deg, {paper} 0 1px, transparent 1px 4px),",
        "right_diagonal_line": f"repeating-linear-gradient(-60deg, {quiet} 0 1px, transparent 1px 4px),",
    }.get(look.hatch, "")
    outline = {"free": roles["free_outline"], "paper": roles["quiet"]}.get(look.fill)
    return f"background:{hatch}{roles[look.fill]}" + (f";border:1px solid {outline}" if outline else "")


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
