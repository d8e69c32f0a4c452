"""The allocator of a whole machine: which zone serves, from which list, and what is counted."""

import pytest
from zones import contents, lists

from pagelab.lab.stand_in import LifoOnly
from pagelab.mm.act import Checked, Linked, Looked, Parked, Refused, Taken, Unlinked, Unparked
from pagelab.mm.allocator import REFUSED, Allocator
from pagelab.mm.boot import boot_machine
from pagelab.mm.call import alloc_request, exact_request, free_received, other_request
from pagelab.mm.gfp import GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, ZONE_NORMAL, Gfp
from pagelab.mm.machine import COMPACTED, NOTHING, Machine, machine
from pagelab.mm.page_alloc import boot, hand_over
from pagelab.mm.watermark import Marks
from pagelab.mm.zone import HIGHATOMIC, MOVABLE, UNMOVABLE, Zone

KERNELS = ("6.1", "6.12")


def run(on, text):
    """Do requests; return what they received."""
    received = []
    for request in text:
        received.append(on.apply(request, received))
    return received


def zone(pages, start, name, node=0):
    made = Zone(pages, start, name, node)
    hand_over(made, [(start, start + pages)])
    return made


def small(**options):
    """Return a machine of 48 MiB with one zone, as notebook 05 has it."""
    return machine("48 MiB", pcp=True, min_free_kbytes=886, **options)


def test_you_asked_for_one_page_and_three_left_the_zone():
    on = small()
    assert on.alloc_pages(0) == 0
    assert on.free == [12_285]
    assert on.zone.nr_free_pages() == 12_285
    on.free_pages(0, 0)
    assert on.alloc_pages(0) == 0
    assert on.marks == [(221, 276, 331, 386)]


def test_each_cpu_takes_from_its_own_list():
    on = small(cpus=2)
    assert run(on, [alloc_request(0, cpu=cpu) for cpu in (0, 1, 0, 1, 0)]) == [0, 3, 1, 4, 2]


@pytest.mark.parametrize(("kernel", "on_list"), [("6.12", 9), ("6.1", 6)])
def test_refills_grow_on_6_12(kernel, on_list):
    on = small(kernel=kernel)
    run(on, [alloc_request(0)] * 4 + [free_received(k) for k in range(4)])
    assert on.zone.pcp[0].count == on_list
    assert on.free == [12_288 - on_list]
    run(on, [other_request("drain")])
    assert lists(on.zone) == {"M10": list(on.zone.blocks(10, MOVABLE))}
    assert len(on.zone.blocks(10, MOVABLE)) == 12
    assert on.free == [12_288]


def test_large_blocks_go_past_the_per_cpu_lists():
    on = small()
    assert run(on, [alloc_request(4), alloc_request(10), free_received(0)]) == [0, 1024, NOTHING]
    assert on.zone.pcp[0].count == 0
    assert on.free == [11_264]


def test_a_drain_can_be_of_one_cpu():
    on = small(cpus=2)
    run(on, [alloc_request(0, cpu=0), alloc_request(0, cpu=1), other_request("drain", 2)])
    assert [pcp.count for pcp in on.zone.pcp] == [2, 0]
    assert on.free == [12_288 - 4]


def two_zones(kernel="6.12", pcp=False):
    """Return a machine with 3,840 pages of zone DMA below 61,440 of zone DMA32: DMA keeps min 30, and 240 from normal requests."""
    return boot_machine([(256, 65_536)], kernel=kernel, pcp=pcp)


def fill_zone(on, z, free):
    """Allocate pages of one zone, past all watermarks, until so many are free."""
    while on.free[z] > free:
        order = min(10, (on.free[z] - free).bit_length() - 1)
        assert on.rmqueue_buddy(on.zones[z], order, UNMOVABLE) >= 0
        on._count()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("free", "served"), [(270, False), (271, True)])
