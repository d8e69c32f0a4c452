"""A machine's slabinfo as a table: every number, sorted by waste, added up; and a field to paste one's own."""

import re

import pytest
from test_scores import Table

from pagelab.real.capture import example
from pagelab.real.slabinfo import SlabInfo, parse_slabinfo
from pagelab.view import paste_slabinfo, slabinfo
from pagelab.view.slabinfo_table import SHOWN, PasteSlabInfo, SlabInfoTable, by_waste, explain_row, slabinfo_html, sums_sentence

MACHINE = example("612-slab-768M-1cpu")
TEXT = MACHINE.text("S0.slabinfo")
ROWS = parse_slabinfo(TEXT)
# From the text by itself: name, active, objects, bytes each, a slab's objects and pages, slabs.
PLAIN = [line.split() for line in TEXT.splitlines()[2:]]
NUMBERS = {cells[0]: [int(cell) for cell in (*cells[1:6], cells[14])] for cells in PLAIN}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cells_of(rows):
    head, *lines = [row for row in Table(slabinfo_html(rows)).rows if row]
    return head, [line for line in lines if line != head]


def test_every_number_stands_under_its_name():
    head, lines = cells_of(ROWS)
    assert head[:8] == ["cache", "active", "objects", "bytes each", "slabs", "held", "active, bytes", "waste"]
    found = {line[0]: line[1:8] for line in lines if line[0] != "all of them"}
    for name, (active, objects, size, _, pages, slabs) in NUMBERS.items():
        held = slabs * pages * 4096
        assert found[name] == [f"{number:,}" for number in (active, objects, size, slabs, held, active * size, held - active * size)]
    assert len(found) == len(NUMBERS)


def test_the_sums_are_below_the_first_rows():
    _, lines = cells_of(ROWS)
    sums = lines[SHOWN]
    held = sum(slabs * pages * 4096 for *_, pages, slabs in NUMBERS.values())
    active = sum(active * size for active, _, size, *_ in NUMBERS.values())
    assert sums[:8] == [
        "all of them",
        "",
        "",
        "",
        f"{sum(n[-1] for n in NUMBERS.values()):,}",
        f"{held:,}",
        f"{active:,}",
        f"{held - active:,}",
    ]


def test_what_wastes_most_comes_first():
    wasted = [row.waste.free + row.waste.slack for row in by_waste(ROWS)]
    assert wasted == sorted(wasted, reverse=True)
    _, lines = cells_of(ROWS)
    assert [line[0] for line in lines if line[0] != "all of them"] == [row.name for row in by_waste(ROWS)]


def test_bars_are_as_long_as_what_is_held():
    rows = [SlabInfo("a", 10, 10, 4096, 1, 1, 10, 10), SlabInfo("b", 0, 5, 4096, 1, 1, 5, 5)]
    bars = [int(width) for width in re.findall(r"width:(\d+)px", slabinfo_html(rows))]
    assert bars == [0, 60, 120, 0]


def test_a_row_is_told_in_words():
    assert explain_row(SlabInfo("kmalloc-96", 30, 84, 96, 42, 1, 2, 2)) == (
        "kmalloc-96: 30 of 84 objects count as active. 2 slabs of 1 page hold 8,192 bytes: "
        "room for 84 objects of 96 bytes, 42 objects to a slab. "
        "2,880 bytes are in active objects, 5,184 in free ones, and 128 are left over at the end of slabs."
    )
    assert "nothing is left over" in explain_row(SlabInfo("kmalloc-8", 5, 512, 8, 512, 1, 1, 1))


def test_a_captured_machine_is_shown():
    table = slabinfo(MACHINE)
    assert table.text().startswith("612-slab-768M-1cpu: 179 caches hold 11.8 MiB.")
    table.choice.value = "kmalloc-96"
    assert explain_row(next(row for row in ROWS if row.name == "kmalloc-96")) in table.told.value
    assert "2303 2520 96 42 1" in table.line.value


def test_names_are_escaped():
    row = SlabInfo("<b>", 1, 1, 4096, 1, 1, 1, 1)
    assert "<b>" not in slabinfo_html([row]).replace("<b>1", "")
    assert "&lt;b&gt;" in slabinfo_html([row])
    assert "&lt;b&gt;" in SlabInfoTable([row]).told.value


def test_what_is_pasted_is_explained():
    field = paste_slabinfo()
    field.field.value = TEXT
    field.explain()
    assert field.error.value == ""
    assert field.text().startswith(f"Your machine: {len(ROWS)} caches hold")
    assert field.place.children == (field.table,)


@pytest.mark.parametrize("bad", ["", "hello", "kmalloc-8 5 4 8 512 1 : tunables 0 0 0 : slabdata 1 1 0", "slabinfo - version: 1.0\n"])
def test_bad_input_is_one_sentence_and_changes_nothing(bad):
    field = PasteSlabInfo()
    field.field.value = TEXT
    field.explain()
    before = field.table
    field.field.value = bad
    field.explain()
    assert 'role="alert"' in field.error.value
    assert "your text" in field.error.value
    assert "The table below is still that of the text before." in field.error.value
    assert field.table is before
    assert field.place.children == (before,)


def test_an_error_without_a_table_says_nothing_of_one():
    field = PasteSlabInfo()
    field.explain()
    assert 'role="alert"' in field.error.value
    assert "table below" not in field.error.value


def test_nothing_pasted_says_so():
    assert PasteSlabInfo().text() == "Nothing is pasted yet."


def test_sums_of_nothing():
    assert sums_sentence([]).startswith("0 caches hold 0")
