"""A tagged snapshot and all its bytes stay until the tag is removed, on both stores, and over a lost Catalogue."""

import shutil
from contextlib import asynccontextmanager

import msgspec
import pytest

from manifests.snapshot import Snapshot
from syncd.core.errors import Busy, NotFound
from syncd.engine.kept_snapshots import RetainedSnapshots
from syncd.engine.rebuild_catalogue import rebuild
from syncd.engine.restore import find_snapshot
from syncd.engine.tagging import Tagging
from tests.acceptance.mirroring import BucketMirroring, Mirroring
from tests.fakes import Archive

DAY = 86_400.0
FIRST = {f"f{n:02}": b"x%d" % n for n in range(20)} | {"replaced": b"r1", "removed": b"gone", "later": b"l1"}


async def tagged(mirroring, name="v1", snapshot=None):
    async with mirroring.open() as (store, catalogue):
        row = catalogue.history.mirror("scenes")
        found = find_snapshot(catalogue, row, snapshot or row.snapshot)
        return await Tagging(store, catalogue, row, lambda: mirroring.now).tag(found.id, name, "anna")


async def untagged(mirroring, name="v1"):
    async with mirroring.open() as (store, catalogue):
        row = catalogue.history.mirror("scenes")
        await Tagging(store, catalogue, row, lambda: mirroring.now).untag(name)


async def go_on(mirroring, passes=8):
    """Publish `passes` snapshots, 40 days apart: the tagged one falls out of every retention."""
    mirroring.archive.files["replaced"] = b"r2"
    del mirroring.archive.files["removed"]
    await mirroring.run()
    for n in range(passes):
        mirroring.now += 40 * DAY
        mirroring.archive.files["new"] = b"n%d" % n
        if n == 4:
            mirroring.archive.files["later"] = b"l2"
            del mirroring.archive.files["f00"]
        await mirroring.run()


async def bytes_of(mirroring, store, catalogue, wanted):
    """Return each file of a snapshot, read from where its bytes are kept."""
    row = catalogue.history.mirror("scenes")
    snapshot: Snapshot = find_snapshot(catalogue, row, wanted)
    named, restoration = RetainedSnapshots(store, "scenes", [snapshot]), mirroring.restoration(store, catalogue)
    found = {}
    for path in FIRST:
        entry = await named.entry(snapshot, path)
        held = catalogue.holdings.entry(row.id, path)
        is_current = held is not None and held[0] == entry
        place = f"scenes/{path}" if is_current else restoration._kept_bytes(entry, wanted)
        async with store.open(place) as body:
            found[path] = b"".join([bytes(chunk) async for chunk in body])
    return found


@asynccontextmanager
async def opened(mirroring, *, is_lost):
    if is_lost:
        shutil.rmtree(mirroring.folder / "state")
    async with mirroring.open() as (store, catalogue):
        if is_lost:
            await rebuild(store, catalogue)
        yield store, catalogue


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_tagged_snapshot_is_read_whole_long_after_its_retention(tmp_path, is_lost):
    mirroring = Mirroring(tmp_path, Archive(dict(FIRST)), guard="50%", versions=1)
    await mirroring.run()
    made = await tagged(mirroring)
    await go_on(mirroring)
    async with opened(mirroring, is_lost=is_lost) as (store, catalogue):
        assert await bytes_of(mirroring, store, catalogue, "v1") == FIRST
        row = catalogue.history.mirror("scenes")
        assert catalogue.tags.all(row.id) == [made]
        assert len(catalogue.history.snapshot_ids(row.id)) == 3
        back = await mirroring.restoration(store, catalogue).rollback("v1")
    assert back.id == made.snapshot
    assert mirroring.natural() == FIRST


async def test_in_a_bucket_too(tmp_path, swift):
    mirroring = BucketMirroring(tmp_path, Archive(dict(FIRST)), swift, guard="50%", versions=1)
    await mirroring.run()
    await tagged(mirroring)
    await go_on(mirroring, 6)
    async with opened(mirroring, is_lost=True) as (store, catalogue):
        assert await bytes_of(mirroring, store, catalogue, "v1") == FIRST


