"""From a memory map to a machine: which zones there are, and what is handed over to the page allocator at boot."""

from collections.abc import Iterator, Sequence

from .gfp import ZONE_DMA, ZONE_DMA32, ZONE_HIGHMEM, ZONE_NAMES, ZONE_NORMAL
from .machine import Machine
from .page_alloc import hand_over
from .units import MAX_ORDER_NR_PAGES
from .watermark import Size, min_free_kbytes
from .zone import Zone

Range = tuple[int, int]
DMA_END, DMA32_END, LOWMEM_END = 16 << 8, 4096 << 8, 896 << 8  # 16 MiB, 4 GiB and 896 MiB
PFN_END = 1 << 26
ON_64_BIT = ((ZONE_DMA, 0, DMA_END), (ZONE_DMA32, DMA_END, DMA32_END), (ZONE_NORMAL, DMA32_END, PFN_END))
ON_32_BIT = ((ZONE_DMA, 0, DMA_END), (ZONE_NORMAL, DMA_END, LOWMEM_END), (ZONE_HIGHMEM, LOWMEM_END, PFN_END))


def boot_machine(
    *nodes: Sequence[Range],
    kernel: str = "6.12",
    cpus: int = 1,
    pcp: bool = True,
    kbytes: int | None = None,
    highmem: bool = False,
    movable: int = 0,
    device: Sequence[Range] = (),
) -> Machine:
    """Make a machine as x86 does at boot.

    Args:
        nodes: for each node the memory that is free at boot, as (start_pfn, end_pfn) pairs in ascending order, end excluded.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16.
        pcp: whether each CPU has lists of its own.
        kbytes: min_free_kbytes; None for what the kernel computes, 0 for no watermarks.
        highmem: whether it is a 32-bit machine: what lies above 896 MiB is zone HighMem, and there is no zone DMA32.
        movable: pages at the top of each node that are zone Movable.
        device: persistent memory, as pairs: zones Device on node 0, of which no page is ever handed over.

    Returns:
        The machine with every page of the ranges free.

    Raises:
        ValueError: there is no range, or ranges are not ascending, overlap, or reach beyond 256 GiB.

    Source: free_area_init and zone_spanned_pages_in_node, mm/mm_init.c, and free_low_memory_core_early, mm/memblock.c, 6.12.
    Unlike the kernel, the first node begins at pfn 1 whatever the map says, zone Movable is at most the same number of pages on each node,
    and no part of the hand-over is deferred.

    >>> machine = boot_machine([(256, 65_536)])
    >>> [(zone.name, zone.start_pfn, zone.managed) for zone in machine.zones], machine.zones[0].counts()
    ([('DMA', 1, 3840), ('DMA32', 4096, 61440)], [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3])
    """
    zones = [zone for node, ranges in enumerate(nodes) for zone in _zones(node, ranges, ON_32_BIT if highmem else ON_64_BIT, movable)]
    zones += [Zone(end - start, start, "Device") for start, end in device]
    if kbytes is None:
        kbytes = min_free_kbytes([Size(zone.node, ZONE_NAMES.index(zone.name), zone.managed) for zone in zones])
    return Machine(zones, kernel, cpus, pcp, kbytes)


def _zones(node: int, ranges: Sequence[Range], limits: Sequence[tuple[int, int, int]], movable: int) -> Iterator[Zone]:
    """Make the zones of one node and hand their pages over."""
    flat = [pfn for pair in ranges for pfn in pair]
    if not flat or flat != sorted(flat) or any(start == end for start, end in ranges) or not 0 <= flat[0] < flat[-1] <= PFN_END:
        raise ValueError(f"node {node} cannot have the memory {list(ranges)}: give (start, end) pairs, ascending, from 0 up to {PFN_END}")
    first, end = min(flat[0], 1) if node == 0 and flat[0] < DMA_END else flat[0], flat[-1]
    top = -(-(end - movable) // MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES if movable else end
    spans = [(ZONE_NAMES[kind], max(low, first), min(high, end, top)) for kind, low, high in limits]
    for name, low, high in [*spans, ("Movable", max(first, top), end)]:
        if low < high:
            zone = Zone(high - low, low, name, node)
            hand_over(zone, [(max(start, low), min(stop, high)) for start, stop in ranges if start < high and stop > low])
            yield zone
