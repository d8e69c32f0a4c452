"""Traces through the rules: real ones, one that is wrong in one place, and those of machines that are known to follow the rules."""

import lzma
import re
import shutil
from functools import cache

import pytest
from conftest import captures, verified
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing import Traced, between_snapshots, write_capture

from pagelab.lab.stand_in import Fifo, LifoOnly, OneMerge
from pagelab.mm.boot import boot_machine
from pagelab.mm.kernels import KERNELS
from pagelab.mm.zone import MOVABLE
from pagelab.real.buddy import BuddyReplay, Score
from pagelab.real.capture import EXAMPLES, open_capture
from pagelab.real.counts import Exact
from pagelab.real.replay import Replay, replay, rules_of, zones_of
from pagelab.real.trace import read_events
from pagelab.real.verify import verify

HI = EXAMPLES / "612-hi-256M-1cpu"
PATHS = {path.name: path for path in (HI, *captures())}

# At least so many picks definite, at most so many learned; at most so many learned of what callers got.
KNOWN = {
    "61-buddy-256M-1cpu": (5_864, 22, 63),
    "612-buddy-256M-1cpu": (5_836, 14, 180),
    "612-hi-256M-1cpu": (35_900, 50, 39),
    "612-boot-512M-1cpu": (7_348, 30, 0),
}
# How many callers got a page of a per-CPU list, and how many refills there were: counted in the captures, whatever the rules say.
CALLERS = {"61-buddy-256M-1cpu": 11_023, "612-buddy-256M-1cpu": 11_282, "612-hi-256M-1cpu": 36_764, "612-boot-512M-1cpu": 11_671}
REFILLS = {"61-buddy-256M-1cpu": 394, "612-buddy-256M-1cpu": 48, "612-hi-256M-1cpu": 274, "612-boot-512M-1cpu": 42}
NEEDED = ("S1.zoneinfo", "S1.kpageflags", "trace.txt")
WITH_BOTH_SNAPSHOTS = [name for name in KNOWN if name in PATHS and all(file in open_capture(PATHS[name]) for file in NEEDED)]


def levels(found):
    return {name: getattr(found, name) for name in ("pages", "fallbacks", "percpu")}


@pytest.mark.parametrize("name", WITH_BOTH_SNAPSHOTS)
def test_a_real_kernel_takes_the_pages_that_the_rules_name(name):
    (code, told), (definite, learned, at_callers) = verified(PATHS[name]), KNOWN[name]
    assert (code, told["replay"]) == (0, {"free_set_exact": True, "wrong_pages": 0})
    assert {level: told[level]["wrong"] for level in ("pages", "fallbacks", "percpu")} == {"pages": 0, "fallbacks": 0, "percpu": 0}
    assert told["pages"]["definite"] >= definite
    assert told["pages"]["learned"] + told["fallbacks"]["learned"] <= learned
    assert told["percpu"]["learned"] <= at_callers
    assert told["percpu"]["definite"] + told["percpu"]["learned"] == CALLERS[name]


@pytest.mark.parametrize("name", WITH_BOTH_SNAPSHOTS)
def test_a_real_kernel_moves_as_many_pages_as_the_rules_say(name):
    _, told = verified(PATHS[name])
    refills, drains = told["refills"], told["drains"]
    assert refills["all"] == REFILLS[name]
    assert refills["exact"] >= 0.99 * refills["all"]
    if name.startswith("61-"):
        assert (refills["exact"], drains) == (394, {"exact": 255, "all": 255, "false": 0})


def test_a_trace_without_the_events_is_null_and_a_note_says_why(tmp_path):
    copy = shutil.copytree(HI, tmp_path / "slab")
    lines = lzma.decompress((copy / "trace.txt.xz").read_bytes()).decode().split("\n")
    kept = [line for line in lines if "mm_page_alloc_zone_locked" not in line and "mm_page_pcpu_drain" not in line]
    (copy / "trace.txt.xz").write_bytes(lzma.compress("\n".join(kept).encode(), preset=1))
    report = verify(open_capture(copy))
    told = report.as_json()
    assert [told[key] for key in ("replay", "pages", "percpu", "refills", "drains")] == [None] * 5
    assert [note for note in told["notes"] if "mm_page_alloc_zone_locked" in note and "mm_page_pcpu_drain" in note]
    assert report.exit_code == 0
    for path in captures():
        if path.name == "612-slab-768M-1cpu":
            code, told = verified(path)
            assert (code, [told[level] for level in ("replay", "pages", "fallbacks", "percpu", "refills", "drains")]) == (0, [None] * 6)
            assert told["notes"] == ["No replay: the trace has no mm_page_alloc_zone_locked and no mm_page_pcpu_drain."]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("SNAP0 end", "SNAP0 done"), "the trace has no mark 'SNAP0 end'"),
        (
            lambda text: text.replace("SNAP1 begin", "x").replace("SNAP0 end", "x"),
            "the trace has no mark 'SNAP0 end' and no mark 'SNAP1 begin'",
        ),
        (lambda text: text + "CPU:0 [LOST 1234 EVENTS]\n", "1,234 events of the trace were lost"),
        (lambda text: text.replace("mm_page_alloc:", "mm_other:"), "the trace has no mm_page_alloc"),
        (lambda text: text.replace("mm_page_free:", "mm_other:"), "the trace has no mm_page_free"),
    ],
)
def test_a_trace_that_cannot_be_followed_says_why_and_is_no_failure(tmp_path, change, reason):
    traced(tmp_path, "6.12", 1, 1, "small", seed=1, before=0)
    path = tmp_path / "trace.txt"
    path.write_text(change(path.read_text()))
    report = verify(open_capture(tmp_path))
    assert (report.exit_code, report.notes) == (0, (f"No replay: {reason}.",))
    assert report.replay.pages is None


