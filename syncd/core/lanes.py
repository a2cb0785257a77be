"""Work over a list by several tasks at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from operator import length_hint
from typing import TypeVar

T = TypeVar("T")


async def in_lanes(width: int, rows: Iterable[T], act: Callable[[T], Awaitable[object]]) -> None:
    """Call `act` with each of `rows`, `width` of them at once.

    After a failure no further row is begun, those under way are cancelled, and the failure is raised, not a group.
    """
    left = iter(rows)

    async def lane() -> None:
        for row in left:
            await act(row)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(width, length_hint(rows, width))):
                group.create_task(lane())
    except BaseExceptionGroup as failed:
        raise first_of(failed) from failed


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of a group."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
