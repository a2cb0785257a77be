"""Writes the sitemap of the landing pages, and the folder of metadata files that portals without a protocol read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from syncd.exchange.markup import XML, clean, element, escape, instant, tag
from syncd.exchange.publication import Node, Publication


def sitemap(node: Node, publications: Iterable[Publication]) -> bytes:
    """Return the sitemap: the page of the node and of each mirror, and when it changed."""
    held = list(publications)
    newest = max((one.updated for one in held), default=None)
    rows = [tag("url", tag("loc", node.address()), None if newest is None else tag("lastmod", instant(newest)))]
    rows += [tag("url", tag("loc", one.url), tag("lastmod", instant(one.updated))) for one in held]
    spaces = {"xmlns": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    return f"{XML}{element('urlset', spaces, *rows)}\n".encode()


def folder_listing(title: str, files: Sequence[tuple[str, int, float]]) -> bytes:
    """Return a web accessible folder, in the form that harvesters expect: name, time of change, size."""
    lines = [
        f'<a href="./{escape(name)}">{escape(name)}</a>{" " * max(1, 60 - len(name))}'
        f"{datetime.fromtimestamp(modified, UTC):%Y-%m-%d %H:%M}  {size}\n"
        for name, size, modified in files
    ]
    head = f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{escape(clean(title))}</title></head><body>\n'
    return (
        f'{head}<h1>{escape(title)}</h1>\n<pre><a href="../">../</a>\n{"".join(lines)}</pre></body></html>\n'.encode()
    )
