"""How an answer is written, as text or as a plain value, and how it is read.

Answers are plain values: a number, "refused", a list of numbers, a word, or the free lists as a mapping such as {"M0": [9, 5], "M1": [12]}.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..mm.units import NR_PAGE_ORDERS
from ..mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES

REFUSAL = "refused"
HOW = {
    "number": "a whole number, such as 37",
    "pfn": f"a pfn, such as 77, or {REFUSAL}",
    "pfns": f"pfns in order, such as 0 4 1, with {REFUSAL} where one is",
    "numbers": "numbers in order, such as 0 4 1",
    "pair": "two numbers, such as 30 42",
    "object": "an object by the request that first received it, such as #12",
    "objects": "objects by the requests that first received them, such as #12 #7",
    "counts": "counts from order 0 up, such as 1 1 0; orders left out are 0",
    "lists": "lists, head first, such as M0: 9 5; M1: 12, or none",
    "pageblocks": "pageblocks by their numbers, such as 0 2, or none",
    "type": f"a type: {', '.join(MIGRATETYPES[: MIGRATE_PCPTYPES - 1])} or {MIGRATETYPES[MIGRATE_PCPTYPES - 1]}",
}
# Of the types whose lists an answer can name.
LETTERS = "".join(name[0].upper() for name in MIGRATETYPES[:MIGRATE_PCPTYPES])


class _TwiceError(ValueError):
    """A list that is written twice in one answer."""


def read_answer(form: str, answer: Any) -> Any:
    """Read an answer as typed, or as given in code.

    Args:
        form: one of `HOW`.
        answer: text, or a plain value of that form.

    Returns:
        An int or "refused" (pfn), an int (number), a list (pfns, numbers), a list of two (pair), an ascending list (pageblocks), a list
        of 11 (counts), a dict from "M0" to a list (lists), a word such as "#20" (object) or a list of them (objects), or one of the words
        (type).

    Raises:
        ValueError: names the answer and how one is written.

    >>> read_answer("lists", "M0: 2 1; M1=[]"), read_answer("counts", [1, 1])[:3], read_answer("pfn", "0x10")
    ({'M0': [2, 1]}, [1, 1, 0], 16)
    """
    try:
        if form == "lists":
            return _read_lists(answer)
        if form == "type":
            return _read_type(answer)
        if form == "pageblocks" and isinstance(answer, str) and answer.strip().lower() == "none":
            return []
        words = re.findall(r"[^\s,\[\]()]+", answer.replace("_", "")) if isinstance(answer, str) else answer
        if form in ("object", "objects"):
            return _read_objects(form, [answer] if isinstance(answer, int) else words)
        if form in ("number", "pfn"):
            if isinstance(answer, str):
                words = re.findall(r"\S+", re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip())
            (word,) = words if isinstance(words, (list, tuple)) else [words]
            return _read_number(word, form == "pfn")
        numbers = [_read_number(word, form == "pfns") for word in words]
        if form == "counts":
            if len(numbers) > NR_PAGE_ORDERS:
                raise ValueError
            numbers += [0] * (NR_PAGE_ORDERS - len(numbers))
        if form == "pair" and len(numbers) != 2:
            raise ValueError
        return sorted(numbers) if form == "pageblocks" else numbers
    except _TwiceError:
        raise
    except (ValueError, TypeError, AttributeError, StopIteration):
        raise ValueError(f"{answer!r} cannot be read: write {HOW[form]}") from None


def _read_number(word: Any, may_refuse: bool) -> int | str:
    if may_refuse and isinstance(word, str) and word.lower() == REFUSAL:
        return REFUSAL
    number = int(word, 0) if isinstance(word, str) else word
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
        raise ValueError
    return int(number)


def _read_objects(form: str, words: Any) -> str | list[str]:
    """Read objects by their requests, with # or @ or nothing before the number."""
    named = list[str]()
    for word in words:
        number = _read_number(re.sub("^[#@]", "", word) if isinstance(word, str) else word, True)
        named.append(REFUSAL if number == REFUSAL else f"#{number}")
    if form == "objects":
        return named
    (one,) = named
    return one


def _read_type(answer: Any) -> str:
    word = answer.strip().lower()
    return next(name for name in MIGRATETYPES[:MIGRATE_PCPTYPES] if word in (name, name[0]))


def _read_lists(answer: Any) -> dict[str, list[int]]:
    if isinstance(answer, Mapping):
        pairs = [(str(name), blocks.split() if isinstance(blocks, str) else list(blocks)) for name, blocks in answer.items()]
    else:
        before, *parts = re.split(r"([A-Za-z]\d+)\s*[:=]", answer)
        if before.strip().lower() not in ("none", "") or not (parts or before.strip()):
            raise ValueError
        pairs = [(name, re.findall(r"[^\s,;\[\]]+", blocks)) for name, blocks in zip(parts[::2], parts[1::2], strict=True)]
    lists: dict[str, list[int]] = {}
    for name, blocks in pairs:
        key = name[0].upper() + str(int(name[1:]))
        if key[0] not in LETTERS or int(key[1:]) >= NR_PAGE_ORDERS:
            raise ValueError
        if key in lists:
            raise _TwiceError(f"{key} stands twice: write {key} once, with all its heads")
        if blocks:
            lists[key] = [int(_read_number(block, False)) for block in blocks]
    return lists


def write_answer(value: Any) -> str:
    """Write an answer as a learner would type it.

    Args:
        value: as `read_answer` returns it.

    Returns:
        One line.

    >>> write_answer({"M0": [9, 5], "M1": [12]}), write_answer([0, 4]), write_answer(32335)
    ('M0: 9 5; M1: 12', '0 4', '32335')
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {' '.join(map(str, blocks))}" for name, blocks in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return str(value)
