"""A running daemon whose reading is open tells strangers nothing of a private mirror, at no door."""

import time

import pytest

from syncd.api.rest import ROUTES
from syncd.config.api_access import ApiSettings
from syncd.metrics import Metrics
from tests.api.conftest import OPERATOR, bearer, served_by
from tests.daemons import House

PAGES = ("/", "/check", "/login", "/audit", "/static/nothing", "/nowhere")
HIDDEN = "verborgen"
OPEN = {"listen": "0.0.0.0:0", "settings": ApiSettings(read="open"), "clock": time.time}


@pytest.fixture
async def daemon(tmp_path):
    house = House(tmp_path)
    for name, more in ((HIDDEN, ""), ("shown", "publish: {access: open}\n")):
        house.archive(name, {f"f{n}": bytes([n]) for n in range(4)})
        house.declare(name, "schedule: {every: 1h}\n" + more)
    (house.manifests / "wrong.yaml").write_text(f"mirror: {HIDDEN}-wrong\nsource: {{url: x}}\n")
    async with house.living() as control:
        for name in (HIDDEN, "shown"):
            await house.until(lambda name=name: control.mirror(name).snapshot and house.state_of(name) == "idle")
        yield control


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_no_answer_of_any_route_has_the_name_of_a_private_mirror(daemon, accept):
    metrics = Metrics("0")
    metrics.watch(control=daemon)
    open_to_all = {**OPEN, "metrics": metrics.exposition}
    paths = {route.path.replace("{mirror}", "shown").replace("{pass_id}", "1") for route in ROUTES}
    paths = {path for path in paths if not path.endswith("/events") or "passes" in path}
    async with served_by(daemon, **open_to_all) as api:
        for path in sorted(paths | set(PAGES)):
            for method in ("GET", "POST"):
                async with api.request(method, path, headers={"Accept": accept}, allow_redirects=False) as response:
                    assert HIDDEN not in await response.text(), (method, path)
                    assert not [value for value in response.headers.values() if HIDDEN in value]
        async with api.get("/metrics") as response:
            assert 'mirror="shown"' in await response.text()
        async with api.get("/api/v1/mirrors", headers=bearer(OPERATOR)) as response:
            assert HIDDEN in await response.text()  # the test would see it


async def test_a_private_name_and_an_unknown_one_get_the_same_answer_by_the_same_way(daemon):
    asked = []
    for name in ("mirror", "mirrors", "access"):
        original = getattr(daemon, name)

        def seen(*given, name=name, original=original):
            asked.append(name)
            return original(*given)

        setattr(daemon, name, seen)
    async with served_by(daemon, **OPEN) as api:
        answers = []
        for name in (HIDDEN, "unbekannt"):
            asked.clear()
            async with api.get(f"/api/v1/mirrors/{name}") as response:
                body = (await response.text()).replace(name, "NAME")
                answers.append((response.status, body, tuple(asked)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


async def test_checking_a_manifest_does_not_tell_what_is_mirrored(daemon):
    text = f"mirror: other\nsource: {{url: 'https://h/', reader: autoindex}}\nstore: {{prefix: {HIDDEN}/}}\n"
    async with (
        served_by(daemon, **OPEN) as api,
        api.post("/api/v1/check", json={"text": text}) as response,
    ):
        assert (await response.json())["problems"] == []
