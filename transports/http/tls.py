"""TLS on a connection whose bodies a thread may decrypt: event loop and thread take turns with one TLS object.

The TLS of asyncio and uvloop decrypts every byte on the event loop, and hides the ciphertext that has arrived. Here a
thread can reach both (docs/adr/0030-tls-in-threads.md). Rules:
1. OpenSSL lets one thread at a time use a connection. While its TLS object is lent to a thread, the event loop neither
   reads nor writes, and a connection that is closed then is closed without the closing message of TLS.
2. A certificate is verified before a byte of a request is sent.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import cast

from manifests.messages import message
from transports.net import one_line

RECORD = 16 << 10  # bytes of the longest record of TLS
PIECE = 256 << 10  # bytes that are joined for a protocol, at most
CIPHERTEXT = 64 << 10  # bytes that a thread receives at a time


class TlsTransport(asyncio.Transport):
    """A transport that encrypts on the way to `wire`, and decrypts what arrives there for its protocol."""

    def __init__(self, wire: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._wire = wire
        self._protocol = protocol
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._agreed: asyncio.Future[None] | None = None
        self._is_agreed = False
        self._is_paused = False
        self._is_lent = False
        self._has_ended = False
        self._is_closing = False
        wire.set_protocol(_Wire(self))

    async def handshake(self, context: ssl.SSLContext, host: str) -> None:
        """Agree on keys with the server. Raises ssl.SSLError, ConnectionError; the connection is closed then."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._agreed = asyncio.get_running_loop().create_future()
        self._shake_hands()
        try:
            await self._agreed
        except BaseException:
            self.abort()
            raise
        finally:
            self._agreed = None
        self._is_agreed = True

    def _shake_hands(self) -> None:
        tls, agreed = self._tls, self._agreed
        if tls is None or agreed is None or agreed.done():
            return  # bytes that came too early wait
        try:
            tls.do_handshake()
            agreed.set_result(None)
        except ssl.SSLWantReadError:
            if self._has_ended:
                agreed.set_exception(ConnectionResetError(message("the connection was closed")))
        except ssl.SSLError as error:
            agreed.set_exception(error)
        self._send()

    def received(self, data: bytes) -> None:
        """Take ciphertext that has arrived."""
        self._incoming.write(data)
        if self._is_agreed:
            self._decrypt()
        else:
            self._shake_hands()

    def ended(self) -> bool:
        """Note that no more ciphertext arrives; return True if the protocol has not taken everything yet."""
        self._has_ended = True
        if self._is_agreed:
            self._decrypt()
        else:
            self._shake_hands()
        return self._is_agreed and not self._is_closing

    def lost(self, error: Exception | None) -> None:
        """Tell the protocol that the connection is gone."""
        self._is_closing = True
        agreed = self._agreed
        if agreed is not None and not agreed.done():
            agreed.set_exception(error or ConnectionResetError(message("the connection was closed")))
        self._protocol.connection_lost(error)

    def writable(self, can_write: bool) -> None:
        """Tell the protocol to go on, or to wait until the connection has taken what was written."""
        if can_write:
            self._protocol.resume_writing()
        else:
            self._protocol.pause_writing()

    def _decrypt(self) -> None:
        """Give the protocol what has arrived, until it pauses."""
        tls = self._tls
        assert tls is not None
        try:
            while not (self._is_paused or self._is_lent or self._is_closing):
                if not (self._incoming.pending or tls.pending()):
                    break
                protocol = self._protocol
                if isinstance(protocol, asyncio.BufferedProtocol):
                    space = memoryview(protocol.get_buffer(-1))
                    if (count := _read_into(tls, space)) == 0:
                        self._has_ended = True
                        break
                    protocol.buffer_updated(count)
                elif piece := self._joined(tls):
                    protocol.data_received(piece)  # type: ignore[attr-defined]  # an asyncio.Protocol
                else:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._outgoing.pending and not self._is_lent:
            self._send()  # an answer to new keys
        if self._has_ended and not (self._is_paused or self._is_lent or self._is_closing):
            self.close()

    def _joined(self, tls: ssl.SSLObject) -> bytes:
        """Return the bytes of the records that have arrived, of some of them if they are many."""
        first = tls.read(RECORD)
        if not first:
            self._has_ended = True
        if not first or not (self._incoming.pending or tls.pending()):
            return first
        pieces, size = [first], len(first)
        try:
            while size < PIECE and (self._incoming.pending or tls.pending()):
                piece = tls.read(RECORD)
                if not piece:
                    self._has_ended = True
                    break
                pieces.append(piece)
                size += len(piece)
        except ssl.SSLWantReadError:
            pass
        return b"".join(pieces)

    def _fail(self, error: Exception) -> None:
        """Close the connection, and tell the protocol why."""
        if not self._is_closing:
            self._is_closing = True
            self._protocol.connection_lost(error)
            self._protocol = asyncio.Protocol()  # it is told once
            self._wire.abort()

    def _send(self) -> None:
        if self._outgoing.pending and not self._wire.is_closing():
            self._wire.write(self._outgoing.read())

    # What protocols use of a transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        tls = self._tls
        if self._is_closing or self._is_lent or tls is None or not data:
            return
        try:
            with memoryview(data) as rest:
                sent = 0
                while sent < len(rest):
                    sent += tls.write(rest[sent:])
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._send()

    def pause_reading(self) -> None:
        """Give the protocol nothing until `resume_reading`."""
        self._is_paused = True
        if not self._wire.is_closing():
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Give the protocol what arrives."""
        self._is_paused = False
        if self._wire.is_closing():
            return
        if self._incoming.pending or self._has_ended or (self._tls is not None and self._tls.pending()):
            asyncio.get_running_loop().call_soon(self._decrypt)
        self._wire.resume_reading()

    def is_reading(self) -> bool:
        """Return True if the protocol is given what arrives."""
        return not self._is_paused

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told to pause writing."""
        self._wire.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the system has not taken yet."""
        return self._wire.get_write_buffer_size()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return a property of the connection."""
        if name == "peercert" and self._is_agreed and self._tls is not None:
            return self._tls.getpeercert()
        return self._wire.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Return True if the connection is closed or will be."""
        return self._is_closing or self._wire.is_closing()

    def close(self) -> None:
        """Close the connection when everything is sent."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._is_agreed and self._tls is not None and not self._is_lent:
            with contextlib.suppress(ssl.SSLError):  # it wants to read the server's farewell
                self._tls.unwrap()
            self._send()
        self._wire.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_closing = True
        self._wire.abort()

    # What the thread of a body uses.

    def lend(self) -> "LentTls":
        """Lend the TLS object to a thread until `take_back`. The protocol must be paused."""
        assert self._tls is not None
        self._is_lent = True
        return LentTls(self._tls, self._incoming)

    def take_back(self) -> None:
        """Use the TLS object here again: the thread has ended."""
        self._is_lent = False
        self._send()


