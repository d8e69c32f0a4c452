"""Questions of a trace: the lines, the takes and the answers are those of the slice."""

import lzma
import re
from functools import cache

import pytest
from tracing import write_capture

from pagelab.lab.stand_in import LifoOnly
from pagelab.lab.variant import beliefs
from pagelab.mm.boot import boot_machine
from pagelab.mm.zone import Zone
from pagelab.real.capture import EXAMPLES, example, open_capture
from pagelab.real.picks import excerpt, frees_and_takes, learned_picks, pick, wrong_picks
from pagelab.real.recording import record
from pagelab.real.replay import replay

HI = "612-hi-256M-1cpu"


@cache
def raw():
    return lzma.decompress((EXAMPLES / HI / "trace.txt.xz").read_bytes()).decode().split("\n")


@cache
def tape_of(first, last):
    return record(example(HI), "DMA32", lines=(first, last))


def named(text, field):
    return int(re.search(rf"\b{field}=(\w+)", text)[1], 0)


def test_an_excerpt_has_the_words_of_its_lines_and_no_task():
    told = excerpt(example(HI), 6688, 6710).split("\n")
    assert len(told) == 23
    for number, line in enumerate(told, 6688):
        assert line.startswith(f"{number}: mm_page_")
        words = line.split()[1:]
        assert [word for word in raw()[number - 1].split() if word in words] == words
        assert not re.search(r"page=|hi-140|\[000\]", line)
        assert re.findall(r" pfn=\S+| order=\d+", line) == re.findall(r" pfn=\S+| order=\d+", raw()[number - 1])
    assert excerpt(example(HI), 1, 1) == f"1: {raw()[0]}"


def test_the_frees_and_takes_of_one_order_are_those_of_the_lines():
    start, told = frees_and_takes(tape_of(6691, 6704), 2, 0)
    freed = [named(text, "pfn") for text in raw()[6690:6704] if "pcpu_drain" in text and named(text, "order") == 2]
    taken = [named(text, "pfn") for text in raw()[6690:6704] if "zone_locked" in text and named(text, "order") == 2]
    assert re.findall(r"free (\d+)", told) == list(map(str, freed))
    done = start.then(told)
    assert [pfn for pfn in done.received if pfn >= 0] == taken


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_of_a_question_is_a_page_that_the_trace_takes(seed):
    question = pick(tape_of(6600, 7000), seed)
    takes = {named(text, "pfn") for text in raw()[6599:7000] if "zone_locked" in text}
    assert question.truth() in takes
    assert beliefs(question)["lowest-address"] != question.truth()
    again = pick(tape_of(6600, 7000), seed)
    assert (again.requests, again.truth()) == (question.requests, question.truth())


def test_a_tape_without_a_take_has_no_question():
    with pytest.raises(ValueError, match="seed 3: none of .* draws is a take whose page another belief would not name too"):
        pick(tape_of(6691, 6694), 3)


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_what_is_learned_is_counted_as_the_replay_counts_it(tmp_path, version):
    machine = boot_machine([(1024, 8192)], kernel=version, cpus=2, kbytes=512)
    write_capture(tmp_path, machine, version, seed=3, before=800, requests=1_000, full=0.98)
    capture = open_capture(tmp_path)
    asked, found = learned_picks(record(capture, machine.zone.name)), replay(capture)
    learned = found.pages.learned + found.fallbacks.learned
    assert len(asked.truth()) == learned > 0
    assert len(asked.takes) == learned + found.pages.definite + found.fallbacks.definite
    assert set(asked.truth()) <= set(asked.takes)


def test_the_takes_of_a_tape_are_the_steps_whose_lines_take():
    lines = tape_of(6600, 7000).at(0).lines()
    assert learned_picks(tape_of(6600, 7000)).takes == tuple(k for k, line in enumerate(lines) if "zone_locked" in raw()[line - 1])


def test_a_belief_that_changes_no_rule_is_never_wrong_and_another_is(tmp_path):
    class Same(Zone):
        pass

    machine = boot_machine([(1024, 8192)], kernel="6.12", kbytes=512)
    write_capture(tmp_path, machine, "6.12", seed=9, before=500, requests=2_000, orders=(0, 0, 1, 2, 4, 5, 6), full=0.9)
    capture = open_capture(tmp_path)
    assert wrong_picks(capture, Same).picks()[0] > 100
    assert wrong_picks(capture, Same).truth() == 0
    assert wrong_picks(capture, LifoOnly).truth() > 0
    assert wrong_picks(capture, LifoOnly).belief == "LifoOnly"
