"""Wrong models: each gives the answer that the teaching plan expects of its belief, and a message with the rule and numbers."""

import random
import re

import pytest

from pagelab.lab.belief import evidence, stopped, unlinked
from pagelab.lab.exercise import NOT_YET, RIGHT, grade
from pagelab.lab.form import REFUSAL
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
)
from pagelab.lab.scenario import give_back, on_kernel, one_zone, shuffled_frees, some_free, text, two_zones
from pagelab.lab.variant import VARIANTS, beliefs
from pagelab.mm.act import Compared

BY_NAME = {variant.name: variant for variant in VARIANTS}
LINE = (3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29)
START = text("alloc 0; alloc 1; free @0; free @1")
FULL = text("alloc 0 x16")
MERGE = FULL.then("free 1; free 2; alloc 1; free 3")
HOLES = "free 100; free 700; free 1300; free 1900"
ALL_IN_USE = text("alloc 0 x2048", 2048)
SCATTERED = give_back(ALL_IN_USE.then(f"{HOLES}; alloc 0 unmovable x4"))
TOGETHER = give_back(text("alloc 0 unmovable x4; alloc 0 x2044", 2048))
MOVABLE_HOLES = some_free([pfn for pfn in range(2048) if pfn not in (100, 700, 1300, 1900)], 2048)
C300, C200 = text("alloc 0 x300", 512), text("alloc 0 x200", 512)
MANY_HOLES = shuffled_frees(1, 819, 2048)
OUT_AND_BACK = "alloc 0 x4; free @0; free @1; free @2; free @3"
BELOW_DMA32 = two_zones("alloc 10 x59", pcp=False)
FREE_B = "free 12; free 13; free 5; free 9; free 14; alloc 0"


def counts(*given):
    return list(given) + [0] * (11 - len(given))


def line(tape):
    return tuple(tape.at(len(tape)).zone.counts())


