"""Bokeh figures that live in JupyterLab: made once, and given new columns at each step."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.events import Tap
from bokeh.io import output_notebook
from bokeh.models import ColumnDataSource, CustomJS, CustomJSHover, HoverTool, Image, LinearColorMapper, Range1d
from bokeh.plotting import figure
from bokeh.protocol import Protocol
from bokeh.resources import Resources
from IPython import get_ipython
from jupyter_bokeh import BokehModel

from .drawing import Drawing
from .layout import Layout
from .palette import Theme, colours
from .style import READY

MARGIN = 4
PARTS = ("pages", "over", "blocks", "hatches", "marks", "words")


def load_bokehjs() -> None:
    """Send BokehJS to the page; without it no figure shows. Needed once for each page, so the first panel of a kernel does it."""
    if get_ipython() is not None:
        output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)


class LiveFigure(BokehModel):  # type: ignore[misc]
    """A BokehModel that shows its present state whenever it is shown.

    jupyter_bokeh 4.1.0 serialises the document once, in the constructor, so that a page reload or a second display would silently show the
    first picture. Here it is serialised anew when a front end asks and something has changed since.
    """

    _batch: list[Any] | None = None
    _changed = False  # since all front ends were last sent the whole document

    @contextmanager
    def one_patch(self) -> Iterator[None]:
        """Send all changes made inside as one patch: the front end then draws once and not once for each source."""
        self._batch = []
        try:
            yield
        finally:
            events, self._batch = self._batch, None
            if events:
                self._send_patch(events)

    def _document_patched(self, event: Any) -> None:
        self._changed = True
        if event.setter is self:
            return
        if self._batch is None:
            self._send_patch([event])
        else:
            self._batch.append(event)

    def _send_patch(self, events: list[Any]) -> None:
        patch = Protocol().create("PATCH-DOC", events)
        for part in (patch.header_json, patch.metadata_json, patch.content_json):
            self.send({"msg": "patch", "payload": part})
        for buffer in patch.buffers:
            self.send({"msg": "patch", "payload": json.dumps(buffer.ref)})
            self.send({"msg": "patch"}, [buffer.to_bytes()])

    def renew(self) -> None:
        """Serialise the document as it is now; to be called before the figure is shown."""
        if self._changed:
            self._changed = False
            self.render_bundle = self._model_to_traits(self._model)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        """Return the state for a front end; when all of it is asked for, the document as it is now."""
        if key is None and self._changed:
            self._trait_values["render_bundle"] = self._model_to_traits(self._model)
        return super().get_state(key, drop_defaults)


class Canvas:
    """A figure in CSS pixels with an image, blocks, marks and words, each one source that is assigned once a step.

    Args:
        name: of the figure; its sources are NAME-pages, NAME-over, NAME-blocks, NAME-hatches, NAME-marks and NAME-words.
        width, height: CSS pixels.
        scale: 1.5 for the last row of a lecture room.
    """

    def __init__(self, name: str, width: float, height: float, theme: Theme, scale: float = 1) -> None:
        self.width, self.height, self.scale = width, height, scale
        self._down = Range1d(start=height, end=0)
        self.figure = figure(
            name=name,
            width=round((width + 2 * MARGIN) * scale),
            height=round(height * scale),
            x_range=Range1d(start=-MARGIN, end=width + MARGIN),
            y_range=self._down,
            toolbar_location=None,
            tools="",
            min_border=0,
            outline_line_color=None,
            background_fill_color=None,
            border_fill_color=None,
        )
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        self.sources = {part: ColumnDataSource(name=f"{name}-{part}") for part in PARTS}
        self._places, self._numbers = ColumnDataSource(), ColumnDataSource()
        self._mapped: tuple[Any, ...] = ()
        self.mapper = LinearColorMapper(palette=colours(theme), low=-0.5, high=255.5)
        self.live: LiveFigure | None = None
        self._glyphs()
        self.show(Drawing(theme, scale))

    def _glyphs(self) -> None:
        plot = self.figure
        image = Image(image="image", x="x", y="y", dw="dw", dh="dh", global_alpha="alpha", color_mapper=self.mapper)
        self.image = plot.add_glyph(self.sources["pages"], image, level="image")
        plot.add_glyph(self.sources["over"], image, level="image")
        place: Any = {"left": "left", "right": "right", "top": "top", "bottom": "bottom", "line_color": "line", "line_width": "line_width"}
        fill: Any = {"fill_color": "fill", "fill_alpha": "fill_alpha", "line_dash": "dash"}
        blocks = plot.quad(**place, **fill, source=self.sources["blocks"])
        # Only what is hatched: the front end makes a canvas for each row that may have a hatch, at each step.
        hatch: Any = {"hatch_pattern": "hatch", "hatch_color": "hatch_color"}
        plot.quad(
            left="left",
            right="right",
            top="top",
            bottom="bottom",
            fill_color=None,
            line_color=None,
            hatch_alpha=0.5,
            hatch_scale=6,
            hatch_weight=1,
            source=self.sources["hatches"],
            **hatch,
        )
        plot.quad(**place, **fill, source=self.sources["marks"])
        plot.text(
            "x",
            "y",
            "text",
            text_color="color",
            text_font_size="size",
            text_font_style="style",
            text_font="font",
            text_align="align",
            text_baseline=value("middle"),
            source=self.sources["words"],
        )
        plot.add_tools(HoverTool(renderers=[blocks], tooltips=_tooltip("@tip{safe}"), attachment="right"), self._hover())

    def show(self, drawing: Drawing) -> None:
        """Show a drawing."""
        with self.live.one_patch() if self.live else nullcontext():
            self.sources["blocks"].data = drawing.blocks
            self.sources["hatches"].data = drawing.hatches()
            self.sources["marks"].data = drawing.marks
            self.sources["words"].data = drawing.words
            self.sources["pages"].data = drawing.pages
            if drawing.over["image"] or self.sources["over"].data.get("image") != []:
                self.sources["over"].data = drawing.over

    def show_marks(self, drawing: Drawing) -> None:
        """Show the marks and words of a drawing, and leave blocks and image as they are."""
        with self.live.one_patch() if self.live else nullcontext():
            self.sources["marks"].data = drawing.marks
            self.sources["words"].data = drawing.words

    def resize(self, height: float) -> None:
        """Make the figure higher or lower; what is drawn stays where it is."""
        self.height = height
        self.figure.height, self._down.start = round(height * self.scale), height

    def set_theme(self, theme: Theme) -> None:
        """Change the colours of the image; the drawing brings its own."""
        self.mapper.palette = colours(theme)

    def map_pages(self, *maps: tuple[Layout, tuple[float, float]]) -> None:
        """Tell where pages lie, so that hovering over a picture names them; two maps of one layout may stand beside each other."""
        if maps == self._mapped:
            return
        self._mapped = maps
        where, (_, top) = maps[0]
        lefts = [at[0] for _, at in maps]
        numbers = {"columns": where.cells.shape[1], "w": where.w, "h": where.h, "top": top, "start": where.start, "per": where.per_cell}
        numbers |= {"left": lefts[0], "second": lefts[-1]}
        self._places.data = {"place": where.cells.astype(np.int32).ravel()}
        self._numbers.data = {name: [number] for name, number in numbers.items()}

    def _hover(self) -> HoverTool:
        args: dict[str, Any] = {"places": self._places, "pages": self.sources["pages"], "numbers": self._numbers}
        lines: Any = {field: CustomJSHover(args=args, code=_HOVER + code) for field, code in _HOVER_LINES.items()}
        tip = _tooltip("<b>$x{custom}</b><br>$y{custom}<br>$sx{custom}")
        return HoverTool(renderers=[self.image], tooltips=tip, formatters=lines, attachment="right")

    def on_tap(self, do: Callable[[float, float], None]) -> None:
        """Call `do(x, y)` when the figure is clicked."""
        self.figure.on_event(Tap, lambda event: do(event.x, event.y))

    def on_show(self, label: str, set_theme: Callable[[str], None]) -> None:
        """Each time the figure is laid out, name it for screen readers and tell which theme the page has."""
        seen = ColumnDataSource({"theme": [""]})
        seen.on_change("data", lambda _attr, _old, new: set_theme(new["theme"][0]))
        script = CustomJS(args={"figure": self.figure, "seen": seen, "label": label}, code=READY)
        self.figure.js_on_change("inner_width", script)

    def widget(self) -> LiveFigure:
        """Return the figure as a widget."""
        self.live = self.live or LiveFigure(self.figure)
        return self.live


def _tooltip(field: str) -> str:
    return f'<div style="font: 12px Helvetica, Arial, sans-serif; line-height: 16px">{field}</div>'


_HOVER = """
const n = Object.fromEntries(Object.entries(numbers.data).map(([name, column]) => [name, column[0]]));
const map = n.second > n.left && special_vars.x >= n.second ? 1 : 0;
const column = Math.floor((special_vars.x - (map ? n.second : n.left)) / n.w), row = Math.floor((special_vars.y - n.top) / n.h);
const place = places.data.place[row * n.columns + column];
if (place === undefined || place < 0) return 'no page';
const pfn = n.start + place * n.per;
const image = pages.data.image[map];
const state = (image.flat ? image.flat() : image)[row * n.columns + column];
const types = ['unmovable', 'movable', 'reclaimable', 'highatomic', 'cma', 'isolated, or its list not known'];
let kind = 'not a page of this zone';
if (state < 0x60) kind = `free, order ${state & 15}, ${types[state >> 4]}`;
else if (state < 0x70) kind = 'held by the request';
else if (state < 0x80) kind = `on a per-CPU list, order ${state & 15}`;
else if (state >= 0xd0 && state < 0xe0) kind = 'in use, kind not known';
else if (state < 0xd0) kind = `in use, order ${state & 15}, ${types[(state >> 4) & 7]}`;
else if (state == 0xf0) kind = 'reserved';
"""

_HOVER_LINES = {
    "$x": "return n.per > 1 ? `pages ${pfn}-${pfn + n.per - 1}` : `page ${pfn}`;",
    "$y": """
const size = 2 ** (state & 15), head = Math.floor(pfn / size) * size;
return state < 0xe0 && size > 1 ? `${kind}, block ${head}-${head + size - 1}` : kind;
""",
    "$sx": "return '0x' + (pfn * 4096).toString(16);",
}
