"""Statuses, addresses, certificates and connections that do not come about. Faults 8, 24 to 26, 28."""

import asyncio
import datetime as dt
import socket
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme

from syncd.core.errors import (
    ConfigError,
    Denied,
    NotFound,
    PermanentError,
    Refused,
    Unreachable,
    Unsafe,
    Unsupported,
)
from syncd.core.ports import Credential
from tests.hostile.faults import Answer, Hang, Status
from tests.hostile.http_case import CONTENT, at, hostile, read
from tests.hostile.server import HostileServer
from transports.http.transport import HttpTransport

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.fault(25, 26)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, Refused),
        (204, PermanentError),
        (400, PermanentError),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (405, Unsupported),
        (407, Denied),
        (408, Unreachable),
        (410, NotFound),
        (412, PermanentError),
        (418, PermanentError),
        (425, Unreachable),
        (429, Refused),
        (451, PermanentError),
        (500, Unreachable),
        (501, Unsupported),
        (502, Unreachable),
        (503, Refused),
        (504, Unreachable),
    ],
)
async def test_a_status_means(status, kind):
    async with hostile() as (server, transport):
        server.fault("x", Status(status, body=b"" if status == 204 else b"no\n"))
        with pytest.raises(kind, match=rf"^x: .*{'' if status == 412 else status}"):
            await read(transport, "x")
        assert await read(transport, "x") == CONTENT
        assert server.connections == 1


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999", 3600.0),
        ("9" * 500, 3600.0),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", None),
        ("Fri, 15 Jan 2099 07:00:00 GMT", 3600.0),
        ("Fri, 99 Jan 2027 08:01:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_heard_in_both_forms_and_capped(status, text, wait):
    async with hostile(now=lambda: NOW) as (server, transport):
        server.fault("x", Status(status, {"Retry-After": text.encode().decode("latin-1")}))
        with pytest.raises(Refused) as caught:
            await read(transport, "x")
        assert caught.value.retry_after == wait


async def test_a_cap_on_connections_refuses_what_is_above_it_and_nothing_else():
    async with hostile(floor=(1, 5.0)) as (server, transport):
        server.cap = 1
        async with transport.open("x") as body:
            with pytest.raises(Refused, match=r"^x: "):
                await read(transport, "x")
            assert b"".join([chunk async for chunk in body]) == CONTENT
        assert await read(transport, "x") == CONTENT
        assert server.refused == 1


@pytest.mark.fault(29)
async def test_nobody_there_is_unreachable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{probe.getsockname()[1]}"
    transport = HttpTransport(origin, user_agent="t", allow_private=frozenset({origin}))
    with pytest.raises(Unreachable, match=rf"^x: no connection to {origin}"):
        await read(transport, "x")
    await transport.aclose()


@pytest.mark.fault(29)
async def test_a_name_that_nobody_has_is_unreachable():
    transport = HttpTransport("http://no-such-host.invalid/", user_agent="t")
    with pytest.raises(Unreachable, match=r"^x: no address found for http://no-such-host.invalid"):
        await read(transport, "x")
    await transport.aclose()


@pytest.mark.fault(8)
async def test_a_connection_that_takes_too_long_is_unreachable():
    with socket.socket() as full:  # a queue of one that nobody empties takes no further connection
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        origin = f"http://127.0.0.1:{full.getsockname()[1]}"
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        transport = HttpTransport(origin, user_agent="t", allow_private=frozenset({origin}), connect_timeout=0.3)
        async with asyncio.timeout(120):
            with pytest.raises(Unreachable, match=r"within 0.3 s"):
                await read(transport, "x")
        await transport.aclose()
        for filler in fillers:
            filler.close()


@pytest.mark.fault(23)
async def test_a_private_address_is_refused_unless_its_origin_is_allowed():
    async with hostile() as (server, _):
        for allowed in ((), (f"http://127.0.0.1:{server.port + 1}",), (f"http://localhost:{server.port}",)):
            transport = HttpTransport(server.url(), user_agent="t", allow_private=frozenset(allowed))
            with pytest.raises(Unsafe, match=rf"^x: .*--allow-private {server.origin}, or allow_private in syncd.yaml"):
                await read(transport, "x")
            await transport.aclose()
        named = f"http://localhost:{server.port}"
        transport = HttpTransport(named, user_agent="t", allow_private=frozenset({named}))
        assert await read(transport, "x") == CONTENT
        with pytest.raises(Unsafe):
            await read(transport, server.url("x"))
        await transport.aclose()


async def test_an_origin_may_be_configured_in_any_spelling():
    async with hostile() as (server, _):
        spelled = f"HTTP://LocalHost:{server.port}/"
        credential = Credential("mine", spelled, "bearer", "s3cret")
        transport = HttpTransport(
            f"http://localhost:{server.port}/",
            user_agent="t",
            credential=credential,
            allow_private=frozenset({spelled}),
        )
        assert await read(transport, "x") == CONTENT
        assert server.requests[-1].headers["authorization"] == "Bearer s3cret"
        await transport.aclose()


@pytest.mark.fault(28)
async def test_a_certificate_of_an_unknown_authority_is_denied(authority):
    async with HostileServer({"x": CONTENT}, ssl_context=authority.server) as server, at(server) as transport:
        with pytest.raises(Denied, match=rf"^x: {server.origin} presents a certificate of an unknown authority"):
            await read(transport, "x")
        assert server.requests == []


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("name", "until", "why"),
    [("example.org", 9_999, "for another host"), ("127.0.0.1", -1, "has expired")],
)
async def test_a_certificate_that_proves_nothing_is_denied(name, until, why):
    authority = trustme.CA()
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=until)
    issued = authority.issue_cert(name, not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), not_after=expires)
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    issued.configure_cert(theirs)
    async with HostileServer({"x": CONTENT}, ssl_context=theirs) as server, at(server, ssl_context=ours) as transport:
        with pytest.raises(Denied, match=rf"^x: .*{why}"):
            await read(transport, "x")


