"""The path in the mirror of a file that a catalogue names by its url: relative to the source, else below its host.

A file below the source's url has the path it has there. One elsewhere lies under the name of its host, so that two
hosts' `data.csv` stay two files: `https://other.example/a/b.csv` is `other.example/a/b.csv`.
"""

from urllib.parse import quote, unquote_to_bytes, urlsplit

_SAFE = "/:@!$&'()*+,;=~"  # characters of a path that are not escaped in a url (RFC 3986)


def placed(url: str, root: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of the file at the absolute `url` in a mirror of `root`, and the urls that its Stat needs.

    A query is part of the name, so that two files stay two. Unsafe parts of the path stay; `check_path` rejects them.
    """
    url = url.partition("#")[0]
    rest = below(url, root)
    if rest is not None:
        path = decoded(rest)
        return path, (() if url == root + quote(path, safe=_SAFE, errors="surrogateescape") else (url,))
    try:
        there = urlsplit(url)
    except ValueError:  # a bracket that is no IPv6 address: check_path rejects the whole url as a path
        return url, (url,)
    name = f"{there.path.removeprefix('/')}?{there.query}" if there.query else there.path.removeprefix("/")
    return f"{there.netloc.rpartition('@')[2].lower()}/{decoded(name)}", (url,)


def below(url: str, root: str) -> str | None:
    """Return `url` relative to `root`, a folder's url; None if it is not below it.

    The same host on https counts as below its http, because servers redirect there.
    """
    for base in (root, f"https{root.removeprefix('http')}" if root.startswith("http://") else root):
        if url.startswith(base) and len(url) > len(base):
            return url[len(base) :]
    return None


def decoded(path: str) -> str:
    """Return the path of a url, percent-decoded once; `%2F` stays, because it is not a separator."""
    if "%" not in path:
        return path
    parts = (unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in path.split("/"))
    return "/".join(part.replace("/", "%2F") for part in parts)


def encoded_urls(root: str, path: str, encoding: str) -> tuple[str, ...]:
    """Return the urls of a file below `root` on a web server whose names may be in `encoding`, or in UTF-8.

    A list in another encoding says nothing of the server's: both are tried. Empty if the path is enough.
    """
    if path.isascii() or encoding == "utf-8" or not is_remote(root):
        return ()
    in_utf8 = path.encode("utf-8", "surrogateescape")
    written = (path.encode(encoding, "surrogateescape") if _has(path, encoding) else in_utf8, in_utf8)
    return tuple(dict.fromkeys(root + quote(one, safe=_SAFE) for one in written))


def _has(path: str, encoding: str) -> bool:
    try:
        path.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def folder_of(path: str) -> str:
    """Return the folder in which the document at `path` lies; "" is the source itself."""
    return path.rpartition("/")[0]


def is_remote(reference: str) -> bool:
    """Return True if a reference is an absolute http(s) url, not a path."""
    return reference[:8].lower().startswith(("http://", "https://"))
