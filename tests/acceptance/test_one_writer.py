"""Each folder of a store has one writer: prefixes are held, a mirror is forgotten, an old state folder is noticed."""

import json
import shutil

import pytest

from manifests.model.mirror import load_mirror
from syncd.catalogue import Catalogue
from syncd.core.errors import Busy, ConfigError
from syncd.core.events import CatalogueOutdated, ManifestRejected
from tests.acceptance.cli import Folder, run, start, sync, tree
from tests.daemons import House


class Place:
    """A store, a state folder, and mirrors of folders."""

    def __init__(self, root):
        self.root, self.store, self.state = root, Folder(root / "store"), root / "state"

    def mirror(self, name, prefix=None, **files):
        upstream = self.root / "www" / name
        shutil.rmtree(upstream, ignore_errors=True)
        upstream.mkdir(parents=True)
        for path, text in files.items():
            (upstream / path).write_text(text)
        manifest = self.root / f"{name}.yaml"
        where = f"store: {{prefix: {prefix}}}\n" if prefix is not None else ""
        manifest.write_text(
            f"mirror: {name}\nsource: {{settle: 0s, url: 'file://{upstream}/'}}\nkeep: {{versions: 5}}\n"
            f"guard: {{max_removed: 90%}}\n{where}"
        )
        return manifest

    def refused(self, *command, wanted):
        process = start(self.store, self.state, *command, stdout=-1, stderr=-1)
        _, err = process.communicate(timeout=240)
        assert process.returncode == wanted, err
        return err

    def sync(self, manifest):
        return sync(self.store, self.state, manifest)

    def run(self, *command, **more):
        return run(self.store, self.state, *command, **more)

    def audit(self):
        with Catalogue(self.state, read_only=True) as catalogue:
            return [
                (one.what, one.mirror, one.outcome)
                for one in catalogue.pass_history.audit(None, 10)
                if one.what not in ("manifest", "sync")
            ]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# -- prefixes -----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("held", "wanted"), [("shared/", "shared/"), ("shared/", "shared/sub/"), ("a/b/", "a/"), ("Shared/", "shared/")]
)
def test_a_folder_that_a_mirror_holds_is_refused_to_another_one(place, held, wanted):
    place.sync(place.mirror("one", held, x="one"))
    other = place.mirror("two", wanted, x="two")
    for command in ("sync", "plan"):
        said = place.refused(command, other, wanted=2)
        assert f"{wanted} overlaps {held}, where mirror one has files" in said
        assert "another store.prefix" in said
        assert "syncd forget one" in said
    assert (place.store.root / held / "x").read_text() == "one"
    place.run("verify", "one", "--read-data")


def test_a_mirror_that_was_only_planned_holds_no_folder(place):
    place.run("plan", place.mirror("one", "shared/", x="one"))
    place.sync(place.mirror("two", "shared/", x="two"))
    assert place.store.read("shared/") == {"x": b"two"}


def test_folders_whose_names_begin_alike_do_not_overlap(tmp_path):
    text = "mirror: {name}\nsource: {{url: 'https://h/'}}\nstore: {{prefix: {prefix}}}\n"
    with Catalogue(tmp_path) as catalogue:
        for name, prefix in (("a", "data/"), ("b", "data2/"), ("c", "dat/")):
            mirror = load_mirror(text.format(name=name, prefix=prefix), "m.yaml")
            catalogue.history.attempt(catalogue.history.ensure_declared(mirror).id, 1.0)
        with pytest.raises(ConfigError, match="mirror a has files"):
            catalogue.history.ensure_declared(load_mirror(text.format(name="d", prefix="Data/x/"), "m.yaml"))


@pytest.mark.promise("P3")
async def test_a_daemon_refuses_the_folder_of_a_retired_mirror(tmp_path):
    house = House(tmp_path)
    house.archive("one", {"x": b"one"})
    house.archive("two", {"x": b"two"})
    house.declare("one", "schedule: {every: 1h}\nstore: {prefix: shared/}\n")
    async with house.living():
        await house.until((house.store / "shared/x").exists)
        await house.idle("one")
    (house.manifests / "one.yaml").unlink()
    house.declare("two", "schedule: {every: 1h}\nstore: {prefix: shared/}\n")
    async with house.living() as control:
        assert house.state_of("one") == "retired"
        assert house.state_of("two") == "rejected"
        (rejected,) = house.heard(ManifestRejected)
        assert "syncd forget one" in rejected.problems[0]
        with pytest.raises(Busy):
            await control.sync("two", "ada")
    assert (house.store / "shared/x").read_bytes() == b"one"


# -- forget -------------------------------------------------------------------------------------------------------------


