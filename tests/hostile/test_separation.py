"""The upgrade from one file for all mirrors to a file for each: nothing is lost, wherever it is cut."""

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
from collections import Counter
from pathlib import Path

import apsw
import pytest

from syncd.catalogue import Catalogue, separation, state_folder
from syncd.catalogue.database import Database
from syncd.catalogue.mirror_schema import MIRROR_STEPS, MIRROR_TABLES
from syncd.catalogue.schema import JOINED, SCHEMA_VERSION, STEPS
from syncd.core import Busy, Damaged, NoSpace
from tests.acceptance.cli import Folder, run

OF = 11  # the version of the frozen state
FROZEN = Path(__file__).parents[1] / "fixtures/state-11/files.tar.gz"
STOPS = {"execute", "executemany", "pragma", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "Connection"}


def columns():
    """The columns of each table of the frozen state; later versions may have added some."""
    db = apsw.Connection(":memory:")
    for step in STEPS[:OF]:
        db.execute(step)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    return {
        one: ", ".join(name for (name,) in db.execute(f"SELECT name FROM pragma_table_info('{one}')")) for one in tables
    }


COLUMNS = columns()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A state folder as the last syncd with one file wrote it, with the store beside it."""
    folder = tmp_path_factory.mktemp("frozen")
    with tarfile.open(FROZEN) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def folder(frozen, tmp_path):
    return shutil.copytree(frozen, tmp_path / "old")


def rows(file, table):
    with apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY) as db:
        return sorted(map(repr, db.execute(f"SELECT {COLUMNS[table]} FROM {table}")))


def contents(state):
    """Every row of every table, whether the state folder has one file or several; nothing twice."""
    joined = state / "catalogue.sqlite"
    found = Counter()
    with apsw.Connection(str(joined), flags=apsw.SQLITE_OPEN_READONLY) as db:
        found.update(("mirror", repr(row)) for row in db.execute(f"SELECT {COLUMNS['mirror']} FROM mirror"))
        is_joined = db.pragma("user_version") <= JOINED
    for table in ("pass", "pass_event", "audit", "pause"):
        found.update((table, row) for row in rows(joined, table))
    files = [joined] if is_joined else sorted((state / "mirrors").glob("*.sqlite"))
    for file in files:
        for table in COLUMNS.keys() & set(MIRROR_TABLES):
            found.update((table, row) for row in rows(file, table))
    return found


def schema(db, tables):
    marks = ",".join("?" * len(tables))
    sql = f"SELECT name FROM sqlite_schema WHERE tbl_name IN ({marks}) AND sql IS NOT NULL"
    named = {table: list(db.execute(f"SELECT * FROM pragma_table_info('{table}')")) for table in tables}
    return sorted(name for (name,) in db.execute(sql, tables)), named


def test_a_new_mirrors_file_has_the_tables_that_the_one_file_had():
    old, new = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    for step in STEPS[:JOINED]:
        old.execute(step)
    new.execute(MIRROR_STEPS[0])
    assert schema(old, MIRROR_TABLES) == schema(new, MIRROR_TABLES)
    with_mirror = {
        table
        for (table,) in old.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        if ("mirror",) in set(old.execute(f"SELECT name FROM pragma_table_info('{table}')"))
    }
    assert with_mirror - set(MIRROR_TABLES) == {"pass", "audit", "pause"}
    for step in STEPS[JOINED:]:
        old.execute(step)
    left = {table for (table,) in old.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
    assert left == {
        "setting", "mirror", "pass", "pass_event", "audit", "pause", "publication", "fetched", "job", "sqlite_sequence",
    }  # fmt: skip


@pytest.mark.promise("P6")
@pytest.mark.fault(42)
def test_the_upgrade_from_one_file_loses_no_row(folder):
    before = contents(folder / "state")
    assert {table for table, _ in before} >= set(MIRROR_TABLES) - {
        "promise", "question", "swap", "inflight", "renewed", "signed", "signer", "changed", "approved", "unsettled", "staged",
    }  # fmt: skip
    for _ in range(2):
        with Catalogue(folder / "state") as catalogue:
            rows = {row.name: row for row in catalogue.history.mirrors()}
            assert sorted(rows) == ["one", "three", "two"]
            assert catalogue.approvals.count_parked(rows["two"].id) == (20, 0)
            assert catalogue.history.current_id(rows["one"].id) == rows["one"].snapshot != ""
            assert catalogue.holdings.totals(rows["three"].id) == (0, 0)
            assert catalogue.database._db.pragma("auto_vacuum") == 2
        assert contents(folder / "state") == before
    assert {file.name for file in (folder / "state").rglob("*.sqlite")} == {
        "catalogue.sqlite", "one.sqlite", "two.sqlite", "three.sqlite",
    }  # fmt: skip
    assert (folder / "state/catalogue.sqlite").stat().st_size < 80_000


def test_the_upgraded_state_folder_works_on(folder):
    store, state = Folder(folder / "store"), folder / "state"
    assert "one" in run(store, state, "status")
    run(store, state, "verify", "one", "--read-data")
    run(store, state, "approve", "two")
    run(store, state, "snapshots", "one")


def stops(state):
    """Return the number of calls of SQLite and of the system that an upgrade makes, in a process of its own."""
    return _in_child(state, 1 << 60)


def cut(state, after):
    """Upgrade in a process of its own, which is killed before a call."""
    return _in_child(state, after)


def _in_child(state, after):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        made = 0

        def count(_frame, event, called):
            nonlocal made
            if event == "c_call" and called.__name__ in STOPS:
                if made == after:
                    os.write(writing, str(made).encode())
                    os.kill(os.getpid(), 9)
                made += 1

        sys.setprofile(count)
        try:
            Catalogue(state).close()
        finally:
            sys.setprofile(None)
            os.write(writing, str(made).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        made = int(told.read() or 0)
    os.waitpid(child, 0)
    return made


@pytest.mark.promise("P6", "P7")
@pytest.mark.fault(41, 42)
@pytest.mark.parametrize("part", range(4))
def test_an_upgrade_that_is_killed_at_any_call_goes_on_at_the_next_start(frozen, tmp_path, part):
    before = contents(frozen / "state")
    every = stops(shutil.copytree(frozen / "state", tmp_path / "whole"))
    assert every > 80
    later = set()
    for after in sorted({*range(part, every, 8), *range(every - 8 + part, every, 4), every - 1}):
        state = shutil.copytree(frozen / "state", tmp_path / f"cut{after}")
        assert cut(state, after) == after
        with apsw.Connection(str(state / "catalogue.sqlite")) as db:
            later.add(db.pragma("user_version"))
        assert contents(state) == before, after  # what the older or the newer syncd would read
        if after % 3 == 0:
            cut(state, after // 2)  # and a second time
        with Catalogue(state):
            pass
        assert contents(state) == before, after
        assert not list(state.rglob("*.new*"))
    assert later >= {OF, SCHEMA_VERSION}


@pytest.mark.fault(41)
def test_every_new_file_is_on_the_disk_before_the_old_tables_are_dropped(folder, monkeypatch):
    calls, sync, replace, migrate = [], os.fsync, Path.replace, Database.migrate

    def record(name, function):
        def recorded(*given):
            if name == "sync":
                calls.append((name, str(Path(f"/proc/self/fd/{given[0]}").readlink())))
            else:
                calls.append((name, *(str(one) for one in given[:2])))
            return function(*given)

        return recorded

    monkeypatch.setattr(os, "fsync", record("sync", sync))
    monkeypatch.setattr(Path, "replace", record("replace", replace))
    monkeypatch.setattr(Database, "migrate", record("migrate", migrate))
    Catalogue(folder / "state").close()
    mirrors = str(folder / "state/mirrors")
    steps = [call for call in calls if mirrors in call[1] or call[0] == "migrate"]
    assert steps[0][0] == "migrate"  # to the last version with one file
    assert steps[-1][0] == "migrate"
    for number, name in enumerate(("one", "two", "three")):
        fresh = f"{mirrors}/{name}.sqlite.new"
        assert steps[1 + 3 * number : 4 + 3 * number] == [
            ("sync", fresh), ("replace", fresh, fresh.removesuffix(".new")), ("sync", mirrors),
        ]  # fmt: skip


def test_a_file_of_another_upgrade_is_not_taken_for_the_mirrors_own(folder, tmp_path):
    other = shutil.copytree(folder / "state", tmp_path / "other")
    before = contents(folder / "state")
    Catalogue(other).close()
    with apsw.Connection(str(other / "mirrors/one.sqlite")) as db:
        db.execute("DELETE FROM entry")
    shutil.copytree(other / "mirrors", folder / "state/mirrors")
    with Catalogue(folder / "state"):
        pass
    assert contents(folder / "state") == before


@pytest.mark.fault(38)
def test_an_upgrade_without_room_says_how_much_it_needs_and_changes_nothing(folder, monkeypatch):
    before = contents(folder / "state")
    monkeypatch.setattr(separation, "SPARE", 1 << 60)
    with pytest.raises(NoSpace, match=r"the upgrade of the Catalogue needs [\d,]+ bytes for a while, and [\d,]+ are"):
        Catalogue(folder / "state")
    assert contents(folder / "state") == before
    monkeypatch.undo()
    Catalogue(folder / "state").close()
    assert contents(folder / "state") == before


@pytest.mark.fault(42)
def test_an_older_syncd_refuses_the_divided_state_folder(folder):
    Catalogue(folder / "state").close()
    with Database(folder / "state/catalogue.sqlite") as database, pytest.raises(Damaged, match="use the newer syncd"):
        database.connect(JOINED)


def test_who_reads_an_undivided_state_folder_beside_an_older_syncd_is_told(folder):
    with pytest.raises(Damaged, match="of an older syncd"):
        Catalogue(folder / "state", read_only=True)


@pytest.mark.promise("P7")
@pytest.mark.fault(42)
def test_a_backup_of_the_one_file_is_divided_when_it_is_restored(folder):
    state, store = folder / "state", Folder(folder / "store")
    before = contents(state)
    old = (state / "catalogue.sqlite").read_bytes()
    packed = gzip.compress(old, 3, mtime=0)
    backups = folder / "store/.syncd/backup"
    backups.mkdir()
    (backups / f"20261101T000000Z.{hashlib.sha256(packed).hexdigest()}.sqlite.gz").write_bytes(packed)
    Catalogue(state).close()
    shutil.rmtree(state / "mirrors")  # a newer state folder, half of which is lost, makes room for the backup
    told = run(store, state, "rebuild", "--from-backup", "latest")
    assert "restored .syncd/backup/20261101T000000Z" in told
    (kept,) = state.glob("catalogue.sqlite.before-*")
    assert kept.stat().st_size > 0
    assert {file.name for file in (state / "mirrors").iterdir()} == {"one.sqlite", "two.sqlite", "three.sqlite"}
    after = contents(state)
    assert before - after == Counter(), "nothing of the backup is missing"
    assert {table for table, _ in after - before} <= {"audit"}, "the restoration is in the audit log"
    with Catalogue(state) as catalogue:
        assert {row.name for row in catalogue.history.mirrors()} == {"one", "two", "three"}


@pytest.mark.fault(42)
def test_damage_of_one_mirror_in_the_old_file_costs_that_mirror_only(folder):
    with apsw.Connection(str(folder / "state/catalogue.sqlite")) as db:
        db.execute("UPDATE mirror SET last=last")
    separation_write = separation.write_new

    def write(fresh, key, number, name, source=None):
        if name == "one":
            raise apsw.CorruptError("malformed")
        separation_write(fresh, key, number, name, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separation, "write_new", write)
        Catalogue(folder / "state").close()
    with Catalogue(folder / "state") as catalogue:
        rows = {row.name: row for row in catalogue.history.mirrors()}
        assert catalogue.holdings.totals(rows["two"].id)[0] == 39
        with pytest.raises(Damaged, match=r"one\.sqlite is missing: run `syncd rebuild one`"):
            catalogue.holdings.totals(rows["one"].id)
    store = Folder(folder / "store")
    assert "one: 39 files" in run(store, folder / "state", "rebuild", "one")
    run(store, folder / "state", "verify", "one")


def test_two_processes_do_not_upgrade_at_once(folder):
    with Catalogue(folder / "state"), pytest.raises(Busy):
        Catalogue(folder / "state")
    assert state_folder.has_catalogue(folder / "state")
