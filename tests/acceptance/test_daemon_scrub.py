"""Stored bytes are read again in time; damage is found, told, mended from upstream or a kept version, never by deleting."""

import asyncio
from typing import Any

import pytest

from syncd.core.errors import Interrupted
from syncd.core.events import DamageFound, DamageMended, DamageStays, PassFinished, ScrubAdvanced, StoreChanged
from syncd.daemon.damage_repair import DamageRepair
from syncd.daemon.fixity_check import FixityCheck
from syncd.daemon.scrubber import PARTS, Scrubber, ScrubProgress
from tests.daemons import House

DAY = 86_400.0


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.archive("a", {f"f{n}.dat": bytes([n]) * (1000 + n) for n in range(8)})
    house.declare("a", "verify: {scrub: 10d}\n")
    return house


async def first_pass(house, control):
    await control.sync("a", "ada")
    await house.until(lambda: house.heard(PassFinished))
    await house.until(lambda: house.state_of("a") == "idle")


def scrub(control):
    return {one.mirror: one for one in control.scrubs()}["a"]


@pytest.mark.promise("P7")
async def test_every_file_is_read_again_in_time_and_a_restart_goes_on_where_it_was(house):
    async with house.living() as control:
        await first_pass(house, control)
        assert house.heard(ScrubAdvanced) == [], "what was proved just now is not read again"
        house.time.forward(9 * DAY)
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 8)
        await house.until(lambda: scrub(control).covered == 1.0)
        entries = await control.entries("a")
        assert all(entry.checked is not None and house.time.now() - entry.checked < 60 for entry in entries)
        view = scrub(control)
        assert (view.within, view.files, view.faults) == (10 * DAY, 8, 0)
        assert view.oldest > house.time.now() - 60
    house.events.clear()
    async with house.living():
        await asyncio.sleep(0.3)
        assert house.heard(ScrubAdvanced) == []
        house.time.forward(9 * DAY)
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 8)


@pytest.mark.promise("P7")
async def test_damaged_and_missing_files_are_mended_from_upstream_and_the_damaged_bytes_are_kept(house):
    async with house.living() as control:
        await first_pass(house, control)
        (house.store / "a/f1.dat").write_bytes(b"\x01" * 1000 + b"X")
        (house.store / "a/f2.dat").write_bytes(b"cut")
        (house.store / "a/f3.dat").unlink()
        house.time.forward(9 * DAY)
        await house.until(lambda: len(house.heard(DamageMended)) == 3)
        assert {(e.path, e.finding) for e in house.heard(DamageFound)} == {
            ("f1.dat", "digest"),
            ("f2.dat", "size"),
            ("f3.dat", "missing"),
        }
        assert house.copy("a") == house.upstream("a")
        assert control.mirror("a").faults == 0
        aside = {one.path: (house.store / one.place).read_bytes() for one in await control.quarantine("a")}
        assert aside == {"f1.dat": b"\x01" * 1000 + b"X", "f2.dat": b"cut"}
        assert scrub(control).mended == 3


@pytest.mark.promise("P7")
async def test_what_upstream_no_longer_has_stays_where_it_is_and_is_told_until_it_can_be_had(house):
    async with house.living() as control:
        await first_pass(house, control)
        good = (house.root / "www/a/f1.dat").read_bytes()
        house.archive("a", {"f1.dat": None})
        (house.store / "a/f1.dat").write_bytes(b"\x01" * 1000 + b"X")
        house.time.forward(9 * DAY)
        await house.until(lambda: house.heard(DamageStays))
        view = control.mirror("a")
        assert (view.faults, view.health, house.state_of("a")) == (1, "degraded", "idle")
        assert (house.store / "a/f1.dat").read_bytes() == b"\x01" * 1000 + b"X", "the last copy is not deleted"
        house.archive("a", {"f1.dat": good})
        house.time.forward(3700)
        await house.until(lambda: house.heard(DamageMended))
        assert house.copy("a")["f1.dat"] == good
        assert control.mirror("a").health == "good"


async def test_what_a_pass_replaces_meanwhile_is_no_damage(house, monkeypatch):
    async with house.living() as control:
        await first_pass(house, control)
        whole, waits, goes = FixityCheck.inspect, asyncio.Event(), asyncio.Event()

        async def slow(self, place, entry):
            if place.endswith("f1.dat") and not goes.is_set():
                waits.set()
                await goes.wait()
            return await whole(self, place, entry)

        monkeypatch.setattr(FixityCheck, "inspect", slow)
        house.time.forward(9 * DAY)
        await asyncio.wait_for(waits.wait(), 120)
        content = b"quite another content" * 100  # not shorter, which the guard would hold
        house.archive("a", {"f1.dat": content})
        await control.sync("a", "ada")
        await house.until(lambda: house.copy("a")["f1.dat"] == content)
        await house.until(lambda: house.state_of("a") == "idle")
        goes.set()
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) >= 7)
        assert house.heard(DamageFound) == []


