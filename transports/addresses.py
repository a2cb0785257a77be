"""Which network addresses a source may be on: public ones, unless the operator allowed the origin.

Checked when the socket is made, so that names, literals, redirects and names that change their mind all pass here.
"""

import ipaddress
from urllib.parse import urlsplit

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CGNAT = ipaddress.ip_network("100.64.0.0/10")
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}


def is_public(host: str) -> bool:
    """Tell whether a numeric address is one that anybody can reach; False for what is no address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    elif address in _CGNAT:
        return False
    return address.is_global and not address.is_multicast and not address.is_unspecified


def origin_of(url: str) -> str:
    """Return `scheme://host[:port]`, without a default port."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port in (None, _PORTS.get(parts.scheme)) else f"{parts.scheme}://{host}:{port}"


def refusal(origin: str, host: str) -> str:
    """Return what to tell the operator of an address that is not public."""
    return (
        f"{origin}: is on the private address {host}, which sources may not reach unless it is allowed: "
        f"--allow-private {origin}, or allow_private in syncd.yaml"
    )
