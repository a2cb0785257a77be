"""Memory of a stored file becomes that of the next one, and of no file while anything may still look at it."""

import mmap

import pytest

from syncd.stores.s3.mapped_memory import MappedMemory
from syncd.stores.s3.part_buffers import BufferSink, PartBuffers

PAGE = mmap.PAGESIZE


def used(memory, length):
    """Take memory and give it back."""
    memory.give_back([memory.take(length)])


def test_memory_that_was_given_back_is_used_again_by_files_of_that_length_and_shorter_ones():
    memory = MappedMemory()
    used(memory, 3 * PAGE)
    assert memory.waiting == 3 * PAGE
    first = memory.take(PAGE)
    assert (len(first), memory.waiting) == (3 * PAGE, 0)
    assert len(memory.take(PAGE)) == PAGE


@pytest.mark.parametrize("held", [memoryview, lambda block: memoryview(block)[1:2], lambda block: block])
def test_memory_that_anything_still_holds_is_never_used_again(held):
    memory = MappedMemory()
    blocks = [memory.take(PAGE)]
    holder = held(blocks[0])
    memory.give_back(blocks)
    assert memory.waiting == 0
    del holder


def test_what_waits_is_bounded_gives_way_to_new_memory_and_ends():
    memory = MappedMemory(spare=4 * PAGE)
    memory.give_back([memory.take(2 * PAGE), memory.take(PAGE), memory.take(2 * PAGE)])
    assert memory.waiting == 3 * PAGE
    memory.take(4 * PAGE)  # longer than each that waits
    assert memory.waiting == 0
    used(memory, PAGE)
    memory.clear()
    assert memory.waiting == 0


def test_a_stored_file_gives_its_memory_to_the_next_one_unless_a_request_still_holds_it():
    memory = MappedMemory()
    for is_held in (False, True):
        buffers = PartBuffers("f", 3 * PAGE, 2 * PAGE, memory)
        buffers.fill(0, bytes(3 * PAGE))
        request = buffers.complete(3 * PAGE) if is_held else None
        buffers.give_back()
        assert memory.waiting == (0 if is_held else 3 * PAGE)
        del request


def test_bytes_received_into_a_file_and_bytes_that_are_passed_are_both_its_content():
    complete: list[int] = []
    buffers = PartBuffers("f", 10, 4, MappedMemory())
    sink = BufferSink(buffers, 0, complete.append)
    room = sink.room(3)
    room[:2] = b"ab"
    sink(room[:2])  # fewer arrived
    sink(memoryview(b"cdef"))  # had arrived already
    while (at := sum(stop - start for start, stop in buffers.ranges)) < 10:
        room = sink.room(10 - at)
        room[:] = b"abcdefghij"[at : at + len(room)]
        sink(room)
    assert b"".join(buffers.complete(10)) == b"abcdefghij"
    assert complete == [1, 2, 3]
