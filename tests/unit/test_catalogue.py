"""The Catalogue: one writer, no half-read damage, and claims of several documents joined into one."""

from pathlib import Path

import apsw
import msgspec
import pytest

from manifests.messages import message, pack
from manifests.reading.stat_page import Stats
from manifests.snapshot import Content, Entry, Origin, Snapshot
from manifests.stat import Promise, Stat
from syncd.catalogue import ArchivedVersion, Catalogue, DamagedFile, QuarantinedFile
from syncd.catalogue.mirror_schema import MIRROR_STEPS
from syncd.catalogue.schema import SCHEMA_VERSION, VERSION_1
from syncd.core import FailureView, PassEvent
from syncd.core.errors import Busy, Damaged, Offline
from syncd.core.steps import Step


def proved(path, content=b"x"):
    return Entry(path, len(content), "ab" * 32, "cd" * 16), Origin(path, path, "attested", 1.0, len(content))


def with_mirrors(folder):
    """An open Catalogue with the mirrors 1, 2 and 3."""
    catalogue = Catalogue(folder)
    for name in "abc":
        catalogue.history.ensure_mirror(name, prefix=f"{name}/")
    return catalogue


def failure(path, error, reason, at, quarantined=""):
    return FailureView(path=path, error=error, reason=reason, at=at, quarantined=quarantined)


@pytest.mark.fault(42, 43)
def test_a_second_writer_is_refused_and_told_who_holds_the_state(tmp_path):
    with Catalogue(tmp_path), pytest.raises(Busy, match="in use by process"):
        Catalogue(tmp_path)
    Catalogue(tmp_path).close()


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    "spoil", [lambda content: b"not a database " * 300, lambda content: content[:5000] + b"\xff" * 3000]
)
@pytest.mark.parametrize("name", ["catalogue.sqlite", "mirrors/m.sqlite"])
def test_a_damaged_catalogue_is_refused_with_the_way_out(tmp_path, spoil, name):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(mirror, [proved(f"{n:05}") for n in range(3000)])
    file = tmp_path / name
    file.write_bytes(spoil(file.read_bytes()))

    def use():
        with Catalogue(tmp_path) as catalogue:
            list(catalogue.holdings.entries(1))
            catalogue.history.mirrors()
            catalogue.holdings.add(1, [proved("new")])

    with pytest.raises(Damaged, match="syncd rebuild"):
        use()


