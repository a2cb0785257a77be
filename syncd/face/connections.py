"""Bounds the time in which a connection must send its first request (slow senders of headers)."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from syncd.api import ConnectionLimit

FIRST_REQUEST = 20.0  # seconds from the beginning of a connection to the end of its first request's headers


class PublicConnections(ConnectionLimit):
    """The connections of strangers: as many as `ConnectionLimit` allows, and each asks soon, or is closed."""

    def __init__(self, most: int | None = None, *, first_request: float = FIRST_REQUEST) -> None:
        super().__init__(most)
        self._first_request = first_request
        self._silent: set[asyncio.Protocol] = set()

    def protocols(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """Return the protocol factory for a listening socket of `server`."""
        accept = super().protocols(server)

        def begin() -> asyncio.Protocol:
            protocol = accept()
            self._silent.add(protocol)
            asyncio.get_running_loop().call_later(self._first_request, self._end_if_silent, protocol)
            return protocol

        return begin

    def asked(self, protocol: asyncio.Protocol) -> None:
        """Note that a connection has sent a request."""
        self._silent.discard(protocol)

    def _end_if_silent(self, protocol: asyncio.Protocol) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            if isinstance(protocol, web.RequestHandler) and protocol.transport is not None:
                protocol.force_close()
