"""Fields that predictions and answers are typed into, graded at once."""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from ..lab import progress as kept_progress
from ..lab.exercise import OPEN, Verdict, grade_all
from ..lab.progress import Entry
from ..lab.question import HOW, Question, write_answer
from .panel import Panel

_LABELS = {
    "answer": "your answer",
    "pfns": "pfns, in order",
    "lists": "free lists",
    "lists before": "lists before it",
    "block": "head and order",
}


class Field(Panel):
    """A text field for each part of a question, a button, and the verdict.

    Args:
        name: of the exercise, as "02-P1"; progress is kept under it.
        questions: from a part's name to its Question.
        answer: an answer given in code: a plain value, or a mapping from part to value where there are several.
    """

    def __init__(self, name: str, questions: Mapping[str, Question], answer: Any = None) -> None:
        self.name, self.questions = name, dict(questions)
        kept, said = kept_progress.load()
        try:
            lines = kept.get(name, Entry()).answer.split("\n") if answer is None else _lines(answer, self.questions)
        except ValueError as problem:
            lines, said = [], str(problem)
        values = [*lines, *[""] * len(self.questions)]
        self.fields = {part: _text(part, question, value) for (part, question), value in zip(questions.items(), values, strict=False)}
        for field in self.fields.values():
            field.observe(lambda _: self._changed(), "value")
        self.button = widgets.Button(description="Check")
        self.button.add_class("pagelab-main")
        self.button.on_click(lambda _: self.grade())
        self.verdict = widgets.HTML()
        self.verdict.add_class("pagelab-status")
        super().__init__([*self.fields.values(), widgets.HBox([self.button, self.verdict])])
        self.last = Verdict(OPEN, "")
        self.grade(said)

    def _changed(self) -> None:
        empty = [_LABELS.get(part, part) for part, field in self.fields.items() if not field.value.strip()]
        if not empty:
            self.grade()
        else:
            self.verdict.value = verdict_html(Verdict(OPEN, f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."))

    def grade(self, said: str = "") -> Verdict:
        """Grade what is typed, show the verdict and keep it."""
        typed = {part: field.value for part, field in self.fields.items()}
        self.last = grade_all(self.questions, typed)
        if self.last.state != OPEN:
            said = kept_progress.record(self.name, Entry(self.last.state, "\n".join(typed.values()))) or said
        self.verdict.value = verdict_html(self.last, said)
        return self.last

    def text(self) -> str:
        """Return the verdict in words."""
        return f"{self.name}: {self.last}"


def _lines(answer: Any, questions: Mapping[str, Question]) -> list[str]:
    if len(questions) == 1:
        try:
            return [write_answer(answer)]
        except (TypeError, AttributeError):
            raise ValueError(f"{answer!r} cannot be read: write {HOW[next(iter(questions.values())).form]}") from None
    if not isinstance(answer, Mapping) or set(answer) - set(questions):
        raise ValueError(f"{answer!r} does not answer every part: write a mapping with {', '.join(map(repr, questions))}")
    return [write_answer(answer[part]) if answer.get(part) is not None else "" for part in questions]


def _text(part: str, question: Question, value: str) -> widgets.Text:
    label = _LABELS.get(part, part)
    return widgets.Text(
        value=value,
        description=label,
        placeholder=HOW[question.form],
        layout=widgets.Layout(width="640px"),
        style={"description_width": "110px"},
        continuous_update=False,
    )


def verdict_html(verdict: Verdict, said: str = "") -> str:
    """Return a verdict as HTML, with a sentence about the progress file if there is one.

    >>> verdict_html(Verdict("right", "9."))
    '<div class="pagelab-verdict"><b>Right:</b> 9.</div>'
    """
    state = verdict.state[0].upper() + verdict.state[1:]
    state += ":" if verdict.text else "."
    more = f"<br>{escape(said)}" if said else ""
    return f'<div class="pagelab-verdict"><b>{state}</b>{" " * bool(verdict.text)}{escape(verdict.text)}{more}</div>'
