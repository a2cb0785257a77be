"""Begins passes when they are due, a bounded number side by side, and writes down how each of them went.

Rules:
1. Whoever was asked for goes first, then who waits for a turn already, then the mirror whose origin is least asked now,
   then who is due the longest.
2. Nobody waits for ever: whoever waits for a turn longer than TURN makes the pass that runs the longest yield. It
   publishes what it has, and comes again at the end of the row.
3. A bug in one pass ends that pass, not the daemon: it is told with all its lines, and its mirror backs off.
4. A mirror is held by one thing at a time: a pass, a plan, or a mending.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from manifests.origins import origin_of
from syncd.core.errors import Busy, NoSpace, Offline, SyncdError
from syncd.core.events import PassFailed, PassStarted
from syncd.core.steps import Step
from syncd.daemon.mirror_registry import CANCELLED, Fleet, Run, Standing
from syncd.daemon.pass_log import Chronicler
from syncd.daemon.schedule import opens_in, waits_for
from syncd.engine.mirror_pass import Pass, Result
from syncd.engine.pass_context import FILES, IN_FLIGHT
from syncd.engine.pass_progress import Tally
from syncd.engine.transfer import Place, error_name
from syncd.engine.worker_port import Moving, Pool, Told, Workers
from syncd.process.event_loop import first_of
from syncd.session.session import Workbench
from syncd.wrappers.fair_share import Capped, Fair

T = TypeVar("T")

TURN = 900.0  # seconds that a mirror waits for its turn before somebody yields
COUNTS = ("fetched", "replaced", "kept", "removed", "parked", "failed", "bytes", "seconds", "snapshot")


@dataclass(frozen=True, slots=True)
class Failed:
    """How something ended that did not bring what it should: an error we know, or a bug."""

    error: BaseException


class Rota:
    """Who runs."""

    def __init__(
        self,
        fleet: Fleet,
        bench: Callable[[], Workbench],
        *,
        crashed: Callable[[str, BaseException], None],
        trouble: Callable[[], Awaitable[None]],
    ) -> None:
        """`bench` is the workbench of the configuration in force.

        `crashed` is told of bugs; `trouble` looks at the store, when a pass says that something is wrong with it.
        """
        self.fleet = fleet
        self.bench = bench
        self.crashed = crashed
        self.trouble = trouble
        budget = bench().config.budget
        self.room = Fair(budget.memory, budget.files)
        self.lines = Fair(1 << 40, budget.connections)
        self.draining = False
        self.turn = TURN
        self.workers_taken = False

    def adjust(self) -> None:
        """Take the budgets of the configuration that is in force now."""
        budget = self.bench().config.budget
        self.room.max_bytes, self.room.max_files = budget.memory, budget.files
        self.lines.max_files = budget.connections
        self.room.admit()
        self.lines.admit()

    def look(self, group: asyncio.TaskGroup) -> None:
        """Begin what is due and has room, and stop what should not run now."""
        self._mind_running()
        if self.draining or self.fleet.store.state != "online":
            return
        ready = self._ready()
        for standing, why in ready:
            running = self.fleet.running()
            if len(running) >= self.bench().config.budget.passes:
                standing.waits = f"waits for its turn: {len(running)} passes run"
                if standing.waiting_since is None:
                    standing.waiting_since = self.fleet.clock()
                continue
            standing.waits, standing.waiting_since = "", None
            run = self._begin(standing, why)
            group.create_task(self._run(standing, run), name=f"pass {standing.name}")
        self._make_room()

    def drain(self) -> None:
        """Begin nothing more, and ask all passes to stop."""
        self.draining = True
        for standing in self.fleet.running():
            assert standing.run is not None
            standing.run.stop("the daemon stops")

    @contextmanager
    def holding(self, standing: Standing, what: str) -> Iterator[None]:
        """Keep passes of a mirror away while the block lasts. Raises Busy."""
        if standing.run is not None:
            raise Busy(f"{standing.name}: a pass is under way")
        if standing.busy:
            raise Busy(f"{standing.name}: {standing.busy}")
        standing.busy = what
        try:
            yield
        finally:
            standing.busy = ""
            self.fleet.wake.set()

    # -- who ------------------------------------------------------------------------------------------------------

    def _ready(self) -> list[tuple[Standing, str]]:
        fleet, now = self.fleet, self.fleet.now()
        completed = {name: standing.succeeded for name, standing in fleet.standings.items()}
        at_work: dict[str, int] = {}
        for standing in fleet.running():
            if standing.declared is not None:
                origin = _origin(standing)
                at_work[origin] = at_work.get(origin, 0) + 1
        ready: list[tuple[Standing, str]] = []
        for standing in fleet.standings.values():
            since, standing.waiting_since, standing.waits = standing.waiting_since, None, ""
            if standing.declared is None or standing.run is not None or standing.paused is not None:
                continue
            mirror = standing.declared.mirror
            if not standing.asked and (standing.due is None or standing.due > now):
                first = waits_for(mirror, standing.past, completed, now)
                if standing.due is None and first:
                    standing.waits = f"waits for a complete pass of {', '.join(first)}"
            elif not standing.asked and opens_in(mirror, now) > 0:
                standing.waits = f"waits for its window, {mirror.source.limits.window}"
            else:
                standing.waiting_since = since  # nobody else waits for others to make room
                if not standing.busy:
                    ready.append((standing, self._why(standing)))
        late = float("inf")
        ready.sort(
            key=lambda one: (
                not one[0].asked,
                one[0].waiting_since if one[0].waiting_since is not None else late,
                at_work.get(_origin(one[0]), 0),
                one[0].due or now,
                one[0].name,
            )
        )
        return ready

    def _why(self, standing: Standing) -> str:
        if standing.asked:
            return "asked"
        if standing.past.began is None or standing.past.cut:
            return "start"
        assert standing.declared is not None
        schedule = standing.declared.mirror.schedule
        return "after" if schedule is not None and schedule.after else "schedule"

    def _mind_running(self) -> None:
        """Stop passes whose window has closed, or whose manifest was removed."""
        now = self.fleet.now()
        for standing in self.fleet.running():
            run = standing.run
            assert run is not None
            if standing.declared is None:
                run.stop("its manifest was removed")
            elif run.why != "asked" and opens_in(standing.declared.mirror, now) > 0:
                run.stop(f"its window has closed, {standing.declared.mirror.source.limits.window}")

    def _make_room(self) -> None:
        fleet = self.fleet
        since = [one.waiting_since for one in fleet.standings.values() if one.waiting_since is not None]
        if not since or fleet.clock() - min(since) < self.turn:
            return
        running = [standing.run for standing in fleet.running() if standing.run is not None]
        if not running or any(run.stopping.is_set() for run in running):
            return  # one is on its way out already
        longest = min(running, key=lambda run: run.since)
        if fleet.clock() - longest.since >= self.turn:
            longest.stop("makes room for others that wait")

    # -- one pass -------------------------------------------------------------------------------------------------

    def _begin(self, standing: Standing, why: str) -> Run:
        fleet = self.fleet
        assert standing.declared is not None
        mirror, who = standing.declared.mirror, standing.asked
        standing.asked = ""
        row = fleet.catalogue.history.enrol(
            mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url
        )
        self.bench().remember(mirror.name, standing.declared.text)
        now, clock = fleet.now(), fleet.clock()
        pass_id = fleet.catalogue.chronicle.begin(row.id, why=why, who=who, at=now)
        standing.row = row
        standing.run = run = Run(
            pass_id=pass_id,
            why=why,
            who=who,
            began=now,
            since=clock,
            tally=Tally(mirror.name),
            chronicler=Chronicler(fleet.now),
            heard=clock,
        )
        fleet.hear(PassStarted(mirror.name, pass_id, why, who))
        return run

    async def _run(self, standing: Standing, run: Run) -> None:
        written = False
        try:
            found = await contained(self._pass(standing, run))
            if isinstance(found, Failed) and isinstance(found.error, Offline | NoSpace):
                await self.trouble()
            self._end(standing, run, found)
            written = True
        finally:
            if not written:  # we are cancelled
                self._write(run, outcome="stopped", error="", reason="the daemon stopped at once")
                standing.run = None

    async def _pass(self, standing: Standing, run: Run) -> Result:
        assert standing.declared is not None
        mirror, origin = standing.declared.mirror, _origin(standing)
        with (
            self.room.share(origin, max_bytes=IN_FLIGHT, max_files=FILES) as share,
            self.lines.share(origin) as line,
        ):
            async with self.bench().work(mirror, lambda transport: Capped(transport, line)) as composed:
                work = msgspec.structs.replace(
                    composed,
                    stopping=run.stopping,
                    budget=share,
                    free=lambda: self._free(run),
                    pool=_InTurn(composed.pool, self, origin) if composed.pool is not None else None,
                    now=self.fleet.now,
                    clock=self.fleet.clock,
                )
                return await Pass(work).run()

    async def _free(self, run: Run) -> int | None:
        """Return the bytes that a pass may fill: not what is kept free, nor what others have still to store."""
        bench = self.bench()
        free = await bench.store.free()
        if free is None:
            return None
        others = sum(one.run.left() for one in self.fleet.running() if one.run is not None and one.run is not run)
        return max(0, free - bench.config.budget.keep_free - others)

    def _end(self, standing: Standing, run: Run, found: Result | Failed) -> None:
        fleet = self.fleet
        if isinstance(found, Result):
            counts = {name: getattr(found, name) for name in COUNTS}
            if found.complete:
                self._write(run, outcome="complete", **counts)
            elif run.stopping.is_set():
                error = CANCELLED if run.cut_by else ""
                self._write(run, outcome="stopped", error=error, reason=run.cut, **counts)
            else:
                reason = f"{found.failed} files failed" if found.failed else "the inventory is incomplete"
                self._write(run, outcome="incomplete", reason=reason, **counts)
        else:
            self._fail(standing, run, found.error)
        tally = run.tally
        standing.received += tally.arrived
        complete = isinstance(found, Result) and found.complete
        standing.backlog = (0, 0) if complete else _left(run, standing)
        standing.run = None
        fleet.look_up(standing)
        fleet.reckon()
        fleet.wake.set()
        if isinstance(found, Failed):
            wait = max(0.0, standing.due - fleet.now()) if standing.due is not None else None
            fleet.hear(PassFailed(standing.name, _name(found.error), _words(found.error), wait))

    def _fail(self, standing: Standing, run: Run, error: BaseException) -> None:
        outcome, name, words = "failed", _name(error), _words(error)
        store = self.fleet.store
        if isinstance(error, Offline | NoSpace) and (store.state != "online" or store.changed > run.since):
            outcome = "stopped"  # it is, or was meanwhile, the store: nothing that the mirror should back off for
        elif not isinstance(error, SyncdError):
            self.crashed(standing.name, error)
        run.chronicler.take(PassFailed(standing.name, name, words, None))
        self._write(run, outcome=outcome, error=name, reason=words)

    def _write(self, run: Run, *, outcome: str, **values: Any) -> None:
        chronicle = self.fleet.catalogue.chronicle
        run.chronicler.end()
        chronicle.tell((run.pass_id, happening) for happening in run.chronicler.waiting)
        run.chronicler.waiting.clear()
        values.setdefault("seconds", round(self.fleet.clock() - run.since, 3))
        chronicle.end(run.pass_id, outcome=outcome, at=self.fleet.now(), **values)


class _InTurn:
    """The worker processes, for one pass at a time: there are as many as processors, whoever works with them.

    For as long as they work they hold what they need of the connections that all passes share.
    """

    def __init__(self, pool: Pool, rota: Rota, origin: str) -> None:
        self._pool = pool
        self._rota = rota
        self._origin = origin

    @property
    def lanes(self) -> int:
        return self._pool.lanes

    def prepare(self) -> None:
        if not self._rota.workers_taken:
            self._pool.prepare()

    async def aclose(self) -> None:
        await self._pool.aclose()

    @asynccontextmanager
    async def at_work(self, place: Place, by: str, told: Told, lanes: int) -> AsyncIterator[Workers]:
        # a share of their own: the pass itself has requests, too, which must not wait until the workers end
        with self._rota.lines.share(self._origin) as lines:
            held = 0 if self._rota.workers_taken else lines.take_at_once(lanes)
            if held > 1:
                self._rota.workers_taken = True
                try:
                    async with self._pool.at_work(place, by, told, held) as workers:
                        yield workers
                finally:
                    self._rota.workers_taken = False
                return
        await self._pool.aclose()  # prepared before others took them, or the connections
        yield _NoWorkers()


class _NoWorkers:
    """What a pass works with while another has the workers."""

    def takes(self, step: Step) -> bool:  # noqa: ARG002  a port's
        return False

    def hand(self, moving: Moving) -> None:
        raise AssertionError(moving)

    async def drained(self) -> None:
        return


async def contained(work: Coroutine[Any, Any, T]) -> T | Failed:
    """Return what `work` returns, or how it failed, bugs included; whoever cancels us cancels it."""
    task = asyncio.create_task(work)  # owned by this very function, which awaits it
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        return Failed(asyncio.CancelledError("it was cancelled from within"))
    error = task.exception()
    if error is None:
        return task.result()
    return Failed(first_of(error) if isinstance(error, BaseExceptionGroup) else error)


def _left(run: Run, standing: Standing) -> tuple[int, int]:
    if run.tally.phase == "survey":
        return standing.backlog
    return max(0, run.tally.planned_files - run.tally.files) + run.tally.failed, run.left()


def _origin(standing: Standing) -> str:
    assert standing.declared is not None
    return origin_of(standing.declared.mirror.source.url)


def _name(error: BaseException) -> str:
    return error_name(error) if isinstance(error, SyncdError) else type(error).__name__


def _words(error: BaseException) -> str:
    if isinstance(error, SyncdError):
        return str(error)
    return f"a bug in syncd ({type(error).__name__}: {error}): the log has it in full; please report it"
