"""Tasks with a field, and the field to try anything."""

from pathlib import Path

import pytest

from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT
from pagelab.lab.progress import Entry, load, record
from pagelab.lab.request import RequestError
from pagelab.lab.slab_task import one_page_back
from pagelab.lab.task import free_without_a_pair, refuse_with_most_free
from pagelab.view.live_task import MAX_TRY_PAGES, LiveTask, TryRequests


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def kept(name):
    return load()[0].get(name)


def test_a_new_task_is_not_answered_and_names_its_goal():
    live = LiveTask("01-T1", refuse_with_most_free())
    assert (live.last.state, live.text()) == (OPEN, "01-T1: Not answered yet.")
    assert any(refuse_with_most_free().goal in getattr(child, "value", "") for child in live.children)
    assert live.error.value == ""


def test_enter_does_what_is_typed_and_empties_the_field():
    live = LiveTask("01-T1", refuse_with_most_free())
    live.field.value = "alloc 0"
    assert (live.field.value, live.task.used, live.last.state) == ("", 1, NOT_YET)
    assert (live.player.k, len(live.player.tape)) == (0, 1)
    live.field.value = "alloc 5"
    assert (live.task.used, live.last.state) == (2, RIGHT)
    assert "2 requests used; the fewest known is 2" in live.verdict.value
    assert (live.player.k, len(live.player.tape)) == (1, 2)
    assert kept("01-T1") == Entry(RIGHT, "alloc 0; alloc 5")


def test_an_error_is_shown_and_nothing_changes():
    live = LiveTask("01-T1", refuse_with_most_free())
    live.field.value = "alloc 0"
    before = (live.task.typed, live.last, live.verdict.value, live.player.k, kept("01-T1"))
    for typed, problem in [
        ("spam", "&#x27;spam&#x27; is no request"),
        ("alloc 0; free @0", "this task allows only alloc"),
        ("alloc 99", "order 99 does not exist"),
        ("alloc 0; <b>", "&lt;b&gt;"),
    ]:
        live.field.value = typed
        assert problem in live.error.value
        assert "^" in live.error.value
        assert 'role="alert"' in live.error.value
        assert live.field.value == typed, "to be put right"
        assert (live.task.typed, live.last, live.verdict.value, live.player.k, kept("01-T1")) == before
    live.field.value = "alloc 5"
    assert (live.error.value, live.last.state) == ("", RIGHT)


def test_undo_and_start_again():
    live = LiveTask("01-T1", refuse_with_most_free())
    live.do("alloc 5 x2")
    live.undo_button.click()
    assert (live.task.typed, len(live.player.tape), kept("01-T1").answer) == ("alloc 5", 1, "alloc 5")
    live.undo_button.click()
    live.undo_button.click()
    assert (live.task.typed, live.last.state, kept("01-T1")) == ("", OPEN, Entry(OPEN, ""))
    assert live.player.k == 0
    live.do("alloc 0; alloc 5")
    live.reset_button.click()
    assert (live.task.typed, live.last.state, len(live.player.tape)) == ("", OPEN, 0)


def test_undo_stops_at_what_the_task_began_with():
    live = LiveTask("02-T1", free_without_a_pair())
    live.do("free 1")
    live.undo_button.click()
    live.undo_button.click()
    assert len(live.player.tape) == 32


def test_what_was_done_comes_back():
    LiveTask("01-T1", refuse_with_most_free()).do("alloc 0; alloc 3")
    again = LiveTask("01-T1", refuse_with_most_free())
    assert (again.task.typed, again.last.state) == ("alloc 0; alloc 3", NOT_YET)
    assert len(again.player.tape) == 2
    again.do("alloc 5")
    assert kept("01-T1").answer == "alloc 0; alloc 3; alloc 5"


def test_requests_in_code_win_over_what_was_typed():
    LiveTask("01-T1", refuse_with_most_free()).do("alloc 3")
    live = LiveTask("01-T1", refuse_with_most_free(), answer="alloc 0; alloc 5")
    assert (live.task.typed, live.last.state) == ("alloc 0; alloc 5", RIGHT)
    assert kept("01-T1") == Entry(RIGHT, "alloc 0; alloc 5")


def test_a_wrong_request_in_code_is_shown_and_keeps_what_was_typed():
    LiveTask("01-T1", refuse_with_most_free()).do("alloc 3")
    live = LiveTask("01-T1", refuse_with_most_free(), answer="alloc 0; free @0")
    assert "this task allows only alloc" in live.error.value
    assert (live.task.used, live.last.state) == (0, OPEN)
    assert kept("01-T1").answer == "alloc 3"


def test_kept_requests_that_no_longer_run_are_shown_and_kept():
    record("01-T1", Entry(NOT_YET, "free 99"))
    live = LiveTask("01-T1", refuse_with_most_free())
    assert "this task allows only alloc" in live.error.value
    assert kept("01-T1") == Entry(NOT_YET, "free 99")


