"""How urls are split, escaped and shown; nothing here uses the network."""

import re
from urllib.parse import quote

from manifests.messages import message
from manifests.origins import origin_of
from syncd.core import Unsafe, Unsupported

MAX_URL = 8192  # characters; most servers refuse longer ones

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_PARTS = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_IN_TARGET = "%/?:@!$&'()*+,;=~[]|"  # not escaped in a url
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")  # most paths: nothing to escape
_IN_PATH = "/:@!$&'()*+,;=~"  # not escaped in a path, in which `%`, `?` and `#` are ordinary characters


def is_absolute(path: str) -> bool:
    """Return True if this is a url, not a path."""
    return "://" in path and _ABSOLUTE.match(path) is not None


def split(url: str) -> tuple[str, str]:
    """Return the origin of an http(s) url and its target, path and query.

    The fragment is dropped, invalid characters are escaped. Raises Unsupported for another scheme, Unsafe for a
    url that names a user, is too long, or has no valid host.
    """
    if len(url) > MAX_URL:
        raise Unsafe(
            message(
                "{url}…: a url of {count} characters, {max_url} are allowed",
                url=shown(url)[:100],
                count=len(url),
                max_url=MAX_URL,
            )
        )
    parts = _PARTS.match(url)
    if parts is None:
        raise Unsupported(message("{url}: neither http nor https", url=shown(url)))
    host, target = parts.groups()
    if "@" in host:
        raise Unsafe(message("{url}: names a user; name a credential in the configuration instead", url=shown(url)))
    try:
        origin = origin_of(url)
    except ValueError as error:
        raise Unsafe(message("{url}: this url {cause}", url=shown(url), cause=error)) from error
    return origin, quote(target if target.startswith("/") else f"/{target}", safe=_IN_TARGET)


def escape(path: str) -> str:
    """Write a path as part of a url; `/` stays."""
    return path if _PLAIN.fullmatch(path) is not None else quote(path, safe=_IN_PATH)


def shown(url: str) -> str:
    """Return a url (or path) fit for a message: no query, where secrets travel, no user, nothing invisible."""
    scheme, separator, rest = url.partition("://")
    if separator:
        host, slash, path = rest.partition("?")[0].partition("/")
        url = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return url if url.isprintable() else ascii(url)[1:-1]
