"""Panels: the style, the words without a kernel, and figures made anew before they are shown."""

import json

import ipywidgets as widgets
import pytest

from pagelab.view.drawing import Drawing
from pagelab.view.live_figure import Canvas
from pagelab.view.palette import LIGHT
from pagelab.view.panel import NO_BOKEH, OFF, Panel, announce
from pagelab.view.style import CSS


class Small(Panel):
    def text(self):
        return "step 3 <of> 4"


def test_a_panel_brings_its_style_and_its_words_without_a_kernel():
    panel = Small([widgets.HTML("x")])
    first = panel.children[0].value
    assert CSS in first
    assert OFF in first
    assert "Not connected: run this cell again" in first
    assert "pagelab" in panel._dom_classes


def test_only_a_panel_with_a_figure_says_that_bokehjs_is_missing():
    canvas = Canvas("stage", 10, 10, LIGHT)
    assert NO_BOKEH in Small([widgets.HBox([canvas.widget()])]).children[0].value
    assert NO_BOKEH not in Small([widgets.HTML("x")]).children[0].value
    assert "load_bokehjs()" in NO_BOKEH


def test_what_a_panel_shows_is_there_as_text():
    bundle = Small([])._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "step 3 <of> 4"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_figures_at_any_depth_are_made_anew_before_they_are_shown():
    canvas = Canvas("stage", 10, 10, LIGHT)
    figure = canvas.widget()
    panel = Small([widgets.VBox([widgets.HBox([figure])])])
    drawing = Drawing(LIGHT)
    drawing.word(0, 0, "the present words")
    canvas.show(drawing)
    panel._repr_mimebundle_()
    assert "the present words" in json.dumps(figure.render_bundle, default=str)


def test_a_panel_must_say_what_it_shows():
    with pytest.raises(ValueError, match="says what it shows"):
        Panel([]).text()


def test_the_fallback_is_displayed_and_escaped(monkeypatch):
    shown = []
    monkeypatch.setattr("pagelab.view.panel.display", shown.append)
    announce(Small([]))
    assert "Not connected: run this cell again." in shown[0].data
    assert "step 3 &lt;of&gt; 4" in shown[0].data
    assert ":has(.pagelab) .pagelab-fallback" in shown[0].data, "it hides where the panel lives"
