"""Wrong models: one small change of the rules for each thing that a learner may believe.

A variant gives the answer that its belief leads to. When a learner's answer equals it, the belief is known by name, whatever the seed. A
belief about the rules is a stand-in for Zone with one rule replaced, or a machine with one part changed; the others are one function from
the question. Of two beliefs with the same answer, the first one is spoken to.
"""

from typing import Any

from .buddy_beliefs import BUDDY_BELIEFS
from .machine_beliefs import MACHINE_BELIEFS
from .object_beliefs import OBJECT_BELIEFS
from .question import Question
from .slab_beliefs import SLAB_BELIEFS
from .trace_beliefs import TRACE_BELIEFS

VARIANTS = (*BUDDY_BELIEFS, *MACHINE_BELIEFS, *TRACE_BELIEFS, *OBJECT_BELIEFS, *SLAB_BELIEFS)


def beliefs(question: Question) -> dict[str, Any]:
    """Return the answer of each variant that has one.

    Args:
        question: any question.

    Returns:
        From the variant's name to its answer.

    >>> from pagelab.lab.question import Fit
    >>> beliefs(Fit(5))
    {'round-down': 2}
    """
    answers = ((variant.name, variant.answer(question)) for variant in VARIANTS)
    return {name: answer for name, answer in answers if answer is not None}
