"""Requests as a learner types them: `alloc 0 x16; free @1`.

    alloc ORDER [unmovable|movable|reclaimable] [dma|dma32|highmem] [atomic] [cpu N] [node N] [xN]
    alloc_exact PAGES     with the same words after it
    free @K [cpu N]       what request K received; @4-6 frees what requests 4, 5 and 6 received, in this order
    free PFN [cpu N]      decimal or 0x...
    drain [cpu N]         the per-CPU lists, of one CPU or of all
    compact
    isolate PFN           the pageblock of that page; unisolate PFN ends it

and on a machine with caches

    kmalloc SIZE [reclaimable|dma|account] [cpu N] [xN]
    kmem_cache_alloc NAME [cpu N] [xN]
    kfree @K [cpu N]      what request K received, or @4-6; kmem_cache_free is the same
    shrink NAME
    write @K SIZE         who holds that object writes so many bytes, from its start

Requests are separated by `;` or a new line. Movable, cpu 0 and node 0 are left out when printed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import NamedTuple

from ..mm.call import (
    FREE,
    MODIFIERS,
    NUMBER_END,
    PFN_END,
    alloc_request,
    exact_request,
    free_received,
    free_request,
    other_request,
    unpack,
)
from ..mm.slab_call import (
    KFREE_NUMBER,
    KMALLOC_TYPES,
    LENGTH_END,
    VERB_SHIFT,
    WRITER_END,
    cache_request,
    kfree_request,
    kmalloc_request,
    unpack_slab,
    write_request,
)
from ..mm.slab_common import KMALLOC_MAX_SIZE
from ..mm.units import MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER
from ..mm.zone import MIGRATE_PCPTYPES, MIGRATETYPES, MOVABLE

MAX_REPEAT = 1_000_000


class RequestError(ValueError):
    """A request that cannot be read or done.

    Attributes:
        problem: one sentence.
        text: what was typed.
        start, end: where in the text the word stands that the sentence is about.
    """

    def __init__(self, problem: str, text: str, start: int, end: int) -> None:
        line = text.rfind("\n", 0, start) + 1
        shown = text[line:].split("\n", 1)[0]
        super().__init__(f"{problem}\n  {shown}\n  {' ' * (start - line)}{'^' * max(1, end - start)}")
        self.problem, self.text, self.start, self.end = problem, text, start, end


class Parsed(NamedTuple):
    """One request and the place of the word that it stands or falls with."""

    request: int
    start: int
    end: int


class _Words:
    """The words of one request, taken from the left."""

    def __init__(self, text: str, start: int, end: int, names: Sequence[str]) -> None:
        self.text, self.names = text, names
        self.words = [(m[0], m.start(), m.end()) for m in re.compile(r"\S+").finditer(text, start, end)]
        self.at = 0
        self.subject = 1  # the word that the request stands or falls with when it is done

    def peek(self) -> str:
        return self.words[self.at][0].lower() if self.at < len(self.words) else ""

    def shown(self) -> str:
        return repr(self.words[self.at][0])

    def error(self, problem: str, at: int | None = None) -> RequestError:
        at = self.at if at is None else at
        end = self.words[-1][2]
        _, start, end = self.words[at] if at < len(self.words) else ("", end, end + 1)
        return RequestError(problem, self.text, start, end)

    def number(self, what: str, name: str, end: int, prefix: str = "") -> int:
        """Take a number from 0 up to, not including, end."""
        word = self.peek().removeprefix(prefix)
        if not re.fullmatch(r"[0-9]{1,18}|0x[0-9a-f]{1,15}", word):
            raise self.error(f"{self.shown()} is not {what}" if self.peek() else f"{what} is missing here")
        value = int(word, 0 if word.startswith("0x") else 10)
        if value >= end:
            raise self.error(f"{name}{value} does not exist: give 0..{end - 1}")
        self.at += 1
        return value


def parse(text: str, names: Sequence[str] = (), only: Sequence[str] = ()) -> list[Parsed]:
    """Read requests.

    Args:
        text: requests separated by `;` or new lines; empty ones are passed over.
        names: of the caches, as the machine has them; a machine without caches has none, and no request for objects.
        only: the first words of the requests that a task allows; none for any.

    Returns:
        A Parsed for each request; `x16` makes sixteen, and `@4-6` three.

    Raises:
        RequestError: names the word that is not understood, and points at it.

    >>> [hex(p.request) for p in parse("alloc 1 x2; free @0")]
    ['0x11', '0x11', '0xc0000000']
    """
    verbs = _VERBS | _SLAB_VERBS if names else _VERBS
    found: list[Parsed] = []
    for part in re.finditer(r"[^;\n]+", text):
        words = _Words(text, part.start(), part.end(), names)
        if not words.words:
            continue
        verb = words.peek()
        if verb not in verbs:
            *some, last = only or verbs
            known = f"{', '.join(some)}{' or ' * bool(some)}{last}"
            raise words.error(f"{words.shown()} is no request{' here' * (verb in _SLAB_VERBS)}: write {known}")
        if only and verbs[verb] not in [verbs[allowed] for allowed in only]:
            raise words.error(f"{words.shown()} is not allowed: this task allows only {' and '.join(only)}")
        words.at = 1
        request, repeat = verbs[verb](words)  # frees of a range are of one request after another
        if words.at < len(words.words):
            raise words.error(f"{words.shown()} does not belong here")
        place = words.words[words.subject]
        found.extend(Parsed(request + k * ("free" in verb), place[1], place[2]) for k in range(repeat))
        if len(found) > MAX_REPEAT:
            raise words.error(f"these are more than {MAX_REPEAT:,} requests: ask for fewer", 0)
    return found


def _alloc(words: _Words) -> tuple[int, int]:
    order = words.number("an order (0..10)", "order ", MAX_PAGE_ORDER + 1)
    given = _options(words, "the order", _KINDS, _AFTER)
    return alloc_request(order, *_values(given)), given.get("x", 1)


def _alloc_exact(words: _Words) -> tuple[int, int]:
    pages = words.number("a number of pages", "a size of ", MAX_ORDER_NR_PAGES + 1)
    if not pages:
        raise words.error(f"0 pages cannot be asked for: give 1..{MAX_ORDER_NR_PAGES}", 1)
    given = _options(words, "the pages", _KINDS, _AFTER)
    return exact_request(pages, *_values(given)), given.get("x", 1)


def _values(given: dict[str, int]) -> tuple[int, int, int, int, bool]:
    return given.get("mt", MOVABLE), given.get("cpu", 0), given.get("node", 0), given.get("zone", 0), "atomic" in given


_KINDS = {
    **dict.fromkeys(MIGRATETYPES[:MIGRATE_PCPTYPES], "mt"),
    **dict.fromkeys(MODIFIERS[1:], "zone"),
    **{word: word for word in ("atomic", "cpu", "node")},
}
_WORDS = {"mt": MIGRATETYPES, "zone": MODIFIERS, "type": KMALLOC_TYPES}
_AFTER = "a migratetype, dma, dma32 or highmem, atomic, cpu N, node N or xN, each once"


def _options(words: _Words, first: str, kinds: dict[str, str], after: str) -> dict[str, int]:
    """Take what may follow an allocation's first word, in any order."""
    given: dict[str, int] = {}
    while word := words.peek():
        kind = "x" if re.fullmatch(r"x[0-9]+", word) else kinds.get(word, "")
        if not kind or kind in given:
            raise words.error(f"{words.shown()} does not belong here: after {first} come {after}")
        given[kind] = _option(words, kind)
    return given


