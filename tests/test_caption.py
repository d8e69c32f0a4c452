"""Captions: every act has one, its numbers are those of the state, and its function is one of the kernel's."""

import re

import pytest
from runs import RUNS, random_run

from pagelab.lab.caption import KERNEL, captions, span
from pagelab.lab.scenario import some_free, text
from pagelab.lab.tape import Tape
from pagelab.mm.act import Compared, Given, Linked, Looked, Refused, Relabelled, Taken, Unlinked, redo
from pagelab.mm.machine import Machine
from pagelab.mm.page_alloc import alloc_pages, boot
from pagelab.mm.zone import UNMOVABLE

# mm/page_alloc.c and mm/internal.h of 6.12.
FUNCTIONS = {
    *("__alloc_pages()", "__free_pages()", "__rmqueue_smallest()", "expand()"),
    *("__free_one_page()", "page_is_buddy()", "buddy_merge_likely()", "__add_to_free_list()"),
}
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
        assert set(caption.file.split(", ")) <= {"mm/page_alloc.c", "mm/internal.h"}
        assert caption.source.endswith(KERNEL)
        assert caption.source.startswith(caption.function)
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
                if "head of the" in said:
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
        "No movable list from order 5 up has a block. The caller receives NULL: the request is refused."
    )
    assert shorts(text("alloc 0 unmovable"))[-1] == "refused"
    assert "unmovable" in last_sentences(text("alloc 0 unmovable"))[-1]


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
