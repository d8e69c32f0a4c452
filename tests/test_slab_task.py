"""Tasks over caches: par is reached, and not beaten by what was tried."""

import random

import pytest

from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT, Verdict
from pagelab.lab.request import RequestError
from pagelab.lab.slab_task import one_page_back, three_pages_pinned


def frees(numbers):
    return "; ".join(f"kfree @{number}" for number in numbers)


SOLUTIONS = {
    three_pages_pinned: f"kmalloc 512 x17; {frees(k for k in range(16) if k % 8)}",
    one_page_back: frees([*range(8), *range(8, 112, 8)]),
}
TASKS = pytest.mark.parametrize("make", SOLUTIONS, ids=lambda make: make.__name__)


@TASKS
def test_par_is_reached_by_its_solution_and_not_before(make):
    task = make()
    before, last = SOLUTIONS[make].rsplit("; ", 1)
    assert task.do(before).state == NOT_YET
    verdict = task.do(last)
    assert verdict.state == RIGHT
    assert task.used == task.par
    assert verdict.text.endswith(f"{task.par} requests used; the fewest known is {task.par}.")
    assert task.undo().state == NOT_YET


def test_the_pars_of_the_plan():
    assert (three_pages_pinned().par, one_page_back().par) == (17 + 14, 21)


@TASKS
def test_a_task_not_begun_is_not_answered(make):
    assert make().verdict() == Verdict(OPEN, "")
    assert (make().used, make().typed) == (0, "")


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("kmalloc 512 x3", "3 objects of kmalloc-512 in use, in 1 page. 3 requests used"),
        (f"kmalloc 512 x24; {frees(range(21))}", "3 objects of kmalloc-512 in use, in 3 pages. But 2 of the pages have no object in use."),
        (f"kmalloc 512 x17; {frees([*range(1, 8), *range(9, 15), 0])}", "But 1 of the pages has no object in use."),
        ("kmalloc 512; kmalloc 64 x2", "1 object of kmalloc-512 in use, in 1 page. 1 page belongs to another cache: use only kmalloc-512."),
        ("kmalloc 512; kfree @0", "0 objects of kmalloc-512 in use, in 1 page."),
    ],
)
def test_what_is_missing_from_three_pages_is_said(requests, said):
    verdict = three_pages_pinned().do(requests)
    assert verdict.state == NOT_YET
    assert said in verdict.text


def test_the_eight_frees_of_free_now_are_not_enough():
    verdict = one_page_back().do(frees(range(8)))
    assert verdict == Verdict(
        NOT_YET,
        "15 pages held. 1 slab is empty. 1 of 13 slabs wait on the CPU's partial list, and 0 are on the node's. "
        "8 requests used; the fewest known is 21.",
    )


def test_an_empty_slab_that_comes_to_the_node_too_early_stays_there():
    touched = [*range(8, 104, 8), *range(8), 104]
    verdict = one_page_back().do(frees(touched))
    assert verdict.state == NOT_YET
    assert "1 of 13 slabs wait on the CPU's partial list, and 13 are on the node's." in verdict.text
    assert "An empty slab that reaches the node while it has fewer than 5 stays there." in verdict.text


@pytest.mark.parametrize("seed", range(40))
def test_no_20_frees_that_empty_slabs_give_a_page_back(seed):
    source = random.Random(seed)
    slabs = source.sample(range(15), 15)
    full, touched = slabs[: source.randrange(1, 3)], slabs[2:]
    numbers = [8 * number + k for number in full for k in range(8)] + [8 * number + source.randrange(8) for number in touched]
    source.shuffle(numbers)
    assert one_page_back().do(frees(numbers[:20])).state == NOT_YET


@pytest.mark.parametrize("seed", range(10))
def test_any_21_frees_of_that_kind_will_do_with_the_empty_slab_first(seed):
    source = random.Random(seed)
    slabs = source.sample(range(14), 14)
    empty, touched = slabs[0], slabs[1:]
    numbers = [*source.sample(range(8 * empty, 8 * empty + 8), 8), *(8 * number + source.randrange(8) for number in touched)]
    assert one_page_back().do(frees(numbers)).state == RIGHT


@pytest.mark.parametrize(
    ("make", "requests", "problem"),
    [
        (three_pages_pinned, "kmalloc 512; alloc 0", "this task allows only kmalloc and kfree"),
        (three_pages_pinned, "shrink kmalloc-512", "this task allows only kmalloc and kfree"),
        (one_page_back, "kmalloc 512", "this task allows only kfree"),
        (one_page_back, "shrink kmalloc-512", "this task allows only kfree"),
        (one_page_back, "kfree @500", "@500 names no earlier request"),
    ],
)
def test_what_is_not_allowed_does_nothing(make, requests, problem):
    task = make()
    with pytest.raises(RequestError, match=problem):
        task.do(requests)
    assert task.used == 0


def test_what_was_typed_can_be_done_again():
    task = three_pages_pinned()
    task.do("kmalloc 512 x2; kfree @1")
    assert task.typed == "kmalloc 512 x2; kfree @1"
    assert task.reset() == Verdict(OPEN, "")
