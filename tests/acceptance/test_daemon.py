"""A daemon over hours and days: schedules, changes of its files, bugs, what systemd hears."""

import asyncio
import os
import socket
from contextlib import contextmanager
from functools import partial

import pytest

from syncd.core.errors import Busy
from syncd.core.events import (
    ManifestAccepted,
    ManifestRejected,
    ManifestWithdrawn,
    PassFailed,
    PassFinished,
    PassStarted,
    Reloaded,
    ReloadFailed,
    SurveyStarted,
    TransferFinished,
)
from syncd.daemon.pass_runner import PassRunner
from tests.daemons import House, small

HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


# -- schedules ----------------------------------------------------------------------------------------------------------


async def test_a_new_mirror_runs_at_once_and_then_as_often_as_its_schedule_says(house):
    house.archive("m", small())
    house.declare("m", "schedule: {every: 1h}\n")
    async with house.living() as control:
        await house.idle("m")
        view = control.mirror("m")
        assert 0.94 * HOUR < view.next_run - house.time.now() <= HOUR
        assert view.fresh_within == 1.5 * HOUR
        assert (view.health, view.files) == ("good", 3)
        house.time.forward(0.9 * HOUR)
        await asyncio.sleep(0.05)
        assert len(house.heard(PassStarted)) == 1
        house.time.forward(0.2 * HOUR)
        await house.until(lambda: len(house.heard(PassFinished)) == 2)
        assert house.heard(PassStarted)[1].why == "schedule"


async def test_after_days_of_downtime_a_mirror_is_caught_up_once(house):
    house.archive("m", small())
    house.declare("m")
    async with house.living():
        await house.idle("m")
    house.time.forward(5 * DAY)
    house.events.clear()
    async with house.living() as control:
        await house.until(lambda: house.heard(PassFinished))
        await house.idle("m")
        await asyncio.sleep(0.1)
        assert len(house.heard(PassStarted)) == 1
        assert control.mirror("m").next_run > house.time.now()


async def test_without_a_schedule_nothing_runs_until_it_is_asked_for(house):
    house.archive("m", small())
    house.declare("m", "")
    async with house.living() as control:
        await house.until(control.mirrors)
        await asyncio.sleep(0.1)
        assert house.heard(PassStarted) == []
        assert (house.state_of("m"), control.mirror("m").health) == ("idle", "unknown")
        await control.sync("m", "ada")
        await house.until(lambda: house.heard(PassFinished))
        assert house.heard(PassStarted)[0].who == "ada"


async def test_files_that_upstream_may_still_be_writing_are_looked_at_again_as_soon_as_they_may_be_complete(house):
    house.archive("m", small())
    url = f"file://{house.root}/www/m/"
    (house.manifests / "m.yaml").write_text(
        f"mirror: m\nsource: {{settle: 20m, url: '{url}'}}\nschedule: {{every: 1d}}\n"
    )
    async with house.living() as control:
        await house.until(lambda: house.heard(PassFinished))
        first = house.heard(PassFinished)[0]
        assert (first.complete, first.failed, first.fetched, first.waiting) == (True, 0, 0, len(small()))
        await house.idle("m")
        view = control.mirror("m")
        assert (view.waiting, view.failed) == (len(small()), 0)
        assert view.last.waiting == len(small())
        assert 1000 < view.next_run - house.time.now() <= 1200
        house.time.forward(1201)
        await house.until(lambda: len(house.heard(PassFinished)) == 2)
        await house.idle("m")
        assert house.copy("m") == house.upstream("m")
        assert control.mirror("m").waiting == 0
        assert control.mirror("m").next_run - house.time.now() > 20 * HOUR