def test_without_the_second_snapshot_all_but_the_free_set_is_told(tmp_path):
    traced(tmp_path, "6.12", 1, 1, "small", seed=1, before=0)
    (tmp_path / "S1.kpageflags").unlink()
    report = verify(open_capture(tmp_path))
    assert (report.replay.wrong_pages, report.replay.pages.wrong, report.exit_code) == (None, 0, 0)
    assert "The free set at the end is not compared: S1.kpageflags missing." in report.notes


@pytest.mark.parametrize(
    ("belief", "wrong", "first"),
    [
        (LifoOnly, 109, "line 1686, order 7, unmovable: the rules give 0x9180, the kernel took 0x8b80"),
        (Fifo, 229, "order 7"),
        (OneMerge, 8_094, "order 5"),
    ],
)
def test_a_belief_is_wrong_as_often_as_it_differs(belief, wrong, first):
    found = replay(open_capture(HI), belief)
    assert (found.pages.wrong, first in found.pages.first) == (wrong, True), found.pages.first
    assert found.wrong
    assert (found.percpu, found.refills, found.drains) == (None, None, None)


# One pfn changed. From line 6691 on, 0x7dfc, 0x8834, 0x53dc and then 0x5470 come back to the head of the unmovable list of order 2.

EXCERPT = 11_000  # lines: up to there, none of these four blocks comes back again but the last
CALLERS_IN_A_ROW = 6001, 6002  # two pages of one per-CPU list, one behind the other


@cache
def text_of_hi():
    return lzma.decompress((HI / "trace.txt.xz").read_bytes()).decode().split("\n")


def changed(folder, number, new, lines=None):
    """Copy the capture with the pfn of one line changed; with `lines`, of so many lines, and then there is no end to compare."""
    copy = shutil.copytree(HI, folder / "changed")
    (copy / "trace.txt.xz").unlink()
    text = text_of_hi()[:lines]
    text[number - 1] = re.sub(r"pfn=0x[0-9a-f]+", f"pfn={new:#x}", text[number - 1])
    if lines:
        text.append(next(line for line in text_of_hi() if "SNAP1 begin" in line))
        for path in copy.glob("S1.*"):
            path.unlink()
    (copy / "trace.txt").write_text("\n".join(text))
    return copy


def wrong_of(path):
    report = verify(open_capture(path))
    assert report.exit_code == 1
    return report.replay


@cache
def events_of_hi():
    return tuple(read_events(enumerate(text_of_hi()[:EXCERPT], 1)))


def wrong_takes(number, new):
    """Return the lines of the takes that come out wrong in the excerpt when one line names another page."""
    run, wrong = BuddyReplay(zones_of(open_capture(HI), "S0", strict=True), KERNELS["6.12"]), []
    for event in events_of_hi():
        before = run.score.wrong + run.fallbacks.wrong
        run.step(event._replace(pfn=new) if event.line == number else event)
        wrong += [event.line] * (run.score.wrong + run.fallbacks.wrong - before)
    return wrong


def test_nothing_changed_is_nothing_wrong():
    assert wrong_takes(6702, 0x5470) == []


# What comes to that list after line 6704: the refill of lines 6884 to 6913 takes unmovable pages of order 0. Lines 6884 to 6892 are served
# by the lists of order 0 and 1, which are empty then. Line 6893 splits 0x7dfc, the last block of order 2; lines 6897, 6905 and 6913 find
# none and split one of order 3. The lines between take what was split off. No other unmovable take before line 9873 is so small.
PAST_ORDER_1 = [6893, 6897, 6905, 6913]
LEFT_OF_0X7DFC = [6894, 6895, 6896]


