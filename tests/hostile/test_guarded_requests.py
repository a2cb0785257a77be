"""A request that a guard allows is with the system when the guard returns: nothing of it waits in this process."""

import asyncio

import pytest
import uvloop

from syncd.core.errors import LeaseLapsed
from transports.http import open_client
from transports.http.connections import Connections

HEAD = "PUT /b/k HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"


class SlowServer:
    """Reads nothing until it is told to; then it answers once the whole body is there."""

    def __init__(self, length):
        self.length, self.go_on, self.body = length, asyncio.Event(), b""

    async def serve(self, reader, writer):
        writer.transport.pause_reading()
        await self.go_on.wait()
        writer.transport.resume_reading()
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.body = await reader.readexactly(self.length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        except asyncio.IncompleteReadError as error:
            self.body = error.partial
        finally:
            writer.close()


async def put(length, guard):
    """Put a body of this length; `guard` is called with its number and the bytes that wait in this process."""
    slow, calls = SlowServer(length), []
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0)
    host = "{}:{}".format(*server.sockets[0].getsockname())
    client = open_client(allow_private=frozenset({f"http://{host}"}), ssl_context=None, header_timeout=20.0)

    assert isinstance(client, Connections)

    def watched():
        (exchange,) = client._open
        calls.append(exchange._protocol.transport.get_write_buffer_size())
        guard(len(calls))

    head = HEAD.format(host=host, length=length).encode()
    asyncio.get_running_loop().call_later(0.2, slow.go_on.set)
    is_refused = False
    try:
        answer = await client.ask(f"http://{host}", head, label="k", body=b"x" * length, guard=watched)
        answer.close()
    except LeaseLapsed:
        is_refused = True
    finally:
        slow.go_on.set()
        await client.aclose()
        server.close()
        await server.wait_closed()
    return len(slow.body), calls, is_refused


LENGTHS = [1, 1024, 1025, 300_000, 8 << 20]
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(make_loop, work):
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(work)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("length", LENGTHS)
def test_nothing_waits_in_this_process_when_the_guard_is_asked(make_loop, length):
    assert run(make_loop, put(length, lambda _number: None)) == (length, [0, 0], False)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_body_whose_last_bytes_are_refused_never_arrives_whole(make_loop, length):
    def refuse(number):
        if number == 2:
            raise LeaseLapsed("k: the lease has expired")

    received, calls, is_refused = run(make_loop, put(length, refuse))
    assert (calls, is_refused) == ([0, 0], True)
    assert received < length
