"""Shares an event loop among passes: in each turn of the loop, one of them works on one slice of its rows.

A task that only yields (`asyncio.sleep(0)`) goes on in the next turn, and so do all others: with eight passes, the loop
stands still for eight slices. Tasks that await `next_turn` go on one after the other, in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextvars import ContextVar
from itertools import islice
from typing import TypeVar
from weakref import WeakKeyDictionary

from syncd.core.steps import SLICE

T = TypeVar("T")


async def next_turn(rows: int = SLICE) -> None:
    """Wait for a turn of the loop in which at most SLICE rows are handled, the caller's next `rows` among them."""
    loop = asyncio.get_running_loop()
    waiting = _own.get(None)
    if waiting is None:
        waiting = _of_loops.setdefault(loop, deque())
    mine = loop.create_future()
    waiting.append((mine, rows))
    if len(waiting) == 1:
        loop.call_soon(_grant, loop, waiting)
    await mine


async def in_slices(rows: Iterable[T], size: int = SLICE) -> AsyncGenerator[list[T], None]:
    """Yield `rows` in lists, each in a turn of its own."""
    left, found = iter(rows), size
    while found == size:
        await next_turn(size)
        part = list(islice(left, size))
        found = len(part)
        if part:
            yield part


async def collected(rows: Iterable[T]) -> list[T]:
    """Return all `rows`, read in slices."""
    found: list[T] = []
    async for part in in_slices(rows):
        found += part
    return found


def take_own_turns() -> None:
    """Take turns within this context only: one loop may run several simulated processes, which can be killed."""
    _own.set(deque())


Waiting = deque[tuple[asyncio.Future[None], int]]
"""The tasks that wait, with their rows. While one waits, `_grant` is scheduled for the next turn."""

_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiting] = WeakKeyDictionary()
_own: ContextVar[Waiting] = ContextVar("own_turns")


def _grant(loop: asyncio.AbstractEventLoop, waiting: Waiting) -> None:
    """Let those who wait longest go on, as many as share one slice, but at least one."""
    room = SLICE
    while waiting and (waiting[0][0].done() or waiting[0][1] <= room or room == SLICE):
        mine, rows = waiting.popleft()
        if not mine.done():  # it may have been cancelled
            room -= rows
            mine.set_result(None)
    if waiting:
        loop.call_soon(_grant, loop, waiting)
