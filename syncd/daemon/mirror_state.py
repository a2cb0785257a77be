"""The state of one mirror in a running daemon: its manifest, its stored copy, its running pass, its past passes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from manifests.origins import origin_of
from syncd.catalogue import MirrorRow
from syncd.control import VerdictView
from syncd.core import Damaged, PassFinished, PassView
from syncd.daemon.manifest_watcher import DeclaredMirror
from syncd.daemon.pass_log import PassLog
from syncd.daemon.reasons import NO_REASON, Reason
from syncd.daemon.schedule import Past
from syncd.daemon.throughput_history import ThroughputHistory
from syncd.engine import PassProgress, SnapshotHold, Speed

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
    retries_all: bool = False
    """Whether files that keep failing are requested, too."""
    is_patient: bool = False
    """Whether it waits for files that upstream may still be writing."""
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
    is_incomplete: bool = False
    """True if the last pass that ended could not read the whole listing, or not every file."""
    due: float | None = None
    requested_by: str = ""
    retries_all: bool = True
    """Whether the requested pass asks for all files that keep failing, or only for those whose deferral ended."""
    run: PassRun | None = None
    busy: Reason = NO_REASON
    """Why it is reserved: no pass starts meanwhile."""
    is_patient: bool = False
    """Whether the requested pass waits for files that upstream may still be writing."""
    finished: "PassFinished | BaseException | None" = None
    """How the last pass since the daemon started ended."""
    jobs: int = 0
    """The number of jobs that wait for it, or work on it: no pass starts before them."""
    held: SnapshotHold | None = None
    """The snapshot that an operator rolled back to and holds: no pass starts."""
    wait_reason: Reason = NO_REASON
    waiting_since: float | None = None
    files: int = 0
    bytes: int = 0
    verdicts: tuple[VerdictView, ...] = ()
    parked: int = 0
    parked_bytes: int = 0
    approved_by: tuple[str, ...] = ()
    rejections: int = 0
    """Files that differ from upstream by decision."""
    failed: int = 0
    unsettled: int = 0
    """Files that upstream may still be writing."""
    quarantined: int = 0
    faults: int = 0
    damaged: str = ""
    """Why its records in the Catalogue cannot be used."""
    catalogue_bytes: int = 0
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

    @property
    def origin(self) -> str:
        """The origin of its first source; its manifest must be in force."""
        assert self.declared is not None
        return origin_of(self.declared.mirror.source.url)

    def received_bytes(self) -> int:
        """Return the bytes received since the daemon started."""
        return self.received + (self.run.progress.arrived if self.run is not None else 0)

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
    state_free: int | None = None
    catalogue_bytes: int = 0
    index_bytes: int = 0


@contextmanager
def contain_damage(mirror_state: MirrorState) -> Iterator[None]:
    """End the block quietly if the mirror's own records are damaged, and note that: the others are not concerned."""
    try:
        yield
    except Damaged as error:
        if not error.of_mirror:
            raise
        mirror_state.damaged = str(error)


def past_of(row: MirrorRow, passes: list[PassView], settles: float | None = None) -> Past:
    """Return the past passes for `schedule.due`; a pass of the command line is recorded only in the row.

    `settles` is when the first of the files that wait may be complete.
    """
    over = [one for one in passes if one.outcome != "running"]
    last = over[0] if over else None
    if last is None or (row.attempted is not None and row.attempted > (last.ended or last.began)):
        cut = row.attempted is not None and row.last.get("state") == "running"
        return Past(began=row.attempted, ended=row.attempted, cut=cut, settles=settles)
    failures = partial = 0
    for one in over:
        if one.outcome in {"failed", "nothing_found"}:
            failures += 1
        elif one.outcome not in {"stopped", "killed"} or one.error == CANCELLED:
            break
    for one in over:
        if one.outcome != "incomplete":
            break
        partial += 1
    looks = 0
    for one in over:
        if not one.waiting:
            break
        looks += 1
    cut = last.outcome == "killed" or (last.outcome == "stopped" and last.error != CANCELLED)
    return Past(
        began=last.began,
        ended=last.ended,
        failures=failures,
        partial=partial,
        denied=last.error not in {"Unreachable", "Refused", "Interrupted", "Stalled", "Offline"},
        cut=cut,
        settles=settles,
        looks=looks,
        found_none=last.outcome == "nothing_found",
    )
