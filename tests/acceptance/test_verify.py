"""All stored bytes are read again, by threads where the store is a folder: what is found is the same either way."""

import asyncio
import dataclasses
import errno
import os
import threading
from contextlib import asynccontextmanager

import msgspec
import pytest

from syncd.engine.pass_paths import PassPaths
from syncd.engine.verify import BATCH, Report, Verification
from syncd.wrappers.retrying_store import RetryingStore
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

FILES = {f"d{n % 3}/f{n:03}": b"%d" % n * n for n in range(2 * BATCH + 9)} | {"large": bytes(5 << 20)}


@pytest.fixture
async def mirroring(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(FILES))
    await mirroring.run()
    return mirroring


@pytest.fixture(params=["in threads", "one by one"])
def way(request):
    """A store as it is, or one that can do no more than every store."""
    return {"in threads": lambda store: store, "one by one": RetryingStore}[request.param]


@asynccontextmanager
async def verifying(mirroring, way, heard=lambda *_: None):
    async with mirroring.open() as (store, catalogue):
        yield Verification(
            way(store),
            catalogue,
            catalogue.history.mirror("scenes"),
            PassPaths("scenes", "scenes/", "v"),
            mirroring.hashing,
            heard,
            mirroring.archive,
            lambda: mirroring.now,
        )


def checked(verification):
    """The files that are recorded as read and good."""
    return {one["path"] for one in verification.catalogue.holdings.entry_rows(1) if one["checked"] is not None}


async def test_what_is_as_it_was_proved_is_counted_told_and_recorded(mirroring, way):
    heard = []
    async with verifying(mirroring, way, lambda *counts: heard.append(counts)) as verification:
        report = await verification.run(read_data=True)
        assert checked(verification) == set(FILES)
    total = sum(map(len, FILES.values()))
    assert (report.files, report.bytes, report.read, report.faults) == (len(FILES), total, total, [])
    assert tuple(map(sum, zip(*heard, strict=True))) == (len(FILES), total)


@pytest.mark.promise("P7")
async def test_many_faults_side_by_side_are_each_found_and_mended_and_nothing_else_is(mirroring, way):
    root = mirroring.store_folder / "scenes"
    flipped, cut, grown, gone, a_folder = (root / f"d0/f{n:03}" for n in (30, 33, 36, 39, 42))
    flipped.write_bytes(b"X" + flipped.read_bytes()[1:])
    cut.write_bytes(b"33")
    grown.write_bytes(grown.read_bytes() + b"!")
    gone.unlink()
    a_folder.unlink()
    a_folder.mkdir()
    async with verifying(mirroring, way) as verification:
        report = await verification.run(read_data=True)
        assert {fault.path: fault.finding for fault in report.faults} == {
            "d0/f030": "digest",
            "d0/f033": "size",
            "d0/f036": "size",
            "d0/f039": "missing",
            "d0/f042": "missing",
        }
        reasons = {fault.path: fault.reason for fault in report.faults}
        assert reasons["d0/f033"] == "d0/f033: 66 bytes proved, 2 found"
        assert reasons["d0/f039"] == "d0/f039: 78 bytes proved, nothing found"
        assert reasons["d0/f030"].startswith("d0/f030: sha256 ")
        assert checked(verification) == set(FILES) - reasons.keys()
        assert report.read == sum(map(len, FILES.values())) - sum(len(FILES[path]) for path in reasons)
        a_folder.rmdir()
        await verification.repair(report)
        assert all(fault.repaired for fault in report.faults), report.faults
        aside = {one.path: one.at for one in verification.catalogue.pass_history.quarantined(1, 10)}
        assert aside == dict.fromkeys(("d0/f030", "d0/f033", "d0/f036"), mirroring.now), "what is kept is written down"
        assert (await verification.run(read_data=True)).faults == []
    assert mirroring.natural() == FILES


async def test_a_file_that_the_disk_does_not_give_is_unreadable(mirroring, way, monkeypatch):
    sick = (mirroring.store_folder / "scenes/d1/f001").stat().st_ino
    pread = os.pread

    def failing(fd, count, offset):
        if os.fstat(fd).st_ino == sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    async with verifying(mirroring, way) as verification:
        (fault,) = (await verification.run(read_data=True)).faults
    assert (fault.path, fault.finding) == ("d1/f001", "unreadable")
    assert "d1/f001: the disk under" in fault.reason


