"""Reads the country of an address from a file in the MaxMind DB format (MMDB), which several providers use.

`maxminddb`, the extra `countries`, reads the format; the records of the providers differ. The file is the operator's: a
damaged one raises ValueError.
"""

from typing import Any

from syncd.usage.networks import Address

MARKER = b"\xab\xcd\xefMaxMind.com"  # the metadata follow it (MaxMind DB file format 2.0)


class CountryTree:
    """An MMDB file with countries, in memory."""

    def __init__(self, path: str) -> None:
        """Read a file. Raises ValueError if it is none or damaged, ImportError without the extra."""
        import maxminddb  # noqa: PLC0415  an extra, for those who have such a file

        self._broken = (maxminddb.InvalidDatabaseError, LookupError, TypeError, OverflowError, UnicodeError)
        try:
            self._file = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
            self._has_v6 = self._file.metadata().ip_version == 6
        except self._broken as error:
            raise ValueError(f"is no MMDB file, or damaged ({error})") from error

    def country(self, address: Address) -> str:
        """Return the country as two small letters, or "". Raises ValueError for a damaged file."""
        if address.version == 6 and not self._has_v6:
            return ""
        try:
            return _code(self._file.get(str(address)))
        except self._broken as error:
            raise ValueError(f"is damaged ({error})") from error


def _code(value: Any) -> str:
    """Return the code of a record, as GeoIP2 and as the smaller files have it."""
    if not isinstance(value, dict):
        return ""
    inner = value.get("country", value.get("registered_country"))
    found = inner.get("iso_code") if isinstance(inner, dict) else value.get("country_code", inner)
    return found.lower() if isinstance(found, str) and len(found) == 2 and found.isalpha() else ""
