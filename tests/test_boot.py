"""Boot: zones from a memory map, and the hand-over."""

import pytest
from zones import lists

from pagelab.mm.boot import DMA32_END, DMA_END, LOWMEM_END, boot_machine
from pagelab.mm.call import Call


def shape(machine):
    return [(zone.name, zone.node, zone.start_pfn, zone.end_pfn, zone.managed) for zone in machine.zones]


def test_zone_dma_is_as_the_captures_show_it():
    machine = boot_machine([(256, 65_536)])
    assert shape(machine) == [("DMA", 0, 1, 4096, 3840), ("DMA32", 0, 4096, 65_536, 61_440)]
    assert lists(machine.zones[0]) == {"U8": [256], "M9": [512], "M10": [1024, 2048, 3072]}
    assert machine.zones[0].counts() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]
    assert machine.zone is machine.zones[1]


def test_two_nodes_with_holes():
    machine = boot_machine([(256, 1000), (5000, 9000)], [(16_384, 20_000), (DMA32_END - 1024, DMA32_END + 2048)], cpus=4)
    assert shape(machine) == [
        ("DMA", 0, 1, 4096, 744),
        ("DMA32", 0, 4096, 9000, 4000),
        ("DMA32", 1, 16_384, DMA32_END, 3616 + 1024),
        ("Normal", 1, DMA32_END, DMA32_END + 2048, 2048),
    ]
    assert machine.free == [zone.managed for zone in machine.zones]
    assert all(len(zone.pcp) == 4 for zone in machine.zones)
    machine.validate()


def test_a_32_bit_machine_has_high_memory_and_no_dma32():
    machine = boot_machine([(256, LOWMEM_END + 10_000)], highmem=True)
    assert shape(machine)[1:] == [
        ("Normal", 0, DMA_END, LOWMEM_END, LOWMEM_END - DMA_END),
        ("HighMem", 0, LOWMEM_END, LOWMEM_END + 10_000, 10_000),
    ]
    assert machine.marks[2].min == 32
    assert machine.reserve[1][3] == 10_000 // 32


def test_the_top_of_each_node_can_be_movable():
    machine = boot_machine([(256, 12_000)], [(16_384, 22_000)], movable=3000)
    assert shape(machine) == [
        *(("DMA", 0, 1, 4096, 3840), ("DMA32", 0, 4096, 9216, 5120), ("Movable", 0, 9216, 12_000, 2784)),
        *(("DMA32", 1, 16_384, 19_456, 3072), ("Movable", 1, 19_456, 22_000, 2544)),
    ]


def test_no_page_of_a_device_is_ever_free():
    machine = boot_machine([(256, 65_536)], device=[(131_072, 262_144)])
    device = machine.zones[2]
    assert (device.name, device.managed, device.nr_free_pages()) == ("Device", 0, 0)
    assert machine.zone is machine.zones[1], "the largest zone that can serve"
    assert [place.z for place in machine.plan(Call("alloc", 0, modifier=3)).low] == [1, 0]


def test_per_cpu_lists_are_as_large_as_the_zone_and_the_node_make_them():
    machine = boot_machine([(256, 786_432), (DMA32_END, DMA32_END + 1_671_168)], cpus=2)
    dma, dma32, normal = (zone.pcp[0] for zone in machine.zones)
    assert (dma.batch, dma32.batch, normal.batch) == (1, 63, 63)
    assert [pcp.high_min for pcp in (dma32, normal)] == [machine.marks[1].low // 2, machine.marks[2].low // 2]
    assert normal.high_max == 1_671_168 // 8 // 2 == 104_448
    old = boot_machine([(256, 786_432)], cpus=2, kernel="6.1").zones[1].pcp[0]
    assert old.high_min == old.high_max
    assert not boot_machine([(256, 786_432)], pcp=False).zone.pcp


def test_min_free_kbytes_is_the_kernels_or_given():
    assert boot_machine([(256, 65_536)]).marks[1].min == 480
    assert boot_machine([(256, 65_536)], kbytes=4000).marks[0].min == 1000 * 3840 // 65_280
    assert boot_machine([(256, 65_536)], kbytes=0).marks == []


@pytest.mark.parametrize(
    "ranges",
    [[], [(5, 5)], [(9, 5)], [(0, 10), (5, 20)], [(20, 30), (0, 10)], [(-1, 5)], [(0, (1 << 26) + 1)]],
)
def test_a_map_that_cannot_be(ranges):
    with pytest.raises(ValueError, match=r"node 0 cannot have the memory .*: give \(start, end\) pairs, ascending, from 0 up to 67108864"):
        boot_machine(ranges)


def test_nodes_that_overlap():
    with pytest.raises(ValueError, match="overlap at pfn 5000"):
        boot_machine([(256, 6000)], [(5000, 7000)])
