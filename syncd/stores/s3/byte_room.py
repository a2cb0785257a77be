"""Limits the bytes of files that a process holds in memory until a server has them."""

import asyncio
from collections import deque
from contextlib import suppress


class ByteRoom:
    """Room for `most` bytes, given in the order of requests; one that is larger waits until it is alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, count: int) -> None:
        """Wait for room for `count` bytes. The caller holds nothing that others need to give theirs back."""
        if self.acquire_now(count):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)
            else:
                with suppress(ValueError):  # `release` passed it over meanwhile
                    self._waiting.remove((count, turn))
                self._admit()
            raise

    def acquire_now(self, count: int) -> bool:
        """Take room for `count` bytes if no one waits and they fit; return True if they were taken."""
        if self._waiting or not self._fits(count):
            return False
        self.used += count
        return True

    def release(self, count: int) -> None:
        """Give back room that was acquired."""
        self.used -= count
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            count, turn = self._waiting[0]
            if not turn.cancelled():
                if not self._fits(count):
                    return
                self.used += count
                turn.set_result(None)
            self._waiting.popleft()

    def _fits(self, count: int) -> bool:
        return self.used == 0 or self.used + count <= self.most
