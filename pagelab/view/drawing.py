"""A drawing: quads, rings and words in CSS pixels, as columns for a figure. No bokeh here, so that drawings can be tested."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .palette import Look, Theme

SANS = "Helvetica, Arial, sans-serif"
MONO = "Menlo, Consolas, 'Liberation Mono', monospace"


class Rect(NamedTuple):
    """A rectangle: left, top, width and height in CSS pixels; y grows downwards."""

    x: float
    y: float
    w: float
    h: float

    def grown(self, by: float) -> "Rect":
        """Return the rectangle with `by` added on each side."""
        return Rect(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)


QUADS = ("left", "top", "right", "bottom", "fill", "fill_alpha", "line", "line_width", "dash", "hatch", "hatch_color", "tip")
WORDS = ("x", "y", "text", "color", "size", "style", "font", "align")
PICTURES = ("image", "x", "y", "dw", "dh", "alpha")
Columns = dict[str, list[Any]]


class Drawing:
    """Pictures of pages, then blocks, then marks on them, then words, each in the order in which they are drawn.

    Args:
        theme: light or dark.
        scale: multiplies type and line widths; the figure scales the coordinates.
    """

    def __init__(self, theme: Theme, scale: float = 1) -> None:
        self.theme, self.scale = theme, scale
        self.pages: Columns = {name: [] for name in PICTURES}
        self.over: Columns = {name: [] for name in PICTURES}
        self.blocks: Columns = {name: [] for name in QUADS}
        self.marks: Columns = {name: [] for name in QUADS}
        self.words: Columns = {name: [] for name in WORDS}

    def picture(self, image: NDArray[np.uint8], rect: Rect, alpha: float = 1, over: bool = False) -> None:
        """Draw an image of state bytes; one that lies over others is not hovered over."""
        for name, value in zip(PICTURES, [image, *rect, alpha], strict=True):
            (self.over if over else self.pages)[name].append(value)

    def quad(
        self,
        rect: Rect,
        fill: str | None = None,
        line: str | None = None,
        width: float = 1,
        dash: str = "solid",
        hatch: str = "blank",
        tip: str = "",
        alpha: float = 1,
    ) -> None:
        """Draw a rectangle; colours are roles of the theme, None for nothing. With a tip it is a block, shown on hover; else a mark."""
        colour = self.theme._asdict()
        row: list[Any] = [rect.x, rect.y, rect.x + rect.w, rect.y + rect.h, colour[fill or "paper"], alpha if fill else 0.0]
        row += [colour[line or "paper"], width * self.scale if line else 0, dash]
        row += [hatch, colour["quiet" if fill in ("paper", "pcp") else "paper"], tip]
        for name, value in zip(QUADS, row, strict=True):
            (self.blocks if tip else self.marks)[name].append(value)

    def hatches(self) -> Columns:
        """Return the places and hatches of the blocks that have one."""
        rows = [i for i, hatch in enumerate(self.blocks["hatch"]) if hatch != "blank"]
        return {name: [self.blocks[name][i] for i in rows] for name in ("left", "top", "right", "bottom", "hatch", "hatch_color")}

    def block(self, rect: Rect, look: Look, tip: str = " ", alpha: float = 1) -> None:
        """Draw a block in the fill, outline and hatch of its state."""
        self.quad(rect, look.fill, "free_outline" if look.fill == "free" else None, hatch=look.hatch, tip=tip, alpha=alpha)

    def ring(self, rect: Rect, kind: str) -> None:
        """Draw a ring with a casing of paper: "changed" solid accent, "looked" dashed ink, "selected" solid ink."""
        line, width, dash = _RINGS[kind]
        self.quad(rect.grown(1), None, "paper", width + 3)
        self.quad(rect.grown(1), None, line, width, dash)

    def word(
        self,
        x: float,
        y: float,
        text: str,
        color: str = "quiet",
        size: float = 11,
        bold: bool = False,
        mono: bool = False,
        align: str = "left",
    ) -> None:
        """Write a text with its vertical middle at y."""
        row = [x, y, text, self.theme._asdict()[color], f"{size * self.scale:g}px", "bold" if bold else "normal"]
        row += [MONO if mono else SANS, align]
        for name, value in zip(WORDS, row, strict=True):
            self.words[name].append(value)


_RINGS = {"changed": ("changed", 2.0, "solid"), "looked": ("ink", 1.5, "4 3"), "selected": ("ink", 1.5, "solid")}
