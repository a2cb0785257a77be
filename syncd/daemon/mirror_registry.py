"""What a daemon knows of its mirrors while it runs: where each stands, what it does, when it is due next, and why.

All of it is in memory, made from the manifests in force, the Catalogue and the events of the passes under way.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

from syncd.catalogue import Catalogue, Passed, Row
from syncd.control.views import (
    AboutView,
    Health,
    MirrorView,
    Outcome,
    PassView,
    ProgressView,
    State,
    TransferView,
)
from syncd.core.events import Event, Listener, StateChanged, StoreChanged, TransferAdvanced
from syncd.daemon.manifest_watcher import Declared
from syncd.daemon.pass_log import Chronicler
from syncd.daemon.schedule import Past, due, fresh_within
from syncd.daemon.throughput_history import Series
from syncd.engine.pass_progress import Speed, Tally

SHOWN = 50  # transfers shown of those under way
LOOKED_BACK = 64  # passes that say how often one failed in a row
CANCELLED = "Cancelled"  # the error of a pass that somebody stopped, and that is not to begin again by itself
AWAY = ("Offline", "NoSpace")  # errors that are the store's, not the mirror's


@dataclass(slots=True)
class Run:
    """A pass under way; `since` and `heard` are of the monotonic clock."""

    pass_id: int
    why: str
    who: str
    began: float
    since: float
    tally: Tally
    chronicler: Chronicler
    heard: float
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    speed: Speed = field(default_factory=Speed)
    cut: str = ""
    """Why it was asked to stop."""
    cut_by: str = ""
    """Who asked, if it was a person."""

    def stop(self, why: str, who: str = "") -> None:
        """Ask it to start nothing new."""
        if not self.stopping.is_set():
            self.cut, self.cut_by = why, who
            self.stopping.set()

    def left(self) -> int:
        """Return the bytes that are still to come, as far as upstream gives sizes."""
        return max(0, self.tally.planned_bytes - self.tally.behind)


@dataclass(slots=True)
class Standing:
    """One mirror: what is declared, what we have, what goes on."""

    name: str
    row: Row | None = None
    declared: Declared | None = None
    rejected: str = ""
    paused: tuple[str, float] | None = None
    past: Past = field(default_factory=Past)
    last: Passed | None = None
    due: float | None = None
    asked: str = ""
    run: Run | None = None
    busy: str = ""
    """What else holds it: no pass begins meanwhile."""
    waits: str = ""
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
    series: Series = field(default_factory=Series)
    told: str = ""

    @property
    def succeeded(self) -> float | None:
        """When the last complete pass ended."""
        return self.row.succeeded if self.row is not None else None


@dataclass(slots=True)
class StoreStanding:
    """How the store is, and since when: by the wall clock for people, by the monotonic one (`changed`) for us."""

    state: str = "offline"
    reason: str = ""
    free: int | None = None
    since: float | None = None
    changed: float = float("-inf")
    backup: float | None = None


class Fleet:
    """All mirrors of a daemon, and its store."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], float], clock: Callable[[], float]) -> None:
        """`now` is the wall clock, `clock` the monotonic one."""
        self.catalogue = catalogue
        self.now = now
        self.clock = clock
        self.standings: dict[str, Standing] = {}
        self.store = StoreStanding()
        self.wake = asyncio.Event()
        self.listeners: list[Listener] = []
        self.total = Series()
        self._gone = 0  # bytes received by mirrors that are no longer here

    # -- events ---------------------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take an event of the engine or of the daemon, and hand it on."""
        standing = self.standings.get(event.mirror) if event.mirror else None
        if standing is not None and standing.run is not None:
            run = standing.run
            run.tally.take(event)
            run.heard = self.clock()
            if not isinstance(event, TransferAdvanced):
                run.chronicler.take(event)
        for listener in self.listeners:
            listener(event)

    def write_down(self) -> None:
        """Write what happened in passes into the Catalogue."""
        found = []
        for standing in self.standings.values():
            if (run := standing.run) is not None and run.chronicler.waiting:
                found += [(run.pass_id, happening) for happening in run.chronicler.waiting]
                run.chronicler.waiting.clear()
        if found:
            self.catalogue.chronicle.tell(found)

    # -- what is known --------------------------------------------------------------------------------------------

    def declare(self, declared: Iterable[Declared], rejected: dict[str, str]) -> None:
        """Take the manifests in force, and the mirrors whose manifest is wrong with the reason."""
        forced = {one.mirror.name: one for one in declared}
        rows = {row.name: row for row in self.catalogue.history.mirrors()}
        paused = self.catalogue.chronicle.paused()
        for name in {*forced, *rejected, *rows} - self.standings.keys():
            self.standings[name] = Standing(name)
        for name, standing in list(self.standings.items()):
            standing.declared = forced.get(name)
            standing.rejected = rejected.get(name, "") if standing.declared is None else ""
            row = rows.get(name)
            if row is None and standing.declared is None and not standing.rejected and standing.run is None:
                self._gone += standing.received
                del self.standings[name]
                continue
            standing.paused = paused.get(row.id) if row is not None else None
            if row is not None and standing.row is None:
                self.look_up(standing)
        self.standings = dict(sorted(self.standings.items()))
        self.reckon()

    def look_up(self, standing: Standing) -> None:
        """Read anew what the Catalogue says of one mirror."""
        history, chronicle = self.catalogue.history, self.catalogue.chronicle
        standing.row = row = history.mirror(standing.name)
        if row is None:
            return
        kept = history.current(row.id)
        standing.files, standing.bytes = (kept.files, kept.bytes) if kept is not None else (0, 0)
        standing.parked, standing.parked_bytes, standing.failed, standing.quarantined = chronicle.counts(row.id)
        standing.faults = len(chronicle.faults(row.id))
        passes = chronicle.passes(row.id, None, LOOKED_BACK)
        standing.last = passes[0] if passes else None
        standing.past = _past(row, passes)

    def reckon(self) -> None:
        """Work out anew when each mirror is due, and how old its copy may get."""
        now = self.now()
        completed = {name: standing.succeeded for name, standing in self.standings.items()}
        within: dict[str, float | None] = {}
        after = []
        for standing in self.standings.values():
            mirror = standing.declared.mirror if standing.declared is not None else None
            standing.due = due(mirror, standing.past, now, completed) if mirror is not None else None
            if mirror is not None and mirror.schedule is not None and mirror.schedule.after:
                after.append(standing)
            within[standing.name] = standing.within = fresh_within(mirror, now) if mirror is not None else None
        for _ in after:  # a chain of them is as long as they are many
            for standing in after:
                assert standing.declared is not None
                within[standing.name] = standing.within = fresh_within(standing.declared.mirror, now, within)

    def set_store(self, state: str, reason: str = "") -> None:
        """The store is in a state."""
        if state != self.store.state or (reason and not self.store.reason):
            self.store.state, self.store.reason, self.store.since = state, reason, self.now()
            self.store.changed = self.clock()
            self.hear(StoreChanged("", state, reason))
            self.wake.set()
        self.store.reason = reason

    def tell_states(self) -> None:
        """Tell of every mirror that is in another state than before."""
        for standing in self.standings.values():
            state, reason = self.state(standing)
            if state != standing.told:
                standing.told = state
                self.hear(StateChanged(standing.name, state, reason))

    def sample(self) -> None:
        """Take note of rates and backlogs."""
        now, files, size = self.now(), 0, 0
        for standing in self.standings.values():
            backlog = _backlog(standing)
            if standing.run is not None:
                standing.run.speed.at(self.clock(), standing.run.tally.arrived)
            standing.series.see(now, self.received(standing), *backlog)
            files, size = files + backlog[0], size + backlog[1]
        received = self._gone + sum(self.received(standing) for standing in self.standings.values())
        self.total.see(now, received, files, size)

    def received(self, standing: Standing) -> int:
        """Return the bytes that came for a mirror since the daemon began."""
        return standing.received + (standing.run.tally.arrived if standing.run is not None else 0)

    def running(self) -> list[Standing]:
        """Return the mirrors whose pass is under way."""
        return [standing for standing in self.standings.values() if standing.run is not None]

    # -- what is shown --------------------------------------------------------------------------------------------

    def state(self, standing: Standing) -> tuple[State, str]:
        """Return the state of a mirror, and why."""
        if standing.run is not None:
            return "running", standing.run.cut
        if standing.declared is None:
            if standing.rejected:
                return "rejected", standing.rejected
            return "retired", "its manifest was removed; the copy stays"
        if standing.paused is not None:
            return "paused", f"paused by {standing.paused[0]}"
        if self.store.state != "online":
            return "offline", f"the store is {self.store.state}: {self.store.reason}"
        if standing.past.failures and not standing.asked:
            return "failing", (standing.last.reason if standing.last is not None else "") or "the last pass failed"
        if standing.asked or standing.waits or (standing.due is not None and standing.due <= self.now()):
            return "waiting", standing.busy or standing.waits or "waits for its turn"
        return "idle", ""

    def health(self, standing: Standing) -> Health:
        """Return how good the copy is."""
        if standing.succeeded is None:
            return "unknown"
        if standing.within is not None and self.now() - standing.succeeded > standing.within:
            return "stale"
        bad = standing.failed or standing.parked or standing.faults or standing.past.failures
        return "degraded" if bad else "good"

    def view(self, standing: Standing) -> MirrorView:
        """Return a mirror as it is shown."""
        row, mirror = standing.row, standing.declared.mirror if standing.declared is not None else None
        state, reason = self.state(standing)
        about = mirror.about if mirror is not None else None
        files, size = _backlog(standing)
        return MirrorView(
            name=standing.name,
            title=mirror.title if mirror is not None else row.title if row is not None else "",
            source=mirror.source.url if mirror is not None else row.source if row is not None else "",
            prefix=mirror.prefix if mirror is not None else row.prefix if row is not None else "",
            about=AboutView(
                licence=about.licence, citation=about.citation, contact=about.contact, access=about.access or ""
            )
            if about is not None
            else AboutView(),
            manifest=standing.declared.file if standing.declared is not None else "",
            state=state,
            health=self.health(standing),
            reason=reason,
            snapshot=row.snapshot if row is not None else "",
            files=standing.files,
            bytes=standing.bytes,
            succeeded=standing.succeeded,
            attempted=row.attempted if row is not None else None,
            next_run=standing.due if standing.run is None and standing.paused is None else None,
            fresh_within=standing.within,
            backlog_files=files,
            backlog_bytes=size,
            parked=standing.parked,
            parked_bytes=standing.parked_bytes,
            failed=standing.failed,
            quarantined=standing.quarantined,
            faults=standing.faults,
            progress=self._progress(standing.run) if standing.run is not None else None,
            last=pass_view(standing.last, standing.name) if standing.last is not None else None,
        )

    def _progress(self, run: Run) -> ProgressView:
        tally = run.tally
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


def pass_view(passed: Passed, name: str) -> PassView:
    """Return a pass as it is shown."""
    return PassView(
        id=passed.id,
        mirror=name,
        why=passed.why,
        who=passed.who,
        began=passed.began,
        ended=passed.ended,
        outcome=cast("Outcome", passed.outcome),
        snapshot=passed.snapshot,
        fetched=passed.fetched,
        replaced=passed.replaced,
        kept=passed.kept,
        removed=passed.removed,
        parked=passed.parked,
        failed=passed.failed,
        bytes=passed.bytes,
        seconds=passed.seconds,
        error=passed.error,
        reason=passed.reason,
    )


def _backlog(standing: Standing) -> tuple[int, int]:
    """Return the files and bytes still to come: of the pass under way, else what the last one left."""
    run = standing.run
    if run is None:
        return standing.backlog
    if run.tally.phase == "survey":
        return standing.backlog
    return max(0, run.tally.planned_files - run.tally.files), run.left()


def _past(row: Row, passes: list[Passed]) -> Past:
    """Return what a schedule must know; a pass that the command line ran is in the row alone."""
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
