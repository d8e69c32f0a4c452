import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zones import MOVE, contents, lists

from pagelab.lab.request import RequestError
from pagelab.lab.tape import KEYFRAME, Tape
from pagelab.mm.act import Asked, redo
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import FREE, alloc_request, free_received, free_request, other_request
from pagelab.mm.machine import COMPACTED, NOTHING, Machine, machine
from pagelab.mm.page_alloc import boot

MOVES = st.lists(MOVE, max_size=6) | st.lists(MOVE, min_size=15, max_size=40)
STARTS = st.builds(lambda pages, start: Machine(boot(pages, start)), st.integers(16, 600), st.integers(0, 5000))


def requests_of(model, moves):
    """Turn moves into requests that can be done, every other free by the number of its request; the model is used up."""
    requests, received, live = [], [], []
    for verb, number, mt in moves:
        if verb == "free" and not live:
            continue
        if verb == "alloc":
            request = alloc_request(number, mt)
        else:
            earlier = live.pop(number % len(live))
            request = free_received(earlier) if number % 2 else free_request(received[earlier])
        received.append(model.apply(request, received))
        if received[-1] >= 0:
            live.append(len(requests))
        requests.append(request)
    return requests


def copy_of(model):
    copy = model.blank()
    copy.restore(model.snapshot())
    return copy


def direct(start, requests):
    """Yield what a plain run holds before each request and at its end, with what was received so far."""
    model, received = copy_of(start), []
    yield contents(model.zone), []
    for request in requests:
        received.append(model.apply(request, received))
        yield contents(model.zone), received


@cache
def long_tape():
    """Return a tape of 10,000 requests on 64 pages, which has two keyframes after its start."""
    rng, start = random.Random(2), machine(64)
    moves = [rng.choice([("alloc", rng.randrange(4), 1), ("free", rng.randrange(1000), -1)]) for _ in range(12_000)]
    tape = Tape(machine(64)).then(requests_of(start, moves)[:10_000])
    assert len(tape) == 10_000 > 2 * KEYFRAME
    return tape


@settings(deadline=None, max_examples=60)
@given(STARTS, MOVES)
def test_at_any_step_the_tape_holds_what_a_plain_run_holds(start, moves):
    requests = requests_of(copy_of(start), moves)
    tape = Tape(start).then(requests)
    assert list(tape.requests) == requests
    for k, (held, received) in enumerate(direct(start, requests)):
        assert contents(tape.at(k).zone) == held
        assert list(tape.received[:k]) == received
    assert k == len(tape)


def test_at_any_step_around_a_keyframe():
    tape = long_tape()
    steps = {0, 1, len(tape) - 1, len(tape)}
    steps.update(*(range(key - 3, key + 4) for key in (KEYFRAME, 2 * KEYFRAME)))
    steps.update(random.Random(3).sample(range(len(tape)), 30))
    for k, (held, _) in enumerate(direct(machine(64), tape.requests)):
        if k in steps:
            steps.remove(k)
            assert contents(tape.at(k).zone) == held
    assert not steps


def test_a_tape_run_in_pieces_is_the_same_tape():
    whole = long_tape()
    pieces = Tape(machine(64))
    for start, end in ((0, 1), (1, 4095), (4095, 4096), (4096, 4097), (4097, 9000), (9000, 10_000)):
        pieces = pieces.then(whole.requests[start:end])
    assert list(pieces.requests) == list(whole.requests)
    assert list(pieces.received) == list(whole.received)
    for k in (4095, 4096, 4097, 8191, 8192, 8193, 10_000):
        assert contents(pieces.at(k).zone) == contents(whole.at(k).zone)


def test_a_request_takes_8_bytes_or_less():
    tape = long_tape()
    assert tape.requests.itemsize + tape.received.itemsize <= 8


def test_the_requests_of_a_tape_cannot_be_written():
    tape = Tape(machine(16)).then("alloc 0 x2")
    with pytest.raises(TypeError):
        tape.requests[0] = 0
    with pytest.raises(TypeError):
        tape.received[0] = 0


def test_the_start_is_copied():
    start = machine(16)
    tape = Tape(start)
    start.apply(alloc_request(0), [])
    assert lists(tape.at(0).zone) == {"M4": [0]}
    step = tape.at(0)
    step.apply(alloc_request(2), [])
    assert lists(tape.at(0).zone) == {"M4": [0]}


@settings(deadline=None, max_examples=40)
@given(STARTS, MOVES)
def test_doing_all_acts_of_a_request_again_gives_the_next_step(start, moves):
    tape = Tape(start).then(requests_of(copy_of(start), moves))
    for k in range(len(tape)):
        model = tape.at(k)
        redo(model.zone, tape.acts(k))
        assert contents(model.zone) == contents(tape.at(k + 1).zone)


def test_acts_around_a_keyframe():
    tape = long_tape()
    for k in (KEYFRAME - 1, KEYFRAME, KEYFRAME + 1, len(tape) - 1):
        model = tape.at(k)
        acts = tape.acts(k)
        redo(model.zone, acts)
        assert contents(model.zone) == contents(tape.at(k + 1).zone)
        assert acts[0].verb == ("free" if tape.requests[k] & FREE else "alloc")


