"""Reads one file from several places, one taking over where another breaks off: only where a digest proves the whole.

Rules:
1. Who uses this knows a digest of the file that its publisher promises: bytes of two places are one file only if the
   whole matches it. Without one, the whole file starts again at the next place, and nothing is put together.
2. Only what may pass (a stall, a broken connection, a server that is down) is taken over; who says that the file is not
   there, or is another, is believed, and the file as a whole is asked for at the next place.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from manifests.stat import Stat
from syncd.core import Body, Interrupted, Mismatch, Page, TransientError, Transport
from syncd.streams.resumable_body import ResumableBody

PLACES = 8  # where one file is asked for, if so many have it


class FailoverTransport:
    """A Transport for one file: `others` take over from whoever is asked."""

    def __init__(self, inner: Transport, others: tuple[str, ...]) -> None:
        """`others` are absolute, the preferred first."""
        self.inner = inner
        self.served: dict[str, int] = {}
        self._others = others

    def main_target(self, asked: str) -> str:
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
        return _FailoverBody(self, (path, *self._others), start, stop, version)

    async def aclose(self) -> None:
        """Leave the transport within open: it is not ours."""


class _FailoverBody(ResumableBody):
    """One read, from as many places as it takes."""

    __slots__ = ("_path", "_place", "_relay", "_stop", "_version", "_waiting")

    def __init__(
        self, relay: FailoverTransport, places: tuple[str, ...], start: int, stop: int | None, version: str | None
    ) -> None:
        super().__init__(start)
        self._relay = relay
        self._place = places[0]
        self._waiting = list(places)
        self._path = places[0]
        self._stop = stop
        self._version = version

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

    async def _reopen(self, reached: int, error: TransientError) -> Body:
        """Have the next place take over."""
        if not self._waiting:
            raise error
        body = await self._enter(reached)
        if body.start != reached:
            raise Interrupted(f"{self._path}: asked for byte {reached}, answered from {body.start}") from error
        if None not in (body.stat.size, self.stat.size) and body.stat.size != self.stat.size:
            raise Mismatch(f"{self._path}: {self.stat.size} bytes, and {body.url} has {body.stat.size}") from error
        return body
