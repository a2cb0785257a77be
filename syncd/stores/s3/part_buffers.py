"""The bytes of one file in memory, part by part; filled in any order, also by threads that read sockets."""

import mmap
import threading

from manifests.messages import message
from syncd.core import Damaged, Sink
from syncd.stores import ranges


class PartBuffers:
    """Buffers for `size` bytes in parts of `step` bytes; each is made with its first byte."""

    def __init__(self, path: str, size: int, step: int) -> None:
        self.ranges: list[tuple[int, int]] = []
        """The bytes of the file that are here."""
        self._path = path
        self._size = size
        self._step = step
        self._parts: dict[int, memoryview] = {}
        self._filled: dict[int, list[tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def fill(self, offset: int, chunk: bytes | memoryview) -> list[int]:
        """Copy `chunk` to `offset`; return the numbers of the parts that this completes. In any thread."""
        complete: list[int] = []
        view = memoryview(chunk)
        if offset + len(view) > self._size:
            raise Damaged(
                message("{path}: {size} bytes were announced, more are written", path=self._path, size=self._size)
            )
        while view:
            number, within = offset // self._step + 1, offset % self._step
            part = self._part(number)
            taken = view[: len(part) - within]
            part[within : within + len(taken)] = taken
            with self._lock:
                filled = self._filled[number]
                was_complete = filled == [(0, len(part))]
                ranges.add(filled, within, within + len(taken))
                ranges.add(self.ranges, offset, offset + len(taken))
                if filled == [(0, len(part))] and not was_complete:
                    complete.append(number)
            offset += len(taken)
            view = view[len(taken) :]
        return complete

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

    def _part(self, number: int) -> memoryview:
        with self._lock:
            found = self._parts.get(number)
            if found is None:
                length = min(self._step, self._size - (number - 1) * self._step)
                # mapped: what threads allocate in heaps of their own is given back late, or to no other thread
                found = self._parts[number] = memoryview(mmap.mmap(-1, length))
                self._filled[number] = []
            return found
