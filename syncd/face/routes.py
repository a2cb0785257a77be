"""Which function answers which address of the public side."""

from aiohttp import web

from syncd.face.access_routes import access_page
from syncd.face.answers import Reject, redirect
from syncd.face.asked import Asked, escaped
from syncd.face.context import FaceContext
from syncd.face.evidence_routes import evidence, find_evidence
from syncd.face.file_routes import find_snapshot, full_id, latest, send_file
from syncd.face.folder_index import folder_index
from syncd.face.harvest_routes import harvest
from syncd.face.head_routes import send_head, send_keys
from syncd.face.landing_pages import mirror_page, node_page, page_file
from syncd.face.portal_routes import mirror_document, node_document, sources
from syncd.face.proof_routes import (
    changed_provenance,
    checksums,
    difference,
    file_metalink,
    origins,
    shard,
    shard_provenance,
    snapshot_document,
)
from syncd.face.s3_front import s3_answer
from syncd.face.sync_lists import sync_list


async def answer(context: FaceContext, asked: Asked) -> web.StreamResponse:
    """Answer one request. Raises Reject, Unavailable and what the store raises."""
    match asked.parts:
        case ("health",):
            return await health(context)
        case ("mirrors", name):
            return redirect(context.url(f"mirrors/{context.mirror(asked, name, 'metadata').name}/"))
        case (".well-known", "syncd.json"):
            return await send_keys(context, asked.request.headers.get("If-None-Match", ""))
        case ("mirrors", name, *rest) if rest:
            return await _of_mirror(context, asked, name, tuple(rest))
        case ("",):
            return await node_page(context, asked)
        case ("static", _, _):
            return page_file(context, asked)
        case (".well-known", "resourcesync"):
            return await sources(context, asked)
        case ("sitemap.xml" | "feed.atom" | "catalogue.jsonld" | "catalogue.ttl" | "catalogue.rdf" as name,):
            return await node_document(context, asked, name)
        case ("s3", *rest):
            return await s3_answer(context, asked, tuple(rest))
        case ("oai" | "stac" | "waf", *_):
            return await harvest(context, asked)
    raise Reject(404)


async def health(context: FaceContext) -> web.Response:
    """Say that the node can serve; who asks is told nothing else."""
    await context.mirrors.check()
    return web.Response(text="ok\n", headers={"Cache-Control": "no-store"})


async def _of_mirror(context: FaceContext, asked: Asked, name: str, rest: tuple[str, ...]) -> web.StreamResponse:
    match rest:
        case ("",):
            return await mirror_page(context, asked, name)
        case ("head.json" | "head.json.minisig" as document,):
            mirror = context.mirror(asked, name, "listing")
            return await send_head(context, asked.request.headers.get("If-None-Match", ""), mirror.name, document)
        case ("access",):
            return await access_page(context, asked, name)
        case ("resourcelist.xml" | "changelist.xml" as wanted,):
            return await sync_list(context, asked, name, wanted)
        case ("evidence",) if "path" in asked.query:
            return await find_evidence(context, asked, context.mirror(asked, name, "listing"))
        case (document,) if document != "latest":
            return await mirror_document(context, asked, name, document)
        case ("latest",):
            return redirect(context.url(f"mirrors/{context.mirror(asked, name, 'listing').name}/latest/"))
        case ("latest", *_):
            return latest(context, context.mirror(asked, name, "listing"), rest[1:])
        case ("shards", sha256):
            return await shard(context, asked, context.mirror(asked, name, "listing"), sha256)
        case ("evidence", _, *_):
            return await evidence(context, asked, context.mirror(asked, name, "listing"), "/".join(rest[1:]))
        case ("snapshots", snapshot, _, *_):
            return await _of_snapshot(context, asked, name, snapshot, rest[2:])
    raise Reject(404)


async def _of_snapshot(
    context: FaceContext, asked: Asked, name: str, snapshot_id: str, rest: tuple[str, ...]
) -> web.StreamResponse:
    is_file = rest[0] == "files" and len(rest) > 1 and rest[-1] != ""
    if rest[0] == "files":
        await context.callers.accept_link(asked, name, snapshot_id, "/".join(rest[1:]), context.now())
    mirror = context.mirror(asked, name, "bytes" if is_file else "listing")
    if (whole := full_id(context, mirror, snapshot_id)) is not None:
        path = escaped("/".join(rest))
        return redirect(context.url(f"mirrors/{name}/snapshots/{whole}/{path}"))
    snapshot = find_snapshot(context, mirror, snapshot_id)
    match rest:
        case ("snapshot.json",):
            return await snapshot_document(context, asked, mirror, snapshot)
        case ("SHA256SUMS",):
            return await checksums(context, asked, snapshot)
        case ("origins",):
            return await origins(context, asked, snapshot)
        case ("meta4", _, *_):
            return await file_metalink(context, asked, mirror, snapshot, "/".join(rest[1:]))
        case ("diff", before):
            return await difference(context, asked, mirror, snapshot, before)
        case ("diff", before, "provenance"):
            return await changed_provenance(context, asked, mirror, snapshot, before)
        case ("provenance", sha256):
            return await shard_provenance(context, asked, snapshot, sha256)
        case ("files",) | ("",):
            return redirect(context.url(f"mirrors/{name}/snapshots/{snapshot.id}/files/"))
        case ("files", *_) if not is_file:
            return await folder_index(context, asked, mirror, snapshot, "/".join(rest[1:]))
        case ("files", *_):
            return await send_file(context, asked, mirror, snapshot, "/".join(rest[1:]))
    raise Reject(404)
