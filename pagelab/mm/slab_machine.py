"""A machine with caches: requests for objects in, addresses out, and the pages under them are the page allocator's."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Self

from .act import Asked, Refused
from .allocator import REFUSED
from .call import FREE, alloc_request, free_request
from .machine import NOTHING, Machine
from .page_alloc import boot
from .percpu_sheaves import sheaf_capacity
from .slab import IN_USE, OBJECT, PAGE_BITS, PAGE_WORDS, WORD_SHIFT, KmemCache
from .slab_act import SLAB_ACTS, Called, WatchedCache, redo
from .slab_call import KFREE, KFREE_CPU_SHIFT, KFREE_NUMBER, MAX_CACHES, VERB_SHIFT, SlabCall, unpack_slab
from .slab_check import validate_cache, validate_pages
from .slab_common import CacheInfo, KmallocType, find_mergeable, kmalloc_caches, kmalloc_index, kmalloc_name, kmalloc_order, merged
from .slab_debug import write
from .slab_layout import FREEPTR_OFFSET, NO_FLAGS, Slab, slab_layout
from .slab_rules import rules_of
from .slub import Rules, shrink
from .units import to_pages
from .zone import RECLAIMABLE, UNMOVABLE, Zone

MAX_PFN = OBJECT // PAGE_WORDS


class SlabMachine(Machine):
    """A machine whose pages are cut into objects.

    Args:
        zones, kernel, cpus, pcp, min_free_kbytes: as `Allocator` has them.
        debug: what the boot parameter slab_debug sets on every cache: see `slab_layout.slab_debug`.
        seed: from which the order of a new slab's objects is drawn (SLAB_FREELIST_RANDOM); None for that of their addresses.

    `names` are those of the kmalloc caches, and after them those that `kmem_cache_create` was given: a request counts caches in this order.
    `caches` are the caches themselves, of which one may serve several names, but those of kmalloc only from their first use on. `owners`
    says for a page of a slab (cache, number of the slab), and `large` are the pages at which blocks begin that kmalloc took straight from
    the page allocator.

    Raises:
        ValueError: as `Allocator`, or there is memory beyond 8 GiB.

    Source: mm/slub.c, mm/slab_common.c, 6.12.
    Unlike the kernel, all kmalloc caches exist before any memory does, and descriptors of caches take none.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> machine = SlabMachine(boot(16))
    >>> word = machine.apply(kmalloc_request(512), [])
    >>> machine.object_at(word), machine.zone.nr_free_pages()
    (('kmalloc-512', 0, 0), 15)
    """

    def __init__(
        self,
        zones: Zone | Iterable[Zone],
        kernel: str = "6.12",
        cpus: int = 1,
        pcp: bool = False,
        min_free_kbytes: int = 0,
        debug: Slab = NO_FLAGS,
        seed: int | None = None,
    ) -> None:
        self.debug, self.seed = debug, seed
        self.names: list[str] = []
        self._infos: list[CacheInfo] = []
        self._serves: dict[str, int] = {}
        self._kmalloc_caches = 0
        super().__init__(zones, kernel, cpus, pcp, min_free_kbytes)
        if self.zones[-1].end_pfn > MAX_PFN:
            raise ValueError(f"pfn {self.zones[-1].end_pfn - 1} is beyond 8 GiB: a machine with caches has pfns up to {MAX_PFN - 1}")
        for info in kmalloc_caches(kernel, cpus, debug):
            self._add(info)
        self._kmalloc_caches = len(self._infos)

    def kmem_cache_create(self, name: str, object_size: int, align: int = 0, flags: Slab = NO_FLAGS, ctor: bool = False) -> KmemCache:
        """Make a cache, before the first request.

        Args:
            name: as requests have it.
            object_size: bytes.
            align: bytes, 0 for what the kernel chooses.
            flags: of the cache; those of the machine's debug are added.
            ctor: whether it has a constructor.

        Returns:
            The cache, or an older one that serves as well.

        Raises:
            ValueError: the name is in use or cannot be one, there is no room for more, or there can be no such cache.

        Source: __kmem_cache_create_args, mm/slab_common.c, 6.12.

        >>> machine = SlabMachine(boot(16))
        >>> machine.kmem_cache_create("cred", 184).name, machine.kmem_cache_create("bio", 180).name
        ('cred', 'cred')
        """
        if name in self.names or not name or len(name.split()) > 1 or ";" in name:
            raise ValueError(f"cache {name!r} cannot be made: give one word that is no cache's name yet")
        if len(self.names) == MAX_CACHES:
            raise ValueError(f"cache {name!r} is one too many: a machine has up to {MAX_CACHES}")
        flags |= self.debug
        if old := find_mergeable(self._infos, object_size, align, flags, ctor=ctor):
            self._serves[name] = self._serves[old.name]
            self._infos[self._serves[name]] = merged(old, object_size)
            self.names.append(name)
        else:
            placed = FREEPTR_OFFSET[self.version].get(name)
            layout = slab_layout(object_size, align, flags, ctor=ctor, cpus=self.cpus, kernel=self.version, freeptr_offset=placed)
            self._add(CacheInfo(name, layout, ctor))
        return self.cache(name)

    def _add(self, info: CacheInfo) -> None:
        self._serves[info.name] = len(self._infos)
        self._infos.append(info)
        self.names.append(info.name)

    def _begin(self) -> None:
        super()._begin()
        self.owners: dict[int, tuple[KmemCache, int]] = {}
        self.large = set[int]()
        self._caches: dict[int, KmemCache] = {}
        self._forget()
        for info in self._infos[self._kmalloc_caches :]:
            self.cache(info.name)

    def _forget(self) -> None:
        """Find each cache anew when it is asked for."""
        self._of: dict[str, tuple[KmemCache, Rules]] = {}
        self._served: dict[int, tuple[KmemCache, Rules, int]] = {}

    def _find(self, name: str) -> tuple[KmemCache, Rules]:
        """Return the cache that serves a name, seen through while somebody watches, and its rules."""
        if name not in self._of:
            number = self._serves[name]
            if number not in self._caches:
                self._caches[number] = self._make(self._infos[number])
            cache = self._caches[number]
            seen = cache if self._acts is None else WatchedCache(cache, self._acts)
            self._of[name] = seen, rules_of(cache, self.version)
        return self._of[name]

    def _make(self, info: CacheInfo) -> KmemCache:
        objects = range(info.layout.objects)
        sequence = () if self.seed is None else tuple(random.Random(f"{self.seed} {info.name}").sample(objects, len(objects)))
        capacity = sheaf_capacity(info.layout, self.version)
        return KmemCache(info.name, info.layout, self.cpus, self.nodes, self.owners, sequence, capacity)

    @property
    def caches(self) -> list[KmemCache]:
        """The caches, in the order of their making."""
        return [self._caches[number] for number in sorted(self._caches)]

    def cache(self, name: str) -> KmemCache:
        """Return a cache by one of its names.

        Raises:
            ValueError: there is none.
        """
        if name not in self._serves:
            raise ValueError(f"cache {name!r} does not exist on this machine")
        return self._find(name)[0]

    def object_at(self, word: int) -> tuple[str, int, int]:
        """Return the cache, the first page of the slab and the index of the object at an address.

        Raises:
            ValueError: no object starts there.
        """
        cache, slab, index = self._found(word)
        if cache is None or index < 0:
            raise ValueError(f"no object starts at {address(word)}")
        return cache.name, cache.pfn[slab], index

    # Requests.

    def apply(self, request: int, received: Sequence[int]) -> int:
        """Do one request.

        Args:
            request: as `pagelab.mm.slab_call` or `pagelab.mm.call` writes it.
            received: what each request before this one received.

        Returns:
            The address of an object as slab.py counts it, or REFUSED; NOTHING for a request that receives nothing; and what `Machine.apply`
            returns for a request of pages.

        Raises:
            ValueError: a free of what is not in use, or a CPU or cache that the machine does not have; nothing changes.
        """
        if served := self._served.get(request):
            cache, rules, cpu = served
            return rules.alloc(self, cache, cpu)
        verb = request >> VERB_SHIFT
        if verb == KFREE:
            return self._kfree(request, received)
        if verb == 0 or request >= FREE:
            return super().apply(request, received)
        call = unpack_slab(request)
        if call.cpu >= self.cpus:
            raise ValueError(self._no_cpu(call.cpu))
        if call.verb == "write":
            return self._write(call, received)
        if not (name := self._named(call)):
            return self._kmalloc_large(call)
        cache, rules = self._find(name)
        if call.verb == "shrink":
            shrink(self, cache, rules.flush, range(self.cpus))
            return NOTHING
        self._served[request] = cache, rules, call.cpu
        return rules.alloc(self, cache, call.cpu)

    def _named(self, call: SlabCall) -> str:
        """Return the name of the cache that a call is for, or "" for none: the pages come straight from the page allocator."""
        if call.verb == "kmalloc":
            index = kmalloc_index(call.number)
            return kmalloc_name(index, KmallocType(call.kind)) if index else ""
        if call.number >= len(self.names):
            raise ValueError(f"cache {call.number} does not exist: this machine has caches 0..{len(self.names) - 1}")
        return self.names[call.number]

    def _kmalloc_large(self, call: SlabCall) -> int:
        mt = RECLAIMABLE if call.kind == KmallocType.RECLAIM else UNMOVABLE
        pfn = self._take(kmalloc_order(call.number), mt, call.cpu, int(call.kind == KmallocType.DMA))
        if pfn < 0:
            return pfn
        self.large.add(pfn)
        return OBJECT + pfn * PAGE_WORDS

    def _kfree(self, request: int, received: Sequence[int]) -> int:
        number, cpu = request & KFREE_NUMBER, request >> KFREE_CPU_SHIFT & 15
        word = received[number] if number < len(received) else NOTHING
        found, slab = self.owners.get(word - OBJECT >> PAGE_BITS, (None, -1))
        if cpu >= self.cpus:
            raise ValueError(self._no_cpu(cpu))
        if found is None:
            self._kfree_large(number, received, cpu)
            return NOTHING
        cache, rules = self._of.get(found.name) or self._find(found.name)
        index = cache.index(slab, word)
        if index < 0 or cache.next[slab * cache.stride + index] != IN_USE:
            self._refuse_free(cache, index, word)
        rules.free(self, cache, slab, (index,), cpu)
        return NOTHING

    def _write(self, call: SlabCall, received: Sequence[int]) -> int:
        cache, slab, index = self._found(received[call.number] if call.number < len(received) else NOTHING)
        if cache is None or index < 0:
            raise ValueError(f"@{call.number} cannot be written to: request {call.number} received no object, or its slab is no more")
        write(self.cache(cache.name), slab, index, call.size)
        return NOTHING

    def _found(self, word: int) -> tuple[KmemCache | None, int, int]:
        """Return the cache, slab and object that are at an address: None and -1 for none."""
        cache, slab = self.owners.get(word - OBJECT >> PAGE_BITS, (None, -1))
        return cache, slab, cache.index(slab, word) if cache else -1

    def _refuse_free(self, cache: KmemCache, index: int, word: int) -> None:
        """Raise for an object that is free, unless its cache can tell by itself."""
        if index < 0:
            raise ValueError(f"cannot free {address(word)}: no object of {cache.name} starts there now")
        if not cache.layout.flags & Slab.CONSISTENCY_CHECKS:
            raise ValueError(f"cannot free {address(word)}: object {index} of {cache.name} is free already")

    def _kfree_large(self, number: int, received: Sequence[int], cpu: int) -> None:
        if number >= len(received):
            raise ValueError(f"@{number} names no earlier request: there are {len(received)} so far, numbered from 0")
        word = received[number]
        if word < OBJECT:
            was = "was refused" if word == REFUSED else "was no allocation of an object"
            raise ValueError(f"@{number} cannot be given to kfree: request {number} {was}")
        pfn, rest = divmod(word - OBJECT, PAGE_WORDS)
        if rest or pfn not in self.large:
            raise ValueError(f"cannot free {address(word)}: it is in no slab, and kmalloc gave out no pages there")
        self.large.remove(pfn)
        self._give(pfn, cpu)

    def _no_cpu(self, cpu: int) -> str:
        return f"cpu {cpu} does not exist: this machine has cpu{'s 0..' + str(self.cpus - 1) if self.cpus > 1 else ' 0'}"

    # What the rules ask of the machine.

    def alloc_slab_page(self, cache: KmemCache, order: int, cpu: int) -> int:
        """Return the first pfn of a block for a slab, or REFUSED."""
        flags = cache.layout.flags
        mt = RECLAIMABLE if flags & Slab.RECLAIM_ACCOUNT else UNMOVABLE
        return self._take(order, mt, cpu, 1 if flags & Slab.CACHE_DMA else 2 if flags & Slab.CACHE_DMA32 else 0)

    def free_slab_page(self, pfn: int, order: int, cpu: int) -> None:
        """Take the pages of a slab back."""
        self._give(pfn, cpu)

    def node_of_cpu(self, cpu: int) -> int:
        """Return the node that a CPU is on."""
        return cpu * self.nodes // self.cpus

    def node_of_page(self, pfn: int) -> int:
        """Return the node that a page is on."""
        return self.zones[self.zone_of(pfn)].node

    def _take(self, order: int, mt: int, cpu: int, modifier: int) -> int:
        if self._acts is not None:
            self._acts.append(Asked("alloc", order, mt, -1))
        pfn = super().apply(alloc_request(order, mt, cpu, self.node_of_cpu(cpu), modifier), ())
        if self._acts is not None and pfn < 0:
            self._acts.append(Refused(order, mt))
        return pfn

    def _give(self, pfn: int, cpu: int) -> None:
        if self._acts is not None:
            block = self.zones[self.zone_of(pfn)].block(pfn)
            self._acts.append(Asked("free", block.order, block.mt, pfn))
        super().apply(free_request(pfn, cpu), ())

    # Watching, and keeping.

    def acts(self, request: int, received: Sequence[int]) -> list[Any]:
        """Do one request and return what happened, act by act; the first act is the request itself."""
        if request >= FREE or not request >> VERB_SHIFT:
            return super().acts(request, received)
        acts: list[Any] = [self._called(unpack_slab(request), received)]
        self.watched(acts).apply(request, received)
        return acts

    def watched(self, acts: list[Any]) -> Self:
        """Return this machine seen through: same state, and acts grows with all that it does."""
        watched = super().watched(acts)
        watched._forget()
        return watched

    def _called(self, call: SlabCall, received: Sequence[int]) -> Called:
        if call.verb not in ("kfree", "write"):
            return Called(call.verb, self._named(call), call.number if call.verb == "kmalloc" else 0, call.cpu)
        word = received[call.number] if call.number < len(received) else NOTHING
        cache, slab, index = self._found(word)
        if cache is None:
            return Called(call.verb, "", call.size, call.cpu, max(-1, word - OBJECT >> PAGE_BITS))
        return Called(call.verb, cache.name, call.size, call.cpu, cache.pfn[slab], index)

    def redo(self, acts: Sequence[Any]) -> None:
        """Do the first acts of a request again, those of pages and those of caches."""
        super().redo([act for act in acts if not isinstance(act, SLAB_ACTS)])
        for act in acts:
            if isinstance(act, SLAB_ACTS) and act.cache:
                redo(self.cache(act.cache), act)

    def under(self, kernel: str) -> Self:
        """Raise: the slots of a cache differ between kernels.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"a machine with caches cannot go on under kernel {kernel}: begin another one")

    def snapshot(self) -> Any:
        """Return the whole state, small enough to keep by the hundred."""
        used = {number: cache.snapshot() for number, cache in self._caches.items() if cache.carved}
        return super().snapshot(), used, frozenset(self.large)

    def restore(self, snapshot: Any) -> None:
        """Bring back the state of a snapshot of a machine of the same shape."""
        pages, used, large = snapshot
        super().restore(pages)
        self.large = set(large)
        for number, kept in used.items():
            self.cache(self._infos[number].name).restore(kept)

    def validate(self) -> None:
        """Check every invariant of the zones and the caches, and that both agree on the pages of slabs.

        Raises:
            ValueError: one sentence that says what is wrong.
        """
        super().validate()
        for cache in self.caches:
            validate_cache(cache)
        validate_pages(self.caches, self.owners, lambda pfn: self.zones[self.zone_of(pfn)].block(pfn))


def address(word: int) -> str:
    """Write the address of an object as page and offset.

    Args:
        word: as slab.py counts it.

    Returns:
        Words; the offset is in bytes.

    >>> address(OBJECT + 5 * 512 + 32)
    'page 5 + 256'
    """
    pfn, words = divmod(word - OBJECT, PAGE_WORDS)
    return f"page {pfn} + {words << WORD_SHIFT}"


def slab_machine(
    pages: int | str, kernel: str = "6.12", cpus: int = 1, pcp: bool = False, debug: Slab = NO_FLAGS, seed: int | None = None
) -> SlabMachine:
    """Make a machine with caches, of one zone whose memory is all free.

    Args:
        pages: a number of pages, or a size such as "64 MiB", up to 8 GiB.
        kernel: "6.1", "6.12", "6.18" or "7.x".
        cpus: CPUs, 1..16.
        pcp: whether each CPU has page lists of its own.
        debug, seed: as `SlabMachine` has them.

    Returns:
        The machine.

    Raises:
        ValueError: there can be no such machine.

    >>> slab_machine(64).cache("kmalloc-512").layout.objects
    8
    """
    return SlabMachine(boot(to_pages(pages)), kernel, cpus, pcp, debug=debug, seed=seed)
