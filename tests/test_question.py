"""Questions: how an answer is read and written, and what the model says."""

import numpy as np
import pytest

from pagelab.lab.form import HOW, REFUSAL, read_answer, write_answer
from pagelab.lab.question import (
    Batch,
    CountsOf,
    Fit,
    Heads,
    LargestOrder,
    MostInUse,
    PagesIn,
    Run,
    StepWith,
    Useless,
    Value,
    Walked,
    lists_of,
    nodes_walked,
    restart,
)
from pagelab.lab.scenario import even_then_odd, one_zone, some_free, text, two_zones
from pagelab.lab.stand_in import LifoOnly
from pagelab.mm.free_state import DoublyLinked
from pagelab.mm.page_alloc import boot

LINE = (3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29)


@pytest.mark.parametrize(
    ("form", "answer", "value"),
    [
        ("number", "9", 9),
        ("number", " 32,335 ", 32335),
        ("number", "0x10", 16),
        ("number", 9, 9),
        ("number", np.int64(9), 9),
        ("number", [9], 9),
        ("pfn", "9", 9),
        ("pfn", "Refused", REFUSAL),
        ("pfn", "0xFF", 255),
        ("pfn", np.uint8(200), 200),
        ("numbers", "0 4 1 2", [0, 4, 1, 2]),
        ("pfns", "0, 4, refused", [0, 4, REFUSAL]),
        ("pfns", [REFUSAL, np.int64(2)], [REFUSAL, 2]),
        ("numbers", "[0, 4]", [0, 4]),
        ("numbers", (0, np.int32(4)), [0, 4]),
        ("numbers", np.array([0, 4]), [0, 4]),
        ("numbers", ["0", "4"], [0, 4]),
        ("counts", "3 1 1", [3, 1, 1] + [0] * 8),
        ("counts", "1 1 1 1 1 1 1 1 1 1 0", [1] * 10 + [0]),
        ("counts", [48], [48] + [0] * 10),
        ("lists", "M0: 9 5 14; M1: 12", {"M0": [9, 5, 14], "M1": [12]}),
        ("lists", "M0=[9,5,14] M1=[12]", {"M0": [9, 5, 14], "M1": [12]}),
        ("lists", "m0: 9\n m10=[0]", {"M0": [9], "M10": [0]}),
        ("lists", "none", {}),
        ("lists", "M0=[]", {}),
        ("lists", "U3: 8", {"U3": [8]}),
        ("lists", {"M0": (9, np.int64(5)), "m1": []}, {"M0": [9, 5]}),
        ("lists", {}, {}),
        ("pageblocks", "1 0", [0, 1]),
        ("pageblocks", "none", []),
        ("pageblocks", " None ", []),
        ("pageblocks", (1, 0), [0, 1]),
        ("pageblocks", [], []),
        ("type", "Movable", "movable"),
        ("type", " u ", "unmovable"),
        ("type", "reclaimable", "reclaimable"),
    ],
)
def test_an_answer_is_read(form, answer, value):
    read = read_answer(form, answer)
    assert read == value
    flat = read.values() if isinstance(read, dict) else [read if isinstance(read, list) else [read]]
    assert {type(item) for items in flat for item in items} <= {int, str}


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("number", "nine"),
        ("number", "refused"),
        ("number", "-1"),
        ("number", -1),
        ("number", 1.5),
        ("number", 9.0),
        ("number", True),
        ("number", np.bool_(True)),
        ("number", "1 2"),
        ("number", [1, 2]),
        ("number", "126.3 MiB"),
        ("number", {}),
        ("pfn", "page 9"),
        ("pfn", False),
        ("pfn", None),
        ("numbers", "0 4 one"),
        ("numbers", "0 refused"),
        ("pfns", "0 none"),
        ("numbers", [0, True]),
        ("numbers", 4),
        ("counts", "1 2 refused"),
        ("counts", [0] * 12),
        ("lists", "9 5 14"),
        ("lists", "M0 9 5"),
        ("lists", "M11: 0"),
        ("lists", "X0: 1"),
        ("lists", "M0: one"),
        ("lists", {"M0": 9}),
        ("lists", {"M": [9]}),
        ("lists", {"M0": [True]}),
        ("lists", {0: [9]}),
        ("lists", 9),
        ("lists", "some M0: 1"),
        ("pageblocks", "0 refused"),
        ("pageblocks", "no"),
        ("type", "mov"),
        ("type", "highatomic"),
        ("type", ""),
        ("type", 1),
        ("type", None),
    ],
)
def test_a_malformed_answer_is_told_how_one_is_written(form, answer):
    with pytest.raises(ValueError, match="cannot be read: write ") as error:
        read_answer(form, answer)
    assert str(error.value).startswith(repr(answer))
    assert str(error.value).endswith(HOW[form])


