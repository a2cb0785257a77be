"""Limits the bytes of files that a process holds in memory until a server has them.

Rules:
1. Room is given in the order of requests; a large request is not overtaken.
2. An owner (a pass) that holds nothing is admitted at once, even beyond the limit: no pass waits for the slow upstream
   of another one. What all passes may hold together is limited by `budget.memory`.
"""

import asyncio
from collections import Counter, deque
from contextlib import suppress


class ByteRoom:
    """Room for `most` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._held: Counter[object] = Counter()
        self._waiting: deque[tuple[object, int, asyncio.Future[None]]] = deque()

    async def acquire(self, count: int, owner: object) -> None:
        """Wait for room for `count` bytes. The caller holds nothing that others need to give theirs back."""
        if self.acquire_now(count, owner):
            return
        turn = asyncio.get_running_loop().create_future()
        request = (owner, count, turn)
        self._waiting.append(request)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count, owner)
            else:
                with suppress(ValueError):  # `release` passed it over meanwhile
                    self._waiting.remove(request)
                self._admit()
            raise

    def acquire_now(self, count: int, owner: object) -> bool:
        """Take room for `count` bytes if they need not wait; return True if they were taken."""
        if self._held[owner] > 0 and (self._waiting or self.used + count > self.most):
            return False
        self._take(count, owner)
        return True

    def release(self, count: int, owner: object) -> None:
        """Give back room that was acquired."""
        self.used -= count
        self._held[owner] -= count
        if self._held[owner] <= 0:
            del self._held[owner]
        self._admit()

    def _admit(self) -> None:
        is_full = False
        for request in tuple(self._waiting):
            owner, count, turn = request
            if turn.cancelled():
                self._waiting.remove(request)
            elif self._held[owner] == 0 or (not is_full and self.used + count <= self.most):
                self._waiting.remove(request)
                self._take(count, owner)
                turn.set_result(None)
            else:
                is_full = True

    def _take(self, count: int, owner: object) -> None:
        self.used += count
        self._held[owner] += count
