"""Questions about caches: which object comes next, what a cache holds, how its slabs and slots are laid out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..mm.allocator import REFUSED
from ..mm.slab import CPU_PARTIAL, NODE_PARTIAL, KmemCache
from ..mm.slab_act import Carved, Discarded
from ..mm.slab_call import kfree_request, kmalloc_request
from ..mm.slab_common import kmalloc_index, kmalloc_name, kmalloc_size
from ..mm.slab_layout import Layout, slab_layout
from ..mm.slab_machine import SlabMachine
from ..mm.slub import get_slabinfo
from ..mm.units import PAGE_SIZE
from .form import REFUSAL
from .request import verb_of
from .scenario import slab
from .tape import Tape

ALLOCATIONS = ("kmalloc", "kmem_cache_alloc")


def slabinfo_of(machine: SlabMachine) -> list[int]:
    """Count objects as /proc/slabinfo does, over all caches.

    Args:
        machine: any machine with caches.

    Returns:
        active_objs and num_objs: free objects are subtracted only where their slab is on a node's partial list.

    >>> slabinfo_of(slab("kmalloc 512 x3; kfree @0").at(4))
    [8, 8]
    """
    counts = [get_slabinfo(cache) for cache in machine.caches]
    return [sum(active for active, _ in counts), sum(total for _, total in counts)]


@dataclass(frozen=True)
class SlabRun:
    """What do these requests do, from the end of this tape?

    ask is "object" (what the last allocation receives), "objects" (what each receives: an object is called after the first request that
    received it, "#20"), "index" (of the last object in its slab), "slabs", "pages" and "live" (slabs held, their pages, and objects in
    use, of all caches together), "slabinfo" (active_objs and num_objs, together), "returned" (pages that come back from slabs), or "on
    CPU lists" and "on node lists" (slabs that wait there).
    """

    tape: Tape[SlabMachine]
    requests: str
    ask: str

    @property
    def form(self) -> str:
        """How the answer is written."""
        if self.ask not in _FORMS:
            raise ValueError(f"{self.ask!r} cannot be asked: ask {', '.join(_FORMS)}")
        return _FORMS[self.ask]

    def after(self) -> Tape[SlabMachine]:
        """Return the tape with the requests done."""
        return self.tape.then(self.requests)

    def machine(self) -> SlabMachine:
        """Return the machine after the requests."""
        after = self.after()
        return after.at(len(after))

    def truth(self) -> Any:
        """Return what the model says."""
        return _ASKS[self.ask](self)

    def names(self) -> list[str]:
        """Name what each allocation of the requests receives."""
        after, first, names = self.after(), dict[int, int](), list[str]()
        for k, (request, word) in enumerate(zip(after.requests, after.received, strict=True)):
            if verb_of(request) in ALLOCATIONS:
                name = first.setdefault(word, k)
                if k >= len(self.tape):
                    names.append(REFUSAL if word == REFUSED else f"#{name}")
        return names

    def index(self) -> int:
        """Return the index of the last object in its slab; a ValueError if there is none."""
        after = self.after()
        k = max(k for k, request in enumerate(after.requests) if verb_of(request) in ALLOCATIONS)
        return after.at(k + 1).object_at(after.received[k])[2]

    def returned(self) -> int:
        """Count the pages that slabs give back in the requests."""
        after = self.after()
        acts = (act for k in range(len(self.tape), len(after)) for act in after.acts(k))
        return sum(1 << act.order for act in acts if isinstance(act, Discarded))

    def waiting(self, place: int) -> int:
        """Count the slabs on lists of one kind."""
        return sum(cache.place[number] == place for cache in self.machine().caches for number in cache.numbers())


_ASKS: dict[str, Callable[[SlabRun], Any]] = {
    "object": lambda run: run.names()[-1],
    "objects": lambda run: run.names(),
    "index": lambda run: run.index(),
    "slabs": lambda run: sum(cache.slabs for cache in run.machine().caches),
    "pages": lambda run: len(run.machine().owners),
    "live": lambda run: sum(cache.live() for cache in run.machine().caches),
    "slabinfo": lambda run: slabinfo_of(run.machine()),
    "returned": lambda run: run.returned(),
    "on CPU lists": lambda run: run.waiting(CPU_PARTIAL),
    "on node lists": lambda run: run.waiting(NODE_PARTIAL),
}
SLAB_ASKS = tuple(_ASKS)
_FORMS = dict.fromkeys(_ASKS, "number") | {"object": "object", "objects": "objects", "slabinfo": "pair"}


@dataclass(frozen=True)
class SecondPage:
    """Which request of this tape, counted from 1, is the first for which a cache takes pages again?"""

    tape: Tape[SlabMachine]
    form: str = "number"

    def truth(self) -> int:
        """Return its place, counted from 1."""
        taken = (k for k in range(len(self.tape)) if any(isinstance(act, Carved) for act in self.tape.acts(k)))
        next(taken)
        return next(taken) + 1


@dataclass(frozen=True)
class KmallocGives:
    """How many bytes does kmalloc give to a caller who asks for so many?"""

    size: int
    form: str = "number"

    def truth(self) -> int:
        """Return the bytes."""
        return kmalloc_size(self.size)


@dataclass(frozen=True)
class SlabShape:
    """What is the order of this object's slab, or how many objects has it, or how many bytes at its end are of no use?"""

    object_size: int
    cpus: int
    ask: str = "objects"
    kernel: str = "6.12"
    form: str = "number"

    def layout(self) -> Layout:
        """Return the layout."""
        return slab_layout(self.object_size, cpus=self.cpus, kernel=self.kernel)

    def on_one_cpu(self) -> "SlabShape":
        """Return the same question for one CPU."""
        return SlabShape(self.object_size, 1, self.ask, self.kernel)

    def of(self, order: int, size: int) -> int:
        """Return what is asked, of a slab of so many pages and slots of so many bytes."""
        room = PAGE_SIZE << order
        return {"order": order, "objects": room // size, "waste": room % size}[self.ask]

    def truth(self) -> int:
        """Return what is asked."""
        layout = self.layout()
        return self.of(layout.order, layout.size)


@dataclass(frozen=True)
class FreePointer:
    """At which byte of its slab is the free pointer of an object, whose slot is as large as it is?"""

    object_size: int
    obj: int
    form: str = "number"

    def truth(self) -> int:
        """Return the byte, counted from the start of the slab."""
        layout = slab_layout(self.object_size)
        return self.obj * layout.size + layout.offset


@dataclass(frozen=True)
class SlabsUntilReturn:
    """How many slabs must one CPU fill, and then empty in the same order, so that pages come back?"""

    object_size: int = 512
    form: str = "number"

    def layout(self) -> Layout:
        """Return the layout of the kmalloc cache that serves."""
        return self._cache(slab()).layout

    def truth(self) -> int:
        """Return the number of slabs."""
        count = 1
        while not self.returned(count):
            count += 1
        return count

    def returned(self, count: int) -> int:
        """Fill and empty so many slabs; return how many are held no more."""
        objects = self.layout().objects * count
        tape = slab(pages="8 MiB").then([*[kmalloc_request(self.object_size)] * objects, *map(kfree_request, range(objects))])
        return count - self._cache(tape).slabs

    def _cache(self, tape: Tape[SlabMachine]) -> KmemCache:
        index = kmalloc_index(self.object_size)
        return tape.at(len(tape)).cache(kmalloc_name(index or 0))


@dataclass(frozen=True)
class RowOfSlabinfo:
    """What does a row of /proc/slabinfo say: how many bytes its slabs hold (ask "held"), or are at their ends, of no use ("slack")?

    The columns are as a row has them: active_objs, num_objs, objsize, objperslab, pagesperslab, and num_slabs.
    """

    active_objs: int
    num_objs: int
    objsize: int
    objperslab: int
    pagesperslab: int
    num_slabs: int
    ask: str = "held"
    form: str = "number"

    def truth(self) -> int:
        """Return the bytes."""
        held = self.num_slabs * self.pagesperslab * PAGE_SIZE
        return held if self.ask == "held" else held - self.num_objs * self.objsize