def _option(words: _Words, kind: str) -> int:
    word = words.peek()
    if kind == "x":
        if len(word) > 18 or not 1 <= int(word[1:]) <= MAX_REPEAT:
            raise words.error(f"{words.shown()} must be from x1 to x{MAX_REPEAT}")
        return words.number("a repeat", "repeat ", MAX_REPEAT + 1, "x")
    if kind in ("cpu", "node"):
        return _place(words, kind)
    words.at += 1
    return _WORDS[kind].index(word) if kind != "atomic" else 1


def _place(words: _Words, kind: str) -> int:
    """Take a CPU or a node; the first that is not 0 is what the request stands or falls with."""
    words.at += 1
    value = words.number(f"a {kind}", f"{kind} ", 16)
    words.subject = words.at - 1 if value and words.subject == 1 else words.subject
    return value


def _cpu(words: _Words) -> int | None:
    return _place(words, "cpu") if words.peek() == "cpu" else None


def _free(words: _Words) -> tuple[int, int]:
    if words.peek().startswith("@"):
        first, count = _received_all(words, NUMBER_END)
        return free_received(first, _cpu(words) or 0), count
    return free_request(words.number("a pfn, or @ and the number of a request", "pfn ", NUMBER_END), _cpu(words) or 0), 1


def _drain(words: _Words) -> tuple[int, int]:
    cpu = _cpu(words)
    words.subject = 0 if cpu is None else 2
    return other_request("drain", 0 if cpu is None else cpu + 1), 1


