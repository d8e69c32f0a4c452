"""What a notebook calls: each shows a panel, and says in words what it shows."""

import re

import pytest

from pagelab.lab import progress as kept_progress
from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT
from pagelab.lab.progress import Entry, record
from pagelab.lab.question import Fit
from pagelab.lab.scenario import text
from pagelab.lab.task import refuse_with_most_free
from pagelab.real.capture import example
from pagelab.view import attempt, check, compare, counts_table, page_map, play, predict, progress, try_requests
from pagelab.view.answer import Field
from pagelab.view.live_task import LiveTask, TryRequests
from pagelab.view.lock_step import LockStep
from pagelab.view.palette import DARK
from pagelab.view.player import Player
from pagelab.view.real_map import RealMap


@pytest.fixture(autouse=True)
def shown(tmp_path, monkeypatch):
    """What is displayed, instead of its printed form."""
    monkeypatch.chdir(tmp_path)
    html = []
    monkeypatch.setattr("pagelab.view.panel.display", lambda one: html.append(one.data))
    monkeypatch.setattr("pagelab.view.display", lambda one: html.append(one.data))
    return html


def test_play_gives_a_player_with_what_it_was_told(shown):
    player = play(text("alloc 0; alloc 1"), goto={"A: the pair": 1}, start=1, theme="dark", scale=1.5)
    assert isinstance(player, Player)
    assert ([button.description for button in player.goto], player.k, player.theme, player.scale) == (["A: the pair"], 1, DARK, 1.5)
    assert "Not connected: run this cell again." in shown[0]
    assert "step 1 of 2: alloc 1" in shown[0]


def test_compare_shows_two_runs_of_the_same_requests(shown):
    both = compare(text("alloc 0; alloc 1"), text("alloc 0; alloc 1"), labels=("a", "b"), goto={"A: the pair": 1}, start=1, theme="dark")
    assert isinstance(both, LockStep)
    assert (both.names, [button.description for button in both.goto], both.k, both.theme) == (("a", "b"), ["A: the pair"], 1, DARK)
    assert "step 1 of 2: alloc 1\nBoth: pages 2-3. Pages, labels and lists are the same." in shown[0]
    assert compare(text("alloc 0"), text("alloc 0")).names == ("6.1", "6.12")


def test_predict_asks_about_the_requests_after_a_tape(shown):
    field = predict("00-P2", text("alloc 0"), "alloc 1", ask=["pfn", "lists"])
    assert isinstance(field, Field)
    assert list(field.fields) == ["pfn", "lists"]
    assert field.questions["pfn"].truth() == 2
    assert predict("00-P2", text("alloc 0"), "alloc 1", ask="pfn", answer=2).last.state == RIGHT
    assert predict("00-P2", text("alloc 0"), "alloc 1", ask="pfn", answer=1).last.variant == "next-page"
    assert "00-P2: Not answered yet." in shown[0]


def test_check_takes_one_question_or_several():
    assert list(check("01-E2", Fit(5)).fields) == ["answer"]
    field = check("01-E2", {"order": Fit(5), "spare": Fit(5, "spare")}, answer={"order": 3, "spare": 3})
    assert field.last.state == RIGHT


def test_a_check_without_an_answer_is_not_answered_yet():
    assert check("01-E2", Fit(5), answer=None).last.state == OPEN


def test_attempt_shows_a_task():
    live = attempt("01-T1", refuse_with_most_free(), answer="alloc 0; alloc 5")
    assert isinstance(live, LiveTask)
    assert live.last.state == RIGHT


def test_try_requests_has_the_notebooks_own_pages():
    first, second = try_requests(pages=16), try_requests(pages=64)
    assert isinstance(first, TryRequests)
    assert (first.pages.value, second.pages.value) == ("16", "64")


def test_page_map_shows_a_captured_zone(shown):
    real = page_map(example(), "S0", "DMA32")
    assert isinstance(real, RealMap)
    assert "32,335 free" in shown[0]


def test_a_table_of_counts(shown):
    counts_table({"kernel": [1] * 11, "ours": [1] * 10 + [2]})
    assert "<u>2*</u>" in shown[0]
    assert "<td>kernel" in shown[0] or "kernel</th>" in shown[0]


def test_progress_lists_exercises_and_no_fields_to_try_things_in(shown):
    progress()
    assert "Nothing is answered yet." in shown[0]
    record("02-P1", Entry(RIGHT, "9"))
    record("02-<P2>", Entry(NOT_YET, "8"))
    record("02-P3", Entry(OPEN, ""))
    try_requests(pages=16)
    shown.clear()
    progress()
    rows = re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", shown[0])
    assert dict(rows) == {"02-P1": "right", "02-&lt;P2&gt;": "not yet", "02-P3": "not answered yet"}


def test_progress_names_a_damaged_file(shown):
    kept_progress.FILE.write_text("not json")
    progress()
    assert "progress.damaged.json" in shown[0]
    assert "Nothing is answered yet." in shown[0]
