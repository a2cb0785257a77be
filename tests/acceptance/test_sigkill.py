"""SIGKILL at any moment costs time, never truth."""

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.cli import Bucket, Folder, start, sync, tree
from tests.acceptance.living_archive import MANIFEST, LivingArchive
from tests.servers.nginx import nginx

KILLS = {"folder": 30, "bucket": 30} if "EVERY_POINT" in os.environ else {"folder": 12, "bucket": 6}
SEED = int(os.environ.get("SYNCD_CAMPAIGN_SEED", "7"))  # a campaign plays many
WINDOW = 256 << 20  # bytes that may be in flight, and so be fetched again after a kill


class Watcher(threading.Thread):
    """Reads whatever becomes visible under the mirror's own names, over and over."""

    def __init__(self, store, truth):
        super().__init__(daemon=True)
        self.store, self.truth, self.lies, self.seen, self.stopped = store, truth, [], {}, threading.Event()

    def run(self):
        look = self.look_into_folder if self.store.kind == "folder" else self.look_into_bucket
        while not self.stopped.wait(0.01 if self.store.kind == "folder" else 0.2):
            look()

    def look_into_folder(self):
        root = self.store.root / "scenes"
        for file in root.rglob("*"):
            try:
                found = file.stat()
                if file.is_file():
                    key = (found.st_ino, found.st_size, found.st_mtime_ns)
                    self.judge(file.relative_to(root).as_posix(), key, file.read_bytes)
            except FileNotFoundError:
                continue

    def look_into_bucket(self):
        store = self.store
        pages = store.client.get_paginator("list_objects_v2").paginate(
            Bucket=store.bucket, Prefix=f"{store.base}scenes/"
        )
        for found in (one for page in pages for one in page.get("Contents", ())):
            path = found["Key"].removeprefix(f"{store.base}scenes/")
            try:
                self.judge(path, (found["ETag"], found["LastModified"]), lambda path=path: store.get(f"scenes/{path}"))
            except store.client.exceptions.NoSuchKey:
                continue

    def judge(self, path, key, read):
        if self.seen.get(path) != key:
            digest = hashlib.sha256(read()).hexdigest()
            self.seen[path] = key
            if digest not in self.truth.get(path, ()):
                self.lies.append((path, digest))


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "store")
    server = request.getfixturevalue("swift")
    return Bucket(server, server.url())


@pytest.mark.promise("P3", "P4")
@pytest.mark.fault(40)
@pytest.mark.timeout(900)
def test_kills_at_random_moments_cost_time_and_never_truth(tmp_path, store):
    archive = LivingArchive(tmp_path / "www", random.Random(SEED))
    chance, truth, root = archive.chance, archive.truth, archive.root
    state, manifest, killed, kills = tmp_path / "state", tmp_path / "scenes.yaml", 0, KILLS[store.kind]
    with nginx(root, tmp_path / "nginx", "limit_rate 2m;") as upstream:
        manifest.write_text(MANIFEST.format(origin=upstream.origin))
        words = ("sync", manifest, "--allow-private", upstream.origin, "--json")
        watcher = Watcher(store, truth)
        watcher.start()
        while killed < kills:
            if killed % 5 == 4:  # upstream goes on living: large and small files are replaced and added
                archive.grow(killed)
            before = upstream.answers()
            process = start(store, state, *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # a moment of the pass, however long this machine takes to start a program
            while process.poll() is None and upstream.answers() == before:
                time.sleep(0.01)
            try:
                process.wait(chance.uniform(0.0, 1.1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            else:
                archive.change()
        result = sync(store, state, manifest, "--allow-private", upstream.origin)
        watcher.stopped.set()
        watcher.join()
        sent = upstream.sent()
    assert watcher.lies == []
    assert result["complete"], result
    assert len(watcher.seen) > 60, "the watcher saw next to nothing"
    assert store.read("scenes/") == tree(root)
    print(f"{store.kind}: {killed} kills, {sent / 1e6:.0f} MB sent for {archive.bytes / 1e6:.0f} MB ever published")
    assert sent - archive.bytes < kills * WINDOW
    assert store.paths(".syncd/staged/") == set(), "replacements were left behind"
    asyncio.run(sweep_at_once(store))
    assert store.paths(".syncd/tmp/") | store.paths(".syncd/uploads/") == set()
    if store.kind == "bucket":
        assert store.uploads() == []


async def sweep_at_once(store):
    """End the grace period of stale stagings now."""
    opened = FilesystemStore(store.root) if store.kind == "folder" else store.server.store(store.url)
    await opened.sweep(0.0)
    await opened.aclose()
