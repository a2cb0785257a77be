"""The public side over real passes: a mirror of an archive in memory, published, and served on loopback."""

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager

from syncd.config.load import load_config
from syncd.face.opening import open_face
from syncd.session.plugins import open_store
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.mirroring import BucketMirroring, Mirroring

CONFIG = """
state: ./state
store: {{url: {store}}}
serve:
  listen: 127.0.0.1:0
  url: https://data.example.org/
  name: cn-demo
  publisher: {{name: {{en: Demo Mirror Centre, zh: 示范镜像中心}}, url: https://example.org/, contact: data@example.org}}
  limits: {{requests: 10000/s, connections: 1000}}
{more}
"""
MANIFEST = """
mirror: {name}
title: Scenes of the Earth
source: {{url: "file:///archive/", settle: 0s}}
keep: {{versions: 2, replaced: 1s, removed: 30d}}
about: {{licence: CC-BY-4.0, access: open, redistribution: allowed, citation: "Someone (2026): Scenes."}}
{publish}
"""
OPEN = """
publish:
  title: {en: Scenes of the Earth, zh: 地球影像}
  description: {en: "Scenes of the Earth, one folder for each day, and lists of them for everybody.", zh: 地球的影像}
  access: open
"""


class PublicSide:
    """One mirror that is published, and its public side."""

    def __init__(self, folder, archive, *, more="", publish=OPEN, mirroring=None):
        self.folder = folder
        self.mirroring = mirroring or Mirroring(folder, archive, guard="100%")
        url = getattr(self.mirroring, "url", "./store")
        (folder / "syncd.yaml").write_text(CONFIG.format(store=url, more=more))
        self.publish = publish
        self.bugs, self.served = [], []
        self.on_served = self.served.append

    @property
    def archive(self):
        return self.mirroring.archive

    async def run(self, **files):
        """One pass, after which the archive is published; returns the id of its snapshot."""
        await self.mirroring.run()
        async with self.mirroring.open() as (store, catalogue):
            catalogue.settings.set("manifest:scenes", MANIFEST.format(name="scenes", publish=self.publish))
            catalogue.settings.set("store", await store.identify(None))
            return catalogue.history.mirror("scenes").snapshot

    def config(self):
        return load_config(self.folder / "syncd.yaml", environ={})

    def open_store(self):
        if isinstance(self.mirroring, BucketMirroring):
            return self.mirroring.server.store(self.mirroring.url)
        return open_store(self.config().store)

    @asynccontextmanager
    async def serving(self, **more):
        async with open_face(
            await asyncio.to_thread(self.config),
            self.open_store,
            lambda path, error: self.bugs.append((path, error)),
            on_served=self.on_served,
            **more,
        ) as face:
            self.face = face
            self.port = int(face.url.rpartition(":")[2])
            yield self
        assert not self.bugs, self.bugs

    async def get(self, path, *, method="GET", **headers):
        """Ask exactly for `path`, by a connection of its own; return status, headers (lower case) and body."""
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        raw = f"{method} {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{fields}\r\n"
        return parse(await self.exchange(raw.encode()), method)

    async def exchange(self, raw):
        """Send bytes, and return everything that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)
        try:
            writer.write(raw)
            await writer.drain()
            return await asyncio.wait_for(reader.read(-1), 120)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def parse(raw, method="GET"):
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        body = whole
    if method == "GET" and status not in (204, 304):
        assert int(headers.get("content-length", len(body))) == len(body), (headers, len(body))
    return Answer(status, headers, body)


__all__ = ["FilesystemStore", "PublicSide", "parse"]