def test_270_free_pages_of_zone_dma_are_not_enough_for_a_normal_request(kernel, free, served):
    on = two_zones(kernel)
    assert (on.marks[0].min, on.reserve[0][ZONE_NORMAL]) == (30, 240)
    fill_zone(on, 1, 0)
    fill_zone(on, 0, free)
    pfn = on.alloc_pages(0)
    assert (pfn is not None) == served
    assert on.alloc_pages(0, GFP_KERNEL | Gfp.DMA) is not None, "a request for DMA is kept out of nothing"
    on.validate()


def test_a_request_falls_to_the_lower_zone_at_the_low_mark_and_to_the_min_mark_last():
    on = two_zones()
    low = on.marks[1].low
    fill_zone(on, 1, low + 1)
    assert on.zone_of(on.alloc_pages(0)) == 1
    assert on.free[1] == low
    assert on.zone_of(on.alloc_pages(0)) == 0, "zone DMA32 is at its low mark, zone DMA above its own"
    fill_zone(on, 0, 240 + on.marks[0].low)
    assert on.zone_of(on.alloc_pages(0)) == 1, "second round: above the min mark"
    assert on.free[1] == low - 1


def test_what_is_tried_is_told():
    on = two_zones()
    fill_zone(on, 1, on.marks[1].min)
    fill_zone(on, 0, 270)
    acts = on.acts(alloc_request(0), [])
    assert acts[1:] == [
        *(Checked(1, 480, 600, 0, False), Checked(0, 270, 37, 240, False)),
        *(Checked(1, 480, 480, 0, False), Checked(0, 270, 30, 240, False)),
        Refused(0, MOVABLE),
    ]


def test_a_refill_is_told_page_by_page():
    on = small()
    acts = on.acts(alloc_request(0), [])
    kinds = [type(act) for act in acts[1:]]
    assert kinds[:4] == [Checked, Looked, Unlinked, Linked]
    assert [act for act in acts if isinstance(act, Parked)] == [Parked(pfn, 0, 0, 1, True) for pfn in range(3)]
    assert acts[-2:] == [Unparked(0, 0, 0, 1, False), Taken(0, 0, MOVABLE)]
    assert acts[1] == Checked(0, 12_288, 276, 0, True)


def test_an_atomic_request_may_go_below_the_min_mark():
    on = two_zones()
    fill_zone(on, 0, 0)
    fill_zone(on, 1, 480)
    assert on.alloc_pages(0) is None
    assert on.alloc_pages(0, GFP_ATOMIC) is not None
    fill_zone(on, 1, 180)
    assert on.alloc_pages(0, GFP_ATOMIC) is None, "480 less a half less a quarter is 180"


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_atomic_request_of_high_order_reserves_its_pageblock(kernel):
    on = boot_machine([(256, 65_536)], kernel=kernel)
    fill_zone(on, 0, 0)
    fill_zone(on, 1, 500)
    assert on.alloc_pages(3, GFP_ATOMIC) is not None
    assert on.zones[1].pageblock_type.count(HIGHATOMIC) == 1
    assert on.kernel.kept(on.zones[1]) == {"6.1": 512, "6.12": 484}[kernel]
    on.validate()
    assert on.alloc_pages(0) is None, "the pages kept are not free to others"
    assert on.alloc_pages(3, GFP_ATOMIC) is not None
    on.validate()


def test_6_12_serves_an_atomic_request_from_what_is_kept_before_it_fails():
    received = {}
    for kernel in KERNELS:
        on = machine(51_200, kernel=kernel, min_free_kbytes=4000)
        fill_zone(on, 0, 600)
        first = on.alloc_pages(1, GFP_ATOMIC)
        assert on.zone.block_type(first) == HIGHATOMIC
        while on.rmqueue_buddy(on.zone, 0, UNMOVABLE) >= 0:
            pass
        on._count()
        on.marks = [Marks(0, 0, 0, 0)]
        on._plans.clear()
        received[kernel] = on.alloc_pages(0, GFP_ATOMIC)
    assert received["6.1"] is None
    assert received["6.12"] is not None


def test_a_zone_remembers_that_it_fell_to_its_high_mark():
    on = small()
    fill_zone(on, 0, 332)
    run(on, [alloc_request(4)])
    assert on.below_high == [True]
    assert machine("48 MiB", kernel="6.1", pcp=True, min_free_kbytes=886).below_high == [False]


