"""A call of the page allocator as one integer of 32 bits, so that a million of them are a few MiB.

alloc         order in bits 0-3, migratetype 4-7, CPU 8-11, node 12-15, zone modifier 16-18, atomic 19
free          bit 31, the CPU in bits 26-29, a pfn in bits 0-25; with bit 30, the number of an earlier request instead of a pfn
alloc_exact   5 in bits 24-27, pages in bits 0-10, migratetype 11-12, CPU 13-16, node 17-20, zone modifier 21-22, atomic 23
the others    1 drain, 2 compact, 3 isolate, 4 unisolate in bits 24-27 and a number in bits 0-23
"""

from typing import NamedTuple

from .units import MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER
from .zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE

FREE, REF = 1 << 31, 1 << 30
NUMBER_END, PFN_END = 1 << 26, 1 << 24
MODIFIERS = ("", "dma", "dma32", "highmem")
VERBS = ("alloc", "drain", "compact", "isolate", "unisolate", "alloc_exact")
_EXACT = VERBS.index("alloc_exact")


class Call(NamedTuple):
    """A request taken apart.

    verb is "free" or one of VERBS. number is the order of an alloc, the pages of an alloc_exact, the pfn of a free, isolate or unisolate,
    and the CPU of a drain plus 1, or 0 for all of them. ref: number is that of an earlier request. modifier: 0 none, 1 DMA, 2 DMA32,
    3 HIGHMEM. atomic: the caller may not wait and may use reserves (GFP_ATOMIC).
    """

    verb: str
    number: int = 0
    mt: int = MOVABLE
    cpu: int = 0
    node: int = 0
    modifier: int = 0
    atomic: bool = False
    ref: bool = False


def alloc_request(order: int, mt: int = MOVABLE, cpu: int = 0, node: int = 0, modifier: int = 0, atomic: bool = False) -> int:
    """Write an allocation as a request.

    Args:
        order: 0..10.
        mt: migratetype, 0..5.
        cpu: 0..15, the CPU that asks.
        node: 0..15, the node that it prefers.
        modifier: 0 for none, 1 DMA, 2 DMA32, 3 HIGHMEM.
        atomic: whether the caller may not wait, and may use reserves.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> alloc_request(2), alloc_request(2, mt=0)
    (18, 2)
    """
    check_ranges(("order", order, MAX_PAGE_ORDER + 1), ("migratetype", mt, len(MIGRATETYPES)), *_options(cpu, node, modifier))
    return order | mt << 4 | cpu << 8 | node << 12 | modifier << 16 | atomic << 19


def exact_request(pages: int, mt: int = MOVABLE, cpu: int = 0, node: int = 0, modifier: int = 0, atomic: bool = False) -> int:
    """Write an allocation of any number of pages as a request.

    Args:
        pages: 1..1024.
        mt: migratetype, 0..2.
        cpu: 0..15.
        node: 0..15.
        modifier: 0 for none, 1 DMA, 2 DMA32, 3 HIGHMEM.
        atomic: whether the caller may not wait.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> hex(exact_request(5))
    '0x5000805'
    """
    if pages == 0:
        raise ValueError("0 pages cannot be allocated: ask for 1 or more")
    check_ranges(("size", pages, MAX_ORDER_NR_PAGES + 1), ("migratetype", mt, MIGRATE_PCPTYPES), *_options(cpu, node, modifier))
    return pages | mt << 11 | cpu << 13 | node << 17 | modifier << 21 | atomic << 23 | _EXACT << 24


def free_request(pfn: int, cpu: int = 0) -> int:
    """Write the free of a pfn as a request.

    Args:
        pfn: 0 up to 2^26 - 1 (256 GiB).
        cpu: 0..15, the CPU that frees.

    Returns:
        The request.

    Raises:
        ValueError: the pfn or the CPU is out of its range.

    >>> hex(free_request(0x1234))
    '0x80001234'
    """
    if not 0 <= pfn < NUMBER_END:
        raise ValueError(f"pfn {pfn} cannot be freed: pfns are 0..{NUMBER_END - 1}")
    check_ranges(("cpu", cpu, 16))
    return FREE | pfn | cpu << 26


