"""What a learner answered, kept in a small file beside the notebooks."""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from .exercise import NOT_YET, OPEN, RIGHT

FILE = Path("progress.json")
MAX_BYTES = 1 << 20


class Entry(NamedTuple):
    """One exercise: how it stands, and what was typed."""

    state: str = OPEN
    answer: str = ""


def load(path: Path = FILE) -> tuple[dict[str, Entry], str]:
    """Read the progress file.

    Args:
        path: the file; it need not exist.

    Returns:
        From an exercise's name to its Entry; and a sentence if the file was damaged and is set aside, else "".

    >>> load(Path("no-such-file.json"))
    ({}, '')
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        kept = json.loads(path.read_text("utf-8"))
        entries = {str(name): Entry(str(one["state"]), str(one["answer"])) for name, one in kept.items()}
        if any(entry.state not in (RIGHT, NOT_YET, OPEN) for entry in entries.values()):
            raise ValueError("unknown state")
    except FileNotFoundError:
        return {}, ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, _set_aside(path)
    except OSError as problem:
        return {}, f"{path} cannot be opened ({problem.strerror}), so earlier answers are not shown."
    return entries, ""


def _set_aside(path: Path) -> str:
    """Rename a damaged file to the first free name, and say so."""
    names = (path.with_suffix(f".damaged{n or ''}{path.suffix}") for n in range(100))
    aside = next((name for name in names if not name.exists()), None)
    try:
        if aside is None:
            raise OSError
        path.rename(aside)
    except OSError:
        return f"{path} could not be read and could not be set aside. Earlier answers are not shown."
    return f"{path} could not be read. It is kept as {aside}, and progress starts anew."


def record(name: str, entry: Entry, path: Path = FILE) -> str:
    """Keep one exercise, and leave the others as they are; what was right once stays right.

    Args:
        name: of the exercise, as "02-P1".
        entry: what to keep.
        path: the file.

    Returns:
        A sentence if it could not be kept or the old file was damaged, else "".

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "progress.json"
    >>> record("02-P1", Entry("right", "9"), file), load(file)[0]
    ('', {'02-P1': Entry(state='right', answer='9')})
    """
    entries, said = load(path)
    if entries.get(name, Entry()).state == RIGHT:
        entry = Entry(RIGHT, entry.answer)
    entries[name] = entry
    text = json.dumps({key: value._asdict() for key, value in sorted(entries.items())}, indent=1)
    if len(text) > MAX_BYTES // 4:
        return f"This answer is not kept: with its {len(entry.answer):,} characters {path} would be too large."
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=".progress", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as problem:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        return f"This answer is not kept: {path} cannot be written ({problem.strerror})."
    return said
