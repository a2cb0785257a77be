"""The HTTP side of the daemon: the API, the page and the health checks, served within a block.

`syncd run` serves it in a thread of its own (`syncd.daemon.api_thread`).
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import xxhash
from aiohttp import web

from manifests.messages import message, plain
from syncd.api.auth.door import HEADERS, SAFE, AccessControl
from syncd.api.auth.oidc import SignIn
from syncd.api.auth.sessions import Sessions
from syncd.api.auth.tokens import SLOWNESS, Tokens
from syncd.api.connections import IDLE, ConnectionLimit, server_log
from syncd.api.context import IS_PAGE, VISITOR, ApiContext, CheckQueue, Metrics
from syncd.api.control_socket import peer_of
from syncd.api.errors import HttpError, http_error
from syncd.api.rest import ROUTES, V1
from syncd.api.routes import Route, Site, listed, read_request
from syncd.api.sse import TICK, EventStream
from syncd.config import ApiSettings, Token
from syncd.control import Control
from syncd.core import ConfigError, SyncdError

LARGEST_BODY = 1 << 20
LINES = 8_190  # bytes of a request's line and of each header
GRACE = 2.0  # seconds in which running answers may end when the daemon stops
BACKLOG = 128
CHECKS = 4  # manifests that may wait while one is checked


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The running HTTP side."""

    url: str
    tokens: Tokens
    stream: EventStream


