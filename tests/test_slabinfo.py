"""/proc/slabinfo and the table of /sys/kernel/slab: rows, waste, and text that is wrong."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_proc import assert_one_sentence

from pagelab.real.capture import CaptureError, example, open_capture
from pagelab.real.slabinfo import SlabRow, Waste, parse_slab_table, parse_slabinfo, read_slab_table, unique_caches, waste_of

ROW = "kmalloc-96            30     42     96   42    1 : tunables    0    0    0 : slabdata      1      1      0"
HEAD = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n"
SLAB = "612-slab-768M-1cpu"


def tables(capture):
    """Each snapshot's rows of slabinfo and of slab.tsv, where the capture has both."""
    for snapshot in capture.snapshots:
        names = f"{snapshot}.slabinfo", f"{snapshot}.slab.tsv"
        if all(name in capture for name in names):
            yield parse_slabinfo(capture.text(names[0])), parse_slab_table(capture.text(names[1]))


# slabinfo


def test_a_row_and_its_waste():
    (row,) = parse_slabinfo(ROW)
    assert row == ("kmalloc-96", 30, 42, 96, 42, 1, 1, 1)
    assert row.waste == Waste(held=4096, active=30 * 96, free=12 * 96, slack=64)


@pytest.mark.parametrize("text", [HEAD + ROW, ROW, f"\r\n   {ROW.strip()}\r\n\n", HEAD.split("\n")[1] + "\n" + ROW])
def test_pasted_text_may_lack_the_header(text):
    assert [row.name for row in parse_slabinfo(text)] == ["kmalloc-96"]


def test_a_name_may_have_blanks_and_a_colon():
    text = ROW.replace("kmalloc-96", "ext4 inodes:(7)")
    assert parse_slabinfo(text)[0][:2] == ("ext4 inodes:(7)", 30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["slabinfo: has no line of a cache"]),
        (HEAD, ["slabinfo: has no line of a cache"]),
        (HEAD.replace("2.1", "1.1") + ROW, ["line 1", "version: 1.1", "version: 2.1"]),
        (ROW + "\n$ cat /proc/slabinfo", ["line 2", "is not the line of a cache", "tunables"]),
        (ROW[:70], ["line 1", "is not the line of a cache"]),
        (ROW.replace("42    1", "42"), ["line 1", "is not the line of a cache"]),
        (ROW.replace(" 96 ", " -1 "), ["line 1", "is not the line of a cache"]),
        (ROW.replace(" 96 ", " \u0669 "), ["line 1", "is not the line of a cache"]),
        (ROW.replace(" 96 ", " 98 "), ["line 1", "42 objects of 98 bytes in 1 pages", "4,096"]),
        (ROW.replace(" 96 ", " 0 "), ["line 1", "42 objects of 0 bytes"]),
        (ROW.replace(" 30 ", " 43 "), ["line 1", "43 active objects of 42"]),
    ],
)
def test_wrong_slabinfo(text, words):
    with pytest.raises(CaptureError) as error:
        parse_slabinfo(text)
    assert_one_sentence(error, *words)


def test_the_waste_of_every_capture_adds_up(capture_path):
    capture = open_capture(capture_path)
    for snapshot in capture.snapshots:
        if f"{snapshot}.slabinfo" in capture:
            text = capture.text(f"{snapshot}.slabinfo")
            cells = [line.split() for line in text.splitlines()[2:]]
            held = sum(int(line[5]) * int(line[14]) * 4096 for line in cells)
            active, objects = (sum(int(line[at]) * int(line[3]) for line in cells) for at in (1, 2))
            assert waste_of(parse_slabinfo(text)) == (held, active, objects - active, held - objects)
            assert all(min(row.waste) >= 0 for row in parse_slabinfo(text))


def test_no_row_wastes_nothing():
    assert waste_of([]) == (0, 0, 0, 0)


# slab.tsv


def table(*rows):
    return "\n".join("\t".join(map(str, row)) for row in rows)


COLUMNS = ("name", "link", "object_size", "align", "ctor", "slabs_cpu_partial", "slabs")
CACHE = ("filp", "", 184, 64, "init_once+0x0/0x10", "0(0)", "1 N0=1")


def test_the_header_names_the_columns_in_any_order():
    order = [3, 6, 0, 2, 5, 4, 1]
    shuffled = table(*([row[at] for at in order] for row in (COLUMNS, CACHE)))
    assert parse_slab_table(shuffled) == parse_slab_table(table(COLUMNS, CACHE))
    assert parse_slab_table(shuffled) == [SlabRow(2, "filp", "", True, 184, align=64)]


def test_what_the_table_does_not_tell_is_none():
    (row,) = parse_slab_table("name\tobject_size\tred_zone\nfilp\t184\t\n")
    assert row == SlabRow(2, "filp", "", None, 184)
    assert (row.red_zone, row.ctor) == (None, None)


