"""The REST API: what is asked is answered as the types say, and what cannot be says why and what to do."""

import asyncio
import io
import threading

import msgspec
import pytest

from syncd.api import schemas
from syncd.api.context import CheckQueue
from syncd.api.errors import HttpError
from syncd.api.rest import ROUTES
from syncd.api.server import CHECKS
from syncd.control.views import CheckView, EntryView, MirrorView, PlanView
from syncd.core import AuditView
from tests.api.conftest import OPERATOR, READER, bearer, served_by
from tests.fakes_control import FakeControl, digest


async def get(api, path, kind=None, status=200, **more):
    async with api.get(path, **more) as response:
        body = await response.read()
        assert response.status == status, body
        return msgspec.json.decode(body, type=kind) if kind is not None else msgspec.json.decode(body)


async def post(api, path, kind=None, status=200, token=OPERATOR, **more):
    async with api.post(path, headers=bearer(token), **more) as response:
        body = await response.read()
        assert response.status == status, body
        return msgspec.json.decode(body, type=kind) if kind is not None else msgspec.json.decode(body)


async def test_all_mirrors_and_one(api, control):
    found = (await get(api, "/api/v1/mirrors", schemas.Mirrors)).mirrors
    assert list(found) == control.mirrors()
    one = await get(api, "/api/v1/mirrors/running", MirrorView)
    assert one == control.mirror("running")
    assert one.progress.transfers


async def test_mirrors_by_state_and_health(api):
    found = (await get(api, "/api/v1/mirrors?state=failing", schemas.Mirrors)).mirrors
    assert [one.name for one in found] == ["failing"]
    found = (await get(api, "/api/v1/mirrors?health=good", schemas.Mirrors)).mirrors
    assert {one.name for one in found} == {"idle", "running", "waiting"}


async def test_entries_come_in_pages_that_meet(api, control):
    seen, after = [], ""
    while True:
        page = await get(api, "/api/v1/mirrors/idle/entries", schemas.Entries, params={"after": after, "limit": 5})
        seen += page.entries
        if page.next is None:
            break
        after = page.next
    assert seen == control.files["idle"]


async def test_entries_by_prefix_and_one_alone(api):
    found = await get(api, "/api/v1/mirrors/idle/entries?prefix=b/", schemas.Entries)
    assert found.entries
    assert all(one.path.startswith("b/") for one in found.entries)
    one = await get(api, "/api/v1/mirrors/idle/entry", EntryView, params={"path": found.entries[0].path})
    assert one == found.entries[0]


async def test_passes_come_in_pages_by_number(api):
    first = await get(api, "/api/v1/mirrors/idle/passes?limit=1", schemas.Passes)
    second = await get(api, f"/api/v1/mirrors/idle/passes?limit=1&before={first.next}", schemas.Passes)
    assert [one.id for one in (*first.passes, *second.passes)] == [7, 6]
    assert (await get(api, "/api/v1/passes", schemas.Passes)).passes


async def test_what_happened_in_a_pass(api):
    page = await get(api, "/api/v1/mirrors/idle/passes/7/events?limit=2", schemas.PassEvents)
    rest = await get(api, f"/api/v1/mirrors/idle/passes/7/events?after={page.next}", schemas.PassEvents)
    assert [one.id for one in (*page.events, *rest.events)] == [1, 2, 3]


@pytest.mark.parametrize(
    "path",
    ["manifests", "origins", "scrubs", "store", "daemon", "series", "mirrors/idle/series", "mirrors/idle/snapshots", "mirrors/idle/copies",
     "mirrors/failing/quarantine", "mirrors/failing/failures", "mirrors/idle/parked"],
)  # fmt: skip
async def test_every_view_is_there(api, path):
    assert await get(api, f"/api/v1/{path}")


async def test_two_snapshots_differ_by_what_the_daemon_says(api):
    found = await get(api, f"/api/v1/mirrors/idle/diff?before={digest(1)}&after={digest(2)}")
    assert found["count"] == 1
    assert found["changes"][0]["change"] == "added"


