"""What a pass into a bucket costs: memory, bytes inside the server, connections."""

import asyncio
import hashlib
import random
import re

import pytest

from tests.acceptance.cli import Bucket, words
from tests.acceptance.test_s3_servers import MANIFEST, PLAIN, Passes, passes
from tests.bench.measure import run
from tests.servers.fixtures import sha256
from tests.servers.nginx import nginx
from tests.servers.s3_dialect_proxy import DialectProxy
from tests.servers.s3_proxy import answer

__all__ = ("passes",)

pytestmark = pytest.mark.swift
MOST = 400_000_000  # bytes; docs/operating.md: the program itself, and the room of a store on S3
LARGE = (16 << 20) + 9


@pytest.mark.parametrize("reader", ["autoindex", "checksums"])
async def test_files_of_megabytes_into_a_slow_bucket_take_no_more_memory_than_documented(
    tmp_path, swift, proxy, reader
):
    """Sizes are known from a listing, or only from each answer. Ten times as many files would take as much."""
    root, sums = tmp_path / "www", []
    root.mkdir()
    for number in range(60):
        size = (4 << 20) + number * (200 << 10)
        with (root / f"f{number}").open("wb") as file:
            file.truncate(size)
        sums.append(f"{hashlib.sha256(bytes(size)).hexdigest()}  f{number}\n")
    if reader == "checksums":
        (root / "SHA256SUMS").write_text("".join(sums))
    proxy.fail(lambda method, target: method == "PUT" and "/m/f" in target, answer(200, b""), delay=0.4, times=1_000)
    bucket = Bucket(swift.at(proxy.url), swift.url())
    with nginx(root, tmp_path / "nginx") as upstream:
        more = "checksums: [SHA256SUMS]" if reader == "checksums" else "include: ['f*']"
        text = f"mirror: m\nsource: {{url: '{upstream.origin}/', reader: {reader}, {more}}}\n"
        (tmp_path / "m.yaml").write_text(text)
        command = words(bucket, tmp_path / "state", "sync", tmp_path / "m.yaml", "--allow-private", upstream.origin)
        measured = await asyncio.to_thread(run, command, bucket.environ, tmp_path / "log", limit=100)
    print(f"{reader}: {measured.rss / 1e6:.0f} MB, {measured.cpu:.1f} s")
    assert measured.code == 0, measured.tail
    assert measured.rss <= MOST


def natural(asked):
    return "/scenes/" in asked.target and "/.syncd/" not in asked.target


@pytest.mark.promise("P1", "P2")
async def test_a_large_file_is_uploaded_where_it_will_be_and_its_replacement_is_copied_once(passes):
    path = passes.www / "d/large"
    path.write_bytes(random.Random(4).randbytes(LARGE))
    found, _ = await passes.sync()
    assert (found["fetched"], found["failed"]) == (4, 0)
    assert await passes.has_all()
    assert [asked.target for asked in passes.proxy.seen if "x-amz-copy-source" in asked.headers] == []
    assert sum(bool(asked.part) and natural(asked) for asked in passes.proxy.seen) == 2
    old = path.read_bytes()
    path.write_bytes(random.Random(5).randbytes(LARGE + 1))
    passes.proxy.seen.clear()
    found, _ = await passes.sync()
    assert (found["replaced"], found["failed"]) == (1, 0)
    assert await passes.has_all()
    kept = await asyncio.to_thread(passes.behind.read, ".syncd/versions/")
    assert list(kept.values()) == [old]
    copied = [asked.headers["x-amz-copy-source"] for asked in passes.proxy.seen if "x-amz-copy-source" in asked.headers]
    assert sorted("/.syncd/staged/" in one for one in copied) == [False, True], "what is replaced, and what replaces it"
    assert await asyncio.to_thread(passes.behind.paths, ".syncd/staged/") == set()


@pytest.mark.promise("P1")
async def test_a_large_file_of_another_checksum_is_quarantined_and_never_visible(tmp_path, swift):
    async with DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, "syncd-tests", PLAIN) as proxy:
        passes = Passes(tmp_path, swift, proxy)
        good, bad = random.Random(6).randbytes(LARGE), random.Random(7).randbytes(LARGE)
        for name, body in (("good", good), ("bad", bad)):
            (passes.www / name).write_bytes(body)
        sums = f"{sha256(good)}  good\n{sha256(good)}  bad\n"
        (passes.www / "SHA256SUMS").write_text(sums)
        source = MANIFEST.replace("source: {", "source: {reader: checksums, checksums: [SHA256SUMS], ")
        passes.manifest.write_text(source % passes.www)
        found, _ = await passes.sync(wanted=1)
        assert (found["fetched"], found["failed"]) == (2, 1)
        assert await asyncio.to_thread(passes.behind.read, "scenes/") == {"good": good, "SHA256SUMS": sums.encode()}
        held = await asyncio.to_thread(passes.behind.read, ".syncd/quarantine/")
        assert bad in held.values()
        joined = [asked.target for asked in proxy.seen if asked.method == "POST" and "uploadId" in asked.target]
        assert not any("/scenes/bad" in target for target in joined if "/.syncd/" not in target)
        assert await asyncio.to_thread(passes.behind.uploads) == []


async def test_hundreds_of_small_puts_share_a_few_connections(swift, proxy):
    proxy.fail(
        lambda method, target: method == "PUT" and re.search(r"/f\d{1,3}$", target),
        answer(200, b""),
        delay=0.02,
        times=1_000,
    )
    store = swift.at(proxy.url).store(swift.url())
    await store.verifies()
    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(store.put(f"f{number}", b"x" * number))
    assert 16 <= proxy.connections <= 32
    await store.aclose()
