"""The machine as a caller sees it: requests in, pfns out.

A request is one integer, so that a million of them are a few MiB. An allocation has its order in bits 0-3, its migratetype in bits 4-7, the
CPU in bits 8-15 and the node in bits 16-23. Bit 31 says free, bit 30 that the rest is the number of an earlier request and not a pfn.
"""

from collections.abc import Sequence

from .act import Act, Asked, Refused, Watched
from .page_alloc import boot, free_one_page, rmqueue_smallest
from .units import MAX_PAGE_ORDER, to_pages
from .zone import MIGRATETYPES, MOVABLE, Snapshot, Zone

FREE, REF = 1 << 31, 1 << 30
REFUSED, NOTHING = -1, -2


def alloc_request(order: int, mt: int = MOVABLE, cpu: int = 0, node: int = 0) -> int:
    """Write an allocation as a request.

    Args:
        order: 0..10.
        mt: migratetype, 0..5.
        cpu: 0..255.
        node: 0..255.

    Returns:
        The request.

    Raises:
        ValueError: a number is out of its range.

    >>> alloc_request(2), alloc_request(2, mt=0)
    (18, 2)
    """
    for name, value, end in (
        ("order", order, MAX_PAGE_ORDER + 1),
        ("migratetype", mt, len(MIGRATETYPES)),
        ("cpu", cpu, 256),
        ("node", node, 256),
    ):
        if not 0 <= value < end:
            raise ValueError(f"{name} {value} does not exist: give 0..{end - 1}")
    return order | mt << 4 | cpu << 8 | node << 16


def free_request(pfn: int) -> int:
    """Write the free of a pfn as a request.

    Args:
        pfn: 0 up to 2^30 - 1 (4 TiB).

    Returns:
        The request.

    Raises:
        ValueError: the pfn is out of that range.

    >>> hex(free_request(0x1234))
    '0x80001234'
    """
    if not 0 <= pfn < REF:
        raise ValueError(f"pfn {pfn} cannot be freed: pfns are 0..{REF - 1}")
    return FREE | pfn


def free_received(number: int) -> int:
    """Write the free of what an earlier request received as a request.

    Args:
        number: the number of that request, from 0.

    Returns:
        The request.

    Raises:
        ValueError: the number is out of range.

    >>> hex(free_received(1))
    '0xc0000001'
    """
    if not 0 <= number < REF:
        raise ValueError(f"@{number} names no request: numbers are 0..{REF - 1}")
    return FREE | REF | number


def _no_allocation(request: int) -> str:
    if not 0 <= request < FREE:
        return f"request {request} does not exist: a request is 32 bits"
    if request >> 8:
        return f"cpu {request >> 8 & 255} of node {request >> 16} does not exist: this machine has cpu 0 of node 0"
    return f"order {request & 15} of migratetype {request >> 4} does not exist: orders are 0..10, migratetypes 0..5"


_ALLOCATIONS = {order | mt << 4: (order, mt) for order in range(MAX_PAGE_ORDER + 1) for mt in range(len(MIGRATETYPES))}


class Machine:
    """A machine with one zone, which a tape can drive.

    Args:
        zone: its memory.

    >>> machine = Machine(boot(16))
    >>> machine.apply(alloc_request(0), []), machine.apply(free_received(0), [0]) == NOTHING
    (0, True)
    """

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def apply(self, request: int, received: Sequence[int]) -> int:
        """Do one request.

        Args:
            request: as `alloc_request`, `free_request` or `free_received` writes it.
            received: what each request before this one received.

        Returns:
            The pfn an allocation received or REFUSED; NOTHING for a free.

        Raises:
            ValueError: a free of what is not in use, or a CPU or node that the machine does not have; nothing changes.
        """
        zone = self.zone
        if allocation := _ALLOCATIONS.get(request):
            return rmqueue_smallest(zone, *allocation)
        if not FREE <= request < 2 * FREE:
            raise ValueError(_no_allocation(request))
        pfn = self.pfn_to_free(request, received) if request & REF else request ^ FREE
        order = zone.give(pfn)
        if order < 0:
            raise ValueError(f"cannot free pfn {pfn}: in zone {zone.name}, {zone.block(pfn)}")
        free_one_page(zone, pfn, order, zone.block_type(pfn))
        return NOTHING

    @staticmethod
    def pfn_to_free(request: int, received: Sequence[int]) -> int:
        """Return the pfn that a free names, by itself or through an earlier request.

        Raises:
            ValueError: the earlier request does not exist, was refused, or was a free.
        """
        number = request & REF - 1
        if not request & REF:
            return number
        if number >= len(received):
            raise ValueError(f"@{number} names no earlier request: there are {len(received)} so far, numbered from 0")
        if received[number] < 0:
            was = "was refused" if received[number] == REFUSED else "was a free"
            raise ValueError(f"@{number} cannot be freed: request {number} {was} and received no page")
        return received[number]

    def acts(self, request: int, received: Sequence[int]) -> list[Act]:
        """Do one request and return what happened, act by act; the first act is the request itself."""
        watched = Watched(self.zone)
        if allocation := _ALLOCATIONS.get(request):
            watched.acts.append(Asked("alloc", *allocation, -1))
        elif request >= FREE:
            pfn = self.pfn_to_free(request, received)
            watched.acts.append(Asked("free", self.zone.in_use(pfn), self.zone.block(pfn).mt, pfn))
        if Machine(watched).apply(request, received) == REFUSED:
            watched.acts.append(Refused(request & 15, request >> 4))
        return watched.acts

    def blank(self) -> "Machine":
        """Return a machine of the same shape, to be filled by `restore`."""
        zone = self.zone
        return Machine(type(zone)(zone.end_pfn - zone.start_pfn, zone.start_pfn, zone.name))

    def snapshot(self) -> Snapshot:
        """Return the whole state, small enough to keep by the hundred."""
        return self.zone.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back the state of a snapshot of a machine of the same shape."""
        self.zone.restore(snapshot)


def machine(pages: int | str) -> Machine:
    """Make a machine whose memory is all free.

    Args:
        pages: a number of pages, or a size such as "64 MiB".

    Returns:
        The machine.

    Raises:
        ValueError: the size is not a whole number of pages, or no page at all.

    >>> machine("4 MiB").zone.counts()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    return Machine(boot(to_pages(pages)))
