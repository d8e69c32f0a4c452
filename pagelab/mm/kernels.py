"""What differs between kernel versions, chosen once: below a Kernel no code asks which version it is."""

from collections.abc import Callable
from typing import NamedTuple

from .gfp import ZONE_HIGHMEM, ZONE_MOVABLE
from .page_alloc import free_one_page, free_one_page_6_1
from .page_isolation import isolate, unisolate, unisolate_6_18
from .pcp import PCP_6_1, PCP_6_12, PcpRules
from .watermark import ALLOC_NON_BLOCK, free_highatomic, reserved_highatomic
from .zone import Zone


class Kernel(NamedTuple):
    """The rules of one version.

    kept: pages of a zone that only requests with reserves may count on. apart: zone types whose min watermark is their own matter.
    last_resort: what lets a request take a HIGHATOMIC block when all else fails. auto_tuned: per-CPU lists grow and shrink, and a zone
    remembers that it fell below its high watermark. strict: each free block is on the list of its pageblock's type.
    """

    pcp: PcpRules
    free_one_page: Callable[..., None]
    isolate: Callable[[Zone, int], bool]
    unisolate: Callable[[Zone, int], bool]
    kept: Callable[[Zone], int]
    apart: tuple[int, ...]
    last_resort: int
    auto_tuned: bool
    strict: bool


_APART = (ZONE_HIGHMEM, ZONE_MOVABLE)
_6_1 = Kernel(PCP_6_1, free_one_page_6_1, isolate, unisolate, reserved_highatomic, (ZONE_HIGHMEM,), 0, False, False)
_6_12 = Kernel(PCP_6_12, free_one_page, isolate, unisolate, free_highatomic, _APART, ALLOC_NON_BLOCK, True, True)
_6_18 = _6_12._replace(unisolate=unisolate_6_18)

KERNELS = {"6.1": _6_1, "6.12": _6_12, "6.18": _6_18, "7.x": _6_18}
