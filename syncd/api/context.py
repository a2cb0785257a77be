"""What every route works with: the daemon's control, the door, the stream of events, the metrics, the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from syncd.api.auth.door import AccessControl, Identity
from syncd.api.errors import HttpError
from syncd.api.sse import EventStream
from syncd.control import Control

Metrics = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Given the Accept header, returns the exposition and its content type."""


VISITOR = web.RequestKey("visitor", Identity)
"""Who asks, once the door knows."""
IS_PAGE = web.RequestKey("is_page", bool)
"""Whether a person waits for a page."""
BACK = web.RequestKey("back", str)
"""Where to come back to after a login, if not here."""


class CheckQueue:
    """Lets one go at a time, and only so many wait for it."""

    def __init__(self, most: int, what: str) -> None:
        """`what` is what those do who wait, in the plural."""
        self._lock = asyncio.Lock()
        self._most, self._what = most, what
        self._here = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and keep it over the block. Raises HttpError if too many wait."""
        if self._here > self._most:
            raise HttpError(503, "Refused", f"{self._most} {self._what} wait already", "ask again", retry_after=5)
        self._here += 1
        try:
            async with self._lock:
                yield
        finally:
            self._here -= 1


class ErrorPage(Protocol):
    """Shows a person, in place of the page that was asked for, why there is none."""

    async def declined(self, desk: "ApiContext", request: web.Request, error: HttpError) -> web.Response:
        """Return the answer to a request that was declined."""
        ...


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Everything a route may use."""

    control: Control
    access: AccessControl
    stream: EventStream
    metrics: Metrics | None
    clock: Callable[[], float]
    """The time of day, in seconds since the epoch."""
    site: ErrorPage | None
    """Absent where only programs are answered."""
    checks: CheckQueue
    """Manifests are checked one after the other: a large one takes a processor for seconds."""