async def test_what_only_one_read_says_is_no_damage(mirroring, way, monkeypatch):
    odd = (mirroring.store_folder / "scenes/d1/f001").stat().st_ino
    reads, pread = [], os.pread

    def once(fd, count, offset):
        chunk = pread(fd, count, offset)
        if os.fstat(fd).st_ino != odd or not chunk:
            return chunk
        reads.append(offset)
        return b"?" * len(chunk) if len(reads) == 1 else chunk

    monkeypatch.setattr(os, "pread", once)
    async with verifying(mirroring, way) as verification:
        report = await verification.run(read_data=True)
        assert checked(verification) == set(FILES)
    assert (report.faults, len(reads)) == ([], 2)


async def test_a_link_in_the_place_of_a_file_is_not_followed_but_told_and_the_others_are_read(mirroring, way):
    link = mirroring.store_folder / "scenes/d1/f001"
    link.unlink()
    link.symlink_to(mirroring.store_folder / "scenes/d1/f004")
    async with verifying(mirroring, way) as verification:
        report = await verification.run(read_data=True)
        assert checked(verification) == set(FILES) - {"d1/f001"}
        ((path, finding, reason, _),) = map(msgspec.structs.astuple, report.faults)
        assert (path, finding) == ("d1/f001", "unreadable")
        assert "is a symbolic link" in reason
        await verification.repair(report)
        assert not report.faults[0].repaired
    assert link.is_symlink(), "what a steward put there is his"
    assert [p for p in (mirroring.store_folder / ".syncd/staged").rglob("*") if p.is_file()] == [], "in vain"


async def kept_twice(mirroring, path):
    """A rollback: file and kept version are one, by a hard link."""
    before = mirroring.archive.files[path]
    kept = await mirroring.run()
    mirroring.archive.files[path] = b"new"
    await mirroring.run()
    mirroring.archive.files[path] = before
    async with mirroring.open() as (store, catalogue):
        await mirroring.restoration(store, catalogue).rollback(kept.snapshot[:12])
    file = mirroring.store_folder / "scenes" / path
    assert file.stat().st_nlink > 1, "otherwise this shows nothing"
    return file


async def test_a_kept_version_that_shares_the_damage_mends_nothing_and_upstream_is_asked(mirroring, way):
    file = await kept_twice(mirroring, "d1/f001")
    with file.open("r+b") as rotten:
        rotten.write(b"?")
    async with verifying(mirroring, way) as verification:
        report = await verification.run(read_data=True)
        assert [(fault.path, fault.finding) for fault in report.faults] == [("d1/f001", "digest")]
        alone = Report("scenes", "", faults=list(report.faults))
        await dataclasses.replace(verification, source=None).repair(alone)
        assert not alone.faults[0].repaired
        assert "no kept version has these bytes" in alone.faults[0].reason
        await verification.repair(report)
        assert report.faults[0].repaired
        assert (await verification.run(read_data=True)).faults == []
    assert mirroring.natural() == FILES


async def test_a_kept_version_that_is_whole_mends_without_upstream(mirroring, way):
    file = await kept_twice(mirroring, "d1/f001")
    file.unlink()
    async with verifying(mirroring, way) as verification:
        report = await verification.run(read_data=True)
        await dataclasses.replace(verification, source=None).repair(report)
        assert [fault.repaired for fault in report.faults] == [True]
    assert mirroring.natural() == FILES


async def test_mending_a_large_file_leaves_no_staging_for_a_pass_to_go_on_with(mirroring, way):
    (mirroring.store_folder / "scenes/large").unlink()
    async with verifying(mirroring, way) as verification:
        begun, journal = [], verification.catalogue.journal
        begin = journal.begin
        journal.begin = lambda mirror, inflight: (begun.append(inflight.path), begin(mirror, inflight))
        report = await verification.run(read_data=True)
        await verification.repair(report)
        assert report.faults[0].repaired
        assert begun == ["large"]
        assert journal.all_inflight(1) == {}


async def test_when_it_is_cancelled_its_threads_stop_between_two_files(mirroring, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    read, pread = [], os.pread

    def held(fd, count, offset):
        read.append(fd)
        begun.set()
        go_on.wait(120)
        return pread(fd, count, offset)

    async with verifying(mirroring, lambda store: store) as verification:
        with monkeypatch.context() as patch:
            reading = asyncio.create_task(verification._read_all(Report("scenes", "")))
            patch.setattr(os, "pread", held)
            await asyncio.to_thread(begun.wait, 10)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            go_on.set()
            await asyncio.to_thread(mirroring.hashing.shutdown)
        assert len(read) <= verification.threads
        assert checked(verification) == set()
