"""Debugged caches: where their slabs stand, what lies in their slots, and which stray write is found when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.tape import Tape
from pagelab.mm.free_pointer import object_address
from pagelab.mm.machine import NOTHING, REFUSED
from pagelab.mm.slab import IN_USE, LOST
from pagelab.mm.slab_act import Lost, Reported
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request, write_request
from pagelab.mm.slab_debug import DEBUG, slot_bytes
from pagelab.mm.slab_layout import SLAB_DEBUG_FLAGS, slab_debug, slot_fields
from pagelab.mm.slab_machine import slab_machine
from pagelab.mm.slab_rules import rules_of

KERNELS = pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.x"])
NAME = "kmalloc-64"


def with_debug(letters, kernel="6.12", pages=256):
    return slab_machine(pages, kernel, debug=slab_debug(letters))


def run(requests, machine):
    received = []
    for request in requests:
        received.append(machine.apply(request, received))
        machine.validate()
    return received


def places(cache):
    return [cache.slab(slab).place for slab in cache.numbers()]


@KERNELS
@pytest.mark.parametrize("letter", "FZPUT")
def test_any_letter_makes_a_debugged_cache(kernel, letter):
    cache = with_debug(letter, kernel).cache(NAME)
    assert cache.layout.flags & SLAB_DEBUG_FLAGS
    assert rules_of(cache, kernel) is DEBUG
    assert cache.sheaves.capacity == 0


@KERNELS
def test_objects_are_taken_one_by_one(kernel):
    machine = with_debug("F", kernel)
    cache = machine.cache(NAME)
    run([kmalloc_request(64)] * 3, machine)
    state = cache.slab(0)
    assert (state.place, state.inuse, state.live, len(state.freelist)) == ("node partial", 3, 3, state.objects - 3)
    assert (cache.cpu[0].slab, cache.cpu[0].partial) == (-1, [])


@pytest.mark.parametrize(("letters", "place"), [("F", "on no list"), ("FZP", "on no list"), ("U", "full"), ("", "full")])
def test_a_full_slab_is_on_a_list_only_with_user_tracking(letters, place):
    machine = with_debug(letters)
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64)] * (cache.stride + 1), machine)
    assert places(cache) == [place, "node partial"]
    run_more([kfree_request(0)], received, machine)
    assert places(cache) == ["node partial", "node partial"]
    assert list(cache.node[0].partial) == [1, 0]  # the freed one at the tail
    assert not cache.node[0].full


def run_more(requests, received, machine):
    for request in requests:
        received.append(machine.apply(request, received))
        machine.validate()


def test_a_new_slab_goes_to_the_head():
    machine = with_debug("U")
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64)] * (3 * cache.stride), machine)
    run_more([kfree_request(0), kfree_request(cache.stride)], received, machine)
    assert list(cache.node[0].partial) == [0, 1]
    run_more([kmalloc_request(64)] * 3, received, machine)
    assert [*cache.node[0].partial] == [3]


def test_an_empty_slab_goes_back_when_the_node_has_enough():
    machine = with_debug("FU")
    cache = machine.cache(NAME)
    keep, count = cache.layout.min_partial - 1, 8  # the slab that goes back was one of min_partial itself
    received = run([kmalloc_request(64)] * (count * cache.stride), machine)
    run_more([kfree_request(number) for number in range(count * cache.stride)], received, machine)
    assert (cache.slabs, cache.reports) == (keep, [])
    assert cache.live() == 0


# The bytes.


def hexed(cache, obj, random=0):
    return "".join("??" if byte is None else f"{byte:02x}" for byte in slot_bytes(cache, 0, obj, random))


def test_every_byte_of_a_debugged_slot():
    machine = with_debug("FZPU")
    cache = machine.cache(NAME)
    run([kmalloc_request(64)], machine)
    free, used = hexed(cache, 1, None), hexed(cache, 0, None)
    after = (0xFFFF888000000000 + object_address(cache, 0, 2)).to_bytes(8, "little").hex()
    assert free == "bb" * 64 + "6b" * 63 + "a5" + "bb" * 8 + after + "??" * 72 + "5a" * 40
    assert used == "cc" * 64 + "6b" * 63 + "a5" + "cc" * 8 + "??" * 8 + "??" * 72 + "5a" * 40


def test_a_slot_without_debug_holds_a_pointer_in_the_middle_of_a_free_object():
    machine = slab_machine(16)
    cache = machine.cache(NAME)
    run([kmalloc_request(64)], machine)
    assert hexed(cache, 0) == "??" * 64
    assert hexed(cache, 1, None) == "??" * 32 + (0xFFFF888000000000 + 128).to_bytes(8, "little").hex() + "??" * 24
    swapped = (0xFFFF888000000000 + 64 + 32).to_bytes(8, "little")
    stored = (0xFFFF888000000080 ^ 77 ^ int.from_bytes(swapped, "big")).to_bytes(8, "little").hex()
    assert hexed(cache, 1, 77) == "??" * 32 + stored + "??" * 24
    last = cache.stride - 1
    assert hexed(cache, last, None) == "??" * 32 + "00" * 8 + "??" * 24
    assert hexed(cache, last, 77) != hexed(cache, last, None)


@given(st.integers(1, 300), st.sets(st.sampled_from("FZPU")), st.sampled_from(["6.1", "6.12", "7.x"]), st.booleans())
@settings(deadline=None)
def test_a_slot_is_as_long_as_it_is(size, letters, kernel, ctor):
    machine = slab_machine(64, kernel)
    cache = machine.kmem_cache_create("spoon", size, flags=slab_debug("".join(letters) or "-"), ctor=ctor)
    run([cache_request("kmem_cache_alloc", machine.names.index("spoon"))] * 2, machine)
    for slab in cache.numbers():
        for obj in range(cache.objects[slab]):
            values = slot_bytes(cache, slab, obj)
            assert len(values) == cache.layout.size
            named = {name: values[start:end] for name, start, end in slot_fields(cache.layout)}
            used = cache.next[slab * cache.stride + obj] == IN_USE
            for zone in ("left red zone", "right red zone"):
                assert set(named.get(zone, ())) <= {0xCC if used else 0xBB}


# Stray writes.


def test_a_write_inside_an_object_in_use_is_nobodys_business():
    machine = with_debug("")
    run([kmalloc_request(64), write_request(0, 64), kfree_request(0)], machine)
    assert machine.cache(NAME).stains == {}
    assert machine.cache(NAME).reports == []


def test_an_overflow_is_found_when_the_object_is_freed():
    machine = with_debug("FZ")
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64), write_request(0, 72), kfree_request(0)], machine)
    where = "0xffff888000000080-0xffff888000000087"
    assert cache.reports == [
        f"BUG kmalloc-64: Right Redzone overwritten. {where} @offset=128. First byte 0x41 instead of 0xcc",
        f"FIX kmalloc-64: Restoring Right Redzone {where}=0xcc",
        "FIX kmalloc-64: Object at 0xffff888000000040 not freed",
    ]
    assert cache.live() == 1
    run_more([kfree_request(0)], received, machine)  # the bytes are right again
    assert (cache.live(), len(cache.reports)) == (0, 3)


def test_red_zones_alone_are_not_looked_at():
    machine = with_debug("Z")
    cache = machine.cache(NAME)
    run([kmalloc_request(64), write_request(0, 72), kfree_request(0), kmalloc_request(64)], machine)
    assert (cache.reports, cache.stains) == ([], {})


def test_a_write_after_free_is_found_when_the_object_is_allocated():
    machine = with_debug("FP")
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64)] * 2 + [kfree_request(0), write_request(0, 4)], machine)
    assert cache.reports == []
    run_more([kmalloc_request(64)], received, machine)
    where = "0xffff888000000000-0xffff888000000003"
    assert cache.reports == [
        f"BUG kmalloc-64: Poison overwritten. {where} @offset=0. First byte 0x41 instead of 0x6b",
        f"FIX kmalloc-64: Restoring Poison {where}=0x6b",
        "FIX kmalloc-64: Marking all objects used",
    ]
    state = cache.slab(0)
    assert (state.place, state.inuse, state.live, state.freelist) == ("on no list", state.objects, 1, ())
    assert cache.next[: cache.stride].count(LOST) == state.objects - 1
    assert machine.object_at(received[-1])[1] != state.pfn  # out of another slab
    run_more([kfree_request(1)], received, machine)
    assert cache.reports[-2:] == [
        "BUG kmalloc-64: Slab disabled since SLUB metadata consistency check failed",
        "FIX kmalloc-64: Object at 0xffff888000000080 not freed",
    ]
    assert cache.slab(0).live == 1


def test_a_double_free_is_found():
    machine = with_debug("F")
    cache = machine.cache(NAME)
    run([kmalloc_request(64)] * 2 + [kfree_request(0)] * 2, machine)
    assert cache.reports == ["BUG kmalloc-64: Object already free", "FIX kmalloc-64: Object at 0xffff888000000000 not freed"]
    machine = with_debug("ZPU")
    with pytest.raises(ValueError, match="is free already"):
        run([kmalloc_request(64)] * 2 + [kfree_request(0)] * 2, machine)


def test_an_overflow_into_the_next_slot_meets_its_left_red_zone():
    machine = with_debug("FZ")
    cache = machine.cache(NAME)
    size = cache.layout.size
    received = run([kmalloc_request(64)] * 2 + [write_request(0, size - 64 + 1)], machine)
    run_more([kfree_request(1)], received, machine)
    assert cache.reports[0].startswith("BUG kmalloc-64: Left Redzone overwritten.")
    run_more([kfree_request(0)], received, machine)
    assert any("Right Redzone overwritten" in text for text in cache.reports)


def test_a_pointer_outside_the_object_is_checked_too():
    machine = with_debug("FP")
    cache = machine.cache(NAME)
    assert cache.layout.freeptr_outside
    run([kmalloc_request(64)] * 2 + [write_request(0, cache.layout.offset + 1), kfree_request(0)], machine)
    assert cache.reports[0] == "BUG kmalloc-64: Freepointer corrupt. Object 0xffff888000000000 @offset=0"
    assert cache.reports[-1] == "FIX kmalloc-64: Object at 0xffff888000000000 not freed"


def test_a_chain_that_leads_nowhere_is_found_by_the_next_free():
    """Without poison and red zones the pointer of a free object lies in it."""
    machine = with_debug("F")
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64)] * 3 + [kfree_request(0), write_request(0, 64)], machine)
    run_more([kfree_request(1)], received, machine)
    objects = cache.stride
    assert cache.reports == [
        "BUG kmalloc-64: Freechain corrupt. Object 0xffff888000000000",
        f"BUG kmalloc-64: Wrong object count. Counter is 2 but counted were {objects - 1}",
        "FIX kmalloc-64: Object count adjusted",
    ]
    assert (cache.slab(0).freelist, cache.slab(0).inuse) == ((1, 0), objects - 2)


def test_the_rest_of_a_slab_has_padding():
    machine = with_debug("FP")
    cache = machine.kmem_cache_create("spoon", 100)
    assert cache.layout.waste
    last = cache.stride - 1
    received = run([cache_request("kmem_cache_alloc", machine.names.index("spoon"))] * cache.stride, machine)
    run_more([write_request(last, 4096), kfree_request(0)], received, machine)
    end = cache.stride * cache.layout.size
    where = f"{0xFFFF888000000000 + end:#x}-{0xFFFF888000000FFF:#x}"
    assert f"BUG spoon: Padding overwritten. {where} @offset={end}" in cache.reports
    assert f"FIX spoon: Restoring slab padding {where}=0x5a" in cache.reports
    assert len(received) == cache.stride + 2
    assert cache.slab(0).freelist == (0,)  # the padding is put right, and the free goes on


def test_a_write_stops_at_the_end_of_the_slab():
    machine = slab_machine(16)
    cache = machine.cache(NAME)
    received = run([kmalloc_request(64)] * cache.stride, machine)
    run_more([write_request(cache.stride - 1, 500)], received, machine)
    assert cache.stains == {}


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_who_received_no_object_cannot_write(number):
    """Pages of kmalloc, nothing, an object whose slab is no more, and a request that was never made."""
    machine = slab_machine(64)
    received = run([kmalloc_request(20_000), kfree_request(0), kmalloc_request(64), kfree_request(2)], machine)
    run_more([cache_request("shrink", machine.names.index(NAME))], received, machine)
    before = machine.snapshot()
    with pytest.raises(ValueError, match=f"@{number} cannot be written to"):
        machine.apply(write_request(number, 8), received)
    assert machine.snapshot() == before


# Over everything.

MOVES = st.lists(st.tuples(st.sampled_from("aaafffwds"), st.integers(0, 999), st.integers(0, 400)), max_size=80)
LETTERS = st.sets(st.sampled_from("FZPU"), min_size=1).map("".join)


def play(machine, moves, size):
    requests, received, live, dead = [], [], [], []
    for verb, number, length in moves:
        if verb == "a":
            request = kmalloc_request(size)
        elif verb == "f" and live:
            dead.append(live.pop(number % len(live)))
            request = kfree_request(dead[-1])
        elif verb == "w" and live + dead:
            request = write_request((live + dead)[number % len(live + dead)], length)
        elif verb == "d" and dead and "F" in machine.letters:
            request = kfree_request(dead[number % len(dead)])
        else:
            request = cache_request("shrink", machine.names.index("kmalloc-192"))
        try:
            answer = machine.apply(request, received)
        except ValueError:
            continue
        requests.append(request)
        received.append(answer)
        machine.validate()
        if verb == "a" and answer not in (NOTHING, REFUSED):
            live.append(len(received) - 1)
    return requests


@given(LETTERS, MOVES, st.sampled_from([8, 64, 192]), st.sampled_from(["6.1", "6.12", "7.x"]))
@settings(max_examples=80, deadline=None)
def test_whatever_is_written_the_lists_hold(letters, moves, size, kernel):
    machine = with_debug(letters, kernel, 64)
    machine.letters = letters
    requests = play(machine, moves, size)
    tape = Tape(with_debug(letters, kernel, 64)).then(requests)
    for k in range(max(0, len(requests) - 12), len(requests)):
        acts, again = tape.acts(k), tape.at(k)
        again.redo(acts)
        assert again.snapshot() == tape.at(k + 1).snapshot()


@given(LETTERS, st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=80))
@settings(max_examples=40, deadline=None)
def test_nothing_is_found_where_nobody_writes(letters, moves):
    machine, received, live = with_debug(letters), [], []
    for alloc, number in moves:
        if alloc or not live:
            live.append(len(received))
            received.append(machine.apply(kmalloc_request(64), received))
        else:
            received.append(machine.apply(kfree_request(live.pop(number % len(live))), received))
    machine.validate()
    assert all(not cache.reports for cache in machine.caches)
    assert machine.cache(NAME).live() == len(live)


def test_what_a_check_finds_is_an_act():
    tape = Tape(with_debug("FP")).then([kmalloc_request(64), kfree_request(0), write_request(0, 4), kmalloc_request(64)])
    acts = tape.acts(3)
    assert len([act for act in acts if isinstance(act, Reported)]) == 3
    assert [act.obj for act in acts if isinstance(act, Lost)] == [-1]
