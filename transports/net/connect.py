"""A plain TCP connection to a host, for protocols other than http.

The address is checked when its socket is made (`socket_policy`). Several addresses are raced (RFC 8305).
"""

import asyncio
import socket

import aiohappyeyeballs

from manifests.messages import message
from syncd.core import Unreachable
from transports.net.socket_policy import SocketPolicy, connection_error, current, make_socket

STAGGER = 0.25  # seconds until the next address is tried in parallel


async def connect(origin: str, host: str, port: int, *, allowed: bool, timeout: float, label: str) -> socket.socket:  # noqa: ASYNC109  the limit belongs to the message
    """Return a connected socket; `allowed` permits private addresses. Raises Unreachable, Refused, Unsafe."""
    dial = SocketPolicy(allowed)
    token = current.set(dial)
    try:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return await aiohappyeyeballs.start_connection(
                found, happy_eyeballs_delay=STAGGER, interleave=1, socket_factory=make_socket
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
