"""The table of what a trace said of rules: every number in plain figures, names escaped, and a bar that is only a bar."""

import re
from html.parser import HTMLParser

from pagelab.real.buddy import Score
from pagelab.real.replay import Replay
from pagelab.view.scores import BAR, scores_html

NAMES = ["as they are", "LifoOnly", "OneMerge"]
SCORES = [Score(35_987, 0, 37), Score(35_987, 109, 37), Score(36_001, 8_094, 23)]


class Table(HTMLParser):
    """The text of each cell, row by row, and the width of each bar."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.bars, self.tags, self.inside = [], [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.inside = True
        if tag == "span":
            self.bars.append(int(re.fullmatch(r"width:(\d+)px", dict(attrs)["style"])[1]))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, text):
        if self.inside:
            self.rows[-1][-1] += text


def table_of(scores):
    return Table(scores_html({name: Replay(pages=score) for name, score in scores.items()}))


def test_every_number_of_a_score_stands_under_its_name():
    head, *rows = table_of(dict(zip(NAMES, SCORES, strict=True))).rows
    assert head[:5] == ["rules", "picks predicted", "right", "wrong", "learned"]
    assert [row[:5] for row in rows] == [
        ["as they are", "35,987", "35,987", "0", "37"],
        ["LifoOnly", "35,987", "35,878", "109", "37"],
        ["OneMerge", "36,001", "27,907", "8,094", "23"],
    ]
    assert {len(row) for row in (head, *rows)} == {6}


def test_bars_are_as_long_as_what_was_wrong_and_none_is_a_word():
    table = table_of(dict(zip(NAMES, SCORES, strict=True)))
    assert table.rows[1][5] == "none"
    assert len(table.bars) == 2
    assert table.bars[1] == BAR
    assert abs(table.bars[0] - BAR * 109 / 8_094) <= 0.5
    assert table_of({"half": Score(20, 5, 0), "all": Score(20, 10, 0)}).bars == [BAR // 2, BAR]


def test_a_single_wrong_pick_among_very_many_still_shows_a_bar():
    assert table_of({"one": Score(10**6, 1, 0), "most": Score(10**6, 900_000, 0)}).bars == [1, BAR]


def test_a_name_is_text_and_never_html():
    name = '<script>alert("1")</script> & <b>'
    table = table_of({name: Score(5, 1, 0)})
    assert table.rows[1][0] == name
    assert not {"script", "b"} & set(table.tags)


def test_nothing_is_told_by_colour_alone():
    html = scores_html({name: Replay(pages=score) for name, score in zip(NAMES, SCORES, strict=True)})
    assert "color" not in html
    assert set(re.findall(r'style="([a-z-]+):', html)) == {"width"}
    without_bars = Table(re.sub(r"<span.*?</span>", "", html))
    assert without_bars.rows == Table(html).rows


def test_rows_and_columns_have_headers_and_the_table_a_caption():
    html = scores_html({"as they are": Replay(pages=SCORES[0])})
    assert (html.count('scope="col"'), html.count('scope="row"')) == (6, 1)
    assert re.search(r"<caption>[^<]+</caption>", html)


def test_a_replay_without_picks_has_no_row():
    replays = {"nothing": Replay(notes=["no trace"]), "fifo": Replay(pages=Score(9, 2, 1))}
    assert [row[0] for row in Table(scores_html(replays)).rows] == ["rules", "fifo"]
    assert len(Table(scores_html({})).rows) == 1