def everything(tape):
    return list(tape.requests), list(tape.received), contents(tape.at(len(tape)).zone), tape.text


@settings(deadline=None, max_examples=60)
@given(STARTS, MOVES, MOVES, st.data())
def test_a_fork_shares_the_past_and_leaves_its_parent_alone(start, moves, other, data):
    parent = Tape(start).then(requests_of(copy_of(start), moves))
    before = everything(parent)
    k = data.draw(st.integers(0, len(parent)))
    fork = parent.fork(k)
    assert len(fork) == k
    assert list(fork.requests) == list(parent.requests[:k])
    assert contents(fork.at(k).zone) == contents(parent.at(k).zone)
    fork.then([alloc_request(number, mt) for verb, number, mt in other if verb == "alloc"])
    assert len(fork) == k, "a tape is a value"
    assert everything(parent) == before


@pytest.mark.parametrize("k", [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 10_000])
def test_a_fork_goes_on_its_own_way(k):
    parent = long_tape()
    before = everything(parent)
    fork = parent.fork(k).then([alloc_request(0)] * 5000)
    assert len(fork) == k + 5000
    plain = parent.at(k)
    for _ in range(5000):
        plain.apply(alloc_request(0), [])
    assert contents(fork.at(len(fork)).zone) == contents(plain.zone)
    assert contents(fork.at(k).zone) == contents(parent.at(k).zone)
    assert contents(fork.at(max(k - 1, 0)).zone) == contents(parent.at(max(k - 1, 0)).zone)
    assert everything(parent) == before


def test_a_fork_forgets_what_came_after():
    tape = Tape(machine(16)).then("alloc 0; alloc 1")
    with pytest.raises(RequestError, match="@1 names no earlier request: there are 1 so far"):
        tape.fork(1).then("free @1")


@pytest.mark.parametrize(
    "requests",
    [
        "alloc 0 x5; free 99",
        "alloc 0; free @0; free @0",
        "alloc 0; spam",
        "alloc 0; free @40",
        [alloc_request(0), free_request(15)],
        [alloc_request(1), free_received(40)],
        [alloc_request(1), alloc_request(0, cpu=1)],
        [alloc_request(0), 0x60],
        [alloc_request(0), -1],
        [alloc_request(0), 1 << 32],
    ],
)
@pytest.mark.parametrize("past", ["", "alloc 0 x3; free @1"])
def test_a_request_that_cannot_be_done_changes_nothing(past, requests):
    tape = Tape(machine(16)).then(past)
    before = everything(tape)
    with pytest.raises(ValueError, match=r"\d|spam"):
        tape.then(requests)
    assert everything(tape) == before


def test_a_late_error_changes_nothing_either():
    tape = long_tape()
    before = everything(tape)
    with pytest.raises(ValueError, match="cannot free pfn 64"):
        tape.then([alloc_request(0)] * 7000 + [free_request(64)])
    assert everything(tape) == before


def test_an_error_in_text_points_into_what_was_typed_last():
    tape = Tape(machine(16)).then("alloc 0 x7")
    with pytest.raises(RequestError, match="cannot free pfn 9") as error:
        tape.then("alloc 0 x2; free 9; free 1")
    assert (error.value.start, error.value.end) == (17, 18)


def test_what_each_request_received():
    tape = Tape(machine(16)).then("alloc 1; alloc 4; alloc 0; free @0; free 2")
    assert list(tape.received) == [0, REFUSED, 2, NOTHING, NOTHING]
    assert tape.text == "alloc 1; alloc 4; alloc 0; free @0; free 2"
    assert repr(tape) == "<tape of 5 requests>"
    assert tape.then("") is not tape
    assert everything(tape.then("")) == everything(tape)


def test_a_number_counts_from_the_start_of_the_tape_and_not_of_the_text():
    tape = Tape(machine(16)).then("alloc 0").then("alloc 1").then("alloc 0; free @0")
    assert lists(tape.at(4).zone) == {"M0": [0], "M2": [4], "M3": [8]}


@pytest.mark.parametrize("k", [-1, 4, 5000])
def test_a_step_that_does_not_exist(k):
    tape = Tape(machine(16)).then("alloc 0 x3")
    for ask in (tape.at, tape.fork):
        with pytest.raises(ValueError, match=rf"step {k} does not exist: steps here are 0\.\.3"):
            ask(k)
    for number in (k, 3):
        with pytest.raises(ValueError, match=rf"step {number} does not exist: steps here are 0\.\.2"):
            tape.acts(number)


def test_an_empty_tape():
    tape = Tape(machine(16))
    assert len(tape) == 0
    assert tape.text == ""
    assert contents(tape.at(0).zone) == contents(machine(16).zone)
    with pytest.raises(ValueError, match="this tape is empty"):
        tape.acts(0)


