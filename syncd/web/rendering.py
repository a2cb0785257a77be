"""Renders the templates of the status page.

Rules:
1. Every page is whole HTML that works without a script; htmx only replaces the parts that change.
2. What strangers wrote is made `printable` and escaped, everywhere, by the environment and not by the templates.
3. A page changes something only by POST, from our own page (the door sees to it), and answers with where to look next.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self, cast
from urllib.parse import quote

from aiohttp import hdrs, web
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from manifests.access import in_scope
from syncd.api import BACK, VISITOR, ApiContext, HttpError
from syncd.core import printable
from syncd.web.i18n.translator import COOKIE as LANGUAGE, LANGUAGES, TAGS, Translator, choose, load_messages, load_words
from syncd.web.static import StaticFiles
from syncd.web.view_models import Spark

WORTH = 4_096  # bytes of a page above which it is compressed, for who takes that


def _printable(value: Any) -> Any:
    """Return what a template shows; markup is ours, text may be anybody's."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(value: str) -> Markup:
    """Return several lines of text, with everything invisible written out but what makes the lines."""
    return escape("\n".join("\t".join(map(printable, line.split("\t"))) for line in value.split("\n")))


@dataclass(frozen=True, slots=True)
class PageRenderer:
    """The templates, the sentences and the page's own files."""

    templates: Environment
    words: Mapping[str, Mapping[str, str]]
    messages: Mapping[str, Mapping[str, str]]
    static: StaticFiles
    sparks: dict[str, tuple[float, Spark | None]]
    """The sparkline of each mirror, and when it was made."""

    @classmethod
    def load(cls) -> Self:
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
            "steward": identity.role in {"steward", "operator"},
            "decides": lambda name: identity.role in {"steward", "operator"} and in_scope(identity.mirrors, name),
            "provider": context.access.sign_in.title if context.access.sign_in is not None else "",
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


def site_of(context: ApiContext) -> PageRenderer:
    """Return the renderer of the page that is served."""
    return cast("PageRenderer", context.site)  # what serves these routes


def banners(context: ApiContext) -> dict[str, Any]:
    """Return what the banners above a page tell: of the store, and of manifests with problems."""
    return {
        "store": context.control.store(),
        "wrong": [manifest for manifest in context.control.manifests() if manifest.problems],
    }


def see_other(place: str) -> web.Response:
    """Return the redirect to a page, after an action."""
    return web.Response(status=303, headers={"Location": place})


def local_place(place: str) -> str:
    """Return a place of our own, never another site's."""
    plain = place.isascii() and place.isprintable() and place.startswith("/") and not place.startswith(("//", "/\\"))
    return place if plain else "/"
