"""Notes beside a map: at the height of what they are about, and never on each other."""

import pytest
from runs import KINDS, busy_run, columns_of, kinds_of_machines, moments, outside, overlapping, quads, words

from pagelab.lab.tape import Tape
from pagelab.mm.act import Asked, Checked, Compared, Counted, Given, Looked, Parked, Relabelled
from pagelab.mm.machine import machine
from pagelab.mm.zone import Block
from pagelab.view.columns import moment
from pagelab.view.drawing import Drawing
from pagelab.view.layout import layout
from pagelab.view.notes import TEXT, draw_notes, free_in_pageblocks, note, shown_notes
from pagelab.view.palette import DARK, LIGHT

LEFT, TOP = 492, 4


def drawn(now, theme=LIGHT):
    where, drawing = layout(now.zone.start_pfn, now.zone.end_pfn - now.zone.start_pfn), Drawing(theme)
    draw_notes(drawing, where, now, LEFT, TOP)
    return where, drawing


def rows_only(now):
    return 64 < now.zone.end_pfn - now.zone.start_pfn <= 4096


@pytest.mark.parametrize("kind", KINDS)
def test_each_pageblock_has_the_number_of_its_free_pages(kind):
    tape = busy_run(4, kinds_of_machines()[kind], 30)
    for k in range(0, 31, 5):
        now = moment(tape, k, 0)
        counts = free_in_pageblocks(now)
        assert sum(counts.values()) == now.zone.nr_free_pages()
        for pfn, free in counts.items():
            end = min(pfn - pfn % 512 + 512, now.zone.end_pfn)
            assert free == sum(now.zone.block(page).kind == "free" for page in range(pfn, end))


@pytest.mark.parametrize("kind", KINDS)
def test_notes_stay_in_their_place_and_apart(kind):
    for now in moments(busy_run(5, kinds_of_machines()[kind], 40)):
        if rows_only(now):
            where, drawing = drawn(now)
            assert overlapping(words(drawing.words)) == []
            assert outside(columns_of(drawing), 824, TOP + where.height + 4) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_only_what_this_act_changed_is_in_accent(theme):
    for now in moments(busy_run(6, kinds_of_machines()["pcp"], 40)):
        _, drawing = drawn(now, theme)
        accented = [word.text for word in words(drawing.words) if word.color == theme.changed_text]
        told = note(now.act) if now.act and not isinstance(now.act, (Asked, Compared, Counted, Checked, Looked)) else None
        assert accented == ([told[1]] if told else [])
        assert all(quad.fill == theme.changed for quad in quads(drawing.marks))


def test_a_note_stands_beside_its_row():
    tape = Tape(machine(2048)).then("alloc 0 x1000; free 900")
    now = moment(tape, 1000, 1)
    where, drawing = drawn(now)
    (said,) = [word for word in words(drawing.words) if "came back" in word.text]
    assert said.x == LEFT + TEXT
    assert said.y == TOP + where.rects(900, 0)[0].y + where.h / 2
    (leader,) = quads(drawing.marks)
    assert (leader.top + leader.bottom) / 2 == said.y


def test_a_claim_is_told_to_its_end():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    now = moment(tape, 200, -1)
    assert shown_notes(now) == [
        (0, "pages 0-511: unmovable now", "quiet"),
        (200, "4 blocks to the unmovable lists", "quiet"),
        (200, "page 200 handed out", "changed_text"),
    ]
    assert shown_notes(moment(tape, 200, 0)) == []
    assert shown_notes(moment(tape, 201, 0)) == []


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (Given(1896, 2), "1896 came back, order 2"),
        (Compared(1856, 5, False, Block(1856, 4, "free", 1)), "1856 is not free at order 5"),
        (Compared(1856, 5, True, Block(1856, 5, "free", 1)), "1856 is free at order 5"),
        (Compared(4096, 5, False, Block(4096, 0, "hole", -1)), "4096 is outside the zone"),
        (Relabelled(512, 9, 0), "pages 512-1023: unmovable now"),
        (Counted(512, 1, 300), "1 page free, 300 movable in use"),
        (Parked(7, 0, 1, 1, True), "7 to the tail of cpu 1's list"),
    ],
)
def test_acts_in_few_words(act, text):
    assert note(act) == (act.pfn, text)


def test_what_no_map_shows_has_no_note():
    assert note(Asked("alloc", 0, 1, -1)) is note(Looked(0, 3, 1)) is note(Checked(0, 1, 2, 3, False)) is None
