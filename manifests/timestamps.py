"""Writes times as RFC 3339 has them."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Return a time in UTC, to the second. Raises ValueError, OverflowError, OSError for times out of range."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
