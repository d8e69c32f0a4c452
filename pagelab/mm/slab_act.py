"""Acts of a cache: what the rules of SLUB did in one request, one visible thing each.

`WatchedCache` stands in for a cache, passes every primitive on and writes it down. `redo` does acts again, so that a request can be shown
half done. A slab is named by its first page, an object by that and its index. The pages of a slab come and go in the acts of act.py, which
begin with an Asked of their own.
"""

from typing import Any, NamedTuple

from .sheaf_act import SHEAF_ACTS, Refilled, SheafAct, WatchedSheaves, redo_sheaves
from .sheaf_act import Rested as Rested
from .slab import CPU_PARTIAL, KmemCache


class Called(NamedTuple):
    """The request as a caller made it: verb "kmalloc", "kmem_cache_alloc", "kfree", "shrink" or "write". Changes nothing.

    size: bytes asked for or written, 0 where there are none. pfn, obj: the slab and object that it names, -1 where it names none; for what
    is no object, the pfn of the pages.
    """

    verb: str
    cache: str
    size: int
    cpu: int
    pfn: int = -1
    obj: int = -1


class FoundEmpty(NamedTuple):
    """A list had nothing: what is "freelist" (of a CPU), "slab" (the cpu slab's own freelist), or a list of slabs. Changes nothing."""

    cache: str
    what: str
    owner: int


class Crowded(NamedTuple):
    """A CPU's partial list was asked whether it is full. Changes nothing."""

    cache: str
    cpu: int
    slabs: int
    limit: int
    yes: bool


class Weighed(NamedTuple):
    """An empty slab was asked whether it is one too many: its node has nr_partial slabs and keeps min_partial. Changes nothing."""

    cache: str
    pfn: int
    inuse: int
    nr_partial: int
    min_partial: int
    yes: bool


class Carved(NamedTuple):
    """A block of pages became a slab, all its objects free."""

    cache: str
    pfn: int
    order: int
    objects: int


class Discarded(NamedTuple):
    """An empty slab is a slab no more; its pages go back next."""

    cache: str
    pfn: int
    order: int


class Popped(NamedTuple):
    """The first object of a CPU's freelist was handed out."""

    cache: str
    pfn: int
    obj: int
    cpu: int


class Pushed(NamedTuple):
    """An object went to the head of its CPU's freelist."""

    cache: str
    pfn: int
    obj: int
    cpu: int


class Drawn(NamedTuple):
    """The first object of a slab's own freelist was handed out."""

    cache: str
    pfn: int
    obj: int


class Put(NamedTuple):
    """An object went to the head of its slab's own freelist. before: whether something was on it."""

    cache: str
    pfn: int
    obj: int
    before: bool


class Loaded(NamedTuple):
    """A slab became the cpu slab, and its CPU took its freelist: so many objects."""

    cache: str
    pfn: int
    cpu: int
    free: int


class Regained(NamedTuple):
    """A CPU took what had been freed to its slab's own freelist: so many objects."""

    cache: str
    pfn: int
    cpu: int
    free: int


class Unloaded(NamedTuple):
    """A CPU gave its slab up; so many objects of its freelist went back to it."""

    cache: str
    pfn: int
    cpu: int
    free: int


class Enlisted(NamedTuple):
    """A slab went to the head or the tail of a list; place is one of `slab.PLACES`, by number."""

    cache: str
    pfn: int
    place: int
    owner: int
    tail: bool


class Delisted(NamedTuple):
    """A slab left its list."""

    cache: str
    pfn: int
    place: int
    owner: int


class Lost(NamedTuple):
    """The free objects of a slab (obj -1), or those that follow an object on its freelist, were given up."""

    cache: str
    pfn: int
    obj: int


class Stained(NamedTuple):
    """Bytes were written past the end of an object, or to one that is free: from a byte address on."""

    cache: str
    address: int
    length: int
    value: int


class Reported(NamedTuple):
    """A check found something, and said so."""

    cache: str
    text: str


class Cleaned(NamedTuple):
    """Bytes were written anew, from start up to end."""

    cache: str
    start: int
    end: int


