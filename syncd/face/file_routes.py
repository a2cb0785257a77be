"""Serves the files of snapshots: `/mirrors/<m>/snapshots/<id>/files/<path>` brings those bytes, or none.

The framework's own file response is not used: it takes a range of any version for one of the version that the client
has (`syncd.face.preconditions`).
"""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote

from aiohttp import web

from manifests.messages import message
from manifests.snapshot import Snapshot
from syncd.core import Changed, Damaged, NotFound
from syncd.face.answers import BYTES_POLICY, EVERY, WITHOUT_CORS, Reject, redirect
from syncd.face.asked import Asked, escaped
from syncd.face.bucket_links import bucket_link
from syncd.face.content_types import is_active, media_type, saved_as
from syncd.face.context import FaceContext
from syncd.face.preconditions import Grant, grant, http_date
from syncd.face.public_mirrors import PublicMirror, Unavailable
from syncd.face.send_file import send_chunks, send_descriptor
from syncd.face.stored_files import NamedFile, OpenedFile

FOR_EVER = "public, max-age=31536000, immutable"
PRIVATE = "private, max-age=31536000, immutable"
CHANGES = 3  # times that an object may be replaced between its choice and its first byte


def find_snapshot(context: FaceContext, mirror: PublicMirror, name: str) -> Snapshot:
    """Return the kept snapshot with this id. Raises Reject: 410 for one that was published and is not kept."""
    if len(name) == 64:
        found = context.mirrors.snapshot(mirror, name)
        if found is not None:
            return found
        if context.mirrors.was_published(mirror, name):
            raise Reject(410)
    raise Reject(404)


def full_id(context: FaceContext, mirror: PublicMirror, name: str) -> str | None:
    """Return the kept snapshot that has the tag `name`, or the only one whose id begins with it."""
    if len(name) == 64:
        return None
    tags = context.mirrors.ask(lambda catalogue: catalogue.tags.all(mirror.row.id))
    if (tagged := next((tag.snapshot for tag in tags if tag.name == name), None)) is not None:
        return tagged
    if not 8 <= len(name) < 64:
        return None
    fitting = [one for one in context.mirrors.kept(mirror) if one.startswith(name)]
    return fitting[0] if len(fitting) == 1 else None


async def send_file(
    context: FaceContext,
    asked: Asked,
    mirror: PublicMirror,
    snapshot: Snapshot,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    is_folder: bool = True,
) -> web.StreamResponse:
    """Answer a GET or HEAD of one file; with `is_folder`, a folder of that name is redirected to."""
    asked.snapshot, asked.path = snapshot.id, path
    file = await context.files.named(mirror.row, snapshot, path)
    if file is None:
        if is_folder and await context.lists.children(snapshot, f"{path}/", "", 1):
            query = f"?{asked.link}" if asked.link else ""
            return redirect(context.url(f"mirrors/{mirror.name}/snapshots/{snapshot.id}/files/{escaped(path)}/{query}"))
        raise Reject(404)
    asked.size = file.size
    modified = int(file.modified)
    given = grant(asked.method, asked.request.headers, size=file.size, etag=file.sha256, modified=modified)
    about = {**file_headers(file, is_open=asked.is_open), **(headers or {})}
    if is_folder:
        meta4 = context.url(f"mirrors/{mirror.name}/snapshots/{snapshot.id}/meta4/{escaped(path)}")
        about["Link"] = f'<{meta4}>; rel="describedby"; type="application/metalink4+xml"'
    if given.status == 416:
        raise Reject(416, Content_Range=f"bytes */{file.size}")
    if given.status == 412:
        raise Reject(412)
    if given.status == 304:
        return web.Response(status=304, headers=about)
    asked.range = (given.start, given.stop)
    return await _send(context, asked, file, given, about)


