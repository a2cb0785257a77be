"""What only TLS can do to a body: bytes that are damaged on the way, versions of TLS, a server that ends in the middle."""

import asyncio
import contextlib
import ssl

import pytest

from syncd.core.errors import Interrupted
from tests.hostile.http_case import at, read
from tests.hostile.server import HostileServer
from tests.hostile.test_thread_copy import LONG, Glass, poured
from transports.http.transport import HttpTransport

DAMAGED = 1 << 20  # bytes from the server after which one bit is turned


@contextlib.asynccontextmanager
async def damaging(port):
    """Yield the port of a wire to `port` that turns one bit of what the server sends."""

    async def carry(reader, writer, bit_at):
        seen = 0
        with contextlib.suppress(ConnectionError):
            while chunk := bytearray(await reader.read(1 << 16)):
                if seen <= bit_at < seen + len(chunk):
                    chunk[bit_at - seen] ^= 1
                seen += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def accept(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back, -1), carry(there, writer, DAMAGED))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def iterated(transport, path, sink):
    async with transport.open(path) as body:
        async for chunk in body:
            sink(chunk)


@pytest.mark.fault(9)
@pytest.mark.parametrize("in_thread", [True, False])
async def test_a_bit_that_turns_on_the_way_breaks_the_body_and_nothing_of_its_record_is_given(authority, in_thread):
    async with (
        HostileServer({"x": LONG}, ssl_context=authority.server) as server,
        damaging(server.port) as port,
    ):
        origin = f"https://127.0.0.1:{port}"
        transport = HttpTransport(
            f"{origin}/", user_agent="t", allow_private=frozenset({origin}), ssl_context=authority.client
        )
        glass = Glass()
        with pytest.raises(Interrupted, match=r"^x: broke off after \d+ of"):
            await (poured if in_thread else iterated)(transport, "x", glass)
        assert len(glass.content) <= DAMAGED
        assert bytes(glass.content) == LONG[: len(glass.content)]
        await transport.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_each_version_of_tls_carries_bodies_in_threads_on_one_connection(authority, version, monkeypatch):
    monkeypatch.setattr(authority.server, "maximum_version", version)
    async with (
        HostileServer({"x": LONG, "y": b"short"}, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
    ):
        for _ in range(2):
            glass = Glass()
            await poured(transport, "x", glass)
            assert bytes(glass.content) == LONG
            assert all(name.startswith("socket-reader") for name in glass.threads)
            assert await read(transport, "y") == b"short"
        assert server.connections == 1
    monkeypatch.undo()


async def test_the_expiry_of_the_certificate_is_known_before_the_first_answer(authority):
    async with (
        HostileServer({"x": b"1"}, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
    ):
        assert await read(transport, "x") == b"1"
        assert transport.certificates[server.origin] > 0
