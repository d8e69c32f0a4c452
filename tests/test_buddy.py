"""Short traces through the rules of the free lists: what is learned, what is then definite, and what is wrong."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle
from tracing import extfrag, line, locked, page
from zones import lists

from pagelab.mm.kernels import KERNELS
from pagelab.mm.zone import MOVABLE, UNMOVABLE
from pagelab.real.buddy import BuddyReplay, Zones, carve
from pagelab.real.learning import UNKNOWN, Learning
from pagelab.real.trace import read_events


def zone_of(free, pages=16):
    """Return a zone with the pages of a range free."""
    zone, mask = Learning(pages), np.zeros(pages, bool)
    mask[list(free)] = True
    zone.begin(mask, strict=True)
    return zone


def take(pfn, order=0, mt=MOVABLE):
    return line(0, locked(pfn, order, mt, refill=True), "d..3.")


def drain(pfn, order=0, mt=MOVABLE):
    return line(0, f"mm_page_pcpu_drain: {page(pfn)} order={order} migratetype={mt}", "d..3.")


def free(pfn, order=0, flags="....."):
    return line(0, f"mm_page_free: {page(pfn)} order={order}", flags)


def follow(zone, *lines, kernel="6.12"):
    """Follow the lines, and return the replay; the zone has to be sound after each."""
    run = BuddyReplay(Zones([zone]), KERNELS[kernel])
    for event in read_events(enumerate(lines, 1)):
        run.step(event)
        zone.validate()
    return run


def told(score):
    return score.definite, score.wrong, score.learned


def test_the_first_take_from_an_unknown_list_is_learned_and_the_next_ones_are_definite():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(1), take(2, 1), take(4))
    assert told(run.score) == (3, 0, 1)
    assert lists(zone) == {"M0": [5], "M1": [6], "M3": [8]}
    assert zone.type_of(0) == MOVABLE


def test_a_wrong_take_is_one_miss_and_named_and_the_zone_follows_the_kernel():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(8), take(9), take(1), take(10, 1))
    assert run.score.first == "line 2, order 0, movable: the rules give 0x1, the kernel took 0x8"
    # What line 2 split stands ahead of page 1, as it does in the kernel: so no other line is wrong.
    assert told(run.score) == (4, 1, 1)
    assert lists(zone) == {"M1": [2], "M2": [12, 4]}


def test_a_take_where_nothing_is_free_says_that_the_rules_have_no_page():
    run = follow(zone_of([]), take(3))
    assert run.score.first == "line 1, order 0, movable: the rules have no page, the kernel took 0x3"


def test_a_drained_page_is_the_head_of_its_list_and_merges_when_its_buddy_comes():
    zone = zone_of([])
    run = follow(zone, drain(4), drain(8), take(8), drain(4 + 1), take(4, 1))
    assert told(run.score) == (2, 0, 0)
    assert lists(zone) == {}


def test_a_drained_page_goes_to_the_list_of_the_type_that_its_line_names():
    zone = zone_of([])
    run = follow(zone, drain(4, 0, UNMOVABLE), drain(8, 1, UNMOVABLE), take(4, 0, UNMOVABLE))
    assert (told(run.score), lists(zone), zone.type_of(0)) == ((1, 0, 0), {"U1": [8]}, UNMOVABLE)


def test_a_block_that_cannot_start_where_it_is_freed_is_a_miss_and_changes_nothing():
    zone = zone_of([1])
    run = follow(zone, drain(2, 2), drain(12, 3))
    assert run.score.wrong == 2
    assert run.score.first == "line 1: no block of order 2 can start at 0x2"
    assert lists(zone) == {"I0": [1]}


def test_a_free_waits_for_its_drain_unless_it_goes_past_the_per_cpu_lists():
    zone = zone_of([], pages=64)
    follow(zone, free(3), free(32, 3))
    assert zone.free == 0
    follow(zone, free(16, 4), free(1, 0, ".Ns3."), free(8, 0, ".Ns2."))
    assert np.flatnonzero(zone.free_pages()).tolist() == [1, *range(16, 32)]
    # The type of their pageblock is not known, so they may stand at the head of any list.
    assert (zone.blocks(4, UNKNOWN), zone.loose) == ([16], {1, 16})


def test_a_lone_fallback_line_is_a_take_on_6_12_and_a_second_line_of_one_take_otherwise():
    zone = zone_of(range(16))
    run = follow(zone, line(0, extfrag(0, 0, UNMOVABLE, 4, MOVABLE, False), "d..3."), take(1), take(2, 1))
    assert (told(run.fallbacks), told(run.score)) == ((0, 0, 1), (2, 0, 0))
    zone = zone_of(range(16))
    run = follow(zone, take(0, 0, UNMOVABLE), line(0, extfrag(0, 0, UNMOVABLE, 4, MOVABLE, True), "d..3."))
    assert (told(run.fallbacks), told(run.score)) == ((0, 0, 0), (0, 0, 1))
    assert lists(zone) == {"U0": [1], "U1": [2], "U2": [4], "U3": [8]}


def test_carving_leaves_all_else_free_on_the_lists_that_it_names():
    zone = zone_of(range(1024), pages=1024)
    assert carve(zone, 700, 2, UNMOVABLE, claim=True)
    zone.take(700, 2, UNMOVABLE)
    zone.validate()
    assert (zone.free, zone.type_of(0), zone.type_of(700)) == (1020, UNMOVABLE, UNMOVABLE)
    assert all(name.startswith("U") for name in lists(zone))
    assert not carve(zone, 700, 2, UNMOVABLE)


def test_what_is_remembered_goes_on_over_a_restored_zone():
    zone = zone_of(range(16))
    run = follow(zone, take(0), take(8))
    copy = zone.blank()
    copy.restore(zone.snapshot())
    other = run.over(Zones([copy]))
    assert other.kept() == run.kept()
    for event in read_events([(3, take(9)), (4, take(1))]):
        run.step(event)
        other.step(event)
    assert (told(other.score), other.zones.of(9) is copy, other.zones.of(16)) == ((2, 0, 0), True, None)
    assert lists(copy) == lists(zone)


# What random machines that trace themselves have shown.


def test_a_take_of_two_pageblocks_tells_the_type_of_both():
    # Freed whole, the block comes back to one list: were the second pageblock still taken for movable, it would come back as two.
    zone = zone_of(range(2048), pages=2048)
    run = follow(zone, take(0, 10, UNMOVABLE), free(0, 10), take(0, 10, UNMOVABLE))
    assert (told(run.score), zone.type_of(512)) == ((1, 0, 1), UNMOVABLE)
    follow(zone, free(0, 10))
    assert lists(zone) == {"U10": [0], "I10": [1024]}


def test_after_a_theft_6_12_goes_on_stealing_however_much_of_the_pageblock_is_free():
    # rmqueue_bulk keeps RMQUEUE_STEAL: the second page is not asked for its pageblock, which is half free and would be claimed.
    zone = zone_of(range(256, 512), pages=512)
    steal = [line(0, extfrag(pfn, 0, UNMOVABLE, 8, MOVABLE, False), "d..3.") for pfn in (256, 257)]
    run = follow(zone, *steal)
    assert run.fallbacks.wrong == 0
    assert zone.type_of(256) == MOVABLE
    assert {name[0] for name in lists(zone)} == {"M"}


def cut(start, *blocks):
    """Return a zone of 6.1 with free blocks, each as (pfn, order), whose first and last pageblocks are cut by its edges."""
    zone = Learning(700, start)
    mask = np.zeros(700, bool)
    for pfn, order in blocks:
        mask[pfn - start : pfn - start + (1 << order)] = True
    zone.begin(mask, strict=False)
    return zone


def fallback_6_1(pfn, order, wanted):
    return line(0, extfrag(pfn, wanted, UNMOVABLE, order, MOVABLE, False), "d..1."), line(0, locked(pfn, wanted, UNMOVABLE, refill=False))


def test_6_1_moves_one_block_alone_out_of_a_pageblock_cut_by_the_end_of_the_zone():
    zone = cut(0, (512, 6), (640, 2))
    run = follow(zone, *fallback_6_1(512, 6, 5), kernel="6.1")
    assert told(run.score) == (0, 0, 1)
    assert lists(zone) == {"U5": [544], "I2": [640]}


def test_6_1_moves_from_the_block_on_in_a_pageblock_cut_by_the_start_of_the_zone():
    zone = cut(640, (704, 4), (768, 6), (896, 2), (1024, 3))
    run = follow(zone, *fallback_6_1(768, 6, 5), kernel="6.1")
    assert told(run.score) == (0, 0, 1)
    assert lists(zone) == {"I4": [704], "U5": [800], "U2": [896], "I3": [1024]}


# A trace with one pfn changed, beside a second allocator that knows nothing of this one.


def history(source, length):
    """Return what an allocator does with blocks of the orders 4 to 8, which pass the per-CPU lists: (verb, pfn, order) each."""
    oracle, done = Oracle(0, 1024), []
    for _ in range(length):
        if oracle.used and source.random() < 0.45:
            pfn = source.choice(sorted(oracle.used))
            done.append(("free", pfn, oracle.used[pfn]))
            oracle.give_back(pfn)
        else:
            order = source.choice([4, 4, 4, 5, 6, 8])
            pfn = oracle.alloc(order)
            done += [] if pfn is None else [("take", pfn, order)]
    return done


def cut_out(oracle, pfn, order):
    """Take a block out of the free block that holds it, if one does; all else of that goes to the heads of the lists."""
    head = next((pfn - pfn % 2**o for o in range(order, 11) if oracle.free.get(pfn - pfn % 2**o) == o), None)
    if head is None:
        return
    high = oracle.free.pop(head)
    oracle.lists[high].remove(head)
    while high > order:
        high -= 1
        lower, upper = head, head + 2**high
        head, other = (upper, lower) if pfn >= upper else (lower, upper)
        oracle.lists[high].insert(0, other)
        oracle.free[other] = high


def wrong_by_the_oracle(done):
    """Follow a history as it stands, and return the takes that name another page than the lists give."""
    oracle, wrong = Oracle(0, 1024), []
    for number, (verb, pfn, order) in enumerate(done):
        if verb == "take":
            given = next((blocks[0] for blocks in oracle.lists[order:] if blocks), None)
            wrong += [number] if given != pfn else []
            cut_out(oracle, pfn, order)
        else:
            cut_out(oracle, pfn, order)
            oracle.used[pfn] = order
            oracle.give_back(pfn)
    return wrong


def wrong_by_the_replay(done):
    zone, wrong = zone_of(range(1024), pages=1024), []
    zone.learn_type(0, MOVABLE)
    zone.learn_type(512, MOVABLE)
    run = BuddyReplay(Zones([zone]), KERNELS["6.12"])
    for number, (verb, pfn, order) in enumerate(done):
        text = free(pfn, order) if verb == "free" else line(0, locked(pfn, order, MOVABLE, refill=False), "d..1.")
        before = run.score.wrong
        for event in read_events([(number, text)]):
            run.step(event)
        wrong += [number] * (run.score.wrong - before)
    assert run.score.learned == 0, "the one block of the start is the head of its list"
    return wrong


@given(seed=st.integers(0, 10_000), which=st.floats(0, 0.999), to=st.integers(0, 63))
def test_one_pfn_changed_makes_wrong_what_it_touches_and_nothing_else(seed, which, to):
    # What a change touches follows from the lists that the changed trace describes: the take itself; until its page comes back, each take
    # for which that page, which nobody took, is the head of the list; and where another free page was named, each take for which the rules
    # would have given that page or what its block splits into.
    done = history(random.Random(seed), 60)
    takes = [number for number, (verb, *_) in enumerate(done) if verb == "take"]
    number = takes[int(which * len(takes))]
    verb, pfn, order = done[number]
    named = to * 16 & -(1 << order)
    changed = [*done[:number], (verb, named, order), *done[number + 1 :]]
    changed = until_it_contradicts_itself(changed)
    wrong = wrong_by_the_replay(changed)
    assert wrong == wrong_by_the_oracle(changed)
    assert wrong[:1] == ([number] if named != pfn and number < len(changed) else [])
    assert wrong_by_the_replay(done) == []


def until_it_contradicts_itself(done):
    """Return a history up to the line that takes or frees a block of which only a part is free."""
    free_pages = set(range(1024))
    for number, (verb, pfn, order) in enumerate(done):
        pages = set(range(pfn, pfn + (1 << order)))
        if pages & free_pages and not pages <= free_pages:
            return done[:number]
        free_pages = free_pages | pages if verb == "free" else free_pages - pages
    return done
