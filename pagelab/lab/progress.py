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
    except (ValueError, TypeError, KeyError, AttributeError):
        aside = path.with_suffix(f".damaged{path.suffix}")
        path.replace(aside)
        return {}, f"{path} could not be read. It is kept as {aside}, and progress starts anew."
    except OSError as problem:
        return {}, f"{path} cannot be opened ({problem.strerror}), so earlier answers are not shown."
    return entries, ""


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
    try:
        handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=".progress", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({key: value._asdict() for key, value in sorted(entries.items())}, file, indent=1)
        os.replace(temporary, path)
    except OSError as problem:
        return f"This answer is not kept: {path} cannot be written ({problem.strerror})."
    return said
