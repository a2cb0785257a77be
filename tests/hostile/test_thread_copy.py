"""A body that a thread pours into a file: the same truths as for one that is iterated, and nothing left behind."""

import asyncio
import hashlib
import threading

import pytest

from syncd.core.errors import Interrupted, NoSpace
from syncd.streams.thread_copy import copy_to_sink
from tests.hostile.faults import Extra, Hang, Reset, Truncate
from tests.hostile.http_case import at, hostile, read
from tests.hostile.server import HostileServer

LONG = hashlib.shake_256(b"poured").digest((3 << 20) + 17)


class Glass:
    """A sink that remembers what it was given, and by which threads."""

    def __init__(self):
        self.content = bytearray()
        self.threads = set()

    def __call__(self, chunk):
        self.content += chunk
        self.threads.add(threading.current_thread().name)


class Basin(Glass):
    """A sink with memory of its own, a few bytes of it at a time."""

    def __init__(self, piece):
        super().__init__()
        self.piece = piece
        self.received = 0
        self.given = memoryview(b"")

    def room(self, most):
        self.given = memoryview(bytearray(min(most, self.piece)))
        return self.given

    def __call__(self, chunk):
        super().__call__(chunk)
        self.received += len(chunk) if chunk.obj is self.given.obj else 0


async def poured(transport, path, sink, counts=None, **span):
    counts = [] if counts is None else counts
    async with transport.open(path, **span) as body:
        async for count in copy_to_sink(body, sink):
            counts.append(count)
    return counts


async def test_every_byte_is_poured_once_in_order_by_a_thread_of_the_connection():
    async with hostile({"x": LONG}) as (server, transport):
        glass = Glass()
        counts = await poured(transport, "x", glass)
        assert bytes(glass.content) == LONG
        assert sum(counts) == len(LONG)
        assert all(name.startswith("socket-reader") for name in glass.threads)
        assert await read(transport, "x") == LONG
        assert server.connections == 1  # the connection is good for another body


@pytest.mark.parametrize("piece", [7_777, 1 << 22])
async def test_bytes_are_received_into_the_memory_of_a_sink_that_has_some(authority, piece):
    async with (
        HostileServer({"x": LONG}, ssl_context=authority.server) as secure,
        at(secure, ssl_context=authority.client) as over_tls,
        hostile({"x": LONG}) as (_, plain),
    ):
        for transport in (plain, over_tls):
            basin = Basin(piece)
            await poured(transport, "x", basin)
            assert bytes(basin.content) == LONG
            assert basin.received >= 1 << 20


async def test_a_range_is_poured_as_it_is_read():
    async with hostile({"x": LONG}) as (_, transport):
        glass = Glass()
        await poured(transport, "x", glass, start=1000, stop=2_000_000)
        assert bytes(glass.content) == LONG[1000:2_000_000]


async def test_a_short_body_and_one_through_tls_are_poured_too(authority):
    async with (
        HostileServer({"x": LONG, "s": b"short"}, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
    ):
        for path, content in (("x", LONG), ("s", b"short")):
            glass = Glass()
            await poured(transport, path, glass)
            assert bytes(glass.content) == content


@pytest.mark.parametrize("fault", [Reset(after=2_500_000), Truncate(after=2_500_000), Hang(after=2_500_000)])
async def test_a_body_that_breaks_while_it_is_poured_is_interrupted_and_the_counts_are_exact(fault):
    async with hostile({"x": LONG}, floor=(1, 1.0)) as (server, transport):
        server.fault("x", fault)
        glass, counts = Glass(), []
        with pytest.raises(Interrupted, match=r"^x: "):
            await poured(transport, "x", glass, counts)
        assert sum(counts) == len(glass.content)
        assert bytes(glass.content) == LONG[: len(glass.content)]
        server.assert_spent()


@pytest.mark.fault(4)
async def test_bytes_behind_a_poured_body_are_told_and_never_reach_the_next_read():
    async with hostile({"x": LONG, "y": b"other"}) as (server, transport):
        server.fault("x", Extra(b"garbage"))
        with pytest.raises(Interrupted, match=r"^x: more than the announced"):
            await poured(transport, "x", Glass())
        assert await read(transport, "y") == b"other"
        assert server.connections == 2


async def test_what_the_sink_raises_comes_out_as_it_is():
    def full(chunk):
        raise NoSpace("x: no room")

    async with hostile({"x": LONG, "y": b"other"}) as (_, transport):
        with pytest.raises(NoSpace, match="no room"):
            await poured(transport, "x", full)
        assert await read(transport, "y") == b"other"


async def test_a_pour_that_is_cancelled_ends_its_thread():
    async with hostile({"x": LONG}) as (_, transport):
        began, going_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(chunk):
            loop.call_soon_threadsafe(began.set)
            going_on.wait(120)

        task = asyncio.create_task(poured(transport, "x", slow))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        going_on.set()
        assert await read(transport, "x") == LONG
