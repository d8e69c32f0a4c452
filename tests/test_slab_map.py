"""A slab, byte for byte: fills by state, places on freelists, waste, what changed, and nothing on anything else."""

import pytest
from runs import accents, columns_of, outside, overlapping, quads, words
from slab_runs import KINDS, slab_kinds, slab_moments, slab_run

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_layout import slab_layout
from pagelab.mm.slab_machine import slab_machine
from pagelab.view.drawing import Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.slab_columns import shown_slab, slab_in_focus, slab_moment
from pagelab.view.slab_map import ACROSS, GUTTER, TOP, WIDTH, draw_slab, geometry, ordinal, slab_grid, slab_height

EVERY = pytest.mark.parametrize("kind", KINDS)


def drawn(now, pfn=None, theme=LIGHT):
    drawing = Drawing(theme)
    draw_slab(drawing, now, shown_slab(now, slab_in_focus(now) if pfn is None else pfn), len(now.cache.cpu), 0)
    return drawing


def on_the_map(drawing, layout):
    """Return the blocks of the map itself, without the legend."""
    grid = slab_grid(layout)
    return [quad for quad in quads(drawing.blocks) if quad.top < TOP + grid.rows * grid.pitch - (grid.pitch - grid.high)]


@EVERY
def test_nothing_leaves_the_map_or_stands_on_another(kind):
    machine, cache = slab_kinds()[kind]
    tape, wrong = slab_run(21, machine, cache, 60), {}
    for now in slab_moments(tape, cache, range(0, 60, 9)):
        drawing = drawn(now)
        found = outside(columns_of(drawing), WIDTH, slab_height(now.cache.layout)), overlapping(words(drawing.words))
        if any(found):
            wrong[now.pages.k, len(now.acts)] = found
    assert wrong == {}


@EVERY
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_every_byte_of_a_slab_is_in_use_free_or_waste(kind, theme):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(22, machine, cache, 60)
    now = slab_moment(tape, 40, -1, cache)
    layout = now.cache.layout
    grid = slab_grid(layout)
    for number in now.cache.numbers():
        slab = shown_slab(now, now.cache.pfn[number])
        blocks = on_the_map(drawn(now, slab.pfn, theme), layout)
        gap = 1.0 if grid.x(layout.size) >= 24 else 0.5
        for fill, hatch, size in (
            (theme.unmovable, "blank", layout.size * sum(slot.state == "in use" for slot in slab.slots)),
            (theme.free, "blank", layout.size * sum(slot.state == "free" for slot in slab.slots)),
            (theme.paper, "right_diagonal_line", slab.size - slab.waste),
        ):
            those = [quad for quad in blocks if quad.fill == fill and quad.hatch == hatch]
            wide = sum(quad.right - quad.left for quad in those)
            assert grid.x(size) - 2 * gap * len(those) - 1 <= wide <= grid.x(size) + 0.1
        assert min(quad.left for quad in blocks) >= GUTTER
        assert max(quad.right for quad in blocks) <= GUTTER + ACROSS + 0.01


