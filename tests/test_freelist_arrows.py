"""Arrows of a freelist: from one stop to the next, never two on one line, and none where they would not be legible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import quads

from pagelab.view.drawing import Drawing
from pagelab.view.freelist_arrows import MOST, Stop, arrows, draw_arrows, thin_line
from pagelab.view.palette import LIGHT

STOPS = st.lists(st.builds(Stop, st.integers(0, 3), st.sampled_from([60 * i + 30 for i in range(12)])), unique=True, max_size=14)


@given(STOPS, st.integers(1, 6))
def test_no_two_arrows_share_a_line(stops, lanes):
    found = arrows([(stops, False)], lanes)
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            if (one.gap, one.lane) == (other.gap, other.lane):
                a, b = sorted((one.start.x, one.end.x)), sorted((other.start.x, other.end.x))
                assert a[1] < b[0] or b[1] < a[0]
    assert all(arrow.lane < lanes for arrow in found)


@given(STOPS)
def test_every_arrow_is_there_or_none(stops):
    found = arrows([(stops, True)], 3)
    assert len(found) in (0, len(stops) - 1)
    if found:
        assert [arrow.start.row for arrow in found] == [stop.row for stop in stops[:-1]]
        assert [arrow.end.row for arrow in found] == [stop.row for stop in stops[1:]]
    if len(stops) > MOST:
        assert found == []


def test_an_arrow_leaves_and_arrives_at_the_edges_of_its_rows():
    for one, other, leave, arrive in [
        (Stop(0, 100), Stop(0, 300), 34, 34),
        (Stop(0, 100), Stop(1, 300), 34, 46),
        (Stop(2, 100), Stop(1, 300), 92, 80),
        (Stop(0, 100), Stop(3, 300), 34, 138),
    ]:
        drawing = Drawing(LIGHT)
        draw_arrows(drawing, arrows([([one, other], False)], 3), 0, 34, 46, 3)
        lines = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.quiet]
        assert min(abs(quad.top - leave) + abs(quad.bottom - leave) for quad in lines if quad.left == 106) < 14
        heads = [quad for quad in quads(drawing.marks) if quad.fill == LIGHT.ink]
        assert {round(quad.right - quad.left) for quad in heads} == {1, 3, 5}
        assert min(min(abs(quad.top - arrive), abs(quad.bottom - arrive)) for quad in heads) <= 1


@pytest.mark.parametrize(("dashed", "parts"), [(False, 1), (True, 15)])
def test_a_dashed_line_has_gaps(dashed, parts):
    drawing = Drawing(LIGHT)
    thin_line(drawing, 0, 0, 100, 0, dashed)
    thin_line(drawing, 0, 100, 0, 0, dashed)
    assert len(quads(drawing.marks)) == 2 * parts
    assert all(quad.bottom - quad.top == 1 or quad.right - quad.left == 1 for quad in quads(drawing.marks))
