"""What the prose of notebooks 04, 05, 07 and 08 says of a run, and the places that their buttons lead to, are what the model does."""

import pytest

from pagelab.lab.caption import captions
from pagelab.lab.exercise import objects_of_two_cpus
from pagelab.lab.question import KmallocGives, lists_of
from pagelab.lab.scenario import give_back, kfrees, on_kernel, one_zone, shuffled_frees, slab, some_free, text, two_zones
from pagelab.lab.slab_question import SlabRun, slabinfo_of
from pagelab.lab.slab_usage import usage
from pagelab.mm.act import Counted, Parked, Relabelled, Unparked
from pagelab.mm.free_pointer import cache_random, free_pointer
from pagelab.mm.slab_layout import slab_layout
from pagelab.mm.two_words import two_words
from pagelab.mm.zone import IN_USE, MOVABLE, UNMOVABLE
from pagelab.real.capture import example
from pagelab.real.slabinfo import line_of, parse_slabinfo, waste_of
from pagelab.view.slab_columns import shown_slab, slab_moment
from pagelab.view.slot_bytes import slot_of

HOLES = some_free([100, 700, 1300, 1900], 2048).then("alloc 0 unmovable x4")
FULL = text("alloc 0 x2048", 2048)
TWIN = give_back(FULL, keep=[100, 700, 1300, 1900]).then("compact; alloc 9")
TOGETHER = give_back(text("alloc 0 unmovable x4; alloc 0 x2044", 2048))
MANY_HOLES = shuffled_frees(seed=1, count=819, pages=2048)
OUT_AND_BACK = give_back(one_zone("alloc 0 x400"))
LOW = one_zone("alloc 10 x11; alloc 0 x1024")
TWELVE = slab("kmalloc 512 x12").then(kfrees(range(12)) + "; shrink kmalloc-512")
EIGHT = slab("kmalloc 512 x8; kfree @2; kfree @5; kmalloc 512 x2")
SHUFFLED = slab("kmalloc 512 x10; kfree @8; kmalloc 512", seed=1)
SIZES = slab("kmalloc 100 x3; kmalloc 193; kmalloc 8193")
ALL_FREED = slab("kmalloc 512 x24").then(kfrees(range(24)))
FIFTEEN = slab("kmalloc 512 x120").then(kfrees(range(120)))
TWENTY_AND_3 = slab("kmalloc 512 x24; kfree @20; kfree @3; kmalloc 512 x2")
REMOTE = slab("kmalloc 512 x4; kmalloc 512 cpu 1; kfree @1 cpu 1; kmalloc 512 cpu 1; kmalloc 512 x13", cpus=2)
TWO_CPUS = objects_of_two_cpus(seed=1).after()
SHEAVES = slab("kmalloc 512 x24", kernel="7.x").then(kfrees(range(24)))
SHEAF_20_AND_3 = slab("kmalloc 512 x24; kfree @20; kfree @3; kmalloc 512 x2", kernel="7.x")
SHEAF_REMOTE = slab("kmalloc 512 x4; kmalloc 512 cpu 1; kfree @1 cpu 1; kmalloc 512 cpu 1", cpus=2, kernel="7.x")
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
        (TWELVE, 0, 4, "ask: order 0"),
        (TWELVE, 0, 10, "split: 32 to list 5"),
        (TWELVE, 0, 17, "new slab at 0"),
        (TWELVE, 0, -1, "hand out object 0 of 0"),
        (TWELVE, 8, -1, "hand out object 0 of 1"),
        (TWELVE, 23, -1, "object 3 to cpu 0's freelist"),
        (TWELVE, 24, -1, "link 0 at the head of list 6"),
        (SIZES, 0, -1, "hand out object 0 of 0"),
        (SIZES, 3, -1, "hand out object 0 of 1"),
        (SIZES, 4, -1, "hand out 4"),
        (EIGHT, 8, -1, "object 2 to cpu 0's freelist"),
        (EIGHT, 9, -1, "object 5 to cpu 0's freelist"),
        (EIGHT, 10, -1, "hand out object 5 of 0"),
        (EIGHT, 11, -1, "hand out object 2 of 0"),
        (SHUFFLED, 0, 17, "new slab at 0"),
        (SHUFFLED, 8, 12, "new slab at 1"),
        (SHUFFLED, 10, -1, "object 0 to cpu 0's freelist"),
        (SHUFFLED, 11, -1, "hand out object 0 of 1"),
        (ALL_FREED, 24, -1, "0 to the head of a list"),
        (ALL_FREED, 31, -1, "object 7 to the slab at 0"),
        (FIFTEEN, 223, -1, "object 7 to the slab at 12"),
        (FIFTEEN, 224, 1, "object 0 to the slab at 13"),
        (TWENTY_AND_3, 24, -1, "object 4 to cpu 0's freelist"),
        (TWENTY_AND_3, 25, -1, "0 to the head of a list"),
        (TWENTY_AND_3, 26, -1, "hand out object 4 of 2"),
        (TWENTY_AND_3, 27, -1, "hand out object 3 of 0"),
        (REMOTE, 5, -1, "object 1 to the slab at 0"),
        (REMOTE, 6, -1, "hand out object 1 of 2"),
        (REMOTE, 7, -1, "hand out object 4 of 0"),
        (REMOTE, 19, -2, "take 1 object of 0"),
        (REMOTE, 19, -1, "hand out object 1 of 0"),
        (TWO_CPUS, 18, -1, "object 3 to cpu 0's freelist"),
        (TWO_CPUS, 19, -1, "hand out object 0 of 2"),
        (TWO_CPUS, 21, -1, "hand out object 3 of 0"),
        (SHEAVES, 23, -1, "hand out object 4 of 0"),
        (SHEAF_20_AND_3, 24, -1, "object 7 into the sheaf"),
        (SHEAF_20_AND_3, 25, -1, "object 0 into the sheaf"),
        (SHEAF_20_AND_3, 26, -1, "hand out object 0 of 3"),
        (SHEAF_20_AND_3, 27, -1, "hand out object 7 of 0"),
        (SHEAF_REMOTE, 5, -1, "object 10 into the sheaf"),
        (SHEAF_REMOTE, 6, -1, "hand out object 10 of 2"),
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


