"""Which network addresses a source may use: public ones, unless the operator allows the origin.

They are checked when a socket is made, which covers names, literals, redirects and names that change their address.
"""

import ipaddress

from manifests.messages import message

_WRAPPED = (  # IPv6 networks whose addresses carry an IPv4 address, and the number of bits behind it
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
_NEVER = (  # a site's own NAT64, Teredo, the site-local addresses (deprecated), documentation
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2001::/32"),
    ipaddress.IPv6Network("fec0::/10"),
    ipaddress.IPv6Network("3fff::/20"),
)
_CARRIER = (  # of providers, within their networks
    ipaddress.IPv4Network("100.64.0.0/10"),
    ipaddress.IPv4Network("192.0.0.0/24"),
)


def is_public(host: str) -> bool:
    """Return True if a numeric address is public; False for text that is no address.

    An IPv6 address that wraps an IPv4 one (mapped, NAT64, 6to4) is judged by the IPv4 address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        for network, behind in _WRAPPED:
            if address in network:
                return is_public(str(ipaddress.IPv4Address(int(address) >> behind & 0xFFFFFFFF)))
        if any(address in network for network in _NEVER):
            return False
    elif any(address in network for network in _CARRIER):
        return False
    return address.is_global and not (address.is_multicast or address.is_unspecified or address.is_reserved)


def refusal(origin: str, host: str) -> str:
    """Return the message for an address that is not public."""
    return message(
        "{origin}: is on the private address {host}, which sources may not reach unless it "
        "is allowed: --allow-private {origin}, or allow_private in syncd.yaml",
        origin=origin,
        host=host,
    )
