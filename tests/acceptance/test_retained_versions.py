"""What a kept snapshot names is never lost, however often a file comes and goes."""

import pytest

from syncd.catalogue import Holdings
from syncd.core.errors import Damaged, Denied
from syncd.engine.pass_paths import origins_path
from syncd.engine.rebuild_catalogue import rebuild
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive


def many(**files):
    """Enough files that the guard lets one of them go."""
    return {f"f{n:02}": b"x%d" % n for n in range(20)} | files


def aside(mirroring):
    """What lies under `.syncd/versions/scenes/`."""
    root = mirroring.store_folder / ".syncd/versions/scenes"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def come_and_go(mirroring, *contents):
    """Let `latest` be each of these, one after another; None is absent."""
    seen = []
    for content in contents:
        mirroring.archive.files.pop("latest", None)
        if content is not None:
            mirroring.archive.files["latest"] = content
        seen.append((await mirroring.run()).snapshot)
    return seen


@pytest.mark.parametrize(("versions", "kept"), [(2, [2]), (6, [0, 2])])
async def test_a_file_that_comes_and_goes_is_had_back_as_each_kept_snapshot_names_it(tmp_path, versions, kept):
    contents = [b"c1", None, b"c2", None, b"c3"]
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%", versions=versions)
    seen = await come_and_go(mirroring, *contents)
    assert seen[1] == seen[3]
    for which in kept:
        async with mirroring.open() as (store, catalogue):
            back = await mirroring.restoration(store, catalogue).rollback(seen[which])
        assert (back.id, mirroring.natural()["latest"]) == (seen[which], contents[which])
        assert mirroring.check_sums(back.id) == (True, "")


async def test_removed_bytes_lie_under_the_last_snapshot_that_names_them(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%", versions=6)
    first, _, third, _, _ = await come_and_go(mirroring, b"c1", None, b"c2", None, b"c3")
    assert mirroring.removed() == {f"{first}/latest": b"c1", f"{third}/latest": b"c2"}
    assert aside(mirroring) == {}


async def test_a_removed_file_past_its_time_stays_while_a_kept_snapshot_names_it(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%", versions=1)
    first, _ = await come_and_go(mirroring, b"c1", None)
    mirroring.now += 31 * 86400
    await mirroring.run()
    assert mirroring.removed() == {f"{first}/latest": b"c1"}
    mirroring.archive.files["new"] = b"n"
    await mirroring.run()
    assert mirroring.removed() == {}
    assert not any(path.is_file() for path in (mirroring.store_folder / ".syncd/removed").rglob("*"))


async def test_a_removed_file_stays_for_its_time_when_no_kept_snapshot_names_it(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%", versions=0)
    first, _, _ = await come_and_go(mirroring, b"c1", None, b"c2")
    assert mirroring.removed() == {f"{first}/latest": b"c1"}
    assert aside(mirroring) == {}
    assert not (mirroring.store_folder / ".syncd/quarantine").exists()
    mirroring.now += 31 * 86400
    await mirroring.run()
    assert mirroring.removed() == {}


async def test_going_back_keeps_what_lies_where_a_file_returns(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%")
    first, second, _ = await come_and_go(mirroring, b"c1", b"c2", None)
    for wanted, content in ((first, b"c1"), (second, b"c2")):
        async with mirroring.open() as (store, catalogue):
            back = await mirroring.restoration(store, catalogue).rollback(wanted)
        assert (back.id, mirroring.natural()["latest"]) == (wanted, content)
        assert mirroring.check_sums(wanted) == (True, "")


async def test_going_back_moves_nothing_if_the_origins_cannot_be_read(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%")
    first, _ = await come_and_go(mirroring, b"c1", b"c2")
    del mirroring.archive.files["latest"]
    await mirroring.run()
    before = mirroring.natural(), aside(mirroring), mirroring.removed()
    async with mirroring.open() as (store, catalogue):
        (name,) = next(s for s in catalogue.history.snapshots(1) if s.id == first).origins
        await store.delete(origins_path("scenes", name))
        with pytest.raises(Damaged):
            await mirroring.restoration(store, catalogue).rollback(first)
        assert len(catalogue.holdings.removed_files(1, "latest")) == 1
    assert (mirroring.natural(), aside(mirroring), mirroring.removed()) == before


async def test_a_pass_goes_on_where_a_removed_file_is_gone_already_from_its_place(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%")
    await come_and_go(mirroring, b"c1")
    (mirroring.store_folder / "scenes/latest").unlink()
    await come_and_go(mirroring, None)
    async with mirroring.open() as (_, catalogue):
        assert catalogue.holdings.removed_files(1, "latest") == []
        assert catalogue.holdings.versions(1) == []


@pytest.mark.promise("P4")
@pytest.mark.fault(40)
async def test_a_kill_after_the_bytes_went_leaves_nothing_that_stops_the_next_pass(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%", versions=0)
    await come_and_go(mirroring, b"c1", None)
    mirroring.now += 31 * 86400
    with monkeypatch.context() as patch:
        patch.setattr(Holdings, "forget_removed", die)
        with pytest.raises(Killed):
            await mirroring.run()
    assert mirroring.removed() == {}
    assert (await mirroring.run()).complete
    async with mirroring.open() as (_, catalogue):
        assert catalogue.holdings.removed_files(1, "latest") == []


async def test_a_file_that_cannot_be_deleted_keeps_no_other_and_is_told(tmp_path):
    class Held(FilesystemStore):
        async def delete(self, path):
            if path.endswith("/f01"):
                raise Denied(f"{path}: the system does not let us")
            await super().delete(path)

    mirroring = Mirroring(tmp_path, Archive(many()), guard="20%", versions=0)
    await mirroring.run()
    del mirroring.archive.files["f01"], mirroring.archive.files["f02"]
    await mirroring.run()
    mirroring.now += 31 * 86400
    with pytest.raises(Denied, match="/f01"):
        await mirroring.run(wrap=lambda store: setattr(store, "__class__", Held) or store)
    assert [path.rpartition("/")[2] for path in mirroring.removed()] == ["f01"]
    assert (await mirroring.run()).complete
    assert mirroring.removed() == {}


@pytest.mark.parametrize("content", [b"c1", b"??"])
async def test_a_rebuild_puts_bytes_right_that_lie_under_a_snapshot_that_does_not_name_them(tmp_path, content):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%")
    first, second = await come_and_go(mirroring, b"c1", None)
    stored = mirroring.store_folder / ".syncd"
    (stored / "versions/scenes" / second).mkdir(parents=True)
    (stored / "removed/scenes" / first / "latest").rename(stored / "versions/scenes" / second / "latest")
    (stored / "versions/scenes" / second / "latest").write_bytes(content)
    for file in (mirroring.folder / "state").glob("catalogue.sqlite*"):
        file.unlink()
    async with mirroring.open() as (store, catalogue):
        await rebuild(store, catalogue, lambda: mirroring.now)
        found = catalogue.holdings.versions(1)
        if content == b"c1":
            assert [(v.snapshot, v.path) for v in found] == [(first, "latest")]
            await mirroring.restoration(store, catalogue).rollback(first)
            assert mirroring.natural()["latest"] == b"c1"
            assert mirroring.check_sums(first) == (True, "")
        else:
            # of the same size, and something else: no version of the file, and deleted with that snapshot
            assert [(v.snapshot, v.path, v.sha256) for v in found] == [(second, "latest", "")]
