"""What several tests need: zones to draw, moves to play on them, and all that a zone holds as one value."""

from hypothesis import strategies as st

from pagelab.mm.page_alloc import alloc_pages, boot, free_pages
from pagelab.mm.zone import MOVABLE, UNMOVABLE

ZONES = st.builds(boot, nr_pages=st.integers(16, 1600), start_pfn=st.integers(0, 5000))
ALLOC = st.tuples(st.just("alloc"), st.integers(0, 5), st.sampled_from([MOVABLE, MOVABLE, UNMOVABLE]))
FREE = st.tuples(st.just("free"), st.integers(0, 1000), st.just(-1))
MOVE = ALLOC | ALLOC | FREE
MOVES = st.lists(MOVE, max_size=6) | st.lists(MOVE, min_size=20, max_size=60)


def contents(zone):
    """Return every byte and every list of a zone, read without the zone's own methods."""
    return bytes(zone.state), [[list(blocks) for blocks in row] for row in zone.free_list], bytes(zone.pageblock_type)


def play(zone, moves):
    """Allocate and free as drawn; yield the blocks in use, as (pfn, order) pairs, after each move."""
    live = []
    for verb, number, mt in moves:
        if verb == "alloc":
            pfn = alloc_pages(zone, number, mt)
            if pfn is not None:
                live.append((pfn, number))
        elif live:
            free_pages(zone, *live.pop(number % len(live)))
        yield live


def lists(zone):
    """Return the lists that are not empty, as kernel-style names: {"M0": [3], "U8": [256]}."""
    return {f"{'UMRHCI'[mt]}{order}": list(blocks) for order, row in enumerate(zone.free_list) for mt, blocks in enumerate(row) if blocks}
