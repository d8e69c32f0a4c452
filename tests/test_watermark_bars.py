"""Watermark bars: free pages against the marks, to scale, and how the zone answered."""

import re

import pytest
from runs import accents, busy_run, columns_of, kinds_of_machines, moments, outside, overlapping, quads, words

from pagelab.lab.tape import Tape
from pagelab.mm.act import Checked
from pagelab.mm.boot import boot_machine
from pagelab.mm.machine import machine
from pagelab.view.columns import moment
from pagelab.view.drawing import Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.watermark_bars import BAR, HEADER, LEFT, ROW, THICK, bars, bars_height, bars_table, draw_bars, verdict

WITH_MARKS = pytest.mark.parametrize("kind", ["watermarks", "zones", "nodes"])


def small(requests, **options):
    return Tape(machine("48 MiB", **{"min_free_kbytes": 886, **options})).then(requests)


def drawn(now, theme=LIGHT):
    drawing = Drawing(theme)
    draw_bars(drawing, now, 0)
    return drawing


def free_bars(drawing, theme=LIGHT):
    return [quad for quad in quads(drawing.blocks) if quad.fill == theme.free]


@WITH_MARKS
def test_a_bar_has_the_numbers_of_its_zone(kind):
    for now in moments(busy_run(1, kinds_of_machines()[kind], 40)):
        found = bars(now)
        assert [bar.z for bar in found] == sorted((bar.z for bar in found), reverse=True), "the highest zone first, as a request tries them"
        assert sum(bar.shown for bar in found) == 1
        for bar in found:
            zone = now.machine.zones[bar.z]
            assert (bar.free, bar.marks) == (zone.nr_free_pages(), now.machine.marks[bar.z])
            checks = [act for act in now.acts if isinstance(act, Checked) and act.zone == bar.z]
            assert bar.check == (checks[-1] if checks else None)
            assert bar.now == (bool(checks) and checks[-1] is now.acts[-1])


@WITH_MARKS
def test_bars_are_to_scale_and_longer_ones_have_an_arrow(kind):
    for now in moments(busy_run(2, kinds_of_machines()[kind], 25)):
        drawing = drawn(now)
        assert len(free_bars(drawing)) == len(bars(now))
        for bar, quad in zip(bars(now), free_bars(drawing), strict=True):
            end = 1.25 * (bar.marks.promo + bar.reserve)
            assert quad.right - quad.left == pytest.approx(BAR * min(1, bar.free / end))
            assert quad.bottom - quad.top == THICK
            arrows = [word for word in words(drawing.words) if word.text == "→" and quad.top < word.y < quad.bottom]
            assert bool(arrows) == (bar.free > end)


def test_marks_stand_where_free_pages_would_reach_them():
    now = moment(small("alloc 0"), 0, 1)
    drawing = drawn(now)
    ticks = {quad.left + (quad.right - quad.left) / 2: quad for quad in quads(drawing.marks) if 1 <= quad.right - quad.left <= 2}
    (bar,) = bars(now)
    scale = BAR / (1.25 * bar.marks.promo)
    assert sorted(ticks) == pytest.approx([LEFT + scale * pages for pages in bar.marks])
    asked = [quad for quad in ticks.values() if quad.fill == LIGHT.ink]
    assert [(quad.left + quad.right) / 2 for quad in asked] == pytest.approx([LEFT + scale * 276])
    names = {word.text: word for word in words(drawing.words)}
    assert {"min 221", "low 276", "high 331", "promo 386"} <= set(names)
    assert (names["low 276"].style, names["low 276"].color, names["min 221"].color) == ("bold", LIGHT.ink, LIGHT.quiet)


