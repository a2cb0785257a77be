"""Reads files over http and https: ranges bound to a version, our own redirects, a stall limit and no deadlines.

Rules:
1. An answer must match its request: see `transports.http.read`.
2. A credential is sent to its own origins only, whatever a redirect says; cookies are kept only for a credential that
   logs in through redirects (`transports.http.auth`).
3. No content coding is undone here: the body is what travels (`syncd.streams.content_coding`).
4. What an origin was seen to do with ranges and HEAD is remembered (`transports.http.habits`).
"""

import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from manifests.messages import message
from manifests.origins import origin_of
from manifests.stat import Stat
from syncd.core import Body, Broker, ConfigError, Credential, Denied, NetworkPlan, Page, Unsafe, Unsupported, is_signed
from transports.http.auth import HttpAuth
from transports.http.client import open_client
from transports.http.describe import describe
from transports.http.habits import OriginHabits
from transports.http.ports import HttpAnswer, StallLimit
from transports.http.read import HttpRead
from transports.net import MAX_HOPS, STATUSES, next_hop, open_network, urls

FLOOR = 1024.0  # bytes per second; a body that is slower ...
OVER = 60.0  # ... for so many seconds has stalled
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")
_ACCEPT = re.compile(r"^accept:", re.IGNORECASE | re.MULTILINE)
_CARRIED = frozenset({"accept", "content-type"})  # headers of a caller that are sent to another origin, too


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    broker: Broker | None = None,
    network: NetworkPlan | None = None,
) -> "HttpTransport":
    """Return the transport of an http(s) url; it has no options. `broker` provides the tokens of the credential."""
    del options
    return HttpTransport(
        url,
        user_agent=user_agent,
        credential=credential,
        broker=broker,
        allow_private=allow_private,
        network=network,
    )


