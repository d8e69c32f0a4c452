"""How fast the zone, its caches and its tape are, next to the same rules in C and to a textbook buddy allocator in Python.

    python tests/bench.py [--quick]

Every figure is of one workload: orders 0..3 with weights 8:4:2:1; fill to 70 % of the pages; then a million requests that allocate below
70 % and free a random live block above it. A second workload swings between 50 % and 90 %. All three are given the same requests,
made once from a seed, and must hand out the same pfns: if they do not, the exit code is 1. Times only print ok or OVER.

The full machine has zones DMA and Normal, per-CPU lists, fallback and watermarks. It and the bare one are given the same requests, which
free by number, because the two hand out different pages.

Objects come from one cache of 256 bytes on one CPU: so many are live, and then each request frees a random one or asks for one again.
"""

import argparse
import gc
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
import types
from array import array
from collections.abc import Callable, Iterator
from math import isqrt
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from pagelab.lab.tape import Tape
from pagelab.mm.allocator import REFUSED
from pagelab.mm.call import FREE, alloc_request, free_received, free_request
from pagelab.mm.machine import NOTHING, Machine, machine
from pagelab.mm.page_alloc import alloc_pages, boot, free_pages, hand_over
from pagelab.mm.slab_call import kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.mm.units import MAX_PAGE_ORDER, NR_PAGE_ORDERS, to_pages
from pagelab.mm.zone import Zone

SIZES = ("64 MiB", "1 GiB")
WORKLOADS = {"steady at 70 %": (0.7, 0.7), "swinging between 50 % and 90 %": (0.5, 0.9)}
TEXTBOOK_LIMIT = 50_000  # the textbook one does no more than this many of the swinging requests: its lists get long
OBJECT_SIZE, LIVE = 256, (1_000, 20_000, 100_000)
SOURCE = Path(__file__).with_name("bench_buddy.c")


class Work(NamedTuple):
    """Requests for a machine of this size; the first `fill` of them fill it and are not timed."""

    pages: int
    fill: int
    requests: array


def draw(pages: int, low: float, high: float, count: int) -> Work:
    """Make the requests of one workload: they free by pfn, so a plain allocator is run along."""
    rng, zone, live, used, growing = random.Random(42), boot(pages), [], 0, True
    requests, fill = array("I"), 0
    while len(requests) < fill + count:
        if not fill and used >= 0.7 * pages:
            fill = len(requests)
        if used >= (high if fill else 0.7) * pages:
            growing = False
        elif used < low * pages:
            growing = True
        if growing:
            order = rng.choices(range(4), (8, 4, 2, 1))[0]
            requests.append(alloc_request(order))
            pfn = alloc_pages(zone, order)
            if pfn is not None:
                live.append((pfn, order))
                used += 1 << order
        else:
            at = rng.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            pfn, order = live.pop()
            requests.append(free_request(pfn))
            free_pages(zone, pfn, order)
            used -= 1 << order
        if not fill and len(requests) > pages:
            raise RuntimeError("the zone does not fill")
    return Work(pages, fill, requests)


def by_number(work: Work) -> Work:
    """Make the same requests with frees that name the request whose page they free: any machine can do them."""
    plain, owner, requests, received = machine(work.pages), dict[int, int](), array("I"), array("i")
    for number, request in enumerate(work.requests):
        requests.append(free_received(owner.pop(request ^ FREE)) if request & FREE else request)
        received.append(plain.apply(request, received))
        if received[-1] >= 0:
            owner[received[-1]] = number
    return work._replace(requests=requests)


