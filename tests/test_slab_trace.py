"""The objects of a kmem trace: boundaries, alignment, last freed first used, and what cannot be checked."""

import random
import shutil
from contextlib import suppress

import pytest
from conftest import captures, verified
from hypothesis import given
from hypothesis import strategies as st
from test_proc import assert_one_sentence
from tracing import line

from pagelab.real import slab_trace as module
from pagelab.real.capture import EXAMPLES, Capture, CaptureError, open_capture
from pagelab.real.slab_trace import Objects, Slots, slab_trace
from pagelab.real.verify import verify

SLAB = EXAMPLES / "612-slab-768M-1cpu"
BASE = 0xFFFF888000000000
COLUMNS = ("name", "link", "object_size", "slab_size", "objs_per_slab", "order", "align", "red_zone")
TABLE = (
    ("filp", "", 184, 192, 21, 0, 64, 0),
    (":0000136", "", 136, 136, 30, 0, 8, 0),
    ("kernfs", ":0000136", 136, 136, 30, 0, 8, 0),
    ("TCPv6", "", 2560, 2624, 12, 3, 64, 0),
    ("debugged", "", 64, 192, 21, 0, 64, 1),
)


def mark(text):
    return f"tracing_mark_write: {text}"


def alloc(pointer, asked, size, name="kmalloc", accounted="false"):
    pointer = pointer if isinstance(pointer, str) else f"{pointer:016x}"
    return (
        f"{name}: call_site=f+0x1/0x2 ptr={pointer} bytes_req={asked} bytes_alloc={size} gfp_flags=GFP_KERNEL node=-1 accounted={accounted}"
    )


def free(pointer, name=None):
    pointer = pointer if isinstance(pointer, str) else f"{pointer:016x}"
    return f"kmem_cache_free: call_site=f+0x1/0x2 ptr={pointer} name={name}" if name else f"kfree: call_site=f+0x1/0x2 ptr={pointer}"


def capture(*events, version="6.12", table=TABLE, marks=("SNAP0 end", "SNAP1 begin")):
    """A capture of these events between the marks; a text that begins with CPU: stands as it is."""
    events = (*map(mark, marks[:1]), *events, *map(mark, marks[1:]))
    lines = ["# tracer: nop", *(event if event.startswith("CPU:") else line(0, event) for event in events)]
    files = {"trace.txt": "\n".join(lines) + "\n", "S0.version": f"Linux version {version}.0-test\n"}
    if table:
        files["S0.slab.tsv"] = "\n".join("\t".join(map(str, row)) for row in (COLUMNS, *table)) + "\n"
    return Capture("made", {name: bytearray(text.encode()) for name, text in files.items()})


def counts(*events, **more):
    return slab_trace(capture(*events, **more)).objects


# What real machines say


def plain_count(capture):
    """Count as the words say, with nothing but split: the oracle."""
    names = [f"{snapshot}.slab.tsv" for snapshot in capture.snapshots if f"{snapshot}.slab.tsv" in capture]
    rows = [text.split("\t") for text in capture.text(names[-1]).splitlines()]
    row_of = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    found, between, keys, last = Objects(), False, {}, {}
    for _, text in capture.lines("trace.txt"):
        event, _, rest = text.partition(": ")[2].partition(": ")
        if event == "tracing_mark_write":
            between = rest == "SNAP0 end" or (between and rest != "SNAP1 begin")
        told = dict(word.split("=", 1) for word in rest.split() if "=" in word)
        pointer = int(told["ptr"], 16) if "ptr" in told else 0
        if not between or not pointer:
            continue
        if event == "kmem_cache_free":
            row = row_of[row_of[told["name"]]["link"] or told["name"]]
            size, slab = int(row["slab_size"]), 4096 << int(row["order"])
            found.free_pointers += 1
            found.on_boundary += pointer % slab in range(0, size * int(row["objs_per_slab"]), size)
        if event == "kmalloc":
            size = int(told["bytes_alloc"])
            found.kmalloc_pointers += 1
            found.aligned += pointer % {96: 32, 192: 64}.get(size, size) == 0
        if event in ("kmalloc", "kmem_cache_alloc"):
            key = event, told["bytes_alloc"], told["accounted"]
            was, which = last.get(key, ("", 0))
            found.lifo_checked += was == "free"
            found.lifo += (was, which) == ("free", pointer)
            last[key], keys[pointer] = ("alloc", pointer), key
        elif pointer in keys:
            last[keys.pop(pointer)] = ("free", pointer)
    return found


