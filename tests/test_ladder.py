"""The ladder: what each act did, order by order, inside its place."""

import re

import pytest
from runs import SMALL, accents, columns_of, moments, outside, overlapping, quads, random_run, words

from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Compared, Given, Linked, Parked, Taken, Unlinked, Unparked, held_block
from pagelab.mm.machine import machine
from pagelab.view.columns import moment, orders_of
from pagelab.view.drawing import Drawing
from pagelab.view.ladder import draw_ladder, ladder_height, stretch
from pagelab.view.palette import DARK, LIGHT

LEFT, WIDTH = 44, 448


def drawn(now, theme=LIGHT):
    drawing = Drawing(theme)
    draw_ladder(drawing, now, LEFT, 0, WIDTH)
    return drawing


def texts(drawing):
    return [word.text for word in words(drawing.words)]


def test_the_end_says_that_nothing_follows():
    drawing = drawn(moment(text("alloc 0"), 1, 0))
    assert texts(drawing) == ["The end: no request follows."]
    assert quads(drawing.marks) == []


def test_a_split_is_told_rung_by_rung():
    now = moment(text("alloc 0", 8), 0, -1)
    *said, last = [text for text in texts(drawn(now)) if not text.isdigit()]
    assert said == [
        "Allocate order 0, order by order",
        "0, head of list 3: unlinked",
        "4 to the head of list 2",
        "2 to the head of list 1",
        "1 to the head of list 0",
    ]
    assert re.search(r"\b0\b.*handed out", last)


def test_rungs_go_down_as_a_split_does():
    names = [word for word in words(drawn(moment(text("alloc 0", 8), 0, -1)).words) if word.text.isdigit()]
    heights = {int(word.text): word.y for word in names}
    assert sorted(heights) == [0, 1, 2, 3]
    assert heights[3] < heights[2] < heights[1] < heights[0]


def test_a_merge_is_told_up_to_where_it_stops():
    now = moment(some_free([1, 2, 3, 0]), 19, -1)
    said = [text for text in texts(drawn(now)) if not text.isdigit()]
    assert said[0] == "Free pfn 0, order 0, order by order"
    assert "1 is free, order 0: merge" in said
    assert "2 is free, order 1: merge" in said
    assert any(text.startswith("4: in use") for text in said)
    assert "0 to the head of list 2" in said
    assert said.index("1 is free, order 0: merge") < said.index("2 is free, order 1: merge")


