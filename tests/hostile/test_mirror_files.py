"""A file for each mirror: one that is held, damaged, missing or closed for others concerns no other mirror."""

import asyncio
import shutil
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.catalogue import Catalogue, mirror_files
from syncd.catalogue.state_folder import mirror_file
from syncd.core import Damaged, NotFound, PassFailed, PassFinished
from tests.acceptance.cli import Folder, run
from tests.daemons import House, small

FORTY = [f"m{number:02}" for number in range(40)]


def proved(path, size=1):
    return Entry(path, size, "ab" * 32, "cd" * 16), Origin(path, path, "attested", 1.0, size)


def opened(folder, *names):
    catalogue = Catalogue(folder)
    return catalogue, [catalogue.history.ensure_mirror(name, prefix=f"{name}/").id for name in names]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


# -- side by side -------------------------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_forty_mirrors_publish_while_the_file_of_another_is_held(house):
    for name in FORTY:
        house.archive(name, small())
        house.declare(name)
    house.configure("backup: {keep: 0}\nscrub: {enabled: false}\nbudget: {keep_free: 0 B, passes: 40}\n")
    async with house.living():
        for name in FORTY:
            await house.idle(name)
    with closing(apsw.Connection(str(house.state / "mirrors/m00.sqlite"))) as held:
        held.execute("BEGIN IMMEDIATE; DELETE FROM entry")
        for name in FORTY[1:]:
            house.archive(name, {"new": b"new"})
        async with house.living() as control:
            await asyncio.gather(*(control.sync(name, "ada") for name in FORTY[1:]))
            for name in FORTY[1:]:
                await house.until(lambda name=name: house.copy(name) == house.upstream(name))
                await house.idle(name)
        held.execute("ROLLBACK")
    assert len([event for event in house.heard(PassFinished) if event.fetched == 1]) == 39
    assert not house.heard(PassFailed)


def test_a_transaction_over_one_mirror_blocks_no_other_and_not_the_daemons_own_records(tmp_path):
    catalogue, (one, two) = opened(tmp_path, "one", "two")
    with catalogue:
        for mirror in (one, two):
            catalogue.holdings.add(mirror, [proved("a")])
        with closing(apsw.Connection(str(tmp_path / "mirrors/one.sqlite"))) as held:
            held.execute("BEGIN IMMEDIATE; DELETE FROM entry")
            catalogue.holdings.add(two, [proved("b")])
            catalogue.history.attempt(one, 1.0)
            catalogue.pass_history.add_audit(at=1.0, who="ada", what="sync", mirror="one", outcome="done")
            assert catalogue.holdings.totals(one) == (1, 1)  # and it can be read
            held.execute("ROLLBACK")


# -- many of them -------------------------------------------------------------------------------------------------------


@pytest.mark.fault(44)
def test_a_thousand_mirrors_need_no_more_open_files_than_a_few(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_files, "MOST_OPEN", 6)
    monkeypatch.setattr(mirror_files, "MOST_READ", 3)
    names = [f"m{number}" for number in range(60)]
    catalogue, mirrors = opened(tmp_path, *names)
    with catalogue:
        for mirror in mirrors:
            catalogue.holdings.add(mirror, [proved("a")])
            catalogue.claims.add_steps(mirror, [])
        assert files_open(tmp_path / "mirrors") <= 6 * 4
        with Catalogue(tmp_path, read_only=True) as reader:
            assert {reader.holdings.totals(mirror) for mirror in mirrors} == {(1, 1)}
            assert files_open(tmp_path / "mirrors") <= (6 + 3) * 4
        assert {catalogue.holdings.totals(mirror) for mirror in mirrors} == {(1, 1)}
    assert files_open(tmp_path) == 0


def files_open(folder):
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += link.readlink().is_relative_to(folder)
        except OSError:
            continue
    return found


def test_a_file_with_a_query_or_a_transaction_under_way_is_not_closed_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_files, "MOST_OPEN", 1)
    catalogue, (one, two, three) = opened(tmp_path, "one", "two", "three")
    with catalogue:
        for mirror in (one, two, three):
            catalogue.holdings.add(mirror, [proved(f"{number}") for number in range(5)])
        rows = catalogue.holdings.entries(one)
        first = next(rows)
        waiting = catalogue.holdings.entries(two)  # not begun yet
        catalogue.together(three, lambda: (catalogue.changes.clear(three, []), catalogue.holdings.totals(two)))
        assert [first.path, *(entry.path for entry in rows)] == list("01234")
        assert [entry.path for entry in waiting] == list("01234")
        assert list(catalogue.holdings.changed(three)) == []


