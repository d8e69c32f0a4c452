"""The player without a browser: positions, controls, and what is shown at each."""

import asyncio
import json
import re
from html import escape, unescape

import ipywidgets as widgets
import numpy as np
import pytest
from bokeh.events import Tap
from runs import KINDS, busy_run, kinds_of_machines, outside, overlapping, random_run, words

from pagelab.lab.caption import captions
from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.machine import Machine, machine
from pagelab.mm.page_alloc import boot
from pagelab.view.columns import moment
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.player import Player
from pagelab.view.strip import strip_x
from pagelab.view.summary import summary
from pagelab.view.words import sentence

REQUESTS = "alloc 0; alloc 1; free @0; alloc 4"
ACTS = [len(acts) for acts in map(text(REQUESTS).acts, range(4))]
LAST = ACTS[3] - 1  # a refused request looks at every list


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def one_player():
    return Player(text(REQUESTS), goto={"A: the free": 2, "B: looks": (2, 1)}, start=(1, 0))


@pytest.fixture
def player(one_player):
    """A player as it opens; making one takes a while."""
    one_player.mode.value = "by request"
    one_player.reset()
    return one_player


def place(player):
    return player.k, player.act


def press(player, name):
    buttons = [*player.buttons, *player.goto, player.reset_button, player.play_button]
    next(button for button in buttons if button.description == name).click()


def shown(player):
    """Return the words on the stage."""
    return player.stage.sources["words"].data["text"]


def sent(widget):
    """Return all that a front end is sent when it asks for a figure's state, as text."""
    bundle = widget.get_state()["render_bundle"]
    return bundle if isinstance(bundle, str) else json.dumps(bundle, default=str)


def test_the_acts_of_the_run_here():
    assert ACTS[:3] == [8, 3, 6]


def test_it_opens_where_it_is_told():
    for start, there in [((0, 0), (0, 0)), (2, (2, 5)), ((0, -1), (0, 7)), (4, (4, 0))]:
        assert place(Player(text(REQUESTS), start=start)) == there


@pytest.mark.parametrize("start", [5, -1, (0, 8), (1, -4)])
def test_a_place_to_open_that_does_not_exist_is_an_error(start):
    with pytest.raises(ValueError, match="does not exist"):
        Player(text(REQUESTS), start=start)


def test_a_theme_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="theme 'blue' does not exist"):
        Player(text(), theme="blue")


def test_next_by_request_goes_from_end_to_end():
    player = Player(text(REQUESTS))
    seen = [place(player)]
    for _ in range(6):
        player.next()
        seen.append(place(player))
    assert seen == [(0, 0), (0, 7), (1, 2), (2, 5), (3, LAST), (4, 0), (4, 0)]


def test_back_by_request_is_the_way_there():
    player = Player(text(REQUESTS), start=4)
    seen = []
    for _ in range(6):
        player.back()
        seen.append(place(player))
    assert seen == [(3, LAST), (2, 5), (1, 2), (0, 7), (0, 0), (0, 0)]


def test_by_act_every_act_is_met_on_the_way_there_and_back():
    player = Player(text(REQUESTS))
    player.mode.value = "by act"
    every = [(k, act) for k, count in enumerate(ACTS) for act in range(count)] + [(4, 0)]
    seen = [place(player)]
    while place(player) != (4, 0):
        player.next()
        seen.append(place(player))
    assert seen == every
    while place(player) != (0, 0):
        player.back()
        seen.append(place(player))
    assert seen == every + every[-2::-1]


def test_from_the_middle_of_a_request():
    player = Player(text(REQUESTS), start=(2, 1))
    player.next()
    assert place(player) == (2, 5)
    player.go((2, 1))
    player.back()
    assert place(player) == (1, 2)


def test_changing_the_mode_changes_no_place(player):
    player.go((2, 1))
    for mode in ("by act", "by request"):
        player.mode.value = mode
        assert place(player) == (2, 1)


