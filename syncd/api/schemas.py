"""Types of the API in addition to the daemon's views: queries, and lists with a cursor to their next page."""

from typing import Annotated, Literal

import msgspec

from syncd.control import (
    CopyView,
    EntryView,
    Health,
    JobView,
    ManifestView,
    MirrorView,
    OriginView,
    ParkedView,
    QuarantineView,
    RejectionView,
    Sample,
    ScrubView,
    SnapshotView,
    State,
    TombstoneView,
    UsageBy,
)
from syncd.core import AuditView, FailureView, PassEvent, PassView

LARGEST = 2**53  # the largest integer that every JSON parser represents exactly

Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000, description="the maximum number")]
After = Annotated[str, msgspec.Meta(max_length=4_096, description="the `next` of the page before")]
Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST, description="the `next` of the page before")]
Moment = Annotated[str, msgspec.Meta(max_length=40, description="a day or a moment, as 2026-11-30")]
SnapshotId = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-f]{4,64}$", description="a kept snapshot's id, or its beginning")
]
ManifestText = Annotated[str, msgspec.Meta(max_length=250_000, description="the YAML text of a mirror manifest")]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A list."""


class Mirrors(Response, frozen=True, kw_only=True):
    """All mirrors by name."""

    mirrors: tuple[MirrorView, ...]


class Manifests(Response, frozen=True, kw_only=True):
    """Every manifest file, with its errors."""

    manifests: tuple[ManifestView, ...]


class Origins(Response, frozen=True, kw_only=True):
    """Every upstream origin that was used since the daemon's start."""

    origins: tuple[OriginView, ...]


class Jobs(Response, frozen=True, kw_only=True):
    """Jobs, the newest first."""

    jobs: tuple[JobView, ...]
    next: int | None = None


class Scrubs(Response, frozen=True, kw_only=True):
    """The progress of each mirror's fixity check."""

    scrubs: tuple[ScrubView, ...]


class Series(Response, frozen=True, kw_only=True):
    """The last 24 hours, oldest first."""

    samples: tuple[Sample, ...]


class Passes(Response, frozen=True, kw_only=True):
    """Passes, the newest first; `next` is the `before` of the next page."""

    passes: tuple[PassView, ...]
    next: int | None = None


class PassEvents(Response, frozen=True, kw_only=True):
    """The events of one pass; `next` is the `after` of the next page."""

    events: tuple[PassEvent, ...]
    next: int | None = None


class Entries(Response, frozen=True, kw_only=True):
    """Verified files, sorted; `next` is the `after` of the next page."""

    entries: tuple[EntryView, ...]
    next: str | None = None


class Snapshots(Response, frozen=True, kw_only=True):
    """The kept snapshots, the current one first."""

    snapshots: tuple[SnapshotView, ...]


class NodeCopies(Response, frozen=True, kw_only=True):
    """The copies of one mirror: here, at the node that it follows, at the peers that syncd.yaml names."""

    copies: tuple[CopyView, ...]


class Tombstones(Response, frozen=True, kw_only=True):
    """The mirrors that were published and no longer are, in the order in which that ended."""

    tombstones: tuple[TombstoneView, ...]


class Quarantine(Response, frozen=True, kw_only=True):
    """The quarantine, the newest first."""

    quarantine: tuple[QuarantineView, ...]


class ParkedRemovals(Response, frozen=True, kw_only=True):
    """Deletions, and replacements that lose bytes, held for approval; `next` is the `after` of the next page."""

    parked: tuple[ParkedView, ...]
    next: str | None = None


class Rejections(Response, frozen=True, kw_only=True):
    """Files that differ from upstream by decision, sorted; `next` is the `after` of the next page."""

    rejections: tuple[RejectionView, ...]
    next: str | None = None


class Failures(Response, frozen=True, kw_only=True):
    """Files that failed to download, sorted; `next` is the `after` of the next page."""

    failures: tuple[FailureView, ...]
    next: str | None = None


class Audit(Response, frozen=True, kw_only=True):
    """Who changed what, the newest first; `next` is the `before` of the next page."""

    audit: tuple[AuditView, ...]
    next: int | None = None


class Ready(Response, frozen=True, kw_only=True):
    """Whether the daemon can work, and why not."""

    ready: bool
    reason: str = ""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query, or a body."""


class MirrorsQuery(Query, frozen=True, kw_only=True):
    """Which mirrors."""

    state: State | None = None
    health: Health | None = None


class PassesQuery(Query, frozen=True, kw_only=True):
    """Which passes."""

    before: Number | None = None
    limit: Limit = 50


class JobQuery(Query, frozen=True, kw_only=True):
    """How long to wait for the end of a job."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=60, description="seconds")] = 0.0


