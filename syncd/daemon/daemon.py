"""The daemon: keeps many mirrors current for months, tells the truth about them, and takes changes without a restart.

Rules:
1. It works on a store only while it holds its lease. A store that is away is waited for; what we hold is not touched.
2. What goes wrong with one mirror stays with that mirror. What goes wrong with the store or the state's disk stops the
   beginning of passes, and ends by itself. A Catalogue that is damaged, or a lease that another took, ends the daemon.
3. Asked to stop it begins nothing more, lets transfers end within the grace, and publishes what is proved; asked twice
   it stops at once. Killed, it needs nobody: the next start goes on where it was.
4. Waits go by the monotonic clock; dues are moments of the wall clock and are worked out anew when that one steps.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from manifests.model.mirror import Mirror, Problem, load_mirror
from manifests.origins import origin_of
from syncd.catalogue import Catalogue, moved_from
from syncd.catalogue.background_reader import Beside
from syncd.config.load import Config
from syncd.control.port import Control
from syncd.core.errors import Busy, ConfigError, Denied, NoSpace, TransientError
from syncd.core.events import (
    ClockStepped,
    DaemonStarted,
    DaemonStopping,
    Listener,
    ManifestAccepted,
    ManifestRejected,
    ManifestWithdrawn,
    Reloaded,
    ReloadFailed,
    discreet,
)
from syncd.core.ports import Store
from syncd.core.redaction import Secrets
from syncd.daemon.controller import Life, Steering
from syncd.daemon.event_bus import Feed
from syncd.daemon.maintenance import Upkeep
from syncd.daemon.manifest_watcher import Changes, Manifests, Seen
from syncd.daemon.mirror_registry import Fleet
from syncd.daemon.pass_scheduler import Rota
from syncd.daemon.scrubber import Scrub
from syncd.engine.restore import needs_rebuild, rebuild
from syncd.process.event_loop import first_of
from syncd.process.systemd import Notifier
from syncd.session.plugins import names, open_store
from syncd.session.session import HASHERS, VERSION, Workbench, leased
from syncd.sources.open_source import TRANSPORTS
from syncd.stores.lease import Lease
from syncd.wrappers.governor import Governors
from syncd.wrappers.retrying_store import RetryingStore

TICK = 1.0  # seconds between two looks at everything
LOOK = 2.0  # seconds between two looks at the manifests and at syncd.yaml
STORE = 10.0  # seconds between two looks at the store
ANSWER = 30.0  # seconds that a store may take to say who it is
EXPIRY = 180.0  # seconds after which a lease of ours has certainly run out
STEP = 5.0  # seconds that the wall clock may drift in a tick before it is called a step
STUCK = 7_200.0  # seconds without a word of a pass after which the watchdog is not fed any more
LOW = 64 << 20  # bytes of the state's disk below which no pass begins, whatever the configuration says
ROOMIER = 1.1  # times what is to be kept free: what must be free for passes to begin again
RESTART = ("state", "store", "listen", "api", "log")  # keys that a running daemon cannot change

Load = Callable[[], Config]
Door = Callable[[Control, Config], AbstractAsyncContextManager[Callable[[Config], None]]]
"""What shows the daemon to the world: open over its life; what it yields is told of every new configuration."""


@dataclass(slots=True)
class Surroundings:
    """What a daemon is run with: all that it must not reach out for by itself."""

    environ: Mapping[str, str]
    load: Load
    watched: Path | None = None
    """The configuration's file."""
    door: Door | None = None
    listeners: tuple[Listener, ...] = ()
    crashed: Callable[[str, BaseException], None] = lambda _name, _error: None
    decorate: Callable[[Store], Store] = lambda store: store
    secrets: Secrets = field(default_factory=Secrets)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    opened: Callable[[Workbench], None] = lambda _: None
    expiries: dict[str, float] = field(default_factory=dict)
    """By name: when a credential that was used is no longer valid, for those that say."""
    started: Callable[[Control], None] = lambda _: None
    tick: float = TICK
    store_every: float = STORE
    """Seconds between two looks at the store."""