def test_the_buttons_do_what_they_say(player):
    press(player, "Last")
    assert place(player) == (4, 0)
    press(player, "Back")
    assert place(player) == (3, LAST)
    press(player, "First")
    assert place(player) == (0, 0)
    press(player, "Next")
    assert place(player) == (0, 7)
    press(player, "A: the free")
    assert place(player) == (2, 5)
    press(player, "B: looks")
    assert place(player) == (2, 1)
    press(player, "Reset")
    assert place(player) == (1, 0)


def test_controls_are_labelled_in_words_and_marked_for_the_keyboard(player):
    assert [button.description for button in player.buttons] == ["First", "Back", "Next", "Last"]
    for button, name in zip(player.buttons, ("first", "back", "next", "last"), strict=True):
        assert f"pagelab-{name}" in button._dom_classes
    assert not any(button.icon for button in [*player.buttons, *player.goto, player.play_button, player.reset_button])
    assert player.mode.options == ("by request", "by act")


def test_a_place_that_does_not_exist_leaves_the_player_as_it_was(player):
    player.go((2, 1))
    before = (place(player), player.slider.value, player.caption.value, player.position.value, list(shown(player)))
    for bad in [5, -1, 99, (0, 8), (1, 3), (-1, 0)]:
        with pytest.raises(ValueError, match="does not exist"):
            player.go(bad)
        assert (place(player), player.slider.value, player.caption.value, player.position.value, list(shown(player))) == before


def test_the_slider_goes_to_a_request(player):
    for value, there in [(3, (3, LAST)), (0, (0, 0)), (4, (4, 0)), (2, (2, 5))]:
        player.slider.value = value
        assert place(player) == there
    player.mode.value = "by act"
    player.slider.value = 1
    assert place(player) == (1, 0)


def test_the_slider_follows_and_does_not_push(player):
    for there in [(2, 1), (3, 0), (0, 4), (4, 0)]:
        player.go(there)
        assert (player.slider.value, place(player)) == (there[0], there)
    assert (player.slider.min, player.slider.max) == (0, 4)


def test_the_slider_of_an_empty_run_stays_at_its_start():
    player = Player(text())
    player.slider.value = 1
    assert place(player) == (0, 0)
    for do in (player.next, player.back, player.first, player.last, player.reset):
        do()
        assert place(player) == (0, 0)


def test_a_click_on_the_strip_goes_to_that_step(player):
    figure = player.strip.figure
    for k in (3, 0, 2):
        figure._trigger_event(Tap(figure, x=strip_x(player._run, k, 824), y=50))
        assert player.k == k


def test_reset_forgets_the_selection(player):
    figure = player.stage.figure
    figure._trigger_event(Tap(figure, x=44 + 28 * 4.5, y=15))
    assert player.selected == 4
    assert any(text.startswith("pages 4-7") for text in shown(player))
    figure._trigger_event(Tap(figure, x=44 + 28 * 4.5, y=15))
    assert player.selected is None
    figure._trigger_event(Tap(figure, x=44 + 28 * 4.5, y=15))
    player.next()
    assert player.selected == 4, "it stays through steps"
    player.reset()
    assert player.selected is None
    figure._trigger_event(Tap(figure, x=5, y=400))
    assert player.selected is None


def test_what_is_shown_is_a_function_of_tape_and_place():
    player, tape = Player(text(REQUESTS)), text(REQUESTS)
    for k, count in enumerate(ACTS):
        for act in range(count):
            player.go((k, act))
            one = {part: source.data for part, source in player.stage.sources.items()}
            if act != min(3, count - 1):
                continue
            other = Player(tape, start=(k, act))
            assert one == {part: source.data for part, source in other.stage.sources.items()}
            assert (player.caption.value, player.twin.value, player.acts.value) == (other.caption.value, other.twin.value, other.acts.value)


def test_words_are_those_of_the_moment(player):
    player.mode.value = "by act"
    tape = text(REQUESTS)
    for k, count in enumerate(ACTS):
        written = captions(tape.acts(k))
        for act in range(count):
            player.go((k, act))
            now = moment(tape, k, act)
            assert written[act].sentence in player.caption.value
            assert written[act].function.split(" → ")[0] in player.caption.value
            assert "6.12" in player.caption.value
            assert f"<b>{act + 1} {written[act].short}</b>" in player.acts.value
            assert f"act {act + 1} of {count}" in player.position.value
            assert sentence(now) in player.twin.value
    player.mode.value = "by request"
    player.go(1)
    assert summary(tape.acts(1)).sentence in player.caption.value
    player.last()
    assert "The end: 14 of 16 pages are free." in player.caption.value


