"""A kmem trace, line by line: each kind of event, what stands around it, and text that is none."""

import lzma
import re
import tracemalloc
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.archive import read_lines, shorten
from pagelab.real.capture import CaptureError, example
from pagelab.real.trace import MAX_PFN, Event, read_events

PAGE = "page=(____ptrval____) pfn=0x478b"
ALLOC = f"mm_page_alloc: {PAGE} order=3 migratetype=1 gfp_flags=GFP_KERNEL|__GFP_COMP"
FREE = f"mm_page_free: {PAGE} order=3"
BATCHED = f"mm_page_free_batched: {PAGE} order=0"
TAKE = f"mm_page_alloc_zone_locked: {PAGE} order=2 migratetype=2 percpu_refill=1"
DRAIN = f"mm_page_pcpu_drain: {PAGE} order=1 migratetype=0"
EXTFRAG = (
    f"mm_page_alloc_extfrag: {PAGE} alloc_order=4 fallback_order=8 pageblock_order=9 alloc_migratetype=0 "
    "fallback_migratetype=2 fragmenting=1 change_ownership=0"
)
ISO = "iso: (__isolate_free_page+0x4/0x200) page=0xffffea00003f8000 order=8"
EVERY = [ALLOC, FREE, BATCHED, TAKE, DRAIN, EXTFRAG, ISO]


def line(event, flags=".....", task="dd-101", cpu="[000]"):
    return f"{task:>16}       {cpu} {flags}     5.241034: {event}"


def read(*lines):
    return list(read_events(enumerate(lines, 1)))


def one(*args, **kwargs):
    (event,) = read(line(*args, **kwargs))
    return event


def refusal(*lines):
    """The one sentence with which reading ends."""
    with pytest.raises(CaptureError) as error:
        read(*lines)
    text = str(error.value)
    assert re.fullmatch(r"[^\n]+: [^\n]+; expected [^\n]+", text)
    assert text.isprintable()
    assert len(text) < 400
    return text


# Each kind of event


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (ALLOC, Event(1, "alloc", 2, False, 3, 0x478B, 3, 1, pid=101)),
        (FREE, Event(1, "free", 2, False, 3, 0x478B, 3, pid=101)),
        (BATCHED, Event(1, "batched", 2, False, 3, 0x478B, 0, pid=101)),
        (TAKE, Event(1, "take", 2, False, 3, 0x478B, 2, 2, True, pid=101)),
        (TAKE.replace("refill=1", "refill=0"), Event(1, "take", 2, False, 3, 0x478B, 2, 2, False, pid=101)),
        (DRAIN, Event(1, "drain", 2, False, 3, 0x478B, 1, 0, pid=101)),
    ],
)
def test_every_field_of_an_event_of_a_page(text, event):
    assert one(text, "d..3.", cpu="[002]") == event


@pytest.mark.parametrize(("owned", "changed"), [(0, False), (1, True)])
def test_every_field_of_a_fallback(owned, changed):
    event = one(EXTFRAG.replace("ownership=0", f"ownership={owned}"), "d.s3.", cpu="[002]")
    assert event[:8] == (1, "extfrag", 2, True, 3, 0x478B, 4, 0)
    assert (event.fallback, event.refill, event.text, event.number) == ((8, 2, changed), False, "", 0)


@pytest.mark.parametrize(
    ("page", "order", "pfn"),
    [
        ("0xffffea00003f8000", "8", 0xFE00),
        ("ffffea00003f8000", "8", 0xFE00),
        ("0xffffea0000000000", "8", 0),
        ("0xffffea0000000040", "8", 1),
        ("0xFFFFEA0000000FC0", "8", 63),
        ("0xffffea00003f8000", "0x8", 0xFE00),
    ],
)
def test_the_address_of_an_isolated_page_tells_its_pfn(page, order, pfn):
    event = one(f"iso: (__isolate_free_page+0x4/0x200) page={page} order={order}", "d..1.", cpu="[002]")
    assert event[:8] == (1, "isolate", 2, False, 1, pfn, 8, -1)