@asynccontextmanager
async def serving(
    control: Control,
    *,
    listen: str = "127.0.0.1:8750",
    settings: ApiSettings | None = None,
    tokens: Iterable[Token] = (),
    metrics: Metrics | None = None,
    clock: Callable[[], float] = time.time,
    slowness: float = SLOWNESS,
    tick: float = TICK,
    site: Site | None = None,
    most: int | None = None,
    environ: Mapping[str, str] | None = None,
    local: socket.socket | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve within the block; `listen` may name port 0. Raises ConfigError if the address is not available.

    The caller calls `tokens.replace` on the result when the configuration changes. `site` may be shared; without one,
    there are no pages. `local` is a bound socket of this machine, whose peers are operators.
    """
    known = Tokens(tokens, clock=time.monotonic, slowness=slowness, now=clock)
    settings = settings or ApiSettings()
    given = settings.sign_in
    sign_in = SignIn(given, environ or {}, clock) if given is not None else None
    door = AccessControl(settings, listen, known, Sessions(known, clock), sign_in)
    stream = EventStream(control, epoch=secrets.token_hex(4), tick=tick)
    context = ApiContext(control, door, stream, metrics, clock, site, CheckQueue(CHECKS, "manifests"))
    connections = ConnectionLimit(most)
    runner = web.AppRunner(
        _app(context, site, connections), access_log=None, shutdown_timeout=GRACE, handle_signals=False,
        max_line_size=LINES, max_field_size=LINES, keepalive_timeout=IDLE, logger=server_log(),
    )  # fmt: skip
    await runner.setup()
    listener = at_socket = None
    try:
        host, _, port = listen.rpartition(":")
        assert runner.server is not None
        accept = connections.protocols(runner.server)
        try:
            listener = await asyncio.get_running_loop().create_server(
                accept, host.strip("[]"), int(port), backlog=BACKLOG
            )
        except OSError as error:
            raise ConfigError(
                message(
                    "listen: {listen}: cannot listen on this address: {cause}: stop the program that "
                    "uses it, or write another address",
                    listen=listen,
                    cause=os.strerror(error.errno) if error.errno else error,
                )
            ) from error
        if local is not None:
            at_socket = await asyncio.get_running_loop().create_unix_server(accept, sock=local, backlog=BACKLOG)
        async with stream.running():
            bound = listener.sockets[0].getsockname()
            bound_host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            yield RunningServer(f"http://{bound_host}:{bound[1]}", known, stream)
    finally:
        for one in (listener, at_socket):
            if one is not None:
                one.close()
        await runner.cleanup()


def _app(context: ApiContext, site: Site | None, connections: ConnectionLimit) -> web.Application:
    middlewares = [connections.middleware(), _access_middleware(context)]
    app = web.Application(middlewares=middlewares, client_max_size=LARGEST_BODY)
    for route in (*ROUTES, *(site.routes if site is not None else ())):
        app.router.add_route(route.method, route.path, _endpoint_for(context, route))
        if route.method == "GET" and route.media != "text/event-stream":
            app.router.add_route("HEAD", route.path, _endpoint_for(context, route))
    if site is not None:
        site.add_files(app.router)

    async def prepared(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = "syncd"
        response.headers.setdefault("Cache-Control", "no-store" if response.status >= 400 else "no-cache")

    app.on_response_prepare.append(prepared)
    return app


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _access_middleware(context: ApiContext) -> Any:
    """Return the middleware that rejects requests, with errors in one structure."""

    @web.middleware
    async def door(request: web.Request, handler: Answering) -> web.StreamResponse:
        try:
            if request.path not in {
                "/livez",
                "/readyz",
            }:  # monitoring may use any host name; the answers reveal nothing
                context.access.check_host(request)
            return await handler(request)
        except SyncdError as error:
            return await _error_response(context, request, http_error(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return await _error_response(context, request, _unroutable(request, error))

    return door


def _unroutable(request: web.Request, error: web.HTTPException) -> HttpError:
    """Convert an error of the router or the server."""
    if error.status == 405:
        known = error.headers.get("Allow", "")
        return HttpError(
            405,
            "Unsupported",
            message("{method} is not a method of {path}", method=request.method, path=request.path[:200]),
            message("use {known}", known=known),
            Allow=known,
        )
    if error.status == 413:
        return HttpError(
            413,
            "TooLarge",
            message("the body is larger than {largest_body} bytes", largest_body=LARGEST_BODY),
            message("send less"),
        )
    if error.status == 404:
        return HttpError(
            404,
            "NotFound",
            message("{path}: there is no such page", path=request.path[:200]),
            message("see / or {root}/openapi.json", root=V1),
        )
    return HttpError(error.status, "Unsupported", error.reason, message("see {root}/openapi.json", root=V1))


async def _error_response(context: ApiContext, request: web.Request, error: HttpError) -> web.Response:
    is_for_people = request.get(IS_PAGE) or (
        not request.path.startswith("/api/") and "text/html" in request.headers.get("Accept", "")
    )
    if context.site is not None and is_for_people:
        return await context.site.declined(context, request, error)
    body = msgspec.json.encode(error.failure, enc_hook=plain)
    return web.Response(body=body, status=error.status, headers=error.headers, content_type="application/json")


def _endpoint_for(context: ApiContext, route: Route) -> Answering:
    """Return the handler of one route."""
    is_page = route.media == "text/html"

    async def answer(request: web.Request) -> web.StreamResponse:
        request[IS_PAGE] = is_page
        identity = (
            peer_of(request) or await context.access.identify(request)
            if route.role is not None or is_page
            else context.access.nobody
        )
        request[VISITOR] = identity
        context.access.admit(identity, route.role)
        call = await read_request(route, request, identity)
        caller = context.access.caller(request, identity) if route.role is not None else None
        said = await route.handler(context.seen_by(caller), call)
        if isinstance(said, web.StreamResponse):
            return said
        if isinstance(said, list | tuple):
            said = listed(route, call, said)
        body = bytes(said) if isinstance(said, msgspec.Raw) else msgspec.json.encode(said, enc_hook=plain)
        return _with_etag(request, body, route.status)

    return answer


def _with_etag(request: web.Request, body: bytes, status: int) -> web.Response:
    """Return JSON, or 304 if the client has the same version."""
    if request.method not in SAFE:
        return web.Response(body=body, status=status, content_type="application/json")
    tag = xxhash.xxh3_128_hexdigest(body)
    known = request.if_none_match
    if known is not None and any(one.value in {tag, "*"} for one in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=body, status=status, content_type="application/json")
    response.etag = tag
    return response
