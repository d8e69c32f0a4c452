"""Which page a caller gets from the lists of its CPU: short traces, one for each rule."""

import numpy as np
import pytest
from test_counts import alloc, drain, free, refill
from tracing import extfrag, line, page

from pagelab.mm.kernels import KERNELS
from pagelab.mm.per_cpu_pages import PerCpuPages
from pagelab.mm.zone import MIGRATETYPES, MOVABLE, RECLAIMABLE, UNMOVABLE
from pagelab.real.ahead import Ahead
from pagelab.real.buddy import Zones
from pagelab.real.counts import CountReplay
from pagelab.real.learning import Learning
from pagelab.real.percpu import PerCpuReplay
from pagelab.real.trace import STRUCT_PAGE, VMEMMAP_BASE, read_events


def batched(*pfns):
    return [line(0, f"mm_page_free_batched: {page(pfn)} order=0") for pfn in pfns]


def typed(pfn, mt):
    """A claim that tells the type of a pageblock, by a page that no other line names."""
    return [line(3, extfrag(pfn, 4, mt, 9, (mt + 1) % 3, True), "d..1.")]


def follow(*parts, kernel="6.12", count=0, ahead=None):
    """Follow the lines in a zone of two pageblocks, and return the replay.

    count is of the pages on the lists of each CPU at the start; ahead the lines that are read before, where they are others.
    """
    zone, lines = Learning(1024), [text for part in parts for text in part]
    zone.begin(np.ones(1024, bool), KERNELS[kernel].strict)
    pcps = {(0, zone.name, cpu): PerCpuPages(4, 1000) for cpu in (0, 1)}
    for pcp in pcps.values():
        pcp.count = count
    events = list(read_events(enumerate(lines, 1)))
    zones, ahead = Zones([zone]), Ahead(read_events(enumerate(ahead or lines, 1)))
    run = PerCpuReplay(zones, KERNELS[kernel].strict, ahead, CountReplay(zones, KERNELS[kernel], ahead, pcps, {(0, zone.name): 0}))
    for event in events:
        run.step(event)
    return run


def told(run):
    return run.score.definite, run.score.wrong, run.score.learned


def test_a_refill_fills_at_the_tail_and_callers_get_the_head():
    run = follow(refill(5, 3, 9), alloc(5), alloc(3), alloc(9), count=7)
    assert (told(run), run.pages()) == ((3, 0, 0), 0)


def test_a_caller_that_gets_another_page_is_one_miss_and_named():
    run = follow(refill(5, 3, 9), alloc(9), drain(3), drain(5))
    assert run.score.first == "line 4, order 0, movable: CPU 0 has 0x5 at the head of its list, the caller got 0x9"
    assert told(run) == (1, 1, 0)


def test_the_page_freed_last_is_allocated_first():
    run = follow(refill(5, 3, 9), alloc(5), alloc(3), free(5), free(3), alloc(3), alloc(5), alloc(9))
    assert told(run) == (5, 0, 0)
    assert told(follow(refill(5, 3, 9), alloc(5), free(5), alloc(3), drain(5), drain(9))) == (2, 1, 0)


def test_each_cpu_has_lists_of_its_own():
    run = follow(refill(5, 3), alloc(5), refill(8, 9, cpu=1), alloc(8, cpu=1), free(5, cpu=1), alloc(3), alloc(5, cpu=1), alloc(9, cpu=1))
    assert (told(run), run.pages()) == ((5, 0, 0), 0)


def test_a_freed_page_goes_to_the_list_of_its_order_and_of_the_type_of_its_pageblock():
    # Page 600 was allocated as movable from the unmovable pageblock: it comes back to the unmovable list.
    sizes = follow(refill(8, 10, order=1), refill(5, 3), alloc(8, 1), alloc(5), free(8, order=1), alloc(3), alloc(8, 1))
    assert told(sizes) == (4, 0, 0)
    types = (refill(600, 602), refill(604, 605, mt=UNMOVABLE), alloc(600), alloc(604, 0, UNMOVABLE), typed(520, UNMOVABLE), free(600))
    assert told(follow(*types, alloc(602), alloc(600, 0, UNMOVABLE), alloc(605, 0, UNMOVABLE), kernel="6.1")) == (5, 0, 0)


