"""One read over http: an answer that differs from the request is an error. Beneath `transport`.

Rules:
1. Another range, another version or a compressed answer than asked for is an error.
2. A read is bound by a strong ETag, or by `modified:<Last-Modified>|<size>` where upstream has none. It is sent as
   If-Range (a range) or If-Match (the whole) and compared with the answer. Other versions bind nothing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Protocol

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Changed, Denied, Interrupted, Sink, SyncdError, Unsupported
from transports.http import headers as heads
from transports.http.ports import HttpAnswer
from transports.http.statuses import DENIED, status_error
from transports.net import urls


class Requester(Protocol):
    """What a read needs of its transport."""

    root: str
    now: Callable[[], float]

    async def follow(
        self, method: str, path: str, label: str, bound: str, fields: Mapping[str, str], sent: bytes
    ) -> tuple[HttpAnswer, str]:
        """Return the answer at the end of all redirects, and its url."""
        ...

    def denied(self, label: str, status: int, url: str) -> Denied:
        """Return the error for a status of DENIED."""
        ...


class HttpRead:
    """One read: the request is sent on entering, and the connection is given back on leaving; a Body in between."""

    __slots__ = (
        "_answer", "_fields", "_label", "_left", "_method", "_path", "_sent", "_start", "_stop", "_transport",
        "_version", "headers", "start", "stat", "stop", "url",
    )  # fmt: skip

    def __init__(
        self,
        transport: Requester,
        method: str,
        path: str,
        *,
        start: int = 0,
        stop: int | None = None,
        version: str | None = None,
        fields: Mapping[str, str] | None = None,
        sent: bytes = b"",
    ) -> None:
        self._transport = transport
        self._method = method
        self._path = path
        self._label = urls.shown(path or transport.root)
        self._start = start
        self._stop = stop or None  # an empty file has no range
        self._version = heads.binding(version)
        self._fields = fields
        self._sent = sent
        self._answer: HttpAnswer | None = None
        self._left: int | None = None

    async def __aenter__(self) -> Body:
        transport = self._transport
        answer, self.url = await transport.follow(
            self._method, self._path, self._label, self._bound(), self._fields or {}, self._sent
        )
        self._answer = answer
        self.headers = answer.headers
        try:
            self._accept(answer)
        except SyncdError:
            await answer.drain_and_close()
            raise
        if answer.status == 416:  # an empty file: the body of the answer is an error page
            self._answer = None
            await answer.drain_and_close()
        self._left = None if self.stop is None else self.stop - self.start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._answer is not None:
            self._answer.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answer = self._answer
        if answer is None:
            raise StopAsyncIteration
        if self._left == 0 and answer.is_at_end():
            answer.finish()
            raise StopAsyncIteration
        chunk = await answer.read()
        if self._left is None:
            if chunk:
                return chunk
            answer.finish()
            raise StopAsyncIteration
        self._left -= len(chunk)
        if chunk and self._left >= 0:
            return chunk
        if chunk:
            answer.discard_connection()
            raise Interrupted(
                message("{label}: more than the announced {span} bytes arrived", label=self._label, span=self._span())
            )
        if self._left:
            raise Interrupted(
                message("{label}: ended {left} bytes before its announced end", label=self._label, left=self._left)
            )
        answer.finish()
        raise StopAsyncIteration

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """As iterating, but pass the bytes to `sink` in a thread, and yield their number after each step."""
        answer, label = self._answer, self._label
        if answer is None:
            return
        came = 0
        async with aclosing(answer.copy_to_sink(sink)) as counts:
            async for count in counts:
                came += count
                yield count
        if self._left is not None:
            self._left -= came
            if self._left:
                raise Interrupted(
                    message("{label}: ended {left} bytes before its announced end", label=label, left=self._left)
                )
        answer.finish()

    def _span(self) -> int:
        return self.stop - self.start if self.stop is not None else 0

    def _bound(self) -> str:
        """Return the header lines that name the range and the version."""
        start, stop, version = self._start, self._stop, self._version
        if stop is not None and start >= stop:
            raise Unsupported(
                message("{label}: bytes {start}-{stop} are an empty range", label=self._label, start=start, stop=stop)
            )
        if start == 0 and stop is None:
            return f"If-Match: {version}\r\n" if version is not None and version.startswith('"') else ""
        bound = f"Range: bytes={start}-{'' if stop is None else stop - 1}\r\n"
        if version is None:
            return bound
        condition = version if version.startswith('"') else version.removeprefix(heads.MODIFIED).rpartition("|")[0]
        return f"{bound}If-Range: {condition}\r\n"

    def _accept(self, answer: HttpAnswer) -> None:
        """Accept the answer if it is what was asked for, else raise."""
        status, fields = answer.status, self.headers
        if status not in (200, 206) and not (self._method not in ("GET", "HEAD") and 200 <= status < 300):
            self._refuse(status)
            return
        coding = fields.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", ""):
            answer.discard_connection()
            raise Unsupported(
                message(
                    "{label}: the answer is compressed ({coding}), which the request ruled out",
                    label=self._label,
                    coding=coding,
                )
            )
        size = answer.length
        if status == 206:
            size = self._accept_part(answer)
        else:
            self._compare(size)
            if self._start > 0:
                raise Unsupported(
                    message(
                        "{label}: the server ignores ranges: it sent the whole file for bytes {start}-",
                        label=self._label,
                        start=self._start,
                    )
                )
            self.start, self.stop = 0, size
        self.stat = self._claim(size)

    def _accept_part(self, answer: HttpAnswer) -> int | None:
        """Accept a 206 if it is exactly the range that was asked for; return the size of the whole file."""
        label, fields = self._label, self.headers
        part = heads.content_range(fields)
        if part is None or (self._start == 0 and self._stop is None):
            raise Unsupported(
                message(
                    "{label}: the server sent a range that was not asked for: {get}",
                    label=label,
                    get=fields.get("content-range"),
                )
            )
        start, stop, size = part
        self._compare(size)
        wanted = self._stop if size is None else size if self._stop is None else min(self._stop, size)
        if start != self._start or (wanted is not None and stop != wanted):
            last = "" if wanted is None else wanted - 1
            raise Unsupported(
                message(
                    "{label}: bytes {start}-{last} requested, {start2}-{stop} received",
                    label=label,
                    start=self._start,
                    last=last,
                    start2=start,
                    stop=stop - 1,
                )
            )
        announced = answer.length
        if announced is not None and announced != stop - start:
            answer.discard_connection()
            raise Interrupted(
                message(
                    "{label}: a range of {stop} bytes is announced as {announced}",
                    label=label,
                    stop=stop - start,
                    announced=announced,
                )
            )
        self.start, self.stop = start, stop
        return size

    def _claim(self, size: int | None) -> Stat:
        fields = self.headers
        digests: dict[str, str] = {}
        if not heads.PROMISING.isdisjoint(fields):
            digests = heads.digests(fields, part=self._answer is not None and self._answer.status == 206)
        return Stat(self._path, size, heads.instant(fields.get("last-modified")), heads.version(fields, size), digests)

    def _compare(self, size: int | None) -> None:
        """Raise Changed if the answer has another version than the one that this read is bound to."""
        version, fields = self._version, self.headers
        if version is None:
            return
        if version.startswith('"'):
            wanted, found = version, fields.get("etag")
        else:
            wanted, _, wanted_size = version.removeprefix(heads.MODIFIED).rpartition("|")
            found = fields.get("last-modified")
            if size is not None and str(size) != wanted_size:
                raise Changed(
                    message(
                        "{label}: had {wanted_size} bytes and has {size} now",
                        label=self._label,
                        wanted_size=wanted_size,
                        size=size,
                    )
                )
        if found is None and self._start > 0:
            raise Unsupported(
                message(
                    "{label}: the server sent a range without a version, expected {wanted}",
                    label=self._label,
                    wanted=wanted,
                )
            )
        if found is not None and found != wanted:
            raise Changed(
                message("{label}: version {wanted} became {found}", label=self._label, wanted=wanted, found=found)
            )

    def _refuse(self, status: int) -> None:
        """Raise the error of a status that is no success."""
        headers = self.headers
        if status == 416 and self._start == 0 and "".join(headers.get("content-range", "").split()) == "bytes*/0":
            self.start = self.stop = 0  # the file is empty
            self.stat = self._claim(0)
            return
        if status in DENIED:
            raise self._transport.denied(self._label, status, self.url)
        raise status_error(
            status,
            self._label,
            retry_after=heads.retry_after(headers, self._transport.now()),
            method=self._method,
            version=self._version,
            wanted=message("{start}-{stop}", start=self._start, stop=self._stop or ""),
            there=headers.get("content-range"),
        )
