"""Lock-step: the same requests on two machines, their maps side by side; where they agree the maps are faded.

No accent here: a difference is not a change.
"""

from collections.abc import Mapping
from html import escape

import ipywidgets as widgets
import numpy as np

from ..lab.caption import Caption, captions
from ..lab.request import to_text
from ..lab.tape import Tape
from ..mm.machine import Machine
from ..mm.units import PAGEBLOCK_NR_PAGES
from ..mm.zone import HELD, MIGRATETYPES, Zone
from .columns import Moment, moment
from .difference import Difference, Labels, difference, difference_sentence, difference_table, first_difference, state_words
from .drawing import Drawing, Rect
from .layout import Layout, layout
from .live_figure import Canvas
from .page_map import blocks_of, draw_block, look_of
from .palette import GAP
from .stepper import Place, Stepper
from .summary import summary
from .texture import draw_texture
from .words import MODEL_LOOKS, PCP_LOOKS, legend

WIDTH, LEFT, MAP, TOP = 824, 56, 320, 30
AT = (LEFT, WIDTH - LEFT - MAP)
MIDDLE, BAR = WIDTH / 2, 44
FADED = 0.34
MAX_OUTLINES = 400
SHORT = {"unmovable": "unmov.", "reclaimable": "reclaim.", "highatomic": "highat."}


def draw_difference(drawing: Drawing, where: Layout, zones: tuple[Zone, Zone], found: Difference, names: Labels) -> None:
    """Draw both maps, their names, what each caller received, the labels, and the differing pages of each row in the middle."""
    for side, left in enumerate(AT):
        drawing.word(left, 9, names[side], "ink", 13, bold=True)
        got = found.received[side]
        differs = found.received[0] != found.received[1]
        if got:
            text = got if got == "refused" else f"receives {got}"
            drawing.word(left + MAP, 9, text, "ink" if differs else "quiet", bold=differs, align="right")
            if differs:
                drawing.quad(Rect(left + MAP - 5.9 * len(text), 17, 5.9 * len(text), 1.5), "ink")
        if where.cells.size <= 64:
            _pages(drawing, where, zones[side], found, left)
        else:
            _pictures(drawing, where, found, side)
        _outlines(drawing, where, found, side)
        _gutter(drawing, where, zones, side, found)
    _counts(drawing, where, found)


def _pictures(drawing: Drawing, where: Layout, found: Difference, side: int) -> None:
    image, place = where.image(found.states[side]), where.at(AT[side], TOP)
    differs = where.image(found.pages.astype(np.uint8)) == 1
    drawing.picture(image, place, FADED)
    shown = np.where(differs, image, np.uint8(GAP))
    drawing.picture(shown, place, over=True)
    draw_texture(drawing, where, shown, AT[side], TOP)


def _pages(drawing: Drawing, where: Layout, zone: Zone, found: Difference, left: float) -> None:
    for block in blocks_of(zone):
        text, size = look_of(block).text, 1 << block.order
        differs = found.pages[block.head - zone.start_pfn :][:size]
        for rect in where.rects(block.head, block.order):
            draw_block(drawing, _moved(rect, left), block, 1 if differs.any() else FADED)
        for page in range(size):
            x, y, w, h = _moved(where.rects(block.head + page, 0)[0], left)
            role = text if differs.any() else "ink"
            drawing.word(x + w / 2, y + h / 2, str(block.head + page), role, 10, bold=bool(differs[page]), align="center")


def _outlines(drawing: Drawing, where: Layout, found: Difference, side: int) -> None:
    """Outline what differs in ink; a free page says on which list it is, for it looks as on any other."""
    if where.tiled:
        return
    start = where.start + where.skip
    for low, end, *states in found.runs()[:MAX_OUTLINES]:
        for rect in where.spans(start + low, start + end):
            x, y, w, h = rect = _moved(rect, AT[side])
            drawing.quad(rect.grown(0.5), None, "paper", 1)
            drawing.quad(rect.grown(-0.5), None, "ink", 1)
            said = state_words(states[side])
            both_free = max(states) < HELD
            if both_free and h >= 12 and w >= 5.6 * len(said) + 8 and where.cells.size > 64:
                drawing.word(x + w / 2, y + h / 2, said, "ink", align="center")


