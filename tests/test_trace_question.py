"""Questions about a captured trace, each against a plain computation over the text of the capture."""

import re
from functools import cache

import numpy as np
import pytest

from pagelab.lab.form import read_answer, write_answer
from pagelab.lab.stand_in import LifoOnly
from pagelab.lab.trace_question import BlocksIn, WaitsFor
from pagelab.mm.act import Compared
from pagelab.real.capture import example
from pagelab.real.picks import learned_picks, wrong_picks
from pagelab.real.recording import record

HI = example("612-hi-256M-1cpu")
KPF_BUDDY = 10


@cache
def trace():
    return dict(HI.lines("trace.txt"))


def moves(first, last):
    """Each line that moves a block on the free lists: its number, whether it is a take, pfn and order."""
    for number in range(first, last + 1):
        if found := re.search(r"(mm_page_\w+): .*pfn=(0x[0-9a-f]+) order=(\d+)", trace()[number]):
            event, pfn, order = found[1], int(found[2], 16), int(found[3])
            if event in ("mm_page_alloc_zone_locked", "mm_page_pcpu_drain") or (event == "mm_page_free" and order in (4, 5, 6, 7, 8, 10)):
                yield number, event == "mm_page_alloc_zone_locked", pfn, order


def free_before(line):
    """The free pages before a line: those of the snapshot, then page by page as the lines say."""
    flags = HI.kpageflags("S0")
    free = set(np.flatnonzero(flags >> np.uint64(KPF_BUDDY) & np.uint64(1)).tolist())
    for _, taken, pfn, order in moves(16, line - 1):
        pages = range(pfn, pfn + (1 << order))
        free = free.difference(pages) if taken else free.union(pages)
    return free


def is_free(free, head, order):
    return free.issuperset(range(head, head + (1 << order)))


def test_blocks_are_counted_as_the_columns_of_the_file_say():
    counted = sum(int(n) for _, text in HI.lines("S0.buddyinfo.pre") for n in text.split()[4:])
    question = BlocksIn(tuple(map(tuple, HI.buddyinfo("S0", ".pre").values())))
    assert question.truth() == counted == 53


def test_a_block_waits_where_the_pages_of_the_larger_buddy_are_all_free():
    tape, waited = record(HI, "DMA32", lines=(6691, 6704)), []
    for k, (number, taken, pfn, order) in enumerate(moves(6691, 6704)):
        if taken:
            continue
        free, question = free_before(number), WaitsFor(tape, k)
        assert (question.freed().pfn, question.freed().order) == (pfn, order)
        while order < 10 and is_free(free, pfn ^ 1 << order, order):
            pfn, order = pfn & ~(1 << order), order + 1
        up = (pfn & ~(1 << order)) ^ 1 << order + 1
        waits = order < 9 and is_free(free, up, order + 1)
        assert any(isinstance(act, Compared) and act.yes for act in question.acts()) == waits
        if waits:
            waited.append(k)
            assert question.truth() == up
    assert waited == [0], "all others go to the head"


def test_the_block_of_the_notebook_waits_for_another_than_the_one_beside_it():
    question, free = WaitsFor(record(HI, "DMA32", lines=(6691, 6704)), 0), free_before(6691)
    assert question.truth() == 32_240
    assert is_free(free, 32_240, 3)
    assert is_free(free, 32_256, 3), "the one beside it is free too, and is not the reason"


@pytest.mark.parametrize(("first", "last"), [(20, 300), (20, 40), (223, 300)])
def test_a_take_is_learned_where_no_line_touched_the_block_before(first, last):
    free, seen, expected, takes = free_before(first), set(), [], []
    for k, (_, taken, pfn, order) in enumerate(moves(first, last)):
        assert (taken, order) == (True, 0)
        takes.append(k)
        if pfn not in seen:
            expected.append(k)
            held = max(o for o in range(11) if pfn % (1 << o) == 0 and is_free(free, pfn, o))
            seen.update(range(pfn, pfn + (1 << held)))
    question = learned_picks(record(HI, "DMA32", lines=(first, last)))
    assert (list(question.takes), question.truth()) == (takes, expected)


def test_learned_picks_are_some_of_the_takes_and_the_answer_is_read_back():
    question = learned_picks(record(HI, "DMA32", lines=(20, 300)))
    assert set(question.truth()) < set(question.takes)
    assert read_answer(question.form, write_answer(question.truth())) == [0, 1, 5, 15, 19]


def test_the_picks_of_a_belief_are_all_takes_of_the_trace():
    begin, end = (next(n for n, text in trace().items() if text.endswith(mark)) for mark in ("SNAP0 end", "SNAP1 begin"))
    question = wrong_picks(HI, LifoOnly)
    predicted, wrong, learned = question.picks()
    assert predicted + learned == sum(taken for _, taken, _, _ in moves(begin, end))
    assert 0 < question.truth() == wrong < predicted