def test_typed_text_is_escaped():
    player = Player(text(), goto={"<b>": 0})
    assert player.goto[0].description == "<b>"
    assert "<script" not in player.position.value


def test_the_caption_is_told_to_a_screen_reader(player):
    assert "pagelab-status" in player.caption._dom_classes


def test_its_text_is_the_place_in_words(player):
    player.go(1)
    assert player.text() == ("step 1 of 4: alloc 1\n15 of 16 pages were free before this step, 13 are now. 2 left its list.")
    player.last()
    assert player.text() == "step 4 of 4: the end\nThe end: 14 of 16 pages are free."
    bundle = player._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"] == player.text()


def test_every_source_is_assigned_once_a_step(player):
    counted = {}
    for canvas in (player.strip, player.stage):
        for source in canvas.sources.values():

            def change(_attr, _old, _new, name=source.name):
                counted[name] = counted.get(name, 0) + 1

            source.on_change("data", change)
    for do in (player.next, player.next, player.back, lambda: player.go((0, 3))):
        counted.clear()
        do()
        assert counted.pop("stage-words") == 1
        assert set(counted) <= {"stage-blocks", "stage-hatches", "stage-marks", "stage-pages", "strip-marks", "strip-words"}
        assert set(counted.values()) <= {1}, "and what does not change in the strip is left alone"


def test_a_second_display_and_a_reload_show_the_present_step(player):
    player.mode.value = "by act"
    for there, said in [((0, 3), "8 to the head of list 3"), ((2, 3), "2: in use. Merging stops."), ((3, LAST), "")]:
        player.go(there)
        state = sent(player.stage_widget)
        now = [text for text in shown(player) if len(text) > 3 and text.isascii()]
        assert [text for text in now if text not in state] == []
        assert said in state
    player.go((1, 0))
    assert "8 to the head of list 3" not in sent(player.stage_widget)
    strip_state = sent(player.strip_widget)
    assert '"step 1"' in strip_state


def test_before_it_is_displayed_its_figures_are_made_anew(player):
    player.go((0, 3))
    player._repr_mimebundle_()
    assert "8 to the head of list 3" in json.dumps(player.stage_widget.render_bundle, default=str)
    assert '"step 0"' in json.dumps(player.strip_widget.render_bundle, default=str)


def test_two_players_of_one_tape_are_apart():
    tape = text(REQUESTS)
    one, other = Player(tape), Player(tape)
    one.last()
    assert (place(one), place(other)) == ((4, 0), (0, 0))


def test_another_run_of_the_same_zone():
    player = Player(text(REQUESTS))
    longer = player.tape.then("free 2; alloc 0 x3")
    player.set_tape(longer)
    assert (player.slider.max, place(player)) == (len(longer), (len(longer) - 1, len(longer.acts(len(longer) - 1)) - 1))
    assert "of 8" in player.position.value
    player.last()
    assert place(player) == (8, 0)
    player.set_tape(longer.fork(2))
    assert (player.slider.max, place(player)) == (2, (1, 2))
    player.set_tape(longer.fork(0))
    assert place(player) == (0, 0)
    assert "The end" in player.caption.value


def test_a_given_theme_is_kept_and_the_pages_own_is_followed():
    dark = Player(text(REQUESTS), theme="dark")
    dark._set_theme("light")
    assert dark.theme is DARK
    free = Player(text(REQUESTS))
    assert free.theme is LIGHT
    free._set_theme("dark")
    assert free.theme is DARK
    assert free.stage.mapper.palette == dark.stage.mapper.palette
    assert LIGHT.ink not in free.stage.sources["words"].data["color"]
    assert LIGHT.pcp not in free.strip.sources["blocks"].data["fill"]


