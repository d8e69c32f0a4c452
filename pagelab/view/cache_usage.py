"""What the memory of a cache is used for, at a moment and over a run: asked for, in slots, held as pages. No bokeh here."""

from typing import NamedTuple

import numpy as np

from ..lab.slab_usage import Usage, usage_of
from ..lab.tape import Tape
from ..mm.allocator import REFUSED
from ..mm.call import unpack
from ..mm.slab import OBJECT, PAGE_BITS
from ..mm.slab_call import KFREE, SLAB_VERBS, VERB_SHIFT, unpack_slab
from ..mm.slab_common import KmallocType, kmalloc_index, kmalloc_name
from ..mm.slab_layout import Slab
from ..mm.slab_machine import SlabMachine
from ..mm.zone import RECLAIMABLE
from .columns import Says, Strip
from .palette import FREE_LOOK, HOLE_LOOK, PCP_LOOK, USED_LOOKS, Look
from .slab_columns import SlabMoment

USED, SLACK = USED_LOOKS[0], USED_LOOKS[0]._replace(hatch="right_diagonal_line")
WAITS = PCP_LOOK._replace(letter="", words="object in a sheaf")
SLAB_SAYS = Says("pages held", "at most", "objects in use", "0 to", "pages held", "objects in use")


class CacheRun(NamedTuple):
    """A whole run, as far as one cache goes: its Strip, the bytes asked for before each request and at the end, the CPUs that play a part,
    and the length of the longest list."""

    strip: Strip
    asked: list[int]
    cpus: tuple[int, ...]
    longest: int


def usage(now: SlabMoment, run: CacheRun) -> Usage:
    """Return where the bytes of the cache are at a moment.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> from pagelab.view.slab_columns import slab_moment
    >>> tape = Tape(slab_machine(64)).then([kmalloc_request(300)])
    >>> used = usage(slab_moment(tape, 0, -1, "kmalloc-512"), slab_run(tape, "kmalloc-512"))
    >>> used.asked, used.internal, used.free, used.held
    (300, 212, 3584, 4096)
    """
    k, machine = now.pages.k, now.pages.machine
    after = k + 1 < len(run.asked) and now.cache.live() != now.before.live()
    assert isinstance(machine, SlabMachine)
    return usage_of(machine, now.cache.name, run.asked[k + after])


