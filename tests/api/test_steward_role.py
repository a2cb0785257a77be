"""A steward plans, syncs, approves and rejects on the mirrors of its token, and nowhere else."""

import pytest

from manifests.yaml import ManifestError, load
from syncd.config.api_access import Token
from syncd.config.load import Config
from tests.api.conftest import NOW, TOKENS, bearer, served_by, sha256
from tests.fakes_control import FakeControl

STEWARD = "syncd_a-steward"
MORE = (*TOKENS, Token(name="stew", role="steward", mirrors=("idle", "fail*"), sha256=sha256(STEWARD)))
V1 = "/api/v1/mirrors"


@pytest.fixture
async def api():
    async with served_by(FakeControl(NOW), tokens=MORE) as session:
        yield session


async def status(api, method, path):
    async with api.request(method, path, headers=bearer(STEWARD)) as answer:
        return answer.status


async def test_its_mirrors_are_planned_synced_and_decided_on_and_others_do_not_exist(api):
    assert await status(api, "POST", f"{V1}/idle/plan") == 200
    assert await status(api, "POST", f"{V1}/idle/sync") == 200
    assert await status(api, "POST", f"{V1}/idle/approve") in (200, 409)
    assert await status(api, "POST", f"{V1}/failing/reject") in (200, 409)
    for act in ("sync", "plan", "approve", "reject"):
        assert await status(api, "POST", f"{V1}/running/{act}") == 404, act
    assert await status(api, "GET", f"{V1}/running") == 404


async def test_what_an_operator_alone_may_do_is_refused(api):
    for act in ("pause", "resume", "cancel", "tag?snapshot=abcd&tag=x", "untag?tag=x"):
        assert await status(api, "POST", f"{V1}/idle/{act}") == 403, act
    assert await status(api, "GET", "/api/v1/audit/verify") == 403


async def test_the_audit_log_shows_it_what_concerns_its_mirrors(api):
    await status(api, "POST", f"{V1}/idle/sync")
    async with api.post(f"{V1}/running/pause", headers=bearer("syncd_right-operator")) as answer:
        assert answer.status == 200
    async with api.get("/api/v1/audit", headers=bearer(STEWARD)) as answer:
        found = (await answer.json())["audit"]
    assert [(one["who"], one["what"], one["mirror"]) for one in found] == [("stew", "sync", "idle")]
    async with api.get("/api/v1/audit/export", headers=bearer(STEWARD)) as answer:
        assert (answer.status, answer.content_type) == (200, "application/jsonl")
        assert '"running"' not in await answer.text()


async def test_the_page_offers_what_it_may_do(api):
    async with api.post(
        "/login", data={"token": STEWARD}, headers={"Origin": str(api._base_url).rstrip("/")}
    ) as answer:
        assert answer.status == 200
    async with api.get("/mirrors/idle") as answer:
        text = await answer.text()
    assert 'value="sync"' in text
    assert 'value="pause"' not in text
    async with api.post(
        "/mirrors/idle/act", data={"act": "pause"}, headers={"Origin": str(api._base_url).rstrip("/")}
    ) as answer:
        assert answer.status == 403


def test_a_steward_without_mirrors_is_a_mistake_that_says_what_to_add():
    text = f"tokens:\n- {{name: stew, role: steward, sha256: {'a' * 64}}}\n"
    with pytest.raises(ManifestError, match=r"names no mirrors: add mirrors, as in mirrors: \[landsat-\*\]"):
        load(text, "syncd.yaml", Config)
