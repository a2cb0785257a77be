"""The logins of archives, replayed on several loopback origins: each is sent what is meant for it, and nothing else."""

import asyncio
import base64
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from syncd.core.errors import Denied, PermanentError, Unreachable, Unsafe
from syncd.core.ports import Credential
from syncd.sources.credentialed_transport import CredentialedTransport, RenewableAdapter
from syncd.sources.oauth import TokenBroker
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.hostile.archives import Identity, Scripted, to
from tests.hostile.faults import Answer, Truncate
from tests.hostile.http_case import read
from transports.http.transport import HttpTransport

CONTENT = bytes(range(256)) * 400
SECRETS = ("s3cret", base64.b64encode(b"me:s3cret").decode())


@asynccontextmanager
async def origins(count):
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Scripted(files={"file": CONTENT})) for _ in range(count)]


@asynccontextmanager
async def reading(servers, credential, **more):
    allowed = frozenset(server.origin for server in servers)
    transport = HttpTransport(
        f"{servers[0].origin}/", user_agent="syncd/test", credential=credential, allow_private=allowed, **more
    )
    try:
        yield transport
    finally:
        await transport.aclose()


class Earthdata:
    """Data, login and a cloud that answers to signed urls: three origins."""

    def __init__(self, data, login, cloud):
        self.data, self.login, self.cloud = data, login, cloud
        self.sessions, self.logins = set(), 0
        self.password = base64.b64encode(b"me:s3cret").decode()
        data.script, login.script = self.on_data, self.on_login

    def on_data(self, request):
        if request.path == "login":
            session = f"session{len(self.sessions)}"
            self.sessions.add(session)
            more = ("Set-Cookie", f"DATA={session}; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Path=/; HttpOnly")
            return to("/file", more, ("Set-Cookie", "other=1; Domain=.example.org"))
        if not any(f"DATA={session}" in request.headers.get("cookie", "") for session in self.sessions):
            return to(f"{self.login.origin}/oauth/authorize?client_id=x&redirect_uri=y")
        return to(f"{self.cloud.origin}/file?Signature=abc") if request.path == "file" else None

    def on_login(self, request):
        if request.headers.get("authorization") != f"Basic {self.password}":
            return Answer(401, [("WWW-Authenticate", "Basic")])
        self.logins += 1
        return to(f"{self.data.origin}/login?code=once", ("Set-Cookie", "URS=u; Path=/"))


@asynccontextmanager
async def earthdata(password="s3cret"):
    async with origins(3) as servers:
        archive = Earthdata(*servers)
        me = Credential("edl", servers[0].origin, "login", password, username="me", at=servers[1].origin)
        async with reading(servers, me) as transport:
            yield archive, transport


@pytest.mark.promise("P10")
@pytest.mark.fault(22)
async def test_a_login_through_redirects_leads_to_the_file_and_each_origin_hears_only_its_own():
    async with earthdata() as (archive, transport):
        assert await read(transport, "file") == CONTENT
        assert await read(transport, "file", start=100) == CONTENT[100:]
        assert archive.logins == 1
        assert not any(secret in archive.data.heard() for secret in (*SECRETS, "authorization", "URS="))
        assert not any(word in archive.login.heard() for word in ("DATA=", "session"))
        assert not any(word in archive.cloud.heard() for word in (*SECRETS, "authorization", "cookie", "DATA", "URS"))


async def test_fifty_who_need_to_log_in_do_so_once():
    async with earthdata() as (archive, transport):
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(transport, "file")) for _ in range(50)]
        assert all(one.result() == CONTENT for one in reads)
        assert archive.logins == 1


async def test_a_session_that_ended_is_renewed_by_one_more_login():
    async with earthdata() as (archive, transport):
        await read(transport, "file")
        archive.sessions.clear()
        archive.sessions.add("gone")
        assert await read(transport, "file", start=5) == CONTENT[5:]
        assert archive.logins == 2


async def test_a_wrong_password_is_tried_once_and_then_left_alone():
    async with earthdata("wrong") as (archive, transport):
        reads = await asyncio.gather(*(read(transport, "file") for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, Denied) for one in reads)
        assert "login with credential edl" in str(reads[0])
        assert len(archive.login.requests) == 1


async def test_a_login_that_goes_round_in_a_circle_is_refused():
    async with earthdata() as (archive, transport):
        turns = iter(range(10_000))
        archive.data.script = lambda request: to(f"/file{next(turns)}", ("Set-Cookie", f"DATA={next(turns)}"))
        with pytest.raises(Unsafe, match="redirected more than 20 times"):
            await read(transport, "file")


async def test_without_a_login_no_cookie_is_ever_kept():
    async with origins(1) as (server,):
        server.script = lambda request: Answer(200, [("Set-Cookie", "a=b")], CONTENT)
        async with reading([server], None) as transport:
            await read(transport, "file")
            await read(transport, "file")
        assert "cookie" not in server.requests[1].headers


