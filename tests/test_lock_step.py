"""Lock-step: two maps side by side, what differs in ink, and one set of controls."""

import numpy as np
import pytest
from runs import accents, columns_of, outside, overlapping, quads, words
from test_difference import under

from pagelab.lab.scenario import text
from pagelab.lab.stand_in import LifoOnly, LowestAddress
from pagelab.lab.tape import Tape
from pagelab.mm.boot import boot_machine
from pagelab.mm.machine import machine
from pagelab.mm.zone import UNMOVABLE
from pagelab.view.columns import moment
from pagelab.view.difference import difference, difference_sentence
from pagelab.view.drawing import Drawing
from pagelab.view.layout import layout
from pagelab.view.lock_step import AT, FADED, MAP, MIDDLE, TOP, WIDTH, LockStep, draw_difference
from pagelab.view.palette import DARK, GAP, LIGHT

NAMES = ("6.12", "other")
SMALL = "alloc 0 x16; free @12; free @13; free @5; free @9; free @14; alloc 0; alloc 0"
LARGE = "alloc 0 x300; free @1; free @8; free @77; free @120; free @299; alloc 0 x3; alloc 2; alloc 5 x4"


def runs(pages, zone_type=LowestAddress):
    left = text(SMALL if pages <= 64 else LARGE, pages)
    return left, under(left, zone_type)


def drawn(left, right, k, theme=LIGHT, change=None):
    nows = [moment(tape, k, 0 if k == len(tape) else -1) for tape in (left, right)]
    if change:
        change(nows[1].zone)
    found = difference(*nows, [tape.received[k] for tape in (left, right)] if k < len(left) else [])
    zone = nows[0].zone
    where = layout(zone.start_pfn, zone.end_pfn - zone.start_pfn, narrow=True)
    drawing = Drawing(theme)
    draw_difference(drawing, where, (nows[0].zone, nows[1].zone), found, NAMES)
    return found, where, drawing


def pages_under(where, quad, side):
    found = set()
    for row, line in enumerate(where.cells):
        for column, place in enumerate(line):
            if place >= 0 and quad.holds(AT[side] + (column + 0.5) * where.w, TOP + (row + 0.5) * where.h):
                found.add(where.start + int(place))
    return found


def outlined(where, drawing, side, theme=LIGHT):
    """Return the pages inside an ink outline of one map."""
    low, high = AT[side] - 1, AT[side] + MAP + 1
    rings = [quad for quad in quads(drawing.marks) if quad.line == theme.ink and quad.line_width and low <= quad.left < high]
    return set().union(*(pages_under(where, ring, side) for ring in rings))


@pytest.mark.parametrize("pages", [16, 64, 1024, 4096])
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_what_differs_is_outlined_in_both_maps_and_nothing_else(pages, theme):
    left, right = runs(pages)
    for k in (len(left) - 2, len(left) - 1, len(left), 3):
        found, where, drawing = drawn(left, right, k, theme)
        differing = set(np.flatnonzero(found.pages).tolist())
        assert outlined(where, drawing, 0, theme) == outlined(where, drawing, 1, theme) == differing
        assert accents(drawing, theme) == ([], []), "a difference is not a change"


@pytest.mark.parametrize("pages", [512, 4096, 8192, 100_000])
def test_what_agrees_is_faded_and_what_differs_is_full(pages):
    left, right = runs(pages)
    found, where, drawing = drawn(left, right, len(left))
    assert found.pages.any()
    differs = where.image(found.pages.astype(np.uint8)) == 1
    assert drawing.pages["alpha"] == [FADED, FADED]
    assert drawing.over["alpha"] == [1, 1]
    for side in (0, 1):
        image = where.image(found.states[side])
        assert np.array_equal(drawing.pages["image"][side], image)
        assert np.array_equal(drawing.over["image"][side], np.where(differs, image, GAP))
        assert drawing.pages["x"][side] == AT[side]


def test_labelled_pages_are_faded_where_they_agree():
    left, right = runs(16)
    found, where, drawing = drawn(left, right, 21)
    assert found.pages.any()
    for quad in quads(drawing.blocks):
        side = int(quad.left > MIDDLE)
        differs = any(found.pages[page] for page in pages_under(where, quad, side))
        assert quad.fill_alpha == (1 if differs else FADED)
    assert sorted(int(word.text) for word in words(drawing.words) if word.text.isdigit() and word.x < MIDDLE - 40) == [0, *range(16)]


