"""Tokens that are limited to mirrors, expired or revoked; and what strangers see where reading is open."""

import logging
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import msgspec
import pytest

from syncd.api.auth.tokens import Tokens
from syncd.api.errors import HttpError
from syncd.config.api_access import ApiSettings, Token
from syncd.core.events import PassStarted
from tests.api.conftest import NOW, TOKENS, bearer, served_by, sha256
from tests.fakes_control import FakeControl

SCOPED, PARTNER, OLD, GONE = "syncd_scoped-op", "syncd_partner", "syncd_old", "syncd_gone"
LEVELS = {"running": "open", "failing": "restricted", "waiting": "registered"}
HIDDEN = ("idle", "paused", "offline", "nothing-found", "rejected", "retired")
MORE = (
    *TOKENS,
    Token(name="own", role="operator", mirrors=("idle", "fail*"), sha256=sha256(SCOPED)),
    Token(name="uni", role="partner", mirrors=("fail*",), institution="University", sha256=sha256(PARTNER)),
    Token(name="old", role="operator", until=date(2020, 1, 1), sha256=sha256(OLD)),
    Token(name="gone", role="operator", revoked=date(2023, 1, 1), sha256=sha256(GONE)),
)
DOORS = (
    "/", "/api/v1/mirrors", "/api/v1/passes", "/api/v1/series", "/api/v1/manifests", "/api/v1/origins", "/api/v1/scrubs",
    "/api/v1/store", "/api/v1/daemon", "/tunasync.json", "/metrics", "/readyz", "/check", "/login", "/api/v1/openapi.json",
    "/usage", "/api/v1/usage", "/nowhere",
)  # fmt: skip


class Published(FakeControl):
    """Has one open, one registered and one restricted mirror; the others are private."""

    def __init__(self):
        super().__init__(NOW)
        for name, level in LEVELS.items():
            self.by_name[name] = msgspec.structs.replace(self.by_name[name], access=level)


async def metrics(_accept):
    lines = [f'syncd_mirror_files{{mirror="{name}"}} 1' for name in (*LEVELS, *HIDDEN)]
    lines += ['syncd_origin_limit{origin="https://idle.example.org"} 3', "syncd_passes 1", "# HELP x the mirrors"]
    return "".join(f"{line}\n" for line in lines).encode(), "text/plain; version=0.0.4"


@asynccontextmanager
async def public(control=None, **more):
    """A daemon on an address that strangers reach, whose reading is open."""
    given = {"listen": "0.0.0.0:0", "settings": ApiSettings(read="open"), "tokens": MORE, "metrics": metrics, **more}
    async with served_by(control or Published(), **given) as api:
        yield api


def names(text):
    """Return the hidden mirrors that an answer names, as a name, a host or a folder."""
    text = text.replace("nothing_found", "nothing-found")
    shapes = ("/mirrors/{}", '"{}"', "{}.example.org", "The {} archive", "{}.yaml", "{}/", ">{}<")
    states = {f'"{name}"' for name in HIDDEN}  # also words of states
    return [
        shape.format(name)
        for name in HIDDEN
        for shape in shapes
        if shape.format(name) in text and shape.format(name) not in states
    ]


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_no_public_answer_names_a_private_mirror(accept):
    async with public() as api:
        for path in DOORS:
            async with api.get(path, headers={"Accept": accept}) as response:
                assert response.status in {200, 404}, path
                text = await response.text()
                assert names(text) == [], path
        async with api.get("/api/v1/mirrors") as response:
            assert sorted(one["name"] for one in (await response.json())["mirrors"]) == sorted(LEVELS)
        async with api.get("/metrics") as response:
            text = await response.text()
            assert 'mirror="running"' in text
            assert 'mirror="idle"' not in text
            assert "origin=" not in text
            assert "syncd_passes 1" in text


async def test_a_private_mirror_answers_as_an_unknown_one_at_every_route():
    places = ("", "/series", "/passes", "/passes/7/events", "/entries", "/entry?path=a", "/snapshots", "/copies", "/quarantine",
              "/diff?before=0000&after=0000", "/parked", "/failures")  # fmt: skip
    async with public() as api:
        for root in ("/api/v1/mirrors/", "/mirrors/"):
            for place in places if root.startswith("/api") else ("", "/passes", "/passes/7", "/files", "/parked"):
                told = []
                for name in ("idle", "absent"):
                    async with api.get(f"{root}{name}{place}") as response:
                        told.append((response.status, (await response.text()).replace(name, "NAME")))
                assert told[0] == told[1], place
                assert told[0][0] == 404, place


async def test_of_copies_at_other_nodes_strangers_see_how_fresh_they_are_and_not_where_or_why():
    async with public() as api, api.get("/api/v1/mirrors/running/copies") as response:
        here, near, far = (await response.json())["copies"]
    assert (here["role"], near["is_same"], far["is_same"]) == ("here", True, False)
    assert [one[key] for one in (near, far) for key in ("url", "error", "message")] == ["", "", None] * 2