def test_marks_are_text_and_name_no_page():
    assert one("tracing_mark_write: SNAP0 begin", cpu="[003]") == Event(1, "mark", 3, False, 0, text="SNAP0 begin")
    assert one("tracing_mark_write:") == Event(1, "mark", 0, False, 0)
    assert one("tracing_mark_write: a: pfn=0x1, b-7  ").text == "a: pfn=0x1, b-7"


@pytest.mark.parametrize(("text", "cpu", "number"), [("CPU:0 [LOST 1 EVENTS]", 0, 1), ("CPU:13 [LOST 1234567 EVENTS]", 13, 1234567)])
def test_lost_events_are_counted(text, cpu, number):
    assert read(line(FREE), text, line(FREE))[1] == Event(2, "lost", cpu, False, 0, number=number)


@pytest.mark.parametrize(
    ("pfn", "expected"),
    [("0x0", 0), ("0", 0), ("18315", 18315), ("0xABCD", 0xABCD), (hex(MAX_PFN - 1), MAX_PFN - 1), ("0x000000000000478b", 0x478B)],
)
@pytest.mark.parametrize("text", [ALLOC, FREE, BATCHED, TAKE, DRAIN, EXTFRAG])
def test_a_pfn_is_hexadecimal_or_decimal(text, pfn, expected):
    assert one(text.replace("0x478b", pfn)).pfn == expected


@pytest.mark.parametrize("page", ["(____ptrval____)", "00000000c1b2a3f4", "0xffffea000011e2c0", "(null)"])
def test_what_page_says_does_not_matter(page):
    assert one(FREE.replace("(____ptrval____)", page)).pfn == 0x478B


@pytest.mark.parametrize(("pfn", "expected"), [("0x0", 0), ("0xffffffffffffffff", (1 << 64) - 1)])
def test_a_failed_allocation_is_an_event(pfn, expected):
    event = one(ALLOC.replace("(____ptrval____) pfn=0x478b", f"(null) pfn={pfn}"))
    assert (event.kind, event.pfn, event.order, event.mt) == ("alloc", expected, 3, 1)


# What stands before an event


@pytest.mark.parametrize(
    ("flags", "softirq", "depth"),
    [
        ("....", False, 0),
        ("...1", False, 1),
        ("d.s2", True, 2),
        (".....", False, 0),
        ("d..3.", False, 3),
        ("d..31", False, 3),
        ("dNs9.", True, 9),
        ("d.sa.", True, 10),
        ("d.hf.", False, 15),
        ("d.H4.", True, 4),
        ("d.S4.", True, 4),
        ("d.Z4.", False, 4),
        ("bps..", True, 0),
        ("sss..", True, 0),
        ("ss.5.", False, 5),
        ("D.s5.1", True, 5),
        ("...b12", False, 11),
    ],
)
@pytest.mark.parametrize("text", EVERY)
def test_flags_of_four_to_six_characters(text, flags, softirq, depth):
    event = one(text, flags)
    assert (event.softirq, event.depth) == (softirq, depth)


@pytest.mark.parametrize("task", ["dd-101", "(  101)-6", "<...>-7", "my task-3", "kworker/0:1-events-42", "a-1 [9] b-77", "x (y)-5", "--8"])
@pytest.mark.parametrize("group", ["", " (    101)", " (-------)", " (1)"])
def test_a_task_may_have_any_name_and_a_thread_group(task, group):
    event = one(TAKE, "d..3.", task + group, "[012]")
    assert event == Event(1, "take", 12, False, 3, 0x478B, 2, 2, True, pid=int(task.rpartition("-")[2]))


@pytest.mark.parametrize("cpu", [0, 7, 63, 511, 4095])
def test_the_cpu_is_read(cpu):
    assert one(FREE, cpu=f"[{cpu:03}]").cpu == cpu


def test_comments_and_blank_lines_say_nothing_but_count():
    lines = ["# tracer: nop", "#", "", "   ", "\t", "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION", line(FREE)]
    assert [event.line for event in read(*lines, "##### CPU 1 buffer started ####", line(FREE))] == [7, 9]


@pytest.mark.parametrize(
    "text",
    [
        "mm_page_alloc_other: page=1 pfn=x",
        "mm_compaction_begin: zone_start=0x1000 migrate_pfn=0x1000 free_pfn=0xfe00 zone_end=0xffda, mode=sync",
        "kmalloc: (alloc_fdtable+0x4) call_site=x ptr=y",
        "iso2: page=none",
        "sched_switch:",
    ],
)
def test_other_events_are_passed_over(text):
    assert [event.line for event in read(line(FREE), line(text), line(ALLOC))] == [1, 3]