class _Wire(asyncio.Protocol):
    """What the connection itself tells a `TlsTransport`."""

    def __init__(self, secured: TlsTransport) -> None:
        self._secured = secured

    def data_received(self, data: bytes) -> None:
        """Take ciphertext that has arrived."""
        self._secured.received(data)

    def eof_received(self) -> bool:
        """Close the connection once everything is decrypted."""
        return self._secured.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol."""
        self._secured.lost(exc)

    def pause_writing(self) -> None:
        """Tell the protocol."""
        self._secured.writable(False)

    def resume_writing(self) -> None:
        """Tell the protocol."""
        self._secured.writable(True)


def _read_into(tls: ssl.SSLObject, space: memoryview) -> int:
    """Decrypt into `space`; return the number of bytes, 0 at the end."""
    return cast("int", tls.read(len(space), cast("bytearray", space)))  # their types forget that it may be a buffer


class LentTls:
    """The TLS of a connection in a thread."""

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> None:
        self._tls = tls
        self._incoming = incoming
        self._block = memoryview(bytearray(CIPHERTEXT))

    def receive(self, wire: socket.socket, goal: memoryview) -> int:
        """Return how many bytes were written to the beginning of `goal`; 0 at the end.

        Raises BlockingIOError if none have arrived, ConnectionError if they were damaged on the way.
        """
        tls, size, count = self._tls, len(goal), 0
        while True:
            try:
                while count < size and (more := _read_into(tls, goal[count:])):
                    count += more
                return count  # noqa: TRY300  in the loop
            except ssl.SSLWantReadError:
                if count:
                    return count
                if not (arrived := wire.recv_into(self._block)):
                    return 0
                self._incoming.write(self._block[:arrived])
            except ssl.SSLError as error:
                raise ConnectionError(message("TLS failed: {cause}", cause=one_line(error))) from error

    def has_more(self, wire: socket.socket) -> bool:
        """Return True if a byte of another answer has arrived; it is lost."""
        return self.receive(wire, memoryview(bytearray(1))) > 0