def slab_run(tape: Tape[SlabMachine], name: str, points: int = 400) -> CacheRun:
    """Run a tape once and note the pages that a cache holds, its objects in use and the bytes asked for.

    Args:
        tape: any tape of a machine with caches.
        name: of the cache.
        points: how many positions of the strip are shown at most; the end is always one.
    """
    model = tape.at(0)
    cache, every = model.cache(name), -(-len(tape) // (points - 1)) or 1
    steps, pages, live, asked, sizes, longest, cpus = [], [], [], [0], dict[int, int](), 1, {0}
    for k in range(len(tape) + 1):
        if k % every == 0 or k == len(tape):
            steps.append(k)
            pages.append(sum(1 << cache.order(slab) for slab in cache.numbers()))
            live.append(cache.live())
            longest = max(longest, *(len(c.partial) for c in cache.cpu), *(len(n.partial) for n in cache.node))
        if k < len(tape):
            request, word = tape.requests[k], model.apply(tape.requests[k], tape.received)
            verb = request >> VERB_SHIFT
            if 0 < verb < len(SLAB_VERBS):
                call, change = unpack_slab(request), 0
                if verb == KFREE:
                    word = tape.received[call.number]
                    change = -sizes.pop(word, 0)
                elif word > 0 and (owner := model.owners.get(word - OBJECT >> PAGE_BITS)) and owner[0] is cache:
                    sizes[word] = change = call.number if call.verb == "kmalloc" else cache.layout.object_size
                cpus |= {call.cpu} if change else set()
                asked.append(asked[-1] + change)
            else:
                asked.append(asked[-1])
    refused = np.flatnonzero(np.asarray(tape.received) == REFUSED)
    most = max(live)
    run = Strip(np.array(steps), np.array(pages), np.array(live), refused, max(pages), most + 1, SLAB_SAYS)
    return CacheRun(run, asked, tuple(sorted(cpus)), longest)


def used_caches(tape: Tape[SlabMachine]) -> list[str]:
    """Return the caches that the run takes objects from, in the order in which it does.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> used_caches(Tape(slab_machine(64)).then([kmalloc_request(size) for size in (100, 9, 120, 9000)]))
    ['kmalloc-128', 'kmalloc-16']
    """
    machine, names = tape.at(0), list[str]()
    for request in dict.fromkeys(tape.requests):
        if 0 < request >> VERB_SHIFT < len(SLAB_VERBS):
            call = unpack_slab(request)
            if call.verb == "kmalloc" and (index := kmalloc_index(call.number)):
                names.append(kmalloc_name(index, KmallocType(call.kind)))
            elif call.verb == "kmem_cache_alloc":
                names.append(machine.names[call.number])
    return list(dict.fromkeys(machine.cache(name).name for name in names))


def default_cache(tape: Tape[SlabMachine]) -> str:
    """Return the cache that the run uses first; without any, the last one that was made.

    >>> from pagelab.mm.slab_call import kmalloc_request
    >>> from pagelab.mm.slab_machine import slab_machine
    >>> default_cache(Tape(slab_machine(64)).then([kmalloc_request(100)]))
    'kmalloc-128'
    """
    made = [cache.name for cache in tape.at(0).caches if not cache.layout.flags & Slab.KMALLOC]
    return [*used_caches(tape), *reversed(made), "kmalloc-512"][0]


def _page_requests(tape: Tape[SlabMachine]) -> list[int]:
    return [request for request in dict.fromkeys(tape.requests) if not 0 < request >> VERB_SHIFT < len(SLAB_VERBS)]


def looks_of(tape: Tape[SlabMachine], pages: bool) -> tuple[Look, ...]:
    """Return the states that a run's figures can show, for their legend; pages: whether a page map is among them.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> [look.words for look in looks_of(Tape(slab_machine(64)), True)]
    ['free', 'object in use; page: unmovable']
    """
    machine = tape.at(0)
    caches = [machine.cache(name) for name in used_caches(tape) or [default_cache(tape)]]
    waits = (WAITS,) if any(cache.sheaves.capacity for cache in caches) else ()
    if not pages:
        return FREE_LOOK, USED_LOOKS[0]._replace(letter="", words="object in use"), *waits
    types = {call.mt for call in map(unpack, _page_requests(tape)) if call.verb.startswith("alloc")}
    types |= {RECLAIMABLE for cache in caches if cache.layout.flags & Slab.RECLAIM_ACCOUNT}
    used = USED_LOOKS[0]._replace(letter="", words="object in use; page: unmovable")
    others = [look for mt, look in enumerate(USED_LOOKS) if mt and mt in types]
    return FREE_LOOK, used, *others, *waits, *((PCP_LOOK,) if machine.zone.pcp else ())


def usage_parts(used: Usage) -> list[tuple[str, int, Look]]:
    """Return what the held bytes are: name, bytes and look of each part.

    >>> [(name, size) for name, size, _ in usage_parts(Usage(300, 212, 3584, 0, 1, 1, 1, 1, 0))]
    [('asked for', 300), ('more than asked for', 212), ('free objects', 3584), ('left over', 0)]
    """
    return [
        ("asked for", used.asked, USED),
        ("more than asked for", used.internal, SLACK),
        ("free objects", used.free, FREE_LOOK),
        ("left over", used.slack, HOLE_LOOK),
    ]


def usage_line(used: Usage, slabinfo: tuple[int, int]) -> str:
    """Tell how memory is used in a line; slabinfo is what `get_slabinfo` returns.

    >>> usage_line(Usage(300, 212, 3584, 0, 1, 1, 1, 1, 0), (8, 8))
    'asked 300 B, in slots 512 B, held 4,096 B; slabinfo 8 8'
    """
    active, total = slabinfo
    return f"asked {used.asked:,} B, in slots {used.in_use:,} B, held {used.held:,} B; slabinfo {active} {total}"
