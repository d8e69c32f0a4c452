"""Arrows from each free object of a slab to the next one, in the gaps between the rows of its map; none where they would not be legible."""

from collections.abc import Sequence
from typing import NamedTuple

from .drawing import Drawing, Rect

MOST, MOST_ACROSS = 12, 1
ASIDE, BETWEEN = 6, 4
ON, OFF = 4, 3


class Stop(NamedTuple):
    """Where a free object stands: the row of its widest part, and the middle of that."""

    row: int
    x: float


class Arrow(NamedTuple):
    """From one object to another: their rows, where it leaves and arrives, and its lane in the gap below row `gap`; dashed or not."""

    start: Stop
    end: Stop
    gap: int
    lane: int
    dashed: bool


def arrows(chains: Sequence[tuple[Sequence[Stop], bool]], lanes: int) -> list[Arrow]:
    """Find a way for each arrow: so that no two share a line.

    Args:
        chains: the objects of each freelist, head first, and whether its arrows are dashed.
        lanes: how many have room in the gap between two rows.

    Returns:
        The arrows, or none at all where there are too many of them, in a gap or across other rows.

    >>> [arrow.lane for arrow in arrows([([Stop(0, 10), Stop(0, 110), Stop(0, 60)], False)], 3)]
    [0, 1]
    """
    if sum(len(stops) for stops, _ in chains) > MOST:
        return []
    found: list[Arrow] = []
    across = 0
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for stops, dashed in chains:
        for one, other in zip(stops, stops[1:], strict=False):
            start, end = Stop(one.row, one.x + ASIDE), Stop(other.row, other.x - ASIDE)
            gap, low, high = one.row - (other.row < one.row), min(start.x, end.x) - BETWEEN, max(start.x, end.x) + BETWEEN
            free = (lane for lane in range(lanes) if all(high < a or low > b for a, b in taken.get((gap, lane), [])))
            lane = next(free, -1)
            if lane < 0:
                return []
            across += abs(other.row - one.row) > 1
            taken.setdefault((gap, lane), []).append((low, high))
            found.append(Arrow(start, end, gap, lane, dashed))
    return found if across <= MOST_ACROSS else []


def draw_arrows(drawing: Drawing, found: Sequence[Arrow], top: float, high: float, pitch: float, step: float) -> None:
    """Draw arrows, thin and quiet; over another row they have a casing of paper.

    top: of the first row. high, pitch: of rows. step: from lane to lane. All in CSS pixels.
    """
    for arrow in found:
        lane = top + arrow.gap * pitch + high + step * (arrow.lane + 1)
        leave = top + arrow.start.row * pitch + (0 if arrow.gap < arrow.start.row else high)
        below = arrow.end.row > arrow.gap
        arrive = top + arrow.end.row * pitch + (0 if below else high)
        if abs(arrive - lane) > pitch / 2:
            drawing.quad(Rect(arrow.end.x - 1.5, min(lane, arrive), 4, abs(arrive - lane)), "paper")
        thin_line(drawing, arrow.start.x, leave, arrow.start.x, lane, arrow.dashed)
        thin_line(drawing, arrow.start.x, lane, arrow.end.x, lane, arrow.dashed)
        thin_line(drawing, arrow.end.x, lane, arrow.end.x, arrive, arrow.dashed)
        for i in range(3):
            y = arrive - 1 - i if below else arrive + i
            drawing.quad(Rect(arrow.end.x - i, y, 1 + 2 * i, 1), "ink")


def thin_line(drawing: Drawing, x: float, y: float, to_x: float, to_y: float, dashed: bool, role: str = "quiet") -> None:
    """Draw a line of one pixel, across or down, to its right and below it."""
    left, top, width, height = min(x, to_x), min(y, to_y), abs(to_x - x), abs(to_y - y)
    length, across = max(width, height), width >= height
    at = 0.0
    while at < length:
        part = min(ON, length - at) if dashed else length
        drawing.quad(Rect(left + at, top, part + 1, 1) if across else Rect(left, top + at, 1, part), role)
        at += part + OFF