@pytest.mark.parametrize(("answer", "value"), [({"M0": "14"}, {"M0": [14]}), ({"M0": "9 5"}, {"M0": [9, 5]})])
def test_text_in_a_mapping_is_read_or_refused_but_never_misread(answer, value):
    try:
        assert read_answer("lists", answer) == value
    except ValueError as error:
        assert "cannot be read: write " in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("number", 32335),
        ("pfn", REFUSAL),
        ("pfn", 0),
        ("pfns", [0, REFUSAL, 2]),
        ("numbers", [24, 3]),
        ("counts", [1] * 10 + [0]),
        ("lists", {"M0": [9, 5, 14], "M1": [12], "U9": [0]}),
        ("lists", {}),
        ("pageblocks", [0, 1]),
        ("pageblocks", []),
        ("type", "movable"),
    ],
)
def test_what_is_written_is_read_back(form, value):
    assert read_answer(form, write_answer(value)) == value


def test_lists_of_a_zone_are_named_as_answers_name_them():
    assert lists_of(boot(4095, 1)) == {
        **{f"M{order}": [1 << order] for order in (9,)},
        "M10": [1024, 2048, 3072],
        **{f"U{order}": [1 << order] for order in range(9)},
    }


A, B = text("alloc 0 x16"), text("alloc 0 x16")
FREE_B = "free 12; free 13; free 5; free 9; free 14; alloc 0"


@pytest.mark.parametrize(
    ("tape", "requests", "ask", "truth"),
    [
        (text(), "alloc 0", "pfn", 0),
        (text("alloc 0"), "alloc 1", "pfn", 2),
        (text("alloc 0; alloc 1"), "free @0; free @1", "lists", {"M4": [0]}),
        (text(pages=1024), "alloc 0", "counts", [1] * 10 + [0]),
        (text(pages=1024), "alloc 0", "free pages", 1023),
        (text(), "alloc 0; alloc 2; alloc 0; alloc 1", "pfns", [0, 4, 1, 2]),
        (text(), "alloc 0; alloc 2; alloc 0; alloc 1", "lists", {"M3": [8]}),
        (text("alloc 3; alloc 0 x8; free @0; free 13"), "alloc 0", "pfn", 13),
        (A, "free 1; free 2; alloc 1", "lists before", {"M0": [2, 1]}),
        (A, "free 1; free 2; alloc 1", "pfn", REFUSAL),
        (A, "free 1; free 2; alloc 1; alloc 0", "pfns", [REFUSAL, 2]),
        (A.then("free 1; free 2; alloc 1; free 3"), "free 0", "lists before", {"M0": [1], "M1": [2]}),
        (A.then("free 1; free 2; alloc 1; free 3"), "free 0", "lists", {"M2": [0]}),
        (A.then("free 1; free 2; alloc 1; free 3"), "free 0", "merges", 2),
        (A.then("free 1; free 2; alloc 1; free 3"), "free 0", "block", [0, 2]),
        (B, FREE_B, "lists before", {"M0": [9, 5, 14], "M1": [12]}),
        (B, FREE_B, "pfn", 9),
        (B.then(FREE_B), "free 15", "block", [12, 2]),
        (text("alloc 0", 1024), "free @0", "merges", 10),
        (text("alloc 0", 1024), "free @0", "lists", {"M10": [0]}),
        (text("", 2048), "alloc 0 unmovable", "relabelled", [0, 1]),
        (text("", 2048), "alloc 0 unmovable; free @0; alloc 10; alloc 10", "relabelled", []),
        (text("", 1024), "isolate 512; alloc 0; alloc 9", "pfns", [0, REFUSAL]),
        (text("alloc 0 x300", 512), "alloc 0 unmovable", "label", "movable"),
        (text("alloc 0 x200", 512), "alloc 0 unmovable; drain", "label", "unmovable"),
        (text("alloc 0 x300", 512), "alloc 0 unmovable", "pageblocks", 1),
        (text("alloc 0 x512", 2048), "alloc 0", "pageblocks", 0),
        (one_zone(), "alloc 0", "free pages", 12_285),
        (one_zone(cpus=2), "alloc 0; alloc 0 cpu 1", "on CPU lists", 4),
        (two_zones(pcp=False), "alloc 0; alloc 1 dma", "free in DMA", 3838),
        (two_zones(pcp=False), "alloc 0; alloc 1 dma", "free in DMA32", 61_439),
        (two_zones(), "alloc 0", "on CPU lists", 14),
    ],
)
def test_what_a_run_says(tape, requests, ask, truth):
    before = (tape.text, len(tape))
    assert Run(tape, requests, ask).truth() == truth
    assert (tape.text, len(tape)) == before


