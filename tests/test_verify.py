"""A capture against the rules: what is exact, torn, wrong, or cannot be checked."""

import gzip
import re

import numpy as np
import pytest
from conftest import captures, verified
from tracing import write_capture

from pagelab.mm.boot import boot_machine
from pagelab.real.capture import CaptureError, open_capture
from pagelab.real.verify import exit_code, verify

# Zone snapshots of the captures that we know, and those of them that are not exact.
ZONE_SNAPSHOTS = {
    "61-buddy-256M-1cpu": 4,
    "61-state-256M-1cpu": 2,
    "612-boot-512M-1cpu": 4,
    "612-buddy-256M-1cpu": 4,
    "612-dax-nvdimm": 62,
    "612-hi-256M-1cpu": 4,
    "612-slab-768M-1cpu": 4,
    "612-state-1G-2cpu-2node": 3,
}
NOT_EXACT = {("612-dax-nvdimm", "08-kmem-bound", "Normal", None)}
ZONES = ["DMA", "DMA32"]


def flip(folder, pfn):
    """Turn one page from free to in use, or back."""
    path = folder / "S0.kpageflags.gz"
    flags = np.frombuffer(gzip.decompress(path.read_bytes()), dtype="<u8").copy()
    flags[pfn] ^= np.uint64(1 << 10)
    path.write_bytes(gzip.compress(flags.tobytes()))


def edit(folder, name, pattern, replacement):
    """Change a text file in one place."""
    text, times = re.subn(pattern, replacement, (folder / name).read_text(), count=1)
    assert times == 1
    (folder / name).write_text(text)


def torn_and_exact(folder):
    return {row.zone: (row.torn, row.exact) for row in verify(open_capture(folder)).zones}


def free_pfn(folder):
    return 4096 + int(np.flatnonzero(open_capture(folder).free_pages("S0")[0, "DMA32"])[0])


def test_no_zone_of_a_capture_is_wrong(capture_path):
    code, told = verified(capture_path)
    assert code == 0
    assert [row for row in told["snapshots"] if row["torn"] is False and row["counts"] != row["kernel_counts"]] == []


LEVELS = {
    "replay": {"free_set_exact", "wrong_pages"},
    "pages": {"definite", "wrong", "learned"},
    "fallbacks": {"definite", "wrong", "learned"},
    "percpu": {"definite", "wrong", "learned"},
    "refills": {"exact", "all"},
    "drains": {"exact", "all", "false"},
    "slab": {"caches", "order_exact", "objects_exact", "size_exact", "size_by_ctor", "min_partial_exact", "cpu_partial_exact"},
    "slab_trace": {"free_pointers", "on_boundary", "kmalloc_pointers", "aligned", "lifo_checked", "lifo"},
}


def test_every_capture_is_right(capture_path):
    code, element = verified(capture_path)
    assert (code, element["capture"]) == (0, capture_path.name)
    assert {row["torn"] for row in element["snapshots"] if not row["buddyinfo_exact"]} <= {None, True}


def test_every_element_has_the_keys_of_each_level_or_null_and_a_note(capture_path):
    _, element = verified(capture_path)
    assert list(element) == ["capture", "kernel", "snapshots", *LEVELS, "notes"]
    for level, keys in LEVELS.items():
        told = element[level]
        assert told is None or (set(told) == keys and all(type(value) in (int, bool) for value in told.values()))
    if has_a_trace(capture_path) and element["replay"] is None:
        assert [note for note in element["notes"] if note.startswith(("No replay: ", "The free set at the end is not compared: "))]


def has_a_trace(path):
    return any(path.glob("trace.txt*"))


def test_every_known_capture_is_exact_where_it_should_be():
    known = [path for path in captures() if path.name in ZONE_SNAPSHOTS]
    rows = [(path.name, row) for path in known for row in verified(path)[1]["snapshots"]]
    slices = sum(2 for path in known if not any((*path.glob("dmesg*"), *path.glob("S1*"))))  # S0 without S1
    assert len(rows) == sum(ZONE_SNAPSHOTS[path.name] for path in known) - slices
    assert all(row["buddyinfo_exact"] == (row["counts"] == row["kernel_counts"]) for _, row in rows)
    different = {(name, row["snapshot"], row["zone"], row["torn"]) for name, row in rows if not row["buddyinfo_exact"]}
    assert different == {one for one in NOT_EXACT if one[0] in {path.name for path in known}}
    assert {verified(path)[0] for path in known} == {0}