class EventsQuery(Query, frozen=True, kw_only=True):
    """Selects events of a pass."""

    after: Number = 0
    limit: Limit = 200


class EntriesQuery(Query, frozen=True, kw_only=True):
    """Which files."""

    prefix: Annotated[str, msgspec.Meta(max_length=4_096, description="the beginning of their paths")] = ""
    after: After = ""
    limit: Limit = 200


class EntryQuery(Query, frozen=True, kw_only=True):
    """Which file."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096, description="its path below the mirror's folder")]


class DiffQuery(Query, frozen=True, kw_only=True):
    """Which snapshots."""

    before: SnapshotId
    after: SnapshotId
    limit: Limit = 1_000
    content: bool = False
    """Also what changed inside small files."""


class LimitQuery(Query, frozen=True, kw_only=True):
    """How many."""

    limit: Limit = 1_000


class PageQuery(Query, frozen=True, kw_only=True):
    """Selects a page of a list that is sorted by path."""

    after: After = ""
    limit: Limit = 1_000


class AuditQuery(Query, frozen=True, kw_only=True):
    """Selects a part of the audit log."""

    before: Number | None = None
    limit: Limit = 100
    since: Moment = ""
    until: Moment = ""
    mirror: Annotated[str, msgspec.Meta(max_length=63, description="of this mirror only")] = ""
    act: Annotated[str, msgspec.Meta(max_length=40, description="of this kind only, as `approve`")] = ""


class AuditExportQuery(Query, frozen=True, kw_only=True):
    """Selects the part of the audit log that is exported."""

    since: Moment = ""
    until: Moment = ""
    mirror: Annotated[str, msgspec.Meta(max_length=63, description="of this mirror only")] = ""
    act: Annotated[str, msgspec.Meta(max_length=40, description="of this kind only, as `approve`")] = ""


UsageDay = Annotated[
    str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}(-[0-9]{2})?)?$", description="a day or a month, UTC")
]


class DaysQuery(Query, frozen=True, kw_only=True):
    """From which day to which, both included; by default the last twelve months."""

    first: UsageDay = msgspec.field(default="", name="from")
    last: UsageDay = msgspec.field(default="", name="to")


class UsageQuery(DaysQuery, frozen=True, kw_only=True):
    """Which days, and by what the rows are."""

    by: UsageBy = "mirror"


class StreamQuery(Query, frozen=True, kw_only=True):
    """Whose events."""

    mirror: Annotated[str, msgspec.Meta(max_length=63, description="of this mirror only")] = ""


class ApprovalBody(Query, frozen=True, kw_only=True):
    """The losses on which the caller decides."""

    files: Annotated[
        int | None,
        msgspec.Meta(description="the number of losses that were shown: rejected if it has changed"),
    ] = None


class PathBody(Query, frozen=True, kw_only=True):
    """One file of the mirror."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096, description="the path of the file")]


class RestoreBody(PathBody, frozen=True, kw_only=True):
    """One file of the mirror, and the snapshot that has it as wanted."""

    snapshot: Annotated[
        str, msgspec.Meta(min_length=4, max_length=64, description="a kept snapshot's id, or its beginning")
    ]


class UntagBody(Query, frozen=True, kw_only=True):
    """A tag of the mirror."""

    tag: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="the name of the tag")]


class TagBody(UntagBody, frozen=True, kw_only=True):
    """A tag, and the snapshot that it names."""

    snapshot: Annotated[
        str, msgspec.Meta(min_length=4, max_length=64, description="a kept snapshot's id, or its beginning")
    ]


class PlanQuery(Query, frozen=True, kw_only=True):
    """Selects a part of a plan."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000, description="the maximum number of steps of each action")] = 100


class TextBody(Query, frozen=True, kw_only=True):
    """The text of a manifest that is not in force."""

    text: ManifestText


class TextPlanBody(TextBody, frozen=True, kw_only=True):
    """The text of a manifest that is not in force, and how much of its plan."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000, description="the maximum number of steps of each action")] = 100


Act = Literal["sync", "pause", "resume", "approve", "reject", "cancel"]


class OriginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An upstream origin."""

    origin: Annotated[str, msgspec.Meta(min_length=1, max_length=300, description="as in https://example.org")]


class PauseOriginBody(OriginBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when."""

    until: Annotated[float, msgspec.Meta(ge=0, le=LARGEST, description="seconds since the epoch")]


class LimitOriginBody(OriginBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast."""

    rate: Annotated[float, msgspec.Meta(ge=1, le=LARGEST, description="bytes a second")] | None
