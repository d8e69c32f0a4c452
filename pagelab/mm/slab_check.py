"""What must hold in every cache at any time."""

from .percpu_sheaves import MAX_FULL_SHEAVES
from .slab import CPU_PARTIAL, CPU_SLAB, FULL, IN_SHEAF, IN_USE, LOST, NO_LIST, NODE_PARTIAL, KmemCache


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
