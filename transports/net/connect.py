"""A plain connection to a host, to addresses only that a source may reach: for what is not http.

The address is checked when its socket is made (`socket_policy`), and several addresses are raced as browsers do.
"""

import asyncio
import socket

import aiohappyeyeballs

from syncd.core import Unreachable
from transports.net.socket_policy import SocketPolicy, connection_error, current, make_socket

STAGGER = 0.25  # seconds after which the next address is tried beside the first


async def connect(origin: str, host: str, port: int, *, allowed: bool, timeout: float, label: str) -> socket.socket:  # noqa: ASYNC109  the limit belongs to the message
    """Return a connected socket; `allowed` lets it be on a private address. Raises Unreachable, Refused, Unsafe."""
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
        raise Unreachable(f"{label}: no connection to {origin} within {timeout:g} s") from error
    except (OSError, UnicodeError) as error:  # the last for names that are none
        raise connection_error(error, dial, origin, label) from error
    finally:
        current.reset(token)
