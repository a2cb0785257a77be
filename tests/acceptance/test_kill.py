"""SIGKILL at any moment costs time, never truth."""

import asyncio
import hashlib
import random
import signal
import subprocess
import threading
import time

import pytest

from syncd.stores.filesystem import FilesystemStore
from tests.acceptance.cli import Bucket, Folder, start, sync, tree
from tests.servers.nginx import nginx

KILLS = 30
SIZES = {}  # of everything that was ever published
WINDOW = 256 << 20  # bytes that may be in flight, and so be fetched again after a kill
MANIFEST = """
mirror: scenes
source: {{url: "{origin}/", reader: checksums, checksums: [SHA256SUMS]}}
guard: {{max_removed: 100}}
"""


def publish(root, path, content, truth):
    """Put a file into the archive, atomically as publishers should, and remember that it was once the truth."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    (root.parent / "new").write_bytes(content)
    (root.parent / "new").replace(file)
    truth.setdefault(path, set()).add(hashlib.sha256(content).hexdigest())
    SIZES.setdefault(path, []).append(len(content))


def publish_sums(root, truth):
    """Publish the list of all that is there."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root).as_posix()}"
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != "SHA256SUMS"
    ]
    publish(root, "SHA256SUMS", ("\n".join(lines) + "\n").encode(), truth)


def change(root, truth, chance):
    publish(root, f"large/l{chance.randrange(6)}.tif", chance.randbytes(12 << 20), truth)
    publish_sums(root, truth)


def archive(root, truth, chance):
    for n in range(60):
        publish(root, f"small/{n % 5}/s{n:03}.dat", chance.randbytes(chance.randrange(0, 60_000)), truth)
    for n in range(6):
        publish(root, f"large/l{n}.tif", chance.randbytes(chance.randrange(9 << 20, 20 << 20)), truth)
    publish_sums(root, truth)


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


@pytest.mark.timeout(400)
def test_thirty_kills_at_random_moments_cost_time_and_never_truth(tmp_path, store):
    SIZES.clear()
    chance, truth, root = random.Random(7), {}, tmp_path / "www"
    archive(root, truth, chance)
    state, manifest, killed = tmp_path / "state", tmp_path / "scenes.yaml", 0
    with nginx(root, tmp_path / "nginx", "limit_rate 2m;") as upstream:
        manifest.write_text(MANIFEST.format(origin=upstream.origin))
        words = ("sync", manifest, "--allow-private", upstream.origin, "--json")
        watcher = Watcher(store, truth)
        watcher.start()
        while killed < KILLS:
            if killed % 5 == 4:  # upstream goes on living: large and small files are replaced and added
                publish(root, f"small/{killed % 5}/s{killed:03}.dat", chance.randbytes(5000), truth)
                publish(root, f"small/new/n{killed}.dat", chance.randbytes(5000), truth)
                change(root, truth, chance)
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
                change(root, truth, chance)
        result = sync(store, state, manifest, "--allow-private", upstream.origin)
        watcher.stopped.set()
        watcher.join()
        sent = upstream.sent()
    assert watcher.lies == []
    assert result["complete"], result
    assert len(watcher.seen) > 60, "the watcher saw next to nothing"
    assert store.read("scenes/") == tree(root)
    needed = sum(size for sizes in SIZES.values() for size in sizes)
    print(f"{store.kind}: {killed} kills, {sent / 1e6:.0f} MB sent for {needed / 1e6:.0f} MB ever published")
    assert sent - needed < KILLS * WINDOW
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