# -- tokens -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def copernicus(**more):
    """Catalogue, downloads and a store of signed urls, and who gives the tokens: four origins."""
    async with origins(4) as servers:
        catalogue, downloads, store, identity = servers
        tokens = Identity(identity)
        catalogue.script = lambda request: to(f"{downloads.origin}/{request.path}") if request.path == "file" else None

        def guard(request):
            if request.headers.get("authorization") != f"Bearer {tokens.given[-1] if tokens.given else ''}":
                return Answer(401, [("WWW-Authenticate", "Bearer")])
            return to(f"{store.origin}/file?X-Amz-Signature=abc") if more.get("signed") else None

        downloads.script = guard
        me = Credential(
            "cdse", catalogue.origin, "oauth", "s3cret", username="me", at=f"{identity.origin}/token", client="public",
            also=(downloads.origin,),
        )  # fmt: skip
        allowed = frozenset({identity.origin})
        asking = HttpTransport(f"{identity.origin}/", user_agent="syncd/test", allow_private=allowed)
        now = [0.0]

        async def ask(url, body):
            async with asking.ask("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body) as answer:
                return b"".join([chunk async for chunk in answer])

        learnt = []
        broker = TokenBroker(me, ask, learnt.append, clock=lambda: now[0])
        async with reading(servers, me, broker=broker) as transport:
            adapter = RenewableAdapter(lambda _: transport, broker)
            reads = CredentialedTransport(adapter, broker, transport.root, adapter)
            yield servers, tokens, reads, now, learnt
        await asking.aclose()


@pytest.mark.promise("P10")
@pytest.mark.fault(25)
async def test_fifty_readers_cause_one_request_for_a_token_and_each_origin_hears_only_its_own():
    async with copernicus(signed=True) as ((catalogue, downloads, store, identity), tokens, transport, _, learnt):
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(transport, "file")) for _ in range(50)]
        assert all(one.result() == CONTENT for one in reads)
        assert tokens.grants == ["password"]
        assert learnt == ["token1", "refresh1"]
        for server in (catalogue, downloads):
            assert "Bearer token1" in server.heard()
            assert not any(secret in server.heard() for secret in ("s3cret", "refresh1"))
        assert not any(word in store.heard() for word in ("token1", "authorization", "s3cret"))
        assert "Bearer" not in identity.heard()


async def test_a_token_is_renewed_before_it_ends_and_by_its_refresh_token():
    async with copernicus() as (_, tokens, transport, now, _):
        await read(transport, "file")
        now[0] = 600 - 61
        await read(transport, "file")
        assert tokens.grants == ["password"]
        now[0] = 600 - 59
        await read(transport, "file")
        assert tokens.grants == ["password", "refresh_token"]
        tokens.refuses.add("refresh_token")
        now[0] += 600
        await read(transport, "file")
        assert tokens.grants[2:] == ["refresh_token", "password"]


@pytest.mark.fault(25)
async def test_a_token_that_is_refused_in_mid_file_is_renewed_once_and_the_file_goes_on():
    async with copernicus() as ((_, downloads, *_), tokens, transport, *_):
        downloads.fault("file", Truncate(after=1000), when=lambda request: "authorization" in request.headers)
        reads = Retrying(transport, Policy(first=0.0))
        downloads_script = downloads.script
        broken = []

        def once(request):
            if request.headers.get("range") == "bytes=1000-" and not broken:
                broken.append(request.headers["authorization"])
            if request.headers.get("authorization") in broken:
                return Answer(401)  # the session of this token was ended
            return downloads_script(request)

        downloads.script = once
        assert await read(reads, "file") == CONTENT
        assert (len(broken), tokens.grants) == (1, ["password", "refresh_token"])


@pytest.mark.fault(25)
async def test_a_new_token_that_is_refused_at_once_is_not_renewed():
    async with copernicus() as ((_, downloads, *_), tokens, transport, *_):
        downloads.script = lambda request: Answer(401)
        with pytest.raises(Denied, match="credential cdse: is it still valid"):
            await read(transport, "file")
        assert len(tokens.grants) == 1


async def test_a_wrong_password_is_sent_once_whoever_needs_the_token():
    async with copernicus() as (_, tokens, transport, *_):
        tokens.refuses.add("password")
        reads = await asyncio.gather(*(read(transport, "file") for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, Denied) for one in reads)
        assert tokens.grants == ["password"]
        assert "s3cret" not in str(reads[0])


async def test_an_answer_that_holds_no_token_that_can_be_used_is_said_without_showing_it():
    me = Credential("cdse", "https://data.example.org", "oauth", "s3cret", username="me", at="https://id/", client="x")
    for answer in (
        b"<html>",
        b"{}",
        b'{"access_token": "a b\\r\\nX: y"}',
        b'{"access_token": ""}',
        b'{"access_token": 5}',
    ):

        async def ask(url, body, answer=answer):
            return answer

        with pytest.raises(Unreachable, match=r"^credentials.cdse: ") as failed:
            await TokenBroker(me, ask).ready()
        assert "X: y" not in str(failed.value)

    async def away(url, body):
        raise PermanentError("https://id/: upstream answers 400")

    with pytest.raises(Denied, match="no token for it"):
        await TokenBroker(me, away).ready()
