"""A power cut at any moment costs time, never truth: what was not on the disk by then is gone, and nobody believes in it.

The disk is a file system of its own on a loop device, which is told to shut down at once, its journal unwritten
(EXT4_IOC_SHUTDOWN, as file systems are tested themselves): whatever nobody synced is lost, as when the power goes.
"""

import contextlib
import fcntl
import hashlib
import os
import random
import struct
import subprocess
import time

import pytest

from tests.acceptance.cli import Folder, run, start, sync, tree
from tests.acceptance.living_archive import MANIFEST, LivingArchive
from tests.servers.fixtures import unavailable
from tests.servers.nginx import nginx

CUTS = 10
WINDOW = 256 << 20  # bytes that may be in flight, and so be fetched again
SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs/ext4/ext4.h
AT_ONCE = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH


class Disk:
    """A file system in a file, mounted at `root`."""

    def __init__(self, folder):
        self.image, self.root = folder / "disk.img", folder / "disk"
        self.root.mkdir()
        with self.image.open("wb") as image:
            image.truncate(512 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.root], check=True)

    def cut(self):
        """Lose everything that is not on the disk."""
        found = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(found, SHUTDOWN, struct.pack("I", AT_ONCE))
        finally:
            os.close(found)

    def unmount(self):
        subprocess.run(["umount", self.root], check=True)


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        unavailable("A disk to cut the power of", "mounting one needs root")
    try:
        os.close(os.open("/dev/loop-control", os.O_RDWR))
    except OSError as error:  # no package brings them
        pytest.skip(f"this system has no loop devices: {error}")
    made = Disk(tmp_path)
    made.mount()
    yield made
    with contextlib.suppress(subprocess.CalledProcessError):
        made.unmount()


def test_a_cut_loses_what_was_not_synced_and_nothing_else(disk):
    with (disk.root / "synced").open("wb") as file:
        file.write(b"on the disk")
        file.flush()
        os.fsync(file.fileno())
    (disk.root / "unsynced").write_bytes(b"in memory")
    disk.cut()
    disk.unmount()
    disk.mount()
    assert {p.name: p.read_bytes() for p in disk.root.iterdir() if p.is_file()} == {"synced": b"on the disk"}


@pytest.mark.timeout(900)
def test_power_cuts_at_random_moments_cost_time_and_never_truth(disk, tmp_path):
    archive = LivingArchive(tmp_path / "www", random.Random(11))
    store, state, manifest = Folder(disk.root / "store"), disk.root / "state", tmp_path / "scenes.yaml"
    with nginx(archive.root, tmp_path / "nginx", "limit_rate 2m;") as upstream:
        manifest.write_text(MANIFEST.format(origin=upstream.origin))
        words = (manifest, "--allow-private", upstream.origin)
        snapshot, in_the_middle = None, 0
        for number in range(CUTS):
            archive.grow(number)
            if number % 4 == 1:
                snapshot = sync(store, state, *words)["snapshot"]  # whoever says that it is done has it on the disk
                disk.cut()
            else:
                in_the_middle += cut_short(disk, archive, upstream, store, state, words)
            disk.unmount()
            disk.mount()
            for path, content in store.read("scenes/").items():
                assert hashlib.sha256(content).hexdigest() in archive.truth[path], f"{path} is not what it ever was"
            if snapshot is not None:
                assert snapshot in run(store, state, "snapshots", "scenes", "--json")
                run(store, state, "verify", "scenes", "--read-data")
        result = sync(store, state, *words)
        sent = upstream.sent()
    assert result["complete"], result
    assert store.read("scenes/") == tree(archive.root)
    assert in_the_middle, "no pass was ever cut"
    print(f"{CUTS} cuts, {sent / 1e6:.0f} MB sent for {archive.bytes / 1e6:.0f} MB ever published")
    assert sent - archive.bytes < CUTS * WINDOW


def cut_short(disk, archive, upstream, store, state, words):
    """Begin a pass, and cut the power somewhere in it; returns whether it was still at work."""
    before = upstream.answers()
    process = start(store, state, "sync", *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and upstream.answers() == before:
        time.sleep(0.01)
    time.sleep(archive.chance.uniform(0.0, 1.5))  # any moment of it
    is_at_work = process.poll() is None
    disk.cut()
    process.kill()
    process.wait()
    return is_at_work
