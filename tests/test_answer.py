"""Fields: what is typed is graded at once, kept, and comes back."""

import json
from pathlib import Path

import numpy as np
import pytest

from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT, Verdict, grade, one_free
from pagelab.lab.progress import Entry, load, record
from pagelab.lab.question import HOW, Fit, PagesIn, Run
from pagelab.lab.scenario import text
from pagelab.view.answer import Field, verdict_html

FULL = text("alloc 0 x16")
REQUESTS = "free 12; free 13; free 5; free 9; free 14; alloc 0"
PFN, LISTS = Run(FULL, REQUESTS, "pfn"), Run(FULL, REQUESTS, "lists before")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def typed(field):
    return [text.value for text in field.fields.values()]


def two_parts(answer=None):
    return Field("02-P3", {"lists before": LISTS, "pfn": PFN}, answer)


def test_a_new_field_is_not_answered_and_keeps_nothing():
    field = Field("02-P3", {"answer": PFN})
    assert field.last == Verdict(OPEN, "")
    assert "Not answered yet." in field.verdict.value
    assert field.text() == "02-P3: Not answered yet."
    assert not Path("progress.json").exists()


def test_enter_grades_and_keeps():
    field = Field("02-P3", {"answer": PFN})
    field.fields["answer"].value = "14"
    assert (field.last.state, field.last.variant) == (NOT_YET, "lifo-only")
    assert "Not yet:" in field.verdict.value
    assert load()[0]["02-P3"] == Entry(NOT_YET, "14")
    field.fields["answer"].value = "9"
    assert field.last == Verdict(RIGHT, "9.")
    assert "Right:" in field.verdict.value
    assert load()[0]["02-P3"] == Entry(RIGHT, "9")


def test_the_button_grades_what_is_typed():
    field = two_parts()
    field.fields["pfn"].value = "9"
    assert field.last.state == OPEN, "the other part is still empty"
    assert "empty" in field.verdict.value
    field.button.click()
    assert field.last.state == NOT_YET
    assert field.last.text.startswith("The pfn part is right; lists before is not answered.")
    field.fields["lists before"].value = "M0: 9 5 14; M1: 12"
    assert field.last.state == RIGHT


def test_what_was_typed_comes_back_and_is_graded_again():
    first = two_parts()
    first.fields["lists before"].value = "M0: 14 9 5; M1: 12"
    first.fields["pfn"].value = "14"
    again = two_parts()
    assert typed(again) == ["M0: 14 9 5; M1: 12", "14"]
    assert again.last == first.last
    assert Field("02-P4", {"answer": PFN}).last.state == OPEN, "another exercise has its own"


def test_one_part_typed_and_checked_comes_back():
    field = two_parts()
    field.fields["pfn"].value = "9"
    field.button.click()
    assert typed(two_parts()) == ["", "9"]


def test_an_answer_in_code_wins_over_what_was_typed():
    Field("02-P3", {"answer": PFN}).fields["answer"].value = "14"
    field = Field("02-P3", {"answer": PFN}, answer=9)
    assert (typed(field), field.last.state) == (["9"], RIGHT)
    assert load()[0]["02-P3"] == Entry(RIGHT, "9")


@pytest.mark.parametrize(
    "answer", [{"lists before": {"M0": [9, 5, 14], "M1": [12]}, "pfn": 9}, {"pfn": "9", "lists before": "M0: 9 5 14; M1: 12"}]
)
def test_parts_in_code_are_named(answer):
    assert two_parts(answer).last.state == RIGHT


def test_some_parts_in_code():
    field = two_parts({"pfn": 9})
    assert typed(field) == ["", "9"]
    assert field.last.state == NOT_YET
    assert two_parts({"pfn": None}).last.state in (OPEN, NOT_YET)


@pytest.mark.parametrize("answer", [9, [9, 5], {"head": 9}])
def test_parts_in_code_that_are_not_named_are_told_how(answer):
    field = two_parts(answer)
    assert field.last.state == OPEN
    assert "does not answer every part: write a mapping with &#x27;lists before&#x27;, &#x27;pfn&#x27;" in field.verdict.value


