"""Serves the demo's archive over real HTTP on loopback: ranges, ETags, and no faster than a good link.

A real archive stands behind nginx or Apache; this is the least that behaves like one, so that the demo needs nothing
but Python.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

CHUNK = 1 << 18


class Link:
    """A link of so many bytes a second, shared by all who use it."""

    def __init__(self, rate: float) -> None:
        """`rate` is in bytes a second."""
        self.rate = rate
        self._free_at = 0.0

    async def carry(self, count: int) -> None:
        """Wait until `count` more bytes have passed."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self.rate
        await asyncio.sleep(self._free_at - now)


class Relay:
    """A way to a server that can be cut: a port that hands bytes on in both directions."""

    def __init__(self, address: str) -> None:
        """`address` is that of the server."""
        self._host, _, self._port = address.partition(":")
        self._tasks: set[asyncio.Task[None]] = set()
        self.origin = ""
        self.is_cut = False

    def cut(self) -> None:
        """Close all connections, and take no more, until it is mended."""
        self.is_cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        """Hand bytes on again."""
        self.is_cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self._tasks.add(task := asyncio.current_task())
        onward = None
        with suppress(OSError, asyncio.CancelledError):
            back, onward = await asyncio.open_connection(self._host, self._port)
            await asyncio.gather(self._copy(reader, onward), self._copy(back, writer))
        self._tasks.discard(task)
        for one in filter(None, (writer, onward)):
            one.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def relayed(address: str) -> AsyncIterator[Relay]:
    """Open a relay to a server on an ephemeral port of loopback."""
    relay = Relay(address)
    server = await asyncio.start_server(relay._carry, "127.0.0.1", 0)  # noqa: SLF001  of this module
    relay.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        relay.cut()
        server.close()


@asynccontextmanager
async def serving(root: Path, rate: float) -> AsyncIterator[str]:
    """Serve the files below `root` on an ephemeral port of loopback; yields the archive's origin."""
    link = Link(rate)

    async def give(request: web.Request) -> web.StreamResponse:
        return await _give(request, root, link)

    application = web.Application()
    application.router.add_get("/{path:.+}", give)  # and HEAD
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _give(request: web.Request, root: Path, link: Link) -> web.StreamResponse:
    if request.match_info["path"].endswith("/"):
        return _index(root / request.match_info["path"], request.path)
    file = _find(root, request.match_info["path"])
    found = file.stat()
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}"
    if request.if_match is not None and not any(tag.value in {"*", etag} for tag in request.if_match):
        raise web.HTTPPreconditionFailed
    start, stop, partial = _range(request, found.st_size, f'"{etag}"')
    answer = web.StreamResponse(status=206 if partial else 200)
    answer.etag = etag
    answer.last_modified = found.st_mtime
    answer.content_length = stop - start
    answer.headers["Accept-Ranges"] = "bytes"
    if partial:
        answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.st_size}"
    await answer.prepare(request)
    if request.method == "GET":
        # who asked may leave at any time
        with file.open("rb") as stream, suppress(ConnectionError):
            stream.seek(start)
            while start < stop:
                chunk = await asyncio.to_thread(stream.read, min(CHUNK, stop - start))
                await link.carry(len(chunk))
                await answer.write(chunk)
                start += len(chunk)
    with suppress(ConnectionError):
        await answer.write_eof()
    return answer


def _index(folder: Path, path: str) -> web.Response:
    """List a folder as nginx does, sizes in bytes."""
    if ".." in path or not folder.is_dir():
        raise web.HTTPNotFound
    lines = []
    for one in sorted(folder.iterdir()):
        if one.suffix == ".new":
            continue
        name, found = one.name + ("/" if one.is_dir() else ""), one.stat()
        when = time.strftime("%d-%b-%Y %H:%M", time.gmtime(found.st_mtime))
        size = "-" if one.is_dir() else found.st_size
        lines.append(f'<a href="{name}">{name}</a>{"":{max(1, 51 - len(name))}}{when}{size:>20}')
    text = "\n".join(['<a href="../">../</a>', *lines])
    title = f"Index of {path}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr><pre>{text}</pre><hr></body></html>"
    return web.Response(text=page, content_type="text/html")


def _find(root: Path, path: str) -> Path:
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()) or not file.is_file():
        raise web.HTTPNotFound
    return file


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int, bool]:
    """Return `[start, stop)` and whether it is a part: a range whose If-Range no longer holds asks for the whole."""
    asked = request.http_range
    bound = request.headers.get("If-Range")
    if (asked.start is None and asked.stop is None) or (bound is not None and bound.startswith('"') and bound != etag):
        return 0, size, False
    start, stop, _ = asked.indices(size)
    if start >= size:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop, True
