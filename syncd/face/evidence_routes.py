"""All evidence about one file of the current snapshot: what it is, who said so, and when; as a page and as JSON."""

from typing import Any

import msgspec
from aiohttp import web

from manifests.messages import plain
from manifests.snapshot import Origin
from syncd.face.answers import Reject, document, redirect
from syncd.face.asked import Asked, escaped
from syncd.face.context import FaceContext
from syncd.face.landing_pages import page
from syncd.face.origins import public_origin
from syncd.face.public_mirrors import PublicMirror

_KEPT = ("size", "modified", "version", "answer_version", "answer_modified")


async def find_evidence(context: FaceContext, asked: Asked, mirror: PublicMirror) -> web.Response:
    """Lead from the form on the page of a mirror, which asks for a path, to the evidence."""
    path = asked.query.get("path", "").strip().removeprefix("./").lstrip("/")
    if not path:
        raise Reject(404)
    return redirect(context.url(f"mirrors/{mirror.name}/evidence/{escaped(path)}"))


async def evidence(context: FaceContext, asked: Asked, mirror: PublicMirror, path: str) -> web.Response:
    """Answer with all that is known of one file of the current snapshot."""
    snapshot = context.mirrors.snapshot(mirror, mirror.row.snapshot)
    if snapshot is None:
        raise Reject(404)
    entry = await context.lists.entry(snapshot, path)
    if entry is None:
        raise Reject(404)
    asked.snapshot, asked.path = snapshot.id, path
    known = await context.lists.origin(snapshot, path)
    origin = public_origin(known) if known is not None else None
    row = context.mirrors.ask(
        lambda catalogue: next(catalogue.holdings.entry_rows(mirror.row.id, path, path + "\0"), None)
    )
    checked = row["checked"] if row is not None and row["sha256"] == entry.sha256 else None
    more = {"Vary": "Accept, Accept-Language"}
    if "text/html" in asked.request.headers.get("Accept", "") and asked.query.get("format") != "json":
        held = await context.publications.get(mirror)
        shown = {
            "path": path,
            "escaped": escaped(path),
            "size": entry.size,
            "sha256": entry.sha256,
            "xxh3": entry.xxh3,
            "checked": checked,
        }
        return page(context, asked, "evidence.html", held=held, found=shown, origin=origin, kept=_kept(origin))
    found = {
        "mirror": mirror.name,
        "snapshot": snapshot.id,
        "path": path,
        "size": entry.size,
        "sha256": entry.sha256,
        "xxh3-128": entry.xxh3,
        "origin": origin,
        "fixity_checked": checked,
    }
    return document(msgspec.json.encode(found, enc_hook=plain), "application/json", headers=more)


def _kept(origin: Origin | None) -> list[tuple[str, Any]]:
    """Return what was kept of upstream's listing and answer."""
    if origin is None:
        return []
    return [(name, value) for name in _KEPT if (value := getattr(origin, name)) is not None]
