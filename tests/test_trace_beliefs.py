"""Beliefs about a trace: each gives the answer that its message speaks of, and is told apart from the truth."""

import re

import pytest

from pagelab.lab.exercise import NOT_YET, RIGHT, grade
from pagelab.lab.question import Fit
from pagelab.lab.stand_in import LifoOnly
from pagelab.lab.trace_beliefs import TRACE_BELIEFS
from pagelab.lab.trace_question import BlocksIn, Learned, WaitsFor
from pagelab.real.capture import example
from pagelab.real.picks import learned_picks, wrong_picks
from pagelab.real.recording import record

HI = example("612-hi-256M-1cpu")
BY_NAME = {belief.name: belief for belief in TRACE_BELIEFS}
BLOCKS = BlocksIn(tuple(map(tuple, HI.buddyinfo("S0", ".pre").values())))
WAITS = WaitsFor(record(HI, "DMA32", lines=(6691, 6704)), 0)
EARLY = learned_picks(record(HI, "DMA32", lines=(20, 300)))
PICKS = wrong_picks(HI, LifoOnly)
ASKED = {
    "count-pages": BLOCKS,
    "own-buddy": WAITS,
    "beside": WAITS,
    "all-learned": EARLY,
    "once-a-list": EARLY,
    "right-ones": PICKS,
    "learned-too": PICKS,
}


def numbers(text):
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


@pytest.mark.parametrize("name", ASKED)
def test_a_belief_is_not_the_truth_and_gets_its_own_message(name):
    question, belief = ASKED[name], BY_NAME[name]
    given = belief.answer(question)
    assert given != question.truth()
    verdict = grade(question, given)
    assert (verdict.state, verdict.variant) == (NOT_YET, name)
    assert verdict.text.endswith(belief.message(question))
    assert grade(question, question.truth()).state == RIGHT


def test_the_pages_of_the_blocks_are_the_free_pages_of_the_file():
    rows = [list(map(int, text.split()[4:])) for _, text in HI.lines("S0.buddyinfo.pre")]
    pages = sum(n * 2**order for row in rows for order, n in enumerate(row))
    assert BY_NAME["count-pages"].answer(BLOCKS) == pages
    assert numbers(BY_NAME["count-pages"].message(BLOCKS)) == [sum(map(sum, rows)), pages]


def test_the_own_buddy_and_the_block_beside_are_reckoned_from_the_line():
    text = next(text for number, text in HI.lines("trace.txt") if number == 6691)
    pfn, order = int(re.search(r"pfn=(0x\w+)", text)[1], 16), int(re.search(r"order=(\d+)", text)[1])
    size = 2**order
    own = pfn - size if pfn // size % 2 else pfn + size
    pair = min(pfn, own)
    assert (BY_NAME["own-buddy"].answer(WAITS), BY_NAME["beside"].answer(WAITS)) == (own, pfn + size)
    assert numbers(BY_NAME["own-buddy"].message(WAITS)) == [own, WAITS.truth(), 0]
    assert numbers(BY_NAME["beside"].message(WAITS)) == [pair, WAITS.truth(), 0]


def test_the_steps_that_a_message_names_show_what_it_says():
    assert BY_NAME["all-learned"].answer(EARLY) == list(EARLY.takes)
    assert BY_NAME["once-a-list"].answer(EARLY) == EARLY.truth()[:1]
    (fixed,) = numbers(BY_NAME["all-learned"].message(EARLY).split("step")[1])
    assert fixed in EARLY.takes
    assert fixed not in EARLY.truth()
    assert fixed - 1 in EARLY.truth(), "the one before it left the block"
    (again,) = numbers(BY_NAME["once-a-list"].message(EARLY).split("step")[1])
    assert again in EARLY.truth()[1:]


def test_counts_of_picks_are_told_apart_by_what_is_left_out():
    predicted, wrong, learned = PICKS.picks()
    assert learned > 0
    assert BY_NAME["right-ones"].answer(PICKS) + wrong == predicted
    assert BY_NAME["learned-too"].answer(PICKS) - learned == wrong
    assert numbers(BY_NAME["right-ones"].message(PICKS)) == [predicted, wrong]
    assert numbers(BY_NAME["learned-too"].message(PICKS)) == [learned, wrong]


def test_a_belief_that_comes_out_right_is_not_marked_wrong():
    question = Learned((0, 1, 2), (0, 1, 2))
    assert BY_NAME["all-learned"].answer(question) == question.truth()
    assert grade(question, [0, 1, 2]).state == RIGHT
    assert grade(BlocksIn(((3, 0),)), 3).state == RIGHT, "blocks of one page: pages and blocks are as many"


def test_a_belief_says_nothing_to_other_questions():
    assert set(ASKED) == set(BY_NAME)
    for name, belief in BY_NAME.items():
        others = [question for question in (BLOCKS, WAITS, EARLY, PICKS, Fit(5)) if type(question) is not type(ASKED[name])]
        assert [belief.answer(question) for question in others] == [None] * 4