@pytest.mark.parametrize("pages", [16, 1024, 20_000])
def test_the_middle_counts_the_pages_of_each_row(pages):
    left, right = runs(pages)
    found, where, drawing = drawn(left, right, len(left))
    bars = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.ink and abs(quad.left + quad.right - 2 * MIDDLE) < 0.01]
    counts = (where.image(found.pages.astype(np.uint8)) == 1).sum(axis=1)
    rows = {int((bar.top + bar.bottom) / 2 - TOP) // int(where.h): bar.right - bar.left for bar in bars}
    assert sorted(rows) == np.flatnonzero(counts).tolist()
    widths = [rows[row] for row in sorted(rows, key=lambda row: counts[row])]
    assert widths == sorted(widths), "the more pages the wider"


def test_what_each_received_stands_above_its_map():
    left, right = runs(16)
    _, _, drawing = drawn(left, right, 21)
    told = [(word.text, word.style, word.color) for word in words(drawing.words) if word.text.startswith("receives")]
    assert told == [("receives page 9", "bold", LIGHT.ink), ("receives page 5", "bold", LIGHT.ink)]
    _, _, drawing = drawn(left, right, 0)
    told = [(word.text, word.style, word.color) for word in words(drawing.words) if word.text.startswith("receives")]
    assert told == [("receives page 0", "normal", LIGHT.quiet)] * 2


@pytest.mark.parametrize("pages", [1024, 4096])
def test_a_label_that_differs_is_bold_and_underlined(pages):
    left = text("", pages)
    found, where, drawing = drawn(left, left, 0, change=lambda zone: zone.relabel(512, 9, UNMOVABLE))
    assert found.labels == ((512, 1, 0),)
    labels = [word for word in words(drawing.words) if word.text in ("movable", "unmov.")]
    assert len(labels) == 2 * pages // 512
    bold = [word for word in labels if word.style == "bold"]
    assert [(word.text, word.align) for word in bold] == [("movable", "right"), ("unmov.", "left")]
    lines = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.ink and quad.fill_alpha and quad.bottom - quad.top < 2]
    assert len(lines) == 2
    for word, line in zip(bold, lines, strict=True):
        assert 0 < line.top - word.y < 10


def test_on_tiles_a_label_that_differs_is_underlined_too():
    left = text("", 8192)
    _, _, drawing = drawn(left, left, 0, change=lambda zone: zone.relabel(1024, 9, UNMOVABLE))
    assert [word.text for word in words(drawing.words) if len(word.text) == 1 and word.text.isalpha()] == ["M", "U"]


def test_a_free_page_on_another_list_says_on_which():
    def to_another_list(zone):
        zone.unlink(1024)
        zone.link(1024, 10, UNMOVABLE)

    left = text("", 2048)
    _, where, drawing = drawn(left, left, 0, change=to_another_list)
    said = [(word.text, word.x > MIDDLE) for word in words(drawing.words) if word.text.startswith("free,")]
    assert said == [("free, movable list", False)] * 2 + [("free, unmovable list", True)] * 2, "once in each pageblock"


@pytest.mark.parametrize("pages", [16, 64, 400, 4096, 20_000, 300_000])
def test_nothing_leaves_the_figure_or_stands_on_another(pages):
    left, right = runs(pages)
    panel = LockStep(left, right, NAMES)
    for k in range(max(0, len(left) - 12), len(left) + 1):
        _, where, drawing = drawn(left, right, k)
        assert outside(columns_of(drawing), WIDTH, panel.stage.height) == []
        assert overlapping(words(drawing.words)) == []


@pytest.fixture(scope="module")
def one_panel():
    left, right = runs(16)
    return LockStep(left, right, NAMES, goto={"A: a free": 16}, start=(20, 0))


@pytest.fixture
def panel(one_panel):
    one_panel.mode.value = "by request"
    one_panel.reset()
    return one_panel


def test_one_set_of_controls_moves_both(panel):
    assert (panel.k, panel.act) == (20, 0)
    for do, there in [(panel.next, 20), (panel.next, 21), (panel.back, 20), (panel.last, 23), (panel.first, 0)]:
        do()
        assert panel.k == there
        assert [now.k for now in panel.nows] == [there, there]
    panel.slider.value = 7
    assert [now.k for now in panel.nows] == [7, 7]
    assert [button.description for button in panel.goto] == ["First difference", "A: a free"]
    panel.goto[0].click()
    assert panel.k == 21
    assert "receives page 9" in panel.stage.sources["words"].data["text"]


