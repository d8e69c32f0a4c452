"""Questions that a captured trace asks: what the rules say is next, and what they cannot say yet."""

import random
from functools import cache

from pagelab.lab.exercise import DRAWS
from pagelab.lab.question import Run
from pagelab.lab.request import to_text
from pagelab.lab.tape import Tape
from pagelab.lab.trace_question import Learned, WrongPicks
from pagelab.lab.variant import beliefs
from pagelab.mm.call import unpack
from pagelab.mm.machine import Machine
from pagelab.mm.zone import Zone
from pagelab.real.buddy import Score
from pagelab.real.capture import Capture
from pagelab.real.learning import Learning
from pagelab.real.recording import Recording, as_machine, plain
from pagelab.real.replay import TRACE, replay


def excerpt(capture: Capture, first: int, last: int) -> str:
    """Return lines of a trace as they stand there, without the task and the address of struct page.

    Args:
        capture: with trace.txt.
        first, last: numbers of lines, from 1.

    Returns:
        The lines, each with its number.

    Raises:
        CaptureError: the file is missing or damaged.

    >>> from pagelab.real.capture import example
    >>> excerpt(example("612-hi-256M-1cpu"), 6691, 6691)
    '6691: mm_page_pcpu_drain: pfn=0x7dfc order=2 migratetype=0'
    """
    chosen = []
    for number, text in capture.lines(TRACE):
        if number > last:
            break
        if number >= first:
            event = text.split(": ", 1)[-1] if not text.startswith("#") else text
            chosen.append(f"{number}: " + " ".join(word for word in event.split() if not word.startswith("page=")))
    return "\n".join(chosen)


def frees_and_takes(tape: Tape[Recording], order: int, mt: int) -> tuple[Tape[Machine], str]:
    """Make a machine and requests of what a recording does with the blocks of one order and type.

    Args:
        tape: as `record` makes it.
        order: 0..10.
        mt: migratetype.

    Returns:
        A tape of the machine at the beginning, without requests; and the frees and takes as text.

    >>> from pagelab.real.capture import example
    >>> from pagelab.real.recording import record
    >>> frees_and_takes(record(example("612-hi-256M-1cpu"), "DMA32", lines=(6691, 6704)), 2, 0)[1]
    'free 32252; free 34868; free 21468; free 21616; alloc 2 unmovable x3'
    """
    recording, chosen = tape.at(0), []
    zone = recording.zone
    for request, step in zip(tape.requests, recording.steps[recording.done :], strict=True):
        event, call = step[0], unpack(request)
        if event.order != order or (event.mt if call.verb == "alloc" else zone.block_type(event.pfn)) != mt:
            continue
        if call.verb == "free" and isinstance(zone, Learning):
            zone.occupy(event.pfn, order)
        chosen += [request] if call.verb in ("alloc", "free") else []
    return Tape(plain(recording)), to_text(chosen)


def pick(tape: Tape[Recording], seed: int) -> Run:
    """Draw a take of a trace, and ask which page it gets; the lists before it are those of the question's tape.

    Args:
        tape: as `record` makes it.
        seed: any integer; the same seed gives the same take.

    Returns:
        A question that the belief in the lowest address gets wrong, and whose answer is the page that the kernel took.

    Raises:
        ValueError: no take of this tape is of that kind.

    >>> from pagelab.real.capture import example
    >>> from pagelab.real.recording import record
    >>> pick(record(example("612-hi-256M-1cpu"), "DMA32", lines=(6600, 7000)), 1).requests
    'alloc 0'
    """
    source, learned = random.Random(seed), set(learned_picks(tape).learned)
    for _ in range(DRAWS):
        k = source.randrange(len(tape))
        if tape.received[k] < 0 or k in learned:
            continue
        question = Run(Tape(as_machine(tape, k)), to_text([tape.requests[k]]), "pfn")
        truth = question.truth()
        if truth == tape.received[k] and beliefs(question).get("lowest-address", truth) != truth:
            return question
    raise ValueError(f"seed {seed}: none of {DRAWS:,} draws is a take whose page another belief would not name too")


def learned_picks(tape: Tape[Recording]) -> Learned:
    """Ask which takes of a tape must be learned.

    Args:
        tape: as `record` makes it.

    Returns:
        The question.

    >>> from pagelab.real.capture import example
    >>> from pagelab.real.recording import record
    >>> question = learned_picks(record(example("612-hi-256M-1cpu"), "DMA32", lines=(1, 250)))
    >>> len(question.takes), question.truth()
    (30, [0, 1, 5, 15, 19])
    """
    recording, takes, learned = tape.at(0), list[int](), list[int]()
    for k, request in enumerate(tape.requests):
        known = recording.buddy.score.learned + recording.buddy.fallbacks.learned
        if recording.apply(request, ()) >= 0:
            takes.append(k)
            if recording.buddy.score.learned + recording.buddy.fallbacks.learned > known:
                learned.append(k)
    return Learned(tuple(takes), tuple(learned))


def wrong_picks(capture: Capture, belief: type[Zone]) -> WrongPicks:
    """Ask how many picks of a trace a belief gets wrong; the trace is replayed when somebody answers.

    Args:
        capture: with a trace and its first snapshot.
        belief: a stand-in for Zone with one rule replaced.

    Returns:
        The question.

    >>> from pagelab.lab.stand_in import LifoOnly
    >>> from pagelab.real.capture import example
    >>> wrong_picks(example("612-hi-256M-1cpu"), LifoOnly).truth()
    109
    """

    @cache
    def picks() -> tuple[int, int, int]:
        score = replay(capture, belief).pages or Score()
        return score.definite, score.wrong, score.learned

    return WrongPicks(belief.__name__, picks)
