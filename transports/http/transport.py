"""Reads files over http and https: ranges bound to a version, redirects by our own rules, progress and no deadlines.

Rules:
1. What is asked for is what is accepted: another range, another version, a compressed answer are errors.
2. A read is bound by a strong ETag, or `modified:<Last-Modified>|<size>` where upstream has none, sent as If-Range (a
   part) or If-Match (the whole) and compared with what the answer says. Other versions bind nothing here.
3. A credential goes to its own origin and nowhere else, whatever redirects say; nothing is unpacked, and cookies are
   kept only for a credential that logs in through redirects (`transports.http.auth`).
"""

import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from types import TracebackType

from manifests.origins import origin_of
from manifests.stat import Stat
from syncd.core import (
    Body,
    Broker,
    Changed,
    ConfigError,
    Credential,
    Denied,
    Interrupted,
    NotFound,
    Page,
    PermanentError,
    Refused,
    Sink,
    SyncdError,
    Unreachable,
    Unsafe,
    Unsupported,
)
from transports.http import headers as heads
from transports.http.auth import HttpAuth
from transports.http.connections import Connections, Exchange, StallLimit
from transports.net import MAX_HOPS, STATUSES, next_hop, urls

FLOOR = 1024.0  # bytes/s below which a body is stalled ...
OVER = 60.0  # ... when it goes on for so many seconds
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")
_ACCEPT = re.compile(r"^accept:", re.IGNORECASE | re.MULTILINE)
_CARRIED = frozenset({"accept", "content-type"})  # what a caller's headers may take along to another origin


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    broker: Broker | None = None,
) -> "HttpTransport":
    """Return the transport of an http(s) url; it has no options. `broker` holds the token of the credential."""
    del options
    return HttpTransport(url, user_agent=user_agent, credential=credential, broker=broker, allow_private=allow_private)


