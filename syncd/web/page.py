"""The status page: what people see of the daemon in a browser, and the few things they may do there.

Rules:
1. Every page is whole HTML that works without a script; htmx only replaces the parts that change.
2. What strangers wrote is made `printable` and escaped, everywhere, by the environment and not by the templates.
3. A page changes something only by POST, from our own page (the door sees to it), and answers with where to look next.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from syncd.api import (
    BACK,
    COOKIE as SESSION,
    LASTS,
    VISITOR,
    ApiContext,
    Call,
    HttpError,
    Route,
    approve,
    check,
    http_error,
    schemas as a,
)
from syncd.control import CheckView, MirrorView, PlanView
from syncd.core import Busy, ConfigError, PermanentError, SyncdError, TransientError, printable
from syncd.web.i18n.translator import (
    COOKIE as LANGUAGE,
    LANGUAGES,
    TAGS,
    Translator,
    choose,
    crumbs,
    load_messages,
    load_words,
)
from syncd.web.static import StaticFiles
from syncd.web.view_models import Spark, age_of, badges, listing, spark

FEW = 10  # of anything that has a page of its own
EVENTS = 200
YEAR = 365 * 86_400
SPARK_LASTS = 60.0  # seconds
WORTH = 4_096  # bytes of a page above which it is compressed, for who takes that
NEEDY = frozenset({"failing", "offline", "rejected"})  # states that want a person


def _printable(value: Any) -> Any:
    """Return what a template shows; markup is ours, text may be anybody's."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(value: str) -> Markup:
    """Return several lines of text, with everything invisible written out but what makes the lines."""
    return escape("\n".join("\t".join(map(printable, line.split("\t"))) for line in value.split("\n")))


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The templates, the sentences and the page's own files."""

    templates: Environment
    words: Mapping[str, Mapping[str, str]]
    messages: Mapping[str, Mapping[str, str]]
    static: StaticFiles
    sparks: dict[str, tuple[float, Spark | None]]
    """The sparkline of each mirror, and when it was made."""

    @classmethod
    def load(cls) -> "StatusPage":
        """Read everything (it blocks)."""
        sources = {one.name: one.read_text("utf-8") for one in files("syncd.web").joinpath("templates").iterdir()}
        templates = Environment(
            loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, finalize=_printable,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        templates.filters["safetext"] = _text
        return cls(templates, load_words(), load_messages(), StaticFiles.load(), {})

    async def render(
        self,
        context: ApiContext,
        request: web.Request,
        template: str,
        *,
        status: int = 200,
        stream: str | None = None,
        **shown: Any,
    ) -> web.Response:
        """Return a page in the language of who asks."""
        identity = request.get(VISITOR) or context.access.nobody
        language = choose(request.cookies.get(LANGUAGE), request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        speech = Translator(language, self.words[language], context.clock(), self.messages.get(language, {}))
        known = {
            "speech": speech, "t": speech.say, "static": self.static, "languages": LANGUAGES, "tags": TAGS,
            "visitor": identity, "operator": identity.role == "operator",
            "any_operator": context.access.tokens.any_operator,
            "here": "", "back": request.get(BACK) or request.path_qs, "stream": stream, "done": "",
            "daemon": context.control.daemon(),
        }  # fmt: skip
        if callable(done := shown.get("done")):
            shown["done"] = done(speech)
        shown = {**known, **shown}
        # in a thread: all that is shown is frozen by now, and no pass waits for a page
        body = await asyncio.to_thread(lambda: self.templates.get_template(template).render(shown).encode())
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Language": speech.tag,
            "Cache-Control": "private, no-cache",
            "Vary": "Accept-Language, Cookie",
        }
        response = web.Response(body=body, status=status, headers=headers)
        if len(body) > WORTH:
            response.enable_compression()
        return response

    async def declined(self, context: ApiContext, request: web.Request, error: HttpError) -> web.Response:
        """Return the page that says why there is none; who may not look is led to where a token is given."""
        if error.status == 401 and request.method == "GET" and hdrs.AUTHORIZATION not in request.headers:
            return web.Response(status=303, headers={"Location": f"/login?back={quote(request.path_qs)}"})
        request[BACK] = "/"
        response = await self.render(
            context, request, "declined.html", status=error.status, code=error.status, failure=error.failure
        )
        response.headers.update(error.headers)
        return response

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every page."""
        return ROUTES

    def add_files(self, router: web.UrlDispatcher) -> None:
        """Serve style, scripts and pictures."""
        self.static.add_to(router)


def _site(context: ApiContext) -> StatusPage:
    return cast("StatusPage", context.site)  # what serves these routes


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One mirror of the fleet as its line shows it."""

    mirror: Any
    badges: Any
    age: Any
    spark: Any


def _banners(context: ApiContext) -> dict[str, Any]:
    return {
        "store": context.control.store(),
        "wrong": [manifest for manifest in context.control.manifests() if manifest.problems],
    }


async def _fleet(context: ApiContext, call: Call) -> web.Response:
    control, now = context.control, context.clock()
    mirrors = control.mirrors()
    for gone in _site(context).sparks.keys() - {one.name for one in mirrors}:
        del _site(context).sparks[gone]
    lines = [FleetLine(one, badges(one), age_of(one, now), _spark(context, one.name, now)) for one in mirrors]
    kept = [one for one in mirrors if one.state != "retired"]
    return await _site(context).render(
        context, call.request, "fleet.html", here="fleet", stream="/api/v1/events", lines=lines,
        current=sum(one.health in {"good", "degraded"} for one in kept),
        needy=sum(map(_is_needy, kept)),
        files=sum(one.files for one in mirrors), bytes=sum(one.bytes for one in mirrors),
        rate=sum(one.progress.rate for one in mirrors if one.progress is not None),
        running=sum(one.progress is not None for one in mirrors),
        **_banners(context),
    )  # fmt: skip


def _spark(context: ApiContext, name: str, now: float) -> Spark | None:
    """Return the sparkline of a mirror; it is drawn anew once a minute at most, since it shows a day."""
    sparks = _site(context).sparks
    made, found = sparks.get(name, (-math.inf, None))
    if not 0 <= now - made < SPARK_LASTS:
        found = spark(context.control.series(name), now)
        sparks[name] = (now, found)
    return found


def _is_needy(mirror: MirrorView) -> bool:
    """Tell whether a person should look at a mirror."""
    wrong = mirror.failed or mirror.parked or mirror.faults
    return bool(wrong) or mirror.health in {"degraded", "stale"} or mirror.state in NEEDY


class DoneQuery(a.Query, frozen=True, kw_only=True):
    """What was just done, for the sentence above the mirror."""

    done: a.Act | None = None


async def _mirror(context: ApiContext, call: Call) -> web.Response:
    name = call.path_params["mirror"]
    control, now = context.control, context.clock()
    mirror = control.mirror(name)
    passes = await control.passes(name, limit=FEW)
    act = call.query.done
    progress = mirror.progress
    left = None
    if progress is not None and progress.rate > 0 and progress.sized and progress.phase == "transfer":
        left = max(0, progress.bytes - progress.bytes_done) / progress.rate
    return await _site(context).render(
        context, call.request, "mirror.html", stream=f"/api/v1/events?mirror={name}", mirror=mirror,
        badges=badges(mirror), age=age_of(mirror, now), left=left,
        done=(lambda speech: speech.say(f"done.{act}")) if act is not None else "",
        scrub=next((one for one in control.scrubs() if one.mirror == name), None),
        parked=await control.parked(name, limit=FEW) if mirror.parked else [],
        failures=await control.failures(name, limit=FEW) if mirror.failed else [],
        quarantine=await control.quarantine(name, limit=FEW) if mirror.quarantined else [],
        passes=passes, older=passes[-1].id if len(passes) == FEW else None,
        snapshots=await control.snapshots(name) if mirror.snapshot else [],
        peak=max([one.rate for one in control.series(name)] + ([progress.rate] if progress is not None else [0.0])),
        **_banners(context),
    )  # fmt: skip


async def _act(context: ApiContext, call: Call) -> web.Response:
    name = call.path_params["mirror"]
    form = await call.request.post()
    try:
        asked = msgspec.convert(dict(form), _ActForm, strict=False)
    except msgspec.ValidationError as error:
        raise HttpError(
            400, "Unsupported", f"the form does not fit: {error}", "go back and load the page again"
        ) from error
    if asked.act == "approve":
        await approve(context, name, call.who, asked.files)
    else:
        await getattr(context.control, asked.act)(name, call.who)
    return _see_other(f"/mirrors/{name}?done={asked.act}")


class _ActForm(msgspec.Struct, frozen=True):
    act: a.Act
    files: int | None = None


async def _passes(context: ApiContext, call: Call) -> web.Response:
    name = call.path_params["mirror"]
    mirror = context.control.mirror(name)
    found = await context.control.passes(name, before=call.query.before, limit=call.query.limit)
    older = found[-1].id if len(found) >= call.query.limit else None
    return await _site(context).render(context, call.request, "passlist.html", mirror=mirror, passes=found, older=older)


async def _pass(context: ApiContext, call: Call) -> web.Response:
    name, number = call.path_params["mirror"], call.path_params["pass_id"]
    mirror = context.control.mirror(name)
    events = await context.control.pass_events(name, number, after=call.query.after, limit=EVENTS)
    (one,) = await context.control.passes(name, before=number + 1, limit=1)
    newer = events[-1].id if len(events) >= EVENTS else None
    return await _site(context).render(
        context, call.request, "pass.html", mirror=mirror, one=one, events=events, newer=newer
    )


class FolderQuery(a.Query, frozen=True, kw_only=True):
    """Which folder."""

    prefix: str = ""
    after: str = ""


async def _files(context: ApiContext, call: Call) -> web.Response:
    prefix = call.query.prefix
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    mirror = context.control.mirror(call.path_params["mirror"])
    found = await listing(context.control, mirror.name, prefix, call.query.after)
    return await _site(context).render(
        context,
        call.request,
        "files.html",
        mirror=mirror,
        prefix=prefix,
        listing=found,
        folders_above=list(crumbs(prefix)),
    )


async def _file(context: ApiContext, call: Call) -> web.Response:
    mirror = context.control.mirror(call.path_params["mirror"])
    entry = await context.control.entry(mirror.name, call.query.path)
    return await _site(context).render(context, call.request, "file.html", mirror=mirror, entry=entry)


async def _diff(context: ApiContext, call: Call) -> web.Response:
    mirror = context.control.mirror(call.path_params["mirror"])
    query = call.query
    diff = await context.control.diff(mirror.name, query.before, query.after, limit=query.limit)
    return await _site(context).render(context, call.request, "diff.html", mirror=mirror, diff=diff)


async def _parked(context: ApiContext, call: Call) -> web.Response:
    mirror = context.control.mirror(call.path_params["mirror"])
    found = await context.control.parked(mirror.name, after=call.query.after, limit=call.query.limit)
    following = found[-1].path if len(found) >= call.query.limit else ""
    return await _site(context).render(
        context, call.request, "parked.html", mirror=mirror, parked=found, next=following
    )


async def _check(context: ApiContext, call: Call) -> web.Response:
    return await _checked(context, call, "")


async def _check_text(context: ApiContext, call: Call) -> web.Response:
    form = await call.request.post()
    given = form.get("text", "")
    text = given.replace("\r\n", "\n") if isinstance(given, str) else ""
    found = await check(context, text)
    if form.get("act") != "plan" or found.problems:
        return await _checked(context, call, text, found)
    context.access.admit(call.identity, "operator")  # upstream is asked, from here
    try:
        plan = await context.control.plan_text(text, limit=FEW)
    except (Busy, ConfigError, PermanentError, TransientError) as error:
        return await _checked(context, call, text, found, failure=error)
    return await _checked(context, call, text, found, plan)


async def _checked(
    context: ApiContext, call: Call, text: str, found: CheckView | None = None, plan: PlanView | None = None,
    failure: SyncdError | None = None,
) -> web.Response:  # fmt: skip
    problems = found.problems if found is not None else ()
    return await _site(context).render(
        context, call.request, "check.html", here="check", text=text, found=found, plan=plan,
        lines=text.rstrip("\n").split("\n") if problems else [], wrong_lines={one.line for one in problems},
        failure=http_error(failure).failure if failure is not None else None,
    )  # fmt: skip


class BackQuery(a.Query, frozen=True, kw_only=True):
    """Where to go afterwards."""

    back: str = "/"


async def _login(context: ApiContext, call: Call) -> web.Response:
    call.request[BACK] = "/login"
    return await _site(context).render(
        context, call.request, "login.html", here="login", failure=None, target=_local(call.query.back)
    )


async def _login_token(context: ApiContext, call: Call) -> web.Response:
    request = call.request
    context.access.check_origin(request)
    form = await request.post()
    given, target = str(form.get("token", "")).strip(), _local(str(form.get("back", "/")))
    request[BACK] = "/login"
    try:
        token = await context.access.tokens.authenticate(given, context.access.address(request))
    except HttpError as error:
        return await _site(context).render(
            context, request, "login.html", status=error.status, here="login", failure=error.failure, target=target
        )
    response = _see_other(target)
    response.set_cookie(
        SESSION, context.access.sessions.begin(token), max_age=LASTS, path="/", httponly=True, samesite="Strict",
        secure=context.access.is_secure(request),
    )  # fmt: skip
    return response


async def _logout(context: ApiContext, call: Call) -> web.Response:
    response = _see_other("/")
    response.del_cookie(SESSION, path="/")
    return response


async def _language(context: ApiContext, call: Call) -> web.Response:
    response = _see_other(_local(call.query.back))
    response.set_cookie(LANGUAGE, call.path_params["language"], max_age=YEAR, path="/", httponly=True, samesite="Lax")
    return response


async def _audit(context: ApiContext, call: Call) -> web.Response:
    found = await context.control.audit(before=call.query.before, limit=call.query.limit)
    older = found[-1].id if len(found) >= call.query.limit else None
    return await _site(context).render(context, call.request, "audit.html", here="audit", audit=found, older=older)


def _see_other(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})