def test_play_goes_on_to_the_end_and_can_be_paused():
    async def watch():
        player = Player(text("alloc 0; alloc 0"))
        player.play_button.click()
        await asyncio.sleep(0)
        assert (place(player)[0], player.play_button.description) == (0, "Pause")
        player.play_button.click()
        assert player.play_button.description == "Play"
        paused = place(player)
        await asyncio.sleep(0.7)
        assert place(player) == paused
        player.last()
        player.play_button.click()
        await asyncio.sleep(0.05)
        assert player.play_button.description == "Play", "at the end there is nothing to play"
        player.go((1, 0))
        player.play_button.click()
        await asyncio.sleep(0.05)
        assert place(player) == (1, 2)
        press(player, "First")
        assert (place(player), player.play_button.description) == ((0, 0), "Play"), "another button stops it"

    asyncio.run(watch())


def figures(player):
    return {
        name: {part: canvas.sources[part].data for part in ("blocks", "marks", "words")}
        for name, canvas in (("strip", player.strip), ("stage", player.stage))
    }


@pytest.mark.parametrize("pages", [16, 64, 4096, 5000])
def test_nothing_leaves_the_figures(pages):
    player = Player(random_run(pages, pages, length=15))
    wrong = {}
    for k in range(16):
        for act in range(len(player.tape.acts(k)) if k < 15 else 1):
            player.go((k, act))
            for name, drawn in figures(player).items():
                canvas = getattr(player, name)
                if out := outside(drawn, canvas.width, canvas.height):
                    wrong[name, k, act] = out
    assert wrong == {}


@pytest.mark.parametrize("pages", [16, 1024, 65_536])
def test_no_words_stand_on_each_other_at_the_end(pages):
    player = Player(random_run(pages, pages, length=15))
    player.last()
    assert overlapping(words(figures(player)["stage"]["words"])) == []


