"""Reads one file from several sources: if one breaks off, another continues. A checksum must verify the whole file.

Rules:
1. It is used only for a file with a published checksum: bytes of two sources are one file only if the whole matches
   the checksum. Without one, the file starts again at the next source, and bytes of two sources are never combined.
2. Another source takes over only after a TransientError (a stall, a broken connection, a server that is down). If a
   source responds that the file is missing or changed, the file starts again at the next one.
"""

from contextlib import AbstractAsyncContextManager

from manifests.messages import message
from syncd.core import Body, Interrupted, Mismatch, TransientError, Transport
from syncd.streams import ResumableBody
from syncd.wrappers.base import TransportWrapper

PLACES = 8  # urls that are tried for one file, at most


class FailoverTransport(TransportWrapper):
    """A Transport for one file: `others` take over from the requested url."""

    def __init__(self, inner: Transport, others: tuple[str, ...]) -> None:
        """`others` are absolute urls, the preferred first."""
        super().__init__(inner)
        self.served: dict[str, int] = {}
        self._others = others

    def main_target(self, asked: str) -> str:
        """Return the url that sent most of the bytes."""
        return max(self.served, key=lambda place: self.served[place], default=asked)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)` from as many urls as necessary."""
        return _FailoverBody(self, (path, *self._others), start, stop, version)

    async def aclose(self) -> None:
        """Leave the inner transport open: other files use it."""


class _FailoverBody(ResumableBody):
    """One read from as many urls as necessary."""

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
        """Open the first url that responds; only the first one is bound to the version."""
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
        """Continue at the next url."""
        if not self._waiting:
            raise error
        body = await self._enter(reached)
        if body.start != reached:
            raise Interrupted(
                message(
                    "{path}: requested from byte {reached}, received from {start}",
                    path=self._path,
                    reached=reached,
                    start=body.start,
                )
            ) from error
        if None not in (body.stat.size, self.stat.size) and body.stat.size != self.stat.size:
            raise Mismatch(
                message(
                    "{path}: {size} bytes, and {url} has {other}",
                    path=self._path,
                    size=self.stat.size,
                    url=body.url,
                    other=body.stat.size,
                )
            ) from error
        return body