def test_a_free_drains_more_of_a_zone_that_fell_to_its_high_mark():
    on = small()
    pages = run(on, [alloc_request(0)] * 600)
    for pfn in pages[:-1]:
        on.free_pages(pfn, 0)
    assert on.zone.pcp[0].count > 276
    fill_zone(on, 0, 332)
    block = on.apply(alloc_request(4), [])
    assert on.below_high == [True]
    on.free_pages(pages[-1], 0)
    assert on.free[0] > on.marks[0].high, "without that the lists could grow up to 1,536 pages"
    assert on.below_high == [False]
    on.free_pages(block, 4)
    on.validate()


def test_6_1_does_not_look_at_the_high_mark():
    on = small(kernel="6.1")
    fill_zone(on, 0, 300)
    on.alloc_pages(0)
    assert on.below_high == [False]


def test_types_are_mixed_only_when_no_zone_can_serve_otherwise():
    zones = [zone(2048, 4096, "DMA32"), zone(512, 1 << 20, "Normal")]
    on = Machine(zones)
    assert zones[1].block_type(1 << 20) == MOVABLE
    got = run(on, [alloc_request(8), alloc_request(0, UNMOVABLE)])
    assert on.zone_of(got[1]) == 0, "zone Normal would have to steal, zone DMA32 can give a whole pageblock"
    assert zones[1].block_type(1 << 20) == MOVABLE
    alone = Machine([zone(512, 1 << 20, "Normal")])
    got = run(alone, [alloc_request(8), alloc_request(0, UNMOVABLE)])
    assert got[1] > 0, "the second round may mix types"


def test_another_node_is_tried_only_after_types_may_be_mixed():
    def zones():
        return [zone(512, 1024, "DMA32"), zone(512, 2048, "Normal"), zone(2048, 4096, "Normal", node=1)]

    on = Machine(zones())
    run(on, [alloc_request(8), alloc_request(9)])
    assert on.zone_of(on.apply(alloc_request(0, UNMOVABLE), [])) == 1
    assert on.zone_of(on.apply(alloc_request(0, UNMOVABLE, node=1), [])) == 2


def test_movable_user_memory_goes_to_zone_movable_first():
    on = boot_machine([(256, 12_000)], movable=3000, pcp=False)
    assert on.zone_of(on.alloc_pages(0, GFP_HIGHUSER_MOVABLE)) == 2
    assert on.zone_of(on.alloc_pages(0, GFP_KERNEL)) == 1
    assert on.zone_of(on.alloc_pages(0, GFP_KERNEL | Gfp.DMA)) == 0
    assert on.zone_of(on.alloc_pages(0, GFP_KERNEL | Gfp.MOVABLE)) == 1


def test_a_zone_that_is_not_there_serves_nothing():
    on = machine(64)
    assert on.alloc_pages(0, GFP_KERNEL | Gfp.DMA) is None
    assert on.acts(alloc_request(0, modifier=1), [])[1:] == [Refused(0, MOVABLE)]


def test_an_exact_number_of_pages():
    on = small()
    got = run(on, [exact_request(5), exact_request(600, UNMOVABLE)])
    assert got == [0, 1024]
    assert lists(on.zone)["M0"] == [5]
    assert lists(on.zone)["M1"] == [6]
    assert on.free == [12_288 - 605 - 8], "a refill of order 3 takes two blocks"
    assert [on.zone.in_use(pfn) for pfn in (0, 4, 5)] == [0, 0, -1]
    on.validate()


def test_isolated_pages_are_not_free():
    on = small()
    run(on, [alloc_request(0)])
    assert run(on, [other_request("isolate", 1024 + 7)]) == [NOTHING]
    assert on.free == [12_285 - 512]
    run(on, [alloc_request(9), other_request("unisolate", 1100)])
    on.validate()
    assert on.free == [12_285 - 1024], "a refill of order 9 takes two blocks"


