"""A tape: the requests of a run, and the state before and after any of them.

Only requests are kept, what each received, and a snapshot every 4,096. A tape is a value: `then` and `fork` give a new one that shares the
past, and nothing changes one in place.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, Self, TypeVar

from .request import Parsed, RequestError, parse, to_text

KEYFRAME = 4096


class Model(Protocol):
    """What a tape can drive: any model that applies requests, and whose state can be kept and brought back."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the caches that requests can name, by number."""

    def apply(self, request: int, received: Sequence[int], /) -> int:
        """Do one request; return what it received."""

    def acts(self, request: int, received: Sequence[int], /) -> list[Any]:
        """Do one request; return what happened."""

    def blank(self) -> Self:
        """Return an empty model of the same shape."""

    def snapshot(self) -> Any:
        """Return the whole state."""

    def restore(self, snapshot: Any, /) -> None:
        """Bring a state back."""


M = TypeVar("M", bound=Model)


class Tape(Generic[M]):
    """A run of a model, from a start to any length.

    Args:
        start: the model in the state before request 0; it is copied.

    >>> from pagelab.mm.machine import machine
    >>> tape = Tape(machine(16)).then("alloc 0; alloc 1; free @0")
    >>> len(tape), list(tape.received), tape.at(2).zone.nr_free_pages()
    (3, [0, 2, -2], 13)
    """

    def __init__(self, start: M) -> None:
        self._blank = start.blank()
        self._keyframes: list[Any] = [start.snapshot()]
        self._requests = array("I")
        self._received = array("i")

    def __len__(self) -> int:
        return len(self._requests)

    def __repr__(self) -> str:
        return f"<tape of {len(self):,} requests>"

    @property
    def requests(self) -> Sequence[int]:
        """The requests, packed as `pagelab.mm.call` says."""
        return memoryview(self._requests).toreadonly()

    @property
    def received(self) -> Sequence[int]:
        """What each request received: a pfn, REFUSED, COMPACTED for a compaction, or NOTHING."""
        return memoryview(self._received).toreadonly()

    @property
    def names(self) -> Sequence[str]:
        """The names of the caches that requests can name; empty where there are none."""
        return self._blank.names

    @property
    def text(self) -> str:
        """The requests as text."""
        return to_text(self._requests, self.names)

    def then(self, requests: str | Iterable[int]) -> "Tape[M]":
        """Go on from the end.

        Args:
            requests: text as `pagelab.lab.request` reads it, or packed requests.

        Returns:
            A new tape that shares this one's past.

        Raises:
            RequestError: the text cannot be read, or a request in it cannot be done.
            ValueError: a packed request cannot be done.

        >>> from pagelab.mm.machine import machine
        >>> Tape(machine(16)).then("free 3")
        Traceback (most recent call last):
            ...
        pagelab.lab.request.RequestError: cannot free pfn 3: in zone Normal, a block of order 4 at 0 is free
          free 3
               ^
        """
        parsed = parse(requests, self.names) if isinstance(requests, str) else None
        new = self.fork(len(self))
        try:
            new._run([p.request for p in parsed] if parsed is not None else requests)  # type: ignore[arg-type]
        except OverflowError:
            raise ValueError("a request does not fit: a request is a whole number of 32 bits") from None
        except ValueError as problem:
            if parsed is None:
                raise
            where: Parsed = parsed[len(new._received) - len(self)]
            raise RequestError(str(problem), str(requests), where.start, where.end) from None
        return new

    def _run(self, requests: Iterable[int]) -> None:
        model = self.at(len(self))
        apply, log, received = model.apply, self._requests, self._received
        receive, requests = received.append, iter(requests)
        while batch := array("I", islice(requests, KEYFRAME - len(log) % KEYFRAME)):
            for request in batch:
                receive(apply(request, received))
            log.extend(batch)
            if not len(log) % KEYFRAME:
                self._keyframes.append(model.snapshot())

    def fork(self, k: int) -> "Tape[M]":
        """Return a tape of the first k requests, to go on another way.

        Args:
            k: 0..len(tape).

        Raises:
            ValueError: k is out of that range.
        """
        self._check(k, len(self))
        new = object.__new__(type(self))
        new._blank = self._blank
        new._keyframes = self._keyframes[: k // KEYFRAME + 1]
        new._requests, new._received = self._requests[:k], self._received[:k]
        return new

    def at(self, k: int) -> M:
        """Return the model as it was before request k; `at(len(tape))` is the end.

        Args:
            k: 0..len(tape).

        Raises:
            ValueError: k is out of that range.
        """
        self._check(k, len(self))
        model = self._blank.blank()
        model.restore(self._keyframes[k // KEYFRAME])
        apply, received = model.apply, self._received
        for request in self._requests[k - k % KEYFRAME : k]:
            apply(request, received)
        return model

    def acts(self, k: int) -> list[Any]:
        """Return what request k did, act by act; the first act is the request itself.

        Args:
            k: 0..len(tape) - 1.

        Raises:
            ValueError: k is out of that range.
        """
        self._check(k, len(self) - 1)
        return self.at(k).acts(self._requests[k], self._received[:k])

    def under(self, other: M) -> "Tape[M]":
        """Run the same requests on another model.

        Args:
            other: the model in its state before request 0.

        Raises:
            ValueError: a request cannot be done there.
        """
        return Tape(other).then(self._requests)

    @staticmethod
    def _check(k: int, last: int) -> None:
        if not 0 <= k <= last:
            raise ValueError(f"step {k} does not exist: steps here are 0..{last}" if last >= 0 else "this tape is empty")
