"""The values that Control returns to the API, the status page and the metrics; each is immutable.

Times are seconds since the epoch, UTC; None means never, or unknown. Rates are bytes per second.
"""

from typing import Literal

import msgspec

from manifests.access import Level
from manifests.messages import message
from manifests.snapshot import FirstOrigin
from syncd.core import LossKind, MessageView, PassView

State = Literal["idle", "waiting", "running", "paused", "failing", "nothing_found", "offline", "rejected", "retired"]
"""idle: no pass is due. waiting: a pass is due and has to wait (`reason` says for what). running: a pass runs.
paused: by an operator. failing: the last pass failed, and the next one is delayed. nothing_found: the last pass
found no file upstream, or too few. offline: the store is unavailable or full. rejected: the manifest has errors, and
none is in force. retired: the manifest was deleted, the copy is kept."""

Health = Literal["good", "degraded", "stale", "unknown"]
"""good: within its freshness target, and no problems. degraded: fresh, with failed or damaged files, losses held for
approval, or a listing of which only a part could be read; or a first copy that lacks files which failed. stale: older
than its freshness target. unknown: no complete pass yet."""

Phase = Literal["survey", "transfer", "published"]

STATES: tuple[State, ...] = (
    "idle", "waiting", "running", "paused", "failing", "nothing_found", "offline", "rejected", "retired"
)  # fmt: skip
HEALTHS: tuple[Health, ...] = ("good", "degraded", "stale", "unknown")


class AboutView(msgspec.Struct, frozen=True, kw_only=True):
    """The licence, citation, contact and access conditions of a dataset, and whether copies may be passed on."""

    licence: str = ""
    citation: str = ""
    contact: str = ""
    access: str = ""
    redistribution: str = "unknown"


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """One running transfer; `size` is None if upstream does not give it."""

    path: str
    size: int | None
    received: int


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of the running pass. `bytes` is too small while `sized` is False: some sizes are unknown."""

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
    """The largest of the `moving` transfers, 50 at most."""


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of the current copy have a verdict."""

    verdict: Literal["verified", "attested"]
    """verified: the file matched a checksum that upstream publishes. attested: upstream publishes none, so its size
    matched."""
    by: str = ""
    """The source whose checksums they matched."""
    files: int = 0
    bytes: int = 0


class MirrorView(msgspec.Struct, frozen=True, kw_only=True):
    """One mirror."""

    name: str
    title: str = ""
    source: str = ""
    prefix: str = ""
    about: AboutView = AboutView()
    access: Level = "private"
    """Who may read the copy, by its manifest and by now."""
    manifest: str = ""
    """The file that declares it."""
    state: State
    health: Health
    reason: str = ""
    """Why it is in this state, as an English text."""
    message: MessageView | None = None
    """`reason` as a code and values; None if there is no reason."""
    snapshot: str = ""
    files: int = 0
    bytes: int = 0
    verdicts: tuple[VerdictView, ...] = ()
    """The files of the current copy by verdict, and by whose checksums; the most first."""
    succeeded: float | None = None
    attempted: float | None = None
    next_run: float | None = None
    fresh_within: float | None = None
    """The freshness target: the maximum age of `succeeded`, in seconds. None for a mirror without a schedule."""
    backlog_files: int = 0
    backlog_bytes: int = 0
    parked: int = 0
    parked_bytes: int = 0
    approved_by: tuple[str, ...] = ()
    """Who has approved the held losses while a second person must, too (`guard.approvals: 2`)."""
    rejected: int = 0
    """Files that differ from upstream by decision: their loss was rejected."""
    failed: int = 0
    waiting: int = 0
    """Files that upstream may still be writing: they are fetched once they are complete."""
    quarantined: int = 0
    faults: int = 0
    """Files found damaged or missing in the store and not repaired yet."""
    catalogue_bytes: int = 0
    """The size of its file of the Catalogue, in the state folder."""
    progress: ProgressView | None = None
    last: PassView | None = None


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan, and its reason."""

    action: Literal["fetch", "replace", "keep", "remove", "refuse", "hold", "wait"]
    path: str
    reason: str
    bytes: int | None = None
    message: MessageView | None = None
    """`reason` as a code and values."""
    copy_of: str = ""
    """The mirror and the path whose content is copied, "" if the file is downloaded."""


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a pass, made from a survey of upstream."""

    mirror: str
    complete: bool
    fetch: int = 0
    replace: int = 0
    keep: int = 0
    remove: int = 0
    refuse: int = 0
    hold: int = 0
    """Replacements that lose bytes, and that would wait for approval."""
    wait: int = 0
    """Files that upstream may still be writing."""
    copy: int = 0
    """Of the files to fetch and replace, those whose content the store holds: they are copied, not downloaded."""
    copy_bytes: int = 0
    moved: int = 0
    """Of the files to remove, those whose content is copied to other names: they are no losses."""
    bytes: int = 0
    """The bytes to download."""
    sizeless: int = 0
    free: int | None = None
    parked: str = ""
    """Why its losses would be held for approval, or ""."""
    message: MessageView | None = None
    """`parked` as a code and values."""
    unread: tuple[tuple[str, str], ...] = ()
    """Documents that could not be read: url and reason."""
    steps: tuple[StepView, ...] = ()
    """The first ones of each action."""
    cut: bool = False
    """True if there are more steps than shown."""


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One Entry; `checked` is the time of the last successful fixity check of its stored bytes."""

    path: str
    size: int
    sha256: str
    xxh3: str
    verdict: Literal["verified", "attested"]
    by: str
    url: str
    proved: float
    checked: float | None = None
    first: FirstOrigin | None = None
    """Where it came from before any node copied it, if it came from a node that said so."""


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that failed verification, stored at `place`."""

    mirror: str
    path: str
    place: str
    error: str
    reason: str
    at: float
    message: MessageView | None = None
    """`reason` as a code and values."""


