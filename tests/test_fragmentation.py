import pytest
from hypothesis import given, settings
from zones import MOVES, ZONES, play

from pagelab.mm.fragmentation import extfrag_index, unusable_free
from pagelab.mm.page_alloc import boot
from pagelab.mm.zone import MOVABLE, UNMOVABLE, Zone


def pieces(**counts):
    """Return a zone with free blocks such as o3=5, none beside another."""
    zone, pfn = Zone(4096), 0
    for name, count in sorted(counts.items(), key=lambda item: -int(item[0][1:])):
        order = int(name[1:])
        for number in range(count):
            zone.link(pfn, order, MOVABLE if number % 2 else UNMOVABLE)
            pfn += 2 << order
    return zone


# By hand, from the two functions of mm/vmstat.c with integer division as there.
@pytest.mark.parametrize(
    ("counts", "order", "index", "unusable"),
    [
        ({"o0": 16}, 0, -1.0, 0.0),
        ({"o0": 16}, 1, 0.438, 1.0),
        ({"o0": 16}, 4, 0.875, 1.0),
        ({"o0": 16}, 9, 0.936, 1.0),
        ({"o0": 1000}, 5, 0.968, 1.0),
        ({"o3": 3, "o0": 1}, 3, -1.0, 0.04),
        ({"o3": 3, "o0": 1}, 4, 0.36, 1.0),
        ({"o3": 3, "o0": 1}, 0, -1.0, 0.0),
        ({"o9": 1, "o8": 1}, 9, -1.0, 0.333),
        ({"o9": 1}, 10, -0.5, 1.0),
        ({}, 3, 0.0, 1.0),
    ],
)
def test_both_indices(counts, order, index, unusable):
    zone = pieces(**counts)
    assert extfrag_index(zone, order) == index
    assert unusable_free(zone, order) == unusable


@pytest.mark.parametrize("order", [-1, 11])
@pytest.mark.parametrize("question", [extfrag_index, unusable_free])
def test_an_order_that_does_not_exist(question, order):
    with pytest.raises(ValueError, match=f"order {order} does not exist"):
        question(boot(16), order)


@settings(deadline=None)
@given(ZONES, MOVES)
def test_the_index_is_minus_1_where_a_block_is_large_enough(zone, moves):
    list(play(zone, moves))
    for order in range(11):
        enough = zone.largest_free_order() >= order
        assert (extfrag_index(zone, order) == -1) == enough
        assert 0 <= unusable_free(zone, order) <= 1
        assert (unusable_free(zone, order) == 1) == (not enough)
