import pytest

from pagelab.mm.slab import IN_USE, NODE_PARTIAL, KmemCache
from pagelab.mm.slab_call import kmalloc_request
from pagelab.mm.slab_check import validate_cache, validate_pages
from pagelab.mm.slab_layout import slab_layout
from pagelab.mm.slab_machine import slab_machine


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: c.place.__setitem__(0, 1), "says it is cpu slab, and is not"),
        (lambda c: c.node[0].partial.pop(0), "says it is node partial, and is not"),
        (lambda c: c.next.__setitem__(7, 0), "do not have each free object once"),
        (lambda c: c.next.__setitem__(3, IN_USE), "do not have each free object once"),
        (lambda c: c.inuse.__setitem__(0, 3), "counts 3 in use of 8, and 8 are on its freelist"),
        (lambda c: c.node[0].full.update({0: None}), "on two lists"),
        (lambda c: c.node[0].full.update({9: None}), "no more is on a list"),
    ],
)
def test_what_is_spoilt_is_found(spoil, words):
    cache = KmemCache("spoon", slab_layout(512))
    cache.enlist(cache.carve(0, 0), NODE_PARTIAL, 0)
    validate_cache(cache)
    spoil(cache)
    with pytest.raises(ValueError, match=words):
        validate_cache(cache)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.owners.pop(0), "page 0 is said to be of none, and is of kmalloc-512"),
        (lambda m: m.owners.update({9: next(iter(m.owners.values()))}), "page 9 is said to be of kmalloc-512, and is of none"),
        (lambda m: m.zone.take(0, 0, 0) or m.zone.give(0), "the pages of a slab of kmalloc-512 are not in use: "),
    ],
)
def test_caches_and_zones_agree_on_pages(spoil, words):
    machine = slab_machine(16)
    machine.apply(kmalloc_request(512), [])
    block = machine.zone.block
    validate_pages(machine.caches, machine.owners, block)
    spoil(machine)
    with pytest.raises(ValueError, match=words):
        validate_pages(machine.caches, machine.owners, block)
