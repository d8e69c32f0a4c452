"""Grading: right, not yet with a reason, not answered yet; and questions drawn so that no wrong theory passes."""

import random
import re

import numpy as np
import pytest

from pagelab.lab import exercise
from pagelab.lab.exercise import (
    NOT_YET,
    OPEN,
    RIGHT,
    Verdict,
    draw,
    grade,
    grade_all,
    largest_orders,
    lowest_order_first,
    next_objects,
    next_page,
    objects_of_two_cpus,
    on_both,
    one_free,
    stolen_pages,
    two_cpus,
)
from pagelab.lab.form import HOW, write_answer
from pagelab.lab.question import Batch, CountsOf, Fit, Heads, LargestOrder, MostInUse, PagesIn, Run, StepWith, Useless, Value, Walked
from pagelab.lab.scenario import one_zone, some_free, text, two_zones
from pagelab.lab.variant import VARIANTS, beliefs

LINE = (3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29)
FULL = text("alloc 0 x16")
B = Run(FULL, "free 12; free 13; free 5; free 9; free 14; alloc 0", "pfn")
EVERY = [
    B,
    Run(B.tape, B.requests, "lists before"),
    Run(text(), "alloc 0; alloc 2; alloc 0; alloc 1", "pfns"),
    Run(text(pages=1024), "alloc 0", "counts"),
    Run(text(pages=1024), "alloc 0", "free pages"),
    Run(text("alloc 0", 1024), "free @0", "merges"),
    Run(text("alloc 0", 1024), "free @0", "block"),
    StepWith(text("alloc 0; alloc 1; free @0; free @1"), 3),
    Fit(5),
    Fit(5, "spare"),
    Walked(16),
    PagesIn(LINE),
    PagesIn(LINE, 9),
    LargestOrder(LINE[:4] + (0,) * 7),
    Heads(256, 4096),
    CountsOf((1, 2, 3, 4, 5, 6, 7, 8, 12)),
    Value(66),
    Useless(LINE, 9),
    MostInUse(),
    Batch(48_842),
    Run(text(pages=2048), "alloc 0 unmovable", "relabelled"),
    Run(text("alloc 0 x300", 512), "alloc 0 unmovable", "label"),
    Run(some_free([100, 700], 2048), "alloc 0 unmovable x2", "pageblocks"),
    Run(one_zone(), "alloc 0 x4; free @0", "on CPU lists"),
    Run(one_zone(cpus=2), "alloc 0; alloc 0 cpu 1; alloc 0", "pfn"),
    Run(two_zones("alloc 10 x59", pcp=False), "alloc 0 x5000", "free in DMA"),
]
QUESTIONS = pytest.mark.parametrize("question", EVERY, ids=lambda q: f"{type(q).__name__} {getattr(q, 'ask', '')}")


@QUESTIONS
def test_the_right_answer_is_right_however_it_is_given(question):
    truth = question.truth()
    for answer in (truth, write_answer(truth), f"  {write_answer(truth)} "):
        assert grade(question, answer) == Verdict(RIGHT, f"{write_answer(truth)}.")


@QUESTIONS
@pytest.mark.parametrize("answer", [None, "", "  \t"])
def test_no_answer_is_not_answered_yet(question, answer):
    assert grade(question, answer) == Verdict(OPEN, "")


@QUESTIONS
@pytest.mark.parametrize("answer", ["perhaps 9", True, object(), 1.5, -1])
def test_a_malformed_answer_is_told_how_to_write_one(question, answer):
    verdict = grade(question, answer)
    assert (verdict.state, verdict.variant) == (NOT_YET, None)
    assert HOW[question.form] in verdict.text


def other_answer(question):
    """Return an answer of the right form that is neither true nor any variant's."""
    other = {"number": 777, "pfn": 7, "numbers": [3, 3, 3], "pfns": [3, 3, 3], "counts": [7, 7], "lists": {"M0": [9, 14, 5], "M1": [12]}}
    other |= {"pageblocks": [3], "type": "reclaimable"}
    wrong = other[question.form]
    assert wrong != question.truth()
    assert wrong not in beliefs(question).values()
    return wrong


@QUESTIONS
def test_an_answer_that_no_variant_gives_is_met_with_a_rule(question):
    verdict = grade(question, other_answer(question))
    assert (verdict.state, verdict.variant) == (NOT_YET, None)
    rule = verdict.text[verdict.text.index("Rule: ") :]
    assert re.search(r"\d", rule)
    if isinstance(question, Run):
        steps = [int(step) for step in re.findall(r"Step (\d+)", rule)]
        assert len(steps) == (0 if question.form == "pfns" else 1), "too few numbers were given: no step is named"
        assert all(len(question.tape) <= step < len(question.after()) for step in steps)


