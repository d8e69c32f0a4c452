"""What a learner sees: players, maps, and the fields that answers are typed into."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from IPython.display import HTML, display

from ..lab import progress as kept_progress
from ..lab.question import Question, run_of
from ..lab.tape import Tape
from ..lab.task import Task
from ..mm.machine import Machine
from ..mm.slab_machine import SlabMachine
from ..mm.two_words import TwoWords
from ..real.capture import Capture
from ..real.replay import Replay
from ..real.slabinfo import parse_slabinfo
from .answer import Field
from .live_figure import load_bokehjs as load_bokehjs
from .live_task import LiveTask, TryRequests
from .lock_step import LockStep
from .panel import announce
from .player import Player
from .real_map import RealMap
from .scores import scores_html
from .slab_lock_step import SlabLockStep
from .slab_player import player_of
from .slab_shapes import SlabShapes
from .slabinfo_table import PasteSlabInfo, SlabInfoTable
from .slot_panel import SlotPanel
from .stepper import Place, Stepper
from .style import CSS
from .word_table import words_html
from .words import counts_html


def play(
    tape: Tape[Any],
    goto: Mapping[str, Place] | None = None,
    start: Place = (0, 0),
    theme: str | None = None,
    scale: float = 1,
    cache: str | None = None,
) -> Player:
    """Show a run in a player; goto and start name steps as `Player` says, and cache a cache as `SlabPlayer` says."""
    player = player_of(tape, goto, start, theme, scale, cache)
    announce(player)
    return player


def compare(
    left: Tape[Any],
    right: Tape[Any],
    labels: tuple[str, str] = ("6.1", "6.12"),
    goto: Mapping[str, Place] | None = None,
    start: Place = (0, 0),
    theme: str | None = None,
    scale: float = 1,
) -> Stepper:
    """Show the same requests on two machines, step by step; goto and start name steps as `Player` says.

    Of machines with caches the lists of a cache are shown, of others the page maps, with what differs marked.
    """
    with_caches = isinstance(left.at(0), SlabMachine) and isinstance(right.at(0), SlabMachine)
    both = (SlabLockStep if with_caches else LockStep)(left, right, labels, goto, start, theme, scale)
    announce(both)
    return both


def predict(name: str, tape: Tape[Machine], requests: str, ask: str | Sequence[str], answer: Any = None) -> Field:
    """Ask what these requests do after the end of the tape, before it is shown; ask names what `Run` or `SlabRun` can be asked."""
    asks = [ask] if isinstance(ask, str) else list(ask)
    return check(name, {one: run_of(tape, requests, one) for one in asks}, answer)


def check(name: str, question: Question | Mapping[str, Question], answer: Any = None) -> Field:
    """Ask a question, or several parts of one; answer is one given in code."""
    field = Field(name, question if isinstance(question, Mapping) else {"answer": question}, answer)
    announce(field)
    return field


def attempt(name: str, task: Task, answer: str | None = None) -> LiveTask:
    """Show a task with a field for its requests; answer is requests given in code."""
    live = LiveTask(name, task, answer)
    announce(live)
    return live


def try_requests(pages: int = 16, requests: str = "alloc 0; alloc 1; free @0", caches: bool = False) -> TryRequests:
    """Show a field to try any requests on a zone of any size, with caches or without."""
    trial = TryRequests(pages, requests, caches)
    announce(trial)
    return trial


def page_map(capture: Capture, snapshot: str, zone: str, node: int = 0) -> RealMap:
    """Show a zone of a captured machine, page by page."""
    shown = RealMap(capture, snapshot, zone, node)
    announce(shown)
    return shown


def slabinfo(capture: Capture, snapshot: str = "S0") -> SlabInfoTable:
    """Show what a captured machine's slabinfo says, row by row."""
    shown = SlabInfoTable(parse_slabinfo(capture.text(f"{snapshot}.slabinfo"), f"{capture.name}, {snapshot}.slabinfo"), f"{capture.name}:")
    announce(shown)
    return shown


def paste_slabinfo() -> PasteSlabInfo:
    """Show a field to paste a machine's slabinfo into, and what it says."""
    field = PasteSlabInfo()
    announce(field)
    return field


def show_slot(tape: Tape[Any], k: int, request: int, random: int | None = None) -> SlotPanel:
    """Show the bytes of the slot that a request received, before request k; random is the cache's, where free pointers are hardened."""
    shown = SlotPanel(tape, k, request, random)
    announce(shown)
    return shown


def slab_shapes(sizes: Sequence[int], cpus: int = 1, kernel: str = "6.12") -> SlabShapes:
    """Show how large the slabs of caches are, with a slider of CPUs; sizes and the rest are as `SlabShapes` has them."""
    shapes = SlabShapes(sizes, cpus, kernel)
    announce(shapes)
    return shapes


def counts_table(lines: Mapping[str, Sequence[int]]) -> None:
    """Show lines of 11 counts under each other; what differs from the first is marked."""
    display(HTML(f'<style>{CSS}</style><div class="pagelab">{counts_html(lines)}</div>'))  # type: ignore[no-untyped-call]


def words_table(moments: Mapping[str, TwoWords]) -> None:
    """Show the two words that were proposed for a page, at some moments, beside its struct page today."""
    display(HTML(f'<style>{CSS}</style><div class="pagelab">{words_html(moments)}</div>'))  # type: ignore[no-untyped-call]


def score_table(replays: Mapping[str, Replay]) -> None:
    """Show what a trace said of the rules, or of beliefs about them, in a row each."""
    display(HTML(f'<style>{CSS}</style><div class="pagelab">{scores_html(replays)}</div>'))  # type: ignore[no-untyped-call]


def progress() -> None:
    """Show which exercises are right, not yet right, or open."""
    entries, said = kept_progress.load()
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{entry.state}</td></tr>" for name, entry in entries.items() if not name.startswith("try ")
    )
    head = '<tr><th scope="col">exercise</th><th scope="col">state</th></tr>'
    table = f'<table class="pagelab-table">{head}{rows}</table>' if rows else "Nothing is answered yet."
    display(HTML(f'<style>{CSS}</style><div class="pagelab"><div>{escape(said)}</div>{table}</div>'))  # type: ignore[no-untyped-call]
