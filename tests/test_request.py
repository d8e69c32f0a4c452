import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.lab.request import MAX_REPEAT, RequestError, parse, to_text
from pagelab.lab.tape import Tape
from pagelab.mm.call import NUMBER_END, PFN_END, alloc_request, exact_request, free_received, free_request, other_request
from pagelab.mm.machine import machine
from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE

FOUR_BITS, NUMBERS = st.integers(0, 15), st.integers(0, NUMBER_END - 1)
OPTIONS = (st.integers(0, 2), FOUR_BITS, FOUR_BITS, st.integers(0, 3), st.booleans())
ALLOCS = st.builds(alloc_request, st.integers(0, 10), *OPTIONS) | st.builds(exact_request, st.integers(1, 1024), *OPTIONS)
OTHERS = st.builds(other_request, st.sampled_from(["isolate", "unisolate"]), st.integers(0, PFN_END - 1)) | st.builds(
    other_request, st.just("drain"), st.integers(0, 16)
)
FREES = st.builds(free_request, NUMBERS, FOUR_BITS) | st.builds(free_received, NUMBERS, FOUR_BITS)
REQUESTS = ALLOCS | st.builds(alloc_request, st.integers(0, 2)) | FREES | OTHERS | st.just(other_request("compact"))


def packed(text):
    return [parsed.request for parsed in parse(text)]


@given(st.lists(REQUESTS | st.sampled_from([alloc_request(0), free_received(1)]), max_size=30))
def test_what_is_printed_is_read_back(requests):
    assert packed(to_text(requests)) == requests
    assert to_text(packed(to_text(requests))) == to_text(requests)


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("", []),
        (" ; ;\n ", []),
        ("alloc 0", [alloc_request(0)]),
        ("alloc 10 unmovable", [alloc_request(10, UNMOVABLE)]),
        ("  ALLOC  0x2 Reclaimable ;", [alloc_request(2, RECLAIMABLE)]),
        ("alloc 1 node 3 cpu 2 movable", [alloc_request(1, MOVABLE, 2, 3)]),
        ("alloc 0 x2 unmovable", [alloc_request(0, UNMOVABLE)] * 2),
        ("alloc 0 x3; free @1", [alloc_request(0)] * 3 + [free_received(1)]),
        ("free 0x1F\nfree 31", [free_request(31)] * 2),
        ("alloc 0 x16", [alloc_request(0)] * 16),
        ("alloc 3 ATOMIC unmovable dma32", [alloc_request(3, UNMOVABLE, modifier=2, atomic=True)]),
        ("alloc 0 dma; alloc 0 highmem cpu 1", [alloc_request(0, modifier=1), alloc_request(0, cpu=1, modifier=3)]),
        ("alloc_exact 5 cpu 2 x2", [exact_request(5, cpu=2)] * 2),
        ("free 3 cpu 1; free @3 cpu 0xf", [free_request(3, 1), free_received(3, 15)]),
        ("drain; drain cpu 0; drain cpu 3", [other_request("drain", number) for number in (0, 1, 4)]),
        (
            "compact; isolate 0x200\nunisolate 512",
            [other_request("compact"), other_request("isolate", 512), other_request("unisolate", 512)],
        ),
    ],
)
def test_reading(text, requests):
    assert packed(text) == requests


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("alloc 0 movable cpu 0 node 0", "alloc 0"),
        ("alloc 0; alloc 0; alloc 0 unmovable; alloc 0", "alloc 0 x2; alloc 0 unmovable; alloc 0"),
        ("alloc 2 node 1 cpu 3 reclaimable x2", "alloc 2 reclaimable cpu 3 node 1 x2"),
        ("free 0x10; free 16; free @0x2", "free 16; free 16; free @2"),
        ("alloc 1 x2 node 1 atomic cpu 2 dma movable", "alloc 1 dma atomic cpu 2 node 1 x2"),
        ("alloc_exact 5; alloc_exact 5; free @0 cpu 0; free 7 cpu 2", "alloc_exact 5 x2; free @0; free 7 cpu 2"),
        ("drain; drain; drain cpu 0; compact; isolate 0x10", "drain; drain; drain cpu 0; compact; isolate 16"),
    ],
)
def test_printing_leaves_out_what_goes_without_saying(typed, printed):
    assert to_text(packed(typed)) == printed


