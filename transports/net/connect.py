"""A TCP connection to a host, directly or through a proxy.

The address is checked when its socket is made (`socket_policy`). Several addresses are raced (RFC 8305).
"""

import asyncio
import socket

import aiohappyeyeballs

from manifests.messages import message
from syncd.core import Proxy, Unreachable
from transports.net.network import Network
from transports.net.socket_policy import SocketPolicy, connection_error, current, make_socket
from transports.net.tunnel import open_tunnel

STAGGER = 0.25  # seconds until the next address is tried in parallel


async def connect(
    origin: str,
    host: str,
    port: int,
    *,
    allowed: bool,
    timeout: float,  # noqa: ASYNC109  the limit belongs to the message
    label: str,
    network: Network | None = None,
) -> socket.socket:
    """Return a connected socket; `allowed` permits private addresses. Raises Unreachable, Refused, Denied, Unsafe."""
    proxy = network.proxy_for(origin) if network is not None else None
    if proxy is None or network is None:
        return await _connect(origin, host, port, allowed=allowed, timeout=timeout, label=label, network=network)
    network.check(origin, label, allowed=allowed)
    return await connect_through(proxy, origin, host, port, timeout=timeout, label=label, network=network)


async def connect_through(
    proxy: Proxy,
    origin: str,
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109  as above
    label: str,
    network: Network,
    is_tunnel: bool = True,
) -> socket.socket:
    """Return a socket that the proxy has connected to `host`; without `is_tunnel`, one that is connected to the proxy.

    Raises Denied, Unsupported, Unreachable, Refused; each message names the proxy.
    """
    there = message("proxy {proxy}", proxy=proxy.shown)
    made = await _connect(
        there, proxy.host, proxy.port, allowed=proxy.is_trusted, timeout=timeout, label=label, network=network
    )
    if not is_tunnel:
        return made
    try:
        async with asyncio.timeout(timeout):
            await open_tunnel(made, proxy, host, port, origin=origin, label=label)
    except TimeoutError as error:
        made.close()
        raise Unreachable(
            message(
                "{label}: proxy {proxy} gave no connection to {origin} within {timeout:g} s",
                label=label,
                proxy=proxy.shown,
                origin=origin,
                timeout=timeout,
            )
        ) from error
    except BaseException:
        made.close()
        raise
    return made


async def _connect(
    origin: str,
    host: str,
    port: int,
    *,
    allowed: bool,
    timeout: float,  # noqa: ASYNC109  as above
    label: str,
    network: Network | None,
) -> socket.socket:
    dial = SocketPolicy(allowed, network.source_address if network is not None else "")
    family = network.family if network is not None else None
    token = current.set(dial)
    try:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            if family is not None:
                found = sorted(found, key=lambda one: one[0] != family)
            interleave = 1 if family is None else len(found)
            return await aiohappyeyeballs.start_connection(
                found, happy_eyeballs_delay=STAGGER, interleave=interleave, socket_factory=make_socket
            )
    except TimeoutError as error:
        raise Unreachable(
            message(
                "{label}: no connection to {origin} within {timeout:g} s", label=label, origin=origin, timeout=timeout
            )
        ) from error
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        raise connection_error(error, dial, origin, label) from error
    finally:
        current.reset(token)
