"""A kernel to test the replay with: a model machine that writes down what it does as tracefs and /proc would print it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pagelab.mm.act import Linked, Moved, Refused, Relabelled, Taken, Unlinked, Unparked
from pagelab.mm.call import alloc_request, free_request, other_request
from pagelab.mm.pcp import pcp_allowed
from pagelab.mm.units import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER
from pagelab.mm.zone import MIGRATE_PCPTYPES, MOVABLE
from pagelab.real.trace import STRUCT_PAGE, VMEMMAP_BASE

COLUMNS = {"free": 1 << 10, "hole": 1 << 20}


def line(cpu, event, flags=".....", pid=1):
    return f"            test-{pid}       [{cpu:03}] {flags}     1.000000: {event}"


def page(pfn):
    return f"page=(____ptrval____) pfn={pfn:#x}"


def locked(pfn, order, mt, refill):
    name = "mm_page_alloc_zone_locked"
    return f"{name}: {page(pfn)} order={order} migratetype={mt} percpu_refill={int(refill)}"


def extfrag(pfn, order, mt, fallback_order, theirs, owned):
    fragmenting = int(fallback_order < PAGEBLOCK_ORDER)
    orders = f"alloc_order={order} fallback_order={fallback_order} pageblock_order=9"
    types = f"alloc_migratetype={mt} fallback_migratetype={theirs} fragmenting={fragmenting} change_ownership={int(owned)}"
    return f"mm_page_alloc_extfrag: {page(pfn)} {orders} {types}"


def picks(acts) -> Iterator[list]:
    """Cut the acts of an allocation after each page that leaves the free lists."""
    part = []
    for act in acts:
        part.append(act)
        if isinstance(act, Taken):
            yield part
            part = []


def taken_lines(part, order, mt, strict, refill):
    """Write one page that left the free lists as 6.12 (strict) or 6.1 traces it."""
    taken = part[-1]
    unlinked = [act for act in part if isinstance(act, Unlinked)][-1]
    moved = [act for act in part if isinstance(act, Moved)]
    labels = [act for act in part if isinstance(act, Relabelled)]
    line_locked = locked(taken.pfn, order, mt, refill)
    if moved:
        # The search goes down from the largest block: the one it found is the largest that moved.
        chosen = max(moved, key=lambda act: act.order)
        fell = extfrag(taken.pfn if strict else chosen.pfn, order, mt, chosen.order, chosen.old, bool(labels))
        return [line_locked, fell] if strict else [fell, line_locked]
    if unlinked.mt != mt:
        return [extfrag(taken.pfn, order, mt, unlinked.order, unlinked.mt, bool(labels))]
    return [line_locked]


class Traced:
    """A machine whose requests leave lines."""

    def __init__(self, machine, seed):
        self.machine, self.source, self.live, self.lines = machine, random.Random(seed), [], []
        self.strict = machine.kernel.strict

    KINDS = ("batch", "batch", "bulk", "interrupt", "isolate")

    def node(self, cpu):
        return cpu * self.machine.nodes // self.machine.cpus

    def say(self, text):
        self.lines.append(line(0, f"tracing_mark_write: {text}"))

    def alloc(self, order, mt, cpu, node):
        request = alloc_request(order, mt, cpu, node)
        acts = self.machine.acts(request, ())
        if isinstance(acts[-1], Refused):
            self.lines.append(line(cpu, f"mm_page_alloc: page=(null) pfn=0x0 order={order} migratetype={mt} gfp_flags=GFP_KERNEL"))
            return
        pcp = any(isinstance(act, Unparked) for act in acts)
        last = acts[-1]
        parts = list(picks(acts))
        for part in parts[:-1] if pcp else parts:
            lines = taken_lines(part, order, mt, self.strict, pcp_allowed(order))
            self.lines += [line(cpu, one, "d..3." if pcp else "d..1.") for one in lines]
        self.lines.append(line(cpu, f"mm_page_alloc: {page(last.pfn)} order={order} migratetype={mt} gfp_flags=GFP_KERNEL"))
        self.live.append((last.pfn, order))

    def free(self, at, cpu):
        pfn, order = self.live.pop(at)
        acts = self.machine.acts(free_request(pfn, cpu), ())
        self.lines.append(line(cpu, f"mm_page_free: {page(pfn)} order={order}"))
        self.drained(acts, cpu)

    def drain(self):
        self.drained(self.machine.acts(other_request("drain", 0), ()), 0, pid=2)

    def drained(self, acts, cpu, pid=1):
        out = None
        for act in acts:
            if isinstance(act, Unparked) and act.tail:
                out = act
            elif isinstance(act, Linked) and out:
                text = f"mm_page_pcpu_drain: {page(out.pfn)} order={out.order} migratetype={act.mt}"
                self.lines.append(line(cpu, text, "d..3.", pid))
                out = None

    def batch(self, cpu):
        """Free some pages at once: all of them are traced first, then they come to the list one by one. No pageblock changes between."""
        pages = [at for at, (_, order) in enumerate(self.live) if order == 0]
        chosen = sorted(self.source.sample(pages, min(len(pages), self.source.choice([2, 5, 15]))), reverse=True)
        pfns = [self.live.pop(at)[0] for at in chosen]
        self.lines += [line(cpu, f"mm_page_free: {page(pfn)} order=0") for pfn in pfns]
        for pfn in pfns:
            acts = self.machine.acts(free_request(pfn, cpu), ())
            self.lines.append(line(cpu, f"mm_page_free_batched: {page(pfn)} order=0", "...2."))
            self.drained(acts, cpu)

    def bulk(self, cpu):
        """Take unmovable pages as alloc_pages_bulk does: refills are traced, the caller's pages are not, and no factor is halved."""
        factors = [(pcp, pcp.free_factor, pcp.free_count) for zone in self.machine.zones for pcp in zone.pcp]
        for _ in range(4):
            before = len(self.lines)
            self.alloc(0, 0, cpu, self.node(cpu))
            if len(self.lines) > before and self.lines[-1].count("mm_page_alloc: "):
                self.lines.pop()
        for pcp, factor, count in factors:
            pcp.free_factor, pcp.free_count = factor, count

    def interrupt(self, cpu):
        """Free a page in a softirq that came while the CPU's lists were locked: it goes past them."""
        pages = [at for at, (_, order) in enumerate(self.live) if pcp_allowed(order)]
        if pages:
            pfn, order = self.live.pop(self.source.choice(pages))
            z = self.machine.zone_of(pfn)
            self.machine.zones[z].give(pfn)
            self.machine._free_one_page(z, pfn, order)
            self.lines.append(line(cpu, f"mm_page_free: {page(pfn)} order={order}", ".Ns3."))

    def isolate(self, cpu):
        """Take a free block as compaction does, __isolate_free_page, and give it back page by page later."""
        zone = self.source.choice(self.machine.zones)
        order = self.source.choice([0, 1, 3, 7, 8, 9])
        blocks = [pfn for row in zone.free_list[order] for pfn in row]
        if not blocks:
            return
        pfn = self.source.choice(blocks)
        zone.unlink(pfn)
        zone.take(pfn, order, MOVABLE)
        if order >= PAGEBLOCK_ORDER - 1 and zone.block_type(pfn) < MIGRATE_PCPTYPES:
            for head in zone.free_heads(pfn) if self.strict else ():
                zone.move(head, MOVABLE)
            zone.relabel(pfn & -PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, MOVABLE)
        for at in range(pfn, pfn + (1 << order)):
            zone.take(at, 0, MOVABLE)
            self.live.append((at, 0))
        self.machine._count()
        where = VMEMMAP_BASE + STRUCT_PAGE * pfn
        self.lines.append(line(cpu, f"iso: (__isolate_free_page+0x4/0x200) page={where:#x} order={order}", "d..1."))

    def random_request(self, orders, full, rare=0.0):
        zones = self.machine.zones
        used = 1 - sum(zone.nr_free_pages() for zone in zones) / sum(zone.managed for zone in zones)
        cpu = self.source.randrange(self.machine.cpus)
        if rare and self.source.random() < rare:
            getattr(self, self.source.choice(self.KINDS))(cpu)
        elif self.source.random() < 0.002:
            self.drain()
        elif self.live and self.source.random() < (0.45 if used < full else 0.7):
            self.free(self.source.randrange(len(self.live)), cpu)
        else:
            self.alloc(self.source.choice(orders), self.source.choice([0, 1, 1, 1, 2]), cpu, self.node(cpu))


