"""A captured machine's memory as a page map: the numbers of its flags, and one pageblock large."""

import re

import numpy as np
import pytest
from bokeh.events import Tap
from runs import accents, outside, quads, words

from pagelab.mm.zone import HOLE, IN_USE, RESERVED
from pagelab.real.capture import CaptureError, example
from pagelab.real.flags import page_states
from pagelab.view.palette import DARK, KIND_UNKNOWN, LIGHT, look
from pagelab.view.real_map import RealMap

MACHINE = example()


@pytest.fixture(scope="module")
def shown():
    return RealMap(MACHINE, "S0", "DMA32")


def flags(*bits):
    return np.array([sum(1 << bit for bit in page) for page in bits], np.uint64)


def drawn(canvas):
    return {part: canvas.sources[part].data for part in ("blocks", "marks", "words")}


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ((20,), HOLE),
        ((10,), 0x10),
        ((32,), RESERVED),
        ((7,), IN_USE),
        ((26,), IN_USE),
        ((5,), IN_USE | 1 << 4),
        ((12,), IN_USE | 1 << 4),
        ((), KIND_UNKNOWN),
        ((3,), KIND_UNKNOWN),
        ((5, 7), IN_USE),
        ((32, 5), RESERVED),
        ((20, 10), HOLE),
    ],
)
def test_what_the_flags_of_one_page_mean(page, state):
    assert page_states(flags(page), 0).tolist() == [state]


def test_free_pages_carry_the_order_that_the_merging_rule_gives_them():
    free = [(10,) if pfn in range(1, 9) or pfn == 12 else (5,) for pfn in range(16)]
    orders = [state & 15 for state in page_states(flags(*free), 0) if state < IN_USE]
    assert orders == [0, 1, 1, 2, 2, 2, 2, 0, 0]
    assert [state & 15 for state in page_states(flags(*[(10,)] * 8), 1)] == [0, 1, 1, 2, 2, 2, 2, 0]
    assert set(page_states(flags(*[(10,)] * 2048), 1024)) == {0x1A}


def test_the_numbers_of_the_example(shown):
    assert "of 61,402 pages" in shown.text()
    assert "32,335 free" in shown.text()
    assert MACHINE.zoneinfo("S0")[0, "DMA32"].pcp == {0: 66}
    assert "per-CPU lists" in shown.text(), "where these 66 are"
    for text in ("12,560 reserved", "4,478 unmovable", "2,985 movable", "9,044 in use, kind not known"):
        assert text in shown.text()
    assert 32_335 + 12_560 + 4_478 + 2_985 + 9_044 == 61_402


def test_the_free_blocks_are_the_kernels_line(shown):
    pages = [int((shown.states == 0x10 | order).sum()) for order in range(11)]
    assert [count >> order for order, count in enumerate(pages)] == MACHINE.buddyinfo("S0", ".pre")[0, "DMA32"]


def test_the_image_shows_every_page(shown):
    (image,) = shown.canvas.sources["pages"].data["image"]
    for pfn in [4096, 4097, 31947, 32000, 62976, 65497, *range(5000, 65000, 7919)]:
        place = np.argwhere(shown.where.cells == pfn - shown.where.start)[0]
        assert image[tuple(place)] == shown.states[pfn - 4096]


def test_a_zone_that_starts_inside_a_pageblock_is_shown_in_its_place():
    shown = RealMap(MACHINE, "S0", "DMA")
    (image,) = shown.canvas.sources["pages"].data["image"]
    for pfn in (1, 255, 256, 511, 512, 4095):
        place = np.argwhere(shown.where.cells == pfn - shown.where.start)[0]
        assert image[tuple(place)] == shown.states[pfn - 1]


def lens(shown):
    """Return what the lens says: from each page to its state in words."""
    said = {}
    for quad in quads(shown.lens.sources["blocks"].data):
        first, last, state = re.fullmatch(r"<b>pages? (\d+)(?:-(\d+))?</b><br>(.*)", quad.tip).groups()
        for page in range(int(first), int(last or first) + 1):
            assert page not in said
            said[page] = state
    return said


@pytest.mark.parametrize("pfn", [4096, 20_000, 31_744, 31_947, 32_255, 62_975, 65_497])
def test_a_chosen_pageblock_is_shown_page_by_page(shown, pfn):
    shown.choose(pfn)
    first = pfn - pfn % 512
    assert shown.block == first
    said = lens(shown)
    assert sorted(said) == list(range(first, first + 512))
    for page, state in said.items():
        inside = 4096 <= page < 4096 + 61_402
        assert state == look(int(shown.states[page - 4096]) if inside else HOLE).words
    assert any(str(first) in word.text for word in words(shown.lens.sources["words"].data))


def test_the_run_of_309_pages_is_five_blocks(shown):
    shown.choose(31_744)
    tips = [quad.tip for quad in quads(shown.lens.sources["blocks"].data)]
    spans = ["page 31947", "pages 31948-31951", "pages 31952-31967", "pages 31968-31999", "pages 32000-32255"]
    assert [f"<b>{span}</b><br>free" for span in spans] == tips[-5:]


def test_a_click_chooses_and_a_click_beside_does_not(shown):
    shown.choose(31_744)
    figure = shown.canvas.figure
    (rect,) = shown.where.rects(10_240, 9)
    figure._trigger_event(Tap(figure, x=shown.left + rect.x + 3, y=shown.top + rect.y + 3))
    assert shown.block == 10_240
    figure._trigger_event(Tap(figure, x=2, y=2))
    assert shown.block == 10_240


@pytest.mark.parametrize("pfn", [-1, 0, 4095, 65_498, 10**9])
def test_a_page_outside_the_zone_cannot_be_chosen(shown, pfn):
    before = shown.block
    with pytest.raises(ValueError, match=rf"pfn {pfn} is not in this zone: its pages are 4096..65497"):
        shown.choose(pfn)
    assert shown.block == before


@pytest.mark.parametrize(("snapshot", "zone"), [("S0", "Nope"), ("S0", "Normal"), ("S0", "Device"), ("S9", "DMA32")])
def test_what_the_capture_does_not_have_is_said_in_one_sentence(snapshot, zone):
    with pytest.raises(ValueError, match=rf"{snapshot if snapshot == 'S9' else zone}") as raised:
        RealMap(MACHINE, snapshot, zone)
    assert type(raised.value) in (ValueError, CaptureError)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_nothing_changes_in_a_capture_so_nothing_has_the_accent(shown, theme):
    shown._set_theme(theme.name)
    for canvas in (shown.canvas, shown.lens):
        assert accents(drawn(canvas), theme) == ([], [])
        assert outside(drawn(canvas), canvas.width, canvas.height) == []
        assert canvas.mapper.palette[HOLE] == theme.paper


def test_the_chosen_block_is_ringed_in_ink(shown):
    shown.choose(10_240)
    rings = [quad for quad in quads(shown.canvas.sources["marks"].data) if quad.line == LIGHT.ink]
    (rect,) = shown.where.rects(10_240, 9)
    assert len(rings) == 1
    assert rings[0].holds(shown.left + rect.x + rect.w / 2, shown.top + rect.y + rect.h / 2)


def test_the_legend_names_every_state_that_is_shown(shown):
    for state in np.unique(shown.states):
        assert look(int(state)).words in shown.legend.value


def test_it_is_told_in_words_without_a_kernel(shown):
    bundle = shown._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"] == shown.text()
    assert shown.text() in shown.words.value
