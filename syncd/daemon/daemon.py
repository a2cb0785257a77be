"""Runs the daemon: keeps many mirrors current for months, and applies changed manifests and settings without a restart.

Rules:
1. The daemon works on a store only while it holds the store's lease. It waits for an unavailable store and deletes
   nothing meanwhile.
2. A failure of one mirror concerns that mirror only. While the store or the state's disk fails, no pass starts, and
   recovery is automatic. A damaged Catalogue, or a lease taken by another process, ends the daemon.
3. On the first request to stop it starts nothing new, lets transfers end within the grace, and publishes proved files;
   on the second it stops at once. After a kill the next start resumes without intervention.
4. Waits use the monotonic clock. Due times are wall-clock times and are computed again when the wall clock steps.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from manifests.messages import count, message
from syncd.catalogue import BackgroundReader
from syncd.core import (
    Busy,
    ClockStepped,
    DaemonStarted,
    DaemonStopping,
    Denied,
    Event,
    LeaseLost,
    NoSpace,
    TransientError,
)
from syncd.daemon.control_base import DaemonStatus
from syncd.daemon.controller import Controller
from syncd.daemon.daemon_deps import DaemonDeps
from syncd.daemon.declared_files import declared_in
from syncd.daemon.event_bus import EventBus
from syncd.daemon.head_renewal import HeadRenewal
from syncd.daemon.job_runner import JobRunner
from syncd.daemon.listings import Listings
from syncd.daemon.maintenance import Maintenance
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.peer_watch import PeerWatch
from syncd.daemon.reloader import Reloader
from syncd.daemon.scrubber import Scrubber
from syncd.daemon.store_watch import StoreWatch
from syncd.process import Notifier, first_of
from syncd.session import VERSION, Session, open_session

EXPIRY = 180.0  # seconds after which a lease of this daemon has certainly expired
STEP = 5.0  # seconds of drift in one tick from which on the wall clock has stepped
STUCK = 7_200.0  # seconds without an event of a running pass after which systemd's watchdog gets no more signals


async def run(deps: DaemonDeps) -> None:
    """Run a daemon until asked to stop. Raises Busy (another process works here), ConfigError, Damaged, NoSpace."""
    config = await asyncio.to_thread(deps.load)

    def on_event(event: Event) -> None:
        registry.on_event(event)

    async with open_session(
        config,
        deps.environ,
        on_event,
        lease="later",
        stopping=deps.stopping,
        secrets=deps.secrets,
        meter=deps.meter,
        now=deps.now,
    ) as session:
        session.catalogue.describe_holder(
            message(
                "`syncd run`: ask it (POST http://{listen}/api/v1/mirrors/MIRROR/sync), or stop it",
                listen=config.listen,
            )
        )
        session.catalogue.share_interpreter()
        registry = MirrorRegistry(session.catalogue, deps.now, deps.clock)
        background, asked = BackgroundReader(config.state), BackgroundReader(config.state)
        try:
            deps.opened(session)
            await Daemon(deps, registry, session, background, asked).run()
        finally:
            await asyncio.to_thread(background.close)
            await asyncio.to_thread(asked.close)


class Daemon:
    """One daemon, from its start to its end."""

    def __init__(
        self,
        deps: DaemonDeps,
        registry: MirrorRegistry,
        session: Session,
        background: BackgroundReader,
        asked: BackgroundReader,
    ) -> None:
        """`background` answers the long queries of the daemon itself, `asked` those of people and programs."""
        self.deps = deps
        self.registry = registry
        self.reader = background
        self.event_bus = EventBus()
        self.registry.listeners = [*deps.listeners, self.event_bus]
        self.notifier = Notifier(deps.environ)
        self.reloader = Reloader(deps, registry, session, self.notifier)

        def current() -> Session:
            return self.reloader.session

        self.store = StoreWatch(registry, current)
        self.scheduler = PassScheduler(registry, current, on_crash=deps.crashed, check_store=self.store.check)
        self.reloader.adjust = self.scheduler.adjust
        self.scrubber = Scrubber(registry, self.scheduler, current, background, idle=30 * deps.tick)
        self.maintenance = Maintenance(registry, current, background)
        self.head_renewal = HeadRenewal(registry, current, self.scheduler)
        self.listings = Listings(registry, current, self.reloader.note_publications)
        self.peer_watch = PeerWatch(registry, current)
        self.jobs = JobRunner(
            registry,
            self.scheduler,
            current,
            on_crash=deps.crashed,
            declared_in=lambda mirror: declared_in(current().config, mirror),
        )
        self.status = DaemonStatus(deps.now())
        self.control = Controller(
            registry,
            self.scheduler,
            self.scrubber,
            self.reloader.manifests,
            current,
            asked,
            self.event_bus,
            self.status,
            self.jobs,
        )
        for origin, paused in registry.origin_pauses.items():
            session.governors.pause(origin, deps.clock() + paused.until - deps.now())
        self._began = deps.clock()
        self._offset = deps.now() - deps.clock()

    async def run(self) -> None:
        """Run until stopped: declare the mirrors, serve HTTP, and work while the store is available."""
        killed = self.registry.catalogue.pass_history.end_killed()
        await self.reloader.start()
        try:
            async with _open_http(self):
                await self._run_with_store(killed)
        finally:
            self.event_bus.end()
            await self.store.aclose()

    # -- the store ------------------------------------------------------------------------------------------------

    async def _run_with_store(self, killed: int) -> None:
        """Work while holding the store's lease; otherwise wait for the store."""
        stopping, busy_since = self.deps.stopping, None
        while not stopping.is_set():
            await self.store.check()
            if self.registry.store.state == "offline":
                if self.status.state == "starting":
                    self.status.reason = message("the store is offline: {reason}", reason=self.registry.store.reason)
                    self.notifier.ready(self.status.reason)
                await self._idle()
                continue
            try:
                async with self.reloader.session.hold_lease() as is_rebuilt:
                    busy_since = None
                    if is_rebuilt:
                        self._on_rebuilt()
                    await self._run_with_lease(killed)
            except BaseExceptionGroup as group:
                error = first_of(group)
                if not isinstance(error, TransientError | Busy | Denied):
                    raise error from group
                await self._store_lost(error)
            except (TransientError, Busy, Denied) as error:
                if isinstance(error, Denied) and self.status.state == "starting":
                    raise
                if isinstance(error, Busy):
                    # a lease of this daemon that could not be released expires by itself
                    busy_since = self.deps.clock() if busy_since is None else busy_since
                    if self.status.state == "starting" or self.deps.clock() - busy_since > EXPIRY:
                        raise
                await self._store_lost(error)

    async def _store_lost(self, error: BaseException) -> None:
        """Wait for a lost store. Raises the error if another process took the lease."""
        await self.store.check()
        if isinstance(error, LeaseLost) and self.registry.store.state != "offline":
            raise error
        self.registry.set_store("offline", str(error))
        await self._idle()

    async def _idle(self) -> None:
        """Serve HTTP and scan manifests for `store_every` seconds while the store is unavailable."""
        until = self.deps.clock() + self.deps.store_every
        while self.deps.clock() < until and not self.deps.stopping.is_set():
            await self._once()
            await self._wait_for_wake()

    def _on_rebuilt(self) -> None:
        """Read every mirror from the rebuilt Catalogue again, and compare the manifests with it."""
        self.reloader.manifests.recheck_all()
        self.reloader.declare()
        for mirror_state in self.registry.states.values():
            self.registry.refresh(mirror_state)
        self.registry.recompute_due()

    async def _run_with_lease(self, killed: int) -> None:
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self.store.run(self.deps.store_every), name="store"),
                group.create_task(self.scrubber.run(), name="scrub"),
                group.create_task(self.maintenance.run(), name="upkeep"),
                group.create_task(self.head_renewal.run(), name="heads"),
                group.create_task(self.listings.run(), name="listings"),
                group.create_task(self.peer_watch.run(), name="peers"),
                group.create_task(self.jobs.run(), name="jobs"),
            ]
            if self.status.state == "starting":
                self._started(killed)
            self.status.state, self.status.reason = "running", ""
            while not self.deps.stopping.is_set():
                await self._once()
                self.scheduler.start_due(group)
                await self._wait_for_wake()
            await self._drain(background)

    def _started(self, killed: int) -> None:
        seconds = round(self.deps.clock() - self._began, 3)
        self.registry.on_event(DaemonStarted("", VERSION, len(self.reloader.manifests.in_force), seconds))
        more = f", passes interrupted before this start: {killed}" if killed else ""
        self.notifier.ready(f"{len(self.reloader.manifests.in_force)} mirrors{more}")
        self.deps.started(self.control)

    async def _drain(self, background: Iterable[asyncio.Task[None]]) -> None:
        """Wait for the running passes to end; `Interruptible` enforces the grace."""
        running = len(self.registry.running())
        self.status.state, self.status.reason = (
            "stopping",
            message("waits for {passes} to end", passes=count(running, "{n} pass", "{n} passes")),
        )
        self.notifier.stopping(self.status.reason, self.reloader.session.config.grace)
        self.registry.on_event(DaemonStopping("", running))
        self.scheduler.drain()
        for task in background:
            task.cancel()
        while self.registry.running():
            self._tick()
            await self._wait_for_wake()

    # -- every tick -----------------------------------------------------------------------------------------------

    async def _once(self) -> None:
        await self.reloader.look()
        self._tick()

    def _tick(self) -> None:
        self._check_clock()
        try:
            self.registry.flush_events()
        except NoSpace as error:
            self.registry.set_store("full", str(error))
        self.registry.sample()
        self.registry.report_states()
        self._notify()

    async def _wait_for_wake(self) -> None:
        """Wait for the next tick, or for `registry.wake`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.deps.tick):
                await self.registry.wake.wait()
        self.registry.wake.clear()

    def _check_clock(self) -> None:
        """Detect a step of the wall clock, and compute the due times again."""
        offset = self.deps.now() - self.deps.clock()
        step, self._offset = offset - self._offset, offset
        if abs(step) > STEP:
            self.registry.on_event(ClockStepped("", round(step, 3)))
            self.registry.recompute_due()

    def _notify(self) -> None:
        running = self.registry.running()
        states = [self.registry.state(mirror_state)[0] for mirror_state in self.registry.states.values()]
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        if self.status.state == "running":
            self.notifier.status(f"{len(states)} mirrors: {', '.join(sorted(counts)) or 'none'}")
        clock = self.deps.clock()
        if all(mirror_state.run is None or clock - mirror_state.run.last_event < STUCK for mirror_state in running):
            self.notifier.alive()


@asynccontextmanager
async def _open_http(daemon: Daemon) -> AsyncIterator[None]:
    if daemon.deps.http is None:
        yield
        return
    async with daemon.deps.http(daemon.control, daemon.reloader.session.config) as tell:
        daemon.reloader.on_config = tell
        yield
