"""The table of the two words: a row for each moment, and the fields of struct page with their bytes."""

from test_scores import Table

from pagelab.lab import scenario
from pagelab.mm.two_words import two_words
from pagelab.view import word_table
from pagelab.view.word_table import words_html


def test_a_page_goes_from_free_to_slab_and_back():
    run = scenario.slab("kmalloc 512; kfree @0; shrink kmalloc-512")
    moments = {"before": run.at(0), "a slab": run.at(1), "back": run.at(3)}
    rows = Table(words_html({name: two_words(machine, 0) for name, machine in moments.items()})).rows[1:]
    assert [row[:3] for row in rows] == [
        ["before", "free", "order 6, free"],
        ["a slab", "slab", "pointer to the slab of kmalloc-512"],
        ["back", "free", "order 6, free"],
    ]
    assert "8-15 slab_cache: kmalloc-512" in rows[1][4]
    assert "8-23 buddy_list: next and previous" in rows[0][4]
    assert rows[0][4] == rows[2][4]


def test_who_proposed_it_stands_above():
    assert "Kent Overstreet proposed" in words_html({})
    assert len(word_table.HEAD) == 5