class ParkedView(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that is held for approval: a deletion, or a replacement that loses bytes."""

    path: str
    bytes: int
    """The size of the file that would be lost."""
    kind: LossKind = "deleted"
    """deleted: upstream no longer lists the file. emptied, shrunk: it lost all or most of its bytes. same: it has one
    content now with other files that differed before."""
    new_bytes: int | None = None
    """The size of its replacement."""


class RejectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that differs from upstream by decision: its loss was rejected."""

    path: str
    kind: LossKind
    bytes: int
    who: str
    """Who rejected it; "": before that was recorded."""
    at: float


class SnapshotView(msgspec.Struct, frozen=True, kw_only=True):
    """One kept snapshot."""

    id: str
    created: float
    files: int
    bytes: int
    previous: str
    source: str
    current: bool
    tags: tuple[str, ...] = ()
    """The names that keep it with its bytes until they are removed."""


class TombstoneView(msgspec.Struct, frozen=True, kw_only=True):
    """A mirror that was published from `published` on, until `ended`."""

    mirror: str
    published: float
    ended: float
    reason: Literal["withdrawn", "private", "forgotten"]
    """withdrawn: its manifest was deleted; private: its manifest no longer publishes it; forgotten: `syncd forget`."""


class ContentChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One change inside a file: at `where`, `before` became `after`; None where there is no value."""

    where: str
    before: str | None = None
    after: str | None = None


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One path that differs between two snapshots; values are None on the side where it is missing."""

    path: str
    change: Literal["added", "removed", "changed"]
    size_before: int | None = None
    size_after: int | None = None
    sha256_before: str | None = None
    sha256_after: str | None = None
    content: tuple[ContentChangeView, ...] = ()
    """What changed inside a small file of text, JSON, XML or a table, if that was asked for."""
    content_note: str = ""
    """Why `content` is empty or ends early, as an English text."""


class DiffView(msgspec.Struct, frozen=True, kw_only=True):
    """The paths that differ between two kept snapshots: `count` in all, the first of them in `changes`."""

    mirror: str
    before: str
    after: str
    count: int
    changes: tuple[ChangeView, ...] = ()


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a file: its position, the problem, the remedy."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str
    message: MessageView | None = None
    """`what` as a code and values."""
    todo_message: MessageView | None = None
    """`todo` as a code and values."""

    @property
    def advice(self) -> str:
        """Return the problem and its remedy in one sentence."""
        return message("{what}: {todo}", what=self.what, todo=self.todo)


class ManifestView(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest file. If it has `problems`, its last valid text stays in force, if there was one (`since`)."""

    file: str
    mirror: str | None = None
    problems: tuple[ProblemView, ...] = ()
    since: float | None = None
    """When the text in force was accepted."""


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a manifest's validation."""

    mirror: str | None = None
    problems: tuple[ProblemView, ...] = ()


class OriginView(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream origin and the state of its Governor."""

    origin: str
    limit: int
    active: int
    waiting: int = 0
    throttled_until: float | None = None
    rate: float = 0.0
    rate_limit: float | None = None
    """The limit of its rate, by manifests or by an operator."""
    paused_until: float | None = None
    """Until when an operator paused it."""
    paused_by: str = ""


class ScrubView(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of the fixity check (scrub) of one mirror."""

    mirror: str
    within: float
    """The seconds within which every stored byte is read again."""
    files: int = 0
    bytes: int = 0
    oldest: float | None = None
    """The earliest time at which a file was last proved or checked."""
    covered: float = 1.0
    """The share of files that were checked within `within`, 0 to 1."""
    rate: float = 0.0
    running: bool = False
    faults: int = 0
    """Files found damaged or missing, and not repaired yet."""
    mended: int = 0
    """Files repaired since the daemon started."""


class StoreView(msgspec.Struct, frozen=True, kw_only=True):
    """The store of all copies."""

    url: str
    state: Literal["online", "offline", "full"]
    reason: str = ""
    free: int | None = None
    since: float | None = None
    backup: float | None = None
    """When the Catalogue was last backed up to the store."""
    message: MessageView | None = None
    """`reason` as a code and values."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The mean rate since the previous sample, and the backlog."""

    at: float
    rate: float
    backlog_files: int
    backlog_bytes: int


class DaemonView(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon; `ready` is True while it runs, and False while it starts or stops."""

    version: str
    pid: int
    started: float
    state: Literal["starting", "running", "stopping"]
    ready: bool
    reason: str = ""
    running: int = 0
    waiting: int = 0
    bytes_in_flight: int = 0
    catalogue_bytes: int = 0
    """The size of the daemon's own file of the Catalogue; the file of each mirror has its own."""
    index_bytes: int = 0
    """The size of the index of held content."""
    state_free: int | None = None
    """Free bytes of the disk of the state folder."""
