"""Traces through the rules: real ones, one that is wrong in one place, and those of machines that are known to follow the rules."""

import json
import lzma
import re
import shutil
from functools import cache

import pytest
from conftest import captures
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing import write_capture

from pagelab.cli import main
from pagelab.lab.stand_in import Fifo, LifoOnly, OneMerge
from pagelab.mm.boot import boot_machine
from pagelab.real.capture import EXAMPLES, open_capture
from pagelab.real.replay import replay, rules_of
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
NEEDED = ("S1.zoneinfo", "S1.kpageflags", "trace.txt")
WITH_BOTH_SNAPSHOTS = [name for name in KNOWN if name in PATHS and all(file in open_capture(PATHS[name]) for file in NEEDED)]


@cache
def replayed(name):
    return replay(open_capture(PATHS[name]))


def levels(found):
    return {name: getattr(found, name) for name in ("pages", "fallbacks", "percpu")}


@pytest.mark.parametrize("name", WITH_BOTH_SNAPSHOTS)
def test_a_real_kernel_takes_the_pages_that_the_rules_name(name):
    found, (definite, learned, at_callers) = replayed(name), KNOWN[name]
    assert found.wrong_pages == 0
    assert {level: score.wrong for level, score in levels(found).items()} == {"pages": 0, "fallbacks": 0, "percpu": 0}
    assert found.pages.definite >= definite
    assert found.pages.learned + found.fallbacks.learned <= learned
    assert found.percpu.learned <= at_callers
    assert not found.wrong


@pytest.mark.parametrize("name", WITH_BOTH_SNAPSHOTS)
def test_a_real_kernel_moves_as_many_pages_as_the_rules_say(name):
    found = replayed(name)
    assert found.refills.all > 0
    assert found.refills.exact >= 0.99 * found.refills.all
    if name.startswith("61-"):
        assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0)


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


@pytest.mark.parametrize(("belief", "wrong", "first"), [(LifoOnly, 109, "order 7"), (Fifo, 229, "order 7"), (OneMerge, 8_094, "order 5")])
def test_a_belief_is_wrong_as_often_as_it_differs(belief, wrong, first):
    found = replay(open_capture(HI), belief)
    assert (found.pages.wrong, first in found.pages.first) == (wrong, True)
    assert found.wrong
    assert (found.percpu, found.refills, found.drains) == (None, None, None)


def test_the_first_page_that_the_head_rule_gets_wrong():
    assert replay(open_capture(HI), LifoOnly).pages.first.endswith("the rules give 0x9180, the kernel took 0x8b80")