@QUESTIONS
def test_a_wrong_answer_is_never_only_called_wrong(question):
    for answer in [other_answer(question), *beliefs(question).values()]:
        verdict = grade(question, answer)
        if verdict.state == NOT_YET:
            assert len(verdict.text) > 60


def test_numpy_answers_are_answers():
    assert grade(B, np.int64(9)).state == RIGHT
    assert grade(EVERY[2], np.array([0, 4, 1, 2])).state == RIGHT
    assert grade(B, np.bool_(True)).state == NOT_YET


@pytest.mark.parametrize(
    ("question", "answer", "first"),
    [
        (EVERY[1], "M0: 14 9 5; M1: 12", "M1 is right; M0 is not. "),
        (EVERY[1], "M0: 9 5 14", "M0 is right; M1 is not. "),
        (EVERY[1], "M0: 9 5 14; M2: 12", "M0 is right; M1, M2 are not. "),
        (EVERY[2], "0 1 5 6", "0 is right; 1, 5, 6 are not. "),
        (EVERY[2], "0 4 1 3", "0, 4, 1 are right; 3 is not. "),
        (EVERY[6], "0 9", "0 is right; 9 is not. "),
        (B, "14", "Rule: "),
        (EVERY[2], "1 2 3", "Rule: "),
        (EVERY[1], "M3: 8", "Rule: "),
    ],
)
def test_what_is_right_is_said_first(question, answer, first):
    assert grade(question, answer).text.startswith(first)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("M0: 9 5 14 3; M1: 12", ["heads of free blocks", "order 0 at 3 is in use"]),
        ("M0: 9 5 14 13; M1: 12", ["heads of free blocks", "order 1 at 12 is free"]),
        ("M0: 9 5; M1: 12", ["every free page is in one block", "order 0 at 14 is free: it belongs on M0"]),
        ("M0: 5 14 9; M1: 12", ["head, unless it has to wait", "their order is not"]),
    ],
)
def test_wrong_lists_name_the_block(answer, said):
    question = Run(FULL, "free 12; free 13; free 5; free 9; free 14", "lists")
    text = grade(question, answer).text
    assert [words for words in said if words not in text] == []


def test_lost_pages_are_counted():
    text = grade(EVERY[3], "1 1 1 1 1 1 1 1 1 0 1").text
    assert "no page is lost" in text
    assert "1,535 pages" in text
    assert "1,023 are free" in text


def test_a_verdict_prints_its_state_first():
    assert str(grade(B, 9)) == "Right: 9."
    assert str(grade(B, None)) == "Not answered yet."
    assert str(grade(B, 14)).startswith("Not yet: Rule: ")


PARTS = {"lists before": EVERY[1], "pfn": B}


def test_parts_are_right_together():
    verdict = grade_all(PARTS, {"lists before": "M0: 9 5 14; M1: 12", "pfn": 9})
    assert verdict == Verdict(RIGHT, "lists before M0: 9 5 14; M1: 12. pfn 9.")


def test_of_parts_the_right_one_is_said_first():
    verdict = grade_all(PARTS, {"lists before": "M0: 9 5 14; M1: 12", "pfn": 14})
    assert (verdict.state, verdict.variant) == (NOT_YET, "lifo-only")
    assert verdict.text.startswith("The lists before part is right; pfn is not. Rule: ")
    verdict = grade_all(PARTS, {"lists before": "M0: 5 9 14; M1: 12", "pfn": 9})
    assert (verdict.state, verdict.variant) == (NOT_YET, "fifo")
    assert verdict.text.startswith("The pfn part is right; lists before is not. M1 is right; M0 is not. Rule: ")


def test_of_parts_none_right_the_first_is_spoken_to():
    verdict = grade_all(PARTS, {"lists before": "M0: 14 9 5; M1: 12", "pfn": 14})
    assert (verdict.state, verdict.variant) == (NOT_YET, "lifo-only")
    assert verdict.text.startswith("lists before: ")


def test_parts_not_answered():
    assert grade_all(PARTS, {}) == Verdict(OPEN, "")
    verdict = grade_all(PARTS, {"pfn": 9})
    assert verdict.state == NOT_YET
    assert verdict.text.startswith("The pfn part is right; lists before is not answered.")
    assert grade_all(PARTS, {"pfn": 14}).text.startswith("lists before: not answered")


def test_one_part_alone_is_graded_as_it_is():
    assert grade_all({"pfn": B}, {"pfn": 14}) == grade(B, 14)


APART = {
    next_page: ("lifo-only", "fifo", "lowest-address", "neighbour"),
    lowest_order_first: ("lowest-address", "next-page", "bump"),
    lambda seed: one_free(seed)["block"]: ("one-merge", "neighbour"),
    stolen_pages: ("strict-types", "lowest-address", "largest-first"),
    two_cpus: ("no-pcp", "one-list", "fifo", "free-merges"),
    next_objects: ("global-lifo", "lowest-first", "oldest-first", "fresh-first"),
    objects_of_two_cpus: ("global-lifo", "own-frees", "lowest-first", "fresh-first"),
}
NAMES = ["next_page", "lowest_order_first", "one_free", "stolen_pages", "two_cpus", "next_objects", "objects_of_two_cpus"]


