"""Colours: text can be read on every state, and no state is told by colour alone."""

from itertools import combinations

import pytest

from pagelab.mm.zone import HOLE, IN_USE, ISOLATE, MIGRATETYPES, RESERVED
from pagelab.view.palette import (
    DARK,
    FREE_LOOK,
    GAP,
    HOLE_LOOK,
    KIND_UNKNOWN,
    LIGHT,
    PCP_LOOK,
    RESERVED_LOOK,
    UNKNOWN_LOOK,
    USED_LOOKS,
    colours,
    look,
)

LOOKS = (FREE_LOOK, HOLE_LOOK, RESERVED_LOOK, UNKNOWN_LOOK, PCP_LOOK, *USED_LOOKS)
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)


def luminance(colour):
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """Return the contrast ratio of WCAG 2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_is_right():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@THEMES
@pytest.mark.parametrize("state", LOOKS, ids=lambda state: state.words)
def test_text_on_every_state_can_be_read(theme, state):
    assert contrast(getattr(theme, state.text), getattr(theme, state.fill)) >= 4.5


@THEMES
@pytest.mark.parametrize("text", ["ink", "quiet", "changed_text"])
@pytest.mark.parametrize("ground", ["paper", "free"])
def test_text_on_paper_and_on_free_can_be_read(theme, text, ground):
    assert contrast(getattr(theme, text), getattr(theme, ground)) >= 4.5


@THEMES
def test_rings_and_outlines_stand_out_from_paper(theme):
    for role in ("changed", "free_outline", "ink", "quiet"):
        assert contrast(getattr(theme, role), theme.paper) >= 3


@THEMES
def test_the_further_from_the_paper_the_harder_to_get_back(theme):
    states = ("paper", "free", "pcp", "movable", "reclaimable", "unmovable", "reserved")
    steps = [contrast(getattr(theme, state), theme.paper) for state in states]
    assert steps == sorted(steps)
    assert all(high / low > 1.1 for low, high in zip(steps, steps[1:], strict=False))


def test_no_two_states_are_told_apart_by_colour_alone():
    for one, other in combinations(LOOKS, 2):
        outlined = (one is FREE_LOOK) != (other is FREE_LOOK)  # a free block is the one with an outline
        assert outlined or (one.hatch, one.letter) != (other.hatch, other.letter), (one.words, other.words)


def test_every_look_has_a_name_and_a_colour_of_its_own():
    assert len({state.words for state in LOOKS}) == len(LOOKS)
    for theme in (LIGHT, DARK):
        assert len({getattr(theme, state.fill) for state in LOOKS}) == len(LOOKS)


@pytest.mark.parametrize("order", range(11))
def test_every_state_byte_of_a_zone_has_its_look(order):
    for mt in range(len(MIGRATETYPES)):
        assert look(mt << 4 | order) is FREE_LOOK
        assert look(IN_USE | mt << 4 | order) is (UNKNOWN_LOOK if mt == ISOLATE else USED_LOOKS[min(mt, 2)])
    assert look(0x60 | order) is FREE_LOOK, "what a request holds is free until it is handed out"


def test_the_other_state_bytes():
    assert look(HOLE) is look(GAP) is HOLE_LOOK
    assert look(RESERVED) is RESERVED_LOOK
    assert look(KIND_UNKNOWN) is UNKNOWN_LOOK
    assert [used.words for used in USED_LOOKS] == ["unmovable", "movable", "reclaimable"]
    assert [used.letter for used in USED_LOOKS] == ["U", "M", "R"]


@THEMES
def test_a_map_has_a_colour_for_each_byte(theme):
    palette = colours(theme)
    assert len(palette) == 256
    for state in (0x00, 0x1A, 0x6A, 0x80, 0x9A, 0xA0, HOLE, RESERVED, KIND_UNKNOWN):
        assert palette[state] == getattr(theme, look(state).fill)
    assert palette[GAP].endswith("00"), "the paper shows"
    assert theme.changed not in palette, "the accent is no state"
