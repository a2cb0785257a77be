"""The facade's contract over a real daemon; over the one in memory it runs in `tests/contracts/test_controls.py`."""

import hashlib

import pytest

from syncd.core.errors import Busy, NotFound
from syncd.core.events import PassFinished
from tests.contracts.control_contract import ControlContract
from tests.daemons import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.archive("scenes", {f"{'abc'[n % 3]}/f{n:02}.dat": bytes([n]) * (100 + n) for n in range(12)})
    house.declare("scenes")
    (house.manifests / "wrong.yaml").write_text("mirror: wrong\nsource: {url: 'nowhere'}\n")
    return house


class TestDaemon(ControlContract):
    @pytest.fixture
    async def control(self, house):
        async with house.living() as control:
            await house.idle("scenes")
            yield control

    @pytest.fixture
    def idle(self):
        return "scenes"


async def test_what_upstream_changed_is_seen_in_a_plan_and_then_in_the_difference_of_two_snapshots(house):
    async with house.living() as control:
        await house.idle("scenes")
        house.archive("scenes", {"a/new.dat": b"new", "b/f01.dat": b"another content" * 1000, "c/f02.dat": None})
        plan = await control.plan("scenes", limit=1)
        assert (plan.fetch, plan.replace, plan.remove, plan.keep, plan.complete) == (1, 1, 1, 10, True)
        assert {step.action for step in plan.steps} == {"fetch", "replace", "remove"}
        assert not plan.cut
        before = control.mirror("scenes").snapshot
        await control.sync("scenes", "ada")
        await house.until(lambda: control.mirror("scenes").snapshot != before and house.state_of("scenes") == "idle")
        assert house.copy("scenes").keys() >= house.upstream("scenes").keys()
        diff = await control.diff("scenes", before[:12], control.mirror("scenes").snapshot)
        assert {(c.path, c.change) for c in diff.changes} == {
            ("a/new.dat", "added"),
            ("b/f01.dat", "changed"),
            ("c/f02.dat", "removed"),
        }
        newest = (await control.passes("scenes"))[0]
        assert (newest.why, newest.who, newest.fetched, newest.replaced, newest.removed) == ("asked", "ada", 1, 1, 1)
        told = [event.event for event in await control.pass_events("scenes", newest.id)]
        assert told == ["survey_started", "planned", "published", "pass_finished"]


async def test_a_text_is_planned_against_the_copy_it_would_change_and_nothing_of_it_is_kept(house):
    async with house.living() as control:
        await house.idle("scenes")
        text = (house.manifests / "scenes.yaml").read_text()
        plan = await control.plan_text(text.replace("}\n", ", include: ['a/**']}\n", 1))
        assert (plan.mirror, plan.keep, plan.remove, plan.fetch) == ("scenes", 4, 8, 0)
        house.archive("fresh", {"x": b"1", "y": b"2"})
        plan = await control.plan_text(
            f"mirror: fresh\nsource: {{url: 'file://{house.root}/www/fresh/', settle: 0s}}\n"
        )
        assert (plan.mirror, plan.fetch, plan.bytes) == ("fresh", 2, 2)
        assert [view.name for view in control.mirrors()] == ["scenes", "wrong"]
        assert (await control.snapshots("scenes"))[0].files == 12
        assert control.mirror("scenes").parked == 0


async def test_parked_removals_are_shown_approved_and_go(house):
    async with house.living() as control:
        await house.idle("scenes")
        house.archive("scenes", dict.fromkeys(list(house.upstream("scenes"))[:6]))
        await control.sync("scenes", "ada")
        await house.until(lambda: control.mirror("scenes").parked == 6)
        assert control.mirror("scenes").health == "degraded"
        parked = await control.parked("scenes")
        assert len(parked) == 6
        assert await control.parked("scenes", after=parked[3].path, limit=1) == [parked[4]]
        await house.until(lambda: house.state_of("scenes") == "idle")
        entry = await control.approve("scenes", "ada")
        assert entry.outcome == "6 losses approved"
        await house.until(lambda: control.mirror("scenes").files == 6 and house.state_of("scenes") == "idle")
        assert control.mirror("scenes").health == "good"
        with pytest.raises(Busy, match="nothing is held for approval"):
            await control.approve("scenes", "ada")