def write_snapshot(folder, name, machine):
    """Write what /proc says of a machine."""
    end = max(zone.end_pfn for zone in machine.zones)
    flags, lines, info = np.full(end, 1 << 20, "<u8"), [], []
    for z, zone in enumerate(machine.zones):
        states = zone.page_states()
        flags[zone.start_pfn : zone.end_pfn] = np.where(states < 0x60, 1 << 10, 0)
        lines.append(f"Node {zone.node}, zone {zone.name:>8} " + "".join(f"{n:6} " for n in zone.counts()))
        marks = machine.marks[z] if machine.marks else None
        info.append(f"Node {zone.node}, zone {zone.name:>8}\n  pages free     {zone.nr_free_pages()}")
        info += [f"        {mark}      {getattr(marks, mark)}" for mark in ("min", "low", "high") if marks]
        spanned = zone.end_pfn - zone.start_pfn
        info += [f"        spanned  {spanned}", f"        present  {spanned}", f"        managed  {zone.managed}", "  pagesets"]
        for cpu, pcp in enumerate(zone.pcp):
            numbers = f"count: {pcp.count}", f"high:  {pcp.high}", f"batch: {pcp.batch}"
            info += [f"    cpu: {cpu}", *(f"              {number}" for number in numbers)]
        info.append(f"  start_pfn:           {zone.start_pfn}")
    (folder / f"{name}.kpageflags").write_bytes(flags.tobytes())
    (folder / f"{name}.zoneinfo").write_text("\n".join(info) + "\n")
    for when in (".pre", ".post"):
        (folder / f"{name}.buddyinfo{when}").write_text("\n".join(lines) + "\n")


def write_capture(folder, machine, version, seed, before=2_000, requests=6_000, orders=(0, 0, 0, 0, 0, 0, 1, 2, 3), full=0.9, rare=0.0):
    """Run random requests and write them as a capture: some before the first snapshot, the others after it."""
    traced = Traced(machine, seed)
    for _ in range(before):
        traced.random_request(orders, full, rare)
    with between_snapshots(folder, traced, version):
        for _ in range(requests):
            traced.random_request(orders, full, rare)
    return traced


@contextmanager
def between_snapshots(folder, traced, version):
    """Write a capture of what a traced machine does inside."""
    traced.lines.clear()
    traced.say("SNAP0 begin")
    write_snapshot(folder, "S0", traced.machine)
    (folder / "S0.version").write_text(f"Linux version {version}.0-test\n")
    traced.say("SNAP0 end")
    yield
    traced.say("SNAP1 begin")
    write_snapshot(folder, "S1", traced.machine)
    (folder / "trace.txt").write_text("\n".join(["# tracer: nop", "#", *traced.lines]) + "\n")
