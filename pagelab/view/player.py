"""The player: a run, step by step and act by act, in JupyterLab.

(k, act) is the whole state; everything on the screen is a function of it and of the tape.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

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
from .palette import DARK, LIGHT, Theme
from .panel import Panel
from .strip import HEIGHT, draw_now, draw_run, step_at
from .words import legend, lists_table, sentence, summary

WIDTH = 824
LISTS = 308
Place = int | tuple[int, int]


class Player(Panel):
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
        self.tape, self.scale = tape, scale
        if theme not in (None, "light", "dark"):
            raise ValueError(f"theme {theme!r} does not exist: write 'light' or 'dark', or leave it out for the theme of the page")
        self._fixed_theme = theme
        self.theme: Theme = DARK if theme == "dark" else LIGHT
        self.selected: int | None = None
        self.by_act = False
        self._playing: asyncio.Task[None] | None = None
        zone = tape.at(0).zone
        self.where: Layout = layout(zone.start_pfn, zone.end_pfn - zone.start_pfn)
        self._start = self._position(start)
        self.k, self.act = self._start
        for place in (goto or {}).values():
            self._position(place)
        self._make_figures(orders_of(zone))
        self._make_controls(goto or {})
        large = f"pagelab-scale-{round(100 * scale)}"
        sized = widgets.HTML(f"<style>.pagelab.{large} {{ font-size: {13 * scale}px; }}</style>")
        super().__init__([sized, *self._rows()] if scale != 1 else self._rows())
        self.add_class("pagelab-player")
        self.add_class(large)
        self._dress()
        self.show()
        self.renew()

    def text(self) -> str:
        """Return the present position in words, for a terminal."""
        return f"step {self.k} of {len(self.tape)}: {self.request_text() or 'the end'}\n{sentence(self._now)}"

    # Position.

    def _position(self, place: Place) -> tuple[int, int]:
        """Return (k, act) with act counted from 0; a bare step means its last act."""
        k, act = place if isinstance(place, tuple) else (place, -1)
        if not 0 <= k <= len(self.tape):
            raise ValueError(f"step {k} does not exist: steps here are 0..{len(self.tape)}")
        if k == len(self.tape) and act in (0, -1):
            return k, 0
        acts = 1 if k == len(self.tape) else len(self.tape.acts(k))
        if not -acts <= act < acts:
            raise ValueError(f"act {act} does not exist: step {k} has acts 0..{acts - 1}")
        return k, act % acts

    def go(self, place: Place) -> None:
        """Go to a step (its last act) or to (step, act)."""
        self.k, self.act = self._position(place)
        self.show()

    def next(self) -> None:
        """Go on by one act, or to the end of this request or of the next one."""
        last = len(self._now.all) - 1
        if self.k == len(self.tape):
            return
        if self.act < last:
            self.go((self.k, self.act + 1 if self.by_act else last))
        else:
            self.go((self.k + 1, 0 if self.by_act else -1) if self.k + 1 < len(self.tape) else len(self.tape))

    def back(self) -> None:
        """Go back by one act, or to the end of the request before."""
        if self.act and (self.by_act or self.k == 0):
            self.go((self.k, self.act - 1 if self.by_act else 0))
        elif self.k:
            self.go((self.k - 1, -1))

    def first(self) -> None:
        """Go to the state before the first request."""
        self.go((0, 0))

    def last(self) -> None:
        """Go to the end."""
        self.go(len(self.tape))

    def reset(self) -> None:
        """Go where the player opened, with nothing selected."""
        self.selected = None
        self.go(self._start)

    def set_tape(self, tape: Tape[Machine]) -> None:
        """Show another run of the same zone, at its end; Reset goes to its beginning then."""
        self.tape, self._start = tape, (0, 0)
        self._run = strip(tape)
        self._draw_strip()
        with self._quiet():
            self.slider.max = max(len(tape), 1)
        self.go(max(len(tape) - 1, 0) if len(tape) else (0, 0))

    # Making.

    def _make_figures(self, orders: int) -> None:
        self._run = strip(self.tape)
        self.strip = Canvas("strip", WIDTH, HEIGHT, self.theme, self.scale)
        self.strip.on_tap(lambda x, _: self.go(step_at(self._run, x, WIDTH)))
        where = self.where
        self._map_at = (56.0 if where.tiled else 44.0, 4.0)
        below = self._map_at[1] + where.height + 16
        ladder = 0 if where.tiled or where.height > 200 else ladder_height(orders)
        self._ladder_at = (self._map_at[0], below) if ladder else None
        self._lists_at = (44.0, below) if where.tiled else (WIDTH - LISTS + 0.0, 0.0)
        height = max(below + ladder, self._lists_at[1] + lists_height(orders) + 4)
        self.stage = Canvas("stage", WIDTH, height, self.theme, self.scale)
        if where.cells.size > 64:
            self.stage.map_pages(where, self._map_at)
        self.stage.on_tap(self._select)
        self.strip.on_show("Free pages and largest free order at every step; the same in words below", self._set_theme)
        self.stage.on_show("Page map and free lists at this step; the same in words below", self._set_theme)

    def _make_controls(self, goto: Mapping[str, Place]) -> None:
        def button(text: str, do: Callable[[], None], *classes: str) -> widgets.Button:
            made = widgets.Button(description=text)
            made.on_click(lambda _: self._pressed(do))
            for name in classes:
                made.add_class(name)
            return made

        self.buttons = [
            button("First", self.first, "pagelab-first"),
            button("Back", self.back, "pagelab-back"),
            button("Next", self.next, "pagelab-next", "pagelab-main"),
            button("Last", self.last, "pagelab-last"),
        ]
        self.play_button = widgets.Button(description="Play")
        self.play_button.on_click(lambda _: None if self._stop() else self._play())
        self.slider = widgets.IntSlider(0, 0, max(len(self.tape), 1), readout=False, layout=widgets.Layout(width="210px"))
        self.slider.observe(self._slid, "value")
        self.mode = widgets.ToggleButtons(options=["by request", "by act"], tooltips=["A step is one request", "A step is one act"])
        self.mode.observe(self._changed_mode, "value")
        self.position = widgets.HTML()
        self.goto = [button(label, partial(self.go, place)) for label, place in goto.items()]
        self.reset_button = button("Reset", self.reset)
        self.acts = widgets.HTML()
        self.caption = widgets.HTML()
        self.caption.add_class("pagelab-status")
        self.legend = widgets.HTML()
        self.twin = widgets.HTML()

    def _rows(self) -> list[widgets.Widget]:
        self.strip_widget, self.stage_widget = self.strip.widget(), self.stage.widget()
        controls = widgets.HBox([*self.buttons, self.play_button, self.slider, self.position])
        more = widgets.HBox([self.mode, *self.goto, self.reset_button], layout=widgets.Layout(flex_flow="row wrap"))
        return [self.strip_widget, controls, more, self.acts, self.caption, self.stage_widget, self.legend, self.twin]

    # Showing.

    def show(self) -> None:
        """Show the present position."""
        self._now: Moment = moment(self.tape, self.k, self.act if self.k < len(self.tape) else 0)
        self._draw_stage()
        self._draw_strip_now()
        with self._quiet():
            self.slider.value = self.k
        last = len(self._now.all) - 1
        act = "" if self._now.end else f" · act {self.act + 1} of {last + 1}"
        request = f" · <code>{escape(self.request_text())}</code>" if self.request_text() else ""
        self.position.value = f"<div>step <b>{self.k:,}</b> of {len(self.tape):,}{request}{act}</div>"
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

    def request_text(self) -> str:
        """Return the present request as typed, or "" at the end."""
        return "" if self._now.end else to_text([self.tape.requests[self.k]])

    def _draw_stage(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_map(drawing, self.where, self._now, *self._map_at, selected=self.selected)
        if self._ladder_at:
            draw_ladder(drawing, self._now, *self._ladder_at, self.where.width)
        draw_lists(drawing, self._now, *self._lists_at, LISTS if not self.where.tiled else WIDTH - 44)
        image = None
        if self.where.cells.size > 64:
            image = self.where.image(self._now.zone.page_states())
        self.stage.show(drawing, image, self._map_at)

    def _draw_strip(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_run(drawing, self._run, WIDTH)
        self.strip.show(drawing)

    def _draw_strip_now(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        draw_now(drawing, self._run, self.k, WIDTH)
        self.strip.show_marks(drawing)

    def _dress(self) -> None:
        if self._fixed_theme:
            self.add_class(f"pagelab-{self._fixed_theme}")
        for canvas in (self.strip, self.stage):
            canvas.set_theme(self.theme)
        self.legend.value = legend(self.theme)
        self._draw_strip()

    def _set_theme(self, name: str) -> None:
        if self._fixed_theme is None and name != self.theme.name:
            self.theme = DARK if name == "dark" else LIGHT
            self._dress()
            self.show()

    # Events.

    def _select(self, x: float, y: float) -> None:
        place = self.where.pfn_at(x - self._map_at[0], y - self._map_at[1])
        zone = self._now.zone
        self.selected = place if place is not None and zone.start_pfn <= place < zone.end_pfn and place != self.selected else None
        self._draw_stage()

    def _pressed(self, do: Callable[[], None]) -> None:
        self._stop()
        do()

    def _quiet(self) -> Any:
        return _Quiet(self)

    def _slid(self, change: Any) -> None:
        if not getattr(self, "_muted", False):
            self._stop()
            k = min(change["new"], len(self.tape))
            self.go((k, 0) if self.by_act or k == 0 else k)

    def _changed_mode(self, change: Any) -> None:
        self.by_act = change["new"] == "by act"
        self.show()

    def _stop(self) -> bool:
        """Stop playing; return whether it was playing."""
        playing, self._playing = self._playing, None
        if playing:
            playing.cancel()
            self.play_button.description = "Play"
        return playing is not None

    def _play(self) -> None:
        self.play_button.description = "Pause"
        self._playing = asyncio.get_event_loop().create_task(self._run_on())

    async def _run_on(self) -> None:
        while self.k < len(self.tape):
            self.next()
            await asyncio.sleep(0.6)
        self._playing = None
        self.play_button.description = "Play"


class _Quiet:
    """While a player moves its own slider, the slider does not move the player."""

    def __init__(self, player: Player) -> None:
        self.player = player

    def __enter__(self) -> None:
        self.player._muted = True

    def __exit__(self, *_: object) -> None:
        self.player._muted = False


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
