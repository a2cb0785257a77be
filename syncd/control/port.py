"""The port of the running daemon: every query and action of the API, the status page and the metrics.

Rules:
1. Frequent queries (`mirrors`, `origins`, `series`, ...) return at once, from memory, and may be called from another
   thread. Queries that read the Catalogue, the store or upstream are awaited.
2. An action takes `who`, a name or an Actor, writes an entry to the audit log, refused or not, and returns that entry.
3. A method raises NotFound for an unknown mirror, pass or snapshot, Busy if the action is impossible now, and
   ConfigError for an invalid text. It raises no other errors than those of `syncd.core.errors`.
4. Slow subscribers lose events and receive the number of lost ones; they never slow a pass.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from manifests.access import Level
from syncd.control.acts import Act
from syncd.control.job_views import JobView
from syncd.control.node_copies import CopyView
from syncd.control.usage_views import UsageBy, UsageReport
from syncd.control.views import (
    CheckView,
    DaemonView,
    DiffView,
    EntryView,
    ManifestView,
    MirrorView,
    OriginView,
    ParkedView,
    PlanView,
    QuarantineView,
    RejectionView,
    Sample,
    ScrubView,
    SnapshotView,
    StoreView,
    TombstoneView,
)
from syncd.core import AuditVerdict, AuditView, Event, FailureView, PassEvent, PassView


class Control(Protocol):
    """The queries and actions of a running daemon."""

    # -- at once, from memory -------------------------------------------------------------------------------------

    def daemon(self) -> DaemonView:
        """Return the state of the daemon; `/readyz` reports its `ready`."""
        ...

    def mirrors(self) -> Sequence[MirrorView]:
        """Return all mirrors by name: with a manifest in force, with a rejected manifest, and retired ones."""
        ...

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        ...

    def manifests(self) -> Sequence[ManifestView]:
        """Return every manifest file by name, with its problems."""
        ...

    def access(self, name: str) -> Level:
        """Return who may read a mirror by its manifest in force; `private` also for a name that no mirror has."""
        ...

    def check(self, text: str, *, alone: bool = False) -> CheckView:
        """Validate the text of a manifest against the installed plug-ins and the mirrors in force.

        `alone`: neither other mirrors nor the configuration are asked, so the answer tells nothing of them.
        Blocks for as long as a long text takes: call it in a thread.
        """
        ...

    def origins(self) -> Sequence[OriginView]:
        """Return the upstream origins with requests since the daemon started, by name; 1,000 at most."""
        ...

    def scrubs(self) -> Sequence[ScrubView]:
        """Return the progress of each mirror's fixity check (scrub), by name."""
        ...

    def store(self) -> StoreView:
        """Return the state of the store."""
        ...

    def series(self, name: str | None = None) -> Sequence[Sample]:
        """Return the last 24 hours of one mirror, or of all together, oldest first; a few hundred samples at most."""
        ...

    # -- awaited --------------------------------------------------------------------------------------------------

    async def plan(self, name: str, *, limit: int = 100) -> PlanView:
        """Survey upstream, and return the plan of a pass; `limit` steps of each action. Raises Busy during a pass."""
        ...

    async def plan_text(self, text: str, *, limit: int = 100) -> PlanView:
        """Return the plan for the text of a manifest that is not in force; stores nothing. Raises ConfigError."""
        ...

    async def passes(self, name: str | None = None, *, before: int | None = None, limit: int = 50) -> list[PassView]:
        """Return passes of one mirror, or of all, the newest first, with ids below `before`."""
        ...

    async def pass_events(self, name: str, pass_id: int, *, after: int = 0, limit: int = 200) -> list[PassEvent]:
        """Return the events of one pass, the oldest first, with ids above `after`."""
        ...

    async def entries(self, name: str, *, prefix: str = "", after: str = "", limit: int = 200) -> list[EntryView]:
        """Return Entries whose path begins with `prefix` and sorts after `after`, sorted."""
        ...

    async def entry(self, name: str, path: str) -> EntryView:
        """Return one Entry."""
        ...

    async def snapshots(self, name: str) -> list[SnapshotView]:
        """Return the kept snapshots, the current one first."""
        ...

    async def copies(self, name: str) -> list[CopyView]:
        """Return the copies of a mirror that are known of: here, at the node that it follows, at the peers."""
        ...

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000, content: bool = False) -> DiffView:
        """Compare two kept snapshots, each named by a tag or a prefix of its id; returns `limit` paths, sorted.

        With `content`, also what changed inside small files.
        """
        ...

    async def tombstones(self) -> list[TombstoneView]:
        """Return the mirrors that were published and no longer are, in the order in which that ended."""
        ...

    async def quarantine(self, name: str, *, limit: int = 1000) -> list[QuarantineView]:
        """Return the quarantined files, the newest first."""
        ...

    async def parked(self, name: str, *, after: str = "", limit: int = 1000) -> list[ParkedView]:
        """Return the losses held for approval with paths after `after`, sorted."""
        ...

    async def rejections(self, name: str, *, after: str = "", limit: int = 1000) -> list[RejectionView]:
        """Return the files that differ from upstream by decision, with paths after `after`, sorted."""
        ...

    async def failures(self, name: str, *, after: str = "", limit: int = 1000) -> list[FailureView]:
        """Return the files that failed to download, with paths after `after`, sorted."""
        ...

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
        """Return the audit log, the newest entry first, with ids below `before`; with `after`, the oldest first.

        `since` and `until` are times, and `act` is the `what` of entries.
        """
        ...

    async def check_audit(self) -> AuditVerdict:
        """Check the hash chain of the audit log, and its end against the store's record of it."""
        ...

    async def usage(
        self, first: str = "", last: str = "", by: UsageBy = "mirror", *, mirrors: Collection[str] | None = None
    ) -> UsageReport:
        """Return what was given from one day or month to another, by default in the last twelve months.

        With `mirrors`, it is about these only. Raises ConfigError for a text that is no day.
        """
        ...

    async def dataset_report(self, first: str = "", last: str = "", *, mirrors: Collection[str] | None = None) -> bytes:
        """Return the dataset report (DSR, as JSON) of the published mirrors that have a DOI; days as for `usage`."""
        ...

    # -- actions --------------------------------------------------------------------------------------------------

    async def sync(self, name: str, who: str) -> AuditView:
        """Request a pass, outside its window too. Raises Busy if paused, offline or rejected."""
        ...

    async def pause(self, name: str, who: str) -> AuditView:
        """Start no pass of this mirror until it is resumed, over restarts too; a running pass continues."""
        ...

    async def resume(self, name: str, who: str) -> AuditView:
        """End a pause."""
        ...

    async def approve(self, name: str, who: str) -> AuditView:
        """Approve exactly the losses held now, and request a pass. Raises Busy if none are held."""
        ...

    async def reject(self, name: str, who: str) -> AuditView:
        """Reject exactly the losses held now: the copy keeps these files as they are. Raises Busy if none are held."""
        ...

    async def unpin(self, name: str, path: str, who: str) -> AuditView:
        """Release a restored file: the next pass follows upstream again. Raises NotFound if it is not pinned."""
        ...

    async def restore(self, name: str, path: str, snapshot: str, who: str) -> AuditView:
        """Restore a file as a kept snapshot has it, and pin it. Raises Busy beside a pass, NotFound, Damaged."""
        ...

    async def tag(self, name: str, snapshot: str, tag: str, who: str) -> AuditView:
        """Name a kept snapshot: it is kept with its bytes. Raises Busy beside a pass, or if the name is taken."""
        ...

    async def untag(self, name: str, tag: str, who: str) -> AuditView:
        """Remove a tag. Raises Busy beside a pass, NotFound."""
        ...

    async def cancel(self, name: str, who: str) -> AuditView:
        """Stop the running pass: it starts nothing new and publishes its proved files. Raises Busy if none runs."""
        ...

    async def pause_origin(self, origin: str, until: float, who: str) -> AuditView:
        """Send no request to an origin before a time, over restarts too. Raises ConfigError."""
        ...

    async def resume_origin(self, origin: str, who: str) -> AuditView:
        """End the pause of an origin. Raises ConfigError."""
        ...

    async def limit_origin(self, origin: str, rate: float | None, who: str) -> AuditView:
        """Limit the rate of an origin until the daemon ends; None: no limit. Raises ConfigError."""
        ...

    # -- jobs -----------------------------------------------------------------------------------------------------

    async def perform(self, act: Act, who: str) -> JobView:
        """Start a job that carries out an act, which the audit log gets at its end.

        Raises NotFound for an unknown mirror, Offline if the store is not available.
        """
        ...

    async def jobs(self, name: str = "", *, before: int | None = None, limit: int = 50) -> list[JobView]:
        """Return jobs of one mirror, or of all, the newest first, with ids below `before`."""
        ...

    async def job(self, number: int, *, wait: float = 0.0) -> JobView:
        """Return one job, after its end or after `wait` seconds, a minute at most. Raises NotFound."""
        ...

    async def cancel_job(self, number: int, who: str) -> JobView:
        """Stop a job: what it has done stays, and the next pass finishes what it began. Raises NotFound, Busy."""
        ...

    # -- events ---------------------------------------------------------------------------------------------------

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Subscribe to every event from now on; an EventsLost replaces the events that a slow subscriber lost.

        The iterator ends when the daemon stops.
        """
        ...
