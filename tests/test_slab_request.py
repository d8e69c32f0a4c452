import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.lab.request import RequestError, parse, to_text
from pagelab.lab.scenario import slab
from pagelab.lab.tape import Tape
from pagelab.mm.call import alloc_request, free_received
from pagelab.mm.machine import machine
from pagelab.mm.slab_call import KFREE_NUMBER, cache_request, kfree_request, kmalloc_request, write_request
from pagelab.mm.slab_common import KMALLOC_MAX_SIZE

NAMES = ("kmalloc-8", "kmalloc-512", "cred", "Acpi-State", "x3", "cpu")
CPUS = st.integers(0, 15)
KMALLOCS = st.builds(kmalloc_request, st.integers(1, KMALLOC_MAX_SIZE), CPUS, st.integers(0, 3)) | st.builds(
    kmalloc_request, st.sampled_from([1, 512])
)
CACHES = st.integers(0, len(NAMES) - 1)
FROM_CACHES = st.builds(cache_request, st.just("kmem_cache_alloc"), CACHES, CPUS) | st.builds(cache_request, st.just("shrink"), CACHES)
FREES = st.builds(kfree_request, st.integers(0, KFREE_NUMBER), CPUS)
WRITES = st.builds(write_request, st.integers(0, 16_383), st.integers(0, 16_383))
PAGES = st.sampled_from([alloc_request(0), alloc_request(3, 0, 1), free_received(4)])
REQUESTS = KMALLOCS | FROM_CACHES | FREES | WRITES | PAGES


def packed(text):
    return [parsed.request for parsed in parse(text, NAMES)]


@given(st.lists(REQUESTS, max_size=30))
def test_what_is_printed_is_read_back(requests):
    assert packed(to_text(requests, NAMES)) == requests


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("kmalloc 512 x3", [kmalloc_request(512)] * 3),
        ("KMALLOC 0x60 account cpu 2", [kmalloc_request(96, 2, 3)]),
        ("kmalloc 1 cpu 1 x2 dma; kmalloc 4194304 reclaimable", [*[kmalloc_request(1, 1, 2)] * 2, kmalloc_request(1 << 22, 0, 1)]),
        ("kmem_cache_alloc Acpi-State x2 cpu 3", [cache_request("kmem_cache_alloc", 3, 3)] * 2),
        ("kmem_cache_alloc x3 x3; kmem_cache_alloc cpu cpu 1", [*[cache_request("kmem_cache_alloc", 4)] * 3, 0x20400005]),
        ("kfree @3 cpu 1; kmem_cache_free @0x10", [kfree_request(3, 1), kfree_request(16)]),
        ("kfree @4-6; kmem_cache_free @2-2 cpu 1", [*map(kfree_request, (4, 5, 6)), kfree_request(2, 1)]),
        ("shrink cred\nwrite @2 72", [cache_request("shrink", 2), write_request(2, 72)]),
        ("alloc 0; kmalloc 8; free @0", [alloc_request(0), kmalloc_request(8), free_received(0)]),
    ],
)
def test_reading(text, requests):
    assert packed(text) == requests


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("kmalloc 512 cpu 0; kmalloc 512; kmalloc 0x100", "kmalloc 512 x2; kmalloc 256"),
        ("kmalloc 8 cpu 1 dma", "kmalloc 8 dma cpu 1"),
        ("kmem_cache_free @1; kmem_cache_free @1 cpu 2", "kfree @1; kfree @1 cpu 2"),
        ("kmem_cache_alloc cred; kmem_cache_alloc cred", "kmem_cache_alloc cred x2"),
        ("shrink cred; shrink cred; write @0 9", "shrink cred; shrink cred; write @0 9"),
    ],
)
def test_printing_leaves_out_what_goes_without_saying(typed, printed):
    assert to_text(packed(typed), NAMES) == printed


def fails(do, marked, problem):
    """Check that an error says what it should, and points at the word between < and >."""
    start, end = marked.index("<"), marked.index(">") - 1
    with pytest.raises(RequestError) as error:
        do(marked.replace("<", "").replace(">", ""))
    assert problem in error.value.problem
    assert (error.value.start, error.value.end) == (start, end)