def test_events_come_before_the_line_that_ends_the_reading():
    events = read_events(enumerate([line(FREE), line(ALLOC), "?"], 1))
    assert [next(events).kind, next(events).kind] == ["free", "alloc"]
    with pytest.raises(CaptureError, match=r"^trace\.txt line 3: '\?' is not understood; "):
        next(events)


# Text that is wrong


@pytest.mark.parametrize(
    ("lines", "number", "quoted"),
    [
        (["cpus=1", "              dd-101   [000]     5.241034: mm_page_free:         page=0x1 pfn=0x1 order=0"], 1, "'cpus=1'"),
        (["              dd-101   [000]     5.241034: mm_page_free:         page=0x1 pfn=0x1 order=0"], 1, "'dd-101   [000]"),
        (["dd   101 [000]     5.241034: kmem:mm_page_free: page=0x1 pfn=0x1 order=0"], 1, "'dd   101 [000]"),
        (["# captured on : x", "", "dd   101 [000]     5.24: kmem:mm_page_free: page=0x1"], 3, "'dd   101"),
        ([line(FREE), "<html>", "<body>"], 2, "'<html>'"),
        ([line(FREE), line(FREE)[:30]], 2, "'dd-101"),
        (["Node 0, zone DMA"], 1, "'Node 0, zone DMA'"),
        (["CPU:0 [LOST many EVENTS]"], 1, "'CPU:0 [LOST many EVENTS]'"),
        ([line(FREE, "d.3")], 1, "'dd-101"),
        ([line(FREE, "d..3..x")], 1, "'dd-101"),
        ([line(FREE, "d..g.")], 1, "'dd-101"),
        ([line(FREE, cpu="000")], 1, "'dd-101"),
        ([line(FREE, task="dd")], 1, "'dd "),
        (["x" * 60_000], 1, "'" + "x" * 57 + "...'"),
        (["\0\x1b[2J\0"], 1, "'\\x00\\x1b[2J\\x00'"),
    ],
)
def test_the_first_line_of_another_layout_is_named(lines, number, quoted):
    text = refusal(*lines)
    assert text.startswith(f"trace.txt line {number}: {quoted}")
    assert "is not understood; expected a line of tracefs, as '  dd-101  [000] d..3." in text


@pytest.mark.parametrize(
    ("text", "field"),
    [
        *((ALLOC, field) for field in (PAGE, "pfn=0x478b ", "order=3 ", "migratetype=1 ", "gfp_flags=")),
        *((text, field) for text in (FREE, BATCHED) for field in ("page=", "pfn=0x478b ", "order=")),
        *((TAKE, field) for field in ("pfn=0x478b ", "order=2 ", "migratetype=2 ", "percpu_refill=1")),
        *((DRAIN, field) for field in ("pfn=0x478b ", "order=1 ", " migratetype=0")),
        *((EXTFRAG, field) for field in ("pfn=0x478b ", "alloc_order=4 ", "fallback_order=8 ", "pageblock_order=9 ")),
        *((EXTFRAG, field) for field in ("alloc_migratetype=0 ", "fallback_migratetype=2 ", "fragmenting=1 ", "change_ownership=0")),
        *((ISO, field) for field in ("page=", " order=8", "0xffffea00003f8000", "3f8000")),
    ],
)
def test_an_event_without_one_of_its_fields(text, field):
    name, _, rest = text.replace(field, "").partition(": ")
    found = refusal(line(FREE), line(f"{name}: {rest}"))
    assert found.startswith(f"trace.txt line 2: {name} has '{rest.strip()[:20]}")
    assert found.endswith("; expected the fields that 6.1 and 6.12 print")


