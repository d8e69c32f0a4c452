"""The per-CPU lists: a row for each that is not empty, head to tail, with count and high."""

import re

import pytest
from runs import accents, busy_run, columns_of, kinds_of_machines, moments, outside, overlapping, quads, words

from pagelab.lab.tape import Tape
from pagelab.mm.act import Parked, Unparked
from pagelab.mm.machine import machine
from pagelab.view.columns import cpu_lists, moment
from pagelab.view.drawing import MONO, Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.per_cpu_lists import draw_cpu_lists

WITH_LISTS = pytest.mark.parametrize("kind", ["small pcp", "pcp", "pcp 6.1", "watermarks", "zones"])
WIDTH, HEIGHT = 330, 360


def drawn(now, theme=LIGHT, height=2000):
    drawing = Drawing(theme)
    draw_cpu_lists(drawing, now, 40, 10, WIDTH, height)
    return drawing


def rows_of(drawing):
    """Return what each row says: the CPU, the order, the types, what stands in the row, and the count at its end."""
    texts, cpu, found = sorted(words(drawing.words), key=lambda word: (word.y, word.x)), None, []
    for word in texts:
        if word.text.startswith("cpu "):
            cpu = int(word.text[4:])
        if word.x == 40 and word.text.isdigit():
            row = [other for other in texts if other.y == word.y and other is not word]
            found.append((cpu, int(word.text), row[0].text, [other.text for other in row[1:-1]], row[-1].text))
    return found


@WITH_LISTS
def test_each_list_that_is_not_empty_has_a_row(kind):
    for now in moments(busy_run(1, kinds_of_machines()[kind], 40)):
        rows = rows_of(drawn(now))
        assert [row[:3] for row in rows] == [(one.cpu, one.order, one.types) for one in cpu_lists(now)]
        for one, (*_, shown, count) in zip(cpu_lists(now), rows, strict=True):
            blocks = now.zone.pcp[one.cpu].lists[one.pindex]
            assert count == (f"{len(blocks):,}" if blocks else "·")
            left_out = sum(int(text) for text in shown if text.startswith("+"))
            assert left_out + sum(text.isdigit() for text in shown) == len(one.entries)
            if not left_out:
                assert shown == [str(entry.pfn) for entry in one.entries]
                assert [int(entry.pfn) for entry in one.entries if entry.mark != "gone"] == list(blocks)


@WITH_LISTS
def test_each_cpu_says_how_much_it_keeps_and_may_keep(kind):
    for now in moments(busy_run(2, kinds_of_machines()[kind], 40)):
        told = [re.match(r"([\d,]+) pages?, high ([\d,]+), batch (\d+)", word.text) for word in words(drawn(now).words)]
        numbers = [tuple(int(number.replace(",", "")) for number in found.groups()) for found in told if found]
        cpus = sorted({one.cpu for one in cpu_lists(now)})
        assert numbers == [(now.zone.pcp[cpu].count, now.zone.pcp[cpu].high, now.zone.pcp[cpu].batch) for cpu in cpus]


@WITH_LISTS
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_accent_is_on_what_this_request_put_there(kind, theme):
    for now in moments(busy_run(3, kinds_of_machines()[kind], 25)):
        drawing = drawn(now, theme)
        rings, lines = accents(drawing, theme)
        inside = [word.text for ring in rings for word in words(drawing.words) if ring.holds(word.x, word.y)]
        assert inside == ([str(now.act.pfn)] if isinstance(now.act, Parked) else [])
        shown = {word.text for word in words(drawing.words) if word.font == MONO}
        put = {entry.pfn for one in cpu_lists(now) for entry in one.entries if entry.mark == "moved" and str(entry.pfn) in shown}
        assert len(lines) == len(put)


def test_a_refill_and_what_is_handed_out_of_it():
    tape = Tape(machine("48 MiB", pcp=True)).then("alloc 0")
    acts = tape.acts(0)
    parked = [i for i, act in enumerate(acts) if isinstance(act, Parked)]
    assert [rows_of(drawn(moment(tape, 0, i)))[0][3] for i in parked] == [["0"], ["0", "1"], ["0", "1", "2"]]
    unparked = next(i for i, act in enumerate(acts) if isinstance(act, Unparked))
    drawing = drawn(moment(tape, 0, unparked))
    (gone,) = [quad for quad in quads(drawing.marks) if quad.dash != "solid"]
    assert [word.text for word in words(drawing.words) if gone.holds(word.x, word.y)] == ["0"]
    assert rows_of(drawing)[0][4] == "2"


def test_a_machine_whose_cpus_keep_nothing_says_so():
    now = moment(Tape(machine("48 MiB", pcp=True)), 0, 0)
    assert "No CPU keeps a page of this zone." in [word.text for word in words(drawn(now).words)]


@WITH_LISTS
def test_nothing_leaves_the_place_or_stands_on_another(kind):
    for now in moments(busy_run(4, kinds_of_machines()[kind], 40)):
        drawing = drawn(now, height=HEIGHT)
        assert outside(columns_of(drawing), 40 + WIDTH, 10 + HEIGHT) == []
        assert overlapping(words(drawing.words)) == []


def test_where_there_is_no_room_the_cpu_of_the_request_comes_first_and_the_rest_is_a_number():
    tape = Tape(machine("48 MiB", pcp=True, cpus=16)).then("; ".join(f"alloc 0 cpu {cpu}; alloc 1 cpu {cpu}" for cpu in range(16)))
    tape = tape.then("alloc 0 cpu 9")
    now = moment(tape, 32, -1)
    drawing = drawn(now, height=HEIGHT)
    rows = rows_of(drawing)
    assert [row[:2] for row in rows[:2]] == [(9, 0), (9, 1)]
    (said,) = [word.text for word in words(drawing.words) if "more" in word.text]
    assert said == f"{32 - len(rows)} lists more, in words below"
    assert outside(columns_of(drawing), 40 + WIDTH, 10 + HEIGHT) == []
