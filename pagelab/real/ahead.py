"""What a trace tells too late: the next event of each page, found by reading it once before.

One byte is kept for each line, and the last line of each page; no event.
"""

from collections import Counter
from collections.abc import Iterable

from pagelab.real.trace import Event

KINDS = ("none", "alloc", "free", "batched", "take", "drain", "extfrag", "isolate")


MAX_MARKS = 10_000  # different ones


class Ahead:
    """What happens next to a page, and what kinds of lines there are.

    Args:
        events: the whole trace.

    Attributes:
        seen: how often each kind occurs. marks: their texts. boot: the trace begins at boot. lost: events that the kernel had no room for.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.kinds = bytearray()
        self.boot, self.lost = False, 0
        self.marks: set[str] = set()
        self.seen: Counter[str] = Counter()
        last: dict[int, int] = {}
        taken: dict[int, int] = {}
        for event in events:
            if event.kind == "mark":
                self.boot = self.boot or event.text == "BOOT MODE"
                self.marks.add(event.text if len(self.marks) < MAX_MARKS else "")
            self.lost += event.number if event.kind == "lost" else 0
            if event.kind not in KINDS:
                continue
            self.seen[event.kind] += 1
            if event.kind == "extfrag" and taken.get(event.cpu) == event.pfn:
                continue  # the second line of a take
            taken[event.cpu] = event.pfn if event.kind == "take" else -1
            if event.line >= len(self.kinds):
                self.kinds.extend(bytes(event.line + 1 - len(self.kinds)))
            if (before := last.get(event.pfn)) is not None:
                self.kinds[before] = KINDS.index(event.kind)
            last[event.pfn] = event.line

    def kind(self, line: int) -> str:
        """Return the kind of the next event of the page that a line names, or "none"."""
        return KINDS[self.kinds[line]] if line < len(self.kinds) else "none"