@pytest.mark.parametrize("answer", [np.int64(9), "9", " 9 ", "0x9", [9]])
def test_plain_values_in_code(answer):
    assert Field("02-P3", {"answer": PFN}, answer).last.state == RIGHT


@pytest.mark.parametrize("answer", [True, "nine", 9.5])
def test_malformed_answers_are_told_how(answer):
    field = Field("02-P3", {"answer": PFN}, answer)
    assert field.last.state == NOT_YET
    assert HOW["pfn"] in field.last.text


def test_the_drawn_exercise_with_its_two_parts():
    parts = one_free(2)
    block, merges = parts["block"].truth(), parts["merges"].truth()
    assert Field("02-E1", parts, {"block": block, "merges": merges}).last.state == RIGHT
    wrong = Field("02-E1", parts, {"block": block, "merges": merges + 1})
    assert wrong.last.text.startswith("The block part is right; merges is not.")


def test_a_verdict_is_a_status_for_a_screen_reader():
    field = Field("02-P3", {"answer": PFN})
    assert "pagelab-status" in field.verdict._dom_classes


def test_fields_have_labels_and_say_how_an_answer_is_written():
    field = two_parts()
    for part, question in field.questions.items():
        assert field.fields[part].description
        assert field.fields[part].placeholder == HOW[question.form]
        assert not field.fields[part].continuous_update, "Enter grades, not every letter"


def test_a_damaged_progress_file_is_told_of_in_the_verdict():
    Path("progress.json").write_text("not json")
    field = Field("02-P3", {"answer": PFN})
    assert "progress.damaged.json" in field.verdict.value
    field.fields["answer"].value = "9"
    assert "progress.damaged.json" not in field.verdict.value
    assert set(load()[0]) == {"02-P3"}


def test_an_answer_that_cannot_be_kept_is_graded_and_told_of():
    Path("progress.json").mkdir()
    field = Field("02-P3", {"answer": PFN}, 9)
    assert field.last.state == RIGHT
    assert "This answer is not kept" in field.verdict.value


def test_other_entries_are_left_alone():
    record("other", Entry(RIGHT, "1"))
    Field("02-P3", {"answer": PFN}, 9)
    assert load()[0] == {"other": Entry(RIGHT, "1"), "02-P3": Entry(RIGHT, "9")}


def test_an_old_answer_of_another_form_is_only_an_answer():
    record("02-P3", Entry(RIGHT, "M0: 1\nM1: 2\nmore"))
    assert Field("02-P3", {"answer": PFN}).last.state == NOT_YET


def test_html_in_an_answer_is_shown_as_text():
    field = Field("02-P3", {"answer": PFN})
    field.fields["answer"].value = "<b>9</b>"
    assert "<b>9" not in field.verdict.value
    assert "&lt;b&gt;9" in field.verdict.value
    assert verdict_html(Verdict(NOT_YET, "<i>")).count("<i>") == 0
    assert "<i>" not in verdict_html(Verdict(OPEN, ""), "<i>")


def test_a_thousands_separator_is_read():
    line = (3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29)
    field = Field("03-P1", {"answer": PagesIn(line)})
    field.fields["answer"].value = "32,335"
    assert field.last.state == RIGHT
    field.fields["answer"].value = "48"
    assert field.last.variant == "count-blocks"


def test_in_code_and_in_the_field_the_verdict_is_the_same():
    for answer in ("2", "3", "7", "three", "-1"):
        field = Field("01-E2", {"answer": Fit(5)})
        field.fields["answer"].value = answer
        assert field.last == Field("01-E2", {"answer": Fit(5)}, answer).last == grade(Fit(5), answer)


def test_a_field_can_be_sent_to_a_front_end():
    bundle = two_parts()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "02-P3: Not answered yet."
    assert json.dumps(two_parts().get_state()["children"])


def test_an_answer_of_another_kind_is_met_with_a_sentence():
    field = Field("01-P1", {"answer": Fit(5)}, {"answer": 8})
    assert "{&#x27;answer&#x27;: 8} cannot be read: write a whole number" in field.verdict.value
    assert field.last.state == OPEN