def test_a_page_of_a_pageblock_that_per_cpu_lists_do_not_have_counts_as_movable():
    run = follow(refill(5, 3), alloc(5), typed(0, 3), free(5), alloc(5), alloc(3), kernel="6.1")
    assert told(run) == (3, 0, 0)


def test_a_page_of_a_batch_comes_to_its_list_with_the_rest_of_the_batch():
    run = follow(refill(5, 3, 9), alloc(5), alloc(3), free(5, 3), alloc(9), batched(5, 3), alloc(3), alloc(5))
    assert told(run) == (5, 0, 0)


def test_the_type_of_a_page_of_a_batch_is_read_at_its_free_on_6_1_and_when_it_comes_to_its_list_on_6_12():
    lines = (typed(0, MOVABLE), refill(5, 3), alloc(5), free(5), typed(0, RECLAIMABLE), batched(5))
    assert told(follow(*lines, alloc(5), alloc(3), kernel="6.1")) == (3, 0, 0)
    assert told(follow(*lines, alloc(3), alloc(5, 0, RECLAIMABLE))) == (3, 0, 0)


def test_a_drained_page_leaves_the_list_that_holds_it_whichever_cpu_drains():
    run = follow(refill(5, 3, 9), drain(9, cpu=1), drain(3, cpu=1), alloc(5))
    assert (told(run), run.pages()) == ((1, 0, 0), 0)


def test_a_page_past_the_lists_is_never_at_their_head():
    run = follow(
        refill(5, 3), alloc(5), free(5, flags=".Ns3."), refill(64, depth=1), alloc(64), alloc(128, 4), free(128, order=4), alloc(3)
    )
    assert (told(run), run.pages()) == ((2, 0, 0), 0)


def test_a_page_that_left_without_a_line_is_dropped_when_it_is_at_the_head():
    run = follow(refill(5, 3, 9), alloc(3), free(5))
    assert (told(run), run.score.first) == ((1, 0, 0), "")
    assert run.counts.pages(run.zones.all[0], 0) == 2, "pages 9 and 5: page 5 had left, and came back"


def test_a_free_of_unknown_type_makes_the_pick_learned_and_the_pick_tells_the_type():
    run = follow(refill(5, 3), alloc(5), free(5), alloc(5), free(3), kernel="6.1")
    assert told(run) == (1, 0, 1)
    run = follow(refill(5, 3, 9), alloc(5), alloc(3), free(5), free(3), alloc(3), alloc(5), alloc(9), kernel="6.1")
    # Pages 5 and 3 are of one pageblock: what one pick shows, the next one knows.
    assert told(run) == (4, 0, 1)


def test_what_stood_on_the_lists_at_the_start_is_learned_and_a_refill_ends_that():
    run = follow(alloc(5), alloc(3), refill(8, 9), alloc(8), alloc(9), count=2)
    assert told(run) == (2, 0, 2)
    assert told(follow(alloc(5))) == (1, 1, 0)


# What random machines that trace themselves have shown.


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_a_pageblock_of_which_compaction_takes_half_is_movable_from_there_on(kernel):
    def after(order):
        where = VMEMMAP_BASE + STRUCT_PAGE * 256
        isolated = [line(0, f"iso: (__isolate_free_page+0x4/0x200) page={where:#x} order={order}", "d..1.")]
        lines = (refill(5, 3), alloc(5), typed(0, UNMOVABLE), isolated, free(5))
        then = (alloc(5), alloc(3)) if order == 8 else (alloc(3), alloc(5, mt=UNMOVABLE))
        return told(follow(*lines, *then, kernel=kernel))

    assert (after(8), after(7)) == ((3, 0, 0), (3, 0, 0))


def claim(pfn, mt, theirs, cpu=0):
    """A refill that claims a pageblock on 6.12: the take, and then the line that says so."""
    return [*refill(pfn, mt=mt, cpu=cpu), line(cpu, extfrag(pfn, 0, mt, 8, theirs, True), "d..3.")]


def test_a_claim_says_nothing_of_pages_that_came_before_it():
    # Page 5 came back while its pageblock was unmovable, which nothing had shown: it is on that list, whatever the pageblock is now.
    run = follow(free(5), claim(64, RECLAIMABLE, UNMOVABLE), alloc(64, mt=RECLAIMABLE), alloc(5, mt=UNMOVABLE))
    assert told(run) == (1, 0, 1)


