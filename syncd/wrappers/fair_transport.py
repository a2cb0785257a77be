"""Counts the requests of a Transport against the connections that all passes share (`syncd.wrappers.fair_share`)."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from manifests.stat import Stat
from syncd.core import Body, Transport
from syncd.streams import open_request
from syncd.wrappers.base import OpeningWrapper, TransportWrapper
from syncd.wrappers.fair_share import OriginShare


class FairTransport(TransportWrapper):
    """A Transport whose requests each take one connection of a share; listings take none."""

    def __init__(self, inner: Transport, share: OriginShare) -> None:
        super().__init__(inner)
        self._share = share

    async def stat(self, path: str) -> Stat:
        """Return a Stat once a connection is free."""
        await self._share.acquire(0)
        try:
            return await self.inner.stat(path)
        finally:
            self._share.release(0)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open once a connection is free; hold it until the block ends."""
        return _FairOpening(self.inner.open(path, start=start, stop=stop, version=version), self._share)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request once a connection is free; hold it until the block ends."""
        return _FairOpening(open_request(self.inner, method, url, headers or {}, body), self._share)


class _FairOpening(OpeningWrapper[Body]):
    """One open body and the connection it holds."""

    __slots__ = ("_share",)

    def __init__(self, inner: AbstractAsyncContextManager[Body], share: OriginShare) -> None:
        super().__init__(inner)
        self._share = share

    async def __aenter__(self) -> Body:
        await self._share.acquire(0)
        try:
            return await self.inner.__aenter__()
        except BaseException:
            self._share.release(0)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self.inner.__aexit__(kind, error, trace)
        finally:
            self._share.release(0)
