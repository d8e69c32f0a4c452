"""A call as one integer: what is packed is what comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.call import (
    FREE,
    NUMBER_END,
    PFN_END,
    REF,
    Call,
    alloc_request,
    exact_request,
    free_received,
    free_request,
    other_request,
    unpack,
)

FOUR_BITS, NUMBERS = st.integers(0, 15), st.integers(0, NUMBER_END - 1)
OPTIONS = (FOUR_BITS, FOUR_BITS, st.integers(0, 3), st.booleans())


@given(st.integers(0, 10), st.integers(0, 5), *OPTIONS)
def test_an_allocation_packs_its_numbers(order, mt, cpu, node, modifier, atomic):
    request = alloc_request(order, mt, cpu, node, modifier, atomic)
    fields = [request >> shift & (1 << bits) - 1 for shift, bits in ((0, 4), (4, 4), (8, 4), (12, 4), (16, 3), (19, 1))]
    assert fields == [order, mt, cpu, node, modifier, atomic]
    assert request < 1 << 20
    assert unpack(request) == Call("alloc", order, mt, cpu, node, modifier, atomic)


@given(st.integers(1, 1024), st.integers(0, 2), *OPTIONS)
def test_an_allocation_of_so_many_pages_packs_its_numbers(pages, mt, cpu, node, modifier, atomic):
    request = exact_request(pages, mt, cpu, node, modifier, atomic)
    assert request >> 24 == 5
    assert unpack(request) == Call("alloc_exact", pages, mt, cpu, node, modifier, atomic)


@given(NUMBERS, FOUR_BITS)
def test_a_free_packs_a_pfn_or_the_number_of_a_request(number, cpu):
    assert free_request(number) == FREE | number
    assert free_received(number) == FREE | REF | number
    assert free_received(number, 15) < 1 << 32
    assert unpack(free_request(number, cpu)) == Call("free", number, cpu=cpu)
    assert unpack(free_received(number, cpu)) == Call("free", number, cpu=cpu, ref=True)


@given(st.sampled_from(["drain", "compact", "isolate", "unisolate"]), st.integers(0, PFN_END - 1))
def test_the_other_requests_pack_a_number(verb, number):
    assert unpack(other_request(verb, number)) == Call(verb, number)


@given(st.integers(0, (1 << 32) - 1))
def test_what_can_be_taken_apart_can_be_put_together(request):
    try:
        verb, number, mt, cpu, node, modifier, atomic, ref = unpack(request)
    except ValueError:
        return
    match verb:
        case "alloc":
            again = alloc_request(number, mt, cpu, node, modifier, atomic)
        case "alloc_exact":
            again = exact_request(number, mt, cpu, node, modifier, atomic)
        case "free":
            again = (free_received if ref else free_request)(number, cpu)
        case _:
            again = other_request(verb, number)
    assert again == request


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((11,), "order 11 does not exist: give 0..10"),
        ((-1,), "order -1 does not exist"),
        ((0, 6), "migratetype 6 does not exist: give 0..5"),
        ((0, 1, 16), "cpu 16 does not exist: give 0..15"),
        ((0, 1, 0, -1), "node -1 does not exist: give 0..15"),
        ((0, 1, 0, 0, 4), "zone modifier 4 does not exist: give 0..3"),
    ],
)
def test_an_allocation_that_does_not_exist(numbers, words):
    with pytest.raises(ValueError, match=words):
        alloc_request(*numbers)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (0, "0 pages cannot be allocated: ask for 1 or more"),
        (1025, "size 1025 does not exist: give 0..1024"),
        (-1, "size -1 does not exist"),
    ],
)
def test_so_many_pages_do_not_exist(pages, words):
    with pytest.raises(ValueError, match=words):
        exact_request(pages)


@pytest.mark.parametrize("number", [-1, 1 << 26])
def test_a_free_out_of_range(number):
    with pytest.raises(ValueError, match=f"pfn {number} cannot be freed: pfns are 0..67108863"):
        free_request(number)
    with pytest.raises(ValueError, match=f"@{number} names no request: numbers are 0..67108863"):
        free_received(number)
    for free in (free_request, free_received):
        with pytest.raises(ValueError, match="cpu 16 does not exist: give 0..15"):
            free(0, cpu=16)


@pytest.mark.parametrize(("verb", "number", "words"), [("alloc", 0, "'alloc' is no request"), ("isolate", 1 << 24, "number 16777216")])
def test_another_request_that_does_not_exist(verb, number, words):
    with pytest.raises(ValueError, match=words):
        other_request(verb, number)


@pytest.mark.parametrize("request_", [-1, 1 << 32, 0x1B, 0x1F, 0x60, 1 << 20, 4 << 16, 6 << 24, 5 << 24, 5 << 24 | 1025, 5 << 24 | 0x1801])
def test_what_no_call_is_written_like(request_):
    with pytest.raises(ValueError, match="does not exist"):
        unpack(request_)
