"""Decides how much of a file a request gets: conditions and ranges of RFC 9110, for one strong ETag. Pure.

Rules:
1. A range is given only of the version that the client names: `If-Range` with another ETag, or another time, brings
   the whole file. So a client that resumes never joins two versions.
2. Several ranges, an unknown unit and a malformed range are ignored: the answer is the whole file.
3. HEAD ignores Range, which is defined for GET only.
"""

import re
from email.utils import formatdate, parsedate_to_datetime

import msgspec
from multidict import MultiMapping

_TAG = re.compile(r'(W/)?"([^"]*)"')
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,19})[ \t]*-[ \t]*([0-9]{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


class Grant(msgspec.Struct, frozen=True):
    """The status of the answer, and the bytes `[start, stop)` that it brings."""

    status: int
    start: int = 0
    stop: int = 0


def grant(method: str, headers: MultiMapping[str], *, size: int, etag: str, modified: int) -> Grant:
    """Return what a GET or HEAD gets of a file of `size` bytes; `etag` is without quotes, `modified` in seconds."""
    if (wanted := _joined(headers, "If-Match")) is not None:
        if not _names(wanted, etag, weakly=False):
            return Grant(412)
    elif (before := _date(headers, "If-Unmodified-Since")) is not None and modified > before:
        return Grant(412)
    if (known := _joined(headers, "If-None-Match")) is not None:
        if _names(known, etag, weakly=True):
            return Grant(304)
    elif (since := _date(headers, "If-Modified-Since")) is not None and modified <= since:
        return Grant(304)
    ranges = headers.getall("Range", ())
    if method != "GET" or len(ranges) != 1 or not _is_same_version(headers, etag, modified):
        return Grant(200, 0, size)
    return _range(ranges[0].strip(" \t"), size)


def http_date(seconds: float) -> str:
    """Return a time as HTTP writes it."""
    return formatdate(max(0, int(seconds)), usegmt=True)


def _range(given: str, size: int) -> Grant:
    found = _RANGE.fullmatch(given)
    if found is None or not (found[1] or found[2]):
        return Grant(200, 0, size)
    first, last = found[1], found[2]
    if not first:
        if int(last) == 0:
            return Grant(416)
        return Grant(206, max(0, size - int(last)), size) if size else Grant(200, 0, 0)
    if last and int(last) < int(first):
        return Grant(200, 0, size)
    if int(first) >= size:
        return Grant(416)
    return Grant(206, int(first), min(size, int(last) + 1) if last else size)


def _is_same_version(headers: MultiMapping[str], etag: str, modified: int) -> bool:
    given = headers.getall("If-Range", ())
    if not given:
        return True
    if len(given) > 1:
        return False
    value = given[0].strip(" \t")
    if (tag := _TAG.fullmatch(value)) is not None:
        return tag[1] is None and tag[2] == etag
    return _seconds(value) == modified


def _joined(headers: MultiMapping[str], name: str) -> str | None:
    found = headers.getall(name, ())
    return ", ".join(found) if found else None


def _names(listed: str, etag: str, *, weakly: bool) -> bool:
    if listed.strip(" \t") == "*":
        return True
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAG.findall(listed))


def _date(headers: MultiMapping[str], name: str) -> int | None:
    found = headers.getall(name, ())
    return _seconds(found[0]) if len(found) == 1 else None


def _seconds(given: str) -> int | None:
    """Return the time of an HTTP date; None for anything else, which a condition ignores."""
    try:
        return int(parsedate_to_datetime(given).timestamp())
    except (ValueError, OverflowError, IndexError):
        return None
