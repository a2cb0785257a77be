"""Serves what other nodes trust: the signed head of a mirror, its signature, and the sets of the node's keys."""

import hashlib

from aiohttp import web

from manifests.head import MAX_HEAD
from manifests.node_keys import MAX_KEYS
from syncd.core import Damaged, NotFound
from syncd.engine import KEY_CHAIN, head_path, read_bounded
from syncd.face.answers import Reject, document
from syncd.face.context import FaceContext

JSON = "application/json"
HEAD = "head.json"
SIGNATURE = "head.json.minisig"


async def send_head(context: FaceContext, etags: str, mirror: str, name: str) -> web.Response:
    """Send the head of a mirror or its signature; `etags` are those that the client has. Raises Reject."""
    path = head_path(mirror)
    if name == SIGNATURE:
        return await _send(context, f"{path}.minisig", MAX_HEAD, "text/plain; charset=utf-8", etags)
    return await _send(context, path, MAX_HEAD, JSON, etags)


async def send_keys(context: FaceContext, etags: str) -> web.Response:
    """Send the sets of the node's keys. Raises Reject if it never changed its key."""
    return await _send(context, KEY_CHAIN, MAX_KEYS, JSON, etags)


async def _send(context: FaceContext, path: str, most: int, media: str, etags: str) -> web.Response:
    try:
        body = await read_bounded(context.store, path, most)
    except (NotFound, Damaged) as error:
        raise Reject(404) from error
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    if etag in etags:
        return web.Response(status=304, headers={"ETag": etag, "Cache-Control": "no-cache"})
    return document(body, media, headers={"ETag": etag})
