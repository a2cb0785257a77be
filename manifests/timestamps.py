"""Writes times as RFC 3339 has them."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Return a time in UTC, to the second. Raises ValueError, OverflowError, OSError for times out of range."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_moment(text: str) -> float:
    """Return the time that a day or a moment of ISO 8601 names, in UTC if it names no zone. Raises ValueError."""
    found = datetime.fromisoformat(text.strip())
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
