"""What comes next to each page of a trace, by one reading of it before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.ahead import KINDS, MAX_MARKS, Ahead
from pagelab.real.capture import example
from pagelab.real.trace import Event, read_events

PAGE_KINDS = KINDS[1:]


def event(line, kind, pfn=5, cpu=0, **more):
    return Event(line, kind, cpu, False, 0, pfn, 0, **more)


def kinds(*events):
    """What comes next, for the line of each event."""
    ahead = Ahead(events)
    return [ahead.kind(one.line) for one in events]


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_the_next_event_of_a_page_is_known_by_its_kind(kind):
    assert kinds(event(1, "free"), event(2, kind)) == [kind, "none"]


def test_each_page_has_events_of_its_own():
    events = [
        event(1, "take", 5),
        event(2, "take", 6),
        event(3, "alloc", 6),
        event(4, "alloc", 5),
        event(5, "free", 6),
        event(6, "free", 7),
    ]
    assert kinds(*events) == ["alloc", "alloc", "free", "none", "none", "none"]


def test_each_line_knows_the_next_event_and_not_the_last():
    assert kinds(*(event(n, kind) for n, kind in enumerate(PAGE_KINDS, 1))) == [*PAGE_KINDS[1:], "none"]


def test_the_cpu_of_the_next_event_does_not_matter():
    assert kinds(event(1, "free", cpu=0), event(2, "drain", cpu=3)) == ["drain", "none"]


def test_lines_without_an_event_and_lines_after_the_end_have_none():
    ahead = Ahead([event(3, "take"), event(900, "alloc"), event(1000, "free")])
    assert [ahead.kind(n) for n in (0, 1, 2, 3, 4, 899, 900, 901, 1000, 1001, 10**9)] == [
        *("none", "none", "none", "alloc", "none", "none", "free", "none", "none", "none", "none")
    ]


def test_an_empty_trace():
    ahead = Ahead([])
    assert (ahead.boot, ahead.lost, ahead.marks, ahead.seen, ahead.kind(0)) == (False, 0, set(), {}, "none")


def test_a_generator_is_enough():
    assert Ahead(event(n, "free") for n in (1, 2)).kind(1) == "free"


# A take that is told in two lines


def test_the_second_line_of_a_take_is_no_event():
    ahead = Ahead([event(1, "free"), event(2, "take"), event(3, "extfrag"), event(4, "alloc")])
    assert [ahead.kind(n) for n in (1, 2, 3, 4)] == ["take", "alloc", "none", "none"]
    assert ahead.seen == {"free": 1, "take": 1, "extfrag": 1, "alloc": 1}


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([], "alloc"),
        ([event(2, "mark", -1)], "alloc"),
        ([event(2, "lost", -1)], "alloc"),
        ([event(2, "take", 6, cpu=1)], "alloc"),
        ([event(2, "free", 6, cpu=1), event(3, "extfrag", 7, cpu=1)], "alloc"),
        ([event(2, "take", 6)], "extfrag"),
        ([event(2, "free", 6)], "extfrag"),
        ([event(2, "extfrag", 6)], "extfrag"),
    ],
)
def test_only_a_fallback_right_after_the_take_on_its_cpu_is_that(between, expected):
    assert kinds(event(1, "take"), *between, event(8, "extfrag"), event(9, "alloc"))[0] == expected


def test_a_fallback_on_another_cpu_or_of_another_page_is_an_event():
    assert kinds(event(1, "take"), event(2, "extfrag", cpu=1)) == ["extfrag", "none"]
    assert kinds(event(1, "take", 5), event(2, "extfrag", 6), event(3, "alloc", 6)) == ["none", "alloc", "none"]


def test_a_fallback_before_the_take_is_an_event():
    assert kinds(event(1, "extfrag"), event(2, "take"), event(3, "alloc")) == ["take", "alloc", "none"]


def test_after_the_second_line_the_take_is_still_the_last():
    assert kinds(event(1, "take"), event(2, "extfrag"), event(3, "extfrag"), event(4, "alloc")) == ["alloc", "none", "none", "none"]


# What kinds of lines there are


def test_every_kind_is_counted_and_marks_and_lost_events_are_not():
    lines = [*PAGE_KINDS, *PAGE_KINDS, "mark", "lost", "free"]
    seen = Ahead(event(n, kind, n) for n, kind in enumerate(lines, 1)).seen
    assert seen == dict.fromkeys(PAGE_KINDS, 2) | {"free": 3}


@pytest.mark.parametrize(
    ("texts", "boot"),
    [
        ([], False),
        (["SNAP0 begin"], False),
        (["BOOT MODE"], True),
        (["a", "BOOT MODE", "b"], True),
        (["BOOT MODE 2"], False),
        (["boot mode"], False),
    ],
)
def test_a_mark_says_that_the_trace_begins_at_boot(texts, boot):
    ahead = Ahead(event(n, "mark", -1, text=text) for n, text in enumerate(texts, 1))
    assert (ahead.boot, ahead.marks) == (boot, set(texts))


def test_the_text_of_other_events_is_no_mark():
    ahead = Ahead([event(1, "free", text="BOOT MODE"), event(2, "lost", text="BOOT MODE")])
    assert (ahead.boot, ahead.marks) == (False, set())


def test_lost_events_add_up_and_other_numbers_do_not():
    ahead = Ahead([event(1, "lost", -1, number=3), event(2, "free", number=100), event(3, "lost", -1, cpu=1, number=4)])
    assert ahead.lost == 7


def test_marks_without_end_do_not_fill_the_memory():
    ahead = Ahead(event(n, "mark", -1, text=str(n)) for n in range(1, MAX_MARKS + 100))
    assert len(ahead.marks) == MAX_MARKS + 1
    assert {"1", str(MAX_MARKS), ""} <= ahead.marks
    assert str(MAX_MARKS + 1) not in ahead.marks


@given(st.lists(st.tuples(st.sampled_from([*PAGE_KINDS, "mark", "lost"]), st.integers(0, 3), st.integers(0, 1)), max_size=40))
def test_the_same_as_looking_forward_from_every_line(drawn):
    events = [event(n, kind, pfn, cpu) for n, (kind, pfn, cpu) in enumerate(drawn, 1)]
    true = [one for one in events if one.kind in PAGE_KINDS and not is_second_line(events, one)]
    ahead = Ahead(events)
    for one in events:
        later = [other.kind for other in true if other.line > one.line and other.pfn == one.pfn]
        assert ahead.kind(one.line) == (later[0] if one in true and later else "none")
    assert sum(ahead.seen.values()) == sum(one.kind in PAGE_KINDS for one in events)


def is_second_line(events, one):
    """Whether going back on this CPU, over fallbacks of this page, there is the take of this page."""
    before = [other for other in events[: one.line - 1] if other.cpu == one.cpu and other.kind in PAGE_KINDS]
    while before and (before[-1].kind, before[-1].pfn) == ("extfrag", one.pfn) and one.kind == "extfrag":
        before.pop()
    return one.kind == "extfrag" and bool(before) and (before[-1].kind, before[-1].pfn) == ("take", one.pfn)


def test_the_trace_from_boot():
    capture = example("612-boot-512M-1cpu")
    ahead = Ahead(read_events(capture.lines("trace.txt")))
    lines = [text for _, text in capture.lines("trace.txt")]
    assert (ahead.boot, ahead.lost) == (True, 0)
    assert ahead.seen["take"] == sum(": mm_page_alloc_zone_locked:" in text for text in lines)
    assert ahead.seen["extfrag"] == sum(": mm_page_alloc_extfrag:" in text for text in lines)
    first = lines.index(next(text for text in lines if "mm_page_alloc_zone_locked: page=(____ptrval____) pfn=0x8314 " in text)) + 1
    assert ahead.kind(first) == "alloc"