def test_the_example_row_by_row(capture_copy):
    report = verify(open_capture(capture_copy))
    dma32 = [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29]
    assert report.as_json() == {
        "capture": "61-buddy-256M-1cpu",
        "kernel": "6.1",
        "snapshots": [
            {
                "snapshot": "S0",
                "node": 0,
                "zone": zone,
                "torn": False,
                "buddyinfo_exact": True,
                "counts": counts,
                "kernel_counts": counts,
            }
            for zone, counts in [("DMA", [0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 3]), ("DMA32", dma32)]
        ],
        **dict.fromkeys(("replay", "pages", "fallbacks", "percpu", "refills", "drains")),
        "slab": {
            "caches": 146,
            "order_exact": 146,
            "objects_exact": 146,
            "size_exact": 138,
            "size_by_ctor": 8,
            "min_partial_exact": 146,
            "cpu_partial_exact": 146,
        },
        "slab_trace": None,
        "notes": [],
    }
    assert "2 of 2 zone snapshots exact" in report.as_text()


def test_one_flipped_bit_is_wrong(capture_copy):
    flip(capture_copy, free_pfn(capture_copy))
    report = verify(open_capture(capture_copy))
    assert (report.exit_code, exit_code([report])) == (1, 1)
    assert torn_and_exact(capture_copy) == {"DMA": (False, True), "DMA32": (False, False)}
    (note,) = report.notes
    assert note.startswith("S0, node 0, zone DMA32: kpageflags against buddyinfo, free blocks of order ")
    assert "this is wrong" in note
    assert "WRONG" in report.as_text()


def test_the_note_names_the_orders_that_differ_and_no_other(capture_copy):
    edit(capture_copy, "S0.buddyinfo.pre", r"29 \n", "31 \n")
    edit(capture_copy, "S0.buddyinfo.post", r"29 \n", "31 \n")
    (note,) = verify(open_capture(capture_copy)).notes
    assert "free blocks of order 10: 29 against 31;" in note


def test_without_pre_and_post_a_difference_is_named_and_no_failure(capture_copy):
    (capture_copy / "S0.buddyinfo.pre").rename(capture_copy / "S0.buddyinfo")
    (capture_copy / "S0.buddyinfo.post").unlink()
    flip(capture_copy, free_pfn(capture_copy))
    report = verify(open_capture(capture_copy))
    assert torn_and_exact(capture_copy) == {"DMA": (None, True), "DMA32": (None, False)}
    assert (report.exit_code, len(report.notes)) == (0, 1)


@pytest.mark.parametrize("left", [".pre", ".post"])
def test_with_one_of_pre_and_post_nobody_knows_whether_it_is_torn(capture_copy, left):
    (capture_copy / f"S0.buddyinfo{'.post' if left == '.pre' else '.pre'}").unlink()
    assert torn_and_exact(capture_copy) == {"DMA": (None, True), "DMA32": (None, True)}


def test_torn_is_told_zone_by_zone(capture_copy):
    edit(capture_copy, "S0.buddyinfo.post", r"29 \n", "28 \n")
    report = verify(open_capture(capture_copy))
    assert torn_and_exact(capture_copy) == {"DMA": (False, True), "DMA32": (True, True)}
    assert report.exit_code == 0
    assert report.notes == ("S0, node 0, zone DMA32: torn, buddyinfo changed while kpageflags was read.",)


def test_a_difference_in_a_torn_zone_is_no_failure(capture_copy):
    edit(capture_copy, "S0.buddyinfo.pre", r"29 \n", "28 \n")
    report = verify(open_capture(capture_copy))
    assert torn_and_exact(capture_copy) == {"DMA": (False, True), "DMA32": (True, False)}
    assert (report.exit_code, len(report.notes)) == (0, 2)


