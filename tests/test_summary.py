"""A whole request in a sentence or two: true for every kind of request on every kind of machine."""

import re

import pytest
from runs import KINDS, RUNS, busy_run, kinds_of_machines, random_run

from pagelab.lab.caption import captions, span
from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Compared, Linked, Moved, Parked, Refused, Relabelled, Taken, Unlinked, Unparked
from pagelab.mm.machine import machine
from pagelab.view.columns import moment
from pagelab.view.summary import joined, plural, summary


def last(tape):
    return moment(tape, len(tape) - 1, -1)


def said(requests, pages=16, **options):
    return summary(last(Tape(machine(pages, **options)).then(requests)).all).sentence


@pytest.mark.parametrize(
    ("tape", "said"),
    [
        (text("alloc 0"), "A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0."),
        (text("alloc 3"), "A request of order 3 takes 0 off list 4 and splits it once. The caller receives pages 0-7."),
        (text("alloc 4"), "A request of order 4 takes 0 off list 4. The caller receives pages 0-15."),
        (text("alloc 5"), "No movable list from order 5 up has a block"),
        (
            some_free([1]),
            "Free of page 1: no merge. The buddy of 1 at order 0 is 1 ^ 1 = 0. 0 is in use. 1, order 0, goes to the head of its list.",
        ),
        (
            some_free([1, 2, 3, 0]),
            "Free of page 0: 2 merges. The buddy of 0 at order 2 is 0 ^ 4 = 4. 4 is in use. 0, order 2, goes to the head of its list.",
        ),
        (text("alloc 4; free 0"), "Free of pages 0-15: no merge. The buddy of 0 at order 4 is 0 ^ 16 = 16. 16 is outside the zone. "),
        (text("alloc 10; free 0", 1024), "Free of pages 0-1023: no merge. 0, order 10, goes to the head of its list."),
    ],
)
def test_a_request_in_one_caption(tape, said):
    assert summary(last(tape).all).sentence.startswith(said)


def test_the_page_that_waits_goes_to_the_tail():
    assert summary(last(some_free([12, 13, 5, 9, 14])).all).sentence.endswith("14, order 0, goes to the tail of its list.")


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_a_summary_says_what_the_acts_did(seed, pages, start):
    tape = random_run(seed, pages, start)
    for k in range(len(tape)):
        now = moment(tape, k, -1)
        said, acts = summary(now.all), now.all
        assert said.function
        assert said.sentence.endswith(".")
        gone = [act for act in acts if isinstance(act, Unlinked)]
        linked = [act for act in acts if isinstance(act, Linked)]
        if isinstance(acts[-1], Refused):
            assert said == captions(acts)[-1]
        elif acts[0].verb == "alloc":
            (taken,) = [act for act in acts if isinstance(act, Taken)]
            assert f"takes {gone[0].pfn} off list {gone[0].order}" in said.sentence
            stands_in = any(isinstance(act, (Moved, Relabelled)) for act in acts) or gone[0].mt != acts[0].mt
            assert said.sentence.startswith("No ") == stands_in
            assert said.sentence.endswith(f"The caller receives {span(taken.pfn, taken.order)}.")
            assert gone[0].order - taken.order == len(linked)
            times = re.search(r"splits it (once|(\d+) times)", said.sentence)
            assert (int(times[2] or 1) if times else 0) == len(linked)
        else:
            merges = re.search(r": (no|\d+) merge", said.sentence)[1]
            assert (0 if merges == "no" else int(merges)) == len(gone)
            end = f"{linked[0].pfn}, order {linked[0].order}, goes to the {'tail' if linked[0].tail else 'head'} of its list."
            assert said.sentence.endswith(end)
            for refused in (act for act in acts if isinstance(act, Compared) and act.order == linked[0].order):
                assert f" = {refused.pfn}. " in said.sentence


