"""The strip: every step of the run, free pages above and the largest free order below; a click goes there."""

from .columns import Strip
from .drawing import Drawing, Rect

HEIGHT = 100
LEFT, BAND = 104, 30
BASE, FLOOR = 36, 78


def strip_x(run: Strip, step: float, width: float) -> float:
    """Return where a step lies, in CSS pixels.

    >>> import numpy as np
    >>> none = np.zeros(2, int)
    >>> strip_x(Strip(np.array([0, 10]), none, none, none, 16, 5), 5, 824)
    464.0
    """
    return LEFT + (width - LEFT) * step / max(1, int(run.steps[-1]))


def step_at(run: Strip, x: float, width: float) -> int:
    """Return the step at a place of the strip, the nearest one that exists.

    >>> import numpy as np
    >>> none = np.zeros(2, int)
    >>> step_at(Strip(np.array([0, 10]), none, none, none, 16, 5), 460, 824)
    5
    """
    last = int(run.steps[-1])
    return min(last, max(0, round((x - LEFT) / (width - LEFT) * max(1, last))))


def draw_run(drawing: Drawing, run: Strip, width: float) -> None:
    """Draw what does not change from step to step: the free pages as an area, the largest free order as steps."""
    xs = [strip_x(run, step, width) for step in run.steps] + [width + 1]
    for x, right, step, free, largest in zip(xs, xs[1:], run.steps, run.free, run.largest, strict=False):
        high, says = BAND * free / max(run.pages, 1), run.says
        tip = f"<b>go to {step:,}</b><br>{free:,} {says.area_tip}, {says.line_tip} {largest:,}"
        drawing.quad(Rect(x, BASE - high, right - x + 0.6, high), "pcp", tip=tip)
        drawing.quad(Rect(x, BASE - high - 0.5, right - x, 1), "free_outline", tip=tip)
        if largest >= 0:
            drawing.quad(Rect(x, FLOOR - BAND * largest / max(run.orders - 1, 1) - 0.75, right - x, 1.5), "ink", tip=tip)
    drawing.quad(Rect(LEFT, BASE, width - LEFT, 1), "hairline", tip=" ")
    drawing.quad(Rect(LEFT, FLOOR, width - LEFT, 1), "hairline", tip=" ")


def draw_now(drawing: Drawing, run: Strip, k: int, width: float) -> None:
    """Draw the words, the refused requests and the accent line at step k; what comes later is paler."""
    last, x = int(run.steps[-1]), strip_x(run, k, width)
    drawing.word(0, BASE - 22, run.says.area, "ink")
    drawing.word(0, BASE - 8, f"{run.says.top} {run.pages:,}", "quiet")
    drawing.word(0, FLOOR - 22, run.says.line, "ink")
    drawing.word(0, FLOOR - 8, f"{run.says.span} {run.orders - 1:,}", "quiet")
    drawing.word(LEFT - 6, FLOOR - BAND, f"{run.orders - 1:,}", "quiet", 10, align="right")
    drawing.word(LEFT - 6, FLOOR, "0", "quiet", 10, align="right")
    drawing.quad(Rect(x, BASE - BAND, width + 1 - x, BAND - 0.5), "paper", alpha=0.6)
    for step in run.refused[:200]:
        drawing.word(strip_x(run, float(step), width), FLOOR, "×", "ink", 13, bold=True, align="center")
    drawing.quad(Rect(x - 1, 2, 2, FLOOR + 1), "changed")
    label = f"step {k:,}"
    place = min(max(x, LEFT + 3.2 * len(label)), width - 3.2 * len(label))
    drawing.word(place, FLOOR + 13, label, "changed_text", bold=True, align="center")
    if place > LEFT + 50:
        drawing.word(LEFT, FLOOR + 13, "step 0", "quiet")
    if place < width - 80:
        drawing.word(width, FLOOR + 13, f"{last:,}", "quiet", align="right")
