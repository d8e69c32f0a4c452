"""Figures that live: what a front end is sent is the present state, and each source is assigned once a step."""

import json

import numpy as np
import pytest
from bokeh.events import Tap
from bokeh.models import HoverTool
from IPython.core.interactiveshell import InteractiveShell

from pagelab.mm.page_alloc import boot
from pagelab.view import live_figure
from pagelab.view.drawing import Drawing, Rect
from pagelab.view.layout import layout
from pagelab.view.live_figure import Canvas, load_bokehjs
from pagelab.view.palette import DARK, LIGHT, colours


def drawing(text, theme=LIGHT):
    drawn = Drawing(theme)
    drawn.quad(Rect(0, 0, 10, 10), "free", tip="<b>tip</b>")
    drawn.quad(Rect(0, 0, 10, 10), "changed")
    drawn.word(5, 5, text)
    return drawn


def sent(widget):
    """Return all that a front end is sent when it asks for the state, as text."""
    bundle = widget.get_state()["render_bundle"]
    return bundle if isinstance(bundle, str) else json.dumps(bundle, default=str)


def test_a_front_end_is_sent_the_present_state_each_time_it_asks():
    canvas = Canvas("stage", 100, 50, LIGHT)
    widget = canvas.widget()
    for text in ("first picture", "second picture", "third picture"):
        canvas.show(drawing(text))
        assert text in sent(widget)
    assert "first picture" not in sent(widget)


def test_a_figure_is_serialised_anew_before_it_is_shown():
    canvas = Canvas("stage", 100, 50, LIGHT)
    widget = canvas.widget()
    canvas.show(drawing("present"))
    before = widget.render_bundle
    assert "present" not in json.dumps(before, default=str)
    assert "present" in sent(widget), "what one front end asked for"
    widget.renew()
    now = widget.render_bundle
    assert "present" in json.dumps(now, default=str), "all the others are told too"
    widget.renew()
    assert widget.render_bundle is now, "nothing has changed since"


def test_one_trait_alone_is_sent_as_it_is():
    canvas = Canvas("stage", 100, 50, LIGHT)
    assert set(canvas.widget().get_state("layout")) == {"layout"}


def test_figure_and_sources_can_be_found_by_name():
    canvas = Canvas("stage", 100, 50, LIGHT)
    assert canvas.figure.name == "stage"
    parts = ("pages", "over", "blocks", "hatches", "marks", "words")
    assert {source.name for source in canvas.sources.values()} == {f"stage-{part}" for part in parts}


def assignments(canvas, do):
    """Return how often each source is assigned while something is done."""
    counted = dict.fromkeys(canvas.sources, 0)

    def count(part):
        def change(_attr, _old, _new):
            counted[part] += 1

        return change

    watchers = {part: count(part) for part in canvas.sources}
    for part, source in canvas.sources.items():
        source.on_change("data", watchers[part])
    do()
    for part, source in canvas.sources.items():
        source.remove_on_change("data", watchers[part])
    return counted


def test_each_source_is_assigned_once_when_shown():
    canvas = Canvas("stage", 100, 50, LIGHT)
    canvas.show(drawing("before"))
    counted = assignments(canvas, lambda: canvas.show(drawing("after")))
    assert counted["words"] == 1
    assert max(counted.values()) == 1
    assert assignments(canvas, lambda: canvas.show_marks(drawing("again")))["blocks"] == 0


def test_marks_alone_leave_blocks_as_they_are():
    canvas = Canvas("stage", 100, 50, LIGHT)
    canvas.show(drawing("before"))
    blocks = canvas.sources["blocks"].data
    other = Drawing(LIGHT)
    other.word(0, 0, "after")
    canvas.show_marks(other)
    assert canvas.sources["blocks"].data == blocks
    assert canvas.sources["words"].data["text"] == ["after"]
    assert canvas.sources["marks"].data["left"] == []


def test_one_unit_is_one_pixel_with_y_downwards():
    canvas = Canvas("stage", 100, 50, LIGHT)
    figure = canvas.figure
    assert figure.x_range.end - figure.x_range.start == figure.width
    assert (figure.y_range.start, figure.y_range.end) == (50, 0)
    large = Canvas("stage", 100, 50, LIGHT, scale=1.5).figure
    assert (large.width, large.height) == (162, 75)
    assert (large.x_range.end, large.y_range.start) == (figure.x_range.end, figure.y_range.start)


def test_a_picture_lies_where_its_layout_says():
    canvas, where = Canvas("stage", 600, 100, LIGHT), layout(0, 1024)
    canvas.map_pages((where, (44, 4)))
    states, drawn = boot(1024).page_states(), drawing("")
    drawn.picture(where.image(states), where.at(44, 4))
    drawn.picture(where.image(states), where.at(44, 4), alpha=0.5, over=True)
    canvas.show(drawn)
    for part, alpha in (("pages", 1), ("over", 0.5)):
        data = canvas.sources[part].data
        assert (data["x"], data["y"], data["dw"], data["dh"], data["alpha"]) == ([44], [4], [where.width], [where.height], [alpha])
        assert np.array_equal(data["image"][0], where.image(states))
    canvas.show(drawing(""))
    assert canvas.sources["pages"].data["image"] == canvas.sources["over"].data["image"] == []


def test_hovering_is_told_in_the_figure():
    canvas = Canvas("stage", 600, 100, LIGHT)
    canvas.map_pages((layout(0, 1024), (44, 4)))
    assert len(canvas.figure.select(HoverTool)) == 2


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_a_theme_colours_the_image(theme):
    canvas = Canvas("stage", 100, 50, LIGHT)
    canvas.set_theme(theme)
    assert canvas.mapper.palette == colours(theme)
    assert (canvas.mapper.low, canvas.mapper.high) == (-0.5, 255.5)


def test_a_click_is_passed_on_with_its_place():
    canvas, clicks = Canvas("stage", 100, 50, LIGHT), []
    canvas.on_tap(lambda x, y: clicks.append((x, y)))
    canvas.figure._trigger_event(Tap(canvas.figure, x=3.5, y=7))
    assert clicks == [(3.5, 7)]


def test_the_page_tells_its_theme():
    canvas, told = Canvas("stage", 100, 50, LIGHT), []
    canvas.on_show("a label", told.append)
    (script,) = canvas.figure.js_property_callbacks["change:inner_width"]
    assert script.args["label"] == "a label"
    script.args["seen"].data = {"theme": ["dark"]}
    assert told == ["dark"]


def test_bokehjs_is_sent_to_a_notebook_and_asks_for_nothing_from_elsewhere(monkeypatch):
    loaded = []
    monkeypatch.setattr(live_figure, "output_notebook", lambda resources, **_: loaded.append(resources))
    load_bokehjs()
    assert loaded == [], "nothing to send it to outside a notebook"
    monkeypatch.setattr(live_figure, "get_ipython", InteractiveShell)
    load_bokehjs()
    assert [resources.mode for resources in loaded] == ["inline"]
    assert loaded[0].components == ["bokeh"]