def test_counts_are_those_of_the_plain_words():
    for path in captures():
        if path.name.startswith("612-slab"):
            found = slab_trace(open_capture(path))
            assert (found.objects, found.notes) == (plain_count(open_capture(path)), ())


def test_every_object_of_a_real_machine_is_where_it_should_be(capture_path):
    code, element = verified(capture_path)
    told = element["slab_trace"]
    assert (told is None, code) == ("-slab-" not in capture_path.name, 0)
    if told:
        assert told["on_boundary"] == told["free_pointers"] > 2_000
        assert told["aligned"] == told["kmalloc_pointers"] > 400
        assert told["lifo"] >= (0.99 if any(capture_path.glob("dmesg*")) else 0.96) * told["lifo_checked"] > 1_000


# Boundaries


@pytest.mark.parametrize(
    ("name", "at", "right"),
    [
        ("filp", 0, True),
        ("filp", 20 * 192, True),
        ("filp", 21 * 192, False),
        ("filp", 191, False),
        ("filp", 96, False),
        ("kernfs", 29 * 136, True),
        ("kernfs", 30 * 136, False),
        ("TCPv6", 11 * 2624, True),
        ("TCPv6", 12 * 2624, False),
        ("TCPv6", 2624 + 64, False),
        ("debugged", 64, True),
        ("debugged", 0, False),
        ("debugged", 192, False),
        ("debugged", 64 + 20 * 192, True),
        ("debugged", 64 + 21 * 192, False),
    ],
)
@pytest.mark.parametrize("page", [0x10000, 0x10008, 0x7FFF8])
def test_where_an_object_may_begin(name, at, right, page):
    found = slab_trace(capture(free(BASE + 4096 * page + at, name)))
    assert found.objects == Objects(free_pointers=1, on_boundary=right)
    assert found.wrong is not right
    assert bool(found.notes) is not right


def test_a_slab_may_be_the_smallest_that_holds_an_object():
    page = BASE + 4096 * 0x10003
    found = slab_trace(capture(free(page, "TCPv6"), free(page + 2624, "TCPv6")))
    assert found.objects == Objects(free_pointers=2, on_boundary=1)
    assert found.notes[0] == "Of 2 objects freed, 1 are on a boundary only in a small slab, as is taken when memory is short."
    assert found.notes[1] == f"First wrong object: line 4, {page + 2624:#x}: no object of 'TCPv6' begins there."


@given(st.integers(8, 9000), st.integers(0, 3), st.integers(0, 1 << 20), st.integers(0, (1 << 15) - 1))
def test_begins_is_a_list_of_all_beginnings(size, order, block, at):
    objects = (4096 << order) // size
    slots = Slots(size, 0, objects, order)
    assert slots.begins(BASE + (block << 15) + at) == (at % (4096 << order) in [index * size for index in range(objects)])


def test_a_cache_that_the_table_does_not_have_is_not_counted():
    found = slab_trace(capture(free(BASE + 7, "gone"), free(BASE, "filp")))
    assert found.objects == Objects(free_pointers=1, on_boundary=1)
    assert found.notes == ("Of 2 objects freed, 1 not checked: slab.tsv does not tell the slots of their caches.",)
    assert counts(free(BASE, "filp"), table=()) == Objects()


# Alignment


