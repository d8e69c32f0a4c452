"""One slot, byte for byte: its fields cover it, bytes in hex, and a free pointer that leads to the next free object."""

import re

import pytest
from runs import columns_of, outside, overlapping, quads, words

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import kfree_request, kmalloc_request, write_request
from pagelab.mm.slab_layout import slab_debug
from pagelab.mm.slab_machine import slab_machine
from pagelab.view import show_slot
from pagelab.view.drawing import Drawing
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.slot_bytes import WIDTH, bar_widths, draw_slot, hex_runs, slot_height, slot_of, slot_table
from pagelab.view.slot_panel import SlotPanel

OBJECTS = [kmalloc_request(96)] * 6 + [kfree_request(1), kfree_request(4), kfree_request(2)]
LETTERS = pytest.mark.parametrize("letters", ["-", "Z", "P", "ZP", "FZPU"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def slots(letters, size=96, random=None):
    """Return what is shown of the first six slots after three were freed, and their cache."""
    requests = [kmalloc_request(size)] * 6 + OBJECTS[6:]
    machine = Tape(slab_machine(64, debug=slab_debug(letters))).then(requests).at(9)
    cache = machine.cache(f"kmalloc-{size}")
    return [slot_of(cache, 0, obj, random) for obj in range(6)], cache


@LETTERS
@pytest.mark.parametrize("size", [8, 96, 512])
def test_the_fields_cover_the_slot(letters, size):
    for slot in slots(letters, size)[0]:
        edges = [part.field.start for part in slot.fields] + [slot.size]
        assert edges[0] == 0
        assert [part.field.end for part in slot.fields] == edges[1:]
        assert sum(part.field.end - part.field.start for part in slot.fields if part.field.name == "object") >= size - 8
        assert slot.title.startswith("Object ")
        assert slot.state == ("free" if slot.title[7] in "142" else "in use")


@LETTERS
def test_the_free_pointer_leads_to_the_next_free_object(letters):
    found, cache = slots(letters)
    for obj, after in ((2, 4), (4, 1)):
        (part,) = [part for part in found[obj].fields if part.field.name == "free pointer"]
        address = 0xFFFF888000000000 + after * cache.layout.size + cache.layout.object_start
        assert part.held == " ".join(f"{byte:02x}" for byte in address.to_bytes(8, "little"))
        assert part.meaning == f"leads to {address:#x}: object {after}"
    assert not [part for part in found[0].fields if part.field.name == "free pointer" and part.meaning.startswith("leads")]


def test_a_hardened_pointer_is_stored_as_something_else_and_decoded():
    random = 0x1122334455667788
    for obj, after in ((2, 4), (4, 1)):
        (part,) = [part for part in slots("-", random=random)[0][obj].fields if part.field.name == "free pointer"]
        at = 0xFFFF888000000000 + 96 * obj + part.field.start
        swapped = int.from_bytes(at.to_bytes(8, "big"), "little")
        pointer = 0xFFFF888000000000 + 96 * after
        assert int.from_bytes(bytes.fromhex(part.held), "little") == pointer ^ random ^ swapped
        assert part.meaning == f"decoded, leads to {pointer:#x}: object {after}"


def test_the_last_of_a_freelist_leads_nowhere():
    machine = Tape(slab_machine(64)).then([kmalloc_request(512)]).at(1)
    (part,) = [part for part in slot_of(machine.cache("kmalloc-512"), 0, 7).fields if part.field.name == "free pointer"]
    assert (part.held, part.meaning) == ("00 x8", "leads nowhere: the last of its freelist")


def test_what_is_written_astray_is_said():
    tape = Tape(slab_machine(64, debug=slab_debug("Z"))).then([*[kmalloc_request(96)] * 3, write_request(1, 100)])
    panel = SlotPanel(tape, 4, 1)
    astray = [part for part in panel.slot.fields if part.astray]
    assert [(part.field.name, part.held) for part in astray] == [("right red zone", "41 41 41 41 cc cc cc cc")]
    (word,) = [word for word in words(panel.canvas.sources["words"].data) if word.text.startswith("written astray")]
    assert word.style == "bold"


@LETTERS
@pytest.mark.parametrize("size", [8, 96, 512])
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_nothing_leaves_the_figure_or_stands_on_another(letters, size, theme):
    for slot in slots(letters, size)[0]:
        drawing = Drawing(theme)
        draw_slot(drawing, slot)
        assert outside(columns_of(drawing), WIDTH, slot_height(slot)) == []
        assert overlapping(words(drawing.words)) == []
        blocks = [quad for quad in quads(drawing.blocks) if quad.tip != " "]
        assert len(blocks) == len(slot.fields)
        assert [quad.left for quad in blocks] == sorted(quad.left for quad in blocks)


def test_small_fields_can_still_be_seen_and_the_whole_is_as_wide():
    for sizes in ([512], [8, 512], [8, 8, 8, 8, 2048], [32, 96, 8, 8, 32, 32, 8, 8]):
        widths, true = bar_widths(sizes)
        assert sum(widths) == pytest.approx(WIDTH)
        assert min(widths) >= 20
        if true:
            assert [width / size for width, size in zip(widths, sizes, strict=True)] == pytest.approx([WIDTH / sum(sizes)] * len(sizes))


def test_bytes_in_hex():
    assert hex_runs([]) == ""
    assert hex_runs([1, 2, None]) == "01 02 ??"
    assert hex_runs(list(range(40))).endswith("…")
    assert len(hex_runs(list(range(40))).split()) == 11


def test_the_text_twin_has_every_field():
    panel = show_slot(Tape(slab_machine(64)).then([kmalloc_request(512), kfree_request(0)]), 2, 0)
    table = slot_table(panel.slot)
    for part in panel.slot.fields:
        assert f"<td>{part.field.start}-{part.field.end - 1}</td><td>{part.field.name}</td>" in table
        assert f"{part.field.start}-{part.field.end - 1} {part.field.name}: {part.held}" in panel.text()
    assert re.match(r"Object 0 of the slab at 0, kmalloc-512: free\.", panel.text())


@pytest.mark.parametrize("request_number", [1, 2, 7, -1])
def test_a_request_without_an_object_is_refused(request_number):
    tape = Tape(slab_machine(64)).then([kmalloc_request(512), kfree_request(0), kmalloc_request(9000)])
    with pytest.raises(ValueError, match=f"request {request_number} names no object at step 3"):
        SlotPanel(tape, 3, request_number)


def test_the_panel_takes_on_the_theme_of_the_page():
    panel = SlotPanel(Tape(slab_machine(64)).then([kmalloc_request(512)]), 1, 0)
    panel._set_theme("dark")
    assert DARK.ink in panel.canvas.sources["words"].data["color"]
    panel._set_theme("light")
    assert LIGHT.ink in panel.canvas.sources["words"].data["color"]
