"""The OpenAPI 3.1 document, made from the route table and its types."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from syncd.api.errors import Failure
from syncd.api.routes import PATH_PARAMS, Route

_REASONS = {
    400: "A parameter or the body is invalid.",
    401: "A token is needed, or the given one is unknown.",
    403: "The token does not have the needed role.",
    404: "The object does not exist.",
    409: "The request conflicts with the current state.",
    413: "The body is too large.",
    415: "The body is of another type.",
    421: "The Host header is not a name of this daemon.",
    422: "The request is well-formed, but its content is invalid.",
    429: "Too many invalid tokens were sent from this address, or too many streams are open.",
    503: "The store or the daemon is not ready.",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the whole document."""
    routes = tuple(routes)
    kinds: list[Any] = [Failure]
    for route in routes:
        kinds += [kind for kind in (route.body, route.response) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    named = dict(zip((id(kind) for kind in kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "syncd",
            "version": version("syncd"),
            "summary": "The mirrors of a syncd daemon: their freshness, their state, and actions on them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "the token that `syncd token` printed"},
                "session": {"type": "apiKey", "in": "cookie", "name": "syncd_session"},
            },
        },
    }


def statuses(route: Route) -> tuple[int, ...]:
    """Return every error status of a route."""
    found = {421, *route.fails}
    if route.role is not None:
        found |= {401, 429, 503}
    if route.role in {"steward", "operator"}:
        found |= {403, 409}
    if route.query is not None or route.body is not None or route.path_params:
        found |= {400}
    if route.path_params:
        found |= {404}
    if route.body is not None:
        found |= {413, 415}
    return tuple(sorted(found | {400}))


def _operation(route: Route, named: dict[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = (
        {"schema": named[id(route.response)]} if route.response is not None else {"schema": {"type": "string"}}
    )
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {str(route.status): {"description": "Done.", "content": {route.media: content}}},
    }
    if route.method == "GET" and route.media == "application/json":
        found["responses"]["304"] = {"description": "Unchanged: the ETag in If-None-Match matches."}
    for status in statuses(route):
        schema = {"$ref": "#/components/schemas/Failure"}
        found["responses"][str(status)] = {
            "description": _REASONS[status],
            "content": {"application/json": {"schema": schema}},
        }
    if parameters := [*_path_params(route), *_queries(route)]:
        found["parameters"] = parameters
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": named[id(route.body)]}}}
    if route.role is not None:
        found["security"] = [{"token": []}, {"session": []}, *([{}] if route.role == "reader" else [])]
        found["x-role"] = route.role
    return found


def _path_params(route: Route) -> Iterable[dict[str, Any]]:
    for name in route.path_params:
        schema = msgspec.json.schema(PATH_PARAMS[name])
        told = schema.pop("description")
        yield {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


def _queries(route: Route) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    schema = msgspec.json.schema(route.query)
    found = schema["$defs"][route.query.__name__]
    for name, one in found["properties"].items():
        told = one.pop("description", "")
        needed = name in found.get("required", ())
        yield {"name": name, "in": "query", "required": needed, "description": told, "schema": one}