def file_headers(file: NamedFile, *, is_open: bool) -> dict[str, str]:
    """Return the headers of a file, whatever part of it is sent."""
    media = media_type(file.path)
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    headers = {
        **(EVERY if is_open else WITHOUT_CORS),
        "ETag": f'"{file.sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Last-Modified": http_date(file.modified),
        "Content-Type": media,
        "Cache-Control": FOR_EVER if is_open else PRIVATE,
        "Content-Security-Policy": BYTES_POLICY,
    }
    if is_active(media):
        headers["Content-Disposition"] = saved_as(file.path)
    return headers


async def _send(
    context: FaceContext, asked: Asked, file: NamedFile, given: Grant, headers: dict[str, str]
) -> web.StreamResponse:
    count = given.stop - given.start
    headers["Content-Length"] = str(count)
    if given.status == 206:
        headers["Content-Range"] = f"bytes {given.start}-{given.stop - 1}/{file.size}"
    for _ in range(CHANGES):
        opened = await _open(context, file)
        if context.settings.send == "accel" and file.is_natural and opened.place == _natural(file):
            return _by_nginx(asked, opened, headers)
        if context.settings.send == "redirect" and asked.door == "http":
            link = await bucket_link(context, asked, file, opened, given, headers)
            if link is not None:
                return link
        if asked.method == "HEAD":
            return web.Response(status=given.status, headers=headers)
        if opened.file is None:
            with suppress(Changed, NotFound):  # a publish moved it away: look again
                return await _send_object(context, asked, opened, given, headers)
            continue
        if opened.content is not None:
            return await _send_small(asked, file, opened.content, given, headers)
        response = web.StreamResponse(status=given.status, headers=headers)
        await send_descriptor(
            asked.request, response, opened.file, given.start, given.stop,
            threads=context.threads, pace=asked.pace, on_sent=asked.count,
        )  # fmt: skip
        return response
    raise Unavailable(message("{path}: is replaced again and again", path=file.path))


def _natural(file: NamedFile) -> str:
    return file.mirror.prefix + file.path


def _by_nginx(asked: Asked, opened: OpenedFile, headers: dict[str, str]) -> web.Response:
    """Let the nginx in front send a file that no pass is about to replace; it makes the range itself."""
    asked.ticket = secrets.token_hex(8)  # what was sent is known to nginx alone, which reports it under this number
    kept = {name: value for name, value in headers.items() if name not in {"Content-Length", "Content-Range"}}
    handed = {"X-Accel-Redirect": f"/internal/{quote(opened.place)}", "X-Syncd-Ticket": asked.ticket}
    return web.Response(headers={**kept, **handed})


async def _open(context: FaceContext, file: NamedFile) -> OpenedFile:
    try:
        return await context.files.open(file)
    except Damaged as error:
        if not context.mirrors.is_kept(file.mirror, file.snapshot):
            raise Reject(410) from error  # its time ended while it was looked for
        raise


async def _send_small(
    asked: Asked, file: NamedFile, body: bytes, given: Grant, headers: dict[str, str]
) -> web.StreamResponse:
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise Damaged(message("{path}: its bytes are not those that its snapshot names", path=file.path))
    if asked.pace is not None:
        await asked.pace.pace(given.stop - given.start)
    asked.sent = given.stop - given.start
    return web.Response(body=body[given.start : given.stop], status=given.status, headers=headers)


async def _send_object(
    context: FaceContext, asked: Asked, opened: OpenedFile, given: Grant, headers: dict[str, str]
) -> web.StreamResponse:
    if given.start == given.stop:
        return web.Response(status=given.status, headers=headers)
    response = web.StreamResponse(status=given.status, headers=headers)
    async with context.files.body(opened, given.start, given.stop) as body:

        async def chunks() -> AsyncIterator[bytes]:
            left = given.stop - given.start
            async for chunk in body:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
            if left:
                raise ConnectionAbortedError("the object is shorter than it was")

        await send_chunks(asked.request, response, chunks(), asked.pace, asked.count)
    return response


def latest(context: FaceContext, mirror: PublicMirror, rest: tuple[str, ...]) -> web.Response:
    """Redirect to the same path in the current snapshot."""
    path = escaped("/".join(rest))
    return redirect(context.url(f"mirrors/{mirror.name}/snapshots/{mirror.row.snapshot}/files/{path}"))
