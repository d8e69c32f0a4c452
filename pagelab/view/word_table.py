"""The two words of the proposal, for one page at several moments, beside the bytes of its struct page today: a table. No bokeh here."""

from collections.abc import Mapping
from html import escape

from ..mm.two_words import Bytes, TwoWords

CAPTION = "Two words for a page, as Kent Overstreet proposed them on 23 Sep 2021, and its struct page today"


def words_html(moments: Mapping[str, TwoWords]) -> str:
    """Return the words of a page at some moments as an HTML table, a column for each.

    Args:
        moments: from the name of a moment, as "at first", to what `two_words` says then.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> from pagelab.mm.two_words import two_words
    >>> "<td>order 6, free</td>" in words_html({"at first": two_words(slab_machine(64), 0)})
    True
    """
    pages = list(moments.values())
    rows = [
        ("the page is", [escape(words.state) for words in pages]),
        ("allocator", [escape(words.allocator.holds) for words in pages]),
        ("allocatee", [escape(words.allocatee.holds) for words in pages]),
        ("struct page: bytes, field, value", ["<br>".join(map(_field, words.today)) for words in pages]),
    ]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in moments)
    body = "".join(f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, cells in rows)
    return f'<table class="pagelab-table pagelab-words"><caption>{CAPTION}</caption><tr><td></td>{head}</tr>{body}</table>'


def _field(field: Bytes) -> str:
    return escape(f"{field.start}-{field.end - 1} {field.name}: {field.value}")
