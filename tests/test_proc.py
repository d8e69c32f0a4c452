"""What /proc says about memory, as text: rows, sizes, watermarks and lists, and text that is wrong."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.capture import CaptureError, example, open_capture
from pagelab.real.proc import parse_buddyinfo, parse_pagetypeinfo, parse_zoneinfo

LINE = "Node 0, zone    DMA32      3      2      2      0      2      1      0      2      5      2     29 \n"
COUNTS = [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29]


def assert_one_sentence(error, *words):
    """A place, what is there, what would be right; in one line without control characters."""
    text = str(error.value)
    assert re.fullmatch(r"[^\n]+: [^\n]+; expected [^\n]+", text)
    assert text.isprintable()
    assert len(text) < 400
    for word in words:
        assert word in text


# What the text says


def test_per_cpu_counts_of_several_cpus():
    text = "Node 1, zone DMA32\n spanned 8\n present 8\n managed 8\n cpu: 0\n count: 5\n high: 9\n cpu: 3\n count: 7\n"
    assert parse_zoneinfo(text)[1, "DMA32"].pcp == {0: 5, 3: 7}


def test_pagetypeinfo_that_stopped_counting():
    text = "Node    0, zone   Normal, type      Movable >100000   7 " + "0 " * 9
    assert parse_pagetypeinfo(text).free[0, "Normal", "Movable"][:2] == [100_000, 7]


def test_pasted_text_may_have_blank_lines_and_indents():
    assert parse_buddyinfo(f"\r\n   {LINE.strip()}\r\n\n") == {(0, "DMA32"): COUNTS}


# Text that is wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["buddyinfo: is empty"]),
        (LINE.replace(" 29", ""), ["line 1", "10 columns", "11"]),
        (LINE.replace(" 29", " 29 1"), ["line 1", "12 columns", "11"]),
        (LINE[:30], ["line 1", "1 columns"]),
        ("Node 0, zone", ["line 1", "'Node 0, zone'"]),
        (LINE + LINE.replace("DMA32", "DMA33"), ["line 2", "'DMA33' is not a zone", "DMA32, Normal"]),
        (LINE.replace("29", "2x"), ["line 1", "'2x' is not a number"]),
        (LINE.replace("29", "-1"), ["'-1' is not a number"]),
        (LINE.replace("29", "1_0"), ["'1_0' is not a number"]),
        (LINE.replace("29", "\u0663"), ["is not a number"]),
        (LINE.replace("29", "9" * 5000), ["is not a number"]),
        (LINE + "\n" + LINE, ["line 3", "(0, 'DMA32') is there twice"]),
        ("$ cat /proc/buddyinfo\n" + LINE, ["line 1", "'$ cat /proc/buddyinfo' is not the row of a zone"]),
        ("\x1b[2J" + LINE, ["line 1"]),
    ],
)
def test_wrong_buddyinfo(text, words):
    with pytest.raises(CaptureError) as error:
        parse_buddyinfo(text)
    assert_one_sentence(error, *words)


ZONE = "Node 0, zone DMA\n spanned 4095\n present 3998\n managed 3840\n cpu: 0\n count: 1\n start_pfn: 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n", ["zoneinfo: is empty"]),
        (ZONE.replace("DMA", "Dma"), ["line 1", "'Dma' is not a zone"]),
        (ZONE[:30], ["node 0, zone DMA has no present and no managed"]),
        (ZONE.replace(" managed 3840\n", ""), ["node 0, zone DMA has no managed"]),
        (ZONE.replace("4095", "many"), ["line 2", "'many' is not a number"]),
        (ZONE.replace("start_pfn: 1", "start_pfn: -1"), ["line 7", "'-1' is not a number"]),
        (ZONE + ZONE, ["line 8", "(0, 'DMA') is there twice"]),
        (ZONE + " spanned 1\n", ["line 8", "'spanned' is there twice"]),
        (" spanned 1\n", ["line 1", "before any zone"]),
        ("Node zero\n", ["line 1", "'Node zero' is not the row of a zone"]),
    ],
)
def test_wrong_zoneinfo(text, words):
    with pytest.raises(CaptureError) as error:
        parse_zoneinfo(text)
    assert_one_sentence(error, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["pagetypeinfo: is empty"]),
        ("Node 0, zone DMA, type Movable 1 2 3", ["line 1", "3 columns", "11"]),
        ("Number of blocks type A B\nNode 0, zone DMA 1 2 3", ["line 2", "3 columns", "2"]),
        ("Number of blocks type A\nNode 0, zone DM 1", ["line 2", "'DM' is not a zone"]),
        ("Number of blocks type A\nNode 0, zone DMA x", ["line 2", "'x' is not a number"]),
        ("Number of blocks type A\nNode 0, zone DMA 1\nNode 0, zone DMA 1", ["line 3", "twice"]),
    ],
)
def test_wrong_pagetypeinfo(text, words):
    with pytest.raises(CaptureError) as error:
        parse_pagetypeinfo(text)
    assert_one_sentence(error, *words)


WORDS = st.sampled_from(["Node", "0,", "zone", "DMA32", "type", "Movable", "\n", " ", "spanned", "cpu:", "count:", "7", ">"])


@pytest.mark.parametrize("parse", [parse_buddyinfo, parse_zoneinfo, parse_pagetypeinfo])
@given(st.lists(WORDS | st.text(max_size=5), max_size=40).map(" ".join) | st.text())
def test_no_text_gives_any_other_error(parse, text):
    with suppress(CaptureError):
        parse(text)


# Watermarks and per-CPU lists


ONE_CPU = """Node 0, zone    DMA32
  pages free     31341
        boost    0
        min      422
        low      527
        high     632
        promo    737
        spanned  61402
        present  61402
        managed  50602
  pagesets
    cpu: 0
              count: 66
              high:  374
              batch: 63
  vm stats threshold: 2
  start_pfn:           4096
