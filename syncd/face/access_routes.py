"""Terms accepted in a browser: a form that takes a partner's token, and answers with a signed link to the files.

Rules:
1. The token is in the form, and no cookie exists: no other page can act for a partner. The form is ours all the same
   (a mark with a checksum of our key, for an hour), and a browser that names another origin is refused.
2. The terms that the form showed are accepted: their version is in it, and in its mark.
3. The link is of one snapshot, for seven days at most, and ends with the token.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web

from manifests.access import access_of, admits
from syncd.exchange import json_document
from syncd.face.answers import Reject
from syncd.face.asked import Asked
from syncd.face.context import FaceContext
from syncd.face.forms import read_form
from syncd.face.landing_pages import page
from syncd.face.public_mirrors import PublicMirror

ROUTE = "access"


def takes_access_form(parts: tuple[str, ...]) -> bool:
    """Return True if an address has the form."""
    return len(parts) == 3 and parts[0] == "mirrors" and parts[2] == ROUTE


async def access_page(context: FaceContext, asked: Asked, name: str) -> web.Response:
    """Show the form, or answer it. Raises Reject: an open mirror has none."""
    mirror = context.mirror(asked, name, "metadata")
    if access_of(mirror.manifest, context.mirrors.moment()) == "open":
        raise Reject(404)
    if asked.method == "POST":
        return await _granted(context, asked, mirror)
    return await _form(context, asked, mirror)


async def _form(context: FaceContext, asked: Asked, mirror: PublicMirror, problem: str = "") -> web.Response:
    assert mirror.manifest.publish is not None
    publish, held = mirror.manifest.publish, await context.publications.get(mirror)
    version = publish.terms_version
    if asked.wants_json:
        terms = publish.terms.texts if publish.terms is not None else {}
        return _answer({"mirror": mirror.name, "terms": dict(terms), "version": version or None, "problem": problem})
    mark = await context.callers.form_mark(mirror.name, version, context.now())
    made = page(
        context, asked, "access.html", held=held, terms=publish.terms, version=version, mark=mark, problem=problem,
        link="", until=0.0,
    )  # fmt: skip
    return _private(made)


async def _granted(context: FaceContext, asked: Asked, mirror: PublicMirror) -> web.Response:
    given = dict(await read_form(asked.request))
    if not _is_ours(context, asked.request.headers):
        raise Reject(403, "The form came from another site.")
    assert mirror.manifest.publish is not None
    version, name = mirror.manifest.publish.terms_version, mirror.name
    by_header = bool(asked.caller.role)  # no other site's page can send that header
    if not by_header:
        if not await context.callers.is_form_mark(given.get("mark", ""), name, version, context.now()):
            return await _form(context, asked, mirror, "again")
        await context.callers.authenticate(asked, given.get("token", "").strip())
    caller, level = asked.caller, access_of(mirror.manifest, context.mirrors.moment())
    if caller.role != "partner" or admits(caller, name, level, "bytes") != "allowed":
        raise Reject(403)
    if version and version not in caller.accepted:
        if given.get("accept", "") != version:
            return await _form(context, asked, mirror, "accept")
        await context.callers.accept_terms(caller.name, name, version, context.now())
    query, until = await context.callers.signed_link(caller, name, mirror.row.snapshot, context.now())
    held = await context.publications.get(mirror)
    link = f"{held.snapshot_url('files/')}?{urlencode(query)}"
    if asked.wants_json:
        return _answer({"mirror": name, "url": link, "until": until})
    made = page(
        context, asked, "access.html", held=held, terms=None, version="", mark="", problem="", link=link, until=until
    )
    return _private(made)


def _is_ours(context: FaceContext, headers: Mapping[str, str]) -> bool:
    """Return True if the browser does not name another site as the one whose page sent the form."""
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    return origin is None or origin.lower() == context.url().rstrip("/").lower()


def _answer(found: object) -> web.Response:
    return _private(web.Response(body=json_document(found, is_complete=True), content_type="application/json"))


def _private(made: web.Response) -> web.Response:
    """Let no one keep an answer that has a link, or a form of this hour."""
    made.headers["Cache-Control"] = "no-store"
    made.headers.pop("ETag", None)
    return made
