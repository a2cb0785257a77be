"""Sends the bytes of one file, or of a range of it, over an HTTP connection.

Rules:
1. In clear, the system copies an open file into the socket (sendfile); else it is read in threads, in chunks. The loop
   never waits for a disk or for a client.
2. A client that takes less than SLOW bytes a second over PATIENCE seconds is cut off, so that none holds a connection
   for ever. What was announced and cannot be sent ends the connection: a client never takes a part for the whole.
"""

import asyncio
import os
import select
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress

from aiohttp import web

from syncd.core import OpenFile
from syncd.face.pacing import TokenPace

WINDOW = 4 << 20  # bytes given to the system at once
CHUNK = 256 << 10  # bytes read at once where the system cannot send the file
KEEPS_UP = 2  # milliseconds that a thread waits for a client
PATIENCE = 60.0  # seconds
SLOW = 1024  # bytes a second

Pace = TokenPace | None
OnSent = Callable[[int], None]


def _uncounted(_: int) -> None:
    """Count nothing."""


class SlowReader(ConnectionError):
    """The client takes too little."""


class ReaderPace:
    """Whether a client takes enough."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since, self._sent = clock(), 0

    def sent(self, count: int) -> None:
        """Count what the client took."""
        self._sent += count
        if self._sent >= SLOW * PATIENCE:
            self._since, self._sent = self._clock(), 0

    @property
    def left(self) -> float:
        """Return the seconds until the client is cut off; it was too slow if that is 0."""
        return max(0.0, self._since + PATIENCE - self._clock())


async def send_descriptor(
    request: web.BaseRequest, response: web.StreamResponse, file: OpenFile, start: int, stop: int, *,
    threads: Executor, pace: Pace = None, on_sent: OnSent = _uncounted,
) -> None:  # fmt: skip
    """Send `[start, stop)` of an open file as the body of `response`. Raises ConnectionError.

    `on_sent` is called with the number of bytes of each piece that the system took.
    """
    writer = await response.prepare(request)
    transport = request.transport
    if writer is None or transport is None:
        raise ConnectionResetError("the client has left")
    if transport.get_extra_info("sslcontext") is not None:
        await _send(request, response, _chunks(file, start, stop, threads), pace, on_sent)
        return
    at, progress = start, ReaderPace()
    socket = _Socket(transport)
    try:
        writer.send_headers()
        await _flushed(transport)
        while at < stop:
            count = await socket.send(file, at, min(WINDOW, stop - at), threads, progress)
            if not count:
                raise ConnectionAbortedError("the file is shorter than it was")
            at += count
            on_sent(count)
            progress.sent(count)
            if pace is not None:
                await pace.pace(count)
    except BaseException:
        transport.abort()  # what was announced cannot be kept
        raise
    finally:
        socket.close()
    await response.write_eof()


async def send_chunks(
    request: web.BaseRequest, response: web.StreamResponse, chunks: AsyncIterator[bytes], pace: Pace = None,
    on_sent: OnSent = _uncounted,
) -> None:  # fmt: skip
    """Send chunks as the body of `response`. Raises ConnectionError."""
    await response.prepare(request)
    await _send(request, response, chunks, pace, on_sent)


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, chunks: AsyncIterator[bytes], pace: Pace, on_sent: OnSent
) -> None:
    try:
        async for chunk in chunks:
            async with asyncio.timeout(max(PATIENCE, len(chunk) / SLOW)):
                await response.write(chunk)
            on_sent(len(chunk))
            if pace is not None:
                await pace.pace(len(chunk))
        await response.write_eof()
    except BaseException as error:
        if request.transport is not None:
            request.transport.abort()  # what was announced cannot be kept
        if isinstance(error, TimeoutError):
            raise SlowReader("the client takes too little") from error
        raise


async def _chunks(file: OpenFile, start: int, stop: int, threads: Executor) -> AsyncIterator[bytes]:
    loop, at = asyncio.get_running_loop(), start
    while at < stop:
        chunk = await loop.run_in_executor(threads, os.pread, file.fd, min(CHUNK, stop - at), at)
        if not chunk:
            raise ConnectionAbortedError("the file is shorter than it was")
        at += len(chunk)
        yield chunk


async def _flushed(transport: asyncio.Transport) -> None:
    """Wait until everything that was written is in the socket: what the system sends comes after it."""
    progress, pause = ReaderPace(), 0.0
    while transport.get_write_buffer_size():
        if not progress.left:
            raise SlowReader("the client takes nothing")
        await asyncio.sleep(pause)
        pause = min(0.05, pause + 0.001)
    if transport.is_closing():
        raise ConnectionResetError("the client has left")


class _Socket:
    """The socket below a transport: the system writes into it while the transport has nothing to write."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # of our own: a loop does not watch the descriptor of a transport, and the transport closes its own at any time
        self._fd = os.dup(transport.get_extra_info("socket").fileno())

    async def send(self, file: OpenFile, at: int, count: int, threads: Executor, progress: ReaderPace) -> int:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(BlockingIOError):
                return await loop.run_in_executor(threads, _copy, self._fd, file.fd, at, count)
            await self._writable(progress)

    async def _writable(self, progress: ReaderPace) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._fd, _settle, ready)
        try:
            async with asyncio.timeout(progress.left):
                await ready
        except TimeoutError as error:
            raise SlowReader("the client takes too little") from error
        finally:
            loop.remove_writer(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _copy(socket: int, file: int, at: int, count: int) -> int:
    """Copy bytes into a socket in a thread, as long as the client keeps up; return their number, 0 at the file's end.

    Raises BlockingIOError if the client takes nothing now.
    """
    done, poller = 0, select.poll()
    poller.register(socket, select.POLLOUT)
    while done < count:
        try:
            sent = os.sendfile(socket, file, at + done, count - done)
        except BlockingIOError:
            if poller.poll(KEEPS_UP):
                continue
            if not done:
                raise
            break
        if not sent:
            break
        done += sent
    return done
