"""Opens the HTTP client of a transport: our own connections, or the client session where aiohttp has changed.

`connections` is built on names of aiohttp that its authors may change in any release. They are looked up once, when the
first client is opened. If one is missing, transfers go on over `session`, more slowly, and a warning names it.
See docs/adr/0015-own-connections.md.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from functools import lru_cache

from aiohttp import connector

from transports.http.ports import HttpClient, StallLimit
from transports.http.session import SessionClient
from transports.net import Network

# now, and not when the first client is opened: that is on the event loop, which waits for no file
try:
    from transports.http import connections
except ImportError:  # of a name that aiohttp no longer has
    connections = None  # type: ignore[assignment]  # the name of a module otherwise

_log = logging.getLogger(__name__)

PROTOCOL_NAMES = (
    "_drain_helper", "_loop", "_payload", "_reading_paused", "exception", "feed_data", "force_close", "is_connected",
    "pause_writing", "read", "resume_writing", "set_exception", "set_response_params", "should_close", "transport",
)  # fmt: skip
"""What `protocol`, `exchange` and `bulk_body` use of aiohttp's protocol of a connection."""
STREAM_NAMES = ("at_eof", "exception", "feed_eof", "is_eof", "read_nowait", "readany", "set_exception", "total_bytes")
CONNECTOR_NAMES = ("_factory", "connect")


def open_client(
    *,
    allow_private: frozenset[str] = frozenset(),
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout: float = 30.0,
    header_timeout: float = 60.0,
    stall_limit: StallLimit | None = None,
    clock: Callable[[], float] = time.monotonic,
    network: Network | None = None,
) -> HttpClient:
    """Return a client. Timeouts are in seconds; `allow_private` are the origins that may be on private addresses.

    `network` has the routes to origins; None connects directly.
    """
    client = SessionClient if missing_names() or connections is None else connections.Connections
    return client(
        allow_private=allow_private,
        ssl_context=ssl_context,
        connect_timeout=connect_timeout,
        header_timeout=header_timeout,
        stall_limit=stall_limit,
        clock=clock,
        network=network,
    )


@lru_cache(maxsize=1)
def missing_names() -> tuple[str, ...]:
    """Return the names that `connections` needs and this aiohttp does not have; logs them once."""
    missing = tuple(_look_up())
    if missing:
        _log.warning("aiohttp has no %s: transfers use its client session, which is slower", ", ".join(missing))
    return missing


def _look_up() -> list[str]:
    loop = asyncio.new_event_loop()  # not run: the constructors only want one
    try:
        from aiohttp.client_proto import ResponseHandler  # noqa: PLC0415  may be missing, which is what we look for
        from aiohttp.client_reqrep import ClientRequest  # noqa: F401, PLC0415  as above
        from aiohttp.http import HttpProcessingError, RawResponseMessage  # noqa: F401, PLC0415  as above
        from aiohttp.streams import EMPTY_PAYLOAD, StreamReader  # noqa: F401, PLC0415  as above

        protocol = ResponseHandler(loop)
        found = (
            (protocol, PROTOCOL_NAMES),
            (StreamReader(protocol, 1, loop=loop), STREAM_NAMES),
            (connector.BaseConnector(loop=loop), CONNECTOR_NAMES),
        )
        return [f"{type(one).__name__}.{name}" for one, names in found for name in names if not hasattr(one, name)]
    except (ImportError, AttributeError, TypeError) as error:
        return [str(error)]
    finally:
        loop.close()
