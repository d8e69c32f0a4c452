"""One page, free, then of a slab, then free again: what each word holds, and which bytes of struct page say it today."""

import pytest

from pagelab.lab.tape import Tape
from pagelab.mm.slab_call import cache_request, kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.mm.two_words import two_words

KERNELS = pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.x"])


def fields(words):
    return {name: (start, end, value) for start, end, name, value in words.today}


def ways(kernel):
    """Return page 0 before, while and after a slab has it."""
    tape = Tape(slab_machine(16, kernel)).then([kmalloc_request(512), kfree_request(0)])
    tape = tape.then([cache_request("shrink", tape.at(0).names.index("kmalloc-512"))])
    return [two_words(tape.at(k), 0) for k in (0, 1, 3)]


@KERNELS
def test_the_allocator_word_survives_every_change(kernel):
    before, during, after = ways(kernel)
    assert (before.state, during.state, after.state) == ("free", "slab", "free")
    assert before == after
    assert before.allocator.holds == "order 4, free"
    assert during.allocator.holds == "pointer to the slab of kmalloc-512"
    assert (before.allocatee.holds, during.allocatee.holds) == ("nothing", "not said")


@KERNELS
def test_today_the_same_bytes_say_both(kernel):
    before, during, _ = ways(kernel)
    links, private = fields(before)["buddy_list"], fields(before)["private"]
    assert (links, private) == ((8, 24, "next and previous"), (40, 48, "4"))
    assert fields(during)["counters"][:2] == private[:2]
    taken = {byte for start, end, *_ in during.today for byte in range(start, end)}
    assert set(range(*links[:2])) <= taken
    assert len(taken) == sum(end - start for start, end, *_ in during.today)


def test_what_each_kernel_writes():
    old, new = ways("6.1"), ways("6.12")
    assert fields(old[0])["page_type"] == (48, 52, "0xffffff7f (buddy)")
    assert fields(new[0])["page_type"] == (48, 52, "0xf0000000 (buddy)")
    assert fields(old[1])["flags"] == (0, 8, "PG_slab")
    assert fields(old[1])["slab_cache"] == (24, 32, "kmalloc-512")
    assert fields(new[1])["slab_cache"] == (8, 16, "kmalloc-512")
    assert fields(new[1])["page_type"] == (48, 52, "0xf5000000 (slab)")
    assert fields(new[1])["counters"][2] == "inuse 8, objects 8, frozen 1"
    assert fields(new[1])["freelist"][2] == "NULL"  # the cpu has it


def test_slabs_on_a_cpus_partial_list_were_frozen_once():
    for kernel, frozen in (("6.1", 1), ("6.12", 0)):
        tape = Tape(slab_machine(16, kernel)).then([kmalloc_request(512)] * 9).then([kfree_request(3)])
        values = fields(two_words(tape.at(10), 0))
        assert values["counters"][2] == f"inuse 7, objects 8, frozen {frozen}"
        assert values["freelist"][2] == "0xffff888000000600"


def test_pages_that_are_no_head():
    machine = slab_machine(16)
    machine.apply(kmalloc_request(2048), [])
    slab, free = two_words(machine, 3), two_words(machine, 12)
    assert slab.allocator.holds == two_words(machine, 0).allocator.holds
    assert slab.today[0].name == "compound_head"
    assert free.today == ()
    assert "page 8" in free.allocator.sentence


def test_pages_in_use_and_of_a_large_kmalloc():
    machine = slab_machine(16, "6.18")
    pfn = machine.alloc_pages(1)
    word = machine.apply(kmalloc_request(10_000), [])
    used, large = two_words(machine, pfn), two_words(machine, (word - (1 << 30)) // 512)
    assert (used.allocator.holds, used.allocatee.holds) == ("order 1", "pointer with a type")
    assert (large.allocator.holds, large.allocatee.holds) == ("order 2", "not said")
    assert fields(large)["page_type"][2] == "0xf8000000 (large_kmalloc)"


def test_a_page_on_a_list_of_a_cpu():
    machine = slab_machine(4096, pcp=True)
    machine.free_pages(machine.alloc_pages(0), 0)
    pfn = next(pfn for pfn in range(4096) if machine.zone.block(pfn).kind == "pcp")
    words = two_words(machine, pfn)
    assert (words.state, words.allocator.holds, words.allocatee.holds) == ("pcp", "order 0", "nothing")
    assert words.today[0].name == "pcp_list"


def test_each_word_names_who_said_it_or_that_nobody_did():
    for words in ways("6.12"):
        for word in (words.allocator, words.allocatee):
            assert "Overstreet" in word.said or word.said == "the mails say nothing of it"
            assert (word.said == "the mails say nothing of it") == (word.holds in ("nothing", "not said"))


def test_a_page_that_no_allocator_has():
    with pytest.raises(ValueError, match="page 99 is a hole: no allocator has it"):
        two_words(slab_machine(16), 99)
