"""A slot of a slab as a panel of its own: what lies in its bytes after some request."""

from html import escape

import ipywidgets as widgets

from ..lab.tape import Tape
from ..mm.slab import OBJECT, PAGE_BITS
from ..mm.slab_machine import SlabMachine
from .drawing import Drawing
from .live_figure import Canvas
from .palette import DARK, LIGHT, Theme
from .panel import Panel
from .slot_bytes import WIDTH, draw_slot, slot_height, slot_of, slot_table


class SlotPanel(Panel):
    """The slot of an object that a request received, before request k.

    Args:
        tape: a run of a machine with caches.
        k: 0..len(tape); len(tape) is the end.
        request: the number of the request that received the object.
        random: the random number of the cache, where its free pointers are hardened; None where they are not.

    Raises:
        ValueError: the request received no object, or its slab is gone.
    """

    def __init__(self, tape: Tape[SlabMachine], k: int, request: int, random: int | None = None) -> None:
        machine = tape.at(k)
        word = tape.received[request] if 0 <= request < len(tape) else -1
        cache, slab = machine.owners.get(word - OBJECT >> PAGE_BITS, (None, -1))
        if word < OBJECT or cache is None:
            raise ValueError(
                f"request {request} names no object at step {k}: give one that received an object of a slab that is still there"
            )
        self.slot = slot_of(cache, slab, cache.index(slab, word), random)
        self.canvas = Canvas("slot", WIDTH, slot_height(self.slot), LIGHT)
        self.canvas.on_show("The fields of a slot and their bytes; the same in words below", self._set_theme)
        twin = widgets.HTML(f"<details><summary>The same in words</summary>{slot_table(self.slot)}</details>")
        super().__init__([self.canvas.widget(), twin])
        self._draw(LIGHT)

    def _set_theme(self, name: str) -> None:
        self._draw(DARK if name == "dark" else LIGHT)

    def _draw(self, theme: Theme) -> None:
        drawing = Drawing(theme)
        draw_slot(drawing, self.slot)
        self.canvas.show(drawing)

    def text(self) -> str:
        """Return the slot in words."""
        parts = (f"{p.field.start}-{p.field.end - 1} {p.field.name}: {p.held}, {p.meaning}" for p in self.slot.fields)
        return escape(f"{self.slot.title}: {self.slot.state}. " + "; ".join(parts), quote=False)