def test_a_take_that_names_the_type_of_its_pageblock_settles_where_earlier_pages_are():
    run = follow(free(5), refill(64, mt=UNMOVABLE, cpu=1), alloc(64, mt=UNMOVABLE, cpu=1), alloc(5, mt=UNMOVABLE))
    assert told(run) == (2, 0, 0)


def test_what_a_cpu_took_before_another_cpu_claimed_is_no_news_when_its_next_line_comes():
    lines = (refill(64, mt=UNMOVABLE, cpu=1), claim(128, RECLAIMABLE, UNMOVABLE), alloc(64, mt=UNMOVABLE, cpu=1))
    run = follow(*lines, alloc(128, mt=RECLAIMABLE), free(128), alloc(128, mt=RECLAIMABLE))
    assert told(run) == (3, 0, 0)


def test_the_list_of_order_9_for_other_pages_does_not_tell_which_type_they_are():
    # Page 0 comes back with order 9 and is not on the movable list: so it is on the other one, unmovable or reclaimable.
    out = [line(0, f"mm_page_pcpu_drain: {page(0)} order=9 migratetype={RECLAIMABLE}", "d..3.")]
    lines = (free(0, order=9), refill(512, order=9), alloc(512, 9), out, refill(0, 1, mt=RECLAIMABLE), alloc(0, mt=RECLAIMABLE), free(0))
    assert told(follow(*lines, alloc(0, mt=RECLAIMABLE), alloc(1, mt=RECLAIMABLE), kernel="6.1")) == (3, 0, 1)
    # Nor does it tell when the caller's request was unmovable.
    lines = (free(0, order=9), alloc(0, 9, UNMOVABLE), free(0, order=9), out, refill(0, 1, mt=RECLAIMABLE), alloc(0, mt=RECLAIMABLE))
    assert told(follow(*lines, free(0), alloc(0, mt=RECLAIMABLE), alloc(1, mt=RECLAIMABLE), kernel="6.1"))[1] == 0


@pytest.mark.parametrize(
    ("mt", "cpu", "definite", "named"),
    [(MOVABLE, 0, 1, "CPU 0 has 0x3 at the head"), (UNMOVABLE, 0, 1, "CPU 0 has no page"), (MOVABLE, 1, 0, ""), (UNMOVABLE, 1, 0, "")],
)
def test_a_prediction_hangs_on_no_pfn_of_its_own_line(mt, cpu, definite, named):
    # The same state, the same line but for its pfn: one page is predicted, and whether it is sure is decided before the pfn is read.
    begin, end = [*refill(5, 3, 9), *alloc(5), *free(40, cpu=1)], drain(9, 40)
    as_it_was = [*begin, *alloc(3), *end]
    for pfn in (5, 3, 9, 40, 41, 900):
        run = follow(begin, alloc(pfn, mt=mt, cpu=cpu), end, kernel="6.1", ahead=as_it_was)
        assert (run.score.definite - 1, run.score.learned) == (definite, 1 - definite)
        expected = f"line 6, order 0, {MIGRATETYPES[mt]}: {named} of its list, the caller got {pfn:#x}"
        right = not definite or (mt, pfn) == (MOVABLE, 3)
        assert run.score.first == ("" if right else expected)


def test_a_take_of_a_page_in_no_zone_says_nothing():
    run = follow(refill(5, 3), refill(1 << 20), alloc(5), alloc(3))
    assert told(run) == (2, 0, 0)


def test_a_page_that_may_be_on_several_lists_has_not_left_because_one_of_them_was_empty():
    # Page 40 waits on the list of a type that nothing shows, to the end of the trace. A refill shows that it is not the reclaimable one.
    run = follow(free(40), refill(3, mt=RECLAIMABLE), alloc(3, mt=RECLAIMABLE), kernel="6.1")
    assert (told(run), run.counts.pages(run.zones.all[0], 0)) == ((1, 0, 0), 1)
    # Once no list is left where it could be, it has left.
    run = follow(free(40), *(refill(at, mt=mt) for mt, at in enumerate((3, 5, 9))), kernel="6.1")
    assert run.counts.pages(run.zones.all[0], 0) == 3