def _gutter(drawing: Drawing, where: Layout, zones: tuple[Zone, Zone], side: int, found: Difference) -> None:
    """Write the label of each pageblock at the outer edge: pfn and type on the left, the type on the right."""
    zone, step = zones[side], PAGEBLOCK_NR_PAGES * where.per_cell
    other = {pfn for pfn, _, _ in found.labels}
    align, x = ("right", LEFT - 8) if side == 0 else ("left", AT[1] + MAP + 8)
    for pfn in sorted({where.start, *range(-(-where.start // step) * step, zone.end_pfn, step)}):
        rect = _moved(where.rects(pfn, 0)[0], AT[side])
        label = MIGRATETYPES[zone.block_type(max(pfn, zone.start_pfn))]
        differs = pfn - pfn % PAGEBLOCK_NR_PAGES in other
        if where.tiled:
            if label != "movable" or differs:
                drawing.quad(Rect(rect.x, rect.y, 13, 14), "paper")
                drawing.word(rect.x + 6.5, rect.y + 7, label[0].upper(), "ink", bold=True, align="center")
                if differs:
                    drawing.quad(Rect(rect.x + 2, rect.y + 12.5, 9, 1.5), "ink")
        else:
            y = rect.y + (20 if side == 0 else 7)
            word = SHORT.get(label, label)
            drawing.word(x, y, word, "ink" if differs else "quiet", bold=differs, align=align)
            if differs:
                drawing.quad(Rect(x - 44 if side == 0 else x, y + 8, 44, 1.5), "ink")
        if side == 0 and rect.x == LEFT:
            drawing.word(LEFT - 8, rect.y + 7, str(pfn), "quiet", mono=True, align="right")


def _counts(drawing: Drawing, where: Layout, found: Difference) -> None:
    drawing.word(MIDDLE, 9, "differ", "quiet", align="center")
    drawing.quad(Rect(MIDDLE - 0.5, TOP, 1, where.height), "hairline")
    rows = (where.image(found.pages.astype(np.uint8)) == 1).sum(axis=1)
    most = (where.cells >= 0).sum(axis=1).max()
    for row in np.flatnonzero(rows):
        width, high = max(4.0, BAR * rows[row] / most), max(where.h - 1, 1.5)
        if where.cells.size <= 64:
            high = 14.0
            drawing.word(MIDDLE, TOP + (row + 0.5) * where.h, str(rows[row]), "paper" if width > 16 else "ink", bold=True, align="center")
        drawing.quad(Rect(MIDDLE - width / 2, TOP + row * where.h + (where.h - high) / 2, width, high), "ink")


def _moved(rect: Rect, left: float) -> Rect:
    return Rect(rect.x + left, rect.y + TOP, rect.w, rect.h)


class LockStep(Stepper):
    """Two runs of the same requests, with one set of controls.

    Args:
        left, right: the same requests on two machines whose largest zones have the same pages; these are shown.
        labels: what each machine is called.
        goto, start, theme, scale: as `Player` has them; where the runs differ, the first such step is a place to go to.

    Raises:
        ValueError: the requests or the pages are not the same.
    """

    def __init__(
        self,
        left: Tape[Machine],
        right: Tape[Machine],
        labels: Labels = ("6.1", "6.12"),
        goto: Mapping[str, Place] | None = None,
        start: Place = (0, 0),
        theme: str | None = None,
        scale: float = 1,
    ) -> None:
        self.tapes, self.names = (left, right), labels
        machines = [tape.at(0) for tape in self.tapes]
        zones = [machine.zone for machine in machines]
        self._z = [machine.zones.index(machine.zone) for machine in machines]
        self._looks = PCP_LOOKS if zones[0].pcp or zones[1].pcp else MODEL_LOOKS
        spans = [(zone.start_pfn, zone.end_pfn) for zone in zones]
        if spans[0] != spans[1] or list(left.requests) != list(right.requests):
            what = "requests" if spans[0] == spans[1] else "pages"
            raise ValueError(f"{labels[0]} and {labels[1]} cannot be compared: their {what} are not the same")
        self.where = layout(spans[0][0], spans[0][1] - spans[0][0], narrow=True)
        self._acts: dict[int, int] = {}
        self.said = widgets.HTML()
        self.said.add_class("pagelab-status")
        self.told = [widgets.HTML() for _ in labels]
        first = first_difference(left, right)
        places: dict[str, Place] = {} if first is None else {"First difference": first}
        super().__init__({**places, **(goto or {})}, start, theme, scale)
        self.add_class("pagelab-lock-step")

    def steps(self) -> int:
        """Return how many requests the runs have."""
        return len(self.tapes[0])

    def acts_in(self, k: int) -> int:
        """Return how many acts request k has, on the machine where it has more."""
        if k not in self._acts:
            self._acts = {k: max(len(tape.acts(k)) for tape in self.tapes)}
        return self._acts[k]

    def request_text(self) -> str:
        """Return the present request as typed, or "" at the end."""
        return "" if self.k == self.steps() else to_text([self.tapes[0].requests[self.k]], self.tapes[0].names)

    def text(self) -> str:
        """Return what differs at the present step, in words, for a terminal."""
        return f"step {self.k} of {self.steps()}: {self.request_text() or 'the end'}\n{difference_sentence(self.found, self.names)}"

    def _figures(self) -> dict[str, Canvas]:
        self.stage = Canvas("lock-step", WIDTH, TOP + max(self.where.height, 28) + 8, self.theme, self.scale)
        if self.where.cells.size > 64:
            self.stage.map_pages(*((self.where, (left, TOP)) for left in AT))
        return {"Two page maps at this step, differences marked; the same in words below": self.stage}

    def _rows(self) -> list[widgets.Widget]:
        told = widgets.HBox(self.told)
        told.add_class("pagelab-side-by-side")
        return [*self.control_rows(), self.said, told, self.stage.widget(), self.legend, self.twin]

    def _moment(self, side: int) -> Moment:
        """Return where a machine stands, in its largest zone; one that has done all its acts waits for the other."""
        tape = self.tapes[side]
        return moment(tape, self.k, min(self.act, len(tape.acts(self.k)) - 1) if self.k < self.steps() else 0, self._z[side])

    def show(self) -> None:
        """Show the present place."""
        self.nows = left, right = self._moment(0), self._moment(1)
        self._acts = {self.k: max(len(left.all), len(right.all))}
        got = [tape.received[self.k] for tape in self.tapes] if self.k < self.steps() else []
        self.found = difference(left, right, got)
        drawing = Drawing(self.theme, self.scale)
        draw_difference(drawing, self.where, (left.zone, right.zone), self.found, self.names)
        self.stage.show(drawing)
        self.show_place()
        self.said.value = f'<div class="pagelab-caption">{escape(difference_sentence(self.found, self.names))}</div>'
        for told, name, now in zip(self.told, self.names, self.nows, strict=True):
            told.value = told_html(name, self._caption(now))
        table = difference_table(self.found, self.names, left.zone.start_pfn)
        self.twin.value = f'<div class="pagelab-compared">{table}</div>'

    def _caption(self, now: Moment) -> Caption:
        if now.end:
            return Caption("end", "The end.", "", "")
        done = len(now.acts) == len(now.all)
        return summary(now.all) if done and not self.by_act else captions(now.all)[len(now.acts) - 1]

    def _dress(self) -> None:
        super()._dress()
        self.legend.value = legend(self.theme, self._looks, ("differs", "the same"))


def told_html(name: str, caption: Caption) -> str:
    """Return what one of the machines did, as HTML."""
    source = escape(caption.function) if caption.function else "&nbsp;"
    return f'<div class="pagelab-told"><b>{escape(name)}</b> {escape(caption.sentence)}</div><div class="pagelab-source">{source}</div>'