@pytest.mark.parametrize("kind", ["small", "two cpus", "random"])
def test_each_free_object_says_its_place(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(23, machine, cache, 60)
    for now in slab_moments(tape, cache, range(0, 60, 5)):
        slab = shown_slab(now, slab_in_focus(now))
        if slab is None:
            continue
        texts = [word.text for word in words(drawn(now).words)]
        bracketed = {slot.place for slot in slab.slots if slot.whose == "slab"} if slab.served else set()
        plain = {slot.place for slot in slab.slots if slot.place and not (slab.served and slot.whose == "slab")}
        assert {text for text in texts if text[:-2].isdigit() and text == ordinal(int(text[:-2]))} == set(map(ordinal, plain))
        assert {text[1:-1] for text in texts if text.startswith("(") and text.endswith(")")} == set(map(ordinal, bracketed))
        assert any("(1st): on the slab's own" in text for text in texts) == bool(bracketed)


@EVERY
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_accent_is_on_the_object_of_this_act(kind, theme):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(24, machine, cache, 40)
    for now in slab_moments(tape, cache, range(0, 40, 7)):
        slab = shown_slab(now, slab_in_focus(now))
        rings, lines = accents(drawn(now, theme=theme), theme)
        changed = [slot for slot in slab.slots if slot.mark == "changed"] if slab else []
        moved = [slot for slot in slab.slots if slot.mark == "moved"] if slab else []
        assert bool(rings) == bool(changed)
        assert bool(lines) == bool(moved)
        for ring in rings:
            middle = ((ring.left + ring.right) / 2, (ring.top + ring.bottom) / 2)
            inside = [quad.tip for quad in quads(drawn(now, theme=theme).blocks) if quad.holds(*middle)]
            assert any(tip.startswith(f"<b>object {changed[0].obj}</b>") for tip in inside)


def test_an_object_that_crosses_pages_has_a_part_in_each():
    machine = slab_machine(64, cpus=4)
    machine.kmem_cache_create("crossing", 704)
    tape = Tape(machine).then([cache_request("kmem_cache_alloc", machine.names.index("crossing"))] * 3)
    now = slab_moment(tape, 3, 0, "crossing")
    blocks = on_the_map(drawn(now), now.cache.layout)
    parts = {obj: [quad for quad in blocks if quad.tip.startswith(f"<b>object {obj}</b>")] for obj in range(23)}
    crossing = {obj for obj, found in parts.items() if len(found) == 2}
    assert crossing == {obj for obj in range(23) if obj * 704 // 4096 != ((obj + 1) * 704 - 1) // 4096}
    for obj in crossing:
        first, second = parts[obj]
        assert first.right == GUTTER + ACROSS
        assert second.left == GUTTER
        assert second.top > first.bottom
    said = [word.text for word in words(drawn(now).words)]
    assert any("waste, 192 B (1.2 %)" in text for text in said)
    assert geometry(now.cache.layout, 4) in said


def test_what_was_freed_is_said_in_the_accent():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 9 + [kfree_request(8), kfree_request(3)])
    for k, text in ((9, "object 0 just freed: next to be used"), (10, "object 3 just freed: the slab's 1st"), (8, "object 0 handed out")):
        act = next(i for i, a in enumerate(tape.acts(k)) if type(a).__name__ in ("Pushed", "Put", "Popped"))
        (said,) = [word for word in words(drawn(slab_moment(tape, k, act, "kmalloc-512")).words) if word.text == text]
        assert said.color == LIGHT.changed_text


def test_a_refill_of_a_sheaf_is_said():
    tape = Tape(slab_machine(64, "7.x")).then([kmalloc_request(512)])
    acts = tape.acts(0)
    refills = [i for i, act in enumerate(acts) if type(act).__name__ == "Refilled"]
    assert refills
    for act in refills:
        texts = [word.text for word in words(drawn(slab_moment(tape, 0, act, "kmalloc-512")).words)]
        count = acts[act].objects
        assert f"{count} free object{'s go' if count > 1 else ' goes'} into a sheaf of cpu 0" in texts


def test_where_there_is_no_slab_it_is_said():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512), kfree_request(0), cache_request("shrink", 8)])
    number = tape.at(0).names.index("kmalloc-512")
    tape = tape.fork(2).then([cache_request("shrink", number)])
    texts = [[word.text for word in words(drawn(slab_moment(tape, k, act, "kmalloc-512")).words)] for k, act in ((0, 0), (2, -1), (3, 0))]
    assert "kmalloc-512 has no slab yet: the first request takes one." in texts[0]
    assert "Page 0: a slab no more. Its pages go back to the page allocator." in texts[1]
    assert "kmalloc-512 has no slab." in texts[2]


def test_rows_are_pages_unless_that_would_be_too_small_or_too_many():
    for size, cpus in ((8, 1), (16, 1), (32, 2), (96, 1), (512, 1), (704, 4), (2048, 8), (4096, 4), (8192, 1), (100_000, 1)):
        layout = slab_layout(size, cpus=cpus)
        grid = slab_grid(layout)
        assert grid.per_row * grid.rows == 4096 << layout.order
        assert grid.rows <= 8
        assert grid.x(layout.size) >= 12 or grid.per_row == 512
        assert (grid.per_row == 4096) == (layout.size * ACROSS / 4096 >= 12 and layout.order <= 3)


def test_the_geometry_is_told_in_one_sentence():
    assert geometry(slab_layout(512), 1) == (
        "Slots of 512 bytes on a machine with 1 CPU: order 0, so 1 page holds 8 objects, and nothing is left over."
    )
