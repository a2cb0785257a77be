"""What every miniature of an upstream is: an archive in memory that speaks its format over HTTP, and can change.

    upstream = Zenodo()
    with served(upstream.app()) as origin:
        manifest.write_text(upstream.manifest(origin))
        ... syncd sync ...          # the copy is upstream.copy()
        upstream.change()           # something is added, replaced, removed
        ... syncd sync ...          # and so it is again

`files` maps a path of the copy to its bytes, `copy()` adds what else the copy holds (the lists themselves). `answer` is
given the decoded path and the query, and returns bytes (a file), text, what goes as JSON, a response, or None (404).
"""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


def md5(content):
    return hashlib.md5(content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Miniature:
    """A small upstream. `reader` and `keys` go into its manifest; `at` is the path of the source on its server."""

    reader = ""
    at = "/"
    keys = ""

    def __init__(self, files=None):
        self.files = dict(files if files is not None else self.begin())
        self.asked = []

    @property
    def name(self):
        return type(self).__name__.lower()

    def begin(self):
        """The files at first."""
        return {"one.csv": b"a,b\n1,2\n", "two.nc": b"\x89HDF\r\n" * 1000}

    def change(self):
        """Add a file, replace one, remove one."""
        first, *rest = sorted(self.files)
        self.files[first] += b"and more\n"
        for path in rest:
            del self.files[path]
        self.files["new " + first] = b"new\n"

    def copy(self):
        """What a mirror must hold."""
        return dict(self.files)

    def manifest(self, origin, name=None):
        keys = f", {self.keys}" if self.keys else ""
        source = f'{{url: "{origin}{self.at}", reader: {self.reader}{keys}}}'
        return f"mirror: {name or self.name}\nsource: {source}\nguard: {{max_removed: 100%}}\n"

    def answer(self, path, query, origin):
        raise NotImplementedError

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request):
        self.asked.append(request)
        return _response(self.answer(request.path, request.query, str(request.url.origin())))


def _response(found):
    if isinstance(found, web.StreamResponse):
        return found
    if found is None:
        return web.json_response({"message": "Not found"}, status=404)
    if isinstance(found, bytes):
        return web.Response(
            body=found, headers={"ETag": f'"{sha256(found)[:16]}"'}, content_type="application/octet-stream"
        )
    return web.Response(text=found) if isinstance(found, str) else web.json_response(found)


@contextmanager
def served(app) -> Iterator[str]:
    """Serve an application on a free port of loopback, from a thread of its own; yields its origin."""
    started: list[str] = []
    up, loop = threading.Event(), asyncio.new_event_loop()
    runner = web.AppRunner(app, access_log=None)

    async def start():
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.append("http://{}:{}".format(*runner.addresses[0][:2]))

    def work():
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(start())
        finally:
            up.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    up.wait(120)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(120)
