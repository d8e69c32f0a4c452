"""The table of the two words: a column for each moment, and the fields of struct page with their bytes."""

from test_scores import Table

from pagelab.lab import scenario
from pagelab.mm.two_words import two_words
from pagelab.view.word_table import words_html


def test_a_page_goes_from_free_to_slab_and_back():
    run = scenario.slab("kmalloc 512; kfree @0; shrink kmalloc-512")
    moments = {"at first": run.at(0), "a slab": run.at(1), "<back>": run.at(3)}
    html = words_html({name: two_words(machine, 0) for name, machine in moments.items()})
    head, state, allocator, allocatee, today = Table(html).rows
    assert head == ["", "at first", "a slab", "<back>"]
    assert state == ["the page is", "free", "slab", "free"]
    assert allocator == ["allocator", "order 6, free", "pointer to the slab of kmalloc-512", "order 6, free"]
    assert allocatee == ["allocatee", "nothing", "not said", "nothing"]
    assert "8-15 slab_cache: kmalloc-512" in today[2]
    assert "8-23 buddy_list: next and previous" in today[1]
    assert today[1] == today[3]
    assert html.count("<br>") == sum(len(two_words(machine, 0).today) - 1 for machine in moments.values())


def test_who_proposed_it_stands_above():
    assert "as Kent Overstreet proposed them" in words_html({})
