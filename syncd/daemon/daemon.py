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
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from manifests.model import ManifestProblem, Mirror, load_mirror
from manifests.origins import origin_of
from syncd.catalogue import BackgroundReader, moved_from
from syncd.config import Config
from syncd.control import Control
from syncd.core import (
    Busy,
    ClockStepped,
    ConfigError,
    DaemonStarted,
    DaemonStopping,
    Denied,
    Event,
    LeaseLost,
    Listener,
    ManifestAccepted,
    ManifestRejected,
    ManifestWithdrawn,
    NoSpace,
    Reloaded,
    ReloadFailed,
    Secrets,
    TransientError,
)
from syncd.daemon.controller import Controller, DaemonStatus
from syncd.daemon.event_bus import EventBus
from syncd.daemon.maintenance import Maintenance
from syncd.daemon.manifest_watcher import Changes, ManifestWatcher, ScanResult
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.daemon.pass_scheduler import PassScheduler
from syncd.daemon.scrubber import Scrubber
from syncd.process import Notifier, first_of
from syncd.session import VERSION, Session, names, open_session
from syncd.sources import TRANSPORTS
from syncd.wrappers import Meter

TICK = 1.0  # seconds between two rounds of the main loop
LOOK = 2.0  # seconds between two scans of the manifests and of syncd.yaml
STORE = 10.0  # seconds between two checks of the store
ANSWER = 30.0  # seconds within which a store must return its identity
EXPIRY = 180.0  # seconds after which a lease of this daemon has certainly expired
STEP = 5.0  # seconds of drift in one tick from which on the wall clock has stepped
STUCK = 7_200.0  # seconds without an event of a running pass after which systemd's watchdog gets no more signals
LOW = 64 << 20  # free bytes of the state's disk below which no pass starts; `keep_free` if that is less
ROOMIER = 1.1  # times `keep_free`: the free space from which on passes start again
RESTART = ("state", "store", "listen", "api", "log")  # keys that a running daemon cannot change

Load = Callable[[], Config]
HttpFactory = Callable[[Control, Config], AbstractAsyncContextManager[Callable[[Config], None]]]
"""Opens the HTTP server of a daemon; yields the callback that receives every new configuration."""


@dataclass(slots=True)
class DaemonDeps:
    """The dependencies of a daemon: environment, clocks, signals, HTTP server and listeners."""

    environ: Mapping[str, str]
    load: Load
    watched: Path | None = None
    """The configuration's file."""
    http: HttpFactory | None = None
    listeners: tuple[Listener, ...] = ()
    crashed: Callable[[str, BaseException], None] = lambda _name, _error: None
    meter: Meter | None = None
    """Counts and times the operations of the store."""
    secrets: Secrets = field(default_factory=Secrets)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    opened: Callable[[Session], None] = lambda _: None
    started: Callable[[Control], None] = lambda _: None
    tick: float = TICK
    store_every: float = STORE
    """Seconds between two checks of the store."""


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
        session.catalogue.database.describe_holder(
            f"`syncd run`: ask it (POST http://{config.listen}/api/v1/mirrors/MIRROR/sync), or stop it"
        )
        registry = MirrorRegistry(session.catalogue, deps.now, deps.clock)
        background = BackgroundReader(config.state)
        try:
            deps.opened(session)
            await Daemon(deps, registry, session, background).run()
        finally:
            await asyncio.to_thread(background.close)