def test_a_zone_keeps_pages_from_requests_that_could_go_higher():
    tape = Tape(boot_machine([(256, 65_536)], pcp=False)).then("alloc 10 x60")
    assert any(act.zone == 0 for k in range(60) for act in tape.acts(k) if isinstance(act, Checked))
    k = next(k for k in range(60) if any(isinstance(act, Checked) and act.zone == 0 for act in tape.acts(k)))
    acts = tape.acts(k)
    i = next(i for i, act in enumerate(acts) if isinstance(act, Checked) and act.zone == 0)
    now = moment(tape, k, i)
    dma = next(bar for bar in bars(now) if bar.name == "DMA")
    assert dma.reserve == acts[i].reserve == 240
    assert verdict(dma) == f"{acts[i].free:,} > low {acts[i].mark} + reserve 240: passes"
    drawing = drawn(now)
    (kept,) = [quad for quad in quads(drawing.blocks) if quad.hatch == "right_diagonal_line"]
    assert kept.right - kept.left == pytest.approx(BAR * 240 / (1.25 * (dma.marks.promo + 240)))
    assert [bar.reserve for bar in bars(moment(tape, k, 0))] == [bar.reserve for bar in bars(now)], "known before the zone is asked"


def test_verdicts():
    tape = small("alloc 9 x24; alloc 0")
    assert verdict(bars(moment(tape, 0, 0))[0]) == ""
    assert verdict(bars(moment(tape, 0, 1))[0]) == "11,777 > low 276: passes"
    refused = next(k for k, got in enumerate(tape.received) if got < 0)
    (bar,) = bars(moment(tape, refused, -1))
    assert verdict(bar) == "1 ≤ min 221: refused"


def test_a_request_that_may_use_reserves_meets_a_lower_mark():
    tape = small("alloc 9 x23; alloc 6; alloc 5; alloc 3; alloc 0 atomic; alloc 5; alloc 7 atomic")
    k = len(tape) - 1
    checks = [i for i, act in enumerate(tape.acts(k)) if isinstance(act, Checked)]
    (bar,) = bars(moment(tape, k, checks[-1]))
    assert bar.check.mark < bar.marks.min
    assert bar.mark == "mark"
    assert f"mark {bar.check.mark}" in [word.text for word in words(drawn(moment(tape, k, checks[-1])).words)]


@WITH_MARKS
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_a_zone_that_is_asked_is_looked_at_and_nothing_is_in_accent(kind, theme):
    for now in moments(busy_run(3, kinds_of_machines()[kind], 25)):
        drawing = drawn(now, theme)
        assert accents(drawing, theme) == ([], [])
        dashed = [quad for quad in quads(drawing.marks) if quad.line == theme.ink and quad.dash != "solid"]
        rows = [row for row, bar in enumerate(bars(now)) if bar.now]
        assert [int((ring.top - HEADER) // ROW) for ring in dashed] == rows


@WITH_MARKS
def test_nothing_leaves_the_figure_or_stands_on_another(kind):
    for now in moments(busy_run(4, kinds_of_machines()[kind], 40)):
        drawing = drawn(now)
        assert outside(columns_of(drawing), 824, bars_height(now.machine)) == []
        assert overlapping(words(drawing.words)) == []


@WITH_MARKS
def test_the_table_has_the_same_numbers(kind):
    for now in moments(busy_run(5, kinds_of_machines()[kind], 15)):
        rows = [re.findall(r"<td>([^<]*)</td>", row) for row in bars_table(now).split("<tr>")[2:]]
        for bar, row in zip(bars(now), rows, strict=True):
            assert row[:7] == [bar.name, *(f"{pages:,}" for pages in (bar.free, *bar.marks, bar.reserve))]
            assert row[7].replace("&gt;", ">") == verdict(bar)


def test_a_machine_without_watermarks_has_no_bars():
    now = moment(Tape(machine(16)).then("alloc 0"), 0, -1)
    assert (bars(now), bars_table(now), bars_height(now.machine)) == ([], "", 0)
    assert bars_height(kinds_of_machines()["zones"]) == bars_height(kinds_of_machines()["watermarks"]) + ROW