@pytest.mark.parametrize(
    ("tape", "why"),
    [
        (some_free([1, 2]), "3: in use. Merging stops."),
        (some_free([2, 4, 5, 6, 7, 3]), "0: in use. Merging stops."),
        (text("alloc 0 x6; alloc 1; alloc 3; free 4; free 6"), "4: free, but order 0. Merging stops."),
        (text("alloc 3 x3; free 16", 24), "24: outside the zone. Merging stops."),
    ],
)
def test_the_last_rung_says_why_it_stops(tape, why):
    assert why in texts(drawn(moment(tape, len(tape) - 1, -1)))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_the_accent_is_on_this_act_and_on_the_requests_own_pages(seed, pages, start, theme):
    for now in moments(random_run(seed, pages, start)):
        rings, fills = accents(drawn(now, theme), theme)
        act = now.acts[-1] if now.acts else None
        expected = isinstance(act, (Linked, Taken)) or (isinstance(act, Unlinked) and now.all[0].verb == "free")
        assert len(rings) == expected
        assert len(fills) == any(isinstance(done, Given) for done in now.acts)
        bold = [word.text for word in words(drawn(now, theme).words) if word.color == theme.changed_text]
        assert len(bold) == isinstance(act, (Linked, Taken, Unlinked)), "one text in the accent: what this act did"
        if bold:
            assert re.search(rf"\b{act.pfn}\b", bold[0])


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_acts_that_are_not_yet_done_are_not_told(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        said = " ".join(texts(drawn(now)))
        done, freeing = now.acts, bool(now.all) and now.all[0].verb == "free"
        assert ("handed out" in said) == any(isinstance(act, Taken) for act in done)
        assert ("Merging stops" in said) == any(
            isinstance(act, Compared) and held_block(done[:i]) and act.order == held_block(done[:i])[1] for i, act in enumerate(done)
        )
        assert said.count(": merge") == sum(isinstance(act, Unlinked) for act in done) * freeing
        for act in now.all:
            if isinstance(act, Linked):
                assert bool(re.search(rf"\b{act.pfn} to the ", said)) == (act in done)


def test_nothing_leaves_its_place():
    wrong = {}
    for seed, pages, start in [*SMALL, (12, 1024, 0)]:
        for now in moments(random_run(seed, pages, start)):
            if out := outside(columns_of(drawn(now)), LEFT + WIDTH, ladder_height(orders_of(now.zone))):
                wrong[f"{pages} pages from {start}, step {now.k}: {now.acts[-1]}"] = out
    assert wrong == {}


@pytest.mark.parametrize(
    ("tape", "name"),
    [
        (text("alloc 3 x3; free 16", 24), "a buddy behind the end of the zone"),
        (some_free(list(range(16)), 24), "a buddy of which the zone has a part"),
        (text("alloc 4; free 0"), "the whole zone"),
        (text("alloc 10; free 0", 1024), "the largest block"),
        (text("alloc 0; free 0", 1024), "ten merges"),
        (text("alloc 9 x2; free 512; free 0", 1024), "two halves"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_leaves_its_place_at_the_edges(tape, name):
    k = len(tape) - 1
    for act in range(len(tape.acts(k))):
        now = moment(tape, k, act)
        assert outside(columns_of(drawn(now)), LEFT + WIDTH, ladder_height(orders_of(now.zone))) == []


def test_words_do_not_stand_on_each_other():
    wrong = {}
    for seed, pages, start in [*SMALL, (12, 1024, 0)]:
        for now in moments(random_run(seed, pages, start)):
            if pairs := overlapping(words(drawn(now).words)):
                wrong[f"{pages} pages from {start}, step {now.k}: {now.acts[-1]}"] = pairs
    assert wrong == {}


def test_each_order_has_room_for_its_rung():
    assert ladder_height(6) > ladder_height(5)


def test_each_block_of_a_refill_and_of_a_drain_has_its_own_ladder():
    tape = Tape(machine(64, pcp=True)).then("alloc 0 x2; free @0; drain")
    for k in range(len(tape)):
        acts = tape.acts(k)
        for i, act in enumerate(acts):
            now = moment(tape, k, i)
            done, every = stretch(now)
            assert done == every[: len(done)]
            assert done[-1] == act
            assert sum(isinstance(one, (Unparked, Given)) for one in every) <= 1
            assert sum(isinstance(one, Parked) for one in every) <= 1
            assert overlapping(words(drawn(now).words)) == []
    unparked = [i for i, act in enumerate(acts) if isinstance(act, Unparked)]
    assert len(unparked) > 1
    for i in unparked:
        title = words(drawn(moment(tape, 3, i)).words)[0].text
        assert title == f"Free pfn {acts[i].pfn}, order 0, order by order"


def test_a_page_that_goes_to_a_per_cpu_list_asks_no_buddy():
    tape = Tape(machine(64, pcp=True)).then("alloc 0; free @0")
    said = [word.text for word in words(drawn(moment(tape, 1, -1)).words)]
    assert "0 goes to the head of cpu 0's list. No buddy is asked." in said


def test_a_request_for_no_caller_has_no_rungs():
    for requests in ("alloc 0 x40; free @3; compact", "isolate 0"):
        tape = Tape(machine(64)).then(requests)
        for act in range(0, len(tape.acts(len(tape) - 1)), 5):
            drawing = drawn(moment(tape, len(tape) - 1, act))
            assert [word.text for word in words(drawing.words)] == ["Nothing is split or merged for a caller."]
            assert drawing.marks["left"] == drawing.blocks["left"] == []
