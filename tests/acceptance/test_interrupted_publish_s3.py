"""On real S3 servers: a process that ends before any of its requests leaves nothing that its successor does not settle."""

import contextlib
import os

import msgspec
import pytest

from syncd.catalogue import is_interrupted
from syncd.core.errors import SyncdError
from syncd.engine.roll_forward import roll_forward
from tests.acceptance.mirroring import BucketMirroring, objects
from tests.acceptance.test_interrupted_publish import faults_of
from tests.fakes import Archive
from tests.servers.s3_proxy import Proxy

STRIDE = 8 if "EVERY_REQUEST" not in os.environ else 1  # requests between two cuts; RGW has those between Swift's
CHANGES = {"PUT", "POST", "DELETE"}


@pytest.fixture(params=["swift", "rgw"])
def server(request):
    return request.getfixturevalue(request.param)


def first_cut(request):
    """Return before which request the first process of a test ends."""
    return STRIDE // 2 if "rgw" in request.node.callspec.id else 0


class EndedProcess:
    """The requests of a process that ends before its n-th change: from then on none reaches the server."""

    def __init__(self, proxy, after):
        self.left, self.is_over = after, False
        proxy.fail(self.is_cut, times=1 << 30)

    def is_cut(self, method, _target):
        if method in CHANGES and not self.is_over:
            self.is_over = self.left == 0
            self.left -= 1
        return self.is_over


@contextlib.asynccontextmanager
async def ending(mirroring, after):
    """Let the process of the block end before its n-th change."""
    async with Proxy(mirroring.server.endpoint) as proxy, mirroring.through(mirroring.server.at(proxy.url)):
        ended = EndedProcess(proxy, after)
        with contextlib.suppress(SyncdError, ExceptionGroup):
            yield ended


def explained(found, kept):
    """The files of the snapshots that are kept."""
    names = set()
    for snapshot in kept:
        folder = f".syncd/snapshots/scenes/{snapshot}/"
        names |= {f"{folder}snapshot.json", f"{folder}SHA256SUMS"}
        body = msgspec.json.decode(found[f"{folder}snapshot.json"])
        names |= {f".syncd/shards/scenes/{shard['sha256']}.jsonl.gz" for shard in body["content"]["shards"]}
        names |= {f".syncd/shards/scenes/{origins}.origins.jsonl.gz" for origins in body["origins"]}
    return names


async def left_over(mirroring, store):
    """What stands in the store, and no kept snapshot or file of the mirror explains."""
    found, pointer = await objects(store), await mirroring.pointer(store)
    fixed = explained(found, pointer.kept) | {".syncd/mirrors/scenes.json", ".syncd/store.json"}
    kept = ("scenes/", ".syncd/versions/", ".syncd/removed/")
    return sorted(path for path in found.keys() - fixed if not path.startswith(kept))


@pytest.mark.promise("P4")
@pytest.mark.fault(41, 42)
@pytest.mark.timeout(240)
async def test_a_publish_cut_before_its_requests_is_finished_by_the_next_open(tmp_path, server, request):
    mirroring = BucketMirroring(tmp_path, Archive({"a": b"a0", "b": b"b0", "gone0": b"-"}), server, guard="100%")
    await mirroring.run()
    step, interrupted = first_cut(request), 0
    while True:
        files = {"a": b"a%d" % (step + 1), "b": b"b0", f"gone{step + 1}": b"x", "new": b"new %d" % step}
        mirroring.archive.files = files
        async with ending(mirroring, step) as ended:
            await mirroring.run()
        if not ended.is_over:
            break
        async with mirroring.open() as (store, catalogue):
            row = catalogue.history.mirror("scenes")
            if is_interrupted(catalogue, row):
                interrupted += 1
                found = await faults_of(mirroring, store, catalogue)
                assert [fault.finding for fault in found] == ["interrupted"], (step, found)
            await roll_forward(store, catalogue, lambda _: None, lambda _: mirroring.mirror.keep)
            assert await faults_of(mirroring, store, catalogue) == [], step
            natural = {path.removeprefix("scenes/") for path in await objects(store, "scenes/")}
            assert natural >= {entry.path for entry in catalogue.holdings.entries(1)}
        # upstream has changed once more: the publish that was cut is not repeated as it was
        mirroring.archive.files = files | {"b": b"b%d" % step}
        assert (await mirroring.run()).complete
        async with mirroring.open() as (store, _):
            stored = {path.removeprefix("scenes/"): body for path, body in (await objects(store, "scenes/")).items()}
            assert stored == mirroring.archive.files, step
            assert await left_over(mirroring, store) == [], step
        step += STRIDE
    assert step > 12, "too few requests were cut to call it a publish"
    assert interrupted


@pytest.mark.promise("P4")
@pytest.mark.timeout(240)
async def test_what_a_killed_rollback_staged_is_deleted_by_the_next_pass(tmp_path, server, request):
    files = {f"f{n}": b"old %d" % n for n in range(3)}
    mirroring = BucketMirroring(tmp_path, Archive(files), server, guard="100%", versions=50)
    first = (await mirroring.run()).snapshot
    mirroring.archive.files = {name: b"new " + name.encode() for name in files}
    step, staged = first_cut(request), 0
    while True:
        await mirroring.run()
        async with ending(mirroring, step) as ended, mirroring.open() as (store, catalogue):
            await mirroring.restoration(store, catalogue).rollback(first)
        if not ended.is_over:
            break
        async with mirroring.open() as (store, _):
            staged += bool(await objects(store, ".syncd/staged/"))
        assert (await mirroring.run()).complete
        async with mirroring.open() as (store, _):
            assert await objects(store, ".syncd/staged/") == {}, step
        step += STRIDE
    assert staged
    async with mirroring.open() as (store, catalogue):
        assert catalogue.history.current_id(1) == first
        assert {path.removeprefix("scenes/"): body for path, body in (await objects(store, "scenes/")).items()} == files


async def test_an_ordinary_publish_lists_no_shards(tmp_path, server):
    mirroring = BucketMirroring(tmp_path, Archive({"a": b"1"}), server)
    await mirroring.run()
    mirroring.archive.files["a"] = b"2"
    async with Proxy(server.endpoint) as proxy, mirroring.through(server.at(proxy.url)):
        await mirroring.run()
        assert proxy.count("GET", "syncd%2Fshards") == 0
        assert proxy.count("PUT", ".syncd/shards") > 0
