"""The room that one file takes in a store that keeps bytes in memory until they are sent (`ports.Buffering`).

Rule: room is waited for only while no response is open. A response that shows a file to be larger than was known takes
the room at once, or is closed: others may need its slot to give theirs back.
"""

from types import TracebackType
from typing import Self

from syncd.core import Buffering, SyncdError


class NeedsRoom(SyncdError):
    """A file needs room for `count` bytes, and there is none now."""

    def __init__(self, count: int) -> None:
        super().__init__(str(count))
        self.count = count


class MemoryHold:
    """Room for one file over a block."""

    __slots__ = ("_count", "_owner", "_store")

    def __init__(self, store: Buffering, count: int, owner: str) -> None:
        """`owner` is the mirror."""
        self._owner = owner
        self._store = store
        self._count = count

    async def __aenter__(self) -> Self:
        await self._store.room.acquire(self._count, self._owner)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.room.release(self._count, self._owner)

    def grow(self, size: int | None) -> None:
        """Take the room for a file of `size` bytes, in all. Raises NeedsRoom."""
        wanted = self._store.held(size)
        if wanted > self._count:
            if not self._store.room.acquire_now(wanted - self._count, self._owner):
                raise NeedsRoom(wanted)
            self._count = wanted