@pytest.mark.parametrize(("pages", "start"), [(100, 0), (4096, 0), (5000, 0), (65_536, 0), (300_000, 0), (100, 1), (4095, 1), (5000, 700)])
def test_the_map_shows_each_page_in_its_place(pages, start):
    tape = Tape(Machine(boot(pages, start))).then("alloc 0; alloc 0 unmovable")
    player = Player(tape, start=1)
    (image,) = player.stage.sources["pages"].data["image"]
    states, where = tape.at(2).zone.page_states(), player.where
    places = {int(place): (row, column) for row, line in enumerate(where.cells) for column, place in enumerate(line) if place >= 0}
    step = max(1, pages // 500)
    wrong = []
    for pfn in [*range(start, start + 16), *range(start, start + pages, step), start + pages - 1]:
        place = (pfn - where.start) // where.per_cell
        low = max(start, where.start + place * where.per_cell) - start
        expected = max(states[low : where.start + (place + 1) * where.per_cell - start])
        if image[places[place]] != expected:
            wrong.append((pfn, int(image[places[place]]), int(expected)))
    assert wrong == []
    assert np.shape(image) == where.cells.shape


def test_larger_zones_have_a_map_of_tiles_and_no_ladder():
    player = Player(text("alloc 0", 65_536), start=0)
    assert not any("order by order" in text for text in shown(player))
    assert any("order by order" in text for text in shown(Player(some_free([1]), start=0)))


def test_scale_enlarges_the_figures():
    large, normal = Player(text(), scale=1.5), Player(text())
    assert large.stage.figure.width == round(1.5 * normal.stage.figure.width)
    assert large.stage.sources["words"].data["size"][0] != normal.stage.sources["words"].data["size"][0]


def test_a_long_request_shows_the_acts_around_now():
    player = Player(text("alloc 0; free 0", 1024), start=(1, 6))
    assert player.acts.value.count("…") == 2
    assert "<b>7 " in player.acts.value
    assert player.acts.value.count("<span>") == 6


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_and_act_of_every_machine_is_shown_in_figures_and_words(kind):
    tape = busy_run(5, kinds_of_machines()[kind], 12, ("drain", "compact", "isolate"))
    player = Player(tape)
    player.mode.value = "by act"
    for k in range(len(tape)):
        written = captions(tape.acts(k))
        for act in sorted({0, 1, len(written) // 2, len(written) - 1} & set(range(len(written)))):
            player.go((k, act))
            assert escape(written[act].sentence, quote=False) in player.caption.value.replace("&#x27;", "'").replace("&quot;", '"')
            for canvas in (player.stage, player.strip):
                drawn = {part: canvas.sources[part].data for part in ("blocks", "marks", "words")}
                assert outside(drawn, canvas.width, canvas.height) == []
    player.mode.value = "by request"
    for k in range(len(tape)):
        player.go(k)
        assert escape(summary(tape.acts(k)).sentence) in player.caption.value
    player.last()
    assert "The end" in player.caption.value


def test_a_machine_with_several_zones_shows_the_one_that_was_used_and_names_it():
    player = Player(Tape(kinds_of_machines()["zones"]).then("alloc 0; alloc 0 dma; alloc 0"), start=0)
    assert "Zone DMA32: pages 4096-5999. Not shown: DMA, " in player.zones.value
    assert player.zones in player.children
    height, tiled = player.stage.figure.height, player.where
    player.go(1)
    assert "Zone DMA: pages 1-4095. Not shown: DMA32, " in player.zones.value
    assert player.where is not tiled
    assert player.stage.figure.height == height, "what did not change does not move"
    assert (player.stage._numbers.data["start"], player.stage._numbers.data["left"]) == ([0], [44])
    assert len(player.stage._places.data["place"]) == player.where.cells.size
    player.stage.figure._trigger_event(Tap(player.stage.figure, x=44 + 7 * 3.5, y=player.stages[0].map[1] + 3))
    assert player.selected == 3
    assert "Zone DMA: pages 1-4095." in player.text()
    player.go(2)
    assert "Zone DMA32" in player.zones.value
    assert Player(text()).zones not in Player(text()).children


def test_watermarks_and_per_cpu_lists_are_in_figure_and_words():
    player = Player(Tape(machine("48 MiB", pcp=True, min_free_kbytes=886, cpus=2)).then("alloc 0; alloc 0 cpu 1"), start=1)
    assert {"Watermarks", "low 276", "Per-CPU lists", "cpu 0", "cpu 1"} <= set(shown(player))
    assert "<caption>Per-CPU lists</caption>" in player.twin.value
    assert "12,285 &gt; low 276: passes" in player.twin.value
    assert "per-CPU list" in player.legend.value
    bare = Player(text("alloc 0", 12_288), start=0)
    assert not {"Watermarks", "Per-CPU lists"} & set(shown(bare))
    assert "per-CPU list" not in bare.legend.value
    assert "Watermarks" not in bare.twin.value


def test_another_run_may_need_other_places():
    player = Player(text("alloc 0", 4096))
    before = player.stage.figure.height
    assert "Unmovable" not in shown(player)
    player.set_tape(player.tape.then("alloc 0 unmovable"))
    assert {"Movable", "Unmovable"} <= set(shown(player))
    assert player.stage.figure.height > before
    assert player.stage.figure.y_range.start == player.stage.height == player.stage.figure.height
    player.set_tape(text("alloc 0", 4096))
    assert player.stage.figure.height == before


def test_textures_are_sent_only_where_there_are_some():
    tape = Tape(machine(4096)).then("alloc 0; alloc 0 reclaimable; alloc 0")
    player, sent = Player(tape), []
    player.stage.sources["over"].on_change("data", lambda _attr, _old, new: sent.append(len(new["image"])))
    for k in (0, 1, 2):
        player.go(k)
    assert sent == [1, 1]
    player.first()
    assert sent == [1, 1, 0]


def test_the_acts_stay_in_one_line():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    player = Player(tape)
    player.mode.value = "by act"
    for act, caption in enumerate(captions(tape.acts(200))):
        player.go((200, act))
        row = unescape(re.sub("<[^>]*>", "", player.acts.value))
        assert caption.short in row
        assert len(row) <= 160


def test_it_is_one_widget_that_can_be_shown_anywhere(player):
    assert isinstance(player, widgets.VBox)
    assert "pagelab-player" in player._dom_classes
