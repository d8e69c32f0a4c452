"""Players with a field for the next requests: tasks with a goal, and a place to try anything."""

from html import escape

import ipywidgets as widgets

from ..lab import progress as kept_progress
from ..lab.exercise import OPEN, Verdict
from ..lab.progress import Entry
from ..lab.request import RequestError, parse
from ..lab.scenario import slab, text
from ..lab.task import Task
from ..mm.units import to_pages
from .answer import verdict_html
from .panel import Panel
from .slab_player import player_of

MAX_TRY_PAGES, MAX_TRY_REQUESTS = 1 << 18, 20_000


def _field(label: str, value: str, hint: str, width: str = "640px") -> widgets.Text:
    return widgets.Text(
        value=value,
        description=label,
        placeholder=hint,
        layout=widgets.Layout(width=width),
        style={"description_width": "110px"},
        continuous_update=False,
    )


def _error_html(problem: ValueError) -> str:
    return f'<div class="pagelab-error" role="alert">{escape(str(problem))}</div>'


_EXAMPLES = {
    "alloc": "alloc 0; alloc 1",
    "free": "free 5; free 9",
    "kfree": "kfree @5; kfree @9",
    "kmalloc kfree": "kmalloc 512 x2; kfree @0",
}


class LiveTask(Panel):
    """A task: its goal, a field for the next requests (Enter does them), undo, and a player over what was done so far.

    Args:
        name: of the task, as "01-T1"; progress is kept under it.
        task: the Task.
        answer: requests given in code; those kept from before are left alone then.
    """

    def __init__(self, name: str, task: Task, answer: str | None = None) -> None:
        self.name, self.task = name, task
        kept, said = kept_progress.load()
        self.player = player_of(task.tape)
        self.field = _field("next requests", "", _EXAMPLES.get(task.only, "alloc 0; free @0"))
        self.field.observe(lambda _: self._typed(), "value")
        self.undo_button = widgets.Button(description="Undo")
        self.undo_button.on_click(lambda _: self._show(self.task.undo()))
        self.reset_button = widgets.Button(description="Start again")
        self.reset_button.on_click(lambda _: self._show(self.task.reset()))
        self.error, self.verdict = widgets.HTML(), widgets.HTML()
        self.verdict.add_class("pagelab-status")
        goal = widgets.HTML(f"<div><b>Goal:</b> {escape(task.goal)}</div>")
        controls = widgets.HBox([self.field, self.undo_button, self.reset_button])
        super().__init__([goal, controls, self.error, self.verdict, self.player])
        before = kept.get(name, Entry()).answer if answer is None else answer
        self.last = Verdict(OPEN, "")
        try:
            if not isinstance(before, str):
                raise ValueError(f"{before!r} cannot be done: write the requests as one text, such as {self.field.placeholder!r}")
            self._show(task.do(before) if before else task.verdict(), said, keep=answer is not None)
        except ValueError as problem:
            self.error.value = _error_html(problem)
            self._show(task.verdict(), said, keep=False)

    def do(self, requests: str) -> Verdict:
        """Do more requests.

        Raises:
            RequestError: a request cannot be read or done, or this task does not allow it; nothing is done.
        """
        return self._show(self.task.do(requests))

    def _typed(self) -> None:
        if not self.field.value.strip():
            return
        try:
            self.do(self.field.value)
        except RequestError as problem:
            self.error.value = _error_html(problem)
        else:
            self.field.value = ""

    def _show(self, verdict: Verdict, said: str = "", keep: bool = True) -> Verdict:
        if keep:
            said = kept_progress.record(self.name, Entry(verdict.state, self.task.typed)) or said
            self.error.value = ""
        self.last = verdict
        self.verdict.value = verdict_html(verdict, said)
        self.player.set_tape(self.task.tape)
        return verdict

    def text(self) -> str:
        """Return how the task stands in words."""
        return f"{self.name}: {self.last}"


class TryRequests(Panel):
    """Two fields, pages and requests, and a player over what they do.

    Args:
        pages: pages of the zone, 16 to 262,144.
        requests: as typed.
        caches: whether the machine has caches, so that kmalloc can be asked too.
    """

    def __init__(self, pages: int = 16, requests: str = "alloc 0; alloc 1; free @0", caches: bool = False) -> None:
        self.name = f"try {pages}{' with caches' * caches}"
        self._make = slab if caches else text
        kept = kept_progress.load()[0].get(self.name, Entry()).answer.split("\n", 1)
        shown = kept if len(kept) == 2 else [str(pages), requests]
        self.pages = _field("pages", shown[0], "16", "220px")
        self.requests = _field("requests", shown[1], "alloc 0 x3; free @1")
        self.error = widgets.HTML()
        self.place = widgets.VBox()
        button = widgets.Button(description="Run")
        button.add_class("pagelab-main")
        button.on_click(lambda _: self.run())
        super().__init__([self.pages, widgets.HBox([self.requests, button]), self.error, self.place])
        self.player = player_of(self._make("", 16))
        self.place.children = [self.player]
        self.run()
        for field in (self.pages, self.requests):
            field.observe(lambda _: self.run(), "value")

    def run(self) -> None:
        """Run what the fields say; an error is shown below them, and the player stays as it was."""
        typed = self.pages.value.strip().replace(",", "")
        try:
            pages = to_pages(int(typed) if typed.isascii() and typed.isdigit() else typed)
            if not 16 <= pages <= MAX_TRY_PAGES:
                raise ValueError(f"{self.pages.value} cannot be tried here: give 16 to {MAX_TRY_PAGES:,} pages, or a size up to 1 GiB")
            if len(parse(self.requests.value, self.player.tape.names)) > MAX_TRY_REQUESTS:
                raise ValueError(f"these are more than {MAX_TRY_REQUESTS:,} requests: ask for fewer")
            tape = self._make(self.requests.value, pages)
        except ValueError as problem:
            self.error.value = _error_html(problem)
            return
        self.error.value = kept_progress.record(self.name, Entry(OPEN, f"{self.pages.value}\n{self.requests.value}"))
        if self.player.tape.at(0).zone.end_pfn == pages:
            self.player.set_tape(tape)
        else:
            self.player = player_of(tape, start=max(len(tape) - 1, 0))
            self.player.renew()
            self.place.children = [self.player]

    def text(self) -> str:
        """Return where the player stands, in words."""
        return self.player.text()