def test_what_is_claimed_and_what_is_stolen():
    assert said("alloc 0 unmovable", 2048).startswith(
        "No unmovable list has a block: pages 0-1023 become unmovable. A request of order 0 takes 0 off list 10"
    )
    claimed = "No unmovable list has a block: pages 0-511 become unmovable, and 4 free blocks with them. "
    assert said("alloc 0 x200; alloc 0 unmovable", 512).startswith(claimed)
    stolen = "No unmovable list has a block: one is stolen, and its pageblock stays movable. A request of order 0 takes 300 off list 2"
    assert said("alloc 0 x300; alloc 0 unmovable", 512).startswith(stolen)
    mixed = "No unmovable list has a block: 4 free blocks of a movable pageblock move to them. A request of order 0 takes 300 off list 2"
    assert said("alloc 0 x300; alloc 0 unmovable", 512, kernel="6.1").startswith(mixed)


def test_per_cpu_lists():
    small = {"pages": "48 MiB", "pcp": True}
    assert said("alloc 0", **small) == "Cpu 0's list of order 0 is empty and gets 3 blocks: 0, 1 and 2. The caller receives page 0."
    assert said("alloc 0 x2", **small) == "1 is the head of cpu 0's list of order 0. The caller receives page 1."
    assert said("alloc 0; free @0", **small) == "Free of page 0: it goes to the head of cpu 0's list, and no buddy is asked."
    assert said("alloc 4", **small).startswith("A request of order 4 takes 0 off list 10 and splits it 6 times."), "no list for order 4"
    assert (
        said("alloc 0; drain", **small) == "All per-CPU lists are drained: 2 pages go back to the free lists, the tail of each list first."
    )
    assert said("alloc 0; drain cpu 0", **small).startswith("The lists of cpu 0 are drained: 2 pages")


def test_a_free_that_makes_the_lists_too_long():
    tape = Tape(machine("48 MiB", "6.1", pcp=True)).then("alloc 0 x40").then("; ".join(f"free @{k}" for k in range(40)))
    drained = [k for k in range(40, 80) if any(isinstance(act, Unparked) for act in tape.acts(k))]
    assert drained
    told = summary(tape.acts(drained[0])).sentence
    count = sum(isinstance(act, Unparked) for act in tape.acts(drained[0]))
    assert told.endswith(f"The lists are too long: {plural(count, 'page')} go back to the free lists.")


def test_the_other_requests():
    assert said("alloc_exact 5") == (
        "A request of order 3 takes 0 off list 4 and splits it once. The caller receives pages 0-4; 3 pages after them go back."
    )
    assert said("isolate 600", 2048) == "Pages 512-1023 are labelled isolate."
    assert said("alloc 0 x200; isolate 0", 512) == "Pages 0-511 are labelled isolate; 4 free blocks in them change lists."
    assert said("isolate 600; unisolate 600", 2048).startswith("Pages 512-1023 are labelled movable")
    assert said("compact") == "No page can be moved: nothing changes."
    assert re.fullmatch(
        r"\d+ movable pages move up: .* MiB\.", said("alloc 0 x700; free @690; free @691; free @692; free @3; compact", 1024)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_of_every_machine_has_its_summary(kind):
    tape = busy_run(9, kinds_of_machines()[kind], 60, ("drain", "compact", "isolate", "unisolate"))
    for k in range(len(tape)):
        acts, told = tape.acts(k), summary(tape.acts(k))
        assert told.sentence.endswith(".")
        assert told.short
        if acts[0].verb == "alloc" and not isinstance(acts[-1], Refused):
            assert told.sentence.endswith(f"The caller receives {span(tape.received[k], acts[0].order)}.")
        parked = [act for act in acts if isinstance(act, Parked)]
        if acts[0].verb == "alloc" and parked:
            assert plural(len(parked), "block") in told.sentence
        if any(isinstance(act, Relabelled) for act in acts) and acts[0].verb == "alloc":
            assert " become " in told.sentence


def test_words_in_a_row():
    assert (joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])) == ("a", "a and b", "a, b and c")
    assert joined([str(n) for n in range(20)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"
    assert (plural(0, "page"), plural(1, "page"), plural(2000, "page")) == ("0 pages", "1 page", "2,000 pages")