async def test_a_file_is_restored_and_released(api, control):
    entry = await post(api, "/api/v1/mirrors/idle/restore?path=100.dat&snapshot=abcdef", AuditView)
    assert (entry.who, entry.what, entry.outcome) == ("ops", "restore", "100.dat is restored; snapshot abcdef")
    entry = await post(api, "/api/v1/mirrors/idle/unpin?path=100.dat", AuditView)
    assert (entry.who, entry.what) == ("ops", "unpin")
    await post(api, "/api/v1/mirrors/idle/unpin?path=other", status=404)
    entry = await post(api, f"/api/v1/mirrors/idle/tag?snapshot={digest(2)}&tag=v1", AuditView)
    assert (entry.who, entry.what) == ("ops", "tag")
    await post(api, "/api/v1/mirrors/idle/tag?snapshot=ffff&tag=v1", status=404)
    await post(api, "/api/v1/mirrors/idle/tag?snapshot=0000&tag=../x", status=400)
    entry = await post(api, "/api/v1/mirrors/idle/untag?tag=v1", AuditView)
    assert entry.what == "untag"
    await post(api, "/api/v1/mirrors/idle/untag?tag=v2", status=404)
    await post(api, "/api/v1/mirrors/idle/unpin", status=400)


@pytest.mark.parametrize(
    ("act", "mirror", "outcome"),
    [("sync", "idle", "a pass begins as soon as there is room"), ("pause", "idle", "paused"), ("resume", "paused", "resumed"),
     ("cancel", "running", "stops, and publishes its proved files"), ("approve", "idle", "3 losses approved"), ("reject", "idle", "3 losses rejected")],
)  # fmt: skip
async def test_what_an_operator_does_is_done_and_written_down(api, control, act, mirror, outcome):
    entry = await post(api, f"/api/v1/mirrors/{mirror}/{act}", AuditView)
    assert (entry.who, entry.what, entry.mirror, entry.outcome) == ("ops", act, mirror, outcome)
    audit = await get(api, "/api/v1/audit", schemas.Audit, headers=bearer(OPERATOR))
    assert audit.audit == (entry,)


async def test_only_the_losses_that_were_seen_are_approved_or_rejected(api, control):
    declined = await post(api, "/api/v1/mirrors/idle/approve?files=2", status=409)
    assert declined["error"] == "Changed"
    assert "you saw 2 losses, and 3 are held now" in declined["reason"]
    assert (await post(api, "/api/v1/mirrors/idle/reject?files=2", status=409))["error"] == "Changed"
    assert control.mirror("idle").parked == 3
    await post(api, "/api/v1/mirrors/idle/approve?files=3")
    assert control.mirror("idle").parked == 0


async def test_what_cannot_be_done_now_says_why(api):
    declined = await post(api, "/api/v1/mirrors/paused/sync", status=409)
    assert declined == {
        "error": "Busy",
        "reason": "paused: cannot be synced now: paused by ops",
        "message": {
            "code": "{name}: cannot be synced now: {why}",
            "values": {"name": "paused", "why": {"code": "paused by {who}", "values": {"who": "ops"}}},
        },
        "todo": "look at the state of the mirror, and try again when it has changed",
        "todo_message": {"code": "look at the state of the mirror, and try again when it has changed", "values": {}},
    }


async def test_a_manifest_is_linted_at_its_lines(api):
    text = "mirror: x\nsource:\n  url: https://example.org/\n  reader: nonsense\n"
    found = await post(api, "/api/v1/check", CheckView, token=READER, json={"text": text})
    assert [one.line for one in found.problems] == [4]
    assert found.problems[0].where == "source.reader"


async def test_one_goes_at_a_time_and_only_so_many_wait():
    turns, go, gone = CheckQueue(2, "manifests"), asyncio.Event(), []

    async def take(n):
        async with turns.slot():
            gone.append(n)
            await go.wait()

    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(take(n))
        await asyncio.sleep(0)
        with pytest.raises(HttpError) as declined:
            await take(3)
        assert (declined.value.status, str(declined.value)) == (503, "2 manifests are waiting already")
        assert gone == [0]
        go.set()
    assert gone == [0, 1, 2]
    await take(4)


async def test_manifests_are_checked_one_after_the_other(api, control, monkeypatch):
    go, seen = threading.Event(), []

    def slow(text):
        seen.append(text)
        assert go.wait(120)
        return CheckView()

    monkeypatch.setattr(control, "check", slow)
    asked = [asyncio.create_task(post(api, "/api/v1/check", json={"text": f"{n}"})) for n in range(CHECKS + 1)]
    while not seen:
        await asyncio.sleep(0.001)
    await get(api, "/api/v1/store")  # is answered meanwhile
    assert len(seen) == 1
    go.set()
    await asyncio.gather(*asked)
    assert len(seen) == CHECKS + 1


