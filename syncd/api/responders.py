"""What the API's routes do: most ask the running daemon one question and answer with what it returns."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Set as AbstractSet
from typing import Any, Literal

import msgspec
from aiohttp import web

from manifests.messages import message, plain
from syncd.api import schemas as a
from syncd.api.context import ApiContext
from syncd.api.errors import HttpError
from syncd.api.routes import Call
from syncd.api.tunasync import tunasync
from syncd.control import Act, CheckView, JobView, MirrorView
from syncd.core import AuditView, Changed

Responder = Callable[[ApiContext, Call], Awaitable[Any]]


def ask(query: Callable[..., Any]) -> Responder:
    """Return a responder that answers with what a query of Control returns for the request's parameters."""
    name = query.__name__

    async def respond(context: ApiContext, call: Call) -> Any:
        found = getattr(context.control, name)(*call.path_params.values(), **call.given)
        return await found if inspect.isawaitable(found) else found

    return respond


def act(action: Callable[..., Awaitable[AuditView]]) -> Responder:
    """Return a responder that carries out an action of Control on a mirror, in the name of the sender."""
    name = action.__name__

    async def respond(context: ApiContext, call: Call) -> Any:
        return await getattr(context.control, name)(call.mirror, call.who)

    return respond


def perform(kind: type[Act]) -> Responder:
    """Return a responder that starts a job: an act on a mirror, in the name of the sender."""

    async def respond(context: ApiContext, call: Call) -> Any:
        return await context.control.perform(kind(mirror=call.mirror, **call.given), call.who)

    return respond


def body_of(kind: type[Act]) -> type[msgspec.Struct] | None:
    """Return the body that gives an act its arguments, None if it takes none."""
    fields = [
        (one.name, one.type) if one.required else (one.name, one.type, one.default)
        for one in msgspec.structs.fields(kind)
        if one.name != "mirror"
    ]
    if not fields:
        return None
    return msgspec.defstruct(
        f"{kind.__name__}Body", fields, frozen=True, kw_only=True, forbid_unknown_fields=True, module=__name__
    )


def order_origin(action: Callable[..., Awaitable[AuditView]]) -> Responder:
    """Return a responder that carries out an order for an origin, in the name of the sender."""
    name = action.__name__

    async def respond(context: ApiContext, call: Call) -> Any:
        return await getattr(context.control, name)(*call.given.values(), call.who)

    return respond


async def cancel_job(context: ApiContext, call: Call) -> JobView:
    """Stop a job."""
    return await context.control.cancel_job(call.path_params["job_id"], call.who)


async def mirrors(context: ApiContext, call: Call) -> list[MirrorView]:
    """Return the mirrors of a state and a health."""
    state, health = call.query.state, call.query.health
    return [
        one
        for one in context.control.mirrors()
        if (state is None or one.state == state) and (health is None or one.health == health)
    ]


async def check(context: ApiContext, text: str) -> CheckView:
    """Check a manifest in a thread: one at a time, with a limited number of waiting requests."""
    async with context.checks.slot():
        return await asyncio.to_thread(context.control.check, text)


async def check_text(context: ApiContext, call: Call) -> CheckView:
    """Check a manifest."""
    return await check(context, call.body.text)


async def approve(context: ApiContext, call: Call) -> AuditView:
    """Approve the losses that the sender saw."""
    return await decide(context, call.mirror, "approve", call.who, call.query.files)


async def reject(context: ApiContext, call: Call) -> AuditView:
    """Reject the losses that the sender saw."""
    return await decide(context, call.mirror, "reject", call.who, call.query.files)


async def unpin(context: ApiContext, call: Call) -> AuditView:
    """Release a restored file."""
    return await context.control.unpin(call.mirror, call.query.path, call.who)


async def restore(context: ApiContext, call: Call) -> AuditView:
    """Restore a file as a kept snapshot has it."""
    return await context.control.restore(call.mirror, call.query.path, call.query.snapshot, call.who)


async def tag(context: ApiContext, call: Call) -> AuditView:
    """Name a kept snapshot."""
    return await context.control.tag(call.mirror, call.query.snapshot, call.query.tag, call.who)


async def untag(context: ApiContext, call: Call) -> AuditView:
    """Remove a tag."""
    return await context.control.untag(call.mirror, call.query.tag, call.who)


async def decide(
    context: ApiContext, mirror: str, act: Literal["approve", "reject"], who: str, files: int | None
) -> AuditView:
    """Approve or reject the losses that the caller saw. Raises Changed if there are others by now."""
    now = context.control.mirror(mirror).parked
    if files is not None and files != now:
        raise Changed(
            message(
                "{name}: you saw {files:,} losses, and {now:,} are held now: look again",
                name=mirror,
                files=files,
                now=now,
            )
        )
    return await (context.control.approve if act == "approve" else context.control.reject)(mirror, who)


async def dataset_report(context: ApiContext, call: Call) -> Any:
    """Answer with the dataset report."""
    return msgspec.Raw(await context.control.dataset_report(**call.given))


async def events(context: ApiContext, call: Call) -> web.StreamResponse:
    """Stream events, until the sender's session ends or the token is revoked."""
    if call.query.mirror:
        context.control.mirror(call.query.mirror)
    until = call.identity.until
    left = until - context.clock() if until is not None else None
    lasts = context.access.tokens.lasting(call.identity.name)
    return await context.stream.serve(call.request, call.query.mirror, until=left, sees=context.sees, lasts=lasts)


async def livez(context: ApiContext, call: Call) -> web.Response:
    """Answer that the process does."""
    return web.Response(text="ok\n")


async def readyz(context: ApiContext, call: Call) -> web.Response:
    """Answer whether the daemon can work."""
    daemon = context.control.daemon()
    said = a.Ready(ready=daemon.ready, reason=daemon.reason)
    status = 200 if daemon.ready else 503
    return web.Response(body=msgspec.json.encode(said, enc_hook=plain), status=status, content_type="application/json")


async def metrics(context: ApiContext, call: Call) -> web.Response:
    """Answer with the metrics."""
    if context.metrics is None:
        raise HttpError(404, "NotFound", message("this daemon has no metrics"), message("see docs/metrics.md"))
    limited = context.caller is not None
    body, content_type = await context.metrics("" if limited else call.request.headers.get("Accept", ""))
    if limited:
        body = visible_metrics(body, {one.name for one in context.control.mirrors()})
    return web.Response(body=body, headers={"Content-Type": content_type})


_LABEL = re.compile(rb'(mirror|origin|credential|store)="((?:[^"\\]|\\.)*)"')


def visible_metrics(body: bytes, mirrors: AbstractSet[str]) -> bytes:
    """Return the text format without the series of other mirrors, of upstreams, of credentials and of the store."""
    kept = []
    for line in body.splitlines(keepends=True):
        labels = _LABEL.findall(line) if not line.startswith(b"#") else []
        if all(name == b"mirror" and value.decode(errors="replace") in mirrors for name, value in labels):
            kept.append(line)
    return b"".join(kept)


async def tunasync_jobs(context: ApiContext, call: Call) -> Any:
    """Answer with all mirrors in the format of tunasync."""
    return msgspec.Raw(tunasync(context.control.mirrors()))
