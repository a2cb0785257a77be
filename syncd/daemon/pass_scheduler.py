"""Starts due passes, a bounded number at once, and records the outcome of each.

Rules:
1. Order: requested mirrors, then those that wait for their turn already, then the mirror whose origin serves the fewest
   passes now, then the longest due.
2. Every mirror gets its turn: if one waits longer than TURN, the longest-running pass stops. It publishes its proved
   files, and its mirror goes to the end of the queue.
3. A bug in one pass ends that pass, not the daemon: the log gets the traceback, and the mirror backs off.
4. A mirror is reserved for one thing at a time: a pass, a plan, or a repair.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from manifests.origins import origin_of
from syncd.core import Busy, NoSpace, Offline, PassFailed, PassFinished, PassStarted, Step, SyncdError
from syncd.daemon.mirror_registry import CANCELLED, MirrorRegistry, MirrorState, PassRun
from syncd.daemon.pass_log import PassLog
from syncd.daemon.reasons import Reason, because
from syncd.daemon.schedule import opens_in, waits_for
from syncd.engine import (
    FILES,
    IN_FLIGHT,
    ActiveTransfer,
    OnTransferDone,
    Pass,
    PassPaths,
    PassProgress,
    Pool,
    Workers,
    error_name,
)
from syncd.process import first_of
from syncd.session import Session
from syncd.wrappers import FairShares

T = TypeVar("T")

TURN = 900.0  # seconds that a mirror waits for its turn before the longest-running pass stops


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The failure of a pass: an expected error, or a bug."""

    error: BaseException


