"""Decides which links of a listing are its children: names come from urls, never from text.

A child is exactly one name below the page's own folder. Other links (parents, sort links, other hosts, `javascript:`)
are not children. A child with an unsafe name is yielded; `check_path` rejects it, and the survey reports it.
"""

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(?:\./)*([^/?#:]+)(/?)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SAFE = "!$&'()*+,;=:@~"  # characters of a path's part that are not escaped (RFC 3986)


class FolderUrl(msgspec.Struct, frozen=True):
    """A folder on a server: its address, and the decoded parts of its path."""

    scheme: str
    host: str
    port: int | None
    parts: tuple[str, ...]
    url: str

    def child(self, href: str) -> tuple[str, bool] | None:
        """Return the decoded name that `href` gives a child of this folder, and whether it is a folder; else None."""
        href = href.strip(" \t\r\n\f")
        plain = _PLAIN.fullmatch(href)
        if plain is not None:
            return _named(plain[1], plain[2] == "/")
        if "?" in href or "#" in href:
            return None
        if not href.startswith("/") and _SCHEME.match(href) is None:
            parts = re.sub(r"^(?:\./)+", "", href).split("/")
        else:
            there = _split(f"{self.scheme}:{href}" if href.startswith("//") else href)
            if there is None or (there[0] is not None and there[0] != (self.scheme, self.host, self.port)):
                return None
            parts = there[1]
            above, parts = parts[: len(self.parts)], parts[len(self.parts) :]
            if tuple(decoded(part) for part in above) != self.parts:
                return None
        if len(parts) == 2 and not parts[1]:
            return _named(parts[0], is_folder=True)
        return _named(parts[0], is_folder=False) if len(parts) == 1 else None

    def below(self, root: "FolderUrl") -> tuple[str, ...] | None:
        """Return the parts of this folder's path below `root`'s; None if it is not below it.

        The same host on https counts as below its http, because servers redirect there.
        """
        depth = len(root.parts)
        origins = {(root.scheme, root.port), ("https", 443 if root.port == 80 else root.port)}
        if (self.scheme, self.port) not in origins or self.host != root.host or self.parts[:depth] != root.parts:
            return None
        rest = self.parts[depth:]
        return None if any(part in {"", ".", ".."} or "/" in part for part in rest) else rest


def folder_of(url: str) -> FolderUrl | None:
    """Return the folder that the page at `url` lists, up to its last `/`; None if it is not an http(s) url."""
    there = _split(url.partition("#")[0].partition("?")[0])
    origin, parts = there if there is not None else (None, [])
    if origin is None or origin[0] not in _PORTS:
        return None
    scheme, host, port = origin
    named = f"[{host}]" if ":" in host else host
    where = named if port == _PORTS[scheme] else f"{named}:{port}"
    found = tuple(decoded(part) for part in parts[:-1])
    return FolderUrl(scheme, host, port, found, f"{scheme}://{where}/" + "".join(f"{quoted(part)}/" for part in found))


def quoted(name: str) -> str:
    """Return one name as it is written in a url."""
    return quote(name, safe=_SAFE, errors="surrogateescape")


def decoded(part: str) -> str:
    """Return one part of a url's path, percent-decoded once; bytes that are not UTF-8 become surrogates."""
    return unquote_to_bytes(part).decode("utf-8", "surrogateescape") if "%" in part else part


def child_name(name: str) -> str | None:
    """Return `name` if it can be the name of one file or folder, None for the folder itself, its parent, or a path."""
    return None if name in {"", ".", ".."} or "/" in name else name


def _named(part: str, is_folder: bool) -> tuple[str, bool] | None:
    name = child_name(decoded(part))
    return None if name is None else (name, is_folder)


def _split(url: str) -> tuple[tuple[str, str, int | None] | None, list[str]] | None:
    """Return a url's origin (None if it has none) and the raw parts of its path; None if it has no absolute path."""
    try:
        there = urlsplit(url)
        port = there.port or _PORTS.get(there.scheme)
    except ValueError:  # an invalid IPv6 address or port
        return None
    path = there.path or "/"
    if not path.startswith("/") or (there.scheme and not there.hostname):
        return None
    return (there.scheme, there.hostname, port) if there.hostname else None, path.split("/")[1:]
