"""Free pointers: what is stored, what the kernel reads, and what a stray write does to a freelist."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.free_pointer import cache_random, free_pointer, freelist_ptr_decode, freelist_ptr_encode, stray_pointer
from pagelab.mm.machine import REFUSED
from pagelab.mm.slab import LOST
from pagelab.mm.slab_call import kfree_request, kmalloc_request, write_request
from pagelab.mm.slab_machine import slab_machine

U64 = st.integers(0, 2**64 - 1)


@given(U64, U64, U64)
def test_what_is_stored_is_read_back(pointer, address, random):
    stored = freelist_ptr_encode(pointer, address, random)
    (swapped,) = struct.unpack(">Q", struct.pack("<Q", address))
    assert stored == pointer ^ random ^ swapped
    assert freelist_ptr_decode(stored, address, random) == pointer
    assert freelist_ptr_encode(pointer, address, None) == pointer


def run(requests, machine):
    received = []
    for request in requests:
        received.append(machine.apply(request, received))
        machine.validate()
    return received


def test_a_write_after_free_ends_the_freelist_there():
    """Objects 0 and 1 are in use and 0 is freed: the list is 0, 2, 3 .. 7."""
    machine = slab_machine(16)
    cache = machine.cache("kmalloc-512")
    received = run([kmalloc_request(512)] * 2 + [kfree_request(0), write_request(0, 512)], machine)
    assert stray_pointer(cache, 0, 0) == 0x4141414141414141
    assert free_pointer(cache, 0, 0) == 0xFFFF888000000000 + 2 * 512
    assert machine.apply(kmalloc_request(512), received) == received[0]
    assert [cache.next[obj] for obj in range(2, 8)] == [LOST] * 6
    (report,) = cache.reports
    hardened = freelist_ptr_decode(0x4141414141414141, 0xFFFF888000000000 + 256, cache_random(cache))
    assert "object 0 of the slab at page 0 is 0x4141414141414141: the next allocation faults" in report
    assert hex(hardened) in report
    machine.validate()
    assert machine.apply(kmalloc_request(512), received) == received[0] + 512  # page 1: the rest of page 0 is lost
    machine.validate()


@pytest.mark.parametrize("size", [0, 8, 255])
def test_a_write_short_of_the_pointer_does_no_harm(size):
    """The pointer of a free object of 512 bytes lies at 256."""
    machine = slab_machine(16)
    received = run([kmalloc_request(512)] * 2 + [kfree_request(0), write_request(0, size)], machine)
    assert run([], machine) == []
    assert machine.apply(kmalloc_request(512), received) == received[0]
    assert machine.cache("kmalloc-512").reports == []
    assert machine.cache("kmalloc-512").stains == {}


def test_one_byte_of_the_pointer_leads_astray():
    machine = slab_machine(16)
    received = run([kmalloc_request(512)] * 2 + [kfree_request(0), write_request(0, 257), kmalloc_request(512)], machine)
    assert received[-1] == received[0]
    assert "is 0xffff888000000441: the next allocation gets whatever lies there" in machine.cache("kmalloc-512").reports[0]


def test_a_free_writes_the_pointer_anew():
    """An overflow of object 0 reaches the pointer of object 1, which is in use: its free writes the pointer."""
    machine = slab_machine(16)
    received = run([kmalloc_request(512)] * 2 + [write_request(0, 1024), kfree_request(1), kmalloc_request(512)], machine)
    assert received[-1] == received[1]
    assert machine.cache("kmalloc-512").reports == []


def test_an_overflow_into_a_free_neighbour_costs_what_follows_it():
    machine = slab_machine(16)
    run([kmalloc_request(512), write_request(0, 1024), kmalloc_request(512)], machine)
    assert "object 1" in machine.cache("kmalloc-512").reports[0]
    assert machine.cache("kmalloc-512").next.tolist().count(LOST) == 6


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.x"])
@given(st.lists(st.tuples(st.sampled_from("aaafw"), st.integers(0, 99), st.integers(0, 1500)), max_size=60))
def test_stray_writes_never_hand_out_an_object_twice(kernel, moves):
    machine, received, live = slab_machine(64, kernel), [], []
    allocated = []
    for verb, number, size in moves:
        if verb == "a":
            request = kmalloc_request(512)
        elif verb == "f" and live:
            request = kfree_request(live.pop(number % len(live)))
        elif verb == "w" and live:
            request = write_request(live[number % len(live)], size)
        else:
            continue
        received.append(machine.apply(request, received))
        if verb == "a" and received[-1] != REFUSED:
            allocated.append(len(received) - 1)
            live.append(len(received) - 1)
        machine.validate()
        assert len({received[number] for number in live}) == len(live)