# Each row: the question, the right answer, what each belief says, and words of the first one's message.
PLAN = {
    "00-P1": (Run(text(), "alloc 0", "pfn"), 0, {}, []),
    "00-P2": (Run(text("alloc 0"), "alloc 1", "pfn"), 2, {"next-page": 1}, ["order 1 starts at an even pfn", "pages 2-3", "Step 1"]),
    "00-P3": (Run(text("alloc 0; alloc 1"), "free @0; free @1", "lists"), {"M4": [0]}, {}, []),
    "00-E1": (StepWith(START, 3), 1, {"one-page-each": 2}, ["2^o pages", "`alloc 0; alloc 1` hands out 3", "Step 1"]),
    "01-P1": (
        Run(text(pages=1024), "alloc 0", "counts"),
        counts(*[1] * 10),
        {"shatter": counts(1023)},
        ["each split", "keeps its upper half whole", "Step 0"],
    ),
    "01-P2": (
        Run(text(), "alloc 0; alloc 2; alloc 0; alloc 1", "pfns"),
        [0, 4, 1, 2],
        {"next-page": [0, 1, 5, 6], "bump": [0, 1, 5, 6]},
        ["order 2 starts at a multiple of 4", "pages 4-7", "Step 1"],
    ),
    "01-P3": (
        Run(text("alloc 3; alloc 0 x8; free @0; free 13"), "alloc 0", "pfn"),
        13,
        {"lowest-address": 0},
        ["lowest order comes first", "not the lowest pfn", "order 0 is 13", "Step 11"],
    ),
    "01-E2": (Fit(5), 3, {"round-down": 2}, ["all 5 pages", "Order 2 has only 4", "order 3 has 8"]),
    "01-E2 spare": (Fit(5, "spare"), 3, {"exact-cost": 0}, ["holds 5 has 8", "3 are spare"]),
    "02-P1": (
        Run(FULL, "free 1; free 2; alloc 1", "lists before"),
        {"M0": [2, 1]},
        {"neighbour": {"M1": [1]}},
        ["only buddies merge", "2 ^ 1 = 3", "3 is in use", "Step 17"],
    ),
    "02-P1 pfn": (Run(FULL, "free 1; free 2; alloc 1", "pfn"), REFUSAL, {"neighbour": 1}, ["only buddies merge", "Step 17"]),
    "02-P2": (
        Run(MERGE, "free 0", "lists"),
        {"M2": [0]},
        {"one-merge": {"M1": [0, 2]}},
        ["ask again one order up", "0 ^ 2 = 2", "Step 20"],
    ),
    "02-P2 merges": (Run(MERGE, "free 0", "merges"), 2, {"one-merge": 1}, ["ask again one order up", "Step 20"]),
    "02-P3": (
        Run(FULL, FREE_B, "pfn"),
        9,
        {"lifo-only": 14, "lowest-address": 5, "fifo": 5},
        ["or to the tail", "If 15 came back", "12, is free", "14 waits at the tail", "Step 20"],
    ),
    "02-P3 lists": (
        Run(FULL, FREE_B, "lists before"),
        {"M0": [9, 5, 14], "M1": [12]},
        {"lifo-only": {"M0": [14, 9, 5], "M1": [12]}, "fifo": {"M0": [5, 9, 14], "M1": [12]}},
        ["14 waits at the tail"],
    ),
    "02-P4": (Run(text("alloc 0", 1024), "free @0", "merges"), 10, {"one-merge": 1}, ["ask again", "0 ^ 512 = 512", "Step 1"]),
    "02-P4 lists": (Run(text("alloc 0", 1024), "free @0", "lists"), {"M10": [0]}, {}, []),
    "02-E2": (Walked(16), 28, {"counts-itself": 36}, ["8 fewer, 28"]),
    "03-P1": (PagesIn(LINE), 32_335, {"count-blocks": 48}, ["These 48 blocks have 32,335 pages", "column 10: 29 blocks"]),
    "03-E1": (PagesIn(LINE, 9), 60, {"one-column": 2}, ["Column 9 has 2", "order 10", "60"]),
    "03-P2": (
        Heads(256, 4096),
        [256, 512, 1024, 2048, 3072],
        {"from-the-left": [256, 1280, 2304, 3328, 3840]},
        ["256 is no multiple of 1,024", "first block has 256 pages"],
    ),
    "03-P3": (
        CountsOf((1, 2, 3, 4, 5, 6, 7, 8, 12)),
        counts(3, 1, 1),
        {"run-length": counts(1, 0, 0, 1)},
        ["starts at a multiple of 2^o", "not one block", "page 1 has the buddy 0"],
    ),
    "03-E2": (Value(66), 66, {"nothing-missing": 0}, ["own list", "Look at pcp"]),
    "03-T1": (
        LargestOrder((9120, 4071, 880, 65, 0, 0, 0, 0, 0, 0, 0)),
        3,
        {"free-is-enough": 10},
        ["needs one block", "21,302 pages (83.2 MiB)", "the largest is of order 3, 32 KiB"],
    ),
    "04-P1": (
        Run(text(pages=2048), "alloc 0 unmovable", "relabelled"),
        [0, 1],
        {"one-block": [0], "strict-types": [], "labels-stay": []},
        ["with all its pageblocks", "block at 0 has order 10: 2 whole pageblocks", "Step 0"],
    ),
    "04-P1 pfn": (
        Run(text(pages=2048), "alloc 0 unmovable", "pfn"),
        0,
        {"strict-types": REFUSAL},
        ["types are a preference", "No unmovable list has a block", "order 10", "Step 0"],
    ),
    "04-P2": (
        Run(ALL_IN_USE, f"{HOLES}; alloc 0 unmovable x4", "pfns"),
        [1900, 1300, 700, 100],
        {"strict-types": [REFUSAL] * 4, "fifo": [100, 700, 1300, 1900], "lowest-address": [100, 700, 1300, 1900]},
        ["types are a preference", "stolen", "Step 2055"],
    ),
    "04-P3": (PagesIn(line(SCATTERED), 9), 0, {"free-is-enough": 3}, ["one block", "2,044 pages", "0 of them lie in blocks of order 9"]),
    "04-P3 together": (PagesIn(line(TOGETHER), 9), 3, {"one-column": 1}, ["larger block can be split", "order 10", "3"]),
    "04-E1": (Useless(line(SCATTERED), 8), 1020, {"free-is-enough": 252}, ["one block", "2,044", "1,024 of them lie in blocks of order 8"]),
    "04-E1 together": (Useless(line(TOGETHER), 9), 508, {"one-column": 1532}, ["can be split", "order 9 and more have 1,536 pages"]),
    "04-P4": (
        Run(C300, "alloc 0 unmovable", "label"),
        "movable",
        {"any-free": "unmovable"},
        ["256 of its pages or more", "Here 212 are free", "300 movable ones are not alike", "Step 300"],
    ),
    "04-P4 pfn": (Run(C300, "alloc 0 unmovable", "pfn"), 300, {"strict-types": REFUSAL, "largest-first": 384}, ["preference", "Step 300"]),
    "04-P5": (
        Run(C200, "alloc 0 unmovable", "label"),
        "unmovable",
        {"labels-stay": "movable"},
        ["gets the label", "312 pages of the pageblock at 0 are free", "256 are enough", "Step 200"],
    ),
    "04-E2": (MostInUse(), 256, {"off-by-one": 255, "any-free": 511}, ["256 or more", "exactly so many are enough", "256 are free"]),
    "04-E3 6.12": (
        Run(C300, "alloc 0 unmovable", "lists"),
        {"M0": [301], "M1": [302], "M4": [304], "M6": [320], "M7": [384]},
        {"6.1": {"U0": [301], "U1": [302], "U4": [304], "U6": [320], "U7": [384]}},
        ["6.12 keeps a free block on the list that the label", "212 free pages are too few", "right on 6.1. Step 300"],
    ),
    "04-E3 6.1": (
        Run(on_kernel(C300, "6.1"), "alloc 0 unmovable", "lists"),
        {"U0": [301], "U1": [302], "U4": [304], "U6": [320], "U7": [384]},
        {"6.12": {"M0": [301], "M1": [302], "M4": [304], "M6": [320], "M7": [384]}},
        ["6.1 moves all free pages", "even where the label stays", "right on 6.12. Step 300"],
    ),
    "04-P6 6.12": (Run(MANY_HOLES, "alloc 0 unmovable x60", "pageblocks"), 4, {"6.1": 1}, ["186 free pages are too few", "Step 2926"]),
    "04-P6 6.1": (Run(on_kernel(MANY_HOLES, "6.1"), "alloc 0 unmovable x60", "pageblocks"), 1, {"6.12": 4}, ["6.1 moves all", "Step 2926"]),
    "04-P7": (
        Run(SCATTERED, "compact; alloc 9", "pfn"),
        REFUSAL,
        {"moves-anything": 1024},
        ["moves movable pages only", "4 pages in use are unmovable", "Step 4101"],
    ),
    "04-P7 movable": (
        Run(MOVABLE_HOLES, "compact; alloc 9", "pfn"),
        1024,
        {"nothing-moves": REFUSAL},
        ["page 1300 holds is copied to page 1538", "Step 4092"],
    ),
    "05-P1": (
        Run(one_zone(), "alloc 0", "free pages"),
        12_285,
        {"no-pcp": 12_287},
        ["takes a batch", "Page 2: to the tail of cpu 0's", "Step 0"],
    ),
    "05-P1 pfn": (Run(one_zone(), "alloc 0", "pfn"), 0, {}, []),
    "05-P2": (
        Run(one_zone("alloc 0"), "free @0; alloc 0", "pfn"),
        0,
        {"fifo": 1, "free-merges": 1},
        ["head of its list", "Page 0", "Step 1"],
    ),
    "05-P3": (
        Run(one_zone(cpus=2), "alloc 0; alloc 0 cpu 1; alloc 0; alloc 0 cpu 1; alloc 0", "pfns"),
        [0, 3, 1, 4, 2],
        {"one-list": [0, 1, 2, 3, 4], "no-pcp": [0, 1, 2, 3, 4]},
        ["each CPU has lists of its own", "Page 5: to the tail of cpu 1's", "Step 1"],
    ),
    "05-E1 6.12": (
        Run(one_zone(), OUT_AND_BACK, "on CPU lists"),
        9,
        {"6.1": 6, "free-merges": 5, "no-pcp": 0},
        ["twice as many pages", "Here: 3, then 6", "right on 6.1. Step 7"],
    ),
    "05-E1 6.1": (
        Run(one_zone(kernel="6.1"), OUT_AND_BACK, "on CPU lists"),
        6,
        {"6.12": 9, "free-merges": 2, "no-pcp": 0},
        ["the batch, each time", "Here: 3, then 3", "right on 6.12. Step 7"],
    ),
    "05-E2": (Batch(48_842), 15, {"quarter": 11, "always-63": 63}, ["power of two; less 1", "Here: 47, 11, 16, 16, 15"]),
    "05-P4": (
        Run(one_zone("alloc 10 x11", pcp=False), "alloc 0 x1024", "free pages"),
        221,
        {"last-page": 0},
        ["no more than the min mark", "In zone Normal: 221", "Step 1034"],
    ),
    "05-P5": (
        Run(BELOW_DMA32, "alloc 0 x5000", "free in DMA"),
        270,
        {"min-only": 30, "last-page": 0},
        ["mark, and its protection", "In zone DMA: 30 + 240 = 270", "Step 5058"],
    ),
    "05-E3": (
        Run(BELOW_DMA32, "alloc 0 atomic x5000", "free in DMA"),
        252,
        {"same-mark": 270, "min-only": 12},
        ["may go below the min mark", "12 + 240 = 252", "Step 5058"],
    ),
}
ROWS = pytest.mark.parametrize(("question", "truth", "wrong", "said"), PLAN.values(), ids=PLAN)


