import pytest
from zones import contents, lists

from pagelab.mm.act import Asked
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import alloc_request, free_received, free_request
from pagelab.mm.machine import NOTHING, Machine, machine
from pagelab.mm.page_alloc import boot
from pagelab.mm.zone import MOVABLE, UNMOVABLE


def test_requests_in_and_pfns_out():
    small = machine(16)
    received = []
    for request in (alloc_request(0), alloc_request(2), alloc_request(4), free_received(1), free_request(0)):
        received.append(small.apply(request, received))
    assert received == [0, 4, REFUSED, NOTHING, NOTHING]
    assert lists(small.zone) == {"M4": [0]}


def test_a_free_needs_no_order():
    small = machine(16)
    assert small.apply(alloc_request(3), []) == 0
    assert small.apply(free_request(0), []) == NOTHING
    assert lists(small.zone) == {"M4": [0]}


@pytest.mark.parametrize("do", [Machine.apply, Machine.acts])
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (free_request(1), "cannot free pfn 1: in zone Normal, a block of order 1 at 0 is in use"),
        (free_request(3), "cannot free pfn 3: in zone Normal, a block of order 1 at 2 is free"),
        (free_request(16), "cannot free pfn 16: in zone Normal, no page of this zone is at 16"),
        (free_received(1), "@1 cannot be freed: request 1 was refused"),
        (free_received(2), "@2 cannot be freed: request 2 was no allocation"),
        (free_received(3), "@3 names no earlier request: there are 3 so far"),
    ],
)
def test_a_free_that_cannot_be_done_changes_nothing(do, request_, words):
    small, received = machine(16), []
    for request in (alloc_request(1), alloc_request(4), alloc_request(0), free_request(2)):
        received.append(small.apply(request, received))
    assert received == [0, REFUSED, 2, NOTHING]
    received = [0, REFUSED, NOTHING]
    before = contents(small.zone)
    with pytest.raises(ValueError, match=words):
        do(small, request_, received)
    assert contents(small.zone) == before


@pytest.mark.parametrize("do", [Machine.apply, Machine.acts])
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (alloc_request(0, cpu=1), "cpu 1 of node 0 does not exist"),
        (alloc_request(0, node=2), "cpu 0 of node 2 does not exist"),
        (0x1B, "11|27|0x1b"),
        (0x1F, "15|31|0x1f"),
        (0x60, "6|96|0x60"),
        (-1, "-1"),
    ],
)
def test_a_request_this_machine_does_not_have_changes_nothing(do, request_, words):
    small = machine(16)
    before = contents(small.zone)
    with pytest.raises(ValueError, match=words):
        do(small, request_, [])
    assert contents(small.zone) == before


def test_acts_begin_with_the_request_and_do_it():
    watched, plain, received = machine(16), machine(16), []
    for request in (alloc_request(1), alloc_request(0, UNMOVABLE), alloc_request(0), free_received(0)):
        acts = watched.acts(request, received)
        received.append(plain.apply(request, received))
        assert contents(watched.zone) == contents(plain.zone)
    assert received == [0, 2, 3, NOTHING]
    assert acts[0] == Asked("free", 1, MOVABLE, 0)


def test_a_blank_machine_of_the_same_shape_takes_a_snapshot():
    original = Machine(boot(1000, 4095, "DMA32"))
    original.apply(alloc_request(3), [])
    blank = original.blank()
    assert (blank.zone.start_pfn, blank.zone.end_pfn, blank.zone.name) == (4095, 5095, "DMA32")
    assert blank.zone.nr_free_pages() == 0
    blank.restore(original.snapshot())
    assert contents(blank.zone) == contents(original.zone)
    blank.apply(alloc_request(3), [])
    assert contents(blank.zone) != contents(original.zone)


@pytest.mark.parametrize(("size", "pages"), [(17, 17), ("64 KiB", 16), ("64 MiB", 16384)])
def test_a_machine_has_all_its_memory_free(size, pages):
    assert machine(size).zone.nr_free_pages() == pages


@pytest.mark.parametrize("size", [0, "0 MiB", "5 KiB", "much"])
def test_a_machine_that_cannot_be(size):
    with pytest.raises(ValueError, match="cannot be|is 1024 bytes more|is not a size"):
        machine(size)
