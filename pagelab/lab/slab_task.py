"""Tasks over caches: pages that few objects keep, and the way of one page back to the page allocator."""

from typing import Any

from ..mm.slab import NODE_PARTIAL
from .scenario import slab
from .tape import Tape
from .task import Task

CACHE = "kmalloc-512"


def three_pages_pinned() -> Task:
    """Return the task: leave 3 objects in use that keep 3 pages, out of one cache of 512 bytes.

    Returns:
        The task; the fewest requests are 17 allocations and 14 frees.

    >>> three_pages_pinned().do("kmalloc 512 x3").text
    '3 objects of kmalloc-512 in use, in 1 page. 3 requests used; the fewest known is 31.'
    """

    def judge(tape: Tape[Any]) -> tuple[bool, str]:
        machine = tape.at(len(tape))
        cache = machine.cache(CACHE)
        live, pages, other = cache.live(), cache.slabs, len(machine.owners) - cache.slabs
        words = f"{live} object{'s' * (live != 1)} of {CACHE} in use, in {pages} page{'s' * (pages != 1)}."
        if other:
            return False, f"{words} {other} page{'s' * (other != 1)} belong{'s' * (other == 1)} to another cache: use only {CACHE}."
        empty = sum(not cache.slab(number).live for number in cache.numbers())
        if (live, pages) == (3, 3) and empty:
            return False, f"{words} But {empty} of the pages ha{'s' if empty == 1 else 've'} no object in use."
        return (live, pages) == (3, 3), words

    goal = f"Leave 3 objects of {CACHE} in use, one in each of 3 pages, and no other object."
    return Task(goal, slab(), 31, judge, only="kmalloc kfree")


def one_page_back() -> Task:
    """Return the task: 15 full slabs of 512-byte objects; get one page back.

    Returns:
        The task; the fewest requests are 21 frees: 8 empty one slab, and 13 more slabs are touched.

    >>> one_page_back().do("; ".join(f"kfree @{k}" for k in range(8))).text[:80]
    "15 pages held. 1 slab is empty. 1 of 13 slabs wait on the CPU's partial list, an"
    """

    def judge(tape: Tape[Any]) -> tuple[bool, str]:
        cache = tape.at(len(tape)).cache(CACHE)
        empty = [cache.place[number] for number in cache.numbers() if not cache.slab(number).live]
        waiting, limit = len(cache.cpu[0].partial), cache.layout.cpu_partial_slabs
        if cache.slabs < 15:
            return True, f"{cache.slabs} pages held. {15 - cache.slabs} went back."
        slabs = f"{len(empty)} slab{'s are' if len(empty) != 1 else ' is'} empty"
        lists = f"{waiting} of {limit} slabs wait on the CPU's partial list, and {cache.nr_partial(0)} are on the node's"
        words = f"15 pages held. {slabs}. {lists}."
        if NODE_PARTIAL in empty:
            words += f" An empty slab that reaches the node while it has fewer than {cache.layout.min_partial} stays there."
        return False, words

    goal = f"15 slabs of {CACHE} are full. Free objects until one page goes back to the page allocator."
    return Task(goal, slab(f"kmalloc 512 x{15 * 8}"), 21, judge, only="kfree")