class Daemon:
    """One daemon, from its start to its end."""

    def __init__(
        self, deps: DaemonDeps, registry: MirrorRegistry, session: Session, background: BackgroundReader
    ) -> None:
        self.deps = deps
        self.registry = registry
        self.session = session
        self.reader = background
        self.event_bus = EventBus()
        self.registry.listeners = [*deps.listeners, self.event_bus]
        self.manifests = ManifestWatcher(
            session.config.manifests,
            load=lambda text, name: load_mirror(text, name, schemes=names(TRANSPORTS)),
            check=self._check,
        )

        def current() -> Session:
            return self.session

        self.scheduler = PassScheduler(registry, current, on_crash=deps.crashed, check_store=self.check_store)
        self.scrubber = Scrubber(registry, self.scheduler, current, background, idle=30 * deps.tick)
        self.maintenance = Maintenance(registry, current, background)
        self.status = DaemonStatus(deps.now())
        self.control = Controller(
            registry, self.scheduler, self.scrubber, self.manifests, current, background, self.event_bus, self.status
        )
        self.notifier = Notifier(deps.environ)
        self._began = deps.clock()
        self._offset = deps.now() - deps.clock()
        self._scanned_at = float("-inf")
        self._mark: tuple[int, int] | None = None
        self._failed_mark: tuple[int, int] | None = None
        self._seen_mark: tuple[int, int] | None = None
        self._identity: asyncio.Task[None] | None = None
        self._store_check = asyncio.Lock()
        self._on_config: Callable[[Config], None] = lambda _: None
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Run until stopped: declare the mirrors, serve HTTP, and work while the store is available."""
        killed = self.registry.catalogue.pass_history.end_killed()
        self._mark = await asyncio.to_thread(_file_mark, self.deps.watched)
        self.registry.declare((), {})  # the stored copies, before any manifest is read
        await self._scan_manifests(at_once=True)
        self._declare()
        try:
            async with _open_http(self):
                await self._run_with_store(killed)
        finally:
            self.event_bus.end()
            if self._identity is not None:
                self._identity.cancel()
                await asyncio.wait({self._identity}, timeout=1.0)

    # -- the store ------------------------------------------------------------------------------------------------

    async def _run_with_store(self, killed: int) -> None:
        """Work while holding the store's lease; otherwise wait for the store."""
        stopping, busy_since = self.deps.stopping, None
        while not stopping.is_set():
            await self.check_store()
            if self.registry.store.state == "offline":
                if self.status.state == "starting":
                    self.status.reason = f"the store is offline: {self.registry.store.reason}"
                    self.notifier.ready(self.status.reason)
                await self._idle()
                continue
            try:
                async with self.session.hold_lease() as is_rebuilt:
                    busy_since = None
                    if is_rebuilt:
                        self._on_rebuilt()
                    await self._run_with_lease(killed)
            except BaseExceptionGroup as group:
                error = first_of(group)
                if not isinstance(error, TransientError | Busy):
                    raise error from group
                await self._store_lost(error)
            except (TransientError, Busy) as error:
                if isinstance(error, Busy):
                    # a lease of this daemon that could not be released expires by itself
                    busy_since = self.deps.clock() if busy_since is None else busy_since
                    if self.status.state == "starting" or self.deps.clock() - busy_since > EXPIRY:
                        raise
                await self._store_lost(error)

    async def _store_lost(self, error: BaseException) -> None:
        """Wait for a lost store. Raises the error if another process took the lease."""
        await self.check_store()
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
        """Read every mirror from the rebuilt Catalogue again."""
        self._declare()
        for mirror_state in self.registry.states.values():
            self.registry.refresh(mirror_state)
        self.registry.recompute_due()

    async def _run_with_lease(self, killed: int) -> None:
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._watch_store(), name="store"),
                group.create_task(self.scrubber.run(), name="scrub"),
                group.create_task(self.maintenance.run(), name="upkeep"),
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
        self.registry.on_event(DaemonStarted("", VERSION, len(self.manifests.in_force), seconds))
        more = f", passes interrupted before this start: {killed}" if killed else ""
        self.notifier.ready(f"{len(self.manifests.in_force)} mirrors{more}")
        self.deps.started(self.control)

    async def _drain(self, background: Iterable[asyncio.Task[None]]) -> None:
        """Wait for the running passes to end; `Interruptible` enforces the grace."""
        running = len(self.registry.running())
        self.status.state, self.status.reason = "stopping", f"lets {running} passes end"
        self.notifier.stopping(self.status.reason, self.session.config.grace)
        self.registry.on_event(DaemonStopping("", running))
        self.scheduler.drain()
        for task in background:
            task.cancel()
        while self.registry.running():
            self._tick()
            await self._wait_for_wake()

    async def _watch_store(self) -> None:
        while True:
            await self.check_store()
            await asyncio.sleep(self.deps.store_every)

    async def check_store(self) -> None:
        """Check the identity and the free space of the store; a store without a reply is offline."""
        async with self._store_check:
            if self._identity is None:
                asking = self.session.identify_store()
                self._identity = asyncio.create_task(asking)  # owned by the daemon: the next check, or its end
            await asyncio.wait({self._identity}, timeout=ANSWER)
            if not self._identity.done():
                self.registry.set_store("offline", f"{self.session.config.store.url}: no reply within {ANSWER:.0f} s")
                return
            asked, self._identity = self._identity, None
            try:
                asked.result()
                self.registry.store.free = await self.session.adapter.free()
            except (TransientError, Denied) as error:
                self.registry.set_store("offline", str(error))
                return
            except NoSpace as error:
                self.registry.set_store("full", str(error))
                return
            self._update_store_state(await asyncio.to_thread(_free, self.session.config.state))

    def _update_store_state(self, state_free: int) -> None:
        keep, store = self.session.config.budget.keep_free, self.registry.store
        factor = 1.0 if store.state == "online" else ROOMIER
        if store.free is not None and store.free < keep * factor:
            self.registry.set_store("full", f"{store.free:,} bytes left, {keep:,} are kept free: make room")
        elif state_free < min(keep, LOW) * factor:
            self.registry.set_store(
                "full", f"{self.session.config.state}: {state_free:,} bytes left for the Catalogue: make room"
            )
        else:
            self.registry.set_store("online")

    # -- every tick -----------------------------------------------------------------------------------------------

    async def _once(self) -> None:
        if self.deps.reload.is_set():
            self.deps.reload.clear()
            await self._reload(at_once=True)
        elif self.manifests.is_unsettled or self.deps.clock() - self._scanned_at >= min(LOOK, 2 * self.deps.tick):
            await self._scan_manifests()
            await self._reload_if_changed()
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

    # -- manifests and configuration ------------------------------------------------------------------------------

    async def _scan_manifests(self, *, at_once: bool = False) -> None:
        seen: ScanResult | None = await asyncio.to_thread(self.manifests.scan)
        self._scanned_at = self.deps.clock()
        if seen is None:
            return
        vanished = self.manifests.vanished
        self._apply_changes(self.manifests.apply(seen, self.deps.now(), at_once=at_once))
        if self.manifests.vanished and not vanished:
            folders = ", ".join(str(path) for path in self.manifests.paths)
            what = f"{folders}: no manifest found: is it mounted? All stay in force; send SIGHUP to withdraw them"
            self.registry.on_event(ManifestRejected("", folders, (what,), in_force=True))

    def _apply_changes(self, changes: Changes) -> None:
        if not changes:
            return
        self._declare()
        for declared in changes.withdrawn:
            self.registry.on_event(ManifestWithdrawn(declared.mirror.name, declared.file))
        for declared in changes.accepted:
            self.session.governors.forget(origin_of(declared.mirror.source.url))
            self.registry.on_event(ManifestAccepted(declared.mirror.name, declared.file))
        for file in changes.rejected:
            problems = tuple(str(problem) for problem in file.all_problems)
            in_force = any(one.file == file.name for one in self.manifests.in_force.values())
            self.registry.on_event(ManifestRejected(file.declared_name, file.name, problems, in_force))
        self.registry.wake.set()

    def _declare(self) -> None:
        rejected = {
            file.declared_name: str(file.all_problems[0])
            for file in self.manifests.files.values()
            if file.all_problems and file.declared_name
        }
        self.registry.declare(self.manifests.in_force.values(), rejected)

    def _check(self, mirror: Mirror) -> Iterable[ManifestProblem]:
        """Yield the problems of a mirror in this daemon; safe in any thread."""
        for number, source in enumerate(mirror.sources):
            name = source.credentials
            if name is not None and name not in self.session.config.credentials:
                where = "source.credentials" if len(mirror.sources) == 1 else f"source[{number}].credentials"
                yield _problem(where, f"{name} is not in syncd.yaml", "add it there, under credentials")
        mirror_state = self.registry.states.get(mirror.name)
        moved = moved_from(mirror_state.row if mirror_state is not None else None, mirror.prefix)
        if moved is not None:
            yield _problem("store.prefix", *moved)

    async def _reload_if_changed(self) -> None:
        mark = await asyncio.to_thread(_file_mark, self.deps.watched)
        before, self._seen_mark = self._seen_mark, mark  # a file that is still being written is not read
        if mark is not None and mark == before and mark not in {self._mark, self._failed_mark}:
            await self._reload()

    async def _reload(self, *, at_once: bool = False) -> None:
        """Read the configuration and the manifests again; an invalid one changes nothing."""
        self.notifier.reloading()
        mark = await asyncio.to_thread(_file_mark, self.deps.watched)
        try:
            config = await asyncio.to_thread(self.deps.load)
        except ConfigError as error:
            self._failed_mark = mark
            self.registry.on_event(ReloadFailed("", tuple(str(error).splitlines())))
        else:
            self._mark, self._failed_mark = mark, None
            at_once = self._adopt(config) or at_once
        await self._scan_manifests(at_once=at_once)
        self.notifier.ready("read its configuration again")

    def _adopt(self, config: Config) -> bool:
        """Apply a new configuration; returns True if the paths of the manifests changed."""
        old = self.session.config
        changed = tuple(name for name in type(config).model_fields if getattr(config, name) != getattr(old, name))
        later = tuple(name for name in changed if name in RESTART)
        self.session = msgspec.structs.replace(
            self.session, config=config.model_copy(update={name: getattr(old, name) for name in later})
        )
        self.manifests.paths = config.manifests
        if "credentials" in changed:
            self.manifests.recheck_all()
        self.scheduler.adjust()
        self._on_config(config)
        self.registry.on_event(Reloaded("", changed, later))
        return "manifests" in changed


@asynccontextmanager
async def _open_http(daemon: Daemon) -> AsyncIterator[None]:
    if daemon.deps.http is None:
        yield
        return
    async with daemon.deps.http(daemon.control, daemon.session.config) as tell:
        daemon._on_config = tell  # noqa: SLF001  same module
        yield


def _problem(where: str, what: str, todo: str) -> ManifestProblem:
    return ManifestProblem("", 1, 1, where, what, todo)


def _file_mark(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


def _free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