def _compact(words: _Words) -> tuple[int, int]:
    words.subject = 0
    return other_request("compact"), 1


def _pageblock(words: _Words) -> tuple[int, int]:
    verb = words.words[0][0].lower()
    return other_request(verb, words.number("a pfn", "pfn ", PFN_END)), 1


_VERBS: dict[str, Callable[[_Words], tuple[int, int]]] = {
    "alloc": _alloc,
    "free": _free,
    "drain": _drain,
    "compact": _compact,
    "isolate": _pageblock,
    "unisolate": _pageblock,
    "alloc_exact": _alloc_exact,
}


# Requests for objects.


def _kmalloc(words: _Words) -> tuple[int, int]:
    size = words.number("a number of bytes", "a size of ", KMALLOC_MAX_SIZE + 1)
    if not size:
        raise words.error(f"0 bytes cannot be asked for: give 1..{KMALLOC_MAX_SIZE}", 1)
    given = _options(words, "the size", _KMALLOC_KINDS, "reclaimable, dma or account, cpu N or xN, each once")
    return kmalloc_request(size, given.get("cpu", 0), given.get("type", 0)), given.get("x", 1)


def _kmem_cache_alloc(words: _Words) -> tuple[int, int]:
    number = _cache(words)
    given = _options(words, "the name", {"cpu": "cpu"}, "cpu N or xN, each once")
    return cache_request("kmem_cache_alloc", number, given.get("cpu", 0)), given.get("x", 1)


def _kfree(words: _Words) -> tuple[int, int]:
    first, count = _received_all(words, KFREE_NUMBER + 1)
    return kfree_request(first, _cpu(words) or 0), count


def _shrink(words: _Words) -> tuple[int, int]:
    return cache_request("shrink", _cache(words)), 1


def _write(words: _Words) -> tuple[int, int]:
    return write_request(_received(words, WRITER_END), words.number("a number of bytes", "a length of ", LENGTH_END)), 1


def _received(words: _Words, end: int) -> int:
    """Take @ and the number of an earlier request, which can be left out nowhere: an object has no pfn."""
    what = "@ and the number of a request"
    if words.peek() and not words.peek().startswith("@"):
        raise words.error(f"{words.shown()} is not {what}")
    return words.number(what, "@", end, "@")


def _received_all(words: _Words, end: int) -> tuple[int, int]:
    """Take @ and the number of a request, or of the first and the last of several; return the first, and how many."""
    if not (found := re.fullmatch(r"@([0-9]{1,18})-([0-9]{1,18})", words.peek())):
        if re.match(r"@[0-9].*[-.@]", words.peek()):
            raise words.error(f"{words.shown()} cannot be read: several requests are written as @4-6")
        return _received(words, end), 1
    first, last = map(int, found.groups())
    if not first <= last < end or last - first >= MAX_REPEAT:
        raise words.error(f"{words.shown()} cannot be read: write the lower number first, and up to {MAX_REPEAT:,} requests")
    words.at += 1
    return first, last - first + 1


