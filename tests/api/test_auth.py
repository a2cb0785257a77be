"""Who is let in: tokens, roles, sessions, hosts, and what other sites can make a browser do (nothing)."""

import asyncio
import hashlib

import pytest

from syncd.api.auth import tokens as tokens_module
from syncd.api.auth.sessions import COOKIE, LASTS, Sessions
from syncd.api.auth.tokens import ALLOWANCE, REGAIN, Tokens, fingerprint, make_token, scrypt
from syncd.api.errors import HttpError
from syncd.config.api_access import ApiSettings, Token
from syncd.core.errors import ConfigError
from tests.api.conftest import OPERATOR, READER, TOKENS, bearer, served_by, sha256

CHANGES = ["sync", "pause", "resume", "approve", "cancel"]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(clock):
    return Tokens(TOKENS, clock=clock, slowness=0.0)


async def refused(known, token, address="192.0.2.1"):
    with pytest.raises(HttpError) as declined:
        await known.authenticate(token, address)
    return declined.value.status


async def login(api, token=OPERATOR, back="/"):
    origin = str(api.served.url)
    return await api.post(
        "/login", data={"token": token, "back": back}, headers={"Origin": origin}, allow_redirects=False
    )


async def act(api, headers, mirror="idle", name="pause"):
    async with api.post(f"/api/v1/mirrors/{mirror}/{name}", headers=headers) as response:
        return response.status


@pytest.mark.parametrize("name", CHANGES)
async def test_nobody_changes_anything_without_an_operators_token(api, control, name):
    before = control.mirrors()
    assert await act(api, {}, name=name) == 401
    assert await act(api, bearer(READER), name=name) == 403
    assert await act(api, bearer("syncd_wrong"), name=name) == 401
    assert await act(api, {"Authorization": "Basic b3BzOm9wcw=="}, name=name) == 401
    assert (control.mirrors(), control.audited) == (before, [])


async def test_reading_is_open_on_loopback_and_can_need_a_token(api, control):
    async with api.get("/api/v1/mirrors") as response:
        assert response.status == 200
    async with served_by(control, settings=ApiSettings(read="token")) as closed:
        for path in ("/api/v1/mirrors", "/tunasync.json", "/metrics", "/api/v1/events"):
            async with closed.get(path) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
        for path in ("/livez", "/readyz", "/api/v1/openapi.json", "/login"):
            async with closed.get(path) as response:
                assert response.status == 200
        async with closed.get("/api/v1/mirrors", headers=bearer(READER)) as response:
            assert response.status == 200
        async with closed.get(
            "/mirrors/idle?done=sync", allow_redirects=False, headers={"Accept": "text/html"}
        ) as response:
            assert (response.status, response.headers["Location"]) == (303, "/login?back=/mirrors/idle%3Fdone%3Dsync")


async def test_a_wrong_token_is_led_nowhere(control):
    async with served_by(control, settings=ApiSettings(read="token")) as api:
        for path in ("/", "/login"):
            headers = {**bearer("syncd_wrong"), "Accept": "text/html"}
            async with api.get(path, headers=headers, allow_redirects=False) as response:
                assert (response.status, response.content_type) == (401, "text/html")


async def test_reading_needs_a_token_where_strangers_could_ask(control):
    async with served_by(control, listen="0.0.0.0:0") as api, api.get("/api/v1/mirrors") as response:
        assert response.status == 401


async def test_a_made_token_is_the_one_that_its_hash_lets_in(clock):
    token, hashed = make_token()
    known = Tokens([Token(name="new", role="operator", sha256=hashed)], clock=clock, slowness=0.0)
    assert token.startswith("syncd_")
    assert len(token) > 40
    assert (await known.authenticate(token, "::1")).name == "new"
    assert await refused(known, token + "x") == 401
    assert make_token() != make_token()


async def test_a_token_that_a_person_chose_is_hashed_slowly_and_only_once(clock, monkeypatch):
    known = Tokens([*TOKENS, Token(name="own", scrypt=scrypt("correct horse"))], clock=clock, slowness=0.0)
    hashed = []
    monkeypatch.setattr(tokens_module, "scrypt", lambda token, salt: hashed.append(token) or scrypt(token, salt))
    for _ in range(3):
        assert (await known.authenticate("correct horse", "::1")).name == "own"
    assert hashed == ["correct horse"]
    assert await refused(known, "wrong horse") == 401
    assert (await known.authenticate(OPERATOR, "::1")).name == "ops"
    assert hashed == ["correct horse", "wrong horse"]
    known.replace(TOKENS)
    assert await refused(known, "correct horse", "::2") == 401


