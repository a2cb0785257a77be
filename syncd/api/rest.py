"""The REST API under /api/v1, as one table of routes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from syncd.api import schemas as a
from syncd.api.context import Desk
from syncd.api.errors import Declined
from syncd.api.openapi import document
from syncd.api.routes import Call, Route
from syncd.api.tunasync import Job, tunasync
from syncd.control.views import AuditView, CheckView, DaemonView, DiffView, EntryView, MirrorView, PlanView, StoreView
from syncd.core.errors import Changed

V1 = "/api/v1"
MIRROR = f"{V1}/mirrors/{{mirror}}"


async def _daemon(desk: Desk, call: Call) -> DaemonView:
    return desk.control.daemon()


async def _store(desk: Desk, call: Call) -> StoreView:
    return desk.control.store()


async def _origins(desk: Desk, call: Call) -> a.Origins:
    return a.Origins(origins=tuple(desk.control.origins()))


async def _scrubs(desk: Desk, call: Call) -> a.Scrubs:
    return a.Scrubs(scrubs=tuple(desk.control.scrubs()))


async def _manifests(desk: Desk, call: Call) -> a.Manifests:
    return a.Manifests(manifests=tuple(desk.control.manifests()))


async def _check(desk: Desk, call: Call) -> CheckView:
    return await check(desk, call.body.text)


async def check(desk: Desk, text: str) -> CheckView:
    """Lint a text, which takes its time, in a thread: one after the other, and not for too many at once."""
    async with desk.checks.turn():
        return await asyncio.to_thread(desk.control.check, text)


async def _plan_text(desk: Desk, call: Call) -> PlanView:
    return await desk.control.plan_text(call.body.text, limit=call.body.limit)


async def _mirrors(desk: Desk, call: Call) -> a.Mirrors:
    state, health = call.query.state, call.query.health
    return a.Mirrors(
        mirrors=tuple(
            one
            for one in desk.control.mirrors()
            if (state is None or one.state == state) and (health is None or one.health == health)
        )
    )


async def _mirror(desk: Desk, call: Call) -> MirrorView:
    return desk.control.mirror(call.places["mirror"])


async def _plan(desk: Desk, call: Call) -> PlanView:
    return await desk.control.plan(call.places["mirror"], limit=call.query.limit)


async def _series(desk: Desk, call: Call) -> a.Series:
    return a.Series(samples=tuple(desk.control.series(call.places.get("mirror"))))


async def _passes(desk: Desk, call: Call) -> a.Passes:
    query = call.query
    found = await desk.control.passes(call.places.get("mirror"), before=query.before, limit=query.limit)
    return a.Passes(passes=tuple(found), next=_last(found, "id", query.limit))


async def _pass_events(desk: Desk, call: Call) -> a.PassEvents:
    query = call.query
    found = await desk.control.pass_events(
        call.places["mirror"], call.places["pass_id"], after=query.after, limit=query.limit
    )
    return a.PassEvents(events=tuple(found), next=_last(found, "id", query.limit))


async def _entries(desk: Desk, call: Call) -> a.Entries:
    query = call.query
    found = await desk.control.entries(call.places["mirror"], prefix=query.prefix, after=query.after, limit=query.limit)
    return a.Entries(entries=tuple(found), next=_last(found, "path", query.limit))


async def _entry(desk: Desk, call: Call) -> EntryView:
    return await desk.control.entry(call.places["mirror"], call.query.path)


async def _snapshots(desk: Desk, call: Call) -> a.Snapshots:
    return a.Snapshots(snapshots=tuple(await desk.control.snapshots(call.places["mirror"])))


async def _diff(desk: Desk, call: Call) -> DiffView:
    query = call.query
    return await desk.control.diff(call.places["mirror"], query.before, query.after, limit=query.limit)


async def _quarantine(desk: Desk, call: Call) -> a.Quarantine:
    found = await desk.control.quarantine(call.places["mirror"], limit=call.query.limit)
    return a.Quarantine(quarantine=tuple(found))


async def _parked(desk: Desk, call: Call) -> a.Parked:
    found = await desk.control.parked(call.places["mirror"], after=call.query.after, limit=call.query.limit)
    return a.Parked(parked=tuple(found), next=_last(found, "path", call.query.limit))


async def _failures(desk: Desk, call: Call) -> a.Failures:
    found = await desk.control.failures(call.places["mirror"], after=call.query.after, limit=call.query.limit)
    return a.Failures(failures=tuple(found), next=_last(found, "path", call.query.limit))


async def _audit(desk: Desk, call: Call) -> a.Audit:
    found = await desk.control.audit(before=call.query.before, limit=call.query.limit)
    return a.Audit(audit=tuple(found), next=_last(found, "id", call.query.limit))


def _last(found: Sequence[Any], name: str, limit: int) -> Any:
    """Return the cursor of the next page, if there may be one."""
    return getattr(found[-1], name) if len(found) >= limit else None


async def _sync(desk: Desk, call: Call) -> AuditView:
    return await desk.control.sync(call.places["mirror"], call.who)


async def _pause(desk: Desk, call: Call) -> AuditView:
    return await desk.control.pause(call.places["mirror"], call.who)


async def _resume(desk: Desk, call: Call) -> AuditView:
    return await desk.control.resume(call.places["mirror"], call.who)


async def _cancel(desk: Desk, call: Call) -> AuditView:
    return await desk.control.cancel(call.places["mirror"], call.who)


async def _approve(desk: Desk, call: Call) -> AuditView:
    return await approve(desk, call.places["mirror"], call.who, call.query.files)


async def approve(desk: Desk, mirror: str, who: str, files: int | None) -> AuditView:
    """Approve the removals that were seen; what was parked since is not approved unseen. Raises Changed."""
    now = desk.control.mirror(mirror).parked
    if files is not None and files != now:
        raise Changed(f"{mirror}: {files} removals were approved, and {now} are parked now: look at them again")
    return await desk.control.approve(mirror, who)


async def _events(desk: Desk, call: Call) -> web.StreamResponse:
    if call.query.mirror:
        desk.control.mirror(call.query.mirror)
    until = call.visitor.until
    left = until - desk.clock() if until is not None else None
    return await desk.stream.serve(call.request, call.query.mirror, until=left)


async def _openapi(desk: Desk, call: Call) -> Any:
    return msgspec.Raw(DOCUMENT)


async def _livez(desk: Desk, call: Call) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(desk: Desk, call: Call) -> web.Response:
    daemon = desk.control.daemon()
    said = a.Ready(ready=daemon.ready, reason=daemon.reason)
    status = 200 if daemon.ready else 503
    return web.Response(body=msgspec.json.encode(said), status=status, content_type="application/json")


async def _metrics(desk: Desk, call: Call) -> web.Response:
    if desk.metrics is None:
        raise Declined(404, "NotFound", "this daemon shows no metrics", "see docs/metrics.md")
    body, content_type = await desk.metrics(call.request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _tunasync(desk: Desk, call: Call) -> Any:
    return msgspec.Raw(tunasync(desk.control.mirrors()))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path=f"{V1}/mirrors", name="listMirrors", says="All mirrors, by name.",
        does=_mirrors, asks=a.MirrorsAsked, answers=a.Mirrors,
    ),
    Route(
        method="GET", path=MIRROR, name="getMirror", says="One mirror: freshness, size, progress, next run.",
        does=_mirror, answers=MirrorView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/sync", name="syncMirror", says="Run a pass as soon as there is room.",
        does=_sync, needs="operator", answers=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/pause", name="pauseMirror", says="Start no pass until it is resumed.",
        does=_pause, needs="operator", answers=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/resume", name="resumeMirror", says="End a pause.",
        does=_resume, needs="operator", answers=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/cancel", name="cancelPass",
        says="Stop the pass under way; what is proved is published.",
        does=_cancel, needs="operator", answers=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/approve", name="approveRemovals",
        says="Let exactly the parked removals through; with `files`, only if it is still that number.",
        does=_approve, needs="operator", asks=a.ApprovalAsked, answers=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/plan", name="planMirror",
        says="Ask upstream, and say what a pass would do now; changes nothing.",
        does=_plan, needs="operator", asks=a.PlanAsked, answers=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{MIRROR}/series", name="getMirrorSeries", says="Rate and backlog of the last 24 hours.",
        does=_series, answers=a.Series,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes", name="listMirrorPasses", says="Its passes, the newest first.",
        does=_passes, asks=a.PassesAsked, answers=a.Passes,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes/{{pass_id}}/events", name="listPassEvents",
        says="What happened in one pass.",
        does=_pass_events, asks=a.EventsAsked, answers=a.PassEvents,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entries", name="listEntries",
        says="Its files as they were proved, by path: size, digests, verdict.",
        does=_entries, asks=a.EntriesAsked, answers=a.Entries,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entry", name="getEntry", says="One file as it was proved.",
        does=_entry, asks=a.EntryAsked, answers=EntryView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/snapshots", name="listSnapshots",
        says="Its kept snapshots, the current one first.",
        does=_snapshots, answers=a.Snapshots,
    ),
    Route(
        method="GET", path=f"{MIRROR}/diff", name="diffSnapshots",
        says="Which files differ between two kept snapshots.",
        does=_diff, asks=a.DiffAsked, answers=DiffView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/quarantine", name="listQuarantine", says="Bytes that were not what was promised.",
        does=_quarantine, asks=a.LimitAsked, answers=a.Quarantine,
    ),
    Route(
        method="GET", path=f"{MIRROR}/parked", name="listParked", says="Removals that wait for an operator.",
        does=_parked, asks=a.PageAsked, answers=a.Parked,
    ),
    Route(
        method="GET", path=f"{MIRROR}/failures", name="listFailures", says="Files that could not be had, and why.",
        does=_failures, asks=a.PageAsked, answers=a.Failures,
    ),
    Route(
        method="GET", path=f"{V1}/passes", name="listPasses", says="Passes of all mirrors, the newest first.",
        does=_passes, asks=a.PassesAsked, answers=a.Passes,
    ),
    Route(
        method="GET", path=f"{V1}/series", name="getSeries", says="Rate and backlog of all mirrors, the last 24 hours.",
        does=_series, answers=a.Series,
    ),
    Route(
        method="GET", path=f"{V1}/manifests", name="listManifests", says="Manifest files, and what is wrong in them.",
        does=_manifests, answers=a.Manifests,
    ),
    Route(
        method="POST", path=f"{V1}/check", name="checkManifest",
        says="Lint the text of a manifest: every mistake with its line, its column and what to do.",
        does=_check, takes=a.TextAsked, answers=CheckView,
    ),
    Route(
        method="POST", path=f"{V1}/plan", name="planManifest",
        says="Ask upstream, and say what a manifest that is not in force would do; keeps nothing.",
        does=_plan_text, needs="operator", takes=a.TextPlanAsked, answers=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{V1}/origins", name="listOrigins", says="Upstream origins, as their governors see them.",
        does=_origins, answers=a.Origins,
    ),
    Route(
        method="GET", path=f"{V1}/scrubs", name="listScrubs", says="How far the re-reading of stored bytes is.",
        does=_scrubs, answers=a.Scrubs,
    ),
    Route(
        method="GET", path=f"{V1}/store", name="getStore", says="The store: whether it is there, and how much is free.",
        does=_store, answers=StoreView,
    ),
    Route(
        method="GET", path=f"{V1}/daemon", name="getDaemon", says="The daemon itself.",
        does=_daemon, answers=DaemonView,
    ),
    Route(
        method="GET", path=f"{V1}/audit", name="listAudit", says="Who changed what, the newest first.",
        does=_audit, needs="operator", asks=a.AuditAsked, answers=a.Audit,
    ),
    Route(
        method="GET", path=f"{V1}/events", name="streamEvents",
        says="What happens, as server-sent events; reconnect with Last-Event-ID to miss nothing.",
        does=_events, asks=a.StreamAsked, media="text/event-stream",
    ),
    Route(
        method="GET", path=f"{V1}/openapi.json", name="getOpenapi", says="This description.",
        does=_openapi, needs=None, answers=dict[str, Any],
    ),
    Route(
        method="GET", path="/tunasync.json", name="getTunasync", says="All mirrors, in the form mirror sites read.",
        does=_tunasync, answers=list[Job],
    ),
    Route(
        method="GET", path="/metrics", name="getMetrics", says="Metrics for Prometheus.",
        does=_metrics, media="text/plain", fails=(404,),
    ),
    Route(
        method="GET", path="/livez", name="livez", says="Whether the process answers.",
        does=_livez, needs=None, media="text/plain",
    ),
    Route(
        method="GET", path="/readyz", name="readyz", says="Whether the daemon can work.",
        does=_readyz, needs=None, answers=a.Ready, fails=(503,),
    ),
)  # fmt: skip
"""Every route of the API."""

DOCUMENT = msgspec.json.encode(document(ROUTES))
