"""Beliefs about slabs and slots: the answers that the teaching plan expects, known by name, and what is said to them."""

import re

import pytest

from pagelab.lab.exercise import NOT_YET, RIGHT, grade, pinned_pages
from pagelab.lab.question import Fit, Run
from pagelab.lab.scenario import slab
from pagelab.lab.slab_beliefs import SLAB_BELIEFS
from pagelab.lab.slab_question import FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn
from pagelab.lab.variant import VARIANTS, beliefs


def frees(numbers):
    return "; ".join(f"kfree @{number}" for number in numbers)


def all_freed(slabs, ask):
    return SlabRun(slab(f"kmalloc 512 x{8 * slabs}"), frees(range(8 * slabs)), ask)


ON_LISTS = "two empty slabs wait on the CPU's partial list, one is the cpu slab; slabinfo subtracts only what is on node lists"
ONE_PAGE = "on 1 CPU a slab should hold 8 objects (4 * (fls(1) + 1)), so order 1"
# A row of radix_tree_node: 28 objects of 576 bytes in 4 pages.
RADIX = RowOfSlabinfo(9515, 9856, 576, 28, 4, 352)
RADIX_SLACK = RowOfSlabinfo(9515, 9856, 576, 28, 4, 352, "slack")
CASES = [
    (SecondPage(slab("kmalloc 512 x24")), "page-each", "2", "The first slab has 8 objects, so request 9 takes the next pages. Step 8."),
    (SecondPage(slab("kmalloc 512 x24")), "last-that-fits", "8", "as long as it has a free object"),
    (KmallocGives(100), "exact", "100", "has objects of 128. 28 are spare."),
    (KmallocGives(193), "exact", "193", "has objects of 256. 63 are spare."),
    (KmallocGives(8193), "exact", "8193", "a block of 4 pages, 16,384 bytes, and no slab. 8,191 are spare."),
    (KmallocGives(100), "page-each", "4096", "Objects share pages."),
    (KmallocGives(8193), "page-each", "12288", "A block has 1, 2, 4 or 8 pages, and so on."),
    (KmallocGives(72), "power-of-two", "128", "96 and 192"),
    (SlabShape(704, 1, "objects"), "one-page", "5", ONE_PAGE),
    (SlabShape(704, 1, "order"), "one-page", "0", ONE_PAGE),
    (SlabShape(704, 1, "waste"), "one-page", "576", ONE_PAGE),
    (SlabShape(704, 4, "objects"), "object-alone", "11", "on 4 CPUs a slab should hold 16 objects (4 * (fls(4) + 1)), so order 2"),
    (SlabShape(704, 4, "waste"), "object-alone", "448", "Your answer is right on 1 CPU."),
    (FreePointer(512, 3), "at-start", "1,536", "3 * 512 = 1,536, and 1,536 + 256 = 1,792"),
    (FreePointer(512, 3), "at-end", "2040", "in the middle of a free object"),
    (FreePointer(512, 3), "in-the-object", "256", "Object 3 starts at 3 * 512"),
    (
        SlabsUntilReturn(),
        "free-now",
        "1",
        "takes 13 slabs. The next one sends all of them to the node",
    ),
    (SlabsUntilReturn(), "min-partial-only", "6", "The cpu slab is on no list. Here 13 slabs wait"),
    (SlabsUntilReturn(), "limit-only", "14", "the first free of one more sends them on."),
    (SlabsUntilReturn(), "node-first", "20", "which keeps 5 empty ones; none need be there before."),
    (SlabsUntilReturn(), "objects-counted", "120", "A slab has 8 objects of 512 bytes."),
    (all_freed(3, "slabs"), "free-now", "0", ON_LISTS),
    (all_freed(3, "pages"), "free-now", "0", ON_LISTS),
    (all_freed(3, "slabinfo"), "free-now", "0 0", ON_LISTS),
    (all_freed(3, "returned"), "free-now", "3", ON_LISTS),
    (all_freed(3, "slabinfo"), "slabinfo-is-truth", "0 24", "It says 24 of 24, and 0 are in use: two empty slabs wait"),
    (all_freed(3, "live"), "slabinfo-is-truth", "24", "It says 24 of 24, and 0 are in use"),
    (all_freed(15, "slabs"), "never-returns", "15", "empty ones that it does not keep go back"),
    (all_freed(15, "returned"), "never-returns", "0", "Step 224."),
    (all_freed(15, "slabs"), "min-partial-only", "5", "five are on a node's list, which keeps 5"),
    (all_freed(15, "slabinfo"), "slabinfo-is-truth", "0 56", "It says 16 of 56, and 0 are in use"),
    (RADIX, "active-only", "5,480,640", "with all their objects, free or not. Here 352 slabs of 4 pages are 5,767,168 bytes."),
    (RADIX, "objects-only", "5,677,056", "its objects do not always fill them"),
    (RADIX, "a-page-a-slab", "1441792", "a slab has pagesperslab pages."),
    (RADIX_SLACK, "free-is-slack", "196416", "352 slabs of 4 pages are 5,767,168 bytes; 9,856 objects of 576 are 5,677,056"),
    (pinned_pages(), "live-is-held", "1", "8 objects in use keep 8 slabs, and the 56 free objects with them"),
]