def full_machine(pages: int) -> Machine:
    """Make a machine with zone DMA, a sixteenth of the pages or 16 MiB, and zone Normal above it; min_free_kbytes as the kernel has it."""
    end, zones = min(pages // 16, 4096), []
    for name, start, stop in (("DMA", 1, end), ("Normal", end, pages)):
        zones.append(Zone(stop - start, start, name))
        hand_over(zones[-1], [(start, stop)])
    return Machine(zones, pcp=True, min_free_kbytes=8 * isqrt(pages))


class Textbook:
    """A buddy allocator as textbooks have it: a list of pfns for each order, head first, and nothing else about free blocks.

    So whether a buddy is free is found by searching its list, and so is its place when it merges.
    """

    def __init__(self, pages: int) -> None:
        self.lists: list[list[int]] = [[] for _ in range(NR_PAGE_ORDERS)]
        self.used: dict[int, int] = {}
        pfn = 0
        while pfn < pages:
            order = min((pfn & -pfn).bit_length() - 1, MAX_PAGE_ORDER) if pfn else MAX_PAGE_ORDER
            while pfn + (1 << order) > pages:
                order -= 1
            self.lists[order].append(pfn)
            pfn += 1 << order

    def alloc(self, order: int) -> int:
        current = order
        while current <= MAX_PAGE_ORDER and not self.lists[current]:
            current += 1
        if current > MAX_PAGE_ORDER:
            return REFUSED
        pfn = self.lists[current].pop(0)
        while current > order:
            current -= 1
            self.lists[current].insert(0, pfn + (1 << current))
        self.used[pfn] = order
        return pfn

    def give_back(self, pfn: int) -> int:
        order = self.used.pop(pfn, None)
        if order is None:
            return REFUSED
        while order < MAX_PAGE_ORDER and pfn ^ (1 << order) in self.lists[order]:
            buddy = pfn ^ (1 << order)
            self.lists[order].remove(buddy)
            pfn &= buddy
            order += 1
        if order < MAX_PAGE_ORDER - 1 and pfn & ~(1 << order) ^ (2 << order) in self.lists[order + 1]:
            self.lists[order].append(pfn)
        else:
            self.lists[order].insert(0, pfn)
        return NOTHING

    def run(self, requests: array) -> array:
        alloc, give_back = self.alloc, self.give_back
        return array("i", [give_back(r ^ FREE) if r & FREE else alloc(r & 15) for r in requests])


class Timed(NamedTuple):
    """The best rate of some runs, in million requests a second, and what the requests received."""

    rate: float
    received: array


def best(repeat: int, make: Callable[[], Any], run: Callable[[Any, array], array], requests: array) -> Timed:
    """Time `run(make(), requests)`; making is not timed."""
    times = []
    for _ in range(repeat):
        made = make()
        start = perf_counter()
        received = run(made, requests)
        times.append(perf_counter() - start)
    return Timed(len(requests) / min(times) / 1e6, received)


def time_ours(work: Work, repeat: int, make: Callable[[int], Machine] = machine) -> Timed:
    filled = Tape(make(work.pages)).then(work.requests[: work.fill])

    def run(tape: Tape[Machine], requests: array) -> array:
        return array("i", tape.then(requests).received[work.fill :])

    return best(repeat, lambda: filled, run, work.requests[work.fill :])


def time_textbook(work: Work, repeat: int, limit: int | None) -> Timed:
    def filled() -> Textbook:
        textbook = Textbook(work.pages)
        textbook.run(work.requests[: work.fill])
        return textbook

    return best(repeat, filled, Textbook.run, work.requests[work.fill :][:limit])


def time_c(program: Path, work: Work, repeat: int) -> Timed:
    given, got = program.with_name("requests"), program.with_name("received")
    given.write_bytes(work.requests.tobytes())
    command = [str(program), str(work.pages), str(work.fill), str(given), str(got)]
    seconds = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(repeat)]
    received = array("i", got.read_bytes())[work.fill :]
    return Timed(len(received) / min(seconds) / 1e6, received)


def build(folder: str) -> Path | None:
    """Compile the C version, where there is a gcc."""
    if not shutil.which("gcc"):
        print("no gcc found: the C version is left out")
        return None
    program = Path(folder, "bench_buddy")
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


def line(name: str, *values: str) -> None:
    print(f"  {name:<34}", *(f"{value:>13}" for value in values))


def verdict(value: float, limit: float, form: str) -> tuple[str, str, str]:
    """Write a figure, its limit and whether it holds."""
    return form.format(value), "<= " + form.format(limit).lstrip(), "ok" if value <= limit else "OVER"


