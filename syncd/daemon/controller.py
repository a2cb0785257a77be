"""Implements `syncd.control.Control`: returns views of the running daemon, and carries out the actions of operators."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from manifests.messages import message
from manifests.model import ManifestError, Mirror
from manifests.snapshot import Entry
from syncd.catalogue import Catalogue, MirrorRow
from syncd.control import (
    CopyView,
    DiffView,
    EntryView,
    ParkedView,
    PlanView,
    QuarantineView,
    RejectionView,
    SnapshotView,
    StepView,
    TombstoneView,
    UsageBy,
    UsageReport,
)
from syncd.core import AuditVerdict, AuditView, Busy, ConfigError, Event, FailureView, PassEvent, PassView
from syncd.daemon import queries
from syncd.daemon.copies import copies
from syncd.daemon.job_actions import JobActions
from syncd.daemon.live_views import LiveViews
from syncd.daemon.operator_actions import OperatorActions
from syncd.daemon.origin_actions import OriginActions
from syncd.daemon.reasons import because
from syncd.engine import ContentComparison, PlanResult, make_plan, places_of, read_anchors
from syncd.session import read_dataset_report
from syncd.usage import read_hours, read_period, read_report

ACTIONS: tuple[queries.ShownAction, ...] = ("fetch", "replace", "remove", "refuse", "hold", "wait")


class Controller(LiveViews, OperatorActions, OriginActions, JobActions):
    """The running daemon as `syncd.control.Control`."""

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
            number = known.id if known is not None else None  # the plan of the same mirror, in another Catalogue
            row = trial.history.ensure_mirror(mirror.name, prefix=mirror.prefix, number=number)
            if known is not None:
                row = known
                trial.holdings = session.catalogue.holdings
            # what other mirrors hold; the plan of a running pass is another connection's
            trial.history, trial.content = session.catalogue.history, session.catalogue.content
            trial.held = session.catalogue.held.reopened()
            return await self._plan(mirror, row, trial, limit)

    async def _plan(self, mirror: Mirror, row: MirrorRow, catalogue: Catalogue, limit: int) -> PlanView:
        async with self._session().pass_context(mirror) as composed:
            work = queries.plan_context(composed, catalogue)
            try:
                planning = await make_plan(work, row)
                free = await work.store.free()
                return _plan_view(mirror.name, planning, free, queries.steps(catalogue, row, ACTIONS, limit), limit)
            finally:
                catalogue.end_plan(row.id)

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

    async def copies(self, name: str) -> list[CopyView]:
        """Return the copies of a mirror that are known of."""
        mirror_state, config = self._standing(name), self._session().config
        row, declared = mirror_state.row, mirror_state.declared
        if row is None:
            return []
        mirror = declared.mirror if declared is not None else None
        return await self._reader.run(lambda c: copies(c.settings, config, row, mirror))

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000, content: bool = False) -> DiffView:
        """Compare two kept snapshots."""
        row = self._row(name)
        kept = await self._reader.run(lambda c: c.history.snapshots(row.id)) if row is not None else []
        tags = await self._reader.run(lambda c: c.tags.all(row.id)) if row is not None else []
        store = self._session().store

        async def places(entry: Entry) -> list[str]:
            assert row is not None
            return await self._reader.run(lambda c: places_of(c, row, entry))

        comparison = ContentComparison(store, places) if content else None
        return await queries.diff(store, name, kept, before, after, limit, tags, comparison)

    async def tombstones(self) -> list[TombstoneView]:
        """Return the mirrors that were published and no longer are."""
        return await self._reader.run(queries.tombstones)

    async def quarantine(self, name: str, *, limit: int = 1000) -> list[QuarantineView]:
        """Return the quarantined files, the newest first."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.quarantine(c, row, name, limit))

    async def parked(self, name: str, *, after: str = "", limit: int = 1000) -> list[ParkedView]:
        """Return the losses held for approval, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.parked(c, row, after, limit))

    async def rejections(self, name: str, *, after: str = "", limit: int = 1000) -> list[RejectionView]:
        """Return the files that differ from upstream by decision, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.rejections(c, row, after, limit))

    async def failures(self, name: str, *, after: str = "", limit: int = 1000) -> list[FailureView]:
        """Return the files that failed to download, sorted."""
        row = self._row(name)
        return await self._reader.run(lambda c: queries.failures(c, row, after, limit))

    async def audit(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        after: int | None = None,
        since: float | None = None,
        until: float | None = None,
        mirror: str = "",
        act: str = "",
    ) -> list[AuditView]:
        """Return the audit log, the newest entry first; with `after`, the oldest first."""
        return await self._reader.run(
            lambda c: c.pass_history.audit(before, limit, after=after, since=since, until=until, mirror=mirror, act=act)
        )

    async def check_audit(self) -> AuditVerdict:
        """Check the hash chain of the audit log, and its end against the store's record of it."""
        anchors = await read_anchors(self._session().store)
        return await self._reader.run(lambda c: c.pass_history.check_audit(anchors))

    async def usage(
        self, first: str = "", last: str = "", by: UsageBy = "mirror", *, mirrors: Collection[str] | None = None
    ) -> UsageReport:
        """Return what was given from one day to another."""
        period, config = read_period(first, last, self._registry.now()), self._session().config
        fetched = await self._reader.run(lambda c: c.pass_history.fetched(*period))
        sees = frozenset(mirrors).__contains__ if mirrors is not None else None

        def read() -> UsageReport:
            hours = read_hours(config.usage.hours)
            return read_report(config.state, period, by, fetched, hours, config.usage.country or "", sees)

        return await asyncio.to_thread(read)

    async def dataset_report(self, first: str = "", last: str = "", *, mirrors: Collection[str] | None = None) -> bytes:
        """Return the dataset report of the published mirrors that have a DOI."""
        now = self._registry.now()
        sees = frozenset(mirrors).__contains__ if mirrors is not None else None
        return await read_dataset_report(self._session(), read_period(first, last, now), now, sees)

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Subscribe to every event from now on."""
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[AsyncIterator[Event]]:
        with self._event_bus.subscribed() as subscription:
            yield aiter(subscription)


def _plan_view(name: str, planning: PlanResult, free: int | None, steps: Sequence[StepView], limit: int) -> PlanView:
    counts = planning.counts
    total = counts.fetch + counts.replace + counts.remove + counts.refuse + counts.hold + counts.wait
    return PlanView(
        mirror=name,
        complete=planning.inventory.complete,
        fetch=counts.fetch,
        replace=counts.replace,
        keep=counts.keep,
        remove=counts.remove,
        refuse=counts.refuse,
        hold=counts.hold,
        wait=counts.wait,
        copy=counts.copy,
        copy_bytes=counts.copy_bytes,
        moved=counts.moved,
        bytes=counts.download_bytes,
        sizeless=counts.sizeless,
        free=free,
        parked=planning.parked,
        unread=tuple(planning.inventory.failed[:limit]),
        steps=tuple(steps),
        cut=len(steps) < total,
    )