@pytest.mark.parametrize(
    ("new", "more"), [(0x53E0, []), (0x53DC, []), (0x8834, []), (0x7DFC, LEFT_OF_0X7DFC)], ids=["in use", "next", "last", "behind"]
)
def test_a_take_of_another_page_makes_the_picks_wrong_that_it_touches(new, more):
    # Line 6702 takes 0x5470, the head of the list. If it names another page, in use or free, this pick is wrong, and nobody takes 0x5470
    # until its drain at line 9873: it heads the list, and each take that comes there is touched. If 0x7dfc was taken here, it is not split
    # at line 6893, so the takes of its other pages come to the list of order 2 as well.
    assert wrong_takes(6702, new) == sorted([6702, 6703, 6704, *PAST_ORDER_1, *more])


def test_a_drain_of_another_page_makes_the_picks_wrong_that_it_touches():
    # Line 6691 drains 0x7dfc. If it names 0x7dd8, a block in use, then that stands in its place, behind the three that came later: lines
    # 6702 to 6704 take those and are right. From then on 0x7dd8 heads the list and nobody takes it; and 0x7dfc, which did not come back,
    # is not split.
    assert wrong_takes(6691, 0x7DD8) == sorted([*PAST_ORDER_1, *LEFT_OF_0X7DFC])


def test_a_take_of_a_page_in_use_is_wrong_at_both_levels_and_leaves_the_free_set_as_it_is(tmp_path):
    # The whole trace: 0x5470 is drained later, and from there on the changed trace and the kernel's own agree. On its per-CPU list the
    # page that the line names stands in for 0x5470, is not seen at an allocation, and so is dropped: the caller of line 6705 gets a page
    # that the list does not have.
    found = wrong_of(changed(tmp_path, 6702, 0x53E0))
    assert (found.pages.wrong, found.percpu.wrong, found.wrong_pages) == (7, 1, 0)
    assert found.pages.first == "line 6702, order 2, unmovable: the rules give 0x5470, the kernel took 0x53e0"
    assert found.percpu.first.startswith("line 6705, order 2, unmovable: CPU 0 has ")


@pytest.mark.parametrize("new", ["in use", "the next one of the list"])
def test_a_caller_that_gets_another_page_is_wrong_on_that_level_alone(tmp_path, new):
    # A page that the line names instead is no matter of the free lists. The page that the caller really got is next seen when it is freed:
    # for this trace it left without a line, as alloc_pages_bulk takes pages (A7), and the rules name the one behind it. Where the line
    # names a page in use, that pick is wrong. Where it names that one behind, this is what the rules say, but the next line hands the same
    # page out a second time: that pick is wrong, and not this one.
    number, following = CALLERS_IN_A_ROW
    old, behind = (int(re.search(r"pfn=(0x\w+)", text_of_hi()[line - 1])[1], 16) for line in CALLERS_IN_A_ROW)
    found = wrong_of(changed(tmp_path, number, 0x1234 if new == "in use" else behind, lines=EXCERPT))
    assert (found.pages.wrong, found.fallbacks.wrong, found.percpu.wrong) == (0, 0, 1)
    wrong = number if new == "in use" else following
    assert found.percpu.first.startswith(f"line {wrong}, order 0, movable: CPU 0 has ")
    assert found.percpu.first.endswith(f"at the head of its list, the caller got {0x1234 if new == 'in use' else behind:#x}")
    assert old not in (0x1234, behind)


# Machines that follow the rules and trace themselves.

SHAPES = {
    "small": ((0, 0, 0, 0, 0, 0, 1, 2, 3), 0.9),
    "all orders, nearly full": ((0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10), 0.99),
    "two orders, full": ((0, 0, 0, 0, 3), 1.0),
}


NOTHING_WRONG = {"pages": 0, "fallbacks": 0, "percpu": 0}


def traced(folder, version, cpus, nodes, shape, seed, before, requests=2_000, rare=0.0):
    ranges = [(256, 8192), (8192, 16384)][:nodes]
    machine = boot_machine(*([pair] for pair in ranges), kernel=version, cpus=cpus, kbytes=512)
    orders, full = SHAPES[shape]
    write_capture(folder, machine, version, seed, before=before, requests=requests, orders=orders, full=full, rare=rare)
    return verify(open_capture(folder))


def check(report):
    """Check that no level is wrong; a trace so short that it lacks a kind of line is not followed."""
    found = report.replay
    assert report.exit_code == 0, found.notes
    if found.pages is not None:
        assert (found.wrong_pages, {level: score.wrong for level, score in levels(found).items()}) == (0, NOTHING_WRONG), found.notes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("version", "cpus", "nodes"), [("6.1", 1, 1), ("6.1", 4, 2), ("6.12", 1, 1), ("6.12", 4, 2)])