def rates(name: str, program: Path | None, count: int, repeat: int) -> bool:
    """Print one workload at both sizes; tell whether all three handed out the same pfns."""
    rows: dict[str, list[str]] = {}
    same, held = True, name == next(iter(WORKLOADS))
    for size in SIZES:
        work = draw(to_pages(size), *WORKLOADS[name], count)
        ours, textbook = time_ours(work, repeat), time_textbook(work, repeat, None if held else TEXTBOOK_LIMIT)
        in_c = time_c(program, work, repeat) if program else None
        share = len(textbook.received)
        equal = textbook.received == ours.received[:share] and (not in_c or in_c.received == ours.received)
        same = same and equal
        slower, faster = in_c.rate / ours.rate if in_c else 0.0, ours.rate / textbook.rate
        rows.setdefault("C, gcc -O2: M requests/s", []).append(f"{in_c.rate:.1f}" if in_c else "left out")
        rows.setdefault("pagelab, tape on: M requests/s", []).append(f"{ours.rate:.2f}")
        rows.setdefault("textbook: M requests/s", []).append(f"{textbook.rate:.3f}")
        rows.setdefault("  on the first so many requests", []).append(f"{share:,}")
        ratio = f"{slower:.0f}x" + (" ok" if slower <= 110 else " OVER") * held if in_c else "-"
        rows.setdefault("C is faster by" + ", limit 110x" * held, []).append(ratio)
        mark = (" ok" if faster > 1 else " OVER") if held and size == "1 GiB" else ""
        rows.setdefault("pagelab is faster than textbook by", []).append(f"{faster:.2f}x{mark}")
        rows.setdefault("same pfns", []).append("yes" if equal else "NO")
    print(f"\n{name}" + ("" if held else " (no limits)"))
    line("", *SIZES)
    for row, values in rows.items():
        line(row, *values)
    return same


def everything_in(value: Any) -> Iterator[Any]:
    """Yield a value and all that it refers to, each object once; not classes, modules and functions."""
    seen, todo = set(), [value]
    while todo:
        value = todo.pop()
        if id(value) not in seen and not isinstance(value, type | types.ModuleType | types.FunctionType):
            seen.add(id(value))
            yield value
            todo.extend(gc.get_referents(value))


def milliseconds(do: Callable[[], Any], tries: int = 2) -> float:
    """Time one call; the best of a few tries, so that what else the computer does is not counted."""
    times = []
    for _ in range(tries):
        start = perf_counter()
        do()
        times.append(perf_counter() - start)
    return min(times) * 1e3


def full_rates(count: int, repeat: int) -> None:
    """Print how much slower a machine with everything is than the bare one."""
    rows: dict[str, list[str]] = {}
    for size in SIZES:
        work = by_number(draw(to_pages(size), *WORKLOADS["steady at 70 %"], count))
        bare, full = 0.0, Timed(0.0, array("i"))
        for _ in range(repeat):  # in turn, so that what else the computer does is no advantage to one of them
            bare = max(bare, time_ours(work, 1).rate)
            full = max(full, time_ours(work, 1, full_machine))
        ratio = full.rate / bare
        rows.setdefault("bare, tape on: M requests/s", []).append(f"{bare:.2f}")
        rows.setdefault("full, tape on: M requests/s", []).append(f"{full.rate:.2f}")
        rows.setdefault("full / bare, limit 0.4", []).append(f"{ratio:.2f} {'ok' if ratio >= 0.4 else 'UNDER'}")
        rows.setdefault("refused by the full one", []).append(f"{full.received.count(REFUSED):,}")
    print("\nfull machine: zones DMA and Normal, per-CPU lists, fallback, watermarks; steady at 70 %")
    line("", *SIZES)
    for row, values in rows.items():
        line(row, *values)


def draw_objects(live: int, count: int) -> Work:
    """Make the requests of objects: `live` of them fill, then one goes and one comes, in turn."""
    rng, requests, holders = random.Random(42), array("I", [kmalloc_request(OBJECT_SIZE)] * live), list(range(live))
    while len(requests) < live + count:
        at = rng.randrange(live)
        requests.append(kfree_request(holders[at]))
        holders[at] = len(requests)
        requests.append(kmalloc_request(OBJECT_SIZE))
    return Work(to_pages("256 MiB"), live, requests)


