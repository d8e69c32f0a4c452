"""Captions: every act has one, its numbers are those of the state, and its function is one of the kernel's."""

import re
from typing import get_args

import pytest
from runs import RUNS, random_run
from test_whole_machine import random_requests, whole_machine

from pagelab.lab.caption import KERNEL, captions, span
from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Act, Compared, Given, Linked, Looked, Refused, Relabelled, Taken, Unlinked, redo
from pagelab.mm.call import other_request
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import alloc_pages, boot
from pagelab.mm.zone import MIGRATETYPES, UNMOVABLE

# mm/page_alloc.c, mm/internal.h, mm/page_isolation.c, mm/compaction.c and mm/migrate.c of 6.12.
FUNCTIONS = {
    *("__alloc_pages()", "__free_pages()", "__rmqueue_smallest()", "expand()", "alloc_pages_exact()", "split_page()"),
    *("__free_one_page()", "page_is_buddy()", "buddy_merge_likely()", "__add_to_free_list()", "__del_page_from_free_list()"),
    *("__rmqueue_claim()", "__rmqueue_steal()", "try_to_steal_block()", "reserve_highatomic_pageblock()", "zone_watermark_fast()"),
    *("rmqueue_bulk()", "rmqueue_pcplist()", "free_unref_page_commit()", "free_pcppages_bulk()", "drain_all_pages()"),
    *("set_migratetype_isolate()", "unset_migratetype_isolate()", "compact_zone()", "isolate_freepages_block()"),
    *("compaction_alloc()", "migrate_pages()"),
}
FILES = {"mm/page_alloc.c", "mm/internal.h", "mm/page_isolation.c", "mm/compaction.c", "mm/migrate.c"}
XOR = re.compile(r"(\d+) \^ (\d+) = (\d+)")


def told(tape):
    """Yield each act of a tape with its caption and the zone as it was before the act."""
    for k in range(len(tape)):
        acts = tape.acts(k)
        written = captions(acts)
        assert len(written) == len(acts)
        for i, (act, caption) in enumerate(zip(acts, written, strict=True)):
            zone = tape.at(k).zone
            redo(zone, acts[:i])
            yield act, caption, zone


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_every_act_is_told_in_the_kernels_words(seed, pages, start):
    kinds = set()
    for act, caption, _ in told(random_run(seed, pages, start)):
        kinds.add(type(act))
        assert set(caption.function.split(" → ")) <= FUNCTIONS
        assert set(caption.file.split(", ")) <= FILES
        assert caption.source().endswith(KERNEL)
        assert caption.source().startswith(caption.function)
        assert caption.sentence[0].isupper()
        assert caption.sentence.endswith(".")
        assert len(caption.short) <= 32, "acts stand in one row"
    assert {Given, Linked, Taken, Unlinked} <= kinds


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_every_xor_is_right_and_names_the_buddy(seed, pages, start):
    found = 0
    for act, caption, _ in told(random_run(seed, pages, start)):
        for pfn, size, buddy in XOR.findall(caption.sentence):
            found += 1
            assert int(pfn) ^ int(size) == int(buddy)
            assert int(size) == 1 << act.order
            assert act.pfn == int(pfn if isinstance(act, Given) else buddy)
    assert found > 5


