"""Pages, orders and sizes: the numbers that the rest of the model is written in."""

import re

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
MAX_PAGE_ORDER = 10
NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1
MAX_ORDER_NR_PAGES = 1 << MAX_PAGE_ORDER
PAGEBLOCK_ORDER = 9
PAGEBLOCK_NR_PAGES = 1 << PAGEBLOCK_ORDER

_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_SIZE = re.compile(r"\s*(\d+)\s*(B|KiB|MiB|GiB|TiB)\s*\Z")


def parse_size(text: str) -> int:
    """Read a size such as "64 MiB".

    Args:
        text: a whole number and one of B, KiB, MiB, GiB, TiB.

    Returns:
        The size in bytes.

    Raises:
        ValueError: the text is not of that form.

    >>> parse_size("64 MiB")
    67108864
    """
    match = _SIZE.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a size: write a whole number and B, KiB, MiB, GiB or TiB, as in '64 MiB'")
    return int(match[1]) << _UNITS[match[2]]


def format_size(size: int) -> str:
    """Write a size in the largest unit that keeps it short.

    Args:
        size: bytes, 0 or more.

    Returns:
        The size with at most one decimal, which is left out when it is 0.

    Raises:
        ValueError: the size is negative.

    >>> format_size(4096), format_size(132444160), format_size(1 << 30)
    ('4 KiB', '126.3 MiB', '1 GiB')
    """
    if size < 0:
        raise ValueError(f"{size} is not a size: it must be 0 or more bytes")
    unit = next((u for u, shift in reversed(_UNITS.items()) if size >= 1 << shift), "B")
    return f"{size / (1 << _UNITS[unit]):.1f}".removesuffix(".0") + f" {unit}"


def to_pages(size: int | str) -> int:
    """Count the pages of a size.

    Args:
        size: a number of pages, or a text such as "64 MiB".

    Returns:
        The number of pages of 4,096 bytes.

    Raises:
        ValueError: the size is no whole number of pages.

    >>> to_pages("64 MiB"), to_pages(16)
    (16384, 16)
    """
    if isinstance(size, int):
        return size
    pages, rest = divmod(parse_size(size), PAGE_SIZE)
    if rest:
        raise ValueError(f"{size!r} is {rest} bytes more than {pages} pages: give a multiple of 4 KiB")
    return pages


def get_order(pages: int) -> int:
    """Find the smallest order whose block holds a number of pages.

    Args:
        pages: 1 or more.

    Returns:
        The order o with 2^o >= pages; 11 or more is too large for one block.

    Raises:
        ValueError: pages is less than 1.

    Source: get_order, include/asm-generic/getorder.h, 6.12.
    Unlike the kernel, the argument is pages and not bytes.

    >>> get_order(5), get_order(8)
    (3, 3)
    """
    if pages < 1:
        raise ValueError(f"{pages} pages have no order: ask for 1 or more")
    return (pages - 1).bit_length()
