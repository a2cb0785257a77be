"""A daemon and what it stands on: stores that come and go, full disks, clocks that step, its own Catalogue."""

import asyncio
import errno
import os
import shutil

import pytest

from syncd.catalogue import Catalogue, QuarantinedFile
from syncd.core.errors import Busy, Denied
from syncd.core.events import (
    BackupFailed,
    BackupWritten,
    ClockStepped,
    PassFailed,
    PassFinished,
    PassStarted,
    StoreChanged,
)
from syncd.daemon import maintenance
from syncd.daemon.maintenance import Maintenance
from syncd.daemon.pass_runner import PassRunner
from syncd.stores import lease
from syncd.stores.filesystem.store import FilesystemStore
from tests.daemons import House, small

HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


# -- store, disk, clocks ------------------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
@pytest.mark.fault(39)
async def test_a_store_that_is_unmounted_is_waited_for_and_never_taken_for_an_empty_one(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        house.store.rename(house.root / "unmounted")
        house.store.mkdir()
        await house.until(lambda: control.store().state == "offline")
        house.time.forward(2 * HOUR)
        assert house.state_of("a") == "offline"
        assert "unmounted?" in control.store().reason
        with pytest.raises(Busy, match="offline"):
            await control.sync("a", "ada")
        house.archive("a", {"more": b"more"})
        await asyncio.sleep(0.1)
        assert list(house.store.iterdir()) == [], "nothing is written to what is not the store"
        house.store.rmdir()
        (house.root / "unmounted").rename(house.store)
        await house.until(lambda: house.copy("a") == house.upstream("a"))
        await house.idle("a")
        assert (await control.passes("a"))[0].outcome == "complete"


async def test_a_daemon_starts_without_its_store_and_works_once_it_is_there(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living():
        await house.idle("a")
    house.store.rename(house.root / "unmounted")
    house.archive("a", {"more": b"more"})
    house.events.clear()
    async with house.living(wait=False):
        await house.until(lambda: house.heard(StoreChanged))
        await asyncio.sleep(0.05)
        assert not house.store.exists()
        (house.root / "unmounted").rename(house.store)
        house.time.forward(2 * HOUR)
        await house.until(lambda: house.store.exists() and house.copy("a") == house.upstream("a"))


@pytest.mark.promise("P5")
async def test_keys_of_the_store_that_end_are_waited_for_and_never_end_the_daemon(house, monkeypatch):
    monkeypatch.setattr(lease, "TTL", 3.0)
    put, denied = FilesystemStore.put, []
    is_denied = False

    async def rejecting(store, path, body, **more):
        if is_denied and path == lease.LEASE:
            denied.append(path)
            raise Denied("lease: S3 answers 400 ExpiredToken")
        return await put(store, path, body, **more)

    monkeypatch.setattr(FilesystemStore, "put", rejecting)
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        is_denied = True
        await house.until(lambda: control.store().state == "offline")
        assert "ExpiredToken" in control.store().reason
        seen = len(denied)
        await house.until(lambda: len(denied) > seen)  # it asks for the lease again, and goes on waiting
        is_denied = False
        house.archive("a", {"more": b"more"})
        house.time.forward(2 * HOUR)
        await house.until(lambda: house.copy("a") == house.upstream("a"))


@pytest.mark.fault(36)
async def test_a_full_disk_pauses_what_comes_in_and_goes_on_alone(house):
    house.archive("a", small())
    house.declare("a")
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 900 PB}\n")
    async with house.living() as control:
        await house.until(lambda: control.store().state == "full")
        await house.until(lambda: [view.state for view in control.mirrors()] == ["offline"])
        await asyncio.sleep(0.1)
        assert (house.state_of("a"), house.heard(PassStarted)) == ("offline", [])
        assert "make room" in control.mirror("a").reason
        house.configure()  # as if room were made
        await house.until(lambda: house.heard(PassFinished))
        assert control.store().state == "online"


@pytest.mark.fault(44)
async def test_clocks_that_step_are_told_and_hold_nobody_up(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        house.time.step(-400 * DAY)
        await house.until(lambda: house.heard(ClockStepped))
        assert round(house.heard(ClockStepped)[0].seconds / DAY) == -400
        assert control.mirror("a").next_run <= house.time.now() + HOUR
        house.time.forward(1.1 * HOUR)
        await house.until(lambda: len(house.heard(PassFinished)) == 2)
        await house.until(lambda: house.state_of("a") == "idle")
        house.time.step(3650 * DAY)
        await house.until(lambda: len(house.heard(PassFinished)) == 3)
        await house.until(lambda: house.state_of("a") == "idle")
        house.time.step(-3650 * DAY)
        await house.until(lambda: len(house.heard(ClockStepped)) == 3)
        house.time.forward(1.1 * HOUR)
        await house.until(lambda: len(house.heard(PassFinished)) == 4)


async def test_a_plan_without_room_backs_off_whatever_the_clock_did(house, monkeypatch):
    house.archive("a", small())
    house.time.ahead = 365 * DAY
    async with house.living():
        house.time.step(-365 * DAY)
        await house.until(lambda: house.heard(ClockStepped))

        async def hardly_any(rota, run):
            return 10

        monkeypatch.setattr(PassRunner, "_free", hardly_any)
        house.declare("a")
        await house.until(lambda: house.heard(PassFailed, "a"))
        await house.until(lambda: house.state_of("a") == "failing")
        assert house.heard(PassFailed, "a")[0].wait > 100
        await asyncio.sleep(0.3)
        assert len(house.heard(PassStarted, "a")) == 1


@pytest.mark.promise("P4")
@pytest.mark.fault(42)
async def test_a_lost_catalogue_is_rebuilt_at_the_start_and_nothing_is_fetched_again(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living():
        await house.idle("a")
    shutil.rmtree(house.state)
    house.events.clear()
    async with house.living() as control:
        await house.until(lambda: house.heard(PassFinished))
        finished = house.heard(PassFinished)[0]
        assert (finished.fetched, finished.kept) == (0, 3)
        assert control.mirror("a").files == 3


# -- house-keeping ------------------------------------------------------------------------------------------------------


def upkeep(house):
    """The part of the daemon that keeps house, with its clock run out."""
    return next(one for one in asyncio.all_tasks() if one.get_name() == "upkeep").get_coro().cr_frame.f_locals["self"]


@pytest.mark.fault(42)
async def test_the_catalogue_is_backed_up_pruned_and_brought_back(house):
    house.archive("a", small())
    house.declare("a")
    house.configure("backup: {every: 1d, keep: 2}\nbudget: {keep_free: 0 B}\n")
    async with house.living() as control:
        await house.idle("a")
        await control.pause("a", "ada")
        await control.resume("a", "ada")
        keeper = upkeep(house)
        assert isinstance(keeper, Maintenance)
        for n in range(3):
            await keeper.once()
            await keeper.once()  # not due again
            assert len(house.heard(BackupWritten)) == n + 1
            house.time.forward(DAY + 1)
        assert control.store().backup is not None
        places = sorted(p.name for p in (house.store / ".syncd/backup").iterdir())
        assert len(places) == 2
    house.archive("a", {"later": b"after the backup"})
    async with house.living():
        await house.until(lambda: house.copy("a") == house.upstream("a"))
        await house.idle("a")
    shutil.rmtree(house.state)
    from tests.acceptance.cli import Folder, run

    told = await asyncio.to_thread(run, Folder(house.store), house.state, "rebuild", "--from-backup", "latest")
    assert "restored .syncd/backup/" in told
    assert "a: 4 files" in told, "what was published since is rebuilt from the store"
    with Catalogue(house.state) as catalogue:
        assert [one.what for one in catalogue.pass_history.audit(None, 10)] == [
            "rebuild", "resume", "pause", "manifest",
        ]  # fmt: skip
        assert len(catalogue.pass_history.passes(None, None, 10)) >= 1
    damaged = house.store / ".syncd/backup" / places[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    await asyncio.to_thread(run, Folder(house.store), house.state, "rebuild", "--from-backup", "latest", wanted=3)


async def test_a_backup_that_fails_is_told_and_tried_again_after_an_hour(house):
    house.archive("a", small())
    house.declare("a")
    house.configure("backup: {every: 1d, keep: 2}\nbudget: {keep_free: 0 B}\n")
    async with house.living() as control:
        await house.idle("a")
        keeper = upkeep(house)
        in_the_way = house.store / ".syncd/backup"
        in_the_way.write_bytes(b"a file where a folder is to be")
        await keeper.once()
        (failed,) = house.heard(BackupFailed)
        assert ".syncd/backup" in failed.reason
        in_the_way.unlink()
        await keeper.once()  # not yet
        assert (len(house.heard(BackupFailed)), house.heard(BackupWritten)) == (1, [])
        house.time.forward(HOUR + 1)
        await keeper.once()
        assert (len(house.heard(BackupFailed)), len(house.heard(BackupWritten))) == (1, 1)
        assert control.store().backup is not None


async def test_a_backup_that_finds_no_room_on_the_own_disk_is_told(house, monkeypatch):
    house.archive("a", small())
    house.declare("a")
    house.configure("backup: {every: 1d, keep: 2}\nbudget: {keep_free: 0 B}\n")

    async def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with house.living():
        await house.idle("a")
        monkeypatch.setattr(maintenance, "back_up", full)
        await upkeep(house).once()
        (failed,) = house.heard(BackupFailed)
        assert "No space left on device" in failed.reason


async def test_what_is_old_is_forgotten_but_the_last_passes_stay(house):
    house.archive("a", small())
    house.declare("a", "")
    async with house.living() as control:
        for n in range(12):
            await control.sync("a", "ada")
            await house.until(lambda n=n: len(house.heard(PassFinished)) == n + 1)
            await house.until(lambda: house.state_of("a") == "idle")
        house.time.forward(401 * DAY)
        await upkeep(house).once()
        assert len(await control.passes("a")) == 10
        assert await control.pass_events("a", (await control.passes("a"))[0].id) == []
        assert len(await control.audit(limit=1000)) == 13
        house.time.forward(400 * DAY)
        await upkeep(house).once()
        assert [one.what for one in await control.audit()] == ["audit cut"]
        assert (await control.check_audit()).misfit is None


def lying(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


async def test_what_lies_in_the_quarantine_is_as_old_as_its_lying_there_and_not_as_its_bytes(house):
    house.archive("a", small())
    house.declare("a", "")
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\nscrub: {enabled: false}\n")
    aside = house.store / ".syncd/quarantine/a"
    async with house.living() as control:
        await control.sync("a", "ada")
        await house.idle("a")
        old = house.time.now() - 400 * DAY
        for place in ("p/written", "p/told", "p/unknown"):
            (aside / place).parent.mkdir(parents=True, exist_ok=True)
            (aside / place).write_bytes(b"?")
            os.utime(aside / place, (old, old))
        (aside / "p/told.reason.json").write_bytes(b"{}")
        written = QuarantinedFile(".syncd/quarantine/a/p/written", "written", "Damaged", "", house.time.now())
        keeper = upkeep(house)
        catalogue = keeper.registry.catalogue
        catalogue.pass_history.add_quarantined(catalogue.history.mirror("a").id, written)
        await keeper.once()
        assert lying(aside) == {"p/written", "p/told", "p/told.reason.json"}
        house.time.forward(31 * DAY)
        await keeper.once()
        assert lying(aside) == set()
        assert await control.quarantine("a") == []


# -- on S3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.swift
async def test_a_daemon_keeps_its_store_on_s3(house, swift, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", swift.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", swift.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    url = swift.url()
    house.config.write_text(
        f"state: ./state\nstore: {{url: '{url}', endpoint: '{swift.endpoint}'}}\nmanifests: [./manifests.d]\n"
        "backup: {every: 1d, keep: 2}\nbudget: {keep_free: 0 B}\n"
    )
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        assert (control.store().state, control.store().url) == ("online", url)
        await upkeep(house).once()
        assert len(house.heard(BackupWritten)) == 1
        snapshot = control.mirror("a").snapshot
    shutil.rmtree(house.state)
    house.events.clear()
    async with house.living() as control:  # the lease was given back, and the Catalogue comes from the bucket
        await house.until(lambda: house.heard(PassFinished))
        assert house.heard(PassFinished)[0].kept == 3
        assert control.mirror("a").snapshot == snapshot
