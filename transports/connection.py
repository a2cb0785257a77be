"""Connections to one or more HTTP origins: aiohttp opens, encrypts, pools and parses; the request line is written here.

`ClientSession.get` costs four times the processor time of the exchange itself, and a mirror of small files is nothing
but exchanges. So the session is left out: a `TCPConnector` gives the connection, its `ResponseHandler` parses.

Rules:
1. A connection goes back to the pool only after a body that was read to its end, with not a byte behind it.
2. A reused connection that dies before the first byte of an answer was closed while idle: asked again on a fresh one.
3. Nothing here follows redirects, sends credentials, keeps cookies or decompresses.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from syncd.errors import Denied, Interrupted, Refused, Unreachable, Unsafe
from transports.addresses import is_public, refusal

HEADERS = 64  # lines
LINE = 16 << 10  # bytes of one
BUFFER = 1 << 19  # bytes of a body that wait before the connection is paused
IDLE = 30.0  # seconds an unused connection is kept
POOLED = 128  # idle connections kept for one origin

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class Connections:
    """The open connections of one transport."""

    def __init__(
        self,
        *,
        allow_private: frozenset[str],
        ssl_context: ssl.SSLContext | None,
        connect_timeout: float,
        header_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Timeouts in seconds; `allow_private` are origins whose addresses may be private."""
        self._allow_private = allow_private
        self._ssl = ssl_context
        self._connect_timeout = connect_timeout
        self._header_timeout = header_timeout
        self._clock = clock
        self._connectors: dict[str, aiohttp.TCPConnector] = {}
        self._idle: dict[str, deque[tuple[float, Connection]]] = {}

    async def exchange(self, origin: str, head: bytes, *, bodiless: bool) -> "Answer":
        """Send a request and return its answer, the body still to be read; `bodiless` for HEAD.

        Raises Unreachable, Refused, Denied (TLS), Unsafe (address), Interrupted (no HTTP).
        """
        idle = self._idle.get(origin)
        while idle:
            since, connection = idle.pop()
            protocol = connection.protocol
            if protocol is None or not protocol.is_connected() or self._clock() - since > IDLE:
                connection.close()
                continue
            try:
                return await self._ask(origin, connection, head, bodiless=bodiless)
            except (Refused, Unreachable):
                continue  # closed while idle: the next one, at last a fresh one
        connection = await self._connect(origin)
        return await self._ask(origin, connection, head, bodiless=bodiless)

    async def _ask(self, origin: str, connection: Connection, head: bytes, *, bodiless: bool) -> "Answer":
        protocol = connection.protocol
        assert protocol is not None
        try:
            protocol.set_response_params(
                skip_payload=bodiless,
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=self._header_timeout,
                read_bufsize=BUFFER,
                max_line_size=LINE,
                max_field_size=LINE,
                max_headers=HEADERS,
            )
            transport = protocol.transport
            if transport is None:
                raise Refused(f"{origin}: the connection was closed")
            transport.write(head)
            protocol.start_timeout()
            message, payload = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, payload = await protocol.read()
        except BaseException as error:
            connection.close()
            if isinstance(error, aiohttp.ServerTimeoutError):
                raise Unreachable(f"{origin}: no answer within {self._header_timeout:.0f} s") from error
            if isinstance(error, aiohttp.ClientPayloadError | HttpProcessingError):
                raise Interrupted(f"{origin}: the answer is not HTTP: {_words(error)}") from error
            if isinstance(error, aiohttp.ClientError | OSError | EOFError):
                raise Refused(f"{origin}: closed the connection without an answer") from error
            raise
        return Answer(self, origin, connection, protocol, message, payload)

    async def _connect(self, origin: str) -> Connection:
        connector = self._connectors.get(origin)
        if connector is None:
            connector = self._connectors[origin] = self._connector(origin)
        request = aiohttp.ClientRequest("GET", URL(origin), loop=asyncio.get_running_loop(), ssl=self._ssl or True)
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout, sock_connect=self._connect_timeout)
        try:
            return await connector.connect(request, [], timeout)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Denied(f"{origin}: its certificate proves nothing: {_words(error.certificate_error)}") from error
        except aiohttp.ClientConnectorSSLError as error:
            raise Denied(f"{origin}: no safe connection: {_words(error)}") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise Unreachable(f"{origin}: its name is not known: {_words(error)}") from error
        except TimeoutError as error:
            raise Unreachable(f"{origin}: no connection within {self._connect_timeout:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, ConnectionResetError) or isinstance(error.__cause__, ConnectionResetError):
                raise Refused(f"{origin}: refuses more connections") from error
            raise Unreachable(f"{origin}: no connection: {_words(error)}") from error

    def _connector(self, origin: str) -> aiohttp.TCPConnector:
        allowed = origin in self._allow_private

        def make(address: AddrInfo) -> socket.socket:
            family, kind, proto, _, (host, *_) = address
            if not allowed and not is_public(host):
                raise Unsafe(refusal(origin, host))
            made = socket.socket(family, kind, proto)
            made.setblocking(False)
            return made

        return aiohttp.TCPConnector(
            limit=0, socket_factory=make, ttl_dns_cache=60, ssl=self._ssl or True, force_close=True
        )

    def back(self, origin: str, connection: Connection) -> None:
        """Take a connection back whose answer was read to its end."""
        idle = self._idle.setdefault(origin, deque())
        if len(idle) >= POOLED:
            idle.popleft()[1].close()
        idle.append((self._clock(), connection))

    async def aclose(self) -> None:
        """Close all."""
        for idle in self._idle.values():
            for _, connection in idle:
                connection.close()
        self._idle.clear()
        for connector in self._connectors.values():
            await connector.close()
        self._connectors.clear()


class Answer:
    """One answer: status and headers are here, the body comes when it is read."""

    __slots__ = ("_connection", "_connections", "_origin", "_payload", "_protocol", "message", "read")

    def __init__(
        self,
        connections: Connections,
        origin: str,
        connection: Connection,
        protocol: ResponseHandler,
        message: RawResponseMessage,
        payload: StreamReader,
    ) -> None:
        self._connections = connections
        self._origin = origin
        self._connection = connection
        self._protocol = protocol
        self._payload = payload
        self.message = message
        self.read = 0

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.message.code)

    async def chunks(self, floor: float, window: float, clock: Callable[[], float]) -> AsyncIterator[bytes]:
        """Yield the body. Raises Interrupted if it breaks, or brings less than `floor` bytes/s over `window` s."""
        payload, protocol = self._payload, self._protocol
        protocol.read_timeout = window
        waited, came = 0.0, 0
        try:
            while True:
                began = clock()
                chunk = await payload.readany()
                if not chunk:
                    return
                waited += clock() - began
                came += len(chunk)
                if waited > window:
                    if came < floor * window:
                        raise Interrupted(f"stalled: {came} bytes in {waited:.0f} s")
                    waited, came = 0.0, 0
                self.read += len(chunk)
                yield chunk
        except aiohttp.ServerTimeoutError as error:
            raise Interrupted(f"stalled: nothing came for {window:.0f} s") from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise Interrupted(f"broke off after {self.read} bytes: {_words(error)}") from error

    def close(self) -> None:
        """Let go: back to the pool if nothing is left on the wire, else closed."""
        protocol, payload = self._protocol, self._payload
        is_over = payload.is_eof() and payload.exception() is None
        if is_over and not protocol.should_close and not self.message.should_close and protocol.is_connected():
            self._connections.back(self._origin, self._connection)
        else:
            self._connection.close()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
