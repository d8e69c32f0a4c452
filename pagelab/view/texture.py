"""Textures: what repeats a state's lightness and hue on a map of many pages, as an image that lies over it. No bokeh here."""

import numpy as np
from numpy.typing import NDArray

from .drawing import Drawing
from .layout import Layout
from .palette import BAR, DOT, GAP, HOLE_LOOK, PAPER_LINE, PCP_LOOK, QUIET_LINE, RESERVED_LOOK, USED_LOOKS, look

DOWN = 2  # CSS pixels of a row of the texture; a column is one
_STROKE_OF = {PCP_LOOK: DOT, USED_LOOKS[2]: BAR, RESERVED_LOOK: PAPER_LINE, HOLE_LOOK: QUIET_LINE}
# The stroke of each state byte, or 0.
STROKES = np.array([0 if state == GAP else _STROKE_OF.get(look(state), 0) for state in range(256)], np.uint8)


def texture(image: NDArray[np.uint8], across: int, down: int) -> NDArray[np.uint8]:
    """Draw the strokes of every cell.

    Args:
        image: uint8 array, shape (rows, columns): a state byte for each cell.
        across: columns of the texture for each cell.
        down: rows of the texture for each cell.

    Returns:
        uint8 array, shape (rows * down, columns * across): a stroke, or GAP where the cell shows.

    >>> texture(np.array([[0xA0, 0x90]], np.uint8), 2, 3).tolist() == [[GAP] * 4, [BAR, BAR, GAP, GAP], [GAP] * 4]
    True
    """
    strokes = STROKES[image].repeat(down, axis=0).repeat(across, axis=1)
    y, x = np.arange(strokes.shape[0])[:, None], np.arange(strokes.shape[1])
    middle = y % down == down // 2
    dot = middle & (abs(2 * (x % across) + 1 - across) <= 1)
    line = (x + DOWN * y) % 8 < 2
    seen = ((strokes == BAR) & middle) | ((strokes == DOT) & dot) | ((strokes >= PAPER_LINE) & line)
    return np.where(seen, strokes, np.uint8(GAP))


def draw_texture(drawing: Drawing, where: Layout, image: NDArray[np.uint8], left: float, top: float) -> None:
    """Lay the texture over a map with its upper left corner at (left, top): over the rows that have one, where there are any."""
    rows = np.flatnonzero(STROKES[image].any(axis=1))
    if len(rows) and not where.tiled:
        first, end = int(rows[0]), int(rows[-1]) + 1
        strokes = texture(image[first:end], round(where.w), round(where.h / DOWN))
        drawing.picture(strokes, where.at(left, top)._replace(y=top + first * where.h, h=(end - first) * where.h), over=True)
