"""The two words that Kent Overstreet proposed instead of struct page, for one page, beside what struct page says of it today.

He proposed struct page as two words. The first belongs to who manages the page, the second to who uses it (23 Sep 2021, "Struct page
proposal", Message-ID <YUvWm6G16+ib+Wnb@moria.home.lan>). Today both use the same bytes, one after the other. What he wrote of the
words is quoted in Matthew Wilcox's mail of 28 Sep 2021, Message-ID <YVKJtQZFql8yTiyy@casper.infradead.org>. In the same mail Vlastimil
Babka answers that a free page needs more than that: its zone and two links of a list too.
"""

from collections.abc import Callable
from typing import NamedTuple

from .free_pointer import PAGE_OFFSET, object_address
from .slab import CPU_PARTIAL, CPU_SLAB, LOST, KmemCache
from .slab_machine import SlabMachine
from .zone import Block

PROPOSED = "Kent Overstreet, quoted in <YVKJtQZFql8yTiyy@casper.infradead.org>"
ORIGINAL = "Kent Overstreet, <YUvWm6G16+ib+Wnb@moria.home.lan>"
_NOBODY = "the mails say nothing of it"


class Word(NamedTuple):
    """One word of the proposal: what it holds, a sentence about it, and who said so."""

    holds: str
    sentence: str
    said: str


class Bytes(NamedTuple):
    """Bytes start up to end of struct page today: the name of the field that they are now, and its value."""

    start: int
    end: int
    name: str
    value: str


class TwoWords(NamedTuple):
    """A page: "free", "pcp", "slab", "in use" or "held" (on its way), both words, and the bytes of struct page that say it today."""

    state: str
    allocator: Word
    allocatee: Word
    today: tuple[Bytes, ...]


def two_words(machine: SlabMachine, pfn: int) -> TwoWords:
    """Say what both words would hold for a page, and what its struct page holds today.

    Args:
        machine: with the page.
        pfn: of any page that is free or in use.

    Returns:
        The TwoWords.

    Raises:
        ValueError: no allocator has this page.

    Source: the mails named above; struct page, include/linux/mm_types.h, and struct slab, mm/slab.h, of the machine's kernel.
    Unlike in those mails, a page that waits on a list of a CPU is told apart: they do not speak of it.

    >>> from pagelab.mm.slab_machine import slab_machine
    >>> machine = slab_machine(64)
    >>> two_words(machine, 0).allocator.holds
    'order 6, free'
    >>> slab = machine.cache("kmalloc-64").carve(0, 0); words = two_words(machine, 0); words.allocator.holds, words.today[0]
    ('pointer to the slab of kmalloc-64', Bytes(start=8, end=16, name='slab_cache', value='kmalloc-64'))
    """
    cache, slab = machine.owners.get(pfn, (None, -1))
    block = machine.zones[machine.zone_of(pfn)].block(pfn)
    if block.kind in ("hole", "reserved"):
        raise ValueError(f"page {pfn} is {'a hole' if block.kind == 'hole' else 'reserved'}: no allocator has it")
    if cache is not None:
        head = cache.pfn[slab]
        today = _tail(head, "slab") if pfn > head else _SLAB[machine.version](cache, slab)
        return TwoWords("slab", _slab_allocator(cache), _slab_allocatee(), today)
    allocator, allocatee = _buddy_allocator(block, pfn), _buddy_allocatee(block, block.head in machine.large)
    return TwoWords(block.kind, allocator, allocatee, _today(machine, block, pfn))


def _slab_allocator(cache: KmemCache) -> Word:
    text = f"The slab allocator manages this page: the word points to the state of its slab, which belongs to {cache.name}."
    return Word(f"pointer to the slab of {cache.name}", text, PROPOSED)


def _slab_allocatee() -> Word:
    text = "It is there for whoever uses the memory. What it would hold for a page of many small objects, the mails do not say."
    return Word("not said", text, _NOBODY)