async def _say_hello(reader, writer):
    await reader.read(1)
    writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    await reader.read()
    writer.close()


@pytest.mark.fault(28)
async def test_https_at_a_port_that_speaks_http_is_denied():
    async with await asyncio.start_server(_say_hello, "127.0.0.1", 0) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = HttpTransport(origin, user_agent="t", allow_private=frozenset({origin}))
        with pytest.raises(Denied, match=rf"^x: TLS with {origin} failed"):
            await read(transport, "x")
        await transport.aclose()


@pytest.mark.fault(8)
async def test_a_tls_handshake_that_is_never_answered_is_unreachable():
    async with hostile() as (server, _):
        origin = f"https://127.0.0.1:{server.port}"
        transport = HttpTransport(origin, user_agent="t", allow_private=frozenset({origin}), connect_timeout=0.2)
        with pytest.raises(Unreachable, match=r"within 0.2 s"):
            await read(transport, "x")
        await transport.aclose()


async def test_large_bodies_come_whole_over_tls(authority):
    content = bytes(3 << 20)
    async with (
        HostileServer({"x": content}, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
    ):
        assert await read(transport, "x") == content
        assert await read(transport, "x", start=1 << 20) == content[1 << 20 :]
        assert server.connections == 1


@pytest.mark.parametrize(
    "path",
    ["a b", "a#b", "a?b", "100%", "a%20b", "ä/ö", "a+b&c=d;e", "~'()*!$,:@[]", "a/../b", "日本/語.nc"],
)
async def test_every_path_reaches_the_file_of_that_name(path):
    async with hostile({path: CONTENT}) as (server, transport):
        assert await read(transport, path) == CONTENT
        assert server.requests[-1].path == path


async def test_absolute_urls_are_taken_as_they_are_but_for_what_may_not_stand_in_one():
    async with hostile({"a b": CONTENT}) as (server, transport):
        assert await read(transport, server.origin + "/a%20b?x=%2F&y=[1]#part") == CONTENT
        assert server.requests[-1].target == "/a%20b?x=%2F&y=[1]"
        assert await read(transport, server.origin + "/a b") == CONTENT
        with pytest.raises(NotFound):
            await read(transport, server.origin + "/c\r\nX-Smuggled: 1")
        assert "x-smuggled" not in server.requests[-1].headers
        assert await read(transport, server.origin.upper().replace("HTTP", "http") + "/a%20b") == CONTENT


@pytest.mark.parametrize("url", ["ftp://example.org/x", "s3://bucket/x", "gopher://example.org/"])
async def test_a_url_of_another_scheme_is_unsupported(url):
    async with hostile() as (_, transport):
        with pytest.raises(Unsupported, match="neither http nor https"):
            await read(transport, url)


async def test_a_url_that_names_a_user_or_is_endless_is_refused_without_repeating_the_secret():
    async with hostile() as (server, transport):
        with pytest.raises(Unsafe, match="names a user") as caught:
            await read(transport, f"http://me:s3cret@127.0.0.1:{server.port}/x")
        assert "s3cret" not in str(caught.value)
        with pytest.raises(Unsafe, match=r"9,?[0-9]* characters"):
            await read(transport, server.url("x" * 9000))


async def test_a_secret_with_the_end_of_a_line_in_it_is_a_mistake_of_the_configuration():
    async with hostile() as (server, _):
        credential = Credential("mine", server.origin, "bearer", "s3cret\nX-A: b")
        async with at(server, credential=credential) as transport:
            with pytest.raises(ConfigError, match=r"^mine: ") as caught:
                await read(transport, "x")
            assert "s3cret" not in str(caught.value)


async def test_idle_connections_are_closed_after_a_while():
    clock = [0.0]
    async with hostile(floor=(1, 1.0)) as (server, transport):
        transport._client.clock = lambda: clock[0]
        assert await read(transport, "x") == CONTENT
        clock[0] = 100.0
        async with asyncio.timeout(120):
            while server.open_connections:
                await asyncio.sleep(0.01)
        assert await read(transport, "x") == CONTENT
        assert server.connections == 2


@pytest.mark.promise("P9")
async def test_of_too_many_idle_connections_the_one_idle_longest_is_closed_whatever_its_origin(monkeypatch):
    monkeypatch.setattr("transports.http.connections.MAX_IDLE", 3)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(HostileServer({"x": CONTENT})) for _ in range(5)]
        transport = await stack.enter_async_context(at(*servers))
        for server in (*servers[:3], servers[0], *servers[3:]):  # the first is used again, so the second waits longest
            assert await read(transport, server.url("x")) == CONTENT
        async with asyncio.timeout(120):
            while [server.open_connections for server in servers] != [1, 0, 0, 1, 1]:
                await asyncio.sleep(0.01)
        assert await read(transport, servers[4].url("x")) == CONTENT
        assert await read(transport, servers[1].url("x")) == CONTENT
        assert [server.connections for server in servers] == [1, 2, 1, 1, 1]