"""
CPU = "    cpu: {}\n              count: {}\n              high:  {}\n              batch: {}\n  vm stats threshold: 2\n"


def test_the_watermarks_of_a_zone():
    zone = parse_zoneinfo(ONE_CPU)[0, "DMA32"]
    assert zone.marks == {"min": 422, "low": 527, "high": 632}
    assert (zone.spanned, zone.managed, zone.start_pfn) == (61402, 50602, 4096)


def test_high_of_a_zone_is_not_high_of_its_lists():
    zone = parse_zoneinfo(ONE_CPU)[0, "DMA32"]
    assert (zone.marks["high"], zone.lists, zone.pcp) == (632, {0: (374, 63)}, {0: 66})


def test_high_and_batch_of_every_cpu_of_every_zone():
    first = ONE_CPU.replace("  start_pfn", CPU.format(3, 7, 500, 31) + CPU.format(11, 0, 0, 1) + "  start_pfn")
    second = ONE_CPU.replace("Node 0, zone    DMA32", "Node 1, zone   Normal").replace("374", "9").replace("422", "1")
    zones = parse_zoneinfo(first + second)
    assert zones[0, "DMA32"].lists == {0: (374, 63), 3: (500, 31), 11: (0, 1)}
    assert zones[0, "DMA32"].pcp == {0: 66, 3: 7, 11: 0}
    assert (zones[1, "Normal"].lists, zones[1, "Normal"].pcp) == ({0: (9, 63)}, {0: 66})
    assert (zones[0, "DMA32"].marks["min"], zones[1, "Normal"].marks["min"]) == (422, 1)


@pytest.mark.parametrize("missing", ["high:", "batch:"])
def test_lists_are_told_only_as_a_pair(missing):
    text = "\n".join(line for line in ONE_CPU.splitlines() if missing not in line)
    zone = parse_zoneinfo(text)[0, "DMA32"]
    assert (zone.lists, zone.pcp) == ({}, {0: 66})


@pytest.mark.parametrize("missing", ["min", "low", "high"])
def test_watermarks_that_are_not_printed_are_not_there(missing):
    text = "\n".join(line for line in ONE_CPU.splitlines() if line.split()[0] != missing)
    assert sorted(parse_zoneinfo(text)[0, "DMA32"].marks) == sorted({"min", "low", "high"} - {missing})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("min      422", "min      x", ["line 4", "'x' is not a number"]),
        ("high     632", "high     -1", ["line 6", "'-1' is not a number"]),
        ("high:  374", "high:  many", ["line 14", "'many' is not a number"]),
        ("batch: 63", "batch:", ["line 15", "'' is not a number"]),
        ("cpu: 0", "cpu: zero", ["line 12", "'zero' is not a number"]),
        ("batch: 63", "high: 63", ["line 15", "'high:' is there twice"]),
        ("low      527", "min      527", ["line 5", "'min' is there twice"]),
        ("  vm stats", "    cpu: 0\n  vm stats", ["line 16", "0 is there twice"]),
    ],
)
def test_wrong_watermarks_and_lists(old, new, words):
    with pytest.raises(CaptureError) as error:
        parse_zoneinfo(ONE_CPU.replace(old, new, 1))
    assert_one_sentence(error, *words)


def test_watermarks_and_lists_of_a_real_machine():
    zones = example("612-hi-256M-1cpu").zoneinfo("S0")
    assert zones[0, "DMA"].marks == {"min": 33, "low": 41, "high": 49}
    assert zones[0, "DMA"].lists == {0: (0, 1)}
    assert zones[0, "DMA32"].marks == {"min": 422, "low": 527, "high": 632}
    assert (zones[0, "Normal"].lists, zones[0, "Normal"].pcp) == ({}, {})


def test_every_populated_zone_of_every_capture_tells_its_watermarks_and_lists(capture_path):
    capture = open_capture(capture_path)
    for snapshot in capture.snapshots:
        for zone in capture.zoneinfo(snapshot).values():
            assert zone.marks["min"] <= zone.marks["low"] <= zone.marks["high"]
            assert set(zone.lists) == set(zone.pcp)
            assert bool(zone.lists) == (zone.start_pfn is not None)
            assert all(batch >= 1 for _, batch in zone.lists.values())