def free_received(number: int, cpu: int = 0) -> int:
    """Write the free of what an earlier request received as a request.

    Args:
        number: the number of that request, from 0.
        cpu: 0..15, the CPU that frees.

    Returns:
        The request.

    Raises:
        ValueError: the number or the CPU is out of its range.

    >>> hex(free_received(1))
    '0xc0000001'
    """
    if not 0 <= number < NUMBER_END:
        raise ValueError(f"@{number} names no request: numbers are 0..{NUMBER_END - 1}")
    check_ranges(("cpu", cpu, 16))
    return FREE | REF | number | cpu << 26


def other_request(verb: str, number: int = 0) -> int:
    """Write a drain, a compaction, an isolation or its end as a request.

    Args:
        verb: "drain", "compact", "isolate" or "unisolate".
        number: a pfn for the last two; for a drain the CPU plus 1, or 0 for all CPUs.

    Returns:
        The request.

    Raises:
        ValueError: the verb does not exist, or the number is out of range.

    >>> hex(other_request("isolate", 512))
    '0x3000200'
    """
    if verb not in VERBS[1:_EXACT]:
        raise ValueError(f"{verb!r} is no request: give {', '.join(VERBS[1:_EXACT])}")
    check_ranges(("number", number, PFN_END))
    return VERBS.index(verb) << 24 | number


def unpack(request: int) -> Call:
    """Take a request apart.

    Args:
        request: a packed request.

    Returns:
        The Call.

    Raises:
        ValueError: no call is written like this.

    >>> unpack(exact_request(5, cpu=2))
    Call(verb='alloc_exact', number=5, mt=1, cpu=2, node=0, modifier=0, atomic=False, ref=False)
    """
    if not 0 <= request < 2 * FREE:
        raise ValueError(f"request {request} does not exist: a request is 32 bits")
    if request & FREE:
        return Call("free", request & NUMBER_END - 1, cpu=request >> 26 & 15, ref=bool(request & REF))
    verb = request >> 24
    if verb == 0:
        call = Call("alloc", request & 15, request >> 4 & 15, request >> 8 & 15, request >> 12 & 15, request >> 16 & 7, bool(request >> 19))
        known = call.number <= MAX_PAGE_ORDER and call.mt < len(MIGRATETYPES) and call.modifier < len(MODIFIERS) and not request >> 20
    elif verb == _EXACT:
        pages, mt, cpu, node = request & 2047, request >> 11 & 3, request >> 13 & 15, request >> 17 & 15
        call = Call("alloc_exact", pages, mt, cpu, node, request >> 21 & 3, bool(request >> 23 & 1))
        known = 1 <= call.number <= MAX_ORDER_NR_PAGES and call.mt < MIGRATE_PCPTYPES
    else:
        known = verb < _EXACT
        call = Call(VERBS[verb] if known else "", request & PFN_END - 1)
    if not known:
        raise ValueError(f"request {request:#x} does not exist: orders are 0..10, migratetypes 0..5")
    return call


def _options(cpu: int, node: int, modifier: int) -> tuple[tuple[str, int, int], ...]:
    return ("cpu", cpu, 16), ("node", node, 16), ("zone modifier", modifier, len(MODIFIERS))


def check_ranges(*numbers: tuple[str, int, int]) -> None:
    """Check numbers of a request.

    Args:
        numbers: for each its name, its value, and the first value that is too large.

    Raises:
        ValueError: one is below 0 or too large.

    >>> check_ranges(("cpu", 3, 16), ("node", 16, 16))
    Traceback (most recent call last):
    ValueError: node 16 does not exist: give 0..15
    """
    for name, value, end in numbers:
        if not 0 <= value < end:
            raise ValueError(f"{name} {value} does not exist: give 0..{end - 1}")
