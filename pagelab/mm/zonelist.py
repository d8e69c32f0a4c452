"""Where a request may look: the zones of its node from the highest down, then those of the other nodes, each with its marks.

All of it is known before the request is made, so it is worked out once for each kind of request.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .call import Call
from .fallback import ALLOC_NOFRAGMENT
from .gfp import ZONE_DEVICE, ZONE_DMA32, ZONE_HIGHMEM, ZONE_NORMAL, Gfp, gfp_zone
from .pcp import pcp_allowed, pindex
from .watermark import ALLOC_HIGHATOMIC, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, Marks, Size, reserve_mark
from .zone import MIGRATE_PCPTYPES, MOVABLE

MODIFIER_BITS = (Gfp(0), Gfp.DMA, Gfp.DMA32, Gfp.HIGHMEM)


class Place(NamedTuple):
    """A zone as one request meets it.

    z is its index. The request needs more than `limit` free pages, which is mark + reserve and the pages of its block but one; with no more
    than `high`, the zone is below its high watermark. remote: the zone is on another node than the first one.
    """

    z: int
    mark: int
    reserve: int
    limit: int
    high: int
    remote: bool


class Plan(NamedTuple):
    """What is known of an allocation before it is made.

    at is the per-CPU list, or -1 where there is none. low and min are the places of the two passes, each with its flags.
    """

    order: int
    mt: int
    cpu: int
    at: int
    flags: int
    low: tuple[Place, ...]
    slow_flags: int
    min: tuple[Place, ...]


def zonelist(sizes: Sequence[Size], node: int, highest: int) -> list[int]:
    """Put the zones that a request may use in the order in which it tries them.

    Args:
        sizes: every zone of the machine.
        node: the node that the request prefers.
        highest: the highest zone type, as `gfp_zone` gives it.

    Returns:
        Indexes into sizes.

    Source: build_zonerefs_node, build_zonelists and find_next_best_node, mm/page_alloc.c, 6.12.
    Unlike the kernel, all other nodes are equally far away.

    >>> zonelist([Size(0, 0, 3840), Size(0, 1, 61_440), Size(1, 1, 65_536)], node=1, highest=2)
    [2, 1, 0]
    """
    nodes = 1 + max(size.node for size in sizes)
    usable = [z for z, size in enumerate(sizes) if size.kind <= highest and size.kind != ZONE_DEVICE]
    return sorted(usable, key=lambda z: ((sizes[z].node - node) % nodes, -sizes[z].kind))


def make_plan(call: Call, sizes: Sequence[Size], marks: Sequence[Marks], reserve: Sequence[Sequence[int]], pcp: bool) -> Plan:
    """Work out what is known of an allocation.

    Args:
        call: of verb "alloc".
        sizes: every zone of the machine.
        marks: the watermarks of each zone, or none for a machine without.
        reserve: what each zone keeps from requests of each highest zone.
        pcp: whether CPUs have lists of their own.

    Returns:
        The Plan.

    Source: prepare_alloc_pages, alloc_flags_nofragment and gfp_to_alloc_flags, mm/page_alloc.c, 6.12.

    >>> plan = make_plan(Call("alloc", 0), [Size(0, 2, 12_288)], [Marks(221, 276, 331, 386)], [[0] * 6], pcp=True)
    >>> plan.at, plan.low[0].limit, plan.min[0].limit
    (1, 276, 221)
    """
    order, mt = call.number, call.mt
    highmem = any(size.kind == ZONE_HIGHMEM for size in sizes)
    gfp = MODIFIER_BITS[call.modifier] | (Gfp.MOVABLE if mt == MOVABLE else 0)
    highest = gfp_zone(gfp, highmem)
    zones = zonelist(sizes, call.node, highest)
    at = pindex(order, mt) if pcp and pcp_allowed(order) and mt < MIGRATE_PCPTYPES else -1
    atomic = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK | (ALLOC_HIGHATOMIC if order else 0) if call.atomic and marks else 0

    def places(mark: str, flags: int) -> tuple[Place, ...]:
        found = []
        for z in zones:
            kept, spare = (reserve[z][highest], (1 << order) - 1) if marks else (0, 0)
            wanted, high = (reserve_mark(getattr(marks[z], name), flags) if marks else 0 for name in (mark, "high"))
            found.append(Place(z, wanted, kept, wanted + kept + spare, high + kept + spare, sizes[z].node != sizes[zones[0]].node))
        return tuple(found)

    again = places("min", atomic) if marks else ()
    return Plan(order, mt, call.cpu, at, _nofragment(sizes, zones, highmem), places("low", 0), atomic, again)


def _nofragment(sizes: Sequence[Size], zones: Sequence[int], highmem: bool) -> int:
    """Ask for no mixing of types at first, where memory below can serve instead: alloc_flags_nofragment."""
    if not zones or sizes[zones[0]].kind != ZONE_NORMAL or highmem:
        return 0
    node = sizes[zones[0]].node
    other_nodes = any(size.node != node for size in sizes)
    return ALLOC_NOFRAGMENT if not other_nodes or any(size[:2] == (node, ZONE_DMA32) for size in sizes) else 0