@pytest.mark.parametrize(("seed", "pages", "start"), RUNS)
def test_the_numbers_are_those_of_the_state(seed, pages, start):
    for act, caption, zone in told(random_run(seed, pages, start)):
        said = caption.sentence
        match act:
            case Taken(pfn, order, _):
                assert said == f"The caller receives {span(pfn, order)}: pfn {pfn}, order {order}."
            case Given(pfn, order):
                assert zone.in_use(pfn) == order
                assert said.lower().startswith(f"{span(pfn, order)} come")
            case Unlinked(pfn, order, mt):
                assert zone.block(pfn)[:3] == (pfn, order, "free")
                if "of another type is" in said:
                    assert f"block of another type is {pfn}, {MIGRATETYPES[mt]}, order {order}" in said
                    assert zone.first(order, mt) == pfn
                elif "head of the" in said:
                    assert f"list of order {order} is {pfn}." in said
                    assert zone.first(order, mt) == pfn
                else:
                    pair = pfn & ~(1 << order)
                    assert f"free, of order {order}" in said
                    assert said.endswith(f"{span(pair, order + 1).capitalize()} are one block of order {order + 1}.")
            case Linked(pfn, order, _, tail) if "upper half" in said.lower():
                assert not tail
                assert f"{pfn}, goes to the head of list {order}. What is left at {pfn - (1 << order)} has order {order}." in said
            case Linked(pfn, order, _, tail):
                assert said.startswith(span(pfn, order).capitalize())
                assert f"goes to the {'tail' if tail else 'head'} of the" in said
                assert said.endswith(f"list of order {order}.")
            case Looked(low, high, mt):
                assert not any(zone.blocks(order, mt) for order in range(low, high + 1))
                assert (f"order {low} is empty" if low == high else f"orders {low} to {high} are empty") in said
            case Refused(order, mt):
                assert not any(zone.blocks(larger, mt) for larger in range(order, 11))
                assert f"from order {order} up" in said
                assert "NULL" in said
            case Compared(pfn, order, yes, block):
                assert zone.block(pfn) == block
                if "free but of order" in said:
                    assert f"{pfn} is free but of order {block.order}, not {order}" in said
                    assert block.order != order
                elif not yes:
                    assert f"{pfn} is {'outside the zone' if block.kind == 'hole' else block.kind}" in said
                assert ("waits at the tail" in said) == yes


def shorts(tape):
    return [caption.short for caption in captions(tape.acts(len(tape) - 1))]


def last_sentences(tape):
    return [caption.sentence for caption in captions(tape.acts(len(tape) - 1))]


def test_a_split_tells_its_halves():
    assert shorts(text("alloc 0", 8)) == [
        *("ask: order 0", "lists 0 to 2: empty", "take 0 off list 3"),
        *("split: 4 to list 2", "split: 2 to list 1", "split: 1 to list 0", "hand out 0"),
    ]
    assert "It is larger than order 0, so it is split." in last_sentences(text("alloc 0"))[2]
    assert "It fits exactly." in last_sentences(text("alloc 4"))[1]


def test_a_merge_tells_the_buddies():
    sentences = last_sentences(some_free([1, 2, 3, 0]))
    assert sentences[2].startswith("The buddy of 0 at order 0 is 0 ^ 1 = 1. It is free, of order 0: it leaves its list.")
    assert sentences[3].startswith("The buddy of 0 at order 1 is 0 ^ 2 = 2. It is free, of order 1: it leaves its list.")
    assert sentences[4] == "The buddy of 0 at order 2 is 0 ^ 4 = 4. 4 is in use, so merging stops here."


def test_the_page_that_waits_is_told_why():
    sentences = last_sentences(some_free([12, 13, 5, 9, 14]))
    assert any("If 15 came back too, the pair would start at 14, and its buddy at order 1, 12, is free." in said for said in sentences)
    assert any("14 waits at the tail" in said for said in sentences)
    assert sentences[-1] == "Page 14: free, order 0. The block goes to the tail of the movable list of order 0."


def test_the_page_that_does_not_wait_is_told_why():
    sentences = last_sentences(some_free([12, 13, 5]))
    assert sentences[-2] == "One order up, the pair at 4 would need 6 of order 1. 6 is in use. No larger block is near: 5 goes to the head."


def test_a_refusal_is_told():
    assert last_sentences(text("alloc 5"))[-1] == (
        "No movable list from order 5 up has a block, and no list of another type can stand in. "
        "The caller receives NULL: the request is refused."
    )
    assert last_sentences(text("alloc 0 dma"))[-1].startswith("The machine has no zone for such a request. The caller receives NULL")
    full = text("alloc 4 x2", 32, min_free_kbytes=64)
    assert last_sentences(full)[-1].startswith("No zone has pages to spare. The caller receives NULL")


