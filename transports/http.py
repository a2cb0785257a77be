"""Reads files over http and https: ranges bound to a version, redirects by our own rules, progress and no deadlines.

Rules:
1. Credentials are bound to one origin (scheme, host, port): no redirect takes them elsewhere, none leads from https to
   http. At most ten hops.
2. What is asked for is what is accepted: a 200 to a range, another Content-Range, a compressed answer are errors.
3. A read is bound by If-Range (a strong ETag; where upstream has none, Last-Modified and the size) and by comparing
   what the answer says. Versions of a body: `"etag"` or `modified:<Last-Modified>|<size>`.
"""

import base64
import calendar
import email.utils
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC
from types import TracebackType
from urllib.parse import quote, urljoin, urlsplit

from manifests.stat import Stat
from syncd.errors import (
    Changed,
    Denied,
    Interrupted,
    NotFound,
    PermanentError,
    Refused,
    SyncdError,
    Unreachable,
    Unsafe,
    Unsupported,
)
from syncd.ports import Body, Credential, Page
from transports.addresses import origin_of
from transports.connection import Answer, Connections

HOPS = 10
MOST_RETRY_AFTER = 3600.0
FLOOR = 1024.0  # bytes/s below which a body is stalled ...
OVER = 60.0  # ... when it goes on for so many seconds
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_SAFE = "/!$&'()*+,;=:@~-._"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
) -> "HttpTransport":
    """Return the transport of an http(s) url; it has no options."""
    del options
    return HttpTransport(url, user_agent=user_agent, credential=credential, allow_private=allow_private)


