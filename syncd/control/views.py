"""What a daemon shows of itself: frozen facts for the API, the status page and the metrics, made when asked for.

Times are seconds since the epoch, UTC; None means never, or not known. Bytes are bytes, rates are bytes a second.
"""

from typing import Literal

import msgspec

State = Literal["idle", "waiting", "running", "paused", "failing", "offline", "rejected", "retired"]
"""idle: nothing is due. waiting: due, but not its turn yet (`reason` says for what). running: a pass is under way.
paused: an operator said so. failing: the last pass could not be had, the next one waits longer. offline: the store is
away or full. rejected: no manifest of it that is in force. retired: its manifest was removed, its copy stays."""

Health = Literal["good", "degraded", "stale", "unknown"]
"""good: within its freshness objective and nothing to do. degraded: fresh, but something failed, is parked or damaged.
stale: older than its objective. unknown: never complete yet."""

Phase = Literal["survey", "transfer", "published"]
Outcome = Literal["running", "complete", "incomplete", "failed", "stopped", "killed"]
"""incomplete: published what could be had. failed: the source or the store was away. stopped: somebody asked.
killed: the daemon ended before it."""

STATES: tuple[State, ...] = ("idle", "waiting", "running", "paused", "failing", "offline", "rejected", "retired")
HEALTHS: tuple[Health, ...] = ("good", "degraded", "stale", "unknown")
OUTCOMES: tuple[Outcome, ...] = ("running", "complete", "incomplete", "failed", "stopped", "killed")


class AboutView(msgspec.Struct, frozen=True, kw_only=True):
    """What people should know of a dataset."""

    licence: str = ""
    citation: str = ""
    contact: str = ""
    access: str = ""


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """One file on its way; `size` is None where upstream does not say."""

    path: str
    size: int | None
    received: int


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the running pass is. `bytes` is too small while `sized` is False: upstream does not say every size."""

    pass_id: int
    began: float
    phase: Phase
    documents: int = 0
    documents_known: int = 0
    found: int = 0
    files: int = 0
    files_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    sized: bool = True
    failed: int = 0
    rate: float = 0.0
    moving: int = 0
    transfers: tuple[TransferView, ...] = ()
    """The largest of the `moving` ones, 50 at most."""


class PassView(msgspec.Struct, frozen=True, kw_only=True):
    """One pass, under way or over."""

    id: int
    mirror: str
    why: str
    """schedule, start, manifest, after, or asked."""
    who: str = ""
    began: float
    ended: float | None = None
    outcome: Outcome = "running"
    snapshot: str = ""
    fetched: int = 0
    replaced: int = 0
    kept: int = 0
    removed: int = 0
    parked: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str = ""
    reason: str = ""


class PassEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a pass; `event` is the engine's word in snake_case."""

    id: int
    at: float
    level: Literal["info", "warning", "error"]
    event: str
    path: str = ""
    text: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A text as a code and its values, for translation."""

    code: str
    values: dict[str, str] = {}


class MirrorView(msgspec.Struct, frozen=True, kw_only=True):
    """One mirror at a glance."""

    name: str
    title: str = ""
    source: str = ""
    prefix: str = ""
    about: AboutView = AboutView()
    manifest: str = ""
    """The file that declares it."""
    state: State
    health: Health
    reason: str = ""
    """Why it is in this state, in a steward's words."""
    message: Message | None = None
    """`reason` as a code and values; None if there is no reason."""
    snapshot: str = ""
    files: int = 0
    bytes: int = 0
    succeeded: float | None = None
    attempted: float | None = None
    next_run: float | None = None
    fresh_within: float | None = None
    """The freshness objective in seconds: `succeeded` should never be older. None on demand."""
    backlog_files: int = 0
    backlog_bytes: int = 0
    parked: int = 0
    parked_bytes: int = 0
    failed: int = 0
    quarantined: int = 0
    faults: int = 0
    """Files found damaged or missing in the store and not mended yet."""
    progress: ProgressView | None = None
    last: PassView | None = None


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a plan would do, and why."""

    action: Literal["fetch", "replace", "keep", "remove", "refuse"]
    path: str
    reason: str
    bytes: int | None = None


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass would do now; upstream was asked for it."""

    mirror: str
    complete: bool
    fetch: int = 0
    replace: int = 0
    keep: int = 0
    remove: int = 0
    refuse: int = 0
    bytes: int = 0
    sizeless: int = 0
    free: int | None = None
    parked: str = ""
    """Why its removals would be parked, or nothing."""
    unread: tuple[tuple[str, str], ...] = ()
    """Documents that could not be read: url and reason."""
    steps: tuple[StepView, ...] = ()
    """The first ones of each action."""
    cut: bool = False
    """There are more steps than shown."""


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was proved; `checked` is when its stored bytes were last read and found good."""

    path: str
    size: int
    sha256: str
    xxh3: str
    verdict: Literal["verified", "attested"]
    by: str
    url: str
    proved: float
    checked: float | None = None


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that were not what was promised, kept at `place` in the store."""

    mirror: str
    path: str
    place: str
    error: str
    reason: str
    at: float