async def run(around: Surroundings) -> None:
    """Run a daemon until it is asked to stop. Raises Busy (another works here), ConfigError, Damaged, NoSpace."""
    config = await asyncio.to_thread(around.load)
    with ExitStack() as stack:
        catalogue = stack.enter_context(Catalogue(config.state))
        catalogue.database.say(
            f"`syncd run`: ask it (POST http://{config.listen}/api/v1/mirrors/MIRROR/sync), or stop it"
        )
        for left in config.state.glob("spool-*"):  # of a daemon that was killed
            await asyncio.to_thread(shutil.rmtree, left, True)
        spool = stack.enter_context(TemporaryDirectory(dir=config.state, prefix="spool-"))
        settings = config.store
        adapter = open_store(settings.url, endpoint=settings.endpoint, region=settings.region, profile=settings.profile)
        hashing = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")
        beside = Beside(config.state)
        try:
            fleet = Fleet(catalogue, around.now, around.clock)
            listener = discreet(fleet.hear, around.secrets)
            bench = Workbench(
                config=config,
                environ=around.environ,
                catalogue=catalogue,
                store=around.decorate(RetryingStore(adapter) if settings.url.startswith("s3://") else adapter),
                governors=Governors(listener=listener),
                hashing=hashing,
                spool=Path(spool),
                listener=listener,
                stopping=around.stopping,
                secrets=around.secrets,
                expiries=around.expiries,
            )
            bench.governors.show(getattr(adapter, "certificates", {}))
            around.opened(bench)
            await Daemon(around, fleet, bench, adapter, beside).run()
        finally:
            hashing.shutdown(wait=True, cancel_futures=True)
            await asyncio.to_thread(beside.close)
            await adapter.aclose()