def test_the_elements_of_verify_have_the_keys_that_are_promised(capsys):
    assert main(["verify", str(HI), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["replay"] == {"free_set_exact": True, "wrong_pages": 0}
    assert set(told["pages"]) == set(told["percpu"]) == {"definite", "wrong", "learned"}
    assert (set(told["refills"]), set(told["drains"])) == ({"exact", "all"}, {"exact", "all", "false"})


# One pfn changed.


def changed(folder, number, old, new):
    """Copy the capture with one pfn of one line changed."""
    copy = shutil.copytree(HI, folder / "changed")
    lines = lzma.decompress((copy / "trace.txt.xz").read_bytes()).decode().split("\n")
    assert f"pfn={old:#x} " in lines[number - 1] + " "
    lines[number - 1] = re.sub(r"pfn=0x[0-9a-f]+", f"pfn={new:#x}", lines[number - 1])
    (copy / "trace.txt.xz").unlink()
    (copy / "trace.txt").write_text("\n".join(lines))
    return copy


def wrong_of(path):
    report = verify(open_capture(path))
    assert report.exit_code == 1
    return report.replay


def test_a_take_of_a_page_in_use_makes_the_picks_wrong_that_it_touches(tmp_path):
    # Line 6702 takes 0x5470, the head of the unmovable list of order 2. Changed to a page in use, this pick is wrong, and 0x5470 stays at
    # the head for the model until its drain at line 9873. So each take that comes to this list before is wrong as well: 6703 and 6704,
    # and the takes of order 0 that split a block of order 2, at 6893, 6897, 6905 and 6913. Takes from other lists are not touched.
    found = wrong_of(changed(tmp_path, 6702, 0x5470, 0x53E0))
    assert found.pages.wrong == 7
    assert (found.percpu.wrong, found.wrong_pages) == (1, 0)
    assert found.pages.first == "line 6702, order 2, unmovable: the rules give 0x5470, the kernel took 0x53e0"


def test_a_caller_that_gets_another_page_is_wrong_on_that_level_alone(tmp_path):
    # The page that the CPU's list gave is not the page that the line names; the next line of that page is its free then, so it counts as
    # one that left silently, and the rules name the page behind it. Later picks are as before: the list loses the same page.
    lines = lzma.decompress((HI / "trace.txt.xz").read_bytes()).decode().split("\n")
    number = next(n for n, text in enumerate(lines, 1) if n > 6000 and "mm_page_alloc:" in text and "order=0 migratetype=1" in text)
    old = int(re.search(r"pfn=(0x[0-9a-f]+)", lines[number - 1])[1], 16)
    found = wrong_of(changed(tmp_path, number, old, 0x1234))
    assert (found.pages.wrong, found.percpu.wrong, found.wrong_pages) == (0, 1, 0)
    assert found.percpu.first.startswith(f"line {number}, order 0, movable: CPU 0 has ")
    assert found.percpu.first.endswith("at the head of its list, the caller got 0x1234")


def test_a_drain_of_another_page_shows_in_the_free_set_or_in_the_picks(tmp_path):
    # Line 6691 drains 0x7dfc. If it says 0x7dd8 instead, one page range is free that is not, and 0x7dfc is missing when it is taken.
    found = wrong_of(changed(tmp_path, 6691, 0x7DFC, 0x7DD8))
    assert found.pages.wrong >= 1


def test_a_prediction_does_not_hang_on_the_pfn_of_its_own_line(tmp_path):
    first = wrong_of(changed(tmp_path, 6702, 0x5470, 0x53E0)).pages.first
    shutil.rmtree(tmp_path / "changed")
    second = wrong_of(changed(tmp_path, 6702, 0x5470, 0x9999)).pages.first
    assert first.split(", the kernel")[0] == second.split(", the kernel")[0]


# Machines that follow the rules and trace themselves.

SHAPES = {
    "small": ((0, 0, 0, 0, 0, 0, 1, 2, 3), 0.9),
    "all orders, nearly full": ((0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10), 0.99),
    "two orders, full": ((0, 0, 0, 0, 3), 1.0),
}


def traced(folder, version, cpus, nodes, shape, seed, before):
    ranges = [(256, 8192), (8192, 16384)][:nodes]
    machine = boot_machine(*([pair] for pair in ranges), kernel=version, cpus=cpus, kbytes=512)
    orders, full = SHAPES[shape]
    write_capture(folder, machine, version, seed, before=before, requests=2_000, orders=orders, full=full)
    return verify(open_capture(folder))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("version", "cpus", "nodes"), [("6.1", 1, 1), ("6.1", 4, 2), ("6.12", 1, 1), ("6.12", 4, 2)])
def test_a_machine_that_traces_itself_is_never_wrong(tmp_path, version, cpus, nodes, shape):
    report = traced(tmp_path, version, cpus, nodes, shape, seed=7, before=1_500)
    found = report.replay
    assert (report.exit_code, found.wrong_pages) == (0, 0), found.notes
    assert {level: score.wrong for level, score in levels(found).items()} == {"pages": 0, "fallbacks": 0, "percpu": 0}
    assert found.pages.definite > 5 * found.pages.learned


@pytest.mark.parametrize(("version", "shape"), [("6.1", shape) for shape in SHAPES] + [("6.12", "small"), ("6.12", "two orders, full")])
def test_sizes_are_exact_when_nothing_is_hidden(tmp_path, version, shape):
    found = traced(tmp_path, version, 2, 1, shape, seed=3, before=0).replay
    assert (found.refills.exact, found.drains.exact, found.drains.false) == (found.refills.all, found.drains.all, 0)
    assert found.refills.all > 50


@pytest.mark.soak
@settings(max_examples=150, deadline=None)
@given(
    version=st.sampled_from(["6.1", "6.12"]),
    cpus=st.integers(1, 4),
    nodes=st.integers(1, 2),
    shape=st.sampled_from(sorted(SHAPES)),
    seed=st.integers(0, 10_000),
    before=st.sampled_from([0, 500, 3_000]),
)
def test_no_machine_is_ever_wrong(tmp_path_factory, version, cpus, nodes, shape, seed, before):
    report = traced(tmp_path_factory.mktemp("traced"), version, cpus, nodes, shape, seed, before)
    assert report.exit_code == 0, report.replay.notes


@pytest.mark.parametrize(
    ("version", "rules"),
    [("6.1", "6.1"), ("6.6", "6.1"), ("6.12", "6.12"), ("6.17", "6.12"), ("6.18", "6.18"), ("7.1", "7.x"), ("5.4", "6.1")],
)
def test_a_kernel_that_is_not_modelled_has_the_rules_of_the_one_before_it(version, rules):
    assert rules_of(version)[0] == rules
