"""What a trace tells too late: the next event of each page, found by reading it once before.

One byte is kept for each line, and the last line of each page; no event.
"""

from collections.abc import Iterable

from pagelab.real.trace import Event

KINDS = ("none", "alloc", "free", "batched", "take", "drain", "extfrag", "isolate")


class Ahead:
    """What happens next to a page: one byte for each line of the trace."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.kinds = bytearray()
        self.boot = False
        last: dict[int, int] = {}
        for event in events:
            if event.kind == "mark":
                self.boot = self.boot or event.text.startswith("BOOT MODE")
            if event.kind not in KINDS:
                continue
            if event.line >= len(self.kinds):
                self.kinds.extend(bytes(event.line + 1 - len(self.kinds)))
            if (before := last.get(event.pfn)) is not None:
                self.kinds[before] = KINDS.index(event.kind)
            last[event.pfn] = event.line

    def kind(self, line: int) -> str:
        """Return the kind of the next event of the page that a line names, or "none"."""
        return KINDS[self.kinds[line]] if line < len(self.kinds) else "none"
