"""Questions about a captured trace: which picks the rules fix, and what has to be learned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..mm.act import Act, Asked, Compared
from .tape import Tape


@dataclass(frozen=True)
class BlocksIn:
    """How many free blocks are there in these lines of /proc/buddyinfo?"""

    lines: tuple[tuple[int, ...], ...]
    form: str = "number"

    def truth(self) -> int:
        """Return the number of blocks."""
        return sum(map(sum, self.lines))


@dataclass(frozen=True)
class WaitsFor:
    """Which free block is the reason that a step puts its block at the tail?"""

    tape: Tape[Any]
    k: int
    form: str = "number"

    def truth(self) -> int:
        """Return the head of the free block one order up."""
        return next(act.pfn for act in self.acts() if isinstance(act, Compared) and act.yes)

    def freed(self) -> Asked:
        """Return what comes back in that step."""
        return next(act for act in self.acts() if isinstance(act, Asked))

    def acts(self) -> list[Act]:
        """Return what the step does."""
        return self.tape.acts(self.k)


@dataclass(frozen=True)
class Learned:
    """Which of the takes at these steps of a trace must be learned? learned are those that the rules do not fix."""

    takes: tuple[int, ...]
    learned: tuple[int, ...]
    form: str = "numbers"

    def truth(self) -> list[int]:
        """Return the steps."""
        return list(self.learned)


@dataclass(frozen=True)
class WrongPicks:
    """How many picks of a trace does a belief get wrong? picks replays the trace and gives those predicted, wrong and learned."""

    belief: str
    picks: Callable[[], tuple[int, int, int]]
    form: str = "number"

    def truth(self) -> int:
        """Return the wrong ones."""
        return self.picks()[1]
