"""The address of the client of a request, behind trusted proxies too."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web


def client_address(request: web.BaseRequest, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """Return the client's address. X-Forwarded-For is trusted only from `proxies`: else a client would choose it."""
    found = request.remote or ""
    if not proxies or "X-Forwarded-For" not in request.headers:
        return found
    chain = [one.strip() for one in ",".join(request.headers.getall("X-Forwarded-For")).split(",")]
    while chain and chain[-1] and _is_in(found, proxies):
        found = chain.pop()
    return found


def _is_in(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
