"""What is said to an answer about caches that no belief gives: a rule, the numbers of the case, a step of the run."""

import re

import pytest

from pagelab.lab.exercise import NOT_YET, grade
from pagelab.lab.scenario import slab
from pagelab.lab.slab_question import FreePointer, KmallocGives, RowOfSlabinfo, SecondPage, SlabRun, SlabShape, SlabsUntilReturn
from pagelab.lab.variant import beliefs

TAPE = slab("kmalloc 512 x24")
FREES = "kfree @20; kfree @3"
WRONG = [
    (SlabRun(TAPE, f"{FREES}; kmalloc 512 x2", "objects"), "#20 #5", "#20 is right; #5 is not. Rule: the cpu slab serves first"),
    (
        SlabRun(TAPE, f"{FREES}; kmalloc 512 x2", "objects"),
        "#20 #5",
        "#5 is the first that is not right. The head of cpu 0's freelist is object 3",
    ),
    (SlabRun(TAPE, f"{FREES}; kmalloc 512 x2", "objects"), "#20", "2 are wanted; you gave 1."),
    (
        SlabRun(TAPE, f"{FREES}; kmalloc 512", "object"),
        "#24",
        "Request 24 receives no object; one that was never used is called after",
    ),
    (SlabRun(TAPE, f"{FREES}; kmalloc 512", "object"), "#99", "Request 99 comes later."),
    (SlabRun(TAPE, f"{FREES}; kmalloc 512", "object"), "refused", "A free object is there."),
    (SlabRun(TAPE, f"{FREES}; kmalloc 512", "index"), "7", "the CPU's freelist is served from its head. Not 7."),
    (SlabRun(TAPE, FREES, "slabs"), "9", "a slab is held from its first object until its pages go back. Not 9."),
    (SlabRun(TAPE, FREES, "pages"), "9", "Not 9. No slab waits on cpu 0's partial list, and 13 is the limit"),
    (SlabRun(TAPE, FREES, "returned"), "9", "a slab is held from its first object"),
    (SlabRun(TAPE, FREES, "live"), "9", "an object is in use from the request that receives it until it is freed."),
    (SlabRun(TAPE, FREES, "slabinfo"), "9 9", "active_objs leaves out those that are free in slabs of a node's list."),
    (SlabRun(TAPE, FREES, "on CPU lists"), "9", "The slab at 0 goes to the head of cpu 0's partial list"),
    (SlabRun(TAPE, FREES, "on node lists"), "9", "and to the node's when that is full. Not 9."),
    (SecondPage(TAPE), "17", "Not request 17. Step 8."),
    (KmallocGives(100), "64", "64 is too few; 100 are asked for."),
    (KmallocGives(100), "192", "192 is not the smallest; 100 are asked for."),
    (KmallocGives(100), "112", "112 is the size of no cache; 100 are asked for."),
    (SlabShape(704, 4, "objects"), "24", "holds about 16 objects, on 4 CPUs. Order 2 has 16,384 bytes; divide them by 704: not 24."),
    (FreePointer(512, 3), "1800", "object 3 starts after 3 objects of 512 bytes, at 1,536, and its pointer is in its middle. Not 1,800."),
    (RowOfSlabinfo(9515, 9856, 576, 28, 4, 352), "1", "multiply num_slabs by pagesperslab and by 4,096. Not 1: 352 slabs"),
    (RowOfSlabinfo(9515, 9856, 576, 28, 4, 352, "slack"), "1", "Not 1: 28 objects of 576 bytes are in each slab."),
    (SlabsUntilReturn(), "22", "the CPU's partial list, of 13 slabs, is full, and the node, which keeps 5, has enough. Not 22"),
]


@pytest.mark.parametrize(("question", "answer", "said"), WRONG)
def test_an_answer_of_no_belief_is_met_with_a_rule(question, answer, said):
    verdict = grade(question, answer)
    assert (verdict.state, verdict.variant) == (NOT_YET, None)
    assert said in verdict.text
    assert "Rule: " in verdict.text
    if isinstance(question, SlabRun):
        steps = [int(step) for step in re.findall(r"Step (\d+)", verdict.text)]
        assert all(len(question.tape) <= step < len(question.after()) for step in steps)


def test_no_answer_is_met_with_silence():
    for question, _, _ in WRONG:
        for answer in [*beliefs(question).values(), {"pair": [1, 2], "object": "#1", "objects": ["#1", "#2"]}.get(question.form, 4321)]:
            verdict = grade(question, answer)
            assert verdict.state != NOT_YET or len(verdict.text) > 60
