"""A panel: what every pagelab widget has in common, from its style to what is left of it without a kernel."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython import get_ipython
from IPython.display import HTML, display

from .live_figure import LiveFigure, load_bokehjs
from .style import CSS

OFF = '<div class="pagelab-off" role="note">Not connected: run this cell again.</div>'
NO_BOKEH = "BokehJS, which draws the figures, is not loaded in this page. Run pagelab.view.load_bokehjs() in a cell, then this cell again."


class Panel(widgets.VBox):  # type: ignore[misc]
    """A column of widgets in pagelab's style.

    Figures below it are serialised anew before it is shown, so that a second display shows the present state. `text` gives the text twin.
    """

    def __init__(self, children: Sequence[widgets.Widget]) -> None:
        late = f'<div class="pagelab-late" role="note">{NO_BOKEH}</div>' if any(map(_has_figure, children)) else ""
        super().__init__([widgets.HTML(f"<style>{CSS}</style>{OFF}{late}"), *children])
        self.add_class("pagelab")

    def text(self) -> str:
        """Return what the panel shows, in words, for a terminal and for a notebook without a kernel."""
        raise ValueError("a panel says what it shows")

    def renew(self) -> None:
        """Serialise every figure as it is now, so that a front end that shows the panel next begins with that."""
        for figure in _figures(self):
            figure.renew()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.renew()
        bundle = super()._repr_mimebundle_(**kwargs)
        (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"] = self.text()
        return bundle


_loaded_by: list[str | None] = []


def _load_once() -> None:
    """Load BokehJS with the first panel of this kernel, and again when that panel's cell runs again: its page may be a new one."""
    shell = get_ipython()
    if shell is None:
        return
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    if not _loaded_by or (cell is not None and _loaded_by[0] == cell):
        _loaded_by[:] = [cell]
        load_bokehjs()


def announce(panel: Panel) -> None:
    """Display what is left of a panel when the notebook is opened without a kernel; it hides where the panel lives."""
    _load_once()
    fallback = f'<div class="pagelab-fallback">Not connected: run this cell again.<pre>{escape(panel.text())}</pre></div>'
    hide = "<style>.jp-OutputArea:has(.pagelab) .pagelab-fallback, .pagelab-live .pagelab-fallback { display: none; }</style>"
    display(HTML(hide + fallback))  # type: ignore[no-untyped-call]


def _has_figure(widget: widgets.Widget) -> bool:
    return next(_figures(widget), None) is not None


def _figures(widget: widgets.Widget) -> Iterator[LiveFigure]:
    if isinstance(widget, LiveFigure):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from _figures(child)
