"""Files that upstream may still be writing wait for a later pass: they are told, and are no failures."""

import asyncio
import hashlib
import os

import msgspec
import pytest

from manifests.model.mirror import load_mirror
from syncd.core import FilesWaiting
from syncd.engine.build_plan import make_plan
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Listing
from transports.file import FileTransport

pytestmark = [pytest.mark.promise("P1")]


class Drop(Mirroring):
    """A mirror of a folder into which others write; the clock of the test is the one of the files."""

    def __init__(self, folder, **source):
        super().__init__(folder, None)
        self.drop = folder / "drop"
        self.drop.mkdir()
        text = {
            "mirror": "scenes",
            "source": {"url": f"file://{self.drop}/", **source},
            "guard": {"max_removed": "90%"},
        }
        self.mirror = load_mirror(msgspec.json.encode(text).decode(), "scenes.yaml")
        self.is_patient = False
        self.write("old", b"old", age=3600)

    def write(self, path, content, *, age=0.0):
        """Write a file that is `age` seconds old at the next pass."""
        file = self.drop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        moment = self.now + 60 - age
        os.utime(file, (moment, moment))

    def work(self, store, catalogue, stopping=None):
        work = super().work(store, catalogue, stopping)
        return msgspec.structs.replace(
            work, reader=Listing(), source=FileTransport(str(self.drop)), is_patient=self.is_patient
        )

    async def pass_after(self, seconds):
        self.now += seconds - 60
        self.events.clear()
        return await self.run()

    def told(self):
        return [(event.files, event.path, event.due) for event in self.events if isinstance(event, FilesWaiting)]


async def test_a_file_that_is_being_written_waits_and_is_no_failure(tmp_path):
    drop = Drop(tmp_path)
    drop.write("new", b"half", age=2)
    result = await drop.run()
    assert (result.complete, result.fetched, result.failed, result.waiting) == (True, 1, 0, 1)
    assert drop.natural() == {"old": b"old"}
    assert drop.told() == [(1, "new", drop.now + 3)]
    assert (await drop.pass_after(3)).waiting == 0
    assert drop.natural() == {"old": b"old", "new": b"half"}
    async with drop.open() as (_, catalogue):
        assert catalogue.unsettled.waiting(catalogue.history.mirror("scenes").id) == (0, None)


async def test_no_half_of_a_file_that_grows_is_ever_published(tmp_path):
    drop = Drop(tmp_path, settle="3s")
    for count in range(1, 6):
        drop.write("run.dat", b"x" * count * 1000)
        await drop.pass_after(1)
        assert drop.natural() == {"old": b"old"}
    await drop.pass_after(4)
    assert drop.natural()["run.dat"] == b"x" * 5000


async def test_a_clock_that_is_ahead_is_outwaited_by_two_looks(tmp_path):
    drop = Drop(tmp_path, settle="30s")
    drop.write("ahead", b"whole", age=-7200)
    assert (await drop.run()).waiting == 1
    assert (await drop.pass_after(20)).waiting == 1
    assert (await drop.pass_after(20)).waiting == 0
    assert drop.natural()["ahead"] == b"whole"


async def test_a_held_file_that_is_written_again_keeps_its_version_and_is_not_deleted(tmp_path):
    drop = Drop(tmp_path, complete={"temporary": ["*.part"]})
    drop.write("a", b"first", age=3600)
    drop.write("gone", b"gone", age=3600)
    await drop.run()
    drop.write("a", b"second, unfinished", age=1)
    (drop.drop / "gone").unlink()
    result = await drop.run()
    assert (result.waiting, result.replaced, result.removed) == (1, 0, 1)
    assert drop.natural() == {"old": b"old", "a": b"first"}
    await drop.pass_after(60)
    assert drop.natural()["a"] == b"second, unfinished"


async def test_a_file_waits_for_its_marker(tmp_path):
    drop = Drop(tmp_path, settle="0s", complete={"suffix": ".done"})
    drop.write("old.done", b"", age=3600)
    drop.write("scan-1", b"s", age=3600)  # sorts between a file and its marker
    drop.write("scan", b"scan", age=3600)
    result = await drop.run()
    assert (result.complete, result.waiting) == (True, 2)
    assert drop.natural() == {"old": b"old", "old.done": b""}
    drop.write("scan.done", b"", age=3590)
    assert (await drop.run()).waiting == 1
    assert drop.natural() == {"old": b"old", "old.done": b"", "scan": b"scan", "scan.done": b""}
    drop.write("scan", b"again", age=10)  # the marker is that of the version before
    assert (await drop.run()).waiting == 2
    assert drop.natural()["scan"] == b"scan"
    drop.write("scan.done", b"", age=5)
    await drop.run()
    assert drop.natural()["scan"] == b"again"


