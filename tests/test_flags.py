"""Page flags as state bytes: held against a plain walk page by page, and against what the kernel counted."""

import random

import numpy as np
import pytest
from conftest import captures

from pagelab.mm.zone import HOLE, IN_USE, MIGRATETYPES, MOVABLE, RESERVED, UNMOVABLE
from pagelab.real.capture import EXAMPLES, example, open_capture
from pagelab.real.flags import KIND_UNKNOWN, page_states

# Bits of include/uapi/linux/kernel-page-flags.h and, from 32 on, include/linux/kernel-page-flags.h.
LRU, SLAB, BUDDY, ANON, NOPAGE, PGTABLE, RESERVED_BIT = 5, 7, 10, 12, 20, 26, 32
SLICES = sorted(path.name for path in EXAMPLES.iterdir())


def plainly(flags, start):
    """Page by page: the largest aligned block around it whose pages are all free, else what the page is."""

    def has(flag, *bits):
        return any(flag >> bit & 1 for bit in bits)

    free = {start + at for at, flag in enumerate(flags) if has(flag, BUDDY) and not has(flag, NOPAGE)}

    def order(pfn):
        high = 0
        while high < 10 and all(page in free for page in range(pfn >> high + 1 << high + 1, ((pfn >> high + 1) + 1) << high + 1)):
            high += 1
        return high

    for at, flag in enumerate(flags):
        if start + at in free:
            yield MOVABLE << 4 | order(start + at)
        elif has(flag, NOPAGE):
            yield HOLE
        elif has(flag, RESERVED_BIT):
            yield RESERVED
        elif has(flag, SLAB, PGTABLE):
            yield IN_USE | UNMOVABLE << 4
        else:
            yield IN_USE | MOVABLE << 4 if has(flag, LRU, ANON) else KIND_UNKNOWN


@pytest.mark.parametrize("start", [0, 1, 37, 1024, 1500])
def test_any_flags_give_what_a_walk_page_by_page_gives(start):
    source, flags = random.Random(start), []
    while len(flags) < 1_500:
        kind = sum(1 << bit for bit in (LRU, SLAB, ANON, NOPAGE, PGTABLE, RESERVED_BIT) if source.random() < 0.2)
        flags += [1 << BUDDY] * source.choice([1, 2, 5, 30, 200]) + [kind, kind | (source.random() < 0.3) << BUDDY]
    # A page in the free lists has no other of these flags, but for NOPAGE where memory was taken away.
    flags = [flag & (1 << BUDDY | 1 << NOPAGE) if flag >> BUDDY & 1 else flag for flag in flags]
    assert page_states(np.array(flags, np.uint64), start).tolist() == list(plainly(flags, start))


def test_one_block_of_the_largest_order_is_never_merged_further():
    states = page_states(np.full(4096, 1 << BUDDY, np.uint64), 2048)
    assert set(states.tolist()) == {MOVABLE << 4 | 10}


@pytest.mark.parametrize("name", SLICES)
def test_the_blocks_of_a_slice_are_as_many_as_its_kernel_counted(name):
    capture, checked = example(name), 0
    text = (EXAMPLES / name / "S0.buddyinfo.pre").read_text()
    for line in text.splitlines():
        _, _, _, zone, *counts = line.replace(",", "").split()
        info = capture.zoneinfo("S0")[0, zone]
        states = page_states(capture.kpageflags("S0")[info.start_pfn : info.end_pfn], info.start_pfn)
        assert [int((states == (MOVABLE << 4 | order)).sum()) >> order for order in range(11)] == list(map(int, counts))
        checked += 1
    assert checked == 2


@pytest.mark.parametrize("path", [path for path in captures() if any(path.glob("S0.kpageflags*"))], ids=lambda path: path.name)
def test_every_free_page_of_a_capture_is_free_and_no_other(path):
    capture = open_capture(path)
    for key, free in capture.free_pages("S0").items():
        info = capture.zoneinfo("S0")[key]
        states = page_states(capture.kpageflags("S0")[info.start_pfn : info.end_pfn], info.start_pfn)
        assert np.array_equal(states < len(MIGRATETYPES) << 4, free)


def test_what_is_in_use_for_an_unknown_reason_has_a_type_that_no_page_in_use_has():
    (state,) = page_states(np.zeros(1, np.uint64), 7).tolist()
    assert IN_USE <= state < HOLE
    assert state not in {IN_USE | mt << 4 for mt in (UNMOVABLE, MOVABLE)}
