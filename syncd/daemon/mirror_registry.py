"""The mirrors of a running daemon, the events of their passes, their due times, and the state of the store.

The registry is in memory, derived from the manifests in force, the Catalogue and the events of the running passes.
"""

import asyncio
from collections.abc import Callable, Iterable
from copy import copy

from syncd.catalogue import Catalogue
from syncd.control import MirrorView, State, VerdictView
from syncd.core import Event, Listener, StateChanged, StoreChanged, TransferAdvanced
from syncd.daemon.manifest_watcher import DeclaredMirror
from syncd.daemon.mirror_state import MirrorState, StoreState, contain_damage, past_of
from syncd.daemon.mirror_views import mirror_view, state_of
from syncd.daemon.schedule import due, fresh_within
from syncd.daemon.throughput_history import ThroughputHistory
from syncd.engine import hold_of, origin_pauses

LOOKED_BACK = 64  # latest passes read to count failures in a row


class MirrorRegistry:
    """The mirrors of a daemon, and the state of its store."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], float], clock: Callable[[], float]) -> None:
        """`now` is the wall clock, `clock` the monotonic one."""
        self.catalogue = catalogue
        self.now = now
        self.clock = clock
        self.states: dict[str, MirrorState] = {}
        self.store = StoreState()
        self.wake = asyncio.Event()
        self.listeners: list[Listener] = []
        self.total = ThroughputHistory()
        self.origin_pauses = origin_pauses(catalogue.settings, now())
        self._gone = 0  # bytes received by mirrors that no longer exist

    # -- events ---------------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Update the running pass of the event's mirror, and pass the event to every listener."""
        mirror_state = self.states.get(event.mirror) if event.mirror else None
        if mirror_state is not None and mirror_state.run is not None:
            run = mirror_state.run
            run.progress.on_event(event)
            run.last_event = self.clock()
            if not isinstance(event, TransferAdvanced):
                run.log.on_event(event)
        for listener in self.listeners:
            listener(event)

    def flush_events(self) -> None:
        """Write the waiting lines of the running passes to the Catalogue. Raises NoSpace."""
        found = []
        for mirror_state in self.states.values():
            if (run := mirror_state.run) is not None and run.log.waiting:
                found += [(run.pass_id, happening) for happening in run.log.waiting]
                run.log.waiting.clear()
        if found:
            self.catalogue.pass_history.add_events(found)

    # -- state ----------------------------------------------------------------------------------------------------

    def declare(self, declared: Iterable[DeclaredMirror], rejected: dict[str, str]) -> None:
        """Set the manifests in force, and the reason for each mirror whose manifest is rejected."""
        forced = {one.mirror.name: one for one in declared}
        rows = {row.name: row for row in self.catalogue.history.mirrors()}
        paused = self.catalogue.pass_history.paused()
        for name in {*forced, *rejected, *rows} - self.states.keys():
            self.states[name] = MirrorState(name)
        for name, mirror_state in list(self.states.items()):
            mirror_state.declared = forced.get(name)
            mirror_state.rejected = rejected.get(name, "") if mirror_state.declared is None else ""
            row = rows.get(name)
            if row is None and mirror_state.declared is None and not mirror_state.rejected and mirror_state.run is None:
                self.drop(mirror_state)
                continue
            mirror_state.paused = paused.get(row.id) if row is not None else None
            if row is not None and mirror_state.row is None:
                self.refresh(mirror_state)
        self.states = dict(sorted(self.states.items()))
        self.recompute_due()

    def refresh(self, mirror_state: MirrorState) -> None:
        """Read the state of one mirror from the Catalogue again."""
        history, pass_history = self.catalogue.history, self.catalogue.pass_history
        mirror_state.row = row = history.mirror(mirror_state.name)
        if row is None:
            return
        mirror_state.held = hold_of(self.catalogue.settings, mirror_state.name)
        settles = None
        mirror_state.damaged = ""
        with contain_damage(mirror_state):
            settles = self._read_counts(mirror_state, row.id)
        passes = pass_history.passes(row.id, None, LOOKED_BACK)
        mirror_state.last = passes[0] if passes else None
        ended = next((one for one in passes if one.outcome != "running"), None)
        mirror_state.is_incomplete = ended is not None and ended.outcome == "incomplete"
        mirror_state.past = past_of(row, passes, settles)

    def read_origin_pauses(self) -> None:
        """Read again which origins operators have paused."""
        self.origin_pauses = origin_pauses(self.catalogue.settings, self.now())

    def drop(self, mirror_state: MirrorState) -> None:
        """Forget a mirror that has neither records nor a manifest."""
        if mirror_state.declared is None and not mirror_state.rejected and mirror_state.run is None:
            self._gone += mirror_state.received
            self.states.pop(mirror_state.name, None)

    def _read_counts(self, mirror_state: MirrorState, mirror: int) -> float | None:
        """Read the mirror's own records; return when the first of the files that wait may be complete."""
        pass_history = self.catalogue.pass_history
        kept = self.catalogue.history.current(mirror)
        mirror_state.files, mirror_state.bytes = (kept.files, kept.bytes) if kept is not None else (0, 0)
        mirror_state.verdicts = tuple(
            VerdictView(verdict=one.verdict, by=one.by, files=one.files, bytes=one.bytes)
            for one in self.catalogue.holdings.verdicts(mirror)
        )
        mirror_state.parked, mirror_state.parked_bytes, mirror_state.failed, mirror_state.quarantined = (
            pass_history.counts(mirror)
        )
        approvals = self.catalogue.approvals
        mirror_state.approved_by = tuple(approvals.agreed(mirror)) if mirror_state.parked else ()
        mirror_state.rejections = approvals.count_rejected(mirror)
        mirror_state.faults = len(pass_history.damaged(mirror))
        mirror_state.unsettled, settles = self.catalogue.unsettled.waiting(mirror)
        return settles

    def recompute_due(self) -> None:
        """Compute the due time and the freshness target of each mirror again."""
        now = self.now()
        completed = {name: mirror_state.succeeded for name, mirror_state in self.states.items()}
        within: dict[str, float | None] = {}
        after = []
        for mirror_state in self.states.values():
            mirror = mirror_state.declared.mirror if mirror_state.declared is not None else None
            mirror_state.due = due(mirror, mirror_state.past, now, completed) if mirror is not None else None
            if mirror is not None and mirror.schedule is not None and mirror.schedule.after:
                after.append(mirror_state)
            within[mirror_state.name] = mirror_state.within = fresh_within(mirror, now) if mirror is not None else None
        for _ in after:  # the longest chain of them has this many links
            for mirror_state in after:
                assert mirror_state.declared is not None
                within[mirror_state.name] = mirror_state.within = fresh_within(
                    mirror_state.declared.mirror, now, within
                )

    def set_store(self, state: str, reason: str = "") -> None:
        """Set the state of the store, and report a change."""
        if state != self.store.state or (reason and not self.store.reason):
            self.store.state, self.store.reason, self.store.since = state, reason, self.now()
            self.store.changed = self.clock()
            self.on_event(StoreChanged("", state, reason))
            self.wake.set()
        self.store.reason = reason

    def report_states(self) -> None:
        """Report each mirror whose state changed."""
        for mirror_state in self.states.values():
            state, text = self.state(mirror_state)
            if state != mirror_state.last_reported:
                mirror_state.last_reported = state
                self.on_event(StateChanged(mirror_state.name, state, text))

    def sample(self) -> None:
        """Record a sample of rates and backlogs."""
        now, files, size = self.now(), 0, 0
        for mirror_state in self.states.values():
            backlog = mirror_state.unfinished()
            if mirror_state.run is not None:
                mirror_state.run.speed.at(self.clock(), mirror_state.run.progress.arrived)
            mirror_state.series.add_sample(now, mirror_state.received_bytes(), *backlog)
            files, size = files + backlog[0], size + backlog[1]
        received = self._gone + sum(mirror_state.received_bytes() for mirror_state in self.states.values())
        self.total.add_sample(now, received, files, size)

    def copies(self) -> list[MirrorState]:
        """Return a copy of the state of every mirror, by name; other threads may call it."""
        return [copy(mirror_state) for mirror_state in list(self.states.values())]

    def running(self) -> list[MirrorState]:
        """Return the mirrors with a running pass."""
        return [mirror_state for mirror_state in self.states.values() if mirror_state.run is not None]

    def state(self, mirror_state: MirrorState) -> tuple[State, str]:
        """Return the state of a mirror, and the reason as an English text."""
        state, why = state_of(mirror_state, self.store, self.now())
        return state, str(why)

    def view(self, mirror_state: MirrorState) -> MirrorView:
        """Return the view of a mirror."""
        return mirror_view(mirror_state, self.store, self.now(), self.clock())
