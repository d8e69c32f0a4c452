"""What /proc/slabinfo says, row by row: what each cache holds, how much of it is in use, and how much is wasted."""

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from ..mm.units import format_size
from ..real.archive import CaptureError
from ..real.slabinfo import SlabInfo, parse_slabinfo, waste_of
from .panel import Panel
from .summary import plural

SHOWN = 16
BAR = 120  # CSS pixels of all that the largest cache holds
HEAD = ("cache", "active", "objects", "bytes each", "slabs", "held", "active, bytes", "waste", "of what it holds")


def by_waste(rows: Sequence[SlabInfo]) -> list[SlabInfo]:
    """Sort caches, those first that waste most bytes: free objects, and what is left over at the end of slabs."""
    return sorted(rows, key=lambda row: (-_wasted(row), row.name))


def _wasted(row: SlabInfo) -> int:
    return row.waste.free + row.waste.slack


def explain_row(row: SlabInfo) -> str:
    """Tell what a line of slabinfo says.

    >>> explain_row(SlabInfo("kmalloc-96", 30, 42, 96, 42, 1, 1, 1)).split(". ")[1]
    '1 slab of 1 page holds 4,096 bytes: room for 42 objects of 96 bytes'
    """
    held, active, free, slack = row.waste
    slabs = f"{plural(row.num_slabs, 'slab')} of {plural(row.pagesperslab, 'page')} hold{'s' * (row.num_slabs == 1)} {held:,} bytes"
    each = plural(row.objperslab, "object")
    text = f"{row.name}: {row.active_objs:,} of {plural(row.num_objs, 'object')} count as active. {slabs}: room for "
    text += f"{plural(row.num_objs, 'object')} of {row.objsize:,} bytes" + (f", {each} to a slab. " if row.num_slabs > 1 else ". ")
    text += f"{active:,} bytes are in active objects, {free:,} in free ones"
    return f"{text}, and {slack:,} are left over at the end of slabs." if slack else f"{text}; nothing is left over at the end of slabs."


def sums_sentence(rows: Sequence[SlabInfo]) -> str:
    """Add the caches up in two sentences.

    >>> sums_sentence([SlabInfo("kmalloc-96", 30, 42, 96, 42, 1, 1, 1)])[:80]
    '1 cache holds 4 KiB. 1,152 bytes of it are in free objects and 64 left over at t'
    """
    held, _, free, slack = waste_of(rows)
    text = f"{plural(len(rows), 'cache')} hold{'s' * (len(rows) == 1)} {_size(held)}. {free:,} bytes of it are in free objects and "
    share = f": {100 * (free + slack) / held:.1f} % is waste" if held else ""
    return f"{text}{slack:,} left over at the end of slabs{share}. Free objects on CPUs' slabs count as active, so there is more."


def _size(held: int) -> str:
    return format_size(held) if held < 1 << 20 else f"{held / (1 << 20):,.1f} MiB"


def slabinfo_html(rows: Sequence[SlabInfo]) -> str:
    """Return caches as an HTML table, sorted by waste, with the sums below; the first rows are open, the others a click away.

    >>> "<td>1,216</td>" in slabinfo_html([SlabInfo("kmalloc-96", 30, 42, 96, 42, 1, 1, 1)])
    True
    """
    ordered, most = by_waste(rows), max((row.waste.held for row in rows), default=0) or 1
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    held, active, free, slack = waste_of(rows)
    sums = _html_row(
        "all of them", ["", "", "", f"{sum(row.num_slabs for row in rows):,}", f"{held:,}", f"{active:,}", f"{free + slack:,}"]
    )
    lines = [_line(row, most) for row in ordered]
    caption = "<caption>Caches by waste: bytes in free objects, and after the last object of each slab</caption>"
    start = f'<table class="pagelab-table pagelab-slabinfo">{caption}<tr>{head}</tr>'
    table = f"{start}{''.join(lines[:SHOWN])}{sums}</table>"
    if lines[SHOWN:]:
        more = f'<table class="pagelab-table pagelab-slabinfo"><tr>{head}</tr>{"".join(lines[SHOWN:])}</table>'
        table += f"<details><summary>{len(lines) - SHOWN} more, with less waste</summary>{more}</details>"
    return table


