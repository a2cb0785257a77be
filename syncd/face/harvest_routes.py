"""What harvesters read of the node: OAI-PMH, the static STAC catalogue, and a folder of ISO 19139 files.

Rules:
1. A list names all mirrors that `publish.to` does not keep out of it, or the answer is 503: a harvester deletes what a
   list lacks.
2. OAI-PMH lists what the daemon has recorded: a mirror that was just published comes with the next look at it.
"""

import re

from aiohttp import web

from syncd.exchange import Node, Publication, entries_of, iso19139, json_document, oai, sitemap, stac
from syncd.face.answers import Reject, document
from syncd.face.asked import Asked
from syncd.face.context import FaceContext
from syncd.face.feature_index import StacFeature
from syncd.face.forms import read_form
from syncd.face.listed import read_listed
from syncd.face.public_mirrors import PublicMirror
from syncd.face.publications import node_of, read_publication
from syncd.face.stac_features import feature_document, find_features

_PART = re.compile(r"[1-9][0-9]{0,5}\.json", re.ASCII)
_XML, _JSON = "application/xml", "application/json"


async def harvest(context: FaceContext, asked: Asked) -> web.Response:
    """Answer a harvester. Raises Reject if there is nothing at the address, Unavailable."""
    node = node_of(context.settings)
    match asked.parts:
        case ("oai",):
            return await _oai(context, asked, node)
        case ("stac", "catalog.json"):
            return document(json_document(stac.catalog(node, await _listed(context, node, "stac"))), _JSON)
        case ("stac", name, "collection.json"):
            held = await _one(context, asked, node, name, "stac")
            if stac.has_collection(held):
                return document(json_document(stac.collection(held, len(await _features(context, asked, name)))), _JSON)
        case ("stac", name, "items", part) if _PART.fullmatch(part):
            held, items = await _one(context, asked, node, name, "stac"), await _features(context, asked, name)
            number = int(part.removesuffix(".json"))
            if number <= stac.parts(len(items)):
                return document(json_document(stac.features_catalog(held, number, [one.path for one in items])), _JSON)
        case ("stac", name, "item", *path) if path:
            held = await _one(context, asked, node, name, "stac")
            mirror = context.mirror(asked, name, "metadata")
            found = await feature_document(context, mirror, held, "/".join(path))
            if found is not None:
                return document(json_document(found, is_complete=True), stac.GEO_JSON)
        case ("waf", ""):
            held_here = await _listed(context, node, "catalogue")
            files = [(f"{one.name}.xml", len(iso19139.iso19139(one)), one.updated) for one in held_here]
            return document(sitemap.folder_listing("/waf/", files), "text/html; charset=utf-8")
        case ("waf", name) if name.endswith(".xml"):
            held = await _one(context, asked, node, name.removesuffix(".xml"), "catalogue")
            return document(iso19139.iso19139(held), _XML)
    raise Reject(404)


async def _features(context: FaceContext, asked: Asked, name: str) -> tuple[StacFeature, ...]:
    """Return the items of a mirror. Raises Reject while they are being read: a list is whole, or an error."""
    found = await find_features(context, context.mirror(asked, name, "metadata"))
    if found is None:
        raise Reject(503, Retry_After="5")
    return found


def takes_form(parts: tuple[str, ...]) -> bool:
    """Return True if the arguments may come as a form, by POST: harvesters of OAI-PMH choose."""
    return parts == ("oai",)


async def _oai(context: FaceContext, asked: Asked, node: Node) -> web.Response:
    now = context.now()  # before the entries are read
    arguments = await _arguments(asked.request)
    listed = await _listed(context, node, "oai")
    known = context.mirrors.ask(lambda catalogue: read_listed(catalogue.settings))
    return document(oai.answer(node, arguments, entries_of(known, listed), now), "text/xml; charset=utf-8")


async def _arguments(request: web.BaseRequest) -> list[tuple[str, str]]:
    """Return the arguments of the query, or of the form. Raises Reject for a form that is too long, or is none."""
    return list(request.query.items()) if request.method != "POST" else await read_form(request)


async def _listed(context: FaceContext, node: Node, word: str) -> list[Publication]:
    """Return all mirrors that a list names, by name, without their files."""
    found = [await _publication(context, node, one) for one in context.mirrors.all() if _is_listed(one, word)]
    return [one for one in found if one is not None]


async def _one(context: FaceContext, asked: Asked, node: Node, name: str, word: str) -> Publication:
    mirror = context.mirror(asked, name, "metadata")
    held = await _publication(context, node, mirror) if _is_listed(mirror, word) else None
    if held is None:
        raise Reject(404)
    return held


def _is_listed(mirror: PublicMirror, word: str) -> bool:
    stated = mirror.manifest.publish
    return stated is not None and stated.listed_in(word)


async def _publication(context: FaceContext, node: Node, mirror: PublicMirror) -> Publication | None:
    catalogue, now = context.mirrors.catalogue, context.mirrors.moment()
    return await read_publication(context.store, catalogue, node, mirror.manifest, mirror.row, now, with_files=False)
