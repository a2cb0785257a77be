"""Reads the country of an address from a file in the MaxMind DB format (MMDB), which several providers use.

A search tree of bits leads to a record in a data section, whose values are typed and may point elsewhere. The file is
the operator's; one that is damaged raises ValueError, and nothing is read outside of it.
"""

from typing import Any

from syncd.usage.networks import Address

MARKER = b"\xab\xcd\xefMaxMind.com"
GAP = 16  # zero bytes between tree and data
DEEPEST = 32  # values within values
_POINTER_BASES = (0, 2_048, 526_336, 0)
_SIZE_BASES = (29, 285, 65_821)


class CountryTree:
    """An MMDB file with countries."""

    def __init__(self, content: bytes) -> None:
        """Use the content of a file. Raises ValueError if it is none."""
        self._content = content
        start = content.rfind(MARKER)
        if start < 0:
            raise ValueError("has no metadata of an MMDB file")
        about, _ = self._value(start + len(MARKER), start + len(MARKER), 0)
        try:
            self._nodes, self._bits = int(about["node_count"]), int(about["record_size"])
            self._version = int(about["ip_version"])
        except (KeyError, TypeError) as error:
            raise ValueError("lacks a field of its metadata") from error
        if self._bits not in {24, 28, 32}:
            raise ValueError(f"has records of {self._bits} bits")
        self._data = self._nodes * self._bits // 4 + GAP
        if self._data > start:
            raise ValueError("is shorter than its metadata says")
        self._first4 = self._v4_root() if self._version == 6 else 0

    def country(self, address: Address) -> str:
        """Return the country as two small letters, or "". Raises ValueError for a damaged file."""
        if address.version == 6 and self._version == 4:
            return ""
        node = self._first4 if address.version == 4 else 0
        number = int(address)
        for place in range(address.max_prefixlen - 1, -1, -1):
            if node >= self._nodes:
                break
            node = self._child(node, (number >> place) & 1)
        if node <= self._nodes:
            return ""
        value, _ = self._value(self._data + node - self._nodes - GAP, self._data, 0)
        return _code(value)

    def _v4_root(self) -> int:
        node = 0
        for _ in range(96):
            if node >= self._nodes:
                break
            node = self._child(node, 0)
        return node

    def _child(self, node: int, side: int) -> int:
        size = self._bits // 4
        raw = self._content[node * size : (node + 1) * size]
        if self._bits == 28:
            high = raw[3] >> 4 if side == 0 else raw[3] & 15
            return high << 24 | int.from_bytes(raw[:3] if side == 0 else raw[4:])
        half = size // 2
        return int.from_bytes(raw[half * side : half * (side + 1)])

    def _value(self, at: int, base: int, depth: int) -> tuple[Any, int]:
        """Return the value at a place, and the place after it; pointers count from `base`."""
        try:
            return self._decoded(at, base, depth)
        except IndexError as error:
            raise ValueError("ends within a value") from error

    def _decoded(self, at: int, base: int, depth: int) -> tuple[Any, int]:
        if depth > DEEPEST:
            raise ValueError("has values too deep within one another")
        content, control = self._content, self._content[at]
        kind, at = control >> 5, at + 1
        if kind == 1:
            width = (control >> 3) & 3
            high = control & 7 if width < 3 else 0
            to = (high << 8 * (width + 1)) + int.from_bytes(content[at : at + width + 1]) + _POINTER_BASES[width]
            return self._value(base + to, base, depth + 1)[0], at + width + 1
        if kind == 0:
            kind, at = 7 + content[at], at + 1
        size = control & 31
        if size > 28:
            width = size - 28
            size, at = int.from_bytes(content[at : at + width]) + _SIZE_BASES[width - 1], at + width
        if kind == 7:
            found: dict[str, Any] = {}
            for _ in range(size):
                name, at = self._value(at, base, depth + 1)
                found[str(name)], at = self._value(at, base, depth + 1)
            return found, at
        if kind == 11:
            listed: list[Any] = []
            for _ in range(size):
                one, at = self._value(at, base, depth + 1)
                listed.append(one)
            return listed, at
        if kind == 14:
            return bool(size), at
        raw = content[at : at + size]
        if len(raw) < size:
            raise ValueError("ends within a value")
        if kind == 2:
            return raw.decode("utf-8"), at + size
        return (int.from_bytes(raw) if kind in {5, 6, 9, 10} else raw), at + size


def _code(value: Any) -> str:
    """Return the code of a record, as GeoIP2 and as the smaller files have it."""
    if not isinstance(value, dict):
        return ""
    inner = value.get("country", value.get("registered_country"))
    found = inner.get("iso_code") if isinstance(inner, dict) else value.get("country_code", inner)
    return found.lower() if isinstance(found, str) and len(found) == 2 and found.isalpha() else ""
