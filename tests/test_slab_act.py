import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.tape import Tape
from pagelab.mm.slab import NODE_PARTIAL
from pagelab.mm.slab_act import Called, Carved, Crowded, Delisted, Discarded, Enlisted, FoundEmpty, Loaded, Popped, Put, Weighed
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine

CACHE = "kmalloc-512"


def of_caches(acts):
    return [act for act in acts if hasattr(act, "cache")]


def test_the_first_object_needs_a_slab():
    acts = slab_machine(16).acts(kmalloc_request(500), [])
    assert of_caches(acts) == [
        Called("kmalloc", CACHE, 500, 0),
        FoundEmpty(CACHE, "freelist", 0),
        FoundEmpty(CACHE, "cpu partial", 0),
        FoundEmpty(CACHE, "node partial", 0),
        Carved(CACHE, 0, 0, 8),
        Loaded(CACHE, 0, 0, 8),
        Popped(CACHE, 0, 0, 0),
    ]


def test_a_free_to_a_full_slab_says_why_it_moves():
    tape = Tape(slab_machine(16)).then([kmalloc_request(512)] * 9).then([kfree_request(3)])
    assert tape.acts(9) == [
        Called("kfree", CACHE, 0, 0, 0, 3),
        Put(CACHE, 0, 3, False),
        Crowded(CACHE, 0, 0, 13, False),
        Enlisted(CACHE, 0, 2, 0, False),
    ]


def test_an_empty_slab_is_weighed_before_it_goes():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 120).then(map(kfree_request, range(120)))
    acts = of_caches(tape.acts(120 + 8 * 13))
    weighed = [(act.nr_partial, act.yes) for act in acts if isinstance(act, Weighed)]
    assert weighed == [(0, False), (1, False), (2, False), (3, False), (4, False), *[(5, True)] * 8]
    assert [act.pfn for act in acts if isinstance(act, Discarded)] == list(range(8))
    assert sum(isinstance(act, Delisted) for act in acts) == 13
    assert [act.pfn for act in acts if isinstance(act, Enlisted) and act.place == NODE_PARTIAL] == [12, 11, 10, 9, 8]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 3), st.sampled_from(["6.1", "6.12"]))
def test_acts_done_again_lead_to_the_same_state(seed, cpus, kernel):
    source = random.Random(seed)
    machine = slab_machine(256, kernel=kernel, cpus=cpus, pcp=bool(seed & 1), seed=seed if seed & 2 else None)
    tape, requests, live = Tape(machine), [], []
    shrink = cache_request("shrink", machine.names.index("kmalloc-1k"))
    for k in range(60):
        cpu, what = source.randrange(cpus), source.random()
        if what < 0.5 or not live:
            requests.append(kmalloc_request(source.choice([1000, 1000, 1000, 2000, 20000]), cpu))
            live.append(k)
        elif what < 0.98:
            requests.append(kfree_request(live.pop(source.randrange(len(live))), cpu))
        else:
            requests.append(shrink)
    tape = tape.then(requests)
    for k in source.sample(range(60), 20):
        again = tape.at(k)
        again.redo(tape.acts(k))
        after = tape.at(k + 1)
        assert [bytes(zone.state) for zone in again.zones] == [bytes(zone.state) for zone in after.zones]
        assert again.snapshot()[1] == after.snapshot()[1]
