"""The strip: every step of the run, and a click that goes there."""

import pytest
from runs import SMALL, accents, columns_of, outside, overlapping, quads, random_run, words

from pagelab.lab.scenario import text
from pagelab.view.columns import strip
from pagelab.view.drawing import Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.strip import HEIGHT, draw_now, draw_run, step_at, strip_x

WIDTH = 824


def drawn(run, k, theme=LIGHT):
    drawing = Drawing(theme)
    draw_run(drawing, run, WIDTH)
    draw_now(drawing, run, k, WIDTH)
    return drawing


@pytest.mark.parametrize("length", [0, 1, 2, 7, 100, 1000, 5000])
def test_a_click_on_a_step_goes_there(length):
    run = strip(text(f"alloc 0 x{length}" if length else ""))
    for step in {0, 1, length // 3, length // 2, length - 1, length} & set(range(length + 1)):
        assert step_at(run, strip_x(run, step, WIDTH), WIDTH) == step
    xs = [strip_x(run, step, WIDTH) for step in range(length + 1)]
    assert xs == sorted(xs)


@pytest.mark.parametrize("x", [-100, 0, 50, 900, 1e6])
def test_a_click_beside_the_strip_goes_to_its_nearer_end(x):
    run = strip(text("alloc 0 x5"))
    assert step_at(run, x, WIDTH) == (0 if x < 400 else 5)
    assert step_at(strip(text()), x, WIDTH) == 0


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_the_accent_is_on_now_and_only_there(seed, pages, start, theme):
    run = strip(random_run(seed, pages, start))
    for k in range(31):
        drawing = drawn(run, k, theme)
        rings, (line,) = accents(drawing, theme)
        assert rings == []
        assert line.left <= strip_x(run, k, WIDTH) <= line.right
        assert [word.text for word in words(drawing.words) if word.color == theme.changed_text] == [f"step {k:,}"]


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_each_step_has_its_free_pages_and_its_largest_order(seed, pages, start):
    tape = random_run(seed, pages, start)
    run = strip(tape)
    drawing = Drawing(LIGHT)
    draw_run(drawing, run, WIDTH)
    blocks = quads(drawing.blocks)
    areas = [quad for quad in blocks if quad.fill == LIGHT.pcp]
    assert len(areas) == len(run.steps)
    for k, area in enumerate(areas):
        assert area.tip.split("<br>") == [f"<b>go to {k}</b>", f"{run.free[k]} free, largest order {run.largest[k]}"]
    heights = [area.bottom - area.top for area in areas]
    assert [high / max(heights) for high in heights] == pytest.approx([free / max(run.free) for free in run.free])
    lines = {quad.tip: quad.top for quad in blocks if quad.fill == LIGHT.ink}
    assert len(lines) <= len(run.steps)
    ordered = sorted((int(tip.rsplit(" ", 1)[1]), top) for tip, top in lines.items())
    assert [top for _, top in ordered] == sorted((top for _, top in ordered), reverse=True)
    assert all(int(tip.rsplit(" ", 1)[1]) >= 0 for tip in lines), "no line where nothing is free"


def test_a_refused_request_is_a_cross_at_its_step():
    run = strip(text("alloc 0; alloc 4; free @0; alloc 4; alloc 4"))
    crosses = [word for word in words(drawn(run, 0).words) if word.text == "×"]
    assert [step_at(run, word.x, WIDTH) for word in crosses] == [1, 4]
    assert all(word.color == LIGHT.ink for word in crosses), "refused is no colour"


def test_the_words_name_what_the_bands_are():
    texts = [word.text for word in words(drawn(strip(text("alloc 0 x1234", "8 MiB")), 1000).words)]
    assert "free pages" in texts
    assert "of 2,048" in texts
    assert "largest free" in texts
    assert "step 1,000" in texts
    assert "1,234" in texts


@pytest.mark.parametrize("length", [1, 5, 31, 999, 12_345])
def test_nothing_leaves_the_strip_or_stands_on_another(length):
    run = strip(text(f"alloc 0 x{length}", 64))
    for k in sorted({0, 1, length // 10, length // 2, length * 9 // 10, length - 1, length}):
        drawing = drawn(run, k)
        assert outside(columns_of(drawing), WIDTH, HEIGHT) == []
        assert overlapping([word for word in words(drawing.words) if word.text != "×"]) == []


def test_what_comes_later_is_paler():
    run = strip(text("alloc 0 x10"))
    (veil,) = [quad for quad in quads(drawn(run, 4).marks) if quad.fill == LIGHT.paper and 0 < quad.fill_alpha < 1]
    assert veil.left == pytest.approx(strip_x(run, 4, WIDTH))
    assert veil.right >= WIDTH
