"""Memory for the parts of files: mapped, so that it is given back at once, and used again while files are in progress.

Rules:
1. Memory is used again only if no view of it is left, as its number of references says: a thread or a request that
   still held one would write into, or send, the bytes of another file.
2. Memory that waits for another use is at most `spare` bytes, and gives way to new memory: both together are no more
   than what was in use at once before. Where no file is in progress, none waits.
"""

import mmap
import sys
import threading
from contextlib import suppress

SPARE = 64 << 20  # bytes that wait for another use
_ALONE = 3  # references to memory that nobody uses: the list, the loop over it, and the count itself
_HUGE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)  # of Linux alone, as are the others
_DROP: int | None = getattr(mmap, "MADV_DONTNEED", None)


class MappedMemory:
    """Hands out memory, in any thread."""

    def __init__(self, spare: int = SPARE) -> None:
        self._spare = spare
        self._waiting: list[mmap.mmap] = []  # the shortest first
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Return the bytes that wait for another use."""
        with self._lock:
            return sum(map(len, self._waiting))

    def take(self, length: int) -> mmap.mmap:
        """Return at least `length` bytes; their content is undefined."""
        with self._lock:
            for at, found in enumerate(self._waiting):
                if len(found) >= length:
                    del self._waiting[at]
                    break
            else:
                freed = 0
                while self._waiting and freed < length:
                    freed += len(self._waiting.pop())
                return _mapped(length)
        rest = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
        if rest < len(found) and _DROP is not None:
            found.madvise(_DROP, rest)
        return found

    def give_back(self, blocks: list[mmap.mmap]) -> None:
        """Keep blocks for another use, those of which no view is left."""
        with self._lock:
            left = self._spare - sum(map(len, self._waiting))
            for block in blocks:
                if sys.getrefcount(block) == _ALONE and len(block) <= left:
                    left -= len(block)
                    self._waiting.append(block)
            self._waiting.sort(key=len)

    def clear(self) -> None:
        """Give all memory that waits back to the system."""
        with self._lock:
            self._waiting.clear()


def _mapped(length: int) -> mmap.mmap:
    """Map memory of this process, in huge pages where there are some: they take a fifth of the time to fill."""
    found = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if _HUGE is not None:
        with suppress(OSError):  # a kernel without them
            found.madvise(_HUGE)
    return found