@pytest.mark.parametrize(("question", "name", "answer", "said"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_answer_is_known_by_its_belief(question, name, answer, said):
    verdict = grade(question, answer)
    assert (verdict.state, verdict.variant) == (NOT_YET, name)
    assert said in verdict.text
    rule = verdict.text[verdict.text.index("Rule: ") :]
    assert len(re.findall(r"\d+", rule)) >= 2
    assert rule.endswith(".")


def test_every_belief_is_met_in_a_case():
    assert {variant.name for variant in SLAB_BELIEFS} == {name for _, name, _, _ in CASES}
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (SecondPage(slab("kmalloc 512 x24")), "9"),
        (KmallocGives(8193), "16,384"),
        (SlabShape(704, 4, "objects"), "23"),
        (SlabShape(704, 4, "waste"), "192"),
        (FreePointer(512, 3), "1,792"),
        (SlabsUntilReturn(), "15"),
        (all_freed(3, "slabs"), "3"),
        (all_freed(3, "slabinfo"), "24 24"),
        (all_freed(15, "returned"), "8"),
        (all_freed(15, "slabinfo"), "16 56"),
        (pinned_pages(), "8"),
        (RADIX, "5,767,168"),
        (RADIX_SLACK, "90112"),
    ],
)
def test_the_right_answer_is_right(question, answer):
    assert grade(question, answer).state == RIGHT


def test_what_is_right_of_a_pair_is_said_first():
    assert grade(all_freed(3, "slabinfo"), "0 24").text.startswith("24 is right; 0 is not. Rule: slabinfo subtracts only")


def test_where_a_belief_says_what_is_so_it_is_not_spoken_to():
    kept = SlabRun(slab("kmalloc 512 x8"), "kfree @0", "slabs")
    assert {beliefs(kept)[name] for name in ("free-now", "live-is-held", "min-partial-only", "never-returns")} == {1}
    assert grade(kept, "1").state == RIGHT
    gone = SlabRun(slab("kmalloc 512 x8; kfree @0"), f"{frees(range(1, 8))}; shrink kmalloc-512", "slabs")
    assert (gone.truth(), beliefs(gone)["free-now"], beliefs(gone)["never-returns"]) == (0, 0, 1)
    assert "goes back" in grade(gone, "1").text or "go back" in grade(gone, "1").text


def test_two_slabs_of_two_pages_hold_four():
    question = SlabRun(slab("kmalloc 512 x32", cpus=2), frees(k for k in range(32) if k % 16), "pages")
    assert (question.truth(), beliefs(question)["live-is-held"]) == (4, 1)
    assert beliefs(SlabRun(question.tape, question.requests, "slabs"))["live-is-held"] == 1


def test_questions_about_pages_have_no_belief_about_slabs():
    questions = [Fit(5), Run(slab("alloc 0"), "free @0", "free pages")]
    assert not [variant.name for variant in SLAB_BELIEFS for question in questions if variant.answer(question) is not None]


def test_objects_in_sheaves_keep_their_slabs():
    question = SlabRun(slab("kmalloc 512 x8", kernel="7.x"), frees(range(8)), "slabs")
    verdict = grade(question, 0)
    assert (verdict.state, verdict.variant) == (NOT_YET, "free-now")
    assert "objects in sheaves" in verdict.text