@pytest.mark.promise("P7")
async def test_two_reads_that_differ_point_at_the_hardware_and_nothing_is_touched(house, monkeypatch):
    async with house.living() as control:
        await first_pass(house, control)
        whole, count = FixityCheck.inspect, iter(range(1000))

        async def flaky(self, place, entry):
            if place.endswith("f1.dat"):
                return "digest", f"xxh3-128 {entry.xxh3} proved, {next(count):032x} found"
            return await whole(self, place, entry)

        monkeypatch.setattr(FixityCheck, "inspect", flaky)
        house.time.forward(9 * DAY)
        await house.until(lambda: house.heard(DamageFound))
        assert "suspect memory, cable or disk" in house.heard(DamageFound)[0].reason
        await asyncio.sleep(0.3)
        assert house.heard(DamageMended) == house.heard(DamageStays) == []
        assert control.mirror("a").faults == 1
        monkeypatch.setattr(FixityCheck, "inspect", whole)
        house.time.forward(3700)
        await house.until(lambda: house.heard(DamageMended))  # it is whole, and was all the time
        assert control.mirror("a").faults == 0
        assert await control.quarantine("a") == []


async def test_a_link_in_the_place_of_a_file_is_told_and_neither_the_daemon_nor_the_reading_ends(house):
    async with house.living() as control:
        await first_pass(house, control)
        file = house.store / "a/f1.dat"
        file.rename(house.root / "elsewhere")
        file.symlink_to(house.root / "elsewhere")
        house.time.forward(9 * DAY)
        await house.until(lambda: house.heard(DamageStays))
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 7)
        assert {(e.path, e.finding) for e in house.heard(DamageFound)} == {("f1.dat", "unreadable")}
        assert file.is_symlink(), "what a steward put there is his"
        await control.sync("a", "ada")
        await house.until(lambda: len(house.heard(PassFinished)) >= 2)


async def test_a_file_that_cannot_be_read_just_now_is_read_later_and_the_others_meanwhile(house, monkeypatch):
    async with house.living() as control:
        await first_pass(house, control)
        whole, is_back = FixityCheck.inspect, False

        async def wavering(self, place, entry):
            if place.endswith("f1.dat") and not is_back:
                raise Interrupted(f"{place}: the answer broke off")
            return await whole(self, place, entry)

        monkeypatch.setattr(FixityCheck, "inspect", wavering)
        house.time.forward(9 * DAY)
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 7)
        is_back = True
        house.time.forward(DAY)
        await house.until(lambda: scrub(control).covered == 1.0)
        assert house.heard(DamageFound) == []


async def test_damage_that_cannot_be_looked_at_just_now_is_mended_later(house, monkeypatch):
    async with house.living() as control:
        await first_pass(house, control)
        begun = len(house.heard(StoreChanged))
        whole, tried, is_back = DamageRepair._needs_no_repair, [], False

        async def wavering(self, standing, fault):
            tried.append(fault.path)
            if not is_back:
                raise Interrupted(f"{fault.path}: the answer broke off")
            return await whole(self, standing, fault)

        monkeypatch.setattr(DamageRepair, "_needs_no_repair", wavering)
        (house.store / "a/f1.dat").unlink()
        house.time.forward(9 * DAY)
        await house.until(lambda: tried)
        is_back = True
        house.time.forward(3700)
        await house.until(lambda: house.heard(DamageMended))
        assert house.copy("a") == house.upstream("a")
        assert len(house.heard(StoreChanged)) == begun, "nothing began anew"


async def test_many_damaged_files_do_not_keep_the_others_from_being_read(house, monkeypatch):
    house.archive("a", {f"n{n:03}.dat": bytes([n]) * 10 for n in range(150)})
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\nscrub: {mend: false}\n")
    async with house.living() as control:
        await first_pass(house, control)
        for n in range(100):
            (house.store / f"a/n{n:03}.dat").unlink()
        house.time.forward(9 * DAY)
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 58)
        await house.until(lambda: control.mirror("a").faults == 100)
        assert house.heard(DamageMended) == []


async def test_reading_keeps_to_its_rate(house):
    house.archive("a", {"big": bytes(600_000)})
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\nscrub: {rate: 1 MB/s}\n")
    async with house.living() as control:
        await first_pass(house, control)
        house.time.forward(9 * DAY)
        await house.until(lambda: sum(e.files for e in house.heard(ScrubAdvanced)) == 9)
        assert scrub(control).rate < 1_300_000


@pytest.mark.promise("P7")
def test_the_rest_between_two_parts_makes_a_round_fit_into_its_time():
    """Pure arithmetic: parts of a hundredth each, in four fifths of the time; late ones at once."""
    nothing: Any = None  # the daemon is not asked
    reading = ScrubProgress(within=10 * DAY, files=100_000, bytes=10**12)
    rest = Scrubber._rest(nothing, reading, [("a", 0.0)], 1_000, 10**10, now=5 * DAY)
    assert rest == pytest.approx(0.8 * 10 * DAY / PARTS)
    assert Scrubber._rest(nothing, reading, [("a", 0.0)], 1_000, 10**10, now=9 * DAY) == 0.0
    assert Scrubber._rest(nothing, reading, [], 0, 0, now=0.0) == 3_600.0
    few = ScrubProgress(within=10 * DAY, files=4, bytes=400)
    assert Scrubber._rest(nothing, few, [("a", 0.0)], 1, 100, now=1 * DAY) == pytest.approx(2 * DAY)