def unordered(answer):
    return {name: sorted(heads) for name, heads in answer.items()} if isinstance(answer, dict) else answer


@ROWS
def test_the_right_answer_is_the_plans(question, truth, wrong, said):
    assert question.truth() == truth
    assert grade(question, truth).state == RIGHT


@ROWS
def test_each_belief_answers_as_the_plan_says(question, truth, wrong, said):
    for name, answer in wrong.items():
        given = BY_NAME[name].answer(question)
        assert unordered(given) == unordered(answer)
        assert given != truth


@ROWS
def test_a_beliefs_answer_gets_the_message_of_the_first_that_gives_it(question, truth, wrong, said):
    given = beliefs(question)
    for name, answer in given.items():
        verdict = grade(question, answer)
        if answer == truth:
            assert (verdict.state, verdict.variant) == (RIGHT, None)
            continue
        first = next(variant for variant in VARIANTS if given.get(variant.name) == answer)
        assert (verdict.state, verdict.variant) == (NOT_YET, first.name)
        assert verdict.text.endswith(first.message(question))
        assert name == first.name or VARIANTS.index(first) < VARIANTS.index(BY_NAME[name])


@ROWS
def test_a_message_names_the_rule_the_numbers_and_the_step(question, truth, wrong, said):
    if wrong:
        message = BY_NAME[next(iter(wrong))].message(question)
        assert [words for words in said if words not in message] == []


