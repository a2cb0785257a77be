"""One request and its answer on a connection of `connections`, read through aiohttp's response parser."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, Protocol, cast

import aiohttp
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from manifests.messages import message
from syncd.core import Interrupted, Refused, Sink, Stalled, SyncdError, TransientError, Unreachable, Unsupported
from transports.http import headers as heads
from transports.http.bulk_body import LONG, BulkBody
from transports.http.fast_response import FastResponse
from transports.http.ports import StallLimit
from transports.http.protocol import HttpProtocol
from transports.http.proxied import PooledConnection
from transports.http.request_body import RequestBody, blocks, length_of
from transports.http.sent_body import LONG_BODY, SentBody
from transports.http.tls import TlsTransport
from transports.net import one_line

MAX_DRAINED = 16 << 10  # bytes of a body read only to keep its connection
LAST_BYTES = 1 << 10  # of a guarded body: the system takes them at once, or a moment later
SENT = 1 << 19  # bytes of a body handed to the system at a time
MAX_EARLY = 8  # 1xx answers before the final one


class ExchangeOwner(Protocol):
    """What an exchange needs of the pool that its connection came from."""

    clock: Callable[[], float]
    stall_limit: StallLimit
    header_timeout: float

    def threads(self) -> Executor:
        """Return the threads that read sockets."""
        ...

    def began(self, exchange: "Exchange") -> None:
        """Check the exchange for stalls from now on."""
        ...

    def ended(self, exchange: "Exchange", connection: PooledConnection, origin: str) -> None:
        """Take the connection back."""
        ...


class Exchange:
    """One request and its answer; satisfies `ports.HttpAnswer`."""

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

    def __init__(self, connections: ExchangeOwner, connection: PooledConnection, origin: str, label: str) -> None:
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

    async def begin(
        self,
        request: bytes,
        body: RequestBody,
        guard: Callable[[], None] | None = None,
        *,
        bodiless: bool,
        may_be_stale: bool,
    ) -> bool:
        """Send the request and read the head of the answer. Return False if the pooled connection was dead."""
        protocol = self._protocol
        is_begun = False
        self._connections.began(self)
        try:
            protocol.await_answer(bodiless=bodiless)
            self._asked_at = self._connections.clock()
            if protocol.transport is not None:  # else the server closed it at once, and `read` raises
                if guard is None and not self._has_long(body):
                    protocol.transport.write(request)
                else:
                    _write_now(protocol.transport, request, guard)
            if body:
                await self._send(body, guard)
            answer, payload = cast("tuple[RawResponseMessage | FastResponse, StreamReader]", await protocol.read())
            early = 0
            while not isinstance(answer, FastResponse) and _is_early(answer.code) and early < MAX_EARLY:
                early += 1
                answer, payload = await protocol.read()
            self._asked_at = None
            if body and protocol.transport is not None and protocol.transport.get_write_buffer_size():
                self.discard_connection()  # the answer came before the whole body was sent
            if isinstance(answer, FastResponse):
                self._take_fast(answer)
            else:
                self._take(answer, payload)
            is_begun = True
        except HttpProcessingError as error:
            raise Refused(
                message(
                    "{label}: {origin} sent an invalid HTTP response: {line}",
                    label=self._label,
                    origin=self._origin,
                    line=one_line(error),
                )
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            if may_be_stale:
                return False
            raise Refused(
                message(
                    "{label}: {origin} closed the connection without an answer: {line}",
                    label=self._label,
                    origin=self._origin,
                    line=one_line(error),
                )
            ) from error
        finally:
            if not is_begun:
                protocol.force_close()
                self.close()
        return True

    async def _send(self, body: RequestBody, guard: Callable[[], None] | None) -> None:
        """Write the body as fast as the server reads it. The time for an answer starts again with each block.

        With a guard the last bytes are few, and are written when the system has taken all others: what waited here
        would be sent whenever this process goes on, however late that is.
        """
        protocol, left = self._protocol, length_of(body)
        limit = self._connections.header_timeout
        last = min(LAST_BYTES, left) if guard is not None else 0
        is_long = self._has_long(body)
        for block in blocks(body, left if is_long else SENT, last):
            left -= sum(map(len, block))
            transport = protocol.transport
            if transport is None or not self._is_wanted():
                self.discard_connection()  # the answer, if there is one, holds the reason
                return
            by_thread = is_long and left == last
            if guard is not None and not left:
                _write_now(transport, b"".join(block), guard)
            elif not by_thread:
                transport.writelines(block)
            if guard is not None and left == last and not by_thread:
                transport.set_write_buffer_limits(high=0)
            try:
                async with asyncio.timeout(None if by_thread else limit):
                    await protocol._drain_helper()  # noqa: SLF001  as aiohttp's own writer does
                    if by_thread and not await self._send_by_thread(transport, block, limit):
                        self.discard_connection()
                        return
            except TimeoutError as error:
                raise Unreachable(
                    message(
                        "{label}: {origin} took no bytes for {limit:g} s",
                        label=self._label,
                        origin=self._origin,
                        limit=limit,
                    )
                ) from error
            except ConnectionError:
                return  # as above
            self._note_sent()

    def _has_long(self, body: RequestBody) -> bool:
        """Return True if a thread writes the body: it is long, and the event loop does not encrypt it."""
        return length_of(body) >= LONG_BODY and not isinstance(self._protocol.transport, TlsTransport)

    def _send_by_thread(
        self, transport: asyncio.WriteTransport, block: list[memoryview], limit: float
    ) -> Coroutine[Any, Any, bool]:
        wire = transport.get_extra_info("socket")
        return SentBody(wire, block, self._is_wanted, self._note_sent, limit).send(self._connections.threads())

    def _is_wanted(self) -> bool:
        """Return True while the server has neither answered nor closed the connection. In any thread."""
        transport = self._protocol.transport
        return transport is not None and not transport.is_closing() and not len(self._protocol)

    def _note_sent(self) -> None:
        """Note that the system took bytes: the time for an answer starts again. In any thread."""
        self._asked_at = self._connections.clock()

    async def read(self) -> bytes:
        """Return the bytes of the body that have arrived, or wait for some; see `ports.HttpAnswer`."""
        self._waiting = True
        try:
            chunk = await self._payload.readany()
        except SyncdError:
            raise
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise Interrupted(
                message("{label}: {far}: {line}", label=self._label, far=self._so_far(), line=one_line(error))
            ) from error
        except RuntimeError as error:  # raised by aiohttp if the connection was closed during the read
            if self._protocol.connected:
                raise
            raise Interrupted(
                message("{label}: {far}: the connection was closed", label=self._label, far=self._so_far())
            ) from error
        finally:
            self._waiting = False
        self.received += len(chunk)
        return chunk

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Pass the body to `sink` in a thread; yield the number of bytes after each step."""
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
            raise Interrupted(
                message("{label}: {far}: {line}", label=self._label, far=self._so_far(), line=one_line(error))
            ) from error
        finally:
            self._waiting = False

    def _count(self, count: int) -> None:
        self.received += count

    def is_at_end(self) -> bool:
        """Return True if every byte of the body was read."""
        return self._payload.at_eof()

    def finish(self) -> None:
        """Raise Interrupted if a body that was read to its end was cut short, or if more bytes followed it."""
        protocol = self._protocol
        if not protocol.should_close:
            return
        error = protocol.exception()
        payload = self._payload
        if isinstance(error, HttpProcessingError) or len(protocol) or payload.exception() or not payload.is_eof():
            self.discard_connection()
            raise Interrupted(
                message(
                    "{label}: more than the announced {received} bytes arrived",
                    label=self._label,
                    received=self.received,
                )
            )
        if not self.is_delimited and isinstance(error, aiohttp.ClientOSError):
            raise Interrupted(
                message("{label}: {far}: the connection was reset", label=self._label, far=self._so_far())
            )

    async def drain_and_close(self) -> None:
        """Close an answer whose body is not needed. A short rest is read first so that the connection can be reused."""
        try:
            if self.length is not None and self.length <= MAX_DRAINED:
                while await self.read():
                    pass
        except TransientError:
            self.discard_connection()
        finally:  # also if the read is cancelled
            self.close()

    def close(self) -> None:
        """Return the connection to the pool if the answer is complete, else close it. May be called twice."""
        if not self._is_over:
            self._is_over = True
            self._protocol.body = None
            self._connections.ended(self, self._connection, self._origin)

    def discard_connection(self) -> None:
        """Have the connection closed instead of reused: its answer was not valid."""
        self._protocol.force_close()

    def check_stall(self, now: float, tick: float) -> None:
        """Break the exchange if its head is late or its body below the stall limit; called every `tick` seconds."""
        connections = self._connections
        if self._asked_at is not None:
            if now - self._asked_at > connections.header_timeout:
                late = message("gave no answer in {header_timeout:g} s", header_timeout=connections.header_timeout)
                self._protocol.set_exception(
                    Unreachable(message("{label}: {origin} {late}", label=self._label, origin=self._origin, late=late))
                )
            return
        if not self._waiting:  # the reader is slow, not the server
            self._marks = None
            return
        stall_limit = connections.stall_limit
        ticks = max(1, round(stall_limit.window / tick))
        if self._marks is None:
            self._marks = deque(maxlen=ticks + 1)
        marks = self._marks
        marks.append(self.received)
        if len(marks) > ticks and marks[-1] - marks[0] < stall_limit.rate * stall_limit.window:
            came = message("{bytes} bytes in {window:g} s", bytes=marks[-1] - marks[0], window=stall_limit.window)
            self._payload.set_exception(
                Stalled(message("{label}: {far}: stalled, {came}", label=self._label, far=self._so_far(), came=came))
            )

    def _take_fast(self, fast: FastResponse) -> None:
        self.status = fast.status
        self.headers = fast.headers
        self.length = len(fast.content)
        self._payload = fast  # complete: the connection cannot break it any more

    def _take(self, answer: RawResponseMessage, payload: StreamReader) -> None:
        self.status = status = int(answer.code)
        try:
            self.headers = headers = heads.joined(answer.headers, f"{self._label}: {self._origin}")
        except SyncdError:
            self.discard_connection()
            raise
        coding = heads.transfer_coding(headers)
        if status < 200 or coding not in (None, "chunked"):
            self.discard_connection()
            raise Unsupported(
                message(
                    "{label}: {origin} answered {status} with transfer coding {coding}",
                    label=self._label,
                    origin=self._origin,
                    status=status,
                    coding=coding,
                )
            )
        self.length = heads.length(headers)
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
            and not protocol._reading_paused  # noqa: SLF001  the parser has no bytes that it holds back
        ):
            protocol.held = False
            self._payload = protocol.body = BulkBody(protocol, payload, self.length)
        else:
            protocol.resume_parsing()

    def _so_far(self) -> str:
        if self.length is None:
            return message("broke off after {received} bytes", received=self.received)
        return message("broke off after {received} of {length} bytes", received=self.received, length=self.length)


def _write_now(transport: asyncio.WriteTransport, block: bytes, guard: Callable[[], None] | None) -> None:
    """Call `guard`, and hand the block to the system at once: uvloop would wait for the end of its turn."""
    transport.set_write_buffer_limits(high=0)
    if guard is not None:
        guard()
    transport.write(block)
    transport.set_write_buffer_limits()


def _is_early(status: int) -> bool:
    """Return True if another answer follows this one (RFC 9110, section 15.2)."""
    return 100 <= status < 200 and status != 101
