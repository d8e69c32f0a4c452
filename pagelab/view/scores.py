"""What a trace said of the rules, and of beliefs about them: a table with a bar for what was wrong. No bokeh here."""

from collections.abc import Mapping
from html import escape

from ..real.replay import Replay

BAR = 240  # CSS pixels of the longest


def scores_html(replays: Mapping[str, Replay]) -> str:
    """Return replays of one trace as an HTML table: predicted, wrong and learned picks, and a bar as long as what was wrong.

    >>> from pagelab.real.buddy import Score
    >>> "<td>229</td>" in scores_html({"fifo": Replay(pages=Score(35_986, 229, 38))})
    True
    """
    scores = {name: found.pages for name, found in replays.items() if found.pages}
    most = max((score.wrong for score in scores.values()), default=0) or 1
    names = ("rules", "picks predicted", "right", "wrong", "learned", "wrong, as a bar")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = ""
    for name, score in scores.items():
        width = round(BAR * score.wrong / most) if score.wrong else 0
        numbers = (score.definite, score.definite - score.wrong, score.wrong, score.learned)
        cells = "".join(f"<td>{number:,}</td>" for number in numbers)
        bar = f'<td><span class="pagelab-bar" style="width:{max(width, 1)}px"></span></td>' if score.wrong else "<td>none</td>"
        rows += f'<tr><th scope="row">{escape(name)}</th>{cells}{bar}</tr>'
    caption = "<caption>Pages off the free lists: what the rules named before the line's pfn was read</caption>"
    return f'<table class="pagelab-table pagelab-scores">{caption}<tr>{head}</tr>{rows}</table>'