def test_a_forgotten_mirror_leaves_its_files_and_makes_room_for_another_one(place):
    manifest = place.mirror("one", "shared/", x="1", y="2")
    place.sync(manifest)
    (place.root / "www/one/x").write_text("new")
    place.sync(manifest)
    said = place.run("forget", "one", "--yes", "one")
    assert "keeps 2 files" in said
    assert "under shared/" in said
    assert "forgotten; 2 files stay" in said
    assert place.store.read("shared/") == {"x": b"new", "y": b"2"}
    assert place.store.read(".syncd/mirrors/") == {}
    assert b"1" in place.store.read(".syncd/versions/one/").values()
    assert place.audit() == [("forget", "one", "forgotten; 2 files stay")]
    assert json.loads(place.run("status", "--json")) == []
    place.run("rebuild")
    assert json.loads(place.run("status", "--json")) == []
    place.sync(place.mirror("two", "shared/", x="new", z="3"))
    assert place.store.read("shared/")["z"] == b"3"
    place.run("verify", "two", "--read-data")
    place.run("forget", "one", "--yes", "one", "--files")
    assert place.store.read(".syncd/versions/one/") == {}
    assert place.store.read("shared/")["x"] == b"new", "the files of the new mirror stay"
    assert "no such mirror" in place.refused("forget", "one", "--yes", "one", "--files", wanted=2)


def test_a_mirror_is_forgotten_with_its_files_and_nothing_of_another_one(place):
    place.sync(place.mirror("one", "a/", x="1", y="2"))
    place.sync(place.mirror("two", "b/", x="1"))
    found = json.loads(place.run("forget", "one", "--yes", "one", "--files", "--json"))
    assert (found["files_deleted"], found["files_kept"]) == (2, 0)
    assert set(place.store.paths("")) & {"a/x", "a/y"} == set()
    assert not [path for path in place.store.paths(".syncd/") if "/one/" in path or "one.json" in path]
    assert place.store.read("b/") == {"x": b"1"}
    place.run("verify", "two", "--read-data")
    place.sync(place.mirror("one", "a/", x="again"))


def test_a_mirror_that_a_manifest_declares_is_not_forgotten(place):
    manifest = place.mirror("one", x="1")
    place.sync(manifest)
    config = place.root / "syncd.yaml"
    config.write_text(f"manifests: [{manifest}]\n")
    said = place.refused("forget", "one", "--yes", "one", "--config", config, wanted=3)
    assert f"{manifest} declares it: withdraw this manifest first" in said
    manifest.unlink()
    place.run("forget", "one", "--yes", "one", "--config", config)


def test_a_mirror_whose_deletion_was_interrupted_can_only_be_forgotten_again(place):
    manifest = place.mirror("one", x="1")
    place.sync(manifest)
    with Catalogue(place.state) as catalogue:
        row = catalogue.history.mirror("one")
        catalogue.history.finish(row.id, succeeded=None, last={"state": "forgetting"})
    assert "syncd forget one" in place.refused("sync", manifest, wanted=3)
    place.run("forget", "one", "--yes", "one", "--files")
    place.sync(manifest)
    assert place.store.read("one/") == {"x": b"1"}


