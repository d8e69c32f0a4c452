"""The page map: every page in its state, and the accent on what this act changed."""

import pytest
from runs import LARGE, RUNS, SMALL, accents, columns_of, moments, outside, overlapping, pages, quads, random_run, words

from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Compared, Counted, Given, Linked, Moved, Parked, Relabelled, Taken, Unparked
from pagelab.mm.machine import machine
from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE, Block, Zone
from pagelab.view.columns import moment
from pagelab.view.drawing import Drawing
from pagelab.view.layout import layout
from pagelab.view.page_map import blocks_of, draw_map, look_of, marks, tip
from pagelab.view.palette import DARK, DOT, FREE_LOOK, HOLE_LOOK, LIGHT, PCP_LOOK, RESERVED_LOOK, USED_LOOKS

LEFT, TOP = 56, 4


def drawn(now, theme=LIGHT, selected=None):
    zone = now.zone
    where = layout(zone.start_pfn, zone.end_pfn - zone.start_pfn)
    drawing = Drawing(theme)
    draw_map(drawing, where, now, LEFT, TOP, selected)
    return where, drawing


def under(where, quad):
    """Return the pages whose cell has its middle inside a rectangle of the drawing."""
    found = set()
    for row, line in enumerate(where.cells):
        for column, place in enumerate(line):
            if place >= 0 and quad.holds(LEFT + (column + 0.5) * where.w, TOP + (row + 0.5) * where.h):
                found.add(where.start + int(place))
    return found


def at_step(tape, k, act=-1):
    return marks(moment(tape, k, act))


@pytest.mark.parametrize(
    ("tape", "k", "act", "own", "changed", "looked"),
    [
        (text("alloc 3"), 0, 0, [], [], []),
        (text("alloc 3"), 0, 1, [], [], []),
        (text("alloc 3"), 0, 2, [], [(0, 4)], []),
        (text("alloc 3"), 0, 3, [], [(8, 3)], []),
        (text("alloc 3"), 0, 4, [], [(0, 3)], []),
        (text("alloc 5"), 0, -1, [], [], []),
        (some_free([1, 2]), 17, 0, [], [(2, 0)], []),
        (some_free([1, 2]), 17, 1, [], [(2, 0)], []),
        (some_free([1, 2]), 17, 2, [], [(2, 0)], [(3, 0)]),
        (some_free([1, 2, 3, 0]), 19, 2, [(0, 0)], [(0, 1)], []),
        (some_free([1, 2, 3, 0]), 19, 3, [(0, 0)], [(0, 2)], []),
        (some_free([1, 2, 3, 0]), 19, 4, [(0, 0)], [(0, 2)], [(4, 2)]),
        (some_free([1, 2, 3, 0]), 19, -1, [(0, 0)], [(0, 2)], []),
        (text("alloc 0"), 1, 0, [], [], []),
    ],
)
def test_what_is_marked(tape, k, act, own, changed, looked):
    assert at_step(tape, k, act) == (own, changed, looked)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize(("seed", "nr_pages", "start"), [*SMALL, *LARGE[1::2]])
def test_the_accent_is_on_what_changed_now_and_nowhere_else(seed, nr_pages, start, theme):
    for i, now in enumerate(moments(random_run(seed, nr_pages, start))):
        if i % 3 != (theme is DARK):
            continue
        where, drawing = drawn(now, theme)
        own, changed, _ = marks(now)
        rings, fills = accents(drawing, theme)
        assert set().union(*(under(where, ring) for ring in rings)) == set().union(*(pages(*block) for block in changed))
        assert set().union(*(under(where, fill) for fill in fills)) <= set().union(*(pages(*block) for block in own))
        assert bool(fills) == bool(own)
        labels = [word.text for word in words(drawing.words) if word.color in (theme.changed, theme.changed_text)]
        assert set(labels) == {"UMR"[act.mt] for act in now.acts if isinstance(act, Relabelled)}, "and on a label that changed"


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_a_buddy_that_was_looked_at_has_a_dashed_ring_in_ink(seed, nr_pages, start):
    for now in moments(random_run(seed, nr_pages, start)):
        act = now.acts[-1] if now.acts else None
        dashed = [quad for quad in quads(drawn(now)[1].marks) if quad.line == LIGHT.ink and quad.dash != "solid"]
        inside = isinstance(act, Compared) and start <= act.pfn and act.pfn + (1 << act.order) <= start + nr_pages
        if inside:
            where, _ = drawn(now)
            assert set().union(*(under(where, ring) for ring in dashed)) == pages(act.pfn, act.order)
        else:
            assert not dashed