@pytest.mark.parametrize("text", EVERY)
def test_an_event_that_says_nothing(text):
    name = text.partition(":")[0]
    assert refusal(line(f"{name}:")) == f"trace.txt line 1: {name} has ''; expected the fields that 6.1 and 6.12 print"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (FREE, "0x478b", "0x"),
        (FREE, "0x478b", "-1"),
        (FREE, "0x478b", "0xxyz"),
        (FREE, "0x478b", "0x1" + 16 * "0"),
        (FREE, "order=3", "order=-1"),
        (FREE, "order=3", "order=x"),
        (TAKE, "refill=1", "refill=2"),
        (TAKE, "migratetype=2", "migratetype=x"),
        (ALLOC, "migratetype=1", "migratetype=-1"),
        (TAKE, "migratetype=2", "migratetype=-1"),
        (DRAIN, "migratetype=0", "migratetype=-1"),
        (EXTFRAG, "pageblock_order=9", "pageblock_order=10"),
        (EXTFRAG, "ownership=0", "ownership=2"),
        (EXTFRAG, "alloc_migratetype=0", "alloc_migratetype=-1"),
    ],
)
def test_a_field_that_is_no_number(text, old, new):
    assert "; expected the fields that 6.1 and 6.12 print" in refusal(line(text.replace(old, new)))


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("order", [11, 99, 999])
def test_no_order_above_ten(text, order):
    wrong = re.sub(r" (order|alloc_order)=\d", rf" \1={order}", text)
    assert refusal(line(wrong)) == f"trace.txt line 1: order {order} does not exist; expected an order from 0 to 10"
    assert one(re.sub(r" (order|alloc_order)=\d", r" \1=10", text)).order == 10


@pytest.mark.parametrize("text", [ALLOC, TAKE, DRAIN, EXTFRAG])
@pytest.mark.parametrize("mt", [6, 99])
def test_no_migratetype_above_five(text, mt):
    wrong = re.sub(r" (migratetype|alloc_migratetype)=\d", rf" \1={mt}", text)
    assert refusal(line(wrong)) == f"trace.txt line 1: migratetype {mt} does not exist; expected a migratetype from 0 to 5"
    assert one(re.sub(r" (migratetype|alloc_migratetype)=\d", r" \1=5", text)).mt == 5


@pytest.mark.parametrize("text", [FREE, BATCHED, TAKE, DRAIN, EXTFRAG])
@pytest.mark.parametrize("pfn", [MAX_PFN, (1 << 64) - 1])
def test_no_pfn_beyond_memory(text, pfn):
    found = refusal(line(text.replace("0x478b", hex(pfn))))
    assert found == f"trace.txt line 1: pfn {pfn:#x} does not exist; expected a pfn below 0x10000000000"


def test_the_place_is_named_as_the_reader_says():
    with pytest.raises(CaptureError, match=r"^trace\.txt\.xz line 7: 'x' is not understood"):
        list(read_events([(7, "x")], "trace.txt.xz"))


NUMBERS = st.integers(-3, 1 << 70).map(str) | st.integers(0, 1 << 70).map(hex) | st.sampled_from(["", "0x", "(null)", "x", "1 2"])
FIELDS = ["page", "pfn", "order", "migratetype", "gfp_flags", "percpu_refill", "alloc_order", "fallback_order", "change_ownership"]
NAMES = [text.partition(":")[0] for text in EVERY] + ["tracing_mark_write", "other"]


@st.composite
def changed_lines(draw):
    """A line of a trace of which one number, or any piece, is another."""
    text = line(draw(st.sampled_from(EVERY)), draw(st.sampled_from(["d..3.", "....", "d.sf.1", "???"])))
    if draw(st.booleans()):
        return re.sub(rf" {draw(st.sampled_from(FIELDS))}=\S+", lambda found: found[0].partition("=")[0] + "=" + draw(NUMBERS), text)
    at, piece = draw(st.integers(0, len(text))), draw(st.text(max_size=3))
    return text[:at] + piece + text[at + draw(st.integers(0, 9)) :]