STEP = re.compile(r"Step (\d+)")


def check_message(question, message):
    assert message.startswith("Rule: ")
    assert re.search(r"\d", message)
    assert message.rstrip().endswith((".", "zoneinfo."))
    assert "  " not in message
    if isinstance(question, Run):
        steps = [int(step) for step in STEP.findall(message)]
        assert len(steps) == 1
        assert len(question.tape) <= steps[0] < len(question.after())


@ROWS
def test_every_message_has_its_parts(question, truth, wrong, said):
    for name, answer in beliefs(question).items():
        if answer != truth:
            check_message(question, BY_NAME[name].message(question))


@pytest.mark.parametrize("ask", ["pfn", "lists", "counts", "free pages", "merges", "block"])
def test_every_message_has_its_parts_for_any_run(ask):
    source = random.Random(ask)
    for _ in range(25):
        freed = source.sample(range(16), source.randint(2, 10))
        last = f"free {freed.pop()}" if ask in ("merges", "block") else "alloc 0; alloc 1"
        question = Run(some_free(freed), last, ask)
        truth = question.truth()
        for name, answer in beliefs(question).items():
            if answer != truth:
                check_message(question, BY_NAME[name].message(question))


def test_the_beliefs_of_the_plan_are_all_here_once():
    later = {"one-block", "strict-types", "off-by-one", "any-free", "6.1", "6.12", "no-pcp", "one-list", "min-only", "free-merges"}
    assert later <= set(BY_NAME)
    named = {"lifo-only", "fifo", "lowest-address", "one-merge", "neighbour", "bump", "next-page", "shatter", "count-blocks"}
    assert named | {"round-down", "from-the-left", "run-length"} <= set(BY_NAME)
    assert len(BY_NAME) == len(VARIANTS)


