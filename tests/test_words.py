"""The text twin: sentences and tables that say what a moment holds."""

import re

import pytest
from runs import KINDS, RUNS, SMALL, busy_run, kinds_of_machines, moments, random_run

from pagelab.lab.question import lists_of
from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Linked, Moved, Parked, Unlinked, Unparked
from pagelab.mm.machine import machine
from pagelab.view.columns import moment
from pagelab.view.palette import DARK, LIGHT, UNKNOWN_LOOK
from pagelab.view.summary import summary
from pagelab.view.words import (
    PCP_LOOKS,
    REAL_LOOKS,
    all_lists,
    counts_html,
    cpu_heads,
    cpus_table,
    html_table,
    legend,
    lists_table,
    run_text,
    sentence,
    zones_line,
)


def last(tape):
    return moment(tape, len(tape) - 1, -1)


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_a_sentence_counts_what_the_state_holds(seed, pages, start):
    for now in moments(random_run(seed, pages, start)):
        said = sentence(now).replace(",", "")
        if now.end:
            assert said == f"The end: {now.zone.nr_free_pages()} of {pages} pages are free."
            continue
        assert said.startswith(f"{now.before.nr_free_pages()} of {pages} pages were free before this step ".replace(",", ""))
        assert f" {now.zone.nr_free_pages()} are now." in said
        for act in now.acts:
            if isinstance(act, (Linked, Unlinked)):
                assert re.search(rf"\b{act.pfn}\b", said.split("now.")[1])


def test_one_and_several_are_said_as_such():
    assert sentence(moment(text("alloc 0"), 0, -1)).endswith("8, 4, 2 and 1 were linked; 0 left its list.")
    assert sentence(moment(some_free([1, 2, 3, 0]), 19, -1)).endswith("0 was linked; 1 and 2 left their lists.")


@pytest.mark.parametrize(("seed", "pages", "start"), SMALL)
def test_the_table_has_every_list(seed, pages, start):
    tape = random_run(seed, pages, start)
    for now in moments(tape):
        rows = re.findall(r"<tr><td>(\w+)</td><td>([\d,]+)</td><td>([^<]*)</td></tr>", lists_table(now))
        assert {name: [int(pfn) for pfn in heads.split()] for name, _, heads in rows} == lists_of(now.zone)
        assert all(int(count) == len(heads.split()) for _, count, heads in rows)


def test_a_long_list_in_the_table_says_that_it_goes_on():
    table = lists_table(moment(some_free(list(range(0, 128, 2)), 128), 0, 0))
    assert "…" not in table
    table = lists_table(last(some_free(list(range(0, 128, 2)), 128)))
    assert "<td>64</td>" in table
    assert "…" in table


def test_tables_have_headers_for_screen_readers():
    assert lists_table(last(text("alloc 0"))).count('<th scope="col">') == 3
    assert "<caption>" in lists_table(last(text("alloc 0")))


def test_a_run_is_told_from_its_first_step_to_its_lists():
    assert run_text(text("alloc 0 x2; free @1; alloc 4")).splitlines() == [
        "step 0: alloc 0",
        "  A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0.",
        "step 1: alloc 0",
        "  A request of order 0 takes 1 off list 0. The caller receives page 1.",
        "step 2: free @1",
        "  Free of page 1: no merge. The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use. 1, order 0, goes to the tail of its list.",
        "step 3: alloc 4",
        f"  {summary(text('alloc 0 x2; free @1; alloc 4').acts(3)).sentence}",
        "15 of 16 pages are free.",
        "  M0: 1",
        "  M1: 2",
        "  M2: 4",
        "  M3: 8",
    ]
    assert run_text(text()) == "16 of 16 pages are free.\n  M4: 0"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_legend_names_every_state_with_its_colour_and_letter(theme):
    html = legend(theme)
    for role, letter, words in [("movable", "M", "movable"), ("reclaimable", "R", "reclaimable"), ("unmovable", "U", "unmovable")]:
        assert re.search(rf"background:[^;]*{getattr(theme, role)};[^>]*>{letter}</i>{words}<", html)
    assert re.search(rf"background:{theme.free};[^>]*border:1px solid {theme.free_outline};[^>]*></i>free<", html)
    assert "reserved" in html
    assert re.search(rf"solid {theme.changed}[^<]*></i>changed now", html)
    assert re.search(rf"dashed {theme.ink}[^<]*></i>looked at", html)


