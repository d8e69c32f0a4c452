"""Where a free list could live: what each kind hands out, and what taking a block from the middle costs."""

import random

import pytest
from runs import random_run
from zones import contents

from pagelab.lab.question import nodes_walked, restart
from pagelab.lab.scenario import even_then_odd, text
from pagelab.mm.free_state import DoublyLinked, SinglyLinked, SwapWithLast
from pagelab.mm.zone import MOVABLE, Zone


@pytest.mark.parametrize(("pages", "nodes"), [(16, 28), (4096, 2_096_128)])
def test_nodes_walked_when_odd_pages_come_back_ascending(pages, nodes):
    tape = even_then_odd(pages)
    assert nodes_walked(tape, SinglyLinked) == nodes
    assert nodes_walked(tape, DoublyLinked) == 0
    assert nodes_walked(tape, SwapWithLast) == 0


@pytest.mark.parametrize("pages", [2, 4, 8, 32, 64])
def test_each_buddy_stands_behind_all_that_were_freed_after_it(pages):
    waiting = pages // 2
    assert nodes_walked(even_then_odd(pages), SinglyLinked) == sum(range(waiting))


def test_the_head_is_reached_without_a_walk():
    assert nodes_walked(text("alloc 0 x16"), SinglyLinked) == 0
    assert nodes_walked(text("alloc 0 x16; free 0; free 1"), SinglyLinked) == 0


@pytest.mark.parametrize("store", [SinglyLinked, DoublyLinked])
@pytest.mark.parametrize("seed", range(5))
def test_a_linked_list_changes_only_the_cost(seed, store):
    tape = random_run(seed, 64)
    machine = restart(tape, store)
    received = [machine.apply(request, tape.received) for request in tape.requests]
    assert received == list(tape.received)
    assert contents(machine.zone) == contents(tape.at(len(tape)).zone)


@pytest.mark.parametrize("seed", range(20))
def test_the_last_entry_moves_into_the_gap(seed):
    source, zone, array = random.Random(seed), SwapWithLast(64), []
    for _ in range(120):
        assert zone.first(0, MOVABLE) == (array[-1] if array else -1)
        if array and source.random() < 0.5:
            at = source.randrange(len(array))
            zone.unlink(array[at])
            array[at] = array[-1]
            array.pop()
        elif outside := sorted(set(range(64)) - set(array)):
            pfn = source.choice(outside)
            zone.link(pfn, 0, MOVABLE, tail=source.random() < 0.5)
            array.append(pfn)
        assert zone.blocks(0, MOVABLE) == array


@pytest.mark.parametrize("seed", range(5))
def test_an_array_loses_no_page(seed):
    tape = random_run(seed, 64)
    machine = restart(tape, SwapWithLast)
    taken, received = {}, []
    for request in tape.requests:
        if request >= 1 << 31:
            # The pfns are its own: free what this machine handed out for the same request.
            if not taken:
                continue
            pfn = next(iter(taken))
            machine.apply(1 << 31 | pfn, received)
            del taken[pfn]
        elif (pfn := machine.apply(request, received)) >= 0:
            taken[pfn] = 1 << (request & 15)
        assert machine.zone.nr_free_pages() + sum(taken.values()) == 64
        machine.zone.validate()


def test_a_singly_linked_list_counts_the_nodes_before_the_block():
    zone = SinglyLinked(16)
    for pfn in (3, 5, 7, 9):
        zone.link(pfn, 0, MOVABLE)
    for pfn, walked in ((5, 2), (9, 2), (3, 3)):
        zone.unlink(pfn)
        assert zone.walked == walked
    assert zone.blocks(0, MOVABLE) == [7]
    assert issubclass(SinglyLinked, Zone)
