"""The state of each mirror in a running daemon: its manifest, its running pass, its next due time, and the reasons.

The registry is in memory, derived from the manifests in force, the Catalogue and the events of the running passes.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from syncd.catalogue import Catalogue, MirrorRow
from syncd.control import AboutView, Health, MirrorView, ProgressView, State, TransferView
from syncd.core import Event, Listener, PassView, StateChanged, StoreChanged, TransferAdvanced
from syncd.daemon.manifest_watcher import DeclaredMirror
from syncd.daemon.pass_log import PassLog
from syncd.daemon.reasons import NO_REASON, Reason, because
from syncd.daemon.schedule import Past, due, fresh_within
from syncd.daemon.throughput_history import ThroughputHistory
from syncd.engine import PassProgress, Speed

SHOWN = 50  # running transfers in a view, at most
LOOKED_BACK = 64  # latest passes read to count failures in a row
CANCELLED = "Cancelled"  # the error of a pass that a person stopped; it is not repeated at once


@dataclass(slots=True)
class PassRun:
    """A running pass; `since` and `last_event` are times of the monotonic clock."""

    pass_id: int
    why: str
    who: str
    began: float
    since: float
    progress: PassProgress
    log: PassLog
    last_event: float
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    speed: Speed = field(default_factory=Speed)
    stop_reason: Reason = NO_REASON
    """Why it was asked to stop."""
    stopped_by: str = ""
    """Who asked, if it was a person."""

    def stop(self, why: Reason, who: str = "") -> None:
        """Stop the pass: it starts nothing new and publishes its proved files."""
        if not self.stopping.is_set():
            self.stop_reason, self.stopped_by = why, who
            self.stopping.set()

    def left(self) -> int:
        """Return the bytes still to transfer, as far as upstream gives sizes."""
        return max(0, self.progress.planned_bytes - self.progress.behind)


@dataclass(slots=True)
class MirrorState:
    """One mirror: its manifest, its stored copy, its running pass."""

    name: str
    row: MirrorRow | None = None
    declared: DeclaredMirror | None = None
    rejected: str = ""
    paused: tuple[str, float] | None = None
    past: Past = field(default_factory=Past)
    last: PassView | None = None
    due: float | None = None
    requested_by: str = ""
    run: PassRun | None = None
    busy: Reason = NO_REASON
    """Why it is reserved: no pass starts meanwhile."""
    wait_reason: Reason = NO_REASON
    waiting_since: float | None = None
    files: int = 0
    bytes: int = 0
    parked: int = 0
    parked_bytes: int = 0
    failed: int = 0
    quarantined: int = 0
    faults: int = 0
    mended: int = 0
    received: int = 0
    backlog: tuple[int, int] = (0, 0)
    within: float | None = None
    series: ThroughputHistory = field(default_factory=ThroughputHistory)
    last_reported: str = ""

    @property
    def succeeded(self) -> float | None:
        """When the last complete pass ended."""
        return self.row.succeeded if self.row is not None else None

    def unfinished(self) -> tuple[int, int]:
        """Return the files and bytes still to transfer: of the running pass, else those that the last pass left."""
        run = self.run
        if run is None or run.progress.phase == "survey":
            return self.backlog
        return max(0, run.progress.planned_files - run.progress.files), run.left()


@dataclass(slots=True)
class StoreState:
    """The state of the store; `since` is a time of the wall clock, `changed` of the monotonic clock."""

    state: str = "offline"
    reason: str = ""
    free: int | None = None
    since: float | None = None
    changed: float = float("-inf")
    backup: float | None = None


class MirrorRegistry:
    """The mirrors of a daemon, and the state of its store."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], float], clock: Callable[[], float]) -> None:
        """`now` is the wall clock, `clock` the monotonic one."""
        self.catalogue = catalogue
        self.now = now
        self.clock = clock
        self.states: dict[str, MirrorState] = {}
        self.store = StoreState()
        self.wake = asyncio.Event()
        self.listeners: list[Listener] = []
        self.total = ThroughputHistory()
        self._gone = 0  # bytes received by mirrors that no longer exist

    # -- events ---------------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Update the running pass of the event's mirror, and pass the event to every listener."""
        mirror_state = self.states.get(event.mirror) if event.mirror else None
        if mirror_state is not None and mirror_state.run is not None:
            run = mirror_state.run
            run.progress.on_event(event)
            run.last_event = self.clock()
            if not isinstance(event, TransferAdvanced):
                run.log.on_event(event)
        for listener in self.listeners:
            listener(event)

    def flush_events(self) -> None:
        """Write the waiting lines of the running passes to the Catalogue. Raises NoSpace."""
        found = []
        for mirror_state in self.states.values():
            if (run := mirror_state.run) is not None and run.log.waiting:
                found += [(run.pass_id, happening) for happening in run.log.waiting]
                run.log.waiting.clear()
        if found:
            self.catalogue.pass_history.add_events(found)

    # -- state ----------------------------------------------------------------------------------------------------

    def declare(self, declared: Iterable[DeclaredMirror], rejected: dict[str, str]) -> None:
        """Set the manifests in force, and the reason for each mirror whose manifest is rejected."""
        forced = {one.mirror.name: one for one in declared}
        rows = {row.name: row for row in self.catalogue.history.mirrors()}
        paused = self.catalogue.pass_history.paused()
        for name in {*forced, *rejected, *rows} - self.states.keys():
            self.states[name] = MirrorState(name)
        for name, mirror_state in list(self.states.items()):
            mirror_state.declared = forced.get(name)
            mirror_state.rejected = rejected.get(name, "") if mirror_state.declared is None else ""
            row = rows.get(name)
            if row is None and mirror_state.declared is None and not mirror_state.rejected and mirror_state.run is None:
                self._gone += mirror_state.received
                del self.states[name]
                continue
            mirror_state.paused = paused.get(row.id) if row is not None else None
            if row is not None and mirror_state.row is None:
                self.refresh(mirror_state)
        self.states = dict(sorted(self.states.items()))
        self.recompute_due()

    def refresh(self, mirror_state: MirrorState) -> None:
        """Read the state of one mirror from the Catalogue again."""
        history, pass_history = self.catalogue.history, self.catalogue.pass_history
        mirror_state.row = row = history.mirror(mirror_state.name)
        if row is None:
            return
        kept = history.current(row.id)
        mirror_state.files, mirror_state.bytes = (kept.files, kept.bytes) if kept is not None else (0, 0)
        mirror_state.parked, mirror_state.parked_bytes, mirror_state.failed, mirror_state.quarantined = (
            pass_history.counts(row.id)
        )
        mirror_state.faults = len(pass_history.damaged(row.id))
        passes = pass_history.passes(row.id, None, LOOKED_BACK)
        mirror_state.last = passes[0] if passes else None
        mirror_state.past = _past(row, passes)

    def recompute_due(self) -> None:
        """Compute the due time and the freshness target of each mirror again."""
        now = self.now()
        completed = {name: mirror_state.succeeded for name, mirror_state in self.states.items()}
        within: dict[str, float | None] = {}
        after = []
        for mirror_state in self.states.values():
            mirror = mirror_state.declared.mirror if mirror_state.declared is not None else None
            mirror_state.due = due(mirror, mirror_state.past, now, completed) if mirror is not None else None
            if mirror is not None and mirror.schedule is not None and mirror.schedule.after:
                after.append(mirror_state)
            within[mirror_state.name] = mirror_state.within = fresh_within(mirror, now) if mirror is not None else None
        for _ in after:  # the longest chain of them has this many links
            for mirror_state in after:
                assert mirror_state.declared is not None
                within[mirror_state.name] = mirror_state.within = fresh_within(
                    mirror_state.declared.mirror, now, within
                )

    def set_store(self, state: str, reason: str = "") -> None:
        """Set the state of the store, and report a change."""
        if state != self.store.state or (reason and not self.store.reason):
            self.store.state, self.store.reason, self.store.since = state, reason, self.now()
            self.store.changed = self.clock()
            self.on_event(StoreChanged("", state, reason))
            self.wake.set()
        self.store.reason = reason

    def report_states(self) -> None:
        """Report each mirror whose state changed."""
        for mirror_state in self.states.values():
            state, text = self.state(mirror_state)
            if state != mirror_state.last_reported:
                mirror_state.last_reported = state
                self.on_event(StateChanged(mirror_state.name, state, text))

    def sample(self) -> None:
        """Record a sample of rates and backlogs."""
        now, files, size = self.now(), 0, 0
        for mirror_state in self.states.values():
            backlog = mirror_state.unfinished()
            if mirror_state.run is not None:
                mirror_state.run.speed.at(self.clock(), mirror_state.run.progress.arrived)
            mirror_state.series.add_sample(now, self.received(mirror_state), *backlog)
            files, size = files + backlog[0], size + backlog[1]
        received = self._gone + sum(self.received(mirror_state) for mirror_state in self.states.values())
        self.total.add_sample(now, received, files, size)

    def received(self, mirror_state: MirrorState) -> int:
        """Return the bytes received for a mirror since the daemon started."""
        return mirror_state.received + (mirror_state.run.progress.arrived if mirror_state.run is not None else 0)

    def running(self) -> list[MirrorState]:
        """Return the mirrors with a running pass."""
        return [mirror_state for mirror_state in self.states.values() if mirror_state.run is not None]

    # -- views ----------------------------------------------------------------------------------------------------

    def state(self, mirror_state: MirrorState) -> tuple[State, str]:
        """Return the state of a mirror, and the reason as an English text."""
        state, why = self.state_reason(mirror_state)
        return state, str(why)

    def state_reason(self, mirror_state: MirrorState) -> tuple[State, Reason]:
        """Return the state of a mirror, and the reason."""
        if mirror_state.run is not None:
            return "running", mirror_state.run.stop_reason
        if mirror_state.declared is None:
            if mirror_state.rejected:
                return "rejected", because("rejected", detail=mirror_state.rejected)
            return "retired", because("retired")
        if mirror_state.paused is not None:
            return "paused", because("paused", who=mirror_state.paused[0])
        if self.store.state != "online":
            return "offline", because(f"store.{self.store.state}", detail=self.store.reason)
        if mirror_state.past.failures and not mirror_state.requested_by:
            last = mirror_state.last.reason if mirror_state.last is not None else ""
            return "failing", because("failed", detail=last or "the last pass failed")
        if (
            mirror_state.requested_by
            or mirror_state.wait_reason
            or (mirror_state.due is not None and mirror_state.due <= self.now())
        ):
            return "waiting", mirror_state.busy or mirror_state.wait_reason or because("waits.turn")
        return "idle", Reason()

    def health(self, mirror_state: MirrorState) -> Health:
        """Return the health of the stored copy."""
        if mirror_state.succeeded is None:
            return "unknown"
        if mirror_state.within is not None and self.now() - mirror_state.succeeded > mirror_state.within:
            return "stale"
        bad = mirror_state.failed or mirror_state.parked or mirror_state.faults or mirror_state.past.failures
        return "degraded" if bad else "good"

    def view(self, mirror_state: MirrorState) -> MirrorView:
        """Return the view of a mirror."""
        row, mirror = mirror_state.row, mirror_state.declared.mirror if mirror_state.declared is not None else None
        state, why = self.state_reason(mirror_state)
        about = mirror.about if mirror is not None else None
        files, size = mirror_state.unfinished()
        return MirrorView(
            name=mirror_state.name,
            title=mirror.title if mirror is not None else row.title if row is not None else "",
            source=mirror.source.url if mirror is not None else row.source if row is not None else "",
            prefix=mirror.prefix if mirror is not None else row.prefix if row is not None else "",
            about=AboutView(
                licence=about.licence, citation=about.citation, contact=about.contact, access=about.access or ""
            )
            if about is not None
            else AboutView(),
            manifest=mirror_state.declared.file if mirror_state.declared is not None else "",
            state=state,
            health=self.health(mirror_state),
            reason=str(why),
            message=why.view(),
            snapshot=row.snapshot if row is not None else "",
            files=mirror_state.files,
            bytes=mirror_state.bytes,
            succeeded=mirror_state.succeeded,
            attempted=row.attempted if row is not None else None,
            next_run=mirror_state.due if mirror_state.run is None and mirror_state.paused is None else None,
            fresh_within=mirror_state.within,
            backlog_files=files,
            backlog_bytes=size,
            parked=mirror_state.parked,
            parked_bytes=mirror_state.parked_bytes,
            failed=mirror_state.failed,
            quarantined=mirror_state.quarantined,
            faults=mirror_state.faults,
            progress=self._progress(mirror_state.run) if mirror_state.run is not None else None,
            last=mirror_state.last,
        )

    def _progress(self, run: PassRun) -> ProgressView:
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
            rate=run.speed.at(self.clock(), tally.arrived),
            moving=len(moving),
            transfers=tuple(TransferView(path=one.path, size=one.size, received=one.received) for one in largest),
        )


def _past(row: MirrorRow, passes: list[PassView]) -> Past:
    """Return the past passes for `schedule.due`; a pass of the command line is recorded only in the row."""
    over = [one for one in passes if one.outcome != "running"]
    last = over[0] if over else None
    if last is None or (row.attempted is not None and row.attempted > (last.ended or last.began)):
        cut = row.attempted is not None and row.last.get("state") == "running"
        return Past(began=row.attempted, ended=row.attempted, cut=cut)
    failures = partial = 0
    for one in over:
        if one.outcome == "failed":
            failures += 1
        elif one.outcome not in {"stopped", "killed"} or one.error == CANCELLED:
            break
    for one in over:
        if one.outcome != "incomplete":
            break
        partial += 1
    cut = last.outcome == "killed" or (last.outcome == "stopped" and last.error != CANCELLED)
    return Past(
        began=last.began,
        ended=last.ended,
        failures=failures,
        partial=partial,
        denied=last.error not in {"Unreachable", "Refused", "Interrupted", "Stalled", "Offline"},
        cut=cut,
    )
