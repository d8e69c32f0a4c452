"""Watermark bars: the free pages of each zone against min, low, high and promo, and what the zone keeps from the request in hand."""

from collections.abc import Callable
from dataclasses import dataclass

from ..mm.act import Checked
from ..mm.machine import Machine
from ..mm.watermark import Marks
from ..mm.zone import ISOLATE, Zone
from .columns import Moment
from .drawing import Drawing, Rect
from .words import html_table, zone_name

HEADER, ROW, MOST = 24, 42, 4
LEFT, BAR, THICK = 56, 520, 12


@dataclass(frozen=True)
class Bar:
    """A zone as the request meets it.

    free: its free pages; reserve: what it keeps from this request; check: the last time it was asked, None if not yet; now: whether that is
    the present act; shown: whether its pages are on the map.
    """

    z: int
    name: str
    free: int
    marks: Marks
    reserve: int
    check: Checked | None
    now: bool
    shown: bool

    @property
    def mark(self) -> str:
        """The name of the mark that was asked about; "mark" where it was lowered for a caller that may use reserves."""
        names = [name for name, pages in self.marks._asdict().items() if self.check and pages == self.check.mark]
        return names[0] if names else "mark"


def free_of(zone: Zone) -> int:
    """Count the free pages of a zone as its watermarks see them: isolated ones are not free.

    >>> from pagelab.mm.page_alloc import boot
    >>> free_of(boot(16))
    16
    """
    return zone.nr_free_pages() - sum(len(row[ISOLATE]) << order for order, row in enumerate(zone.free_list))


def bars(now: Moment) -> list[Bar]:
    """Return the zones of the node that is shown, from the highest down; none on a machine without watermarks.

    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.mm.machine import machine
    >>> from pagelab.view.columns import moment
    >>> (bar,) = bars(moment(Tape(machine(12_288, min_free_kbytes=886)).then("alloc 0"), 0, -1))
    >>> bar.free, bar.marks.low, bar.mark, bar.check.ok
    (12287, 276, 'low', True)
    """
    machine, found = now.machine, []
    for z in reversed(range(len(machine.zones)) if machine.marks else ()):
        zone = machine.zones[z]
        if zone.node == now.zone.node and zone.managed:
            planned = next((act for act in now.all if isinstance(act, Checked) and act.zone == z), None)
            check = next((act for act in reversed(now.acts) if isinstance(act, Checked) and act.zone == z), None)
            reserve, on = planned.reserve if planned else 0, check is not None and check is now.acts[-1]
            found.append(Bar(z, zone_name(machine, z), free_of(zone), machine.marks[z], reserve, check, on, z == now.z))
    return found[:MOST]


def bars_height(machine: Machine) -> float:
    """Return the height of the figure, in CSS pixels: 0 without watermarks.

    >>> from pagelab.mm.machine import machine
    >>> bars_height(machine(16)), bars_height(machine(12_288, min_free_kbytes=886))
    (0, 74)
    """
    if not machine.marks:
        return 0
    nodes = [zone.node for zone in machine.zones if zone.managed]
    return HEADER + ROW * min(MOST, max(map(nodes.count, nodes))) + 8


def draw_bars(drawing: Drawing, now: Moment, top: float) -> None:
    """Draw a bar for each zone, each to its own scale; free pages beyond it are a number."""
    drawing.word(0, top + 10, "Watermarks", "ink", 12, bold=True)
    drawing.word(78, top + 10, "A request gets in where free pages are more than mark and reserve together.", "quiet")
    for row, bar in enumerate(bars(now)):
        _bar(drawing, bar, top + HEADER + row * ROW)


