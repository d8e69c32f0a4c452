"""A trace as a tape: each step leaves the pages as its line says, and a state can be kept, brought back and done again act by act."""

import re
from functools import cache

import numpy as np
import pytest
from tracing import write_capture

from pagelab.mm.act import Unlinked
from pagelab.mm.boot import boot_machine
from pagelab.real.archive import CaptureError
from pagelab.real.capture import example, open_capture
from pagelab.real.recording import as_machine, plain, record, step_at

HI = "612-hi-256M-1cpu"
DMA32 = 4096  # its first pfn
MOVING = re.compile(r"mm_page_(alloc_zone_locked|pcpu_drain): .*pfn=(0x\w+) order=(\d+)")
FREED = re.compile(r"\[\d+\] (.....) .*mm_page_free: .*pfn=(0x\w+) order=(\d+)")


@cache
def tape_of(first, last):
    return record(example(HI), "DMA32", lines=(first, last))


def moved(first, last):
    """Read lines of the slice without the library's reader: (line, pfn, order, whether it becomes free)."""
    for number, text in example(HI).lines("trace.txt"):
        if first <= number <= last and (found := MOVING.search(text)):
            yield number, int(found[2], 16), int(found[3]), found[1] == "pcpu_drain"
        elif first <= number <= last and (found := FREED.search(text)):
            past_the_lists = int(found[3]) in (4, 5, 6, 7, 8, 10) or (found[1][2] in "sS" and found[1][3] in "3456789")
            if past_the_lists:
                yield number, int(found[2], 16), int(found[3]), True


def test_each_step_frees_or_takes_the_pages_that_its_line_names():
    tape = tape_of(6000, 6800)
    model = tape.at(0)
    free = model.zone.free_pages().copy()
    lines = [line for line in moved(6000, 6800) if line[1] >= DMA32]
    assert len(lines) > 100
    assert model.lines() == tuple(number for number, *_ in lines)
    for k, (number, pfn, order, becomes_free) in enumerate(lines):
        model.apply(tape.requests[k], tape.received[:k])
        free[pfn - DMA32 : pfn - DMA32 + (1 << order)] = becomes_free
        assert np.array_equal(model.zone.free_pages(), free), f"line {number}"


def test_the_first_and_the_last_line_that_are_asked_for_are_on_the_tape():
    lines = tape_of(6691, 6704).at(0).lines()
    assert lines == tuple(number for number, *_ in moved(6691, 6704))
    assert (lines[0], lines[-1]) == (6691, 6704)


def test_a_tape_of_late_lines_begins_where_the_tape_of_all_lines_stands():
    early, late = tape_of(1, 1200), tape_of(1000, 1200)
    k = step_at(early, 1000)
    assert 0 < k < len(early)
    assert early.at(k).snapshot() == late.at(0).snapshot()
    kept = early.at(k).buddy.kept()
    assert kept == late.at(0).buddy.kept()
    assert all(kept[:1])
    assert list(early.received[k:]) == list(late.received)


def test_the_acts_of_each_step_done_again_give_the_state_after_it():
    tape = tape_of(6600, 6800)
    for k in range(len(tape)):
        again, after = tape.at(k), tape.at(k + 1)
        again.redo(tape.acts(k))
        assert again.zone.page_states().tobytes() == after.zone.page_states().tobytes(), after.steps[k]
        assert [list(map(list, row)) for row in again.zone.free_list] == [list(map(list, row)) for row in after.zone.free_list]


def test_a_state_that_was_kept_goes_on_as_it_did_before():
    tape = tape_of(6600, 6800)
    model = tape.at(20)
    kept = model.snapshot()
    ends = []
    for _ in range(2):
        got = [model.apply(request, ()) for request in tape.requests[20:]]
        assert got == list(tape.received[20:])
        ends.append(model.snapshot())
        model.restore(kept)
        assert model.snapshot() == kept
    assert ends[0] == ends[1] != kept


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_a_machine_that_traces_itself_is_recorded_to_its_last_free_block(tmp_path, version):
    machine = boot_machine([(1024, 8192)], kernel=version, cpus=2, kbytes=512)
    write_capture(tmp_path, machine, version, seed=5, before=500, requests=1_000, orders=(0, 0, 0, 1, 2, 3, 4, 6), full=0.98)
    tape = record(open_capture(tmp_path), machine.zone.name)
    end = as_machine(tape, len(tape))
    assert len(tape) > 100
    assert end.zone.counts() == machine.zone.counts()
    assert np.array_equal(plain(tape.at(len(tape))).zone.page_states() < 0x60, machine.zone.page_states() < 0x60)


