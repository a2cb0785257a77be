"""Writes ResourceSync (ANSI/NISO Z39.99): the description of the node, and the lists of each mirror.

Rules:
1. A file's address is the one below `latest/`: it stays when the next version comes, and leads to the current bytes.
2. A list has at most 50,000 entries. A longer list of resources is an index of parts; a change list begins later, so
   that a harvester whose last visit is older reads the list of resources.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from syncd.exchange.markup import Markup, document, element, instant, tag
from syncd.exchange.publication import Publication, PublishedFile

MAX_ENTRIES = 50_000  # of one list, by the standard of sitemaps
_SPACES = {"xmlns": "http://www.sitemaps.org/schemas/sitemap/0.9", "xmlns:rs": "http://www.openarchives.org/rs/terms/"}


@dataclass(frozen=True, slots=True)
class PublishedChange:
    """One file that a version added, replaced or deleted, and when."""

    change: Literal["created", "updated", "deleted"]
    file: PublishedFile
    at: float


def source_description(publications: Sequence[Publication]) -> bytes:
    """Return `/.well-known/resourcesync`: the capability list of each mirror whose files are public."""
    lists = [
        _entry(one.view("capabilitylist.xml"), capability="capabilitylist") for one in publications if one.lists_files
    ]
    return _list("description", "", lists, {})


def capability_list(held: Publication) -> bytes:
    """Return the lists that a mirror has."""
    names = ("resourcelist", "changelist")
    lists = [_entry(held.view(f"{name}.xml"), capability=name) for name in names]
    return _list("capabilitylist", held.node.address(".well-known/resourcesync"), lists, {})


def parts(held: Publication) -> int:
    """Return how many parts the list of resources has."""
    return max(1, -(-held.version.files // MAX_ENTRIES))


def full_list(held: Publication, files: Iterable[PublishedFile] = (), part: int = 0, *, is_cut: bool = False) -> bytes:
    """Return the list of a mirror's files, in the order of `files`; part 0 of a long one is the index of its parts.

    With `is_cut`, `files` are those of the part only.
    """
    at = {"at": instant(held.version.created)}
    up = held.view("capabilitylist.xml")
    if parts(held) > 1 and part == 0:
        numbers = range(1, parts(held) + 1)
        rows = [tag("sitemap", tag("loc", held.view(f"resourcelist.xml?part={number}"))) for number in numbers]
        return _list("resourcelist", up, rows, at, root="sitemapindex")
    index = held.view("resourcelist.xml") if part else ""
    first = (part - 1) * MAX_ENTRIES if part and not is_cut else 0
    rows = [
        _entry(_address(held, file), file.modified, hash=f"sha-256:{file.sha256}", length=str(file.size))
        for file in islice(files, first, first + MAX_ENTRIES)
    ]
    return _list("resourcelist", up, rows, at, index=index)


def change_list(held: Publication, changes: Sequence[PublishedChange], since: float, until: float) -> bytes:
    """Return the changes between two times, the earliest first; of too many, the latest, from the time they begin."""
    if len(changes) > MAX_ENTRIES:
        since = changes[-MAX_ENTRIES - 1].at + 1  # all of that second are left out
        changes = [one for one in changes if one.at >= since]
    rows = [
        _entry(
            _address(held, one.file),
            one.file.modified,
            change=one.change,
            datetime=instant(one.at),
            hash=None if one.change == "deleted" else f"sha-256:{one.file.sha256}",
            length=None if one.change == "deleted" else str(one.file.size),
        )
        for one in changes
    ]
    between = {"from": instant(since), "until": instant(until)}
    return _list("changelist", held.view("capabilitylist.xml"), rows, between)


def _address(held: Publication, file: PublishedFile) -> str:
    return held.latest_url(file.path)


def _list(
    capability: str,
    up: str,
    rows: Sequence[Markup],
    described: dict[str, str],
    *,
    root: str = "urlset",
    index: str = "",
) -> bytes:
    return document(
        element(
            root,
            _SPACES,
            tag("rs:ln", rel="up", href=up) if up else None,
            tag("rs:ln", rel="index", href=index) if index else None,
            element("rs:md", {"capability": capability, **described}),
            *rows,
        )
    )


def _entry(address: str, modified: float | None = None, **described: str | None) -> Markup:
    stamp = None if modified is None else tag("lastmod", instant(modified))
    return tag("url", tag("loc", address), stamp, element("rs:md", described))
