"""Results that take longer than a client waits: computed in the background, one at a time, and kept.

Rules:
1. One who asks waits a moment. If the result is not there then, the answer is given without it, or is 503.
2. A failure is told to those who wait, and the next request tries again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 256  # results that are kept; the one that was not asked for longest goes first
PATIENCE = 0.5  # seconds that one who asks waits


class LaterResults(Generic[T]):
    """The results of one kind."""

    def __init__(self, *, most: int = MOST, patience: float = PATIENCE) -> None:
        self._most, self._patience = most, patience
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._turn = asyncio.Lock()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T | None:
        """Return a result, or None if it is still being computed. Raises what `make` raises."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(self._make(key, make))
            task.add_done_callback(lambda done: self._settle(key, done))
        await asyncio.wait({task}, timeout=self._patience)
        return await task if task.done() else None

    async def close(self) -> None:
        """End all computations."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            found = await make()
        self._known[key] = found
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found

    def _settle(self, key: Hashable, done: "asyncio.Task[T]") -> None:
        self._tasks.pop(key, None)
        if not done.cancelled():
            done.exception()  # those who wait are told
