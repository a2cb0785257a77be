"""Nodes for tests of the exchange: one mirrors an archive and signs heads, others mirror it, over its store or a face."""

import asyncio
import gzip
import hashlib
import json
from datetime import date
from urllib.parse import unquote

import msgspec
from aiohttp import web

from manifests.model.mirror import load_mirror
from manifests.snapshot import Snapshot
from manifests.snapshot_diff import diff_lines
from syncd.engine.kept_snapshots import differences
from syncd.engine.mirror_pass import Pass
from syncd.engine.pass_context import PassContext
from syncd.engine.publish_head import HeadSigner
from syncd.exchange.keys import SecretKey
from syncd.session.plugins import open_reader
from syncd.stores.filesystem.store import FilesystemStore
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.acceptance.mirroring import Mirroring
from transports.file import FileTransport
from transports.http.transport import HttpTransport

ORIGINAL = SecretKey(b"original", b"1" * 32)
COPY = SecretKey(b"the-copy", b"2" * 32)


class SigningNode(Mirroring):
    """A node that mirrors an archive in memory, and signs what it publishes."""

    def __init__(self, folder, archive, *, name="cn-one", key=ORIGINAL, **more):
        super().__init__(folder, archive, **more)
        self.name, self.key, self.chain = name, key, b""
        self.life = 7 * 86_400.0

    def work(self, store, catalogue, stopping=None):
        return msgspec.structs.replace(super().work(store, catalogue, stopping), heads=self.signer(), node=self.name)

    def signer(self):
        if self.key is None:
            return None
        return HeadSigner(self.name, self.key.public.text, self.key.sign, self.chain, life=self.life)

    @property
    def head_file(self):
        return self.store_folder / ".syncd/heads/scenes/head.json"

    def head(self):
        return json.loads(self.head_file.read_text())

    def signed(self, **changes):
        """Write the head again as the node would, with changes: what an attacker with its key could do."""
        from manifests.head import Head, comment_of

        head = msgspec.convert({**self.head(), **changes}, Head)
        text = msgspec.json.encode(head)
        self.head_file.write_bytes(text)
        signature = self.head_file.with_name("head.json.minisig")
        signature.write_bytes(self.key.sign(text, comment_of(head)))


class FollowingNode(SigningNode):
    """A node that mirrors another one: over its store, or over a face at `url`."""

    def __init__(self, folder, other, *, name="de-two", key=COPY, url="", source="", **more):
        super().__init__(folder, None, name=name, key=key, **more)
        self.other = other
        where = url or f"{other.store_folder.as_uri()}/"
        mirror = "" if url else ", mirror: scenes"
        source = source or f'keys: ["{other.key.public.text}"]'
        self.mirror = load_mirror(
            "mirror: scenes\n"
            f'source: {{url: "{where}", reader: syncd{mirror}, {source}}}\n'
            "guard: {max_removed: 50%}\nkeep: {versions: 2, replaced: 1s, removed: 30d}\n",
            "scenes.yaml",
        )
        self.now = other.now

    def work(self, store, catalogue, stopping=None):
        source = self.mirror.source
        origin = source.origin if source.scheme.startswith("http") else ""
        raw = (
            FileTransport(source.url.removeprefix("file://").rstrip("/"))
            if source.scheme == "file"
            else HttpTransport(source.url, user_agent="syncd", credential=None, allow_private=frozenset({origin}))
        )
        self.transport = raw
        return PassContext(
            mirror=self.mirror,
            reader=open_reader(source, date(2026, 11, 30)),
            source=Retrying(raw, Policy(attempts=2, first=0.001, most=0.002)),
            store=store,
            catalogue=catalogue,
            hashing=self.hashing,
            spool=self.folder / "spool",
            listener=self.events.append,
            now=lambda: self.now,
            stopping=stopping or asyncio.Event(),
            heads=self.signer(),
            node=self.name,
        )

    async def run(self, **more):
        self.now = max(self.now, self.other.now)
        async with self.open() as (store, catalogue):
            self.now += 60
            work = self.work(store, catalogue)
            try:
                return await Pass(work).run()
            finally:
                await self.transport.aclose()


class StoreFace:
    """The routes of a node's face that a follower asks, over the folder of its store; counts what is sent."""

    def __init__(self, node):
        self.node = node
        self.asked, self.sent = [], 0
        self.spoil = {}  # by the last part of a path, a function of the bytes
        self.has_differences = True
        self.provenance = None

    def application(self, _base):
        application = web.Application()
        application.router.add_get("/mirrors/scenes/{path:.*}", self.answer)
        application.router.add_get("/.well-known/syncd.json", self.keys)
        return application

    async def keys(self, request):
        return self.give(request, self.node.store_folder / ".syncd/heads/keys.json")

    async def answer(self, request):
        path = unquote(request.path.removeprefix("/mirrors/scenes/"))
        dot, parts = self.node.store_folder / ".syncd", path.split("/")
        if path.startswith("head.json"):
            return self.give(request, dot / "heads/scenes" / path)
        if parts[0] == "shards":
            return self.give(request, dot / "shards/scenes" / f"{parts[1]}.jsonl.gz")
        if parts[2] == "snapshot.json":
            return self.give(request, dot / "snapshots/scenes" / parts[1] / "snapshot.json")
        if parts[2] == "files":
            return self.give(request, self.node.store_folder / "scenes" / "/".join(parts[3:]))
        if parts[2] == "provenance" and self.provenance is not None:
            return self.body(request, self.provenance, "provenance")
        if parts[2] == "diff" and len(parts) == 4 and self.has_differences:
            return await self.difference(request, parts[3], parts[1])
        raise web.HTTPNotFound

    async def difference(self, request, before, after):
        store = FilesystemStore(self.node.store_folder)
        found = []
        for one in (before, after):
            file = self.node.store_folder / ".syncd/snapshots/scenes" / one / "snapshot.json"
            if not file.is_file():
                raise web.HTTPNotFound
            found.append(msgspec.json.decode(file.read_bytes(), type=Snapshot))
        changes = [(path, new) async for path, _, new in differences(store, "scenes", *found)]
        await store.aclose()
        return self.body(request, gzip.compress(b"".join(diff_lines(changes)), 6), "diff")

    def give(self, request, file):
        if not file.is_file():
            raise web.HTTPNotFound
        return self.body(request, file.read_bytes(), file.name)

    def body(self, request, content, name):
        content = self.spoil.get(name, lambda same: same)(content)
        self.asked.append(request.path)
        self.sent += len(content)
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"ETag": etag, "Content-Type": "application/octet-stream", **self.dated()}
        return web.Response(body=content, headers=headers)

    def dated(self):
        from email.utils import formatdate

        return {"Date": formatdate(self.node.now, usegmt=True)}


def files_of(node):
    return node.natural()


def snapshot_of(node):
    return json.loads((node.store_folder / ".syncd/mirrors/scenes.json").read_text())["snapshot"]


__all__ = ["COPY", "ORIGINAL", "FollowingNode", "SigningNode", "StoreFace", "files_of", "snapshot_of"]