@pytest.mark.parametrize("name", ["neighbour", "one-merge", "lifo-only", "lowest-address"])
def test_the_block_that_a_belief_makes_is_one_on_its_lists(name):
    wrong = {}
    for seed in range(30):
        *freed, last = random.Random(seed).sample(range(16), 9)
        lists = BY_NAME[name].answer(Run(some_free(freed), f"free {last}", "lists"))
        held = [[pfn, int(list_name[1:])] for list_name, heads in lists.items() for pfn in heads]
        block = next([pfn, order] for pfn, order in held if pfn <= last < pfn + (1 << order))
        answer = BY_NAME[name].answer(Run(some_free(freed), f"free {last}", "block"))
        if answer != block:
            wrong[f"free {freed}, then {last}"] = (answer, block)
    assert wrong == {}


def test_a_neighbour_block_may_start_anywhere():
    assert BY_NAME["neighbour"].answer(Run(some_free([1]), "free 2", "block")) == [1, 1]


def test_a_belief_that_cannot_run_the_requests_has_no_answer():
    question = Run(text("alloc 3; alloc 0 x8; free @0; free 13"), "alloc 0; free 13", "lists")
    assert question.truth() == {"M0": [13], "M3": [0]}
    assert BY_NAME["lowest-address"].answer(question) is None, "it handed out 0, so 13 is free already"


def test_beliefs_have_no_answer_to_what_they_say_nothing_about():
    for question in (Fit(5), PagesIn(LINE), Heads(256, 4096), Value(66)):
        assert not {"lifo-only", "neighbour", "bump", "next-page"} & set(beliefs(question))
    assert beliefs(Fit(5)) == {"round-down": 2}


def test_bump_and_next_page_know_the_past_as_it_was():
    tape = text("alloc 0; alloc 1; free @1")
    assert BY_NAME["bump"].answer(Run(tape, "alloc 0", "pfn")) == 4
    back = text("alloc 0; alloc 2; alloc 0")
    assert [BY_NAME[name].answer(Run(back, "alloc 0", "pfn")) for name in ("next-page", "bump")] == [2, 8], "after the last, behind all"
    assert BY_NAME["next-page"].answer(Run(text("alloc 0 x16; free 3"), "alloc 0", "pfn")) == REFUSAL
    assert BY_NAME["bump"].answer(Run(tape, "alloc 0", "lists")) is None


def test_evidence_is_the_last_act_of_the_kind_and_its_step():
    question = Run(FULL, FREE_B, "pfn")
    assert evidence(question, unlinked).endswith("Step 21.")
    assert "order 0 is 9" in evidence(question, unlinked)
    assert evidence(question, lambda act: isinstance(act, Compared) and act.yes).endswith("Step 20.")
    assert evidence(question, lambda act: False) == "Step 21."


def test_the_reason_is_the_buddy_that_refused_and_not_the_pair_above():
    said = evidence(Run(FULL, "free 1; free 2", "lists"), stopped)
    assert said == "The buddy of 2 at order 0 is 2 ^ 1 = 3. 3 is in use, so merging stops here. Step 17."


def test_the_other_kernel_is_the_one_that_the_tape_is_not():
    old, new = Run(one_zone(kernel="6.1"), OUT_AND_BACK, "on CPU lists"), Run(one_zone(), OUT_AND_BACK, "on CPU lists")
    assert {name for name in ("6.1", "6.12") if name in beliefs(old)} == {"6.12"}
    assert {name for name in ("6.1", "6.12") if name in beliefs(new)} == {"6.1"}


def test_a_belief_changes_no_other_machine():
    question = Run(BELOW_DMA32, "alloc 0 x5000", "free in DMA")
    assert [BY_NAME["min-only"].answer(question), question.truth(), BY_NAME["last-page"].answer(question), question.truth()] == [
        30,
        270,
        0,
        270,
    ]


def test_only_compaction_meets_beliefs_about_compaction():
    for question in (Run(C300, "alloc 0 unmovable", "label"), Run(MANY_HOLES, "alloc 0 unmovable x60", "pageblocks")):
        assert not {"moves-anything", "nothing-moves"} & set(beliefs(question))
    assert not {"one-merge", "never-merge", "shatter", "bump", "next-page"} & set(beliefs(Run(SCATTERED, "compact; alloc 9", "pfn")))


def test_own_lists_that_are_empty_refill_no_cpu():
    full = one_zone("alloc 10 x11; alloc 0 unmovable")
    assert beliefs(Run(full, "alloc 0 reclaimable", "pfn"))["strict-types"] == REFUSAL
    assert beliefs(Run(full, "alloc 0 unmovable; alloc 0 reclaimable", "pfns"))["strict-types"][1] == REFUSAL
