"""What the tests of the http transport share: a transport at a hostile server, and a whole read."""

from contextlib import asynccontextmanager

from tests.hostile.server import HostileServer
from transports.http.transport import HttpTransport

CONTENT = bytes(range(256)) * 40
secured_by = []  # the authority of the certificates, where the test runs over TLS (`tests.hostile.conftest`)


@asynccontextmanager
async def hostile(files=None, **options):
    """Yield a server with `x` in it and a transport at its root."""
    files = {"x": CONTENT} if files is None else files
    theirs, ours = (secured_by[0].server, secured_by[0].client) if secured_by else (None, None)
    async with HostileServer(files, ssl_context=theirs) as server, at(server, ssl_context=ours, **options) as transport:
        yield server, transport


@asynccontextmanager
async def at(server, *also, **options):
    """Yield a transport at the root of a server; `also` are other servers it may reach."""
    allowed = frozenset({server.origin, *(other.origin for other in also)})
    transport = HttpTransport(server.url(), **{"user_agent": "syncd/test", "allow_private": allowed} | options)
    try:
        yield transport
    finally:
        await transport.aclose()


async def read(transport, path, **span):
    """Return all bytes of one read."""
    async with transport.open(path, **span) as body:
        return b"".join([chunk async for chunk in body])
