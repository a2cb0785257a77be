"""`guard.approvals: 2`: two people approve the same losses; and a rejected loss is a decision that is listed."""

import json

import pytest

from syncd.catalogue import Catalogue
from syncd.control import Actor
from syncd.core import Busy, Loss
from tests.acceptance.cli import Folder, run, start, sync
from tests.daemons import House

MORE = "schedule: {every: 300d}\nguard: {max_removed: 1, approvals: 2}\nkeep: {versions: 5}\n"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.archive("scenes", {f"f{n}": b"content %d" % n for n in range(8)})
    made.declare("scenes", MORE)
    return made


async def held(house, control, *numbers):
    """Let upstream delete files, and wait until their losses are held."""
    house.archive("scenes", {f"f{n}": None for n in numbers})
    await control.sync("scenes", "bob")
    wanted = len([n for n in range(8) if not (house.root / f"www/scenes/f{n}").exists()])
    await house.until(lambda: control.mirror("scenes").parked == wanted and house.state_of("scenes") != "running")


async def test_two_people_approve_and_the_same_twice_is_refused(house):
    async with house.living() as control:
        await house.idle("scenes")
        await held(house, control, 0, 1)
        first = await control.approve("scenes", "ada")
        assert first.outcome == "approved by ada: another person must approve the same losses, too"
        assert (control.mirror("scenes").parked, control.mirror("scenes").approved_by) == (2, ("ada",))
        with pytest.raises(Busy, match="ada has approved these losses already"):
            await control.approve("scenes", "ada")
        with pytest.raises(Busy, match="already"):
            await control.approve("scenes", "ada (command line)")
        assert house.copy("scenes").keys() >= {"f0", "f1"}
        last = await control.approve("scenes", "bob")
        assert last.outcome == "2 losses approved"
        await house.until(lambda: house.copy("scenes").keys().isdisjoint({"f0", "f1"}))
        told = [
            (one.who, one.what, one.outcome.partition(":")[0]) for one in await control.audit() if one.what == "approve"
        ]
        assert [one[0] for one in reversed(told)] == ["ada", "ada", "ada (command line)", "bob"]
        assert (await control.check_audit()).misfit is None


async def test_the_first_approval_is_of_exactly_the_losses_that_were_held(house):
    async with house.living() as control:
        await house.idle("scenes")
        await held(house, control, 0, 1)
        await control.approve("scenes", "ada")
        await held(house, control, 2)
        assert control.mirror("scenes").approved_by == ()
        assert "approved by bob" in (await control.approve("scenes", "bob")).outcome
        assert (await control.approve("scenes", "ada")).outcome == "3 losses approved"


def losses(*paths):
    return [Loss(path, 10) for path in paths]


def test_a_person_is_known_by_number_and_token_whatever_the_name(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        approvals = catalogue.approvals
        approvals.park(row.id, losses("a", "b"))
        approvals.agree(row.id, "ada", Actor("ada", "cli", uid=7).marks, 1.0)
        for actor in (Actor("other", "cli", uid=7), Actor("ada", "api", token="x")):
            with pytest.raises(Busy, match="ada has approved"):
                approvals.agree(row.id, str(actor), actor.marks, 2.0)
        approvals.agree(row.id, "bob", Actor("bob", "api", token="x").marks, 3.0)
        assert approvals.agreed(row.id) == ["ada", "bob"]
        with pytest.raises(Busy, match="bob has approved"):
            approvals.agree(row.id, "eve", Actor("eve", "page", token="x").marks, 4.0)
        approvals.park(row.id, losses("a"))
        assert approvals.agreed(row.id) == []
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.approvals.agreed(row.id) == []


@pytest.fixture
def archive(tmp_path):
    upstream, manifest = tmp_path / "www", tmp_path / "m.yaml"
    upstream.mkdir()
    for number in range(8):
        (upstream / f"f{number}").write_bytes(b"content %d" % number)
    manifest.write_text(
        f"mirror: m\nsource: {{settle: 0s, url: 'file://{upstream}/'}}\nguard: {{max_removed: 1, approvals: 2}}\n"
    )
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    sync(store, state, manifest)
    for number in range(3):
        (upstream / f"f{number}").unlink()
    sync(store, state, manifest, wanted=3)
    return store, state, manifest


def test_on_the_command_line_a_second_user_of_the_machine_is_needed(archive):
    store, state, manifest = archive
    assert "another person must approve" in run(store, state, "approve", "m")
    assert json.loads(run(store, state, "status", "--json"))[0]["approved_by"] != []
    process = start(store, state, "approve", "m", stdout=-1, stderr=-1)
    _, err = process.communicate(timeout=100)
    assert (process.returncode, "has approved these losses already" in err) == (3, True)
    sync(store, state, manifest, wanted=3)
    assert store.paths("m/") >= {"f0", "f1", "f2"}


def test_what_was_rejected_is_listed_with_who_and_when_and_taken_back(archive):
    store, state, manifest = archive
    assert "nothing differs" in run(store, state, "reject", "m", "--list")
    run(store, state, "reject", "m")
    found = json.loads(run(store, state, "reject", "m", "--list", "--json"))
    assert [(one["path"], one["kind"], one["who"].endswith("(command line)")) for one in found] == [
        (f"f{n}", "deleted", True) for n in range(3)
    ]
    assert all(one["at"] for one in found)
    sync(store, state, manifest)
    assert len(json.loads(run(store, state, "reject", "m", "--list", "--json"))) == 3, "it lasts"
    run(store, state, "rebuild", "m")
    assert len(json.loads(run(store, state, "reject", "m", "--list", "--json"))) == 3, "over a rebuild, too"
    run(store, state, "reject", "m", "--undo")
    assert json.loads(run(store, state, "reject", "m", "--list", "--json")) == []


async def test_the_daemon_says_how_many_files_differ_by_decision(house):
    async with house.living() as control:
        await house.idle("scenes")
        await held(house, control, 0, 1)
        await control.reject("scenes", "ada")
        assert (control.mirror("scenes").rejected, control.mirror("scenes").parked) == (2, 0)
        found = await control.rejections("scenes")
        assert [(one.path, one.kind, one.bytes, one.who) for one in found] == [
            ("f0", "deleted", 9, "ada"),
            ("f1", "deleted", 9, "ada"),
        ]
        assert [one.path for one in await control.rejections("scenes", after="f0", limit=1)] == ["f1"]