@st.composite
def made_lines(draw):
    """The name of an event and any fields."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(FIELDS), NUMBERS), max_size=6))
    return line(f"{draw(st.sampled_from(NAMES))}: " + " ".join(f"{name}={value}" for name, value in pairs))


@given(st.lists(changed_lines() | made_lines() | st.text() | st.sampled_from(["", "#", "CPU:1 [LOST 5 EVENTS]"]), max_size=8))
def test_any_text_gives_events_or_one_sentence(lines):
    events, error = [], None
    try:
        for event in read_events(enumerate(lines, 1)):
            events.append(event)
    except CaptureError as found:
        error = str(found)
    numbers = [event.line for event in events]
    assert numbers == sorted(set(numbers))
    if error:
        number = int(re.match(r"trace\.txt line (\d+): ", error)[1])
        assert all(before < number <= len(lines) for before in [0, *numbers])
        assert "\n" not in error
        assert error.isprintable()
    for event in events:
        assert event.kind in ("mark", "lost") or 0 <= event.order <= 10
        assert event.mt <= 5


@given(st.integers(0, MAX_PFN - 1), st.integers(0, 10), st.integers(0, 5), st.booleans(), st.integers(0, 15), st.integers(0, 999))
def test_what_is_printed_is_what_is_read(pfn, order, mt, refill, depth, cpu):
    text = f"mm_page_alloc_zone_locked: page=(____ptrval____) pfn={pfn:#x} order={order} migratetype={mt} percpu_refill={int(refill)}"
    event = one(text, f"d.s{depth:x}." if depth else "d.s..", cpu=f"[{cpu:03}]")
    assert event == Event(1, "take", cpu, True, depth, pfn, order, mt, refill, pid=101)


# A whole trace


def test_nothing_is_kept_however_long_the_trace_is(tmp_path):
    path, lines = tmp_path / "trace.txt.xz", 40_000
    text = "\n".join(text for _, text in islice(example("612-hi-256M-1cpu").lines("trace.txt"), lines)) + "\n"
    peaks = {}
    for times in (1, 2):
        path.write_bytes(lzma.compress(text.encode() * times, preset=0))
        tracemalloc.start()
        count = sum(1 for _ in read_events(read_lines(path.name, path)))
        peaks[times] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count > 0.9 * lines * times
    assert peaks[2] < 1.2 * peaks[1] < 20_000_000


@pytest.mark.parametrize("name", ["612-hi-256M-1cpu", "612-boot-512M-1cpu"])
def test_the_first_line_of_each_kind_in_the_slices_is_there_as_grep_finds_it(name):
    kinds = {
        "alloc": "mm_page_alloc:",
        "free": "mm_page_free:",
        "batched": "mm_page_free_batched:",
        "take": "mm_page_alloc_zone_locked:",
        "drain": "mm_page_pcpu_drain:",
        "extfrag": "mm_page_alloc_extfrag:",
        "isolate": "iso:",
        "mark": "tracing_mark_write:",
    }
    lines = [text for _, text in example(name).lines("trace.txt")][:30_000]
    expected = [(number, kind) for number, text in enumerate(lines, 1) for kind, word in kinds.items() if f": {word}" in text]
    assert [(event.line, event.kind) for event in read(*lines)] == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pfn=0x478b ", "pfn=0478 "),
        ("migratetype=1", "migratetype=-7"),
        ("fallback_order=10", "fallback_order=99"),
        ("fallback_migratetype=1", "fallback_migratetype=77"),
    ],
)
def test_a_number_that_no_kernel_prints_ends_the_reading(old, new):
    take = "mm_page_alloc_zone_locked: page=0 pfn=0x478b order=0 migratetype=1 percpu_refill=1"
    fallback = (
        "mm_page_alloc_extfrag: page=0 pfn=0x478b alloc_order=0 fallback_order=10 pageblock_order=9 "
        "alloc_migratetype=0 fallback_migratetype=1 fragmenting=0 change_ownership=1"
    )
    text = next(text for text in (fallback if "fallback" in old else take,) if old in text)
    line = "  dd-101  [000] d..3.  5.241034: "
    assert len(list(read_events([(1, line + text)]))) == 1
    with pytest.raises(CaptureError, match="line 1"):
        list(read_events([(1, line + text.replace(old, new))]))


def test_a_loss_whose_size_the_kernel_does_not_know_is_a_loss():
    (event,) = read_events([(1, "CPU:2 [LOST EVENTS]")])
    assert (event.kind, event.cpu, event.number) == ("lost", 2, 1)


def test_an_escape_does_not_make_a_quote_long():
    assert len(shorten("\U000e0001" * 70)) <= 62