@pytest.mark.parametrize(("make", "apart"), APART.items(), ids=NAMES)
def test_a_drawn_question_tells_the_truth_from_every_named_variant(make, apart):
    asked = set()
    for seed in range(50):
        question = make(seed)
        truth, answers = question.truth(), {v.name: v.answer(question) for v in VARIANTS if v.name in apart}
        assert len(answers) == len(apart)
        for name, answer in answers.items():
            assert answer not in (None, truth), name
            assert seed > 5 or grade(question, answer).variant in beliefs(question)
        asked.add((question.tape.text, question.requests))
    assert len(asked) > 20, "other seeds ask other questions"
    for seed in range(5):
        question, again = make(seed), make(seed)
        assert (again.tape.text, again.requests, again.ask) == (question.tape.text, question.requests, question.ask)


def test_the_parts_of_one_free_ask_about_one_run():
    for seed in range(4):
        parts = one_free(seed)
        (head, order), merges = parts["block"].truth(), parts["merges"].truth()
        assert order == merges
        assert head % (1 << order) == 0
        assert parts["block"].requests == parts["merges"].requests


def test_next_page_in_a_zone_of_another_size():
    question = next_page(3, pages=32, free=12)
    assert question.tape.at(0).zone.nr_free_pages() == 32
    assert question.requests.count("free ") == 12


def test_a_draw_that_cannot_succeed_says_so(monkeypatch):
    monkeypatch.setattr(exercise, "DRAWS", 20)
    with pytest.raises(ValueError, match="seed 5: none of 20 questions tells the right answer from bump"):
        draw(5, lambda source: Run(text(), "alloc 0", "pfn"), ("bump",))


def test_a_draw_passes_over_questions_that_a_wrong_theory_answers():
    made = []

    def make(source):
        freed = "; ".join(f"free {pfn}" for pfn in source.sample(range(16), 6))
        made.append(Run(text("alloc 0 x16"), f"{freed}; alloc 0", "pfn"))
        return made[-1]

    question = draw(2, make, ("lifo-only", "fifo"))
    assert question is made[-1]
    lifo, fifo = (next(v for v in VARIANTS if v.name == name) for name in ("lifo-only", "fifo"))
    for passed in made[:-1]:
        assert passed.truth() in (lifo.answer(passed), fifo.answer(passed))


def test_largest_orders_names_nodes_only_where_there_are_several():
    one = {(0, "DMA"): (0,) * 8 + (1, 1, 3), (0, "DMA32"): (9,) + (0,) * 10, (0, "Normal"): (0,) * 11}
    assert {name: question.truth() for name, question in largest_orders(one).items()} == {"DMA": 10, "DMA32": 0}
    two = {(0, "Normal"): (1, 1) + (0,) * 9, (1, "Normal"): (1,) + (0,) * 10}
    assert {name: question.truth() for name, question in largest_orders(two).items()} == {"node 0 Normal": 1, "node 1 Normal": 0}


def test_random_answers_never_break_the_grader():
    source = random.Random(0)
    pieces = ["M0:", "9", "5", "refused", ";", "[", "]", "-1", "0x", "M1=", "none", "1e3", "é", "M99:", ","]
    for question in EVERY:
        for _ in range(20):
            verdict = grade(question, " ".join(source.choices(pieces, k=source.randint(1, 6))))
            assert verdict.state in (RIGHT, NOT_YET, OPEN)
            assert verdict.text or verdict.state == OPEN


def test_a_free_of_a_lone_page_is_one_rule_with_its_buddy():
    text = grade(Run(some_free([1]), "free 2", "merges"), 5).text
    assert "2 ^ 1 = 3" in text
    assert "Step 17" in text


def test_the_parts_of_two_kernels_each_run_on_their_own():
    parts = on_both(text("alloc 0 x300", 512), "alloc 0 unmovable; alloc 0 unmovable", "lists")
    assert [question.tape.at(0).version for question in parts.values()] == list(parts) == ["6.1", "6.12"]
    assert [sorted({name[0] for name in question.truth()}) for question in parts.values()] == [["U"], ["M"]]


def test_requests_of_the_machine_that_hand_nothing_out_count_for_nothing():
    question = Run(one_zone(), "alloc 0; drain; alloc 0; compact; alloc 0", "pfns")
    assert question.truth() == [0, 1, 2]
    assert grade(question, "0 1").text.startswith("Rule: one number for each request that allocates. 3 are wanted; you gave 2.")
    assert "Step 4" in grade(question, "0 1 7").text
