"""The player of a machine with caches, without a browser: what it opens, shows, selects and says."""

import pytest
from bokeh.events import Tap

from pagelab.lab.caption import captions
from pagelab.lab.scenario import text
from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.view import play
from pagelab.view.player import Player
from pagelab.view.slab_player import SlabPlayer, player_of

TAPE = Tape(slab_machine(64)).then([kmalloc_request(512)] * 20 + [kfree_request(3), kfree_request(19), kmalloc_request(64)])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def player():
    return SlabPlayer(TAPE, start=20)


def words_of(player):
    return player.stage.sources["words"].data["text"]


def test_a_run_gets_the_player_of_its_machine():
    assert type(player_of(TAPE)) is SlabPlayer
    assert type(player_of(text("alloc 0"))) is Player
    assert type(play(TAPE)) is SlabPlayer
    with pytest.raises(ValueError, match="cache 'spoon' does not exist: this machine has no caches"):
        player_of(text("alloc 0"), cache="spoon")
    with pytest.raises(ValueError, match="cache 'spoon' does not exist"):
        player_of(TAPE, cache="spoon")


def test_the_cache_can_be_chosen():
    assert SlabPlayer(TAPE).cache == "kmalloc-512"
    chosen = SlabPlayer(TAPE, cache="kmalloc-64", start=23)
    assert chosen.text().startswith("step 23 of 23: the end\nkmalloc-64: 1 slab on 1 page, 1 of 64 objects in use.")


def test_every_act_is_met_and_said(player):
    player.first()
    player.mode.value = "by act"
    while player.k < len(TAPE):
        words = captions(TAPE.acts(player.k))
        assert words[player.act].sentence.split(".")[0].replace("'", "&#x27;") in player.caption.value
        assert f"{player.act + 1} {words[player.act].short}".replace("'", "&#x27;") in player.acts.value
        player.next()


def test_a_click_on_a_bar_shows_its_slab_until_it_is_clicked_again(player):
    assert "page 0: cpu 0 partial, 7 of 8 objects in use" in words_of(player)
    for at in (1, 1, 2):
        rect = next(rect for rect, pfn in player._placed if pfn == at)
        player.stage.figure._trigger_event(Tap(player.stage.figure, x=rect.x + 9, y=rect.y + 9))
    assert player.selected == 2
    player.next()
    assert "page 2: cpu 0 slab, 3 of 8 objects in use" in words_of(player)
    player.reset()
    assert player.selected is None
    player.stage.figure._trigger_event(Tap(player.stage.figure, x=2, y=2))
    assert player.selected is None


def test_the_text_twin_has_what_the_figures_have(player):
    twin = player.twin.value
    assert "19 of 24 objects in use. Asked 9,728 B, in slots 9,728 B, held 12,288 B; slabinfo 24 24." in twin
    for row in (
        "<td>cpu 0 slab</td><td>1</td><td>2:4</td>",
        "<td>cpu 0 partial</td><td>1</td><td>0:7</td>",
        "<td>full</td><td>1</td><td>1:8</td>",
    ):
        assert row in twin
    assert "<td>3</td><td>1536-2047</td><td>free</td><td>1st, slab&#x27;s</td><td></td>" in twin
    assert "3 slabs on 3 pages" in player.text()
    assert "kfree @3" in player.text()


def test_the_strip_is_of_the_cache(player):
    said = player.strip.sources["words"].data["text"]
    assert {"pages held", "at most 3", "objects in use", "0 to 20"} <= set(said)


def test_another_run_takes_its_place(player):
    other = Tape(slab_machine(64, cpus=2)).then([kmalloc_request(96, cpu) for cpu in (0, 1)])
    player.set_tape(other)
    assert (player.cache, player.k) == ("kmalloc-96", 1)
    assert "cpu 1 slab" in words_of(player)
    assert player.stage.height == player.slab_stage.height


def test_an_empty_run_can_be_shown():
    player = SlabPlayer(Tape(slab_machine(64)))
    assert "kmalloc-512 has no slab yet: the first request takes one." in words_of(player)
    assert "0 slabs on 0 pages, 0 of 0 objects in use" in player.text()


