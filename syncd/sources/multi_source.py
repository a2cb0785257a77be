"""Several sources of one dataset behind one Transport: which file is asked for where, and in which order.

Rules:
1. The order is the steward's, or the fastest first (`choose: fastest`): each is measured by what it brought, and who
   was not measured yet is tried first; now and then the one that was asked least is tried again.
2. A source that failed just now comes last for a while, whatever the order.
3. What a survey found belongs to the source that was surveyed (`active`); the others have it under the same path.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO
from urllib.parse import quote

from manifests.origins import origin_of
from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat
from syncd.core import Body, Page, Sink, TransientError, Transport
from syncd.streams import SCHEME, BodyWrapper, copy_to_sink, fetch
from syncd.wrappers import PLACES

DOWN_FOR = 60.0  # seconds for which a source that failed comes last
AGAIN = 16  # files after which the source that was asked least is tried again
PLAIN = "/:@!$&'()*+,;=~"  # stays as it is in a path that becomes part of a url


@dataclass(slots=True)
class RankedSource:
    """One source, and what is known of it."""

    url: str
    transport: Transport
    down_until: float = float("-inf")
    bytes: int = 0
    seconds: float = 0.0
    asked: int = 0

    def failed(self, now: float) -> None:
        """Put this source last for a while."""
        self.down_until = now + DOWN_FOR

    def speed(self) -> float:
        """Return bytes a second, endless where nothing was measured."""
        return self.bytes / self.seconds if self.seconds > 0 else float("inf")


class MultiSourceTransport:
    """All sources of a mirror."""

    def __init__(
        self,
        sources: Sequence[tuple[str, Transport]],
        *,
        fastest: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sources` are urls of folders with their transports, the preferred first."""
        self.sources = [RankedSource(url, transport) for url, transport in sources]
        self.active = 0
        self._fastest = fastest
        self._clock = clock
        self._files = 0

    def targets(self, stat: Stat) -> tuple[str, ...]:
        """Return where a file can be had, absolute, in the order in which it is to be asked for."""
        if stat.urls and stat.urls[0].startswith(SCHEME):
            return stat.urls  # it lies in our spool
        now, active = self._clock(), self.sources[self.active]
        inside = next((url[len(active.url) :] for url in stat.urls if url.startswith(active.url)), None)
        found: list[str] = []
        order = sorted(self.sources, key=lambda one: self._rank(one, now))
        self._files += 1
        if self._fastest and self._files % AGAIN == 0:
            order.sort(key=lambda one: (now < one.down_until, one.asked))
        order[0].asked += 1
        for source in order:
            if source is active and stat.urls:
                found += stat.urls
            elif inside is not None and not {source.url[:2], active.url[:2]} & {"s3"}:
                found.append(source.url + inside)
            else:
                found.append(source.url + (stat.path if source.url.startswith("s3:") else quote(stat.path, safe=PLAIN)))
        return tuple(dict.fromkeys(found))[:PLACES]

    def failed(self, number: int) -> None:
        """Put a source last for a while."""
        self.sources[number].failed(self._clock())

    def _rank(self, source: RankedSource, now: float) -> tuple[bool, float, int]:
        return now < source.down_until, *((-source.speed(), source.asked) if self._fastest else (0.0, 0))

    # -- the port -------------------------------------------------------------------------------------------------

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List the source that leads."""
        return self.sources[self.active].transport.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        return self.sources[self.active].transport.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Ask the source that it belongs to."""
        return await self._of(path).transport.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from the source that it belongs to, and measure it."""
        source = self._of(path)
        opening = source.transport.open(path, start=start, stop=stop, version=version)
        return _MeasuredBody(opening, source, self._clock)

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Put a question to the source that leads."""
        return await fetch(self.sources[self.active].transport, follow, spool)

    async def aclose(self) -> None:
        """Close all sources."""
        for source in self.sources:
            await source.transport.aclose()

    def _of(self, path: str) -> RankedSource:
        """Return the source that a url belongs to: the longest that it lies below, else one on its origin."""
        active = self.sources[self.active]
        if "://" not in path:
            return active
        below = [source for source in self.sources if path.startswith(source.url)]
        if below:
            return max(below, key=lambda source: len(source.url))
        try:
            origin = origin_of(path)
        except ValueError:
            return active  # a stranger wrote what is no url: the transport will refuse it in its own words
        return next((source for source in self.sources if origin_of(source.url) == origin), active)


class _MeasuredBody(BodyWrapper):
    """One open body, by which its source is ranked."""

    __slots__ = ("_began", "_body", "_clock", "_inner", "_source")

    def __init__(
        self, inner: AbstractAsyncContextManager[Body], source: RankedSource, clock: Callable[[], float]
    ) -> None:
        self._inner = inner
        self._source = source
        self._clock = clock

    async def __aenter__(self) -> Body:
        self._began = self._clock()
        try:
            body = self._body = await self._inner.__aenter__()
        except TransientError:
            self._source.failed(self._clock())
            raise
        self.claim_as(body)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._source.seconds += self._clock() - self._began
        return await self._inner.__aexit__(kind, error, trace)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                self._source.bytes += len(chunk)
                yield chunk
        except TransientError:
            self._source.failed(self._clock())
            raise

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """As iterating, with the bytes going to `sink`."""
        try:
            async for count in copy_to_sink(self._body, sink):
                self._source.bytes += count
                yield count
        except TransientError:
            self._source.failed(self._clock())
            raise
