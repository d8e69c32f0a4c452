import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.units import PAGE_SIZE, format_size, get_order, parse_size, to_pages

SHIFTS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


@given(st.integers(0, 10**6), st.sampled_from(sorted(SHIFTS)), st.sampled_from(["", " ", "  "]))
def test_a_size_is_a_number_times_its_unit(number, unit, space):
    assert parse_size(f"{space}{number}{space}{unit}{space}") == number * 2 ** SHIFTS[unit]


@pytest.mark.parametrize("text", ["", "64", "MiB", "64 MB", "64 mib", "-1 MiB", "1.5 GiB", "64 MiB 3", "64 MiB\nx"])
def test_a_text_that_is_no_size_is_quoted(text):
    with pytest.raises(ValueError, match="is not a size") as error:
        parse_size(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (4 << 20, "4 MiB"),
        (16 << 30, "16 GiB"),
        (1 << 41, "2 TiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_a_size_is_written_in_its_largest_unit(size, text):
    assert format_size(size) == text


@given(st.integers(1, 1023), st.sampled_from(sorted(SHIFTS)))
def test_a_whole_size_is_read_back_as_written(number, unit):
    size = number << SHIFTS[unit]
    assert format_size(size) == f"{number} {unit}"
    assert parse_size(format_size(size)) == size


def test_a_negative_size_cannot_be_written():
    with pytest.raises(ValueError, match="-1 is not a size"):
        format_size(-1)


def test_pages_of_a_size():
    assert to_pages("1 GiB") == 262144
    assert to_pages("4 KiB") == to_pages(f"{PAGE_SIZE} B") == 1
    assert to_pages(17) == 17


def test_a_size_must_be_whole_pages():
    with pytest.raises(ValueError, match="'5 KiB' is 1024 bytes more than 1 pages"):
        to_pages("5 KiB")


@given(st.integers(1, 1 << 40))
def test_the_order_of_pages_is_the_smallest_that_holds_them(pages):
    order = get_order(pages)
    assert 2**order >= pages
    assert order == 0 or 2 ** (order - 1) < pages


@pytest.mark.parametrize("pages", [0, -4])
def test_no_pages_have_no_order(pages):
    with pytest.raises(ValueError, match=f"{pages} pages have no order"):
        get_order(pages)
