"""The text twin: sentences and tables that say what a moment holds."""

import re

import pytest
from runs import RUNS, SMALL, moments, random_run

from pagelab.lab.caption import captions, span
from pagelab.lab.question import lists_of
from pagelab.lab.scenario import some_free, text
from pagelab.mm.act import Compared, Linked, Refused, Taken, Unlinked
from pagelab.view.columns import moment
from pagelab.view.palette import DARK, LIGHT, UNKNOWN_LOOK
from pagelab.view.words import counts_html, legend, lists_table, run_text, sentence, summary


def last(tape):
    return moment(tape, len(tape) - 1, -1)


@pytest.mark.parametrize(
    ("tape", "said"),
    [
        (text("alloc 0"), "A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0."),
        (text("alloc 3"), "A request of order 3 takes 0 off list 4 and splits it once. The caller receives pages 0-7."),
        (text("alloc 4"), "A request of order 4 takes 0 off list 4. The caller receives pages 0-15."),
        (text("alloc 5"), "No movable list from order 5 up has a block. The caller receives NULL: the request is refused."),
        (
            some_free([1]),
            "Free of page 1: no merge. The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use. 1, order 0, goes to the head of its list.",
        ),
        (
            some_free([1, 2, 3, 0]),
            "Free of page 0: 2 merges. The buddy of 0 at order 2 is 0 ^ 4 = 4. 4 is in use. 0, order 2, goes to the head of its list.",
        ),
        (text("alloc 4; free 0"), "Free of pages 0-15: no merge. The buddy of 0 at order 4 is 0 ^ 16 = 16. 16 is outside the zone. "),
        (text("alloc 10; free 0", 1024), "Free of pages 0-1023: no merge. 0, order 10, goes to the head of its list."),
    ],
)
def test_a_request_in_one_caption(tape, said):
    assert summary(last(tape).all).sentence.startswith(said)


