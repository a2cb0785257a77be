"""Reads one file from several places, one taking over where another breaks off: only where a digest proves the whole.

Rules:
1. Who uses this knows a digest of the file that its publisher promises: bytes of two places are one file only if the
   whole matches it. Without one, the whole file starts again at the next place, and nothing is put together.
2. Only what may pass (a stall, a broken connection, a server that is down) is taken over; who says that the file is not
   there, or is another, is believed, and the file as a whole is asked for at the next place.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from manifests.stat import Stat
from syncd.errors import Interrupted, Mismatch, TransientError
from syncd.ports import Body, Page, Sink, Transport
from syncd.pouring import pour


class Relay:
    """A Transport for one file: `others` take over from whoever is asked."""

    def __init__(self, inner: Transport, others: tuple[str, ...]) -> None:
        """`others` are absolute, the preferred first."""
        self.inner = inner
        self.served: dict[str, int] = {}
        self._others = others

    def main(self, asked: str) -> str:
        """Return the place that most bytes came from."""
        return max(self.served, key=lambda place: self.served[place], default=asked)

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List as the transport within."""
        return self.inner.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """List as the transport within."""
        return self.inner.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Ask as the transport within."""
        return await self.inner.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`, wherever its bytes can be had."""
        return _Relayed(self, (path, *self._others), start, stop, version)

    async def aclose(self) -> None:
        """Leave the transport within open: it is not ours."""


class _Relayed:
    """One read, from as many places as it takes."""

    def __init__(
        self, relay: Relay, places: tuple[str, ...], start: int, stop: int | None, version: str | None
    ) -> None:
        self._relay = relay
        self._place = places[0]
        self._waiting = list(places)
        self._path = places[0]
        self._start = start
        self._stop = stop
        self._version = version
        self._open: AbstractAsyncContextManager[Body] | None = None

    async def __aenter__(self) -> Self:
        body = await self._enter(self._start)
        self.stat = body.stat
        self.start = body.start
        self.stop = body.stop
        self.headers = body.headers
        self.url = body.url
        self._body = body
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._open.__aexit__(kind, error, trace) if self._open is not None else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reached, body = self.start, self._body
        while True:
            try:
                async for chunk in body:
                    reached += len(chunk)
                    self._count(len(chunk))
                    yield chunk
            except TransientError as error:
                body = await self._take_over(reached, error)
            else:
                return

    async def pour(self, sink: Sink) -> AsyncIterator[int]:
        """As iterating, with the bytes going to `sink`."""
        reached, body = self.start, self._body
        while True:
            try:
                async for count in pour(body, sink):
                    reached += count
                    self._count(count)
                    yield count
            except TransientError as error:
                body = await self._take_over(reached, error)
            else:
                return

    async def _enter(self, at: int) -> Body:
        """Open at the first place that answers; only the first one is bound to the version."""
        while True:
            place = self._waiting.pop(0)
            version = self._version if place == self._path else None
            opening = self._relay.inner.open(place, start=at, stop=self._stop, version=version)
            try:
                body = await opening.__aenter__()
            except TransientError:
                if not self._waiting:
                    raise
                continue
            self._open, self._place = opening, place
            self._count(0)
            return body

    def _count(self, count: int) -> None:
        served = self._relay.served
        served[self._place] = served.get(self._place, 0) + count

    async def _take_over(self, reached: int, error: TransientError) -> Body:
        if self._open is not None:
            broken, self._open = self._open, None
            await broken.__aexit__(type(error), error, error.__traceback__)
        if not self._waiting:
            raise error
        body = await self._enter(reached)
        if body.start != reached:
            raise Interrupted(f"{self._path}: asked for byte {reached}, answered from {body.start}") from error
        if None not in (body.stat.size, self.stat.size) and body.stat.size != self.stat.size:
            raise Mismatch(f"{self._path}: {self.stat.size} bytes, and {body.url} has {body.stat.size}") from error
        return body