def _cache(words: _Words) -> int:
    """Take the name of a cache, written as the machine has it."""
    if not words.peek():
        raise words.error("the name of a cache is missing here")
    name = words.words[words.at][0]
    if name not in words.names:
        near = get_close_matches(name, words.names, 1) or [words.names[-1]]
        raise words.error(f"{words.shown()} is no cache of this machine: it has {near[0]}, and {len(words.names) - 1} more names")
    words.at += 1
    return words.names.index(name)


_KMALLOC_KINDS = dict.fromkeys(KMALLOC_TYPES[1:], "type") | {"cpu": "cpu"}
_SLAB_VERBS: dict[str, Callable[[_Words], tuple[int, int]]] = {
    "kmalloc": _kmalloc,
    "kmem_cache_alloc": _kmem_cache_alloc,
    "kfree": _kfree,
    "kmem_cache_free": _kfree,
    "shrink": _shrink,
    "write": _write,
}


def verb_of(request: int) -> str:
    """Tell what a request is.

    Args:
        request: a packed request.

    Returns:
        The word that it begins with when it is written.

    >>> verb_of(parse("free @1")[0].request)
    'free'
    """
    return unpack_slab(request).verb if _for_objects(request) else unpack(request).verb


def _for_objects(request: int) -> bool:
    return 0 < request >> VERB_SHIFT < FREE >> VERB_SHIFT


def to_text(requests: Iterable[int], names: Sequence[str] = ()) -> str:
    """Write requests as text that `parse` reads back.

    Args:
        requests: packed requests.
        names: of the caches, as `parse` has them.

    Returns:
        The shortest form; equal allocations in a row are written once with xN.

    >>> to_text(p.request for p in parse("alloc 0; alloc 0 movable; free 0x10"))
    'alloc 0 x2; free 16'
    """
    return "; ".join(_runs(requests, names))


def _runs(requests: Iterable[int], names: Sequence[str]) -> Iterator[str]:
    for request, run in groupby(requests):
        count = sum(1 for _ in run)
        words = _written_slab(request, names) if _for_objects(request) else _written(request)
        if words[0].startswith(("alloc", "kmalloc", "kmem_cache_alloc")):
            yield " ".join(filter(None, [*words, f"x{count}" if count > 1 else ""]))
        else:
            yield from [" ".join(filter(None, words))] * count


def _written(request: int) -> list[str]:
    """Write one request, word by word; empty words are left out."""
    verb, number, mt, cpu, node, modifier, atomic, ref = unpack(request)
    on_cpu = f"cpu {cpu}" if cpu else ""
    match verb:
        case "free":
            return [f"free {'@' if ref else ''}{number}", on_cpu]
        case "drain":
            return [verb, f"cpu {number - 1}" if number else ""]
        case "compact":
            return [verb]
        case "isolate" | "unisolate":
            return [f"{verb} {number}"]
    kind = "" if mt == MOVABLE else MIGRATETYPES[mt]
    return [f"{verb} {number}", kind, MODIFIERS[modifier], "atomic" if atomic else "", on_cpu, f"node {node}" if node else ""]


def _written_slab(request: int, names: Sequence[str]) -> list[str]:
    """Write one request for an object, word by word; empty words are left out."""
    verb, number, cpu, kind, size = unpack_slab(request)
    on_cpu = f"cpu {cpu}" if cpu else ""
    match verb:
        case "kmalloc":
            return [f"{verb} {number}", KMALLOC_TYPES[kind] if kind else "", on_cpu]
        case "kfree":
            return [f"{verb} @{number}", on_cpu]
        case "write":
            return [f"{verb} @{number} {size}"]
    return [f"{verb} {names[number]}", on_cpu if verb == "kmem_cache_alloc" else ""]