def test_a_zone_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="zone Normal of node 0 has no free lists in .*612-hi.*: choose DMA of node 0, DMA32 of node 0"):
        record(example(HI), "Normal")
    with pytest.raises(CaptureError, match=r"trace\.txt is missing; expected a capture with a trace"):
        record(example(), "DMA32")


def test_lines_without_an_event_are_refused_with_their_numbers():
    with pytest.raises(ValueError, match=r"lines 6695\.\.6695 have no event of zone DMA's"):
        record(example(HI), "DMA", lines=(6695, 6695))
    with pytest.raises(ValueError, match="line 6801 is behind the end of this tape, which is line 6"):
        step_at(tape_of(6600, 6800), 6801)


def test_a_take_comes_off_a_list_of_the_type_asked_for_also_where_that_had_to_be_learned():
    tape = tape_of(1, 1200)
    model, learned = tape.at(0), 0
    for k, request in enumerate(tape.requests):
        step = model.steps[model.done]
        known = model.buddy.score.learned
        if [event.kind for event in step] == ["take"]:
            off = [act for act in tape.acts(k) if isinstance(act, Unlinked)]
            assert [act.mt for act in off] == [step[0].mt], step
        model.apply(request, ())
        learned += model.buddy.score.learned > known
    assert learned > 3


def test_every_state_of_a_tape_is_sound_and_the_same_as_after_a_straight_run():
    tape = tape_of(6600, 6800)
    model = tape.at(0)
    for k, request in enumerate(tape.requests):
        if k % 20 == 0:
            assert tape.at(k).snapshot() == model.snapshot(), f"step {k}"
            model.zone.validate()
            as_machine(tape, k).validate()
        model.apply(request, ())


def test_the_step_of_a_line_is_the_first_at_or_after_it():
    tape = tape_of(6600, 6800)
    lines = tape.at(0).lines()
    for line in range(6600, lines[-1] + 1):
        k = step_at(tape, line)
        assert lines[k] >= line > (lines[k - 1] if k else 0)


def test_a_prediction_hangs_on_no_pfn_of_its_own_line():
    # The same zone, the same line but for its pfn: the page that the rules name and whether they are sure are decided before.
    tape = tape_of(6600, 7000)
    taken = [k for k, pfn in enumerate(tape.received) if pfn >= 0]
    for k in taken[::6]:
        said = set()
        for other in (tape.received[k], 0x1000, 0xA123 & -8, 0x7C00):
            model = tape.at(k)
            step = tuple(event._replace(pfn=other) for event in model.steps[model.done])
            model.steps = [*model.steps[: model.done], step]
            model.apply(tape.requests[k], ())
            score = model.buddy.score
            words = score.first.split("the rules give ")[-1].partition(",")[0] or hex(other)
            said.add((score.definite, score.learned, words if score.definite else "nothing"))
        assert len(said) == 1, said
    assert len(taken) > 60


def test_what_came_before_the_first_snapshot_is_not_on_the_tape(tmp_path):
    machine = boot_machine([(1024, 8192)], cpus=2, kbytes=512)
    write_capture(tmp_path, machine, "6.12", seed=5, before=0, requests=300, orders=(0, 0, 1, 4), full=0.98)
    lines = (tmp_path / "trace.txt").read_text().splitlines()
    first = next(number for number, text in enumerate(lines) if "zone_locked" in text)
    tape = record(open_capture(tmp_path), machine.zone.name)
    (tmp_path / "trace.txt").write_text("\n".join([lines[first]] * 2 + lines[2:]) + "\n")
    assert record(open_capture(tmp_path), machine.zone.name).at(0).lines() == tape.at(0).lines()