def test_what_is_freed_in_an_isolated_pageblock_goes_past_the_lists_and_is_not_free():
    on = small()
    pages = run(on, [alloc_request(0)] * 3)
    on.isolate(0)
    free, count = on.free[0], on.zone.pcp[0].count
    on.free_pages(pages[0], 0)
    assert (on.free[0], on.zone.pcp[0].count) == (free, count)
    on.validate()


@pytest.mark.parametrize("verb", ["isolate", "unisolate"])
@pytest.mark.parametrize("pfn", [0, 300, 4095, 70_000])
def test_a_page_that_is_not_there_cannot_be_isolated(verb, pfn):
    on = Machine([zone(16, 256, "DMA"), zone(512, 65_536, "DMA32")])
    for do in (on.apply, on.acts):
        with pytest.raises(ValueError, match=f"cannot {verb} pfn {pfn}: in zone DMA(32)?, no page of this zone is at {pfn}"):
            do(other_request(verb, pfn), [])


def test_a_free_finds_its_page_where_compaction_moved_it():
    on = machine(2048)
    received = run(on, [alloc_request(0)] * 1500)
    for number in [*range(0, 512), *range(600, 1400)]:
        received.append(on.apply(free_received(number), received))
    received.append(on.apply(other_request("compact"), received))
    assert received[-1] == COMPACTED
    moved = on._moves[0][1]
    assert moved
    number = received.index(next(iter(moved)))
    where = on.pfn_to_free(free_received(number), received)
    assert where == moved[received[number]] != received[number]
    received.append(on.apply(free_received(number), received))
    assert on.zone.in_use(where) == -1
    received.append(on.apply(alloc_request(0), received))
    assert on.pfn_to_free(free_received(len(received) - 1), received) == received[-1], "what came later did not move"
    on.validate()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Allocator(boot(16), kernel="5.10"), "kernel '5.10' is not modelled: give 6.1, 6.12, 6.18, 7.x"),
        (lambda: Allocator(boot(16), cpus=0), "0 CPUs cannot be: give 1..16"),
        (lambda: Allocator(boot(16), cpus=17), "17 CPUs cannot be"),
        (lambda: Allocator([]), "a machine without a zone cannot be"),
        (lambda: Allocator(boot(16, name="Low")), "zone 'Low' cannot be: zones are named DMA, DMA32, Normal"),
        (lambda: Allocator([boot(16), boot(16, 8)]), "zones Normal and Normal overlap at pfn 8"),
    ],
)
def test_a_machine_that_cannot_be(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_another_kernel_goes_on_from_the_same_state():
    on = small(cpus=2)
    pages = run(on, [alloc_request(0)] * 30)
    on.free_pages(pages[0], 0)
    old = on.under("6.1")
    assert (old.version, old.min_free_kbytes, old.marks) == ("6.1", 886, on.marks)
    assert contents(old.zone) == contents(on.zone)
    assert [list(blocks) for blocks in old.zone.pcp[0].lists] == [list(blocks) for blocks in on.zone.pcp[0].lists]
    assert on.zone.pcp[0].high_max > old.zone.pcp[0].high_max == old.zone.pcp[0].high_min
    before = contents(on.zone)
    old.alloc_pages(4)
    assert contents(on.zone) == before
    assert on.version == "6.12"
    with pytest.raises(ValueError, match="kernel '5.4' is not modelled"):
        on.under("5.4")


def test_a_stand_in_takes_the_place_of_every_zone():
    on = boot_machine([(256, 8192)])
    other = on.like(LifoOnly)
    other.restore(on.snapshot())
    assert {type(zone) for zone in other.zones} == {LifoOnly}
    assert (other.free, other.marks) == (on.free, on.marks)
    other.alloc_pages(0)
    assert on.free != other.free


def test_a_wrong_count_is_found():
    on = small()
    on._free[0] -= 1
    with pytest.raises(ValueError, match=r"the machine counts \[12287\] free pages, and its zones have \[12288\]"):
        on.validate()


def test_a_refusal_is_a_value():
    assert machine(16).apply(alloc_request(5), []) == REFUSED
