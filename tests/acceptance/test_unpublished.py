"""What an interrupted publish leaves in a folder: the next one deletes the files of Snapshots that were never published."""

import contextlib
import shutil

import msgspec
import pytest

from syncd.core.errors import Offline
from syncd.engine.rebuild_catalogue import rebuild
from tests.acceptance.mirroring import Mirroring
from tests.acceptance.test_interrupted_publish import CutStore
from tests.fakes import Archive


def snapshot_files(mirroring):
    root = mirroring.store_folder
    folders = (root / ".syncd/shards/scenes", root / ".syncd/snapshots/scenes")
    return {path.relative_to(root).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}


async def named_files(mirroring):
    """The files that the kept snapshots name."""
    found = set()
    async with mirroring.open() as (store, _):
        kept = (await mirroring.pointer(store)).kept
    for name in kept:
        folder = f".syncd/snapshots/scenes/{name}/"
        snapshot = msgspec.json.decode((mirroring.store_folder / folder / "snapshot.json").read_bytes())
        found |= {f"{folder}snapshot.json", f"{folder}SHA256SUMS"}
        found |= {f".syncd/shards/scenes/{shard['sha256']}.jsonl.gz" for shard in snapshot["content"]["shards"]}
        found |= {f".syncd/shards/scenes/{origins}.origins.jsonl.gz" for origins in snapshot["origins"]}
    return found


async def cut_before_pointer(mirroring):
    """Publish, and end before the pointer is written."""

    class Cut(CutStore):
        def __getattr__(self, name):
            value = super().__getattr__(name)
            if name != "put":
                return value

            async def put(path, *given, **more):
                self.left = 0 if path.startswith(".syncd/mirrors/") else 99
                return await value(path, *given, **more)

            return put

    with pytest.raises(Offline):
        await mirroring.run(wrap=lambda store: Cut(store, 99))


@pytest.mark.promise("P4")
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_catalogue_lost", [False, True])
async def test_shards_of_a_publish_that_was_cut_are_deleted_by_the_next(tmp_path, is_first, is_catalogue_lost):
    mirroring = Mirroring(tmp_path, Archive({"a": b"1", "b": b"1"}))
    if not is_first:
        await mirroring.run()
        mirroring.archive.files["a"] = b"2"
    await cut_before_pointer(mirroring)
    left = snapshot_files(mirroring)
    if is_catalogue_lost:
        shutil.rmtree(tmp_path / "state")
        async with mirroring.open() as (store, catalogue):
            await rebuild(store, catalogue, lambda: mirroring.now)
    mirroring.archive.files = {"b": b"3", "c": b"3"}
    await mirroring.run()
    mirroring.archive.files["c"] = b"4"
    await mirroring.run()
    assert left - snapshot_files(mirroring), "all of it is named by a snapshot: nothing was left"
    assert snapshot_files(mirroring) == await named_files(mirroring)


async def test_a_listing_of_shards_is_made_once_after_an_interruption_and_else_never(tmp_path):
    mirroring, listed = Mirroring(tmp_path, Archive({"a": b"1"})), []

    def wrap(store):
        real = store.list
        store.list = lambda prefix="": (listed.append(prefix), real(prefix))[1]
        return store

    async def listings():
        listed.clear()
        mirroring.archive.files["a"] += b"."
        await mirroring.run(wrap=wrap)
        return listed.count(".syncd/shards/scenes/")

    await mirroring.run()
    assert await listings() == 0
    mirroring.archive.files["a"] = b"2"
    await cut_before_pointer(mirroring)
    assert [await listings(), await listings()] == [1, 0]


async def test_a_shard_that_cannot_be_deleted_is_tried_again_by_the_next_pass(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({"a": b"1", "b": b"1"}))
    await cut_before_pointer(mirroring)
    mirroring.archive.files["b"] = b"3"

    def wrap(store):
        real = store.delete

        async def delete(path):
            if path.startswith(".syncd/shards/"):
                raise Offline(f"{path}: the store went away")
            await real(path)

        store.delete = delete
        return store

    with contextlib.suppress(Offline):
        await mirroring.run(wrap=wrap)
    assert snapshot_files(mirroring) != await named_files(mirroring)
    await mirroring.run()
    assert snapshot_files(mirroring) == await named_files(mirroring)


async def test_a_snapshot_that_is_published_again_leaves_no_origins_of_its_first_time(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({"a": b"1", "b": b"1"}), versions=5)
    first = (await mirroring.run()).snapshot
    for content in (b"2", b"1"):
        mirroring.archive.files["a"] = content
        last = (await mirroring.run()).snapshot
    assert last == first
    assert snapshot_files(mirroring) == await named_files(mirroring)
