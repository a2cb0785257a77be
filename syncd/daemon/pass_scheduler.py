"""Starts due passes, a bounded number at once, and stops those that should not run.

Rules:
1. Order: requested mirrors, then those that wait for their turn already, then the mirror whose origin serves the fewest
   passes now, then the longest due.
2. Every mirror gets its turn: if one waits longer than TURN, the longest-running pass stops. It publishes its proved
   files, and its mirror goes to the end of the queue.
3. A mirror is reserved for one thing at a time: a pass, a plan, or a repair.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from manifests.messages import message
from syncd.core import Busy
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.mirror_state import MirrorState
from syncd.daemon.pass_runner import PassRunner
from syncd.daemon.pass_shares import PassShares
from syncd.daemon.reasons import Reason, because
from syncd.daemon.schedule import opens_in, waits_for
from syncd.session import Session

TURN = 900.0  # seconds that a mirror waits for its turn before the longest-running pass stops


def _is_due(mirror_state: MirrorState, now: float) -> bool:
    return mirror_state.due is not None and mirror_state.due <= now


class PassScheduler:
    """Starts and stops the passes of a daemon."""

    def __init__(
        self,
        registry: MirrorRegistry,
        session: Callable[[], Session],
        *,
        on_crash: Callable[[str, BaseException], None],
        check_store: Callable[[], Awaitable[None]],
    ) -> None:
        """`session` returns the Session of the configuration in force.

        `on_crash` receives bugs; `check_store` is called after a pass fails because of the store.
        """
        self.registry = registry
        self.session = session
        self.check_store = check_store
        self.shares = PassShares(session().config.budget)
        self.runner = PassRunner(registry, session, self.shares, on_crash=on_crash, check_store=check_store)
        self.draining = False
        self.turn = TURN

    def adjust(self) -> None:
        """Apply the budgets of the configuration in force."""
        self.shares.adjust(self.session().config.budget)

    def start_due(self, group: asyncio.TaskGroup) -> None:
        """Start due passes within the budget, and stop passes that should not run now."""
        self._stop_closed()
        if self.draining or self.registry.store.state != "online":
            return
        ready = self._ready()
        for mirror_state, why in ready:
            running = self.registry.running()
            if len(running) >= self.session().config.budget.passes:
                mirror_state.wait_reason = because("waits.turn.running", n=len(running))
                if mirror_state.waiting_since is None:
                    mirror_state.waiting_since = self.registry.clock()
                continue
            mirror_state.wait_reason, mirror_state.waiting_since = Reason(), None
            run = self.runner.begin(mirror_state, why)
            group.create_task(self.runner.run(mirror_state, run), name=f"pass {mirror_state.name}")
        self._stop_longest()

    def drain(self) -> None:
        """Start no more passes, and stop the running ones."""
        self.draining = True
        for mirror_state in self.registry.running():
            assert mirror_state.run is not None
            mirror_state.run.stop(because("stops.daemon"))

    @contextmanager
    def reserve(self, mirror_state: MirrorState, what: Reason) -> Iterator[None]:
        """Start no pass of a mirror until the block ends. Raises Busy if a pass runs or it is reserved."""
        if mirror_state.run is not None:
            raise Busy(message("{name}: a pass is under way", name=mirror_state.name))
        if mirror_state.busy:
            raise Busy(message("{name}: {busy}", name=mirror_state.name, busy=mirror_state.busy))
        mirror_state.busy = what
        try:
            yield
        finally:
            mirror_state.busy = Reason()
            self.registry.wake.set()

    # -- order ----------------------------------------------------------------------------------------------------

    def _ready(self) -> list[tuple[MirrorState, str]]:
        registry, now = self.registry, self.registry.now()
        completed = {name: mirror_state.succeeded for name, mirror_state in registry.states.items()}
        at_work: dict[str, int] = {}
        for mirror_state in registry.running():
            if mirror_state.declared is not None:
                origin = mirror_state.origin
                at_work[origin] = at_work.get(origin, 0) + 1
        ready: list[tuple[MirrorState, str]] = []
        for mirror_state in registry.states.values():
            since, mirror_state.waiting_since, mirror_state.wait_reason = mirror_state.waiting_since, None, Reason()
            if mirror_state.declared is None or mirror_state.run is not None:
                continue
            if mirror_state.paused is not None or mirror_state.held is not None:
                continue
            mirror = mirror_state.declared.mirror
            if not mirror.enabled:
                mirror_state.requested_by = ""
                continue
            paused = registry.origin_pauses.get(mirror_state.origin)
            if paused is not None and paused.until > now and (mirror_state.requested_by or _is_due(mirror_state, now)):
                mirror_state.wait_reason = because("waits.origin", origin=mirror_state.origin, who=paused.who)
            elif not mirror_state.requested_by and (mirror_state.due is None or mirror_state.due > now):
                first = waits_for(mirror, mirror_state.past, completed, now)
                if mirror_state.due is None and first:
                    mirror_state.wait_reason = because("waits.mirrors", mirrors=", ".join(first))
            elif not mirror_state.requested_by and opens_in(mirror, now) > 0:
                mirror_state.wait_reason = because("waits.window", window=mirror.source.limits.window)
            else:
                mirror_state.waiting_since = since  # only these mirrors can make a running pass stop
                if not mirror_state.busy and not mirror_state.jobs:
                    ready.append((mirror_state, self._why(mirror_state)))
        late = float("inf")
        ready.sort(
            key=lambda one: (
                not one[0].requested_by,
                one[0].waiting_since if one[0].waiting_since is not None else late,
                at_work.get(one[0].origin, 0),
                one[0].due or now,
                one[0].name,
            )
        )
        return ready

    def _why(self, mirror_state: MirrorState) -> str:
        if mirror_state.requested_by:
            return "asked"
        if mirror_state.past.began is None or mirror_state.past.cut:
            return "start"
        assert mirror_state.declared is not None
        schedule = mirror_state.declared.mirror.schedule
        return "after" if schedule is not None and schedule.after else "schedule"

    def _stop_closed(self) -> None:
        """Stop passes whose window has closed, or whose manifest was removed."""
        now = self.registry.now()
        for mirror_state in self.registry.running():
            run = mirror_state.run
            assert run is not None
            if mirror_state.declared is None:
                run.stop(because("stops.manifest"))
            elif run.why != "asked" and opens_in(mirror_state.declared.mirror, now) > 0:
                run.stop(because("stops.window", window=mirror_state.declared.mirror.source.limits.window))

    def _stop_longest(self) -> None:
        registry = self.registry
        since = [one.waiting_since for one in registry.states.values() if one.waiting_since is not None]
        if not since or registry.clock() - min(since) < self.turn:
            return
        running = [mirror_state.run for mirror_state in registry.running() if mirror_state.run is not None]
        if not running or any(run.stopping.is_set() for run in running):
            return  # a pass is stopping already
        longest = min(running, key=lambda run: run.since)
        if registry.clock() - longest.since >= self.turn:
            longest.stop(because("stops.turn"))