def slab_rates(count: int, repeat: int) -> None:
    """Print how fast objects come and go through a cache, by how many are live, and next to pages of a bare machine."""
    works = {live: draw_objects(live, count) for live in LIVE}
    pages = draw(to_pages("1 GiB"), *WORKLOADS["steady at 70 %"], count)
    rates, bare = dict.fromkeys(LIVE, 0.0), 0.0
    for _ in range(repeat):  # in turn, so that what else the computer does is no advantage to one of them
        bare = max(bare, time_ours(pages, 1).rate)
        for live, work in works.items():
            rates[live] = max(rates[live], time_ours(work, 1, slab_machine).rate)
    print(f"\nobjects of {OBJECT_SIZE} bytes through a cache, tape on: M requests/s")
    for live, rate in rates.items():
        limit = f", limit 0.5: {'ok' if rate >= 0.5 else 'UNDER'}" if live == 20_000 else ""
        line(f"{live:,} objects live", f"{rate:.2f}{limit}")
    spread = max(rates.values()) / min(rates.values())
    line("fastest / slowest, limit 1.5", f"{spread:.2f} {'ok' if spread <= 1.5 else 'OVER'}")
    line("objects (20,000) / pages of 1 GiB", f"{rates[20_000] / bare:.2f}")


class Limits(NamedTuple):
    """What a tape may cost: MiB kept, and milliseconds for a jump, median and longest."""

    kept: float
    median: float
    longest: float


def tape_figures(name: str, make: Callable[[int], Machine], limits: Limits, count: int, jumps: int) -> None:
    """Print what a tape of 1 GiB keeps, and how long it takes to get anywhere in it."""
    work = draw(to_pages("1 GiB"), *WORKLOADS["steady at 70 %"], count)
    work = by_number(work) if make is full_machine else work
    filled = Tape(make(work.pages)).then(work.requests[: work.fill])
    tape = Tape(filled.at(work.fill)).then(work.requests[work.fill :]) if make is machine else filled.then(work.requests[work.fill :])
    kept = sum(map(sys.getsizeof, everything_in(tape))) / 2**20
    steps = random.Random(7).sample(range(len(tape) - count, len(tape) + 1), jumps)
    plain = [milliseconds(lambda k=k: tape.at(k)) for k in steps]
    mapped = [milliseconds(lambda k=k: tape.at(k).zone.page_states()) for k in steps]
    print(f"\na tape of {len(tape):,} requests on 1 GiB, {name}; {jumps} random jumps, each the better of two")
    line("", "measured", "limit")
    line("memory kept", *verdict(kept, limits.kept, "{:.1f} MiB"))
    line("memory kept, as tracemalloc sees it", *verdict(traced(tape), limits.kept, "{:.1f} MiB"))
    line("jump, median", *verdict(statistics.median(plain), limits.median, "{:.2f} ms"))
    line("jump, longest", *verdict(max(plain), limits.longest, "{:.2f} ms"))
    line("jump and page map, median", *verdict(statistics.median(mapped), max(10, limits.median), "{:.2f} ms"))
    line("jump and page map, longest", *verdict(max(mapped), limits.longest, "{:.2f} ms"))


def traced(tape: Tape[Machine]) -> float:
    """Run a tape again and return what it keeps as tracemalloc sees it, in MiB."""
    start, requests = tape.at(0), array("I", tape.requests)
    tracemalloc.start()
    again = Tape(start).then(requests)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    assert len(again) == len(tape)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the zone and its tape.")
    parser.add_argument("--quick", action="store_true", help="fewer requests and one run of each: rough figures")
    quick = parser.parse_args().quick
    count, repeat, jumps = (50_000, 1, 50) if quick else (1_000_000, 3, 500)
    print(f"{count:,} requests after filling to 70 %, best of {repeat}" + ": rough figures" * quick)
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        differ = [name for name in WORKLOADS if not rates(name, program, count, repeat)]
    full_rates(count, repeat)
    slab_rates(count, repeat)
    tape_figures("bare", machine, Limits(14, 3, 10), count, jumps)
    tape_figures("full", full_machine, Limits(40, 10, 30), count, jumps)
    line("a zone of 64 GiB, made", *verdict(milliseconds(lambda: machine("64 GiB"), 3), 50, "{:.1f} ms"))
    if differ:
        print(f"\nThe pfns differ in {' and '.join(differ)}: one of the three does not follow the rules.")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