async def test_one_mirror_follows_another(house):
    for name in ("first", "second"):
        house.archive(name, small())
    house.declare("second", "schedule: {after: [first]}\n")
    async with house.living() as control:
        await house.until(lambda: [view.reason for view in control.mirrors()] == ["waits for a complete pass of first"])
        assert control.mirror("second").state == "waiting"
        house.declare("first")
        await house.until(lambda: house.heard(PassFinished, "second"))
        assert [e.mirror for e in house.heard(PassStarted)] == ["first", "second"]
        house.time.forward(1.1 * HOUR)
        await house.until(lambda: len(house.heard(PassFinished)) == 4)
        assert [e.mirror for e in house.heard(PassStarted)][2:] == ["first", "second"]


async def test_what_cannot_be_had_backs_off_by_itself_for_days_and_recovers_alone(house):
    source = f"source: {{url: 'file://{house.root}/www/gone/', reader: checksums, checksums: [SHA256SUMS]}}\n"
    (house.manifests / "gone.yaml").write_text(f"mirror: gone\n{source}schedule: {{every: 6h}}\n")
    house.archive("gone", {"f": b"f"})
    house.archive("fine", small())
    house.declare("fine", "schedule: {every: 6h}\n")
    async with house.living() as control:
        await house.until(lambda: house.state_of("gone") == "failing" and house.state_of("fine") == "idle")
        assert "SHA256SUMS" in control.mirror("gone").reason
        view_of_fine = partial(control.mirror, "fine")
        while sum(event.wait for event in house.heard(PassFailed, "gone")) < 2 * DAY:
            count = len(house.heard(PassFailed, "gone"))
            house.time.forward(house.heard(PassFailed, "gone")[-1].wait + 1)
            await house.until(lambda count=count: len(house.heard(PassFailed, "gone")) == count + 1)
            await house.until(lambda: house.state_of("fine") == "idle" and view_of_fine().next_run > house.time.now())
        waits = [round(event.wait) for event in house.heard(PassFailed, "gone")]
        assert waits[:8] == [300, 600, 1200, 2400, 4800, 9600, 19200, 21600]
        assert set(waits[8:]) == {21600}
        assert control.mirror("gone").health == "unknown"
        assert len(house.heard(PassFinished, "fine")) >= 6, "the other one never missed a pass"
        house.archive("gone", {"SHA256SUMS": b"252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111  f\n"})
        house.time.forward(6.1 * HOUR)
        await house.until(lambda: house.heard(PassFinished, "gone"))
        await house.idle("gone")
        assert control.mirror("gone").health == "good"