def test_a_plan_outlasts_that_its_file_was_closed_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_files, "MOST_OPEN", 1)
    from syncd.core import Step

    catalogue, mirrors = opened(tmp_path, "one", "two")
    with catalogue:
        for mirror in mirrors:
            catalogue.claims.forget(mirror)
            catalogue.claims.add_steps(mirror, [Step("fetch", f"f{mirror}", "new upstream", Stat("f", mirror))])
        assert [catalogue.claims.count(mirror, "fetch") for mirror in mirrors] == [1, 1]
        catalogue.end_plan(mirrors[0])
        assert not (tmp_path / "mirrors/one.steps").exists()
        assert [catalogue.claims.count(mirror, "fetch") for mirror in mirrors] == [0, 1]


def test_what_a_survey_adds_is_counted_for_its_mirror_only(tmp_path):
    catalogue, (one, two) = opened(tmp_path, "one", "two")
    with catalogue:
        for mirror in (one, two):
            catalogue.claims.forget(mirror)
        catalogue.claims.add(one, [Stat(f"{number:06}" + "x" * 100, number) for number in range(5_000)])
        assert catalogue.claims.growth(one) > 500_000
        assert catalogue.claims.growth(two) == 0


async def test_the_sizes_of_the_files_are_shown_of_each_mirror_and_of_the_daemon(house):
    for name in ("one", "two"):
        house.archive(name, small())
        house.declare(name)
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\n")
    async with house.living() as control:
        for name in ("one", "two"):
            await house.idle(name)
        await house.until(lambda: all(control.mirror(name).catalogue_bytes for name in ("one", "two")))
        on_disk = sum(file.stat().st_size for file in (house.state / "mirrors").glob("one.*"))
        await house.until(lambda: control.mirror("one").catalogue_bytes == on_disk)
        shown = control.daemon()
        assert shown.catalogue_bytes >= (house.state / "catalogue.sqlite").stat().st_size > 0
        assert shown.index_bytes >= (house.state / "held.sqlite").stat().st_size > 0
        assert shown.state_free is not None
        assert shown.state_free > 0


# -- names --------------------------------------------------------------------------------------------------------------


def test_names_that_are_no_file_names_have_files_of_their_own(tmp_path):
    names = ["a", "A", "a/b", "..", ".", "a.sqlite", "%41", "é", "x" * 300, "x" * 299 + "y", "nul\x01", "", "a\udc80"]
    files = [mirror_file(tmp_path, name) for name in names]
    assert len({file.name.lower() for file in files}) == len(names)
    assert {file.parent for file in files} == {tmp_path / "mirrors"}
    assert max(len(file.name) for file in files) < 240
    assert mirror_file(tmp_path, "landsat-8").name == "landsat-8.sqlite"


# -- damage -------------------------------------------------------------------------------------------------------------


def spoil(file):
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b"")


def foreign(file):
    shutil.copy(file.with_name("two.sqlite"), file)


@pytest.mark.promise("P5", "P7")
@pytest.mark.fault(42)
@pytest.mark.parametrize("spoiled", [spoil, Path.unlink, empty, foreign])
async def test_damage_of_one_mirrors_file_stops_that_mirror_only_and_a_rebuild_of_it_mends_it(house, spoiled):
    for name in ("one", "two"):
        house.archive(name, small())
        house.declare(name)
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\n")
    async with house.living() as control:
        for name in ("one", "two"):
            await house.idle(name)
    spoiled(house.state / "mirrors/one.sqlite")
    for name in ("one", "two"):
        house.archive(name, {"later": b"later"})
    house.events.clear()
    async with house.living() as control:
        await asyncio.gather(*(control.sync(name, "ada") for name in ("one", "two")))
        await house.until(lambda: house.copy("two") == house.upstream("two"))
        await house.until(lambda: house.heard(PassFailed, "one"))
        assert control.mirror("one").state == "failing"
        assert control.mirror("two").state != "failing"
        with pytest.raises(Damaged, match="syncd rebuild one"):
            await control.entries("one")
        assert await control.entries("two")
        assert [one.outcome for one in await control.passes("one", limit=1)] == ["failed"]
    (failed, *_) = house.heard(PassFailed, "one")
    assert "syncd rebuild one" in failed.reason
    assert not house.heard(PassFailed, "two")
    told = await asyncio.to_thread(run, Folder(house.store), house.state, "rebuild", "one")
    assert told == "one: 3 files, 6 B\n" or told.startswith("one: ")
    assert "two" not in told
    house.events.clear()
    async with house.living() as control:
        await control.sync("one", "ada")
        await house.until(lambda: house.copy("one") == house.upstream("one"))
        await house.idle("one")
        assert control.mirror("one").state == "idle"


