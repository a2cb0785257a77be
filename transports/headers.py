"""What an answer's headers say of a file: its version, its dates, its range, its digests. Pure: strings in, values out.

`headers` have lower-case names.
"""

import binascii
import calendar
import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, date

MOST_RETRY_AFTER = 3600.0  # seconds
MODIFIED = "modified:"

_RANGE = re.compile(r"bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE)
_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]+"')
_MONTHS = {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6}
_MONTHS |= {"Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12}
_EPOCH = date(1970, 1, 1).toordinal()
_DIGEST = re.compile(r"\s*(sha-256|sha-512)\s*=\s*:?([A-Za-z0-9+/]+={0,2}):?\s*", re.IGNORECASE)
_BYTES = {"sha-256": 32, "sha-512": 64}


def version(headers: Mapping[str, str], size: int | None) -> str | None:
    """Return what binds a later read to these bytes: a strong ETag, else `modified:<Last-Modified>|<size>`, else None.

    A weak ETag (`W/`) promises no equal bytes, so it binds nothing.
    """
    etag = headers.get("etag")
    if etag is not None and _STRONG.fullmatch(etag) is not None:
        return etag
    modified = headers.get("last-modified")
    if modified is not None and size is not None and instant(modified) is not None:
        return f"{MODIFIED}{modified}|{size}"
    return None


def binding(version: str | None) -> str | None:
    """Return `version` if a read over http can be bound to it: a strong ETag or `modified:…`, fit for a header."""
    if version is None:
        return None
    if version.startswith('"'):
        return version if _STRONG.fullmatch(version) is not None else None
    if version.startswith(MODIFIED) and instant(version.removeprefix(MODIFIED).partition("|")[0]) is not None:
        return version
    return None


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """Return start, stop and the whole size (None if not said) of a part, or None if they make no sense."""
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    if match is None:
        return None
    start, stop, size = int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])
    return (start, stop, size) if start < stop and (size is None or stop <= size) else None


def length(headers: Mapping[str, str]) -> int | None:
    """Return the announced length of the body."""
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() and text.isascii() and len(text) < 20 else None


def instant(text: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None."""
    if text is None:
        return None
    try:
        if len(text) == 29 and text[3:5] == ", " and text[25:] == " GMT":  # what everybody sends, read ten times faster
            day = date(int(text[12:16]), _MONTHS[text[8:11]], int(text[5:7]))
            seconds = int(text[17:19]) * 3600 + int(text[20:22]) * 60 + int(text[23:25])
            return float((day.toordinal() - _EPOCH) * 86400 + seconds)
        parsed = email.utils.parsedate(text)
        return float(calendar.timegm(parsed)) if parsed is not None else None
    except (ValueError, KeyError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that upstream asks us to wait, capped; None if it does not ask, or writes nonsense."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MOST_RETRY_AFTER)
    try:
        until = email.utils.parsedate_to_datetime(text)
        wait = until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(wait, MOST_RETRY_AFTER) if wait > 0 else None


def digests(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the whole file that `Repr-Digest`, or its forerunner `Digest`, promises, in hex."""
    text = headers.get("repr-digest") or headers.get("digest")
    found: dict[str, str] = {}
    for part in text.split(",") if text else ():
        match = _DIGEST.fullmatch(part)
        if match is None:
            continue
        name = match[1].lower()
        try:
            value = binascii.a2b_base64(match[2], strict_mode=True)
        except binascii.Error:
            continue
        if len(value) == _BYTES[name]:
            found[name.replace("-", "")] = value.hex()
    return found