async def test_a_window_is_kept_but_not_for_who_asks_by_hand(house):
    house.archive("m", small())
    now = house.time.now()
    opens = (int(now // HOUR) + 2) % 24
    house.declare("m", "schedule: {every: 1h}\n")
    file = house.manifests / "m.yaml"
    file.write_text(
        file.read_text().replace("'}", f"', limits: {{window: '{opens:02}:00-{(opens + 1) % 24:02}:00 UTC'}}}}", 1)
    )
    async with house.living() as control:
        await house.until(lambda: [view.reason[:20] for view in control.mirrors()] == ["waits for its window"])
        assert house.state_of("m") == "waiting"
        await control.sync("m", "ada")
        await house.until(lambda: house.heard(PassFinished))
        await house.until(lambda: house.state_of("m") != "running")
        house.time.forward((opens * HOUR - house.time.now() % DAY) % DAY + 60)
        await house.until(lambda: len(house.heard(PassFinished)) == 2)


# -- side by side -------------------------------------------------------------------------------------------------------


class Gate:
    """Holds the passes of some mirrors in their survey."""

    def __init__(self, house, *names):
        self.house, self.names, self.open = house, set(names), asyncio.Event()

    def install(self, monkeypatch):
        whole = PassRunner._pass

        async def held(rota, standing, run):
            if standing.name in self.names:
                waits = asyncio.create_task(self.open.wait())
                stops = asyncio.create_task(run.stopping.wait())
                try:
                    await asyncio.wait({waits, stops}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waits.cancel()
                    stops.cancel()
            return await whole(rota, standing, run)

        monkeypatch.setattr(PassRunner, "_pass", held)


async def test_who_waits_too_long_for_a_turn_makes_the_longest_pass_yield(house, monkeypatch):
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B, passes: 2}\n")
    for name in ("huge1", "huge2", "small"):
        house.archive(name, small())
    house.declare("huge1")
    house.declare("huge2")
    gate = Gate(house, "huge1", "huge2")
    gate.install(monkeypatch)
    async with house.living() as control:
        await house.until(lambda: len(house.heard(PassStarted)) == 2)
        house.declare("small")
        await house.until(lambda: "waits for its turn; running passes: 2" in [v.reason for v in control.mirrors()])
        assert house.state_of("small") == "waiting"
        house.time.forward(901)
        gate.names.clear()
        await house.until(lambda: house.heard(PassFinished, "small"))
        stopped = [p for name in ("huge1", "huge2") for p in await control.passes(name) if p.outcome == "stopped"]
        assert [p.reason for p in stopped] == ["yields to other waiting mirrors"]
        gate.open.set()
        await house.idle("huge1", "huge2", "small")  # and comes again by itself


async def test_who_was_paused_while_it_waited_waits_for_nobody(house, monkeypatch):
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B, passes: 1}\n")
    for name in ("a", "b"):
        house.archive(name, small())
    house.declare("a")
    gate = Gate(house, "a")
    gate.install(monkeypatch)
    async with house.living() as control:
        await house.until(lambda: house.heard(PassStarted, "a"))
        house.declare("b")
        await house.until(lambda: "waits for its turn; running passes: 1" in [v.reason for v in control.mirrors()])
        await control.pause("b", "ada")
        house.time.forward(901)
        await asyncio.sleep(0.2)
        assert house.state_of("a") == "running", "nobody asks it to make room"
        gate.open.set()
        await house.idle("a")
        house.time.forward(901)
        await asyncio.sleep(0.2)
        assert house.state_of("b") == "paused", "and the daemon lives"


async def test_a_bug_in_one_pass_is_told_and_stays_with_its_mirror(house, monkeypatch):
    for name in ("bad", "good"):
        house.archive(name, small())
        house.declare(name)
    whole = PassRunner._pass

    async def broken(rota, standing, run):
        if standing.name == "bad":
            raise KeyError("never thought of")
        return await whole(rota, standing, run)

    monkeypatch.setattr(PassRunner, "_pass", broken)
    house.bugs_expected = True
    async with house.living() as control:
        await house.idle("good")
        await house.until(lambda: house.state_of("bad") == "failing")
        assert "a bug in syncd (KeyError" in control.mirror("bad").reason
        assert [type(bug) for bug in house.bugs] == [KeyError]


async def test_a_paused_mirror_stays_paused_over_a_restart(house):
    house.archive("m", small())
    house.declare("m")
    async with house.living() as control:
        await house.idle("m")
        await control.pause("m", "ada")
    house.time.forward(2 * HOUR)
    house.events.clear()
    async with house.living() as control:
        await house.until(lambda: [view.reason for view in control.mirrors()] == ["paused by ada"])
        await asyncio.sleep(0.1)
        assert house.state_of("m") == "paused"
        assert house.heard(PassStarted) == []
        with pytest.raises(Busy, match="paused"):
            await control.sync("m", "bob")
        await control.resume("m", "bob")
        await house.until(lambda: house.heard(PassFinished))
        assert [(one.who, one.what) for one in await control.audit() if one.what != "manifest"] == [
            ("bob", "resume"),
            ("bob", "sync"),
            ("ada", "pause"),
        ]


# -- its own files ------------------------------------------------------------------------------------------------------


async def test_manifests_come_change_break_and_go_without_a_restart(house):
    house.archive("a", small())
    async with house.living() as control:
        assert control.mirrors() == []
        house.declare("a")
        await house.idle("a")
        house.declare("a", "schedule: {every: 1h}\nguard: {max_removed: soon}\n")
        await house.until(lambda: house.heard(ManifestRejected))
        rejected = house.heard(ManifestRejected)[0]
        assert rejected.in_force
        assert ":4:22: guard.max_removed: " in rejected.problems[0]
        view = control.manifests()[0]
        assert (view.mirror, view.problems[0].line, view.since is not None) == ("a", 4, True)
        assert house.state_of("a") == "idle", "the last good one stays in force"
        house.declare("a", "title: New\nschedule: {every: 2h}\n")
        await house.until(lambda: len(house.heard(ManifestAccepted)) == 2)
        assert control.mirror("a").title == "New"
        assert control.mirror("a").next_run > house.time.now() + 1.5 * HOUR
        (house.manifests / "a.yaml").unlink()
        await house.until(lambda: house.heard(ManifestWithdrawn))
        assert house.state_of("a") == "retired"
        assert house.copy("a") == house.upstream("a"), "the copy stays"


async def test_a_copy_cannot_be_moved_and_a_credential_must_be_known(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        house.declare("a", "store: {prefix: elsewhere/}\n")
        await house.until(lambda: house.heard(ManifestRejected))
        assert (
            "but its copy is stored under a/: write store: {prefix: a/}" in house.heard(ManifestRejected)[0].problems[0]
        )
        text = "mirror: b\nsource:\n  url: 'https://h/'\n  credentials: portal\n"
        found = (await asyncio.to_thread(control.check, text)).problems
        assert [(p.line, p.where) for p in found] == [(4, "source.credentials")]


async def test_a_manifest_that_named_an_unknown_credential_is_taken_once_that_is_known(house, tmp_path):
    (house.manifests / "b.yaml").write_text(
        "mirror: b\nsource: {url: 'https://127.0.0.1:9/', reader: autoindex, credentials: portal}\n"
    )
    async with house.living():
        await house.until(lambda: house.heard(ManifestRejected))
        (tmp_path / "secret").write_text("correct-horse")
        (tmp_path / "secret").chmod(0o600)
        known = f"portal: {{origin: 'https://127.0.0.1:9', bearer: {{file: {tmp_path}/secret}}}}"
        house.configure(f"backup: {{keep: 0}}\nbudget: {{keep_free: 0 B}}\ncredentials:\n  {known}\n")
        await house.until(lambda: house.heard(ManifestAccepted, "b"))


async def test_the_configuration_is_read_again_when_it_changes_and_on_demand(house):
    house.archive("a", small())
    house.declare("a")
    async with house.living() as control:
        await house.idle("a")
        house.configure("budget: {passes: many}\n")
        await house.until(lambda: house.heard(ReloadFailed))
        assert "budget.passes" in house.heard(ReloadFailed)[0].problems[0]
        house.configure(
            "backup: {keep: 0}\nbudget: {keep_free: 0 B, passes: 3, memory: 64 MiB}\nlisten: 127.0.0.1:9999\n"
        )
        await house.until(lambda: house.heard(Reloaded))
        assert house.heard(Reloaded)[0].changed == ("listen", "budget")
        assert house.heard(Reloaded)[0].needs_restart == ("listen",)
        house.around.reload.set()
        await house.until(lambda: len(house.heard(Reloaded)) == 2)
        assert house.heard(Reloaded)[1].changed == ("listen",)
        assert control.daemon().ready


async def test_a_manifest_folder_that_is_suddenly_empty_withdraws_nothing_until_it_is_meant(house):
    for name in "abc":
        house.archive(name, small())
        house.declare(name)
    async with house.living():
        await house.idle(*"abc")
        for file in house.manifests.iterdir():
            file.unlink()
        await house.until(lambda: house.heard(ManifestRejected))
        assert "is it mounted?" in house.heard(ManifestRejected)[0].problems[0]
        assert [house.state_of(name) for name in "abc"] == ["idle"] * 3
        house.around.reload.set()
        await house.until(lambda: len(house.heard(ManifestWithdrawn)) == 3)


# -- systemd ------------------------------------------------------------------------------------------------------------


@contextmanager
def listening(path):
    """Be systemd: yield what arrives on the socket."""
    heard, loop = [], asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.setblocking(False)
        loop.add_reader(line, lambda: heard.append(line.recv(4096).decode()))
        try:
            yield heard
        finally:
            loop.remove_reader(line)


async def test_systemd_hears_of_the_start_of_reloads_of_progress_and_of_the_end(house, tmp_path):
    house.archive("a", small())
    house.declare("a")
    path = tmp_path / "notify"
    environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    with listening(path) as heard:
        async with house.living(environ=environ):
            await house.idle("a")
            house.around.reload.set()
            await house.until(lambda: house.heard(Reloaded))
            await house.until(lambda: any("STATUS=1 mirrors: 1 idle" in line for line in heard))
            await house.until(lambda: heard.count("WATCHDOG=1") > 3)
        await asyncio.sleep(0)
    assert any(line.startswith("READY=1\nSTATUS=1 mirrors") for line in heard)
    assert any(line.startswith("RELOADING=1\nMONOTONIC_USEC=") for line in heard)
    assert any(line.startswith("STOPPING=1\nSTATUS=waits for 0 passes to end") for line in heard)


async def test_the_watchdog_is_not_fed_while_a_pass_makes_no_progress_for_hours(house, tmp_path, monkeypatch):
    house.archive("a", small())
    house.declare("a")
    gate = Gate(house, "a")
    gate.install(monkeypatch)
    path = tmp_path / "notify"
    with listening(path) as heard:
        async with house.living(environ={"NOTIFY_SOCKET": str(path)}):
            await house.until(lambda: house.heard(PassStarted) and "WATCHDOG=1" in heard)
            house.time.forward(3 * HOUR)
            await asyncio.sleep(0.05)
            heard.clear()
            await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
            assert "WATCHDOG=1" not in heard
            gate.open.set()
            await house.until(lambda: house.heard(SurveyStarted))
            await house.idle("a")
            await house.until(lambda: "WATCHDOG=1" in heard)


# -- fair ---------------------------------------------------------------------------------------------------------------


async def test_a_mirror_of_very_many_files_does_not_starve_one_of_ten(house):
    """They share one origin, sixteen files at once, and the large one came first."""
    house.configure(
        "backup: {keep: 0}\nworkers: 1\nbudget: {keep_free: 0 B, files: 16, connections: 16, memory: 16 MiB}\n"
    )
    house.archive("large", {f"{n % 20}/f{n:05}": bytes(100) for n in range(3_000)})
    house.archive("ten", {f"f{n}": bytes(2_000_000 if n == 0 else 100) for n in range(10)})
    house.declare("large")
    async with house.living() as control:
        await house.until(lambda: len(house.heard(TransferFinished, "large")) > 100)
        house.declare("ten")
        await house.until(lambda: house.heard(PassFinished, "ten"))
        done = len(house.heard(TransferFinished, "large"))
        assert done < 2_500, "the small one had to wait for nearly all of the large one"
        assert house.state_of("large") == "running"
        view = control.mirror("large")
        assert view.backlog_files == 3_000 - view.progress.files_done > 0
        assert view.progress.rate > 0
        await control.cancel("large", "ada")
        await house.until(lambda: house.state_of("large") != "running")
        last = (await control.passes("large"))[0]
        assert (last.outcome, last.reason) == ("stopped", "stopped by ada")
        assert len(house.copy("large")) < 3_000
        await asyncio.sleep(0.1)
        assert house.state_of("large") == "idle", "what a person stopped does not begin again by itself"


async def test_a_revoked_token_is_in_the_audit_log(house):
    line = "tokens: [{name: uni, role: partner, sha256: '" + "a" * 64 + "'%s}]\n"
    house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\n" + line % "")
    async with house.living() as control:
        house.configure("backup: {keep: 0}\nbudget: {keep_free: 0 B}\n" + line % ", revoked: 2026-01-01")
        await house.until(lambda: house.heard(Reloaded))
        (entry,) = [one for one in await control.audit() if one.what == "revoke"]
        assert (entry.who, entry.what, entry.outcome) == ("syncd.yaml", "revoke", "the token of uni was revoked")
