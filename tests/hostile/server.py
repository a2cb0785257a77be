"""A web server on loopback that is polite until told otherwise: the opponent in every test of what upstream may do to us.

    async with HostileServer({"a.txt": b"hello"}) as server:
        server.fault("a.txt", Truncate(after=3))            # the next request for it, once
        server.fault(None, Status(503), times=2)            # the next two requests for anything
        ... HttpTransport(server.url(), ..., allow_private=frozenset({server.origin})) ...
        server.assert_spent()                               # every fault was really met
        assert server.requests[0].headers["user-agent"] == ...

* Polite means: GET and HEAD, one range (also suffix-less, and `If-Range`, `If-Match`), strong ETags, Last-Modified,
  keep-alive, 404, and nginx-like listings of folders.
* Faults of a path come before those of any path (None), in the order they were given; `times=None` never runs out and is
  met if it was met once. With `when`, a predicate over the request, a fault waits for its request.
* `put` and `remove` change the tree at any time. `cap` resets connections above a number, as soon as they are accepted.
* The faults are in tests/hostile/faults.py; a new one is a class with `play`.
* TLS: give `ssl_context`. Two servers are two origins. `requests` is what each of them really got.
"""

import asyncio
import hashlib
import html
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tests.hostile.faults import Answer, Exchange, Fault, Request, reset


@dataclass
class File:
    """A file of the tree; `etag` is with its quotes, or None for a server that has none."""

    content: bytes
    etag: str | None
    modified: float | None

    @property
    def date(self) -> str | None:
        return None if self.modified is None else formatdate(self.modified, usegmt=True)


@dataclass
class _Planned:
    path: str | None
    fault: Fault
    times: int | None
    when: Callable[[Request], bool] | None
    met: int = 0


class HostileServer:
    """See the module."""

    def __init__(
        self,
        files: dict[str, bytes] | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        cap: int | None = None,
        port: int = 0,
    ) -> None:
        self.port = port  # 0: any that is free
        self.files: dict[str, File] = {}
        self.requests: list[Request] = []
        self.connections = 0  # accepted so far
        self.refused = 0  # reset because of `cap`
        self.cap = cap
        self.listing_shift = 0.0  # seconds by which the clock of the listings is ahead
        self._ssl = ssl_context
        self._planned: list[_Planned] = []
        self._open: set[asyncio.Task[None]] = set()
        for path, content in (files or {}).items():
            self.put(path, content)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def url(self, path: str = "") -> str:
        """Return the address of a path."""
        return f"{self.origin}/{quote(path)}"

    def put(
        self, path: str, content: bytes, *, etag: str | None = "auto", modified: float | None = 1_700_000_000.0
    ) -> None:
        """Add or replace a file."""
        if etag == "auto":
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        self.files[path] = File(content, etag, modified)

    def remove(self, path: str) -> None:
        """Take a file away."""
        self.files.pop(path, None)

    def fault(
        self,
        path: str | None,
        fault: Fault,
        *,
        times: int | None = 1,
        when: Callable[[Request], bool] | None = None,
    ) -> None:
        """Plan a fault for the next `times` requests of a path (None: any) for which `when` holds."""
        self._planned.append(_Planned(path, fault, times, when))

    def forgive(self) -> None:
        """Behave from now on: drop all faults."""
        self._planned.clear()

    def assert_spent(self) -> None:
        """Fail if a fault was not met as often as planned."""
        left = [plan for plan in self._planned if plan.met == 0 or (plan.times is not None and plan.met < plan.times)]
        assert not left, f"faults never reached: {left}"

    def polite(self, request: Request) -> Answer:
        """Return the answer of a good server."""
        bodiless = request.method == "HEAD"
        file = self.files.get(request.path)
        if file is None:
            listing = self._listing(request.path)
            if listing is None:
                return Answer(404, [("Content-Type", "text/plain")], b"not here\n", bodiless)
            return Answer(200, [("Content-Type", "text/html; charset=utf-8")], listing, bodiless)
        headers = [("Accept-Ranges", "bytes"), ("Content-Type", "application/octet-stream")]
        headers += [("ETag", file.etag)] if file.etag is not None else []
        headers += [("Last-Modified", file.date)] if file.date is not None else []
        wanted = request.headers.get("if-match")
        if wanted not in (None, "*") and wanted != file.etag:
            return Answer(412, headers, b"", bodiless)
        ranges = request.headers.get("range")
        if ranges is None or request.headers.get("if-range", file.etag) not in {file.etag, file.date}:
            return Answer(200, headers, file.content, bodiless)
        first, _, last = ranges.removeprefix("bytes=").partition("-")
        size = len(file.content)
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if start >= stop:
            return Answer(416, [*headers, ("Content-Range", f"bytes */{size}")], b"", bodiless)
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        return Answer(206, headers, file.content[start:stop], bodiless)

    def _listing(self, folder: str) -> bytes | None:
        """Return a page as nginx writes it, or None for what is no folder."""
        if folder and not folder.endswith("/"):
            return None
        below = sorted({path[len(folder) :].partition("/")[0] + "/" * ("/" in path[len(folder) :])
                        for path in self.files if path.startswith(folder)})  # fmt: skip
        if not below and folder:
            return None
        rows = ['<a href="../">../</a>\n']
        for name in below:
            size, date = "-", "-"
            file = self.files.get(folder + name)
            if file is not None:
                size = str(len(file.content))
                if file.modified is not None:
                    shown = datetime.fromtimestamp(file.modified + self.listing_shift, UTC)
                    date = shown.strftime("%d-%b-%Y %H:%M")
            rows.append(f'<a href="{quote(name)}">{html.escape(name)}</a> {date:>30} {size:>19}\n')
        title = html.escape(f"Index of /{folder}")
        return (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1><hr><pre>"
            f"{''.join(rows)}</pre><hr></body>\r\n</html>\r\n"
        ).encode()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.cap is not None and len(self._open) >= self.cap:
            self.refused += 1
            reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(method, target, headers, body)
            self.requests.append(Request(method, target, dict(headers), body))
            exchange = Exchange(self, request, self.polite(request), reader, writer)
            fault = self._next_fault(request)
            if fault is None:
                await exchange.reply()
            else:
                await fault.play(exchange)
            if exchange.is_over:
                return

    def _next_fault(self, request: Request) -> Fault | None:
        for path in (request.path, None):
            for plan in self._planned:
                due = plan.times is None or plan.met < plan.times
                if plan.path == path and due and (plan.when is None or plan.when(request)):
                    plan.met += 1
                    return plan.fault
        return None
