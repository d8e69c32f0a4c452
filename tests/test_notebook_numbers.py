"""What the prose of notebooks 04 and 05 says of a run, and the places that their buttons lead to, are what the model does."""

import pytest

from pagelab.lab.caption import captions
from pagelab.lab.question import lists_of
from pagelab.lab.scenario import give_back, on_kernel, one_zone, shuffled_frees, some_free, text, two_zones
from pagelab.mm.act import Counted, Parked, Relabelled, Unparked
from pagelab.mm.zone import IN_USE, MOVABLE, UNMOVABLE

HOLES = some_free([100, 700, 1300, 1900], 2048).then("alloc 0 unmovable x4")
FULL = text("alloc 0 x2048", 2048)
TWIN = give_back(FULL, keep=[100, 700, 1300, 1900]).then("compact; alloc 9")
TOGETHER = give_back(text("alloc 0 unmovable x4; alloc 0 x2044", 2048))
MANY_HOLES = shuffled_frees(seed=1, count=819, pages=2048)
OUT_AND_BACK = give_back(one_zone("alloc 0 x400"))
LOW = one_zone("alloc 10 x11; alloc 0 x1024")
ZONES = two_zones("alloc 10 x59", pages="256 MiB", pcp=False).then("alloc 0 x4200")


def end(tape):
    return tape.at(len(tape))


def acts(tape, k, kind):
    return [act for act in tape.acts(k) if isinstance(act, kind)]


@pytest.mark.parametrize(
    ("tape", "k", "act", "short"),
    [
        (text("alloc 0 unmovable", 2048), 0, 4, "label 0 unmovable"),
        (text("alloc 0 unmovable", 2048), 0, 14, "split: 1 to list 0"),
        (HOLES, 2052, 4, "1 free + 0 alike < 256"),
        (HOLES, 2052, 6, "steal 1900 of order 0"),
        (text("alloc 0 x200; alloc 0 unmovable", 512), 200, 4, "312 free + 0 alike >= 256"),
        (text("alloc 0 x200; alloc 0 unmovable", 512), 200, 9, "label 0 unmovable"),
        (TWIN, 4092, 12, "move 100 to 1536"),
        (TWIN, 4092, 23, "link 0 at the head of list 9"),
        (one_zone("alloc 0"), 0, 14, "0 for cpu 0"),
        (one_zone("alloc 0"), 0, 15, "0 to cpu 0, tail"),
    ],
)
def test_a_button_leads_to_the_act_that_it_names(tape, k, act, short):
    assert captions(tape.acts(k))[act].short == short


def test_labels_come_back_where_movable_requests_claim():
    assert [(act.pfn, act.mt) for k in (1028, 1540) for act in acts(TOGETHER, k, Relabelled)] == [(512, MOVABLE), (0, MOVABLE)]
    assert {end(TOGETHER).zone.block_type(pfn) for pfn in range(0, 2048, 512)} == {MOVABLE}


def unmovable(zone):
    return [sum(state & 0xF0 == IN_USE | UNMOVABLE << 4 for _, state in zone.pageblock(pfn)) for pfn in range(0, 2048, 512)]


def test_one_workload_on_two_kernels():
    new = MANY_HOLES.then("alloc 0 unmovable x60")
    old = on_kernel(new, "6.1")
    assert [zone.census(pfn)[0] for zone in [end(MANY_HOLES).zone] for pfn in range(0, 2048, 512)] == [211, 199, 211, 198]
    assert (unmovable(end(old).zone), unmovable(end(new).zone)) == ([0, 0, 60, 0], [12, 14, 21, 13])
    assert acts(old, 2867, Counted)[0] == Counted(1024, 211, 301)
    for tape, largest in ((old, [1, 1]), (new, [0, 0])):
        zone = end(give_back(tape)).zone
        assert (zone.nr_free_pages(), zone.counts()[9:]) == (1988, largest)
    assert sum(end(give_back(new)).zone.counts()[8:]) == 0


def test_with_more_pages_back_both_kernels_claim():
    new = shuffled_frees(seed=1, count=1126, pages=2048).then("alloc 0 unmovable x60")
    for tape in (new, on_kernel(new, "6.1")):
        assert sorted(unmovable(end(tape).zone)) == [0, 0, 0, 60]
        assert [end(tape).zone.block_type(pfn) for pfn in range(0, 2048, 512)].count(UNMOVABLE) == 1


def test_compaction_moves_three_pages_and_leaves_the_fourth():
    compacted = TWIN.at(4093).zone
    assert [compacted.in_use(pfn) for pfn in (100, 700, 1300, 1536, 1537, 1538, 1900)] == [-1, -1, -1, 0, 0, 0, 0]
    assert (lists_of(compacted)["M10"], lists_of(compacted)["M9"], TWIN.received[4093]) == ([0], [1024], 1024)
    assert [caption.short.split()[0] for caption in captions(TWIN.acts(4092))[13:22]] == ["merge"] * 9


def test_refills_and_drains_on_two_kernels():
    old = on_kernel(OUT_AND_BACK, "6.1")
    assert [[tape.at(k).zone.pcp[0].count for k in (400, 800)] for tape in (old, OUT_AND_BACK)] == [[2, 213], [77, 477]]
    assert [len(acts(tape, 3, Parked)) for tape in (old, OUT_AND_BACK)] == [3, 6]
    drained = [(k, count) for k in range(400, 800) if (count := sum(act.tail for act in acts(old, k, Unparked)))]
    assert drained[:3] == [(673, 3), (676, 6), (682, 12)]
    assert sum(act.tail for k in range(400, 800) for act in acts(OUT_AND_BACK, k, Unparked)) == 0
    pcp = one_zone().at(0).zone.pcp[0]
    assert (pcp.batch, pcp.high_min, pcp.high_max, on_kernel(one_zone(), "6.1").at(0).zone.pcp[0].high) == (3, 276, 1536, 276)


def test_a_refusal_beside_pages_that_wait():
    assert (LOW.at(776).free, LOW.at(777).free, LOW.at(777).zone.pcp[0].count) == ([259], [163], 95)
    assert (len(acts(LOW, 776, Parked)), LOW.received[777], LOW.received[776] >= 0) == (96, -1, True)


TURNS = [(482, [3840, 601], 1), (483, [3840, 600], 0), (4046, [277, 600], 1), (4166, [277, 480], 0), (4173, [270, 480], -1)]


@pytest.mark.parametrize(("k", "free", "zone"), TURNS)
def test_two_zones_are_asked_in_turn(k, free, zone):
    assert ZONES.at(k).free == free
    assert (ZONES.received[k] >= 0) == (zone >= 0)
    if zone >= 0:
        assert ZONES.at(k).zone_of(ZONES.received[k]) == zone
