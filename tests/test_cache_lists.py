"""The lists of a cache: a bar for each slab, filled as far as its objects are in use, head first, and what moved marked."""

import re

import pytest
from runs import accents, columns_of, outside, overlapping, quads, words
from slab_runs import KINDS, slab_kinds, slab_moments, slab_run

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.view.cache_lists import NAMES, ROW, TITLE, cache_lists_height, draw_cache_lists
from pagelab.view.drawing import MONO, Drawing, Rect
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.sheaf_rows import SHEAVES, Bar
from pagelab.view.slab_columns import list_rows, slab_moment

EVERY = pytest.mark.parametrize("kind", KINDS)
RETURN = Tape(slab_machine(64)).then([kmalloc_request(512)] * 120).then([kfree_request(i) for i in range(105)])


def rows_of(now):
    return list_rows(now, range(len(now.cache.cpu)))


def drawn(now, theme=LIGHT, longest=4, shown=-1):
    drawing = Drawing(theme)
    placed = draw_cache_lists(drawing, rows_of(now), now.cache.stride, longest, shown, 0)
    return drawing, placed


@EVERY
def test_nothing_leaves_the_lists_or_stands_on_another(kind):
    machine, cache = slab_kinds()[kind]
    tape, wrong = slab_run(31, machine, cache, 60), {}
    for now in slab_moments(tape, cache, range(0, 60, 9)):
        drawing, _ = drawn(now)
        found = outside(columns_of(drawing), 824, cache_lists_height(len(rows_of(now)))), overlapping(words(drawing.words))
        if any(found):
            wrong[now.pages.k, len(now.acts)] = found
    assert wrong == {}


@EVERY
@pytest.mark.parametrize("longest", [1, 6, 14])
def test_each_row_names_its_slabs_head_first_and_their_objects_in_use(kind, longest):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(32, machine, cache, 60)
    for k in range(0, 61, 6):
        now = slab_moment(tape, k, 0, cache)
        texts = words(drawn(now, longest=longest)[0].words)
        for i, row in enumerate(rows_of(now)):
            top = TITLE + i * ROW
            if row.at[0] >= SHEAVES:
                continue
            inside = sorted((word for word in texts if top < word.y < top + ROW and word.x >= NAMES), key=lambda word: word.x)
            pfns = [int(word.text.split(",")[0]) for word in inside if word.font == MONO]
            more = sum(int(re.search(r"[\d,]+", word.text)[0].replace(",", "")) for word in inside if "+" in word.text)
            assert len(pfns) + more == len(row.bars)
            assert pfns == [bar.pfn for bar in row.bars if bar.pfn in pfns]
            counts = [word.text.split(",")[0] for word in inside if word.font != MONO and "+" not in word.text]
            assert counts == [str(bar.live) for bar in row.bars if bar.pfn in pfns]


@EVERY
def test_a_bar_is_filled_as_far_as_its_objects_are_in_use(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(33, machine, cache, 60)
    for k in range(0, 61, 10):
        now = slab_moment(tape, k, 0, cache)
        drawing, placed = drawn(now)
        bars = {bar.pfn: bar for row in rows_of(now) for bar in row.bars}
        for rect, pfn in placed:
            here = [quad for quad in quads(drawing.blocks) if quad.top == rect.y + 6]
            inside = [quad for quad in here if rect.x <= quad.left and quad.right <= rect.x + rect.w]
            whole = next(quad for quad in inside if quad.fill == LIGHT.free)
            full = sum(quad.right - quad.left for quad in inside if quad.fill == LIGHT.unmovable)
            assert full == pytest.approx((whole.right - whole.left) * bars[pfn].live / bars[pfn].objects)
            assert f"{bars[pfn].live} of {bars[pfn].objects} objects in use" in whole.tip


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_ring_is_on_the_slab_that_moved_now(theme):
    for act, now in enumerate(slab_moments(RETURN, "kmalloc-512", [224])):
        changed = [bar for row in rows_of(now) for bar in row.bars if bar.mark == "changed"]
        drawing, placed = drawn(now, theme, 14)
        rings, lines = accents(drawing, theme)
        assert len(rings) == len(changed) <= 1
        for ring in rings:
            middle = Rect((ring.left + ring.right) / 2, (ring.top + ring.bottom) / 2, 0, 0)
            assert [pfn for rect, pfn in placed if rect.x < middle.x < rect.x + rect.w and rect.y < middle.y < rect.y + rect.h] == [
                changed[0].pfn
            ]
        moved = sum(bar.mark == "moved" for row in rows_of(now) for bar in row.bars)
        assert len(lines) == moved or (len(lines) < moved and any("+" in word.text for word in words(drawing.words))), act


def test_a_slab_that_left_is_a_dashed_box_with_its_page_struck_through():
    now = slab_moment(RETURN, 224, -1, "kmalloc-512")
    drawing, _ = drawn(now, longest=14)
    gone = [bar.pfn for row in rows_of(now) for bar in row.bars if bar.mark == "gone"]
    boxes = [quad for quad in quads(drawing.marks) if quad.dash == "3 3"]
    assert len(boxes) == len(gone) > 13
    strokes = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.quiet and quad.fill_alpha]
    struck = [word.text for word in words(drawing.words) if any(stroke.holds(word.x, word.y) for stroke in strokes)]
    assert sorted(map(int, struck)) == sorted(gone)


def test_the_slab_that_is_shown_has_a_ring_in_ink():
    now = slab_moment(RETURN, 120, 0, "kmalloc-512")
    drawing, placed = drawn(now, longest=14, shown=3)
    (ring,) = [quad for quad in quads(drawing.marks) if quad.line == LIGHT.ink and quad.line_width == 1.5]
    (rect,) = [rect for rect, pfn in placed if pfn == 3]
    assert rect.x < ring.left < ring.right < rect.x + rect.w


def test_full_slabs_beyond_the_row_are_counted():
    now = slab_moment(Tape(slab_machine(64)).then([kmalloc_request(512)] * 200), 200, 0, "kmalloc-512")
    drawing, placed = drawn(now, longest=1)
    (more,) = [word.text for word in words(drawing.words) if "more" in word.text]
    assert int(more.split()[1]) + len(placed) == 25


def test_a_slab_in_hand_says_so():
    acts = RETURN.acts(0)
    carved = next(i for i, act in enumerate(acts) if type(act).__name__ == "Carved")
    now = slab_moment(RETURN, 0, carved, "kmalloc-512")
    assert [bar for row in rows_of(now) for bar in row.bars] == [Bar(0, 8, 0, "changed", free=8)]
    texts = {word.text: word.y for word in words(drawn(now)[0].words)}
    assert texts["full"] + ROW == texts["in hand"]
    assert "in hand" not in [word.text for word in words(drawn(slab_moment(RETURN, 0, -1, "kmalloc-512"))[0].words)]
