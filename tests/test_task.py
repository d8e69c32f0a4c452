"""Tasks: the goal can be reached with the requests it names, and not be beaten."""

import random

import pytest

from pagelab.lab.exercise import NOT_YET, OPEN, RIGHT, Verdict
from pagelab.lab.request import RequestError
from pagelab.lab.task import (
    free_without_a_pair,
    label_and_back,
    refuse_for_good,
    refuse_with_half_free,
    refuse_with_most_free,
    whole_again,
)
from pagelab.mm.call import alloc_request
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import boot

PAIRS = "free 1; free 2; " + "; ".join(f"free {pfn}" for pfn in range(4, 32, 2))
SOLUTIONS = {
    refuse_with_most_free: "alloc 0; alloc 5",
    free_without_a_pair: PAIRS,
    refuse_with_half_free: "alloc 3 x7; free 8; free 24; free 40",
    label_and_back: "free 0; alloc 0 unmovable; alloc 0",
    refuse_for_good: "alloc 3 unmovable x7; free 8; free 24; free 40",
    whole_again: "drain",
}
TASKS = pytest.mark.parametrize("make", SOLUTIONS, ids=lambda make: make.__name__)


@TASKS
def test_par_is_reached_by_its_solution(make):
    task = make()
    verdict = task.do(SOLUTIONS[make])
    assert verdict.state == RIGHT
    assert task.used == task.par
    assert verdict.text.endswith(f"{task.par} request{'s' * (task.par > 1)} used; the fewest known is {task.par}.")


@TASKS
def test_a_task_not_begun_is_not_answered(make):
    assert make().verdict() == Verdict(OPEN, "")
    assert make().do("") == Verdict(OPEN, "")
    assert (make().used, make().typed) == (0, "")


def test_one_request_is_one_request():
    assert " 1 request used;" in refuse_with_most_free().do("alloc 0").text
    assert " 2 requests used;" in refuse_with_most_free().do("alloc 0 x2").text


def sequences(depth):
    """Yield the free pages of 64 whenever order 5 is refused, over all allocation sequences up to a length."""

    def go(machine, left):
        zone = machine.zone
        if zone.largest_free_order() < 5:
            yield zone.nr_free_pages()
        for order in range(7) if left else ():
            other = machine.blank()
            other.restore(machine.snapshot())
            if other.apply(alloc_request(order), []) >= 0:
                yield from go(other, left - 1)

    return go(Machine(boot(64)), depth)


def test_no_four_allocations_refuse_order_5_with_more_than_31_free():
    assert max(sequences(4)) == 31
    assert max(sequences(1)) == 0, "one request alone leaves 0 free or a block of order 5"


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("alloc 0", "63 pages free, and order 5 is not refused: it can come out of the block at 32."),
        ("alloc 0; alloc 6", "order 5 is not refused"),
        ("alloc 1; alloc 5", "Order 5 is refused with 30 pages free. 1 more can stay free."),
        ("alloc 5 x2", "Order 5 is refused with 0 pages free. 31 more can stay free."),
        ("alloc 5; alloc 1; alloc 4", "Order 5 is refused with 14 pages free. 17 more can stay free."),
    ],
)
def test_what_is_missing_from_31_free_is_said(requests, said):
    verdict = refuse_with_most_free().do(requests)
    assert verdict.state == NOT_YET
    assert said in verdict.text


def test_seventeen_of_32_pages_always_have_a_pair():
    for seed in range(15):
        freed = random.Random(seed).sample(range(32), 17)
        task = free_without_a_pair()
        verdict = task.do("; ".join(f"free {pfn}" for pfn in freed))
        assert verdict.state == NOT_YET
        assert task.tape.at(len(task.tape)).zone.largest_free_order() >= 1