def test_each_request_knows_its_place():
    text = "alloc 0 x2;\n free @1; drain; drain cpu 3; compact; isolate 512; alloc_exact 5; alloc 0 cpu 1; free 3 cpu 2"
    places = ["0", "0", "@1", "drain", "3", "compact", "512", "5", "1", "2"]
    assert [text[p.start : p.end] for p in parse(text)] == places


def fails(do, marked, problem):
    """Check that an error says what it should, and points at the word between < and >."""
    start, end = marked.index("<"), marked.index(">") - 1
    text = marked.replace("<", "").replace(">", "")
    with pytest.raises(RequestError) as error:
        do(text)
    assert problem in error.value.problem
    assert (error.value.text, error.value.start, error.value.end) == (text, start, end)


@pytest.mark.parametrize(
    ("marked", "problem"),
    [
        ("alloc 0; <aloc> 1", "'aloc' is no request: write alloc, free, drain, compact, isolate, unisolate or alloc_exact"),
        ("<0>", "'0' is no request"),
        ("alloc <x>", "'x' is not an order (0..10)"),
        ("alloc <-1>", "'-1' is not an order (0..10)"),
        ("alloc <11>", "order 11 does not exist: give 0..10"),
        ("free @0; alloc <99> x3", "order 99 does not exist: give 0..10"),
        ("alloc 0 <movabel>", "'movabel' does not belong here"),
        ("alloc 0 <highatomic>", "'highatomic' does not belong here"),
        ("alloc 0 <1>", "'1' does not belong here"),
        ("alloc 0 cpu <x2>", "'x2' is not a cpu"),
        ("alloc 0 node <one>", "'one' is not a node"),
        ("alloc 0 cpu <16>", "cpu 16 does not exist: give 0..15"),
        ("alloc 0 cpu 1 node <300> x2", "node 300 does not exist: give 0..15"),
        ("alloc 0 dma <dma32>", "'dma32' does not belong here: after the order come a migratetype, dma, dma32 or highmem, atomic, cpu N"),
        ("alloc 0 atomic <atomic>", "'atomic' does not belong here"),
        ("alloc 0 <normal>", "'normal' does not belong here"),
        ("alloc_exact <0>", "0 pages cannot be asked for: give 1..1024"),
        ("alloc_exact <1025>", "a size of 1025 does not exist: give 0..1024"),
        ("alloc_exact <five>", "'five' is not a number of pages"),
        ("alloc_exact 5 <4>", "'4' does not belong here: after the pages come a migratetype"),
        ("drain <1>", "'1' does not belong here"),
        ("drain cpu <x>", "'x' is not a cpu"),
        ("compact <1>", "'1' does not belong here"),
        ("isolate <@0>", "'@0' is not a pfn"),
        ("unisolate <16777216>", "pfn 16777216 does not exist: give 0..16777215"),
        ("free 1 cpu <16>", "cpu 16 does not exist: give 0..15"),
        ("alloc 0 <x0>", "'x0' must be from x1 to x1000000"),
        ("alloc 0 <x1000001>", "'x1000001' must be from x1 to x1000000"),
        (f"alloc 0 <x{'9' * 5000}>", "must be from x1 to x1000000"),
        (f"alloc <{'9' * 5000}>", "is not an order (0..10)"),
        ("free <here>", "'here' is not a pfn"),
        ("free <@>", "'@' is not @ and the number of a request"),
        ("free <@x>", "'@x' is not @ and the number of a request"),
        ("free <0xg>", "'0xg' is not a pfn"),
        ("free <²>", "'²' is not a pfn"),
        ("free <1.5>", "'1.5' is not a pfn"),
        ("free <67108864>", "pfn 67108864 does not exist: give 0..67108863"),
        ("free <@67108864>", "@67108864 does not exist: give 0..67108863"),
        ("free 1 <2>", "'2' does not belong here"),
        ("free 1 <x2>", "'x2' does not belong here"),
        ("free <@3-1>", "'@3-1' cannot be read: write the lower number first"),
        ("free <@1..3>", "'@1..3' cannot be read: several requests are written as @4-6"),
    ],
)
def test_an_error_points_at_the_word(marked, problem):
    fails(parse, marked, problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alloc", "an order (0..10) is missing here"),
        ("free; alloc 0", "a pfn, or @ and the number of a request is missing here"),
        ("alloc 0 cpu; alloc 1", "a cpu is missing here"),
        ("alloc 0 x2 node", "a node is missing here"),
        ("alloc_exact; drain", "a number of pages is missing here"),
        ("isolate; drain", "a pfn is missing here"),
        ("drain cpu; drain", "a cpu is missing here"),
    ],
)
def test_an_error_points_behind_the_last_word_when_one_is_missing(text, problem):
    with pytest.raises(RequestError) as error:
        parse(text)
    assert error.value.problem == problem
    assert error.value.start == len(text.split(";")[0])


