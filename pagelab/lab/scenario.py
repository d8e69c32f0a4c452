"""Runs to begin with: typed, named, or drawn from a seed."""

import random
from collections.abc import Container, Iterable, Mapping

from ..mm.boot import boot_machine
from ..mm.call import free_request
from ..mm.gfp import ZONE_NORMAL
from ..mm.machine import Machine, machine
from ..mm.slab_layout import slab_debug
from ..mm.slab_machine import SlabMachine, slab_machine
from ..mm.units import PAGEBLOCK_NR_PAGES, to_pages
from ..mm.watermark import Size, min_free_kbytes
from ..mm.zone import IN_USE, MOVABLE
from .tape import Tape

MAX_PAGES = 1 << 24


def text(
    requests: str = "", pages: int | str = 16, *, kernel: str = "6.12", cpus: int = 1, pcp: bool = False, min_free_kbytes: int = 0
) -> Tape[Machine]:
    """Run typed requests on a machine of one zone whose memory is all free.

    Args:
        requests: as `pagelab.lab.request` reads them.
        pages: a number of pages, or a size such as "4 MiB"; up to 64 GiB.
        kernel, cpus, pcp, min_free_kbytes: as `pagelab.mm.machine.machine` has them.

    Returns:
        The tape.

    Raises:
        RequestError: a request cannot be read or done.
        ValueError: the size is no whole number of pages, or out of range, or there can be no such machine.

    >>> text("alloc 0 x3; free @1", pages=16).at(4).zone.blocks(0, 1)
    [1, 3]
    >>> list(text("alloc 0; alloc 0 cpu 1; alloc 0", "48 MiB", cpus=2, pcp=True).received)
    [0, 3, 1]
    """
    if to_pages(pages) > MAX_PAGES:
        raise ValueError(f"{pages} cannot be run here: give up to {MAX_PAGES:,} pages, which is 64 GiB")
    return Tape(machine(pages, kernel, cpus, pcp, min_free_kbytes)).then(requests)


def slab(
    requests: str = "",
    pages: int | str = 64,
    *,
    kernel: str = "6.12",
    cpus: int = 1,
    pcp: bool = False,
    seed: int | None = None,
    debug: str = "-",
    caches: Mapping[str, int] | None = None,
) -> Tape[SlabMachine]:
    """Run typed requests on a machine with caches, of one zone whose memory is all free.

    Args:
        requests: as `pagelab.lab.request` reads them.
        pages: a number of pages, or a size such as "4 MiB"; up to 8 GiB.
        kernel, cpus, pcp, seed: as `pagelab.mm.slab_machine.slab_machine` has them.
        debug: letters of the boot parameter slab_debug, "-" for none.
        caches: more caches than those of kmalloc, from names to sizes of an object in bytes.

    Returns:
        The tape.

    Raises:
        RequestError: a request cannot be read or done.
        ValueError: there can be no such machine.

    >>> tape = slab("kmalloc 512 x9; kfree @3")
    >>> tape.text, tape.at(10).cache("kmalloc-512").slabs
    ('kmalloc 512 x9; kfree @3', 2)
    >>> slab("kmem_cache_alloc cred cpu 1", cpus=2, caches={"cred": 184}).text
    'kmem_cache_alloc cred cpu 1'
    """
    start = slab_machine(pages, kernel, cpus, pcp, slab_debug(debug), seed)
    for name, size in (caches or {}).items():
        start.kmem_cache_create(name, size)
    return Tape(start).then(requests)


def kfrees(numbers: Iterable[int]) -> str:
    """Write that what these requests received is freed.

    Args:
        numbers: of requests, in the order of the frees.

    Returns:
        The requests as text.

    >>> kfrees([0, 2]), slab("kmalloc 512 x3; " + kfrees(range(3))).at(6).cache("kmalloc-512").live()
    ('kfree @0; kfree @2', 0)
    """
    return "; ".join(f"kfree @{number}" for number in numbers)


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


def one_zone(requests: str = "", pages: int | str = "48 MiB", kernel: str = "6.12", cpus: int = 1, pcp: bool = True) -> Tape[Machine]:
    """Run typed requests on one zone as a kernel keeps it: with watermarks, and lists for each CPU.

    Args:
        requests: as `pagelab.lab.request` reads them.
        pages: a number of pages, or a size.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16.
        pcp: False for watermarks alone.

    Returns:
        The tape.

    Raises:
        RequestError: a request cannot be read or done.
        ValueError: there can be no such machine.

    >>> one_zone("alloc 0").at(1).free, one_zone("alloc 0", pcp=False).at(1).free
    ([12285], [12287])
    """
    kbytes = min_free_kbytes([Size(0, ZONE_NORMAL, to_pages(pages))])
    return text(requests, pages, kernel=kernel, cpus=cpus, pcp=pcp, min_free_kbytes=kbytes)


def two_zones(requests: str = "", pages: int | str = "256 MiB", kernel: str = "6.12", cpus: int = 1, pcp: bool = True) -> Tape[Machine]:
    """Run typed requests on a machine as x86-64 boots it: zone DMA, and zone DMA32 above it.

    Args:
        requests: as `pagelab.lab.request` reads them.
        pages: a number of pages, or a size; up to 4 GiB for two zones.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16.
        pcp: False for watermarks alone.

    Returns:
        The tape.

    Raises:
        RequestError: a request cannot be read or done.
        ValueError: there can be no such machine.

    >>> [(zone.name, zone.managed) for zone in two_zones().at(0).zones]
    [('DMA', 3840), ('DMA32', 61440)]
    """
    return Tape(boot_machine([(256, to_pages(pages))], kernel=kernel, cpus=cpus, pcp=pcp)).then(requests)


def on_kernel(tape: Tape[Machine], kernel: str) -> Tape[Machine]:
    """Run the requests of a tape on another kernel.

    Args:
        tape: any tape of a machine.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Returns:
        The tape.

    Raises:
        ValueError: a request cannot be done there.

    >>> tape = text("alloc 0 x300; alloc 0 unmovable", pages=512)
    >>> [one.at(301).zone.blocks(0, 0) for one in (on_kernel(tape, "6.1"), tape)]
    [[301], []]
    """
    return tape.under(tape.at(0).under(kernel))


def give_back(tape: Tape[Machine], keep: Container[int] = ()) -> Tape[Machine]:
    """Free every block in use that was allocated as movable, ascending.

    Args:
        tape: any tape of a machine.
        keep: heads of blocks that stay in use.

    Returns:
        The tape.

    >>> give_back(text("alloc 0 unmovable; alloc 0 x15")).at(31).zone.counts()[:5]
    [1, 1, 1, 1, 0]
    """
    zones = tape.at(len(tape)).zones
    blocks = (block for zone in zones for start in range(zone.base, zone.end_pfn, PAGEBLOCK_NR_PAGES) for block in zone.pageblock(start))
    return tape.then([free_request(head) for head, state in blocks if state & 0xF0 == IN_USE | MOVABLE << 4 and head not in keep])