def _line(row: SlabInfo, most: int) -> str:
    held, active, free, slack = row.waste
    numbers = (row.active_objs, row.num_objs, row.objsize, row.num_slabs, held, active, free + slack)
    share = f"{100 * (free + slack) / held:.1f} %" if held else ""
    full = round(BAR * held / most)
    wasted = round(full * (free + slack) / held) if held else 0
    bar = f'<span class="pagelab-bar" style="width:{full - wasted}px"></span><span class="pagelab-rest" style="width:{wasted}px"></span>'
    return _html_row(row.name, [f"{number:,}" for number in numbers], f"{bar} {share}")


def _html_row(name: str, cells: Sequence[str], bar: str = "") -> str:
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}<td>{bar}</td></tr>'


class SlabInfoTable(Panel):
    """What a machine's slabinfo says: the sums, a row in words, and the table of all caches.

    Args:
        rows: from `pagelab.real.slabinfo.parse_slabinfo`; one at least.
        title: whose they are.
    """

    def __init__(self, rows: Sequence[SlabInfo], title: str = "") -> None:
        self.rows, self.title = by_waste(rows), title
        names = [row.name for row in self.rows]
        self.choice = widgets.Dropdown(
            options=list(dict.fromkeys(names)),
            description="one row",
            layout=widgets.Layout(width="340px"),
            style={"description_width": "70px"},
        )
        self.choice.observe(lambda _: self._tell(), "value")
        self.told, self.line = widgets.HTML(), widgets.HTML()
        self.told.add_class("pagelab-status")
        sums = widgets.HTML(f"<div><b>{escape(title)}</b> {escape(sums_sentence(self.rows))}</div>")
        super().__init__([sums, self.choice, self.line, self.told, widgets.HTML(slabinfo_html(self.rows))])
        self._tell()

    def _tell(self) -> None:
        row = next(row for row in self.rows if row.name == self.choice.value)
        counts = f"{row.active_objs} {row.num_objs} {row.objsize} {row.objperslab} {row.pagesperslab}"
        written = f"{row.name}  {counts} : tunables … : slabdata {row.active_slabs} {row.num_slabs} …"
        self.line.value = f'<div class="pagelab-source">{escape(written)}</div>'
        self.told.value = f'<div class="pagelab-told">{escape(explain_row(row))}</div>'

    def text(self) -> str:
        """Return the sums and the caches that waste most, in words."""
        worst = "; ".join(f"{row.name} {_wasted(row):,} B" for row in self.rows[:5])
        return f"{self.title} {sums_sentence(self.rows)} Most waste: {worst}.".strip()


class PasteSlabInfo(Panel):
    """A field to paste the text of /proc/slabinfo into, and what it says."""

    def __init__(self) -> None:
        self.field = widgets.Textarea(
            placeholder="Paste what `sudo cat /proc/slabinfo` prints on your machine, then press Explain.",
            layout=widgets.Layout(width="816px", height="120px"),
        )
        button = widgets.Button(description="Explain")
        button.add_class("pagelab-main")
        button.on_click(lambda _: self.explain())
        self.error, self.place = widgets.HTML(), widgets.VBox()
        self.error.add_class("pagelab-status")
        self.table: SlabInfoTable | None = None
        super().__init__([self.field, widgets.HBox([button]), self.error, self.place])

    def explain(self) -> None:
        """Show what the pasted text says, or one sentence about what is wrong with it."""
        try:
            self.table = SlabInfoTable(parse_slabinfo(self.field.value, "your text"), "Your machine:")
        except CaptureError as problem:
            below = "<div>The table below is still that of the text before.</div>" if self.table else ""
            self.error.value = f'<div class="pagelab-error" role="alert">{escape(str(problem))}{below}</div>'
            return
        self.error.value = ""
        self.place.children = [self.table]

    def text(self) -> str:
        """Return what was pasted in words."""
        return self.table.text() if self.table else "Nothing is pasted yet."
