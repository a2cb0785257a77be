"""The doors for portals and readers of metadata: catalogues, feeds, citations and packages, each made by its format.

Rules:
1. Every document is a function of one model (`syncd.exchange`), made for the request and kept until that changes.
2. A list names every published mirror that `publish.to` does not keep out of it, or the answer is 503.
"""

from collections.abc import Mapping

import xxhash
from aiohttp import web

from syncd.exchange import DOCUMENTS, dcat, feeds, resourcesync, sitemap
from syncd.face.answers import Reject, document
from syncd.face.asked import Asked
from syncd.face.context import FaceContext

CATALOGUE = "catalogue."


async def node_document(context: FaceContext, asked: Asked, name: str) -> web.StreamResponse:
    """Answer with a document about all mirrors."""
    if name == "sitemap.xml":
        held = await context.publications.all(None)
        return tagged(asked, sitemap.sitemap(context.publications.node, held), "application/xml")
    if name == "feed.atom":
        held = await context.publications.all("events")
        return tagged(asked, feeds.node_atom(context.publications.node, held), "application/atom+xml")
    kind = name.removeprefix(CATALOGUE)
    if kind not in dcat.WRITERS:
        raise Reject(404)
    held = await context.publications.all("catalogue")
    page = asked.query.get("page", "1")
    if not page.isascii() or not page.isdecimal() or not 1 <= int(page[:6]) <= max(1, dcat.pages(held)):
        raise Reject(404)
    body = dcat.catalogue(context.publications.node, held, kind=kind, page=int(page[:6]))
    return tagged(asked, body, dcat.WRITERS[kind][0])


async def sources(context: FaceContext, asked: Asked) -> web.StreamResponse:
    """Answer with the source description of ResourceSync."""
    held = await context.publications.all("events")
    return tagged(asked, resourcesync.source_description(held), "application/xml")


async def mirror_document(context: FaceContext, asked: Asked, name: str, wanted: str) -> web.StreamResponse:
    """Answer with a document about one mirror. Raises Reject if it has none of that kind."""
    mirror = context.mirror(asked, name, "metadata")
    found = DOCUMENTS.get(wanted)
    assert mirror.manifest.publish is not None
    if found is None or (found.listed_as and not mirror.manifest.publish.listed_in(found.listed_as)):
        raise Reject(404)
    body = found.write(await context.publications.get(mirror))
    if body is None:
        raise Reject(404)
    return tagged(asked, body, found.media_type)


def tagged(asked: Asked, body: bytes, media: str, *, more: Mapping[str, str] | None = None) -> web.Response:
    """Return a document, or 304 if the client has it."""
    tag = f'"{xxhash.xxh3_128_hexdigest(body)}"'
    headers = {"ETag": tag, **(more or {})}
    if tag in asked.request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers={**headers, "Cache-Control": "no-cache"})
    asked.sent = len(body)
    return document(body, media, headers=headers)
