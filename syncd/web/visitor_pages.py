"""The pages that concern who looks: login, logout, language, and the audit log."""

from urllib.parse import urlencode

from aiohttp import web

from syncd.api import BACK, COOKIE as SESSION, LASTS, ApiContext, Call, HttpError, chosen, schemas as a
from syncd.web.i18n.translator import COOKIE as LANGUAGE
from syncd.web.rendering import local_place, see_other, site_of

YEAR = 365 * 86_400


class BackQuery(a.Query, frozen=True, kw_only=True):
    """Where to go afterwards."""

    back: str = "/"


class AuditPageQuery(a.AuditQuery, frozen=True, kw_only=True):
    """Which part of the audit log is shown, and whether all of it is checked."""

    check: bool = False


async def show_login(context: ApiContext, call: Call) -> web.Response:
    """Show the form that takes a token."""
    call.request[BACK] = "/login"
    return await site_of(context).render(
        context, call.request, "login.html", here="login", failure=None, target=local_place(call.query.back)
    )


async def login_token(context: ApiContext, call: Call) -> web.Response:
    """Begin a session with a token."""
    request = call.request
    context.access.check_origin(request)
    form = await request.post()
    given, target = str(form.get("token", "")).strip(), local_place(str(form.get("back", "/")))
    request[BACK] = "/login"
    try:
        token = await context.access.tokens.authenticate(given, context.access.address(request))
    except HttpError as error:
        return await site_of(context).render(
            context, request, "login.html", status=error.status, here="login", failure=error.failure, target=target
        )
    response = see_other(target)
    response.set_cookie(
        SESSION, context.access.sessions.begin(token), max_age=LASTS, path="/", httponly=True, samesite="Strict",
        secure=context.access.is_secure(request),
    )  # fmt: skip
    return response


async def logout(context: ApiContext, call: Call) -> web.Response:
    """End the session."""
    response = see_other("/")
    response.del_cookie(SESSION, path="/")
    return response


async def set_language(context: ApiContext, call: Call) -> web.Response:
    """Set the language of the page."""
    response = see_other(local_place(call.query.back))
    response.set_cookie(LANGUAGE, call.path_params["language"], max_age=YEAR, path="/", httponly=True, samesite="Lax")
    return response


async def show_audit(context: ApiContext, call: Call) -> web.Response:
    """Show the audit log, or a part of it; and on request, whether it is whole."""
    query = call.query
    found = await context.control.audit(before=query.before, limit=query.limit, **chosen(call))
    older = found[-1].id if len(found) >= query.limit else None
    kept = {name: value for name in ("since", "until", "mirror", "act") if (value := getattr(query, name))}
    return await site_of(context).render(
        context,
        call.request,
        "audit.html",
        here="audit",
        audit=found,
        older=older,
        chosen=query,
        selection=urlencode(kept),
        may_check=context.caller is None,
        verdict=await context.control.check_audit() if query.check else None,
    )
