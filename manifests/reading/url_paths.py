"""Where a file that a catalogue names by its url lies in the mirror: below the source by its path, else by its host.

A file below the source's url has the path it has there. One elsewhere lies under the name of its host, so that two
hosts' `data.csv` stay two files: `https://other.example/a/b.csv` is `other.example/a/b.csv`.
"""

from urllib.parse import quote, unquote_to_bytes, urlsplit

_SAFE = "/:@!$&'()*+,;=~"  # what a path may hold as it is in a url (RFC 3986)


def placed(url: str, root: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of the file at the absolute `url` in a mirror of `root`, and the urls that its Stat needs.

    A query is part of the name: without it two files would be one. Whatever is unsafe in the path stays in it, to be
    refused by `check_path`.
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
    """Return what follows `root`, a folder's url, in `url`; None if it does not lie below it.

    The same host on https is below its http, because servers send their visitors there.
    """
    for base in (root, f"https{root.removeprefix('http')}" if root.startswith("http://") else root):
        if url.startswith(base) and len(url) > len(base):
            return url[len(base) :]
    return None


def decoded(path: str) -> str:
    """Return the path of a url with its percent signs resolved, once; `%2F` stays, for it is no separator."""
    if "%" not in path:
        return path
    parts = (unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in path.split("/"))
    return "/".join(part.replace("/", "%2F") for part in parts)


def folder_of(path: str) -> str:
    """Return the folder in which the document at `path` lies; "" is the source itself."""
    return path.rpartition("/")[0]


def is_remote(reference: str) -> bool:
    """Tell whether a reference is an absolute url on the web, and not a path."""
    return reference[:8].lower().startswith(("http://", "https://"))
