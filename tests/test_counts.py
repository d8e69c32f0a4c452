"""How many pages a refill and a drain of a per-CPU list move: short traces with exact and with other sizes."""

import numpy as np
import pytest
from tracing import line, locked, page

from pagelab.mm.kernels import KERNELS
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import MOVABLE, UNMOVABLE
from pagelab.real.ahead import Ahead
from pagelab.real.buddy import Zones
from pagelab.real.counts import CountReplay
from pagelab.real.learning import Learning
from pagelab.real.trace import read_events


def refill(*pfns, order=0, mt=MOVABLE, cpu=0, depth=3):
    return [line(cpu, locked(pfn, order, mt, refill=True), f"d..{depth}.") for pfn in pfns]


def alloc(pfn, order=0, mt=MOVABLE, cpu=0):
    return [line(cpu, f"mm_page_alloc: {page(pfn)} order={order} migratetype={mt} gfp_flags=GFP_KERNEL")]


def free(*pfns, order=0, cpu=0, flags="....."):
    return [line(cpu, f"mm_page_free: {page(pfn)} order={order}", flags) for pfn in pfns]


def drain(*pfns, order=0, cpu=0, pid=1):
    return [line(cpu, f"mm_page_pcpu_drain: {page(pfn)} order={order} migratetype={MOVABLE}", "d..3.", pid) for pfn in pfns]


def follow(*parts, kernel="6.1", count=0, high=8, high_max=0, batch=4, holder=None, watermark=0, nr_free=64):
    """Follow the lines with two CPUs, and return the replay."""
    zone, lines = Learning(64), [text for part in parts for text in part]
    zone.begin(np.arange(64) < nr_free, KERNELS[kernel].strict)
    lists = {(0, zone.name, cpu): PerCpuPages(batch, high, high_max) for cpu in (0, 1)}
    lists[0, zone.name, 0].count = count
    events = list(read_events(enumerate(lines, 1)))
    run = CountReplay(Zones([zone]), KERNELS[kernel], Ahead(events), lists, {(0, zone.name): watermark})
    for event in events:
        run.step(event, event.cpu if holder is None else holder)
    run.finish()
    return run


def pages(run):
    """Return how many pages each CPU's lists hold."""
    return [run.pages(run.zones.all[0], cpu) for cpu in (0, 1)]


def told(size):
    return size.exact, size.all, size.false


def test_a_refill_of_a_batch_is_exact_and_one_of_another_size_is_named():
    assert told(follow(refill(0, 1, 2, 3), alloc(0)).refills) == (1, 1, 0)
    for pfns, moved in (((0, 1, 2), 3), ((0, 1, 2, 3, 4), 5)):
        run = follow(alloc(9), refill(*pfns), alloc(0), count=1)
        assert (told(run.refills), run.refills.first) == ((0, 1, 0), f"line 2: 4 expected, {moved} moved")


def test_a_refill_ends_where_another_type_order_or_cpu_begins():
    run = follow(refill(0, 1, 2, 3), refill(4, 5, 6, 7, mt=UNMOVABLE), refill(8, 10, order=1), refill(12, 13, 14, 15, cpu=1))
    assert told(run.refills) == (4, 4, 0)
    assert pages(run) == [12, 4]


def test_a_zone_that_has_no_block_left_ends_a_refill_early():
    assert told(follow(refill(0, 1), nr_free=0).refills) == (1, 1, 0)
    assert told(follow(refill(0, 1), nr_free=1).refills) == (0, 1, 0)


def test_refills_of_6_12_double_while_nothing_is_freed():
    run = follow(refill(0, 1), alloc(0), alloc(1), refill(2, 3, 4, 5), alloc(2), kernel="6.12", batch=2, high=8, high_max=64)
    assert (told(run.refills), pages(run)) == ((2, 2, 0), [3, 0])
    again = follow(refill(0, 1), alloc(0), alloc(1), refill(2, 3), alloc(2), kernel="6.12", batch=2, high=8, high_max=64)
    assert (told(again.refills), again.refills.first) == ((1, 2, 0), "line 5: 4 expected, 2 moved")


def test_the_page_of_an_alloc_leaves_the_lists_of_its_cpu_unless_it_came_past_them():
    assert pages(follow(alloc(3), alloc(4, cpu=1), count=2)) == [1, 0]
    run = follow(refill(3, depth=1), alloc(3), alloc(16, order=4), count=2)
    assert (pages(run), told(run.refills)) == ([2, 0], (0, 0, 0))