class HttpTransport:
    """One site, and wherever it redirects to."""

    def __init__(
        self,
        root_url: str,
        *,
        user_agent: str,
        credential: Credential | None = None,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        floor: tuple[float, float] = (FLOOR, OVER),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`floor` is bytes per second over a window of seconds; below it a body is stalled."""
        self.root = root_url
        self.floor = floor
        self.clock = clock
        self._credential = credential
        self._connections = Connections(
            allow_private=allow_private,
            ssl_context=ssl_context,
            connect_timeout=connect_timeout,
            header_timeout=header_timeout,
            clock=clock,
        )
        self._common = f"User-Agent: {user_agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._root_parts = _split(root_url)
        self._heads: dict[str, str] = {}

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Refuse: http has no listing of its own."""
        raise Unsupported(f"{self.root}{prefix}: http lists nothing by itself; use the reader autoindex or checksums")

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """Refuse, as `list`."""
        raise Unsupported(f"{self.root}{prefix}{after}: http lists nothing by itself; use autoindex or checksums")

    async def stat(self, path: str) -> Stat:
        """Ask by HEAD; of a server that has none, by a GET of the first byte."""
        try:
            async with _Opened(self, path, 0, None, None, method="HEAD") as body:
                return body.stat
        except (Unsupported, Denied):
            async with _Opened(self, path, 0, 1, None) as body:
                return body.stat

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`. From offset 0 the whole file may come instead (the body's `stop` says so)."""
        return _Opened(self, path, start, stop, version)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    async def exchange(self, method: str, path: str, fields: str) -> tuple[Answer, str]:
        """Return the answer at the end of all redirects, and its url."""
        if "://" not in path:
            origin, base = self._root_parts
            target, url = base + quote(path, safe=_SAFE), self.root
        else:
            origin, target = _split(path)
            url = path
        for _ in range(HOPS):
            head = f"{method} {target} HTTP/1.1\r\n{self._head(origin)}{fields}\r\n"
            answer = await self._connections.exchange(origin, head.encode("latin-1"), bodiless=method == "HEAD")
            if answer.status not in _REDIRECTS or "Location" not in answer.message.headers:
                return answer, origin + target
            before, url = origin, urljoin(origin + target, answer.message.headers["Location"])
            answer.close()
            origin, target = self._hop(before, url, path)
        raise Unsafe(f"{path}: redirected more than {HOPS} times, last to {url}")

    def _hop(self, before: str, url: str, path: str) -> tuple[str, str]:
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https"):
            raise Unsafe(f"{path}: redirected to {scheme}:, which is not followed")
        if before.startswith("https:") and scheme == "http":
            raise Unsafe(f"{path}: redirected from https to http, which is not followed")
        try:
            return _split(url)
        except ValueError as error:
            raise Unsafe(f"{path}: redirected to {url!r}, which is no address: {error}") from error

    def _head(self, origin: str) -> str:
        """Return the headers that every request to an origin has; only its own credential is among them."""
        head = self._heads.get(origin)
        if head is None:
            host = origin.partition("://")[2]
            head = f"Host: {host}\r\n{self._common}{self._secret(origin)}"
            self._heads[origin] = head
        return head

    def _secret(self, origin: str) -> str:
        credential = self._credential
        if credential is None or credential.origin != origin:
            return ""
        if credential.scheme == "basic":
            pair = base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()
            return f"Authorization: Basic {pair}\r\n"
        if credential.scheme == "bearer":
            return f"Authorization: Bearer {credential.secret}\r\n"
        if credential.scheme == "header":
            return f"{credential.header}: {credential.secret}\r\n"
        raise Denied(f"{origin}: the credential {credential.name} is for S3, not for http")

    def denied(self, path: str, status: int, origin: str) -> Denied:
        """Return what to raise for 401 and 403."""
        credential = self._credential
        if credential is None:
            return Denied(f"{path}: upstream answers {status}: it wants a login: add credentials to the manifest")
        if credential.origin != origin:
            return Denied(
                f"{path}: {origin} answers {status}; the credential {credential.name} is for {credential.origin}"
            )
        return Denied(f"{path}: upstream answers {status} to the credential {credential.name}: is it still valid?")


class _Opened:
    """One read: the request when entered, the body while iterated."""

    __slots__ = (
        "_answer", "_method", "_path", "_start", "_stop", "_transport", "_version",
        "headers", "start", "stat", "stop", "url",
    )  # fmt: skip

    def __init__(
        self,
        transport: HttpTransport,
        path: str,
        start: int,
        stop: int | None,
        version: str | None,
        *,
        method: str = "GET",
    ) -> None:
        self._transport = transport
        self._path = path
        self._start = start
        self._stop = stop
        self._version = version
        self._method = method
        self._answer: Answer | None = None

    async def __aenter__(self) -> Body:
        answer, self.url = await self._transport.exchange(self._method, self._path, self._fields())
        self._answer = answer
        try:
            self._accept(answer)
        except SyncdError:
            answer.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._answer is not None:
            self._answer.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        transport, answer = self._transport, self._answer
        assert answer is not None
        left = None if self.stop is None else self.stop - self.start
        try:
            async for chunk in answer.chunks(*transport.floor, transport.clock):
                if left is not None:
                    left -= len(chunk)
                    if left < 0:
                        raise Interrupted("more bytes came than were announced")
                yield chunk
        except Interrupted as error:
            raise Interrupted(f"{self._path}: {error}") from error
        if left:
            raise Interrupted(f"{self._path}: ended {left} bytes before its announced end")

    def _fields(self) -> str:
        """Return the headers that bind this read."""
        ranged = self._start > 0 or self._stop is not None
        fields = ""
        if ranged:
            last = "" if self._stop is None else str(self._stop - 1)
            fields = f"Range: bytes={self._start}-{last}\r\n"
        version = self._version
        if version is None:
            return fields
        if version.startswith('"'):
            return f"{fields}If-Range: {version}\r\n" if ranged else f"{fields}If-Match: {version}\r\n"
        if version.startswith("modified:") and ranged:
            return f"{fields}If-Range: {version.removeprefix('modified:').partition('|')[0]}\r\n"
        return fields

    def _accept(self, answer: Answer) -> None:
        status, path = answer.status, self._path
        headers = self.headers = {name.lower(): value for name, value in answer.message.headers.items()}
        if status not in (200, 206):
            self._refuse(status, headers)
            return
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise Unsupported(f"{path}: came as {headers['content-encoding']} although asked for as it is")
        length = int(headers["content-length"]) if headers.get("content-length", "").isdigit() else None
        if status == 206:
            self._accept_range(headers)
        else:
            if self._start > 0:
                self._compare(headers, length)
                raise Unsupported(f"{path}: upstream ignores ranges: the whole file came for bytes {self._start}-")
            self.start, self.stop = 0, length
            self.stat = _stat(path, headers, length)
        self._compare(headers, self.stat.size)

    def _accept_range(self, headers: dict[str, str]) -> None:
        match = _RANGE.fullmatch(headers.get("content-range", ""))
        if match is None:
            raise Unsupported(f"{self._path}: a part came, but not which: {headers.get('content-range')!r}")
        start, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        wanted = self._stop if total is None or self._stop is None else min(self._stop, total)
        if start != self._start or (wanted is not None and last + 1 != wanted) or last < start:
            raise Interrupted(f"{self._path}: bytes {self._start}-{self._stop} asked for, {start}-{last} came")
        self.start, self.stop = start, last + 1
        self.stat = _stat(self._path, headers, total)

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        path = self._path
        if status == 416 and self._start == 0 and headers.get("content-range", "").replace(" ", "") == "bytes*/0":
            self.start = self.stop = 0
            self.stat = _stat(path, headers, 0)
            return
        if status in (404, 410):
            raise NotFound(f"{path}: upstream has no such file ({status})")
        if status in (401, 403, 407):
            raise self._transport.denied(path, status, origin_of(self.url))
        if status == 412:
            raise Changed(f"{path}: is no longer {self._version}")
        if status == 416:
            raise Unsupported(f"{path}: has no bytes {self._start}-{self._stop} ({headers.get('content-range')})")
        if status in (429, 503):
            raise Refused(f"{path}: upstream asks for patience ({status})", retry_after=_retry_after(headers))
        if status in (405, 501):
            raise Unsupported(f"{path}: upstream does not answer {self._method} ({status})")
        if status >= 500 or status in (408, 425):
            raise Unreachable(f"{path}: upstream answers {status}", retry_after=_retry_after(headers))
        raise PermanentError(f"{path}: upstream answers {status}")

    def _compare(self, headers: dict[str, str], size: int | None) -> None:
        """Raise Changed if the answer is of another version than the one this read is bound to."""
        version = self._version
        if version is None or not version.startswith(('"', "modified:")):
            return
        found = _version(headers, size)
        if version.startswith('"'):
            found = headers.get("etag")
        if found != version:
            raise Changed(f"{self._path}: version {version} became {found}")


def _stat(path: str, headers: dict[str, str], size: int | None) -> Stat:
    return Stat(path, size, _instant(headers.get("last-modified")), _version(headers, size))


def _version(headers: dict[str, str], size: int | None) -> str | None:
    etag = headers.get("etag", "")
    if etag.startswith('"') and etag.endswith('"') and len(etag) > 2:
        return etag
    if size is not None and "last-modified" in headers:
        return f"modified:{headers['last-modified']}|{size}"
    return None


def _instant(text: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None."""
    parsed = email.utils.parsedate(text) if text is not None else None
    if parsed is None:
        return None
    try:
        return float(calendar.timegm(parsed))
    except (ValueError, OverflowError):
        return None


def _retry_after(headers: dict[str, str]) -> float | None:
    """Return the seconds that upstream asks for, capped; None if it does not, or says nonsense."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return min(float(text[:12]), MOST_RETRY_AFTER)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    wait = until.timestamp() - time.time()
    return min(wait, MOST_RETRY_AFTER) if wait > 0 else None


def _split(url: str) -> tuple[str, str]:
    """Return origin and request target of an absolute url; raises ValueError for what is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host")
    path = quote(parts.path or "/", safe=_SAFE + "%")
    query = f"?{quote(parts.query, safe=_SAFE + '%?/[]')}" if parts.query else ""
    return origin_of(url), path + query
