"""One read over http: an answer that differs from the request is an error. Beneath `transport`.

Rules:
1. Another range or another version than asked for is an error.
2. A range from the beginning that is refused, or answered oddly, is asked for once more as a plain request; the body is
   then the whole file. Where that succeeds, the origin is asked plainly from then on (`transports.http.habits`).
3. Any other range that is not served raises RangeRefused. Where the status may have another reason, a plain request
   that ends with its headers decides; so it does where an origin has failed for seconds to serve any such range, be it
   with the words of a busy server or with none.
4. A read is bound by a strong ETag, or by `modified:<Last-Modified>|<size>` where upstream has none. It is sent as
   If-Range (a range) or If-Match (the whole) and compared with the answer. Other versions bind nothing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Protocol

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Changed, Denied, Interrupted, RangeRefused, Sink, SyncdError, TransientError, Unsupported
from transports.http import headers as heads
from transports.http.habits import LONG, SAME, OriginHabits
from transports.http.parts import UnknownEnd, accepted_part, check_version
from transports.http.ports import HttpAnswer
from transports.http.statuses import DENIED, status_error
from transports.net import urls


class Requester(Protocol):
    """What a read needs of its transport."""

    root: str
    now: Callable[[], float]
    habits: OriginHabits
    links: dict[str, str]

    def origin_of(self, path: str) -> str:
        """Return the origin that a path or url is asked for at."""
        ...

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
        "_version", "headers", "start", "stat", "status", "stop", "url",
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
        self.status = 0

    async def __aenter__(self) -> Body:
        transport = self._transport
        if transport.links:
            self._path = transport.links.get(self._path, self._path)
        whole = transport.habits.whole
        if whole and self._stop is not None and not self._start and transport.origin_of(self._path) in whole:
            self._stop = None
        try:
            await self._ask()
        except SyncdError as error:
            if self._start and self._method == "GET" and isinstance(error, TransientError):
                await self._doubt(error, transport.habits, transport.origin_of(self._path))
            if self.status in SAME or self._method != "GET" or isinstance(error, Changed | Interrupted):
                raise
            if not self.status or (self._start == 0 and self._stop is None):
                raise
            habits, origin = transport.habits, transport.origin_of(self._path)
            if self.status in DENIED and not self._start and origin in habits.partial:
                raise  # it serves ranges, and this file to others
            await (self._decide if self._start else self._ask_plainly)(error, habits, origin)
        return self

    async def _ask(self) -> None:
        """Send the request, and accept its answer."""
        answer, self.url = await self._transport.follow(
            self._method, self._path, self._label, self._bound(), self._fields or {}, self._sent
        )
        self.status = answer.status
        self.headers = answer.headers
        try:
            self._accept(answer)
        except SyncdError:
            await answer.drain_and_close()
            raise
        self._answer = answer
        if answer.status == 416:  # an empty file: the body of the answer is an error page
            self._answer = None
            await answer.drain_and_close()
        self._left = None if self.stop is None else self.stop - self.start

    async def _ask_plainly(self, error: SyncdError, habits: OriginHabits, origin: str) -> None:
        """Ask for the whole file, because a range from its beginning was refused with `error`."""
        if not isinstance(error, RangeRefused) and not habits.is_worth_asking(origin):
            raise error
        asked, self._stop = self._stop, None
        try:
            await self._ask()
        except SyncdError:
            habits.refused_both(origin)
            raise
        if not isinstance(error, UnknownEnd) or self.stop != asked:
            habits.refused_range(origin)

    async def _doubt(self, error: SyncdError, habits: OriginHabits, origin: str) -> None:
        """Raise RangeRefused if ranges from the middle fail here for long, and a plain request succeeds."""
        if habits.fails_in_the_middle(origin, self._transport.now()) and habits.is_worth_asking(origin):
            await self._compare_with_plain(error, habits, origin, found=habits.refuses_all_ranges)

    async def _decide(self, error: SyncdError, habits: OriginHabits, origin: str) -> None:
        """Raise RangeRefused if a plain request succeeds where one for a later range does not, else `error`."""
        is_busy = self.status == 500 and origin in habits.ranged
        if isinstance(error, RangeRefused) or is_busy or not habits.is_worth_asking(origin):
            raise error
        await self._compare_with_plain(error, habits, origin, found=habits.refused_range)

    async def _compare_with_plain(
        self, error: SyncdError, habits: OriginHabits, origin: str, *, found: Callable[[str], None]
    ) -> None:
        """Raise RangeRefused if a plain request succeeds, and remember that by `found`; else raise `error`."""
        try:
            answer, _ = await self._transport.follow("GET", self._path, self._label, "", self._fields or {}, b"")
        except SyncdError:
            habits.refused_both(origin)
            raise error from None
        answer.close()
        if answer.status != 200:
            habits.refused_both(origin)
            raise error
        found(origin)
        raise RangeRefused(
            message(
                "{label}: the server refuses ranges ({status}), and serves the whole file",
                label=self._label,
                status=self.status,
            )
            if self.status
            else message("{label}: the server does not answer ranges, and serves the whole file", label=self._label)
        ) from error

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
        status = answer.status
        if status not in (200, 203, 206) and not (self._method not in ("GET", "HEAD") and 200 <= status < 300):
            self._refuse(status)
            return
        size = answer.length
        if status == 206:
            size = self._accept_part(answer)
        else:
            self._compare(size)
            if self._start > 0:
                raise RangeRefused(
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
        if (part := heads.content_range(self.headers)) is not None:
            self._compare(part[2])
        try:
            start, stop, size = accepted_part(
                self._label, answer, self._start, self._stop, is_bound=self._version is not None
            )
        except SyncdError:
            answer.discard_connection()
            raise
        self._transport.habits.served(
            self._transport.origin_of(self._path), is_part=start > 0 or stop >= LONG, is_middle=start > 0
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
        if self._version is not None:
            check_version(self._label, self._version, self.headers, size, is_part=self._start > 0)

    def _refuse(self, status: int) -> None:
        """Raise the error of a status that is no success."""
        headers = self.headers
        if status == 416 and self._start == 0 and "".join(headers.get("content-range", "").split()) == "bytes*/0":
            self.start = self.stop = 0  # the file is empty
            self.stat = self._claim(0)
            return
        if status in DENIED:
            raise self._transport.denied(self._label, status, self.url)
        error = status_error(
            status,
            self._label,
            retry_after=heads.retry_after(headers, self._transport.now()),
            method=self._method,
            version=self._version,
            wanted=message("{start}-{stop}", start=self._start, stop=self._stop or ""),
            there=headers.get("content-range"),
        )
        raise RangeRefused(error.args[0]) if status == 416 and self._start else error
