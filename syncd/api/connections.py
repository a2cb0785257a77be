"""Bounds what strangers can hold of the HTTP server: connections in number and time, and lines of the log.

Rules:
1. At the limit the connection that has been idle longest is closed for a new one: health checks and the page always
   get through, however many connections other clients hold open.
2. A malformed request is the client's fault: one short line without a traceback, and of many only their number.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

MOST_CONNECTIONS = 512
SHARE = 4  # a quarter of the process's descriptors; passes need the rest
IDLE = 75.0  # seconds without a request; longer than the keep-alive of the usual proxies
QUIET = 10.0  # seconds between two lines about malformed requests

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConnectionLimit:
    """Creates the protocol of each accepted connection; closes idle ones where there are too many."""

    def __init__(self, most: int | None = None) -> None:
        """`most` connections at once; by default MOST_CONNECTIONS, or a share of the limit of open files."""
        self.most = most or _affordable()
        self._busy: dict[asyncio.Protocol, int] = {}

    def protocols(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """Return the protocol factory for a listening socket of `server`."""

        def accept() -> asyncio.Protocol:
            held = server.connections  # the oldest first
            if len(held) < self.most:
                return server()
            idle = next((one for one in held if one not in self._busy and one.transport is not None), None)
            if idle is None:
                return _Refusal()
            idle.force_close()
            return server()

        return accept

    def middleware(self) -> Any:
        """Return the middleware that tells connections with a request in progress from idle ones."""

        @web.middleware
        async def busy(request: web.Request, handler: Handler) -> web.StreamResponse:
            with self.busy(request.protocol):
                return await handler(request)

        return busy

    @contextmanager
    def busy(self, connection: asyncio.Protocol) -> Iterator[None]:
        """Note that a connection has a request in progress, until the block ends."""
        self._busy[connection] = self._busy.get(connection, 0) + 1
        try:
            yield
        finally:
            self._busy[connection] -= 1
            if not self._busy[connection]:
                del self._busy[connection]


class _Refusal(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _affordable() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MOST_CONNECTIONS, soft // SHARE))


class MalformedRequests(logging.Filter):
    """Shortens the server's log records about malformed requests to one line, and limits their rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: float | None = None
        self._skipped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that is only counted."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        now = self._clock()
        if self._told is not None and now - self._told < QUIET:
            self._skipped += 1
            return False
        more = f" ({self._skipped} more since the last such line)" if self._skipped else ""
        client = record.args[0] if isinstance(record.args, tuple) and record.args else "an unknown client"
        record.msg, record.args = "malformed HTTP request from %s: %s%s", (client, type(error).__name__, more)
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        self._told, self._skipped = now, 0
        return True


def server_log() -> logging.Logger:
    """Return the log of one HTTP server."""
    log = logging.Logger("syncd.http")  # noqa: LOG001  one for each server, not the process's
    log.parent = logging.getLogger()
    log.addFilter(MalformedRequests())
    return log
