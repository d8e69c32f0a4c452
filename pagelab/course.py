"""The course that the package carries: its notebooks, a map of them, and a learner's own copy.

A learner's files are never overwritten. What was copied is remembered as one hash per file in .pagelab/copied.json
inside the copy, so that a file which the learner never changed can follow an upgrade, and one that was changed stays.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

START = "00-start-here.ipynb"
COPY = Path("pagelab-notebooks")
RECORD = Path(".pagelab") / "copied.json"


class CourseError(ValueError):
    """The course cannot be read, copied or opened; the text is one sentence that says why."""


@dataclass(frozen=True)
class Lesson:
    """One notebook as the map of the course shows it."""

    file: str
    title: str
    line: str
    minutes: int


@dataclass(frozen=True)
class Copied:
    """What copying did, as names relative to the copy.

    new: were not there. updated: followed the package, no cell of them had been changed. kept: the learner changed
    them. outdated: those of kept for which this package has another version than the one that was copied.
    """

    new: tuple[str, ...]
    updated: tuple[str, ...]
    kept: tuple[str, ...]
    outdated: tuple[str, ...]
    damaged_record: bool = False

    def sentences(self) -> list[str]:
        """Say in plain sentences what was done; an empty list when nothing was."""
        yours = [name for name in self.kept if name not in self.outdated]
        told = [
            (self.damaged_record, f"{RECORD.as_posix()} cannot be read, so every file that differs counts as yours."),
            (self.new, f"Copied: {', '.join(self.new)}."),
            (self.updated, f"Updated, you had changed no cell of them: {', '.join(self.updated)}."),
            (yours, f"Kept as you changed them: {', '.join(yours)}."),
            (
                self.outdated,
                f"Kept as you changed them, though this pagelab has another version: {', '.join(self.outdated)}. "
                "To get it, rename yours and start again.",
            ),
        ]
        return [sentence for said, sentence in told if said]


def notebooks_folder() -> Path:
    """Find the notebooks of this installation: inside the package in a wheel, beside it in a checkout.

    Raises:
        CourseError: neither place has them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / START).is_file():
            return folder
    raise CourseError(f"This pagelab carries no notebooks: {START} is neither in {package} nor beside it.")


def course() -> list[Lesson]:
    """List the notebooks that exist, in the order of their numbers.

    Raises:
        CourseError: a notebook has no first heading, or no line and minutes in its metadata.
    """
    return [_lesson(path) for path in sorted(notebooks_folder().glob("[0-9][0-9]-*.ipynb"))]


def course_map(folder: str = "") -> str:
    """Write the map of the course as a Markdown table.

    Args:
        folder: what the links begin with, such as "notebooks/".

    Returns:
        The table, one row a notebook: a link, a line, the minutes.
    """
    rows = [f"| [{lesson.file[:2]} {lesson.title}]({folder}{lesson.file}) | {lesson.line} | {lesson.minutes} |" for lesson in course()]
    return "\n".join(["| Notebook | What you find out | Minutes |", "|---|---|---|", *rows])


def copy_notebooks(target: Path | str) -> Copied:
    """Copy the course into a folder, keeping whatever the learner changed there.

    A file counts as changed when the text of its cells is not what was copied: outputs and counts, which JupyterLab
    writes whenever a notebook runs, do not make it so. A file that the learner removed or renamed is copied again.

    Args:
        target: the folder, made where it is missing.

    Raises:
        CourseError: the target is no folder, or cannot be written.
    """
    target, source = Path(target), notebooks_folder()
    if target.exists() and not target.is_dir():
        raise CourseError(f"{target} is not a folder, so the notebooks cannot be copied there.")
    record, damaged = _read_record(target / RECORD)
    words: dict[str, str] = {}
    try:
        for name in _files(source):
            words[name] = _copy_one(source / name, target / name, record.get(name))
            if words[name] in ("new", "updated", "same"):
                record[name] = _fingerprint(source / name)
        _write(target / RECORD, json.dumps(record, indent=1).encode())
    except OSError as error:
        raise CourseError(f"{target} cannot be written ({error.strerror}): go to a folder of your own.") from error

    def those(*wanted: str) -> tuple[str, ...]:
        return tuple(name for name, word in words.items() if word in wanted)

    return Copied(those("new"), those("updated"), those("kept", "outdated"), those("outdated"), damaged)


def open_lab(arguments: Sequence[str] = (), target: Path = COPY) -> None:
    """Copy the course, say what was copied, and open it in JupyterLab; return when the server stops.

    Args:
        arguments: options passed on to JupyterLab, such as "--no-browser".
        target: the folder of the copy.

    Raises:
        CourseError: JupyterLab is not installed, or the course cannot be copied.
    """
    done = copy_notebooks(target)
    for sentence in [*done.sentences(), f"The notebooks are in {target.resolve()}."]:
        print(sentence, flush=True)
    serve(target, arguments)


def serve(folder: Path | str, arguments: Sequence[str] = ()) -> None:
    """Open JupyterLab on the first notebook of a folder; return when the server stops.

    Args:
        folder: the one that JupyterLab shows.
        arguments: options passed on to JupyterLab.

    Raises:
        CourseError: JupyterLab is not installed.
    """
    try:
        from jupyterlab.labapp import main
    except ImportError as error:
        raise CourseError("JupyterLab is not installed here: python -m pip install jupyterlab") from error
    # As the default URL, and not as a file to open: then the link that --no-browser prints leads there too.
    start = f"--LabApp.default_url=/lab/tree/{START}"
    # JupyterLab refuses to run as root, which is what a container gives, unless it is told that this is meant.
    as_root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    main([str(folder), start, *as_root, *arguments])


def _lesson(path: Path) -> Lesson:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        prose = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        about = notebook["metadata"]["pagelab"]
        title = next(line[2:].strip() for text in prose for line in text.splitlines() if line.startswith("# "))
        return Lesson(path.name, title, str(about["line"]), int(about["minutes"]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise CourseError(f"{path.name} needs a first heading, and metadata.pagelab with line and minutes ({error!r}).") from error


def _files(source: Path) -> Iterator[str]:
    """Name what belongs to the course: no hidden files, nor the progress of somebody who works in a checkout."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and not any(part.startswith((".", "progress", "__")) for part in name.parts):
            yield name.as_posix()


def _copy_one(source: Path, target: Path, copied: str | None) -> str:
    """Bring one file up to date unless the learner changed it; return the word for what was done."""
    ours = _fingerprint(source)
    theirs = _fingerprint(target) if os.path.lexists(target) else None
    if theirs == ours:
        return "same"
    if theirs is None or theirs == copied:
        _write(target, source.read_bytes())
        return "new" if theirs is None else "updated"
    return "kept" if copied == ours else "outdated"


def _fingerprint(path: Path) -> str:
    """Hash what a person writes in a notebook, the kind and text of its cells; of any other file, its bytes."""
    try:
        content = path.read_bytes()
    except OSError:
        return "unreadable"
    if path.suffix == ".ipynb":
        try:
            cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]]
            content = json.dumps(cells).encode()
        except (ValueError, KeyError, TypeError):
            pass  # no notebook any more: its bytes stand for it
    return hashlib.sha256(content).hexdigest()


def _read_record(path: Path) -> tuple[dict[str, str], bool]:
    """Read name -> hash of what was copied, and whether the record is there but damaged."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, False
    except (OSError, ValueError):
        return {}, True
    good = isinstance(record, dict) and all(isinstance(value, str) for value in record.values())
    return (record, False) if good else ({}, True)


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or nothing of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    os.replace(draft, path)
