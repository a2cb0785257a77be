"""A file in memory, filled in any order and in pieces of any size."""

import itertools

import pytest
from hypothesis import given, strategies as st

from syncd.core.errors import Damaged
from syncd.stores.s3.mapped_memory import MappedMemory
from syncd.stores.s3.part_buffers import PartBuffers


@given(st.binary(max_size=60), st.integers(1, 20), st.data())
def test_a_file_is_whole_however_it_was_filled_and_each_part_is_complete_once(body, step, data):
    buffers, complete = PartBuffers("f", len(body), step, MappedMemory()), []
    cuts = sorted({0, len(body), *data.draw(st.lists(st.integers(0, len(body)), max_size=6))})
    spans = data.draw(st.permutations(list(itertools.pairwise(cuts))))
    for start, stop in [*spans, *spans[:2]]:  # some twice, as after a retry
        complete += buffers.fill(start, body[start:stop])
    assert sorted(complete) == list(range(1, -(-len(body) // step) + 1))
    assert b"".join(buffers.complete(len(body))) == body
    assert buffers.ranges == ([(0, len(body))] if body else [])
    for start, stop in spans:
        found = bytearray()
        buffers.read(start, stop, found.extend)
        assert found == body[start:stop]


def test_more_bytes_than_announced_are_refused():
    with pytest.raises(Damaged, match=r"^f: 3 bytes were announced"):
        PartBuffers("f", 3, 2, MappedMemory()).fill(2, b"xx")
