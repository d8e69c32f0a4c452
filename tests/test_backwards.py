"""A trace walked back to its first line: the free pages found there are those that the trace begins with."""

import re
from functools import cache

import numpy as np
import pytest
from tracing import Traced, line, page, write_snapshot

from pagelab.mm.boot import boot_machine
from pagelab.real.archive import CaptureError
from pagelab.real.backwards import free_at_start
from pagelab.real.capture import example, open_capture

BOOT = "612-boot-512M-1cpu"
STARTS = {"DMA": 1, "DMA32": 4096}
NAMED = re.compile(r"\[\d+\] (.....) .*mm_page_(alloc_zone_locked|alloc_extfrag|pcpu_drain|free): .*?pfn=(0x\w+) (?:alloc_)?order=(\d+)")


@cache
def found():
    return free_at_start(example(BOOT))


def forward():
    """Read the slice up to its snapshot without the library's reader: (pfn, order, whether it becomes free)."""
    for _, text in example(BOOT).lines("trace.txt"):
        if "SNAP0 begin" in text:
            return
        if named := NAMED.search(text):
            order, interrupted = int(named[4]), named[1][2] in "sS" and named[1][3] in "3456789"
            if named[2] != "free" or order > 3 or interrupted:
                yield int(named[3], 16), order, named[2] in ("pcpu_drain", "free")


def test_the_trace_done_forwards_from_there_ends_at_the_first_snapshot():
    free = {key: bitmap.copy() for key, bitmap in found().items()}
    for pfn, order, becomes_free in forward():
        zone = "DMA32" if pfn >= STARTS["DMA32"] else "DMA"
        at = pfn - STARTS[zone]
        free[0, zone][at : at + (1 << order)] = becomes_free
    truth = example(BOOT).free_pages("S0")
    assert free.keys() == truth.keys()
    assert all(np.array_equal(free[key], truth[key]) for key in truth)


def test_the_first_line_of_a_page_finds_it_as_the_line_needs_it():
    seen = {zone: np.zeros(len(found()[0, zone]), bool) for zone in STARTS}
    checked = 0
    for pfn, order, becomes_free in forward():
        zone = "DMA32" if pfn >= STARTS["DMA32"] else "DMA"
        pages = slice(pfn - STARTS[zone], pfn - STARTS[zone] + (1 << order))
        first = ~seen[zone][pages]
        assert (found()[0, zone][pages][first] != becomes_free).all(), hex(pfn)
        seen[zone][pages] = True
        checked += int(first.sum())
    assert checked > 10_000


def test_a_page_of_no_line_is_as_the_snapshot_has_it():
    touched = {zone: np.zeros(len(found()[0, zone]), bool) for zone in STARTS}
    for pfn, order, _ in forward():
        zone = "DMA32" if pfn >= STARTS["DMA32"] else "DMA"
        touched[zone][pfn - STARTS[zone] : pfn - STARTS[zone] + (1 << order)] = True
    for (node, zone), bitmap in example(BOOT).free_pages("S0").items():
        still = ~touched[zone]
        assert still.any()
        assert np.array_equal(found()[node, zone][still], bitmap[still])


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_a_machine_that_traces_itself_is_walked_back_to_its_start(tmp_path, version):
    machine = boot_machine([(256, 4096)], [(4096, 8192)], kernel=version, cpus=2, kbytes=512)
    traced = Traced(machine, seed=11)
    before = [zone.page_states() < 0x60 for zone in machine.zones]
    for _ in range(1_500):
        traced.random_request((0, 0, 0, 1, 2, 3, 4, 6, 8), 0.98)
    traced.say("SNAP0 begin")
    write_snapshot(tmp_path, "S0", machine)
    traced.alloc(4, 1, 0, 0)  # behind the snapshot: not undone
    (tmp_path / "trace.txt").write_text("\n".join(["# tracer: nop", *traced.lines]) + "\n")
    walked = free_at_start(open_capture(tmp_path))
    assert [not np.array_equal(zone.page_states() < 0x60, free) for zone, free in zip(machine.zones, before, strict=True)] == [True, True]
    for zone, free in zip(machine.zones, before, strict=True):
        assert np.array_equal(walked[zone.node, zone.name], free)


def test_a_pageblock_freed_at_boot_was_not_free_before(tmp_path):
    machine = boot_machine([(4096, 8192)], kernel="6.12", kbytes=512)
    write_snapshot(tmp_path, "S0", machine)
    start, expected = machine.zone.start_pfn, machine.zone.page_states() < 0x60
    at = next(at for at in range(-start % 512, len(expected), 512) if expected[at : at + 512].all())
    lines = line(0, f"mm_page_free: {page(start + at)} order=9"), line(0, "tracing_mark_write: SNAP0 begin")
    (tmp_path / "trace.txt").write_text("\n".join(lines) + "\n")
    expected[at : at + 512] = False
    assert np.array_equal(free_at_start(open_capture(tmp_path))[0, machine.zone.name], expected)


def test_without_a_trace_the_missing_file_is_named():
    with pytest.raises(CaptureError, match=r"trace\.txt"):
        free_at_start(example())


def test_a_block_that_compaction_isolates_was_free_before(tmp_path):
    machine = boot_machine([(4096, 8192)], kernel="6.12", kbytes=512)
    traced = Traced(machine, seed=1)
    traced.alloc(0, 1, 0, 0)
    before = machine.zone.page_states() < 0x60
    traced.lines.clear()
    for _ in range(5):
        traced.isolate(0)
    after = machine.zone.page_states() < 0x60
    traced.say("SNAP0 begin")
    write_snapshot(tmp_path, "S0", machine)
    (tmp_path / "trace.txt").write_text("\n".join(traced.lines) + "\n")
    assert after.sum() < before.sum()
    assert np.array_equal(free_at_start(open_capture(tmp_path))[0, machine.zone.name], before)


def test_a_trace_that_has_lost_events_is_not_walked_back(tmp_path):
    machine = boot_machine([(4096, 8192)], kernel="6.12", kbytes=512)
    write_snapshot(tmp_path, "S0", machine)
    (tmp_path / "trace.txt").write_text(f"CPU:0 [LOST 7 EVENTS]\n{line(0, 'tracing_mark_write: SNAP0 begin')}\n")
    with pytest.raises(CaptureError, match=r"trace\.txt line 1"):
        free_at_start(open_capture(tmp_path))
