"""The map of a dataset's place is drawn from whatever upstream says, and stays on the map."""

import re

from hypothesis import given, settings, strategies as st

from syncd.face.footprints import MOST, box_outline, draw, outlines

numbers = st.floats() | st.integers() | st.none() | st.text(max_size=3)
anything = st.recursive(numbers | st.booleans(), lambda inner: st.lists(inner, max_size=4), max_leaves=20)
boxes = st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90))


@settings(max_examples=200)
@given(st.sampled_from(["Polygon", "MultiPolygon", "Point", "x"]), anything, anything)
def test_any_geometry_is_drawn_within_bounds_or_not_at_all(kind, coordinates, box):
    for ring in outlines({"geometry": {"type": kind, "coordinates": coordinates}, "bbox": box}):
        assert all(-360 <= x <= 540 and -90 <= y <= 90 for x, y in ring)


@settings(max_examples=200)
@given(st.lists(boxes, min_size=1, max_size=5))
def test_the_part_of_the_world_that_is_shown_is_twice_as_wide_as_high_and_on_the_map(places):
    drawn = draw([box_outline(*one) for one in places])
    assert drawn is not None
    x, y, width, height = map(float, drawn.view.split())
    assert abs(width - 2 * height) < 0.3
    assert -0.1 <= x <= x + width <= 360.2
    assert -0.1 <= y <= y + height <= 180.2
    assert all(re.fullmatch(r"(M[-\d. Lze+]+z)+", one) for one in drawn.outlines)


def test_a_place_over_the_antimeridian_is_drawn_on_both_sides():
    drawn = draw([box_outline(170, -10, -170, 10)])
    assert drawn is not None
    assert drawn.view == "0 0 360 180"
    assert drawn.outlines[0].startswith("M350 100L370 100")
    assert "M-10 100L10 100" in drawn.outlines[0]
    jumping = draw([((175.0, 0.0), (-175.0, 0.0), (-175.0, 5.0), (175.0, 5.0))])
    assert jumping is not None
    assert "355 90L365 90" in jumping.outlines[0]


def test_very_many_outlines_become_counts_in_cells():
    drawn = draw([box_outline(n % 90, 10, n % 90 + 1, 11) for n in range(MOST + 1)])
    assert drawn is not None
    assert drawn.outlines == ()
    assert drawn.cells
    assert draw([]) is None
