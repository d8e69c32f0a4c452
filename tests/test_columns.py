"""Model to numbers: moments, lists as shown, the strip, and where each page lies on a map."""

import numpy as np
import pytest
from runs import KINDS, RUNS, SMALL, busy_run, kinds_of_machines, moments, random_run
from zones import contents

from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Linked, Moved, Parked, Unparked
from pagelab.mm.allocator import REFUSED
from pagelab.mm.machine import machine
from pagelab.mm.page_alloc import boot
from pagelab.mm.zone import MOVABLE, NOT_HEAD, UNMOVABLE
from pagelab.view.columns import Entry, cpu_lists, list_type, moment, orders_of, pageblocks, shown_list, strip, types_of
from pagelab.view.page_map import blocks_of


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_every_page_is_owned_at_every_act(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for now in moments(tape):
        owned = [page for block in blocks_of(now.zone) for page in range(block.head, block.head + (1 << block.order))]
        assert owned == list(range(start, start + nr_pages))
        assert NOT_HEAD not in now.zone.page_states()


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_the_first_act_shows_the_state_before_and_the_last_the_state_after(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for k in range(len(tape)):
        first, last = moment(tape, k, 0), moment(tape, k, -1)
        assert contents(first.zone) == contents(first.before) == contents(tape.at(k).zone)
        assert contents(last.zone) == contents(tape.at(k + 1).zone)
        assert contents(last.before) == contents(tape.at(k).zone)
        assert last.acts == last.all == tuple(tape.acts(k))
        assert (len(first.acts), last.end) == (1, False)
    end = moment(tape, len(tape), 0)
    assert (end.end, end.acts, end.all) == (True, (), ())
    assert contents(end.zone) == contents(tape.at(len(tape)).zone)


def test_acts_are_counted_from_either_end():
    tape = text("alloc 3")
    assert moment(tape, 0, -1).acts == moment(tape, 0, 4).acts
    assert moment(tape, 0, -5).acts == moment(tape, 0, 0).acts


@pytest.mark.parametrize(("k", "act"), [(0, 5), (0, -6), (2, 0), (-1, 0)])
def test_a_moment_that_does_not_exist_is_an_error(k, act):
    with pytest.raises(ValueError, match="does not exist"):
        moment(text("alloc 3"), k, act)


def held_by_list(now, order, mt):
    return [entry.pfn for entry in shown_list(now, order, mt) if entry.mark != "gone"]


@pytest.mark.parametrize(("seed", "nr_pages", "start"), SMALL)
def test_a_list_as_shown_is_the_list_and_what_left_it(seed, nr_pages, start):
    for now in moments(random_run(seed, nr_pages, start)):
        changed = []
        for order in range(11):
            for mt in (UNMOVABLE, MOVABLE):
                assert held_by_list(now, order, mt) == now.zone.blocks(order, mt)
                entries = shown_list(now, order, mt)
                gone = {entry.pfn for entry in entries if entry.mark == "gone"}
                assert gone == set(now.before.blocks(order, mt)) - set(now.zone.blocks(order, mt))
                new = {entry.pfn for entry in entries if entry.mark in ("changed", "linked")}
                assert new == set(now.zone.blocks(order, mt)) - set(now.before.blocks(order, mt))
                changed += [entry.pfn for entry in entries if entry.mark == "changed"]
        linked_now = [act.pfn for act in now.acts[-1:] if type(act).__name__ == "Linked"]
        assert changed == linked_now, "only what this act linked is marked as changed"


def test_a_block_that_left_keeps_its_place():
    now = moment(some_free([0, 4, 8, 5]), 19, -1)
    assert shown_list(now, 0, MOVABLE) == [Entry(8), Entry(4, "gone"), Entry(0)]
    assert shown_list(now, 1, MOVABLE) == [Entry(4, "changed")]


def test_a_block_that_waits_is_shown_at_the_tail():
    now = moment(some_free([12, 13, 5, 9, 14]), 20, -1)
    assert shown_list(now, 0, MOVABLE) == [Entry(9), Entry(5), Entry(14, "changed")]


def test_the_lists_shown_are_those_of_the_request():
    assert list_type(moment(text("alloc 0 unmovable"), 0, 0)) == UNMOVABLE
    assert list_type(moment(text("alloc 0; free 0"), 1, 0)) == MOVABLE
    assert list_type(moment(text(), 0, 0)) == MOVABLE


@pytest.mark.parametrize("kind", KINDS)
def test_every_act_of_every_machine_can_be_shown(kind):
    tape = busy_run(11, kinds_of_machines()[kind], 50, ("drain", "compact", "isolate", "unisolate"))
    for k in range(len(tape)):
        acts = tape.acts(k)
        first, last = moment(tape, k, 0), moment(tape, k, -1)
        assert contents(first.zone) == contents(first.before) == contents(tape.at(k).zones[first.z])
        assert contents(last.zone) == contents(tape.at(k + 1).zones[last.z])
        for i in range(1, len(acts)):
            now = moment(tape, k, i)
            assert (now.acts, now.all, now.z) == (tuple(acts[: i + 1]), tuple(acts), last.z)
            assert [block.head for block in blocks_of(now.zone)][0] == now.zone.start_pfn
            if i == len(acts) - 1:
                assert now.here == now.all_here


@pytest.mark.parametrize("kind", ["small pcp", "pcp", "pcp 6.1", "watermarks"])
def test_a_per_cpu_list_as_shown_is_the_list_and_what_left_it(kind):
    for now in moments(busy_run(12, kinds_of_machines()[kind], 50)):
        held = {}
        for one in cpu_lists(now):
            held[one.cpu, one.pindex] = [entry.pfn for entry in one.entries if entry.mark != "gone"]
            changed = [entry.pfn for entry in one.entries if entry.mark == "changed"]
            mine = isinstance(now.act, Parked) and (now.act.cpu, now.act.pindex) == (one.cpu, one.pindex)
            assert changed == ([now.act.pfn] if mine else [])
        for cpu, pcp in enumerate(now.zone.pcp):
            for pindex, blocks in enumerate(pcp.lists):
                assert held.get((cpu, pindex), []) == list(blocks)


def test_a_block_that_moved_is_gone_in_one_list_and_new_in_the_other():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    acts = tape.acts(200)
    first = next(i for i, act in enumerate(acts) if isinstance(act, Moved))
    assert (acts[first].pfn, acts[first].order) == (200, 3)
    assert shown_list(moment(tape, 200, first), 3, MOVABLE) == [Entry(200, "gone")]
    assert shown_list(moment(tape, 200, first), 3, UNMOVABLE) == [Entry(200, "changed")]
    assert shown_list(moment(tape, 200, first + 1), 3, UNMOVABLE) == [Entry(200, "moved")]
    assert shown_list(moment(tape, 200, -1), 3, UNMOVABLE) == [Entry(200, "gone")], "it was split after that"


def test_the_zone_that_is_shown_is_the_one_that_was_used():
    tape = Tape(kinds_of_machines()["zones"]).then("alloc 0; alloc 0 dma; free @1; alloc 10 x8; alloc 10")
    names = [moment(tape, k, 0).zone.name for k in range(len(tape))]
    assert names[:3] == ["DMA32", "DMA", "DMA"]
    refused = [k for k in range(len(tape)) if tape.received[k] == REFUSED]
    assert refused
    largest = tape.at(0).zone.name
    assert {names[k] for k in refused} == {moment(tape, len(tape), 0).zone.name} == {largest}
    assert moment(tape, 0, -1, z=0).zone.name == "DMA"
    assert moment(tape, 0, -1, z=0).here == moment(tape, 0, -1, z=0).all[:1], "nothing happened there but the request"


def test_an_act_elsewhere_is_not_the_act_that_is_shown():
    tape = Tape(kinds_of_machines()["nodes"]).then("alloc 0; free @0; alloc 0 node 1 cpu 1; free @2 cpu 1; drain")
    acts = tape.acts(4)
    shown = {True: 0, False: 0}
    for i, act in enumerate(acts):
        now = moment(tape, 4, i)
        if isinstance(act, (Unparked, Linked)):
            here = now.machine.zone_of(act.pfn) == now.z
            assert now.act == (act if here else None)
            shown[here] += 1
    assert min(shown.values()) > 0


@pytest.mark.parametrize(
    ("requests", "types"),
    [
        ("alloc 0", (1,)),
        ("alloc 0; free 0", (1,)),
        ("alloc 0 unmovable", (1, 0)),
        ("alloc_exact 3 reclaimable", (1, 2)),
        ("alloc 0 reclaimable; alloc 0 unmovable; isolate 0", (1, 0, 2, 5)),
    ],
)
def test_the_types_of_a_run(requests, types):
    assert types_of(Tape(machine(512)).then(requests)) == types


def test_a_pageblock_that_the_start_of_a_zone_cuts_has_a_type_too():
    assert types_of(Tape(kinds_of_machines()["zones"])) == (1, 0)
    assert pageblocks(kinds_of_machines()["zones"].zones[0])[:2] == [1, 512]


@pytest.mark.parametrize(("nr_pages", "orders"), [(1, 1), (16, 5), (17, 5), (31, 5), (32, 6), (1024, 11), (5000, 11)])
def test_orders_of_a_zone(nr_pages, orders):
    zone = boot(nr_pages)
    assert orders_of(zone) == orders
    assert zone.largest_free_order() == orders - 1


@pytest.mark.parametrize(("seed", "nr_pages", "start"), SMALL)
def test_the_strip_is_the_run(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    run = strip(tape)
    assert run.steps.tolist() == list(range(len(tape) + 1))
    assert run.free.tolist() == [tape.at(k).zone.nr_free_pages() for k in run.steps]
    assert run.largest.tolist() == [tape.at(k).zone.largest_free_order() for k in run.steps]
    assert run.refused.tolist() == [k for k, got in enumerate(tape.received) if got == REFUSED]
    assert run.pages == nr_pages


def test_a_strip_of_nothing_is_its_start():
    run = strip(text())
    assert (run.steps.tolist(), run.free.tolist(), run.largest.tolist(), run.refused.tolist()) == ([0], [16], [4], [])
    assert strip(text("alloc 4")).largest.tolist() == [4, -1]


@pytest.mark.parametrize("length", [398, 399, 400, 401, 799, 800, 1000, 3999])
def test_a_long_run_is_shown_at_so_many_positions_at_most(length):
    tape = text(f"alloc 0 x{length}", 64)
    run = strip(tape)
    assert (run.steps[0], run.steps[-1]) == (0, length)
    assert np.all(np.diff(run.steps) > 0)
    assert run.free.tolist() == [max(0, 64 - k) for k in run.steps]
    assert run.refused.tolist() == list(range(64, length)), "none of the refused requests is left out"
    assert 200 <= len(run.steps) <= 400