@pytest.mark.fault(42)
def test_a_catalogue_of_a_newer_syncd_is_left_alone(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        catalogue.files.of(1)._db.pragma("user_version", 98)
        catalogue.holdings.add(2, [proved("a")])
    with Catalogue(tmp_path) as catalogue:
        with pytest.raises(
            Damaged,
            match=rf"a\.sqlite: the Catalogue is of version 98, this syncd knows {len(MIRROR_STEPS)}: use the newer",
        ):
            catalogue.holdings.totals(1)
        assert catalogue.holdings.totals(2) == (1, 1)
        catalogue.database._db.pragma("user_version", 99)
    with pytest.raises(Damaged, match=f"of version 99, this syncd knows {SCHEMA_VERSION}"):
        Catalogue(tmp_path)


@pytest.mark.fault(33)
def test_what_several_documents_say_of_a_path_is_joined_and_a_contradiction_is_kept(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        claims = catalogue.claims
        claims.add(1, [Stat("b", 5), Stat("a", None, None, None, {"md5": "1" * 32})])
        claims.add(1, [Stat("a", 7, 9.0, None, {"sha256": "2" * 64}), Stat("c", 1, None, None, {"md5": "3" * 32})])
        claims.promise(
            1, [Promise("b", {"md5": "4" * 32}, "MD5SUMS"), Promise("nowhere", {"md5": "5" * 32}, "MD5SUMS")]
        )
        claims.promise(1, [Promise("c", {"md5": "6" * 32}, "MD5SUMS")])
        a, b, c = claims.all(1)
    assert (a.size, a.modified, a.digests) == (7, 9.0, {"md5": "1" * 32, "sha256": "2" * 64})
    assert b.digests == {"md5": "4" * 32}
    assert c.version == f"conflict:two lists publish md5 {'3' * 32} and {'6' * 32}"


def test_files_of_which_nothing_is_known_are_asked_for_and_no_others(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        catalogue.claims.add(
            1, [Stat("blind"), Stat("dated", None, 1.0), Stat("digest", digests={"md5": "1" * 32}), Stat("listed")]
        )
        catalogue.claims.promise(1, [Promise("listed", {"md5": "2" * 32}, "SUMS")])
        assert [stat.path for stat in catalogue.claims.without_validator(1, "", 10)] == ["blind"]


@pytest.mark.promise("P6")
def test_the_first_of_two_swaps_before_a_snapshot_keeps_what_was_published(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        catalogue.holdings.add_versions(1, [ArchivedVersion("s", "f", 1, "published")], 1.0)
        catalogue.holdings.add_versions(1, [ArchivedVersion("s", "f", 2, "never published")], 2.0)
        assert [v.sha256 for v in catalogue.holdings.versions(1, "f")] == ["published"]


def test_a_removed_file_is_remembered_until_it_is_back(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        holdings = catalogue.holdings
        holdings.add(1, [proved("f")])
        catalogue.changes.clear(1, [])
        holdings.remove(1, ["f", "never there"], 5.0)
        assert list(holdings.changed(1)) == ["f"]
        assert holdings.has_pending_removals(1)
        assert [(r.path, r.is_in_place) for r in holdings.removed_in_place(1)] == [("f", True)]
        holdings.add(1, [proved("f")])
        assert holdings.removed_files(1, "f") == []


def test_a_removed_file_that_was_moved_outlives_its_return(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        holdings = catalogue.holdings
        for snapshot in ("aa", "bb"):
            holdings.add(1, [proved("f")])
            holdings.remove(1, ["f"], 5.0)
            holdings.end_removals(1, [(removed, snapshot) for removed in holdings.removed_in_place(1)])
        holdings.add(1, [proved("f")])
        assert not holdings.has_pending_removals(1)
        assert sorted(r.snapshot for r in holdings.removed_files(1, "f")) == ["aa", "bb"]
        assert list(holdings.snapshots_of(1, "removed")) == ["aa", "bb"]
        assert holdings.removed_of(1, "aa", 5.0, "", 9) == []
        assert [r.path for r in holdings.removed_of(1, "aa", 6.0, "", 9)] == ["f"]


def test_a_file_that_cannot_leave_its_place_is_no_interrupted_work(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        holdings = catalogue.holdings
        holdings.add(1, [proved("f")])
        holdings.remove(1, ["f"], 5.0)
        holdings.fail_removals(1, [(removed, "no") for removed in holdings.removed_in_place(1)])
        assert not holdings.has_pending_removals(1)
        assert [removed.failed for removed in holdings.removed_in_place(1)] == ["no"]


def version_1(folder, entries=3_000):
    """A Catalogue as the first release wrote it, with something in every table that a steward would miss."""
    folder.mkdir()
    db = apsw.Connection(str(folder / "catalogue.sqlite"))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(VERSION_1)
    db.pragma("user_version", 1)
    db.execute("INSERT INTO mirror (name, prefix, snapshot, succeeded) VALUES ('old', 'old/', 'abc', 5.0)")
    rows = [(1, f"{n:05}", 1, b"\xab" * 32, b"\xcd" * 16, f"{n:05}", "attested", "x", 1.0) for n in range(entries)]
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO entry (mirror, path, bytes, sha256, xxh3, url, verdict, by, proved) VALUES (?,?,?,?,?,?,?,?,?)",
        rows,
    )
    db.execute(
        "INSERT INTO failure VALUES (1, 'bad', 'Mismatch', 'bad: 1 promised', 7.0, '.syncd/quarantine/old/x/bad')"
    )
    db.execute("INSERT INTO approved VALUES (1, '00001'); INSERT INTO pin VALUES (1, '00002')")
    origin = msgspec.json.encode(Origin("gone", "x", "attested", 1.0)).decode()
    db.execute("INSERT INTO removed VALUES (1, 'gone', 3, 'aa', 'bb', ?, 6.0)", (origin,))
    body = msgspec.json.encode(Snapshot("abc", Content(()), "old", 4.5, 0, 0))
    db.execute("INSERT INTO snapshot VALUES (1, 'abc', 1, ?); COMMIT", (body,))
    db.close()


def test_a_catalogue_of_version_1_is_brought_up_to_date_and_nothing_is_lost(tmp_path):
    version_1(tmp_path / "state")
    for _ in range(2):
        with Catalogue(tmp_path / "state") as catalogue:
            row = catalogue.history.mirror("old")
            assert (row.snapshot, row.succeeded) == ("abc", 5.0)
            assert catalogue.holdings.totals(row.id) == (3_000, 3_000)
            assert set(catalogue.approvals.approved(row.id)) == {"00001"}
            assert [one.place for one in catalogue.pass_history.quarantined(row.id, 10)] == [
                ".syncd/quarantine/old/x/bad"
            ]
            assert catalogue.database._db.pragma("user_version") == SCHEMA_VERSION
            assert catalogue.approvals.pins(row.id) == [("00002", False)]
            (left,) = catalogue.holdings.removed_in_place(row.id)
            assert (left.path, left.was_left, left.entry.size, left.removed) == ("gone", True, 3, 6.0)
            assert not catalogue.holdings.has_pending_removals(row.id)
            assert catalogue.history.snapshot_times(row.id) == [("abc", 4.5)]
            assert catalogue.database._db.pragma("auto_vacuum") == 2
            assert catalogue.database._db.pragma("integrity_check") == "ok"
            (failed,) = catalogue.failures.files(row.id)
            assert (failed.reason, type(failed.reason)) == ("bad: 1 promised", str)


def test_every_reason_is_stored_with_its_template_and_values(tmp_path):
    reason = message("{path}: {size} bytes promised", path="a", size=7)
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        history, claims = catalogue.pass_history, catalogue.claims
        catalogue.holdings.add(mirror, [proved("a")])
        catalogue.failures.add(mirror, failure("a", "Mismatch", reason, 1.0, ".syncd/quarantine/a"))
        history.add_quarantined(mirror, QuarantinedFile(".syncd/quarantine/b", "b", "Mismatch", reason, 1.0))
        history.add_damage(mirror, DamagedFile("a", "size", reason, "ab" * 32, 1.0))
        number = history.begin(mirror, why="asked", who="", at=1.0)
        history.add_events(
            [(number, PassEvent(id=1, at=1.0, level="warning", event="transfer_failed", path="a", text=reason))]
        )
        history.end(number, outcome="failed", at=2.0, error="Mismatch", reason=reason)
        history.add_audit(at=1.0, who="ada", what="sync", mirror="m", outcome=reason)
        claims.add_steps(mirror, [Step("refuse", "a", reason), Step("remove", "b", message("gone"))])
        claims.add_steps(mirror, [Step("fetch", "c", "new upstream", Stat("c", 1))])
        claims.refuse(mirror, [("c", reason)])
        steps = {step.path: step.reason for step in claims.steps(mirror, "refuse", "remove")}
        assert steps == {"a": reason, "b": "gone", "c": reason}
    with Catalogue(tmp_path) as catalogue:
        history = catalogue.pass_history
        stored = [
            catalogue.failures.files(mirror)[0].reason,
            *(one.reason for one in history.quarantined(mirror, 10)),
            history.damaged(mirror)[0].reason,
            history.events(number, 0, 10)[0].text,
            history.passes(mirror, None, 10)[0].reason,
            history.audit(None, 10)[0].outcome,
        ]
    assert len(stored) == 7
    assert {pack(text) for text in (*stored, steps["a"], steps["c"])} == {pack(reason)}


def test_who_only_looks_does_so_beside_the_writer_and_cannot_write(tmp_path):
    with pytest.raises(Offline):
        Catalogue(tmp_path, read_only=True)
    with Catalogue(tmp_path) as writer, Catalogue(tmp_path, read_only=True) as reader:
        writer.history.ensure_mirror("m", prefix="m/")
        assert [row.name for row in reader.history.mirrors()] == ["m"]
        with pytest.raises(Offline, match="readonly"):
            reader.history.ensure_mirror("other", prefix="o/")


def test_an_older_catalogue_that_another_syncd_holds_is_not_misread(tmp_path):
    version_1(tmp_path / "state")
    with pytest.raises(Damaged, match="of version 1, and another process"):
        Catalogue(tmp_path / "state", read_only=True)


def test_room_is_given_back_a_little_at_a_time(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(mirror, [proved(f"{n:06}" + "x" * 200) for n in range(30_000)])
        file = catalogue.files.of(mirror)
        before = file.one("PRAGMA page_count")[0]
        catalogue.holdings.remove(mirror, [f"{n:06}" + "x" * 200 for n in range(30_000)], 1.0)
        catalogue.holdings.forget_removed(mirror, catalogue.holdings.removed_in_place(mirror))
        catalogue.changes.clear(mirror, [])
        bites = 0
        while catalogue.tidy():
            bites += 1
        assert bites > 1
        assert file.one("PRAGMA page_count")[0] < before / 2


def test_a_copy_is_whole_compact_and_without_the_work_under_way(tmp_path):
    with Catalogue(tmp_path / "state") as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(mirror, [proved("a"), proved("b")])
        catalogue.claims.add(mirror, [Stat("a", 1)])
        with Catalogue(tmp_path / "state", read_only=True) as beside:
            (tmp_path / "copy/mirrors").mkdir(parents=True)
            assert beside.all_files() == [("catalogue.sqlite", None), ("mirrors/m.sqlite", mirror)]
            for name, number in beside.all_files():
                assert beside.copy(number, tmp_path / "copy" / name)
    with Catalogue(tmp_path / "copy") as copy:
        assert copy.holdings.totals(mirror) == (2, 2)
        assert list(copy.claims.all(mirror)) == []
        assert [one._db.pragma("auto_vacuum") for one in (copy.database, copy.files.of(mirror))] == [2, 2]


def test_passes_are_written_down_told_and_forgotten(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        one, other = (catalogue.history.ensure_mirror(name, prefix=f"{name}/").id for name in "ab")
        chronicle = catalogue.pass_history
        ids = [chronicle.begin(one, why="schedule", who="", at=float(n)) for n in range(5)]
        ids.append(chronicle.begin(other, why="asked", who="ada", at=9.0))
        assert ids == sorted(set(ids))
        for number in ids[:4]:
            chronicle.end(number, outcome="complete", at=number + 0.5, fetched=3, bytes=7)
        chronicle.add_events([(ids[4], PassEvent(id=1, at=4.25, level="info", event="planned", text="3 to fetch"))])
        assert [p.id for p in chronicle.passes(one, None, 10)] == ids[4::-1]
        assert [p.id for p in chronicle.passes(None, ids[5], 2)] == [ids[4], ids[3]]
        assert [p.mirror for p in chronicle.passes(None, None, 2)] == ["b", "a"]
        assert (chronicle.has_pass(one, ids[0]), chronicle.has_pass(other, ids[0])) == (True, False)
        assert chronicle.end_killed() == 2
        killed, *_, first = chronicle.passes(one, None, 10)
        assert (killed.outcome, killed.ended) == ("killed", 4.25)
        assert first.fetched == 3
        assert chronicle.forget_passes(before=100.0, keep=2) == 3
        assert [p.id for p in chronicle.passes(None, None, 10)] == [ids[5], ids[4], ids[3]]
        assert chronicle.events(ids[4], 0, 10)[0].event == "planned"
        assert chronicle.forget_events(before=100.0) == 1
        assert chronicle.events(ids[4], 0, 10) == []


@pytest.mark.promise("P7")
def test_the_longest_unread_comes_first_and_coverage_says_how_much_was_read(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(
            mirror,
            [(Entry(f"{n}", 10, "ab" * 32, "cd" * 16), Origin(f"{n}", "", "attested", 100.0 - n)) for n in range(6)],
        )
        catalogue.holdings.check(mirror, ["5"], 200.0)
        oldest = list(catalogue.pass_history.oldest(mirror, 150.0, 10, 10**9))
        assert [path for path, _ in oldest] == ["4", "3", "2", "1", "0"]
        assert [path for path, _ in catalogue.pass_history.oldest(mirror, 150.0, 10, 15)] == ["4", "3"]
        assert [path for path, _ in catalogue.pass_history.oldest(mirror, 98.0, 10, 10**9)] == ["4", "3"]
        assert catalogue.pass_history.coverage(mirror, 99.0) == (6, 60, 3, 96.0)


def test_damage_is_true_until_the_file_is_another(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(mirror, [proved("a"), proved("b")])
        for path in "ab":
            catalogue.pass_history.add_damage(mirror, DamagedFile(path, "digest", "is another", "ab" * 32, 5.0))
        catalogue.holdings.add(mirror, [(Entry("a", 1, "00" * 32, "cd" * 16), Origin("a", "", "attested", 6.0))])
        assert [fault.path for fault in catalogue.pass_history.damaged(mirror)] == ["b"]
        catalogue.pass_history.forget_damage(mirror, "b")
        assert catalogue.pass_history.damaged(mirror) == []


def test_what_fails_into_the_quarantine_is_remembered_after_it_was_mended(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.failures.add(mirror, failure("a", "Mismatch", "a: 1 promised", 3.0, "q/a"))
        catalogue.failures.add(mirror, failure("b", "NotFound", "b: 404", 4.0))
        assert catalogue.pass_history.counts(mirror) == (0, 0, 2, 1)
        catalogue.failures.forget_before(mirror, 10.0)
        assert [one.place for one in catalogue.pass_history.quarantined(mirror, 10)] == ["q/a"]
        assert catalogue.pass_history.quarantined_before(mirror, 10.0) == ["q/a"]


def test_claims_come_by_column_where_nothing_more_is_said_of_a_file_and_are_the_same_either_way(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.catalogue.claims.PAGE", 2)
    plain = [Stat("a", 1, 0.5, '"x"'), Stat("b", 0, 1.0), Stat("e", 5, 2.0, "listed:2")]
    others = [
        Stat("c", 3, 1.0, None, {"md5": "ab"}),
        Stat("d", None, 1.0, "v"),
        Stat("f", 6, None, "v"),
        Stat("g", 7, 1.0, "v", {}, ("https://h/g",)),
        Stat("h", 8, 1.0),
    ]
    with with_mirrors(tmp_path) as catalogue:
        catalogue.claims.add(1, [*plain, *others])
        catalogue.claims.promise(1, [Promise("h", {"md5": "cd"}, "MD5SUMS")])
        pages = list(catalogue.claims.pages(1))
        assert [type(page).__name__ for page in pages] == ["Stats", "list", "list", "list"]
        found = [stat for page in pages for stat in page]
        assert found == list(catalogue.claims.all(1))
        assert found == sorted(
            [*plain, *others[:4], Stat("h", 8, 1.0, None, {"md5": "cd"})], key=lambda stat: stat.path
        )


def test_transfers_come_by_size_wherever_they_are_written_down_and_in_parts_of_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.catalogue.planned_steps.PART", 2)
    large, medium = 300 << 20, 6 << 20
    with with_mirrors(tmp_path) as catalogue:
        claims = catalogue.claims
        claims.add_new(1, Stats(["a", "b", "c"], [1, large, 4], [0.0] * 3, list[str | None]([None] * 3)))
        claims.add_new(1, Stats(["d", "e"], [medium, 4], [0.0] * 2, ["v"] * 2))
        claims.add_steps(1, [Step("replace", "f", "newer", Stat("f", large + 1)), Step("fetch", "g", "new", Stat("g"))])
        claims.add_steps(1, [Step("remove", "h", "gone", None, 99), Step("fetch", "i", "new", Stat("i", medium))])
        parts = [[step.path for step in part] for part in claims.by_size(1)]
        assert [part for part in parts if part] == [["b"], ["f"], ["d"], ["i"], ["c", "a"], ["e"], ["g"]]
        assert list(claims.by_size(2)) == [[]] * 0


def test_pages_of_new_files_are_steps_like_any_other(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        claims = catalogue.claims
        page = Stats(["a", "b", "c"], [1, 3, 2], [0.5, 1.0, 2.0], ['"x"', None, '"z"'])
        claims.add_new(1, page)
        claims.add_new(2, page)
        claims.add_steps(1, [Step("fetch", "d", "new upstream", Stat("d", 4)), Step("remove", "e", "gone", None, 9)])
        assert claims.count(1, "fetch", "replace") == 4
        assert claims.count_small(1, 2) == 2
        claims.add_steps(3, [Step("fetch", "unknown", "new upstream", Stat("unknown"))])
        assert claims.count_small(3, 2) == 1
        assert claims.bytes_to_move(1) == 10
        assert claims.bytes_to_move(2, most=2) == 3
        assert claims.bytes_to_move(2, most=3) == claims.bytes_to_move(2) == 6
        assert [step.stat for step in claims.steps(1, "fetch")] == [*page, Stat("d", 4)]
        assert sorted(claims.held_paths(1)) == [(path, 0) for path in "abcd"]
        claims.refuse(1, [("b", "differs from 'a'"), ("d", "no")])
        assert [(step.path, step.reason) for step in claims.steps(1, "refuse")] == [
            ("d", "no"),
            ("b", "differs from 'a'"),
        ]
        assert [step.path for part in claims.by_size(1) for step in part] == ["c", "a"]
        assert claims.count(1, "fetch") == 2
        assert claims.bytes_to_move(1) == 3
        claims.forget(1)
        assert (claims.count(1, "fetch", "remove", "refuse"), claims.count(2, "fetch")) == (0, 3)


def test_what_a_killed_process_planned_is_gone_and_what_it_recorded_is_not(tmp_path):
    catalogue = Catalogue(tmp_path)
    mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
    catalogue.claims.add_steps(mirror, [Step("fetch", "a", "new upstream", Stat("a", 5))])
    catalogue.files.of(mirror).close()  # as a kill does: the scratch file stays
    catalogue.database.close()
    catalogue._lock.release()
    assert (tmp_path / "mirrors/m.steps").exists()
    with Catalogue(tmp_path) as again:
        assert again.claims.count(mirror, "fetch") == 0
        assert again.history.mirror("m") is not None
    assert not (tmp_path / "mirrors/m.steps").exists()


@pytest.mark.fault(36)
def test_a_disk_that_fails_when_the_catalogue_closes_is_no_bug_and_the_next_process_opens_it(tmp_path, monkeypatch):
    def fail(self, **_):
        raise OSError(5, "Input/output error", str(self))

    catalogue = with_mirrors(tmp_path)
    catalogue.claims.forget(1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        catalogue.close()
    assert (tmp_path / "mirrors/a.steps").exists()
    Catalogue(tmp_path).close()
    assert not (tmp_path / "mirrors/a.steps").exists()


@pytest.mark.promise("P2")
@pytest.mark.fault(41)
def test_a_commit_is_on_the_disk_before_anybody_acts_on_it(tmp_path):
    with with_mirrors(tmp_path) as catalogue:
        for database in (catalogue.database._db, catalogue.files.planning(1)._db):
            assert (database.pragma("journal_mode"), database.pragma("synchronous")) == ("wal", 2)
        assert database.pragma("synchronous", schema="scratch") == 0


def test_one_path_is_found_by_its_key_and_not_by_reading_to_the_end_of_the_mirror(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        paths = [f"{n:05}" for n in range(2000)]
        catalogue.holdings.add(mirror, [proved(path) for path in paths])
        versions = [ArchivedVersion(f"{n % 50:064}", path, 1, "ab" * 32) for n, path in enumerate(paths)]
        catalogue.holdings.add_versions(mirror, versions, 1.0)
        connection, steps = catalogue.files.of(mirror)._db, [0]

        def step():
            steps[0] += 1
            return False

        connection.set_progress_handler(step, 10)  # each ten instructions of SQLite
        try:
            assert catalogue.holdings.entry(mirror, "00000x") is None
            assert [one.path for one in catalogue.holdings.entries(mirror, "00007", "00008")] == ["00007"]
            assert [one.path for one in catalogue.holdings.versions(mirror, "00007")] == ["00007"]
            assert steps[0] < 100
            assert (len(list(catalogue.holdings.entries(mirror))), len(catalogue.holdings.versions(mirror))) == (
                2000,
                2000,
            )
            assert steps[0] > 1000
        finally:
            connection.set_progress_handler(None)
