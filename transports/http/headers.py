"""Reads the headers of HTTP and S3 answers: version, dates, range, checksums. Pure functions of strings.

`headers` have lower-case names.
"""

import calendar
import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, date

from manifests.digest import canonical, parse_digest
from manifests.messages import message
from syncd.core import Refused

MOST_RETRY_AFTER = 3600.0  # seconds
MODIFIED = "modified:"

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RANGE = re.compile(r"bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.IGNORECASE)
_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]+"')
_MONTHS = {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6}
_MONTHS |= {"Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12}
_EPOCH = date(1970, 1, 1).toordinal()
_PART = re.compile(r"\s*([A-Za-z][A-Za-z0-9_/-]*)\s*=\s*(:?)([A-Za-z0-9+/_-]+={0,2})(:?)\s*")
_AMAZON = "x-amz-checksum-"
_PLAIN = ("repr-digest", "digest")  # of the whole file, in a 206 too
PROMISING = frozenset(
    {
        *_PLAIN, "content-md5", "x-goog-hash",
        *(_AMAZON + name for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5")),
        *(_AMAZON + name for name in ("xxhash64", "xxhash3", "xxhash128")),
    }
)  # fmt: skip
"""The headers in which `digests` looks."""


def joined(given: Mapping[str, str], label: str) -> dict[str, str]:
    """Return the headers with lower-case names; the values of repeated ones are joined by commas.

    Values that are not ASCII are decoded as Latin-1. Raises Refused for control characters; `label` begins the message.
    """
    headers = {name.lower(): value for name, value in given.items()}
    if len(headers) == len(given) and "".join(headers.values()).isprintable():
        return headers
    headers.clear()
    for name, value in given.items():
        text = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")
        if _CONTROL.search(text) is not None:
            raise Refused(
                message("{label} answered with control characters in header {name!a}", label=label, name=name)
            )
        key = name.lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def transfer_coding(headers: Mapping[str, str]) -> str | None:
    """Return the transfer coding in lower case; None if there is none."""
    coding = headers.get("transfer-encoding")
    return None if coding is None else coding.lower()


def version(headers: Mapping[str, str], size: int | None) -> str | None:
    """Return the version that binds later reads: a strong ETag, else `modified:<Last-Modified>|<size>`, else None.

    A weak ETag (`W/`) does not identify the bytes (RFC 9110, section 8.8.1) and is no version.
    """
    etag = headers.get("etag")
    if etag is not None and _STRONG.fullmatch(etag) is not None:
        return etag
    modified = headers.get("last-modified")
    if modified is not None and size is not None and instant(modified) is not None:
        return f"{MODIFIED}{modified}|{size}"
    return None


def binding(version: str | None) -> str | None:
    """Return `version` if a request can name it: a strong ETag, or `modified:…` with a valid date; else None."""
    if version is None:
        return None
    if version.startswith('"'):
        return version if _STRONG.fullmatch(version) is not None else None
    if version.startswith(MODIFIED) and instant(version.removeprefix(MODIFIED).partition("|")[0]) is not None:
        return version
    return None


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """Return start, stop and the size of the whole (None if unknown) of a range; None for an invalid Content-Range."""
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    if match is None:
        return None
    start, stop, size = int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])
    return (start, stop, size) if start < stop and (size is None or stop <= size) else None


def length(headers: Mapping[str, str]) -> int | None:
    """Return the Content-Length, None if there is none."""
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() and text.isascii() and len(text) < 20 else None


def instant(text: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None."""
    if text is None:
        return None
    try:
        if len(text) == 29 and text[3:5] == ", " and text[25:] == " GMT":  # the preferred form, read ten times faster
            day = date(int(text[12:16]), _MONTHS[text[8:11]], int(text[5:7]))
            seconds = int(text[17:19]) * 3600 + int(text[20:22]) * 60 + int(text[23:25])
            return float((day.toordinal() - _EPOCH) * 86400 + seconds)
        parsed = email.utils.parsedate(text)
        return float(calendar.timegm(parsed)) if parsed is not None else None
    except (ValueError, KeyError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return Retry-After in seconds, at most MOST_RETRY_AFTER; None if it is absent or invalid."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MOST_RETRY_AFTER)
    try:
        until = email.utils.parsedate_to_datetime(text)
        wait = until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(wait, MOST_RETRY_AFTER) if wait > 0 else None


def digests(headers: Mapping[str, str], *, part: bool = False) -> dict[str, str]:
    """Return the checksums of the whole file, in hex by algorithm.

    They come from `Repr-Digest` (RFC 9530) and the older `Digest`; if the answer is not a `part` (206), also from
    `Content-MD5`, `x-goog-hash` and `x-amz-checksum-*`. A checksum of the checksums of parts (COMPOSITE, `...-4`) is
    left out, and so is that of a file which Google stores compressed: it is another file than the one that is sent.
    """
    found: dict[str, str] = {}
    for name in _PLAIN:
        for written in headers.get(name, "").split(","):
            _take(found, written)
    if part:
        return found
    if "content-md5" in headers:
        _promise(found, "md5", headers["content-md5"])
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        for written in headers.get("x-goog-hash", "").split(","):
            _take(found, written)
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() != "COMPOSITE":
        for name, value in headers.items():
            if name in PROMISING and name.startswith(_AMAZON):
                _promise(found, name.removeprefix(_AMAZON), value)
    return found


def _take(found: dict[str, str], written: str) -> None:
    """Read `sha-256=:...:` and `md5=...`."""
    match = _PART.fullmatch(written)
    if match is not None and match[2] == match[4]:
        _promise(found, match[1], match[3])


def _promise(found: dict[str, str], label: str, value: str) -> None:
    """Add a valid checksum; of two for one algorithm the first counts."""
    read = parse_digest(value, label)
    if read is not None and canonical(label) == read[0]:
        found.setdefault(*read)