async def test_of_a_restricted_mirror_strangers_see_the_description_and_no_file():
    async with public() as api:
        async with api.get("/api/v1/mirrors/failing") as response:
            view = await response.json()
        assert view["title"]
        assert view["reason"] == view["manifest"] == ""
        for place in ("entries", "entry?path=a/file00.nc", "failures", "quarantine", "parked", "passes/7/events"):
            async with api.get(f"/api/v1/mirrors/failing/{place}") as response:
                assert response.status == 401, place
        for name in ("running", "waiting"):
            async with api.get(f"/api/v1/mirrors/{name}/entries") as response:
                assert response.status == 200
        async with api.get("/api/v1/mirrors/failing/entries", headers=bearer(PARTNER)) as response:
            assert response.status == 200
        async with api.get("/api/v1/mirrors/idle", headers=bearer(PARTNER)) as response:
            assert response.status == 404


async def test_a_limited_operator_acts_on_and_sees_its_own_mirrors_only():
    control = Published()
    async with public(control) as api:
        headers = bearer(SCOPED)
        async with api.get("/api/v1/mirrors", headers=headers) as response:
            assert sorted(one["name"] for one in (await response.json())["mirrors"]) == sorted({"idle", *LEVELS})
        for name, status in (("idle", 200), ("failing", 200), ("running", 403), ("paused", 404), ("absent", 404)):
            async with api.post(f"/api/v1/mirrors/{name}/pause", headers=headers) as response:
                assert response.status == status, name
        assert [(one.mirror, one.who) for one in control.audited] == [("idle", "own"), ("failing", "own")]
        async with api.post("/api/v1/mirrors/paused/resume", headers=bearer("syncd_right-operator")) as response:
            assert response.status == 200
        async with api.get("/api/v1/audit", headers=headers) as response:
            assert {one["mirror"] for one in (await response.json())["audit"]} == {"idle", "failing"}
        async with api.get("/api/v1/manifests", headers=headers) as response:
            assert {one["mirror"] for one in (await response.json())["manifests"]} == {"idle", "failing"}
        async with api.get("/api/v1/origins", headers=headers) as response:
            assert [one["origin"] for one in (await response.json())["origins"]] == ["https://failing.example.org"]
        async with api.post("/api/v1/plan", headers=headers, json={"text": "x"}) as response:
            assert response.status == 403


async def test_strangers_of_the_event_stream_hear_of_open_mirrors_only():
    control = Published()
    async with public(control) as api, api.get("/api/v1/events") as response:
        for name in ("idle", "failing", "running"):
            control.feed(PassStarted(name, 9, "schedule", ""))
        seen = b""
        while b"running" not in seen:
            seen += await response.content.readany()
        assert b"idle" not in seen
        assert b"failing" not in seen


async def test_a_partner_is_no_operator_and_no_reader_of_the_daemon():
    async with public() as api:
        async with api.post("/api/v1/mirrors/failing/sync", headers=bearer(PARTNER)) as response:
            assert response.status == 403
        async with api.get("/api/v1/audit", headers=bearer(PARTNER)) as response:
            assert response.status == 403


@pytest.mark.parametrize(("given", "word"), [(OLD, "expired"), (GONE, "revoked")])
async def test_an_ended_token_is_refused_as_such_and_the_log_has_its_name(given, word, caplog):
    known = Tokens(MORE, clock=lambda: 0.0, slowness=0.0, now=lambda: NOW)
    for _ in range(2):
        with pytest.raises(HttpError, match=word) as refused:
            await known.authenticate(given, "::1")
        assert refused.value.status == 401
    lines = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(lines) == 1
    assert word in lines[0]
    assert ("old" if given == OLD else "gone") in lines[0]


async def test_a_token_is_good_through_its_last_day_and_a_revocation_takes_effect_without_a_restart():
    token = Token(name="p", role="partner", until=date(2027, 12, 31), sha256=sha256("syncd_p"))
    end = datetime(2028, 1, 1, tzinfo=UTC).timestamp()
    at = end - 1
    known = Tokens([token], clock=lambda: 0.0, slowness=0.0, now=lambda: at)
    assert (await known.authenticate("syncd_p", "::1")).name == "p"
    assert known.named("p") == token
    known.replace([token.model_copy(update={"revoked": date(2026, 1, 1)})])
    assert known.named("p") is None
    with pytest.raises(HttpError, match="revoked"):
        await known.authenticate("syncd_p", "::1")
    at = end
    known.replace([token])
    with pytest.raises(HttpError, match="expired"):
        await known.authenticate("syncd_p", "::1")


async def test_on_loopback_this_machine_sees_all_and_what_came_through_a_proxy_does_not():
    async with served_by(Published(), settings=ApiSettings(hosts=frozenset({"mirror.example.org"}))) as api:
        for headers, everything in (
            ({}, True),
            ({"X-Forwarded-For": "192.0.2.1"}, False),
            ({"Host": "mirror.example.org"}, False),
        ):
            async with api.get("/api/v1/mirrors", headers=headers) as response:
                found = {one["name"] for one in (await response.json())["mirrors"]}
                assert ("idle" in found) == everything, headers


async def test_everybody_sees_private_mirrors_where_the_operator_says_so():
    async with public(settings=ApiSettings(read="all")) as api:
        for headers, everything in (({}, True), ({"X-Forwarded-For": "192.0.2.1"}, False)):
            async with api.get("/api/v1/mirrors", headers=headers) as response:
                found = {one["name"] for one in (await response.json())["mirrors"]}
                assert ("idle" in found) == everything
