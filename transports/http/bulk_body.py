"""A long body of known length, read without the parser: the system writes into our own buffer.

The parser copies each byte of a body three times. So the connection has another protocol until the last byte of the
body has arrived, and then its own again. If the bytes go to a file, the event loop is not involved either: a thread
reads the socket, decrypts and writes (`copy_to_sink`).
"""

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader

from manifests.messages import message
from syncd.core import Interrupted, ReceivingSink, Sink
from transports.http.tls import LentTls, TlsTransport

LONG = 1 << 18  # bytes; shorter rests of a body are read through the parser
BLOCK = 1 << 19  # bytes that wait for the reader, at most
POUR = 1 << 20  # bytes written at a time if they arrive fast ...
SIP = 1 << 17  # ... and if they arrive slowly
LOOK = 250  # milliseconds between two checks for a cancelled read, while no bytes arrive


class BulkBody(asyncio.BufferedProtocol):
    """The rest of a body, read like a StreamReader; `protocol` is the connection's own protocol.

    One byte more than announced is read, so that a server that sends too much is noticed (`exception`).
    """

    def __init__(self, protocol: ResponseHandler, payload: StreamReader, length: int) -> None:
        transport = protocol.transport
        assert transport is not None
        self._protocol = protocol
        self._payload = payload
        self._transport: asyncio.Transport = transport
        self._first = payload.read_nowait(-1)
        self._left = length - payload.total_bytes
        self._block = memoryview(b"")  # made with the first bytes for it: `copy_to_sink` needs none
        self._filled = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._exception: BaseException | None = None
        self._copy: _ThreadCopy | None = None
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()

    async def readany(self) -> bytes:
        """Return the bytes that have arrived, or wait for some; empty at the end."""
        if self._first:
            first, self._first = self._first, b""
            return first
        while not self._filled:
            if self._exception is not None:
                raise self._exception
            if self._left == 0:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = bytes(self._block[: self._filled])
        self._filled = 0
        if self._is_paused:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return chunk

    def can_copy_to_sink(self) -> bool:
        """Return True if a thread can read the body from the socket: the connection is open."""
        return not self._transport.is_closing()

    async def copy_to_sink(
        self, sink: Sink, threads: Executor, on_received: Callable[[int], None]
    ) -> AsyncGenerator[int, None]:
        """Pass all bytes to `sink` in a thread; yield their number. `on_received` counts arrived bytes."""
        loop = asyncio.get_running_loop()
        self._transport.pause_reading()
        here = [memoryview(piece) for piece in (self._first, bytes(self._block[: self._filled])) if piece]
        self._first, self._filled, self._is_paused = b"", 0, True
        on_received(sum(map(len, here)))
        moved = asyncio.Event()
        copy = _ThreadCopy(here, self._left, on_received, sink, lambda: loop.call_soon_threadsafe(moved.set))
        secured = self._transport if isinstance(self._transport, TlsTransport) and self._left else None
        if self._left:
            copy.socket = socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))
        if secured is not None:
            copy.tls = secured.lend()
        ended = loop.run_in_executor(threads, copy.run)
        ended.add_done_callback(copy.ended)
        ended.add_done_callback(lambda _: moved.set())
        self._copy = copy
        taken = 0
        try:
            while not (ended.done() and copy.taken == taken):
                await moved.wait()
                moved.clear()
                if (more := copy.taken - taken) > 0:
                    taken += more
                    yield more
            if self._exception is not None:
                raise self._exception
            ended.result()
        finally:
            copy.halt()
            self._copy = None
            if self._left:  # the rest of the body is no longer wanted
                self._left = copy.left
                if self._left or not ended.done() or ended.exception() is not None:
                    self._protocol.force_close()
                elif self._exception is None:
                    if secured is not None:
                        secured.take_back()
                    self._give_back()
        if copy.is_over:
            self._protocol.force_close()
            self.set_exception(
                Interrupted(message("more bytes arrived than were announced"))
            )  # the read raises it with the path

    def is_eof(self) -> bool:
        """Return True if the last byte has arrived."""
        return self._left == 0

    def at_eof(self) -> bool:
        """Return True if the last byte was read."""
        return self._left == 0 and not self._filled and not self._first

    def exception(self) -> BaseException | None:
        """Return the error that broke the body, None if it is intact."""
        return self._exception

    def set_exception(self, error: BaseException) -> None:
        """Break the body."""
        if self._exception is None:
            self._exception = error
            if self._copy is not None:
                self._copy.halt()
            self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next bytes."""
        del sizehint
        if not self._block:
            self._block = memoryview(bytearray(min(BLOCK, self._left + 1)))
        return self._block[self._filled : min(self._filled + self._left + 1, len(self._block))]

    def buffer_updated(self, nbytes: int) -> None:
        """Count `nbytes` that have arrived."""
        if nbytes > self._left:
            self._protocol.force_close()
            self.set_exception(Interrupted(message("more bytes arrived than were announced")))
            nbytes = self._left
        self._left -= nbytes
        self._filled += nbytes
        if self._left == 0:
            self._give_back()
        elif self._filled == len(self._block):
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Return None, so that the connection is closed."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection's own protocol, and break the body."""
        self._protocol.connection_lost(exc)
        self.set_exception(exc if exc is not None else ConnectionError(message("the connection was closed")))

    def pause_writing(self) -> None:
        """Tell the connection's own protocol."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection's own protocol."""
        self._protocol.resume_writing()

    def _give_back(self) -> None:
        """Give the connection its own protocol back, in the state after a complete answer."""
        self._payload.feed_eof()
        self._protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        self._transport.pause_reading()
        self._transport.set_protocol(self._protocol)
        self._transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _ThreadCopy:
    """The work of the thread of one `copy_to_sink`: read the socket, write, count."""

    def __init__(
        self,
        here: list[memoryview],
        left: int,
        on_received: Callable[[int], None],
        sink: Sink,
        on_written: Callable[[], object],
    ) -> None:
        self.socket: socket.socket | None = None
        self.tls: LentTls | None = None
        self.left = left
        self.taken = 0
        self.is_over = False
        self._here = here
        self._on_received = on_received
        self._sink = sink
        self._on_written = on_written
        self._is_halted = False

    def halt(self) -> None:
        """End the thread: the rest is no longer wanted."""
        self._is_halted = True
        open_socket = self.socket
        if open_socket is not None and self.left:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def ended(self, future: asyncio.Future[None]) -> None:
        """Close the socket of a thread that was never started; the error is raised from `future`."""
        if future.cancelled() and self.socket is not None:
            self.socket.close()
        elif not future.cancelled():
            future.exception()

    def run(self) -> None:
        """Run in the thread, to the last byte. Raises ConnectionError if the body breaks off."""
        open_socket = self.socket
        with open_socket if open_socket is not None else contextlib.nullcontext():
            for piece in self._here:
                self._write(piece)
            if open_socket is None:
                return
            room = self._sink.room if isinstance(self._sink, ReceivingSink) else _block(min(POUR, self.left))
            while self.left:
                goal = room(min(POUR, self.left))
                self._write(goal[: self._fill(open_socket, goal)])
            with contextlib.suppress(OSError):  # no more bytes: the normal end
                if self.tls is not None:
                    self.is_over = self.tls.has_more(open_socket)
                else:
                    self.is_over = bool(open_socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))

    def _fill(self, open_socket: socket.socket, goal: memoryview) -> int:
        """Fill `goal` until a write is worth it; return the number of bytes."""
        filled, tls = 0, self.tls
        poll = select.poll()
        poll.register(open_socket, select.POLLIN)
        while filled < len(goal):
            if self._is_halted:  # the memory may be that of another read by now
                raise ConnectionAbortedError(message("the read was abandoned"))
            try:
                rest = goal[filled:]
                count = open_socket.recv_into(rest) if tls is None else tls.receive(open_socket, rest)
            except BlockingIOError:
                if filled >= SIP:
                    break
                poll.poll(LOOK)
                continue
            if count == 0:
                raise ConnectionError(message("the connection was closed"))
            filled += count
            self.left -= count
            self._on_received(count)
        return filled

    def _write(self, piece: memoryview) -> None:
        self._sink(piece)
        self.taken += len(piece)
        self._on_written()


def _block(size: int) -> Callable[[int], memoryview]:
    """Return what returns the beginning of one block, time and again."""
    block = memoryview(bytearray(size))
    return lambda most: block[:most]
