"""The stage: each figure has its place, for every kind of machine, and no two stand on each other."""

import pytest
from runs import KINDS, accents, busy_run, columns_of, kinds_of_machines, moments, outside, overlapping, words

from pagelab.lab.tape import Tape
from pagelab.mm.machine import machine
from pagelab.view.columns import moment, types_of
from pagelab.view.drawing import Drawing
from pagelab.view.free_lists import lists_height
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.stage import WIDTH, arrange, draw_stage


def stages(tape):
    start = tape.at(0)
    return [arrange(start, z, types_of(tape)) for z in range(len(start.zones))]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaves_the_stage_or_stands_on_another(kind):
    tape = busy_run(7, kinds_of_machines()[kind], 25)
    places, wrong = stages(tape), {}
    for now in moments(tape):
        drawing = Drawing(LIGHT)
        draw_stage(drawing, places[now.z], now)
        found = outside(columns_of(drawing), WIDTH, places[now.z].height), overlapping(words(drawing.words))
        if any(found):
            wrong[now.k, len(now.acts)] = found
    assert wrong == {}


def test_a_selected_page_is_marked_only_while_its_zone_is_shown():
    tape = Tape(kinds_of_machines()["zones"]).then("alloc 0; alloc 0 dma")
    for k, tags in ((0, 0), (1, 1)):
        now, drawing = moment(tape, k, -1), Drawing(LIGHT)
        draw_stage(drawing, stages(tape)[now.z], now, selected=2048)
        assert sum(word.text == "pages 2048-3071: free" for word in words(drawing.words)) == tags


@pytest.mark.parametrize("kind", KINDS)
def test_both_themes_have_the_same_places(kind):
    tape = busy_run(8, kinds_of_machines()[kind], 6)
    for now in moments(tape):
        light, dark = Drawing(LIGHT), Drawing(DARK)
        for drawing in (light, dark):
            draw_stage(drawing, stages(tape)[now.z], now)
        assert light.words["x"] == dark.words["x"]
        assert light.marks["left"] == dark.marks["left"]
        used = {*dark.words["color"], *dark.blocks["fill"], *dark.marks["fill"], *dark.marks["line"]}
        assert used <= set(DARK)
        assert [len(part) for part in accents(light, LIGHT)] == [len(part) for part in accents(dark, DARK)]


def test_one_type_has_its_lists_beside_the_map():
    for pages in (16, 1024, 4096):
        place = arrange(machine(pages), 0, (1,))
        assert place.lists == (516, 0)
        assert (place.types, place.notes, place.cpus) == ((), False, None)
    assert arrange(machine(16), 0, (1,)).ladder
    assert not arrange(machine(4096), 0, (1,)).ladder


def test_several_types_have_their_lists_below_and_notes_beside_the_map():
    place = arrange(machine(4096), 0, (1, 0))
    assert place.lists[1] > place.where.height
    assert place.lists[0] + place.lists_width == WIDTH
    assert (place.types, place.notes, place.ladder) == ((1, 0), True, None)
    assert place.height == place.lists[1] + lists_height(11, several=True) + 4
    small = arrange(machine(16), 0, (1, 0))
    assert (small.lists, small.types) == ((516, 0), (1, 0)), "a small zone has room beside it"
    assert not arrange(machine(8192), 0, (1, 0)).notes, "a map of tiles has none"


def test_per_cpu_lists_stand_beside_the_free_lists():
    for pages, types in ((2048, (1,)), (2048, (1, 0, 2)), (12_288, (1,)), (12_288, (1, 0))):
        place = arrange(machine(pages, pcp=True), 0, types)
        assert place.cpus
        assert place.cpus[1] == place.lists[1]
        assert place.lists[0] + place.lists_width < place.cpus[0] < WIDTH - 250
    small = arrange(machine(64, pcp=True), 0, (1,))
    assert small.cpus[1] > small.lists[1] + lists_height(7)


def test_watermarks_stand_above_all():
    place = arrange(machine(12_288, min_free_kbytes=886), 0, (1,))
    assert place.map[1] > arrange(machine(12_288), 0, (1,)).map[1] + 60
