"""The running daemon as `syncd.control.Control`: shows what the fleet knows, and does what an operator asks for."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

from manifests.model.mirror import ManifestError, Mirror, Problem
from syncd.catalogue import Audit, Catalogue, Row
from syncd.catalogue.background_reader import Beside
from syncd.control.views import (
    AuditView,
    CheckView,
    DaemonView,
    DiffView,
    EntryView,
    FailureView,
    ManifestView,
    MirrorView,
    OriginView,
    ParkedView,
    PassEvent,
    PassView,
    PlanView,
    ProblemView,
    QuarantineView,
    Sample,
    ScrubView,
    SnapshotView,
    StepView,
    StoreView,
)
from syncd.core.errors import Busy, ConfigError, NotFound, SyncdError
from syncd.core.events import Audited, Event
from syncd.daemon import queries
from syncd.daemon.event_bus import Feed
from syncd.daemon.manifest_watcher import Declared, File, Manifests
from syncd.daemon.mirror_registry import Fleet, Standing
from syncd.daemon.pass_scheduler import Rota
from syncd.daemon.scrubber import Scrub
from syncd.engine.build_plan import Planning, make_plan
from syncd.session.session import VERSION, Workbench

ORIGINS = 1_000  # shown
ACTIONS: tuple[Literal["fetch", "replace", "remove", "refuse"], ...] = ("fetch", "replace", "remove", "refuse")


@dataclass(slots=True)
class Life:
    """What the daemon says of itself."""

    started: float
    state: Literal["starting", "running", "stopping"] = "starting"
    reason: str = "starting"
    rates: dict[str, tuple[float, float, float]] = field(default_factory=dict)


class Steering:
    """Satisfies `syncd.control.port.Control`."""

    def __init__(
        self,
        fleet: Fleet,
        rota: Rota,
        scrub: Scrub,
        manifests: Manifests,
        bench: Callable[[], Workbench],
        beside: Beside,
        feed: Feed,
        life: Life,
    ) -> None:
        """All are parts of the running daemon; `bench` is the workbench of the configuration in force."""
        self._fleet = fleet
        self._rota = rota
        self._scrub = scrub
        self._manifests = manifests
        self._bench = bench
        self._beside = beside
        self._feed = feed
        self._life = life

    # -- at once --------------------------------------------------------------------------------------------------

    def daemon(self) -> DaemonView:
        """Return how the daemon itself is."""
        states = [self._fleet.state(standing)[0] for standing in self._fleet.standings.values()]
        return DaemonView(
            version=VERSION,
            pid=os.getpid(),
            started=self._life.started,
            state=self._life.state,
            ready=self._life.state == "running",
            reason=self._life.reason,
            running=states.count("running"),
            waiting=states.count("waiting"),
            bytes_in_flight=self._rota.room.bytes,
        )

    def mirrors(self) -> list[MirrorView]:
        """Return all mirrors by name."""
        return [self._fleet.view(standing) for standing in self._fleet.standings.values()]

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        return self._fleet.view(self._standing(name))

    def manifests(self) -> list[ManifestView]:
        """Return every manifest file, with what is wrong in it."""
        by_file = {declared.file: declared for declared in self._manifests.in_force.values()}
        return [_manifest(file, by_file) for _, file in sorted(self._manifests.files.items())]

    def check(self, text: str) -> CheckView:
        """Lint the text of a manifest."""
        try:
            mirror = self._manifests.parse(text, "manifest")
        except ManifestError as error:
            return CheckView(problems=tuple(problem_view(one) for one in error.problems))
        return CheckView(mirror=mirror.name)

    def origins(self) -> list[OriginView]:
        """Return the origins that were asked."""
        now, clock, views = self._fleet.now(), time.monotonic(), []
        for governor in sorted(self._bench().governors, key=lambda one: one.origin)[:ORIGINS]:
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
        """Return bytes a second since the last look that is some seconds old."""
        rates = self._life.rates
        at, seen, rate = rates.get(origin, (clock, received, 0.0))
        if clock - at >= 5.0:
            at, seen, rate = clock, received, max(0.0, (received - seen) / (clock - at))
        rates[origin] = (at, seen, rate)
        return rate

    def scrubs(self) -> list[ScrubView]:
        """Return how far the re-reading of each mirror is."""
        found = []
        for name, standing in self._fleet.standings.items():
            if standing.row is None:
                continue
            reading = self._scrub.reading(standing)
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
                    faults=standing.faults,
                    mended=standing.mended,
                )
            )
        return found

    def store(self) -> StoreView:
        """Return how the store is."""
        store = self._fleet.store
        return StoreView(
            url=self._bench().config.store.url,
            state=cast("Literal['online', 'offline', 'full']", store.state),
            reason=store.reason,
            free=store.free,
            since=store.since,
            backup=store.backup,
        )

    def series(self, name: str | None = None) -> list[Sample]:
        """Return the last 24 hours of one mirror, or of all together."""
        return list((self._fleet.total if name is None else self._standing(name).series).samples())

    # -- awaited --------------------------------------------------------------------------------------------------

    async def plan(self, name: str, *, limit: int = 100) -> PlanView:
        """Ask upstream, and return what a pass would do now."""
        standing = self._standing(name)
        if standing.declared is None:
            raise Busy(f"{name}: no manifest of it is in force")
        mirror, bench = standing.declared.mirror, self._bench()
        row = bench.catalogue.history.enrol(
            mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
        )
        standing.row = row
        with self._rota.holding(standing, "a plan is being made"):
            return await self._plan(mirror, row, bench.catalogue, limit)

    async def plan_text(self, text: str, *, limit: int = 100) -> PlanView:
        """As `plan`, for the text of a manifest; nothing of it is kept."""
        try:
            mirror = await asyncio.to_thread(self._manifests.parse, text, "manifest")
        except ManifestError as error:
            raise ConfigError(str(error)) from error
        bench = self._bench()
        async with queries.trial(bench.spool) as trial:
            known = bench.catalogue.history.mirror(mirror.name)
            row = trial.history.enrol(mirror.name, prefix=mirror.prefix)
            if known is not None:
                row = known
                trial.holdings = bench.catalogue.holdings
            return await self._plan(mirror, row, trial, limit)

    async def _plan(self, mirror: Mirror, row: Row, catalogue: Catalogue, limit: int) -> PlanView:
        async with self._bench().work(mirror) as composed:
            work = queries.silent(composed, catalogue)
            planning = await make_plan(work, row)
            free = await work.store.free()
            return _plan_view(mirror.name, planning, free, queries.steps(catalogue, row.id, ACTIONS, limit), limit)

    async def passes(self, name: str | None = None, *, before: int | None = None, limit: int = 50) -> list[PassView]:
        """Return passes, the newest first."""
        mirror = self._row(name) if name is not None else None
        return await self._beside.ask(lambda c: queries.passes(c, mirror, before, limit, all_of=name is None))

    async def pass_events(self, name: str, pass_id: int, *, after: int = 0, limit: int = 200) -> list[PassEvent]:
        """Return what happened in one pass, the oldest first."""
        row = self._row(name)
        self._fleet.write_down()
        return await self._beside.ask(lambda c: queries.pass_events(c, row, name, pass_id, after, limit))

    async def entries(self, name: str, *, prefix: str = "", after: str = "", limit: int = 200) -> list[EntryView]:
        """Return Entries by prefix, sorted."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.entries(c, row, prefix, after, limit))

    async def entry(self, name: str, path: str) -> EntryView:
        """Return one Entry."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.entry(c, row, name, path))

    async def snapshots(self, name: str) -> list[SnapshotView]:
        """Return the kept snapshots, the current one first."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.snapshots(c, row))

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000) -> DiffView:
        """Compare two kept snapshots."""
        row = self._row(name)
        kept = await self._beside.ask(lambda c: c.history.snapshots(row.id)) if row is not None else []
        return await queries.diff(self._bench().store, name, kept, before, after, limit)

    async def quarantine(self, name: str, *, limit: int = 1000) -> list[QuarantineView]:
        """Return what is kept aside, the newest first."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.quarantine(c, row, name, limit))

    async def parked(self, name: str, *, after: str = "", limit: int = 1000) -> list[ParkedView]:
        """Return the removals that wait for an operator, sorted."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.parked(c, row, after, limit))

    async def failures(self, name: str, *, after: str = "", limit: int = 1000) -> list[FailureView]:
        """Return the files that could not be had, sorted."""
        row = self._row(name)
        return await self._beside.ask(lambda c: queries.failures(c, row, after, limit))

    async def audit(self, *, before: int | None = None, limit: int = 100) -> list[AuditView]:
        """Return who changed what, the newest first."""
        return await self._beside.ask(lambda c: [_audit(one) for one in c.chronicle.audit(before, limit)])

    # -- what changes something -----------------------------------------------------------------------------------

    async def sync(self, name: str, who: str) -> AuditView:
        """Let a pass run as soon as there is room."""
        standing = self._standing(name)
        state, reason = self._fleet.state(standing)
        if state in {"paused", "offline", "rejected", "retired"}:
            raise self._refused(who, "sync", name, f"{name}: is {state}: {reason}")
        if standing.run is not None:
            return self._written(who, "sync", name, "a pass is under way already")
        standing.asked = who or "somebody"
        self._fleet.wake.set()
        return self._written(who, "sync", name, "a pass begins as soon as there is room")

    async def pause(self, name: str, who: str) -> AuditView:
        """Start no pass of this mirror until it is resumed."""
        standing = self._standing(name)
        if standing.declared is None:
            raise self._refused(who, "pause", name, f"{name}: no manifest of it is in force")
        if standing.paused is not None:
            return self._written(who, "pause", name, f"was paused by {standing.paused[0]} already")
        mirror, history = standing.declared.mirror, self._fleet.catalogue.history
        row = standing.row or history.enrol(
            mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
        )
        standing.row, standing.paused, standing.asked = row, (who, self._fleet.now()), ""
        self._fleet.catalogue.chronicle.pause(row.id, who, self._fleet.now())
        return self._written(who, "pause", name, "paused")

    async def resume(self, name: str, who: str) -> AuditView:
        """End a pause."""
        standing = self._standing(name)
        if standing.paused is None or standing.row is None:
            return self._written(who, "resume", name, "was not paused")
        self._fleet.catalogue.chronicle.resume(standing.row.id)
        standing.paused = None
        self._fleet.wake.set()
        return self._written(who, "resume", name, "resumed")

    async def approve(self, name: str, who: str) -> AuditView:
        """Let exactly the parked removals through, and run a pass soon."""
        standing = self._standing(name)
        if standing.row is None or not standing.parked:
            raise self._refused(who, "approve", name, f"{name}: nothing is parked")
        if standing.run is not None:
            raise self._refused(
                who, "approve", name, f"{name}: a pass is under way; look at what it parks, then approve"
            )
        count = self._fleet.catalogue.history.approve(standing.row.id)
        self._fleet.look_up(standing)
        if standing.paused is None and standing.declared is not None:
            standing.asked = who or "somebody"
        self._fleet.wake.set()
        return self._written(who, "approve", name, f"{count:,} removals approved")

    async def cancel(self, name: str, who: str) -> AuditView:
        """Ask the pass under way to stop."""
        standing = self._standing(name)
        if standing.run is None:
            raise self._refused(who, "cancel", name, f"{name}: no pass is under way")
        standing.run.stop(f"stopped by {who}", who or "somebody")
        return self._written(who, "cancel", name, "stops, and publishes what is proved")

    # -- what happens ---------------------------------------------------------------------------------------------

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Enter to hear every event from now on."""
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[AsyncIterator[Event]]:
        with self._feed.subscribed() as subscription:
            yield aiter(subscription)

    # -- below ----------------------------------------------------------------------------------------------------

    def _standing(self, name: str) -> Standing:
        standing = self._fleet.standings.get(name)
        if standing is None:
            raise NotFound(f"{name}: no such mirror here")
        return standing

    def _row(self, name: str) -> Row | None:
        return self._standing(name).row

    def _written(self, who: str, what: str, name: str, outcome: str) -> AuditView:
        entry = self._fleet.catalogue.chronicle.write(
            at=self._fleet.now(), who=who, what=what, mirror=name, outcome=outcome
        )
        self._fleet.hear(Audited(name, who, what, outcome))
        return _audit(entry)

    def _refused(self, who: str, what: str, name: str, reason: str) -> SyncdError:
        self._written(who, what, name, f"refused: {reason}")
        return Busy(reason)


def problem_view(one: Problem) -> ProblemView:
    """Return a problem as it is shown."""
    return ProblemView(file=one.file, line=one.line, column=one.column, where=one.where, what=one.what, todo=one.todo)


def _audit(one: Audit) -> AuditView:
    return AuditView(id=one.id, at=one.at, who=one.who, what=one.what, mirror=one.mirror, outcome=one.outcome)


def _manifest(file: File, by_file: Mapping[str, Declared]) -> ManifestView:
    declared = by_file.get(file.name)
    return ManifestView(
        file=file.name,
        mirror=file.says or None,
        problems=tuple(problem_view(one) for one in file.wrong),
        since=declared.since if declared is not None else None,
    )


def _plan_view(name: str, planning: Planning, free: int | None, steps: Sequence[StepView], limit: int) -> PlanView:
    counts = planning.counts
    total = counts.fetch + counts.replace + counts.remove + counts.refuse
    return PlanView(
        mirror=name,
        complete=planning.inventory.complete,
        fetch=counts.fetch,
        replace=counts.replace,
        keep=counts.keep,
        remove=counts.remove,
        refuse=counts.refuse,
        bytes=counts.bytes,
        sizeless=counts.sizeless,
        free=free,
        parked=planning.parked,
        unread=tuple(planning.inventory.failed[:limit]),
        steps=tuple(steps),
        cut=len(steps) < total,
    )
