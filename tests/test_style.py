"""The style sheet and the script: the palette's colours, the keyboard, and what a screen reader is told."""

import re

import pytest

from pagelab.view.palette import DARK, LIGHT
from pagelab.view.style import CSS, READY

VARIABLES = {"ink": "ink", "quiet": "quiet", "line": "hairline", "paper": "paper", "changed": "changed_text", "accent": "changed"}


def declared(selector):
    """Return the custom properties of the first rule whose selector has these words."""
    rule = next(rule for rule in re.findall(r"([^{}]+)\{([^{}]*)\}", CSS) if selector in rule[0] and "--ink" in rule[1])
    return dict(re.findall(r"--(\w+): (#\w{6})", rule[1]))


@pytest.mark.parametrize(("selector", "theme"), [(".pagelab", LIGHT), ("pagelab-dark", DARK)], ids=["light", "dark"])
def test_the_style_sheet_has_the_colours_of_the_palette(selector, theme):
    assert declared(selector) == {name: getattr(theme, role) for name, role in VARIABLES.items()}


def test_no_other_colour_is_written():
    known = {colour for theme in (LIGHT, DARK) for colour in theme[1:]}
    assert set(re.findall(r"#[0-9A-Fa-f]{6}\b", CSS)) <= known
    assert not re.search(r"\brgba?\(|\bhsl\(", CSS)


def test_the_accent_means_now():
    users = {
        selector.strip() for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", CSS) if re.search(r"var\(--(changed|accent)\)", body)
    }
    assert users == {".pagelab-acts b", ".pagelab .noUi-handle"}


def test_focus_can_be_seen():
    focus = next(body for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", CSS) if "button:focus-visible" in selector)
    assert "outline: 2px solid var(--ink)" in focus


def test_nothing_moves():
    assert "transition" not in CSS
    for name, duration in re.findall(r"animation: ([\w-]+) (\S+)", CSS):
        assert duration == "0s", f"{name} is a cut"


def test_braces_are_in_pairs():
    assert CSS.count("{") == CSS.count("}")
    assert READY.count("{") == READY.count("}")
    assert READY.count("(") == READY.count(")")


def test_a_view_without_a_kernel_says_so():
    assert re.search(r"\.pagelab-off \{ display: none; \}", CSS)
    assert re.search(r"\.jupyter-widgets-disconnected \.pagelab-off \{ display: block;", CSS)


@pytest.mark.parametrize(("key", "name"), [("ArrowRight", "next"), ("ArrowLeft", "back"), ("Home", "first"), ("End", "last")])
def test_keys_press_the_buttons_of_the_player(key, name):
    assert f"{key}: '{name}'" in READY


def test_keys_are_left_alone_in_fields_and_on_the_slider():
    assert "closest('input, textarea, .noUi-handle')" in READY


def test_a_screen_reader_is_told_what_changes():
    assert "setAttribute('role', 'status')" in READY
    assert "setAttribute('aria-live', 'polite')" in READY
    assert "setAttribute('aria-label', label)" in READY
    assert "'aria-pressed'" in READY


def test_the_theme_is_read_from_the_page():
    assert "--jp-layout-color0" in READY