class PassScheduler:
    """Starts, stops and records the passes of a daemon."""

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
        self.on_crash = on_crash
        self.check_store = check_store
        budget = session().config.budget
        self.budget = FairShares(budget.memory, budget.files)
        self.connections = FairShares(1 << 40, budget.connections)
        self.draining = False
        self.turn = TURN
        self.workers_taken = False

    def adjust(self) -> None:
        """Apply the budgets of the configuration in force."""
        budget = self.session().config.budget
        self.budget.max_bytes, self.budget.max_files = budget.memory, budget.files
        self.connections.max_files = budget.connections
        self.budget.admit()
        self.connections.admit()

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
            run = self._begin(mirror_state, why)
            group.create_task(self._run(mirror_state, run), name=f"pass {mirror_state.name}")
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
            raise Busy(f"{mirror_state.name}: a pass is under way")
        if mirror_state.busy:
            raise Busy(f"{mirror_state.name}: {mirror_state.busy}")
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
                origin = _origin(mirror_state)
                at_work[origin] = at_work.get(origin, 0) + 1
        ready: list[tuple[MirrorState, str]] = []
        for mirror_state in registry.states.values():
            since, mirror_state.waiting_since, mirror_state.wait_reason = mirror_state.waiting_since, None, Reason()
            if mirror_state.declared is None or mirror_state.run is not None or mirror_state.paused is not None:
                continue
            mirror = mirror_state.declared.mirror
            if not mirror_state.requested_by and (mirror_state.due is None or mirror_state.due > now):
                first = waits_for(mirror, mirror_state.past, completed, now)
                if mirror_state.due is None and first:
                    mirror_state.wait_reason = because("waits.mirrors", mirrors=", ".join(first))
            elif not mirror_state.requested_by and opens_in(mirror, now) > 0:
                mirror_state.wait_reason = because("waits.window", window=mirror.source.limits.window)
            else:
                mirror_state.waiting_since = since  # only these mirrors can make a running pass stop
                if not mirror_state.busy:
                    ready.append((mirror_state, self._why(mirror_state)))
        late = float("inf")
        ready.sort(
            key=lambda one: (
                not one[0].requested_by,
                one[0].waiting_since if one[0].waiting_since is not None else late,
                at_work.get(_origin(one[0]), 0),
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

    # -- one pass -------------------------------------------------------------------------------------------------

    def _begin(self, mirror_state: MirrorState, why: str) -> PassRun:
        registry = self.registry
        assert mirror_state.declared is not None
        mirror, who = mirror_state.declared.mirror, mirror_state.requested_by
        mirror_state.requested_by = ""
        row = registry.catalogue.history.ensure_declared(mirror)
        self.session().save_manifest(mirror.name, mirror_state.declared.text)
        now, clock = registry.now(), registry.clock()
        pass_id = registry.catalogue.pass_history.begin(row.id, why=why, who=who, at=now)
        mirror_state.row = row
        mirror_state.run = run = PassRun(
            pass_id=pass_id,
            why=why,
            who=who,
            began=now,
            since=clock,
            progress=PassProgress(mirror.name),
            log=PassLog(registry.now),
            last_event=clock,
        )
        registry.on_event(PassStarted(mirror.name, pass_id, why, who))
        return run

    async def _run(self, mirror_state: MirrorState, run: PassRun) -> None:
        written = False
        try:
            found = await run_contained(self._pass(mirror_state, run))
            if isinstance(found, FailedRun) and isinstance(found.error, Offline | NoSpace):
                await self.check_store()
            self._end(mirror_state, run, found)
            written = True
        finally:
            if not written:  # this task was cancelled
                self._write(run, outcome="stopped", error="", reason=str(because("stops.now")))
                mirror_state.run = None

    async def _pass(self, mirror_state: MirrorState, run: PassRun) -> PassFinished:
        assert mirror_state.declared is not None
        mirror, origin = mirror_state.declared.mirror, _origin(mirror_state)
        with (
            self.budget.share(origin, max_bytes=IN_FLIGHT, max_files=FILES) as share,
            self.connections.share(origin) as line,
        ):
            async with self.session().pass_context(
                mirror, connections=line, retry_failed=run.why == "asked"
            ) as composed:
                work = msgspec.structs.replace(
                    composed,
                    stopping=run.stopping,
                    budget=share,
                    free=lambda: self._free(run),
                    pool=_ExclusivePool(composed.pool, self, origin) if composed.pool is not None else None,
                    now=self.registry.now,
                    clock=self.registry.clock,
                )
                return await Pass(work).run()

    async def _free(self, run: PassRun) -> int | None:
        """Return the bytes that a pass may store: the free space, less `keep_free` and the rest of the other passes."""
        session = self.session()
        free = await session.store.free()
        if free is None:
            return None
        others = sum(one.run.left() for one in self.registry.running() if one.run is not None and one.run is not run)
        return max(0, free - session.config.budget.keep_free - others)

    def _end(self, mirror_state: MirrorState, run: PassRun, found: PassFinished | FailedRun) -> None:
        registry = self.registry
        if isinstance(found, PassFinished):
            counts = msgspec.structs.asdict(found)
            del counts["mirror"], counts["complete"]
            if found.complete:
                self._write(run, outcome="complete", **counts)
            elif run.stopping.is_set():
                error = CANCELLED if run.stopped_by else ""
                self._write(run, outcome="stopped", error=error, reason=str(run.stop_reason), **counts)
            else:
                text = f"{found.failed} files failed" if found.failed else "the inventory is incomplete"
                self._write(run, outcome="incomplete", reason=text, **counts)
        else:
            self._fail(mirror_state, run, found.error)
        tally = run.progress
        mirror_state.received += tally.arrived
        complete = isinstance(found, PassFinished) and found.complete
        files, size = mirror_state.unfinished()
        mirror_state.backlog = (0, 0) if complete else (files + run.progress.failed, size)
        mirror_state.run = None
        registry.refresh(mirror_state)
        registry.recompute_due()
        registry.wake.set()
        if isinstance(found, FailedRun):
            wait = max(0.0, mirror_state.due - registry.now()) if mirror_state.due is not None else None
            registry.on_event(PassFailed(mirror_state.name, _name(found.error), _reason(found.error), wait))

    def _fail(self, mirror_state: MirrorState, run: PassRun, error: BaseException) -> None:
        outcome, name, words = "failed", _name(error), _reason(error)
        store = self.registry.store
        if isinstance(error, Offline | NoSpace) and (store.state != "online" or store.changed > run.since):
            outcome = "stopped"  # the store caused it, so the mirror does not back off
        elif not isinstance(error, SyncdError):
            self.on_crash(mirror_state.name, error)
        run.log.on_event(PassFailed(mirror_state.name, name, words, None))
        self._write(run, outcome=outcome, error=name, reason=words)

    def _write(self, run: PassRun, *, outcome: str, **values: Any) -> None:
        pass_history = self.registry.catalogue.pass_history
        run.log.end()
        pass_history.add_events((run.pass_id, happening) for happening in run.log.waiting)
        run.log.waiting.clear()
        values.setdefault("seconds", round(self.registry.clock() - run.since, 3))
        pass_history.end(run.pass_id, outcome=outcome, at=self.registry.now(), **values)


class _ExclusivePool:
    """The worker processes, for one pass at a time: their number is that of the processors.

    While they run they hold their share of the connections of all passes.
    """

    def __init__(self, pool: Pool, scheduler: PassScheduler, origin: str) -> None:
        self._pool = pool
        self._scheduler = scheduler
        self._origin = origin

    @property
    def concurrency(self) -> int:
        return self._pool.concurrency

    def prepare(self) -> None:
        if not self._scheduler.workers_taken:
            self._pool.prepare()

    async def aclose(self) -> None:
        await self._pool.aclose()

    @asynccontextmanager
    async def running(
        self, place: PassPaths, by: str, on_done: OnTransferDone, concurrency: int
    ) -> AsyncIterator[Workers]:
        # a separate share: the requests of the pass itself must not wait until the workers end
        with self._scheduler.connections.share(self._origin) as lines:
            held = 0 if self._scheduler.workers_taken else lines.acquire_now(concurrency)
            if held > 1:
                self._scheduler.workers_taken = True
                try:
                    async with self._pool.running(place, by, on_done, held) as workers:
                        yield workers
                finally:
                    self._scheduler.workers_taken = False
                return
        await self._pool.aclose()  # prepared before another pass took the workers or the connections
        yield _NoWorkers()


class _NoWorkers:
    """No workers: another pass uses them."""

    def accepts(self, step: Step) -> bool:  # noqa: ARG002  part of the port
        return False

    def submit(self, moving: ActiveTransfer) -> None:
        raise AssertionError(moving)

    async def join(self) -> None:
        return


async def run_contained(work: Coroutine[Any, Any, T]) -> T | FailedRun:
    """Return the result of `work`, or its failure, bugs included; a cancellation of the caller cancels `work`."""
    task = asyncio.create_task(work)  # owned by this function, which awaits it
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        return FailedRun(asyncio.CancelledError("it was cancelled from within"))
    error = task.exception()
    if error is None:
        return task.result()
    return FailedRun(first_of(error) if isinstance(error, BaseExceptionGroup) else error)


def _origin(mirror_state: MirrorState) -> str:
    assert mirror_state.declared is not None
    return origin_of(mirror_state.declared.mirror.source.url)


def _name(error: BaseException) -> str:
    return error_name(error) if isinstance(error, SyncdError) else type(error).__name__


def _reason(error: BaseException) -> str:
    if isinstance(error, SyncdError):
        return str(error)
    return f"a bug in syncd ({type(error).__name__}: {error}): the traceback is in the log; please report it"
