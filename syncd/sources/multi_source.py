"""Combines several sources of one dataset into one Transport, and decides their order for each file.

Rules:
1. The order is that of the manifest, or the fastest first (`choose: fastest`): downloads measure each source, and
   unmeasured ones come first. From time to time, the least used source is tried again.
2. A source that has failed recently comes last, whatever the order.
3. The Inventory belongs to the surveyed source (`active`); the others have the files under the same paths.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO
from urllib.parse import quote

from manifests.origins import origin_of
from manifests.reading import Document, DocumentRequest
from manifests.stat import Stat
from syncd.core import Body, Page, ReportsSkipped, Sink, TransientError, Transport, capability
from syncd.streams import SCHEME, BodyWrapper, copy_to_sink, fetch
from syncd.wrappers import PLACES

DOWN_FOR = 60.0  # seconds for which a source that failed comes last
AGAIN = 16  # files after which the least used source is tried again
PLAIN = "/:@!$&'()*+,;=~"  # characters of a path that are not escaped in a url


@dataclass(slots=True)
class RankedSource:
    """One source and its measurements."""

    url: str
    transport: Transport
    down_until: float = float("-inf")
    bytes: int = 0
    seconds: float = 0.0
    asked: int = 0

    def failed(self, now: float) -> None:
        """Try this source last for a while."""
        self.down_until = now + DOWN_FOR

    def speed(self) -> float:
        """Return the bytes per second, infinite if not measured."""
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
        """`sources` are the urls of folders and their transports, the preferred first."""
        self.sources = [RankedSource(url, transport) for url, transport in sources]
        self.active = 0
        self._fastest = fastest
        self._clock = clock
        self._files = 0

    def targets(self, stat: Stat) -> tuple[str, ...]:
        """Return the absolute urls of a file, in the order in which to try them."""
        if stat.urls and stat.urls[0].startswith(SCHEME):
            return stat.urls  # in the spool of derived files
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
        """Try a source last for a while."""
        self.sources[number].failed(self._clock())

    def _rank(self, source: RankedSource, now: float) -> tuple[bool, float, int]:
        return now < source.down_until, *((-source.speed(), source.asked) if self._fastest else (0.0, 0))

    def skipped(self) -> Mapping[str, int]:
        """Return what the last listing of the active source passed over."""
        found = capability(self.sources[self.active].transport, ReportsSkipped)
        return found.skipped() if found is not None else {}

    # -- the port -------------------------------------------------------------------------------------------------

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List the active source."""
        return self.sources[self.active].transport.list(prefix)

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, in pages."""
        return self.sources[self.active].transport.list_pages(prefix, after)

    async def stat(self, path: str) -> Stat:
        """Return the Stat from the source of this url."""
        return await self._of(path).transport.stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from the source of this url, and measure it."""
        source = self._of(path)
        opening = source.transport.open(path, start=start, stop=stop, version=version)
        return _MeasuredBody(opening, source, self._clock)

    async def answer(self, follow: DocumentRequest, spool: BinaryIO) -> Document:
        """Send a request to the active source."""
        return await fetch(self.sources[self.active].transport, follow, spool)

    async def aclose(self) -> None:
        """Close all sources."""
        for source in self.sources:
            await source.transport.aclose()

    def _of(self, path: str) -> RankedSource:
        """Return the source of a url: the longest one above it, else one of the same origin."""
        active = self.sources[self.active]
        if "://" not in path:
            return active
        below = [source for source in self.sources if path.startswith(source.url)]
        if below:
            return max(below, key=lambda source: len(source.url))
        try:
            origin = origin_of(path)
        except ValueError:
            return active  # an invalid url from a document: the transport will refuse it
        return next((source for source in self.sources if origin_of(source.url) == origin), active)


class _MeasuredBody(BodyWrapper):
    """One open body, which measures its source."""

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
        """Iterate, with the bytes passed to `sink`."""
        try:
            async for count in copy_to_sink(self._body, sink):
                self._source.bytes += count
                yield count
        except TransientError:
            self._source.failed(self._clock())
            raise