@pytest.mark.promise("P5")
async def test_a_mirror_whose_listing_broke_off_needs_attention_and_says_why(house):
    files = {f"{name}.dat": name.encode() for name in "abcd"}
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in files.items()).encode()
    house.archive("cut", {**files, "SHA256SUMS": sums})
    url = f"file://{house.root}/www/cut/"
    (house.manifests / "cut.yaml").write_text(
        f"mirror: cut\nsource: {{url: '{url}', reader: checksums, checksums: [SHA256SUMS]}}\nschedule: {{every: 1h}}\n"
    )
    async with house.living() as control:
        await house.until(lambda: house.heard(PassFinished, "cut"))
        await house.until(lambda: control.mirror("cut").state == "idle")
        assert control.mirror("cut").health == "good"
        house.archive("cut", {"SHA256SUMS": sums[:-20]})
        await control.sync("cut", "ada")
        await house.until(lambda: control.mirror("cut").last.outcome == "incomplete")
        view = control.mirror("cut")
        assert (view.health, view.failed, view.files) == ("degraded", 0, 5)
        assert view.last.reason == "only a part of upstream's listing could be read, so nothing is deleted"
        house.archive("cut", {"SHA256SUMS": sums})
        await control.sync("cut", "ada")
        await house.until(lambda: control.mirror("cut").last.outcome == "complete")
        assert control.mirror("cut").health == "good"


async def test_a_file_is_restored_from_a_snapshot_and_released_again_while_the_daemon_runs(house):
    async with house.living() as control:
        await house.idle("scenes")
        first, old = control.mirror("scenes").snapshot, house.copy("scenes")["a/f00.dat"]
        house.archive("scenes", {"a/f00.dat": b"replaced" * 100})
        await control.sync("scenes", "ada")
        await house.until(lambda: control.mirror("scenes").snapshot != first and house.state_of("scenes") == "idle")
        entry = await control.restore("scenes", "a/f00.dat", first[:12], "ada")
        assert (entry.what, entry.outcome.startswith("a/f00.dat is restored; snapshot ")) == ("restore", True)
        assert house.copy("scenes")["a/f00.dat"] == old
        with pytest.raises(NotFound, match="has no such file"):
            await control.restore("scenes", "absent", first[:12], "ada")
        assert (await control.unpin("scenes", "a/f00.dat", "ada")).outcome == "a/f00.dat is unpinned"
        with pytest.raises(NotFound, match="is not pinned"):
            await control.unpin("scenes", "a/f00.dat", "ada")
        await control.sync("scenes", "ada")
        await house.until(lambda: house.copy("scenes")["a/f00.dat"] != old)
        audit = [
            (one.what, one.outcome.partition(":")[0])
            for one in await control.audit()
            if one.what not in ("sync", "manifest")
        ]
        assert [what for what, _ in audit] == ["unpin", "unpin", "restore", "restore"]
        assert [outcome for _, outcome in audit if ":" in outcome or outcome in ("refused", "failed")] == [
            "refused",
            "failed",
        ]


async def test_a_mirror_of_which_a_file_failed_says_so_and_where_its_bytes_lie(house):
    house.archive("sums", {"good.dat": b"good", "bad.dat": b"changed since", "SHA256SUMS": b""})
    sums = [("good.dat", "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"), ("bad.dat", "0" * 64)]
    house.archive("sums", {"SHA256SUMS": "".join(f"{digest}  {name}\n" for name, digest in sums).encode()})
    url = f"file://{house.root}/www/sums/"
    (house.manifests / "sums.yaml").write_text(
        f"mirror: sums\nsource: {{url: '{url}', reader: checksums, checksums: [SHA256SUMS]}}\nschedule: {{every: 1h}}\n"
    )
    async with house.living() as control:
        await house.until(lambda: house.heard(PassFinished, "sums"))
        await house.until(lambda: control.mirror("sums").state != "running")
        view = control.mirror("sums")
        assert (view.failed, view.quarantined, view.health, view.last.outcome) == (1, 1, "degraded", "incomplete")
        failure = (await control.failures("sums"))[0]
        assert failure.path == "bad.dat"
        aside = (await control.quarantine("sums"))[0]
        assert (house.store / aside.place).read_bytes() == b"changed since"
        events = await control.pass_events("sums", view.last.id)
        assert ("transfer_failed", "bad.dat", "warning") in [(e.event, e.path, e.level) for e in events]


async def test_a_snapshot_is_tagged_while_the_daemon_runs_and_the_next_publish_keeps_the_tag(house):
    async with house.living() as control:
        await house.idle("scenes")
        first = control.mirror("scenes").snapshot
        assert (await control.tag("scenes", first[:12], "v1", "ada")).outcome == f"snapshot {first[:12]} is v1"
        house.archive("scenes", {"a/f00.dat": b"replaced" * 100})
        await control.sync("scenes", "ada")
        await house.until(lambda: control.mirror("scenes").snapshot != first and house.state_of("scenes") == "idle")
        assert {one.id: one.tags for one in await control.snapshots("scenes")}[first] == ("v1",)
        with pytest.raises(NotFound):
            await control.untag("scenes", "v2", "ada")
        await control.untag("scenes", "v1", "ada")
        assert [one.tags for one in await control.snapshots("scenes")] == [(), ()]
