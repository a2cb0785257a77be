"""Long bodies of requests, which a thread writes to the socket."""

import asyncio
import contextlib
import random

import pytest

from syncd.core import Unreachable
from transports.http.connections import Connections

BODY: list[bytes | memoryview] = [
    memoryview(random.Random(7).randbytes(5 << 20)),
    b"x",
    random.Random(8).randbytes(3 << 20),
]
WHOLE = b"".join(BODY)
HEAD = f"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: {len(WHOLE)}\r\n\r\n".encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that reads a request's body when it is told to."""

    def __init__(self):
        self.may_read = asyncio.Event()
        self.has_head = asyncio.Event()
        self.is_over = asyncio.Event()
        self.early = b""
        self.origin = ""
        self.bodies = []
        self.serving = set()

    async def serve(self, reader, writer):
        self.serving.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.has_head.set()
                if self.early:
                    writer.write(self.early)
                    await writer.drain()
                await self.may_read.wait()
                self.bodies.append(await reader.readexactly(len(WHOLE)))
                writer.write(ANSWER)
        self.is_over.set()


@pytest.fixture
async def peer():
    """A server that waits, and the connections to it."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield peer
    peer.may_read.set()
    server.close()
    if peer.serving:
        await asyncio.wait(peer.serving, timeout=60)


@contextlib.asynccontextmanager
async def connected(peer, **more):
    connections = Connections(allow_private=frozenset({peer.origin}), **more)
    try:
        yield connections
    finally:
        await connections.aclose()


def guards(noted):
    return {"none": None, "guarded": lambda: noted.append(1)}


@pytest.mark.parametrize("kind", ["none", "guarded"])
async def test_a_long_body_arrives_whole_and_its_connection_is_used_again(peer, kind):
    peer.may_read.set()
    noted = []
    async with connected(peer) as connections:
        for _ in range(2):
            answer = await connections.ask(peer.origin, HEAD, label="a", body=BODY, guard=guards(noted)[kind])
            assert await answer.read() == b"ok"
            answer.close()
        assert len(connections._idle[peer.origin]) == 1
    assert peer.bodies == [WHOLE, WHOLE]
    assert len(noted) == (4 if kind == "guarded" else 0)  # before the head and before the last bytes, each time


async def test_the_event_loop_goes_on_while_a_server_takes_no_bytes(peer):
    async with connected(peer) as connections:
        asked = asyncio.create_task(connections.ask(peer.origin, HEAD, label="a", body=BODY))
        await peer.has_head.wait()
        peer.may_read.set()  # from the loop, which would not come to it if it were writing
        answer = await asked
        assert answer.status == 200
        answer.close()
    assert peer.bodies == [WHOLE]


async def test_a_guarded_body_is_not_complete_before_its_guard_allowed_that(peer):
    calls = []

    def guard():
        calls.append(len(peer.bodies))
        if len(calls) == 2:
            raise RuntimeError("the lease is lost")

    peer.may_read.set()
    async with connected(peer) as connections:
        with pytest.raises(RuntimeError, match="the lease is lost"):
            await connections.ask(peer.origin, HEAD, label="a", body=BODY, guard=guard)
    await asyncio.wait_for(peer.is_over.wait(), 60)
    assert not peer.bodies


async def test_an_answer_before_the_body_was_sent_is_the_answer_and_its_connection_is_closed(peer):
    peer.early = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    async with connected(peer) as connections:
        answer = await connections.ask(peer.origin, HEAD, label="a", body=BODY)
        assert answer.status == 403
        assert await answer.read() == b"no"
        answer.close()
        assert not connections._idle.get(peer.origin)


async def test_a_server_that_takes_no_bytes_is_given_up(peer):
    async with connected(peer, header_timeout=0.3) as connections:
        with pytest.raises(Unreachable):
            await connections.ask(peer.origin, HEAD, label="a", body=BODY)


async def test_a_request_that_is_cancelled_ends_its_thread_and_its_connection(peer):
    async with connected(peer) as connections:
        asked = asyncio.create_task(connections.ask(peer.origin, HEAD, label="a", body=BODY))
        await peer.has_head.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        peer.may_read.set()
        await asyncio.wait_for(peer.is_over.wait(), 60)
        connections.threads().shutdown(wait=True)  # hangs if the thread goes on
    assert not peer.bodies
