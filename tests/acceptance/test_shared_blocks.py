"""A copy inside a folder shares its blocks where the file system can, and is a copy of its own everywhere."""

import errno
import fcntl
import os
import shutil
import subprocess

import pytest

from syncd.stores.filesystem import clone as cloning
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive, sha256

SIZE = 9 << 20
MAKE = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"]}


@pytest.fixture(params=MAKE)
def shared(request, tmp_path):
    """A folder on a file system that can share blocks."""
    words = MAKE[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run([*words, image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no {request.param} can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def is_shared(path):
    found = subprocess.run(["filefrag", "-v", path], capture_output=True, text=True, check=True)
    return "shared" in found.stdout


async def test_a_renamed_file_shares_its_blocks(shared):
    body = os.urandom(SIZE)
    mirroring = Mirroring(shared, Archive({"old": body}, digests=("sha256",)), guard="10%")
    await mirroring.run()
    mirroring.archive.files, mirroring.archive.sent = {"new": body}, 0
    result = await mirroring.run()
    assert (mirroring.archive.sent, result.copied, result.removed) == (0, 1, 1)
    place = mirroring.store_folder / "scenes/new"
    assert is_shared(place)
    (old,) = [p for p in (mirroring.store_folder / ".syncd/removed/scenes").rglob("old") if p.is_file()]
    with place.open("r+b") as file:  # a write to one name changes no other
        file.write(b"other")
    assert sha256(old.read_bytes()) == sha256(body)


@pytest.mark.parametrize("refuses", ["nothing", "ioctl", "ioctl and copy_file_range", "all but the last bytes"])
@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, SIZE])
async def test_a_copy_has_bytes_of_its_own_whatever_the_file_system_can(tmp_path, monkeypatch, refuses, size):
    def refusing(*_given):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if refuses != "nothing":
        monkeypatch.setattr(fcntl, "ioctl", refusing)
    if refuses == "ioctl and copy_file_range":
        monkeypatch.setattr(os, "copy_file_range", refusing)
    elif refuses == "all but the last bytes":
        genuine = os.copy_file_range
        monkeypatch.setattr(
            os, "copy_file_range", lambda *given: genuine(*given) if given[3] == 0 else refusing(), raising=True
        )
    monkeypatch.setattr(cloning, "STEP", 1 << 20)
    store = FilesystemStore(tmp_path)
    body = os.urandom(size)
    try:
        await store.put("m/old", body)
        async with store.stage("m/new", size=size, of="m/old") as staged:
            read = b"".join([chunk async for chunk in staged.read()])
            assert read == body
            await staged.commit(size=size, sha256=sha256(body), if_absent=True)
        assert (tmp_path / "m/new").read_bytes() == body
        assert (tmp_path / "m/new").stat().st_nlink == 1
        assert list((tmp_path / ".syncd/tmp").iterdir()) == []
    finally:
        await store.aclose()


async def test_a_copy_that_is_given_up_leaves_nothing(tmp_path):
    store = FilesystemStore(tmp_path)
    try:
        await store.put("m/old", bytes(SIZE))
        async with store.stage("m/new", size=SIZE, of="m/old") as staged:
            await staged.discard()
        assert list((tmp_path / ".syncd/tmp").iterdir()) == []
        assert not (tmp_path / "m/new").exists()
    finally:
        await store.aclose()
