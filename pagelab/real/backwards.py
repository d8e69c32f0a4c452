"""A trace that begins at boot, walked backwards: which pages were free before the first event."""

import numpy as np
import numpy.typing as npt

from pagelab.mm.units import PAGEBLOCK_ORDER
from pagelab.real.archive import fail
from pagelab.real.buddy import bypasses_lists
from pagelab.real.capture import Capture
from pagelab.real.proc import ZoneKey
from pagelab.real.replay import TRACE, events
from pagelab.real.trace import Event

S0_BEGIN = "SNAP0 begin"
TAKES = ("take", "extfrag", "isolate")


def free_at_start(capture: Capture) -> dict[ZoneKey, npt.NDArray[np.bool_]]:
    """Find the pages that were free before the first event of a trace: undo every event from the first snapshot back.

    Args:
        capture: with trace.txt, S0.kpageflags and S0.zoneinfo.

    Returns:
        For each (node, zone) with free lists a bool array, shape (spanned,), beginning at the zone's start_pfn.

    Raises:
        CaptureError: a file is missing, damaged or of another form, or the trace has lost events.

    Unlike the kernel at boot, zones whose hand-over is deferred hold few pages before the first event: the others come later, as frees.

    >>> from pagelab.mm.free_set import free_counts
    >>> from pagelab.real.capture import example
    >>> free_counts(free_at_start(example("612-boot-512M-1cpu"))[0, "DMA"], start_pfn=1)
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]
    """
    zones, free = capture.zoneinfo("S0"), {key: bitmap.copy() for key, bitmap in capture.free_pages("S0").items()}
    moves = []
    for event in events(capture):
        if event.text == S0_BEGIN:
            break
        if event.kind == "lost":
            fail(
                f"{capture.file_name(TRACE)} line {event.line}", "events are lost before the first snapshot", "a trace that has every event"
            )
        if _moves(event):
            moves.append((event.pfn, event.order, event.kind in TAKES))
    for pfn, order, taken in reversed(moves):
        for key, bitmap in free.items():
            at = pfn - (zones[key].start_pfn or 0)
            if 0 <= at < len(bitmap):
                bitmap[at : at + (1 << order)] = taken
    return free


def _moves(event: Event) -> bool:
    """Tell whether an event takes pages off the free lists or brings them back; at boot blocks of order 9 come past the per-CPU lists."""
    if event.kind == "free":
        return bypasses_lists(event) or event.order == PAGEBLOCK_ORDER
    return event.kind in (*TAKES, "drain")
