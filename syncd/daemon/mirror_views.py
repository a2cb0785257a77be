"""What the daemon shows of a mirror: its state and the reason, its health, the progress of its pass."""

from datetime import UTC, datetime

from manifests.access import access_of
from manifests.messages import message
from syncd.control import AboutView, Health, MirrorView, ProgressView, State, TransferView
from syncd.daemon.mirror_state import MirrorState, PassRun, StoreState
from syncd.daemon.reasons import Reason, because

SHOWN = 50  # running transfers in a view, at most


def state_of(mirror_state: MirrorState, store: StoreState, now: float) -> tuple[State, Reason]:
    """Return the state of a mirror, and the reason."""
    if mirror_state.run is not None:
        return "running", mirror_state.run.stop_reason
    if mirror_state.declared is None:
        if mirror_state.rejected:
            return "rejected", because("rejected", detail=mirror_state.rejected)
        return "retired", because("retired")
    if mirror_state.paused is not None:
        return "paused", because("paused", who=mirror_state.paused[0])
    if not mirror_state.declared.mirror.enabled:
        return "paused", because("disabled")
    if mirror_state.held is not None:
        return "paused", because("held", snapshot=mirror_state.held.snapshot[:12], who=mirror_state.held.who)
    if store.state != "online":
        return "offline", because(f"store.{store.state}", detail=store.reason)
    if mirror_state.damaged:
        return "failing", because("failed", detail=mirror_state.damaged)
    if mirror_state.past.failures and not mirror_state.requested_by:
        last = mirror_state.last.reason if mirror_state.last is not None else ""
        if mirror_state.last is not None and mirror_state.last.outcome == "nothing_found":
            return "nothing_found", because("failed", detail=last)
        return "failing", because("failed", detail=last or message("the last pass failed"))
    if (
        mirror_state.requested_by
        or mirror_state.wait_reason
        or (mirror_state.due is not None and mirror_state.due <= now)
    ):
        return "waiting", mirror_state.busy or mirror_state.wait_reason or because("waits.turn")
    return "idle", Reason()


def health_of(mirror_state: MirrorState, now: float) -> Health:
    """Return the health of the stored copy."""
    if mirror_state.succeeded is None:
        has_copy = mirror_state.row is not None and bool(mirror_state.row.snapshot)
        return "degraded" if has_copy and mirror_state.failed else "unknown"
    if mirror_state.within is not None and now - mirror_state.succeeded > mirror_state.within:
        return "stale"
    bad = (
        mirror_state.failed
        or mirror_state.parked
        or mirror_state.faults
        or mirror_state.damaged
        or mirror_state.past.failures
        or mirror_state.is_incomplete
    )
    return "degraded" if bad else "good"


def mirror_view(mirror_state: MirrorState, store: StoreState, now: float, clock: float) -> MirrorView:
    """Return the view of a mirror; `now` is of the wall clock, `clock` of the monotonic one."""
    row, mirror = mirror_state.row, mirror_state.declared.mirror if mirror_state.declared is not None else None
    state, why = state_of(mirror_state, store, now)
    about = mirror.about if mirror is not None else None
    files, size = mirror_state.unfinished()
    return MirrorView(
        name=mirror_state.name,
        title=mirror.title if mirror is not None else row.title if row is not None else "",
        source=mirror.source.url if mirror is not None else row.source if row is not None else "",
        prefix=mirror.prefix if mirror is not None else row.prefix if row is not None else "",
        about=AboutView(
            licence=about.licence,
            citation=about.citation,
            contact=about.contact,
            access=about.access or "",
            redistribution=about.redistribution,
        )
        if about is not None
        else AboutView(),
        access=access_of(mirror, datetime.fromtimestamp(now, UTC)),
        manifest=mirror_state.declared.file if mirror_state.declared is not None else "",
        state=state,
        health=health_of(mirror_state, now),
        reason=str(why),
        message=why.view(),
        snapshot=row.snapshot if row is not None else "",
        files=mirror_state.files,
        bytes=mirror_state.bytes,
        verdicts=mirror_state.verdicts,
        succeeded=mirror_state.succeeded,
        attempted=row.attempted if row is not None else None,
        next_run=mirror_state.due
        if mirror_state.run is None and mirror_state.paused is None and mirror_state.held is None
        else None,
        fresh_within=mirror_state.within,
        backlog_files=files,
        backlog_bytes=size,
        parked=mirror_state.parked,
        parked_bytes=mirror_state.parked_bytes,
        approved_by=mirror_state.approved_by,
        rejected=mirror_state.rejections,
        failed=mirror_state.failed,
        waiting=mirror_state.unsettled,
        quarantined=mirror_state.quarantined,
        faults=mirror_state.faults,
        catalogue_bytes=mirror_state.catalogue_bytes,
        progress=_progress(mirror_state.run, clock) if mirror_state.run is not None else None,
        last=mirror_state.last,
    )


def _progress(run: PassRun, clock: float) -> ProgressView:
    tally = run.progress
    moving = tally.under_way()
    largest = sorted(moving, key=lambda one: -(one.size or 0))[:SHOWN] if len(moving) > SHOWN else moving
    partly = sum(min(one.received, one.size or 0) for one in moving)
    return ProgressView(
        pass_id=run.pass_id,
        began=run.began,
        phase=tally.phase,
        documents=tally.documents,
        documents_known=tally.known,
        found=tally.found,
        files=tally.planned_files,
        files_done=tally.files,
        bytes=tally.planned_bytes,
        bytes_done=min(tally.behind + partly, tally.planned_bytes) if tally.sized else tally.behind + partly,
        sized=tally.sized,
        failed=tally.failed,
        rate=run.speed.so_far(clock, tally.arrived),
        moving=len(moving),
        transfers=tuple(TransferView(path=one.path, size=one.size, received=one.received) for one in largest),
    )
