"""Acts are jobs over the API and on the page: started by operators only, listed, waited for and cancelled."""

from syncd.config.api_access import Token
from syncd.control import ACTS, tag_of
from tests.api.conftest import NOW, OPERATOR, READER, TOKENS, bearer, served_by, sha256
from tests.api.test_page import login, page, send, words
from tests.fakes_control import FakeControl

LIMITED = "syncd_right-limited"


async def start(api, mirror, verb, body=None, token=OPERATOR):
    given = {"json": body} if body is not None else {}
    async with api.post(f"/api/v1/mirrors/{mirror}/acts/{verb}", headers=bearer(token), **given) as response:
        return response.status, await response.json()


async def test_an_operator_starts_waits_for_lists_and_cancels_a_job(api):
    status, job = await start(api, "idle", "rollback", {"snapshot": "3f2a", "hold": True})
    assert (status, job["act"], job["arguments"]) == (202, "rollback", {"snapshot": "3f2a", "hold": True})
    status, running = await start(api, "idle", "verify", {"read_data": True})
    assert (status, running["state"]) == (202, "running")
    async with api.get("/api/v1/jobs", headers=bearer(OPERATOR)) as response:
        assert [one["id"] for one in (await response.json())["jobs"]] == [running["id"], job["id"]]
    async with api.get(f"/api/v1/jobs/{job['id']}?wait=1", headers=bearer(OPERATOR)) as response:
        assert (await response.json())["state"] == "done"
    for wanted in (200, 409):
        async with api.post(f"/api/v1/jobs/{running['id']}/cancel", headers=bearer(OPERATOR)) as response:
            assert response.status == wanted
    async with api.get("/api/v1/jobs/99", headers=bearer(OPERATOR)) as response:
        assert response.status == 404


async def test_a_reader_starts_no_job_and_a_wrong_argument_is_told(api):
    for kind in ACTS:
        body = {"snapshot": "3f2a", "paths": ["a"], "tag": "v1", "confirm": "idle"}
        wanted = {name: value for name, value in body.items() if name in kind.__struct_fields__}
        status, _ = await start(api, "idle", tag_of(kind), wanted or None, READER)
        assert status == 403, kind
    assert (await start(api, "idle", "restore", {"paths": []}))[0] == 400
    assert (await start(api, "idle", "rollback", {"snapshot": "3f2a", "at": "once"}))[0] == 400
    assert (await start(api, "absent", "release"))[0] == 404


async def test_a_limited_operator_has_the_jobs_of_its_mirrors_only():
    control = FakeControl(NOW)
    token = Token(name="limited", role="operator", sha256=sha256(LIMITED), mirrors=("idle",))
    async with served_by(control, tokens=(*TOKENS, token)) as api:
        other = (await start(api, "failing", "release"))[1]["id"]
        assert (await start(api, "failing", "release", token=LIMITED))[0] in {403, 404}
        own = (await start(api, "idle", "release", token=LIMITED))[1]["id"]
        async with api.get("/api/v1/jobs", headers=bearer(LIMITED)) as response:
            assert [one["id"] for one in (await response.json())["jobs"]] == [own]
        for path, method in ((f"/api/v1/jobs/{other}", api.get), (f"/api/v1/jobs/{other}/cancel", api.post)):
            async with method(path, headers=bearer(LIMITED)) as response:
                assert response.status == 404
        async with api.post(
            "/api/v1/origins/resume", json={"origin": "https://x"}, headers=bearer(LIMITED)
        ) as response:
            assert response.status == 403


async def test_the_page_starts_jobs_and_forgets_by_name(api, control):
    await login(api)
    status, tree, where = await send(api, "/mirrors/idle/job", act="verify", read_data="true")
    assert (status, where.partition("#")[0]) == (200, "/mirrors/idle?job=1")
    assert "Check stored files: running" in words(tree.css_first("#done"))
    assert "ops" in words(tree.css_first("#jobs"))
    assert control.jobs_by_id[1].arguments == {"read_data": True, "repair": False}
    assert (await send(api, "/jobs/1/cancel"))[0] == 200
    assert control.jobs_by_id[1].state == "cancelled"
    assert (await send(api, "/mirrors/idle/job", act="undelete", paths="a b\r\n\r\nc/d\r\n"))[0] == 200
    assert control.jobs_by_id[2].arguments == {"paths": ("a b", "c/d")}
    assert (await send(api, "/mirrors/idle/job", act="nonsense"))[0] == 400
    assert "forgetting" not in str((await page(api, "/mirrors/idle")).html)
    assert "Type retired to confirm" in words(await page(api, "/mirrors/retired"))
