"""Writes the news of mirrors as feeds: Atom (RFC 4287) and JSON Feed 1.1, one entry for each version.

An entry's id is a tag URI of host, mirror and snapshot, so that a version is the same entry in every feed.
"""

from collections.abc import Sequence

from syncd.exchange.markup import clean, document, element, instant, json_document, tag
from syncd.exchange.publication import Node, Publication, PublishedVersion

ENTRIES = 50  # in one feed, the newest first
_ATOM = "http://www.w3.org/2005/Atom"


def atom(held: Publication) -> bytes:
    """Return the feed of one mirror."""
    return _atom(held.node, held.url, "feed.atom", held.title, [held])


def node_atom(node: Node, publications: Sequence[Publication]) -> bytes:
    """Return the feed of all mirrors that are listed."""
    return _atom(node, node.address(), "feed.atom", node.publisher.name or node.name, publications)


def json_feed(held: Publication) -> bytes:
    """Return the JSON Feed of one mirror."""
    return json_document(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "title": held.title,
            "home_page_url": held.url,
            "feed_url": held.view("feed.json"),
            "authors": [{"name": held.node.publisher.name or held.node.name, "url": held.node.address()}],
            "items": [
                {
                    "id": _id(held, version),
                    "url": held.snapshot_url(version=version.id),
                    "external_url": _difference(held, version),
                    "title": headline(version),
                    "content_text": _details(version),
                    "date_published": instant(version.created),
                    "tags": list(version.tags),
                }
                for version in held.history[:ENTRIES]
            ],
        }
    )


def headline(version: PublishedVersion) -> str:
    """Return what a version changed, in a few words."""
    if version.changes is None:
        return f"{version.files} files" if version.previous else f"First version: {version.files} files"
    added, replaced, deleted = version.changes
    return f"{added} new, {replaced} replaced, {deleted} deleted"


def _atom(node: Node, home: str, name: str, title: str, publications: Sequence[Publication]) -> bytes:
    news = sorted(
        ((version, held) for held in publications for version in held.history[:ENTRIES]),
        key=lambda one: (-one[0].created, one[1].name),
    )[:ENTRIES]
    is_several = len(publications) != 1 or home != publications[0].url
    updated = news[0][0].created if news else 0
    return document(
        element(
            "feed",
            {"xmlns": _ATOM},
            tag("id", home),
            tag("title", title if clean(title).strip() else node.name),
            tag("updated", instant(updated)),
            tag("link", rel="self", type="application/atom+xml", href=f"{home}{name}"),
            tag("link", rel="alternate", type="text/html", href=home),
            tag("author", tag("name", node.publisher.name or node.name)),
            tag("generator", "syncd"),
            *(
                tag(
                    "entry",
                    tag("id", _id(held, version)),
                    tag("title", f"{held.title}: {headline(version)}" if is_several else headline(version)),
                    tag("updated", instant(version.created)),
                    tag("published", instant(version.created)),
                    tag("link", rel="alternate", href=held.snapshot_url(version=version.id)),
                    tag("link", rel="related", href=difference) if (difference := _difference(held, version)) else None,
                    tag("summary", _details(version)),
                )
                for version, held in news
            ),
        )
    )


def _id(held: Publication, version: PublishedVersion) -> str:
    year = instant(version.created)[:4]
    return f"tag:{held.node.host},{year}:{held.name}/{version.id}"


def _difference(held: Publication, version: PublishedVersion) -> str:
    if not version.previous or not held.lists_files:
        return ""
    return held.snapshot_url(f"diff/{version.previous}", version.id)


def _details(version: PublishedVersion) -> str:
    tags = f" Tagged {', '.join(version.tags)}." if version.tags else ""
    return f"Version {version.short}: {version.files} files, {version.bytes} bytes.{tags}"
