"""Progress: kept whole or not at all, and nothing that was kept is lost."""

import json
import os

import pytest

from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT
from pagelab.lab.progress import MAX_BYTES, Entry, load, record


@pytest.fixture
def file(tmp_path):
    return tmp_path / "progress.json"


def test_what_is_recorded_is_loaded(file):
    assert load(file) == ({}, "")
    entries = {"02-P1": Entry(RIGHT, "9"), "02-P2": Entry(NOT_YET, "M0: 9\nM1: 2 'é→'"), "try": Entry(OPEN, "16\nalloc 0")}
    for name, entry in entries.items():
        assert record(name, entry, file) == ""
    assert load(file) == (entries, "")


def test_other_entries_are_left_as_they_are(file):
    for number in range(20):
        record(f"0{number}", Entry(NOT_YET, str(number)), file)
    record("03", Entry(RIGHT, "new"), file)
    entries, _ = load(file)
    assert entries.pop("03") == Entry(RIGHT, "new")
    assert entries == {f"0{number}": Entry(NOT_YET, str(number)) for number in range(20) if number != 3}


def test_what_was_right_once_stays_right(file):
    record("02-P1", Entry(RIGHT, "9"), file)
    record("02-P1", Entry(NOT_YET, "8"), file)
    assert load(file)[0] == {"02-P1": Entry(RIGHT, "8")}


def test_the_file_is_small_readable_json(file):
    record("02-P1", Entry(RIGHT, "9"), file)
    assert json.loads(file.read_text("utf-8")) == {"02-P1": {"state": "right", "answer": "9"}}


def test_nothing_else_is_left_in_the_folder(file):
    record("02-P1", Entry(RIGHT, "9"), file)
    record("02-P1", Entry(RIGHT, "8"), file)
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def test_the_old_file_stands_until_the_new_one_is_whole(file, monkeypatch):
    record("02-P1", Entry(RIGHT, "9"), file)
    before = file.read_bytes()

    def full(*_args, **_kwargs):
        assert file.read_bytes() == before
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in record("02-P2", Entry(RIGHT, "1"), file)
    assert file.read_bytes() == before


DAMAGED = [
    b"",
    b"{",
    b"not json",
    b"[]",
    b"7",
    b"null",
    b'"right"',
    b'{"02-P1": 5}',
    b'{"02-P1": []}',
    b'{"02-P1": "right"}',
    b'{"02-P1": {"state": "right"}}',
    b'{"02-P1": {"state": "finished", "answer": "9"}}',
    b'{"02-P1": {"state": ["right"], "answer": "9"}}',
    b"\xff\xfe\x00",
    b" " * (MAX_BYTES + 1),
    b"[" * 200_000,
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:40]))
def test_a_damaged_file_is_set_aside_and_named(file, content):
    file.write_bytes(content)
    entries, said = load(file)
    aside = file.with_name("progress.damaged.json")
    assert entries == {}
    assert str(file) in said
    assert str(aside) in said
    assert aside.read_bytes() == content
    assert not file.exists()


def test_after_damage_progress_is_kept_again_and_says_what_happened_once(file):
    file.write_bytes(b"not json")
    assert "could not be read" in record("02-P1", Entry(RIGHT, "9"), file)
    assert record("02-P2", Entry(RIGHT, "1"), file) == ""
    assert set(load(file)[0]) == {"02-P1", "02-P2"}


def test_a_second_damaged_file_does_not_replace_the_first(file):
    for content in (b"first", b"second"):
        file.write_bytes(content)
        load(file)
    kept = {path.read_bytes() for path in file.parent.iterdir()}
    assert kept == {b"first", b"second"}


def test_a_damaged_file_that_cannot_be_set_aside_is_said_in_words(file):
    file.write_bytes(b"not json")
    aside = file.with_name("progress.damaged.json")
    aside.mkdir()
    (aside / "something").touch()
    entries, said = load(file)
    assert entries == {}
    assert str(file) in said


def test_an_answer_of_any_length_loses_no_other(file):
    record("02-P1", Entry(RIGHT, "9"), file)
    record("try", Entry(OPEN, "free 1; " * MAX_BYTES), file)
    assert load(file)[0]["02-P1"] == Entry(RIGHT, "9")


def test_an_answer_that_is_no_text_is_read_as_text(file):
    file.write_text('{"02-P1": {"state": "right", "answer": 9}}')
    assert load(file) == ({"02-P1": Entry(RIGHT, "9")}, "")


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path):
    (tmp_path / "a file").write_text("no folder")
    inside = tmp_path / "a file" / "progress.json"
    entries, said = load(inside)
    assert entries == {}
    assert "cannot be opened (Not a directory)" in said
    said = record("02-P1", Entry(RIGHT, "9"), inside)
    assert said.startswith("This answer is not kept: ")
    assert "(Not a directory)" in said


def test_a_folder_that_is_gone_is_said_in_words(tmp_path):
    assert "(No such file or directory)" in record("02-P1", Entry(RIGHT, "9"), tmp_path / "gone" / "progress.json")


def test_a_folder_in_the_files_place_is_said_and_left_alone(file):
    file.mkdir()
    (file / "mine").write_text("keep")
    assert "cannot be opened (Is a directory)" in load(file)[1]
    assert record("02-P1", Entry(RIGHT, "9"), file).startswith("This answer is not kept: ")
    assert (file / "mine").read_text() == "keep"


def test_a_draft_that_was_not_used_is_taken_away(file):
    file.mkdir()
    record("02-P1", Entry(RIGHT, "9"), file)
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]
