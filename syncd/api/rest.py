"""The REST API under /api/v1, as one table of routes."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from aiohttp import web

from manifests.messages import message, plain
from syncd.api import schemas as a
from syncd.api.context import ApiContext
from syncd.api.errors import HttpError
from syncd.api.openapi import document
from syncd.api.routes import Call, Route
from syncd.api.tunasync import Job, tunasync
from syncd.control import CheckView, DaemonView, DiffView, EntryView, MirrorView, PlanView, StoreView
from syncd.core import AuditView, Changed

V1 = "/api/v1"
MIRROR = f"{V1}/mirrors/{{mirror}}"


async def _daemon(context: ApiContext, call: Call) -> DaemonView:
    return context.control.daemon()


async def _store(context: ApiContext, call: Call) -> StoreView:
    return context.control.store()


async def _origins(context: ApiContext, call: Call) -> a.Origins:
    return a.Origins(origins=tuple(context.control.origins()))


async def _scrubs(context: ApiContext, call: Call) -> a.Scrubs:
    return a.Scrubs(scrubs=tuple(context.control.scrubs()))


async def _manifests(context: ApiContext, call: Call) -> a.Manifests:
    return a.Manifests(manifests=tuple(context.control.manifests()))


async def _check(context: ApiContext, call: Call) -> CheckView:
    return await check(context, call.body.text)


async def check(context: ApiContext, text: str) -> CheckView:
    """Check a manifest in a thread: one at a time, with a limited number of waiting requests."""
    async with context.checks.slot():
        return await asyncio.to_thread(context.control.check, text)


async def _plan_text(context: ApiContext, call: Call) -> PlanView:
    return await context.control.plan_text(call.body.text, limit=call.body.limit)


async def _mirrors(context: ApiContext, call: Call) -> a.Mirrors:
    state, health = call.query.state, call.query.health
    return a.Mirrors(
        mirrors=tuple(
            one
            for one in context.control.mirrors()
            if (state is None or one.state == state) and (health is None or one.health == health)
        )
    )


async def _mirror(context: ApiContext, call: Call) -> MirrorView:
    return context.control.mirror(call.path_params["mirror"])


async def _plan(context: ApiContext, call: Call) -> PlanView:
    return await context.control.plan(call.path_params["mirror"], limit=call.query.limit)


async def _series(context: ApiContext, call: Call) -> a.Series:
    return a.Series(samples=tuple(context.control.series(call.path_params.get("mirror"))))


async def _passes(context: ApiContext, call: Call) -> a.Passes:
    query = call.query
    found = await context.control.passes(call.path_params.get("mirror"), before=query.before, limit=query.limit)
    return a.Passes(passes=tuple(found), next=_last(found, "id", query.limit))


async def _pass_events(context: ApiContext, call: Call) -> a.PassEvents:
    query = call.query
    found = await context.control.pass_events(
        call.path_params["mirror"], call.path_params["pass_id"], after=query.after, limit=query.limit
    )
    return a.PassEvents(events=tuple(found), next=_last(found, "id", query.limit))


async def _entries(context: ApiContext, call: Call) -> a.Entries:
    query = call.query
    found = await context.control.entries(
        call.path_params["mirror"], prefix=query.prefix, after=query.after, limit=query.limit
    )
    return a.Entries(entries=tuple(found), next=_last(found, "path", query.limit))


async def _entry(context: ApiContext, call: Call) -> EntryView:
    return await context.control.entry(call.path_params["mirror"], call.query.path)


async def _snapshots(context: ApiContext, call: Call) -> a.Snapshots:
    return a.Snapshots(snapshots=tuple(await context.control.snapshots(call.path_params["mirror"])))


async def _diff(context: ApiContext, call: Call) -> DiffView:
    query = call.query
    return await context.control.diff(call.path_params["mirror"], query.before, query.after, limit=query.limit)


async def _quarantine(context: ApiContext, call: Call) -> a.Quarantine:
    found = await context.control.quarantine(call.path_params["mirror"], limit=call.query.limit)
    return a.Quarantine(quarantine=tuple(found))


async def _parked(context: ApiContext, call: Call) -> a.ParkedRemovals:
    found = await context.control.parked(call.path_params["mirror"], after=call.query.after, limit=call.query.limit)
    return a.ParkedRemovals(parked=tuple(found), next=_last(found, "path", call.query.limit))


async def _failures(context: ApiContext, call: Call) -> a.Failures:
    found = await context.control.failures(call.path_params["mirror"], after=call.query.after, limit=call.query.limit)
    return a.Failures(failures=tuple(found), next=_last(found, "path", call.query.limit))


async def _audit(context: ApiContext, call: Call) -> a.Audit:
    found = await context.control.audit(before=call.query.before, limit=call.query.limit)
    return a.Audit(audit=tuple(found), next=_last(found, "id", call.query.limit))


def _last(found: Sequence[Any], name: str, limit: int) -> Any:
    """Return the cursor of the next page, if there may be one."""
    return getattr(found[-1], name) if len(found) >= limit else None


async def _sync(context: ApiContext, call: Call) -> AuditView:
    return await context.control.sync(call.path_params["mirror"], call.who)


async def _pause(context: ApiContext, call: Call) -> AuditView:
    return await context.control.pause(call.path_params["mirror"], call.who)


async def _resume(context: ApiContext, call: Call) -> AuditView:
    return await context.control.resume(call.path_params["mirror"], call.who)


async def _cancel(context: ApiContext, call: Call) -> AuditView:
    return await context.control.cancel(call.path_params["mirror"], call.who)


async def _approve(context: ApiContext, call: Call) -> AuditView:
    return await decide(context, call.path_params["mirror"], "approve", call.who, call.query.files)


async def _reject(context: ApiContext, call: Call) -> AuditView:
    return await decide(context, call.path_params["mirror"], "reject", call.who, call.query.files)


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


async def _events(context: ApiContext, call: Call) -> web.StreamResponse:
    if call.query.mirror:
        context.control.mirror(call.query.mirror)
    until = call.identity.until
    left = until - context.clock() if until is not None else None
    return await context.stream.serve(call.request, call.query.mirror, until=left)


async def _openapi(context: ApiContext, call: Call) -> Any:
    return msgspec.Raw(DOCUMENT)


async def _livez(context: ApiContext, call: Call) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(context: ApiContext, call: Call) -> web.Response:
    daemon = context.control.daemon()
    said = a.Ready(ready=daemon.ready, reason=daemon.reason)
    status = 200 if daemon.ready else 503
    return web.Response(body=msgspec.json.encode(said, enc_hook=plain), status=status, content_type="application/json")


async def _metrics(context: ApiContext, call: Call) -> web.Response:
    if context.metrics is None:
        raise HttpError(404, "NotFound", message("this daemon has no metrics"), message("see docs/metrics.md"))
    body, content_type = await context.metrics(call.request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _tunasync(context: ApiContext, call: Call) -> Any:
    return msgspec.Raw(tunasync(context.control.mirrors()))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path=f"{V1}/mirrors", name="listMirrors", summary="All mirrors, by name.",
        handler=_mirrors, query=a.MirrorsQuery, response=a.Mirrors,
    ),
    Route(
        method="GET", path=MIRROR, name="getMirror", summary="One mirror: freshness, size, progress, next run.",
        handler=_mirror, response=MirrorView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/sync", name="syncMirror", summary="Run a pass as soon as the budget allows.",
        handler=_sync, role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/pause", name="pauseMirror", summary="Start no pass until it is resumed.",
        handler=_pause, role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/resume", name="resumeMirror", summary="End a pause.",
        handler=_resume, role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/cancel", name="cancelPass",
        summary="Stop the running pass; verified files are published.",
        handler=_cancel, role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/approve", name="approveRemovals",
        summary="Approve exactly the losses held now; with `files`, only if it is still that number.",
        handler=_approve, role="operator", query=a.ApprovalBody, response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/reject", name="rejectLosses",
        summary="Reject exactly the losses held now: the copy keeps these files; `files` as for approve.",
        handler=_reject, role="operator", query=a.ApprovalBody, response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/plan", name="planMirror",
        summary="Survey upstream, and return what a pass would do now; changes nothing.",
        handler=_plan, role="operator", query=a.PlanQuery, response=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{MIRROR}/series", name="getMirrorSeries", summary="Rate and backlog of the last 24 hours.",
        handler=_series, response=a.Series,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes", name="listMirrorPasses", summary="Its passes, the newest first.",
        handler=_passes, query=a.PassesQuery, response=a.Passes,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes/{{pass_id}}/events", name="listPassEvents",
        summary="The events of one pass.",
        handler=_pass_events, query=a.EventsQuery, response=a.PassEvents,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entries", name="listEntries",
        summary="Its verified files, by path: size, checksums, verdict.",
        handler=_entries, query=a.EntriesQuery, response=a.Entries,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entry", name="getEntry", summary="One verified file.",
        handler=_entry, query=a.EntryQuery, response=EntryView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/snapshots", name="listSnapshots",
        summary="Its kept snapshots, the current one first.",
        handler=_snapshots, response=a.Snapshots,
    ),
    Route(
        method="GET", path=f"{MIRROR}/diff", name="diffSnapshots",
        summary="Which files differ between two kept snapshots.",
        handler=_diff, query=a.DiffQuery, response=DiffView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/quarantine", name="listQuarantine",
        summary="Its quarantine: files that failed verification.",
        handler=_quarantine, query=a.LimitQuery, response=a.Quarantine,
    ),
    Route(
        method="GET", path=f"{MIRROR}/parked", name="listParked",
        summary="Deletions, and replacements that lose bytes, held for approval.",
        handler=_parked, query=a.PageQuery, response=a.ParkedRemovals,
    ),
    Route(
        method="GET", path=f"{MIRROR}/failures", name="listFailures", summary="Files that failed to download, and why.",
        handler=_failures, query=a.PageQuery, response=a.Failures,
    ),
    Route(
        method="GET", path=f"{V1}/passes", name="listPasses", summary="Passes of all mirrors, the newest first.",
        handler=_passes, query=a.PassesQuery, response=a.Passes,
    ),
    Route(
        method="GET", path=f"{V1}/series", name="getSeries",
        summary="Rate and backlog of all mirrors, the last 24 hours.",
        handler=_series, response=a.Series,
    ),
    Route(
        method="GET", path=f"{V1}/manifests", name="listManifests",
        summary="Manifest files, and their errors.",
        handler=_manifests, response=a.Manifests,
    ),
    Route(
        method="POST", path=f"{V1}/check", name="checkManifest",
        summary="Lint the text of a manifest: every mistake with its line, its column and a remedy.",
        handler=_check, body=a.TextBody, response=CheckView,
    ),
    Route(
        method="POST", path=f"{V1}/plan", name="planManifest",
        summary="Survey upstream, and return the plan of a manifest that is not in force; stores nothing.",
        handler=_plan_text, role="operator", body=a.TextPlanBody, response=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{V1}/origins", name="listOrigins",
        summary="Upstream origins, and the state of their governors.",
        handler=_origins, response=a.Origins,
    ),
    Route(
        method="GET", path=f"{V1}/scrubs", name="listScrubs", summary="The progress of the fixity check.",
        handler=_scrubs, response=a.Scrubs,
    ),
    Route(
        method="GET", path=f"{V1}/store", name="getStore",
        summary="The store: whether it is available, and its free space.",
        handler=_store, response=StoreView,
    ),
    Route(
        method="GET", path=f"{V1}/daemon", name="getDaemon", summary="The daemon itself.",
        handler=_daemon, response=DaemonView,
    ),
    Route(
        method="GET", path=f"{V1}/audit", name="listAudit", summary="Who changed what, the newest first.",
        handler=_audit, role="operator", query=a.AuditQuery, response=a.Audit,
    ),
    Route(
        method="GET", path=f"{V1}/events", name="streamEvents",
        summary="Events, as server-sent events; reconnect with Last-Event-ID to miss none.",
        handler=_events, query=a.StreamQuery, media="text/event-stream",
    ),
    Route(
        method="GET", path=f"{V1}/openapi.json", name="getOpenapi", summary="This description.",
        handler=_openapi, role=None, response=dict[str, Any],
    ),
    Route(
        method="GET", path="/tunasync.json", name="getTunasync", summary="All mirrors, in the format of tunasync.",
        handler=_tunasync, response=list[Job],
    ),
    Route(
        method="GET", path="/metrics", name="getMetrics", summary="Metrics for Prometheus.",
        handler=_metrics, media="text/plain", fails=(404,),
    ),
    Route(
        method="GET", path="/livez", name="livez", summary="Whether the process answers.",
        handler=_livez, role=None, media="text/plain",
    ),
    Route(
        method="GET", path="/readyz", name="readyz", summary="Whether the daemon can work.",
        handler=_readyz, role=None, response=a.Ready, fails=(503,),
    ),
)  # fmt: skip
"""Every route of the API."""

DOCUMENT = msgspec.json.encode(document(ROUTES), enc_hook=plain)
