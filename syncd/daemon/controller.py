"""Implements `syncd.control.Control`: returns views of the running daemon, and carries out the actions of operators."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

from manifests.messages import count, message
from manifests.model import ManifestError, ManifestProblem, Mirror
from syncd.catalogue import BackgroundReader, Catalogue, MirrorRow
from syncd.control import (
    CheckView,
    DaemonView,
    DiffView,
    EntryView,
    FailureView,
    ManifestView,
    MirrorView,
    OriginView,
    ParkedView,
    PlanView,
    ProblemView,
    QuarantineView,
    Sample,
    ScrubView,
    SnapshotView,
    StepView,
    StoreView,
)
from syncd.core import (
    Audited,
    AuditView,
    Busy,
    ConfigError,
    Event,
    NotFound,
    PassEvent,
    PassView,
    SyncdError,
    message_view,
)
from syncd.daemon import queries
from syncd.daemon.event_bus import EventBus
from syncd.daemon.manifest_watcher import DeclaredMirror, ManifestFile, ManifestWatcher
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.reasons import because
from syncd.daemon.scrubber import Scrubber
from syncd.engine import PlanResult, make_plan
from syncd.session import VERSION, Session

ORIGINS = 1_000  # origins returned, at most
ACTIONS: tuple[Literal["fetch", "replace", "remove", "refuse"], ...] = ("fetch", "replace", "remove", "refuse")


@dataclass(slots=True)
class DaemonStatus:
    """The state of the daemon itself, and the last rates of its origins."""

    started: float
    state: Literal["starting", "running", "stopping"] = "starting"
    reason: str = "starting"
    rates: dict[str, tuple[float, float, float]] = field(default_factory=dict)


class Controller:
    """The running daemon as `syncd.control.Control`."""

    def __init__(
        self,
        registry: MirrorRegistry,
        scheduler: PassScheduler,
        scrubber: Scrubber,
        manifests: ManifestWatcher,
        session: Callable[[], Session],
        background: BackgroundReader,
        event_bus: EventBus,
        status: DaemonStatus,
    ) -> None:
        """All are parts of the running daemon; `session` returns the Session of the configuration in force."""
        self._registry = registry
        self._scheduler = scheduler
        self._scrubber = scrubber
        self._manifests = manifests
        self._session = session
        self._reader = background
        self._event_bus = event_bus
        self._status = status

    # -- at once --------------------------------------------------------------------------------------------------

    def daemon(self) -> DaemonView:
        """Return the state of the daemon."""
        states = [self._registry.state(mirror_state)[0] for mirror_state in self._registry.states.values()]
        return DaemonView(
            version=VERSION,
            pid=os.getpid(),
            started=self._status.started,
            state=self._status.state,
            ready=self._status.state == "running",
            reason=self._status.reason,
            running=states.count("running"),
            waiting=states.count("waiting"),
            bytes_in_flight=self._scheduler.shares.budget.bytes,
        )

    def mirrors(self) -> list[MirrorView]:
        """Return all mirrors by name."""
        return [self._registry.view(mirror_state) for mirror_state in self._registry.states.values()]

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        return self._registry.view(self._standing(name))

    def manifests(self) -> list[ManifestView]:
        """Return every manifest file, with its problems."""
        by_file = {declared.file: declared for declared in self._manifests.in_force.values()}
        return [_manifest(file, by_file) for _, file in sorted(self._manifests.files.items())]

    def check(self, text: str) -> CheckView:
        """Validate the text of a manifest."""
        try:
            mirror = self._manifests.parse(text, "manifest")
        except ManifestError as error:
            return CheckView(problems=tuple(problem_view(one) for one in error.problems))
        return CheckView(mirror=mirror.name)

    def origins(self) -> list[OriginView]:
        """Return the origins with requests since the daemon started."""
        now, clock, views = self._registry.now(), time.monotonic(), []
        for governor in sorted(self._session().governors, key=lambda one: one.origin)[:ORIGINS]:
            closed = governor.closed_for
            views.append(
                OriginView(
                    origin=governor.origin,
                    limit=governor.limit,
                    active=governor.busy,
                    waiting=governor.waiting,
                    throttled_until=now + closed if closed > 0 else None,
                    rate=self._rate(governor.origin, governor.count.bytes, clock),
                )
            )
        return views

    def _rate(self, origin: str, received: float, clock: float) -> float:
        """Return the bytes per second of an origin, measured over at least five seconds."""
        rates = self._status.rates
        at, seen, rate = rates.get(origin, (clock, received, 0.0))
        if clock - at >= 5.0:
            at, seen, rate = clock, received, max(0.0, (received - seen) / (clock - at))
        rates[origin] = (at, seen, rate)
        return rate

    def scrubs(self) -> list[ScrubView]:
        """Return the progress of each mirror's fixity check."""
        found = []
        for name, mirror_state in self._registry.states.items():
            if mirror_state.row is None:
                continue
            reading = self._scrubber.progress_of(mirror_state)
            found.append(
                ScrubView(
                    mirror=name,
                    within=reading.within,
                    files=reading.files,
                    bytes=reading.bytes,
                    oldest=reading.oldest,
                    covered=reading.covered,
                    rate=reading.rate,
                    running=reading.is_reading,
                    faults=mirror_state.faults,
                    mended=mirror_state.mended,
                )
            )
        return found

    def store(self) -> StoreView:
        """Return the state of the store."""
        store = self._registry.store
        return StoreView(
            url=self._session().config.store.url,
            state=cast("Literal['online', 'offline', 'full']", store.state),
            reason=store.reason,
            free=store.free,
            since=store.since,
            backup=store.backup,
            message=message_view(store.reason),
        )

    def series(self, name: str | None = None) -> list[Sample]:
        """Return the last 24 hours of one mirror, or of all together."""
        return list((self._registry.total if name is None else self._standing(name).series).samples())

    # -- awaited --------------------------------------------------------------------------------------------------

    async def plan(self, name: str, *, limit: int = 100) -> PlanView:
        """Survey upstream, and return the plan of a pass."""
        mirror_state = self._standing(name)
        if mirror_state.declared is None:
            raise Busy(message("{name}: no manifest of it is in force", name=name))
        mirror, session = mirror_state.declared.mirror, self._session()
        row = session.catalogue.history.ensure_declared(mirror)
        mirror_state.row = row
        with self._scheduler.reserve(mirror_state, because("waits.plan")):
            return await self._plan(mirror, row, session.catalogue, limit)

    async def plan_text(self, text: str, *, limit: int = 100) -> PlanView:
        """Return the plan for the text of a manifest; stores nothing."""
        try:
            mirror = await asyncio.to_thread(self._manifests.parse, text, "manifest")
        except ManifestError as error:
            raise ConfigError(str(error)) from error
        session = self._session()
        async with queries.open_scratch_catalogue(session.spool) as trial:
            known = session.catalogue.history.mirror(mirror.name)
            row = trial.history.ensure_mirror(mirror.name, prefix=mirror.prefix)
            if known is not None:
                row = known
                trial.holdings = session.catalogue.holdings
            return await self._plan(mirror, row, trial, limit)

    async def _plan(self, mirror: Mirror, row: MirrorRow, catalogue: Catalogue, limit: int) -> PlanView:
        async with self._session().pass_context(mirror) as composed:
            work = queries.plan_context(composed, catalogue)
            planning = await make_plan(work, row)
            free = await work.store.free()
            return _plan_view(mirror.name, planning, free, queries.steps(catalogue, row.id, ACTIONS, limit), limit)

    async def passes(self, name: str | None = None, *, before: int | None = None, limit: int = 50) -> list[PassView]:
        """Return passes, the newest first."""
        mirror = self._row(name) if name is not None else None
        return await self._reader.run(lambda c: queries.passes(c, mirror, before, limit, all_of=name is None))

    async def pass_events(self, name: str, pass_id: int, *, after: int = 0, limit: int = 200) -> list[PassEvent]:
        """Return the events of one pass, the oldest first."""
        row = self._row(name)
        self._registry.flush_events()
        return await self._reader.run(lambda c: queries.pass_events(c, row, name, pass_id, after, limit))

    async def entries(self, name: str, *, prefix: str = "", after: str = "", limit: int = 200) -> list[EntryView]:
        """Return Entries by prefix, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.entries(c, row, prefix, after, limit))

    async def entry(self, name: str, path: str) -> EntryView:
        """Return one Entry."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.entry(c, row, name, path))

    async def snapshots(self, name: str) -> list[SnapshotView]:
        """Return the kept snapshots, the current one first."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.snapshots(c, row))

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000) -> DiffView:
        """Compare two kept snapshots."""
        row = self._row(name)
        kept = await self._reader.run(lambda c: c.history.snapshots(row.id)) if row is not None else []
        return await queries.diff(self._session().store, name, kept, before, after, limit)

    async def quarantine(self, name: str, *, limit: int = 1000) -> list[QuarantineView]:
        """Return the quarantined files, the newest first."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.quarantine(c, row, name, limit))

    async def parked(self, name: str, *, after: str = "", limit: int = 1000) -> list[ParkedView]:
        """Return the losses held for approval, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.parked(c, row, after, limit))

    async def failures(self, name: str, *, after: str = "", limit: int = 1000) -> list[FailureView]:
        """Return the files that failed to download, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.failures(c, row, after, limit))

    async def audit(self, *, before: int | None = None, limit: int = 100) -> list[AuditView]:
        """Return the audit log, the newest entry first."""
        return await self._reader.run(lambda c: c.pass_history.audit(before, limit))

    # -- actions --------------------------------------------------------------------------------------------------

    async def sync(self, name: str, who: str) -> AuditView:
        """Request a pass; it starts as soon as there is room."""
        mirror_state = self._standing(name)
        state, why = self._registry.state(mirror_state)
        if state in {"paused", "offline", "rejected", "retired"}:
            raise self._refused(
                who, "sync", name, message("{name}: is {state}: {why}", name=name, state=state, why=why)
            )
        if mirror_state.run is not None:
            return self._written(who, "sync", name, message("a pass is under way already"))
        mirror_state.requested_by = who or "somebody"
        self._registry.wake.set()
        return self._written(who, "sync", name, message("a pass begins as soon as there is room"))

    async def pause(self, name: str, who: str) -> AuditView:
        """Start no pass of this mirror until it is resumed."""
        mirror_state = self._standing(name)
        if mirror_state.declared is None:
            raise self._refused(who, "pause", name, message("{name}: no manifest of it is in force", name=name))
        if mirror_state.paused is not None:
            return self._written(
                who, "pause", name, message("was paused by {paused} already", paused=mirror_state.paused[0])
            )
        mirror, history = mirror_state.declared.mirror, self._registry.catalogue.history
        row = mirror_state.row or history.ensure_row(mirror)
        mirror_state.row, mirror_state.paused, mirror_state.requested_by = row, (who, self._registry.now()), ""
        self._registry.catalogue.pass_history.pause(row.id, who, self._registry.now())
        return self._written(who, "pause", name, message("paused"))

    async def resume(self, name: str, who: str) -> AuditView:
        """End a pause."""
        mirror_state = self._standing(name)
        if mirror_state.paused is None or mirror_state.row is None:
            return self._written(who, "resume", name, message("was not paused"))
        self._registry.catalogue.pass_history.resume(mirror_state.row.id)
        mirror_state.paused = None
        self._registry.wake.set()
        return self._written(who, "resume", name, message("resumed"))

    async def approve(self, name: str, who: str) -> AuditView:
        """Approve exactly the losses held now, and request a pass."""
        mirror_state, row = self._holding(name, who, "approve")
        number = self._registry.catalogue.approvals.approve(row.id)
        self._registry.refresh(mirror_state)
        if mirror_state.paused is None and mirror_state.declared is not None:
            mirror_state.requested_by = who or "somebody"
        self._registry.wake.set()
        return self._written(who, "approve", name, count(number, "{n} loss approved", "{n:,} losses approved"))

    async def reject(self, name: str, who: str) -> AuditView:
        """Reject exactly the losses held now: the copy keeps these files as they are."""
        mirror_state, row = self._holding(name, who, "reject")
        number = self._registry.catalogue.approvals.reject(row.id)
        self._registry.refresh(mirror_state)
        self._registry.wake.set()
        return self._written(who, "reject", name, count(number, "{n} loss rejected", "{n:,} losses rejected"))

    def _holding(self, name: str, who: str, what: str) -> tuple[MirrorState, MirrorRow]:
        """Return a mirror whose losses can be decided on now. Raises Busy."""
        mirror_state = self._standing(name)
        if mirror_state.row is None or not mirror_state.parked:
            raise self._refused(who, what, name, message("{name}: nothing is held for approval", name=name))
        if mirror_state.run is not None:
            raise self._refused(
                who,
                what,
                name,
                message("{name}: a pass is running; decide after its end on the losses that it holds", name=name),
            )
        return mirror_state, mirror_state.row

    async def cancel(self, name: str, who: str) -> AuditView:
        """Stop the running pass."""
        mirror_state = self._standing(name)
        if mirror_state.run is None:
            raise self._refused(who, "cancel", name, message("{name}: no pass is under way", name=name))
        mirror_state.run.stop(because("stops.asked", who=who), who or "somebody")
        return self._written(who, "cancel", name, message("stops, and publishes its proved files"))

    # -- events ---------------------------------------------------------------------------------------------------

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Subscribe to every event from now on."""
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[AsyncIterator[Event]]:
        with self._event_bus.subscribed() as subscription:
            yield aiter(subscription)

    # -- helpers --------------------------------------------------------------------------------------------------

    def _standing(self, name: str) -> MirrorState:
        mirror_state = self._registry.states.get(name)
        if mirror_state is None:
            raise NotFound(message("{name}: no such mirror here", name=name))
        return mirror_state

    def _row(self, name: str) -> MirrorRow | None:
        return self._standing(name).row

    def _written(self, who: str, what: str, name: str, outcome: str) -> AuditView:
        entry = self._registry.catalogue.pass_history.add_audit(
            at=self._registry.now(), who=who, what=what, mirror=name, outcome=outcome
        )
        self._registry.on_event(Audited(name, who, what, outcome))
        return entry

    def _refused(self, who: str, what: str, name: str, reason: str) -> SyncdError:
        self._written(who, what, name, message("refused: {reason}", reason=reason))
        return Busy(reason)


def problem_view(one: ManifestProblem) -> ProblemView:
    """Return the view of a problem."""
    return ProblemView(
        file=one.file,
        line=one.line,
        column=one.column,
        where=one.where,
        what=one.what,
        todo=one.todo,
        message=message_view(one.what),
        todo_message=message_view(one.todo),
    )


def _manifest(file: ManifestFile, by_file: Mapping[str, DeclaredMirror]) -> ManifestView:
    declared = by_file.get(file.name)
    return ManifestView(
        file=file.name,
        mirror=file.declared_name or None,
        problems=tuple(problem_view(one) for one in file.all_problems),
        since=declared.since if declared is not None else None,
    )


def _plan_view(name: str, planning: PlanResult, free: int | None, steps: Sequence[StepView], limit: int) -> PlanView:
    counts = planning.counts
    total = counts.fetch + counts.replace + counts.remove + counts.refuse + counts.hold
    return PlanView(
        mirror=name,
        complete=planning.inventory.complete,
        fetch=counts.fetch,
        replace=counts.replace,
        keep=counts.keep,
        remove=counts.remove,
        refuse=counts.refuse,
        hold=counts.hold,
        bytes=counts.bytes,
        sizeless=counts.sizeless,
        free=free,
        parked=planning.parked,
        unread=tuple(planning.inventory.failed[:limit]),
        steps=tuple(steps),
        cut=len(steps) < total,
    )