@pytest.mark.parametrize(
    ("pattern", "replacement", "notes"),
    [
        (r"  start_pfn: +4096\n", "", ("S0, node 0, zone DMA32: not checked, zoneinfo has no start_pfn for it.",)),
        (r"present  61402", "present  0", ()),
    ],
)
def test_a_zone_without_start_pfn_or_pages_has_no_row(capture_copy, pattern, replacement, notes):
    edit(capture_copy, "S0.zoneinfo", pattern, replacement)
    report = verify(open_capture(capture_copy))
    assert ([row.zone for row in report.zones], report.notes, report.exit_code) == (["DMA"], notes, 0)


def test_device_has_no_row(capture_copy):
    edit(capture_copy, "S0.zoneinfo", "Device", "HighMem")
    for name in ("S0.zoneinfo", "S0.buddyinfo.pre", "S0.buddyinfo.post"):
        edit(capture_copy, name, "DMA32", "Device")
    assert list(torn_and_exact(capture_copy)) == ["DMA"]


def test_zones_that_lie_in_each_other_are_not_checked(capture_copy):
    (capture_copy / "S0.slab.tsv.gz").unlink()
    edit(capture_copy, "S0.zoneinfo", "spanned  4095", "spanned  5000")
    report = verify(open_capture(capture_copy))
    assert (report.zones, report.exit_code) == ((), 2)
    assert [note.split(": ")[1] for note in report.notes] == ["not checked, its pfns lie among those of another zone."] * 2


def test_a_zone_that_buddyinfo_leaves_out_is_named(capture_copy):
    for when in ("", ".pre", ".post"):
        edit(capture_copy, f"S0.buddyinfo{when}", "Node 0, zone +DMA .*\n", "")
    report = verify(open_capture(capture_copy))
    assert [row.zone for row in report.zones] == ["DMA32"]
    assert report.notes == ("S0, node 0, zone DMA: not checked, buddyinfo has no line for it.",)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["S0.kpageflags.gz"], "kpageflags is missing"),
        (["S0.zoneinfo"], "zoneinfo is missing"),
        (["S0.buddyinfo", "S0.buddyinfo.pre", "S0.buddyinfo.post"], "buddyinfo is missing"),
        (["S0.kpageflags.gz", "S0.zoneinfo"], "kpageflags and zoneinfo are missing"),
    ],
)
def test_nothing_to_check_says_what_is_missing(capture_copy, gone, said):
    for name in (*gone, "S0.slab.tsv.gz"):
        (capture_copy / name).unlink()
    report = verify(open_capture(capture_copy))
    assert (report.zones, report.exit_code) == ((), 2)
    assert said in report.as_text()
    assert report.as_text().splitlines()[0] == "61-buddy-256M-1cpu, kernel 6.1: nothing to check"


def test_a_capture_of_nothing_but_a_log_says_what_is_missing(tmp_path):
    (tmp_path / "dmesg").write_text("[    0.000000] Linux version 6.18.3\n")
    report = verify(open_capture(tmp_path))
    assert (report.kernel, report.exit_code) == ("6.18", 2)
    assert "S0.kpageflags, S0.zoneinfo and S0.buddyinfo are missing" in report.as_text()


def test_slab_caches_alone_are_something_to_check(capture_copy):
    (capture_copy / "S0.kpageflags.gz").unlink()
    report = verify(open_capture(capture_copy))
    assert (report.zones, report.exit_code) == ((), 0)
    assert report.as_text().splitlines()[0] == "61-buddy-256M-1cpu, kernel 6.1: no zone snapshot to check"
    assert "S0: nothing to check, because kpageflags is missing." in report.notes


def test_a_second_snapshot_that_cannot_be_checked_does_not_hide_the_first(capture_copy):
    (capture_copy / "S1.meminfo").write_text("MemFree: 1 kB\n")
    report = verify(open_capture(capture_copy))
    assert (len(report.zones), len(report.notes), report.exit_code) == (2, 1, 0)


def test_kpageflags_that_ends_inside_a_zone_is_an_error(capture_copy):
    path = capture_copy / "S0.kpageflags.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[: 8 * 65497]))
    with pytest.raises(CaptureError, match=r"^S0.kpageflags.gz: ends at pfn 65497, inside node 0, zone DMA32; "):
        verify(open_capture(capture_copy))


