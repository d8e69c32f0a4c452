"""Textures: on a map in greys a state is still told from its neighbours."""

import numpy as np
import pytest

from pagelab.mm.zone import HOLE, RESERVED
from pagelab.view.drawing import Drawing
from pagelab.view.layout import layout
from pagelab.view.palette import BAR, DARK, DOT, GAP, LIGHT, PAPER_LINE, QUIET_LINE, colours
from pagelab.view.texture import STROKES, draw_texture, texture

STATES = {"per-CPU": (0x70, DOT), "reclaimable": (0xA3, BAR), "reserved": (RESERVED, PAPER_LINE), "hole": (HOLE, QUIET_LINE)}
PLAIN = [0x00, 0x1A, 0x25, 0x63, 0x80, 0x9A, GAP]


@pytest.mark.parametrize("name", STATES)
def test_each_state_has_its_own_stroke_and_nothing_else_has_one(name):
    state, stroke = STATES[name]
    image = np.array([[state, *PLAIN]], np.uint8)
    strokes = texture(image, 7, 3)
    assert strokes.shape == (3, 7 * 8)
    assert set(strokes[:, :7].ravel().tolist()) == {stroke, GAP}
    assert (strokes[:, 7:] == GAP).all()


def test_a_dot_is_in_the_middle_of_its_page_and_a_bar_runs_through():
    dot = texture(np.full((1, 1), 0x70, np.uint8), 7, 3) == DOT
    assert dot.tolist() == [[False] * 7, [False, False, False, True, False, False, False], [False] * 7]
    bar = texture(np.full((2, 2), 0xA0, np.uint8), 5, 3) == BAR
    assert bar.all(axis=1).tolist() == [False, True, False] * 2
    assert bar.any(axis=1).tolist() == [False, True, False] * 2


def test_lines_go_on_from_page_to_page():
    lines = texture(np.full((4, 4), RESERVED, np.uint8), 7, 3) == PAPER_LINE
    assert np.array_equal(lines[1:, :-2], lines[:-1, 2:]), "each row is the row above, two pixels to the left"
    assert 0.2 < lines.mean() < 0.3


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_strokes_are_drawn_in_the_colours_of_the_theme_and_the_rest_lets_the_map_through(theme):
    palette = colours(theme)
    for stroke, role in ((BAR, "paper"), (DOT, "quiet"), (PAPER_LINE, "paper"), (QUIET_LINE, "quiet")):
        assert palette[stroke].startswith(getattr(theme, role))
        assert len(palette[stroke]) == 9
    assert palette[GAP].endswith("00")


def test_only_rows_with_a_texture_are_sent():
    where = layout(0, 4096)
    states = np.full(4096, 0x90, np.uint8)
    drawing = Drawing(LIGHT)
    draw_texture(drawing, where, where.image(states), 44, 4)
    assert drawing.over["image"] == []
    states[64 * 3 : 64 * 5] = 0xA0
    draw_texture(drawing, where, where.image(states), 44, 4)
    (strokes,) = drawing.over["image"]
    assert strokes.shape == (2 * 3, 64 * 7)
    assert [drawing.over[name] for name in ("x", "y", "dw", "dh")] == [[44], [4 + 3 * where.h], [where.width], [2 * where.h]]


def test_tiles_have_no_texture():
    where, drawing = layout(0, 8192), Drawing(LIGHT)
    draw_texture(drawing, where, where.image(np.full(8192, 0xA0, np.uint8)), 56, 4)
    assert drawing.over["image"] == []


def test_no_state_is_taken_for_a_stroke():
    assert {BAR, DOT, PAPER_LINE, QUIET_LINE, GAP}.isdisjoint({0xF0, 0xF1, *range(0xE1)})
    assert set(STROKES[:0x70].tolist()) == {0}