def test_requests_for_pages_are_shown_too():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)]).then("alloc 2").then([kmalloc_request(9000), kfree_request(2)])
    player = SlabPlayer(tape)
    player.mode.value = "by act"
    while player.k < len(tape):
        player.next()
    assert "1 slab on 1 page, 1 of 8 objects in use" in player.text()


@pytest.mark.parametrize("kind", ["dark", "light"])
def test_the_legend_says_what_marks_mean(kind):
    legend = SlabPlayer(TAPE, theme=kind).legend.value
    for words in ("free", "unmovable", "changed now", "looked at", "shown above", "moved in this step", "left in this step"):
        assert words in legend


def test_the_legend_has_only_states_that_can_be():
    for tape, has, has_not in (
        (TAPE, ["object in use; page: unmovable"], [">movable", "reclaimable", "reserved", "per-CPU", "sheaf"]),
        (TAPE.then("alloc 0"), [">M</i>movable"], ["reclaimable", "reserved"]),
        (Tape(slab_machine(64, pcp=True)).then([kmalloc_request(512, kind=1)]), ["reclaimable", "per-CPU list"], [">movable"]),
        (Tape(slab_machine(64, "7.x")).then([kmalloc_request(512)]), ["object in a sheaf"], ["per-CPU"]),
        (Tape(slab_machine(65)).then([kmalloc_request(512)]), ["object in use"], ["unmovable"]),
    ):
        legend = SlabPlayer(tape).legend.value
        assert all(words in legend for words in has)
        assert not any(words in legend for words in has_not)


def test_another_cache_of_the_run_can_be_shown(player):
    assert (player.cache_choice.options, player.cache_choice.value) == (("kmalloc-512", "kmalloc-64"), "kmalloc-512")
    assert player.cache_choice.layout.display is None
    player.last()
    player.cache_choice.value = "kmalloc-64"
    assert (player.cache, player.k, player.selected) == ("kmalloc-64", len(TAPE), None)
    assert "kmalloc-64: 1 slab on 1 page, 1 of 64 objects in use" in player.text()
    assert "A slab of kmalloc-64, byte for byte" in words_of(player)
    assert {"at most 1", "0 to 1"} <= set(player.strip.sources["words"].data["text"])
    assert player.stage.height == player.slab_stage.height
    player.first()
    player.next()
    assert "kmalloc-64 has no slab yet: the first request takes one." in words_of(player)
    player.cache_choice.value = "kmalloc-512"
    assert "A slab of kmalloc-512, byte for byte" in words_of(player)


def test_a_run_of_one_cache_offers_no_other():
    player = SlabPlayer(Tape(slab_machine(64)).then([kmalloc_request(512)] * 3))
    assert player.cache_choice.layout.display == "none"
    player.set_tape(TAPE)
    assert player.cache_choice.layout.display is None
    assert SlabPlayer(TAPE, cache="kmalloc-8").cache_choice.options == ("kmalloc-512", "kmalloc-64", "kmalloc-8")


def test_a_shrink_that_gives_everything_back():
    number = TAPE.at(0).names.index("kmalloc-512")
    tape = Tape(slab_machine(64)).then([kmalloc_request(512), kfree_request(0), cache_request("shrink", number)])
    player = SlabPlayer(tape, start=(2, 0))
    player.mode.value = "by act"
    while player.k < 3:
        player.next()
    assert "kmalloc-512 has no slab." in words_of(player)


def test_a_slab_is_chosen_without_a_mouse(player):
    assert [text for text, _ in player.choice.options] == [
        "as the run goes",
        "page 0: cpu partial",
        "page 1: on no list",
        "page 2: cpu slab",
    ]
    player.choice.value = 2
    assert player.selected == 2
    assert "page 2: cpu 0 slab, 4 of 8 objects in use" in words_of(player)
    player.next()
    assert (player.selected, player.choice.value) == (2, 2)
    player.choice.value = -1
    assert player.selected is None
    player.choice.value = 2
    player.first()
    assert dict(player.choice.options)["page 2: no slab now"] == 2
