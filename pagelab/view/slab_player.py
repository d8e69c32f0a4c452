"""The player of a machine with caches: a slab, the lists of its cache and the pages under them, step by step and act by act."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from ..lab.caption import span
from ..lab.slab_usage import Usage
from ..lab.tape import Tape
from ..mm.slab_machine import SlabMachine
from ..mm.slub import get_slabinfo
from .cache_usage import default_cache, looks_of, slab_run, usage, usage_line, used_caches
from .drawing import Drawing
from .player import Player
from .sheaf_rows import ListRow
from .slab_columns import (
    SlabMoment,
    SlabShown,
    list_rows,
    shown_slab,
    slab_in_focus,
    slab_moment,
)
from .slab_map import missing, ordinal
from .slab_stage import arrange_slab, draw_slab_stage
from .stepper import Place
from .summary import plural
from .words import EVENTS, html_table

NO_SLAB, MAX_CHOICES = -1, 500
SLAB_EVENTS = (*EVENTS, "moved in this step", "left in this step")


class SlabPlayer(Player):
    """A run of a machine with caches with its controls; one cache of it is shown.

    Args:
        tape: the run.
        goto, start, theme, scale: as `Player` has them.
        cache: the name of the cache that is shown; None for that which the run uses first.

    Raises:
        ValueError: there is no such cache.
    """

    tells = "Pages that the cache holds and its objects in use"
    events = (*SLAB_EVENTS, "shown above")
    shows = "A slab, the lists of its cache and the pages under them"

    def __init__(
        self,
        tape: Tape[Any],
        goto: Mapping[str, Place] | None = None,
        start: Place = (0, 0),
        theme: str | None = None,
        scale: float = 1,
        cache: str | None = None,
    ) -> None:
        self._wanted = cache
        self.cache_choice = widgets.Dropdown(description="Cache shown")
        self.choice = widgets.Dropdown(description="Slab shown")
        super().__init__(tape, goto, start, theme, scale)

    def _arrange(self) -> None:
        machine: SlabMachine = self.tape.at(0)
        self.cache = machine.cache(self._wanted or default_cache(self.tape)).name
        self._used = slab_run(self.tape, self.cache)
        self._run = self._used.strip
        self.slab_stage = arrange_slab(self.tape, self.cache, self._used)
        self._height, self._lines, self.stages = self.slab_stage.height, (), []
        self._looks = looks_of(self.tape, self.slab_stage.where is not None)
        with self._quiet():
            names = list(dict.fromkeys([*used_caches(self.tape), self.cache]))
            self.cache_choice.options, self.cache_choice.value = names, self.cache
            self.cache_choice.layout.display = None if len(names) > 1 else "none"

    def _rows(self) -> list[widgets.Widget]:
        rows = super()._rows()
        self.cache_choice.observe(self._chosen_cache, "value")
        self.choice.observe(self._chosen, "value")
        at = rows.index(self.stage_widget)
        return [*rows[:at], widgets.HBox([self.cache_choice, self.choice]), *rows[at:]]

    def show(self) -> None:
        """Show the present position, and offer the slabs that there are."""
        super().show()
        cache = self._slabs.cache
        slabs = {state.pfn: f"{span(state.pfn, state.order)}: {state.place}" for state in map(cache.slab, cache.numbers()[:MAX_CHOICES])}
        if self.selected is not None:
            slabs.setdefault(self.selected, f"page {self.selected}: no slab now")
        with self._quiet():
            self.choice.options = [("as the run goes", NO_SLAB), *((text, pfn) for pfn, text in sorted(slabs.items()))]
            self.choice.value = NO_SLAB if self.selected is None else self.selected

    def _chosen_cache(self, change: Any) -> None:
        """Show another cache of the run, at the same place."""
        if not self._muted:
            self._wanted, self.selected = change["new"], None
            self._arrange()
            self._draw_strip()
            self.stage.resize(self._height)
            self.show()

    def _chosen(self, change: Any) -> None:
        if not self._muted:
            self.selected = None if change["new"] == NO_SLAB else change["new"]
            self.show()

    def _look(self) -> None:
        k = self.k
        self._slabs: SlabMoment = slab_moment(self.tape, k, self.act if k < len(self.tape) else 0, self.cache)
        self._now = self._slabs.pages

    def _draw_stage(self) -> None:
        drawing = Drawing(self.theme, self.scale)
        self._placed = draw_slab_stage(drawing, self.slab_stage, self._slabs, self._used, self.selected)
        self.stage.show(drawing)

    def _select(self, x: float, y: float) -> None:
        """Show the slab that was clicked on, until it is clicked again; then the run chooses again."""
        pfn = next((pfn for rect, pfn in self._placed if rect.x <= x <= rect.x + rect.w and rect.y <= y <= rect.y + rect.h), None)
        if pfn is not None:
            self.selected = None if pfn == self.selected else pfn
            self.show()

    def _shown(self) -> SlabShown | None:
        return shown_slab(self._slabs, slab_in_focus(self._slabs) if self.selected is None else self.selected)

    def _sentence(self) -> str:
        return slab_sentence(self._slabs, usage(self._slabs, self._used))

    def _tables(self) -> str:
        lists = lists_table(list_rows(self._slabs, self.slab_stage.cpus))
        slab = self._shown()
        return lists + (slab_table(slab) if slab else f"<div>{missing(self._slabs)}</div>")


def slab_sentence(now: SlabMoment, used: Usage) -> str:
    """Say in some sentences what a cache holds at a moment."""
    counts = get_slabinfo(now.cache)
    line, objects = usage_line(used, counts), f"{used.objects:,} of {plural(counts[1], 'object')} in use"
    slabs = f"{now.cache.name}: {plural(used.slabs, 'slab')} on {plural(used.pages, 'page')}, {objects}."
    pinned = f" {plural(used.pinned, 'page')} pinned: some objects there are free, and others in use keep them." if used.pinned else ""
    empty = f" {plural(used.empty, 'page')} in slabs without an object in use." if used.empty else ""
    return f"{slabs} {line[0].upper()}{line[1:]}.{pinned}{empty}"


def lists_table(rows: Sequence[ListRow]) -> str:
    """Return the lists of a cache as an HTML table."""
    told = [
        (row.name, f"{len(kept):,}", " ".join(f"{bar.name or bar.pfn}:{bar.live}" for bar in kept[:40]) + " …" * (len(kept) > 40))
        for row in rows
        for kept in [[bar for bar in row.bars if bar.mark != "gone"]]
    ]
    return html_table("Slabs, each as its first page and its objects in use; head first", ("list", "slabs", "page:objects in use"), told)


def slab_table(slab: SlabShown) -> str:
    """Return the objects of a slab as an HTML table."""
    rows = [
        (
            str(slot.obj),
            f"{slot.start}-{slot.end - 1}",
            slot.state,
            f"{ordinal(slot.place)}, {'CPU' if slot.whose == 'cpu' else 'slab'}'s" if slot.place else "",
            str(slot.after) if slot.after >= 0 else "",
        )
        for slot in slab.slots[:64]
    ]
    more = f", the first 64 of {len(slab.slots)}" if len(slab.slots) > 64 else ""
    head = ("object", "bytes", "state", "place on the freelist", "next")
    return html_table(f"The slab at {span(slab.pfn, slab.order)}: {slab.where}{more}", head, rows)


def player_of(
    tape: Tape[Any],
    goto: Mapping[str, Place] | None = None,
    start: Place = (0, 0),
    theme: str | None = None,
    scale: float = 1,
    cache: str | None = None,
) -> Player:
    """Return the player for a run: one with caches where its machine has them.

    Raises:
        ValueError: a cache is named that the machine does not have.
    """
    if isinstance(tape.at(0), SlabMachine):
        return SlabPlayer(tape, goto, start, theme, scale, cache)
    if cache is not None:
        raise ValueError(f"cache {cache!r} does not exist: this machine has no caches")
    return Player(tape, goto, start, theme, scale)
