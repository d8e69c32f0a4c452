import pytest
from hypothesis import given
from hypothesis import strategies as st
from zones import lists

from pagelab.lab.request import RequestError
from pagelab.lab.scenario import even_then_odd, give_back, on_kernel, one_zone, shuffled_frees, slab, some_free, text, two_zones
from pagelab.mm.zone import MOVABLE


def end(tape):
    return tape.at(len(tape)).zone


def test_typed_requests_run_on_free_memory():
    tape = text("alloc 0; alloc 2; free @0", pages="128 KiB")
    assert lists(tape.at(0).zone) == {"M5": [0]}
    assert lists(end(tape)) == {"M2": [0], "M3": [8], "M4": [16]}
    assert len(text()) == 0
    assert text().at(0).zone.nr_free_pages() == 16


def test_a_machine_with_per_cpu_lists_and_watermarks():
    tape = text("alloc 0; alloc 0 cpu 1; alloc 0", "48 MiB", kernel="6.1", cpus=2, pcp=True, min_free_kbytes=886)
    assert list(tape.received) == [0, 3, 1]
    assert (tape.at(0).version, tape.at(0).marks[0].low) == ("6.1", 276)


def test_what_cannot_run_is_an_error():
    with pytest.raises(RequestError, match="cannot free pfn 3"):
        text("alloc 0; free 3")
    with pytest.raises(ValueError, match="a zone of 0 pages"):
        text("", pages=0)


@pytest.mark.parametrize("pages", [16, 64, 100])
def test_even_pages_merge_nothing_and_odd_pages_merge_all(pages):
    tape = even_then_odd(pages)
    assert len(tape) == 2 * pages
    assert tape.at(pages).zone.nr_free_pages() == 0
    half = tape.at(pages + (pages + 1) // 2).zone
    assert half.counts() == [pages // 2] + [0] * 10
    assert half.blocks(0, MOVABLE) == list(range(pages - 2, -1, -2))
    assert lists(end(tape)).keys() == lists(tape.at(0).zone).keys()
    assert end(tape).nr_free_pages() == pages


def test_some_pages_freed_in_the_order_given():
    tape = some_free([2, 3, 0, 9], pages=64)
    assert tape.text == "alloc 0 x64; free 2; free 3; free 0; free 9"
    assert lists(end(tape)) == {"M0": [9, 0], "M1": [2]}


@pytest.mark.parametrize(("free", "pfn"), [([3, 3], 3), ([16], 16)])
def test_a_page_is_freed_once_and_only_if_it_exists(free, pfn):
    with pytest.raises(ValueError, match=f"cannot free pfn {pfn}"):
        some_free(free)


@given(st.integers(), st.integers(0, 16))
def test_a_seed_gives_one_run(seed, count):
    tape = shuffled_frees(seed, count)
    assert tape.text == shuffled_frees(seed, count).text
    assert end(tape).nr_free_pages() == count
    assert len(tape) == 16 + count


def test_seeds_differ():
    assert len({shuffled_frees(seed, 8).text for seed in range(20)}) == 20


def test_more_pages_than_there_are_cannot_be_freed():
    with pytest.raises(ValueError, match="[Ss]ample"):
        shuffled_frees(1, 17)


def test_one_zone_has_marks_and_lists_of_its_size():
    machine = one_zone(cpus=2).at(0)
    assert tuple(machine.marks[0][:3]) == (221, 276, 331)
    assert [(pcp.batch, pcp.count) for pcp in machine.zone.pcp] == [(3, 0), (3, 0)]
    assert one_zone(pcp=False).at(0).zone.pcp == []
    assert one_zone(kernel="6.1", pages="64 MiB").at(0).version == "6.1"


def test_two_zones_keep_what_a_booted_kernel_keeps():
    machine = two_zones(pcp=False).at(0)
    assert [(zone.name, zone.managed) for zone in machine.zones] == [("DMA", 3840), ("DMA32", 61_440)]
    assert [marks.min for marks in machine.marks] == [30, 480]
    assert machine.reserve[0][1] == 240
    assert two_zones(cpus=2).at(0).zone.pcp[1].batch == 15


def test_another_kernel_does_the_same_requests():
    tape = text("alloc 0 x300; alloc 0 unmovable; alloc 0", pages=512)
    other = on_kernel(tape, "6.1")
    assert list(other.requests) == list(tape.requests)
    assert (other.at(0).version, other.received[-1], tape.received[-1]) == ("6.1", 301, 301)
    assert lists(other.at(301).zone) != lists(tape.at(301).zone)


def test_what_was_allocated_as_movable_comes_back():
    tape = text("alloc 0 unmovable; alloc 2; alloc 0 reclaimable; alloc 9", pages=2048)
    assert give_back(tape).text == f"{tape.text}; free {min(tape.received[1::2])}; free {max(tape.received[1::2])}"
    assert give_back(tape, keep=[tape.received[1]]).text == f"{tape.text}; free {tape.received[3]}"
    zones = two_zones("alloc 0 dma; alloc 0", pcp=False)
    assert give_back(zones).at(4).free == [3840, 61_440]


def test_a_machine_with_caches_by_kernel_cpus_seed_debug_and_sizes():
    tape = slab("kmem_cache_alloc node x3; kmalloc 8193", "1 MiB", kernel="6.1", cpus=4, pcp=True, seed=3, debug="Z", caches={"node": 704})
    machine = tape.at(len(tape))
    assert (machine.version, machine.cpus, machine.zone.end_pfn, len(machine.large)) == ("6.1", 4, 256, 1)
    layout = machine.cache("node").layout
    assert (layout.object_size, layout.order, layout.red_left_pad > 0) == (704, 2, True)
    indices = [machine.object_at(word)[2] for word in tape.received[:3]]
    assert indices != [0, 1, 2]
    assert slab(caches={"node": 704}).at(0).cache("node").layout.order == 1


def test_a_machine_with_caches_that_cannot_be():
    with pytest.raises(ValueError, match="slab_debug 'X'"):
        slab(debug="X")
    with pytest.raises(ValueError, match="'kmalloc-8' cannot be made"):
        slab(caches={"kmalloc-8": 8})
