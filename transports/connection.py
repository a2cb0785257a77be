"""Connections to web servers, and one request with its answer on one of them: the wire beneath `transports.http`.

aiohttp resolves, connects, does TLS, keeps connections and parses answers; its session, which costs three times as much
as all of that, stays out. Rules:
1. An address is checked when its socket is made (`transports.addresses`).
2. A connection goes back to the pool only after a whole answer, nothing more and nothing less; else it is closed.
3. There is no time limit on a body, only a floor: bytes that must arrive while we are waiting for them.
"""

import asyncio
import socket
import ssl
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from syncd.errors import Denied, Interrupted, Refused, SyncdError, TransientError, Unreachable, Unsafe, Unsupported
from transports.addresses import is_public, refusal

BUFFER = 1 << 18  # bytes; a connection that nobody reads holds at most about three times as many
MAX_LINE = 16 << 10  # bytes of one header
MAX_HEADERS = 128
MAX_DRAINED = 16 << 10  # bytes of a body read for no other use than to keep its connection
MAX_EARLY = 8  # 1xx answers before the real one
MAX_ORIGINS = 1024
KEEP_IDLE = 30.0  # seconds
DNS_TTL = 60  # seconds
TICKS = 8  # looks at each exchange within one window of the floor


@dataclass(frozen=True, slots=True)
class Floor:
    """The least progress we take: `rate` bytes per second over any `window` seconds spent waiting for them."""

    rate: float = 1024.0
    window: float = 60.0


class _Dial:
    """One attempt to connect: what its sockets may reach and what became of them."""

    __slots__ = ("allowed", "made", "refused")

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.made = 0
        self.refused = ""


_dial: ContextVar[_Dial] = ContextVar("dial")  # the socket factory's only way to know for whom it works


class _Wire(ResponseHandler):
    """aiohttp's protocol, with one gap closed: what breaks the parser in mid-body also breaks the body."""

    body: StreamReader | None = None

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self.body
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)


