"""Bulk calls: all or nothing, and in which order objects come back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.mm.slab_bulk import kmem_cache_alloc_bulk, kmem_cache_free_bulk
from pagelab.mm.slab_call import kmalloc_request
from pagelab.mm.slab_layout import slab_debug
from pagelab.mm.slab_machine import slab_machine
from pagelab.mm.slub import build_detached_freelist

NAME = "kmalloc-512"
KERNELS = pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.x"])


def detached(slabs):
    """Free objects whose slabs are given by letters; return the groups in the order in which they are freed."""
    objects = [(ord(letter), at) for at, letter in enumerate(slabs)]
    size, groups = len(objects), []
    while size:
        size, slab, indices = build_detached_freelist(objects, size)
        groups.append(chr(slab) + "".join(str(at) for at in indices))
    return groups


@pytest.mark.parametrize(
    ("slabs", "groups"),
    [
        ("a", ["a0"]),
        ("aaaa", ["a0123"]),
        ("aabb", ["b23", "a01"]),
        ("abab", ["b13", "a02"]),
        ("aba", ["a02", "b1"]),
        ("abbba", ["a4", "b123", "a0"]),  # the third of another slab ends the search before the first a
        ("abba", ["a03", "b21"]),  # b2 takes the place of the first a
    ],
)
def test_objects_of_one_slab_are_freed_together(slabs, groups):
    assert detached(slabs) == groups


@given(st.text("abcd", max_size=40))
def test_every_object_is_freed_once(slabs):
    freed = []
    objects = [(ord(letter), at) for at, letter in enumerate(slabs)]
    size = len(objects)
    while size:
        size, slab, indices = build_detached_freelist(objects, size)
        freed += [(slab, at) for at in indices]
    assert sorted(freed) == sorted((ord(letter), at) for at, letter in enumerate(slabs))


def test_one_call_frees_in_another_order_than_many():
    machine = slab_machine(16)
    words = kmem_cache_alloc_bulk(machine, NAME, 4)
    kmem_cache_free_bulk(machine, NAME, words)
    assert kmem_cache_alloc_bulk(machine, NAME, 4) == words
    machine = slab_machine(16)
    words = kmem_cache_alloc_bulk(machine, NAME, 4)
    for word in words:
        kmem_cache_free_bulk(machine, NAME, [word])
    assert kmem_cache_alloc_bulk(machine, NAME, 4) == words[::-1]


@KERNELS
@pytest.mark.parametrize("letters", ["-", "FZPU"])
def test_all_of_them_or_none(kernel, letters):
    machine = slab_machine(8, kernel, debug=slab_debug(letters))
    cache = machine.cache(NAME)
    most = (8 >> cache.layout.order) * cache.layout.objects
    assert kmem_cache_alloc_bulk(machine, NAME, most + 1) == []
    assert cache.live() == 0
    machine.validate()
    words = kmem_cache_alloc_bulk(machine, NAME, most)
    assert len(set(words)) == most == cache.live()
    kmem_cache_free_bulk(machine, NAME, words)
    assert (cache.live(), cache.reports) == (0, [])
    machine.validate()


@KERNELS
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.randoms(use_true_random=False)), max_size=30))
@settings(max_examples=40, deadline=None)
def test_objects_balance(kernel, steps):
    machine, live = slab_machine(64, kernel, 2), []
    for alloc, count, random in steps:
        if alloc:
            words = kmem_cache_alloc_bulk(machine, NAME, count, count % 2)
            assert len(words) in (0, count)
            assert not set(words) & set(live)
            live += words
        else:
            random.shuffle(live)
            kmem_cache_free_bulk(machine, NAME, live[:count], count % 2)
            del live[:count]
        machine.validate()
        assert machine.cache(NAME).live() == len(live)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (lambda a, b: [a, a], "twice"),
        (lambda a, b: [a, a + 1], "no object starts"),
        (lambda a, b: [a, b], "an object of kmalloc-64"),
        (lambda a, b: [a, a + 64], "free already"),
    ],
)
def test_what_cannot_be_freed_changes_nothing(words, why):
    machine = slab_machine(16)
    a, b = machine.apply(kmalloc_request(512), []), machine.apply(kmalloc_request(64), [])
    before = machine.snapshot()
    with pytest.raises(ValueError, match=why):
        kmem_cache_free_bulk(machine, NAME, words(a, b))
    assert machine.snapshot() == before


def test_bad_numbers_are_refused():
    machine = slab_machine(16)
    with pytest.raises(ValueError, match="-1 objects"):
        kmem_cache_alloc_bulk(machine, NAME, -1)
    with pytest.raises(ValueError, match="cpu 1 does not exist"):
        kmem_cache_alloc_bulk(machine, NAME, 1, 1)


def test_a_bulk_call_empties_sheaves_before_slabs():
    machine = slab_machine(256, "7.x")
    words = kmem_cache_alloc_bulk(machine, "kmalloc-1k", 12)
    kmem_cache_free_bulk(machine, "kmalloc-1k", words)
    assert len(machine.cache("kmalloc-1k").sheaves.slots()) == 12
    assert kmem_cache_alloc_bulk(machine, "kmalloc-1k", 5) == words[7:]
    assert len(machine.cache("kmalloc-1k").sheaves.slots()) == 7
