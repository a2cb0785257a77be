"""One mirror of an archive in memory into a real folder, for tests of whole passes."""

import asyncio
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec

from manifests.model.mirror import load_mirror
from manifests.snapshot import Pointer
from syncd.catalogue import Catalogue
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.mirror_pass import Pass
from syncd.engine.pass_context import PassContext
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher, ignore_failure
from syncd.engine.restore import Restoration
from syncd.stores.filesystem.store import FilesystemStore
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.fakes import Listing

MANIFEST = """
mirror: scenes
source: {url: "file:///archive/", settle: 0s}
guard: {max_removed: %s}
keep: {versions: %d, replaced: %s, removed: 30d}
verify: {require: %s}
"""


class Mirroring:
    """One mirror, its archive, its store and its Catalogue."""

    def __init__(self, folder, archive, *, guard="50%", versions=2, require="any", replaced="1s"):
        self.folder, self.archive = folder, archive
        self.mirror = load_mirror(MANIFEST % (guard, versions, replaced, require), "scenes.yaml")
        self.events = []
        self.now = 1_700_000_000.0
        self.hashing = ThreadPoolExecutor(2)
        (folder / "spool").mkdir(parents=True, exist_ok=True)

    @property
    def store_folder(self):
        return self.folder / "store"

    @asynccontextmanager
    async def open(self):
        store = FilesystemStore(self.store_folder)
        await store.identify(None)
        with Catalogue(self.folder / "state") as catalogue:
            try:
                yield store, catalogue
            finally:
                await store.aclose()

    async def run(self, *, stopping=None, wrap=lambda store: store):
        async with self.open() as (store, catalogue):
            self.now += 60
            return await Pass(self.work(wrap(store), catalogue, stopping)).run()

    def work(self, store, catalogue, stopping=None):
        return PassContext(
            mirror=self.mirror,
            reader=Listing(),
            source=Retrying(self.archive, Policy(attempts=4, first=0.001, most=0.002)),
            store=store,
            catalogue=catalogue,
            hashing=self.hashing,
            spool=self.folder / "spool",
            listener=self.events.append,
            now=lambda: self.now,
            stopping=stopping or asyncio.Event(),
        )

    def natural(self):
        """What a researcher finds."""
        root = self.store_folder / "scenes"
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def removed(self):
        """The bytes of removed files, by Snapshot and path."""
        root = self.store_folder / ".syncd/removed/scenes"
        found = (p for p in root.rglob("*") if p.is_file() and p.parent != root)
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}

    async def pointer(self, store):
        return msgspec.json.decode(await read_bounded(store, ".syncd/mirrors/scenes.json", 1 << 20), type=Pointer)

    def restoration(self, store, catalogue, on_failed=ignore_failure):
        row = catalogue.history.mirror("scenes")
        place = PassPaths("scenes", "scenes/", "restore")
        publisher = Publisher(
            store, catalogue, row, place, lambda _: None, self.mirror.keep, lambda: self.now, on_failed
        )
        return Restoration(store, catalogue, row, place, publisher, self.hashing, lambda: self.now)

    def check_sums(self, snapshot):
        """Anybody can check a mirror without us."""
        done = subprocess.run(
            ["sha256sum", "--quiet", "--strict", "-c", f"../.syncd/snapshots/scenes/{snapshot}/SHA256SUMS"],
            cwd=self.store_folder / "scenes",
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr


class BucketMirroring(Mirroring):
    """The same, into a bucket of a real S3 server."""

    def __init__(self, folder, archive, server, **more):
        super().__init__(folder, archive, **more)
        self.server, self.url = server, server.url()

    @asynccontextmanager
    async def open(self):
        store = self.server.store(self.url)
        await store.identify(None)
        with Catalogue(self.folder / "state") as catalogue:
            try:
                yield store, catalogue
            finally:
                await store.aclose()

    @asynccontextmanager
    async def through(self, server):
        """Reach the bucket by another way, as through a proxy."""
        direct, self.server = self.server, server
        try:
            yield self
        finally:
            self.server = direct


async def objects(store, prefix=""):
    """The bytes of all objects below a prefix, by path."""
    found = {}
    async for stat in store.list(prefix):
        async with store.open(stat.path) as body:
            found[stat.path] = b"".join([chunk async for chunk in body])
    return found


def scenes(seed=1, count=12):
    chance = random.Random(seed)
    sizes = [0, 1, 1000, 65536, 65537, 5 << 20, 9 << 20]
    return {f"LC08/{n % 3}/b{n:02}.tif": chance.randbytes(sizes[n % len(sizes)]) for n in range(count)}
