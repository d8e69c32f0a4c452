"""What differs between two machines at the same step: numbers, sentences, a table."""

import re

import numpy as np
import pytest
from runs import SMALL, random_run

from pagelab.lab.question import lists_of
from pagelab.lab.scenario import text
from pagelab.lab.stand_in import Fifo, LifoOnly, LowestAddress, NeverMerge
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import hand_over
from pagelab.mm.zone import MOVABLE, UNMOVABLE
from pagelab.view.columns import moment
from pagelab.view.difference import difference, difference_sentence, difference_table, first_difference, state_words

NAMES = ("6.12", "other")


def under(tape, zone_type):
    """Return the same requests on a zone of another kind, as far as they can be done there."""
    zone = tape.at(0).zone
    other = zone_type(zone.end_pfn - zone.start_pfn, zone.start_pfn)
    hand_over(other, [(zone.start_pfn, zone.end_pfn)])
    return tape.under(Machine(other))


def at(left, right, k, act=-1):
    got = [tape.received[k] for tape in (left, right)] if k < len(left) else []
    return difference(moment(left, k, act), moment(right, k, act), got)


def allocations(pages=16, requests="alloc 0 x8; free @1; free @4; free @2; alloc 0 x2; alloc 1"):
    return text(requests, pages)


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_a_run_does_not_differ_from_itself(seed, pages, start):
    tape = random_run(seed, pages, start)
    assert first_difference(tape, tape) is None
    for k in range(len(tape) + 1):
        found = at(tape, tape, k, 0)
        assert (found.pages.sum(), found.labels, found.lists, found.runs()) == (0, (), {}, [])
        assert difference_sentence(found, NAMES).endswith("Pages, labels and lists are the same.")


@pytest.mark.parametrize("zone_type", [LifoOnly, Fifo, LowestAddress])
def test_what_differs_is_what_differs(zone_type):
    left = allocations()
    right = under(left, zone_type)
    for k in range(len(left) + 1):
        found = at(left, right, k, 0) if k == len(left) else at(left, right, k)
        ours, theirs = (tape.at(min(k + 1, len(left))).zone for tape in (left, right))
        kinds = [[(block.kind, block.mt) for block in map(zone.block, range(16))] for zone in (ours, theirs)]
        assert found.pages.tolist() == [one != other for one, other in zip(*kinds, strict=True)]
        lists = lists_of(ours), lists_of(theirs)
        assert {name for name in {*lists[0], *lists[1]} if lists[0].get(name) != lists[1].get(name)} == set(found.lists)
        assert all(heads == (lists[0].get(name, []), lists[1].get(name, [])) for name, heads in found.lists.items())


def test_runs_are_the_pages_that_differ_in_the_same_way():
    found = at(text("alloc 1"), text("alloc 3"), 0)
    assert [(low, end, state_words(ours), state_words(theirs)) for low, end, ours, theirs in found.runs()] == [
        (2, 8, "free, movable list", "in use, movable"),
    ]


@pytest.mark.parametrize("zone_type", [LifoOnly, LowestAddress])
def test_runs_cover_all_that_differs_once(zone_type):
    left = allocations()
    right = under(left, zone_type)
    for k in range(len(left)):
        found, covered = at(left, right, k), np.zeros(16, int)
        for low, end, ours, theirs in found.runs():
            covered[low:end] += 1
            assert ours >> 4 != theirs >> 4
        assert covered.tolist() == found.pages.astype(int).tolist()


def test_the_order_of_a_block_is_no_difference_of_its_pages_but_of_its_list():
    left = text("alloc 0 x2; free @0; free @1", 16)
    found = at(left, under(left, NeverMerge), 3)
    assert not found.pages.any()
    assert found.lists["M4"] == ([0], [])
    assert difference_sentence(found, NAMES).startswith("Every page is in the same state. Lists that differ: M0, M1, M2, M3 and M4.")


def test_a_free_page_on_another_list_is_in_another_state():
    left, right = moment(text("", 16), 0, 0), moment(text("", 16), 0, 0)
    right.zone.unlink(0)
    right.zone.link(0, 4, UNMOVABLE)
    found = difference(left, right, [])
    assert found.pages.all()
    assert [state_words(state) for state in found.runs()[0][2:]] == ["free, movable list", "free, unmovable list"]
    assert list(found.lists) == ["M4", "U4"]


def test_labels_that_differ_are_named_by_pageblock():
    left, right = moment(text("", 2048), 0, 0), moment(text("", 2048), 0, 0)
    right.zone.relabel(1024, 9, UNMOVABLE)
    found = difference(left, right, [])
    assert found.labels == ((1024, MOVABLE, UNMOVABLE),)
    assert "1 pageblock has another label." in difference_sentence(found, NAMES)
    assert "<td>label of pageblock 1024</td><td>movable</td><td>unmovable</td>" in difference_table(found, NAMES, 0)


def test_what_each_caller_received():
    left, right = text("alloc 0; alloc 4; free 0"), text("alloc 4; alloc 4; free 0")
    assert at(left, right, 0).received == ("page 0", "pages 0-15")
    assert at(left, right, 0, 0).received == ("", ""), "not before the request is done"
    assert at(left, right, 1).received == ("refused", "refused")
    assert at(left, right, 2).received == ("", ""), "a free receives nothing"
    assert difference_sentence(at(left, right, 0), NAMES).startswith("6.12: page 0; other: pages 0-15. 15 pages are in another state.")
    assert difference_sentence(at(left, right, 1), NAMES).startswith("Both: refused. 15 pages")


def test_the_first_step_that_differs():
    left = allocations(requests="alloc 0 x16; free @12; free @13; free @5; free @9; free @14; alloc 0; alloc 0")
    assert first_difference(left, under(left, LifoOnly)) == 21
    assert first_difference(left, under(left, LowestAddress)) == 21
    assert left.received[21] == 9


def test_the_table_names_the_pages_and_escapes():
    table = difference_table(at(text("alloc 1"), text("alloc 3"), 0), ("<6.1>", "6.12"), 100)
    assert '<th scope="col">&lt;6.1&gt;</th>' in table
    assert "<td>received</td><td>pages 0-1</td><td>pages 0-7</td>" in table
    assert "<td>pages 102-107</td><td>free, movable list</td><td>in use, movable</td>" in table
    assert "<td>list M1</td><td>2</td><td>empty</td>" in table


def test_a_long_table_has_an_end():
    left = text("alloc 0 x512", 512).then(1 << 31 | pfn for pfn in range(0, 512, 2))
    others = moment(left, 512, 0), moment(left, len(left), 0)
    found = difference(*others, [])
    assert (len(found.runs()), len(found.lists["M0"][1])) == (256, 256)
    table = difference_table(found, NAMES, 0)
    assert len(re.findall("<tr>", table)) == 26
    assert "and 233 more" in table


@pytest.mark.parametrize(
    ("state", "words"),
    [(0x00, "free, unmovable list"), (0x25, "free, reclaimable list"), (0x63, "held by the request"), (0x90, "in use, movable")],
)
def test_a_state_in_words(state, words):
    assert state_words(state) == words