SlabAct = (Called | FoundEmpty | Crowded | Weighed | Carved | Discarded | Popped | Pushed | Drawn | Put | Loaded | Regained | Unloaded) | (
    Enlisted | Delisted | Lost | Stained | Reported | Cleaned | Rested | Refilled | SheafAct
)
SLAB_ACTS = SlabAct.__args__


class WatchedCache(KmemCache):
    """A cache seen through: same primitives, same state, and `acts` grows with each."""

    def __init__(self, cache: KmemCache, acts: list[Any]) -> None:
        self._cache, self.acts = cache, acts
        self.sheaves = WatchedSheaves(cache.name, cache.sheaves, acts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def _add(self, kind: Any, *what: Any) -> None:
        self.acts.append(kind(self._cache.name, *what))

    def _of(self, cpu: int) -> int:
        return self._cache.pfn[self._cache.cpu[cpu].slab]

    def first(self, place: int, owner: int) -> int:
        """Look at a list; an empty one is an act."""
        slab = self._cache.first(place, owner)
        if slab < 0:
            self._add(FoundEmpty, "cpu partial" if place == CPU_PARTIAL else "node partial", owner)
        return slab

    def crowded(self, cpu: int) -> bool:
        """Ask, and write it down."""
        yes = self._cache.crowded(cpu)
        self._add(Crowded, cpu, len(self._cache.cpu[cpu].partial), self._cache.layout.cpu_partial_slabs, yes)
        return yes

    def surplus(self, slab: int, node: int) -> bool:
        """Ask, and write it down where the slab is empty."""
        cache, yes = self._cache, self._cache.surplus(slab, node)
        if not cache.inuse[slab]:
            self._add(Weighed, cache.pfn[slab], 0, cache.nr_partial(node), cache.layout.min_partial, yes)
        return yes

    def carve(self, pfn: int, order: int) -> int:
        """Carve, and write it down; the record of pages names the cache itself."""
        slab = self._cache.carve(pfn, order)
        self._add(Carved, pfn, order, self._cache.objects[slab])
        return slab

    def discard(self, slab: int) -> int:
        """Discard, and write it down."""
        order = self._cache.order(slab)
        pfn = self._cache.discard(slab)
        self._add(Discarded, pfn, order)
        return pfn

    def pop(self, cpu: int) -> int:
        """Pop; an empty freelist is an act."""
        index = self._cache.cpu[cpu].freelist
        word = self._cache.pop(cpu)
        if word < 0:
            self._add(FoundEmpty, "freelist", cpu)
        else:
            self._add(Popped, self._of(cpu), index, cpu)
        return word

    def push(self, cpu: int, index: int) -> None:
        """Push, and write it down."""
        self._cache.push(cpu, index)
        self._add(Pushed, self._of(cpu), index, cpu)

    def draw(self, slab: int) -> int:
        """Draw, and write it down."""
        index = self._cache.head[slab]
        word = self._cache.draw(slab)
        self._add(Drawn, self._cache.pfn[slab], index)
        return word

    def put(self, slab: int, index: int) -> None:
        """Put, and write it down."""
        before = next(self._cache.walk(slab, self._cache.head[slab]), -1) >= 0
        self._cache.put(slab, index)
        self._add(Put, self._cache.pfn[slab], index, before)

    def rest(self, cpu: int, slab: int, index: int) -> None:
        """Let an object rest, and write it down."""
        self._cache.rest(cpu, slab, index)
        self._add(Rested, self._cache.pfn[slab], index, False, cpu)

    def wake(self, cpu: int) -> int:
        """Wake an object, and write it down."""
        slab, index = divmod(self._cache.sheaves.cpu[cpu].main[-1], self._cache.stride)
        word = self._cache.wake(cpu)
        self._add(Rested, self._cache.pfn[slab], index, True, cpu)
        return word

    def fill(self, cpu: int, slab: int, limit: int) -> int:
        """Fill, and write it down."""
        count = self._cache.fill(cpu, slab, limit)
        self._add(Refilled, self._cache.pfn[slab], cpu, count)
        return count

    def lose(self, slab: int) -> None:
        """Give up, and write it down."""
        self._cache.lose(slab)
        self._add(Lost, self._cache.pfn[slab], -1)

    def sever(self, slab: int, index: int) -> None:
        """Give up what follows, and write it down."""
        self._cache.sever(slab, index)
        self._add(Lost, self._cache.pfn[slab], index)

    def stain(self, address: int, length: int, value: int) -> None:
        """Stain, and write it down."""
        self._cache.stain(address, length, value)
        self._add(Stained, address, length, value)

    def clean(self, start: int, end: int) -> None:
        """Clean; where nothing was stained it is no act."""
        if any(start <= address < end for address in self._cache.stains):
            self._cache.clean(start, end)
            self._add(Cleaned, start, end)

    def report(self, text: str) -> None:
        """Report, and write it down."""
        self._cache.report(text)
        self._add(Reported, text)

    def load(self, cpu: int, slab: int) -> None:
        """Load, and write it down."""
        free = self._cache.objects[slab] - self._cache.inuse[slab]
        self._cache.load(cpu, slab)
        self._add(Loaded, self._cache.pfn[slab], cpu, free)

    def regain(self, cpu: int) -> int:
        """Regain; a slab that nothing was freed to is an act too."""
        free = self._cache.regain(cpu)
        if free:
            self._add(Regained, self._of(cpu), cpu, free)
        else:
            self._add(FoundEmpty, "slab", cpu)
        return free

    def unload(self, cpu: int) -> int:
        """Unload, and write it down."""
        free = len(self._cache.slab(self._cache.cpu[cpu].slab).cpu_freelist)
        slab = self._cache.unload(cpu)
        self._add(Unloaded, self._cache.pfn[slab], cpu, free)
        return slab

    def enlist(self, slab: int, place: int, owner: int, tail: bool = False) -> None:
        """Enlist, and write it down."""
        self._cache.enlist(slab, place, owner, tail)
        self._add(Enlisted, self._cache.pfn[slab], place, owner, tail)

    def delist(self, slab: int) -> None:
        """Delist, and write it down."""
        place, owner = self._cache.place[slab], self._cache.owner[slab]
        self._cache.delist(slab)
        self._add(Delisted, self._cache.pfn[slab], place, owner)


def redo(cache: KmemCache, act: SlabAct) -> None:
    """Do one act of a request again.

    Args:
        cache: in the state before the act.
        act: of this cache; one that changes nothing does nothing.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(512))
    >>> redo(cache, Carved("spoon", 7, 0, 8)); redo(cache, Loaded("spoon", 7, 0, 8)); cache.slab(0).place
    'cpu slab'
    """
    match act:
        case Carved(_, pfn, order):
            cache.carve(pfn, order)
        case Popped(cpu=cpu):
            cache.pop(cpu)
        case Pushed(_, _, index, cpu):
            cache.push(cpu, index)
        case Loaded(_, pfn, cpu):
            cache.load(cpu, cache.owners[pfn][1])
        case Regained(cpu=cpu):
            cache.regain(cpu)
        case Unloaded(cpu=cpu):
            cache.unload(cpu)
        case Stained(_, address, length, value):
            cache.stain(address, length, value)
        case Cleaned(_, start, end):
            cache.clean(start, end)
        case Reported(_, text):
            cache.report(text)
        case Rested(awake=True, cpu=cpu):
            cache.wake(cpu)
        case Discarded() | Drawn() | Put() | Rested() | Refilled() | Lost() | Enlisted() | Delisted():
            _redo_slab(cache, cache.owners[act.pfn][1], act)
        case _ if isinstance(act, SHEAF_ACTS):
            redo_sheaves(cache.sheaves, act)


def _redo_slab(cache: KmemCache, slab: int, act: SlabAct) -> None:
    match act:
        case Discarded():
            cache.discard(slab)
        case Drawn():
            cache.draw(slab)
        case Put(_, _, index):
            cache.put(slab, index)
        case Rested(_, _, index, _, cpu):
            cache.rest(cpu, slab, index)
        case Refilled(_, _, cpu, objects):
            cache.fill(cpu, slab, objects)
        case Lost(_, _, index):
            cache.lose(slab) if index < 0 else cache.sever(slab, index)
        case Enlisted(_, _, place, owner, tail):
            cache.enlist(slab, place, owner, tail)
        case Delisted():
            cache.delist(slab)
