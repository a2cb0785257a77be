"""The daemon as others see and steer it: what the API, the status page and the metrics may ask for, and nothing else.

Rules:
1. What is asked often (`mirrors`, `origins`, `series`, ...) is in memory and returns at once; what must look into the
   Catalogue, the store or upstream is awaited.
2. What changes something takes `who` and is written to the audit log, refused or not; the entry is what it returns.
3. Every method raises NotFound for a mirror, pass or snapshot that is not there, Busy where it cannot be done now, and
   ConfigError for text that is wrong; nothing else but the errors of `syncd.core.errors`.
4. Nobody who looks can slow a pass: subscribers that do not keep up lose events and are told how many.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

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
    QuarantineView,
    Sample,
    ScrubView,
    SnapshotView,
    StoreView,
)
from syncd.core import Event


class Control(Protocol):
    """What a running daemon lets others see and do."""

    # -- at once, from memory -------------------------------------------------------------------------------------

    def daemon(self) -> DaemonView:
        """Return how the daemon itself is; `/readyz` is its `ready`."""
        ...

    def mirrors(self) -> Sequence[MirrorView]:
        """Return all mirrors by name: those in force, those whose manifest is refused, those whose copy stays."""
        ...

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        ...

    def manifests(self) -> Sequence[ManifestView]:
        """Return every manifest file by its name, with what is wrong in it."""
        ...

    def check(self, text: str) -> CheckView:
        """Lint the text of a manifest, against what is installed and against the mirrors in force.

        A long text takes its time: call this one in a thread.
        """
        ...

    def origins(self) -> Sequence[OriginView]:
        """Return the upstream origins that were asked since the daemon began, by name; 1,000 at most."""
        ...

    def scrubs(self) -> Sequence[ScrubView]:
        """Return how far the re-reading of each mirror is, by name."""
        ...

    def store(self) -> StoreView:
        """Return how the store is."""
        ...

    def series(self, name: str | None = None) -> Sequence[Sample]:
        """Return the last 24 hours of one mirror, or of all together, oldest first; a few hundred samples at most."""
        ...

    # -- awaited --------------------------------------------------------------------------------------------------

    async def plan(self, name: str, *, limit: int = 100) -> PlanView:
        """Ask upstream, and return what a pass would do now; `limit` steps of each action. Busy during a pass."""
        ...

    async def plan_text(self, text: str, *, limit: int = 100) -> PlanView:
        """As `plan`, for the text of a manifest that is not in force; nothing of it is kept. Raises ConfigError."""
        ...

    async def passes(self, name: str | None = None, *, before: int | None = None, limit: int = 50) -> list[PassView]:
        """Return passes of one mirror, or of all, the newest first, with ids below `before`."""
        ...

    async def pass_events(self, name: str, pass_id: int, *, after: int = 0, limit: int = 200) -> list[PassEvent]:
        """Return what happened in one pass, the oldest first, with ids above `after`."""
        ...

    async def entries(self, name: str, *, prefix: str = "", after: str = "", limit: int = 200) -> list[EntryView]:
        """Return Entries whose path begins with `prefix` and sorts behind `after`, sorted."""
        ...

    async def entry(self, name: str, path: str) -> EntryView:
        """Return one Entry."""
        ...

    async def snapshots(self, name: str) -> list[SnapshotView]:
        """Return the kept snapshots, the current one first."""
        ...

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000) -> DiffView:
        """Compare two kept snapshots, named by id or its beginning; the first `limit` paths that differ, sorted."""
        ...

    async def quarantine(self, name: str, *, limit: int = 1000) -> list[QuarantineView]:
        """Return what is kept aside, the newest first."""
        ...

    async def parked(self, name: str, *, after: str = "", limit: int = 1000) -> list[ParkedView]:
        """Return the removals that wait for an operator and sort behind `after`, sorted."""
        ...

    async def failures(self, name: str, *, after: str = "", limit: int = 1000) -> list[FailureView]:
        """Return the files that could not be had, with paths behind `after`, sorted."""
        ...

    async def audit(self, *, before: int | None = None, limit: int = 100) -> list[AuditView]:
        """Return who changed what, the newest first, with ids below `before`."""
        ...

    # -- what changes something -----------------------------------------------------------------------------------

    async def sync(self, name: str, who: str) -> AuditView:
        """Let a pass run as soon as there is room, window or not. Busy if paused, offline or rejected."""
        ...

    async def pause(self, name: str, who: str) -> AuditView:
        """Start no pass of this mirror until it is resumed, over restarts too; one under way goes on."""
        ...

    async def resume(self, name: str, who: str) -> AuditView:
        """End a pause."""
        ...

    async def approve(self, name: str, who: str) -> AuditView:
        """Let exactly the parked removals through, and run a pass soon. Busy if nothing is parked."""
        ...

    async def cancel(self, name: str, who: str) -> AuditView:
        """Ask the pass under way to stop: it starts nothing new and publishes what is proved. Busy if none is."""
        ...

    # -- what happens ---------------------------------------------------------------------------------------------

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Enter to hear every event from now on; where the listener was too slow an EventsLost stands for the rest.

        The iterator ends when the daemon stops.
        """
        ...