class Connections:
    """All connections of one transport, and the exchanges on them."""

    def __init__(
        self,
        *,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        floor: Floor | None = None,
    ) -> None:
        """`allow_private` are the origins that may be on private addresses."""
        self.floor = floor if floor is not None else Floor()
        self.header_timeout = header_timeout
        self._allow_private = allow_private
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._connector: aiohttp.TCPConnector | None = None
        self._keys: dict[str, ClientRequest] = {}
        self._open: set[Exchange] = set()
        self._tick = min(self.floor.window / TICKS, header_timeout / 4)
        self._watch: asyncio.TimerHandle | None = None

    async def ask(self, origin: str, request: bytes, *, label: str, bodiless: bool = False) -> "Exchange":
        """Send a request and return the exchange once its answer's head is here; the caller closes it.

        `label` begins every message. `bodiless` says that the answer has no body (HEAD).
        """
        while True:
            connection, is_fresh = await self._connect(origin, label)
            exchange = Exchange(self, connection, origin, label)
            if await exchange.begin(request, bodiless=bodiless, may_be_stale=not is_fresh):
                return exchange

    async def aclose(self) -> None:
        """Close every connection; may be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()

    async def _connect(self, origin: str, label: str) -> tuple[Connection, bool]:
        """Return a connection, and whether it is a new one."""
        key = self._keys.get(origin)
        connector = self._connector
        if key is None or connector is None:
            connector, key = self._prepare(origin)
        dial = _Dial(origin in self._allow_private)
        token = _dial.set(dial)
        try:
            while True:
                connection = await connector.connect(key, [], aiohttp.ClientTimeout(connect=self._connect_timeout))
                protocol = connection.protocol
                if protocol is not None and protocol.is_connected() and not protocol.should_close:
                    return connection, dial.made > 0
                connection.close()  # the server said more than we had asked for, or left, while it was idle
        except TimeoutError as error:
            raise Unreachable(f"{label}: no connection to {origin} within {self._connect_timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _why_unconnected(error, dial, origin, label) from error
        finally:
            _dial.reset(token)

    def _prepare(self, origin: str) -> tuple[aiohttp.TCPConnector, ClientRequest]:
        loop = asyncio.get_running_loop()
        connector = self._connector
        if connector is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_IDLE,
                ttl_dns_cache=DNS_TTL,
                ssl=self._ssl_context if self._ssl_context is not None else True,
                socket_factory=_make_socket,
            )
            connector._factory = partial(_Wire, loop=loop)  # type: ignore[assignment]  # noqa: SLF001  the connector has no public way to choose its protocol
            self._connector = connector
        if len(self._keys) >= MAX_ORIGINS:
            self._keys.clear()
        key = ClientRequest("GET", URL(origin), loop=loop, ssl=True)
        self._keys[origin] = key
        return connector, key

    def _began(self, exchange: "Exchange") -> None:
        self._open.add(exchange)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._tick, self._look)

    def _ended(self, exchange: "Exchange") -> None:
        self._open.discard(exchange)

    def _look(self) -> None:
        """Look at every open exchange, one tick after the last time."""
        self._watch = None
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self._tick, self._look)
        now = loop.time()
        ticks = max(1, round(self.floor.window / self._tick))
        for exchange in tuple(self._open):
            exchange.look(now, ticks)


class Exchange:
    """One request and its answer. `read` until it gives nothing, then `close`.

    `headers` have lower-case names, repeated ones joined by commas. `length` is the announced length of the body, if
    any; `received` counts its bytes.
    """

    __slots__ = (
        "_asked_at",
        "_connection",
        "_connections",
        "_label",
        "_marks",
        "_origin",
        "_payload",
        "_waiting",
        "_wire",
        "headers",
        "is_delimited",
        "length",
        "received",
        "status",
    )

    def __init__(self, connections: Connections, connection: Connection, origin: str, label: str) -> None:
        self._connections = connections
        self._connection = connection
        wire = connection.protocol
        assert isinstance(wire, _Wire)
        self._wire = wire
        self._origin = origin
        self._label = label
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._marks: deque[int] | None = None
        self._waiting = False
        self._asked_at: float | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        self.is_delimited = True
        self.received = 0

    async def begin(self, request: bytes, *, bodiless: bool, may_be_stale: bool) -> bool:
        """Send the request and read the answer's head; False if the pooled connection turned out to be dead."""
        wire = self._wire
        is_begun = False
        self._connections._began(self)  # noqa: SLF001  an exchange is a part of its Connections
        try:
            wire.body = None
            wire.set_response_params(
                skip_payload=bodiless,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=BUFFER,
                max_line_size=MAX_LINE,
                max_field_size=MAX_LINE,
                max_headers=MAX_HEADERS,
            )
            assert wire.transport is not None
            self._asked_at = asyncio.get_running_loop().time()
            wire.transport.write(request)
            message, payload = await wire.read()
            early = 0
            while 100 <= message.code < 200 and message.code != 101 and early < MAX_EARLY:
                early += 1
                message, payload = await wire.read()
            self._asked_at = None
            self._take(message, payload)
            is_begun = True
        except HttpProcessingError as error:
            raise Refused(f"{self._label}: {self._origin} answered with broken HTTP: {_one_line(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            if may_be_stale:
                return False
            raise Refused(
                f"{self._label}: {self._origin} closed the connection without an answer: {_one_line(error)}"
            ) from error
        finally:
            if not is_begun:
                wire.force_close()
                self.close()
        return True

    async def read(self) -> bytes:
        """Return the next bytes of the body, as many as are here, or nothing at its end."""
        self._waiting = True
        try:
            chunk = await self._payload.readany()
        except SyncdError:
            raise
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise Interrupted(f"{self._label}: {self._so_far()}: {_one_line(error)}") from error
        finally:
            self._waiting = False
        self.received += len(chunk)
        return chunk

    def is_at_end(self) -> bool:
        """Tell whether every byte of the body was read."""
        return self._payload.at_eof()

    def finish(self) -> None:
        """Judge a body that was read to its end: raises Interrupted for one that was cut, or had bytes behind it."""
        wire = self._wire
        error = wire.exception()
        if isinstance(error, HttpProcessingError) or len(wire) or not self._payload.is_eof():
            self.distrust()
            raise Interrupted(f"{self._label}: more bytes came than the {self.received} announced")
        if not self.is_delimited and isinstance(error, aiohttp.ClientOSError):
            raise Interrupted(f"{self._label}: {self._so_far()}: the connection was reset")

    async def drain(self) -> None:
        """Read a short rest of a body that nobody wants, so that the connection can be used again."""
        if self.length is not None and self.length <= MAX_DRAINED:
            try:
                while await self.read():
                    pass
            except TransientError:
                self.distrust()

    def close(self) -> None:
        """Give the connection back if the answer is whole, else close it. May be called twice."""
        self._connections._ended(self)  # noqa: SLF001  an exchange is a part of its Connections
        self._wire.body = None
        self._connection.release()  # the connector closes what has bytes to come, or too many

    def distrust(self) -> None:
        """Have the connection closed, not reused: its answer was not what it should be."""
        self._wire.force_close()

    def look(self, now: float, ticks: int) -> None:
        """Break off if the head is late, or if too little arrived in the last `ticks` looks."""
        connections = self._connections
        if self._asked_at is not None:
            if now - self._asked_at > connections.header_timeout:
                self._wire.set_exception(
                    Unreachable(f"{self._label}: {self._origin} gave no answer in {connections.header_timeout:g} s")
                )
            return
        if not self._waiting:  # it is we who are slow
            self._marks = None
            return
        if self._marks is None:
            self._marks = deque(maxlen=ticks + 1)
        marks = self._marks
        marks.append(self.received)
        floor = connections.floor
        if len(marks) > ticks and marks[-1] - marks[0] < floor.rate * floor.window:
            self._payload.set_exception(
                Interrupted(
                    f"{self._label}: {self._so_far()}: stalled, {marks[-1] - marks[0]} bytes in {floor.window:g} s"
                )
            )

    def _take(self, message: Any, payload: StreamReader) -> None:
        self.status = message.code
        headers: dict[str, str] = {}
        for name, value in message.headers.items():
            text = value if value.isprintable() else self._readable(name, value)
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {text}" if lower in headers else text
        self.headers = headers
        coding = headers.get("transfer-encoding")
        if self.status < 200 or self.status == 101 or (coding is not None and coding.lower() != "chunked"):
            self.distrust()
            raise Unsupported(f"{self._label}: {self._origin} answered {self.status} with transfer coding {coding}")
        length = headers.get("content-length")
        self.length = int(length) if length is not None else None
        self.is_delimited = length is not None or coding is not None
        self._payload = payload
        self._wire.body = payload

    def _readable(self, name: str, value: str) -> str:
        """Return a value that is not plain ASCII, or refuse it."""
        text = value.encode("utf-8", "surrogateescape").decode("latin-1") if not value.isascii() else value
        if any((character < " " and character != "\t") or character == "\x7f" for character in text):
            self.distrust()
            raise Refused(f"{self._label}: {self._origin} answered with control characters in header {name!a}")
        return text

    def _so_far(self) -> str:
        whole = f" of {self.length}" if self.length is not None else ""
        return f"broke off after {self.received}{whole} bytes"


def _make_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket for one address, if it may be reached."""
    family, kind, protocol, _, where = address
    dial = _dial.get()
    if not dial.allowed and not is_public(str(where[0])):
        dial.refused = str(where[0])
        raise PermissionError(f"{dial.refused} is no public address")
    dial.made += 1
    return socket.socket(family, kind, protocol)


def _why_unconnected(error: Exception, dial: _Dial, origin: str, label: str) -> SyncdError:
    """Say in our words why there is no connection."""
    if dial.refused and not dial.made:
        return Unsafe(f"{label}: {refusal(origin, dial.refused)}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Denied(f"{label}: {origin} {_why_untrusted(error.certificate_error)}")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Denied(f"{label}: no TLS with {origin}: {_one_line(error.os_error)}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(f"{label}: no address found for {origin}: {_one_line(error.os_error)}")
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Refused(f"{label}: {origin} reset the connection at once")
    return Unreachable(f"{label}: no connection to {origin}: {_one_line(cause)}")


def _why_untrusted(error: Exception) -> str:
    """Say what is wrong with a certificate, in words an operator can act on."""
    reason = getattr(error, "verify_message", "") or str(error)
    if "expired" in reason:
        return "shows a certificate that has expired"
    if "not yet valid" in reason:
        return "shows a certificate that is not yet valid; is this machine's clock right?"
    if "doesn't match" in reason or "mismatch" in reason:
        return f"shows a certificate for another host: {reason}"
    if "self-signed" in reason or "self signed" in reason or "unable to get local issuer" in reason:
        return f"shows a certificate of an unknown authority: {reason}"
    return f"shows a certificate that proves nothing: {reason}"


def _one_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]
