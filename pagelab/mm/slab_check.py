"""What must hold in every cache at any time."""

from collections.abc import Callable, Iterable, Mapping

from .percpu_sheaves import MAX_FULL_SHEAVES
from .slab import CPU_PARTIAL, CPU_SLAB, FULL, IN_SHEAF, IN_USE, LOST, NO_LIST, NODE_PARTIAL, KmemCache
from .zone import Block


def validate_cache(cache: KmemCache) -> None:
    """Check that every slab of a cache is where it says, and that its freelists have each free object once.

    Args:
        cache: any cache.

    Raises:
        ValueError: one sentence that says what is wrong.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(512))
    >>> cache.enlist(cache.carve(0, 0), NODE_PARTIAL, 0); cache.inuse[0] = 1; validate_cache(cache)
    Traceback (most recent call last):
        ...
    ValueError: spoon: the slab at 0 counts 1 in use of 8, and 8 are on its freelist
    """
    places = _places(cache)
    for slab in cache.numbers():
        state = cache.slab(slab)
        where = (cache.place[slab], cache.owner[slab] if cache.place[slab] else 0)
        if where != places.pop(slab, (NO_LIST, 0)):
            raise ValueError(f"{cache.name}: the slab at {state.pfn} says it is {state.place}, and is not")
        free = sorted([*state.freelist, *state.cpu_freelist])
        slots = cache.next[slab * cache.stride :][: state.objects]
        if free != [obj for obj, after in enumerate(slots) if after not in (IN_USE, LOST, IN_SHEAF)]:
            raise ValueError(f"{cache.name}: the freelists of the slab at {state.pfn} do not have each free object once")
        if state.inuse != state.objects - len(state.freelist):
            counts = f"counts {state.inuse} in use of {state.objects}, and {len(state.freelist)} are on its freelist"
            raise ValueError(f"{cache.name}: the slab at {state.pfn} {counts}")
    _check_sheaves(cache)
    if places:
        raise ValueError(f"{cache.name}: a slab that is no more is on a list")


def _check_sheaves(cache: KmemCache) -> None:
    sheaves, resting = cache.sheaves, set(cache.sheaves.slots())
    marked = all(cache.next[slot] == IN_SHEAF for slot in resting)
    if not marked or not len(resting) == len(sheaves.slots()) == cache.next.count(IN_SHEAF):
        raise ValueError(f"{cache.name}: the sheaves do not have each object once that rests in one")
    sizes = [len(sheaf) for c in sheaves.cpu for sheaf in (c.main, c.spare or ())]
    stored = [len(sheaf) for barn in sheaves.barn for sheaf in barn.full]
    if max(sizes + stored) > sheaves.capacity or 0 in stored or max(len(barn.full) for barn in sheaves.barn) > MAX_FULL_SHEAVES:
        raise ValueError(f"{cache.name}: a sheaf has more than {sheaves.capacity} objects, or a barn too many or empty ones among the full")


def _places(cache: KmemCache) -> dict[int, tuple[int, int]]:
    """Return where the lists say that slabs are: from a number to place and owner."""
    listed = [(c.slab, CPU_SLAB, cpu) for cpu, c in enumerate(cache.cpu) if c.slab >= 0]
    listed += [(slab, CPU_PARTIAL, cpu) for cpu, c in enumerate(cache.cpu) for slab in c.partial]
    listed += [(slab, NODE_PARTIAL, node) for node, n in enumerate(cache.node) for slab in n.partial]
    listed += [(slab, FULL, node) for node, n in enumerate(cache.node) for slab in n.full]
    places = {slab: (place, owner) for slab, place, owner in listed}
    if len(places) < len(listed):
        raise ValueError(f"{cache.name}: a slab is on two lists")
    return places


def validate_pages(caches: Iterable[KmemCache], owners: Mapping[int, tuple[KmemCache, int]], block: Callable[[int], Block]) -> None:
    """Check that caches, the record of their pages and the zones agree on which pages are of slabs.

    Args:
        caches: all of a machine.
        owners: from a page to its cache and slab, as the machine records it.
        block: from a pfn to what its zone holds there.

    Raises:
        ValueError: one sentence that says what is wrong.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(512)); slab = cache.carve(3, 0)
    >>> validate_pages([cache], cache.owners, lambda pfn: Block(pfn, 0, "free", 0))
    Traceback (most recent call last):
        ...
    ValueError: the pages of a slab of spoon are not in use: a block of order 0 at 3 is free
    """
    of_slabs: dict[int, tuple[str, int]] = {}
    for cache in caches:
        for slab in cache.numbers():
            pfn, order = cache.pfn[slab], cache.order(slab)
            of_slabs |= dict.fromkeys(range(pfn, pfn + (1 << order)), (cache.name, slab))
            held = block(pfn)
            if (held.head, held.order, held.kind) != (pfn, order, "in use"):
                raise ValueError(f"the pages of a slab of {cache.name} are not in use: {held}")
    recorded = {pfn: (cache.name, slab) for pfn, (cache, slab) in owners.items()}
    if recorded != of_slabs:
        pfn = min(pfn for pfn in recorded.keys() | of_slabs.keys() if recorded.get(pfn) != of_slabs.get(pfn))
        said, true = (where.get(pfn, ("none", 0))[0] for where in (recorded, of_slabs))
        raise ValueError(f"page {pfn} is said to be of {said}, and is of {true}")