def test_a_claim_is_told_with_its_numbers():
    assert last_sentences(text("alloc 0 unmovable", 1024))[3:6] == [
        "No unmovable list has a block. The largest block of another type is 0, movable, order 10. It leaves its list, to be claimed. "
        "It is larger than order 0, so it is split.",
        "The pageblocks of pages 0-1023 are labelled unmovable now.",
        "The upper half, 512, goes to the head of list 9. What is left at 0 has order 9.",
    ]
    part = text("alloc 0 x200; alloc 0 unmovable", 512)
    assert "312 free + 0 alike >= 256: the pageblock of 0, movable, becomes unmovable." in last_sentences(part)
    assert "Pages 256-511, free, go from the movable list of order 8 to the tail of the unmovable one." in last_sentences(part)
    assert "label 0 unmovable" in shorts(part)


def test_a_theft_is_told_with_its_numbers():
    sentences = last_sentences(text("alloc 0 x300; alloc 0 unmovable", 512))
    assert "212 free + 0 alike < 256: the pageblock of 0, movable, keeps its type." in sentences
    assert sentences[-4] == (
        "No unmovable list has a block, and no pageblock can be claimed. The smallest block of another type is 300, movable, order 2: "
        "it is stolen. It is larger than order 0, so it is split."
    )
    assert sentences[-1] == "The caller receives page 300: pfn 300, order 0."


def test_a_6_1_kernel_is_told_with_the_names_of_6_1():
    tape = text("alloc 0 x300; alloc 0 unmovable", 512)
    (stolen,) = (caption for caption in captions(tape.acts(len(tape) - 1)) if caption.function == "__rmqueue_steal()")
    assert stolen.source() == f"__rmqueue_steal()   mm/page_alloc.c   {KERNEL}"
    assert stolen.source("6.1") == "__rmqueue_fallback()   mm/page_alloc.c   6.1"


SMALL = {"pages": "48 MiB", "pcp": True, "min_free_kbytes": 886}


def test_a_refill_is_told_page_by_page():
    assert shorts(text("alloc 0", **SMALL)) == [
        *("ask: order 0", "zone 0: 12288 > 276", "lists 0 to 9: empty", "take 0 off list 10"),
        *(f"split: {1 << order} to list {order}" for order in range(9, -1, -1)),
        *("0 for cpu 0", "0 to cpu 0, tail", "take 1 off list 0", "1 for cpu 0", "1 to cpu 0, tail", "list 0: empty"),
        *("take 2 off list 1", "split: 3 to list 0", "2 for cpu 0", "2 to cpu 0, tail", "0 off cpu 0, head", "hand out 0"),
    ]
    sentences = last_sentences(text("alloc 0", **SMALL))
    assert sentences[1] == "Zone 0 has 12288 pages to count on. 12288 > 276: it may serve."
    assert sentences[-2] == "The head of cpu 0's movable list of order 0 is 0. It leaves the list."


def test_a_free_to_a_per_cpu_list_and_a_drain_are_told():
    tape = text("alloc 0; free @0", **SMALL)
    assert last_sentences(tape) == [
        "The owner of page 0 gives it back: order 0.",
        "Page 0 comes back. Its buddy at order 0 is 0 ^ 1 = 1.",
        "Page 0: to the head of cpu 0's movable list of order 0. No buddy is asked: what waits there cannot merge.",
    ]
    drained = last_sentences(tape.then("drain"))
    assert drained[0] == "The lists of all CPUs are to be emptied: their pages go back to the free lists."
    assert (
        drained[1]
        == "The tail of cpu 0's movable list of order 0 is 2. It leaves the list, to be freed. Its buddy at order 0 is 2 ^ 1 = 3."
    )
    assert drained[2].startswith("The buddy of 2 at order 0 is 2 ^ 1 = 3. It is free, of order 0: it leaves its list.")
    assert last_sentences(tape.then("drain cpu 0"))[0].startswith("The lists of cpu 0 are to be emptied")


def test_what_a_page_on_a_per_cpu_list_is_is_told():
    tape = text("alloc 0; alloc 4; free @0; free @1", **SMALL)
    assert "0 is on a per-CPU list, so merging stops here." in " ".join(last_sentences(tape))


