"""A long body of known length, read past the parser: the system writes straight into a buffer of ours.

The parser has nothing to find in the gigabytes between a head and the end it announces, and each byte it passes on is
copied three times. So the connection is given another protocol until the last byte is here, and then its own again.
"""

import asyncio

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader

from syncd.errors import Interrupted

LONG = 1 << 18  # bytes still to come from which on it is worth it
BLOCK = 1 << 19  # bytes; what waits for the reader is at most this


class Flood(asyncio.BufferedProtocol):
    """The rest of a body, read like a StreamReader; `wire` is the connection's own protocol.

    One byte more than announced is asked for, so that a server that sends too much is found out (`exception`).
    """

    def __init__(self, wire: ResponseHandler, payload: StreamReader, length: int) -> None:
        transport = wire.transport
        assert transport is not None
        self._wire = wire
        self._payload = payload
        self._transport: asyncio.Transport = transport
        self._first = payload.read_nowait(-1)
        self._left = length - payload.total_bytes
        self._block = memoryview(bytearray(min(BLOCK, self._left + 1)))
        self._filled = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._exception: BaseException | None = None
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()

    async def readany(self) -> bytes:
        """Return what is here, or wait for it; nothing at the end."""
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

    def is_eof(self) -> bool:
        """Tell whether the last byte is here."""
        return self._left == 0

    def at_eof(self) -> bool:
        """Tell whether the last byte was read."""
        return self._left == 0 and not self._filled and not self._first

    def exception(self) -> BaseException | None:
        """Return what broke the body."""
        return self._exception

    def set_exception(self, error: BaseException) -> None:
        """Break the body."""
        if self._exception is None:
            self._exception = error
            self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        del sizehint
        return self._block[self._filled : min(self._filled + self._left + 1, len(self._block))]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of `nbytes` that arrived."""
        if nbytes > self._left:
            self._wire.force_close()
            self.set_exception(Interrupted("more bytes came than were announced"))
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
        """Let the connection be closed."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection's own protocol, which breaks the body."""
        self._wire.connection_lost(exc)
        self.set_exception(exc if exc is not None else ConnectionError("the connection was closed"))

    def pause_writing(self) -> None:
        """Pass on."""
        self._wire.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._wire.resume_writing()

    def _give_back(self) -> None:
        """Make the connection what it is after a body that its own parser read, with a parser that expects nothing."""
        self._payload.feed_eof()
        self._wire.set_response_params(read_until_eof=True, auto_decompress=False)
        self._transport.pause_reading()
        self._transport.set_protocol(self._wire)
        self._transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
