"""SIGKILL at any moment costs time, never truth."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.servers.nginx import nginx

KILLS = 30
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


def publish_sums(root, truth):
    """Publish the list of all that is there."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root).as_posix()}"
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != "SHA256SUMS"
    ]
    publish(root, "SHA256SUMS", ("\n".join(lines) + "\n").encode(), truth)


def archive(root, truth, chance):
    for n in range(60):
        publish(root, f"small/{n % 5}/s{n:03}.dat", chance.randbytes(chance.randrange(0, 60_000)), truth)
    for n in range(6):
        publish(root, f"large/l{n}.tif", chance.randbytes(chance.randrange(9 << 20, 20 << 20)), truth)
    publish_sums(root, truth)


class Watcher(threading.Thread):
    """Reads whatever becomes visible under the mirror's own names, over and over."""

    def __init__(self, root, truth):
        super().__init__(daemon=True)
        self.root, self.truth, self.lies, self.seen, self.stopped = root, truth, [], {}, threading.Event()

    def run(self):
        while not self.stopped.wait(0.01):
            for file in self.root.rglob("*"):
                self.look(file)

    def look(self, file):
        try:
            if not file.is_file():
                return
            found = file.stat()
            key = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self.seen.get(file) == key:
                return
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except FileNotFoundError:
            return
        self.seen[file] = key
        path = file.relative_to(self.root).as_posix()
        if digest not in self.truth.get(path, ()):
            self.lies.append((path, digest, found.st_size))


def syncd(*words, **more):
    return subprocess.Popen([Path(sys.executable).with_name("syncd"), *map(str, words)], **more)


@pytest.mark.timeout(300)
def test_thirty_kills_at_random_moments_cost_time_and_never_truth(tmp_path):
    chance, truth, root = random.Random(7), {}, tmp_path / "www"
    archive(root, truth, chance)
    store, state, manifest = tmp_path / "store", tmp_path / "state", tmp_path / "scenes.yaml"
    with nginx(root, tmp_path / "nginx", "limit_rate 2m;") as upstream:
        manifest.write_text(MANIFEST.format(origin=upstream.origin))
        words = ("sync", manifest, "--store", store, "--state", state, "--allow-private", upstream.origin, "--json")
        watcher = Watcher(store / "scenes", truth)
        watcher.start()
        killed = 0
        while killed < KILLS:
            if killed % 5 == 4:  # upstream goes on living: large and small files are replaced, added, removed
                publish(root, f"large/l{chance.randrange(6)}.tif", chance.randbytes(12 << 20), truth)
                publish(root, f"small/{killed % 5}/s{killed:03}.dat", chance.randbytes(5000), truth)
                publish(root, f"small/new/n{killed}.dat", chance.randbytes(5000), truth)
                publish_sums(root, truth)
            process = syncd(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(chance.uniform(0.4, 2.2))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            else:
                publish(root, f"large/l{chance.randrange(6)}.tif", chance.randbytes(12 << 20), truth)
                publish_sums(root, truth)
        last = syncd(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        result = json.loads(last.communicate(timeout=120)[0].splitlines()[-1])
        watcher.stopped.set()
        watcher.join()
        sent = upstream.sent()
    assert watcher.lies == []
    assert result["complete"], result
    assert len(watcher.seen) > 60, "the watcher saw next to nothing"
    upstream_files = {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    ours = {p.relative_to(store / "scenes"): p.read_bytes() for p in (store / "scenes").rglob("*") if p.is_file()}
    assert ours == upstream_files
    ever = sum(len(c) for c in upstream_files.values()) + 12 * (12 << 20) + KILLS * (5 << 20)
    assert sent - ever < KILLS * WINDOW
    check = subprocess.run(
        ["sha256sum", "--quiet", "-c", f"../.syncd/snapshots/scenes/{result['snapshot']}/SHA256SUMS"],
        cwd=store / "scenes",
        check=False,
    )
    assert check.returncode == 0
    print(f"{killed} kills, {sent / 1e6:.0f} MB sent for {sum(map(len, upstream_files.values())) / 1e6:.0f} MB")
    leaks = [
        p for p in (store / ".syncd/tmp").rglob("*") if p.is_file() and time.time() - p.stat().st_mtime > 7 * 86400
    ]
    assert leaks == []
