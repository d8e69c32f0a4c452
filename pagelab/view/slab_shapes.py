"""How large slabs are, by the number of CPUs: a slider, and a table that follows it."""

from collections.abc import Sequence

import ipywidgets as widgets

from ..mm.slab_common import KMALLOC_SIZES, kmalloc_index, kmalloc_layout, kmalloc_name
from ..mm.slab_layout import Layout, min_objects, slab_layout
from ..mm.units import PAGE_SIZE
from .panel import Panel
from .summary import plural
from .words import html_table

MOST_CPUS = 128
HEAD = ("objects", "order", "slab", "objects per slab", "left over")


class SlabShapes(Panel):
    """A slider of CPUs over a table of caches.

    Args:
        sizes: of objects, in bytes; those that kmalloc has are its caches.
        cpus: where the slider begins, 1..128.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Raises:
        ValueError: there are fewer or more CPUs, or a size or the kernel cannot be.
    """

    def __init__(self, sizes: Sequence[int], cpus: int = 1, kernel: str = "6.12") -> None:
        if not 1 <= cpus <= MOST_CPUS:
            raise ValueError(f"a machine with {cpus} CPUs cannot be shown here: give 1..{MOST_CPUS}")
        self.sizes, self.kernel = tuple(sizes), kernel
        self.slider = widgets.IntSlider(cpus, 1, MOST_CPUS, description="CPUs", layout=widgets.Layout(width="420px"))
        self.words, self.table = widgets.HTML(), widgets.HTML()
        self.words.add_class("pagelab-status")
        super().__init__([self.slider, self.words, self.table])
        self.slider.observe(lambda _: self._show(), "value")
        self._show()

    def _show(self) -> None:
        self.words.value = f'<div role="status" aria-live="polite">{wanted_line(self.slider.value)}</div>'
        self.table.value = html_table(
            f"Slabs on a machine with {plural(self.slider.value, 'CPU')}, kernel {self.kernel}", HEAD, self.rows()
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, a row for each size."""
        return [_row(size, self.slider.value, self.kernel) for size in self.sizes]

    def text(self) -> str:
        """Return the table in words."""
        return "\n".join([wanted_line(self.slider.value), *(f"{row[0]}: order {row[1]}, {row[3]} objects" for row in self.rows())])


def wanted_line(cpus: int) -> str:
    """Say how many objects a slab should hold at least.

    >>> wanted_line(8)
    '8 is 1000 in binary, 4 bits. A slab should hold 4 * (4 + 1) = 20 objects or more.'
    """
    bits = cpus.bit_length()
    return (
        f"{cpus} is {cpus:b} in binary, {plural(bits, 'bit')}. A slab should hold 4 * ({bits} + 1) = {min_objects(cpus)} objects or more."
    )


def layout_on(size: int, cpus: int, kernel: str = "6.12") -> tuple[str, Layout]:
    """Return the name and the layout of a cache: kmalloc's where it has one of this size.

    >>> name, layout = layout_on(256, 8)
    >>> name, layout.order, layout.objects
    ('kmalloc-256', 1, 32)
    """
    index = kmalloc_index(size) if size in KMALLOC_SIZES else None
    if index:
        return kmalloc_name(index), kmalloc_layout(index, kernel, cpus)
    return f"{size:,} bytes", slab_layout(size, cpus=cpus, kernel=kernel)


def _row(size: int, cpus: int, kernel: str) -> tuple[str, ...]:
    name, layout = layout_on(size, cpus, kernel)
    slab = PAGE_SIZE << layout.order
    left = f"{layout.waste:,} bytes, {100 * layout.waste / slab:.1f} %" if layout.waste else "nothing"
    return name, str(layout.order), f"{slab:,} bytes", str(layout.objects), left
