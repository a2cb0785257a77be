"""A web server with a listing, in the test's own loop, whose clock and stamps the test sets."""

import email.utils
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from manifests.model.mirror import load_mirror
from syncd.session.plugins import open_reader
from tests.acceptance.mirroring import Mirroring
from transports.http.transport import HttpTransport

OLD = 1_600_000_000.0


@dataclass
class SiteFile:
    """One file: its bytes, when it was modified, its ETag, and what the listing says of it if not the same.

    With `in_chunks`, the answer has no length.
    """

    content: bytes
    modified: float | None = OLD
    etag: str | None = None
    listed: str | None = None
    listed_size: int | None = None
    in_chunks: bool = False


class ListedSite:
    """Files by path below `/d/`; `asked` are the requests for them, `now` is the server's clock."""

    def __init__(self, files, *, stamp="%d-%b-%Y %H:%M", now=lambda: 0.0):
        self.files = dict(files)
        self.stamp = stamp
        self.now = now
        self.asked = []
        self.on_get = lambda _path: None

    def page(self):
        rows = []
        for name, file in sorted(self.files.items()):
            when = file.listed or datetime.fromtimestamp(file.modified, UTC).strftime(self.stamp)
            size = len(file.content) if file.listed_size is None else file.listed_size
            rows.append(f'<a href="{name}">{name}</a>   {when}   {size}')
        body = "\n".join(rows)
        return (
            f"<html><title>Index of /d/</title><h1>Index of /d/</h1><pre><a href='../'>../</a>\n{body}\n</pre></html>"
        )

    async def answer(self, request):
        name = request.match_info["name"]
        if not name:
            return web.Response(text=self.page(), content_type="text/html", headers=self.headers())
        self.asked.append((request.method, name))
        if request.method == "GET":
            self.on_get(name)
        file = self.files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = self.headers()
        if file.modified is not None:
            headers["Last-Modified"] = email.utils.formatdate(file.modified, usegmt=True)
        if file.etag is not None:
            headers["ETag"] = file.etag
        response = web.Response(body=file.content, headers=headers, content_type="application/octet-stream")
        if file.in_chunks:
            response.enable_chunked_encoding()
        return response

    def names(self):
        """Return the names of the files that were asked for, by whatever request."""
        return sorted({name for _, name in self.asked})

    def headers(self):
        return {"Date": email.utils.formatdate(self.now(), usegmt=True)}


class Listed(Mirroring):
    """A mirror of a ListedSite by its listing."""

    def __init__(self, folder, site, **source):
        super().__init__(folder, None)
        self.site = site
        site.now = lambda: self.now
        self.source = source

    @asynccontextmanager
    async def serving(self):
        application = web.Application()
        application.router.add_route("*", "/d/{name:.*}", self.site.answer)
        async with TestServer(application) as server:
            url = str(server.make_url("/d/"))
            text = msgspec.json.encode(
                {"mirror": "scenes", "source": {"url": url, "reader": "autoindex", **self.source},
                 "keep": {"versions": 2, "replaced": "1s", "removed": "30d"}, "guard": {"max_removed": "50%"}}
            ).decode()  # fmt: skip
            self.mirror = load_mirror(text, "scenes.yaml")
            self.origin = str(server.make_url("")).rstrip("/")
            yield self

    async def run(self, **how):
        """Run one pass, a minute after the one before, and return its result; `site.asked` begins anew."""
        self.site.asked.clear()
        try:
            return await super().run(**how)
        finally:
            await self.opened.aclose()

    def work(self, store, catalogue, stopping=None):
        work = super().work(store, catalogue, stopping)
        source = HttpTransport(self.mirror.source.url, user_agent="t", allow_private=frozenset({self.origin}))
        reader = open_reader(self.mirror.source, date(2026, 1, 1))
        self.opened = source
        return msgspec.structs.replace(work, source=source, reader=reader)