def _buddy_allocator(block: Block, pfn: int) -> Word:
    of = "" if pfn == block.head else f" It says so at the head of the block, page {block.head}."
    if block.kind == "free":
        text = f"The buddy allocator has this page: the word holds the order of its block, and probably that it is free.{of}"
        return Word(f"order {block.order}, free", text, PROPOSED)
    if block.kind == "pcp":
        text = f"The page is free for a caller, and for the buddy allocator it is not: it waits on a list of a CPU.{of}"
        return Word(f"order {block.order}", text, _NOBODY)
    text = f"The page comes from the buddy allocator: the word holds the order of its block, as for a compound page today.{of}"
    return Word(f"order {block.order}", text, PROPOSED)


def _buddy_allocatee(block: Block, large: bool) -> Word:
    if block.kind != "in use":
        return Word("nothing", "Nobody uses the page.", _NOBODY)
    if large:
        return Word("not said", "kmalloc took the pages whole. What the word would hold then, the mails do not say.", _NOBODY)
    text = "The word points to what the page is used for; its low bits say of which type that is: a folio, a page table and so on."
    return Word("pointer with a type", text, ORIGINAL)


# Today.


def _today(machine: SlabMachine, block: Block, pfn: int) -> tuple[Bytes, ...]:
    if pfn != block.head:
        return _tail(block.head, block.kind)
    links = {"free": "buddy_list", "pcp": "pcp_list"}.get(block.kind)
    kind = Bytes(48, 52, "page_type", _page_type(machine, block))
    if links:
        return (Bytes(8, 24, links, "next and previous"), Bytes(40, 48, "private", str(block.order if block.kind == "free" else 0)), kind)
    return (
        Bytes(8, 24, "lru", "next and previous"),
        Bytes(24, 32, "mapping", "of the owner"),
        Bytes(32, 40, "index", "of the owner"),
        Bytes(40, 48, "private", "of the owner"),
        kind,
    )


def _tail(head: int, state: str) -> tuple[Bytes, ...]:
    """A page of a larger block that is not its head; in a free block, its struct page says nothing."""
    return () if state in ("free", "pcp") else (Bytes(8, 16, "compound_head", f"page {head}, and 1"),)


def _page_type(machine: SlabMachine, block: Block) -> str:
    if block.kind == "free":
        return "0xffffff7f (buddy)" if machine.version == "6.1" else "0xf0000000 (buddy)"
    if block.head in machine.large and machine.version in ("6.18", "7.x"):
        return "0xf8000000 (large_kmalloc)"
    return "-1"


def _slab_6_1(cache: KmemCache, slab: int) -> tuple[Bytes, ...]:
    frozen = cache.place[slab] in (CPU_SLAB, CPU_PARTIAL)
    flags = Bytes(0, 8, "flags", "PG_slab")
    places = (Bytes(8, 24, "slab_list", cache.slab(slab).place), Bytes(24, 32, "slab_cache", cache.name))
    return (flags, *places, *_freelist(cache, slab, frozen), Bytes(48, 52, "_mapcount", "-1"))


def _slab_6_12(cache: KmemCache, slab: int) -> tuple[Bytes, ...]:
    frozen = cache.place[slab] == CPU_SLAB or cache.head[slab] == LOST
    places = (Bytes(8, 16, "slab_cache", cache.name), Bytes(16, 32, "slab_list", cache.slab(slab).place))
    return (*places, *_freelist(cache, slab, frozen), Bytes(48, 52, "page_type", "0xf5000000 (slab)"))


def _freelist(cache: KmemCache, slab: int, frozen: bool) -> tuple[Bytes, Bytes]:
    free = cache.slab(slab).freelist
    first = f"{PAGE_OFFSET + object_address(cache, slab, free[0]):#x}" if free else "NULL"
    counters = f"inuse {cache.inuse[slab]}, objects {cache.objects[slab]}, frozen {int(frozen)}"
    return Bytes(32, 40, "freelist", first), Bytes(40, 48, "counters", counters)


_SLAB: dict[str, Callable[[KmemCache, int], tuple[Bytes, ...]]] = {
    "6.1": _slab_6_1,
    "6.12": _slab_6_12,
    "6.18": _slab_6_12,
    "7.x": _slab_6_12,
}
