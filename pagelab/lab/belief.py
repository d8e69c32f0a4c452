"""What a belief is: the answer that it leads to, and what is said to it. And how the acts of a run are made its evidence."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..mm.act import Act, Compared, Linked, Parked, Refused, Unlinked, Unparked, held_block
from ..mm.slab_act import Drawn, Popped, Rested
from ..mm.zone import Zone
from .caption import captions
from .question import Question, Run
from .slab_question import SlabRun


class Variant(NamedTuple):
    """A belief: its name, the answer it gives (None where it has none), and what to say to it."""

    name: str
    answer: Callable[[Any], Any]
    message: Callable[[Any], str]


def under(zone_type: type[Zone]) -> Callable[[Question], Any]:
    """Give the answer of a stand-in for Zone.

    Args:
        zone_type: the stand-in.

    Returns:
        From a question to an answer, None where it has none.

    >>> from pagelab.lab import scenario
    >>> under(Zone)(Run(scenario.text(), "alloc 0", "pfn"))
    0
    """
    return run_by(lambda question: question.under(zone_type))


def run_by(answer: Callable[[Run], Any]) -> Callable[[Question], Any]:
    """Give the answer of a function to runs, and none to other questions or where the requests cannot be done.

    Args:
        answer: from a run to an answer.

    Returns:
        From a question to an answer, None where it has none.

    >>> from pagelab.lab.question import Fit
    >>> print(run_by(lambda question: question.under(Zone))(Fit(5)))
    None
    """

    def given(question: Question) -> Any:
        try:
            return answer(question) if isinstance(question, Run) else None
        except (ValueError, IndexError, KeyError, StopIteration):
            return None

    return given


def evidence(question: Run | SlabRun, wanted: Callable[[Any], bool]) -> str:
    """Say what the last act of a kind did in the requests of a question, and at which step to look.

    Args:
        question: a run.
        wanted: tells whether an act is of the kind.

    Returns:
        The act's caption and its step, or the last step where there is no such act.

    >>> from pagelab.lab import scenario
    >>> evidence(Run(scenario.text("alloc 0 x2"), "free 1", "lists"), stopped)
    'The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use, so merging stops here. Step 2.'
    """
    after = question.after()
    for k in reversed(range(len(question.tape), len(after))):
        acts = after.acts(k)
        for i in reversed(range(len(acts))):
            if wanted(acts[i]) and not (wanted is stopped and _asks_for_larger(acts[:i], acts[i])):
                return f"{captions(acts)[i].sentence} Step {k}."
    return f"Step {len(after) - 1}."


def _asks_for_larger(before: Sequence[Act], act: Any) -> bool:
    held = held_block(before)
    return held is not None and act.order > held[1]


def waits(act: Any) -> bool:
    """Tell whether an act is a larger block near by, for which a block waits.

    Args:
        act: any act.

    Returns:
        True for a comparison that said yes.

    >>> waits(Refused(0, 1))
    False
    """
    return isinstance(act, Compared) and act.yes


def stopped(act: Any) -> bool:
    """Tell whether an act is a buddy that refuses.

    Args:
        act: any act.

    Returns:
        True for a comparison that said no.

    >>> from pagelab.mm.zone import Zone
    >>> stopped(Compared(1, 0, False, Zone(16).block(1)))
    True
    """
    return isinstance(act, Compared) and not act.yes


def unlinked(act: Any) -> bool:
    """Tell whether an act takes a block off a list, of a CPU's too, or finds none.

    Args:
        act: any act.

    Returns:
        True for Unlinked, Unparked at the head, and Refused.

    >>> unlinked(Refused(0, 1))
    True
    """
    return isinstance(act, (Unlinked, Refused)) or (isinstance(act, Unparked) and not act.tail)


def linked_at_head(act: Any) -> bool:
    """Tell whether an act puts a block at the head of a list, of a CPU's too.

    Args:
        act: any act.

    Returns:
        True for Linked and Parked at the head.

    >>> linked_at_head(Linked(0, 0, 1, tail=True))
    False
    """
    return isinstance(act, (Linked, Parked)) and not act.tail


def handed_out(act: Any) -> bool:
    """Tell whether an act hands out an object of a cache.

    Args:
        act: any act.

    Returns:
        True for Popped, Drawn, and Rested where the object left a sheaf.

    >>> handed_out(Popped("cred", 0, 1, 0))
    True
    """
    return isinstance(act, (Popped, Drawn)) or (isinstance(act, Rested) and act.awake)


HEAD_RULE = "Rule: a request takes the head of the lowest order that has a block."
