"""The kernel's two numbers of fragmentation, order by order, as a table in text."""

from collections.abc import Callable, Mapping

from ..mm.fragmentation import extfrag_index, unusable_free
from ..mm.units import NR_PAGE_ORDERS
from ..mm.zone import Zone

_NUMBERS: tuple[tuple[str, Callable[[Zone, int], float]], ...] = (
    ("unusable free space", unusable_free),
    ("fragmentation index", extfrag_index),
)


def fragmentation(zones: Mapping[str, Zone]) -> str:
    """Write unusable free space and fragmentation index of zones, as /sys/kernel/debug/extfrag has them.

    Args:
        zones: from a name to a zone.

    Returns:
        Lines of text: for each of the two numbers a line for each zone, with the orders 0..10 from the left.

    >>> from pagelab.mm.page_alloc import boot
    >>> print("\\n".join(line[:26] for line in fragmentation({"small": boot(16)}).splitlines()[-2:]))
    fragmentation index
    small -1.000 -1.000 -1.000
    """
    width, orders = max(len("order"), *map(len, zones)), range(NR_PAGE_ORDERS)
    lines = [f"{'order':{width}}" + "".join(f"{order:7}" for order in orders)]
    for what, number in _NUMBERS:
        lines.append(what)
        lines += [f"{name:{width}}" + "".join(f"{number(zone, order):7.3f}" for order in orders) for name, zone in zones.items()]
    return "\n".join(lines)