@pytest.mark.parametrize(("seed", "nr_pages", "start"), [run for run in SMALL if run[1] <= 64])
def test_a_small_map_names_every_page_in_its_state(seed, nr_pages, start):
    for now in moments(random_run(seed, nr_pages, start)):
        where, drawing = drawn(now)
        numbers = [int(word.text) for word in words(drawing.words) if word.text.isdigit()]
        assert sorted(numbers) == list(range(start, start + nr_pages))
        owners = {}
        for quad in quads(drawing.blocks):
            for page in under(where, quad):
                assert page not in owners
                owners[page] = quad
        for block in blocks_of(now.zone):
            look = look_of(block)
            for page in pages(block.head, block.order):
                quad = owners[page]
                assert (quad.fill, quad.hatch) == (getattr(LIGHT, look.fill), look.hatch)
                assert (quad.line_width > 0) == (look is FREE_LOOK), "a free block and no other has an outline"
                assert quad.tip == tip(block)


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_words_on_the_map_do_not_stand_on_each_other(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for k in (0, 10, 29):
        _, drawing = drawn(moment(tape, k, -1))
        assert overlapping(words(drawing.words)) == []


@pytest.mark.parametrize(("seed", "nr_pages", "start"), RUNS)
def test_everything_stays_inside_the_figure(seed, nr_pages, start):
    tape = random_run(seed, nr_pages, start)
    for k in range(len(tape)):
        where, drawing = drawn(moment(tape, k, len(tape.acts(k)) // 2), selected=start + nr_pages - 1)
        assert outside(columns_of(drawing), 824, TOP + where.height + 16) == []


@pytest.mark.parametrize("nr_pages", [100, 1024, 4096])
def test_free_blocks_of_a_larger_map_are_outlined(nr_pages):
    tape = random_run(3, nr_pages)
    now = moment(tape, 29, -1)
    where, drawing = drawn(now)
    outlined = {frozenset(under(where, quad)) for quad in quads(drawing.blocks) if quad.fill == LIGHT.free}
    free = [frozenset(pages(block.head, block.order)) for block in blocks_of(now.zone) if block.kind == "free"]
    assert {page for block in outlined for page in block} == {page for block in free for page in block}
    assert {block for block in free if len(block) <= 512} <= outlined


def test_a_map_of_4096_pages_names_its_pageblocks():
    _, drawing = drawn(moment(text("alloc 0", 4096), 0, -1))
    texts = [word.text for word in words(drawing.words)]
    assert [int(name) for name in texts if name.isdigit()] == list(range(0, 4096, 512))
    assert texts.count("M") == 8


def test_the_types_of_pageblocks_are_told_by_letter():
    zone = moment(text("", 65_536), 0, 0)
    zone.zone.relabel(512, 9, UNMOVABLE)
    _, drawing = drawn(zone)
    assert [word.text for word in words(drawing.words) if word.text.isalpha()] == ["U"]


def test_a_label_that_this_request_changed_is_in_accent():
    tape = Tape(machine(2048)).then("alloc 0 x600; alloc 0 unmovable")
    for act, accented in ((2, []), (4, ["U", "U"]), (-1, ["U", "U"])):
        drawing = drawn(moment(tape, 600, act))[1]
        letters = [word for word in words(drawing.words) if word.text in "UMRHCI"]
        assert [word.text for word in letters if word.color == LIGHT.changed_text] == accented
        assert [word.text for word in letters] == ["M", "M", *(accented or ["M", "M"])]
    assert [word.color for word in words(drawn(moment(tape, 601, 0))[1].words) if word.text == "U"] == [LIGHT.quiet] * 2


def test_the_label_of_an_isolated_pageblock_has_its_letter():
    now = moment(Tape(machine(2048)).then("isolate 600"), 1, 0)
    assert [word.text for word in words(drawn(now)[1].words) if word.text in "UMRHCI"] == ["M", "I", "M", "M"]


def test_what_is_marked_when_a_pageblock_is_claimed():
    tape = Tape(machine(512)).then("alloc 0 x200; alloc 0 unmovable")
    for i, act in enumerate(tape.acts(200)):
        own, changed, looked = at_step(tape, 200, i)
        assert own == []
        if isinstance(act, Counted):
            assert looked == [(0, 9)]
        if isinstance(act, (Moved, Relabelled)):
            assert changed == [(act.pfn, act.order)]


def test_what_is_marked_on_the_way_to_a_per_cpu_list_and_back():
    tape = Tape(machine("48 MiB", pcp=True)).then("alloc 0; free @0; drain")
    seen = set()
    for k in range(3):
        for i, act in enumerate(tape.acts(k)):
            own, changed, _ = at_step(tape, k, i)
            assert own == []
            if isinstance(act, (Parked, Unparked)):
                assert changed == [(act.pfn, act.order)]
                seen.add(type(act))
    assert seen == {Parked, Unparked}


@pytest.mark.parametrize("pages", [64, 1024, 8192])
def test_pages_on_a_per_cpu_list_look_like_that(pages):
    tape = Tape(machine(pages, pcp=True)).then("alloc 0 x3; free @0; free @1; free @2")
    now = moment(tape, 6, 0)
    kept = [pfn for blocks in now.zone.pcp[0].lists for pfn in blocks]
    assert len(kept) >= 3
    where, drawing = drawn(now)
    if pages == 64:
        blocks = [quad for quad in quads(drawing.blocks) if quad.fill == LIGHT.pcp]
        assert {page for quad in blocks for page in under(where, quad)} == set(kept)
        assert {quad.hatch for quad in blocks} == {"blank", "dot"}
        assert all(quad.hatch_color == LIGHT.quiet for quad in blocks if quad.hatch == "dot")
    else:
        (image,) = drawing.pages["image"]
        assert {int(page) for page in where.cells[look_is_pcp(image)]} == set(kept)
        assert (DOT in drawing.over["image"][0]) if pages == 1024 else not drawing.over["image"], "tiles have no texture"


def look_is_pcp(image):
    return (image >= 0x70) & (image < 0x80)


def test_a_selected_block_has_a_tag_in_words_and_no_accent():
    now = moment(some_free([4, 5]), 18, 0)
    where, drawing = drawn(now, selected=5)
    assert "pages 4-5: free" in [word.text for word in words(drawing.words)]
    assert accents(drawing, LIGHT) == ([], [])
    (ring,) = [quad for quad in quads(drawing.marks) if quad.line == LIGHT.ink]
    assert (ring.dash, under(where, ring)) == ("solid", {4, 5})


@pytest.mark.parametrize(
    ("block", "look"),
    [
        (Block(0, 1, "free", MOVABLE), FREE_LOOK),
        (Block(0, 1, "held", -1), FREE_LOOK),
        (Block(0, 1, "pcp", -1), PCP_LOOK),
        (Block(0, 0, "hole", -1), HOLE_LOOK),
        (Block(0, 0, "reserved", -1), RESERVED_LOOK),
        (Block(0, 1, "in use", UNMOVABLE), USED_LOOKS[0]),
        (Block(0, 1, "in use", MOVABLE), USED_LOOKS[1]),
        (Block(0, 1, "in use", RECLAIMABLE), USED_LOOKS[2]),
    ],
)
def test_the_look_of_a_block(block, look):
    assert look_of(block) is look


def test_a_tip_has_pages_state_and_address():
    assert tip(Block(4, 1, "free", MOVABLE)).split("<br>") == ["<b>pages 4-5</b>", "free, order 1, movable", "0x4000"]
    assert tip(Block(9, 0, "in use", UNMOVABLE)).split("<br>") == ["<b>page 9</b>", "in use, order 0, unmovable", "0x9000"]
    assert tip(Block(9, 0, "reserved", -1)).split("<br>")[1] == "reserved"
    assert tip(Block(8, 1, "pcp", -1)).split("<br>") == ["<b>pages 8-9</b>", "on a per-CPU list, order 1", "0x8000"]


def test_the_blocks_of_a_zone_ascend_without_a_gap():
    assert [block.head for block in blocks_of(Zone(4, 3))] == [3, 4, 5, 6]
    blocks = blocks_of(moment(some_free([1, 2, 3]), 19, 0).zone)
    assert [(block.head, block.order, block.kind) for block in blocks[:4]] == [
        *((0, 0, "in use"), (1, 0, "free"), (2, 1, "free"), (4, 0, "in use")),
    ]


def test_marks_follow_the_acts():
    for now in moments(random_run(11, 32)):
        own, changed, looked = marks(now)
        act = now.acts[-1] if now.acts else None
        if isinstance(act, (Linked, Taken, Given)):
            assert changed == [(act.pfn, act.order)]
        assert looked == ([(act.pfn, act.order)] if isinstance(act, Compared) else [])
        for block in own:
            assert pages(*block) < pages(*changed[0])
