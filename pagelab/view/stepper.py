"""What every panel with steps has: a place in a run, buttons, a slider, places to go to, and playing.

(k, act) is the whole state of such a panel; everything on the screen is a function of it and of the run.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from .live_figure import Canvas
from .palette import DARK, LIGHT, Theme
from .panel import Panel

Place = int | tuple[int, int]


class Stepper(Panel):
    """A panel that is stepped through, by request or by act.

    A kind of it says how long the run is (`steps`), how many acts a request has (`acts_in`) and what it is (`request_text`), makes its
    figures and rows, and shows the present place (`show`).

    Args:
        goto: from a label, as "A: the merge", to a step (its last act) or to (step, act).
        start: where it opens and where Reset returns: a step or (step, act).
        theme: "light" or "dark"; the page's own where it is None.
        scale: 1.5 for the last row of a lecture room.
    """

    def __init__(self, goto: Mapping[str, Place], start: Place, theme: str | None, scale: float) -> None:
        if theme not in (None, "light", "dark"):
            raise ValueError(f"theme {theme!r} does not exist: write 'light' or 'dark', or leave it out for the theme of the page")
        self.scale, self._fixed_theme = scale, theme
        self.theme: Theme = DARK if theme == "dark" else LIGHT
        self.by_act = self._muted = False
        self._playing: asyncio.Task[None] | None = None
        self._start = self._position(start)
        self.k, self.act = self._start
        for place in goto.values():
            self._position(place)
        self.canvases = self._figures()
        self._make_controls(goto)
        large = f"pagelab-scale-{round(100 * scale)}"
        sized = widgets.HTML(f"<style>.pagelab.{large} {{ font-size: {13 * scale}px; }}</style>")
        super().__init__([sized, *self._rows()] if scale != 1 else self._rows())
        self.add_class(large)
        if theme:
            self.add_class(f"pagelab-{theme}")
        for label, canvas in self.canvases.items():
            canvas.on_show(label, self._set_theme)
        self._dress()
        self.show()
        self.renew()

    # What a kind of it gives.

    def steps(self) -> int:
        """Return how many requests the run has."""
        raise ValueError("a panel with steps says how many there are")

    def acts_in(self, k: int) -> int:
        """Return how many acts request k has."""
        raise ValueError("a panel with steps says how many acts each has")

    def request_text(self) -> str:
        """Return the present request as typed, or "" at the end."""
        raise ValueError("a panel with steps says what they are")

    def show(self) -> None:
        """Show the present place."""
        raise ValueError("a panel with steps shows where it stands")

    def _figures(self) -> dict[str, Canvas]:
        """Make the figures; from what each is called, for screen readers, to itself."""
        raise ValueError("a panel with steps has figures")

    def _rows(self) -> Sequence[widgets.Widget]:
        """Return the widgets from top to bottom."""
        raise ValueError("a panel with steps has rows")

    # The place.

    def _position(self, place: Place) -> tuple[int, int]:
        """Return (k, act) with act counted from 0; a bare step means its last act."""
        k, act = place if isinstance(place, tuple) else (place, -1)
        if not 0 <= k <= self.steps():
            raise ValueError(f"step {k} does not exist: steps here are 0..{self.steps()}")
        if k == self.steps() and act in (0, -1):
            return k, 0
        acts = 1 if k == self.steps() else self.acts_in(k)
        if not -acts <= act < acts:
            raise ValueError(f"act {act} does not exist: step {k} has acts 0..{acts - 1}")
        return k, act % acts

    def go(self, place: Place) -> None:
        """Go to a step (its last act) or to (step, act)."""
        self.k, self.act = self._position(place)
        self.show()

    def next(self) -> None:
        """Go on by one act, or to the end of this request or of the next one."""
        if self.k == self.steps():
            return
        last = self.acts_in(self.k) - 1
        if self.act < last:
            self.go((self.k, self.act + 1 if self.by_act else last))
        else:
            self.go((self.k + 1, 0 if self.by_act else -1) if self.k + 1 < self.steps() else self.steps())

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
        self.go(self.steps())

    def reset(self) -> None:
        """Go where the panel opened."""
        self.go(self._start)

    # The controls.

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
        self.slider = widgets.IntSlider(0, 0, max(self.steps(), 1), readout=False, layout=widgets.Layout(width="170px"))
        self.slider.observe(self._slid, "value")
        self.mode = widgets.ToggleButtons(options=["by request", "by act"], tooltips=["A step is one request", "A step is one act"])
        self.mode.observe(self._changed_mode, "value")
        self.position = widgets.HTML()
        self.position.add_class("pagelab-place")
        self.goto = [button(label, partial(self.go, place)) for label, place in goto.items()]
        self.reset_button = button("Reset", self.reset)
        self.legend = widgets.HTML()
        self.twin = widgets.HTML()

    def control_rows(self) -> list[widgets.Widget]:
        """Return the two rows of controls."""
        more = widgets.HBox([self.mode, *self.goto, self.reset_button], layout=widgets.Layout(flex_flow="row wrap"))
        return [widgets.HBox([*self.buttons, self.play_button, self.slider, self.position]), more]

    def show_place(self) -> None:
        """Let slider and words say where the run stands."""
        self._move_slider()
        act = "" if self.k == self.steps() else f" · act {self.act + 1:,} of {self.acts_in(self.k):,}"
        request = f" · <code>{escape(self.request_text())}</code>" if self.request_text() else ""
        self.position.value = f"<div>step <b>{self.k:,}</b> of {self.steps():,}{act}{request}</div>"

    def _move_slider(self) -> None:
        """Move the slider without moving the panel."""
        with self._quiet():
            self.slider.max = max(self.steps(), 1)
            self.slider.value = self.k

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def _dress(self) -> None:
        """Take on the colours of the theme."""
        for canvas in self.canvases.values():
            canvas.set_theme(self.theme)

    def _set_theme(self, name: str) -> None:
        if self._fixed_theme is None and name != self.theme.name:
            self.theme = DARK if name == "dark" else LIGHT
            self._dress()
            self.show()

    # Events.

    def _pressed(self, do: Callable[[], None]) -> None:
        self._stop()
        do()

    def _slid(self, change: Any) -> None:
        if not self._muted:
            self._stop()
            k = min(change["new"], self.steps())
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
        while self.k < self.steps():
            self.next()
            await asyncio.sleep(0.6)
        self._playing = None
        self.play_button.description = "Play"