@pytest.mark.parametrize(
    ("marked", "problem"),
    [
        (
            "<kmaloc> 8",
            "'kmaloc' is no request: write alloc, free, drain, compact, isolate, unisolate, alloc_exact, kmalloc, kmem_cache_alloc, "
            "kfree, kmem_cache_free, shrink or write",
        ),
        ("kmalloc <0>", "0 bytes cannot be asked for: give 1..4194304"),
        ("kmalloc <4194305>", "a size of 4194305 does not exist: give 0..4194304"),
        ("kmalloc <big>", "'big' is not a number of bytes"),
        ("kmalloc 8 <movable>", "'movable' does not belong here: after the size come reclaimable, dma or account, cpu N or xN, each once"),
        ("kmalloc 8 dma <account>", "'account' does not belong here"),
        ("kmalloc 8 <normal>", "'normal' does not belong here"),
        ("kmalloc 8 cpu <16>", "cpu 16 does not exist: give 0..15"),
        ("alloc 0; kmem_cache_alloc <creds> x2", "'creds' is no cache of this machine: it has cred, and 5 more names"),
        ("kmem_cache_alloc <CRED>", "'CRED' is no cache of this machine: it has cpu, and 5 more names"),
        ("kmem_cache_alloc cred <dma>", "'dma' does not belong here: after the name come cpu N or xN, each once"),
        ("kfree <3>", "'3' is not @ and the number of a request"),
        ("kfree <@16777216>", "@16777216 does not exist: give 0..16777215"),
        ("kfree @1 <x2>", "'x2' does not belong here"),
        ("kfree @0; kfree <@7-1>", "'@7-1' cannot be read: write the lower number first, and up to 1,000,000 requests"),
        ("kfree <@0-16777216>", "'@0-16777216' cannot be read"),
        ("kfree <@0-1000000>", "up to 1,000,000 requests"),
        ("kfree <@4..@7> cpu 1", "'@4..@7' cannot be read: several requests are written as @4-6"),
        ("kfree <@4-@7>", "several requests are written as @4-6"),
        ("kfree <@4-7-9>", "several requests are written as @4-6"),
        ("kfree @4 <-> 7", "'-' does not belong here"),
        ("write <@4-6> 8", "'@4-6' is not @ and the number of a request"),
        ("shrink cred <cpu> 1", "'cpu' does not belong here"),
        ("write @0 <16384>", "a length of 16384 does not exist: give 0..16383"),
        ("write <@16384> 1", "@16384 does not exist: give 0..16383"),
    ],
)
def test_an_error_points_at_the_word(marked, problem):
    fails(packed, marked, problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kmalloc; alloc 0", "a number of bytes is missing here"),
        ("kmem_cache_alloc", "the name of a cache is missing here"),
        ("kfree; alloc 0", "@ and the number of a request is missing here"),
        ("write @0", "a number of bytes is missing here"),
    ],
)
def test_an_error_points_behind_the_last_word_when_one_is_missing(text, problem):
    with pytest.raises(RequestError) as error:
        packed(text)
    assert error.value.problem == problem
    assert error.value.start == len(text.split(";")[0])


def test_a_machine_without_caches_has_no_request_for_objects():
    fails(Tape(machine(16)).then, "alloc 0; <kmalloc> 8", "'kmalloc' is no request here: write alloc, free, drain, compact,")


@pytest.mark.parametrize(
    ("marked", "problem"),
    [
        ("kmalloc 8; kfree @0; kfree <@0>", ""),
        ("kmalloc 8 x4; kfree @2; kfree <@1-3> ", ""),
        ("kmalloc 8 x4; kfree <@2-4>", "@4 cannot be given to kfree: request 4 was no allocation of an object"),
        ("kmalloc 8 cpu <1>", "cpu 1"),
        ("kmalloc 8; kfree @0 cpu <2>", "cpu 2"),
        ("kmalloc 8; kfree <@1>", "@1 names no earlier request"),
        ("kmem_cache_alloc <cred> x2", "'cred' is no cache of this machine"),
    ],
)
def test_a_request_that_cannot_be_done_is_pointed_at(marked, problem):
    fails(slab().then, marked, problem)


def test_a_tape_reads_and_writes_the_names_of_its_machine():
    tape = slab("kmem_cache_alloc bio x2; kfree @1; shrink bio", caches={"cred": 184, "bio": 180})
    assert tape.text == "kmem_cache_alloc bio x2; kfree @1; shrink bio"
    assert tape.names[-2:] == ["cred", "bio"]
    machine = tape.at(2)
    assert [machine.object_at(word) for word in tape.received[:2]] == [("cred", 0, 0), ("cred", 0, 1)]


def test_a_range_of_frees_is_each_of_them():
    one_by_one = slab("kmalloc 512 x8; kfree @1; kfree @2; kfree @3; kfree @5 cpu 1", cpus=2)
    assert slab("kmalloc 512 x8; kfree @1-3; kfree @5-5 cpu 1", cpus=2).requests == one_by_one.requests


def test_what_a_task_does_not_allow_is_pointed_at():
    allowed = ["kmalloc", "kfree"]
    assert [parsed.request for parsed in parse("kmalloc 8; kmem_cache_free @0", NAMES, allowed)] == [kmalloc_request(8), kfree_request(0)]
    wrong = [
        ("kmalloc 8; <alloc> 0", "'alloc' is not allowed: this task allows only kmalloc and kfree"),
        ("kfree @0; <abc> 1", "'abc' is no request: write kmalloc or kfree"),
    ]
    for marked, problem in wrong:
        fails(lambda text: parse(text, NAMES, allowed), marked, problem)
    fails(lambda text: parse(text, NAMES, ["free"]), "<abc>", "'abc' is no request: write free")
