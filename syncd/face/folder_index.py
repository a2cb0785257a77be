"""The folders of a snapshot, as HTML that tools read and people too, and as JSON.

Rules:
1. The rows are plain: a link, a time, a size, as nginx and Apache write them, so that wget, rclone, lftp and syncd read
   them. A link begins with `./`, so that a file called `http:x` is a file.
2. A page has at most ROWS rows, and says where the next one is. All rows are of one snapshot.
"""

import html
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from aiohttp import web

from manifests.messages import plain
from manifests.snapshot import Snapshot
from syncd.face.answers import Reject, document
from syncd.face.asked import KEPT, Asked, escaped
from syncd.face.context import FaceContext
from syncd.face.file_routes import FOR_EVER, PRIVATE
from syncd.face.preconditions import http_date
from syncd.face.public_mirrors import PublicMirror
from syncd.face.snapshot_lists import Child

ROWS = 10_000
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Row(msgspec.Struct, omit_defaults=True):
    """One row of the JSON index; as nginx's `autoindex_format json`, and the checksum."""

    name: str
    type: str
    mtime: str = ""
    size: int | None = None
    sha256: str = ""


async def folder_index(
    context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot, folder: str
) -> web.Response:
    """Answer for one folder: "" or a path that ends in a slash. Raises Reject if the snapshot has no such folder."""
    asked.snapshot, asked.path = snapshot.id, folder
    after = asked.query.get("after", "")
    found = await context.lists.children(snapshot, folder, after, ROWS + 1)
    if not found and not after and folder:
        raise Reject(404)
    rows, more = found[:ROWS], len(found) > ROWS
    headers = {"Vary": "Accept"}
    if more:
        base = context.url(f"mirrors/{mirror.name}/snapshots/{snapshot.id}/files/{escaped(folder)}")
        following = f"{base}?after={quote(rows[-1].name, safe='')}{'&' + asked.link if asked.link else ''}"
        headers["Link"] = f'<{following}>; rel="next"'
    cache = FOR_EVER if asked.is_open else PRIVATE
    if asked.wants_json:
        listed = msgspec.json.encode([_row(one) for one in rows], enc_hook=plain)
        return document(listed, "application/json", cache=cache, headers=headers)
    title = f"{mirror.name}/{folder}"
    query = f"?{asked.link}" if asked.link else ""
    after = f"?after={quote(rows[-1].name, safe='')}{'&' + asked.link if asked.link else ''}" if more else ""
    body = _page(title, rows, folder, after, query)
    return document(body, "text/html; charset=utf-8", cache=cache, headers=headers)


def _row(child: Child) -> Row:
    if child.entry is None:
        return Row(child.name.removesuffix("/"), "directory")
    return Row(child.name, "file", http_date(child.modified), child.entry.size, child.entry.sha256)


def _page(title: str, rows: list[Child], folder: str, following: str, query: str) -> bytes:
    """Return the page; `query` is that of the signed link by which it was asked for."""
    query = html.escape(query)
    lines = [f'<a href="../{query}">../</a>'] if folder else []
    for child in rows:
        link = f'<a href="./{quote(child.name, safe="/" + KEPT)}{query}">{html.escape(_shown(child.name))}</a>'
        if child.entry is None:
            lines.append(f"{link:<52} {'-':>17} {'-':>15}")
        else:
            lines.append(f"{link:<52} {_stamp(child.modified):>17} {child.entry.size:>15}")
    further = f'<p><a rel="next" href="{html.escape(following)}">next</a></p>\n' if following else ""
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8"><title>Index of '
        f"{html.escape(_shown(title))}</title></head>\n<body><h1>Index of {html.escape(_shown(title))}</h1><hr>"
        f"<pre>{chr(10).join(lines)}\n</pre><hr>{further}</body></html>\n"
    ).encode()


def _shown(text: str) -> str:
    """Return a name on one line."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def _stamp(seconds: float) -> str:
    at = datetime.fromtimestamp(max(0, int(seconds)), UTC)
    return f"{at.day:02}-{_MONTHS[at.month]}-{at.year} {at.hour:02}:{at.minute:02}"