async def test_wrong_tokens_are_counted_and_bounded_for_each_address(known, clock):
    for n in range(ALLOWANCE):
        assert await refused(known, f"syncd_{n}") == 401
    assert await refused(known, "syncd_more") == 429
    with pytest.raises(HttpError) as declined:
        await known.authenticate(OPERATOR, "192.0.2.1")  # not even the right one is looked at
    assert (declined.value.status, declined.value.headers["Retry-After"]) == (429, "30")
    assert (await known.authenticate(OPERATOR, "192.0.2.2")).name == "ops"
    assert known.refused == ALLOWANCE
    clock.now += REGAIN
    assert (await known.authenticate(OPERATOR, "192.0.2.1")).name == "ops"
    assert await refused(known, "syncd_once") == 401
    assert await refused(known, "syncd_again") == 429


async def test_who_has_one_address_of_version_6_has_all_of_its_network(known):
    for n in range(ALLOWANCE):
        assert await refused(known, "syncd_x", f"2001:db8::{n:x}") == 401
    assert await refused(known, "syncd_x", "2001:db8::ffff:1%eth0") == 429
    assert await refused(known, "syncd_x", "2001:db8:0:1::1") == 401


async def test_what_is_remembered_of_strangers_is_bounded(known, monkeypatch):
    monkeypatch.setattr(tokens_module, "ADDRESSES", 3)
    for n in range(9):
        await refused(known, "syncd_x", f"192.0.2.{n}")
    assert len(known._allowances) == 3


async def test_a_wrong_token_waits_and_only_so_many_wait(clock):
    known = Tokens(TOKENS, clock=clock, slowness=30.0)
    tasks = [asyncio.create_task(refused(known, "syncd_x", f"192.0.2.{n}")) for n in range(tokens_module.WAITING)]
    while known._waiting < tokens_module.WAITING:
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    assert await refused(known, "syncd_x", "198.51.100.1") == 429
    assert (await known.authenticate(OPERATOR, "198.51.100.1")).name == "ops"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert known._waiting == 0


async def test_many_tries_at_once_are_many_tries(clock):
    known = Tokens([Token(name="own", scrypt=scrypt("right"))], clock=clock, slowness=0.0)
    statuses = await asyncio.gather(*(refused(known, f"wrong{n}") for n in range(ALLOWANCE + 3)))
    assert (statuses.count(401), statuses.count(429)) == (ALLOWANCE, 3)


def test_a_session_is_only_ours_and_only_for_a_while(known, clock):
    sessions = Sessions(known, clock)
    cookie = sessions.begin(TOKENS[0])
    found = sessions.owner(cookie)
    assert found is not None
    token, until = found
    assert (token.name, until) == ("ops", clock.now + LASTS)
    for forged in (
        "",
        "x",
        "é",
        cookie[:-4],
        cookie[:10] + "AAAA" + cookie[14:],
        "A" * 5000,
        Sessions(known, clock).begin(TOKENS[0]),
    ):
        assert sessions.owner(forged) is None
    clock.now += LASTS
    assert sessions.owner(cookie) is None


def test_a_session_ends_with_its_token(known, clock):
    sessions = Sessions(known, clock)
    cookie = sessions.begin(TOKENS[0])
    known.replace([Token(name="ops", role="operator", sha256=sha256("another"))])
    assert sessions.owner(cookie) is None
    known.replace([Token(name="ops", role="reader", sha256=TOKENS[0].sha256)])
    assert sessions.owner(cookie) is None
    known.replace(TOKENS)
    assert sessions.owner(cookie) is not None
    assert TOKENS[0].sha256
    assert TOKENS[0].sha256 not in fingerprint(TOKENS[0])


async def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(api):
    response = await login(api, back="/mirrors/idle")
    assert (response.status, response.headers["Location"]) == (303, "/mirrors/idle")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert OPERATOR not in cookie


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x", "/\r\nX: y"]
)
async def test_a_login_leads_nowhere_else(api, back):
    assert (await login(api, back=back)).headers["Location"] == "/"
    async with api.get("/language/zh", params={"back": back}, allow_redirects=False) as response:
        assert response.headers["Location"] == "/"


