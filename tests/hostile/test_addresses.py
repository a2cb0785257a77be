"""A name with several addresses of which one is dead: the others are tried, and soon."""

import asyncio
import contextlib
import socket

import pytest

from tests.hostile.http_case import CONTENT, read
from tests.hostile.server import HostileServer
from transports.http.transport import HttpTransport
from transports.net.connect import connect

NAME = "several.test"


@pytest.fixture
def dead():
    """Yield an address that takes no connections and refuses none: its queue of one is full, and nobody empties it."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.9", 0))
        full.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()


@pytest.fixture
async def server(dead):
    """Yield a good server at the dead one's port, on another address."""
    async with HostileServer({"x": CONTENT}, port=dead[1]) as server:
        yield server


@pytest.fixture
def named(monkeypatch, dead):
    """Have the name mean the dead address first, and then the good one; return how often it was asked for."""
    asked, really = [], socket.getaddrinfo

    def both(host, port, *how, **more):
        if host != NAME:
            return really(host, port, *how, **more)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in (dead[0], "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    return asked


@pytest.mark.fault(29)
async def test_of_several_addresses_a_dead_one_costs_a_moment_and_the_name_is_asked_for_once(server, named):
    origin = f"http://{NAME}:{server.port}"
    transport = HttpTransport(origin, user_agent="t", allow_private=frozenset({origin}), connect_timeout=600.0)
    async with asyncio.timeout(120):
        assert await read(transport, "x") == CONTENT
        async with transport.open("x"), transport.open("x"):
            pass
    assert server.connections == 2
    assert named == [NAME]
    await transport.aclose()


@pytest.mark.fault(29)
async def test_what_is_not_http_tries_the_next_address_as_well(server, named):
    origin = f"ftp://{NAME}:{server.port}"
    async with asyncio.timeout(120):
        found = await connect(origin, NAME, server.port, allowed=True, timeout=600.0, label="x")
    with found:
        assert found.getpeername() == ("127.0.0.1", server.port)
