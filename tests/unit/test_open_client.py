"""Which HTTP client is opened: our own connections, or aiohttp's session where a name of aiohttp is missing."""

import asyncio
import logging

import aiohttp.client_proto
import pytest
from aiohttp import web

from syncd.core.errors import Refused, Unreachable, Unsafe
from transports.http import client as module
from transports.http.client import CONNECTOR_NAMES, PROTOCOL_NAMES, STREAM_NAMES, missing_names, open_client
from transports.http.connections import Connections
from transports.http.session import BUFFER, SessionClient


@pytest.fixture(autouse=True)
def _asked_again():
    missing_names.cache_clear()
    yield
    missing_names.cache_clear()


def test_this_aiohttp_has_every_name_that_our_connections_need():
    assert missing_names() == ()
    assert isinstance(open_client(), Connections)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        *(("PROTOCOL_NAMES", name) for name in PROTOCOL_NAMES),
        *(("STREAM_NAMES", name) for name in STREAM_NAMES),
        *(("CONNECTOR_NAMES", name) for name in CONNECTOR_NAMES),
    ],
)
def test_a_name_that_is_missing_is_logged_once_and_the_session_serves(monkeypatch, caplog, table, name):
    monkeypatch.setattr(module, table, (*getattr(module, table), f"{name}_of_another_release"))
    with caplog.at_level(logging.WARNING):
        assert isinstance(open_client(), SessionClient)
        assert isinstance(open_client(), SessionClient)
    assert [f"{name}_of_another_release" in record.getMessage() for record in caplog.records] == [True]


def test_a_class_that_has_lost_its_members_is_noticed(monkeypatch):
    class Other:
        def __init__(self, loop):
            pass

    monkeypatch.setattr(aiohttp.client_proto, "ResponseHandler", Other)
    assert {f"Other.{name}" for name in PROTOCOL_NAMES} <= set(missing_names())


def test_a_class_that_is_missing_is_noticed(monkeypatch):
    monkeypatch.delattr(aiohttp.client_proto, "ResponseHandler")
    assert "ResponseHandler" in missing_names()[0]
    assert isinstance(open_client(), SessionClient)


# -- the session ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def origin(aiohttp_server):
    async def echo(request):
        body = await request.read()
        return web.Response(body=body[::-1], headers={"X-Saw": request.headers.get("X-Say", ""), "x-saw": "again"})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/echo", echo)
    server = await aiohttp_server(app)
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
async def client(origin):
    found = SessionClient(allow_private=frozenset({origin}))
    yield found
    await found.aclose()
    await found.aclose()


async def whole(answer):
    chunks = []
    while chunk := await answer.read():
        chunks.append(chunk)
    answer.finish()
    assert answer.is_at_end()
    answer.close()
    return b"".join(chunks)


@pytest.mark.parametrize("size", [0, 1, BUFFER, 5 * BUFFER + 1])
async def test_the_session_sends_a_body_whole_and_reads_the_answer_whole(client, origin, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    head = f"PUT /echo HTTP/1.1\r\nHost: here\r\nX-Say: a: b\r\nContent-Length: {size}\r\n\r\n".encode()
    answer = await client.ask(origin, head, label="x", body=body)
    assert (answer.status, answer.length) == (200, size)
    assert answer.headers["x-saw"] == "a: b, again"
    assert await whole(answer) == body[::-1]
    assert answer.received == size


async def test_the_session_copies_a_body_to_a_sink(client, origin):
    answer = await client.ask(origin, b"PUT /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\n", label="x", body=b"abc")
    seen = bytearray()
    assert sum([count async for count in answer.copy_to_sink(seen.extend)]) == 3
    assert seen == b"cba"
    answer.close()


async def test_the_session_reaches_no_private_address_that_is_not_allowed(origin):
    client = SessionClient()
    with pytest.raises(Unsafe, match=r"^x: .*is on the private address 127\.0\.0\.1"):
        await client.ask(origin, b"GET /echo HTTP/1.1\r\n\r\n", label="x")
    await client.aclose()


async def test_the_session_says_who_is_not_there(unused_tcp_port):
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    client = SessionClient(allow_private=frozenset({origin}))
    with pytest.raises(Unreachable, match=f"^x: no connection to {origin}"):
        await client.ask(origin, b"GET / HTTP/1.1\r\n\r\n", label="x")
    await client.aclose()


async def test_the_session_gives_up_on_a_server_that_does_not_answer(unused_tcp_port):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", unused_tcp_port)
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    client = SessionClient(allow_private=frozenset({origin}), header_timeout=0.1)
    with pytest.raises(Unreachable, match=r"^x: .* gave no answer in 0\.1 s"):
        await client.ask(origin, b"GET / HTTP/1.1\r\n\r\n", label="x")
    await client.aclose()
    server.close()
    await server.wait_closed()


async def test_the_session_refuses_an_answer_that_is_not_http(unused_tcp_port):
    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", unused_tcp_port)
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    client = SessionClient(allow_private=frozenset({origin}))
    with pytest.raises(Refused, match="invalid HTTP response"):
        await client.ask(origin, b"GET / HTTP/1.1\r\n\r\n", label="x")
    await client.aclose()
    server.close()
    await server.wait_closed()
