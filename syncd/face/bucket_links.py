"""Lets the bucket send a file: a redirect to a link that is signed for one request, for two minutes.

Rules:
1. Who may read the file has been decided before. The link is for one object and one method, and tells no more.
2. A file that a pass is about to replace is not redirected, nor is a request whose range is not granted: a server that
   does not know `If-Range` as we mean it would send a part of another version.
3. Tools that read the node as a bucket follow no redirects: they get the bytes from us.
"""

from aiohttp import web

from syncd.core import SignsLinks, capability
from syncd.face.asked import Asked
from syncd.face.content_types import is_active, media_type, saved_as
from syncd.face.context import FaceContext
from syncd.face.preconditions import Grant
from syncd.face.stored_files import NamedFile, OpenedFile

LIFE = 120  # seconds in which a client must begin to read
_OF_BYTES = {"Content-Length", "Content-Range", "Content-Type", "Content-Disposition", "Cache-Control"}


async def bucket_link(
    context: FaceContext, asked: Asked, file: NamedFile, opened: OpenedFile, given: Grant, headers: dict[str, str]
) -> web.Response | None:
    """Return the redirect, or None if we send the file ourselves."""
    signer = capability(context.store, SignsLinks)
    if signer is None or opened.file is not None:
        return None
    if opened.place == file.mirror.prefix + file.path and not file.is_natural:
        return None
    if given.status == 200 and "Range" in asked.request.headers:
        return None
    media = media_type(file.path)
    query = {"response-content-type": media}
    if is_active(media):
        query["response-content-disposition"] = saved_as(file.path)
    link = await signer.signed_link(
        opened.place, method=asked.method, seconds=LIFE, query=query, endpoint=context.settings.endpoint or ""
    )
    kept = {name: value for name, value in headers.items() if name not in _OF_BYTES}
    return web.Response(status=307, headers={**kept, "Location": link, "Cache-Control": "no-store"})