def test_a_list_that_has_as_many_pages_as_it_may_drains_a_batch():
    run = follow(free(9), drain(0, 1, 2, 3), count=7)
    assert (told(run.drains), pages(run)) == ((1, 1, 0), [4, 0])
    run = follow(free(9), drain(0, 1, 2), count=7)
    assert (told(run.drains), run.drains.first) == ((0, 1, 0), "line 1: 4 expected, 3 moved")


def test_the_last_block_of_a_drain_may_overshoot_and_no_block_more():
    assert told(follow(free(9), drain(0), drain(4, order=2), count=7).drains) == (1, 1, 0)
    assert told(follow(free(9), drain(4, order=2), drain(0), count=7).drains) == (0, 1, 0)


def test_a_drain_that_was_to_come_and_did_not_is_false():
    assert told(follow(free(9), alloc(9), count=7).drains) == (0, 0, 1)


def test_a_drain_that_was_not_to_come_is_not_exact_and_one_of_another_task_is_none():
    run = follow(free(9), drain(0, 1), count=3)
    assert (told(run.drains), run.drains.first) == ((0, 1, 0), "line 2: 0 expected, 2 moved")
    run = follow(free(9), drain(0, 1, pid=2), count=3)
    assert (told(run.drains), pages(run)) == ((0, 0, 0), [2, 0])


def test_pages_drained_on_another_cpu_leave_the_lists_that_hold_them():
    assert pages(follow(drain(0, 1, cpu=1), count=5, holder=0)) == [3, 0]


def test_a_page_of_a_batch_counts_when_it_reaches_its_list_and_one_past_the_lists_never():
    batch = [line(0, f"mm_page_free_batched: {page(pfn)} order=0") for pfn in (8, 9)]
    assert pages(follow(free(8, 9), batch, free(16, order=4), free(3, flags=".Ns3."))) == [2, 0]
    # The second page that comes finds the lists full, none does when they are freed.
    assert told(follow(free(8, 9), batch, drain(0, 1, 2, 3), count=6).drains) == (1, 1, 0)


def test_a_zone_below_its_high_watermark_drains_at_the_next_free_on_6_12_alone():
    lines = (refill(0, 1, 2, 3), alloc(0), free(0), drain(3, 2, 1, 0))
    low = follow(*lines, kernel="6.12", count=4, high=5, high_max=64, watermark=100)
    assert (told(low.drains), pages(low)) == ((1, 1, 0), [4, 0])
    enough = follow(*lines, kernel="6.12", count=4, high=5, high_max=64, watermark=10)
    assert (told(enough.drains), enough.drains.first) == ((0, 1, 0), "line 7: 0 expected, 4 moved")


def test_a_drain_on_one_cpu_ends_before_another_cpu_frees():
    # The drain brings the zone above its high watermark, and its mark goes with the last page, not with the next line of that CPU.
    zone = Learning(64)
    zone.begin(np.zeros(64, bool), strict=True)
    lists = {(0, zone.name, cpu): PerCpuPages(4, 5, 64) for cpu in (0, 1)}
    lists[0, zone.name, 0].count, lists[0, zone.name, 1].count, lists[0, zone.name, 1].high = 4, 8, 20
    lines = [*refill(0, 1, 2, 3), *alloc(0), *free(0), *drain(3, 2, 1, 0), *free(9, cpu=1)]
    events = list(read_events(enumerate(lines, 1)))
    run = CountReplay(Zones([zone]), KERNELS["6.12"], Ahead(events), lists, {(0, zone.name): 10})
    for event in events:
        zone.free = 100 if event.kind == "drain" else zone.free
        run.step(event, event.cpu)
    run.finish()
    assert told(run.drains) == (1, 1, 0)


@pytest.mark.parametrize(("kernel", "factor"), [("6.1", "free_factor"), ("6.12", "free_count")])
def test_what_a_caller_gets_halves_a_factor_and_a_refill_for_pages_without_a_line_does_not(kernel, factor):
    def after(*lines):
        run = follow(free(8), drain(0, 1, 2, 3), free(9), free(10), *lines, kernel=kernel, count=19, high=20, high_max=64)
        return getattr(run.lists[0, "Normal", 0], factor)

    before = after()
    assert before > 0
    assert (after(refill(20, 21, 22, 23)), after(refill(20, 21, 22, 23), alloc(20))) == (before, before >> 1)
