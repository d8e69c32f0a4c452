"""Beliefs about the next object: the answers that the teaching plan expects, and a theory worked out another way."""

import random
import re

import pytest

from pagelab.lab.exercise import NOT_YET, grade
from pagelab.lab.object_beliefs import OBJECT_BELIEFS
from pagelab.lab.question import Run, run_of
from pagelab.lab.scenario import slab
from pagelab.lab.slab_question import KmallocGives, SlabRun
from pagelab.lab.variant import beliefs

BY_NAME = {variant.name: variant for variant in OBJECT_BELIEFS}
P2 = SlabRun(slab("kmalloc 512 x8"), "kfree @2; kfree @5; kmalloc 512", "object")
P3 = SlabRun(slab("kmalloc 512 x24"), "kfree @20; kfree @3; kmalloc 512 x2", "objects")
TWO_CPUS = SlabRun(slab("kmalloc 512 x16", cpus=2), "kfree @3; kfree @5 cpu 1; kmalloc 512 cpu 1; kmalloc 512", "objects")
OTHER_CPU = SlabRun(slab("kmalloc 512 x16", cpus=2), "kfree @5 cpu 1; kfree @3; kmalloc 512 cpu 1; kmalloc 512", "objects")


@pytest.mark.parametrize(
    ("question", "name", "answer", "said"),
    [
        (P2, "lowest-first", "2", "a freed object goes to the front of the freelist"),
        (P3, "global-lifo", "#3, #20", "the cpu slab serves first"),
        (P3, "fresh-first", "#26 #27", "handed out again before one that was never used"),
        (P2, "fresh-first", "#10", "handed out again before one that was never used"),
        (OTHER_CPU, "own-frees", "#5 #3", "a remote free goes to the slab's own freelist, for the CPU whose slab it is"),
        (SlabRun(P2.tape, "kfree @5; kfree @2; kmalloc 512", "object"), "oldest-first", "#5", "and not to its end"),
    ],
)
def test_a_wrong_answer_is_known_by_its_belief(question, name, answer, said):
    verdict = grade(question, answer)
    assert (verdict.state, verdict.variant) == (NOT_YET, name)
    assert said in verdict.text
    assert "Rule: " in verdict.text
    assert re.search(r"object \d+ .* Step \d+\.$|Object \d+ .* Step \d+\.$", verdict.text)


def test_the_message_says_what_stood_where():
    assert grade(P3, "#3 #20").text == (
        "Rule: the cpu slab serves first, and each slab has a freelist of its own. The head of cpu 0's freelist is object 3 of the slab at "
        "0. The caller receives it. Step 27."
    )


def test_the_answers_of_each_theory():
    assert P3.truth() == ["#20", "#3"]
    assert {name: BY_NAME[name].answer(P3) for name in BY_NAME} == {
        "own-frees": None,
        "global-lifo": ["#3", "#20"],
        "lowest-first": ["#3", "#20"],
        "oldest-first": ["#20", "#3"],
        "fresh-first": ["#26", "#27"],
    }
    assert TWO_CPUS.truth() == ["#18", "#3"]
    assert {name: BY_NAME[name].answer(TWO_CPUS) for name in BY_NAME} == {
        "global-lifo": ["#5", "#3"],
        "own-frees": ["#5", "#3"],
        "lowest-first": ["#3", "#5"],
        "oldest-first": ["#3", "#5"],
        "fresh-first": ["#18", "#19"],
    }


def test_theories_know_what_was_freed_before_and_given_out_again():
    tape = slab("kmalloc 512 x4; kfree @1; kfree @2; kmalloc 512; kfree @0")
    question = SlabRun(tape, "kmalloc 512 x2; kfree @6; kmalloc 512", "objects")
    assert question.truth() == ["#0", "#1", "#2"]
    assert BY_NAME["global-lifo"].answer(question) == ["#0", "#1", "#2"]
    assert BY_NAME["oldest-first"].answer(question) == ["#1", "#0", "#2"]
    assert BY_NAME["lowest-first"].answer(question) == ["#0", "#1", "#2"]


def test_each_cache_has_objects_of_its_own():
    tape = slab("kmalloc 512; kmem_cache_alloc cred; kmem_cache_alloc bio", caches={"cred": 184, "bio": 180})
    question = SlabRun(tape, "kfree @0; kfree @1; kfree @2; kmem_cache_alloc bio; kmalloc 500; kmalloc 512 reclaimable", "objects")
    assert question.truth() == ["#2", "#0", "#8"]
    assert BY_NAME["global-lifo"].answer(question) == ["#2", "#0", "#8"]
    assert BY_NAME["oldest-first"].answer(question) == ["#1", "#0", "#8"]


@pytest.mark.parametrize("seed", range(10))
def test_one_stack_for_all_slabs_worked_out_with_a_list(seed):
    source = random.Random(seed)
    stack, held, lines, names = [], {k: k for k in range(24)}, [], []
    for k in range(24, 44):
        if stack and source.random() < 0.4:
            held[k] = stack.pop()
            names.append(f"#{held[k]}")
            lines.append("kmalloc 512")
        else:
            number = source.choice(sorted(held))
            stack.append(held.pop(number))
            lines.append(f"kfree @{number}")
    question = SlabRun(slab("kmalloc 512 x24"), "; ".join([*lines, "alloc 0"]), "objects")
    assert BY_NAME["global-lifo"].answer(question) == names


def test_other_questions_have_no_such_answer():
    tape = slab("kmalloc 512")
    others = [SlabRun(tape, "kfree @0", "slabs"), KmallocGives(100), Run(tape, "alloc 0", "pfn"), SlabRun(tape, "kfree @0", "object")]
    assert all(variant.answer(question) is None for variant in OBJECT_BELIEFS for question in others)


def test_beliefs_about_pages_hold_on_a_machine_with_caches():
    question = run_of(slab("kmalloc 512; alloc 1"), "alloc 1", "pfn")
    assert question.truth() == 4
    assert beliefs(question)["bump"] == 4
    assert grade(question, 6).state == NOT_YET
    mixed = run_of(slab("kmalloc 512; alloc 1"), "alloc 1; kmalloc 8193; free @2; kfree @0; alloc 0; alloc 0", "pfns")
    assert grade(mixed, [9, 9, 9]).state == NOT_YET


def test_where_there_are_sheaves_the_rule_is_theirs():
    tape = slab("kmalloc 512 x4", kernel="7.x", cpus=2)
    question = SlabRun(tape, "kfree @3 cpu 1; kfree @1; kfree @2; kmalloc 512; kmalloc 512", "objects")
    assert question.truth() == ["#2", "#1"]
    said = {answer: grade(question, answer) for answer in ("#3 #1", "#3 #2", "#4 #4")}
    assert said["#3 #1"].variant == "oldest-first"
    assert "what came last into a sheaf leaves it first. Object" in said["#3 #1"].text
    # Under sheaves the first objects handed out are those of the highest addresses.
    assert said["#3 #2"].variant == "lowest-first"
    assert "is the first to leave its sheaf, whatever its address. Object" in said["#3 #2"].text
    assert "the CPU's main sheaf serves first" in said["#4 #4"].text
    remote = SlabRun(tape, "kfree @1; kfree @3 cpu 1; kmalloc 512", "object")
    assert (remote.truth(), grade(remote, "#3").variant) == ("#1", "global-lifo")
    assert "each CPU's own sheaf serves it first. The last object in the CPU's main sheaf is object" in grade(remote, "#3").text