def live(tape, k, cache="kmalloc-512"):
    return tape.at(k).cache(cache).live()


def held(tape, k, cache="kmalloc-512"):
    """Where the slabs of a cache are: for each the first page, the place and the objects in use."""
    cache = tape.at(k).cache(cache)
    return [(state.pfn, state.place, state.live) for state in map(cache.slab, cache.numbers())]


def test_twelve_objects_take_two_pages_and_give_them_back():
    assert [caption.short.split()[0] for caption in captions(TWELVE.acts(0))[10:16]] == ["split:"] * 6
    assert (live(TWELVE, 24), len(held(TWELVE, 24))) == (0, 2)
    assert (end(TWELVE).zone.nr_free_pages(), end(TWELVE).zone.nr_free(6)) == (64, 1)
    words = [two_words(TWELVE.at(k), 0).allocator.holds for k in (0, 12, 25)]
    assert words == ["order 6, free", "pointer to the slab of kmalloc-512", "order 6, free"]
    fields = {field.name: (field.start, field.end) for k in (0, 12) for field in two_words(TWELVE.at(k), 0).today}
    assert (fields["buddy_list"], fields["slab_cache"], fields["slab_list"]) == ((8, 24), (8, 16), (16, 32))


def test_sizes_of_kmalloc_and_slabs_that_hold_them():
    used = usage(SIZES, 5)["kmalloc-128"]
    assert (used.asked, used.in_use) == (300, 384)
    machine = end(SIZES)
    in_use = [pfn for pfn in range(64) if machine.zone.block(pfn).kind == "in use"]
    assert in_use == [0, 1, 4, 5, 6, 7]
    assert {pfn: machine.owners[pfn][0].name for pfn in in_use if pfn in machine.owners} == {0: "kmalloc-128", 1: "kmalloc-256"}
    other = SIZES.at(1).cache("kmalloc-256")
    assert (other.slabs, machine.cache("kmalloc-256").layout.objects, held(SIZES, 5, "kmalloc-256")) == (0, 16, [(1, "cpu slab", 1)])
    gives = {size: KmallocGives(size).truth() for size in range(1, 8193)}
    assert (gives[1], max(gives, key=lambda size: 1 - size / gives[size])) == (8, 1)
    assert (max(gives, key=lambda size: gives[size] - size), gives[4097] - 4097) == (4097, 4095)
    driver = slab_layout(704, cpus=4)
    crossing = [obj for obj in range(driver.objects) if obj * 704 // 4096 != (obj * 704 + 703) // 4096]
    assert crossing == [5, 11, 17]


def test_the_bytes_of_two_free_objects():
    cache = EIGHT.at(10).cache("kmalloc-512")
    assert hex(free_pointer(cache, 0, 5)) == "0xffff888000000400"
    shown = {obj: [(p.field.start, p.field.end, p.held) for p in slot_of(cache, 0, obj).fields][1] for obj in (5, 2)}
    assert shown == {5: (256, 264, "00 04 00 00 80 88 ff ff"), 2: (256, 264, "00 x8")}
    hardened = slot_of(cache, 0, 5, cache_random(cache)).fields[1]
    assert hardened.held != shown[5][2]
    assert hardened.meaning.endswith("leads to 0xffff888000000400: object 2")


def test_a_shuffled_order_is_begun_elsewhere_in_the_next_slab():
    slabs = [shown_slab(slab_moment(SHUFFLED, k, act, "kmalloc-512"), pfn) for k, act, pfn in ((0, 17, 0), (8, 12, 1))]
    orders = [[slot.obj for slot in sorted(shown.slots, key=lambda slot: slot.place)] for shown in slabs]
    assert orders == [[4, 2, 1, 0, 5, 3, 7, 6], [0, 5, 3, 7, 6, 4, 2, 1]]
    assert SHUFFLED.at(11).cache("kmalloc-512").slab(1).cpu_freelist == (0, 3, 7, 6, 4, 2, 1)


def test_all_objects_freed_and_three_slabs_held():
    assert held(ALL_FREED, 24) == [(0, "on no list", 8), (1, "on no list", 8), (2, "cpu slab", 8)]
    assert held(ALL_FREED, 48) == [(0, "cpu partial", 0), (1, "cpu partial", 0), (2, "cpu slab", 0)]
    assert [slabinfo_of(ALL_FREED.at(k)) for k in (24, 48)] == [[24, 24], [24, 24]]


def test_the_fourteenth_slab_sends_thirteen_away():
    waiting = [(pfn, "cpu partial", 0) for pfn in range(13)]
    assert held(FIFTEEN, 224) == [*waiting, (13, "on no list", 8), (14, "cpu slab", 8)]
    node = [(pfn, "node partial", 0) for pfn in range(8, 13)]
    assert held(FIFTEEN, 225) == [*node, (13, "cpu partial", 7), (14, "cpu slab", 8)]
    assert [FIFTEEN.at(k).zone.nr_free_pages() for k in (224, 225, 240)] == [49, 57, 57]
    assert (FIFTEEN.at(225).zone.block(0).order, slabinfo_of(end(FIFTEEN)), live(FIFTEEN, 240)) == (3, [16, 56], 0)
    layout = end(FIFTEEN).cache("kmalloc-512").layout
    assert (layout.cpu_partial, layout.cpu_partial_slabs, layout.min_partial) == (52, 13, 5)


def test_the_empty_slab_goes_back_if_it_was_one_of_the_first_eight_to_wait():
    touched, held_then = [*range(8, 104, 8)], []
    for place in range(13):
        frees = [*touched[:place], *range(8), *touched[place:], 104]
        held_then.append(len(held(tape := FIFTEEN.fork(120).then(kfrees(frees)), len(tape))))
    assert held_then == [14] * 8 + [15] * 5


def test_a_remote_free_waits_in_the_slab_of_another_cpu():
    assert TWO_CPUS.text == "kmalloc 512 x16; kfree @12; kfree @15 cpu 1; kfree @3; kmalloc 512 cpu 1 x2; kmalloc 512"
    assert objects_of_two_cpus(seed=1).truth() == ["#19", "#20", "#3"]
    state = TWO_CPUS.at(19).cache("kmalloc-512").slab(0)
    assert (state.cpu_freelist, state.freelist) == ((3, 12), (15,))
    assert held(TWO_CPUS, 22) == [(0, "cpu slab", 14), (2, "cpu slab", 2)]


def test_one_object_in_each_of_eight_slabs():
    pinned = slab("kmalloc 512 x64", 128).then(kfrees(k for k in range(64) if k % 8))
    used = usage(pinned, len(pinned))["kmalloc-512"]
    assert (used.objects, used.asked, used.pages, used.free) == (8, 4096, 8, 28_672)


def test_sheaves_as_one_fork_has_them():
    cache = SHEAVES.at(1).cache("kmalloc-512")
    assert (cache.sheaves.capacity, cache.slabs, cache.live()) == (28, 4, 1)
    assert (slabinfo_of(end(SHEAVES)), live(SHEAVES, 48)) == ([28, 32], 0)
    assert (len(SHEAVES.at(24).cache("kmalloc-512").sheaves.cpu[0].main), ALL_FREED.at(1).cache("kmalloc-512").slabs) == (4, 1)
    assert list(SHEAVES.requests) == list(ALL_FREED.requests), "the two stand beside each other"
    sheaf = SHEAF_20_AND_3.at(26).cache("kmalloc-512").sheaves.cpu[0].main
    assert (len(sheaf), sheaf[-2:]) == (6, [0 * 8 + 7, 3 * 8 + 0]), "#20, and then #3: slab and object"
    assert SHEAF_REMOTE.received[6] == SHEAF_REMOTE.received[1]
    out = slab("kmalloc 512 x24", kernel="7.x")
    assert SlabRun(out, "kfree @20; kfree @3; kmalloc 512 x2", "objects").truth() == ["#3", "#20"]
    remote = slab("kmalloc 512 x4; kmalloc 512 cpu 1", cpus=2, kernel="7.x")
    assert SlabRun(remote, "kfree @1 cpu 1; kmalloc 512 cpu 1", "object").truth() == "#1"


def test_a_real_machine_s_slabinfo():
    rows = parse_slabinfo(example("612-slab-768M-1cpu").text("S0.slabinfo"))
    whole = waste_of(rows)
    assert (len(rows), whole.held, whole.free, whole.slack) == (179, 12_361_728, 201_552, 212_904)
    assert f"{(whole.free + whole.slack) / whole.held:.1%}" == "3.4%"
    task = line_of(rows, "task_struct")
    assert (task.active_objs, task.num_objs, task.num_slabs) == (62, 85, 17)
    assert (task.waste.held, task.waste.free, task.waste.free + task.waste.slack) == (557_056, 142_784, 172_160)
    inode = line_of(rows, "inode_cache")
    assert (inode.num_objs, inode.num_slabs, inode.waste.slack) == (5125, 205, 205 * 584)
    small = line_of(rows, "kmalloc-32")
    assert (small.active_objs, small.num_objs, small.waste.free, small.waste.slack) == (713, 1408, 22_240, 0)
    same = line_of(rows, "kmalloc-512")
    assert (same.active_objs, same.num_objs, same.num_slabs) == (296, 296, 37)
