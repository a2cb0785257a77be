"""The bytes of one file in memory, part by part; filled in any order, also by threads that read sockets."""

import mmap
import threading
from collections.abc import Callable

from manifests.messages import message
from syncd.core import Damaged, Sink
from syncd.stores import ranges
from syncd.stores.s3.mapped_memory import MappedMemory


class PartBuffers:
    """Buffers for `size` bytes in parts of `step` bytes; each is made with its first byte."""

    def __init__(self, path: str, size: int, step: int, memory: MappedMemory) -> None:
        self.ranges: list[tuple[int, int]] = []
        """The bytes of the file that are here."""
        self._path = path
        self._size = size
        self._step = step
        self._memory = memory
        self._blocks: list[mmap.mmap] = []
        self._parts: dict[int, memoryview] = {}
        self._filled: dict[int, list[tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def fill(self, offset: int, chunk: bytes | memoryview) -> list[int]:
        """Copy `chunk` to `offset`; return the numbers of the parts that this completes. In any thread."""
        complete: list[int] = []
        view = memoryview(chunk)
        while view:
            part = self.room(offset, len(view))
            part[:] = view[: len(part)]
            complete += self.filled(offset, len(part))
            offset += len(part)
            view = view[len(part) :]
        return complete

    def room(self, offset: int, most: int) -> memoryview:
        """Return the memory of at most `most` bytes from `offset` on; it ends with its part. In any thread."""
        if offset + most > self._size:
            raise Damaged(
                message("{path}: {size} bytes were announced, more are written", path=self._path, size=self._size)
            )
        within = offset % self._step
        return self._part(offset // self._step + 1)[within : within + most]

    def filled(self, offset: int, count: int) -> list[int]:
        """Record that `count` bytes of one part were filled; return its number if this completes it. In any thread."""
        number, within = offset // self._step + 1, offset % self._step
        length = len(self._part(number))
        with self._lock:
            filled = self._filled[number]
            was_complete = filled == [(0, length)]
            ranges.add(filled, within, within + count)
            ranges.add(self.ranges, offset, offset + count)
            return [number] if filled == [(0, length)] and not was_complete else []

    def part(self, number: int) -> memoryview:
        """Return the bytes of a part."""
        return self._parts[number]

    def complete(self, size: int) -> list[memoryview]:
        """Return the first `size` bytes, which are here."""
        found: list[memoryview] = []
        for number in sorted(self._parts):
            found.append(self._parts[number][:size])
            size -= len(found[-1])
        return found

    def read(self, start: int, stop: int, update: Sink) -> None:
        """Pass `[start, stop)` to `update`."""
        while start < stop:
            number, within = start // self._step + 1, start % self._step
            piece = self._parts[number][within : within + stop - start]
            update(piece)
            start += len(piece)

    def give_back(self) -> None:
        """Give the memory back: the file is stored. Nothing can be filled or read any more."""
        with self._lock:
            self._parts.clear()
            self._size = 0
            blocks, self._blocks = self._blocks, []
        self._memory.give_back(blocks)

    def _part(self, number: int) -> memoryview:
        with self._lock:
            found = self._parts.get(number)
            if found is None:
                length = min(self._step, self._size - (number - 1) * self._step)
                block = self._memory.take(length)
                self._blocks.append(block)
                found = self._parts[number] = memoryview(block)[:length]
                self._filled[number] = []
            return found


class BufferSink:
    """Takes the bytes of a file from an offset on; satisfies `syncd.core.ReceivingSink`."""

    def __init__(self, buffers: PartBuffers, offset: int, on_complete: Callable[[int], object]) -> None:
        """`on_complete` is called with the number of each part that is complete."""
        self._buffers = buffers
        self._at = offset
        self._on_complete = on_complete
        self._room: memoryview | None = None

    def room(self, most: int) -> memoryview:
        """Return memory of the file for the next bytes."""
        self._room = self._buffers.room(self._at, most)
        return self._room

    def __call__(self, chunk: memoryview) -> None:
        """Count bytes that were received into `room`; copy others."""
        room, self._room = self._room, None
        if room is not None and chunk.obj is room.obj:
            complete = self._buffers.filled(self._at, len(chunk))
        else:
            complete = self._buffers.fill(self._at, chunk)
        self._at += len(chunk)
        for number in complete:
            self._on_complete(number)