@pytest.mark.parametrize(("version", "part"), [("6.1", None), ("6.12", 4)])
def test_alignment_of_every_size_of_a_cache(version, part):
    powers = [8 << n for n in range(11)]
    events, aligned = [], 0
    for size in range(1, 8193):
        power = next(power for power in powers if power >= size)
        small = 64 < size <= 96 or 128 < size <= 192
        right = (power // part if part else 8) if small else power
        events += [alloc(BASE + right, size, power), alloc(BASE + right // 2, size, power)]
        aligned += 1
    assert counts(*events, version=version) == Objects(kmalloc_pointers=2 * aligned, aligned=aligned)


@pytest.mark.parametrize(("size", "right"), [(8193, 16384), (16385, 32768), (1 << 22, 1 << 22)])
def test_large_kmalloc_is_aligned_as_its_pages_are(size, right):
    assert [counts(alloc(BASE + at, size, right)).aligned for at in (right, right // 2)] == [1, 0]


@pytest.mark.parametrize(("version", "right"), [("6.1", 2), ("6.12", 1), ("6.18", 1), ("7.1", 1)])
def test_the_kernel_says_how_96_is_aligned(version, right):
    found = slab_trace(capture(alloc(BASE + 32, 90, 96), alloc(BASE + 8, 90, 96), version=version))
    assert (found.objects.kmalloc_pointers, found.objects.aligned, found.wrong) == (2, right, right == 1)
    if right == 1:
        assert found.notes == (f"First wrong object: line 4, {BASE + 8:#x}: kmalloc of 90 bytes, and no multiple of 32.",)


def test_a_debugged_cache_is_aligned_as_its_class_is():
    assert counts(alloc(BASE + 8, 5, 16)).aligned == 1


def test_other_caches_are_not_of_kmalloc():
    assert counts(alloc(BASE + 8, 96, 96, "kmem_cache_alloc")) == Objects()


# Last freed, first used


A, B, C = BASE + 0x1000, BASE + 0x2000, BASE + 0x3000


@pytest.mark.parametrize(
    ("events", "checked", "lifo"),
    [
        ([alloc(A, 64, 64), free(A), alloc(A, 60, 64)], 1, 1),
        ([alloc(A, 64, 64), free(A), alloc(B, 64, 64)], 1, 0),
        ([alloc(A, 64, 64), free(A), alloc(B, 64, 64), alloc(A, 64, 64)], 1, 0),
        ([alloc(A, 64, 64), alloc(B, 64, 64), free(A), free(B), alloc(B, 64, 64), alloc(A, 64, 64)], 1, 1),
        ([alloc(A, 64, 64), free(A), alloc(A, 64, 128)], 0, 0),
        ([alloc(A, 64, 64), free(A), alloc(A, 64, 64, accounted="true")], 0, 0),
        ([alloc(A, 64, 64), free(A), alloc(A, 64, 64, "kmem_cache_alloc")], 0, 0),
        ([alloc(A, 64, 64, "kmem_cache_alloc"), free(A, "filp"), alloc(A, 64, 64, "kmem_cache_alloc")], 1, 1),
        ([free(A), alloc(A, 64, 64)], 0, 0),
        ([alloc(A, 64, 64), free(A), free(A), alloc(A, 64, 64)], 1, 1),
        ([alloc(A, 64, 64), free(A), "CPU:0 [LOST 5 EVENTS]", alloc(B, 64, 64)], 0, 0),
        ([alloc(A, 64, 64), free(A), free("0000000000000000"), alloc("(null)", 64, 64), alloc(A, 64, 64)], 1, 1),
        ([alloc(A, 64, 64), free("0000000000000010"), alloc(B, 64, 64)], 0, 0),
    ],
)
def test_last_freed_first_used(events, checked, lifo):
    found = counts(*events)
    assert (found.lifo_checked, found.lifo) == (checked, lifo)


def test_lost_events_are_noted():
    assert slab_trace(capture(free(BASE, "filp"), "CPU:0 [LOST EVENTS]")).notes == (
        "Places where events were lost: 1; which object is used next is counted afresh after each.",
    )


def test_what_is_used_next_is_no_law():
    assert not slab_trace(capture(alloc(A, 64, 64), free(A), alloc(B, 64, 64))).wrong


def test_no_more_objects_are_remembered_than_fit(monkeypatch):
    monkeypatch.setattr(module, "MAX_LIVE", 10)
    run = module._Run({}, "6.12", "trace.txt")
    run.follow(enumerate([line(0, mark("SNAP0 end")), *(line(0, alloc(A + 64 * n, 64, 64)) for n in range(95))], 1))
    assert (len(run.live), run.found.kmalloc_pointers) == (5, 95)


def test_random_caches_leave_nothing_wrong():
    source, live, lines = random.Random(5), [], []
    stock = {row[0]: [] for row in TABLE}
    for page in range(0x20000, 0x20000 + 8 * 200, 8):
        name, _, _, size, objects, _, _, red = source.choice(TABLE)
        stock[name] += [BASE + 4096 * page + index * size + 64 * red for index in range(objects)]
    for _ in range(3_000):
        name = source.choice([name for name in stock if stock[name]])
        if live and source.random() < 0.5:
            pointer, name = live.pop(source.randrange(len(live)))
            stock[name].append(pointer)
            lines.append(free(pointer, name))
        else:
            pointer = stock[name].pop()
            live.append((pointer, name))
            lines.append(alloc(pointer, 1, 1 + list(stock).index(name), "kmem_cache_alloc"))
    found = counts(*lines)
    assert found.free_pointers == found.on_boundary > 1_000
    assert found.lifo == found.lifo_checked > 300


# What cannot be checked


def test_events_outside_the_marks_do_not_count():
    lines = [free(BASE + 1, "filp"), mark("SNAP0 end"), free(BASE, "filp"), mark("SNAP1 begin"), free(BASE + 1, "filp"), mark("SNAP1 end")]
    assert counts(*lines, marks=()) == Objects(free_pointers=1, on_boundary=1)


@pytest.mark.parametrize(
    ("marks", "said"),
    [((), "no mark 'SNAP0 end' and no mark 'SNAP1 begin'"), (("SNAP0 end",), "no mark 'SNAP1 begin'"), (("SNAP1 begin",), "'SNAP0 end'")],
)
def test_without_marks_there_is_nothing_to_count(marks, said):
    found = slab_trace(capture(free(BASE, "filp"), marks=marks))
    assert (found.as_json(), list(found.as_text())) == ({"slab_trace": None}, [])
    assert said in found.notes[0]


@pytest.mark.parametrize("pointer", ["00000000a1b2c3d4", "0x00000000a1b2c3d4", "(____ptrval____)", "0000000000001000"])
@pytest.mark.parametrize("event", [lambda pointer: alloc(pointer, 64, 64), lambda pointer: free(pointer, "filp"), free])
def test_hashed_pointers_tell_nothing(pointer, event):
    found = slab_trace(capture(free(BASE, "filp"), event(pointer)))
    assert (found.objects, found.wrong) == (None, False)
    assert found.notes == ("Objects are not checked: the trace's pointers are hashed, for want of no_hash_pointers at boot.",)


@pytest.mark.parametrize("events", [(), (free("0000000000000000"),), ("mm_page_free: page=0 pfn=0x1 order=0",)])
def test_a_trace_without_objects_is_null_without_a_word(events):
    assert slab_trace(capture(*events)) == (None, ())


def test_a_capture_without_a_trace_is_null_without_a_word():
    assert slab_trace(Capture("x", {"S0.version": bytearray(b"Linux version 6.12.0\n")})) == (None, ())


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("kmalloc: call_site=f ptr=ffff888000000000 bytes_req=64", ["line 3", "kmalloc has 'call_site=f ptr=", "6.12"]),
        ("kmalloc: ptr=ffff888000000000", ["line 3"]),
        (alloc(BASE, (4 << 20) + 1, 0), ["line 3", "kmalloc of 4194305 bytes"]),
        ("kmem_cache_free: call_site=f ptr=ffff888000000000", ["line 3", "kmem_cache_free has"]),
        ("kfree: call_site=f ptr=many", ["line 3", "kfree has"]),
        ("CPU is on fire", ["line 3"]),
    ],
)
def test_an_event_without_its_fields_is_an_error(event, words):
    with pytest.raises(CaptureError) as error:
        counts(event)
    assert_one_sentence(error, "trace.txt", *words)


def test_a_line_of_another_layout_is_an_error():
    with pytest.raises(CaptureError) as error:
        slab_trace(Capture("x", {"trace.txt": bytearray(b"# tracer: nop\n\nno line of a trace\n")}))
    assert_one_sentence(error, "trace.txt line 3", "'no line of a trace' is not understood")


# In a report


def test_one_wrong_pointer_fails_a_capture_and_is_named(tmp_path):
    folder = shutil.copytree(SLAB, tmp_path / "machine")
    lines = [text for _, text in open_capture(SLAB).lines("trace.txt")]
    at = max(n for n, text in enumerate(lines) if "kmem_cache_free: " in text)
    (folder / "trace.txt.xz").unlink()
    lines[at] = lines[at].replace("0 name=", "4 name=").replace("8 name=", "4 name=")
    (folder / "trace.txt").write_text("\n".join(lines) + "\n")
    report = verify(open_capture(folder))
    told = report.as_json()["slab_trace"]
    assert (report.exit_code, told["free_pointers"] - told["on_boundary"]) == (1, 1)
    assert f"First wrong object: line {at + 1}, " in report.as_text()
    assert ", 1 WRONG" in report.as_text()


WORDS = st.sampled_from(
    [free(BASE, "filp"), alloc(BASE, 64, 64), mark("SNAP0 end"), line(0, free(A)), "ptr=", " ", ": ", "\n", "7", "CPU:0 [LOST"]
)


@given(st.lists(st.lists(WORDS | st.text(max_size=5), max_size=4).map("".join), max_size=8))
def test_no_text_gives_any_other_error(texts):
    made = capture(*texts, marks=("SNAP0 end",))
    with suppress(CaptureError):
        slab_trace(made)
