"""What comes after passes: earlier snapshots, removed files, a lost Catalogue, damage found and mended."""

import pytest

from manifests import snapshot as snapshots
from manifests.snapshot import Entry, Origin
from syncd.core.errors import Damaged, NotFound
from syncd.engine.pass_paths import PassPaths
from syncd.engine.rebuild_catalogue import rebuild
from syncd.engine.verify import Verification
from tests.acceptance.mirroring import Mirroring, scenes
from tests.fakes import Archive


@pytest.fixture
def mirroring(tmp_path):
    return Mirroring(tmp_path, Archive(scenes()))


async def test_rollback_brings_an_earlier_snapshot_back_and_forward_again(mirroring):
    first = await mirroring.run()
    before = dict(mirroring.archive.files)
    mirroring.archive.files["LC08/0/b00.tif"] = b"replaced"
    mirroring.archive.files["new"] = b"added"
    del mirroring.archive.files["LC08/1/b01.tif"]
    second = await mirroring.run()
    async with mirroring.open() as (store, catalogue):
        back = await mirroring.restoration(store, catalogue).rollback(first.snapshot[:12])
        assert back.id == first.snapshot
        assert (await mirroring.pointer(store)).snapshot == first.snapshot
    assert mirroring.check_sums(first.snapshot) == (True, "")
    assert {p: c for p, c in mirroring.natural().items() if p in before} == before
    async with mirroring.open() as (store, catalogue):
        forward = await mirroring.restoration(store, catalogue).rollback(second.snapshot[:12])
        assert forward.id == second.snapshot
    assert mirroring.check_sums(second.snapshot) == (True, "")


async def test_rollback_reads_only_the_shards_that_differ_and_looks_only_at_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "CUT_EVERY", 16)
    mirroring = Mirroring(tmp_path, Archive({f"{n:04}": b"%d" % n for n in range(800)}), versions=3)
    first = await mirroring.run()
    mirroring.archive.files["0400"] = b"replaced"
    mirroring.archive.files["0700x"] = b"added"
    del mirroring.archive.files["0100"]
    await mirroring.run()
    async with mirroring.open() as (store, catalogue):
        # placed, and in no snapshot yet: a pass was killed before it published
        row = catalogue.history.mirror("scenes")
        await store.put("scenes/0500x", b"new")
        catalogue.holdings.add(
            row.id, [(Entry("0500x", 3, "ab" * 32, "cd" * 16), Origin("0500x", "", "attested", 1.0))]
        )
        opened, looked = [], []
        real, entry = store.open, catalogue.holdings.entry
        store.open = lambda path, **how: opened.append(path) or real(path, **how)
        monkeypatch.setattr(
            type(catalogue.holdings), "entry", lambda self, *which: looked.append(which) or entry(*which)
        )
        back = await mirroring.restoration(store, catalogue).rollback(first.snapshot[:12])
    assert back.id == first.snapshot
    shards = [path for path in opened if "/shards/" in path]
    assert len(back.content.shards) > 40
    assert 0 < len(shards) <= 12
    assert len({path for _, path in looked}) <= 6
    assert mirroring.check_sums(first.snapshot) == (True, "")
    assert len(mirroring.natural()) == 800


def losing(times):
    """A store whose next copies find something missing that is not the file, so many times."""

    def wrap(store):
        real, left = store.copy, [times]

        async def copy(path, to):
            if left[0]:
                left[0] -= 1
                raise NotFound(f"{path}: no such file")
            await real(path, to)

        store.copy = copy
        return store

    return wrap


def replaced(mirroring):
    """The old bytes that are kept."""
    root = mirroring.store_folder / ".syncd/versions"
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_what_is_replaced_is_kept_even_if_its_first_copy_went_missing(mirroring):
    first = await mirroring.run()
    old = mirroring.archive.files["LC08/1/b01.tif"]
    mirroring.archive.files["LC08/1/b01.tif"] = b"replaced"
    assert (await mirroring.run(wrap=losing(1))).complete
    assert replaced(mirroring) == {"b01.tif": old}
    async with mirroring.open() as (store, catalogue):
        assert [version.path for version in catalogue.holdings.versions(1)] == ["LC08/1/b01.tif"]
        await mirroring.restoration(store, catalogue).rollback(first.snapshot[:12])
    assert mirroring.check_sums(first.snapshot) == (True, "")


async def test_nothing_is_replaced_while_its_bytes_cannot_be_kept(mirroring):
    await mirroring.run()
    old = mirroring.archive.files["LC08/1/b01.tif"]
    mirroring.archive.files["LC08/1/b01.tif"] = b"replaced"
    result = await mirroring.run(wrap=losing(2))
    assert (result.failed, result.replaced, result.complete) == (1, 0, False)
    assert mirroring.natural()["LC08/1/b01.tif"] == old
    mirroring.archive.asked.clear()
    assert (await mirroring.run()).complete
    assert mirroring.archive.asked == []  # its bytes waited in the store
    assert (mirroring.natural()["LC08/1/b01.tif"], replaced(mirroring)) == (b"replaced", {"b01.tif": old})


async def test_bytes_that_were_gone_before_they_were_replaced_are_not_said_to_be_kept(mirroring):
    first = await mirroring.run()
    mirroring.archive.files["LC08/1/b01.tif"] = b"replaced"
    (mirroring.store_folder / "scenes/LC08/1/b01.tif").unlink()
    assert (await mirroring.run()).complete
    async with mirroring.open() as (store, catalogue):
        assert (catalogue.holdings.versions(1), replaced(mirroring)) == ([], {})
        with pytest.raises(Damaged, match="no longer kept"):
            await mirroring.restoration(store, catalogue).rollback(first.snapshot[:12])