class Daemon:
    """One daemon, from its start to its end."""

    def __init__(self, around: Surroundings, fleet: Fleet, bench: Workbench, adapter: Store, beside: Beside) -> None:
        """`adapter` is the bare store, for its lease."""
        self.around = around
        self.fleet = fleet
        self.bench = bench
        self.adapter = adapter
        self.beside = beside
        self.feed = Feed()
        self.fleet.listeners = [*around.listeners, self.feed]
        self.manifests = Manifests(
            bench.config.manifests,
            load=lambda text, name: load_mirror(text, name, schemes=names(TRANSPORTS)),
            check=self._check,
        )
        self.rota = Rota(fleet, lambda: self.bench, crashed=around.crashed, trouble=self.look_at_store)
        self.scrub = Scrub(fleet, self.rota, lambda: self.bench, beside, idle=30 * around.tick)
        self.upkeep = Upkeep(fleet, lambda: self.bench, beside)
        self.life = Life(around.now())
        self.control = Steering(
            fleet, self.rota, self.scrub, self.manifests, lambda: self.bench, beside, self.feed, self.life
        )
        self.notifier = Notifier(around.environ)
        self._began = around.clock()
        self._offset = around.now() - around.clock()
        self._looked = float("-inf")
        self._mark: tuple[int, int] | None = None
        self._failed_mark: tuple[int, int] | None = None
        self._seen_mark: tuple[int, int] | None = None
        self._identity: asyncio.Task[str] | None = None
        self._asked_store = asyncio.Lock()
        self._tell: Callable[[Config], None] = lambda _: None
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Live."""
        killed = self.fleet.catalogue.chronicle.end_killed()
        self._mark = await asyncio.to_thread(_mark, self.around.watched)
        self.fleet.declare((), {})  # what we hold, before anybody says what he wants
        await self._look(at_once=True)
        self._declare()
        try:
            async with self._door():
                await self._in_the_store(killed)
        finally:
            self.feed.end()
            if self._identity is not None:
                self._identity.cancel()
                await asyncio.wait({self._identity}, timeout=1.0)

    def _door(self) -> AbstractAsyncContextManager[None]:
        return _opened_door(self)

    # -- the store ------------------------------------------------------------------------------------------------

    async def _in_the_store(self, killed: int) -> None:
        """Work while we hold the store's lease, and wait for it otherwise."""
        stopping, busy_since = self.around.stopping, None
        while not stopping.is_set():
            await self.look_at_store()
            if self.fleet.store.state == "offline":
                if self.life.state == "starting":
                    self.life.reason = f"the store is offline: {self.fleet.store.reason}"
                    self.notifier.ready(self.life.reason)
                await self._idle()
                continue
            try:
                async with leased(Lease(self.adapter, f"syncd {VERSION}")):
                    busy_since = None
                    await self._first_time()
                    await self._tenure(killed)
            except BaseExceptionGroup as group:
                error = first_of(group)
                if not isinstance(error, TransientError | Busy):
                    raise error from group
                await self._lost(error)
            except (TransientError, Busy) as error:
                if isinstance(error, Busy):
                    # a lease of our own that we could not give back runs out by itself
                    busy_since = self.around.clock() if busy_since is None else busy_since
                    if self.life.state == "starting" or self.around.clock() - busy_since > EXPIRY:
                        raise
                await self._lost(error)

    async def _lost(self, error: BaseException) -> None:
        """The store went away under us, or with it our lease: wait until it is back, unless another has it."""
        await self.look_at_store()
        if isinstance(error, Busy) and self.fleet.store.state != "offline" and "we lost it" in str(error):
            raise error
        self.fleet.set_store("offline", str(error))
        await self._idle()

    async def _idle(self) -> None:
        """Go on showing and looking while the store is away."""
        until = self.around.clock() + self.around.store_every
        while self.around.clock() < until and not self.around.stopping.is_set():
            await self._once()
            await self._nap()

    async def _first_time(self) -> None:
        if needs_rebuild(self.fleet.catalogue):
            await rebuild(self.bench.store, self.fleet.catalogue, self.fleet.now)
            self._declare()
            for standing in self.fleet.standings.values():
                self.fleet.look_up(standing)
            self.fleet.reckon()

    async def _tenure(self, killed: int) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._watch_store(), name="store"),
                group.create_task(self.scrub.run(), name="scrub"),
                group.create_task(self.upkeep.run(), name="upkeep"),
            ]
            if self.life.state == "starting":
                self._started(killed)
            self.life.state, self.life.reason = "running", ""
            while not self.around.stopping.is_set():
                await self._once()
                self.rota.look(group)
                await self._nap()
            await self._drain(beside)

    def _started(self, killed: int) -> None:
        seconds = round(self.around.clock() - self._began, 3)
        self.fleet.hear(DaemonStarted("", VERSION, len(self.manifests.in_force), seconds))
        more = f", {killed} passes were cut short by its end before" if killed else ""
        self.notifier.ready(f"{len(self.manifests.in_force)} mirrors{more}")
        self.around.started(self.control)

    async def _drain(self, beside: Iterable[asyncio.Task[None]]) -> None:
        """Let what is under way end; the grace is minded by whoever asked us to stop."""
        running = len(self.fleet.running())
        self.life.state, self.life.reason = "stopping", f"lets {running} passes end"
        self.notifier.stopping(self.life.reason, self.bench.config.grace)
        self.fleet.hear(DaemonStopping("", running))
        self.rota.drain()
        for task in beside:
            task.cancel()
        while self.fleet.running():
            self._tick()
            await self._nap()

    async def _watch_store(self) -> None:
        while True:
            await self.look_at_store()
            await asyncio.sleep(self.around.store_every)

    async def look_at_store(self) -> None:
        """Ask the store who it is and what is left of it; a store that does not answer is offline."""
        async with self._asked_store:
            history = self.fleet.catalogue.history
            known = history.setting("store")
            if self._identity is None:
                asking = self.adapter.identify(known)
                self._identity = asyncio.create_task(asking)  # owned by us: the next look, or our end
            await asyncio.wait({self._identity}, timeout=ANSWER)
            if not self._identity.done():
                self.fleet.set_store("offline", f"{self.bench.config.store.url}: does not answer for {ANSWER:.0f} s")
                return
            asked, self._identity = self._identity, None
            try:
                found = asked.result()
                if known is None:
                    history.remember("store", found)
                self.fleet.store.free = await self.adapter.free()
            except (TransientError, Denied) as error:
                self.fleet.set_store("offline", str(error))
                return
            except NoSpace as error:
                self.fleet.set_store("full", str(error))
                return
            self._judge_room(await asyncio.to_thread(_free, self.bench.config.state))

    def _judge_room(self, state_free: int) -> None:
        keep, store = self.bench.config.budget.keep_free, self.fleet.store
        factor = 1.0 if store.state == "online" else ROOMIER
        if store.free is not None and store.free < keep * factor:
            self.fleet.set_store("full", f"{store.free:,} bytes left, {keep:,} are kept free: make room")
        elif state_free < min(keep, LOW) * factor:
            self.fleet.set_store(
                "full", f"{self.bench.config.state}: {state_free:,} bytes left for the Catalogue: make room"
            )
        else:
            self.fleet.set_store("online")

    # -- now and again --------------------------------------------------------------------------------------------

    async def _once(self) -> None:
        if self.around.reload.is_set():
            self.around.reload.clear()
            await self._reload(at_once=True)
        elif self.manifests.is_unsure or self.around.clock() - self._looked >= min(LOOK, 2 * self.around.tick):
            await self._look()
            await self._mind_configuration()
        self._tick()

    def _tick(self) -> None:
        self._mind_clock()
        try:
            self.fleet.write_down()
        except NoSpace as error:
            self.fleet.set_store("full", str(error))
        self.fleet.sample()
        self.fleet.tell_states()
        self._notify()

    async def _nap(self) -> None:
        """Rest until the next tick, or until something happens."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.around.tick):
                await self.fleet.wake.wait()
        self.fleet.wake.clear()

    def _mind_clock(self) -> None:
        """Notice a wall clock that steps, and work out anew what hangs on it."""
        offset = self.around.now() - self.around.clock()
        step, self._offset = offset - self._offset, offset
        if abs(step) > STEP:
            self.fleet.hear(ClockStepped("", round(step, 3)))
            self.fleet.reckon()

    def _notify(self) -> None:
        running = self.fleet.running()
        states = [self.fleet.state(standing)[0] for standing in self.fleet.standings.values()]
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        if self.life.state == "running":
            self.notifier.status(f"{len(states)} mirrors: {', '.join(sorted(counts)) or 'none'}")
        clock = self.around.clock()
        if all(standing.run is None or clock - standing.run.heard < STUCK for standing in running):
            self.notifier.alive()

    # -- manifests and configuration ------------------------------------------------------------------------------

    async def _look(self, *, at_once: bool = False) -> None:
        seen: Seen | None = await asyncio.to_thread(self.manifests.look)
        self._looked = self.around.clock()
        if seen is None:
            return
        vanished = self.manifests.vanished
        self._take(self.manifests.take(seen, self.around.now(), at_once=at_once))
        if self.manifests.vanished and not vanished:
            folders = ", ".join(str(path) for path in self.manifests.paths)
            what = (
                f"{folders}: no manifest is left: is it mounted? All stay in force until SIGHUP says that it is meant"
            )
            self.fleet.hear(ManifestRejected("", folders, (what,), in_force=True))

    def _take(self, changes: Changes) -> None:
        if not changes:
            return
        self._declare()
        for declared in changes.withdrawn:
            self.fleet.hear(ManifestWithdrawn(declared.mirror.name, declared.file))
        for declared in changes.accepted:
            self.bench.governors.forget(origin_of(declared.mirror.source.url))
            self.fleet.hear(ManifestAccepted(declared.mirror.name, declared.file))
        for file in changes.rejected:
            problems = tuple(str(problem) for problem in file.wrong)
            in_force = any(one.file == file.name for one in self.manifests.in_force.values())
            self.fleet.hear(ManifestRejected(file.says, file.name, problems, in_force))
        self.fleet.wake.set()

    def _declare(self) -> None:
        rejected = {file.says: str(file.wrong[0]) for file in self.manifests.files.values() if file.wrong and file.says}
        self.fleet.declare(self.manifests.in_force.values(), rejected)

    def _check(self, mirror: Mirror) -> Iterable[Problem]:
        """Yield what is wrong with a mirror in this daemon; may be asked by any thread."""
        for number, source in enumerate(mirror.sources):
            name = source.credentials
            if name is not None and name not in self.bench.config.credentials:
                where = "source.credentials" if len(mirror.sources) == 1 else f"source[{number}].credentials"
                yield _problem(where, f"{name} is not in syncd.yaml", "add it there, under credentials")
        standing = self.fleet.standings.get(mirror.name)
        moved = moved_from(standing.row if standing is not None else None, mirror.prefix)
        if moved is not None:
            yield _problem("store.prefix", *moved)

    async def _mind_configuration(self) -> None:
        mark = await asyncio.to_thread(_mark, self.around.watched)
        before, self._seen_mark = self._seen_mark, mark  # what is still being written is not read
        if mark is not None and mark == before and mark not in {self._mark, self._failed_mark}:
            await self._reload()

    async def _reload(self, *, at_once: bool = False) -> None:
        """Read the configuration and the manifests again; what is wrong changes nothing."""
        self.notifier.reloading()
        mark = await asyncio.to_thread(_mark, self.around.watched)
        try:
            config = await asyncio.to_thread(self.around.load)
        except ConfigError as error:
            self._failed_mark = mark
            self.fleet.hear(ReloadFailed("", tuple(str(error).splitlines())))
        else:
            self._mark, self._failed_mark = mark, None
            at_once = self._adopt(config) or at_once
        await self._look(at_once=at_once)
        self.notifier.ready("read its configuration again")

    def _adopt(self, config: Config) -> bool:
        """Take a new configuration; returns whether manifests are looked for elsewhere now."""
        old = self.bench.config
        changed = tuple(name for name in type(config).model_fields if getattr(config, name) != getattr(old, name))
        later = tuple(name for name in changed if name in RESTART)
        self.bench = msgspec.structs.replace(
            self.bench, config=config.model_copy(update={name: getattr(old, name) for name in later})
        )
        self.manifests.paths = config.manifests
        if "credentials" in changed:
            self.manifests.doubt()
        self.rota.adjust()
        self._tell(config)
        self.fleet.hear(Reloaded("", changed, later))
        return "manifests" in changed


@asynccontextmanager
async def _opened_door(daemon: Daemon) -> AsyncIterator[None]:
    if daemon.around.door is None:
        yield
        return
    async with daemon.around.door(daemon.control, daemon.bench.config) as tell:
        daemon._tell = tell  # noqa: SLF001  its own
        yield


def _problem(where: str, what: str, todo: str) -> Problem:
    return Problem("", 1, 1, where, what, todo)


def _mark(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


def _free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