def test_by_act_the_machine_that_is_done_waits(panel):
    tapes = panel.tapes
    panel.mode.value = "by act"
    for k in (17, 19, 20):
        counts = [len(tape.acts(k)) for tape in tapes]
        panel.go((k, 0))
        for act in range(max(counts)):
            assert [len(now.acts) for now in panel.nows] == [min(act + 1, count) for count in counts]
            panel.next()
        assert panel.k == k + 1


def test_it_says_what_differs(panel):
    panel.go(21)
    said = difference_sentence(panel.found, NAMES)
    assert said.startswith("6.12: page 9; other: page 5.")
    assert said in panel.said.value
    assert panel.text() == f"step 21 of 23: alloc 0\n{said}"
    assert "<td>received</td><td>page 9</td><td>page 5</td>" in panel.twin.value
    assert "The caller receives page 9." in panel.told[0].value
    assert "The caller receives page 5." in panel.told[1].value
    assert "pagelab-status" in panel.said._dom_classes
    panel.last()
    assert "The end." in panel.told[0].value


def both_kernels(requests, pages=512, **options):
    return [Tape(machine(pages, kernel, **options)).then(requests) for kernel in ("6.1", "6.12")]


def test_one_workload_under_two_kernels():
    left, right = both_kernels("alloc 0 x300; alloc 0 unmovable")
    panel = LockStep(left, right, start=300)
    assert panel.names == ("6.1", "6.12")
    assert panel.goto[0].description == "First difference"
    assert panel.text().splitlines()[1].startswith("Both: page 300. 211 pages are in another state. Lists that differ: M0, M1, M4, M6")
    said = panel.stage.sources["words"].data["text"]
    assert [said.count(f"free, {mt} list") for mt in ("unmovable", "movable")] == [1, 1]
    assert "4 free blocks of a movable pageblock move to them" in panel.told[0].value
    assert "one is stolen" in panel.told[1].value


@pytest.mark.parametrize("options", [{"pcp": True, "cpus": 2}, {"pages": "48 MiB", "pcp": True, "min_free_kbytes": 886}])
def test_per_cpu_lists_are_compared_too(options):
    left, right = both_kernels("; ".join(["alloc 0"] * 4 + [f"free @{k}" for k in range(4)]), **options)
    panel = LockStep(left, right, start=8)
    assert "per-CPU list" in panel.legend.value
    kept = [sum(pcp.count for pcp in tape.at(8).zone.pcp) for tape in (left, right)]
    assert kept == ([3, 7] if options["pcp"] and "pages" not in options else [6, 9])
    assert [len(heads) for heads in panel.found.lists["cpu 0 M0"]] == kept
    assert "<td>list cpu 0 M0</td>" in panel.twin.value


def test_of_several_zones_the_largest_is_compared():
    left, right = (Tape(boot_machine([(256, 6000)], kernel=kernel)).then("alloc 0 dma; alloc 0") for kernel in ("6.1", "6.12"))
    panel = LockStep(left, right, start=0)
    assert [now.zone.name for now in panel.nows] == ["DMA", "DMA"]
    panel.next()
    assert [now.zone.name for now in panel.nows] == ["DMA", "DMA"]


def test_its_source_is_assigned_once_a_step(panel):
    counted = {}
    for part, source in panel.stage.sources.items():
        source.on_change("data", lambda _a, _o, _n, part=part: counted.update({part: counted.get(part, 0) + 1}))
    panel.next()
    assert set(counted.values()) == {1}


def test_where_nothing_differs_there_is_nowhere_to_go():
    left = text(SMALL)
    panel = LockStep(left, left, NAMES)
    assert panel.goto == []
    assert "Pages, labels and lists are the same." in panel.said.value


def test_other_requests_or_other_pages_cannot_be_compared():
    with pytest.raises(ValueError, match="their requests are not the same"):
        LockStep(text("alloc 0"), text("alloc 1"), NAMES)
    with pytest.raises(ValueError, match="their pages are not the same"):
        LockStep(text("alloc 0"), text("alloc 0", 32), NAMES)


def test_it_follows_the_theme_of_the_page():
    left, right = runs(1024, LifoOnly)
    panel = LockStep(left, right, NAMES, start=20)
    panel._set_theme("dark")
    assert panel.theme is DARK
    assert DARK.ink in panel.stage.sources["words"].data["color"]
    assert LockStep(left, right, NAMES, theme="light").theme is LIGHT
