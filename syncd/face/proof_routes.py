"""The proofs of a snapshot: its document, its checksums, its shards, where its files came from, and differences.

Rules:
1. Everything is streamed or bounded; a difference is computed once for each pair, one at a time.
2. Where a file came from is told without logins and queries: an upstream's link may have been signed.
"""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator

from aiohttp import web

from manifests.provenance import provenance_lines
from manifests.snapshot import Origin, Snapshot, lines
from manifests.snapshot_diff import parse_diff
from syncd.core import NotFound
from syncd.engine import read_origins, shard_entries, shard_path, snapshot_folder, sums_lines
from syncd.exchange import PublishedFile, metalink
from syncd.face.answers import EVERY, PAGE_POLICY, WITHOUT_CORS, Reject, document
from syncd.face.asked import Asked
from syncd.face.context import FaceContext
from syncd.face.file_routes import FOR_EVER, PRIVATE, find_snapshot, full_id
from syncd.face.origins import public_origin
from syncd.face.public_mirrors import PublicMirror
from syncd.face.send_file import send_chunks

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


async def snapshot_document(
    context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot
) -> web.StreamResponse:
    """Answer with `snapshot.json`, byte by byte as it is stored: heads are signed over it."""
    path = f"{snapshot_folder(mirror.name, snapshot.id)}snapshot.json"
    return await _stored(context, asked, path, "application/json", {"Cache-Control": "no-cache"})


async def checksums(context: FaceContext, asked: Asked, snapshot: Snapshot) -> web.StreamResponse:
    """Answer with the lines of `sha256sum`, whose paths are below `files/`."""
    headers = _headers(asked, "text/plain; charset=utf-8") | {"ETag": f'"{snapshot.id}-sums"'}
    return await _streamed(asked, sums_lines(context.store, snapshot), headers)


async def shard(context: FaceContext, asked: Asked, mirror: PublicMirror, sha256: str) -> web.StreamResponse:
    """Answer with the packed lines of a shard; its name is the checksum of the lines, not of these bytes."""
    if _SHA256.fullmatch(sha256) is None:
        raise Reject(404)
    tag = {"ETag": f'"{sha256}-gz"'}
    return await _stored(context, asked, shard_path(mirror.name, sha256), "application/gzip", tag)


async def origins(context: FaceContext, asked: Asked, snapshot: Snapshot) -> web.StreamResponse:
    """Answer with a JSON line for each file: where it came from, and how it was verified."""

    async def rows() -> AsyncIterator[bytes]:
        for shard_, names in zip(snapshot.content.shards, snapshot.origins, strict=False):
            known = await read_origins(context.store, snapshot.mirror, names)
            entries = await shard_entries(context.store, snapshot.mirror, shard_.sha256)
            found = [public_origin(known[entry.path]) for entry in entries if entry.path in known]
            yield await asyncio.to_thread(lines, found)

    headers = _headers(asked, "application/jsonl") | {"ETag": f'"{snapshot.id}-origins"', "Cache-Control": "no-cache"}
    return await _streamed(asked, rows(), headers)


async def shard_provenance(context: FaceContext, asked: Asked, snapshot: Snapshot, sha256: str) -> web.Response:
    """Answer with where the files of a shard came from first, packed."""
    at = next((at for at, one in enumerate(snapshot.content.shards) if one.sha256 == sha256), -1)
    if not 0 <= at < len(snapshot.origins):
        raise Reject(404)
    known = await read_origins(context.store, snapshot.mirror, snapshot.origins[at])
    entries = await shard_entries(context.store, snapshot.mirror, sha256)
    found = [known[entry.path] for entry in entries if entry.path in known]
    body = await asyncio.to_thread(_packed_provenance, found)
    asked.sent = len(body)
    return document(body, "application/gzip", cache=FOR_EVER if asked.is_open else PRIVATE)


async def changed_provenance(
    context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot, before: str
) -> web.Response:
    """Answer with where the files came from first that a snapshot changed since another kept one, packed."""
    packed = await context.differences.get(context.store, find_snapshot(context, mirror, before), snapshot)
    changed = await asyncio.to_thread(_changed_paths, packed)
    # sorted, so that each shard is read once
    found = [origin for path in changed if (origin := await context.lists.origin(snapshot, path)) is not None]
    body = await asyncio.to_thread(_packed_provenance, found)
    asked.sent = len(body)
    return document(body, "application/gzip", cache=FOR_EVER if asked.is_open else PRIVATE)


def _changed_paths(packed: bytes) -> list[str]:
    return [path for path, entry in parse_diff(gzip.decompress(packed).splitlines()) if entry is not None]


def _packed_provenance(found: list[Origin]) -> bytes:
    return gzip.compress(b"".join(provenance_lines(found)), 6, mtime=0)


async def difference(
    context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot, before: str
) -> web.StreamResponse:
    """Answer with what a snapshot changed since another kept one, packed."""
    body = await context.differences.get(
        context.store, find_snapshot(context, mirror, full_id(context, mirror, before) or before), snapshot
    )
    asked.sent = len(body)
    return document(body, "application/gzip", cache=FOR_EVER if asked.is_open else PRIVATE)


async def file_metalink(
    context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot, path: str
) -> web.Response:
    """Answer with the Metalink of one file: its size, its checksum, and its immutable address."""
    entry = await context.lists.entry(snapshot, path)
    if entry is None:
        raise Reject(404)
    held = await context.publications.get(mirror)
    body = metalink.metalink(held, PublishedFile(path, entry.size, entry.sha256), version=snapshot.id)
    return document(body, "application/metalink4+xml", cache=FOR_EVER if asked.is_open else PRIVATE)


async def _stored(
    context: FaceContext, asked: Asked, path: str, media: str, more: dict[str, str]
) -> web.StreamResponse:
    headers = _headers(asked, media) | more
    try:
        async with context.store.open(path) as body:
            if body.stat.size is not None:
                headers["Content-Length"] = str(body.stat.size)
            return await _streamed(asked, aiter(body), headers)
    except NotFound as error:
        raise Reject(404) from error


async def _streamed(asked: Asked, chunks: AsyncIterator[bytes], headers: dict[str, str]) -> web.StreamResponse:
    tag = headers.get("ETag")
    if tag is not None and tag in asked.request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if asked.method == "HEAD":
        return web.Response(headers=headers)
    response = web.StreamResponse(headers=headers)
    await send_chunks(asked.request, response, chunks, asked.pace, asked.count)
    return response


def _headers(asked: Asked, media: str) -> dict[str, str]:
    return {
        **(EVERY if asked.is_open else WITHOUT_CORS),
        "Content-Type": media,
        "Cache-Control": FOR_EVER if asked.is_open else PRIVATE,
        "Content-Security-Policy": PAGE_POLICY,
    }
