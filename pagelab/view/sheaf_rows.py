"""The sheaves of a cache as rows: the main and the spare sheaf of each CPU, and the full ones in a node's barn. No bokeh here."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..mm.sheaf_act import BarnGiven, BarnTaken, Flushed, Refilled, Rested, SheafAdded, SheafSwapped
from ..mm.slab import KmemCache

Row = tuple[int, int]  # a place of slab.py, or one of these, and whose list it is
SHEAVES, BARN = 8, 9


class Bar(NamedTuple):
    """A slab on a list: its first page, how many objects it has, how many are in use, and the mark of an Entry.

    resting: how many wait in sheaves. free: how many are on freelists.
    Or a sheaf: pfn is -1, and live are the objects that wait in it; name is "main", "spare" or "full".
    """

    pfn: int
    objects: int
    live: int
    mark: str
    name: str = ""
    resting: int = 0
    free: int = 0


class ListRow(NamedTuple):
    """One list as it is shown, head first; looked: what was found there when it was looked at, or ""."""

    at: Row
    name: str
    note: str
    bars: list[Bar]
    looked: str


def sheaf_rows(cache: KmemCache, act: Any, cpus: Iterable[int]) -> list[ListRow]:
    """Return the sheaves of the CPUs named, and those in barns; nothing for a cache without sheaves.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64, "7.x")
    >>> word = machine.apply(kmalloc_request(512), [])
    >>> [[(bar.name, bar.live, bar.objects) for bar in row.bars] for row in sheaf_rows(machine.cache("kmalloc-512"), None, [0])]
    [[('main', 27, 28), ('spare', 0, 28)], []]
    """
    sheaves, rows = cache.sheaves, list[ListRow]()
    if not sheaves.capacity:
        return rows
    size = sheaves.capacity
    for cpu in cpus:
        c = sheaves.cpu[cpu]
        bars = [Bar(-1, size, len(c.main), _mark(act, "main", cpu), "main")]
        bars += [Bar(-1, size, len(c.spare), _mark(act, "spare", cpu), "spare")] if c.spare is not None else []
        rows.append(ListRow((SHEAVES, cpu), f"cpu {cpu} sheaves", f"objects that wait, of {size}", bars, ""))
    for node, barn in enumerate(sheaves.barn):
        name = f"barn of node {node}" if len(sheaves.barn) > 1 else "barn"
        full = [Bar(-1, size, len(sheaf), _mark(act, "barn", node) if not i else "", "full") for i, sheaf in enumerate(reversed(barn.full))]
        rows.append(ListRow((BARN, node), name, f"full sheaves; {barn.empty} empty", full, ""))
    return rows


def _mark(act: Any, which: str, owner: int) -> str:
    """Tell whether an act changed a sheaf."""
    match act:
        case Rested() | Refilled():
            changed = which == "main" and act.cpu == owner
        case SheafSwapped() | SheafAdded():
            changed = which in ("main", "spare") and act.cpu == owner
        case BarnTaken():
            changed = which == "main" and act.cpu == owner
        case BarnGiven():
            changed = (which == "main" and act.cpu == owner) or (which == "barn" and act.node == owner)
        case Flushed():
            changed = (act.which, act.owner) == (which, owner)
        case _:
            changed = False
    return "changed" if changed else ""