def test_an_error_shows_its_line_and_marks_the_word():
    with pytest.raises(RequestError) as error:
        parse("alloc 0\n  alloc 0; alloc wide; free 1\nfree 2")
    assert str(error.value).splitlines() == [
        "'wide' is not an order (0..10)",
        "    alloc 0; alloc wide; free 1",
        "                   ^^^^",
    ]


def test_too_many_requests_in_one_text():
    assert len(parse(f"alloc 0 x{MAX_REPEAT}")) == MAX_REPEAT
    with pytest.raises(RequestError, match="more than 1,000,000 requests"):
        parse(f"alloc 0 x{MAX_REPEAT}; free @0")


WORDS = [
    "alloc",
    "free",
    "drain",
    "compact",
    "isolate",
    "alloc_exact",
    "dma",
    "atomic",
    "0",
    "11",
    "x2",
    "x",
    "@0",
    "@",
    "@0-2",
    "@2-0",
    "cpu",
    "node",
    "movable",
    "0x",
    "0x1",
    "²",
    "-1",
    "1_0",
]


@given(st.lists(st.sampled_from([*WORDS, *";;;\n"]) | st.text(max_size=3), max_size=12).map(" ".join))
def test_any_text_is_read_or_pointed_into(text):
    error = None
    try:
        requests = packed(text)
    except RequestError as caught:
        error = caught
    if error:
        pointed = text[error.start : error.end]
        assert 0 <= error.start < error.end <= len(text) + 1
        assert pointed in ("", ";") or pointed.isspace() or pointed.split() == [pointed]
    else:
        assert packed(to_text(requests)) == requests


@pytest.mark.parametrize(
    ("marked", "problem"),
    [
        ("alloc 4; alloc 0; free <@1>", "@1 cannot be freed: request 1 was refused and received no page"),
        ("alloc 0; free @0; free <@1>", "@1 cannot be freed: request 1 was no allocation and received no page"),
        ("alloc 0 x2; free <@2>; alloc 0", "@2 names no earlier request: there are 2 so far, numbered from 0"),
        ("alloc 0; free <@1>", "@1 names no earlier request: there are 1 so far"),
        ("alloc 0; free @0;\nfree <@0>", "cannot free pfn 0: in zone Normal, a block of order 4 at 0 is free"),
        ("alloc 1; free <1>", "cannot free pfn 1: in zone Normal, a block of order 1 at 0 is in use"),
        ("alloc 0; free <0x10>", "cannot free pfn 16: in zone Normal, no page of this zone is at 16"),
        ("alloc 0 x2; alloc 1 unmovable cpu <3>", "cpu 3 of node 0 does not exist"),
        ("alloc 0; alloc 1 node <2> x2", "cpu 0 of node 2 does not exist"),
        ("alloc 0; free 0 cpu <2>", "cpu 2 of node 0 does not exist: this machine has cpu 0 and node 0"),
        ("drain cpu <2>", "cpu 2 of node 0 does not exist: this machine has cpu 0 and node 0"),
        ("compact; free <@0>", "request 0 was no allocation"),
    ],
)
def test_a_request_that_cannot_be_done_is_pointed_at(marked, problem):
    fails(Tape(machine(16)).then, marked, problem)