def test_the_page_that_waits_goes_to_the_tail():
    assert summary(last(some_free([12, 13, 5, 9, 14])).all).sentence.endswith("14, order 0, goes to the tail of its list.")


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_a_summary_says_what_the_acts_did(seed, pages, start):
    tape = random_run(seed, pages, start)
    for k in range(len(tape)):
        now = moment(tape, k, -1)
        said, acts = summary(now.all), now.all
        assert said.function
        assert said.sentence.endswith(".")
        gone = [act for act in acts if isinstance(act, Unlinked)]
        linked = [act for act in acts if isinstance(act, Linked)]
        if isinstance(acts[-1], Refused):
            assert said == captions(acts)[-1]
        elif acts[0].verb == "alloc":
            (taken,) = [act for act in acts if isinstance(act, Taken)]
            assert f"takes {gone[0].pfn} off list {gone[0].order}" in said.sentence
            assert said.sentence.endswith(f"The caller receives {span(taken.pfn, taken.order)}.")
            assert gone[0].order - taken.order == len(linked)
            times = re.search(r"splits it (once|(\d+) times)", said.sentence)
            assert (int(times[2] or 1) if times else 0) == len(linked)
        else:
            merges = re.search(r": (no|\d+) merge", said.sentence)[1]
            assert (0 if merges == "no" else int(merges)) == len(gone)
            end = f"{linked[0].pfn}, order {linked[0].order}, goes to the {'tail' if linked[0].tail else 'head'} of its list."
            assert said.sentence.endswith(end)
            for refused in (act for act in acts if isinstance(act, Compared) and act.order == linked[0].order):
                assert f" = {refused.pfn}. " in said.sentence


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_a_sentence_counts_what_the_state_holds(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        said = sentence(now).replace(",", "")
        if now.end:
            assert said == f"The end: {now.zone.nr_free_pages()} of {pages} pages are free."
            continue
        assert said.startswith(f"{now.before.nr_free_pages()} of {pages} pages were free before this step ".replace(",", ""))
        assert f" {now.zone.nr_free_pages()} are now." in said
        for act in now.acts:
            if isinstance(act, (Linked, Unlinked)):
                assert re.search(rf"\b{act.pfn}\b", said.split("now.")[1])


def test_one_and_several_are_said_as_such():
    assert sentence(moment(text("alloc 0"), 0, -1)).endswith("8, 4, 2 and 1 were linked; 0 left its list.")
    assert sentence(moment(some_free([1, 2, 3, 0]), 19, -1)).endswith("0 was linked; 1 and 2 left their lists.")


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_the_table_has_every_list(seed, pages, start):
    tape = random_run(seed, pages, start)
    for now in moments(tape):
        rows = re.findall(r"<tr><td>(\w+)</td><td>([\d,]+)</td><td>([^<]*)</td></tr>", lists_table(now))
        assert {name: [int(pfn) for pfn in heads.split()] for name, _, heads in rows} == lists_of(now.zone)
        assert all(int(count) == len(heads.split()) for _, count, heads in rows)


def test_a_long_list_in_the_table_says_that_it_goes_on():
    table = lists_table(moment(some_free(list(range(0, 128, 2)), 128), 0, 0))
    assert "…" not in table
    table = lists_table(last(some_free(list(range(0, 128, 2)), 128)))
    assert "<td>64</td>" in table
    assert "…" in table


def test_tables_have_headers_for_screen_readers():
    assert lists_table(last(text("alloc 0"))).count('<th scope="col">') == 3
    assert "<caption>" in lists_table(last(text("alloc 0")))


def test_a_run_is_told_from_its_first_step_to_its_lists():
    assert run_text(text("alloc 0 x2; free @1; alloc 4")).splitlines() == [
        "step 0: alloc 0",
        "  A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0.",
        "step 1: alloc 0",
        "  A request of order 0 takes 1 off list 0. The caller receives page 1.",
        "step 2: free @1",
        "  Free of page 1: no merge. The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use. 1, order 0, goes to the tail of its list.",
        "step 3: alloc 4",
        "  No movable list from order 4 up has a block. The caller receives NULL: the request is refused.",
        "15 of 16 pages are free.",
        "  M0: 1",
        "  M1: 2",
        "  M2: 4",
        "  M3: 8",
    ]
    assert run_text(text()) == "16 of 16 pages are free.\n  M4: 0"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_legend_names_every_state_with_its_colour_and_letter(theme):
    html = legend(theme)
    for role, letter, words in [("movable", "M", "movable"), ("reclaimable", "R", "reclaimable"), ("unmovable", "U", "unmovable")]:
        assert re.search(rf"background:{getattr(theme, role)};[^>]*>{letter}</i>{words}<", html)
    assert re.search(rf"background:{theme.free};[^>]*border:1px solid {theme.free_outline};[^>]*></i>free<", html)
    assert "reserved" in html
    assert re.search(rf"solid {theme.changed}[^<]*></i>changed now", html)
    assert re.search(rf"dashed {theme.ink}[^<]*></i>looked at", html)


def test_the_legend_of_a_real_machine_says_what_it_cannot_know():
    html = legend(LIGHT, real=True)
    assert UNKNOWN_LOOK.words in html
    assert UNKNOWN_LOOK.words not in legend(LIGHT)
    assert "hole" in html
    assert LIGHT.changed not in html, "nothing changes in it"
    assert "looked at" not in html


def test_counts_that_differ_from_the_first_line_are_marked_without_colour():
    same, other = [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29], [3, 2, 3, 0, 2, 1, 0, 2, 5, 2, 28]
    html = counts_html({"the kernel": same, "our <rules>": other, "again": same})
    assert html.count("<u>") == html.count("*</u>") == 2
    assert "<u>3*</u>" in html
    assert "<u>28*</u>" in html
    assert "our &lt;rules&gt;" in html
    assert html.count('scope="row"') == 3
    assert [int(order) for order in re.findall(r'<th scope="col">(\d+)</th>', html)] == list(range(11))
    assert "<u>" not in counts_html({"a": same, "b": same})