@pytest.mark.parametrize("seed", range(5))
def test_any_one_of_each_pair_will_do_if_1_and_2_are_among_them(seed):
    source = random.Random(seed)
    freed = [1, 2, *(pfn + source.randrange(2) for pfn in range(4, 32, 2))]
    source.shuffle(freed)
    assert free_without_a_pair().do("; ".join(f"free {pfn}" for pfn in freed)).state == RIGHT


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (PAIRS.replace("free 1; ", "free 0; "), "Order 1 is refused with 16 pages free. Page 1 must be free too."),
        ("free 1", "Page 2 must be free too."),
        ("free 1; free 2", "Order 1 is refused with 2 pages free. 14 more can be freed."),
        ("free 1; free 2; free 3", "3 pages free, and order 1 is not refused: it can come out of the block at 2."),
        (f"{PAIRS}; free 5", "17 pages free, and order 1 is not refused"),
    ],
)
def test_what_is_missing_from_16_single_pages_is_said(requests, said):
    verdict = free_without_a_pair().do(requests)
    assert verdict.state == NOT_YET
    assert said in verdict.text


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("alloc 5", "32 pages free, and order 4 is not refused: it can come out of the block at 32."),
        ("alloc 3 x7; free 8; free 24", "Order 4 is refused with 24 pages free. Exactly 32 are wanted."),
        ("alloc 3 x7; free 8; free 0; free 24", "32 pages free, and order 4 is not refused: it can come out of the block at 0."),
    ],
)
def test_what_is_missing_from_half_free_is_said(requests, said):
    verdict = refuse_with_half_free().do(requests)
    assert verdict.state == NOT_YET
    assert said in verdict.text


def test_other_ways_to_half_free_are_right_too():
    assert refuse_with_half_free().do("alloc 0 x64; " + "; ".join(f"free {pfn}" for pfn in range(0, 64, 2))).state == RIGHT


@pytest.mark.parametrize(
    ("make", "requests", "word"),
    [
        (refuse_with_most_free, "alloc 0; free @0", "free"),
        (refuse_with_most_free, "alloc 0; free 0", "free"),
        (free_without_a_pair, "free 1; alloc 0", "alloc"),
    ],
)
def test_a_verb_that_is_not_allowed_is_pointed_at_and_does_nothing(make, requests, word):
    task = make()
    with pytest.raises(RequestError) as error:
        task.do(requests)
    assert f"this task allows only {task.only}" in str(error.value)
    assert (requests[error.value.start : error.value.end], error.value.start) == (word, requests.rindex(word))
    assert (task.used, task.verdict().state) == (0, OPEN)


@TASKS
@pytest.mark.parametrize("requests", ["spam", "free 99", "alloc 99", "free @999"])
def test_a_request_that_cannot_be_done_does_nothing(make, requests):
    task = make()
    before = (task.used, task.typed, task.verdict())
    good = SOLUTIONS[make].split(";")[0]
    with pytest.raises(RequestError):
        task.do(f"{good}; {requests}")
    assert (task.used, task.typed, task.verdict()) == before


def test_undo_takes_back_one_request_and_stops_at_the_start():
    task = free_without_a_pair()
    task.do("free 1; free 2")
    assert task.typed == "free 1; free 2"
    task.undo()
    assert (task.used, task.typed) == (1, "free 1")
    assert task.undo() == Verdict(OPEN, "")
    assert task.undo() == Verdict(OPEN, "")
    assert (task.used, len(task.tape)) == (0, 32)
    assert task.do(PAIRS).state == RIGHT


def test_undo_of_an_error_made_good():
    task = refuse_with_most_free()
    assert task.do("alloc 0; alloc 4").state == NOT_YET
    task.undo()
    assert task.do("alloc 5").state == RIGHT


def test_reset_takes_back_everything():
    task = refuse_with_half_free()
    task.do("alloc 3 x7")
    assert (task.used, task.typed) == (7, "alloc 3 x7")
    assert task.reset() == Verdict(OPEN, "")
    assert (task.used, task.typed) == (0, "")
    assert task.do(SOLUTIONS[refuse_with_half_free]).state == RIGHT


