"""An auditor reconstructs a week from the audit log, and finds a line that somebody cut."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from syncd.catalogue import Catalogue
from syncd.core import GAP, Audited, PassFinished
from tests.acceptance.cli import Folder, run, start
from tests.daemons import MORE, House

DAY = 86_400.0
TOKEN = "tokens: [{name: ada, role: operator, sha256: '%s'}]\n"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path, MORE + TOKEN % ("a" * 64))
    made.archive("scenes", {f"f{n}": b"content %d" % n for n in range(8)})
    made.declare("scenes", "schedule: {every: 300d}\nguard: {max_removed: 1}\nkeep: {versions: 5}\n")
    return made


class Shell:
    """The command line beside the daemon's folders."""

    def __init__(self, house):
        self.house = house
        self.store = Folder(house.store)

    def run(self, *more, wanted=0):
        return run(self.store, self.house.state, *more, "--config", self.house.config, wanted=wanted)

    def entries(self, *more):
        return [json.loads(line) for line in self.run("audit", "--json", *more).splitlines()]

    def verify(self, *more, wanted=0):
        return json.loads(self.run("audit", "verify", *more, "--json", wanted=wanted))

    def do(self, sql):
        with closing(sqlite3.connect(self.house.state / "catalogue.sqlite")) as db, db:
            db.execute(sql)


async def week(house, shell):
    """Let people work for a week: by the API, by files, by the command line."""
    async with house.living() as control:
        await house.idle("scenes")
        house.time.forward(DAY)
        await control.pause("scenes", "ada")
        await control.resume("scenes", "ada")
        house.time.forward(DAY)
        house.declare("scenes", "schedule: {every: 300d}\nguard: {max_removed: 2}\nkeep: {versions: 5}\n")
        await house.until(lambda: any(one.what == "manifest" for one in house.heard(Audited)[1:]))
        house.time.forward(DAY)
        await house.until(lambda: house.state_of("scenes") == "idle")
        house.archive("scenes", {f"f{n}": None for n in range(4)})
        await control.sync("scenes", "bob")
        await house.until(lambda: control.mirror("scenes").parked == 4 and house.state_of("scenes") != "running")
        house.time.forward(DAY)
        await control.approve("scenes", "bob")
        await house.until(lambda: control.mirror("scenes").parked == 0 and house.state_of("scenes") == "idle")
        house.time.forward(DAY)
        house.configure(MORE + TOKEN % ("b" * 64))
        await house.until(lambda: any(one.what == "configuration" for one in house.heard(Audited)))
    await asyncio.to_thread(shell.run, "undelete", "scenes", "f1")
    await asyncio.to_thread(run_revoke, shell)


def run_revoke(shell):
    process = start(shell.store, shell.house.state, "status", stdout=-1, stderr=-1)  # what only looks is not in the log
    process.communicate(timeout=100)
    shell.run("unpin", "scenes", "f1")


async def test_an_auditor_reconstructs_a_week_and_finds_a_cut_line(house, tmp_path):
    shell = Shell(house)
    await week(house, shell)
    entries = await asyncio.to_thread(shell.entries)
    told = [(one["what"], one["door"] or "name", one["mirror"]) for one in entries]
    assert told == [
        ("manifest", "file", "scenes"),
        ("pause", "name", "scenes"),
        ("resume", "name", "scenes"),
        ("manifest", "file", "scenes"),
        ("sync", "name", "scenes"),
        ("approve", "name", "scenes"),
        ("configuration", "file", ""),
        ("undelete", "cli", "scenes"),
        ("unpin", "cli", "scenes"),
    ]
    assert entries[3]["changes"] == [{"key": "guard.max_removed", "old": "1 file", "new": "2 files"}]
    assert entries[6]["changes"] == [{"key": "tokens.ada.sha256", "old": "***", "new": "***"}]
    assert [one["who"] for one in entries[4:6]] == ["bob", "bob"]
    assert "a" * 64 not in json.dumps(entries)
    assert [one["id"] for one in entries] == list(range(1, 10))
    (approved,) = await asyncio.to_thread(shell.entries, "--act", "approve", "--mirror", "scenes")
    assert approved == entries[5]
    assert await asyncio.to_thread(shell.entries, "--since", "2100-01-01") == []
    assert (await asyncio.to_thread(shell.verify))["misfit"] is None

    whole = tmp_path / "whole.jsonl"
    whole.write_text(await asyncio.to_thread(shell.run, "audit", "--json"))
    assert (await asyncio.to_thread(shell.verify, whole))["entries"] == 9
    lines = whole.read_text().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[:5] + lines[6:]))
    assert (await asyncio.to_thread(shell.verify, cut, wanted=1))["misfit"] == {"entry": 6, "reason": "it is missing"}
    cut.write_text("".join(line.replace('"bob"', '"eve"') for line in lines))
    assert (await asyncio.to_thread(shell.verify, cut, wanted=1))["misfit"]["entry"] == 5

    shell.do("CREATE TABLE kept AS SELECT * FROM audit WHERE id=6")
    shell.do("DELETE FROM audit WHERE id=6")
    text = await asyncio.to_thread(shell.run, "audit", "verify", wanted=1)
    assert "entry 6 does not fit: it is missing" in text
    shell.do("INSERT INTO audit SELECT * FROM kept")
    shell.do("DROP TABLE kept")
    assert (await asyncio.to_thread(shell.verify))["misfit"] is None
    shell.do("DELETE FROM audit WHERE id>7")
    head = json.dumps({"entry": 7, "hash": entries[6]["hash"], "at": 0.0})
    shell.do(f"UPDATE setting SET value='{head}' WHERE name='audit head'")
    found = await asyncio.to_thread(shell.verify, wanted=1)
    assert found["misfit"] == {"entry": 8, "reason": "the entries 8 to 9 are missing"}, "the store knows the end"
    assert (house.store / ".syncd/audit").stat().st_mode & 0o077 == 0

    await asyncio.to_thread(shell.run, "undelete", "scenes", "f2")  # the work goes on, and the hole stays told
    found = await asyncio.to_thread(shell.verify, wanted=1)
    assert found["misfit"] == {"entry": 8, "reason": "the entries 8 to 9 are missing"}
    assert [one["what"] for one in await asyncio.to_thread(shell.entries)][-2:] == [GAP, "undelete"]


