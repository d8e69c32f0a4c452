"""Drawings: columns of equal length, in the roles' colours."""

import pytest
from runs import columns_of, quads, words

from pagelab.view.drawing import QUADS, WORDS, Drawing, Rect
from pagelab.view.palette import DARK, FREE_LOOK, HOLE_LOOK, LIGHT, PCP_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, USED_LOOKS

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
PLACE = Rect(10, 20, 30, 40)


def test_a_rectangle_grows_on_each_side():
    assert PLACE.grown(2) == Rect(8, 18, 34, 44)
    assert PLACE.grown(-2).grown(2) == PLACE


def test_a_new_drawing_is_empty():
    drawing = Drawing(LIGHT)
    assert all(column == [] for part in columns_of(drawing).values() for column in part.values())
    assert (tuple(drawing.blocks), tuple(drawing.marks), tuple(drawing.words)) == (QUADS, QUADS, WORDS)


@THEMES
def test_a_quad_is_a_block_with_a_tip_and_a_mark_without(theme):
    drawing = Drawing(theme)
    drawing.quad(PLACE, "free", "ink", 1.5, "4 3", tip="<b>page 4</b>")
    drawing.quad(PLACE, "changed")
    (block,), (mark,) = quads(drawing.blocks), quads(drawing.marks)
    assert block[:4] == mark[:4] == (10, 20, 40, 60)
    assert (block.fill, block.fill_alpha, block.line, block.line_width, block.dash) == (theme.free, 1, theme.ink, 1.5, "4 3")
    assert (mark.fill, mark.line_width, mark.hatch) == (theme.changed, 0, "blank")


def test_no_fill_is_seen_through_and_no_line_has_no_width():
    drawing = Drawing(LIGHT)
    drawing.quad(PLACE)
    (mark,) = quads(drawing.marks)
    assert (mark.fill_alpha, mark.line_width) == (0, 0)
    drawing.quad(PLACE, "paper", alpha=0.6)
    assert quads(drawing.marks)[1].fill_alpha == 0.6


@THEMES
@pytest.mark.parametrize("look", [FREE_LOOK, HOLE_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, PCP_LOOK, *USED_LOOKS], ids=lambda look: look.words)
def test_a_block_is_drawn_in_its_state(theme, look):
    drawing = Drawing(theme)
    drawing.block(PLACE, look, "tip")
    (block,) = quads(drawing.blocks)
    assert (block.fill, block.hatch, block.tip) == (getattr(theme, look.fill), look.hatch, "tip")
    assert block.hatch_color != block.fill, "a hatch can be seen"
    assert (block.line == theme.free_outline and block.line_width > 0) == (look is FREE_LOOK), "only a free block has an outline"


@THEMES
@pytest.mark.parametrize(
    ("kind", "role", "dash", "width"),
    [("changed", "changed", "solid", 2), ("looked", "ink", "4 3", 1.5), ("selected", "ink", "solid", 1.5)],
)
def test_a_ring_has_a_casing_of_paper_and_no_fill(theme, kind, role, dash, width):
    drawing = Drawing(theme)
    drawing.ring(PLACE, kind)
    casing, ring = quads(drawing.marks)
    assert (casing.line, casing.dash, casing.line_width) == (theme.paper, "solid", width + 3)
    assert (ring.line, ring.dash, ring.line_width) == (getattr(theme, role), dash, width)
    assert (casing.fill_alpha, ring.fill_alpha) == (0, 0)
    assert ring.left < PLACE.x
    assert ring.right > PLACE.x + PLACE.w


def test_words_have_their_role_and_font():
    drawing = Drawing(DARK)
    drawing.word(1, 2, "free", "changed_text", 12, bold=True, align="center")
    drawing.word(3, 4, "1896", mono=True)
    first, second = words(drawing.words)
    assert (first.x, first.y, first.text, first.color, first.size, first.style) == (1, 2, "free", DARK.changed_text, "12px", "bold")
    assert (second.color, second.size, second.style, second.align) == (DARK.quiet, "11px", "normal", "left")
    assert "Arial" in first.font
    assert "monospace" in second.font


def test_scale_multiplies_type_and_lines():
    drawing = Drawing(LIGHT, 1.5)
    drawing.word(0, 0, "x", size=11)
    drawing.quad(PLACE, None, "ink", 2)
    assert words(drawing.words)[0].size == "16.5px"
    assert quads(drawing.marks)[0].line_width == 3