class HttpTransport:
    """One site, and wherever it redirects to."""

    def __init__(
        self,
        root_url: str,
        *,
        user_agent: str,
        credential: Credential | None = None,
        broker: Broker | None = None,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        floor: tuple[float, float] = (FLOOR, OVER),
        now: Callable[[], float] = time.time,
    ) -> None:
        """`floor` is bytes per second over a window of seconds; a body below it is stalled. `now` reads Retry-After."""
        self.root = root_url
        self.now = now
        self._admission = HttpAuth(credential, broker)
        self._connections = Connections(
            allow_private=frozenset(_one_form(allowed) for allowed in allow_private),
            ssl_context=ssl_context,
            connect_timeout=connect_timeout,
            header_timeout=header_timeout,
            stall_limit=StallLimit(*floor),
        )
        self._origin, target = urls.split(root_url)
        folder, mark, query = target.partition("?")
        self._folder = folder if folder.endswith("/") else f"{folder}/"
        self._query = mark + query
        self._whole_root = target
        self._common = f"User-Agent: {user_agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._heads: dict[str, str] = {}

    @property
    def certificates(self) -> dict[str, float]:
        """Return, by origin, when the certificate that it showed last is no longer valid."""
        return self._connections.certificates

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Refuse: http has no listing of its own."""
        raise Unsupported(f"{self.root}{prefix}: http lists nothing by itself; use the reader autoindex or checksums")

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """Refuse, as `list`."""
        raise Unsupported(f"{self.root}{prefix}{after}: http lists nothing by itself; use autoindex or checksums")

    async def stat(self, path: str) -> Stat:
        """Ask by HEAD; where that is not answered, by a GET of the first byte."""
        try:
            async with _HttpRead(self, "HEAD", path) as body:
                return body.stat
        except (Unsupported, Denied):
            async with _HttpRead(self, "GET", path, stop=1) as body:
                return body.stat

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`. Where ranges are ignored the whole comes for start 0: the body's `stop` says so."""
        return _HttpRead(self, "GET", path, start=start, stop=stop, version=version)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Ask a question of a catalogue: any method, with its own headers and body, and read the answer."""
        return _HttpRead(self, method, url, fields=headers or {}, sent=body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    async def follow(
        self, method: str, path: str, label: str, bound: str, fields: Mapping[str, str], sent: bytes
    ) -> tuple[Exchange, str]:
        """Return the answer at the end of all redirects, and its url; `label` begins messages. The caller closes it."""
        if urls.is_absolute(path):
            origin, target = urls.split(path)
        else:
            origin = self._origin
            target = f"{self._folder}{urls.escape(path)}{self._query}" if path else self._whole_root
        if self._admission.moves:
            return await self._authorize(method, origin, target, label, bound, fields, sent)
        return await self._hop(method, origin, target, label, bound, fields, sent, _RedirectChain())

    async def _authorize(
        self, method: str, origin: str, target: str, label: str, bound: str, fields: Mapping[str, str], sent: bytes
    ) -> tuple[Exchange, str]:
        """As `_hop`, and log in where a redirect leads to that; asked again if somebody else did meanwhile."""
        admission = self._admission
        while True:
            way = _RedirectChain(logins=admission.logins)
            is_in, refusal = False, ""
            try:
                answer, url = await self._hop(method, origin, target, label, bound, fields, sent, way)
                is_in = answer.status not in (401, 403, 407)
                if way.has_turn and not is_in:
                    refusal = str(self.denied(label, answer.status, url))
            except _AskAgain:
                continue
            finally:
                if way.has_turn:
                    admission.end_login(refusal, is_in=is_in)
            return answer, url

    async def _hop(
        self,
        method: str,
        origin: str,
        target: str,
        label: str,
        bound: str,
        fields: Mapping[str, str],
        sent: bytes,
        way: "_RedirectChain",
    ) -> tuple[Exchange, str]:
        """Follow redirects to the answer at their end."""
        first, admission, visited = origin, self._admission, way.visited
        token = ""
        while True:
            rest = _lines(fields, sent, method, carried_only=origin != first) if fields or sent else ""
            head = self._head(origin)
            if rest and _ACCEPT.search(rest) is not None:
                head = head.replace("Accept: */*\r\n", "")
            if admission.moves:
                added, token = await admission.dynamic_header(origin)
                head += added
            request = f"{method} {target} HTTP/1.1\r\n{head}{bound}{rest}\r\n".encode("latin-1")
            answer = await self._connections.ask(origin, request, bodiless=method == "HEAD", body=sent, label=label)
            url = origin + target
            if answer.status == 401 and token and not way.is_renewed:
                way.is_renewed = True
                await answer.drain_and_close()
                await admission.renew(token)
                continue
            has_changed = admission.moves and admission.store_cookies(origin, answer.headers.get("set-cookie"))
            if answer.status not in STATUSES:
                return answer, url
            await answer.drain_and_close()
            if has_changed:
                visited.clear()  # the same url again, with a new cookie, is no circle
            visited.append(url)
            way.hops += 1
            before = origin
            origin, target = next_hop(label, visited, answer.status, answer.headers.get("location"))
            if way.hops > MAX_HOPS * 2:
                raise Unsafe(f"{label}: redirected more than {MAX_HOPS * 2} times, at last to {urls.shown(url)}")
            if admission.is_login(before, origin) and not way.has_turn:
                if not await admission.begin_login(way.logins):
                    raise _AskAgain
                way.has_turn = True
            if answer.status == 303 and method != "HEAD":
                method, sent = "GET", b""
            elif sent and origin != before:
                raise Unsafe(f"{label}: {before} redirects a question that has a body to {origin}")

    def _head(self, origin: str) -> str:
        """Return the headers that every request to an origin has; only its own credential is among them."""
        head = self._heads.get(origin)
        if head is None:
            host = origin.partition("://")[2]
            lines = f"Host: {host}\r\n{self._common}{self._admission.static_header(origin)}"
            if _UNFIT.search(lines.replace("\r\n", "")) is not None or not lines.isascii():
                credential = self._admission.credential
                name = credential.name if credential is not None else "user_agent"
                raise ConfigError(f"{name}: holds a character that may not stand in a header (a line's end?)")
            if len(self._heads) >= 1024:
                self._heads.clear()
            head = self._heads[origin] = lines
        return head

    def denied(self, label: str, status: int, url: str) -> Denied:
        """Return what to raise for 401, 403 and 407."""
        return self._admission.denied(label, status, urls.split(url)[0])


class _AskAgain(Exception):
    """Somebody else logged in while we waited for our turn to."""


@dataclass(slots=True)
class _RedirectChain:
    """How far one question has come: where it was, and what was done for it on the way."""

    logins: int = 0
    hops: int = 0
    is_renewed: bool = False
    has_turn: bool = False
    visited: list[str] = field(default_factory=list)


class _HttpRead:
    """One read: asked when entered, a Body from then on, over when left."""

    __slots__ = (
        "_answer", "_fields", "_label", "_left", "_method", "_path", "_sent", "_start", "_stop", "_transport",
        "_version", "headers", "start", "stat", "stop", "url",
    )  # fmt: skip

    def __init__(
        self,
        transport: HttpTransport,
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
        self._stop = stop or None  # of an empty file there is no range to ask for
        self._version = heads.binding(version)
        self._fields = fields
        self._sent = sent
        self._answer: Exchange | None = None
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
        if answer.status == 416:  # an empty file: what the answer holds is a page that says so
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
            raise Interrupted(f"{self._label}: more bytes came than the {self._span()} announced")
        if self._left:
            raise Interrupted(f"{self._label}: ended {self._left} bytes before its announced end")
        answer.finish()
        raise StopAsyncIteration

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """As iterating, but the bytes go to `sink` in a thread, and how many is what comes out."""
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
                raise Interrupted(f"{label}: ended {self._left} bytes before its announced end")
        answer.finish()

    def _span(self) -> int:
        return self.stop - self.start if self.stop is not None else 0

    def _bound(self) -> str:
        """Return the headers that say which part of which version is wanted."""
        start, stop, version = self._start, self._stop, self._version
        if stop is not None and start >= stop:
            raise Unsupported(f"{self._label}: bytes {start}-{stop} are none at all")
        if start == 0 and stop is None:
            return f"If-Match: {version}\r\n" if version is not None and version.startswith('"') else ""
        bound = f"Range: bytes={start}-{'' if stop is None else stop - 1}\r\n"
        if version is None:
            return bound
        condition = version if version.startswith('"') else version.removeprefix(heads.MODIFIED).rpartition("|")[0]
        return f"{bound}If-Range: {condition}\r\n"

    def _accept(self, answer: Exchange) -> None:
        """Take the answer for what was asked, or raise."""
        status, fields = answer.status, self.headers
        if status not in (200, 206) and not (self._method not in ("GET", "HEAD") and 200 <= status < 300):
            self._refuse(status)
            return
        coding = fields.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", ""):
            answer.discard_connection()
            raise Unsupported(f"{self._label}: upstream answered compressed ({coding}) although asked not to")
        size = answer.length
        if status == 206:
            size = self._accept_part(answer)
        else:
            self._compare(size)
            if self._start > 0:
                raise Unsupported(f"{self._label}: upstream ignores ranges: the whole came for bytes {self._start}-")
            self.start, self.stop = 0, size
        self.stat = self._claim(size)

    def _accept_part(self, answer: Exchange) -> int | None:
        """Take a 206 if it is exactly the part that was asked for; return the size of the whole."""
        label, fields = self._label, self.headers
        part = heads.content_range(fields)
        if part is None or (self._start == 0 and self._stop is None):
            raise Unsupported(f"{label}: a part came that was not asked for: {fields.get('content-range')}")
        start, stop, size = part
        self._compare(size)
        wanted = self._stop if size is None else size if self._stop is None else min(self._stop, size)
        if start != self._start or (wanted is not None and stop != wanted):
            last = "" if wanted is None else wanted - 1
            raise Unsupported(f"{label}: bytes {self._start}-{last} asked for, {start}-{stop - 1} came")
        announced = answer.length
        if announced is not None and announced != stop - start:
            answer.discard_connection()
            raise Interrupted(f"{label}: a part of {stop - start} bytes announced as {announced}")
        self.start, self.stop = start, stop
        return size

    def _claim(self, size: int | None) -> Stat:
        fields = self.headers
        digests: dict[str, str] = {}
        if not heads.PROMISING.isdisjoint(fields):
            digests = heads.digests(fields, part=self._answer is not None and self._answer.status == 206)
        return Stat(self._path, size, heads.instant(fields.get("last-modified")), heads.version(fields, size), digests)

    def _compare(self, size: int | None) -> None:
        """Raise Changed if the answer is of another version than the one this read is bound to."""
        version, fields = self._version, self.headers
        if version is None:
            return
        if version.startswith('"'):
            wanted, found = version, fields.get("etag")
        else:
            wanted, _, wanted_size = version.removeprefix(heads.MODIFIED).rpartition("|")
            found = fields.get("last-modified")
            if size is not None and str(size) != wanted_size:
                raise Changed(f"{self._label}: had {wanted_size} bytes and has {size} now")
        if found is None and self._start > 0:
            raise Unsupported(f"{self._label}: a part came without the version it belongs to, wanted {wanted}")
        if found is not None and found != wanted:
            raise Changed(f"{self._label}: version {wanted} became {found}")

    def _refuse(self, status: int) -> None:
        """Raise what a status that is no success means."""
        label, fields = self._label, self.headers
        if status == 416 and self._start == 0 and "".join(fields.get("content-range", "").split()) == "bytes*/0":
            self.start = self.stop = 0
            self.stat = self._claim(0)
            return
        wait = heads.retry_after(fields, self._transport.now())
        if status in (404, 410):
            raise NotFound(f"{label}: upstream has no such file ({status})")
        if status in (401, 403, 407):
            raise self._transport.denied(label, status, self.url)
        if status == 412:
            raise Changed(f"{label}: is no longer {self._version}")
        if status == 416:
            there = fields.get("content-range")
            raise Unsupported(f"{label}: upstream has no bytes {self._start}-{self._stop or ''}, only {there}")
        if status in (202, 429, 503, 509):
            raise Refused(f"{label}: upstream asks for patience ({status})", retry_after=wait)
        if status in (405, 501):
            raise Unsupported(f"{label}: upstream does not answer {self._method} ({status})")
        if status >= 500 or status in (408, 425):
            raise Unreachable(f"{label}: upstream failed ({status})", retry_after=wait)
        raise PermanentError(f"{label}: upstream answers {status}")


def _one_form(origin: str) -> str:
    """Return an origin from the configuration as we write them; what is none stays, and matches nothing."""
    try:
        return origin_of(origin)
    except ValueError:
        return origin


def _lines(fields: Mapping[str, str], sent: bytes, method: str, *, carried_only: bool) -> str:
    """Write a caller's headers; on another origin than the first only the harmless ones."""
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if not carried_only or name.lower() in _CARRIED]
    if sent or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(sent)}\r\n")
    written = "".join(lines)
    if _UNFIT.search(written.replace("\r\n", "")) is not None or len(written.split("\r\n")) != len(lines) + 1:
        raise Unsafe("a header of the question holds a control character")
    return written