def test_the_same_requests_under_another_start():
    tape = Tape(machine(16)).then("alloc 0 x2; alloc 3")
    other = Machine(boot(64, 1024))
    assert list(tape.under(other).received) == [1024, 1025, 1032]
    assert list(tape.received) == [0, 1, 8]
    assert lists(other.zone) == {"M6": [1024]}
    with pytest.raises(ValueError, match="cannot free pfn 0"):
        tape.then("free 0").under(other)


class Sum:
    """The smallest model: it adds up what is asked of it and what the first request received."""

    names = ()

    def __init__(self):
        self.sum = 0

    def apply(self, request, received):
        if request > 9:
            raise ValueError(f"{request} is too much")
        self.sum += request + (received[0] if self.sum else 0)
        return self.sum

    def acts(self, request, received):
        return [(self.sum, request)]

    def blank(self):
        return Sum()

    def snapshot(self):
        return self.sum

    def restore(self, snapshot):
        self.sum = snapshot


def test_any_model_can_be_taped():
    tape = Tape(Sum()).then([1, 2, 3])
    assert list(tape.received) == [1, 4, 8]
    assert [tape.at(k).sum for k in range(4)] == [0, 1, 4, 8]
    assert tape.acts(2) == [(4, 3)]
    with pytest.raises(ValueError, match="10 is too much"):
        tape.then([1, 10])


# A machine with everything.

FULL = {"pages": 4096, "cpus": 2, "pcp": True, "min_free_kbytes": 512}


def whole_state(model):
    """Return all that a machine holds: pages, lists, what CPUs keep, and what it counts."""
    parked = [[(pcp.pack().tobytes(), pcp.count) for pcp in zone.pcp] for zone in model.zones]
    return [contents(zone) for zone in model.zones], parked, model.free, model.below_high


@cache
def full_tape(kernel):
    """Return a tape of 9,500 requests on a machine with per-CPU lists and watermarks, with drains and compactions among them."""
    rng, tape = random.Random(4), Tape(machine(kernel=kernel, **FULL))
    model, requests, received, live = tape.at(0), [], [], []
    while len(requests) < 9500:
        chance = rng.random()
        if chance < 0.003:
            requests.append(other_request(rng.choice(["drain", "compact"])))
        elif live and chance < 0.45:
            requests.append(free_received(live.pop(rng.randrange(len(live))), rng.randrange(2)))
        else:
            requests.append(alloc_request(rng.choice([0, 0, 0, 1, 2, 4]), rng.choice([0, 1, 1, 2]), rng.randrange(2), atomic=chance > 0.9))
        received.append(model.apply(requests[-1], received))
        if received[-1] >= 0:
            live.append(len(requests) - 1)
    return tape.then(requests)


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_at_any_step_of_a_full_machine_the_tape_holds_what_a_plain_run_holds(kernel):
    tape, model, received = full_tape(kernel), machine(kernel=kernel, **FULL), []
    steps = {*range(0, 9501, 371), *range(KEYFRAME - 2, KEYFRAME + 3), *range(2 * KEYFRAME - 2, 2 * KEYFRAME + 3)}
    for k, request in enumerate([*tape.requests, 0]):
        if k in steps:
            assert whole_state(tape.at(k)) == whole_state(model)
            tape.at(k).validate()
        received.append(model.apply(request, received))
    assert received[:-1] == list(tape.received)
    assert received.count(COMPACTED) > 3


def test_acts_of_a_full_machine_do_the_request():
    tape = full_tape("6.12")
    for k in [*range(50), *range(KEYFRAME - 5, KEYFRAME + 5), *range(9300, 9400)]:
        model = tape.at(k)
        acts = model.acts(tape.requests[k], tape.received[:k])
        assert whole_state(model) == whole_state(tape.at(k + 1))
        assert acts == tape.acts(k)


def test_a_fork_of_a_full_machine_forgets_the_compactions_that_came_after():
    tape = full_tape("6.12")
    step = list(tape.received).index(COMPACTED)
    assert len(tape.at(step)._moves) == 0
    assert len(tape.at(step + 1)._moves) == 1
    again = tape.fork(step).then(f"alloc 0; compact; alloc 0; free @{step}")
    assert [number for number, _ in again.at(len(again))._moves] == [step + 1]


def test_a_number_names_the_page_wherever_it_moved():
    start = Tape(machine(2048)).then("alloc 0 x1300").then("; ".join(f"free {pfn}" for pfn in range(2, 500)))
    tape = start.then("compact; free @0; alloc 0")
    moved = tape.at(len(start) + 1)._moves[0][1]
    assert moved[0] != 0
    before, after = tape.at(len(start) + 1), tape.at(len(start) + 2)
    assert before.zone.in_use(moved[0]) == 0
    assert after.zone.in_use(moved[0]) == -1
    assert tape.acts(len(start) + 1)[0] == Asked("free", 0, 1, moved[0])
    with pytest.raises(RequestError, match="cannot free pfn"):
        tape.fork(len(tape) - 1).then("free @0")


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_same_requests_run_under_another_kernel(kernel):
    tape = full_tape("6.12").fork(300)
    other = tape.under(tape.at(0).under(kernel))
    assert list(other.requests) == list(tape.requests)
    assert (list(other.received) == list(tape.received)) == (kernel == "6.12")
