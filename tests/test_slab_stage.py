"""The stage of a cache: each figure has its place, for every kind of machine, and no two stand on each other."""

from functools import lru_cache

import pytest
from runs import accents, columns_of, outside, overlapping, quads, words
from slab_runs import KINDS, slab_kinds, slab_moments, slab_run

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.view.cache_usage import slab_run as run_of
from pagelab.view.drawing import Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.slab_columns import slab_moment
from pagelab.view.slab_stage import MOST_CPUS, WIDTH, arrange_slab, draw_slab_stage

EVERY = pytest.mark.parametrize("kind", KINDS)


@lru_cache(maxsize=4)
def placed_once(tape, cache):
    run = run_of(tape, cache)
    return run, arrange_slab(tape, cache, run)


def drawn(tape, cache, now, theme=LIGHT, selected=None):
    run, stage = placed_once(tape, cache)
    drawing = Drawing(theme)
    placed = draw_slab_stage(drawing, stage, now, run, selected)
    return stage, drawing, placed


@EVERY
def test_nothing_leaves_the_stage_or_stands_on_another(kind):
    machine, cache = slab_kinds()[kind]
    tape, wrong = slab_run(41, machine, cache, 40), {}
    for now in slab_moments(tape, cache, range(0, 40, 9)):
        stage, drawing, _ = drawn(tape, cache, now)
        found = outside(columns_of(drawing), WIDTH, stage.height), overlapping(words(drawing.words))
        if any(found):
            wrong[now.pages.k, len(now.acts)] = found
    assert wrong == {}


@pytest.mark.parametrize("kind", ["small", "two cpus", "large slots"])
def test_both_themes_have_the_same_places(kind):
    machine, cache = slab_kinds()[kind]
    tape = slab_run(42, machine, cache, 12)
    for now in slab_moments(tape, cache):
        (_, light, _), (_, dark, _) = drawn(tape, cache, now), drawn(tape, cache, now, DARK)
        assert light.words["x"] == dark.words["x"]
        assert light.marks["left"] == dark.marks["left"]
        assert {*dark.words["color"], *dark.blocks["fill"], *dark.marks["fill"], *dark.marks["line"]} <= set(DARK)
        assert [len(part) for part in accents(light, LIGHT)] == [len(part) for part in accents(dark, DARK)]


def test_pages_of_the_caches_slabs_are_underlined():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 20 + [kmalloc_request(64)])
    stage, drawing, _ = drawn(tape, "kmalloc-512", slab_moment(tape, 21, 0, "kmalloc-512"))
    lines = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.paper and quad.fill_alpha and quad.top > stage.pages]
    under = [
        word.text for word in words(drawing.words) for line in lines if line.left <= word.x <= line.right and 0 < line.top - word.y < 14
    ]
    assert sorted(under, key=int) == ["0", "1", "2"]


def test_no_page_of_several_that_go_back_together_is_marked_alone():
    requests = [kmalloc_request(512)] * 120 + [kfree_request(i) for i in range(105)]
    tape = Tape(slab_machine(64)).then(requests)
    stage, drawing, _ = drawn(tape, "kmalloc-512", slab_moment(tape, 224, -1, "kmalloc-512"))
    rings, lines = accents(drawing, LIGHT)
    assert len([ring for ring in rings if ring.top > stage.pages]) == 1
    assert not [line for line in lines if line.top > stage.pages]


def test_a_selected_slab_is_shown_in_place_of_the_present_one():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 20)
    now = slab_moment(tape, 20, 0, "kmalloc-512")
    said = {
        selected: [word.text for word in words(drawn(tape, "kmalloc-512", now, selected=selected)[1].words)] for selected in (None, 1, 40)
    }
    assert "page 2: cpu 0 slab, 4 of 8 objects in use" in said[None]
    assert "page 1: full, 8 of 8 objects in use" in said[1]
    assert any("kmalloc-512 has no slab" in text for text in said[40])


def test_pages_are_shown_where_they_have_room():
    for pages, shown in ((64, True), (65, False)):
        tape = Tape(slab_machine(pages)).then([kmalloc_request(512)])
        stage, drawing, _ = drawn(tape, "kmalloc-512", slab_moment(tape, 1, 0, "kmalloc-512"))
        assert bool(stage.where) == shown
        assert ("The pages under it" in [word.text for word in words(drawing.words)]) == shown


def test_only_cpus_that_play_a_part_have_rows():
    tape = Tape(slab_machine(512, cpus=16)).then([kmalloc_request(512, cpu) for cpu in (0, 3, 5)])
    assert arrange_slab(tape, "kmalloc-512", run_of(tape, "kmalloc-512")).cpus == (0, 3, 5)
    tape = tape.then([kmalloc_request(512, cpu) for cpu in range(16)])
    assert len(arrange_slab(tape, "kmalloc-512", run_of(tape, "kmalloc-512")).cpus) == MOST_CPUS


def test_the_bytes_of_the_slabs_are_told():
    tape = Tape(slab_machine(64)).then([kmalloc_request(300)] * 9)
    texts = [word.text for word in words(drawn(tape, "kmalloc-512", slab_moment(tape, 9, 0, "kmalloc-512"))[1].words)]
    for text in ("8,192 B", "2,700 B", "1,908 B", "3,584 B", "slabinfo: 16 of 16 active", "pinned 1 page, empty 0"):
        assert text in texts