def _local(place: str) -> str:
    """Return a place of our own, never another site's."""
    plain = place.isascii() and place.isprintable() and place.startswith("/") and not place.startswith(("//", "/\\"))
    return place if plain else "/"


def _page(method: str, path: str, name: str, does: Any, **more: Any) -> Route:
    return Route(method=method, path=path, name=name, summary="", handler=does, media="text/html", **more)


MIRROR = "/mirrors/{mirror}"

ROUTES: tuple[Route, ...] = (
    _page("GET", "/", "fleet", _fleet),
    _page("GET", MIRROR, "mirror", _mirror, query=DoneQuery),
    _page("POST", f"{MIRROR}/act", "act", _act, role="operator"),
    _page("GET", f"{MIRROR}/passes", "passes", _passes, query=a.PassesQuery),
    _page("GET", f"{MIRROR}/passes/{{pass_id}}", "pass", _pass, query=a.EventsQuery),
    _page("GET", f"{MIRROR}/files", "files", _files, query=FolderQuery),
    _page("GET", f"{MIRROR}/file", "file", _file, query=a.EntryQuery),
    _page("GET", f"{MIRROR}/diff", "diff", _diff, query=a.DiffQuery),
    _page("GET", f"{MIRROR}/parked", "parked", _parked, query=a.PageQuery),
    _page("GET", "/check", "check", _check),
    _page("POST", "/check", "checkText", _check_text),
    _page("GET", "/audit", "audit", _audit, role="operator", query=a.AuditQuery),
    _page("GET", "/login", "login", _login, role=None, query=BackQuery),
    _page("POST", "/login", "loginToken", _login_token, role=None),
    _page("POST", "/logout", "logout", _logout, role=None),
    _page("GET", "/language/{language}", "language", _language, role=None, query=BackQuery),
)
"""Every page; they are no part of the API."""
