"""The ResourceSync lists of a mirror: its files, and what its kept versions changed.

Rules:
1. The list of changes covers the kept versions, as far back as it fits into one list. It ends at the current version's
   own time, so that a harvester that continues from there misses nothing that is published later.
2. A part of a long list of files reads the shards that it needs.
"""

import asyncio

from aiohttp import web

from manifests.snapshot import Snapshot
from syncd.engine import shard_entries
from syncd.exchange import PublishedFile, resourcesync
from syncd.face.answers import Reject, document
from syncd.face.asked import Asked
from syncd.face.change_lists import published_file
from syncd.face.context import FaceContext
from syncd.face.public_mirrors import PublicMirror

_XML = "application/xml"


async def sync_list(context: FaceContext, asked: Asked, name: str, wanted: str) -> web.Response:
    """Answer with a list of a mirror. Raises Reject, Unavailable, Damaged."""
    mirror = context.mirror(asked, name, "listing")
    stated = mirror.manifest.publish
    if stated is None or not stated.listed_in("events"):
        raise Reject(404)
    held = await context.publications.get(mirror)
    kept = _kept(context, mirror, held.version.id)
    if not kept:
        raise Reject(503, Retry_After="1")  # the next version took its place in this moment
    if wanted == "changelist.xml":
        changes, since = await context.changes.get(context.store, kept)
        return document(resourcesync.change_list(held, changes, since, kept[0].created), _XML)
    part = asked.request.query.get("part", "0")
    if not part.isascii() or not part.isdecimal() or int(part[:6]) > resourcesync.parts(held):
        raise Reject(404)
    number = int(part[:6])
    if resourcesync.parts(held) == 1 and number:
        raise Reject(404)
    files = [] if resourcesync.parts(held) > 1 and not number else await _files(context, kept[0], number)
    body = await asyncio.to_thread(resourcesync.full_list, held, files, number, is_cut=True)
    return document(body, _XML)


def _kept(context: FaceContext, mirror: PublicMirror, version: str) -> list[Snapshot]:
    """Return the kept snapshots from a version on, which may be the one before the newest for a moment."""
    names = context.mirrors.kept(mirror)
    wanted = names[names.index(version) :] if version in names else []
    found = (context.mirrors.snapshot(mirror, name) for name in wanted)
    return [one for one in found if one is not None]


async def _files(context: FaceContext, snapshot: Snapshot, part: int) -> list[PublishedFile]:
    """Return the files of one part; shards before and behind it are not read."""
    first = (part - 1) * resourcesync.MAX_ENTRIES if part else 0
    found: list[PublishedFile] = []
    before = 0
    for shard in snapshot.content.shards:
        if before + shard.count > first:
            skipped = max(0, first - before)
            entries = (await shard_entries(context.store, snapshot.mirror, shard.sha256))[skipped:]
            found += map(published_file, entries[: resourcesync.MAX_ENTRIES - len(found)])
        before += shard.count
        if len(found) == resourcesync.MAX_ENTRIES:
            break
    return found
