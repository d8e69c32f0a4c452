"""What the tests of slab figures need: runs of objects to step through, and what such a run holds by plain bookkeeping."""

import random

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_layout import Slab, slab_debug
from pagelab.mm.slab_machine import SlabMachine, slab_machine
from pagelab.view.slab_columns import slab_moment

KINDS = ("small", "two cpus", "large slots", "tiny", "user tracking", "6.1", "random", "sheaves")


def slab_kinds():
    """Return machines of all kinds and the cache to look at: sizes, CPUs, kernels, orders of a new slab's objects, debug flags."""
    debugged, crossing = slab_machine(256, cpus=2, debug=slab_debug("U")), slab_machine(256, cpus=4)
    crossing.kmem_cache_create("crossing", 704)
    return {
        "small": (slab_machine(64), "kmalloc-512"),
        "two cpus": (slab_machine(256, cpus=2), "kmalloc-1k"),
        "large slots": (crossing, "crossing"),
        "tiny": (slab_machine(32), "kmalloc-8"),
        "user tracking": (debugged, "kmalloc-256"),
        "6.1": (slab_machine(128, "6.1", cpus=2), "kmalloc-2k"),
        "sheaves": (slab_machine(256, "7.x", cpus=2), "kmalloc-2k"),
        "random": (slab_machine(64, seed=5), "kmalloc-512"),
    }


def slab_run(seed, machine: SlabMachine, cache, length=90):
    """Return a tape that allocates objects of a cache, frees them on any CPU, shrinks it now and then, and drains it at last."""
    source, live, requests = random.Random(seed), [], []
    size, number = machine.cache(cache).layout.object_size, machine.names.index(cache)
    low = size // 2 + size // 4 + 1 if size > 8 else 1
    while len(requests) < length:
        cpu, ebb = source.randrange(machine.cpus), len(requests) > 0.6 * length
        if live and source.random() < (0.85 if ebb else 0.3):
            requests.append(kfree_request(live.pop(source.randrange(len(live))), cpu))
        elif source.random() < 0.03:
            requests.append(cache_request("shrink", number, cpu))
        else:
            live.append(len(requests))
            made = not machine.cache(cache).layout.flags & Slab.KMALLOC
            requests.append(cache_request("kmem_cache_alloc", number, cpu) if made else kmalloc_request(source.randint(low, size), cpu))
    return Tape(machine).then(requests)


def slab_moments(tape, cache, steps=None):
    """Yield moments of a tape, act by act, of all its requests or of some, and the end."""
    for k in range(len(tape)) if steps is None else steps:
        for act in range(len(tape.acts(k))):
            yield slab_moment(tape, k, act, cache)
    yield slab_moment(tape, len(tape), 0, cache)


def held_by_callers(tape, k):
    """Return what callers hold before request k: from the address of an object, in bytes, to the bytes that were asked for."""
    sizes = {}
    for request, word in zip(tape.requests[:k], tape.received[:k], strict=True):
        verb = request >> 28
        if verb == 3:
            sizes.pop(tape.received[request & 0xFFFFFF])
        elif verb in (1, 2) and word > 0:
            sizes[word] = (request & 0x3FFFFF) + 1 if verb == 1 else 704
    return {(word - (1 << 30)) * 8: size for word, size in sizes.items()}
