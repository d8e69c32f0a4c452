"""Two machines with caches under one control: the same requests, and what each keeps of them."""

import pytest
from runs import outside, overlapping, quads, words

from pagelab.lab import scenario
from pagelab.view import compare
from pagelab.view.lock_step import LockStep
from pagelab.view.slab_lock_step import WIDTH, SlabLockStep
from pagelab.view.slab_player import SlabPlayer

REQUESTS = "kmalloc 512 x30; " + "; ".join(f"kfree @{k}" for k in range(24))
LABELS = ("6.12", "7.x, one fork")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tapes():
    return scenario.slab(REQUESTS), scenario.slab(REQUESTS, kernel="7.x")


@pytest.fixture(scope="module")
def both(tapes):
    return SlabLockStep(*tapes, LABELS)


def test_each_side_says_what_its_own_player_says(both, tapes):
    for k in (0, 5, 29, 40, 54):
        both.go(k)
        for name, tape in zip(LABELS, tapes, strict=True):
            alone = SlabPlayer(tape, start=k).text().split("\n")[1]
            assert f"{name}: {alone}" in both.text()


def test_one_that_has_done_its_acts_waits_for_the_other(both, tapes):
    both.mode.value = "by act"
    both.first()
    seen = [0, 0]
    while both.k == 0:
        for side in (0, 1):
            seen[side] = max(seen[side], len(both.nows[side].pages.acts))
        both.next()
    assert seen == [len(tape.acts(0)) for tape in tapes]
    both.mode.value = "by request"


def test_nothing_leaves_the_figure_or_stands_on_another(both):
    for k in range(0, 55, 6):
        both.go(k)
        drawn = {part: both.stage.sources[part].data for part in ("blocks", "marks", "words")}
        assert outside(drawn, WIDTH, both.stage.height) == []
        assert overlapping(words(drawn["words"])) == []
        assert not [quad for quad in quads(drawn["marks"]) if quad.line == both.theme.ink and quad.line_width], "no slab is shown elsewhere"


def test_sheaves_stand_below_cpu_slabs(both):
    both.go(54)
    places = {word.text: word.y for word in words(both.stage.sources["words"].data)}
    assert places["6.12"] < places["cpu 0 slab"] < places["7.x, one fork"] < places["cpu 0 sheaves"]
    assert "sheaves: as one fork of 7.0 and 7.1 has them" in places


def test_the_legend_says_what_fills_and_marks_mean(both):
    legend = both.legend.value
    for said in ("free", "object in use", "object in a sheaf", "changed now", "looked at", "moved in this step", "left in this step"):
        assert said in legend
    assert both.legend in both.children
    assert "unmovable" not in legend


def test_the_text_twin_has_both(both):
    both.go(20)
    for text in ("6.12", "7.x, one fork", "cpu 0 slab", "cpu 0 sheaves"):
        assert text in both.twin.value


def test_compare_chooses_by_the_machine(tapes):
    assert isinstance(compare(*tapes, labels=LABELS), SlabLockStep)
    pages = scenario.text("alloc 0")
    assert isinstance(compare(pages, pages), LockStep)


def test_different_requests_are_refused(tapes):
    with pytest.raises(ValueError, match="their requests are not the same"):
        SlabLockStep(tapes[0], tapes[1].fork(3), LABELS)
