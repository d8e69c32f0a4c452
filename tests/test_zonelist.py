"""Zonelists: the order of zones, and the marks that each request meets there."""

import pytest

from pagelab.mm.call import Call
from pagelab.mm.fallback import ALLOC_NOFRAGMENT
from pagelab.mm.gfp import ZONE_DEVICE, ZONE_DMA, ZONE_DMA32, ZONE_HIGHMEM, ZONE_MOVABLE, ZONE_NORMAL
from pagelab.mm.watermark import ALLOC_HIGHATOMIC, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, Size, lowmem_reserve, watermarks
from pagelab.mm.zone import MOVABLE, UNMOVABLE
from pagelab.mm.zonelist import make_plan, zonelist

TWO_NODES = [
    *(Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 700_000), Size(0, ZONE_NORMAL, 500_000)),
    *(Size(1, ZONE_NORMAL, 800_000), Size(1, ZONE_MOVABLE, 200_000), Size(1, ZONE_DEVICE, 0)),
]


@pytest.mark.parametrize(
    ("node", "highest", "zones"),
    [
        (0, ZONE_NORMAL, [2, 1, 0, 3]),
        (0, ZONE_MOVABLE, [2, 1, 0, 4, 3]),
        (1, ZONE_MOVABLE, [4, 3, 2, 1, 0]),
        (1, ZONE_NORMAL, [3, 2, 1, 0]),
        (1, ZONE_DMA32, [1, 0]),
        (0, ZONE_DMA, [0]),
    ],
)
def test_the_zones_of_the_node_come_first_and_the_highest_first_of_those(node, highest, zones):
    assert zonelist(TWO_NODES, node, highest) == zones


def test_nodes_follow_each_other_in_a_ring():
    four = [Size(node, ZONE_NORMAL, 1000) for node in range(4)]
    assert [zonelist(four, node, ZONE_NORMAL) for node in range(4)] == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]


def plan_of(call, sizes=TWO_NODES, pcp=True, kbytes=67_584):
    return make_plan(call, sizes, watermarks(sizes, kbytes) if kbytes else [], lowmem_reserve(sizes), pcp)


def test_a_place_has_the_marks_that_the_request_meets():
    marks, reserve = watermarks(TWO_NODES, 67_584), lowmem_reserve(TWO_NODES)
    plan = plan_of(Call("alloc", 3, UNMOVABLE))
    assert [place.z for place in plan.low] == [place.z for place in plan.min] == [2, 1, 0, 3]
    for place, least in zip(plan.low, plan.min, strict=True):
        z = place.z
        assert (place.mark, least.mark) == (marks[z].low, marks[z].min)
        assert place.reserve == least.reserve == reserve[z][ZONE_NORMAL]
        assert place.limit == marks[z].low + place.reserve + 7
        assert place.high == marks[z].high + place.reserve + 7
        assert place.remote == (z == 3)
    assert plan.slow_flags == 0
    assert reserve[1][ZONE_NORMAL] == 500_000 // 256


def test_an_atomic_request_may_use_reserves_in_its_second_round():
    marks = watermarks(TWO_NODES, 67_584)
    plan = plan_of(Call("alloc", 1, UNMOVABLE, atomic=True))
    assert plan.slow_flags == ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK | ALLOC_HIGHATOMIC
    assert plan_of(Call("alloc", 0, atomic=True)).slow_flags == ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK
    half = marks[2].min - marks[2].min // 2
    assert plan.min[0].mark == half - half // 4
    assert plan.low[0].mark == marks[2].low


def test_the_request_chooses_its_per_cpu_list():
    assert [plan_of(Call("alloc", order)).at for order in range(11)] == [1, 4, 7, 10, -1, -1, -1, -1, -1, 13, -1]
    assert plan_of(Call("alloc", 0), pcp=False).at == -1
    assert plan_of(Call("alloc", 0, mt=3)).at == -1


def test_without_watermarks_nothing_is_kept_back_and_there_is_one_round():
    plan = plan_of(Call("alloc", 3, atomic=True), kbytes=0)
    assert [(place.z, place.mark, place.reserve, place.limit) for place in plan.low] == [(z, 0, 0, 0) for z in (2, 1, 0, 3)]
    assert (plan.min, plan.slow_flags) == ((), 0)


@pytest.mark.parametrize(
    ("sizes", "call", "flags"),
    [
        (TWO_NODES, Call("alloc", 0), ALLOC_NOFRAGMENT),
        (TWO_NODES, Call("alloc", 0, node=1), 0),
        (TWO_NODES, Call("alloc", 0, node=1, modifier=3), 0),
        (TWO_NODES, Call("alloc", 0, modifier=2), 0),
        ([Size(0, ZONE_NORMAL, 1)], Call("alloc", 0), ALLOC_NOFRAGMENT),
        ([Size(0, ZONE_DMA32, 1)], Call("alloc", 0), 0),
        ([Size(0, ZONE_NORMAL, 1), Size(0, ZONE_HIGHMEM, 1)], Call("alloc", 0), 0),
        ([Size(0, ZONE_NORMAL, 1)], Call("alloc", 0, modifier=1), 0),
    ],
)
def test_types_are_not_mixed_at_first_where_dma32_can_serve_instead(sizes, call, flags):
    assert plan_of(call, sizes).flags == flags


@pytest.mark.parametrize(
    ("mt", "modifier", "zones"),
    [(MOVABLE, 3, [4, 3, 2, 1, 0]), (UNMOVABLE, 3, [3, 2, 1, 0]), (MOVABLE, 0, [3, 2, 1, 0]), (UNMOVABLE, 1, [0])],
)
def test_the_modifier_chooses_the_highest_zone(mt, modifier, zones):
    assert [place.z for place in plan_of(Call("alloc", 0, mt, node=1, modifier=modifier)).low] == zones
