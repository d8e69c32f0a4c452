"""The player: a run, step by step and act by act, in JupyterLab."""

from collections.abc import Mapping
from html import escape

import ipywidgets as widgets

from ..lab.caption import Caption, captions
from ..lab.request import to_text
from ..lab.tape import Tape
from ..mm.machine import Machine
from .columns import Layout, Moment, layout, moment, orders_of, strip
from .drawing import Drawing
from .free_lists import draw_lists, lists_height
from .ladder import draw_ladder, ladder_height
from .live_figure import Canvas
from .page_map import draw_map
from .stepper import Place, Stepper
from .strip import HEIGHT, draw_now, draw_run, step_at
from .words import legend, lists_table, sentence, summary

WIDTH = 824
LISTS = 308


class Player(Stepper):
    """A run with its controls.

    Args:
        tape: the run.
        goto: from a label, as "A: the merge", to a step (its last act) or to (step, act).
        start: where it opens and where Reset returns: a step or (step, act).
        theme: "light" or "dark"; the page's own where it is None.
        scale: 1.5 for the last row of a lecture room.
    """

    def __init__(
        self,
        tape: Tape[Machine],
        goto: Mapping[str, Place] | None = None,
        start: Place = (0, 0),
        theme: str | None = None,
        scale: float = 1,
    ) -> None:
        self.tape = tape
        self.selected: int | None = None
        self._acts: dict[int, int] = {}
        zone = tape.at(0).zone
        self.where: Layout = layout(zone.start_pfn, zone.end_pfn - zone.start_pfn)
        self.acts, self.caption = widgets.HTML(), widgets.HTML()
        self.caption.add_class("pagelab-status")
        super().__init__(goto or {}, start, theme, scale)
        self.add_class("pagelab-player")

    def text(self) -> str:
        """Return the present position in words, for a terminal."""
        return f"step {self.k} of {len(self.tape)}: {self.request_text() or 'the end'}\n{sentence(self._now)}"

    def steps(self) -> int:
        """Return how many requests the run has."""
        return len(self.tape)

    def acts_in(self, k: int) -> int:
        """Return how many acts request k has."""
        if k not in self._acts:
            self._acts = {k: len(self.tape.acts(k))}
        return self._acts[k]

    def request_text(self) -> str:
        """Return the present request as typed, or "" at the end."""
        return "" if self.k == len(self.tape) else to_text([self.tape.requests[self.k]])

    def reset(self) -> None:
        """Go where the player opened, with nothing selected."""
        self.selected = None
        super().reset()

    def set_tape(self, tape: Tape[Machine]) -> None:
        """Show another run of the same zone, at its end; Reset goes to its beginning then."""
        self.tape, self._start, self._acts = tape, (0, 0), {}
        self._run = strip(tape)
        self._draw_strip()
        self.go(max(len(tape) - 1, 0) if len(tape) else (0, 0))

    # Making.

    def _figures(self) -> dict[str, Canvas]:
        self._run = strip(self.tape)
        self.strip = Canvas("strip", WIDTH, HEIGHT, self.theme, self.scale)
        self.strip.on_tap(lambda x, _: self.go(step_at(self._run, x, WIDTH)))
        where, orders = self.where, orders_of(self.tape.at(0).zone)
        self._map_at = (56.0 if where.tiled else 44.0, 4.0)
        below = self._map_at[1] + where.height + 16
        ladder = 0 if where.tiled or where.height > 200 else ladder_height(orders)
        self._ladder_at = (self._map_at[0], below) if ladder else None
        self._lists_at = (44.0, below) if where.tiled else (WIDTH - LISTS + 0.0, 0.0)
        height = max(below + ladder, self._lists_at[1] + lists_height(orders) + 4)
        self.stage = Canvas("stage", WIDTH, height, self.theme, self.scale)
        if where.cells.size > 64:
            self.stage.map_pages((where, self._map_at))
        self.stage.on_tap(self._select)
        return {
            "Free pages and largest free order at every step; the same in words below": self.strip,
            "Page map and free lists at this step; the same in words below": self.stage,
        }

    def _rows(self) -> list[widgets.Widget]:
        self.strip_widget, self.stage_widget = self.strip.widget(), self.stage.widget()
        return [self.strip_widget, *self.control_rows(), self.acts, self.caption, self.stage_widget, self.legend, self.twin]

    # Showing.

    def show(self) -> None:
        """Show the present position."""
        self._now: Moment = moment(self.tape, self.k, self.act if self.k < len(self.tape) else 0)
        self._acts = {self.k: len(self._now.all)}
        self._draw_stage()
        self._draw_strip_now()
        self.show_place()
        words = captions(self._now.all)
        self.acts.value = f'<div class="pagelab-acts">{_acts_row(words, self.act)}</div>'
        self.caption.value = _caption_html(self._caption(words))
        table = f"<details><summary>The same in words</summary>{escape(sentence(self._now))}"
        self.twin.value = f"{table}{lists_table(self._now)}</details>"

    def _caption(self, words: list[Caption]) -> Caption:
        if self._now.end:
            return Caption("end", sentence(self._now), "", "")
        if not self.by_act and self.act == len(words) - 1:
            return summary(self._now.all)
        return words[self.act]

    def _draw_stage(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_map(drawing, self.where, self._now, *self._map_at, selected=self.selected)
        if self._ladder_at:
            draw_ladder(drawing, self._now, *self._ladder_at, self.where.width)
        draw_lists(drawing, self._now, *self._lists_at, LISTS if not self.where.tiled else WIDTH - 44)
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
        self.legend.value = legend(self.theme)
        self._draw_strip()

    def _select(self, x: float, y: float) -> None:
        place = self.where.pfn_at(x - self._map_at[0], y - self._map_at[1])
        zone = self._now.zone
        self.selected = place if place is not None and zone.start_pfn <= place < zone.end_pfn and place != self.selected else None
        self._draw_stage()


def _acts_row(words: list[Caption], now: int) -> str:
    """Return the acts of a request in a row, the present one marked; long rows show the acts around it."""
    low, high = max(0, min(now - 3, len(words) - 7)), max(7, now + 4)
    shown = [
        f"<b>{i + 1} {escape(word.short)}</b>" if i == now else f"<span>{i + 1} {escape(word.short)}</span>"
        for i, word in enumerate(words[:high])
    ]
    return " &ensp; ".join(["…"] * (low > 0) + shown[low:] + ["…"] * (high < len(words)))


def _caption_html(caption: Caption) -> str:
    source = escape(caption.source) if caption.function else "&nbsp;"
    return f'<div class="pagelab-caption">{escape(caption.sentence)}</div><div class="pagelab-source">{source}</div>'