class HttpTransport:
    """One site, and the sites that it redirects to."""

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
        network: NetworkPlan | None = None,
    ) -> None:
        """`floor`: bytes per second over a window of seconds; a slower body stalls. `now`: clock of Retry-After."""
        self.root = root_url
        self.now = now
        self._admission = HttpAuth(credential, broker)
        self._client = open_client(
            allow_private=frozenset(_one_form(allowed) for allowed in allow_private),
            ssl_context=ssl_context,
            connect_timeout=connect_timeout,
            header_timeout=header_timeout,
            stall_limit=StallLimit(*floor),
            network=open_network(network),
        )
        self._origin, target = urls.split(root_url)
        folder, mark, query = target.partition("?")
        self._folder = folder if folder.endswith("/") else f"{folder}/"
        self._query = mark + query
        self._whole_root = target
        self._common = f"User-Agent: {user_agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._heads: dict[str, str] = {}
        self.habits = OriginHabits()
        self.links: dict[str, str] = {}

    @property
    def certificates(self) -> dict[str, float]:
        """Return the expiry of the certificate that each origin presented last, in seconds since the epoch."""
        return self._client.certificates

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Raise Unsupported: http has no listings."""
        raise Unsupported(
            message(
                "{root}{prefix}: http has no listings: set the reader autoindex or checksums",
                root=self.root,
                prefix=prefix,
            )
        )

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """Raise Unsupported, as `list`."""
        raise Unsupported(
            message(
                "{root}{prefix}{after}: http has no listings: set the reader autoindex or checksums",
                root=self.root,
                prefix=prefix,
                after=after,
            )
        )

    async def stat(self, path: str) -> Stat:
        """Ask with HEAD; where that cannot be trusted, with a GET of the first byte."""
        return await describe(self, path)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`. If the server ignores ranges, start 0 gives the whole file; see the body's `stop`."""
        return HttpRead(self, "GET", path, start=start, stop=stop, version=version)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request of any method with its own headers and body, and read the answer."""
        return HttpRead(self, method, url, fields=headers or {}, sent=body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def origin_of(self, path: str) -> str:
        """Return the origin that a path or url is asked for at."""
        return urls.split(path)[0] if urls.is_absolute(path) else self._origin

    async def follow(
        self, method: str, path: str, label: str, bound: str, fields: Mapping[str, str], sent: bytes
    ) -> tuple[HttpAnswer, str]:
        """Return the answer at the end of all redirects, and its url; the caller closes it. `label` begins messages."""
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
    ) -> tuple[HttpAnswer, str]:
        """As `_hop`, and log in if a redirect leads to the login; ask again if another request has logged in."""
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
    ) -> tuple[HttpAnswer, str]:
        """Follow redirects to the answer at their end."""
        first, admission, visited = origin, self._admission, way.visited
        while True:
            rest = _lines(fields, sent, method, carried_only=origin != first) if fields or sent else ""
            head = self._head(origin)
            if rest and _ACCEPT.search(rest) is not None:
                head = head.replace("Accept: */*\r\n", "")
            if admission.moves:
                head += admission.dynamic_header(origin)
            request = f"{method} {target} HTTP/1.1\r\n{head}{bound}{rest}\r\n".encode("latin-1")
            answer = await self._client.ask(origin, request, bodiless=method == "HEAD", body=sent, label=label)
            url = origin + target
            has_changed = admission.moves and admission.store_cookies(origin, answer.headers.get("set-cookie"))
            if answer.status not in STATUSES:
                return answer, url
            await answer.drain_and_close()
            if has_changed:
                visited.clear()  # the same url with a new cookie is no loop
            visited.append(url)
            way.hops += 1
            before = origin
            origin, target = next_hop(label, visited, answer.status, answer.headers.get("location"))
            if way.hops > MAX_HOPS * 2:
                raise Unsafe(
                    message(
                        "{label}: redirected more than {max_hops} times, at last to {shown}",
                        label=label,
                        max_hops=MAX_HOPS * 2,
                        shown=urls.shown(url),
                    )
                )
            if admission.is_login(before, origin) and not way.has_turn:
                if not await admission.begin_login(way.logins):
                    raise _AskAgain
                way.has_turn = True
            if answer.status == 303 and method != "HEAD":
                method, sent = "GET", b""
            elif sent and origin != before:
                raise Unsafe(
                    message(
                        "{label}: {before} redirects a request with a body to {origin}",
                        label=label,
                        before=before,
                        origin=origin,
                    )
                )

    def _head(self, origin: str) -> str:
        """Return the headers of every request to an origin, with no credential but its own."""
        head = self._heads.get(origin)
        if head is None:
            host = origin.partition("://")[2]
            lines = f"Host: {host}\r\n{self._common}{self._admission.static_header(origin)}"
            if _UNFIT.search(lines.replace("\r\n", "")) is not None or not lines.isascii():
                credential = self._admission.credential
                name = credential.name if credential is not None else "user_agent"
                raise ConfigError(
                    message("{name}: contains a character that is not allowed in a header (a line break?)", name=name)
                )
            if len(self._heads) >= 1024:
                self._heads.clear()
            head = self._heads[origin] = lines
        return head

    def denied(self, label: str, status: int, url: str) -> Denied:
        """Return the error for the statuses 401, 403 and 407."""
        return self._admission.denied(label, status, urls.split(url)[0], is_signed=is_signed(url))


class _AskAgain(Exception):
    """Another request has logged in while this one waited for its turn."""


@dataclass(slots=True)
class _RedirectChain:
    """The redirects of one request so far, and what was done on the way."""

    logins: int = 0
    hops: int = 0
    has_turn: bool = False
    visited: list[str] = field(default_factory=list)


def _one_form(origin: str) -> str:
    """Return an origin of the configuration in its canonical form; an invalid one is returned as it is."""
    try:
        return origin_of(origin)
    except ValueError:
        return origin


def _lines(fields: Mapping[str, str], sent: bytes, method: str, *, carried_only: bool) -> str:
    """Return a caller's header lines; for another origin than the first one, only those in _CARRIED."""
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if not carried_only or name.lower() in _CARRIED]
    if sent or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(sent)}\r\n")
    written = "".join(lines)
    if _UNFIT.search(written.replace("\r\n", "")) is not None or len(written.split("\r\n")) != len(lines) + 1:
        raise Unsafe(message("a header of the request contains a control character"))
    return written
