import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.tape import Tape
from pagelab.mm.allocator import REFUSED
from pagelab.mm.boot import boot_machine
from pagelab.mm.call import alloc_request, free_received
from pagelab.mm.machine import NOTHING
from pagelab.mm.page_alloc import boot
from pagelab.mm.percpu_sheaves import MAX_FULL_SHEAVES
from pagelab.mm.slab import OBJECT
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_layout import Slab, slab_debug
from pagelab.mm.slab_machine import SlabMachine, slab_machine
from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE, Zone


def run(machine, *requests):
    received = []
    for request in requests:
        received.append(machine.apply(request, received))
    return received


def test_kmalloc_serves_from_the_class_above():
    machine = slab_machine(64)
    words = run(machine, kmalloc_request(100), kmalloc_request(193), kmalloc_request(8193), kmalloc_request(96, kind=1))
    assert [machine.object_at(word)[0] for word in (words[0], words[1], words[3])] == ["kmalloc-128", "kmalloc-256", "kmalloc-rcl-96"]
    pfn = (words[2] - OBJECT) // 512
    assert (machine.zone.block(pfn).order, machine.large) == (2, {pfn})
    received = [*words, NOTHING]
    machine.apply(kfree_request(2), received)
    assert (machine.zone.block(pfn).kind, machine.large) == ("free", set())


def test_a_machine_without_memory_refuses():
    machine = slab_machine(1)
    words = run(machine, *[kmalloc_request(512)] * 9, kmalloc_request(9000))
    assert words[7] >= OBJECT
    assert words[8:] == [REFUSED, REFUSED]
    machine.validate()


def test_pages_and_objects_share_one_machine():
    machine = slab_machine(16)
    words = run(machine, alloc_request(0), kmalloc_request(8), alloc_request(0, MOVABLE))
    assert words[0] == 0
    assert words[2] == 2
    assert machine.object_at(words[1]) == ("kmalloc-8", 1, 0)
    with pytest.raises(ValueError, match="cannot free pfn"):
        machine.apply(free_received(1), words)
    machine.apply(free_received(0), words)
    assert machine.zone.nr_free_pages() == 14


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (kfree_request(9), "@9 names no earlier request: there are 5 so far"),
        (kfree_request(0), "cannot free page 0 + 0: object 0 of kmalloc-64 is free already"),
        (kfree_request(2), "@2 cannot be given to kfree: request 2 was refused"),
        (kfree_request(3), "@3 cannot be given to kfree: request 3 was no allocation of an object"),
        (kfree_request(1, cpu=1), "cpu 1 does not exist: this machine has cpu 0"),
        (kmalloc_request(8, cpu=2), "cpu 2 does not exist: this machine has cpu 0"),
        (cache_request("kmem_cache_alloc", 200), "cache 200 does not exist: this machine has caches 0..51"),
        (6 << 28, "is no call of the slab allocator"),
    ],
)
@pytest.mark.parametrize("do", [SlabMachine.apply, SlabMachine.acts])
def test_what_cannot_be_done_changes_nothing(do, request_, words):
    machine = slab_machine(4)
    received = run(machine, kmalloc_request(64), kmalloc_request(64), kmalloc_request(40000), alloc_request(0))
    received.append(machine.apply(kfree_request(0), received))
    before = machine.snapshot()
    with pytest.raises(ValueError, match=re.escape(words)):
        do(machine, request_, received)
    assert machine.snapshot() == before


def test_an_address_whose_slab_is_gone_cannot_be_freed():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 8).then(map(kfree_request, range(8)))
    tape = tape.then([cache_request("shrink", tape.at(0).names.index("kmalloc-512"))])
    with pytest.raises(ValueError, match="it is in no slab, and kmalloc gave out no pages there"):
        tape.then([kfree_request(3)])
    tape = tape.then([kmalloc_request(1024)])
    with pytest.raises(ValueError, match="no object of kmalloc-1k starts there now"):
        tape.then([kfree_request(1)])


