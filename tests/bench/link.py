"""A long thin link on loopback: delay, a rate for each connection and for all, a cap on connections, and faults.

Each way of the link is a Wire. A handshake costs one round trip before the first byte departs; a connection over the cap
is reset after one round trip; news of an end (FIN, RST) travels like a byte, and the place under the cap is free when
the server's side is.

    python -m tests.bench.link --upstream 127.0.0.1:8080 --rtt 0.2 --rate 4e6 --total 100e6 --cap 64

prints `{"port": n}`, then its counters (`peak` since the last time) for each line it reads, and ends when its standard input does.
"""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import cast

from tests.bench.wire import AHEAD, Counters, Faults, Lane, Shape, Wire, reset


class End(asyncio.Protocol):
    """Our socket at one end of a carried connection."""

    def __init__(self, carried: "Carried") -> None:
        self.carried = carried
        self.transport: asyncio.Transport | None = None
        self.sends: Lane | None = None
        self.gets: Lane | None = None
        self.said_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.carried.made(self)

    def data_received(self, chunk: bytes) -> None:
        if self.sends is not None and not self.sends.dead:
            self.sends.feed(chunk)

    def eof_received(self) -> bool:
        self.said_end = True
        if self.sends is not None:
            self.sends.end()
        self.carried.ended(self)
        return True

    def resume_writing(self) -> None:
        if self.gets is not None:
            self.gets.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.carried.lost(self)


class Carried:
    """One connection: the client's socket, the server's, and a lane each way."""

    def __init__(self, link: "Link") -> None:
        self.link = link
        self.client = End(self)
        self.server = End(self)
        self.counted = False

    def made(self, end: End) -> None:
        if end is self.client:
            self._accept()
        elif end.transport is not None:
            end.transport.pause_reading()

    def _accept(self) -> None:
        link, counters = self.link, self.link.counters
        client = self.client.transport
        assert client is not None
        client.pause_reading()
        if counters.open >= link.shape.cap:
            counters.refused += 1
            link.loop.call_later(link.shape.rtt, reset, client)
            return
        self.counted = True
        counters.accepted += 1
        counters.open += 1
        counters.peak = max(counters.peak, counters.open)
        number = counters.accepted
        faults = link.faults if number % link.faults.every == 0 else Faults()
        self.client.sends = self.server.gets = Lane(link.up, client, Faults())
        link.begin(self, faults)

    async def connect(self, faults: Faults) -> None:
        """Reach upstream and let both lanes run; a refusal upstream is a reset down here."""
        link = self.link
        began = link.loop.time()
        client, up = self.client.transport, self.client.sends
        assert client is not None
        assert up is not None
        plug = socket.socket()
        plug.setblocking(False)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, AHEAD)
        try:
            await link.loop.sock_connect(plug, link.upstream)
            server, _ = await link.loop.create_connection(lambda: self.server, sock=plug)
        except OSError:
            plug.close()
            self._release()
            link.loop.call_later(link.shape.rtt, reset, client)
            return
        self.server.sends = self.client.gets = Lane(link.down, server, faults)
        self.server.sends.open(client, 0.0)
        server.resume_reading()
        up.open(server, began + link.shape.rtt)
        if client.is_closing():
            self.lost(self.client)
        else:
            client.resume_reading()

    def ended(self, end: End) -> None:
        if end is self.server:
            self._release()
        if self.client.said_end and self.server.said_end:
            self.link.loop.call_later(self.link.shape.rtt, self._close)

    def lost(self, end: End) -> None:
        """Take the news to the other end, at the speed of the link."""
        other = self.client if end is self.server else self.server
        if end is self.server:
            self._release()
        if end.gets is not None:
            end.gets.drop()
        if end is self.server and end.sends is not None and not end.said_end:
            end.sends.end()
        if end is self.client and other.transport is not None:
            self.link.loop.call_later(self.link.shape.rtt / 2, other.transport.abort)

    def _close(self) -> None:
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.close()

    def _release(self) -> None:
        if self.counted:
            self.counted = False
            self.link.counters.open -= 1


class Link:
    """A listening link. Use `open_link`."""

    def __init__(self, upstream: tuple[str, int], shape: Shape, faults: Faults) -> None:
        self.loop = asyncio.get_running_loop()
        self.upstream = upstream
        self.shape = shape
        self.faults = faults
        self.counters = Counters()
        self.up = Wire(self.loop, shape, self.counters)
        self.down = Wire(self.loop, shape, self.counters)
        self.port = 0
        self._connecting: set[asyncio.Task[None]] = set()
        self._carried: list[Carried] = []

    def begin(self, carried: Carried, faults: Faults) -> None:
        task = self.loop.create_task(carried.connect(faults))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def carry(self) -> End:
        carried = Carried(self)
        self._carried = [c for c in self._carried if c.client.transport and not c.client.transport.is_closing()]
        self._carried.append(carried)
        return carried.client

    def count(self) -> Counters:
        """Return the counters, bytes included."""
        self.counters.up, self.counters.down = self.up.bytes, self.down.bytes
        return self.counters

    def close(self) -> None:
        for task in self._connecting:
            task.cancel()
        for carried in self._carried:
            for end in (carried.client, carried.server):
                if end.transport is not None:
                    end.transport.abort()


@asynccontextmanager
async def open_link(
    upstream: tuple[str, int], shape: Shape, faults: Faults | None = None, *, port: int = 0
) -> AsyncIterator[Link]:
    """Carry connections from an ephemeral port of 127.0.0.1 to `upstream` until the block is left."""
    link = Link(upstream, shape, faults or Faults())
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * AHEAD)
    listening.bind(("127.0.0.1", port))
    server = await link.loop.create_server(link.carry, sock=listening, backlog=1024)
    link.port = listening.getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        link.close()
        await asyncio.sleep(0)


async def _serve(arguments: argparse.Namespace) -> None:
    host, port = arguments.upstream.rsplit(":", 1)
    shape = Shape(arguments.rtt, arguments.rate, arguments.total, arguments.cap)
    faults = Faults(arguments.reset_after, arguments.corrupt_at, arguments.black_hole_after, arguments.every)
    over = asyncio.Event()
    async with open_link((host, int(port)), shape, faults, port=arguments.port) as link:

        def answer() -> None:
            if not sys.stdin.readline():
                over.set()
                return
            print(json.dumps(asdict(link.count())), flush=True)
            link.counters.peak = link.counters.open

        print(json.dumps({"port": link.port}), flush=True)
        link.loop.add_reader(sys.stdin.fileno(), answer)
        await over.wait()
        link.loop.remove_reader(sys.stdin.fileno())


def main() -> None:
    """Run one link in this process."""
    import uvloop

    usual = Shape()
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("--upstream", required=True, help="host:port")
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--rtt", type=float, default=usual.rtt)
    words.add_argument("--rate", type=float, default=usual.rate)
    words.add_argument("--total", type=float, default=usual.total)
    words.add_argument("--cap", type=int, default=usual.cap)
    words.add_argument("--reset-after", type=int)
    words.add_argument("--corrupt-at", type=int)
    words.add_argument("--black-hole-after", type=int)
    words.add_argument("--every", type=int, default=1)
    uvloop.run(_serve(words.parse_args()))


if __name__ == "__main__":
    main()
