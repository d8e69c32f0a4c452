"""Free pages become blocks: against sets of pfns that are merged pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.free_set import free_blocks, free_counts

START = st.sampled_from([0, 1, 256, 1023, 1025, 4096]) | st.integers(0, 1 << 40)
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 5) | st.integers(1, 2100)), max_size=12)


def bitmap_of(runs):
    return np.repeat([free for free, _ in runs], [length for _, length in runs]).astype(bool)


def merge_pairwise(pfns):
    """Free the pages one by one, as sets: a block joins its buddy as long as there is one."""
    orders = [set() for _ in range(11)]
    for pfn in pfns:
        order = 0
        while order < 10 and pfn ^ (1 << order) in orders[order]:
            orders[order].remove(pfn ^ (1 << order))
            pfn &= ~(1 << order)
            order += 1
        orders[order].add(pfn)
    return [sorted(heads) for heads in orders]


@given(RUNS, START)
def test_blocks_are_those_of_pairwise_merging(runs, start_pfn):
    bitmap = bitmap_of(runs)
    expected = merge_pairwise(start_pfn + int(at) for at in np.flatnonzero(bitmap))
    blocks = free_blocks(bitmap, start_pfn)
    assert [heads.tolist() for heads in blocks] == expected
    assert {heads.dtype for heads in blocks} == {np.dtype(np.int64)}
    assert free_counts(bitmap, start_pfn) == [len(heads) for heads in expected]


@given(RUNS, START)
def test_the_bitmap_is_not_changed(runs, start_pfn):
    bitmap = bitmap_of(runs)
    before = bitmap.copy()
    free_blocks(bitmap, start_pfn)
    free_counts(bitmap, start_pfn)
    assert (bitmap == before).all()


def test_a_whole_zone_dma():
    heads = free_blocks(np.ones(3840, dtype=bool), start_pfn=256)
    assert [pfns.tolist() for pfns in heads[8:]] == [[256], [512], [1024, 2048, 3072]]
    assert free_counts(np.ones(3840, dtype=bool), start_pfn=256) == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]


def test_any_number_but_0_is_free():
    assert free_counts(np.array([2, 255, 0, 1], dtype=np.uint8), 0)[:2] == [1, 1]


def test_no_pages_make_no_blocks():
    assert free_counts([], 7) == [0] * 11


@pytest.mark.parametrize("function", [free_counts, free_blocks])
@pytest.mark.parametrize(("free", "start_pfn", "said"), [([[True]], 0, "has 2"), ([True], -1, "start_pfn is -1")])
def test_bad_arguments(function, free, start_pfn, said):
    with pytest.raises(ValueError, match=said):
        function(free, start_pfn)