def test_caches_are_merged_where_the_kernel_merges_them():
    machine = slab_machine(16)
    assert machine.kmem_cache_create("cred", 184) is machine.kmem_cache_create("bio", 180) is machine.cache("bio")
    assert machine.kmem_cache_create("inode", 184, ctor=True).layout.size == 192
    assert machine.names[-3:] == ["cred", "bio", "inode"]
    cred, bio, inode = (cache_request("kmem_cache_alloc", machine.names.index(name)) for name in machine.names[-3:])
    words = run(machine, cred, bio, inode)
    assert [machine.object_at(word) for word in words] == [("cred", 0, 0), ("cred", 0, 1), ("inode", 1, 0)]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("kmalloc-8", 8, "cache 'kmalloc-8' cannot be made: give one word that is no cache's name yet"),
        ("two words", 8, "cache 'two words' cannot be made"),
        ("", 8, "cache '' cannot be made"),
        ("spoon", 0, "an object of 0 bytes"),
    ],
)
def test_caches_that_cannot_be_are_not_made(name, size, words):
    machine = slab_machine(16)
    with pytest.raises(ValueError, match=re.escape(words)):
        machine.kmem_cache_create(name, size)
    assert (len(machine.names), machine.caches) == (52, [])


def test_there_is_an_end_to_caches_and_to_memory():
    machine = slab_machine(16)
    for n in range(256 - 52):
        machine.kmem_cache_create(f"spoon-{n}", 40)
    with pytest.raises(ValueError, match="one too many: a machine has up to 256"):
        machine.kmem_cache_create("knife", 40)
    with pytest.raises(ValueError, match="pfn 2097152 is beyond 8 GiB"):
        SlabMachine(Zone(1, 1 << 21))
    assert SlabMachine(Zone(1, (1 << 21) - 1)).names == slab_machine(16).names


def test_dma_comes_from_the_zone_for_it():
    small = boot_machine([(256, 16384)])
    machine = SlabMachine(small.zones)
    dma, normal = run(machine, kmalloc_request(64, kind=2), kmalloc_request(64))
    assert [machine.zones[machine.zone_of(machine.object_at(word)[1])].name for word in (dma, normal)] == ["DMA", "DMA32"]


def test_a_machine_with_caches_stays_with_its_kernel():
    with pytest.raises(ValueError, match="cannot go on under kernel 6.1: begin another one"):
        slab_machine(16).under("6.1")


def test_no_object_is_where_none_starts():
    machine = slab_machine(16)
    (word,) = run(machine, kmalloc_request(512))
    for wrong in (word + 1, OBJECT + 15 * 512, 3):
        with pytest.raises(ValueError, match="no object starts at"):
            machine.object_at(wrong)


OBJECTS = st.tuples(st.integers(1, 12000), st.sampled_from([0, 8, 16, 64, 256]), st.integers(0, 7), st.booleans())
FLAGS = [Slab.HWCACHE_ALIGN, Slab.RECLAIM_ACCOUNT, Slab.TYPESAFE_BY_RCU]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(OBJECTS, min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from(["6.1", "6.12", "6.18", "7.x"]),
    st.sampled_from([None, 7]),
    st.sampled_from(["-", "-", "-", "F", "FZPU", "ZP", "U"]),
    st.integers(0, 1 << 30),
)
def test_objects_never_overlap_and_pages_balance(objects, cpus, kernel, drawn, debug, seed):
    """Random caches, flags, CPUs and kernels; at the end everything is freed, and only what a node may keep stays."""
    source = random.Random(seed)
    machine = SlabMachine(boot(4096), kernel, cpus, bool(seed & 1), debug=slab_debug(debug), seed=drawn)
    all_pages = machine.zone.nr_free_pages()
    for n, (size, align, flags, ctor) in enumerate(objects):
        machine.kmem_cache_create(f"spoon-{n}", size, align, sum((f for b, f in enumerate(FLAGS) if flags >> b & 1), Slab(0)), ctor)
    received, live, held = [], [], {}
    for _ in range(300):
        cpu = source.randrange(cpus)
        if source.random() < 0.6 or not live:
            request = cache_request("kmem_cache_alloc", 52 + source.randrange(len(objects)), cpu)
            received.append(machine.apply(request, received))
            if received[-1] == REFUSED:
                continue
            word = received[-1]
            name = machine.object_at(word)[0]
            end = (word - OBJECT) * 8 + machine.cache(name).layout.object_size
            for byte in range((word - OBJECT) * 8, end, 8):
                assert byte not in held, "two objects at one place"
                held[byte] = word
            live.append(len(received) - 1)
        else:
            number = live.pop(source.randrange(len(live)))
            for byte in [byte for byte, word in held.items() if word == received[number]]:
                del held[byte]
            received.append(machine.apply(kfree_request(number, cpu), received))
    machine.validate()
    slab_pages = sum(1 << cache.order(n) for cache in machine.caches for n in cache.numbers())
    waiting = sum(pcp.count for pcp in machine.zone.pcp)
    assert machine.zone.nr_free_pages() + waiting + slab_pages == all_pages
    for number in live:
        received.append(machine.apply(kfree_request(number), received))
    machine.validate()
    for cache in machine.caches:
        per_cpu = 1 + cache.layout.cpu_partial_slabs if kernel != "7.x" and debug == "-" else 2 * cache.sheaves.capacity
        in_barn = MAX_FULL_SHEAVES * cache.sheaves.capacity
        assert cache.slabs <= cpus * per_cpu + in_barn + cache.layout.min_partial
        assert cache.live() == 0
    for number in range(52, len(machine.names)):
        machine.apply(cache_request("shrink", number), received)
    machine.drain(range(cpus))
    assert machine.zone.nr_free_pages() == all_pages
    assert not machine.owners


