"""Parses the JSON of untrusted catalogues: a field of the wrong type is absent, never fatal.

Rules:
1. Structs name the wanted fields, all optional; leaves are `object` and are converted by `text`, `size`, `moment`.
2. A document that is not JSON, or has another structure, is a DocumentError that describes it.
3. An unusable row is reported at the end (`SkippedEntries`), after all others were yielded.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from manifests.digest import canonical, parse_digest
from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading.document import Document, DocumentError

Shape = TypeVar("Shape")

MAX_ANSWER = 256 << 20  # bytes
MAX_SIZE = 1 << 62  # bytes of one file

_WEB = frozenset({"http", "https"})
# Absolute urls that urljoin and urlsplit leave as they are.
_PLAIN = re.compile(r"(?:https?|s3|gs|ftp)://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?(?:/[!-\"$-:<->@-~]*)?")
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"[^"]*"|[^\s",;]*))?)*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?![^\s,;]))', re.IGNORECASE)


def read_json(document: Document, shape: type[Shape], *, limit: int = MAX_ANSWER) -> Shape:
    """Parse the document's JSON into a Struct; raises DocumentError."""
    body = document.read(limit).removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        start = body.lstrip()[:1]
        if start == b"<":
            said = message("a web page or XML instead of JSON: a login, a new address, or an error page?")
        elif start in (b"{", b"["):
            said = message("JSON with an unexpected structure: {cause}", cause=error)
        else:
            said = message("not JSON: {cause}", cause=error)
        raise DocumentError(message("{url}: {said}", url=document.url, said=said)) from error


def text(value: object) -> str:
    """Return text or a whole number as text, without the space around it; "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def verbatim(value: object) -> str:
    """Return text unchanged, for names; "" for anything else."""
    return value if isinstance(value, str) else ""


def size(value: object) -> int | None:
    """Return an exact number of bytes, None for other values (text of digits is valid, 11.75 is not)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_SIZE:
        return value
    return None


def moment(value: object) -> float | None:
    """Return an ISO date as seconds since the epoch, UTC if it names no zone; None if it is invalid."""
    try:
        found = datetime.fromisoformat(text(value))
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def digests(*published: tuple[object, object]) -> dict[str, str]:
    """Return the digests among (label, value) pairs; `md5:d41d…` carries its own label, "" is ignored.

    Of two values under one label the first is taken.
    """
    found: dict[str, str] = {}
    for label, value in published:
        name, written = text(label), text(value)
        prefix, colon, rest = written.partition(":")
        if colon and prefix.replace("-", "").isalnum():
            name, written = prefix, rest
        read = parse_digest(written, name or None) if written else None
        if read is not None:
            found.setdefault(*read)
    return found


def are_digests(*published: tuple[object, object]) -> bool:
    """Return False if a value under the label of a known algorithm cannot be a digest; unknown labels say nothing."""
    return all(
        canonical(text(label)) is None or parse_digest(text(value), text(label)) is not None
        for label, value in published
    )


def is_plain_url(written: str) -> bool:
    """Return True for an absolute url of usual characters, without query and fragment, which needs no parsing."""
    return _PLAIN.fullmatch(written) is not None


def absolute(document: Document, href: object) -> str | None:
    """Return a link on this page as an absolute url; None if it is invalid."""
    written = text(href)
    if not written or not written.isprintable():
        return None
    if _PLAIN.fullmatch(written) is not None:  # catalogues of millions of assets have no others
        return written
    try:
        url = urljoin(document.url, written)
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme and parts.netloc else None


def page_url(document: Document, href: object) -> str | None:
    """Return the absolute url of another page of this list; None for what cannot be one.

    A server behind a proxy may name its own scheme: a link to the same host without a port means this server.
    """
    url = absolute(document, href)
    if url is None:
        return None
    here, there = urlsplit(document.url), urlsplit(url)
    if there.scheme != here.scheme and there.netloc.lower() == (here.hostname or "") and there.scheme in _WEB:
        return f"{here.scheme}://{here.netloc}{url[len(there.scheme) + 3 + len(there.netloc) :]}"
    return url


def next_link(document: Document) -> str | None:
    """Return the next page that a `Link` header names."""
    for href, parameters in _LINK.findall(document.headers.get("link", "")):
        if _NEXT.search(parameters) is not None:
            return page_url(document, href)
    return None


def dig(value: object, *keys: str) -> object:
    """Return the value at a path of keys; None if a key is missing or its parent has no keys."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def below(folder: str, name: str) -> str:
    """Return the path of a name in a folder ("" for the top); unsafe parts stay, and `check_path` rejects them."""
    return f"{folder}/{name}" if folder else name


def folders(keys: Iterable[str]) -> dict[str, str]:
    """Return the folder for each of several datasets: its own key, as one name; "" for a single dataset.

    Raises InvalidValue if two would share one.
    """
    distinct = list(dict.fromkeys(keys))
    if len(distinct) == 1:
        return {distinct[0]: ""}
    found = {key: re.sub(r"[^\w.-]+", "_", key).strip(".") or "_" for key in distinct}
    if len(set(found.values())) < len(found):
        raise InvalidValue(
            message("two of {distinct} would share one folder", distinct=distinct),
            message("give each a mirror of its own"),
        )
    return found
