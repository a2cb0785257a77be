"""A process that was stopped for longer than its lease changes nothing any more: another one has taken its place."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.cli import Bucket, Folder, tree
from tests.hostile.stopped_writer import POINTS

AT_ONCE = 2  # pairs of processes
AHEAD = 120.0  # seconds that the second process's clocks are ahead: the first one's lease has ended by them
EVERY = "EVERY_POINT" in os.environ  # at every point on each store, or at a third of them
LARGE = 6 << 20  # bytes; a file of more than 4 MiB is staged


class Rivals:
    """Two processes with state folders of their own, and one store."""

    def __init__(self, folder, store, environ):
        self.folder, self.store, self.environ = folder, store, environ
        self.upstream, self.manifest = folder / "www", folder / "scenes.yaml"
        self.upstream.mkdir(parents=True)
        self.manifest.write_text(
            f"mirror: scenes\nsource: {{settle: 0s, url: 'file://{self.upstream}/'}}\nkeep: {{versions: 1}}\n"
            "guard: {max_removed: 90%}\n"
        )
        self.change("first")

    def change(self, what):
        chance = random.Random(what)
        for name, size in (("changed.txt", 900), (f"{what}.txt", 700), ("added.bin", 300_000), ("large.bin", LARGE)):
            if what != "first" or name not in ("added.bin", "large.bin"):
                (self.upstream / name).write_bytes(chance.randbytes(size))

    def start(self, who, *command, point=""):
        words = [sys.executable, "-m", "tests.hostile.stopped_writer", point, *command, *self.store.words]
        return subprocess.Popen(
            [*map(str, words), "--state", str(self.folder / who)],
            env={**os.environ, **self.store.environ, **self.environ, **({"AHEAD": f"{AHEAD}"} if who == "second" else {})},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, who, *command, wanted=0):
        process = self.start(who, *command)
        out, _ = process.communicate(timeout=240)
        assert process.returncode == wanted, f"{who}: exit {process.returncode}: {out}"
        return out

    def lease(self):
        return json.loads(self.store.read(".syncd/")["lease.json"])

    def check(self):
        """What the second process published is all there, and nothing else."""
        found = self.store.read("scenes/")
        assert found == tree(self.upstream)
        current = json.loads(self.store.read(".syncd/mirrors/")["scenes.json"])["snapshot"]
        sums = self.store.read(f".syncd/snapshots/scenes/{current}/")["SHA256SUMS"].decode()
        assert dict(line.split("  ")[::-1] for line in sums.splitlines()) == {
            path: hashlib.sha256(body).hexdigest() for path, body in found.items()
        }


def take_over(folder, store, environ, point):
    rivals = Rivals(folder, store, environ)
    rivals.run("first", "sync", rivals.manifest)
    rivals.change("second")
    first = rivals.start("first", "sync", rivals.manifest, point=point)
    try:
        found = os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert found.si_status == signal.SIGSTOP, f"{point}: did not stop: {first.communicate()[0]}"
        rivals.change("third")
        rivals.run("second", "sync", rivals.manifest)
        epoch, published = rivals.lease()["epoch"], rivals.store.read(".syncd/mirrors/")
        first.send_signal(signal.SIGCONT)
        out, _ = first.communicate(timeout=240)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 3, f"{point}: exit {first.returncode}: {out}"
    assert "lease.json" in out, out
    assert rivals.store.read(".syncd/mirrors/") == published, point
    assert rivals.lease()["epoch"] == epoch, point
    rivals.check()


def points_of(kind):
    return tuple(POINTS) if EVERY else tuple(POINTS)[("folder", "swift", "rgw").index(kind) :: 3]


def take_over_everywhere(tmp_path, store_of, environ, points):
    def one(number, point):
        try:
            take_over(tmp_path / f"{number}", store_of(number), environ, point)
        except AssertionError as error:
            raise AssertionError(f"at the point where {point}: {error}") from error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [pool.submit(one, number, point) for number, point in enumerate(points)]
    failed = [str(error) for future in tried if (error := future.exception()) is not None]
    assert not failed, "\n\n".join(failed)


@pytest.mark.promise("P3")
@pytest.mark.timeout(300)
def test_a_stopped_process_leaves_a_folder_of_other_machines_as_its_successor_made_it(tmp_path):
    take_over_everywhere(tmp_path, lambda n: Folder(tmp_path / f"store{n}"), {"UNLOCKED": "1"}, points_of("folder"))


@pytest.mark.promise("P3")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["swift", "rgw"])
def test_a_stopped_process_leaves_a_bucket_as_its_successor_made_it(tmp_path, request, kind):
    server = request.getfixturevalue(kind)
    take_over_everywhere(tmp_path, lambda n: Bucket(server, server.url()), {}, points_of(kind))


@pytest.mark.promise("P3")
def test_a_stopped_process_keeps_a_folder_with_a_lock_and_goes_on(tmp_path):
    rivals = Rivals(tmp_path, Folder(tmp_path / "store"), {})
    rivals.run("first", "sync", rivals.manifest)
    rivals.change("second")
    first = rivals.start("first", "sync", rivals.manifest, point="a replacement is swapped in")
    try:
        found = os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert found.si_status == signal.SIGSTOP
        assert "has used this store since" in rivals.run("second", "sync", rivals.manifest, wanted=3)
        first.send_signal(signal.SIGCONT)
        out, _ = first.communicate(timeout=240)
        assert first.returncode == 0, out
    finally:
        first.kill()
        first.wait()
    assert rivals.store.read("scenes/") == tree(rivals.upstream)
