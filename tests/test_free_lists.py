"""The free lists: head to tail, a box for each block, and a mark on the one that moved."""

import pytest
from runs import SMALL, accents, busy_run, columns_of, kinds_of_machines, moments, outside, overlapping, quads, random_run, words

from pagelab.lab.scenario import even_then_odd, some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Looked, Moved
from pagelab.mm.call import free_request
from pagelab.mm.machine import machine
from pagelab.mm.zone import MIGRATETYPES
from pagelab.view.columns import list_type, moment, orders_of, shown_list
from pagelab.view.drawing import MONO, Drawing
from pagelab.view.free_lists import draw_lists, lists_height
from pagelab.view.palette import DARK, LIGHT

WIDTH = 308


def drawn(now, theme=LIGHT, width=WIDTH):
    drawing = Drawing(theme)
    draw_lists(drawing, now, 0, 0, width)
    return drawing


def rows_of(now, drawing, width=WIDTH):
    """Return what each row shows: from its order to its words, left to right, the counts at the right apart."""
    texts = words(drawing.words)
    names = [word for word in texts if word.x < 30 and word.text.isdigit()]
    assert [int(word.text) for word in names] == list(reversed(range(orders_of(now.zone)))), "from the highest order down"
    assert [word.y for word in names] == sorted(word.y for word in names)
    rows = {}
    for name in names:
        row = sorted((word for word in texts if abs(word.y - name.y) < 4 and word is not name), key=lambda word: word.x)
        rows[int(name.text)] = ([word for word in row if word.x < width - 70], [word.text for word in row if word.x >= width - 70])
    return rows


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_each_list_is_drawn_head_to_tail(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        drawing = drawn(now)
        for order, (row, counts) in rows_of(now, drawing).items():
            entries = [str(entry.pfn) for entry in shown_list(now, order, list_type(now))]
            shown = [word.text for word in row if word.text != "empty"]
            if not any(text.startswith("+") for text in shown):
                assert shown == entries
            assert counts == [f"{len(now.zone.free_list[order][mt]) or '·'}" for mt in (1, 0, 2)]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize(("seed", "pages", "start"), SMALL[1:4:2])
def test_the_accent_is_on_the_block_that_was_linked_now(seed, pages, start, theme):
    for now in moments(random_run(seed, pages, start)):
        drawing = drawn(now, theme)
        rings, fills = accents(drawing, theme)
        changed = [str(entry.pfn) for order in range(11) for entry in shown_list(now, order, list_type(now)) if entry.mark == "changed"]
        inside = [word.text for word in words(drawing.words) for ring in rings if ring.holds(word.x, word.y)]
        assert inside == changed
        assert fills == []


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_a_block_that_left_is_a_dashed_box_struck_through(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        drawing = drawn(now)
        gone = {str(entry.pfn) for order in range(11) for entry in shown_list(now, order, list_type(now)) if entry.mark == "gone"}
        boxes = [quad for quad in quads(drawing.marks) if quad.line == LIGHT.quiet and quad.dash != "solid"]
        inside = [word for word in words(drawing.words) for box in boxes if box.holds(word.x, word.y)]
        assert {word.text for word in inside} == gone
        assert len(boxes) == len(gone)
        strokes = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.quiet and quad.fill_alpha]
        for word in inside:
            assert word.color == LIGHT.quiet
            assert any(stroke.holds(word.x, word.y) for stroke in strokes)


def long_list(merged):
    """Return a moment with 16 pages on list 0, after one more came back and took its buddy away."""
    return moment(some_free([*range(0, 32, 2), merged], 32), 48, -1)


@pytest.mark.parametrize("merged", [1, 5, 15, 17, 27, 31])
def test_a_long_list_shows_its_head_its_tail_and_what_moved(merged):
    now = long_list(merged)
    drawing = drawn(now)
    row, counts = rows_of(now, drawing)[0]
    shown = [word.text for word in row]
    entries = [str(entry.pfn) for entry in shown_list(now, 0, 1)]
    assert shown[0] == entries[0]
    assert shown[-1] == entries[-1]
    assert str(merged - 1) in shown, "the block that left"
    left_out = sum(int(text) for text in shown if text.startswith("+"))
    pfns = [text for text in shown if not text.startswith("+")]
    assert left_out + len(pfns) == len(entries)
    assert pfns == [pfn for pfn in entries if pfn in pfns], "in the order of the list"
    assert counts[0] == "15"


def test_a_block_that_is_linked_to_a_long_list_is_seen():
    for freed in ([*range(0, 32, 2)], [2, 3, *range(4, 32, 2), 0]):
        now = moment(some_free(freed, 32), 31 + len(freed), -1)
        (ring,) = accents(drawn(now), LIGHT)[0]
        assert [word.text for word in words(drawn(now).words) if ring.holds(word.x, word.y)] == [str(freed[-1])]


def test_the_numbers_in_a_long_list_add_up_whatever_its_length():
    tape = even_then_odd(256)
    for k in (256, 257, 262, 300, 383, 384, 400, 450, 511):
        now = moment(tape, k, -1)
        for order, (row, _) in rows_of(now, drawn(now)).items():
            shown = [word.text for word in row if word.text != "empty"]
            entries = shown_list(now, order, 1)
            assert sum(int(text) if text.startswith("+") else 1 for text in shown) == len(entries)


@pytest.mark.parametrize("wide", [WIDTH, 780])
@pytest.mark.parametrize("pages", [64, 1024, 4096])
def test_nothing_leaves_the_figure_or_stands_on_another(pages, wide):
    tape = text(f"alloc 0 x{pages}", pages).then([1 << 31 | pfn for pfn in [*range(0, pages, 2), 1, 21, pages - 1]])
    for k in (0, pages, pages + 3, pages + 6, pages + 20, *range(len(tape) - 3, len(tape))):
        now = moment(tape, k, -1)
        drawing = drawn(now, width=wide)
        assert outside(columns_of(drawing), wide, lists_height(orders_of(now.zone))) == []
        assert overlapping([word for word in words(drawing.words) if word.font == MONO or word.text.startswith("+")]) == []


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_the_lists_that_were_found_empty_are_ringed_as_looked_at(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        looked = now.act if isinstance(now.act, Looked) and now.act.mt == list_type(now) else None
        drawing = drawn(now)
        rows = rows_of(now, drawing)
        said = {order for order, (row, _) in rows.items() if "empty" in [word.text for word in row]}
        assert said == (set(range(looked.low, looked.high + 1)) & set(rows) if looked else set())
        assert all(word.color == LIGHT.ink for word in words(drawing.words) if word.text == "empty")


def test_the_lists_are_named_by_their_migratetype():
    for requests, name in (("alloc 0", "Movable"), ("alloc 0 unmovable", "Unmovable"), ("alloc 0 reclaimable", "Reclaimable")):
        (title,) = [word.text for word in words(drawn(moment(text(requests), 0, 0)).words) if "head" in word.text]
        assert title.startswith(name)


def columns_drawn(now, types, width=798, theme=LIGHT):
    """Return the drawing of several types, and for each the texts below its name, by order."""
    drawing = Drawing(theme)
    draw_lists(drawing, now, 14, 0, width, types)
    texts = words(drawing.words)
    names = {mt: next(word for word in texts if word.text == MIGRATETYPES[mt].capitalize()) for mt in types}
    edges = [*(names[mt].x for mt in types), 14 + width]
    orders = {int(word.text): word.y for word in texts if word.x == 24}
    assert list(orders) == list(reversed(range(orders_of(now.zone))))
    found = {}
    for mt, low, high in zip(types, edges, edges[1:], strict=False):
        found[mt] = {
            order: [word.text for word in sorted(texts, key=lambda word: word.x) if abs(word.y - y) < 4 and low <= word.x < high]
            for order, y in orders.items()
        }
    return drawing, found


@pytest.mark.parametrize("types", [(1, 0), (1, 0, 2)])
@pytest.mark.parametrize("kind", ["6.1", "6.12", "pcp"])
def test_several_types_stand_beside_each_other(kind, types):
    for now in moments(busy_run(2, kinds_of_machines()[kind], 30)):
        drawing, found = columns_drawn(now, types)
        assert overlapping(words(drawing.words)) == []
        for mt in types:
            for order, shown in found[mt].items():
                entries, count = shown_list(now, order, mt), len(now.zone.free_list[order][mt])
                if not entries:
                    assert shown in (["·"], ["empty"])
                    continue
                assert shown[-1] == f"{count:,}" if count else shown[-1] in ("empty", str(entries[-1].pfn))
                pfns = [text for text in shown[: len(shown) - bool(count)] if text.isdigit()]
                assert pfns == [str(entry.pfn) for entry in entries if str(entry.pfn) in pfns]


@pytest.mark.parametrize("width", [308, 446, 798])
@pytest.mark.parametrize("kind", ["small", "6.1", "watermarks"])
def test_several_types_stay_in_their_width(kind, width):
    tape = busy_run(8, kinds_of_machines()[kind], 60)
    for k in range(0, 60, 3):
        now = moment(tape, k, -1)
        drawing, _ = columns_drawn(now, (1, 0, 2), width)
        assert outside(columns_of(drawing), 14 + width, lists_height(orders_of(now.zone), several=True)) == []


def test_a_block_that_moves_to_another_type_is_marked_in_both_lists():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    acts = tape.acts(200)
    moved = [i for i, act in enumerate(acts) if isinstance(act, Moved)]
    for i in moved:
        act, now = acts[i], moment(tape, 200, i)
        drawing, found = columns_drawn(now, (1, 0))
        (ring,) = accents(drawing, LIGHT)[0]
        assert [word.text for word in words(drawing.words) if ring.holds(word.x, word.y)] == [str(act.pfn)]
        assert str(act.pfn) in found[act.old][act.order]
        assert str(act.pfn) in found[act.mt][act.order]
        assert len(accents(drawing, LIGHT)[1]) == i - moved[0], "the others that moved have a line"
    drawing, _ = columns_drawn(moment(tape, 200, -1), (1, 0))
    rings, fills = accents(drawing, LIGHT)
    assert (len(rings), len(fills)) == (0, len(moved) - 1), "one was split"


def test_the_empty_lists_of_another_type_are_ringed_in_its_column():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    for i, act in enumerate(tape.acts(200)):
        if isinstance(act, Looked):
            drawing, found = columns_drawn(moment(tape, 200, i), (1, 0, 2))
            empty = {mt: {order for order, row in rows.items() if "empty" in row} for mt, rows in found.items()}
            assert empty == {mt: set(range(act.low, min(act.high, 9) + 1)) if mt == act.mt else set() for mt in (1, 0, 2)}


def test_a_full_list_shows_what_changed_whatever_else_is_marked():
    tape = Tape(machine(512)).then("alloc 0 x512").then([free_request(pfn) for pfn in range(0, 512, 2)]).then("alloc 0 unmovable")
    k = len(tape) - 1
    moved = [i for i, act in enumerate(tape.acts(k)) if isinstance(act, Moved)]
    assert len(moved) == 256
    for i in (moved[0], moved[100], moved[-1]):
        drawing, found = columns_drawn(moment(tape, k, i), (1, 0))
        assert len(accents(drawing, LIGHT)[0]) == 1
        assert overlapping(words(drawing.words)) == []
        for mt, count, entries in ((1, 255 - moved.index(i), 256), (0, moved.index(i) + 1, moved.index(i) + 1)):
            shown = found[mt][0][: -1 if count else None]
            left_out = sum(int(text) for text in shown if text.startswith("+"))
            assert left_out + sum(text.isdigit() for text in shown) == entries


def test_each_order_has_its_row():
    assert lists_height(11) - lists_height(10) == lists_height(6) - lists_height(5) > 0
