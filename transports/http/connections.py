"""A pool of connections to web servers, beneath `transport`; the exchanges on them are in `exchange`.

aiohttp resolves names, connects and parses answers. Its client session, which costs more than all of that, is not used
(docs/adr/0015-own-connections.md), nor the TLS of the event loop (docs/adr/0030-tls-in-threads.md). Rules:
1. An address is checked when its socket is made (`transports.net.socket_policy`).
2. A connection returns to the pool only after a complete answer with no byte behind it; else it is closed.
3. There is no time limit on a body, but a stall limit: the bytes that must arrive while the body is awaited.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_reqrep import ClientRequest
from yarl import URL

from manifests.messages import message
from syncd.core import Proxy, Unreachable
from transports.http.exchange import Exchange
from transports.http.ports import StallLimit
from transports.http.protocol import HttpProtocol, TlsHttpProtocol
from transports.http.proxied import (
    PooledConnection,
    absolute_request,
    answer_of_proxy,
    asks_absolutely,
    connect_by_proxy,
)
from transports.http.request_body import RequestBody
from transports.net import Network, SocketPolicy, connection_error, current, make_socket, usual_ssl_context, valid_until

MAX_ORIGINS = 1024
KEEP_IDLE = 30.0  # seconds
MAX_IDLE = 256  # connections to all origins: each holds a socket
DNS_TTL = 60  # seconds
READERS = 128  # threads that read sockets, at most; started as they are needed
MAX_ADDRESSES = 100  # of the preferred family that come before those of the other one
NO_TIMEOUT = aiohttp.ClientTimeout()  # the caller has one
TICKS = 8  # checks of each exchange in one window of the stall limit


class PreferringResolver(aiohttp.ThreadedResolver):
    """The resolver of the system, which returns the addresses of one family first."""

    def __init__(self, family: int) -> None:
        super().__init__()
        self._family = family

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        found = await super().resolve(host, port, family)
        return sorted(found, key=lambda one: one["family"] != self._family)


class Connections:
    """The connections of one transport, and the exchanges on them; satisfies `ports.HttpClient`."""

    def __init__(
        self,
        *,
        allow_private: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        header_timeout: float = 60.0,
        stall_limit: StallLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
        network: Network | None = None,
    ) -> None:
        """Timeouts are in seconds; `allow_private` are the origins that may be on private addresses.

        `network` has the routes to origins; None connects directly.
        """
        self._network = network
        self.clock = clock
        self.stall_limit = stall_limit if stall_limit is not None else StallLimit()
        self.header_timeout = header_timeout
        self._allow_private = allow_private
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._connectors: dict[str, aiohttp.TCPConnector] = {}  # by scheme
        self._keys: dict[str, ClientRequest] = {}
        self._idle: dict[str, deque[tuple[float, PooledConnection]]] = {}
        self._open: set[Exchange] = set()
        self._tick = min(self.stall_limit.window / TICKS, header_timeout / 4)
        self._watch: asyncio.TimerHandle | None = None
        self._threads: ThreadPoolExecutor | None = None
        self.certificates: dict[str, float] = {}

    def threads(self) -> Executor:
        """Return the threads that read sockets."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="socket-reader")
        return self._threads

    async def ask(
        self,
        origin: str,
        request: bytes,
        *,
        label: str,
        bodiless: bool = False,
        body: RequestBody = b"",
        guard: Callable[[], None] | None = None,
        is_absolute: bool = False,
    ) -> Exchange:
        """Send a request and return its exchange when the head of the answer has arrived; see `ports.HttpClient`.

        `is_absolute` is True for a request that names the whole url, for a proxy.
        """
        if self._network is not None and not is_absolute:
            proxy = self._network.proxy_for(origin)
            if proxy is not None and asks_absolutely(proxy, origin):
                request = absolute_request(request, origin, proxy)
                exchange = await self.ask(
                    origin, request, label=label, bodiless=bodiless, body=body, guard=guard, is_absolute=True
                )
                return self._unless_of_proxy(exchange, proxy, origin, label)
        may_be_stale = not request.startswith(b"POST ")
        idle = self._idle.get(origin)
        while idle:
            _, connection = idle.pop()
            protocol = connection.protocol
            if protocol is None or not protocol.is_connected() or protocol.should_close:
                connection.close()  # by the server, or it sent bytes without a request
                continue
            exchange = Exchange(self, connection, origin, label)
            if await exchange.begin(request, body, guard, bodiless=bodiless, may_be_stale=may_be_stale):
                return exchange
        exchange = Exchange(self, await self._connect(origin, label), origin, label)
        await exchange.begin(request, body, guard, bodiless=bodiless, may_be_stale=False)
        return exchange

    def _unless_of_proxy(self, exchange: Exchange, proxy: Proxy, origin: str, label: str) -> Exchange:
        """Return the exchange. Raises Denied, Unreachable if its answer is the proxy's own."""
        error = answer_of_proxy(proxy, exchange.status, exchange.headers, origin, label)
        if error is None:
            return exchange
        exchange.discard_connection()
        exchange.close()
        raise error

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for exchange in tuple(self._open):
            exchange.discard_connection()
            exchange.close()
        for idle in self._idle.values():
            for _, connection in idle:
                _drop(connection)
        self._idle.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        connectors = [self._connectors.pop(scheme) for scheme in tuple(self._connectors)]
        for connector in connectors:
            await connector.close()
        if connectors:
            await asyncio.sleep(0)  # closed sockets leave the loop in its next turn

    async def _connect_by_proxy(self, network: Network, proxy: Proxy, origin: str, label: str) -> PooledConnection:
        connection = await connect_by_proxy(
            network,
            proxy,
            origin,
            label,
            is_private_allowed=origin in self._allow_private,
            ssl_context=self._ssl_context,
            timeout=self._connect_timeout,
        )
        if (expiry := valid_until(connection.transport)) is not None:
            self.certificates[origin] = expiry
        return connection

    async def _connect(self, origin: str, label: str) -> PooledConnection:
        """Return a new connection."""
        network, source = self._network, ""
        if network is not None:
            proxy, source = network.proxy_for(origin), network.source_address
            if proxy is not None:
                return await self._connect_by_proxy(network, proxy, origin, label)
        key = self._keys.get(origin) or self._key(origin)
        is_secure = origin.startswith("https:")
        policy = SocketPolicy(origin in self._allow_private, source)
        token = current.set(policy)
        try:
            async with asyncio.timeout(self._connect_timeout):
                context = await self._context(origin) if is_secure else None
                connection = await self._connector("https" if is_secure else "http").connect(key, [], NO_TIMEOUT)
                if context is not None:
                    await _secure(connection, context, key.url.raw_host or "")
        except TimeoutError as error:
            raise Unreachable(
                message(
                    "{label}: no connection to {origin} within {connect:g} s",
                    label=label,
                    origin=origin,
                    connect=self._connect_timeout,
                )
            ) from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            raise connection_error(error, policy, origin, label) from error
        finally:
            current.reset(token)
        if is_secure and (expiry := valid_until(connection.transport)) is not None:
            self.certificates[origin] = expiry
        return connection

    async def _context(self, origin: str) -> ssl.SSLContext:
        if self._ssl_context is not None:
            return self._ssl_context
        context = await self._network.ssl_context(origin) if self._network is not None else None
        return context if context is not None else await usual_ssl_context()

    def _connector(self, scheme: str) -> aiohttp.TCPConnector:
        connector = self._connectors.get(scheme)
        if connector is None:
            loop = asyncio.get_running_loop()
            family = self._network.family if self._network is not None else None
            connector = self._connectors[scheme] = aiohttp.TCPConnector(
                limit=0,
                ttl_dns_cache=DNS_TTL,
                socket_factory=make_socket,
                resolver=PreferringResolver(family) if family is not None else None,
                interleave=None if family is None else MAX_ADDRESSES,
            )
            kind = TlsHttpProtocol if scheme == "https" else HttpProtocol
            connector._factory = partial(kind, loop=loop)  # type: ignore[assignment]  # noqa: SLF001  no public way to choose the protocol
        return connector

    def _key(self, origin: str) -> ClientRequest:
        """Return what aiohttp needs to connect to an origin: without TLS, which follows (`TlsHttpProtocol`)."""
        if len(self._keys) >= MAX_ORIGINS:
            self._keys.clear()
            self.certificates.clear()
        url = URL(origin)
        plain = url.with_scheme("http").with_port(url.port)
        key = self._keys[origin] = ClientRequest("GET", plain, loop=asyncio.get_running_loop())
        return key

    def began(self, exchange: Exchange) -> None:
        """Check an exchange for stalls from now on."""
        self._open.add(exchange)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._tick, self._check_stalls)

    def ended(self, exchange: Exchange, connection: PooledConnection, origin: str) -> None:
        """Keep the connection of a finished exchange if it can be reused, else close it."""
        self._open.discard(exchange)
        protocol = connection.protocol
        if protocol is None:
            return
        if protocol.should_close or not protocol.is_connected() or self._watch is None:
            _drop(connection)
            return
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append((self.clock(), connection))
        if sum(map(len, self._idle.values())) > MAX_IDLE:
            longest = min(filter(None, self._idle.values()), key=lambda idle: idle[0][0])
            _drop(longest.popleft()[1])

    def _check_stalls(self) -> None:
        """Check every open exchange, and close idle connections that are too old; runs once per tick."""
        now = self.clock()
        for origin, idle in tuple(self._idle.items()):
            while idle and now - idle[0][0] > KEEP_IDLE:
                idle.popleft()[1].close()
            if not idle:
                del self._idle[origin]
        for exchange in tuple(self._open):
            exchange.check_stall(now, self._tick)
        busy = self._open or self._idle
        self._watch = asyncio.get_running_loop().call_later(self._tick, self._check_stalls) if busy else None


async def _secure(connection: PooledConnection, context: ssl.SSLContext, host: str) -> None:
    """Begin TLS on a new connection, which is closed if that fails."""
    protocol, is_secured = connection.protocol, False
    assert isinstance(protocol, TlsHttpProtocol)
    try:
        await protocol.handshake(context, host)
        is_secured = True
    finally:
        if not is_secured:
            connection.close()


def _drop(connection: PooledConnection) -> None:
    """Close a connection at once, without the closing handshake of TLS."""
    transport = connection.transport
    connection.close()
    if transport is not None:
        transport.abort()
