"""The two words of the proposal, for one page at several moments, beside the bytes of its struct page today: a table. No bokeh here."""

from collections.abc import Mapping

from ..mm.two_words import Bytes, TwoWords
from .words import html_table

HEAD = ("", "the page is", "allocator", "allocatee", "struct page today: bytes and what is in them")


def words_html(moments: Mapping[str, TwoWords]) -> str:
    """Return the words of a page at some moments as an HTML table, a row for each.

    Args:
        moments: from the name of a moment, as "free", to what `two_words` says then.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> from pagelab.mm.two_words import two_words
    >>> "<td>order 6, free</td>" in words_html({"before": two_words(slab_machine(64), 0)})
    True
    """
    caption = "Two words for a page, as Kent Overstreet proposed them on 23 Sep 2021, and its struct page as it is"
    return html_table(caption, HEAD, [_row(name, words) for name, words in moments.items()])


def _row(name: str, words: TwoWords) -> tuple[str, ...]:
    return name, words.state, words.allocator.holds, words.allocatee.holds, "; ".join(map(_field, words.today))


def _field(field: Bytes) -> str:
    return f"{field.start}-{field.end - 1} {field.name}: {field.value}"
