"""Which parts of a file are held: the same as a set of bytes would say."""

import itertools

from hypothesis import given, strategies as st

from syncd.stores import ranges

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(SPANS)
def test_ranges_hold_exactly_the_bytes_that_were_added(spans):
    held, seen = [], set()
    for start, stop in spans:
        ranges.add(held, start, stop)
        seen |= set(range(start, stop))
    assert {at for start, stop in held for at in range(start, stop)} == seen
    assert all(before[1] < after[0] for before, after in itertools.pairwise(held))
    assert all(start < stop for start, stop in held)


@given(SPANS, st.integers(0, 45))
def test_a_whole_file_has_no_gap_and_another_names_its_first(spans, size):
    held, seen = [], set()
    for start, stop in spans:
        ranges.add(held, start, stop)
        seen |= set(range(start, stop))
    missing = set(range(size)) - seen
    if ranges.are_complete(held, size):
        assert not missing
    elif missing:
        start, stop = ranges.first_gap(held, size)
        assert start == min(missing)
        assert set(range(start, stop)) <= missing
