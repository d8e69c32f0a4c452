"""A machine of two nodes, three zones and four CPUs, under any requests: what is in use, what is free and what waits always add up."""

import random
from array import array

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from zones import contents

from pagelab.mm.act import Asked, Refused
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import alloc_request, exact_request, free_received, free_request, other_request, unpack
from pagelab.mm.machine import COMPACTED, NOTHING, Machine, machine
from pagelab.mm.page_alloc import hand_over
from pagelab.mm.zone import Zone

KERNELS = ("6.1", "6.12")
SPANS = (
    ("DMA", 0, 1, 700, [(200, 700)]),
    ("DMA32", 0, 1024, 2600, [(1024, 1500), (1536, 2600)]),
    ("Normal", 1, 4100, 5300, [(4100, 5300)]),
)


def whole_machine(kernel, kbytes=400, spans=SPANS):
    """Return the machine with its memory free; its pageblocks are cut by edges and holes."""
    zones = []
    for name, node, start, end, ranges in spans:
        zones.append(Zone(end - start, start, name, node))
        hand_over(zones[-1], ranges)
    return Machine(zones, kernel, cpus=4, pcp=True, min_free_kbytes=kbytes)


def copy_of(machine):
    copy = machine.blank()
    copy.restore(machine.snapshot())
    return copy


def everything(machine):
    """Return all that a machine holds as one value."""
    parked = [[pcp.pack().tobytes() for pcp in zone.pcp] for zone in machine.zones]
    return [contents(zone) for zone in machine.zones], parked, list(machine.free), machine.below_high


def blocks(machine):
    """Return what zones and CPUs hold, without the numbers that only say what comes next."""
    parked = [[[list(blocks) for blocks in pcp.lists] for pcp in zone.pcp] for zone in machine.zones]
    return [contents(zone) for zone in machine.zones], parked


NUMBERS = st.integers(0, 10_000)
OPTIONS = {
    "mt": st.sampled_from([0, 1, 1, 2]),
    "cpu": st.integers(0, 3),
    "node": st.integers(0, 1),
    "modifier": st.sampled_from([0, 0, 0, 1, 2, 3]),
    "atomic": st.sampled_from([False, False, True]),
}


class WholeMachine(RuleBasedStateMachine):
    """Each request is done twice: as it is, and watched, on a copy, act by act."""

    @initialize(kernel=st.sampled_from(KERNELS), kbytes=st.sampled_from([0, 128, 400]))
    def begin(self, kernel, kbytes):
        self.machine = whole_machine(kernel, kbytes)
        self.received, self.live, self.managed = [], {}, sum(zone.managed for zone in self.machine.zones)

    def do(self, request):
        watched, again, before = copy_of(self.machine), copy_of(self.machine), len(self.received)
        acts = watched.acts(request, self.received)
        got = self.machine.apply(request, self.received)
        again.redo(acts)
        assert everything(watched) == everything(self.machine)
        assert blocks(again) == blocks(self.machine)
        assert isinstance(acts[0], Asked)
        assert isinstance(acts[-1], Refused) == (got == REFUSED)
        self.received.append(got)
        return got, before

    @rule(order=st.sampled_from([*range(6), 0, 0, 0, 1, 8, 9, 10]), times=st.integers(1, 5), options=st.fixed_dictionaries(OPTIONS))
    def alloc(self, order, times, options):
        for _ in range(times):
            pfn, number = self.do(alloc_request(order, **options))
            if pfn >= 0:
                self.live[number] = [(pfn, order)]

    @rule(pages=st.integers(1, 40), options=st.fixed_dictionaries(OPTIONS))
    def alloc_exact(self, pages, options):
        pfn, number = self.do(exact_request(pages, **options))
        if pfn >= 0:
            self.live[number] = [(pfn + page, 0) for page in range(pages)]

    @precondition(lambda self: self.live)
    @rule(which=NUMBERS, cpu=st.integers(0, 3), by_number=st.booleans(), times=st.integers(1, 6))
    def free(self, which, cpu, by_number, times):
        for _ in range(min(times, len(self.live))):
            number = sorted(self.live)[which % len(self.live)]
            first, *rest = self.live.pop(number)
            assert self.machine.pfn_to_free(free_received(number), self.received) == first[0]
            self.do(free_received(number, cpu) if by_number else free_request(first[0], cpu))
            for pfn, _ in rest:
                self.do(free_request(pfn, cpu))

    @rule(number=st.integers(0, 4))
    def drain(self, number):
        assert self.do(other_request("drain", number))[0] == NOTHING
        cpus = range(4) if number == 0 else [number - 1]
        assert not any(zone.pcp[cpu].count for zone in self.machine.zones for cpu in cpus)

    @rule()
    def compact(self):
        got, _ = self.do(other_request("compact"))
        assert got == COMPACTED
        moved = self.machine._moves[-1][1]
        self.live = {number: [(moved.get(pfn, pfn), order) for pfn, order in held] for number, held in self.live.items()}

    @rule(verb=st.sampled_from(["isolate", "unisolate", "unisolate"]), pfn=st.integers(1, 5300))
    def isolate(self, verb, pfn):
        if any(zone.start_pfn <= pfn < zone.end_pfn for zone in self.machine.zones):
            self.do(other_request(verb, pfn))

    @rule()
    def restart(self):
        self.machine = copy_of(self.machine)

    @invariant()
    def it_adds_up(self):
        if not hasattr(self, "machine"):
            return
        self.machine.validate()
        used = [block for held in self.live.values() for block in held]
        for pfn, order in used:
            assert self.machine.zones[self.machine.zone_of(pfn)].in_use(pfn) == order
        free = sum(zone.nr_free_pages() for zone in self.machine.zones)
        parked = sum(pcp.count for zone in self.machine.zones for pcp in zone.pcp)
        assert sum(1 << order for _, order in used) + free + parked == self.managed


WholeMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestWholeMachine = WholeMachine.TestCase


def test_a_refused_request_changes_nothing_that_is_seen():
    for kernel in KERNELS:
        machine = whole_machine(kernel)
        while machine.alloc_pages(0) is not None:
            pass
        before = blocks(machine), list(machine.free)
        assert machine.alloc_pages(5) is None
        assert (blocks(machine), list(machine.free)) == before


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_bare_machine_does_what_the_whole_way_does(kernel):
    short, long = machine(700, kernel), machine(700, kernel)
    long._bare = None
    rng, live, received = random.Random(6), [], []
    for _ in range(4000):
        if live and rng.random() < 0.47:
            request = free_request(live.pop(rng.randrange(len(live))))
        else:
            request = alloc_request(rng.choice([0, 0, 0, 1, 2, 3, 5, 9]), rng.choice([0, 1, 1, 2]))
        received.append(short.apply(request, []))
        assert long.apply(request, []) == received[-1]
        if received[-1] >= 0:
            live.append(received[-1])
    assert contents(short.zone) == contents(long.zone)
    assert short.free == long.free
    assert REFUSED in received


# Long runs.

TINY = (("DMA", 0, 1, 64, [(16, 64)]), ("DMA32", 0, 1024, 1100, [(1024, 1100)]), ("Normal", 1, 2048, 2660, [(2048, 2660)]))


def random_requests(machine, seed, count):
    """Do random requests that keep the machine between nearly empty and nearly full; yield after each."""
    rng, received, live = random.Random(seed), array("i"), []
    low, high = 0.3, 0.9
    managed = sum(zone.managed for zone in machine.zones)
    growing = True
    for done in range(count):
        if done % 64 == 0:
            used = 1 - sum(machine.free) / managed
            growing = used < high if growing else used < low
        request = one_request(rng, live, growing)
        got = machine.apply(request, received)
        if got >= 0 and request >> 24 == 0:
            live.append(got)
        elif got >= 0:
            live.extend(range(got, got + unpack(request).number))
        elif got == COMPACTED:
            moved = machine._moves.pop()[1]
            live[:] = [moved.get(pfn, pfn) for pfn in live]
        yield request


def one_request(rng, live, growing):
    chance = rng.random()
    if chance < 0.002:
        verb, number = rng.choice(
            [
                ("drain", rng.randrange(5)),
                ("compact", 0),
                *[(verb, rng.choice([40, 1030, 2100, 2600])) for verb in ("isolate", "unisolate", "unisolate")],
            ]
        )
        return other_request(verb, number)
    if live and (chance < 0.3) == growing:
        at = rng.randrange(len(live))
        live[at], live[-1] = live[-1], live[at]
        return free_request(live.pop(), rng.randrange(4))
    options = rng.choice((0, 1, 1, 2)), rng.randrange(4), rng.randrange(2), rng.choice((0, 0, 0, 1, 2, 3)), chance > 0.95
    if chance > 0.94 and rng.random() < 0.1:
        return exact_request(rng.randrange(1, 12), *options)
    return alloc_request(rng.choices(range(10), (60, 20, 10, 5, 3, 2, 1, 1, 1, 1))[0], *options)


@pytest.mark.parametrize("kernel", KERNELS)
def test_three_thousand_requests_and_a_check_after_each(kernel):
    machine = whole_machine(kernel, 128, TINY)
    for _ in random_requests(machine, 1, 3000):
        machine.validate()


@pytest.mark.soak
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("count", "every"), [(1_000_000, 1), (10_000_000, 1000)])
def test_millions_of_requests(kernel, count, every):
    machine, done = whole_machine(kernel, 128, TINY), 0
    for _ in random_requests(machine, count, count):
        done += 1
        if done % every == 0:
            machine.validate()
    assert done == count
