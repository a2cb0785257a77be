"""Finds the institution that an address belongs to: the longest network that has it decides."""

import ipaddress
from collections.abc import Iterable

from syncd.config import NetworkOwner

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """Return an address, an IPv4 one also if it is written as IPv6; None for a text that is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


class NetworkMap:
    """The networks of syncd.yaml."""

    def __init__(self, owners: Iterable[NetworkOwner]) -> None:
        """Of a network that is named twice, the last one stands."""
        found: dict[tuple[int, int], dict[int, NetworkOwner]] = {}
        for owner in owners:
            network = ipaddress.ip_network(owner.cidr)
            shift = network.max_prefixlen - network.prefixlen
            found.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = owner
        self._longest_first = sorted(found.items(), key=lambda one: one[0][1])

    def owner(self, address: Address) -> NetworkOwner | None:
        """Return whose address this is."""
        number = int(address)
        for (version, shift), networks in self._longest_first:
            if version == address.version and (owner := networks.get(number >> shift)) is not None:
                return owner
        return None
