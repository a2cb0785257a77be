"""Connections to web servers, and one request with its answer on one of them: the wire beneath `transport`.

aiohttp resolves, connects, does TLS, keeps connections and parses answers; its session, which costs three times as much
as all of that, stays out. Rules:
1. An address is checked when its socket is made (`transports.net.socket_policy`).
2. A connection goes back to the pool only after a whole answer, nothing more and nothing less; else it is closed.
3. There is no time limit on a body, only a floor: bytes that must arrive while we are waiting for them.
"""

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import cast

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from syncd.core import Interrupted, Refused, Sink, Stalled, SyncdError, TransientError, Unreachable, Unsupported
from transports.http.bulk_body import LONG, BulkBody
from transports.http.fast_response import FastResponse
from transports.http.protocol import BUFFER, HttpProtocol
from transports.net import SocketPolicy, connection_error, current, make_socket, one_line, valid_until

MAX_DRAINED = 16 << 10  # bytes of a body read for no other use than to keep its connection
MAX_EARLY = 8  # 1xx answers before the real one
MAX_ORIGINS = 1024
KEEP_IDLE = 30.0  # seconds
MAX_IDLE = 256  # connections to all origins: each holds a socket
DNS_TTL = 60  # seconds
POURERS = 128  # threads that read sockets, at most; made as they are needed
TICKS = 8  # looks at each exchange within one window of the floor

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class StallLimit:
    """The least progress we take: `rate` bytes per second over any `window` seconds spent waiting for them."""

    rate: float = 1024.0
    window: float = 60.0


