"""People sign in on the page with OpenID Connect; a token that does not fit in every respect opens nothing."""

from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from yarl import URL

from manifests.yaml import ManifestError, load
from syncd.config.api_access import ApiSettings
from syncd.config.load import Config
from tests.api.conftest import NOW, served_by
from tests.fakes_control import FakeControl
from tests.servers.nginx import free_port
from tests.servers.oidc import oidc_provider

GRANTS = [
    {"value": "staff", "role": "reader"},
    {"value": "stewards", "role": "steward", "mirrors": ["idle", "fail*"]},
    {"value": "ops", "role": "operator"},
]


class House:
    """A page, its provider, and a browser."""

    def __init__(self, api, provider, clock):
        self.api, self.provider, self.clock = api, provider, clock

    async def sign_in(self, back="/audit"):
        """Follow the link as a browser does; return the last answer's status and text."""
        async with self.api.get(f"/login/provider?back={back}", allow_redirects=True) as answer:
            return answer.status, await answer.text()

    async def status(self, method, path, **more):
        async with self.api.request(
            method, path, headers={"Origin": self.url}, allow_redirects=False, **more
        ) as answer:
            return answer.status

    @property
    def url(self):
        return str(self.api._base_url).rstrip("/")


@asynccontextmanager
async def house_of(*, secret="", **more):
    import time

    control = FakeControl(NOW)
    clock = [0.0]
    async with oidc_provider(secret=secret) as provider:
        port = free_port()
        given = {
            "issuer": provider.issuer,
            "client_id": "syncd",
            "url": f"http://127.0.0.1:{port}",
            "grants": GRANTS,
            **more,
        }
        if secret:
            given["client_secret"] = {"env": "OIDC_SECRET"}
        settings = ApiSettings.model_validate({"sign_in": given, "read": "token"})
        async with served_by(
            control, listen=f"127.0.0.1:{port}", settings=settings, environ={"OIDC_SECRET": secret},
            clock=lambda: time.time() + clock[0],
        ) as api:  # fmt: skip
            yield House(api, provider, clock)


@pytest.fixture
async def house():
    async with house_of() as made:
        yield made


async def test_a_person_signs_in_acts_by_the_claim_and_logs_out(house):
    assert await house.status("GET", "/mirrors/idle") == 303, "not signed in"
    status, text = await house.sign_in()
    assert (status, "Signed in as lin" in text, 'url=/audit"' in text) == (200, True, True)
    assert await house.status("GET", "/mirrors/idle") == 200
    assert await house.status("POST", "/mirrors/idle/act", data={"act": "sync"}) == 303
    assert await house.status("POST", "/mirrors/idle/act", data={"act": "pause"}) == 403, "a steward"
    assert await house.status("POST", "/mirrors/running/act", data={"act": "sync"}) == 404, "of other mirrors"
    async with house.api.get("/audit") as answer:
        assert "lin" in await answer.text()
    kept = house.api.cookie_jar.filter_cookies(URL(house.url))["syncd_session"].value
    assert await house.status("POST", "/logout") == 303
    assert await house.status("GET", "/mirrors/idle") == 303
    house.api.cookie_jar.update_cookies({"syncd_session": kept}, URL(house.url))
    assert await house.status("GET", "/mirrors/idle") == 303, "a kept cookie is worth nothing"


async def test_the_request_has_pkce_a_state_and_a_nonce_that_are_new_each_time(house):
    for _ in range(2):
        await house.sign_in()
    first, second = house.provider.asked
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) > 30
        assert first[name] != second[name]
    assert first["scope"] == "openid profile"


async def test_cookies_are_out_of_reach_for_scripts_and_other_sites(house):
    async with house.api.get("/login/provider", allow_redirects=False) as answer:
        assert answer.status == 303
        (flow,) = answer.headers.getall("Set-Cookie")
        assert {"HttpOnly", "SameSite=Lax", "Path=/login/callback"} <= set(flow.split("; "))
        place = answer.headers["Location"]
    async with house.api.get(place, allow_redirects=False) as answer:
        place = answer.headers["Location"]
    async with house.api.get(place) as answer:
        session = next(one for one in answer.headers.getall("Set-Cookie") if one.startswith("syncd_session="))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(session.split("; "))


