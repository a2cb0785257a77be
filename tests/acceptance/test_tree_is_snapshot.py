"""The files under the natural names are the current Snapshot: removed files leave them, and restored ones return."""

import msgspec
import pytest

from syncd.catalogue.holdings import IN_PLACE
from syncd.core.errors import Damaged, NotFound, Offline
from syncd.engine.rebuild_catalogue import rebuild
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

MONTH = 31 * 86400


def many(**files):
    return {f"f{n:02}": b"x%d" % n for n in range(20)} | files


def forget_catalogue(mirroring):
    for file in (mirroring.folder / "state").glob("catalogue.sqlite*"):
        file.unlink()


class Withdrawn(Mirroring):
    first = second = ""


@pytest.fixture
async def withdrawn(tmp_path):
    """A mirror whose file a/late was published, then withdrawn upstream; with both snapshots."""
    mirroring = Withdrawn(tmp_path, Archive(many(**{"a/late": b"late"})), guard="20%")
    mirroring.first = (await mirroring.run()).snapshot
    del mirroring.archive.files["a/late"]
    mirroring.second = (await mirroring.run()).snapshot
    return mirroring


@pytest.mark.promise("P6")
async def test_a_withdrawn_file_leaves_its_name_and_its_folder_with_the_publish(withdrawn):
    assert withdrawn.natural() == many()
    assert not (withdrawn.store_folder / "scenes/a").exists()
    assert withdrawn.removed() == {f"{withdrawn.first}/a/late": b"late"}
    assert withdrawn.check_sums(withdrawn.second) == (True, "")
    assert not (withdrawn.store_folder / ".syncd/journal/scenes.json").exists()


async def test_only_the_service_reads_what_was_removed_or_is_not_proved_yet(withdrawn):
    stored = withdrawn.store_folder / ".syncd"
    assert {name: (stored / name).stat().st_mode & 0o777 for name in ("removed", "tmp")} == {
        "removed": 0o700,
        "tmp": 0o700,
    }
    assert (stored / "shards").stat().st_mode & 0o777 != 0o700
    (stored / "removed").chmod(0o755)
    await withdrawn.run()
    assert (stored / "removed").stat().st_mode & 0o777 == 0o700


async def test_a_file_can_take_the_name_of_a_withdrawn_folder_and_a_folder_that_of_a_file(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many(**{"a/late": b"late", "b": b"b"})), guard="20%")
    first = (await mirroring.run()).snapshot
    del mirroring.archive.files["a/late"], mirroring.archive.files["b"]
    await mirroring.run()
    mirroring.archive.files |= {"a": b"file", "b/c": b"c"}
    assert (await mirroring.run()).complete
    async with mirroring.open() as (store, catalogue):
        assert (await mirroring.restoration(store, catalogue).rollback(first)).id == first
    assert mirroring.natural() == many(**{"a/late": b"late", "b": b"b"})


async def test_undelete_proves_the_bytes_brings_them_back_and_pins_them(withdrawn):
    async with withdrawn.open() as (store, catalogue):
        back = await withdrawn.restoration(store, catalogue).undelete(["a/late"])
        assert back.id == withdrawn.first
        assert catalogue.approvals.pins(1) == [("a/late", False)]
        with pytest.raises(NotFound, match="is not deleted"):
            await withdrawn.restoration(store, catalogue).undelete(["a/late"])
    assert withdrawn.natural()["a/late"] == b"late"
    assert (await withdrawn.run()).removed == 0
    async with withdrawn.open() as (_, catalogue):
        catalogue.approvals.unpin(1, ["a/late"])
    assert (await withdrawn.run()).removed == 1
    assert "a/late" not in withdrawn.natural()


async def test_a_pinned_file_follows_upstream_again_once_that_has_it_again(withdrawn):
    async with withdrawn.open() as (store, catalogue):
        await withdrawn.restoration(store, catalogue).undelete(["a/late"])
    withdrawn.archive.files["a/late"] = b"newer"
    assert (await withdrawn.run()).replaced == 1
    assert withdrawn.natural()["a/late"] == b"newer"


async def test_bytes_that_rotted_while_they_were_removed_do_not_come_back(withdrawn):
    (withdrawn.store_folder / ".syncd/removed/scenes" / withdrawn.first / "a/late").write_bytes(b"rott")
    async with withdrawn.open() as (store, catalogue):
        with pytest.raises(Damaged, match="a/late: its kept bytes are damaged"):
            await withdrawn.restoration(store, catalogue).undelete(["a/late"])
        assert catalogue.approvals.pins(1) == []
    assert withdrawn.natural() == many()
    assert not any((withdrawn.store_folder / ".syncd/staged").rglob("late"))


