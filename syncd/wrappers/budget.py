"""How many bytes and files may be under way at once: memory is this budget and a constant, whatever upstream holds."""

import asyncio
from collections import deque
from typing import Protocol


class ByteBudget(Protocol):
    """What bounds the files under way of one pass; a Budget, or a share of one (`syncd.wrappers.fair_share`)."""

    async def acquire(self, count: int) -> None:
        """Wait until `count` bytes and one more file fit."""
        ...

    def release(self, count: int) -> None:
        """Return what was taken."""
        ...


class Budget:
    """A semaphore over bytes and files. It always admits one, lest a file larger than the budget waits for ever."""

    def __init__(self, max_bytes: int, max_files: int) -> None:
        """Both bounds hold at once."""
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.bytes = 0
        self.files = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, count: int) -> None:
        """Wait until `count` bytes and one more file fit; in the order of asking, so a large file is not starved."""
        if not self._waiting and self._fits(count):
            self.bytes += count
            self.files += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)
            else:
                self._waiting.remove((count, turn))
                self._admit()
            raise

    def release(self, count: int) -> None:
        """Return what was taken."""
        self.bytes -= count
        self.files -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            count, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.bytes += count
                self.files += 1
                turn.set_result(None)

    def _fits(self, count: int) -> bool:
        return self.files == 0 or (self.bytes + count <= self.max_bytes and self.files < self.max_files)
