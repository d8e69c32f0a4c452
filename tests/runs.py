"""What the tests of words and figures need: runs to step through, and drawings read back as rectangles and words."""

import random
from typing import NamedTuple

from pagelab.lab.tape import Tape
from pagelab.mm.boot import boot_machine
from pagelab.mm.call import alloc_request, free_received, free_request, other_request
from pagelab.mm.machine import Machine
from pagelab.mm.machine import machine as make_machine
from pagelab.mm.page_alloc import boot
from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE
from pagelab.view.columns import moment

# seed, pages, start_pfn: zones that fit a screen, one block short, not aligned, across pageblocks.
SMALL = [(1, 16, 0), (2, 24, 0), (3, 32, 0), (4, 64, 0), (5, 17, 5), (6, 33, 1)]
LARGE = [(7, 100, 0), (8, 700, 0), (9, 1024, 0), (10, 2000, 0)]
RUNS = SMALL + LARGE
KINDS = ("6.1", "6.12", "small", "small pcp", "pcp", "pcp 6.1", "watermarks", "zones", "nodes")


def random_run(seed, pages, start=0, length=30):
    """Return a tape of allocations and frees, some refused."""
    source, live = random.Random(seed), []
    tape = Tape(Machine(boot(pages, start)))
    while len(tape) < length:
        if live and source.random() < 0.45:
            tape = tape.then([free_request(live.pop(source.randrange(len(live))))])
            continue
        mt = UNMOVABLE if start and source.random() < 0.5 else source.choice([MOVABLE] * 9 + [UNMOVABLE])
        tape = tape.then([alloc_request(source.choice([0, 0, 0, 0, 1, 1, 2, 3, 9]), mt)])
        if tape.received[-1] >= 0:
            live.append(tape.received[-1])
    return tape


def busy_run(seed, machine, length=60, verbs=("drain", "compact")):
    """Return a tape of all kinds of requests on a machine of any kind: orders, types, CPUs, nodes, frees by other CPUs."""
    source, live, tape = random.Random(seed), [], Tape(machine)
    while len(tape) < length:
        cpu, node = source.randrange(machine.cpus), source.randrange(machine.nodes)
        if live and source.random() < 0.4:
            tape = tape.then([free_received(live.pop(source.randrange(len(live))), cpu)])
        elif source.random() < 0.06 and verbs:
            verb = source.choice(verbs)
            tape = tape.then([other_request(verb, machine.zone.end_pfn - 1 if "isolate" in verb else 0)])
        else:
            mt, order = source.choice([MOVABLE] * 3 + [UNMOVABLE, RECLAIMABLE]), source.choice([0, 0, 0, 0, 1, 2, 3, 5, 9])
            tape = tape.then([alloc_request(order, mt, cpu, node, source.choice([0, 0, 0, 1]))])
            if tape.received[-1] >= 0:
                live.append(len(tape) - 1)
    return tape


def kinds_of_machines():
    """Return machines of all kinds, by name: bare, 6.1, per-CPU lists, watermarks, several zones and nodes."""
    return {
        "6.1": make_machine(2048, "6.1"),
        "6.12": make_machine(2048),
        "small": make_machine(64),
        "small pcp": make_machine(64, pcp=True, cpus=2),
        "pcp": make_machine(2048, pcp=True, cpus=2),
        "pcp 6.1": make_machine(1500, "6.1", pcp=True, cpus=4),
        "watermarks": make_machine("48 MiB", pcp=True, cpus=2, min_free_kbytes=886),
        "zones": boot_machine([(256, 6000)], cpus=2),
        "nodes": boot_machine([(256, 8192)], [(8192, 12_288)], cpus=2),
    }


def moments(tape):
    """Yield every moment of a tape, act by act, and the end."""
    for k in range(len(tape)):
        for act in range(len(tape.acts(k))):
            yield moment(tape, k, act)
    yield moment(tape, len(tape), 0)


def pages(pfn, order):
    """Return the pages of a block."""
    return set(range(pfn, pfn + (1 << order)))


class Quad(NamedTuple):
    """One rectangle of a drawing."""

    left: float
    top: float
    right: float
    bottom: float
    fill: str
    fill_alpha: float
    line: str
    line_width: float
    dash: str
    hatch: str
    hatch_color: str
    tip: str

    def holds(self, x, y):
        return self.left <= x <= self.right and self.top <= y <= self.bottom


class Word(NamedTuple):
    """One text of a drawing."""

    x: float
    y: float
    text: str
    color: str
    size: str
    style: str
    font: str
    align: str

    @property
    def box(self):
        """Where the text stands, guessed narrowly: half its size for each letter."""
        size = float(self.size.removesuffix("px"))
        width = 0.5 * size * len(self.text)
        left = self.x - {"left": 0, "center": width / 2, "right": width}[self.align]
        return left, self.y - 0.3 * size, left + width, self.y + 0.3 * size


def rows(columns, kind):
    """Return the rows of a drawing's columns, which must be of equal length."""
    return [kind(*row) for row in zip(*(columns[name] for name in kind._fields), strict=True)]


def quads(columns):
    """Return the rectangles of columns."""
    return rows(columns, Quad)


def words(columns):
    """Return the texts of columns."""
    return rows(columns, Word)


def outside(drawn, width, height, margin=4):
    """Return the rectangles and words that leave a figure of this size."""
    boxes = [(quad[:4], quad.tip or quad.line) for part in ("blocks", "marks") for quad in quads(drawn[part])]
    boxes += [(word.box, word.text) for word in words(drawn["words"])]
    return [
        (name, box) for box, name in boxes if box[0] < -margin or box[2] > width + margin or box[1] < -margin or box[3] > height + margin
    ]


def overlapping(texts):
    """Return the pairs of texts that stand on each other; a text that is drawn twice in one place is one."""
    found, texts = [], list({(word.x, word.y, word.text): word for word in texts}.values())
    for i, one in enumerate(texts):
        for other in texts[i + 1 :]:
            a, b = one.box, other.box
            if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                found.append((one.text, other.text))
    return found


def columns_of(drawing):
    """Return the three parts of a drawing by name."""
    return {"blocks": drawing.blocks, "marks": drawing.marks, "words": drawing.words}


def accents(drawing_or_columns, theme):
    """Return the rectangles in the accent: rings (outlined) and fills."""
    parts = drawing_or_columns if isinstance(drawing_or_columns, dict) else columns_of(drawing_or_columns)
    every = [quad for part in ("blocks", "marks") for quad in quads(parts[part])]
    rings = [quad for quad in every if quad.line == theme.changed and quad.line_width]
    return rings, [quad for quad in every if quad.fill == theme.changed and quad.fill_alpha]