async def test_a_plan_before_a_manifest_is_in_force(api):
    text = "mirror: x\nsource: {url: https://example.org/, reader: autoindex}\n"
    found = await post(api, "/api/v1/plan", PlanView, json={"text": text, "limit": 3})
    assert (found.mirror, len(found.steps), found.cut) == ("x", 3, True)
    declined = await post(api, "/api/v1/plan", status=422, json={"text": "mirror: X!\n"})
    assert declined["error"] == "ConfigError"
    assert "manifest:1:9" in declined["reason"]
    assert (await post(api, "/api/v1/mirrors/idle/plan?limit=1", PlanView)).mirror == "idle"
    assert (await post(api, "/api/v1/mirrors/running/plan", status=409))["error"] == "Busy"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api/v1/mirrors/nobody", 404, "nobody: no such mirror here"),
        ("/api/v1/mirrors/NO!", 404, "is not a valid mirror"),
        ("/api/v1/mirrors/idle/passes/99/events", 404, "no pass 99"),
        ("/api/v1/mirrors/idle/passes/first/events", 404, "'first' is not a valid pass"),
        ("/api/v1/nothing", 404, "there is no such page"),
        ("/api/v1/mirrors?colour=red", 400, "'colour' is not a parameter"),
        ("/api/v1/store?x=1", 400, "'x' is not a parameter"),
        ("/api/v1/mirrors/idle/entries?limit=0", 400, "limit"),
        ("/api/v1/mirrors/idle/entries?limit=many", 400, "limit"),
        ("/api/v1/mirrors/idle/entries?limit=1&limit=2", 400, "limit is given twice"),
        ("/api/v1/mirrors/idle/diff?before=xyz&after=0000", 400, "before"),
        ("/api/v1/mirrors/idle/entry", 400, "path"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(api, path, status, reason):
    declined = await get(api, path, status=status)
    assert reason in declined["reason"]
    assert declined["todo"]


async def test_a_wrong_body_is_told_what_is_wrong(api):
    for body, content_type, status in (
        (b"{", "application/json", 400),
        (b'{"text": 5}', "application/json", 400),
        (b'{"text": "a", "more": 1}', "application/json", 400),
        (b'{"text": "\xff"}', "application/json", 400),
        (b"text=a", "application/x-www-form-urlencoded", 415),
        (b'{"text": "' + b"a" * (1 << 20) + b'"}', "application/json", 413),
    ):
        async with api.post("/api/v1/check", data=io.BytesIO(body), headers={"Content-Type": content_type}) as response:
            declined = await response.json()
            assert (response.status, bool(declined["todo"])) == (status, True), declined


async def test_another_method_is_told_which_there_are(api):
    async with api.delete("/api/v1/mirrors/idle") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        assert (await response.json())["error"] == "Unsupported"


async def test_what_did_not_change_is_not_sent_again(api, control):
    async with api.get("/api/v1/mirrors") as response:
        tag = response.headers["ETag"]
    async with api.get("/api/v1/mirrors", headers={"If-None-Match": f'"other", {tag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
    await control.pause("idle", "ops")
    async with api.get("/api/v1/mirrors", headers={"If-None-Match": tag}) as response:
        assert response.status == 200


async def test_the_head_of_an_answer_is_the_answers(api):
    async with api.get("/api/v1/store") as whole, api.head("/api/v1/store") as head:
        assert (head.status, head.headers["ETag"], await head.read()) == (200, whole.headers["ETag"], b"")


async def test_readiness_follows_the_daemon_and_liveness_does_not(api, control):
    assert await get(api, "/readyz") == {"ready": True, "reason": ""}
    control.ready = False
    assert (await get(api, "/readyz", status=503))["ready"] is False
    async with api.get("/livez") as response:
        assert response.status == 200


async def test_metrics_are_what_we_were_given(control):
    async def exposition(accept):
        return f"# for {accept}\n".encode(), "text/plain; version=0.0.4; charset=utf-8"

    async with (
        served_by(control, metrics=exposition) as api,
        api.get("/metrics", headers={"Accept": "x/y"}) as response,
    ):
        assert await response.text() == "# for x/y\n"
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    async with served_by(control) as api:
        assert (await get(api, "/metrics", status=404))["error"] == "NotFound"


async def test_many_questions_at_once_are_all_answered(api):
    found = await asyncio.gather(*(get(api, "/api/v1/mirrors") for _ in range(50)))
    assert all(len(one["mirrors"]) == len(FakeControl().mirrors()) for one in found)


def test_every_operation_has_a_name_of_its_own():
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))