@pytest.mark.promise("P4")
@pytest.mark.fault(42)
@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_rebuild_finds_removed_files_whose_snapshot_is_no_longer_kept(withdrawn, is_recorded):
    for number in range(4):
        withdrawn.archive.files["new"] = b"%d" % number
        await withdrawn.run()
    lists = list((withdrawn.store_folder / ".syncd/removed/scenes").glob("*.json"))
    assert len(lists) == 1
    if not is_recorded:
        lists[0].unlink()
    forget_catalogue(withdrawn)
    async with withdrawn.open() as (store, catalogue):
        await rebuild(store, catalogue, lambda: withdrawn.now)
        (removed,) = catalogue.holdings.removed_files(1, "a/late")
        assert (removed.entry.size, removed.snapshot) == (4, withdrawn.first)
        assert removed.removed < withdrawn.now - 200 if is_recorded else removed.removed == withdrawn.now
        assert removed.origin.url == ("a/late" if is_recorded else "")
        await withdrawn.restoration(store, catalogue).undelete(["a/late"])
    assert withdrawn.natural()["a/late"] == b"late"
    forget_catalogue(withdrawn)
    async with withdrawn.open() as (store, catalogue):
        await rebuild(store, catalogue, lambda: withdrawn.now)
        assert catalogue.approvals.pins(1) == [("a/late", False)]


async def test_the_list_of_removed_files_goes_with_the_last_of_them(withdrawn):
    for number in range(4):
        withdrawn.now += MONTH
        withdrawn.archive.files["new"] = b"%d" % number
        await withdrawn.run()
    assert list((withdrawn.store_folder / ".syncd/removed").rglob("*")) in (
        [],
        [withdrawn.store_folder / ".syncd/removed/scenes"],
    )
    async with withdrawn.open() as (store, catalogue):
        with pytest.raises(NotFound, match="its retention has expired"):
            await withdrawn.restoration(store, catalogue).undelete(["a/late"])


# -- what an older syncd left -----------------------------------------------------------------------------------------


async def as_an_older_syncd_left_it(mirroring):
    """Put the removed files back under their final names, as releases up to 0.2 kept them."""
    async with mirroring.open() as (store, catalogue):
        (removed,) = catalogue.holdings.removed_files(1, "a/late")
        await store.move(f".syncd/removed/scenes/{removed.snapshot}/a/late", "scenes/a/late")
        catalogue.holdings.forget_removed(1, [removed])
        catalogue.holdings.add_removed(1, [msgspec.structs.replace(removed, snapshot=IN_PLACE)])


@pytest.mark.parametrize("is_rebuilt", [False, True])
async def test_an_upgrade_moves_removed_files_out_of_the_tree_once(withdrawn, is_rebuilt):
    await as_an_older_syncd_left_it(withdrawn)
    assert "a/late" in withdrawn.natural()
    if is_rebuilt:
        for file in (withdrawn.store_folder / ".syncd/removed/scenes").glob("*.json"):
            file.unlink()
        forget_catalogue(withdrawn)
        async with withdrawn.open() as (store, catalogue):
            await rebuild(store, catalogue, lambda: withdrawn.now)
    result = await withdrawn.run()
    assert (result.snapshot, result.complete) == (withdrawn.second, True)
    assert withdrawn.natural() == many()
    assert withdrawn.removed() == {f"{withdrawn.first}/a/late": b"late"}
    async with withdrawn.open() as (store, catalogue):
        (removed,) = catalogue.holdings.removed_files(1, "a/late")
        assert not removed.is_in_place
        await withdrawn.restoration(store, catalogue).undelete(["a/late"])
    assert withdrawn.natural()["a/late"] == b"late"


@pytest.mark.promise("P4")
async def test_an_upgrade_that_is_cut_goes_on_where_it_stopped(tmp_path):
    files = {f"gone{n:02}": b"%d" % n for n in range(12)}
    mirroring = Mirroring(tmp_path, Archive(many(**files)), guard="90%")
    await mirroring.run()
    mirroring.archive.files = many()
    await mirroring.run()
    async with mirroring.open() as (store, catalogue):
        for path in files:
            (removed,) = catalogue.holdings.removed_files(1, path)
            await store.move(f".syncd/removed/scenes/{removed.snapshot}/{path}", f"scenes/{path}")
            catalogue.holdings.forget_removed(1, [removed])
            catalogue.holdings.add_removed(1, [msgspec.structs.replace(removed, snapshot=IN_PLACE)])
    left = [5]

    def wrap(store):
        real = store.move

        async def move(path, to):
            if left[0] == 0:
                raise Offline("store: the program ended here")
            left[0] -= 1
            await real(path, to)

        store.move = move
        return store

    with pytest.raises(Offline):
        await mirroring.run(wrap=wrap)
    assert (await mirroring.run()).complete
    assert mirroring.natural() == many()
    assert sorted(path.rpartition("/")[2] for path in mirroring.removed()) == sorted(files)