def test_in_code_a_wrong_request_is_an_error():
    live = LiveTask("01-T1", refuse_with_most_free())
    with pytest.raises(RequestError):
        live.do("alloc 0; spam")
    assert live.task.used == 0


def test_a_progress_file_that_cannot_be_written_is_told_of():
    Path("progress.json").mkdir()
    live = LiveTask("01-T1", refuse_with_most_free(), answer="alloc 0")
    assert "This answer is not kept" in live.verdict.value
    assert live.task.used == 1


# The field to try anything.


def error(trial):
    return trial.error.value


def test_what_is_typed_is_run():
    trial = TryRequests(16)
    assert trial.place.children == (trial.player,)
    assert trial.player.tape.text == "alloc 0; alloc 1; free @0"
    trial.requests.value = "alloc 3"
    assert (trial.player.tape.text, trial.player.text()[:20]) == ("alloc 3", "step 0 of 1: alloc 3")
    trial.pages.value = "64"
    assert trial.player.tape.at(0).zone.end_pfn == 64
    trial.pages.value = "4 MiB"
    assert trial.player.tape.at(0).zone.end_pfn == 1024
    assert error(trial) == ""
    assert trial.text() == trial.player.text()


def test_a_size_that_cannot_be_tried_is_told_and_the_player_stays():
    trial = TryRequests(16)
    player = trial.player
    for pages in ["0", "1", "15", "262145", "-5", "x", "", "16.5", "2 GiB", "5 KB", "999999999"]:
        trial.pages.value = pages
        assert 'role="alert"' in error(trial), pages
        assert trial.player is player
        assert trial.place.children == (player,)
    trial.pages.value = "32"
    assert error(trial) == ""
    assert trial.player is not player


def test_a_size_far_beyond_this_machine_is_told_and_the_player_stays():
    trial = TryRequests(16)
    player = trial.player
    trial.pages.value = "99999999999 TiB"
    assert "cannot be tried here" in error(trial)
    assert trial.player is player


def test_a_size_below_16_pages_is_told_in_either_form():
    trial = TryRequests(16)
    trial.pages.value = "4 KiB"
    assert "cannot be tried here" in error(trial)


def test_the_largest_number_can_be_typed_as_the_message_writes_it():
    trial = TryRequests(16)
    trial.requests.value = "alloc 0"
    trial.pages.value = "1"
    assert f"{MAX_TRY_PAGES:,}" in error(trial)
    trial.pages.value = f"{MAX_TRY_PAGES:,}"
    assert error(trial) == ""
    assert trial.player.tape.at(0).zone.end_pfn == MAX_TRY_PAGES


def test_a_wrong_request_is_pointed_at_and_the_player_stays():
    trial = TryRequests(16)
    player = trial.player
    for requests in ["spam", "alloc 99", "free 3", "alloc 0; free @1"]:
        trial.requests.value = requests
        assert "^" in error(trial)
        assert trial.player is player


def test_what_was_typed_comes_back_where_it_was_typed():
    TryRequests(16).requests.value = "alloc 3; free @0"
    again = TryRequests(16)
    assert again.requests.value == again.player.tape.text == "alloc 3; free @0"
    again.pages.value = "128"
    other = TryRequests(64)
    assert (other.pages.value, other.requests.value) == ("64", "alloc 0; alloc 1; free @0"), "another notebook's field is another"
    assert TryRequests(16).pages.value == "128"


def test_what_was_typed_wrong_does_not_come_back():
    trial = TryRequests(16)
    trial.requests.value = "alloc 3"
    trial.requests.value = "spam"
    assert TryRequests(16).requests.value == "alloc 3"


def test_no_requests_at_all_show_the_zone():
    trial = TryRequests(16)
    trial.requests.value = ""
    assert error(trial) == ""
    assert "16 of 16 pages are free" in trial.text()


def test_objects_can_be_tried_too():
    trial = TryRequests(64, "kmalloc 512 x9; kfree @3", caches=True)
    assert "kmalloc-512: 2 slabs" in trial.text()
    trial.requests.value = "kmalloc 512; kfree @1"
    assert "@1 names no earlier request" in trial.error.value
    trial.pages.value, trial.requests.value = "128", "kmalloc 100"
    assert (trial.error.value, trial.player.tape.at(0).zone.end_pfn) == ("", 128)
    assert "kmalloc-128: 1 slab" in trial.text()


@pytest.mark.parametrize("answer", [["kfree @0"], 5, {"requests": "kfree @0"}])
def test_an_answer_that_is_no_text_is_met_with_a_sentence(answer):
    live = LiveTask("08-T1", one_page_back(), answer)
    assert "cannot be done: write the requests as one text" in live.error.value
    assert (live.last.state, live.task.used) == (OPEN, 0)