class ParkedView(msgspec.Struct, frozen=True, kw_only=True):
    """A removal that waits for an operator."""

    path: str
    bytes: int


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that could not be had, and why; `quarantined` is where its bytes lie, or nothing."""

    path: str
    error: str
    reason: str
    at: float
    quarantined: str = ""


class SnapshotView(msgspec.Struct, frozen=True, kw_only=True):
    """One kept snapshot."""

    id: str
    created: float
    files: int
    bytes: int
    previous: str
    source: str
    current: bool


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One path that differs between two snapshots; None where it is in neither."""

    path: str
    change: Literal["added", "removed", "changed"]
    size_before: int | None = None
    size_after: int | None = None
    sha256_before: str | None = None
    sha256_after: str | None = None


class DiffView(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two kept snapshots; `count` of them, the first of which are shown."""

    mirror: str
    before: str
    after: str
    count: int
    changes: tuple[ChangeView, ...] = ()


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a file: where it stands, what is wrong, what to do."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str


class ManifestView(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest file. With `problems`, the last good one stays in force, if there was one (`since`)."""

    file: str
    mirror: str | None = None
    problems: tuple[ProblemView, ...] = ()
    since: float | None = None
    """When the one in force was taken."""


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """What a lint of one manifest's text found."""

    mirror: str | None = None
    problems: tuple[ProblemView, ...] = ()


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody changed something, or tried to."""

    id: int
    at: float
    who: str
    what: str
    mirror: str
    outcome: str


class OriginView(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream origin as its governor sees it."""

    origin: str
    limit: int
    active: int
    waiting: int = 0
    throttled_until: float | None = None
    rate: float = 0.0


class ScrubView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the re-reading of one mirror's stored bytes is."""

    mirror: str
    within: float
    """Every byte is to be read again within so many seconds."""
    files: int = 0
    bytes: int = 0
    oldest: float | None = None
    """The longest time ago that a file was proved or checked."""
    covered: float = 1.0
    """The share of the files that was checked within `within`, 0 to 1."""
    rate: float = 0.0
    running: bool = False
    faults: int = 0
    """Found damaged or missing, and not mended yet."""
    mended: int = 0
    """Mended since the daemon began."""


class StoreView(msgspec.Struct, frozen=True, kw_only=True):
    """The store of all copies."""

    url: str
    state: Literal["online", "offline", "full"]
    reason: str = ""
    free: int | None = None
    since: float | None = None
    backup: float | None = None
    """When the Catalogue was last backed up into it."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one moment: the mean rate since the sample before, and the backlog."""

    at: float
    rate: float
    backlog_files: int
    backlog_bytes: int


class DaemonView(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon itself; `ready` once it works, and not while it stops."""

    version: str
    pid: int
    started: float
    state: Literal["starting", "running", "stopping"]
    ready: bool
    reason: str = ""
    running: int = 0
    waiting: int = 0
    bytes_in_flight: int = 0
