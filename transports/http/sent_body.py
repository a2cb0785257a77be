"""A long body of a request, written to the socket by a thread.

The event loop keeps the interpreter's lock while the system copies what it writes: with many bodies under way, the
threads that receive and hash wake in vain, a thousand times a second, and nothing else of the loop is done.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

LONG_BODY = 1 << 18  # bytes; shorter bodies are written by the event loop
WRITTEN = 1 << 20  # bytes handed to the system at a time
LOOK = 250  # milliseconds between two looks at the connection, while the system takes no bytes


class SentBody:
    """The work of the thread: write `pieces` to a connection's socket while they are wanted."""

    def __init__(
        self,
        wire: socket.socket,
        pieces: Sequence[bytes | memoryview],
        is_wanted: Callable[[], bool],
        on_sent: Callable[[], object],
        patience: float,
    ) -> None:
        """`on_sent` is called when the system took bytes; `patience` is for how many seconds it may take none."""
        self._socket = socket.socket(fileno=os.dup(wire.fileno()))
        self._pieces = pieces
        self._is_wanted = is_wanted
        self._on_sent = on_sent
        self._patience = patience
        self._is_halted = False
        self._is_running = False

    async def send(self, threads: Executor) -> bool:
        """Return True when the system has taken all bytes, False if they are no longer wanted, or the peer is gone.

        Raises TimeoutError if the system takes none for too long.
        """
        ended = asyncio.get_running_loop().run_in_executor(threads, self._run)
        ended.add_done_callback(self._close_unused)
        try:
            return await ended
        finally:
            self._is_halted = True

    def _close_unused(self, ended: asyncio.Future[bool]) -> None:
        """Close the socket of a thread that was never started."""
        if ended.cancelled() and self._pieces and not self._is_running:
            self._socket.close()

    def _run(self) -> bool:
        self._is_running = True
        with self._socket as wire:
            poll = select.poll()
            poll.register(wire, select.POLLOUT)
            try:
                for piece in self._pieces:
                    self._write(memoryview(piece), wire, poll)
            except ConnectionError:
                return False
            finally:
                self._pieces = ()  # the memory is used again
        return True

    def _write(self, rest: memoryview, wire: socket.socket, poll: "select.poll") -> None:
        moved = time.monotonic()
        while rest:
            if self._is_halted or not self._is_wanted():
                raise ConnectionAbortedError
            try:
                rest = rest[wire.send(rest[:WRITTEN]) :]
            except BlockingIOError:
                if not poll.poll(LOOK) and time.monotonic() - moved > self._patience:
                    raise TimeoutError from None
                continue
            moved = time.monotonic()
            self._on_sent()
