"""The course as the package carries it: found, listed, copied, followed through upgrades, opened."""

import json
import os
import sys
import types
from pathlib import Path

import pytest

from pagelab import course
from pagelab.course import CourseError, Lesson, copy_notebooks, course_map, open_lab

ROOT = Path(__file__).resolve().parents[1]
FIRST, SECOND = "00-start-here.ipynb", "01-split-a-block.ipynb"


def notebook(text: str, outputs: tuple[str, ...] = (), line: str = "Ask.", minutes: int = 30) -> str:
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"# {text}\nA sentence."},
        {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "execution_count": None, "outputs": [*outputs]},
    ]
    return json.dumps({"cells": cells, "metadata": {"pagelab": {"line": line, "minutes": minutes}}, "nbformat": 4})


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A course of two notebooks and a picture, which a test may then change as an upgrade would."""
    folder = tmp_path / "installed" / "notebooks"
    (folder / "pictures").mkdir(parents=True)
    (folder / FIRST).write_text(notebook("Start here"))
    (folder / SECOND).write_text(notebook("Split a block", line="One page out.", minutes=40))
    (folder / "pictures" / "map.svg").write_text("<svg/>")
    (folder / "progress.json").write_text("{}")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / FIRST).write_text("old")
    monkeypatch.setattr(course, "notebooks_folder", lambda: folder)
    return folder


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "pagelab-notebooks"


def test_the_notebooks_of_this_checkout_are_found():
    assert course.notebooks_folder() == ROOT / "notebooks"


def test_an_installation_without_notebooks_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "__file__", str(tmp_path / "pagelab" / "course.py"))
    with pytest.raises(CourseError, match=r"^This pagelab carries no notebooks: 00-start-here.ipynb is neither in"):
        course.notebooks_folder()


def test_the_course_is_read_from_the_notebooks(shipped):
    assert course.course() == [
        Lesson(FIRST, "Start here", "Ask.", 30),
        Lesson(SECOND, "Split a block", "One page out.", 40),
    ]
    assert course_map("there/").splitlines()[2:] == [
        "| [00 Start here](there/00-start-here.ipynb) | Ask. | 30 |",
        "| [01 Split a block](there/01-split-a-block.ipynb) | One page out. | 40 |",
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"cells": [], "metadata": {"pagelab": {"line": "", "minutes": 1}}}'])
def test_a_notebook_without_its_line_is_named(shipped, content):
    (shipped / SECOND).write_text(content)
    with pytest.raises(CourseError, match=r"^01-split-a-block.ipynb needs a first heading, and metadata.pagelab"):
        course.course()


def test_the_first_copy_is_whole_and_the_second_does_nothing(shipped, mine):
    done = copy_notebooks(mine)
    assert done.new == (FIRST, SECOND, "pictures/map.svg")
    assert done.sentences() == [f"Copied: {FIRST}, {SECOND}, pictures/map.svg."]
    assert {p.relative_to(mine).as_posix() for p in mine.rglob("*") if p.is_file()} == {
        *done.new,
        ".pagelab/copied.json",
    }
    assert (mine / SECOND).read_bytes() == (shipped / SECOND).read_bytes()
    assert copy_notebooks(mine).sentences() == []


def test_what_the_learner_changed_is_kept_and_named(shipped, mine):
    copy_notebooks(mine)
    (mine / SECOND).write_text(notebook("Split a block, my notes"))
    done = copy_notebooks(mine)
    assert done.sentences() == [f"Kept as you changed them: {SECOND}."]
    assert "my notes" in (mine / SECOND).read_text()


def test_an_upgrade_copies_what_is_new_updates_the_untouched_and_keeps_the_rest(shipped, mine):
    copy_notebooks(mine)
    (mine / FIRST).write_text(notebook("Start here", outputs=("ran",)))  # run and saved, no cell changed
    (mine / SECOND).write_text(notebook("Split a block, my notes"))
    (mine / "mine.ipynb").write_text("my own")
    (shipped / FIRST).write_text(notebook("Start here, better"))
    (shipped / SECOND).write_text(notebook("Split a block, better"))
    (shipped / "02-new.ipynb").write_text(notebook("New"))
    done = copy_notebooks(mine)
    assert (done.new, done.updated, done.kept, done.outdated) == (("02-new.ipynb",), (FIRST,), (SECOND,), (SECOND,))
    assert done.sentences() == [
        "Copied: 02-new.ipynb.",
        f"Updated, you had changed no cell of them: {FIRST}.",
        f"Kept as you changed them, though this pagelab has another version: {SECOND}. To get it, rename yours and start again.",
    ]
    assert "better" in (mine / FIRST).read_text()
    assert "my notes" in (mine / SECOND).read_text()
    assert (mine / "mine.ipynb").read_text() == "my own"


def test_a_renamed_notebook_makes_room_for_the_new_one(shipped, mine):
    copy_notebooks(mine)
    (mine / SECOND).rename(mine / "my-01.ipynb")
    assert copy_notebooks(mine).new == (SECOND,)


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"a": 1}', "\udcff"])
def test_with_a_damaged_record_every_difference_is_the_learners(shipped, mine, damage):
    copy_notebooks(mine)
    (mine / ".pagelab" / "copied.json").write_text(damage, errors="surrogateescape")
    before = (mine / FIRST).read_text()
    (shipped / FIRST).write_text(notebook("Start here, better"))
    done = copy_notebooks(mine)
    assert (done.damaged_record, done.updated, done.kept) == (True, (), (FIRST,))
    assert done.sentences()[0] == ".pagelab/copied.json cannot be read, so every file that differs counts as yours."
    assert (mine / FIRST).read_text() == before
    assert not copy_notebooks(mine).damaged_record


def test_a_notebook_that_is_none_any_more_is_kept(shipped, mine):
    copy_notebooks(mine)
    (mine / FIRST).write_text("torn")
    (mine / SECOND).unlink()
    (mine / SECOND).symlink_to("nowhere")
    (shipped / FIRST).write_text(notebook("Start here, better"))
    assert copy_notebooks(mine).kept == (FIRST, SECOND)
    assert (mine / FIRST).read_text() == "torn"


def test_a_target_that_is_a_file_is_refused(shipped, mine):
    mine.write_text("a file")
    with pytest.raises(CourseError, match=r"pagelab-notebooks is not a folder, so the notebooks cannot be copied there\.$"):
        copy_notebooks(mine)
    assert mine.read_text() == "a file"


def test_a_target_that_cannot_be_written_is_said(shipped, mine, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CourseError, match=r"pagelab-notebooks cannot be written \(Permission denied\): go to a folder of"):
        copy_notebooks(mine)


@pytest.fixture
def jupyter(monkeypatch):
    """A JupyterLab that only notes what it was asked."""
    calls: list[list[str]] = []
    lab = types.SimpleNamespace(main=calls.append)
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", lab)
    return calls


def test_opening_copies_tells_and_passes_options_on(shipped, mine, jupyter, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    open_lab(["--no-browser"], mine)
    assert jupyter == [[str(mine), f"--LabApp.default_url=/lab/tree/{FIRST}", "--no-browser"]]
    assert capsys.readouterr().out.splitlines()[-1] == f"The notebooks are in {mine}."
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    open_lab([], mine)
    assert jupyter[1][2:] == ["--allow-root"]


def test_a_missing_jupyterlab_is_said(shipped, mine, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    with pytest.raises(CourseError, match=r"^JupyterLab is not installed here: python -m pip install jupyterlab$"):
        open_lab([], mine)


def test_the_map_in_the_readme_is_the_course():
    assert course_map("notebooks/") in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_map_in_the_first_notebook_is_the_course():
    cells = json.loads((ROOT / "notebooks" / FIRST).read_text(encoding="utf-8"))["cells"]
    assert any(course_map() in "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
