import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.call import FREE
from pagelab.mm.slab_call import SlabCall, cache_request, kfree_request, kmalloc_request, unpack_slab, write_request

CPU = st.integers(0, 15)


@given(st.integers(1, 1 << 22), CPU, st.integers(0, 3))
def test_a_kmalloc_comes_apart_as_it_was_made(size, cpu, kind):
    assert unpack_slab(kmalloc_request(size, cpu, kind)) == SlabCall("kmalloc", size, cpu, kind)


@given(st.sampled_from(["kmem_cache_alloc", "shrink"]), st.integers(0, 255), CPU)
def test_a_request_of_a_cache_comes_apart_as_it_was_made(verb, cache, cpu):
    assert unpack_slab(cache_request(verb, cache, cpu)) == SlabCall(verb, cache, cpu)


@given(st.integers(0, (1 << 24) - 1), CPU)
def test_a_kfree_comes_apart_as_it_was_made(number, cpu):
    assert unpack_slab(kfree_request(number, cpu)) == SlabCall("kfree", number, cpu)


@given(st.integers(0, (1 << 14) - 1), st.integers(0, (1 << 14) - 1))
def test_a_write_comes_apart_as_it_was_made(number, size):
    assert unpack_slab(write_request(number, size)) == SlabCall("write", number, size=size)


@given(st.integers(1, 1 << 22), st.integers(0, (1 << 24) - 1), CPU)
def test_no_two_kinds_of_requests_are_alike(size, number, cpu):
    requests = [kmalloc_request(size, cpu), cache_request("shrink", number & 255, cpu), kfree_request(number, cpu)]
    requests += [cache_request("kmem_cache_alloc", number & 255, cpu), write_request(number & 0x3FFF, size & 0x3FFF)]
    assert len(set(requests)) == 5
    assert all(1 << 28 <= request < FREE for request in requests)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kmalloc_request(0), "0 bytes cannot be asked of kmalloc: give 1..4194304"),
        (lambda: kmalloc_request((1 << 22) + 1), "4194305 bytes cannot be asked of kmalloc"),
        (lambda: kmalloc_request(1, cpu=16), "cpu 16 does not exist: give 0..15"),
        (lambda: kmalloc_request(1, kind=4), "kmalloc type 4 does not exist: give 0..3"),
        (lambda: cache_request("kfree", 0), "'kfree' is no request about a cache"),
        (lambda: cache_request("shrink", 256), "cache 256 does not exist: give 0..255"),
        (lambda: kfree_request(1 << 24), "request 16777216 does not exist: give 0..16777215"),
        (lambda: write_request(1 << 14, 1), "request 16384 does not exist"),
        (lambda: write_request(1, -1), "size -1 does not exist: give 0..16383"),
        (lambda: unpack_slab(0x10), "request 0x10 is no call of the slab allocator"),
        (lambda: unpack_slab(6 << 28), "request 0x60000000 is no call of the slab allocator"),
    ],
)
def test_what_does_not_fit_is_said(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()
