"""The pages that concern who looks: login, logout, language, and the audit log."""

from urllib.parse import urlencode

import msgspec
from aiohttp import web

from manifests.messages import message
from syncd.api import (
    BACK,
    CALLBACK,
    COOKIE as SESSION,
    FLOW_COOKIE,
    FLOW_LASTS,
    LASTS,
    ApiContext,
    Call,
    HttpError,
    SignIn,
    chosen,
    schemas as a,
)
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


class CallbackQuery(a.Query, frozen=True, kw_only=True):
    """What the sign-in provider sends back."""

    code: str = ""
    state: str = ""
    iss: str | None = None
    error: str | None = None


def _sign_in(context: ApiContext) -> SignIn:
    if context.access.sign_in is None:
        raise HttpError(
            404, "NotFound", message("no sign-in provider is configured"), message("log in with a token at /login")
        )
    return context.access.sign_in


def _is_secure(context: ApiContext, call: Call) -> bool:
    return context.access.is_secure(call.request) or _sign_in(context).settings.url.startswith("https:")


async def begin_sign_in(context: ApiContext, call: Call) -> web.Response:
    """Send the browser to the provider."""
    call.request[BACK] = "/login"
    place, cookie = await _sign_in(context).begin(local_place(call.query.back))
    response = see_other(place)
    response.set_cookie(
        FLOW_COOKIE, cookie, max_age=int(FLOW_LASTS), path=CALLBACK, httponly=True, samesite="Lax",
        secure=_is_secure(context, call),
    )  # fmt: skip
    return response


async def finish_sign_in(context: ApiContext, call: Call) -> web.Response:
    """Begin the session of a person whom the provider sent back."""
    request = call.request
    request[BACK] = "/login"
    given = {name: value for name, value in msgspec.structs.asdict(call.query).items() if value is not None}
    sign_in = _sign_in(context)
    who, back = await sign_in.finish(request.cookies.get(FLOW_COOKIE, ""), given)
    # a redirect would still belong to the provider's request, and browsers send no strict cookie with it
    response = await site_of(context).render(context, request, "signed_in.html", target=back, who=who.name)
    lasts = min(sign_in.settings.session, LASTS)
    response.set_cookie(
        SESSION, context.access.sessions.begin_person(who, lasts), max_age=int(lasts), path="/", httponly=True,
        samesite="Strict", secure=_is_secure(context, call),
    )  # fmt: skip
    response.del_cookie(FLOW_COOKIE, path=CALLBACK)
    return response


async def logout(context: ApiContext, call: Call) -> web.Response:
    """End the session."""
    context.access.sessions.end(call.request.cookies.get(SESSION, ""))
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
