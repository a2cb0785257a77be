"""The body of an answer of S3, and what its headers say of the object."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Changed, Interrupted, PermanentError, RangeRefused, Sink
from transports.http import HttpAnswer, headers as heads
from transports.s3.client import Bucket

_CHECKSUM = ("x-amz-checksum-sha256", "x-amz-checksum-type")


class S3Body:
    """The body of an answer; satisfies `syncd.core.ports.Body`. `stop` is None if no length was announced."""

    def __init__(
        self, bucket: Bucket, answer: HttpAnswer | None, stat: Stat, start: int, stop: int | None, url: str
    ) -> None:
        self.stat = stat
        self.start = start
        self.stop = stop
        self.headers: dict[str, str] = {} if answer is None else answer.headers
        if "content-encoding" in self.headers:  # an object is what is stored, whatever its metadata say
            self.headers = {name: value for name, value in self.headers.items() if name != "content-encoding"}
        self.url = url
        self._left = stop - start if stop is not None else None
        self._bucket = bucket
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._answer is None:
            return
        left = self._left
        async for chunk in self._bucket.chunks(self._answer):
            left = left - len(chunk) if left is not None else None
            if left is not None and left < 0:
                raise Interrupted(message("{path}: more bytes arrived than were announced", path=self.stat.path))
            yield chunk
        if left:
            raise Interrupted(
                message("{path}: ended {left} bytes before its announced end", path=self.stat.path, left=left)
            )

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """As iterating, but pass the bytes to `sink` in a thread, and yield their number after each step."""
        if self._answer is None:
            return
        left = self._left
        async with aclosing(self._answer.copy_to_sink(sink)) as counts:
            async for count in counts:
                left = left - count if left is not None else None
                yield count
        if left:
            raise Interrupted(
                message("{path}: ended {left} bytes before its announced end", path=self.stat.path, left=left)
            )
        self._answer.finish()


def accepted(
    bucket: Bucket, answer: HttpAnswer, path: str, start: int, stop: int | None, *, version: str | None, url: str
) -> S3Body:
    """Return the body if it is what was asked for."""
    headers = answer.headers
    end: int | None
    if answer.status == 206:
        first, end, whole = heads.content_range(headers) or (0, 0, None)
        if whole is None:
            raise RangeRefused(
                message(
                    "{path}: the answer to a range has no valid Content-Range: {get!r}",
                    path=path,
                    get=headers.get("content-range"),
                )
            )
        length: int | None = whole
        size = whole
        if first != start or end != (size if stop is None else min(stop, size)):
            raise RangeRefused(
                message(
                    "{path}: bytes [{start}, {stop}) requested, [{first}, {end}) received",
                    path=path,
                    start=start,
                    stop=stop,
                    first=first,
                    end=end,
                )
            )
    else:
        first, length = 0, heads.length(headers)  # chunked, it has none: the listing has the size
        end = length
        if start > 0:
            raise RangeRefused(
                message(
                    "{path}: the server ignores ranges: it sent the whole file for [{start}, {stop})",
                    path=path,
                    start=start,
                    stop=stop,
                )
            )
    stat = stat_of(path, headers, length)
    if version is not None and stat.version != version:
        raise Changed(message("{path}: version {before} became {after}", path=path, before=version, after=stat.version))
    return S3Body(bucket, answer, stat, first, end, url)


def stat_of(path: str, headers: Mapping[str, str], size: int | None) -> Stat:
    """Describe an object from the headers of an answer; of the checksums only its sha256 is taken."""
    etag = headers.get("etag", "").strip()
    if etag and not etag.startswith('"'):
        etag = "" if etag.startswith("W/") else f'"{etag}"'
    digests = heads.digests({name: value for name, value in headers.items() if name in _CHECKSUM})
    return Stat(path, size, heads.instant(headers.get("last-modified")), etag or None, digests)


def announced_length(headers: Mapping[str, str]) -> int:
    """Return the announced length of an object. Raises PermanentError."""
    length = heads.length(headers)
    if length is None:
        raise PermanentError(message("an object without a length: {get!r}", get=headers.get("content-length", "")))
    return length