async def test_a_wrong_login_says_so_and_gives_none(api):
    response = await login(api, token="syncd_wrong")
    assert response.status == 401
    assert "Set-Cookie" not in response.headers
    text = await response.text()
    assert "the token is unknown" in text
    assert "syncd_wrong" not in text


@pytest.mark.promise("P10")
async def test_a_session_changes_something_only_from_our_own_page(api, control):
    await login(api)
    own = str(api.served.url)
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": own.replace("://", "://evil")},  # a host that ends as ours does
        {"Origin": f"{own}.evil.example"},
        {"Origin": own, "Sec-Fetch-Site": "same-site"},
    ):
        assert await act(api, headers) == 403
    assert control.audited == []
    assert await act(api, {"Origin": own, "Sec-Fetch-Site": "same-origin"}) == 200
    async with api.get("/api/v1/audit") as response:
        assert (await response.json())["audit"][0]["who"] == "ops"


async def test_another_site_cannot_log_somebody_in(api):
    for origin in ("https://evil.example", str(api.served.url).replace("://", "://evil")):
        async with api.post("/login", data={"token": OPERATOR}, headers={"Origin": origin}) as response:
            assert (response.status, "Set-Cookie" in response.headers) == (403, False)


async def test_after_a_logout_nothing_is_left(api):
    await login(api)
    assert await act(api, {"Origin": str(api.served.url)}) == 200
    async with api.post("/logout", headers={"Origin": str(api.served.url)}, allow_redirects=False) as response:
        assert response.status == 303
    assert await act(api, {"Origin": str(api.served.url)}) == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8750", 200), ("127.0.0.1", 200), ("[::1]:8750", 200), ("10.1.2.3:80", 200), ("LOCALHOST.", 200),
     ("mirror.example.org", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421),
     ("", 421), ("[::1]", 200), ("[::1]evil.example", 421), ("[::1]:80evil.example", 421), ("[127.0.0.1]", 421),
     ("[::1", 421), ("localhost:99999", 421), ("[::1]:65536", 421), ("localhost:65535", 200), ("localhost:\xb2", 421)],
)  # fmt: skip
async def test_a_strangers_name_for_us_is_not_answered(control, host, status):
    async with served_by(control, settings=ApiSettings(hosts=frozenset({"mirror.example.org"}))) as api:
        for path in ("/", "/api/v1/mirrors"):
            async with api.get(path, headers={"Host": host}) as response:
                assert response.status == status
        async with api.get("/livez", headers={"Host": host}) as response:
            assert response.status == 200


async def test_a_proxy_is_believed_only_if_it_is_named(control, monkeypatch):
    wrong = {**bearer("syncd_wrong"), "X-Forwarded-For": "203.0.113.9, 192.0.2.7", "X-Forwarded-Proto": "https"}
    async with served_by(control, settings=ApiSettings(proxies=("127.0.0.1/32",))) as api:
        await (await api.get("/api/v1/mirrors", headers=wrong)).read()
        assert list(api.served.tokens._allowances) == ["192.0.2.7"]
        response = await api.post(
            "/login", data={"token": OPERATOR}, allow_redirects=False,
            headers={"Origin": api.served.url.replace("http:", "https:"), "X-Forwarded-Proto": "https"},
        )  # fmt: skip
        assert "Secure" in response.headers["Set-Cookie"]
    async with served_by(control) as api:
        await (await api.get("/api/v1/mirrors", headers=wrong)).read()
        assert list(api.served.tokens._allowances) == ["127.0.0.1"]
        assert "Secure" not in (await login(api)).headers["Set-Cookie"]


async def test_every_answer_carries_its_policy(api):
    for path in ("/", "/api/v1/mirrors", "/nothing", "/api/v1/nothing", "/livez", "/login"):
        async with api.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Server"] == "syncd"
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_an_address_that_is_taken_is_a_clear_error(control, api):
    port = api.served.url.rsplit(":", 1)[1]
    with pytest.raises(
        ConfigError,
        match=rf"listen: 127.0.0.1:{port}: cannot listen on this address: .*: stop the program that uses it",
    ):
        async with served_by(control, listen=f"127.0.0.1:{port}"):
            pass


def test_no_token_is_ever_kept():
    text = repr(Tokens(TOKENS, clock=lambda: 0.0).__dict__) + repr(TOKENS)
    assert OPERATOR not in text
    assert hashlib.sha256(OPERATOR.encode()).hexdigest() in {one.sha256 for one in TOKENS}
