"""The player: a run, step by step and act by act, in JupyterLab."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from ..lab.caption import Caption, captions
from ..lab.request import to_text
from ..lab.tape import Tape
from ..real.flags import KIND_UNKNOWN
from ..real.recording import Recording
from .columns import Moment, moment, strip, types_of
from .drawing import Drawing
from .layout import Layout
from .live_figure import Canvas
from .palette import Look
from .stage import WIDTH, Stage, arrange, draw_stage
from .stepper import Place, Stepper
from .strip import HEIGHT, draw_now, draw_run, step_at
from .summary import summary
from .watermark_bars import bars_table
from .words import EVENTS, MODEL_LOOKS, PCP_LOOKS, REAL_LOOKS, cpus_table, legend, lists_table, sentence, zones_line

ROW_ACTS, ROW_LETTERS, BETWEEN = 7, 128, 6


class Player(Stepper):
    """A run with its controls.

    Args:
        tape: the run.
        goto: from a label, as "A: the merge", to a step (its last act) or to (step, act).
        start: where it opens and where Reset returns: a step or (step, act).
        theme: "light" or "dark"; the page's own where it is None.
        scale: 1.5 for the last row of a lecture room.
    """

    tells = "Free pages and largest free order"
    events: tuple[str, ...] = EVENTS
    shows = "Page map and free lists"

    def __init__(
        self,
        tape: Tape[Any],
        goto: Mapping[str, Place] | None = None,
        start: Place = (0, 0),
        theme: str | None = None,
        scale: float = 1,
    ) -> None:
        self.tape = tape
        self.selected: int | None = None
        self._acts: dict[int, int] = {}
        self.acts, self.caption, self.zones = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.caption.add_class("pagelab-status")
        super().__init__(goto or {}, start, theme, scale)
        self.add_class("pagelab-player")

    def text(self) -> str:
        """Return the present position in words, for a terminal."""
        zones = f"\n{zones_line(self._now)}" if zones_line(self._now) else ""
        return f"step {self.k} of {len(self.tape)}: {self.request_text() or 'the end'}\n{self._sentence()}{zones}"

    def steps(self) -> int:
        """Return how many requests the run has."""
        return len(self.tape)

    def acts_in(self, k: int) -> int:
        """Return how many acts request k has."""
        if k not in self._acts:
            self._acts = {k: len(self.tape.acts(k))}
        return self._acts[k]

    def request_text(self) -> str:
        """Return the present request as typed, with its line where it is a trace's, or "" at the end."""
        if self.k == len(self.tape):
            return ""
        line = f"line {self._lines[self.k]}: " if self._lines else ""
        return line + to_text([self.tape.requests[self.k]], self.tape.names)

    def reset(self) -> None:
        """Go where the player opened, with nothing selected."""
        self.selected = None
        super().reset()

    def set_tape(self, tape: Tape[Any]) -> None:
        """Show another run of the same zone, at its end; Reset goes to its beginning then."""
        self.tape, self._start, self._acts = tape, (0, 0), {}
        self._arrange()
        self._draw_strip()
        self.stage.resize(self._height)
        self.go(max(len(tape) - 1, 0) if len(tape) else (0, 0))

    # Making.

    def _figures(self) -> dict[str, Canvas]:
        self._arrange()
        self.strip = Canvas("strip", WIDTH, HEIGHT, self.theme, self.scale)
        self.strip.on_tap(lambda x, _: self.go(step_at(self._run, x, WIDTH)))
        self.stage = Canvas("stage", WIDTH, self._height, self.theme, self.scale)
        self.stage.on_tap(self._select)
        return {
            f"{self.tells} at every step; the same in words below": self.strip,
            f"{self.shows} at this step; the same in words below": self.stage,
        }

    def _arrange(self) -> None:
        """Find the places of all figures, for each zone; they stay where they are through the run, and all zones that it uses have room."""
        self._run = strip(self.tape)
        machine, types = self.tape.at(0), types_of(self.tape)
        self.stages: list[Stage] = [arrange(machine, z, types) for z in range(len(machine.zones))]
        used = {machine.zones.index(machine.zone), *map(machine.zone_of, {pfn for pfn in self.tape.received if pfn >= 0})}
        self._height = max(self.stages[z].height for z in used)
        self._looks: tuple[Look, ...] = PCP_LOOKS if machine.zone.pcp else MODEL_LOOKS
        self._lines: tuple[int, ...] = ()
        if (machine.zone.page_states() & 0xF0 == KIND_UNKNOWN).any():
            self._looks = REAL_LOOKS
        if isinstance(machine, Recording):
            self._lines = machine.lines()

    @property
    def where(self) -> Layout:
        """Where the pages of the zone that is shown lie."""
        return self.stages[self._now.z].where

    def _rows(self) -> list[widgets.Widget]:
        self.strip_widget, self.stage_widget = self.strip.widget(), self.stage.widget()
        told = [self.acts, self.caption, *([self.zones] if len(self.stages) > 1 else [])]
        return [self.strip_widget, *self.control_rows(), *told, self.stage_widget, self.legend, self.twin]

    # Showing.

    def show(self) -> None:
        """Show the present position."""
        self._look()
        self._acts = {self.k: len(self._now.all)}
        self._draw_stage()
        self._draw_strip_now()
        self.show_place()
        words = captions(self._now.all)
        self.acts.value = f'<div class="pagelab-acts">{_acts_row(words, self.act)}</div>'
        self.caption.value = _caption_html(self._caption(words), self._now.machine.version)
        self.zones.value = f'<div class="pagelab-zones">{escape(zones_line(self._now))}</div>'
        self.twin.value = f"<details><summary>The same in words</summary>{escape(self._sentence())}{self._tables()}</details>"

    def _look(self) -> None:
        """Find what is shown at the present place."""
        self._now: Moment = moment(self.tape, self.k, self.act if self.k < len(self.tape) else 0)

    def _sentence(self) -> str:
        return sentence(self._now)

    def _tables(self) -> str:
        return f"{lists_table(self._now)}{cpus_table(self._now)}{bars_table(self._now)}"

    def _caption(self, words: list[Caption]) -> Caption:
        if self._now.end:
            return Caption("end", self._sentence(), "", "")
        if not self.by_act and self.act == len(words) - 1:
            return summary(self._now.all)
        return words[self.act]

    def _draw_stage(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        stage = self.stages[self._now.z]
        draw_stage(drawing, stage, self._now, self.selected)
        self.stage.map_pages((stage.where, stage.map))
        self.stage.show(drawing)

    def _draw_strip(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_run(drawing, self._run, WIDTH)
        self.strip.show(drawing)

    def _draw_strip_now(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_now(drawing, self._run, self.k, WIDTH)
        self.strip.show_marks(drawing)

    def _dress(self) -> None:
        super()._dress()
        self.legend.value = legend(self.theme, self._looks, self.events)
        self._draw_strip()

    def _select(self, x: float, y: float) -> None:
        left, top = self.stages[self._now.z].map
        place = self.where.pfn_at(x - left, y - top)
        zone = self._now.zone
        self.selected = place if place is not None and zone.start_pfn <= place < zone.end_pfn and place != self.selected else None
        self._draw_stage()


def _acts_row(words: list[Caption], now: int) -> str:
    """Return the acts of a request in a row, the present one marked; those around it as far as one line has room."""
    low, high, room = now, now + 1, ROW_LETTERS - len(words[now].short) if words else 0
    for i in sorted(range(len(words)), key=lambda i: (abs(i - now), i < now))[1:ROW_ACTS]:
        room -= len(words[i].short) + BETWEEN
        if room < 0:
            break
        low, high = min(low, i), max(high, i + 1)
    shown = [
        f"<{'b' if i == now else 'span'}>{i + 1} {escape(words[i].short)}</{'b' if i == now else 'span'}>"
        for i in range(low, min(high, len(words)))
    ]
    return " &ensp; ".join(["…"] * (low > 0) + shown + ["…"] * (high < len(words)))


def _caption_html(caption: Caption, version: str) -> str:
    source = escape(caption.source(version)) if caption.function else "&nbsp;"
    return f'<div class="pagelab-caption">{escape(caption.sentence)}</div><div class="pagelab-source">{source}</div>'
