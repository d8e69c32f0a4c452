"""The same requests for objects on two machines, step by step: where each cache keeps its slabs, below each other.

No accent for a difference here: the accent is on what each machine changed by itself.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from ..lab.caption import Caption, captions
from ..lab.request import to_text
from ..lab.tape import Tape
from ..mm.slub import get_slabinfo
from .cache_lists import cache_lists_height, draw_cache_lists
from .cache_usage import default_cache, looks_of, slab_run, usage, usage_line
from .drawing import Drawing
from .live_figure import Canvas
from .lock_step import told_html
from .slab_columns import SlabMoment, list_rows, slab_moment
from .slab_player import SLAB_EVENTS, lists_table, slab_sentence
from .slab_stage import MOST_CPUS, WIDTH
from .stepper import Place, Stepper
from .summary import summary
from .words import legend

HEAD, GAP = 28, 16


class SlabLockStep(Stepper):
    """Two runs of the same requests for objects, with one set of controls.

    Args:
        left, right: the same requests on two machines with caches; left is the upper one.
        labels: what each machine is called.
        goto, start, theme, scale: as `Player` has them.
        cache: the name of the cache that is shown; None for that which the runs use first.

    Raises:
        ValueError: the requests are not the same, or a machine does not have the cache.
    """

    def __init__(
        self,
        left: Tape[Any],
        right: Tape[Any],
        labels: tuple[str, str],
        goto: Mapping[str, Place] | None = None,
        start: Place = (0, 0),
        theme: str | None = None,
        scale: float = 1,
        cache: str | None = None,
    ) -> None:
        if list(left.requests) != list(right.requests):
            raise ValueError(f"{labels[0]} and {labels[1]} cannot be compared: their requests are not the same")
        self.tapes, self.names = (left, right), labels
        self.cache = default_cache(left) if cache is None else cache
        self._runs = [slab_run(tape, self.cache) for tape in self.tapes]
        self._cpus = sorted({cpu for run in self._runs for cpu in run.cpus})[:MOST_CPUS]
        starts = [list_rows(slab_moment(tape, 0, 0, self.cache), self._cpus) for tape in self.tapes]
        # A slab that is in hand has a row of its own.
        self._tops = (0, HEAD + cache_lists_height(len(starts[0]) + 1) + GAP)
        self._height = self._tops[1] + HEAD + cache_lists_height(len(starts[1]) + 1) + 4
        self.told = [widgets.HTML() for _ in labels]
        super().__init__(goto or {}, start, theme, scale)
        self.add_class("pagelab-lock-step")

    def steps(self) -> int:
        """Return how many requests the runs have."""
        return len(self.tapes[0])

    def acts_in(self, k: int) -> int:
        """Return how many acts request k has, on the machine where it has more."""
        return max(len(tape.acts(k)) for tape in self.tapes)

    def request_text(self) -> str:
        """Return the present request as typed, or "" at the end."""
        return "" if self.k == self.steps() else to_text([self.tapes[0].requests[self.k]])

    def text(self) -> str:
        """Return what each machine holds at the present step, in words, for a terminal."""
        told = [f"{name}: {self._sentence(side)}" for side, name in enumerate(self.names)]
        return "\n".join([f"step {self.k} of {self.steps()}: {self.request_text() or 'the end'}", *told])

    def _figures(self) -> dict[str, Canvas]:
        self.stage = Canvas("slab-lock-step", WIDTH, self._height, self.theme, self.scale)
        return {"The lists of a cache on two machines at this step; the same in words below": self.stage}

    def _rows(self) -> list[widgets.Widget]:
        told = widgets.HBox(self.told)
        told.add_class("pagelab-side-by-side")
        return [*self.control_rows(), told, self.stage.widget(), self.legend, self.twin]

    def _moment(self, side: int) -> SlabMoment:
        """Return where a machine stands; one that has done all its acts waits for the other."""
        tape = self.tapes[side]
        act = min(self.act, len(tape.acts(self.k)) - 1) if self.k < self.steps() else 0
        return slab_moment(tape, self.k, act, self.cache)

    def _sentence(self, side: int) -> str:
        return slab_sentence(self.nows[side], usage(self.nows[side], self._runs[side]))

    def show(self) -> None:
        """Show the present place."""
        self.nows = [self._moment(side) for side in (0, 1)]
        drawing, rows = Drawing(self.theme, self.scale), [list_rows(now, self._cpus) for now in self.nows]
        longest = max(run.longest for run in self._runs)
        for side, now in enumerate(self.nows):
            top, used = self._tops[side], usage(now, self._runs[side])
            drawing.word(0, top + 14, self.names[side], "ink", 13, bold=True)
            drawing.word(WIDTH, top + 14, usage_line(used, get_slabinfo(now.cache)), "ink", align="right")
            draw_cache_lists(drawing, rows[side], now.cache.stride, longest, -1, top + HEAD)
        self.stage.show(drawing)
        self.show_place()
        for told, name, now in zip(self.told, self.names, self.nows, strict=True):
            told.value = told_html(name, self._caption(now))
        tables = [f"<div><b>{escape(name)}</b> {escape(self._sentence(i))}</div>" for i, name in enumerate(self.names)]
        tables = [table + lists_table(row) for table, row in zip(tables, rows, strict=True)]
        self.twin.value = f"<details><summary>The same in words</summary>{''.join(tables)}</details>"

    def _dress(self) -> None:
        super()._dress()
        looks = [look for tape in self.tapes for look in looks_of(tape, False)]
        self.legend.value = legend(self.theme, list(dict.fromkeys(looks)), SLAB_EVENTS)

    def _caption(self, now: SlabMoment) -> Caption:
        if now.pages.end:
            return Caption("end", "The end.", "", "")
        done = len(now.pages.acts) == len(now.pages.all)
        return summary(now.pages.all) if done and not self.by_act else captions(now.pages.all)[len(now.pages.acts) - 1]
