"""The clients that people have copy a published tree byte by byte, names of all alphabets included."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.public_side import PublicSide
from tests.fakes import Archive
from tests.servers.fixtures import unavailable
from tests.servers.started import free_port

FILES = {
    "a b+c%41.txt": b"odd",
    "day/数据.txt": "数据".encode(),
    "day/x#y?z.txt": b"marks",
    "empty": b"",
    "large.bin": bytes(range(256)) * 20_000,
}


def program(name):
    found = shutil.which(name)
    if found is None:
        unavailable(name, f"apt-get install {name}")
    return found


@pytest.fixture
async def shared(tmp_path):
    """The public side at its own address, and the urls of its current snapshot and of its bucket."""
    port = free_port()
    side = PublicSide(tmp_path / "node", Archive(FILES, digests=("sha256",)))
    text = (side.folder / "syncd.yaml").read_text()
    text = text.replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}")
    text = text.replace("url: https://data.example.org/\n", f"url: http://127.0.0.1:{port}/\n")
    (side.folder / "syncd.yaml").write_text(text)
    snapshot = await side.run()
    async with side.serving():
        root = f"http://127.0.0.1:{port}"
        yield f"{root}/mirrors/scenes/snapshots/{snapshot}/files/", root, tmp_path


async def call(*command, **more):
    def run():
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, **more)

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def tree(folder: Path):
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


async def test_curl_resumes_a_file_and_follows_latest(shared):
    files, root, folder = shared
    part = folder / "large.bin"
    part.write_bytes(FILES["large.bin"][:100_000])
    await call("curl", "-sS", "--fail", "-C", "-", "-o", part, f"{files}large.bin")
    assert part.read_bytes() == FILES["large.bin"]
    assert await call("curl", "-sSL", "--fail", f"{root}/mirrors/scenes/latest/a%20b+c%2541.txt") == "odd"


async def test_wget_copies_the_tree(shared):
    files, _, folder = shared
    out = folder / "wget"
    await call("wget", "-q", "-r", "-np", "-nH", "--cut-dirs=5", "-R", "index.html*", "-P", out, files)
    copied = tree(out)
    assert sorted(copied.values()) == sorted(FILES.values())  # it decodes %2541 twice, in its own names only


async def test_aria2_fetches_one_file_over_several_connections(shared):
    files, _, folder = shared
    await call(
        program("aria2c"), "-q", "-x4", "-k1M", "--no-conf", "-d", folder, "-o", "large.bin", f"{files}large.bin"
    )
    assert (folder / "large.bin").read_bytes() == FILES["large.bin"]


async def test_aria2_checks_a_file_by_its_metalink(shared):
    files, _, folder = shared
    meta4 = folder / "x.meta4"
    await call("curl", "-sS", "--fail", "-o", meta4, files.replace("/files/", "/meta4/") + "large.bin")
    await call(program("aria2c"), "-q", "--no-conf", "-V", "-d", folder, "-M", meta4)
    assert (folder / "large.bin").read_bytes() == FILES["large.bin"]


async def test_rclone_copies_the_tree_over_http_and_as_a_bucket(shared):
    files, root, folder = shared
    rclone = program("rclone")
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    await call(rclone, "copy", "--config", "", "--http-url", files, ":http:", folder / "http", env=env)
    assert tree(folder / "http") == FILES
    await call(
        rclone, "copy", "--config", "", "--s3-provider", "Other", "--s3-endpoint", f"{root}/s3", "--s3-region", "x",
        ":s3:scenes", folder / "s3", env=env,
    )  # fmt: skip
    assert tree(folder / "s3") == FILES


async def test_lftp_mirrors_the_tree(shared):
    files, _, folder = shared
    await call(program("lftp"), "-c", f"set xfer:clobber yes; mirror {files} {folder / 'lftp'}")
    assert tree(folder / "lftp") == FILES
