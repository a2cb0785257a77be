"""Routes the `s3://` urls of a web catalogue to an S3 transport, opened at the first request.

Rules:
1. Only `s3://` has another transport. Urls of other schemes (`file:`!) that a document names are refused.
2. A credential of the source is used only for its own bucket; other buckets use the manifest and the environment.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, ConfigError, Transport, Unsupported
from syncd.streams import open_request
from syncd.wrappers import TransportWrapper

WEB = frozenset({"http", "https"})


class S3RoutedTransport(TransportWrapper):
    """A web Transport that also reads from buckets."""

    def __init__(self, inner: Transport, buckets: Callable[[str], Transport]) -> None:
        """`buckets` opens the transport of a bucket's url."""
        super().__init__(inner)
        self._buckets = buckets
        self._opened: dict[str, Transport] = {}

    async def stat(self, path: str) -> Stat:
        """Return the Stat from the web or the bucket."""
        return await self._of(path).stat(path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read from the web or the bucket."""
        return self._of(path).open(path, start=start, stop=stop, version=version)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request."""
        return open_request(self._of(url), method, url, headers or {}, body)

    async def aclose(self) -> None:
        """Close all opened transports."""
        opened, self._opened = self._opened, {}
        for transport in opened.values():
            await transport.aclose()
        await self.inner.aclose()

    def _of(self, path: str) -> Transport:
        scheme, separator, rest = path.partition("://")
        if not separator or scheme.lower() in WEB or "/" in scheme:
            return self.inner
        if scheme != "s3":
            raise Unsupported(
                message("{path}: {scheme}:// urls are refused in documents from the web", path=path, scheme=scheme[:20])
            )
        bucket = f"s3://{rest.partition('/')[0]}/"
        transport = self._opened.get(bucket)
        if transport is None:
            try:
                transport = self._opened[bucket] = self._buckets(bucket)
            except ConfigError as error:
                raise Unsupported(message("{path}: {cause}", path=path, cause=error)) from error
        return transport