async def test_entries_that_take_the_numbers_of_cut_ones_differ_from_the_anchor(house):
    shell = Shell(house)
    async with house.living() as control:
        await house.idle("scenes")
        await control.pause("scenes", "ada")
        await control.resume("scenes", "ada")
    with Catalogue(house.state) as catalogue:  # as somebody with the database in his hands would do it
        log = catalogue.pass_history
        entries = list(log.audit_entries())
        catalogue.database.do("DELETE FROM audit WHERE id>1")
        log._set_head(entries[0])
        for _ in range(2):
            log.add_audit(at=1.0, who="eve", what="sync", mirror="scenes", outcome="done")
    found = await asyncio.to_thread(shell.verify, wanted=1)
    assert (found["misfit"]["entry"], "recorded elsewhere" in found["misfit"]["reason"]) == (3, True)
    await asyncio.to_thread(shell.run, "rebuild", "scenes")  # a new anchor does not hide it
    assert (await asyncio.to_thread(shell.verify, wanted=1))["misfit"]["entry"] == 3


async def test_what_changed_while_no_daemon_ran_is_in_the_log_when_it_starts(house):
    async with house.living():
        await house.idle("scenes")
    house.configure(MORE + TOKEN % ("a" * 64) + "user_agent: ask@example.org\n")
    house.declare("scenes", "schedule: {every: 300d}\nguard: {max_removed: 5}\n")
    (house.manifests / "gone.yaml").unlink(missing_ok=True)
    async with house.living() as control:
        await house.until(lambda: house.heard(Audited))
        found = {one.what: one for one in (await control.audit())[:2]}
        assert [(c.key, c.old, c.new) for c in found["configuration"].changes] == [
            ("user_agent", None, "ask@example.org")
        ]
        assert ("guard.max_removed", "1 file", "5 files") in [(c.key, c.old, c.new) for c in found["manifest"].changes]
        assert found["manifest"].details["file"].endswith("scenes.yaml")
        assert (await control.check_audit()).misfit is None
        (house.manifests / "scenes.yaml").unlink()
        house.archive("other", {"x": b"x"})
        house.declare("other")
        await house.until(lambda: any(one.what == "withdraw" for one in house.heard(Audited, "scenes")))
        await house.until(lambda: house.heard(PassFinished, "other"))


async def test_an_act_beside_a_running_daemon_joins_its_chain(house):
    shell = Shell(house)
    async with house.living() as control:
        await house.idle("scenes")
        await asyncio.to_thread(revoke, house)
        await house.until(lambda: any(one.what == "revoke" for one in house.heard(Audited)))
        told = [(one.what, one.door) for one in await control.audit()]
        assert ("revoke", "cli") in told
        assert ("revoke", "file") in told
        assert (await control.check_audit()).misfit is None
    assert (await asyncio.to_thread(shell.verify))["misfit"] is None


def revoke(house):
    import subprocess

    from tests.acceptance.cli import SYNCD

    subprocess.run([SYNCD, "token", "revoke", "ada", "--config", house.config], check=True, timeout=100)