async def test_a_sidecar_completes_a_file_and_its_checksum_is_required(tmp_path):
    drop = Drop(tmp_path, settle="0s", include=["scan*"], complete={"sidecar": ".md5"})
    drop.write("scan.h5", b"whole", age=100)
    assert (await drop.run()).waiting == 1
    drop.write("scan.h5.md5", hashlib.md5(b"whole").hexdigest().encode() + b"  scan.h5\n", age=50)
    await drop.run()
    async with drop.open() as (_, catalogue):
        _, origin = catalogue.holdings.entry(catalogue.history.mirror("scenes").id, "scan.h5")
        assert origin.verdict == "verified"
    drop.write("bad.h5", b"half", age=100)
    drop.write("scan2.h5", b"half", age=100)
    drop.write("scan2.h5.md5", b"not a checksum\n", age=50)
    drop.write("scan3.h5", b"half", age=100)
    drop.write("scan3.h5.md5", hashlib.md5(b"whole").hexdigest().encode(), age=50)
    result = await drop.run()
    assert (result.waiting, result.failed) == (1, 1)
    assert sorted(drop.natural()) == ["scan.h5", "scan.h5.md5", "scan2.h5.md5", "scan3.h5.md5"]


async def test_temporary_names_wait_whatever_their_age_and_arrive_when_renamed(tmp_path):
    drop = Drop(tmp_path, complete={"folder": "tmp", "temporary": ["*.part", ".*"]})
    for path in ("tmp/a", "deep/tmp/b", "c.part", ".d", "tmpx/e", ".zgroup"):
        drop.write(path, b"1", age=3600)
    result = await drop.run()
    assert (result.complete, result.waiting) == (True, 5)
    assert sorted(drop.natural()) == ["old", "tmpx/e"]
    (drop.drop / "c.part").rename(drop.drop / "c")
    assert (await drop.run()).waiting == 4
    assert drop.natural()["c"] == b"1"


async def test_without_a_rule_hidden_and_odd_names_are_files_as_any_other(tmp_path):
    drop = Drop(tmp_path)
    for path in (".zgroup", "a.part", "tmp/b"):
        drop.write(path, b"1", age=3600)
    await drop.run()
    assert sorted(drop.natural()) == [".zgroup", "a.part", "old", "tmp/b"]


async def test_a_first_pass_in_which_all_files_wait_has_found_files(tmp_path):
    drop = Drop(tmp_path, settle="1h")
    (drop.drop / "old").unlink()
    drop.write("new", b"new")
    result = await drop.run()
    assert (result.complete, result.waiting, result.fetched) == (True, 1, 0)


async def test_a_patient_pass_looks_a_second_time_and_takes_what_is_unchanged(tmp_path, monkeypatch):
    drop = Drop(tmp_path)
    drop.is_patient = True
    drop.write("whole", b"whole", age=4.9)
    drop.write("grows", b"half", age=4.9)
    looks = FileTransport.stat

    async def stat(self, path):
        if path == "grows":
            await asyncio.to_thread(drop.write, "grows", b"half and more")
        return await looks(self, path)

    monkeypatch.setattr(FileTransport, "stat", stat)
    result = await drop.run()
    assert (result.fetched, result.waiting) == (2, 1)
    assert drop.natural() == {"old": b"old", "whole": b"whole"}


async def test_a_plan_shows_what_waits(tmp_path):
    drop = Drop(tmp_path)
    drop.write("new", b"half", age=2)
    async with drop.open() as (store, catalogue):
        drop.now += 60
        row = catalogue.history.ensure_declared(drop.mirror)
        planning = await make_plan(drop.work(store, catalogue), row)
        (step,) = catalogue.claims.steps(row.id, "wait")
        assert (planning.counts.wait, planning.counts.fetch, step.path) == (1, 1, "new")
        assert step.reason == "may still be written: it must be unchanged for 5s"


async def test_files_that_are_long_settled_cost_no_look_at_the_catalogue(tmp_path, monkeypatch):
    drop = Drop(tmp_path)
    for number in range(50):
        drop.write(f"f{number}", b"1", age=3600)
    monkeypatch.setattr("syncd.catalogue.unsettled_files.UnsettledFiles.first_seen", None)
    assert (await drop.run()).fetched == 51