class Connections:
    """All connections of one transport, and the exchanges on them."""

    def __init__(
        self,
        *,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        stall_limit: StallLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Timeouts are in seconds; `allow_private` are the origins that may be on private addresses."""
        self.clock = clock
        self.stall_limit = stall_limit if stall_limit is not None else StallLimit()
        self.header_timeout = header_timeout
        self._allow_private = allow_private
        self._ssl_context = ssl_context
        self._timeout = aiohttp.ClientTimeout(connect=connect_timeout)
        self._connector: aiohttp.TCPConnector | None = None
        self._keys: dict[str, ClientRequest] = {}
        self._idle: dict[str, deque[tuple[float, Connection]]] = {}
        self._open: set[Exchange] = set()
        self._tick = min(self.stall_limit.window / TICKS, header_timeout / 4)
        self._watch: asyncio.TimerHandle | None = None
        self._threads: ThreadPoolExecutor | None = None
        self.certificates: dict[str, float] = {}  # by origin: until when the one it showed last is valid

    def threads(self) -> Executor:
        """Return the threads that read sockets."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(POURERS, thread_name_prefix="pour")
        return self._threads

    async def ask(
        self, origin: str, request: bytes, *, label: str, bodiless: bool = False, body: bytes = b""
    ) -> "Exchange":
        """Send a request and return the exchange once its answer's head is here; the caller closes it.

        `label` begins every message. `bodiless` says that the answer has no body (HEAD). `body` follows the request.
        What finds its pooled connection dead is sent again on another, unless it is a POST, which may have been served.
        Raises Unreachable, Refused, Denied (TLS), Unsafe (address), Unsupported.
        """
        may_be_stale = not request.startswith(b"POST ")
        idle = self._idle.get(origin)
        while idle:
            _, connection = idle.pop()
            protocol = connection.protocol
            if (
                protocol is None or not protocol.is_connected() or protocol.should_close
            ):  # it left, or spoke without being asked
                connection.close()
                continue
            exchange = Exchange(self, connection, origin, label)
            if await exchange.begin(request, body, bodiless=bodiless, may_be_stale=may_be_stale):
                return exchange
        exchange = Exchange(self, await self._connect(origin, label), origin, label)
        await exchange.begin(request, body, bodiless=bodiless, may_be_stale=False)
        return exchange

    async def aclose(self) -> None:
        """Close every connection; may be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for exchange in tuple(self._open):
            exchange.discard_connection()
            exchange.close()
        for idle in self._idle.values():
            for _, connection in idle:
                _drop(connection)
        self._idle.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close(abort_ssl=True)
            await asyncio.sleep(0)  # what was dropped is closed by the loop's next turn

    async def _connect(self, origin: str, label: str) -> Connection:
        """Return a new connection."""
        key = self._keys.get(origin)
        connector = self._connector
        if key is None or connector is None:
            connector, key = self._prepare(origin)
        policy = SocketPolicy(origin in self._allow_private)
        token = current.set(policy)
        try:
            connection = await connector.connect(key, [], self._timeout)
        except TimeoutError as error:
            raise Unreachable(f"{label}: no connection to {origin} within {self._timeout.connect:g} s") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last for names that are none
            raise connection_error(error, policy, origin, label) from error
        finally:
            current.reset(token)
        if (expiry := valid_until(connection.transport)) is not None:
            self.certificates[origin] = expiry
        return connection

    def _prepare(self, origin: str) -> tuple[aiohttp.TCPConnector, ClientRequest]:
        loop = asyncio.get_running_loop()
        connector = self._connector
        if connector is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                ttl_dns_cache=DNS_TTL,
                ssl=self._ssl_context if self._ssl_context is not None else True,
                socket_factory=make_socket,
            )
            connector._factory = partial(HttpProtocol, loop=loop)  # type: ignore[assignment]  # noqa: SLF001  the connector has no public way to choose its protocol
            self._connector = connector
        if len(self._keys) >= MAX_ORIGINS:
            self._keys.clear()
            self.certificates.clear()
        key = ClientRequest("GET", URL(origin), loop=loop, ssl=True)
        self._keys[origin] = key
        return connector, key

    def began(self, exchange: "Exchange") -> None:
        """Watch an exchange from now on."""
        self._open.add(exchange)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._tick, self._check_stalls)

    def ended(self, exchange: "Exchange", connection: Connection, origin: str) -> None:
        """Keep the connection of an exchange that is over if it can be used again, or close it."""
        self._open.discard(exchange)
        protocol = connection.protocol
        if protocol is None:
            return
        if protocol.should_close or not protocol.is_connected() or self._watch is None:
            _drop(connection)
            return
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append((self.clock(), connection))
        if sum(map(len, self._idle.values())) > MAX_IDLE:
            longest = min(filter(None, self._idle.values()), key=lambda idle: idle[0][0])
            _drop(longest.popleft()[1])

    def _check_stalls(self) -> None:
        """Look at every open exchange and at what is idle, one tick after the last time."""
        now = self.clock()
        for origin, idle in tuple(self._idle.items()):
            while idle and now - idle[0][0] > KEEP_IDLE:
                idle.popleft()[1].close()
            if not idle:
                del self._idle[origin]
        for exchange in tuple(self._open):
            exchange.check_stall(now, self._tick)
        busy = self._open or self._idle
        self._watch = asyncio.get_running_loop().call_later(self._tick, self._check_stalls) if busy else None


class Exchange:
    """One request and its answer: `read` until nothing comes, `finish`, and `close` in any case.

    `headers` have lower-case names, repeated ones joined by commas. `length` is the announced length of the body, if
    any; `received` counts its bytes.
    """

    __slots__ = (
        "_asked_at",
        "_connection",
        "_connections",
        "_is_over",
        "_label",
        "_marks",
        "_origin",
        "_payload",
        "_protocol",
        "_waiting",
        "headers",
        "is_delimited",
        "length",
        "received",
        "status",
    )

    def __init__(self, connections: Connections, connection: Connection, origin: str, label: str) -> None:
        self._connections = connections
        self._connection = connection
        protocol = connection.protocol
        assert isinstance(protocol, HttpProtocol)
        self._protocol = protocol
        self._origin = origin
        self._label = label
        self._payload: StreamReader | BulkBody | FastResponse = EMPTY_PAYLOAD
        self._marks: deque[int] | None = None
        self._waiting = False
        self._is_over = False
        self._asked_at: float | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        self.is_delimited = True
        self.received = 0

    async def begin(self, request: bytes, body: bytes, *, bodiless: bool, may_be_stale: bool) -> bool:
        """Send the request and read the answer's head; False if the pooled connection turned out to be dead."""
        protocol = self._protocol
        is_begun = False
        self._connections.began(self)
        try:
            protocol.await_answer(bodiless=bodiless)
            self._asked_at = self._connections.clock()
            if protocol.transport is not None:  # else it was closed as soon as it was open, and `read` says so
                protocol.transport.write(request)
            if body:
                await self._send(body)
            message, payload = cast("tuple[RawResponseMessage | FastResponse, StreamReader]", await protocol.read())
            early = 0
            while not isinstance(message, FastResponse) and _is_early(message.code) and early < MAX_EARLY:
                early += 1
                message, payload = await protocol.read()
            self._asked_at = None
            if body and protocol.transport is not None and protocol.transport.get_write_buffer_size():
                self.discard_connection()  # an answer before the question's end
            if isinstance(message, FastResponse):
                self._take_fast(message)
            else:
                self._take(message, payload)
            is_begun = True
        except HttpProcessingError as error:
            raise Refused(f"{self._label}: {self._origin} answered with broken HTTP: {one_line(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            if may_be_stale:
                return False
            raise Refused(
                f"{self._label}: {self._origin} closed the connection without an answer: {one_line(error)}"
            ) from error
        finally:
            if not is_begun:
                protocol.force_close()
                self.close()
        return True

    async def _send(self, body: bytes) -> None:
        """Write the body no faster than it goes out; the time for an answer begins anew with each stretch of it."""
        protocol, whole = self._protocol, memoryview(body)
        limit = self._connections.header_timeout
        for start in range(0, len(whole), BUFFER):
            transport = protocol.transport
            if transport is None or transport.is_closing() or len(protocol):
                self.discard_connection()  # the answer, if there is one, says why
                return
            transport.write(whole[start : start + BUFFER])
            try:
                async with asyncio.timeout(limit):
                    await protocol._drain_helper()  # noqa: SLF001  what aiohttp's own writer awaits
            except TimeoutError as error:
                raise Unreachable(f"{self._label}: {self._origin} took no bytes for {limit:g} s") from error
            except ConnectionError:
                return  # as above
            self._asked_at = self._connections.clock()

    async def read(self) -> bytes:
        """Return the next bytes of the body, as many as are here, or nothing at its end."""
        self._waiting = True
        try:
            chunk = await self._payload.readany()
        except SyncdError:
            raise
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise Interrupted(f"{self._label}: {self._so_far()}: {one_line(error)}") from error
        except RuntimeError as error:  # how the library says that the connection was closed under it
            if self._protocol.connected:
                raise
            raise Interrupted(f"{self._label}: {self._so_far()}: the connection was closed") from error
        finally:
            self._waiting = False
        self.received += len(chunk)
        return chunk

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Give the body's bytes to `sink` in a thread, and yield how many more it took."""
        payload, threads = self._payload, self._connections.threads()
        if not isinstance(payload, BulkBody) or not payload.can_copy_to_sink():
            loop = asyncio.get_running_loop()
            while chunk := await self.read():
                await loop.run_in_executor(threads, sink, memoryview(chunk))
                yield len(chunk)
            return
        self._waiting = True
        try:
            async with aclosing(payload.copy_to_sink(sink, threads, self._count)) as counts:
                async for count in counts:
                    yield count
        except ConnectionError as error:
            raise Interrupted(f"{self._label}: {self._so_far()}: {one_line(error)}") from error
        finally:
            self._waiting = False

    def _count(self, count: int) -> None:
        self.received += count

    def is_at_end(self) -> bool:
        """Tell whether every byte of the body was read."""
        return self._payload.at_eof()

    def finish(self) -> None:
        """Judge a body that was read to its end: raises Interrupted for one that was cut, or had bytes behind it."""
        protocol = self._protocol
        if not protocol.should_close:
            return
        error = protocol.exception()
        payload = self._payload
        if isinstance(error, HttpProcessingError) or len(protocol) or payload.exception() or not payload.is_eof():
            self.discard_connection()
            raise Interrupted(f"{self._label}: more bytes came than the {self.received} announced")
        if not self.is_delimited and isinstance(error, aiohttp.ClientOSError):
            raise Interrupted(f"{self._label}: {self._so_far()}: the connection was reset")

    async def drain_and_close(self) -> None:
        """Close an answer that nobody wants, and read a short rest of it first to have the connection used again."""
        try:
            if self.length is not None and self.length <= MAX_DRAINED:
                while await self.read():
                    pass
        except TransientError:
            self.discard_connection()
        finally:  # who waits for the rest may be cancelled
            self.close()

    def close(self) -> None:
        """Let the connection be used again if the answer is whole, else close it. May be called twice."""
        if not self._is_over:
            self._is_over = True
            self._protocol.body = None
            self._connections.ended(self, self._connection, self._origin)

    def discard_connection(self) -> None:
        """Have the connection closed, not reused: its answer was not what it should be."""
        self._protocol.force_close()

    def check_stall(self, now: float, tick: float) -> None:
        """Break off if the head is late, or too little arrived in one window; called once in `tick` seconds."""
        connections = self._connections
        if self._asked_at is not None:
            if now - self._asked_at > connections.header_timeout:
                late = f"gave no answer in {connections.header_timeout:g} s"
                self._protocol.set_exception(Unreachable(f"{self._label}: {self._origin} {late}"))
            return
        if not self._waiting:  # it is we who are slow
            self._marks = None
            return
        stall_limit = connections.stall_limit
        ticks = max(1, round(stall_limit.window / tick))
        if self._marks is None:
            self._marks = deque(maxlen=ticks + 1)
        marks = self._marks
        marks.append(self.received)
        if len(marks) > ticks and marks[-1] - marks[0] < stall_limit.rate * stall_limit.window:
            came = f"{marks[-1] - marks[0]} bytes in {stall_limit.window:g} s"
            self._payload.set_exception(Stalled(f"{self._label}: {self._so_far()}: stalled, {came}"))

    def _take_fast(self, fast: FastResponse) -> None:
        self.status = fast.status
        self.headers = fast.headers
        self.length = len(fast.content)
        self._payload = fast  # whole: nothing that happens to the wire can break it

    def _take(self, message: RawResponseMessage, payload: StreamReader) -> None:
        given = message.headers
        headers = {name.lower(): value for name, value in given.items()}
        if len(headers) != len(given) or not "".join(headers.values()).isprintable():
            headers = self._readable(given)
        self.headers = headers
        self.status = status = int(message.code)
        coding = headers.get("transfer-encoding")
        if status < 200 or (coding is not None and coding.lower() != "chunked"):
            self.discard_connection()
            raise Unsupported(f"{self._label}: {self._origin} answered {status} with transfer coding {coding}")
        if "content-length" in headers:  # the parser took it for a number
            self.length = int(headers["content-length"])
        self.is_delimited = self.length is not None or coding is not None
        self._payload = self._protocol.body = payload
        protocol = self._protocol
        if (
            self.length is not None
            and payload is not EMPTY_PAYLOAD
            and self.length - payload.total_bytes >= LONG
            and protocol.held
            and protocol.transport is not None
            and not protocol.transport.is_closing()
            and not protocol._reading_paused  # noqa: SLF001  the parser holds nothing back
        ):
            protocol.held = False
            self._payload = protocol.body = BulkBody(protocol, payload, self.length)
        else:
            protocol.resume_parsing()

    def _readable(self, given: Mapping[str, str]) -> dict[str, str]:
        """Join repeated headers and decode what is not ASCII; raises Refused for control characters."""
        headers: dict[str, str] = {}
        for name, value in given.items():
            text = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")
            if _CONTROL.search(text) is not None:
                self.discard_connection()
                raise Refused(f"{self._label}: {self._origin} answered with control characters in header {name!a}")
            key = name.lower()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        return headers

    def _so_far(self) -> str:
        whole = f" of {self.length}" if self.length is not None else ""
        return f"broke off after {self.received}{whole} bytes"


def _is_early(status: int) -> bool:
    """Tell whether another answer follows this one (RFC 9110, 15.2)."""
    return 100 <= status < 200 and status != 101


def _drop(connection: Connection) -> None:
    """Close a connection at once; TLS would wait for a goodbye that nobody needs."""
    transport = connection.transport
    connection.close()
    if transport is not None:
        transport.abort()
