"""Which links of a listing are its children, and which urls lie below a source: names from urls, never from text.

A child is exactly one name below the page's own folder. Whatever else a page links to (parents, sort links, other
hosts, `javascript:`) is no child; what only looks strange stays one, for `check_path` to refuse in the open.

`child` takes links as they should be. `look_up` takes those of a server that knows itself by another name than it was
asked by (a proxy in front of it, IIS's case), or that does not escape names. Both give a name below the folder that was
asked, and a url on its own origin: no link decides whom syncd asks.
"""

import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(?:\./)*([^/?#:]+)(/?)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SAFE = "!$&'()*+,;=:@~"  # characters of a path's part that are not escaped (RFC 3986)


class LinkTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a link leads: to a child of the listed folder (`name`), to that folder, to one above it, or elsewhere.

    `url` is the child's own, if it is not the folder's url and the name. `below` is the first name of a path that leads
    more than one name below the folder.
    """

    kind: Literal["child", "self", "above", "elsewhere"]
    name: str = ""
    is_folder: bool = False
    url: str = ""
    below: str = ""


_ELSEWHERE = LinkTarget("elsewhere")


class ListingLink(msgspec.Struct, frozen=True):
    """One child of the listed folder; `url` is its own, if it is not the folder's url and the name."""

    name: str
    is_folder: bool
    size: int | None = None
    modified: float | None = None
    stamp: str | None = None
    url: str = ""


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

    def look_up(self, href: str, shown: str, paths: Sequence[tuple[str, ...]] = ()) -> LinkTarget:
        """Return where a link leads that `child` does not take.

        `shown` is the name that the listing gives it, "" if it gives none. `paths` are those by which the server may
        know this folder, longer ones first; without them it is the path of its url. A character that the server should
        have escaped (`#`, `?`, `:`) is taken as it is if the name that is shown has it; a query stays with a link that
        shows the name before it.
        """
        href = href.strip(" \t\r\n\f")
        plain = href.removeprefix("./")
        if shown and "/" not in shown and shown == decoded(plain.removesuffix("/")) and child_name(shown) is not None:
            return LinkTarget("child", shown, plain.endswith("/"))
        there = self._path_of(href, shown)
        if there is None:
            return _ELSEWHERE
        is_ours, raw, query = there
        is_folder = not raw[-1]
        parts = _parts(raw)
        paths = paths or (self.parts,)
        for path in paths:
            if _same(parts[: len(path)], path):
                if len(parts) == len(path):
                    return LinkTarget("self")
                if len(parts) > len(path) + 1:
                    return LinkTarget("elsewhere", below=parts[len(path)])
                return self._child_at(raw, is_folder=is_folder, is_ours=is_ours, query=query, shown=shown)
        is_above = any(_same(parts, path[: len(parts)]) for path in paths)
        return LinkTarget("above") if is_above else _ELSEWHERE

    def _path_of(self, href: str, shown: str) -> tuple[bool, list[str], str] | None:
        """Return whether a link leads to this origin, the raw parts of its path, and its query; None if it has none."""
        scheme = _SCHEME.match(href)
        if scheme is not None and scheme[0].lower() not in {"http:", "https:"}:
            return None
        path, mark, query = href.partition("#")[0].partition("?")
        if "#" in href or mark:  # the whole is a name that was not escaped, if it is what is shown
            name = href.removesuffix("/").rpartition("/")[2]
            if shown and decoded(name) == shown:
                path, query = href.replace("?", "%3F").replace("#", "%23"), ""
        if scheme is not None or path.startswith("/"):
            there = _split(f"{self.scheme}:{path}" if path.startswith("//") else path)
            if there is None:
                return None
            return there[0] in {None, (self.scheme, self.host, self.port)}, there[1], query
        own = [quoted(part) for part in self.parts]
        return True, [*own, *(path.removeprefix("./") or "").split("/")], query

    def _child_at(self, raw: list[str], *, is_folder: bool, is_ours: bool, query: str, shown: str) -> LinkTarget:
        """Return the child that the last part of a path names."""
        part = raw[-2] if is_folder else raw[-1]
        name = decoded(part)
        if query and not is_folder and (not is_ours or shown != name):
            return _ELSEWHERE
        if "/" in name:  # `a%2Fb`: one name on the server, and no path
            if is_folder or any(piece in {"", ".", ".."} for piece in name.split("/")):
                return _ELSEWHERE
            return LinkTarget("child", name.replace("/", "%2F"), url=f"{self.url}{quoted(name).replace('/', '%2F')}")
        if child_name(name) is None:
            return _ELSEWHERE
        url = f"{self.url}{quoted(name)}?{query}" if query and not is_folder else ""
        return LinkTarget("child", name, is_folder, url)

    def path_of(self, href: str) -> tuple[str, ...] | None:
        """Return the decoded parts of the path to which a link leads, on whatever host; None if it has none."""
        there = self._path_of(href.strip(" \t\r\n\f"), "")
        return None if there is None else tuple(_parts(there[1]))

    def is_at(self, parts: tuple[str, ...]) -> bool:
        """Return True if `parts` are the path of this folder, in whatever case."""
        return _same(parts, self.parts)

    def may_be(self, parts: tuple[str, ...]) -> bool:
        """Return True if `parts` may be the path of this folder on a server behind a proxy: its name is the same."""
        return not self.parts or (bool(parts) and _same_name(parts[-1], self.parts[-1]))

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
    return _unquoted(part) if "%" in part else part


def _unquoted(part: str) -> str:
    return unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def child_name(name: str) -> str | None:
    """Return `name` if it can be the name of one file or folder, None for the folder itself, its parent, or a path."""
    return None if name in {"", ".", ".."} or "/" in name else name


def _parts(raw: list[str]) -> list[str]:
    """Return the decoded parts of a path, without `.`, `..`, and the empty part behind its last slash."""
    found: list[str] = []
    for part in map(decoded, raw if raw[-1] else raw[:-1]):
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(part)
    return found


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return True if two paths differ by case at most, as they may on IIS."""
    return len(one) == len(other) and all(map(_same_name, one, other))


def _same_name(one: str, other: str) -> bool:
    return one == other or one.casefold() == other.casefold()


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