def _bar(drawing: Drawing, bar: Bar, y: float) -> None:
    end = 1.25 * (bar.marks.promo + bar.reserve)
    base = y + 16 + THICK

    def x(pages: float) -> float:
        return LEFT + BAR * min(max(pages, 0) / end, 1)

    name, _, node = bar.name.partition(", ")
    drawing.word(0, y + 22 - 6 * bool(node), name, "ink" if bar.shown else "quiet", bold=bar.shown)
    drawing.word(0, y + 29, node, "quiet", 10)
    tip = f"<b>zone {bar.name}</b><br>{bar.free:,} pages free"
    drawing.quad(Rect(LEFT, base - THICK, x(bar.free) - LEFT, THICK), "free", "free_outline", tip=tip)
    drawing.quad(Rect(LEFT, base, BAR, 1), "hairline")
    if bar.reserve:
        drawing.quad(
            Rect(LEFT, base + 3, x(bar.reserve) - LEFT, 6), "paper", hatch="right_diagonal_line", tip=f"<b>reserve</b><br>{bar.reserve:,}"
        )
    if bar.now:
        drawing.ring(Rect(LEFT - 2, y + 11, BAR + 4, THICK + 12), "looked")
    _ticks(drawing, bar, y, x)
    if bar.free > end:
        drawing.word(LEFT + BAR - 6, base - THICK / 2, "→", "ink", align="right")
    drawing.word(LEFT + BAR + 20, y + 16, f"{bar.free:,} free", "ink")
    drawing.word(LEFT + BAR + 20, y + 31, verdict(bar), "ink" if bar.now else "quiet", bold=bar.now)


def _ticks(drawing: Drawing, bar: Bar, y: float, x: Callable[[float], float]) -> None:
    """Draw the marks, the one that was asked about in ink, and name those that have room; each stands above the reserve."""
    marks = bar.marks._asdict() | ({bar.mark: bar.check.mark} if bar.check else {})
    named = list[tuple[float, float]]()
    for name in sorted(marks, key=lambda name: (not bar.check or name != bar.mark, marks[name])):
        at, asked = x(marks[name] + bar.reserve), bool(bar.check) and name == bar.mark
        drawing.quad(Rect(at - 1 if asked else at - 0.5, y + 12, 2 if asked else 1, 25 if asked else 19), "ink" if asked else "quiet")
        half = 3.0 * len(f"{name} {marks[name]:,}") + 2
        if all(abs(at - other) > half + wide for other, wide in named) and at - half >= LEFT and at + half <= LEFT + BAR:
            named.append((at, half))
            drawing.word(at, y + 5, f"{name} {marks[name]:,}", "ink" if asked else "quiet", bold=asked, align="center")
    if bar.reserve and (not named or x(bar.reserve) - LEFT > 90):
        drawing.word(LEFT, y + 5, f"reserve {bar.reserve:,}", "quiet")


def verdict(bar: Bar) -> str:
    """Say how the zone answered, or nothing.

    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.mm.machine import machine
    >>> from pagelab.view.columns import moment
    >>> verdict(bars(moment(Tape(machine(12_288, min_free_kbytes=886)).then("alloc 3"), 0, -1))[0])
    '12,281 > low 276: passes'
    """
    if bar.check is None:
        return ""
    _, free, mark, reserve, ok = bar.check
    kept = f" + reserve {reserve:,}" if reserve else ""
    sign = ">" if free > mark + reserve else "≤"
    said = "passes" if ok else "refused" if sign == "≤" else "no block is large enough"
    return f"{free:,} {sign} {bar.mark} {mark:,}{kept}: {said}"


def bars_table(now: Moment) -> str:
    """Return the bars as an HTML table, or nothing on a machine without watermarks.

    >>> from pagelab.lab.tape import Tape
    >>> from pagelab.mm.machine import machine
    >>> from pagelab.view.columns import moment
    >>> "<td>276</td>" in bars_table(moment(Tape(machine(12_288, min_free_kbytes=886)), 0, 0))
    True
    """
    rows = [(bar.name, f"{bar.free:,}", *(f"{pages:,}" for pages in bar.marks), f"{bar.reserve:,}", verdict(bar)) for bar in bars(now)]
    head = ("zone", "free", "min", "low", "high", "promo", "reserve", "asked")
    return html_table("Watermarks in pages; free is counted less the pages of the block but one", head, rows) if rows else ""
