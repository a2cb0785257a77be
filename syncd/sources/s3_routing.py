"""Leaves what a catalogue on the web keeps in buckets to a transport of its own: S3, opened when it is first asked for.

Rules:
1. Only `s3://` is left to another transport. What a stranger's page names by any other scheme (`file:`!) is refused.
2. A credential of the source goes to its own bucket alone; else S3 is asked as manifest and environment say.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from manifests.stat import Stat
from syncd.core import Body, ConfigError, Transport, Unsupported
from syncd.streams import open_request
from syncd.wrappers import TransportWrapper

WEB = frozenset({"http", "https"})


class S3RoutedTransport(TransportWrapper):
    """A Transport of the web that reads from buckets too."""

    def __init__(self, inner: Transport, buckets: Callable[[str], Transport]) -> None:
        """`buckets` opens the transport for the bucket of a url."""
        super().__init__(inner)
        self._buckets = buckets
        self._opened: dict[str, Transport] = {}

    async def stat(self, path: str) -> Stat:
        """Ask whoever keeps it."""
        return await self._of(path).stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from whoever keeps it."""
        return self._of(path).open(path, start=start, stop=stop, version=version)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Put a question to the web."""
        return open_request(self._of(url), method, url, headers or {}, body)

    async def aclose(self) -> None:
        """Close all that was opened."""
        opened, self._opened = self._opened, {}
        for transport in opened.values():
            await transport.aclose()
        await self.inner.aclose()

    def _of(self, path: str) -> Transport:
        scheme, separator, rest = path.partition("://")
        if not separator or scheme.lower() in WEB or "/" in scheme:
            return self.inner
        if scheme != "s3":
            raise Unsupported(f"{path}: a source on the web keeps no files at {scheme[:20]}://")
        bucket = f"s3://{rest.partition('/')[0]}/"
        transport = self._opened.get(bucket)
        if transport is None:
            try:
                transport = self._opened[bucket] = self._buckets(bucket)
            except ConfigError as error:
                raise Unsupported(f"{path}: {error}") from error
        return transport