async def test_a_removed_file_can_be_had_back_and_stays(mirroring):
    await mirroring.run()
    content = mirroring.archive.files.pop("LC08/1/b01.tif")
    gone = await mirroring.run()
    assert gone.removed == 1
    async with mirroring.open() as (store, catalogue):
        await mirroring.restoration(store, catalogue).undelete(["LC08/1/b01.tif"])
        with pytest.raises(NotFound, match="never: was not deleted"):
            await mirroring.restoration(store, catalogue).undelete(["never"])
    result = await mirroring.run()
    assert (result.removed, mirroring.natural()["LC08/1/b01.tif"]) == (0, content)


@pytest.mark.promise("P6")
async def test_what_a_kept_snapshot_names_outlives_every_housekeeping(tmp_path):
    mirroring = Mirroring(tmp_path, Archive({"a": b"0", "b": b"x", "c": b"c"}), versions=2, guard="90%")
    seen = []
    for n in range(1, 8):
        mirroring.archive.files["a"] = b"%d" % n
        if n == 4:
            del mirroring.archive.files["b"]
        mirroring.now += 31 * 86400
        seen.append((await mirroring.run()).snapshot)
        async with mirroring.open() as (store, catalogue):
            kept = catalogue.history.snapshots(1)
            assert [s.id for s in kept] == list(reversed(seen[-3:]))
            for snapshot in reversed(kept):
                assert (await mirroring.restoration(store, catalogue).rollback(snapshot.id)).id == snapshot.id
                assert mirroring.check_sums(snapshot.id) == (True, "")
    left = {p.name for p in (mirroring.store_folder / ".syncd/snapshots/scenes").iterdir()}
    assert left == set(seen[-3:])
    assert not (mirroring.store_folder / "scenes/b").exists()
    assert {p.read_bytes() for p in (mirroring.store_folder / ".syncd/versions").rglob("a")} <= {b"5", b"6", b"7"}


@pytest.mark.promise("P4")
@pytest.mark.fault(42)
async def test_a_lost_catalogue_is_rebuilt_and_nothing_is_fetched_again(mirroring):
    await mirroring.run()
    mirroring.archive.files["LC08/0/b00.tif"] = b"replaced"
    del mirroring.archive.files["LC08/1/b01.tif"]
    second = await mirroring.run()
    before = {}
    async with mirroring.open() as (_, catalogue):
        before = {e.path: (e, o) for e, o in catalogue.holdings.entries_and_origins(1)}
    for file in (mirroring.folder / "state").glob("catalogue.sqlite*"):
        file.unlink()
    async with mirroring.open() as (store, catalogue):
        (row,) = await rebuild(store, catalogue)
        assert row.name == "scenes"
        assert {e.path: (e, o) for e, o in catalogue.holdings.entries_and_origins(1)} == before
        assert len(catalogue.holdings.removed_files(1, "LC08/1/b01.tif")) == 1
        assert [v.path for v in catalogue.holdings.versions(1)] == ["LC08/0/b00.tif"]
    mirroring.archive.asked.clear()
    again = await mirroring.run()
    assert (mirroring.archive.asked, again.snapshot, again.kept) == ([], second.snapshot, 11)


async def test_verify_finds_damage_and_repair_mends_it_without_deleting(mirroring):
    await mirroring.run()
    root = mirroring.store_folder / "scenes"
    flipped, gone, cut = root / "LC08/2/b05.tif", root / "LC08/0/b03.tif", root / "LC08/2/b02.tif"
    good = flipped.read_bytes()
    flipped.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    gone.unlink()
    cut.write_bytes(b"short")
    async with mirroring.open() as (store, catalogue):
        work = mirroring.work(store, catalogue)
        row = catalogue.history.mirror("scenes")
        check = Verification(
            store, catalogue, row, PassPaths("scenes", "scenes/", "v"), mirroring.hashing, lambda *_: None, work.source
        )
        quick = await check.run(read_data=False)
        assert sorted((f.path, f.finding) for f in quick.faults) == [
            ("LC08/0/b03.tif", "missing"),
            ("LC08/2/b02.tif", "size"),
        ]
        report = await check.run(read_data=True)
        assert {f.path: f.finding for f in report.faults} == {
            "LC08/0/b03.tif": "missing",
            "LC08/2/b02.tif": "size",
            "LC08/2/b05.tif": "digest",
        }
        await check.repair(report)
        assert all(fault.repaired for fault in report.faults), report.faults
        assert (await check.run(read_data=True)).faults == []
    assert mirroring.natural() == mirroring.archive.files
    assert any(p.read_bytes() == b"short" for p in (mirroring.store_folder / ".syncd/quarantine").rglob("b02.tif"))


async def test_a_damaged_shard_is_never_believed(mirroring):
    await mirroring.run()
    for shard in (mirroring.store_folder / ".syncd/shards/scenes").iterdir():
        shard.write_bytes(shard.read_bytes()[:-10])
    async with mirroring.open() as (store, catalogue):
        with pytest.raises(Damaged):
            await rebuild(store, catalogue)


async def test_a_pointer_longer_than_one_can_be_is_not_read_into_memory(mirroring):
    await mirroring.run()
    pointer = mirroring.store_folder / ".syncd/mirrors/scenes.json"
    pointer.write_bytes(pointer.read_bytes() + b" " * (9 << 20))
    async with mirroring.open() as (store, catalogue):
        with pytest.raises(Damaged, match="longer than the limit of 8388608 bytes"):
            await rebuild(store, catalogue)