def test_no_table_keeps_a_record_of_a_forgotten_mirror(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        rows = [catalogue.history.ensure_mirror(name, prefix=f"{name}/") for name in ("gone", "stays")]
        for row in rows:
            assert catalogue.holdings.totals(row.id) == (0, 0)
        assert (tmp_path / "mirrors/gone.sqlite").exists()
        database = catalogue.database
        tables = {
            table: [
                (column, kind) for column, kind in database.rows(f"SELECT name, type FROM pragma_table_info('{table}')")
            ]
            for (table,) in list(database.rows("SELECT name FROM sqlite_schema WHERE type='table'"))
        }
        with_mirror = {table for table, columns in tables.items() if "mirror" in dict(columns)}
        with_mirror -= {"audit", "fetched", "job", "publication"}  # acts, tombstones and usage stay on record
        assert with_mirror == {"pass", "pause"}
        for table in with_mirror:
            for row in rows:
                names = [name for name, kind in tables[table] if name != "mirror" and (name, kind) != ("id", "INTEGER")]
                marks = ",".join("?" * (len(names) + 1))
                database.do(
                    f"INSERT OR REPLACE INTO {table} (mirror, {', '.join(names)}) VALUES ({marks})",
                    (row.id, *(row.id for _ in names)),
                )
        database.do("DELETE FROM pass_event")
        for (number,) in list(database.rows("SELECT id FROM pass")):
            database.do(
                "INSERT INTO pass_event (pass,id,at,level,event,path,text) VALUES (?,1,1,'','','','')", (number,)
            )
        catalogue.history.forget(rows[0])
        for table in with_mirror:
            assert [mirror for (mirror,) in database.rows(f"SELECT mirror FROM {table}")] == [rows[1].id], table
        assert database.one("SELECT count(*) FROM pass_event")[0] == 1
        assert [row.name for row in catalogue.history.mirrors()] == ["stays"]
        assert [file.name for file in (tmp_path / "mirrors").glob("*.sqlite")] == ["stays.sqlite"]


# -- an old state folder ------------------------------------------------------------------------------------------------


def restored(place, manifest, *, texts):
    """Publish each text; the state folder is then the one of the first."""
    found = []
    for number, text in enumerate(texts):
        (place.root / "www/one/x").write_text(text)
        found.append(place.sync(manifest)["snapshot"])
        if number == 0:
            shutil.copytree(place.state, place.root / "backup")
    shutil.rmtree(place.state)
    (place.root / "backup").rename(place.state)
    return found


@pytest.mark.promise("P6")
@pytest.mark.parametrize("texts", [("1", "2"), ("1", "2", "1")])
def test_a_state_folder_from_a_backup_loses_no_kept_snapshot(place, texts):
    manifest = place.mirror("one", x="")
    published = restored(place, manifest, texts=texts)
    (place.root / "www/one/x").write_text("3")
    place.sync(manifest)
    pointer = json.loads(place.store.read(".syncd/mirrors/")["one.json"])
    assert set(published) <= set(pointer["kept"])
    place.run("rollback", "one", published[1])
    assert place.store.read("one/") == {"x": b"2"}
    place.run("verify", "one", "--read-data")


def test_a_state_folder_from_a_backup_is_told(place):
    manifest = place.mirror("one", x="")
    restored(place, manifest, texts=("1", "2"))
    process = start(place.store, place.state, "sync", manifest, stdout=-1, stderr=-1)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "one: the state folder is older than the store; its records are rebuilt from there" in err


def test_a_mirror_that_cannot_be_rebuilt_is_refused_and_the_others_go_on(place):
    manifest, other = place.mirror("one", x=""), place.mirror("two", x="two")
    published = restored(place, manifest, texts=("1", "2"))
    (place.store.root / f".syncd/snapshots/one/{published[1]}/snapshot.json").write_text("{}")
    before = tree(place.store.root / "one"), place.store.read(".syncd/mirrors/")["one.json"]
    for _ in range(2):
        assert "run `syncd rebuild`" in place.refused("sync", manifest, wanted=3)
        assert (tree(place.store.root / "one"), place.store.read(".syncd/mirrors/")["one.json"]) == before
    place.sync(other)


async def test_a_daemon_with_a_state_folder_from_a_backup_rebuilds_it_first(tmp_path):
    house = House(tmp_path)
    house.archive("one", {"x": b"1"})
    house.declare("one", "schedule: {every: 1h}\nkeep: {versions: 5}\n")
    async with house.living():
        await house.until(lambda: house.copy("one") == {"x": b"1"})
        await house.idle("one")
    shutil.copytree(house.state, tmp_path / "backup")
    house.archive("one", {"x": b"22"})
    async with house.living() as control:
        await control.sync("one", "ada")
        await house.until(lambda: house.copy("one") == {"x": b"22"})
        await house.idle("one")
        second = control.mirror("one").snapshot
    shutil.rmtree(house.state)
    (tmp_path / "backup").rename(house.state)
    house.archive("one", {"x": b"333"})
    async with house.living() as control:
        assert [event.reason for event in house.heard(CatalogueOutdated)] == [""]
        await control.sync("one", "ada")
        await house.until(lambda: house.copy("one") == {"x": b"333"})
        await house.idle("one")
        assert second in [one.id for one in await control.snapshots("one")]
    kept = [file.read_bytes() for file in (house.store / ".syncd/versions/one").rglob("x")]
    assert b"22" in kept


@pytest.mark.promise("P4", "P7")
@pytest.mark.parametrize("ends", ["killed", "refused"])
def test_a_mirror_that_could_not_be_rebuilt_is_no_longer_refused_once_it_was(place, ends):
    manifest = place.mirror("one", x="1")
    place.sync(manifest)
    with Catalogue(place.state) as catalogue:
        catalogue.history.set_outdated({"one": "ab" * 32})  # a rebuild was tried, ...
        if ends == "killed":
            catalogue.settings.set("rebuilding", "yes")  # ... and cut: the next start rebuilds everything
    if ends == "refused":
        assert "run `syncd rebuild`" in place.refused("sync", str(manifest), wanted=3)
        place.run("rebuild")
    place.sync(manifest)
    with Catalogue(place.state) as catalogue:
        assert catalogue.history.outdated() == {}


def test_a_command_after_a_clean_end_compares_nothing(place, monkeypatch):
    manifest = place.mirror("one", x="1")
    place.sync(manifest)
    with Catalogue(place.state, read_only=True) as catalogue:
        known = catalogue.settings.get("epoch")
    assert known == str(json.loads(place.store.read(".syncd/")["lease.json"])["epoch"])
    pointer = place.store.root / ".syncd/mirrors/one.json"
    pointer.write_text("damaged")  # whoever reads it, fails
    place.sync(manifest)