async def test_an_untagged_snapshot_expires_with_all_that_only_it_kept(tmp_path):
    plain, mirroring = (
        Mirroring(tmp_path / name, Archive(dict(FIRST)), guard="50%", versions=1) for name in ("plain", "tagged")
    )
    for one in (plain, mirroring):
        await one.run()
        if one is mirroring:
            await tagged(one)
        await go_on(one)
    assert len(under(mirroring)) > len(under(plain))
    await untagged(mirroring)
    for one in (plain, mirroring):
        one.now += 40 * DAY
        one.archive.files["new"] = b"last"
        await one.run()
    assert under(mirroring) == under(plain)


def under(mirroring):
    """What is kept beside the current files."""
    root = mirroring.store_folder / ".syncd"
    return sorted(
        path.relative_to(root).as_posix()
        for folder in ("versions", "removed", "snapshots", "shards")
        for path in (root / folder).rglob("*")
        if path.is_file() and path.parent.name != "scenes"
    )


async def test_bytes_move_to_the_next_tagged_snapshot_that_names_them(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(dict(FIRST)), guard="50%", versions=1)
    await mirroring.run()
    await tagged(mirroring, "v1")
    mirroring.archive.files["other"] = b"o"
    await mirroring.run()
    await tagged(mirroring, "v2")
    await go_on(mirroring, 4)
    await untagged(mirroring, "v2")
    mirroring.now += 40 * DAY
    mirroring.archive.files["new"] = b"more"
    await mirroring.run()
    async with opened(mirroring, is_lost=False) as (store, catalogue):
        assert await bytes_of(mirroring, store, catalogue, "v1") == FIRST
        with pytest.raises(NotFound):
            find_snapshot(catalogue, catalogue.history.mirror("scenes"), "v2")


async def test_a_move_that_was_killed_is_done_again(tmp_path, monkeypatch):
    mirroring = Mirroring(tmp_path, Archive(dict(FIRST)), guard="50%", versions=1)
    await mirroring.run()
    await tagged(mirroring)
    moved = []

    class Killed(BaseException):
        pass

    def wrap(store):
        move = store.move

        async def once(path, to):
            await move(path, to)
            if "/versions/" in path or "/removed/" in path:
                moved.append(path)
                if len(moved) == 1:
                    raise Killed

        monkeypatch.setattr(store, "move", once)
        return store

    mirroring.archive.files["new"] = b"first"
    await mirroring.run()  # the snapshot under which the replaced bytes are kept at first
    mirroring.archive.files["replaced"] = b"r2"
    await mirroring.run()
    for n in range(4):
        mirroring.now += 40 * DAY
        mirroring.archive.files["new"] = b"n%d" % n
        try:
            await mirroring.run(wrap=wrap)
        except (Killed, BaseExceptionGroup):
            monkeypatch.undo()
            await mirroring.run()
    assert moved
    async with opened(mirroring, is_lost=False) as (store, catalogue):
        assert await bytes_of(mirroring, store, catalogue, "v1") == FIRST


async def test_a_name_means_one_snapshot_and_is_in_the_pointer_before_it_is_confirmed(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(dict(FIRST)), guard="50%")
    await mirroring.run()
    first = await tagged(mirroring)
    assert await tagged(mirroring) == first
    async with mirroring.open() as (store, _):
        before = await mirroring.pointer(store)
        assert before.tags == (first,)
    mirroring.archive.files["new"] = b"n"
    await mirroring.run()
    with pytest.raises(Busy, match="v1 is a tag of snapshot"):
        await tagged(mirroring)
    with pytest.raises(Busy, match="no name of a tag"):
        await tagged(mirroring, "../x")
    with pytest.raises(NotFound):
        await untagged(mirroring, "v2")
    async with mirroring.open() as (store, _):
        pointer = await mirroring.pointer(store)
        assert pointer.tags == (first,)
        assert first.snapshot in pointer.kept


async def test_a_tag_changes_neither_freshness_nor_the_order_of_snapshots(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(dict(FIRST)), guard="50%")
    await mirroring.run()
    async with mirroring.open() as (store, _):
        before = await mirroring.pointer(store)
    mirroring.now += DAY
    await tagged(mirroring)
    async with mirroring.open() as (store, _):
        after = await mirroring.pointer(store)
    assert msgspec.structs.replace(after, tags=()) == msgspec.structs.replace(before, kept=after.kept)
    assert after.kept[0] == before.snapshot
