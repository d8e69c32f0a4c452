"""Runs to begin with: typed, named, or drawn from a seed."""

import random

from ..mm.machine import Machine, free_request, machine
from ..mm.units import to_pages
from .tape import Tape

MAX_PAGES = 1 << 24


def text(requests: str = "", pages: int | str = 16) -> Tape[Machine]:
    """Run typed requests on a machine whose memory is all free.

    Args:
        requests: as `pagelab.lab.request` reads them.
        pages: a number of pages, or a size such as "4 MiB"; up to 64 GiB.

    Returns:
        The tape.

    Raises:
        RequestError: a request cannot be read or done.
        ValueError: the size is no whole number of pages, or out of range.

    >>> text("alloc 0 x3; free @1", pages=16).at(4).zone.blocks(0, 1)
    [1, 3]
    """
    if to_pages(pages) > MAX_PAGES:
        raise ValueError(f"{pages} cannot be run here: give up to {MAX_PAGES:,} pages, which is 64 GiB")
    return Tape(machine(pages)).then(requests)


def even_then_odd(pages: int) -> Tape[Machine]:
    """Hand out every page, then free the even ones and then the odd ones, ascending.

    Args:
        pages: a number of pages.

    Returns:
        The tape; each odd page that comes back takes its buddy off the list of order 0.

    >>> tape = even_then_odd(16)
    >>> len(tape), tape.at(32).zone.blocks(4, 1)
    (32, [0])
    """
    tape = text(f"alloc 0 x{pages}", pages)
    order = [*range(0, pages, 2), *range(1, pages, 2)]
    return tape.then(map(free_request, order))


def some_free(free: list[int], pages: int = 16) -> Tape[Machine]:
    """Hand out every page one at a time, then free some in the order given.

    Args:
        free: pfns, each once.
        pages: a number of pages.

    Returns:
        The tape.

    Raises:
        ValueError: a pfn is outside or given twice.

    >>> some_free([12, 13, 5]).at(19).zone.counts()[:3]
    [1, 1, 0]
    """
    return text(f"alloc 0 x{pages}", pages).then(map(free_request, free))


def shuffled_frees(seed: int, count: int, pages: int = 16) -> Tape[Machine]:
    """Hand out every page, then free some, drawn from a seed.

    Args:
        seed: any integer; the same seed gives the same run.
        count: how many pages to free.
        pages: a number of pages.

    Returns:
        The tape.

    >>> shuffled_frees(1, 6).text == shuffled_frees(1, 6).text
    True
    """
    return some_free(random.Random(seed).sample(range(pages), count), pages)
