"""Which network addresses a source may be on: public ones, unless the operator allowed the origin.

Checked when the socket is made, so that names, literals, redirects and names that change their mind all pass here.
"""

import ipaddress

_WRAPPED = (  # IPv6 networks whose addresses carry an IPv4 address, and how many bits stand behind it
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
_NEVER = (  # a site's own NAT64, Teredo, the site-local addresses of old, documentation
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
    """Tell whether a numeric address is one that anybody can reach; False for what is no address.

    An IPv6 address that wraps an IPv4 one (mapped, NAT64, 6to4) is judged by what is inside.
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
    """Return what to tell the operator of an address that is not public."""
    return (
        f"{origin}: is on the private address {host}, which sources may not reach unless it is allowed: "
        f"--allow-private {origin}, or allow_private in syncd.yaml"
    )
