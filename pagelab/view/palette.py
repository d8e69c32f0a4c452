"""One fill, one hatch and one letter per state; two columns, light and dark.

The further from the paper, the harder to get the page back. Lightness carries the state; hue, hatch and letter repeat it. The accent has
one meaning: now.
"""

from typing import NamedTuple

from ..mm.zone import HOLE, IN_USE, NOT_HEAD, PCP, RESERVED
from ..real.flags import KIND_UNKNOWN

GAP = NOT_HEAD
NOTHING = "#00000000"
# What a texture is drawn with, as bytes that are no state: bars and lines of paper, dots and lines of quiet.
BAR, DOT, PAPER_LINE, QUIET_LINE = range(0xF8, 0xFC)
_STROKES = {BAR: ("paper", 0x61), DOT: ("quiet", 0xE0), PAPER_LINE: ("paper", 0x80), QUIET_LINE: ("quiet", 0x99)}


class Theme(NamedTuple):
    """The colours of one column, by role."""

    name: str
    paper: str
    ink: str
    quiet: str
    hairline: str
    free: str
    free_outline: str
    pcp: str
    movable: str
    reclaimable: str
    unmovable: str
    reserved: str
    unknown: str
    changed: str
    changed_text: str


LIGHT = Theme(
    name="light",
    paper="#FFFFFF",
    ink="#1F2328",
    quiet="#57606A",
    hairline="#D5DAE0",
    free="#E4EFF7",
    free_outline="#4F87AD",
    pcp="#B4D3E6",
    movable="#74B39B",
    reclaimable="#9A5F88",
    unmovable="#285682",
    reserved="#30353B",
    unknown="#9AA3AD",
    changed="#C94A00",
    changed_text="#B84300",
)
DARK = Theme(
    name="dark",
    paper="#111111",
    ink="#E8EAED",
    quiet="#A9B1BA",
    hairline="#3B424A",
    free="#1B2C39",
    free_outline="#5F97BD",
    pcp="#27506D",
    movable="#30735B",
    reclaimable="#B880A6",
    unmovable="#86B9E2",
    reserved="#D9DDE2",
    unknown="#5B6570",
    changed="#FF8A3D",
    changed_text="#FF9A57",
)


class Look(NamedTuple):
    """How a state is drawn: the role of its fill and of text on it, its hatch, its letter and its name in words."""

    fill: str
    text: str
    hatch: str
    letter: str
    words: str


FREE_LOOK = Look("free", "ink", "blank", "", "free")
HOLE_LOOK = Look("paper", "quiet", "right_diagonal_line", "", "hole")
RESERVED_LOOK = Look("reserved", "paper", "diagonal_cross", "", "reserved")
UNKNOWN_LOOK = Look("unknown", "ink", "blank", "", "in use, kind not known")
PCP_LOOK = Look("pcp", "ink", "dot", "p", "per-CPU list")
USED_LOOKS = (
    Look("unmovable", "paper", "blank", "U", "unmovable"),
    Look("movable", "ink", "blank", "M", "movable"),
    Look("reclaimable", "paper", "horizontal_line", "R", "reclaimable"),
)


def look(state: int) -> Look:
    """Return how a state byte of a zone is drawn.

    >>> look(IN_USE | 1 << 4).words, look(0x14).words
    ('movable', 'free')
    """
    if state in (HOLE, GAP):
        return HOLE_LOOK
    if state == RESERVED:
        return RESERVED_LOOK
    if state >= KIND_UNKNOWN:
        return UNKNOWN_LOOK
    if state >= IN_USE:
        return USED_LOOKS[min(state >> 4 & 7, 2)]
    return PCP_LOOK if state >= PCP else FREE_LOOK


def colours(theme: Theme) -> list[str]:
    """Return the fill of each of the 256 state bytes, for a colour mapper: nothing for a gap, and the strokes of textures.

    >>> len(colours(LIGHT)), colours(LIGHT)[0x60]
    (256, '#E4EFF7')
    """
    fills = [getattr(theme, look(state).fill) for state in range(256)]
    for stroke, (role, alpha) in _STROKES.items():
        fills[stroke] = f"{getattr(theme, role)}{alpha:02X}"
    fills[GAP] = NOTHING
    return fills
