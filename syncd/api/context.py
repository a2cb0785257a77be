"""The dependencies of routes: the daemon's control, authentication, the stream of events, the metrics, the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast

from aiohttp import web

from manifests.access import Caller
from manifests.messages import message
from syncd.api.auth.door import AccessControl, Identity
from syncd.api.errors import HttpError
from syncd.api.limited_control import LimitedControl, limited_control
from syncd.api.sse import EventStream
from syncd.control import Control

Metrics = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Given the Accept header, returns the exposition and its content type."""


VISITOR = web.RequestKey("visitor", Identity)
"""The sender of the request, after authentication."""
IS_PAGE = web.RequestKey("is_page", bool)
"""True if the request is for a page, not for the API."""
BACK = web.RequestKey("back", str)
"""The path to return to after a login, if it is not this one."""


class CheckQueue:
    """Runs one task at a time, with a limited number of waiting ones."""

    def __init__(self, most: int, what: str) -> None:
        """`what` names the waiting tasks, in the plural."""
        self._lock = asyncio.Lock()
        self._most, self._what = most, what
        self._here = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and keep it over the block. Raises HttpError if too many wait."""
        if self._here > self._most:
            raise HttpError(
                503,
                "Refused",
                message("{most} {what} are waiting already", most=self._most, what=self._what),
                message("ask again"),
                retry_after=5,
            )
        self._here += 1
        try:
            async with self._lock:
                yield
        finally:
            self._here -= 1


class ErrorPage(Protocol):
    """Renders a page for a rejected request."""

    async def declined(self, desk: "ApiContext", request: web.Request, error: HttpError) -> web.Response:
        """Return the answer to a rejected request."""
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
    """None if there is no page for people."""
    checks: CheckQueue
    """Manifests are checked one after the other: a large one takes seconds of processor time."""
    caller: Caller | None = None
    """As whom the request reads; None if it may see every mirror."""

    def seen_by(self, caller: Caller | None) -> "ApiContext":
        """Return the context of a request, whose `control` has the mirrors that the caller may see."""
        if caller is None:
            return self
        return replace(self, control=limited_control(self.control, caller), caller=caller)

    @property
    def sees(self) -> Callable[[str], bool] | None:
        """Return what tells whose events the caller may see; None if all."""
        return cast("LimitedControl", self.control).sees_events if self.caller is not None else None