def test_kpageflags_may_end_where_the_last_zone_does(capture_copy):
    path = capture_copy / "S0.kpageflags.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[: 8 * 65498]))
    assert verify(open_capture(capture_copy)).exit_code == 0


def test_the_worst_capture_decides_the_exit_code(capture_copy):
    good = verify(open_capture(capture_copy))
    flip(capture_copy, free_pfn(capture_copy))
    wrong = verify(open_capture(capture_copy))
    assert [exit_code(results) for results in ([good], [good, wrong], [wrong, CaptureError("x")], [])] == [0, 1, 2, 2]


# A trace.


@pytest.fixture
def traced(tmp_path):
    """A capture that a machine of 6.12 made of itself."""
    write_capture(tmp_path, boot_machine([(256, 8192)], kbytes=512), "6.12", seed=1, before=0, requests=400)
    return tmp_path


def change_a_take(folder):
    """Let the last take of the trace name page 4097, which is in use."""
    text = (folder / "trace.txt").read_text()
    at = text.rindex("mm_page_alloc_zone_locked")
    (folder / "trace.txt").write_text(text[:at] + re.sub(r"pfn=0x\w+", "pfn=0x1001", text[at:], count=1))


def test_a_trace_that_follows_the_rules_is_told_level_by_level(traced):
    report = verify(open_capture(traced))
    found = report.replay
    lines = report.as_text().splitlines()
    assert (report.exit_code, lines[0]) == (0, f"{traced.name}, kernel 6.12: 4 of 4 zone snapshots exact")
    assert "  free set at the end: exact" in lines
    for name, score in (("pages off the free lists", found.pages), ("pages to callers", found.percpu)):
        assert f"  {name}: {score.definite:,} predicted, none wrong; {score.learned:,} learned" in lines
    for name, size in (("refills", found.refills), ("drains", found.drains)):
        assert f"  sizes of {name}: {size.exact:,} of {size.all:,} exact" in lines
    told = report.as_json()
    assert told["pages"] == {"definite": found.pages.definite, "wrong": 0, "learned": found.pages.learned}
    assert told["refills"] == {"exact": found.refills.exact, "all": found.refills.all}


def test_a_wrong_page_of_the_trace_is_1_and_named(traced):
    change_a_take(traced)
    report = verify(open_capture(traced))
    assert (report.exit_code, exit_code([report])) == (1, 1)
    assert report.replay.pages.wrong > 0
    assert (
        f"  pages off the free lists: {report.replay.pages.definite:,} predicted, {report.replay.pages.wrong:,} WRONG" in report.as_text()
    )
    assert [note for note in report.notes if note.startswith("First wrong: line ") and note.endswith("the kernel took 0x1001.")]


@pytest.mark.parametrize("snapshot", ["S0", "S1"])
def test_a_wrong_page_is_no_failure_where_a_snapshot_is_torn(traced, snapshot):
    change_a_take(traced)
    edit(traced, f"{snapshot}.buddyinfo.post", r"zone +DMA +[0-9]+", "zone DMA 77")
    report = verify(open_capture(traced))
    assert [row.snapshot for row in report.zones if row.torn] == [snapshot]
    assert (report.replay.wrong, report.exit_code) == (True, 0)


def test_pages_that_are_wrong_at_the_end_alone_are_1(traced):
    path = traced / "S1.kpageflags"
    flags = np.frombuffer(path.read_bytes(), "<u8").copy()
    zones = open_capture(traced).free_pages("S1")
    free = [start + int(np.flatnonzero(zones[0, zone])[0]) for start, zone in ((1, "DMA"), (4096, "DMA32"))]
    flags[free] ^= np.uint64(1 << 10)
    path.write_bytes(flags.tobytes())
    for when in ("pre", "post"):
        (traced / f"S1.buddyinfo.{when}").unlink()
    report = verify(open_capture(traced))
    assert (report.exit_code, report.as_json()["replay"]) == (1, {"free_set_exact": False, "wrong_pages": 2})
    for pfn in free:
        assert [note for note in report.notes if f"the first at {pfn:#x}: free by the trace" in note]
    assert "  free set at the end: 2 pages WRONG" in report.as_text()
