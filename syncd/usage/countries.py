"""Finds the country of an address in a file of the operator: MMDB, CSV, or the list of a regional registry.

The lines of a text are `FIRST,LAST,CC`, `NETWORK,CC`, or those of a registry: `apnic|CN|ipv4|1.0.1.0|256|…`.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from manifests.messages import message
from syncd.core import ConfigError
from syncd.usage.mmdb import MARKER, CountryTree
from syncd.usage.networks import Address

_V6 = 1 << 32  # added to a number of IPv6, so that both versions stand in one list


class Countries(Protocol):
    """A list of countries."""

    def country(self, address: Address) -> str:
        """Return the country as two small letters, or ""."""
        ...


class CountryRanges:
    """Ranges of addresses, each of one country."""

    def __init__(self, text: str) -> None:
        """Read the lines of a list. Raises ValueError, which names the line."""
        found = sorted(_ranges(text))
        self._starts = [start for start, _, _ in found]
        self._found = found

    def country(self, address: Address) -> str:
        """Return the country as two small letters, or ""."""
        number = _number(address)
        place = bisect_right(self._starts, number) - 1
        if place < 0:
            return ""
        _, last, code = self._found[place]
        return code if number <= last else ""


def read_countries(path: Path) -> Countries:
    """Read a list of countries (it blocks). Raises ConfigError, which names the file and the place."""
    try:
        content = path.read_bytes()
        return CountryTree(str(path)) if MARKER in content else CountryRanges(content.decode("utf-8"))
    except ImportError as error:
        raise ConfigError(
            message("usage.country_db: {path}: is an MMDB file: pip install 'syncd[countries]' reads it", path=path)
        ) from error
    except OSError as error:
        raise ConfigError(
            message(
                "usage.country_db: {path}: cannot be read: {cause}: give the path of a file, or delete the key",
                path=path,
                cause=error.strerror,
            )
        ) from error
    except ValueError as error:  # UnicodeDecodeError too
        raise ConfigError(
            message(
                "usage.country_db: {path}: {cause}: give an MMDB file, a CSV file with lines as in "
                "1.0.1.0,1.0.3.255,CN, or the list of a regional registry",
                path=path,
                cause=error,
            )
        ) from error


def _ranges(text: str) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if (found := _range_of(line)) is not None:
                yield found
        except ValueError as error:
            if number == 1:
                continue  # the heading of a CSV
            raise ValueError(f"line {number}: {error}") from error


def _range_of(line: str) -> tuple[int, int, str] | None:
    if "|" in line:
        parts = line.split("|")
        if len(parts) < 7 or parts[2] not in {"ipv4", "ipv6"} or len(parts[1]) != 2 or parts[1] == "ZZ":
            return None  # the heading, a summary, or numbers of networks
        start = ipaddress.ip_address(parts[3])
        size = int(parts[4]) if parts[2] == "ipv4" else 1 << (128 - int(parts[4]))
        return _number(start), _number(start) + size - 1, parts[1].lower()
    parts = [part.strip().strip('"') for part in line.split(",")]
    code = parts[-1].lower()
    if len(parts) not in {2, 3} or len(code) != 2 or not code.isalpha():
        raise ValueError("is not FIRST,LAST,CC or NETWORK,CC")
    if len(parts) == 2:
        network = ipaddress.ip_network(parts[0], strict=False)
        return _number(network[0]), _number(network[-1]), code
    first, last = ipaddress.ip_address(parts[0]), ipaddress.ip_address(parts[1])
    if first.version != last.version or int(first) > int(last):
        raise ValueError("ends before it begins")
    return _number(first), _number(last), code


def _number(address: Address) -> int:
    return int(address) if address.version == 4 else int(address) + _V6