def test_what_was_typed_can_be_done_again():
    task, again = refuse_with_half_free(), refuse_with_half_free()
    task.do("alloc 3; alloc 3 x6")
    task.do("free @1; free 24")
    again.do(task.typed)
    assert list(again.tape.requests) == list(task.tape.requests)


@TASKS
def test_the_goal_names_its_numbers(make):
    assert any(character.isdigit() for character in make().goal)


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("alloc 0 unmovable", "The label is movable, and was nothing else yet."),
        ("isolate 0", "The label is isolate, and was nothing else yet."),
        ("free 0; alloc 0 unmovable", "The label became unmovable in step 5, and is still unmovable."),
    ],
)
def test_what_is_missing_from_a_label_and_back_is_said(requests, said):
    verdict = label_and_back().do(requests)
    assert (verdict.state, said in verdict.text) == (NOT_YET, True)


def test_no_two_requests_change_a_label_and_bring_it_back():
    task = label_and_back()
    heads = [0, 256, 288, 296]
    every = [f"alloc {order} {kind}" for order in range(9) for kind in ("movable", "unmovable", "reclaimable")]
    every += [*(f"free {head}" for head in heads), "compact", "isolate 0", "unisolate 0"]
    for one in every:
        for other in every:
            try:
                verdict = task.do(f"{one}; {other}")
            except RequestError:
                continue
            assert verdict.state == NOT_YET, f"{one}; {other}"
            task.reset()


def test_other_ways_to_a_label_and_back():
    assert label_and_back().do("free 0; alloc 8 unmovable; alloc 0; alloc 0").state == RIGHT
    assert label_and_back().do("free 0; free 256; free 288; free 296; alloc 9 unmovable; free @8; alloc 9").state == RIGHT


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (SOLUTIONS[refuse_with_half_free], "But without the movable pages: 64 pages free, and order 4 is not refused"),
        ("alloc 3 unmovable x3; alloc 3 x4; free 8; free 24; free 40", "But without the movable pages: 48 pages free"),
        ("alloc 3 unmovable x7; free 8", "Order 4 is refused with 16 pages free. Exactly 32 are wanted."),
        ("alloc 5", "order 4 is not refused: it can come out of the block at 32."),
    ],
)
def test_what_is_missing_from_refused_for_good_is_said(requests, said):
    verdict = refuse_for_good().do(requests)
    assert (verdict.state, said in verdict.text) == (NOT_YET, True)


def test_movable_pages_may_be_in_use_too():
    mixed = "alloc 0 unmovable; alloc 0; alloc 1; alloc 2; alloc 3 x2; alloc 3 unmovable x2; alloc 3; alloc 3 unmovable"
    assert refuse_for_good().do(f"{mixed}; free 8; free 16; free 40").state == RIGHT


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ("alloc 0", "11 blocks of order 10 are free, and 8 pages are on the CPU's lists."),
        ("alloc 0; drain", "11 blocks of order 10 are free, and 0 pages are on the CPU's lists."),
        ("drain cpu 0", "12 blocks of order 10 are free, and 0 pages are on the CPU's lists."),
    ],
)
def test_what_is_missing_from_whole_again_is_said(requests, said):
    verdict = whole_again().do(requests)
    assert (verdict.state, said in verdict.text) == (RIGHT if "drain cpu" in requests else NOT_YET, True)


def test_a_fifth_free_is_refused_with_the_place_of_the_page():
    with pytest.raises(RequestError, match="cannot free pfn 4: .* is on a per-CPU list"):
        whole_again().do("free 4")


@pytest.mark.parametrize("requests", ["drain", "compact", "isolate 0", "alloc_exact 3"])
def test_a_task_for_allocations_or_frees_allows_nothing_else(requests):
    for make in (refuse_with_most_free, free_without_a_pair):
        with pytest.raises(RequestError, match=f"this task allows only {make().only}"):
            make().do(requests)
