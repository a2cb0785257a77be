"""The pages for people: all datasets of the node, and how one of them is cited, checked and downloaded.

Rules:
1. They share the style of the status page, and nothing else: no session, no script, no cookie. `?lang=` chooses the
   language, else the browser does.
2. What upstream or a steward wrote is escaped by the environment of the templates.
"""

from typing import Any

import msgspec
from aiohttp import web
from markupsafe import Markup

from syncd.exchange import DOCUMENTS, Publication, json_document, json_in_html, schema_org
from syncd.face.answers import Reject
from syncd.face.asked import Asked
from syncd.face.context import FaceContext
from syncd.face.footprints import box_outline, draw
from syncd.face.portal_routes import tagged
from syncd.face.public_mirrors import PublicMirror
from syncd.face.stac_features import find_features
from syncd.face.verdict_counts import CountedVerdict, added

DATACITE = "datacite.xml"  # only datasets with a DOI have it


async def node_page(context: FaceContext, asked: Asked) -> web.Response:
    """Answer with all datasets."""
    found = await context.publications.all(None)
    if asked.wants_json:
        return tagged(asked, json_document([_summary(one) for one in found]), "application/json")
    return page(context, asked, "node.html", mirrors=found)


async def mirror_page(context: FaceContext, asked: Asked, name: str) -> web.Response:
    """Answer with one dataset."""
    mirror = context.mirror(asked, name, "metadata")
    held = await context.publications.get(mirror)
    verdicts = await _verdicts(context, mirror, held)
    if asked.wants_json:
        return tagged(asked, json_document(_summary(held) | _counted(verdicts)), "application/json")
    publish = mirror.manifest.publish
    assert publish is not None
    listed = [key for key, one in DOCUMENTS.items() if not one.listed_as or publish.listed_in(one.listed_as)]
    listed = [key for key in listed if key != DATACITE or DOCUMENTS[key].write(held) is not None]
    jsonld = Markup(json_in_html(schema_org.dataset(held)))  # noqa: S704  what could end the script is escaped in it
    items = await find_features(context, mirror)
    outlines = [ring for one in items or () for ring in one.outlines]
    if not outlines and held.spatial is not None:
        outlines, items = [box_outline(*held.spatial)], None
    return page(
        context,
        asked,
        "dataset.html",
        held=held,
        documents=listed,
        jsonld=jsonld,
        terms=publish.terms,
        verdicts=verdicts,
        map=draw(outlines),
        items=len(items or ()),
        has_key=context.settings.key is not None,
    )


def page_file(context: FaceContext, asked: Asked) -> web.Response:
    """Answer with a style or a picture of the pages. Raises Reject."""
    found = context.templates.static.find(asked.request.rel_url.raw_path)
    if found is None:
        raise Reject(404)
    media = {"Content-Type": f"{found.media}; charset=utf-8"}
    return web.Response(body=found.body, headers={"Cache-Control": "public, max-age=31536000, immutable", **media})


def page(context: FaceContext, asked: Asked, template: str, **shown: Any) -> web.Response:
    """Return a page in the language of its reader."""
    here, accepted = asked.request.rel_url.raw_path, asked.request.headers.get("Accept-Language", "")
    node = context.publications.node
    text, language = context.templates.render(
        template, asked.query.get("lang"), accepted, context.now(), node=node, here=here, **shown
    )
    more = {"Content-Language": language, "Vary": "Accept, Accept-Language"}
    return tagged(asked, text.encode(), "text/html; charset=utf-8", more=more)


async def _verdicts(context: FaceContext, mirror: PublicMirror, held: Publication) -> tuple[CountedVerdict, ...] | None:
    """Return how the files were verified; None while they are counted. Names of lists are files' names."""
    snapshot = context.mirrors.snapshot(mirror, held.version.id)
    found = await context.verdicts.get(snapshot) if snapshot is not None else ()
    if found is None or held.lists_files:
        return found
    return added(msgspec.structs.replace(one, by="") for one in found)


def _counted(verdicts: tuple[CountedVerdict, ...] | None) -> dict[str, Any]:
    if verdicts is None:
        return {"verdicts": None}
    return {"verdicts": [msgspec.structs.asdict(one) for one in verdicts]}


def _summary(held: Publication) -> dict[str, Any]:
    return {
        "mirror": held.name,
        "title": dict(held.titles),
        "url": held.url,
        "access": held.access,
        "licence": held.licence or None,
        "snapshot": held.version.id,
        "published": held.version.created,
        "files": held.version.files,
        "bytes": held.version.bytes,
        "upstream_checked": held.checked,
        "content": held.snapshot_url("files/"),
        "checksums": held.snapshot_url("SHA256SUMS"),
        "history": [
            {"snapshot": one.id, "created": one.created, "files": one.files, "bytes": one.bytes} for one in held.history
        ],
    }