def test_the_legend_of_a_real_machine_says_what_it_cannot_know():
    html = legend(LIGHT, REAL_LOOKS, ())
    assert UNKNOWN_LOOK.words in html
    assert UNKNOWN_LOOK.words not in legend(LIGHT)
    assert "hole" in html
    assert LIGHT.changed not in html, "nothing changes in it"
    assert "looked at" not in html


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_legend_of_a_machine_with_per_cpu_lists_has_them(theme):
    assert "per-CPU list" not in legend(theme)
    assert re.search(rf"background:radial-gradient[^;]*{theme.pcp};[^>]*>p</i>per-CPU list<", legend(theme, PCP_LOOKS))


def test_the_legend_of_two_machines_says_what_differs():
    html = legend(LIGHT, events=("differs", "the same"))
    assert LIGHT.changed not in html
    assert re.search(rf"solid {LIGHT.ink}[^<]*></i>differs<", html)
    assert re.search(r"opacity:.34[^<]*></i>the same<", html)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_names_what_went_where(kind):
    for now in moments(busy_run(3, kinds_of_machines()[kind], 40, ("drain", "compact", "isolate"))):
        told = sentence(now).partition("now.")[2] if not now.end else ""
        for kind_of_act in (Linked, Unlinked, Moved, Parked, Unparked):
            pfns = [act.pfn for act in now.here if isinstance(act, kind_of_act)]
            assert all(re.search(rf"\b{pfn}\b", told) for pfn in pfns[:12])


def test_a_machine_with_one_zone_needs_no_line_of_zones():
    assert zones_line(moment(text("alloc 0"), 0, -1)) == ""


def test_the_zone_that_is_shown_is_named_and_the_others_are_told_in_one_line():
    tape = Tape(kinds_of_machines()["zones"]).then("alloc 0; alloc 0 dma")
    assert zones_line(moment(tape, 1, -1)).startswith("Zone DMA: pages 1-4095. Not shown: DMA32, 1,90")
    assert zones_line(moment(tape, 0, -1)).startswith("Zone DMA32: pages 4096-5999. Not shown: DMA, 3,840 of 4,095 pages free.")
    nodes = zones_line(moment(Tape(kinds_of_machines()["nodes"]).then("alloc 0 node 1 cpu 1"), 0, -1))
    assert nodes.startswith("Zone DMA32, node 1: pages 8192-12287. Not shown: DMA32, node 0, 4,096 of 4,096 pages free; DMA, node 0, ")


def test_the_tables_have_every_list_of_any_type_and_cpu():
    tape = Tape(machine("48 MiB", pcp=True, cpus=2)).then("alloc 0; alloc 1 cpu 1; alloc 0 reclaimable; isolate 8192")
    now = moment(tape, 4, 0)
    assert f"<td>{next(name for name in all_lists(now.zone) if name[0] == 'I')}</td>" in lists_table(now)
    rows = re.findall(r"<tr><td>(\d+)</td><td>([A-Z]+\d)</td><td>([\d,]+)</td><td>([^<]*)</td>", cpus_table(now))
    assert {f"cpu {cpu} {name}": [int(pfn) for pfn in heads.split()] for cpu, name, _, heads in rows} == cpu_heads(now.zone)
    assert len(rows) == 3


def test_a_run_on_several_zones_is_told_zone_by_zone():
    lines = run_text(Tape(kinds_of_machines()["zones"]).then("alloc 0 dma")).splitlines()
    assert [line for line in lines if line.endswith("are free.")][0].startswith("3,8")
    assert any("pages in zone DMA32 are free." in line for line in lines)


def test_a_table_escapes_what_it_shows():
    assert html_table("<c>", ["<h>"], [["<1>"]]).count("&lt;") == 3


def test_counts_that_differ_from_the_first_line_are_marked_without_colour():
    same, other = [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29], [3, 2, 3, 0, 2, 1, 0, 2, 5, 2, 28]
    html = counts_html({"the kernel": same, "our <rules>": other, "again": same})
    assert html.count("<u>") == html.count("*</u>") == 2
    assert "<u>3*</u>" in html
    assert "<u>28*</u>" in html
    assert "our &lt;rules&gt;" in html
    assert html.count('scope="row"') == 3
    assert [int(order) for order in re.findall(r'<th scope="col">(\d+)</th>', html)] == list(range(11))
    assert "<u>" not in counts_html({"a": same, "b": same})
