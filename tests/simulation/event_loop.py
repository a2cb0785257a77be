"""An event loop without time, threads and sockets, in which several simulated processes run and can be killed.

Which of the tasks that are ready runs next is drawn from a seeded generator. Time passes only when no task is ready: it
jumps to the next timer. What the program gives to a thread runs in one piece, at a moment that is drawn as well.
"""

import asyncio
import contextlib
import contextvars
import heapq
import random
import secrets
import sys
import time
from asyncio import events
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from unittest import mock

from syncd.core import take_own_turns
from syncd.engine import publish_changes, publish_shards, publish_sums

EPOCH = 1_700_000_000.0
MOST_TURNS = 400_000  # of one history: what takes more goes on for ever

_process: contextvars.ContextVar["SimulatedProcess | None"] = contextvars.ContextVar("process", default=None)


class Killed(BaseException):
    """The process that would go on has been killed; it must not be caught by the program."""


class Endless(AssertionError):
    """The program takes turn after turn and does not come to an end."""


class Stuck(AssertionError):
    """Every task waits, and no timer will wake one."""


def print_nothing(_unraisable: object) -> None:
    """What a killed process leaves open complains of being closed."""


class SimulatedProcess:
    """One process of the simulation: its tasks, and what ends it."""

    def __init__(self, number: int, daemon: int) -> None:
        self.number, self.daemon, self.name = number, daemon, f"daemon {daemon}"
        self.turns = 0
        self.kill_at = 0  # the turn before which it is killed; 0: it lives
        self.pause_at = 0
        self.is_dead = self.is_paused = False
        self.parked: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.ended: asyncio.Future[None] | None = None
        self.on_kill: list[Callable[[], None]] = []

    def kill(self) -> None:
        self.is_dead = True
        self.parked.clear()
        for act in self.on_kill:
            act()
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)

    def close_tasks(self) -> None:
        """End the coroutines of a killed process without letting them do anything."""
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # typeshed hides it
            if task.done():
                task._log_traceback = False  # whoever would have asked for its exception was killed
            else:
                with contextlib.suppress(BaseException), mock.patch.object(sys, "unraisablehook", print_nothing):
                    task.get_coro().close()
        self.tasks.clear()


def current_process() -> SimulatedProcess | None:
    return _process.get()


class SimulatedLoop(asyncio.BaseEventLoop):
    """`chance` decides what runs next; `bugs` are exceptions that no task took."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._ready: list[asyncio.Handle] = []  # of the base class, which only appends to it
        self._scheduled: list[asyncio.TimerHandle] = []  # as above, a heap
        self.chance = chance
        self.now = 0.0
        self.turns = 0
        self.bugs: list[str] = []
        self.on_turn: Callable[[], None] = lambda: None
        self.set_exception_handler(self._note_bug)
        self.set_task_factory(self._new_task)

    # -- what a loop is asked for --

    def time(self) -> float:
        return self.now

    def call_soon_threadsafe(self, callback, *args, context=None):  # type: ignore[override]  # untyped, as all here
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        """There is no other thread to wake."""

    def run_in_executor(self, executor, func, *args):  # type: ignore[override]  # as above
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            events._set_running_loop(None)  # in a thread no loop runs
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001  as an executor does
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                events._set_running_loop(self)

        self.call_soon(run)
        return future

    def _asyncgen_finalizer_hook(self, agen) -> None:
        """What a killed process leaves open is not finished by it."""

    @staticmethod
    def _new_task(loop, coro, **more):
        task = asyncio.Task(coro, loop=loop, **more)
        if (process := _process.get()) is not None:
            process.tasks.append(task)
        return task

    def _note_bug(self, _loop, context) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed):
            self.bugs.append(f"{context['message']}: {error!r}")

    # -- one turn --

    def _run_once(self) -> None:
        handle = self._next()
        if handle is None:
            return
        process = handle._context.get(_process)  # type: ignore[attr-defined]  # it has, and typeshed hides it
        if process is not None:
            if process.is_dead:
                return
            if process.is_paused:
                process.parked.append(handle)
                return
            process.turns += 1
            if process.turns == process.kill_at:
                process.kill()
                return
            if process.turns == process.pause_at:
                process.is_paused = True
                process.parked.append(handle)
                if process.ended is not None and not process.ended.done():
                    process.ended.set_result(None)
                return
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Endless(f"{MOST_TURNS} turns of the event loop, and no end")
        handle._run()
        self.on_turn()

    def _next(self) -> asyncio.Handle | None:
        """Return a handle that is ready, drawn among all; None if that one was cancelled."""
        scheduled, ready = self._scheduled, self._ready
        while scheduled and (scheduled[0]._cancelled or scheduled[0].when() <= self.now):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]  # as above
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            if not scheduled:
                raise Stuck("every task waits, and no timer will wake one")
            self.now = scheduled[0].when()
            return None
        at = int(self.chance.random() * len(ready))
        ready[at], ready[-1] = ready[-1], ready[at]
        handle = ready.pop()
        return None if handle._cancelled else handle

    # -- processes --

    async def run_process(self, process: SimulatedProcess, work: Coroutine[Any, Any, None]) -> BaseException | None:
        """Run `work` as a process until it ends, is killed or paused; returns what it raised."""
        self.start_process(process, work)
        return await self.wait_for(process)

    def start_process(self, process: SimulatedProcess, work: Coroutine[Any, Any, None]) -> None:
        process.ended = self.create_future()
        context = contextvars.copy_context()
        context.run(_process.set, process)
        context.run(take_own_turns)
        task = self.create_task(work, context=context)
        context.run(process.tasks.append, task)
        task.add_done_callback(lambda _: process.ended.done() or process.ended.set_result(None))

    async def wait_for(self, process: SimulatedProcess) -> BaseException | None:
        assert process.ended is not None
        await process.ended
        if process.is_dead or process.is_paused:
            return None
        task = process.tasks[0]
        return task.exception() if not task.cancelled() else asyncio.CancelledError()

    def resume(self, process: SimulatedProcess) -> None:
        """Let a paused process go on: whatever became ready meanwhile is ready now."""
        process.is_paused = False
        process.ended = self.create_future()
        process.tasks[0].add_done_callback(lambda _: process.ended.done() or process.ended.set_result(None))
        parked, process.parked = process.parked, []
        self._ready.extend(parked)


@contextlib.contextmanager
def large_mirror() -> Iterator[None]:
    """Within the block, a mirror of a few files is published as one of many: shards are edited, sums have parts."""
    with (
        mock.patch.object(publish_changes, "SMALL", 0),
        mock.patch.object(publish_shards, "MAX_SUMS", 0),
        mock.patch.object(publish_sums, "MAX_SUMS", 0),
    ):
        yield


@contextlib.contextmanager
def seeded_world(loop: SimulatedLoop, chance: random.Random) -> Iterator[None]:
    """Within the block, clocks and chance are those of `loop`."""

    def wall() -> float:
        return EPOCH + loop.now

    def token_hex(size: int = 16) -> str:
        return chance.randbytes(size).hex()

    before = random.getstate()
    random.seed(chance.getrandbits(64))
    with (
        mock.patch.object(time, "time", wall),
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(secrets, "token_hex", token_hex),
    ):
        try:
            yield
        finally:
            random.setstate(before)