def test_a_machine_that_traces_itself_is_never_wrong(tmp_path, version, cpus, nodes, shape):
    report = traced(tmp_path, version, cpus, nodes, shape, seed=7, before=1_500)
    check(report)
    assert report.replay.pages.definite > 5 * report.replay.pages.learned


@pytest.mark.parametrize(("version", "cpus", "nodes"), [("6.1", 2, 1), ("6.1", 4, 2), ("6.12", 2, 1), ("6.12", 4, 2), ("6.18", 3, 1)])
def test_batches_softirqs_silent_takes_and_compaction_make_nothing_wrong(tmp_path, version, cpus, nodes):
    report = traced(tmp_path, version, cpus, nodes, "all orders, nearly full", seed=11, before=500, rare=0.1)
    check(report)
    text = (tmp_path / "trace.txt").read_text()
    assert min(text.count(word) for word in ("mm_page_free_batched", ".Ns3.", " iso: ")) > 5
    assert report.replay.percpu.definite > 100


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize(("version", "shape"), [(version, shape) for version in ("6.1", "6.12") for shape in SHAPES])
def test_sizes_are_exact_when_nothing_is_hidden(tmp_path, version, shape, seed):
    found = traced(tmp_path, version, 3, 1, shape, seed, before=0).replay
    assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0), found.notes
    assert found.refills.all > 50


def test_sizes_are_exact_on_two_nodes_where_no_cpu_needs_the_other_one(tmp_path):
    # The CPUs of a node share its pages: were all four counted, the bounds of their lists would be half as wide.
    machine = boot_machine([(256, 8192)], [(8192, 16384)], cpus=4, kbytes=512)
    write_capture(tmp_path, machine, "6.12", seed=1, before=0, requests=3_000, orders=(0, 0, 0, 1, 2, 3), full=0.3)
    found = replay(open_capture(tmp_path))
    assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0), found.notes
    assert found.drains.all > 100


def test_the_lists_of_6_12_grow_up_to_an_eighth_of_the_zone(tmp_path):
    traced = Traced(boot_machine([(256, 8192)], kbytes=512), seed=0)
    with between_snapshots(tmp_path, traced, "6.12"):
        for _ in range(1_500):
            traced.alloc(0, MOVABLE, cpu=0, node=0)
        for _ in range(1_500):
            traced.free(0, cpu=0)
    zone = traced.machine.zone
    assert zone.pcp[0].high == zone.pcp[0].high_max == zone.managed // 8
    found = replay(open_capture(tmp_path))
    assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0), found.notes
    assert min(found.refills.all, found.drains.all) > 5


@pytest.mark.parametrize("level", ["pages", "fallbacks", "percpu"])
def test_one_wrong_page_on_any_level_is_wrong_and_a_size_is_not(level):
    assert Replay(**{level: Score(definite=9, wrong=1)}).wrong
    assert Replay(wrong_pages=1).wrong
    right = {name: Score(definite=9) for name in NOTHING_WRONG}
    assert not Replay(wrong_pages=0, refills=Exact(1, 9), drains=Exact(1, 9, 5), **right).wrong
    assert not Replay().wrong


ANY = {
    "version": st.sampled_from(["6.1", "6.12"]),
    "cpus": st.integers(1, 4),
    "nodes": st.integers(1, 2),
    "shape": st.sampled_from(sorted(SHAPES)),
    "seed": st.integers(0, 10_000),
    "rare": st.sampled_from([0.0, 0.05]),
}


@settings(max_examples=15, deadline=None)
@given(before=st.sampled_from([0, 300]), **ANY)
def test_no_small_trace_is_wrong(tmp_path_factory, version, cpus, nodes, shape, seed, before, rare):
    check(traced(tmp_path_factory.mktemp("traced"), version, cpus, nodes, shape, seed, before, 700, rare))


@pytest.mark.soak
@settings(max_examples=400, deadline=None)
@given(before=st.sampled_from([0, 500, 3_000]), requests=st.sampled_from([500, 2_000, 6_000]), **ANY)
def test_no_machine_is_ever_wrong(tmp_path_factory, version, cpus, nodes, shape, seed, before, requests, rare):
    report = traced(tmp_path_factory.mktemp("traced"), version, cpus, nodes, shape, seed, before, requests, rare)
    check(report)
    found = report.replay
    if before == 0 and nodes == 1 and not rare and found.refills:
        assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0), found.notes


@pytest.mark.parametrize(
    ("version", "rules"),
    [("6.1", "6.1"), ("6.6", "6.1"), ("6.12", "6.12"), ("6.17", "6.12"), ("6.18", "6.18"), ("7.1", "7.x"), ("5.4", "6.1")],
)
def test_a_kernel_that_is_not_modelled_has_the_rules_of_the_one_before_it(version, rules):
    assert rules_of(version)[0] == rules
