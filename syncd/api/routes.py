"""The type of a route: router, OpenAPI document and docs/api.md are made from one table of them.

Rule: types declare the parameters and the answer of a route, and only valid requests reach it.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
from aiohttp import web
from multidict import MultiDict

from manifests.messages import message
from syncd.api.auth.door import Identity
from syncd.api.context import ApiContext, ErrorPage
from syncd.api.errors import HttpError
from syncd.config import Role
from syncd.control import Actor

PATH_PARAMS: dict[str, Any] = {
    "mirror": Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="a mirror's name")],
    "language": Annotated[Literal["en", "zh"], msgspec.Meta(description="a language")],
    "job_id": Annotated[int, msgspec.Meta(ge=1, le=2**53, description="a job's number")],
    "pass_id": Annotated[int, msgspec.Meta(ge=1, le=2**53, description="a pass's number")],
}
"""The pattern and description of each path parameter."""


@dataclass(frozen=True, slots=True)
class Call:
    """One validated request: its path parameters, query, body and sender."""

    request: web.Request
    identity: Identity
    path_params: dict[str, Any]
    query: Any
    body: Any

    @property
    def who(self) -> Actor:
        """Return the sender, for the audit log."""
        return self.identity.actor

    @property
    def mirror(self) -> str:
        """Return the name of the mirror in the path."""
        return str(self.path_params["mirror"])

    @property
    def given(self) -> dict[str, Any]:
        """Return the parameters of the query or the body, defaults included."""
        given = self.body if self.body is not None else self.query
        return msgspec.structs.asdict(given) if given is not None else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    name: str
    """The unique name of the operation, also in generated clients."""
    summary: str
    """A description in one line."""
    handler: "Callable[[ApiContext, Call], Awaitable[Any]]"
    """Returns the value to encode, or a whole response."""
    ignores_unknown: bool = False
    """Whether unknown parameters of the query are ignored: of a request that others make."""
    role: Role | None = "reader"
    """The needed role; None: no token is needed."""
    query: type[msgspec.Struct] | None = None
    """The query's parameters."""
    body: type[msgspec.Struct] | None = None
    """The JSON body."""
    response: Any = None
    """The type of the answer, as JSON."""
    cursor: str = ""
    """The field of the last view of a full page that leads to the next page; "" if there is no other page."""
    status: int = 200
    media: str = "application/json"
    fails: tuple[int, ...] = ()
    """Error statuses in addition to those of every such route."""

    @property
    def path_params(self) -> tuple[str, ...]:
        """Return the names of the path parameters."""
        return tuple(re.findall(r"{(\w+)}", self.path))


def listed(route: Route, call: Call, found: Sequence[Any]) -> Any:
    """Return the answer that holds a list of views in its first field, and in `next` the cursor of the next page."""
    name = route.response.__struct_fields__[0]
    is_full = bool(route.cursor) and len(found) >= call.query.limit
    return route.response(**{name: tuple(found)} | ({"next": getattr(found[-1], route.cursor)} if is_full else {}))


class Site(ErrorPage, Protocol):
    """The pages for people that are served beside the API."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every page."""
        ...

    def add_files(self, router: web.UrlDispatcher) -> None:
        """Serve the site's own files: style, scripts, pictures."""
        ...


async def read_request(route: Route, request: web.Request, identity: Identity) -> Call:
    """Parse and validate a request by the route's types. Raises HttpError."""
    places = {name: _path_param(name, request.match_info[name]) for name in route.path_params}
    query = _query(route, request)
    body = await _body(route, request) if route.body is not None else None
    return Call(request, identity, places, query, body)


def _path_param(name: str, given: str) -> Any:
    try:
        return msgspec.convert(given, PATH_PARAMS[name], strict=False)
    except msgspec.ValidationError as error:
        raise HttpError(
            404,
            "NotFound",
            message("{given!r} is not a valid {name}", given=given[:80], name=name.removesuffix("_id")),
            message("see the list"),
        ) from error


def _query(route: Route, request: web.Request) -> Any:
    given = request.query
    if route.query is None:
        for name in given:
            raise HttpError(
                400,
                "Unsupported",
                message("{name!r} is not a parameter of this request", name=name[:80]),
                message("send none"),
            )
        return None
    known = route.query.__struct_encode_fields__
    if route.ignores_unknown:
        given = MultiDict((name, given[name]) for name in known if name in given)
    for name in given:
        if name not in known:
            todo = message("known are {known}", known=known)
            raise HttpError(
                400, "Unsupported", message("{name!r} is not a parameter of this request", name=name[:80]), todo
            )
        if len(given.getall(name)) > 1:
            raise HttpError(400, "Unsupported", message("{name} is given twice", name=name), message("give it once"))
    try:
        return msgspec.convert(dict(given), route.query, strict=False)
    except msgspec.ValidationError as error:
        raise HttpError(
            400, "Unsupported", message("the query is invalid: {cause}", cause=error), _hint(route)
        ) from error


async def _body(route: Route, request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise HttpError(
            415,
            "Unsupported",
            message("the body is {content_type}", content_type=request.content_type),
            message("send application/json"),
        )
    raw = await request.read()
    try:
        return msgspec.json.decode(raw, type=route.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(
            400, "Unsupported", message("the body is invalid: {cause}", cause=error), _hint(route)
        ) from error


def _hint(route: Route) -> str:
    return f"see {route.name} in /api/v1/openapi.json"