@pytest.mark.fault(42)
def test_a_rebuild_keeps_the_decisions_that_can_be_read(tmp_path):
    catalogue, (one,) = opened(tmp_path, "one")
    with catalogue:
        catalogue.holdings.add(one, [proved("a")])
        catalogue.approvals.pin(one, ["kept"])
        catalogue.deferred.failed(one, Stat("late", 5), "Mismatch", "why", "", 1.0)
        catalogue.history.drop(one)
        assert catalogue.holdings.totals(one) == (0, 0)
        assert catalogue.approvals.pinned(one) == {"kept"}
        assert catalogue.deferred.any(one)
        catalogue.files.of(one).do("UPDATE deferred SET reason=CAST(x'7bff80' AS TEXT)")
        catalogue.history.drop(one)
        assert catalogue.approvals.pinned(one) == {"kept"}
        assert not catalogue.deferred.any(one)


def test_who_reads_beside_a_rebuild_sees_the_new_file(tmp_path):
    catalogue, (one,) = opened(tmp_path, "one")
    with catalogue, Catalogue(tmp_path, read_only=True) as reader:
        assert reader.holdings.totals(one) == (0, 0)  # there is no file yet
        catalogue.holdings.add(one, [proved("a")])
        assert reader.holdings.totals(one) == (1, 1)
        catalogue.history.drop(one)
        assert reader.holdings.totals(one) == (0, 0)
        catalogue.holdings.add(one, [proved("b"), proved("c")])
        assert reader.holdings.totals(one) == (2, 2)
        catalogue.history.forget(catalogue.history.mirror("one"))
        with pytest.raises(NotFound):
            reader.holdings.totals(one)
        other = catalogue.history.ensure_mirror("other", prefix="other/").id
        assert other == one
        catalogue.holdings.add(other, [proved("d")])
        assert [entry.path for entry in reader.holdings.entries(other)] == ["d"]


def test_a_mirror_of_the_same_name_does_not_inherit_a_file_that_was_left(tmp_path):
    catalogue, (one,) = opened(tmp_path, "one")
    with catalogue:
        catalogue.holdings.add(one, [proved("a")])
    left = (tmp_path / "mirrors/one.sqlite").read_bytes()
    with Catalogue(tmp_path) as catalogue:
        (row,) = catalogue.history.mirrors()
        catalogue.history.forget(row)
    (tmp_path / "mirrors/one.sqlite").write_bytes(left)  # the process was killed before it was deleted
    with Catalogue(tmp_path) as catalogue:
        again = catalogue.history.ensure_mirror("one", prefix="one/").id
        assert again == one
        assert catalogue.holdings.totals(again) == (0, 0)


def test_a_process_that_ends_between_the_two_files_leaves_the_current_snapshot_known(tmp_path):
    from manifests.snapshot import Content, Snapshot

    catalogue, (one,) = opened(tmp_path, "one")
    with catalogue:
        catalogue.history.publish(one, Snapshot("aa", Content(()), "one", 1.0, 0, 0))
        catalogue.history._snapshots.publish(one, Snapshot("bb", Content(()), "one", 2.0, 0, 0))  # ... and no more
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.history.current_id(one) == "bb"
        assert catalogue.history.mirror("one").snapshot == "bb"


def test_the_catalogue_is_used_by_several_threads_one_after_the_other(tmp_path):
    catalogue, mirrors = opened(tmp_path, "one", "two")
    found = []

    def work():
        for mirror in mirrors:
            catalogue.holdings.add(mirror, [proved("a")])
            found.append(catalogue.holdings.totals(mirror))

    with catalogue:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [(1, 1), (1, 1)]