def test_free_all_leaves_what_min_partial_allows():
    machine = slab_machine(1024)
    received = run(machine, *[kmalloc_request(512)] * 800)
    for number in range(800):
        received.append(machine.apply(kfree_request(number), received))
    cache = machine.cache("kmalloc-512")
    assert cache.nr_partial(0) == cache.layout.min_partial == 5
    assert cache.slabs == 5 + len(cache.cpu[0].partial) + 1


@pytest.mark.soak
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.x"])
def test_five_million_requests(kernel):
    source = random.Random(5)
    machine = SlabMachine(boot(1 << 16), kernel, cpus=4, pcp=True, seed=3)
    sizes = [8, 40, 96, 192, 256, 500, 1000, 2000, 4000, 8000, 20000]
    live, received = [], []
    for n in range(5_000_000):
        if (source.random() < 0.5 and len(live) < 30_000) or not live:
            word = machine.apply(kmalloc_request(source.choice(sizes), source.randrange(4)), ())
            live += [word] if word != REFUSED else []
        else:
            at = source.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            received = [live.pop()]
            machine.apply(kfree_request(0, source.randrange(4)), received)
        if not n % 20_000:
            machine.validate()
    machine.validate()


def test_large_blocks_are_of_the_type_and_zone_that_was_asked():
    machine = SlabMachine(boot_machine([(256, 16384)]).zones)
    words = run(machine, *(kmalloc_request(9000, kind=kind) for kind in range(3)))
    blocks = [machine.zones[machine.zone_of(pfn)].block(pfn) for pfn in ((word - OBJECT) // 512 for word in words)]
    assert [block.mt for block in blocks] == [UNMOVABLE, RECLAIMABLE, UNMOVABLE]
    assert [machine.zones[machine.zone_of(block.head)].name for block in blocks] == ["DMA32", "DMA32", "DMA"]


def test_a_cache_of_dma32_takes_its_pages_below_4_gib():
    machine = SlabMachine([boot(1024, 4096, "DMA32"), boot(1024, 1 << 20, "Normal")])
    machine.kmem_cache_create("low", 512, flags=Slab.CACHE_DMA32)
    (word,) = run(machine, cache_request("kmem_cache_alloc", 52))
    assert machine.zones[machine.zone_of(machine.object_at(word)[1])].name == "DMA32"


def test_a_state_brought_back_knows_its_large_blocks_and_slabs():
    machine = slab_machine(64)
    received = run(machine, kmalloc_request(9000), kmalloc_request(100), alloc_request(0))
    again = machine.blank()
    again.restore(machine.snapshot())
    assert again.snapshot() == machine.snapshot()
    assert (again.large, again.object_at(received[1])) == (machine.large, machine.object_at(received[1]))
    again.validate()
    again.apply(kfree_request(0), received)
    assert machine.large == {(received[0] - OBJECT) // 512}