def test_an_exact_number_of_pages_is_told():
    sentences = last_sentences(text("alloc_exact 3"))
    assert sentences[0] == "A caller asks for a number of pages, movable. The smallest block that holds them has order 2 (4 pages)."
    assert [said for said in sentences if said.startswith("Page")] == [
        *(f"Page {pfn} is a block of order 0 now, which can be freed alone." for pfn in range(4)),
        "Page 3 comes back. Its buddy at order 0 is 3 ^ 1 = 2.",
        "Page 3: free, order 0. The block goes to the tail of the movable list of order 0.",
    ]
    assert "The caller receives pages 0-3: pfn 0, order 2." in sentences
    assert shorts(text("alloc_exact 1"))[-2:] == ["hand out 0", "cut: 0 alone"]


def test_isolation_is_told():
    sentences = last_sentences(text("isolate 600", 1024))
    assert sentences[0] == "The pageblock of page 600 is to serve no request any more."
    assert "The pageblocks of pages 512-1023 are labelled isolate now." in sentences
    assert last_sentences(text("alloc 0; isolate 600; unisolate 600", 1024))[0] == "The pageblock of page 600 is to serve requests again."


def test_compaction_is_told():
    tape = text("alloc 0 x1300", 2048).then("; ".join(f"free {pfn}" for pfn in range(2, 500)) + "; compact")
    sentences = " ".join(last_sentences(tape))
    assert sentences.startswith("What is in use and movable is to move up, so that free pages come together.")
    assert re.search(r"Pages? (\d+)(-\d+)?: set aside, as a place to move to\.", sentences)
    assert re.search(r"What page 0 holds is copied to page \d+\. The old place is free\.", sentences)
    assert re.search(r"Pages? [\d-]+, set aside before, (is|are) taken up\.", sentences)


def test_every_act_of_a_whole_machine_is_told():
    kinds = set()
    for kernel in ("6.1", "6.12"):
        machine = whole_machine(kernel, 128)
        before = machine.blank()
        before.restore(machine.snapshot())
        for number, request in enumerate(random_requests(machine, 5, 1500)):
            kinds.update(told_as_they_should_be(before, request))
            before.restore(machine.snapshot())
            if number % 250 == 0:
                kinds.update(told_as_they_should_be(before, other_request("compact")))
                before.restore(machine.snapshot())
    assert {act.__name__ for act in kinds} == {act.__name__ for act in get_args(Act)}


def told_as_they_should_be(machine, request):
    acts = machine.acts(request, [])
    for caption in captions(acts):
        assert set(caption.function.split(" → ")) <= FUNCTIONS
        assert set(caption.file.split(", ")) <= FILES
        assert caption.sentence[0].isupper() or caption.sentence[0].isdigit()
        assert caption.sentence.endswith(".")
        assert len(caption.short) <= 32
    return {type(act) for act in acts}


def test_the_edge_of_the_zone_is_told():
    sentences = last_sentences(text("alloc 3 x3; free 16", 24))
    assert "24 is outside the zone, so merging stops here." in " ".join(sentences)


def test_a_new_label_is_told():
    zone = boot(1024)
    alloc_pages(zone, 9)
    alloc_pages(zone, 9)
    zone.relabel(0, 9, UNMOVABLE)
    acts = Tape(Machine(zone)).then("free 0; free 512").acts(1)
    (at,) = [i for i, act in enumerate(acts) if isinstance(act, Relabelled)]
    assert captions(acts)[at].sentence == "The pageblocks of pages 0-511 are labelled movable now."


@pytest.mark.parametrize(("pfn", "order", "name"), [(5, 0, "page 5"), (4, 1, "pages 4-5"), (0, 10, "pages 0-1023")])
def test_a_span_names_its_pages(pfn, order, name):
    assert span(pfn, order) == name


def test_an_act_of_no_request_is_refused():
    with pytest.raises(ValueError, match="is no act of an allocation"):
        captions(["spam"])