def test_a_stand_in_takes_over_where_the_question_begins():
    asked = Run(text("alloc 0 x16"), "free 12; free 13; free 5; free 9; free 14; alloc 0", "pfn")
    assert (asked.under(LifoOnly), asked.truth()) == (14, 9)
    shown = Run(some_free([12, 13, 5, 9, 14]), "alloc 0", "pfn")
    assert (shown.under(LifoOnly), shown.truth()) == (9, 9)


def test_what_cannot_be_asked_is_named():
    with pytest.raises(ValueError, match="'colour' cannot be asked: ask pfn, pfns, lists.* or free in DMA"):
        _ = Run(text(), "alloc 0", "colour").form
    assert Run(text(), "alloc 0", "free in Normal").form == "number"


def test_a_restart_keeps_all_of_the_machine():
    tape = one_zone("alloc 0 cpu 1", kernel="6.1", cpus=2)
    machine = restart(tape, LifoOnly, 1)
    assert (machine.version, machine.cpus, machine.marks, machine.free) == ("6.1", 2, tape.at(1).marks, [12_285])
    assert list(machine.zone.pcp[1].lists[1]) == [1, 2]


@pytest.mark.parametrize(
    ("question", "truth"),
    [
        (StepWith(text("alloc 0; alloc 1; free @0; free @1"), 3), 1),
        (StepWith(text("alloc 0; alloc 1; free @0; free @1"), 1), 0),
        (Fit(5), 3),
        (Fit(5, "spare"), 3),
        (Fit(8), 3),
        (Fit(8, "spare"), 0),
        (Walked(16), 28),
        (Walked(4096), 2_096_128),
        (PagesIn(LINE), 32335),
        (PagesIn(LINE, 9), 60),
        (PagesIn((3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 9), 0),
        (LargestOrder((1840, 2466, 1204, 311, 42, 3, 0, 0, 0, 0, 0)), 5),
        (Heads(256, 4096), [256, 512, 1024, 2048, 3072]),
        (Heads(1, 9), [1, 2, 4, 8]),
        (CountsOf((1, 2, 3, 4, 5, 6, 7, 8, 12)), [3, 1, 1] + [0] * 8),
        (Value(66), 66),
        (Useless((3, 1, 1, 0, 2), 3), 9),
        (Useless(LINE, 0), 0),
        (MostInUse(), 256),
        (Batch(48_842), 15),
        (Batch(1), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_other_questions_say(question, truth):
    assert question.truth() == truth
    assert read_answer(question.form, write_answer(truth)) == truth


def test_a_restart_stands_before_request_0():
    tape = text("alloc 0 x3", pages=64)
    machine = restart(tape, DoublyLinked)
    assert type(machine.zone) is DoublyLinked
    assert machine.zone.counts() == tape.at(0).zone.counts()
    assert nodes_walked(even_then_odd(16), DoublyLinked) == 0


def test_a_list_written_twice_is_told_so():
    with pytest.raises(ValueError, match="M1 stands twice: write M1 once, with all its heads"):
        read_answer("lists", "M1: 0; M1: 2")