async def test_an_answer_of_another_browser_or_replayed_or_late_is_refused(house):
    async with house.api.get("/login/provider", allow_redirects=False) as answer:
        place = answer.headers["Location"]
    async with house.api.get(place, allow_redirects=False) as answer:
        place = answer.headers["Location"]
    async with aiohttp.ClientSession() as other, other.get(place) as answer:
        assert answer.status == 403, "another browser"
    state = parse_qs(urlsplit(place).query)["state"][0]
    async with house.api.get(place.replace(state, state[:-1] + "x")) as answer:
        assert answer.status == 403, "another state"
    house.clock[0] = 700.0
    async with house.api.get(place) as answer:
        assert answer.status == 403, "too late"
    house.clock[0] = 0.0
    async with house.api.get(place) as answer:
        assert answer.status == 200
    async with house.api.get(place) as answer:
        assert answer.status == 403, "a code counts once, and the cookie is gone"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.org"}, {"aud": "another"}, {"nonce": "replayed"}, {"exp": 1}, {"nonce": None},
        {"exp": None}, {"sub": None}, {"aud": ["syncd", "b"]}, {"azp": "b"}, {"iat": None},
    ],
    ids=str,
)  # fmt: skip
async def test_a_token_whose_claims_do_not_fit_opens_nothing(house, change):
    house.provider.change = change
    status, _ = await house.sign_in()
    assert status == 403
    assert await house.status("GET", "/mirrors/idle") == 303


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_an_algorithm_that_proves_nothing_is_refused(house, algorithm):
    house.provider.algorithm = algorithm
    assert (await house.sign_in())[0] == 403


async def test_a_signature_of_a_key_that_is_not_published_is_refused(house):
    house.provider.rotate(publish=False)
    assert (await house.sign_in())[0] == 403


async def test_keys_are_rotated_and_read_again_at_most_once_a_minute(house):
    assert (await house.sign_in())[0] == 200
    house.clock[0] = 100.0
    house.provider.rotate("ES256")
    assert (await house.sign_in())[0] == 200
    assert house.provider.key_reads == 2
    house.provider.rotate("ES256", publish=False)
    for _ in range(3):
        assert (await house.sign_in())[0] == 403
    assert house.provider.key_reads == 2


async def test_a_person_without_a_role_is_refused_and_the_highest_role_counts(house):
    house.provider.claims["groups"] = ["students"]
    status, text = await house.sign_in()
    assert (status, "lin has no role here" in text) == (403, True)
    house.provider.claims["groups"] = ["staff", "ops", "stewards"]
    assert (await house.sign_in())[0] == 200
    assert await house.status("POST", "/mirrors/idle/act", data={"act": "pause"}) == 303


async def test_a_session_ends_by_itself(house):
    assert (await house.sign_in())[0] == 200
    house.clock[0] = 8 * 3_600 + 1
    assert await house.status("GET", "/mirrors/idle") == 303


async def test_a_client_with_a_secret_proves_itself(request):
    async with house_of(secret="top secret") as house:
        house.provider.secret = "top+secret"  # as RFC 6749 encodes it
        assert (await house.sign_in())[0] == 200
        house.provider.secret = "another"
        assert (await house.sign_in())[0] == 503


async def test_a_provider_that_names_itself_otherwise_or_is_away_is_told(house):
    house.provider.named = "https://evil.example.org"
    assert (await house.sign_in())[0] == 403
    async with house_of(issuer=f"http://127.0.0.1:{free_port()}") as other:
        status, text = await other.sign_in()
        assert (status, "does not answer as expected" in text) == (503, True)


async def test_the_way_back_never_leads_to_another_site(house):
    _, text = await house.sign_in(back="//evil.example.org/")
    assert 'url=/"' in text


def test_the_configuration_says_what_is_missing_or_unsafe():
    text = (
        "api:\n  sign_in:\n    issuer: {issuer}\n    client_id: syncd\n    url: https://mirror.example.org\n"
        "    grants: [{{value: a, role: {role}}}]\n"
    )
    load(text.format(issuer="https://login.example.org", role="operator"), "syncd.yaml", Config)
    with pytest.raises(ManifestError, match="is not encrypted"):
        load(text.format(issuer="http://login.example.org", role="operator"), "syncd.yaml", Config)
    with pytest.raises(ManifestError, match="names no mirrors"):
        load(text.format(issuer="https://login.example.org", role="steward"), "syncd.yaml", Config)