def test_an_empty_ctor_is_no_ctor():
    assert parse_slab_table("ctor\tname\n\tfilp\ninit\tbdev\r\n") == [SlabRow(2, "filp", "", False), SlabRow(3, "bdev", "", True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["slab.tsv line 1", "no column 'name'"]),
        ("filp\t184", ["line 1", "no column 'name'"]),
        ("name\tlink\tlink", ["line 1", "column 'link' is there twice"]),
        ("name\tlink\nfilp", ["line 2", "1 columns", "2"]),
        ("name\tlink\nfilp\t\t", ["line 2", "3 columns", "2"]),
        ("name\tlink\n\tfilp", ["line 2", "a cache without a name"]),
        ("name\nfilp\n\nfilp", ["line 4", "cache 'filp' is there twice"]),
        ("name\torder\nfilp\tx", ["line 2", "order 'x'", "from 0 to 10"]),
        ("name\torder\nfilp\t11", ["line 2", "order '11'", "from 0 to 10"]),
        ("name\tobject_size\nfilp\t0", ["line 2", "object_size '0'", "from 1 to 4,194,304"]),
        ("name\tslab_size\nfilp\t" + "9" * 5000, ["line 2", "slab_size '99", "from 1 to 4,194,304"]),
        ("name\talign\nfilp\t24", ["line 2", "align '24'", "a power of two"]),
        ("name\tcpu_partial\nfilp\t-1", ["line 2", "cpu_partial '-1'", "a number"]),
        ("name\tpoison\nfilp\t\u0661", ["line 2", "poison"]),
    ],
)
def test_wrong_slab_table(text, words):
    with pytest.raises(CaptureError) as error:
        parse_slab_table(text)
    assert_one_sentence(error, *words)


def test_aliases_are_folded_in_any_order():
    rows = [
        SlabRow(2, "pid_2", ":64"),
        SlabRow(3, ":64", ""),
        SlabRow(4, "pid", ":64"),
        SlabRow(5, "lost", ":gone"),
        SlabRow(6, "too", ":gone"),
    ]
    assert [row.name for row in unique_caches(rows)] == [":64", "lost"]
    random.Random(1).shuffle(rows)
    assert {row.link or row.name for row in unique_caches(rows)} == {":64", ":gone"}


def test_slabinfo_and_the_table_of_a_snapshot_say_the_same(capture_path):
    for info, rows in tables(open_capture(capture_path)):
        by_name = {row.name: row for row in rows}
        assert len(info) == len(unique_caches(rows)) > 100
        for line in info:
            row = by_name[by_name[line.name].link or line.name]
            assert (line.objsize, line.objperslab, line.pagesperslab) == (row.slab_size, row.objs_per_slab, 1 << row.order)


def test_the_slices_have_both():
    assert [len(info) for name in (SLAB, "61-buddy-256M-1cpu") for info, _ in tables(example(name))] == [179, 146]


# Whatever the text


WORDS = st.sampled_from([ROW, HEAD, ":", "tunables", "slabdata", "\n", "\t", " ", "7", "name", "link", "align", "order", "ctor"])


@pytest.mark.parametrize("parse", [parse_slabinfo, parse_slab_table])
@given(st.lists(WORDS | st.text(max_size=5), max_size=40).map("".join) | st.text())
def test_no_text_gives_any_other_error(parse, text):
    with suppress(CaptureError):
        parse(text)


@given(st.sampled_from(["slabinfo", "slab.tsv"]), st.data())
def test_no_damage_gives_any_other_error(kind, data):
    text = example(SLAB).text(f"S0.{kind}")
    start = data.draw(st.integers(0, len(text)))
    end = start + data.draw(st.integers(0, 40))
    changed = text[:start] + data.draw(st.text(max_size=20)) + text[end:]
    with suppress(CaptureError):
        parse_slabinfo(changed) if kind == "slabinfo" else parse_slab_table(changed)


def test_a_table_is_written_as_it_is_read(tmp_path):
    files = {
        "object_size": "60\n",
        "slab_size": "64\n",
        "align": "8\n",
        "order": "0\n",
        "ctor": "init_once+0x0/0x50\n\n",
        "objects": "7 N0=7\n",
    }
    (tmp_path / ":0000064").mkdir()
    for name, text in files.items():
        (tmp_path / ":0000064" / name).write_text(text)
    (tmp_path / "task_delay_info").symlink_to(":0000064")
    head, first, second = read_slab_table(tmp_path).splitlines()
    cells = dict(zip(head.split("\t"), first.split("\t"), strict=True))
    assert {name: cells[name] for name in files} == {name: " ".join(text.split()) for name, text in files.items()}
    assert (cells["name"], cells["link"], cells["min_partial"]) == (":0000064", "", "")
    assert second.split("\t")[:3] == ["task_delay_info", ":0000064", "60"]
