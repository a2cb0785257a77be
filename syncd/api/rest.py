"""The REST API under /api/v1, as one table of routes."""

from typing import Any

import msgspec

from manifests.messages import plain
from syncd.api import audit_routes as audit, responders as r, schemas as a
from syncd.api.context import ApiContext
from syncd.api.openapi import document
from syncd.api.routes import Call, Route
from syncd.api.tunasync import Job
from syncd.control import (
    ACTS,
    CheckView,
    Control,
    DaemonView,
    DiffView,
    EntryView,
    JobView,
    MirrorView,
    PlanView,
    StoreView,
    UsageReport,
    tag_of,
)
from syncd.core import AuditVerdict, AuditView

V1 = "/api/v1"
MIRROR = f"{V1}/mirrors/{{mirror}}"


async def _openapi(context: ApiContext, call: Call) -> Any:
    return msgspec.Raw(DOCUMENT)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path=f"{V1}/mirrors", name="listMirrors", summary="All mirrors, by name.",
        handler=r.mirrors, query=a.MirrorsQuery, response=a.Mirrors,
    ),
    Route(
        method="GET", path=MIRROR, name="getMirror", summary="One mirror: freshness, size, progress, next run.",
        handler=r.ask(Control.mirror), response=MirrorView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/sync", name="syncMirror", summary="Run a pass as soon as the budget allows.",
        handler=r.act(Control.sync), role="steward", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/pause", name="pauseMirror", summary="Start no pass until it is resumed.",
        handler=r.act(Control.pause), role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/resume", name="resumeMirror", summary="End a pause.",
        handler=r.act(Control.resume), role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/cancel", name="cancelPass",
        summary="Stop the running pass; verified files are published.",
        handler=r.act(Control.cancel), role="operator", response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/approve", name="approveRemovals",
        summary="Approve exactly the losses held now; with `files`, only if it is still that number.",
        handler=r.approve, role="steward", query=a.ApprovalBody, response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/reject", name="rejectLosses",
        summary="Reject exactly the losses held now: the copy keeps these files; `files` as for approve.",
        handler=r.reject, role="steward", query=a.ApprovalBody, response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/unpin", name="unpinFile",
        summary="Release a restored file: the next pass follows upstream again.",
        handler=r.unpin, role="steward", query=a.PathBody, response=AuditView,
    ),
    Route(
        method="POST", path=f"{MIRROR}/restore", name="restoreFile",
        summary="Restore a file as a kept snapshot has it, and keep it so until it is unpinned.",
        handler=r.restore, role="steward", query=a.RestoreBody, response=AuditView, fails=(409,),
    ),
    Route(
        method="POST", path=f"{MIRROR}/tag", name="tagSnapshot",
        summary="Name a kept snapshot: it is kept with its bytes until the tag is removed.",
        handler=r.tag, role="operator", query=a.TagBody, response=AuditView, fails=(409,),
    ),
    Route(
        method="POST", path=f"{MIRROR}/untag", name="untagSnapshot",
        summary="Remove a tag: its snapshot is kept as long as any other.",
        handler=r.untag, role="operator", query=a.UntagBody, response=AuditView, fails=(409,),
    ),
    Route(
        method="POST", path=f"{MIRROR}/plan", name="planMirror",
        summary="Survey upstream, and return what a pass would do now; changes nothing.",
        handler=r.ask(Control.plan), role="steward", query=a.PlanQuery, response=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{MIRROR}/series", name="getMirrorSeries", summary="Rate and backlog of the last 24 hours.",
        handler=r.ask(Control.series), response=a.Series,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes", name="listMirrorPasses", summary="Its passes, the newest first.",
        handler=r.ask(Control.passes), cursor="id", query=a.PassesQuery, response=a.Passes,
    ),
    Route(
        method="GET", path=f"{MIRROR}/passes/{{pass_id}}/events", name="listPassEvents",
        summary="The events of one pass.",
        handler=r.ask(Control.pass_events), cursor="id", query=a.EventsQuery, response=a.PassEvents,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entries", name="listEntries",
        summary="Its verified files, by path: size, checksums, verdict.",
        handler=r.ask(Control.entries), cursor="path", query=a.EntriesQuery, response=a.Entries,
    ),
    Route(
        method="GET", path=f"{MIRROR}/entry", name="getEntry", summary="One verified file.",
        handler=r.ask(Control.entry), query=a.EntryQuery, response=EntryView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/snapshots", name="listSnapshots",
        summary="Its kept snapshots, the current one first.",
        handler=r.ask(Control.snapshots), response=a.Snapshots,
    ),
    Route(
        method="GET", path=f"{MIRROR}/copies", name="listCopies",
        summary="Its copies at this node and at others, and how fresh each is.",
        handler=r.ask(Control.copies), response=a.NodeCopies,
    ),
    Route(
        method="GET", path=f"{MIRROR}/diff", name="diffSnapshots",
        summary="Which files differ between two kept snapshots.",
        handler=r.ask(Control.diff), query=a.DiffQuery, response=DiffView,
    ),
    Route(
        method="GET", path=f"{MIRROR}/quarantine", name="listQuarantine",
        summary="Its quarantine: files that failed verification.",
        handler=r.ask(Control.quarantine), query=a.LimitQuery, response=a.Quarantine,
    ),
    Route(
        method="GET", path=f"{MIRROR}/parked", name="listParked",
        summary="Deletions, and replacements that lose bytes, held for approval.",
        handler=r.ask(Control.parked), cursor="path", query=a.PageQuery, response=a.ParkedRemovals,
    ),
    Route(
        method="GET", path=f"{MIRROR}/rejections", name="listRejections",
        summary="Files that differ from upstream by decision: who rejected their loss, and when.",
        handler=r.ask(Control.rejections), cursor="path", query=a.PageQuery, response=a.Rejections,
    ),
    Route(
        method="GET", path=f"{MIRROR}/failures", name="listFailures", summary="Files that failed to download, and why.",
        handler=r.ask(Control.failures), cursor="path", query=a.PageQuery, response=a.Failures,
    ),
    *(
        Route(
            method="POST", path=f"{MIRROR}/acts/{tag_of(kind)}", name=f"start{tag_of(kind).capitalize()}",
            summary=kind.summary, handler=r.perform(kind), role="operator", body=r.body_of(kind), response=JobView,
            status=202,
        )
        for kind in ACTS
    ),
    Route(
        method="GET", path=f"{MIRROR}/jobs", name="listMirrorJobs", summary="Jobs of the mirror, the newest first.",
        handler=r.ask(Control.jobs), cursor="id", role="operator", query=a.PassesQuery, response=a.Jobs,
    ),
    Route(
        method="GET", path=f"{V1}/jobs", name="listJobs", summary="Jobs of all mirrors, the newest first.",
        handler=r.ask(Control.jobs), cursor="id", role="operator", query=a.PassesQuery, response=a.Jobs,
    ),
    Route(
        method="GET", path=f"{V1}/jobs/{{job_id}}", name="getJob",
        summary="One job: its state, its progress and what came of it; `wait` seconds for its end.",
        handler=r.ask(Control.job), role="operator", query=a.JobQuery, response=JobView,
    ),
    Route(
        method="POST", path=f"{V1}/jobs/{{job_id}}/cancel", name="cancelJob",
        summary="Stop a job: what it has done stays.",
        handler=r.cancel_job, role="operator", response=JobView,
    ),
    Route(
        method="GET", path=f"{V1}/tombstones", name="listTombstones",
        summary="Mirrors that were published and no longer are.",
        handler=r.ask(Control.tombstones), response=a.Tombstones,
    ),
    Route(
        method="GET", path=f"{V1}/passes", name="listPasses", summary="Passes of all mirrors, the newest first.",
        handler=r.ask(Control.passes), cursor="id", query=a.PassesQuery, response=a.Passes,
    ),
    Route(
        method="GET", path=f"{V1}/series", name="getSeries",
        summary="Rate and backlog of all mirrors, the last 24 hours.",
        handler=r.ask(Control.series), response=a.Series,
    ),
    Route(
        method="GET", path=f"{V1}/manifests", name="listManifests",
        summary="Manifest files, and their errors.",
        handler=r.ask(Control.manifests), response=a.Manifests,
    ),
    Route(
        method="POST", path=f"{V1}/check", name="checkManifest",
        summary="Lint the text of a manifest: every mistake with its line, its column and a remedy.",
        handler=r.check_text, body=a.TextBody, response=CheckView,
    ),
    Route(
        method="POST", path=f"{V1}/plan", name="planManifest",
        summary="Survey upstream, and return the plan of a manifest that is not in force; stores nothing.",
        handler=r.ask(Control.plan_text), role="operator", body=a.TextPlanBody, response=PlanView, fails=(409, 422),
    ),
    Route(
        method="GET", path=f"{V1}/origins", name="listOrigins",
        summary="Upstream origins, and the state of their governors.",
        handler=r.ask(Control.origins), response=a.Origins,
    ),
    Route(
        method="POST", path=f"{V1}/origins/pause", name="pauseOrigin",
        summary="Send no request to an origin before a time; passes that need it wait.",
        handler=r.order_origin(Control.pause_origin), role="operator", body=a.PauseOriginBody, response=AuditView,
        fails=(422,),
    ),
    Route(
        method="POST", path=f"{V1}/origins/resume", name="resumeOrigin", summary="End the pause of an origin.",
        handler=r.order_origin(Control.resume_origin), role="operator", body=a.OriginBody, response=AuditView,
        fails=(422,),
    ),
    Route(
        method="POST", path=f"{V1}/origins/rate", name="limitOrigin",
        summary="Limit the rate of an origin until the daemon ends, whatever manifests say; null: no limit.",
        handler=r.order_origin(Control.limit_origin), role="operator", body=a.LimitOriginBody, response=AuditView,
        fails=(422,),
    ),
    Route(
        method="GET", path=f"{V1}/scrubs", name="listScrubs", summary="The progress of the fixity check.",
        handler=r.ask(Control.scrubs), response=a.Scrubs,
    ),
    Route(
        method="GET", path=f"{V1}/store", name="getStore",
        summary="The store: whether it is available, and its free space.",
        handler=r.ask(Control.store), response=StoreView,
    ),
    Route(
        method="GET", path=f"{V1}/daemon", name="getDaemon", summary="The daemon itself.",
        handler=r.ask(Control.daemon), response=DaemonView,
    ),
    Route(
        method="GET", path=f"{V1}/audit", name="listAudit", summary="Who changed what, the newest first.",
        handler=audit.list_audit, cursor="id", role="steward", query=a.AuditQuery, response=a.Audit,
    ),
    Route(
        method="GET", path=f"{V1}/audit/export", name="exportAudit",
        summary="The audit log as JSON lines, the oldest entry first; `syncd audit verify FILE` checks them.",
        handler=audit.export_audit, role="steward", query=a.AuditExportQuery, media="application/jsonl",
    ),
    Route(
        method="GET", path=f"{V1}/audit/verify", name="verifyAudit",
        summary="Whether the audit log is whole: the first entry that was changed or removed.",
        handler=audit.check_audit, role="operator", response=AuditVerdict,
    ),
    Route(
        method="GET", path=f"{V1}/usage", name="getUsage",
        summary="What the public side delivered, and what the network was saved.",
        handler=r.ask(Control.usage), query=a.UsageQuery, response=UsageReport, fails=(422,),
    ),
    Route(
        method="GET", path=f"{V1}/usage/dsr", name="getDatasetReport",
        summary="The dataset report of COUNTER (DSR), of the published mirrors with a DOI.",
        handler=r.dataset_report, query=a.DaysQuery, response=dict[str, Any], fails=(422,),
    ),
    Route(
        method="GET", path=f"{V1}/events", name="streamEvents",
        summary="Events, as server-sent events; reconnect with Last-Event-ID to miss none.",
        handler=r.events, query=a.StreamQuery, media="text/event-stream",
    ),
    Route(
        method="GET", path=f"{V1}/openapi.json", name="getOpenapi", summary="This description.",
        handler=_openapi, role=None, response=dict[str, Any],
    ),
    Route(
        method="GET", path="/tunasync.json", name="getTunasync", summary="All mirrors, in the format of tunasync.",
        handler=r.tunasync_jobs, response=list[Job],
    ),
    Route(
        method="GET", path="/metrics", name="getMetrics", summary="Metrics for Prometheus.",
        handler=r.metrics, media="text/plain", fails=(404,),
    ),
    Route(
        method="GET", path="/livez", name="livez", summary="Whether the process answers.",
        handler=r.livez, role=None, media="text/plain",
    ),
    Route(
        method="GET", path="/readyz", name="readyz", summary="Whether the daemon can work.",
        handler=r.readyz, role=None, response=a.Ready, fails=(503,),
    ),
)  # fmt: skip
"""Every route of the API."""

DOCUMENT = msgspec.json.encode(document(ROUTES), enc_hook=plain)
