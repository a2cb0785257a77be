"""Connections through a proxy, for the pool of `connections`; nothing here runs without a proxy.

Plain http goes to an HTTP proxy as absolute urls, which it may serve from its cache; everything else through a tunnel.
"""

import asyncio
import ssl
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp.client_proto import ResponseHandler

from manifests.messages import message
from syncd.core import Proxy, SyncdError
from transports.http.protocol import HttpProtocol, TlsHttpProtocol
from transports.net import Network, SocketPolicy, basic_credentials, connection_error, proxy_refusal
from transports.net.connect import connect_through

_PORTS = {"http": 80, "https": 443}
_GATEWAY = frozenset({502, 503, 504})


class PooledConnection(Protocol):
    """What the pool and its exchanges need of a connection."""

    @property
    def protocol(self) -> ResponseHandler | None:
        """The protocol; None once it is closed."""
        ...

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport; None once it is closed."""
        ...

    def close(self) -> None:
        """Close it. May be called twice."""
        ...


class ProxiedConnection:
    """A connection through a proxy; satisfies `PooledConnection`."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self.protocol: HttpProtocol | None = protocol

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport; None once it is closed."""
        return self.protocol.transport if self.protocol is not None else None

    def close(self) -> None:
        """Close it."""
        transport, self.protocol = self.transport, None
        if transport is not None:
            transport.close()


async def connect_by_proxy(
    network: Network,
    proxy: Proxy,
    origin: str,
    label: str,
    *,
    is_private_allowed: bool,
    ssl_context: ssl.SSLContext | None,
    timeout: float,  # noqa: ASYNC109  the limit belongs to the message
) -> ProxiedConnection:
    """Return a new connection to an origin; `ssl_context` replaces the usual one. Raises our own errors."""
    network.check(origin, label, allowed=is_private_allowed)
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    sock = await connect_through(
        proxy, origin, host, port, timeout=timeout, label=label, network=network,
        is_tunnel=not asks_absolutely(proxy, origin),
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    try:
        context = (ssl_context or await network.any_ssl_context(origin)) if parts.scheme == "https" else None
        async with asyncio.timeout(timeout):
            kind = TlsHttpProtocol if context is not None else HttpProtocol
            _, protocol = await loop.create_connection(partial(kind, loop=loop), sock=sock)
            if context is not None and isinstance(protocol, TlsHttpProtocol):
                await protocol.handshake(context, host)
    except (OSError, TimeoutError) as error:
        sock.close()
        raise connection_error(error, SocketPolicy(allowed=True), origin, label) from error
    except BaseException:
        sock.close()
        raise
    return ProxiedConnection(protocol)


def asks_absolutely(proxy: Proxy, origin: str) -> bool:
    """Return True if the proxy is asked for whole urls, not for a tunnel."""
    return proxy.scheme == "http" and origin.startswith("http:")


def absolute_request(request: bytes, origin: str, proxy: Proxy) -> bytes:
    """Return a request with the whole url in its first line, and the login at the proxy."""
    line, _, rest = request.partition(b"\r\n")
    method, target, version = line.split(b" ", 2)
    first = b"%s %s%s %s\r\n" % (method, origin.encode(), target, version)
    return first + basic_credentials(proxy).encode("latin-1") + rest


def answer_of_proxy(proxy: Proxy, status: int, headers: dict[str, str], origin: str, label: str) -> SyncdError | None:
    """Return the error if an answer to an absolute url is that of the proxy, not of the origin."""
    said = headers.get("x-squid-error", "") or headers.get("proxy-status", "")
    if status == 407 or (said and (status in _GATEWAY or (status == 403 and "DENIED" in said.upper()))):
        return proxy_refusal(proxy, status, said[:100] or message("Proxy Authentication Required"), origin, label)
    return None