async def test_idle_connections_to_one_origin_are_bounded_as_well(monkeypatch):
    monkeypatch.setattr("transports.http.connections.MAX_IDLE", 3)
    async with hostile() as (server, transport):
        async with AsyncExitStack() as stack:
            bodies = [await stack.enter_async_context(transport.open("x")) for _ in range(5)]
            for body in bodies:
                assert b"".join([chunk async for chunk in body]) == CONTENT
            assert server.open_connections == 5
        async with asyncio.timeout(120):
            while server.open_connections != 3:
                await asyncio.sleep(0.01)
        assert await read(transport, "x") == CONTENT
        assert server.connections == 5


async def test_a_caller_s_own_error_passes_through_and_the_connection_is_not_used_again():
    async with hostile({"x": bytes(8 << 20), "y": b"y"}) as (server, transport):
        ours = TimeoutError()
        with pytest.raises(TimeoutError) as caught:
            await _fail_while_reading(transport, ours)
        assert caught.value is ours
        assert await read(transport, "y") == b"y"
        assert server.connections == 2


class Tokens:
    """A broker that always has a token."""

    def token(self):
        return "1"


@pytest.mark.parametrize(
    "answer",
    [Answer(302, [("Location", "/y")], b"moved"), Answer(401, body=b"no"), Answer(503, body=b"busy")],
    ids=["redirect", "token", "refusal"],
)
async def test_a_read_that_is_cancelled_while_an_answer_is_thrown_away_leaves_nothing_open(answer):
    async with hostile({"x": CONTENT, "y": CONTENT}) as (server, _):
        credential = Credential("mine", server.origin, "oauth", "s3cret")
        async with at(server, credential=credential, broker=Tokens()) as transport:
            server.fault("x", Hang(after=1, answer=answer))
            reading = asyncio.create_task(read(transport, "x"))
            async with asyncio.timeout(120):
                while not any(exchange.received for exchange in transport._client._open):
                    await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert transport._client._open == set()
            async with asyncio.timeout(120):
                while server.open_connections:
                    await asyncio.sleep(0.01)
            assert await read(transport, "y") == CONTENT
        server.assert_spent()


async def _fail_while_reading(transport, error):
    async with transport.open("x") as body:
        async for _ in body:
            raise error


async def test_listing_is_not_something_http_can_do():
    async with hostile() as (_, transport):
        with pytest.raises(Unsupported, match="autoindex"):
            transport.list()
        with pytest.raises(Unsupported, match="autoindex"):
            transport.list_pages()


async def test_the_root_itself_is_read_by_an_empty_path():
    async with hostile({"a": b"1", "b/c": b"2"}) as (_, transport):
        page = await read(transport, "")
        assert b'<a href="a">' in page
        assert b'<a href="b/">' in page
        assert b'<a href="c">c</a> ' in await read(transport, "b/")


async def test_a_connection_that_is_reset_as_soon_as_it_is_open_is_refused_every_time():
    async with hostile() as (server, transport):
        server.cap = 0
        for _ in range(20):
            with pytest.raises(Refused, match=r"^x: "):
                await read(transport, "x")
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(_refused(transport)) for _ in range(30)]
        assert all(task.result() for task in tries)
        server.cap = None
        assert await read(transport, "x") == CONTENT


async def _refused(transport):
    try:
        await read(transport, "x")
    except Refused:
        return True
    return False
