"""Starts worker processes, distributes files to them, and forwards their results (see `engine.worker_port`).

One process is started: it imports the modules of a worker, and the other workers are forked from it.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from manifests.messages import message, unpack
from manifests.origins import origin_of
from syncd.core import (
    Listener,
    OriginAway,
    OriginBack,
    PermanentError,
    Step,
    TransferAdvanced,
    TransferRestarted,
    TransferRetried,
    TransientError,
    errors,
)
from syncd.engine import (
    GUESSED,
    LARGE,
    SMALL,
    ActiveTransfer,
    OnTransferDone,
    PassPaths,
    Quarantined,
    QuarantineRoom,
    WorkerLost,
)
from syncd.sources import Upstream
from syncd.workers.messages import (
    Halt,
    OriginAbsence,
    Outcome,
    Setup,
    Throttled,
    TransferBatch,
    decode_answer,
    receive,
    send,
)
from syncd.wrappers import LONGEST_ABSENCE, Governor, Governors, stopping

GRACE = 5.0  # seconds for a worker to exit

_KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


@dataclass(frozen=True, slots=True)
class _WorkerGroup:
    """Started worker processes: the parent of the others, and the unused sockets to all of them."""

    process: subprocess.Popen[bytes]
    sockets: list[socket.socket]


@dataclass(slots=True)
class ProcessPool:
    """Starts up to `count` workers for one pass."""

    count: int
    upstream: Upstream
    store: str
    governors: Governors
    listener: Listener
    is_narrow: bool = False
    """True if other users must not read the files of the mirror."""
    group: int | None = None
    _started: asyncio.Future[_WorkerGroup] | None = None

    @property
    def _governor(self) -> Governor:
        return self.governors.of(origin_of(self.upstream.url))

    @property
    def concurrency(self) -> int:
        """See `syncd.engine.worker_port.Pool`."""
        return self._governor.to_lend

    def prepare(self) -> None:
        """Start the workers early, if there are any."""
        if self.concurrency > 1:
            self._begin()

    def _begin(self) -> None:
        if self._started is None:
            scheme = urlsplit(self.upstream.url).scheme
            self._started = asyncio.get_running_loop().run_in_executor(None, _start, self.count, scheme)

    @asynccontextmanager
    async def running(
        self, place: PassPaths, by: str, on_done: OnTransferDone, concurrency: int, room: QuarantineRoom
    ) -> AsyncIterator["ProcessWorkers"]:
        """See `worker_port.Pool`. If no process can be started, there are no workers, and they accept no files."""
        count = min(self.count, concurrency)
        lent = await room.lend(count)
        setup = Setup(self.upstream, self.store, place, by, concurrency // count, lent, self.is_narrow, self.group)
        workers = ProcessWorkers(place.mirror, self.governors, self.listener, on_done)
        try:
            async with asyncio.TaskGroup() as group:
                self._begin()
                workers.group = crew = await self._group()
                while crew is not None and len(workers.all) < count:
                    reader, writer = await asyncio.open_unix_connection(sock=crew.sockets.pop(0))
                    send(writer, setup)
                    one = _WorkerConnection(reader, writer)
                    workers.all.append(one)
                    one.listening = group.create_task(workers.listen(one))
                halting = group.create_task(workers.halt_on_stop())
                with self._governor.lent(concurrency if workers.all else 0):
                    yield workers
                halting.cancel()
                for one in workers.all:
                    one.writer.close()
        finally:
            for one in workers.all:
                one.writer.close()
            await self._end(GRACE)

    async def aclose(self) -> None:
        """End workers that were prepared but not used; they have no work in flight."""
        if self._started is not None:
            await self._end(0)

    async def _end(self, grace: float) -> None:
        """Wait up to `grace` seconds for the workers to exit."""
        if (crew := await self._group()) is not None:
            for ours in crew.sockets:
                ours.close()
            await _end(crew.process, grace)
        self._started = None

    async def _group(self) -> _WorkerGroup | None:
        """Return the started processes, or None if the start failed."""
        assert self._started is not None
        with suppress(OSError):
            return await asyncio.shield(self._started)  # without this, the process would remain
        return None


@dataclass(slots=True)
class _WorkerConnection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, ActiveTransfer] = field(default_factory=dict)
    unsent: list[tuple[int, Step]] = field(default_factory=list)
    listening: asyncio.Task[None] | None = None
    is_gone: bool = False


class ProcessWorkers:
    """Running workers; see `syncd.engine.worker_port.Workers`."""

    def __init__(self, mirror: str, governors: Governors, listener: Listener, on_done: OnTransferDone) -> None:
        self.all: list[_WorkerConnection] = []
        self.group: _WorkerGroup | None = None
        self._mirror = mirror
        self._governors = governors
        self._listener = listener
        self._on_done = on_done
        self._number = 0
        self._guessed = 0  # files of unknown size whose result is not known
        self._right = 0  # and those that were small
        self._on_event = asyncio.Event()
        self._away: dict[str, set[int]] = {}  # the workers that wait for an origin

    def accepts(self, step: Step) -> bool:
        """Return True if a file is suitable for workers, and a worker is alive.

        A file of unknown size is suitable while most earlier ones were small.
        """
        size = step.stat.size if step.stat is not None else None
        fits = self._guessed < GUESSED + self._right // LARGE if size is None else size <= SMALL
        return fits and not all(one.is_gone for one in self.all)

    def submit(self, moving: ActiveTransfer) -> None:
        """Give a file to the worker with the fewest files."""
        one = None
        for other in self.all:
            if not other.is_gone and (one is None or len(other.waiting) < len(one.waiting)):
                one = other
        assert one is not None
        self._guessed += _is_guess(moving)
        self._number = number = self._number + 1
        one.waiting[number] = moving
        if not one.unsent:
            asyncio.get_running_loop().call_soon(self._send, one)
        one.unsent.append((number, moving.step))

    async def join(self) -> None:
        """Wait for the results of all files."""
        while any(one.waiting for one in self.all):
            self._on_event.clear()
            await self._on_event.wait()

    async def halt_on_stop(self) -> None:
        """Tell the workers when the pass is asked to stop."""
        if (asked := stopping.get()) is not None:
            await asked.wait()
            for one in self.all:
                if not one.is_gone:
                    send(one.writer, Halt())

    def _send(self, one: _WorkerConnection) -> None:
        steps, one.unsent = one.unsent, []
        if not one.is_gone:
            send(one.writer, TransferBatch(steps))

    async def listen(self, one: _WorkerConnection) -> None:
        """Process the reports of a worker until it ends."""
        try:
            while (body := await receive(one.reader)) is not None:
                answer = decode_answer(body)
                if isinstance(answer, Throttled):
                    self._forward(one, answer)
                elif isinstance(answer, OriginAbsence):
                    self._on_absence(one, answer)
                else:
                    self._on_outcome(one, answer)
                    self._on_event.set()
        finally:
            one.is_gone = True
        lost, one.waiting = one.waiting, {}
        for moving in lost.values():
            self._on_done(moving, WorkerLost(message("a worker process ended")))
        self._on_event.set()

    def _on_absence(self, by: _WorkerConnection, absence: OriginAbsence) -> None:
        """Report an origin that is away for any worker, once, and its return to the last one."""
        missed = self._away.setdefault(absence.origin, set())
        if absence.seconds is None:
            if not missed:
                reason = unpack(absence.reason, absence.message)
                self._listener(OriginAway(self._mirror, absence.origin, reason, LONGEST_ABSENCE))
            missed.add(id(by))
        else:
            missed.discard(id(by))
            if not missed:
                self._listener(OriginBack(self._mirror, absence.origin, absence.seconds, not absence.reason))

    def _forward(self, by: _WorkerConnection, refusal: Throttled) -> None:
        """Send the refusal of an origin to all workers."""
        self._governors.of(refusal.origin).refused(refusal.retry_after)
        for one in self.all:
            if one is not by and not one.is_gone:
                send(one.writer, refusal)

    def _on_outcome(self, one: _WorkerConnection, outcome: Outcome) -> None:
        pop, on_done = one.waiting.pop, self._on_done
        for again in outcome.retried:  # before the results of the same files
            reason = unpack(again.reason, again.message)
            if again.wait is None:
                self._report_wasted(again.path, again.received)
                self._listener(TransferRestarted(self._mirror, again.path, reason, again.error))
            else:
                self._listener(
                    TransferRetried(self._mirror, again.path, reason, again.attempt, again.wait, again.error)
                )
        for number, proved in outcome.proved:
            moving = pop(number)
            if _is_guess(moving):
                self._guessed -= 1
                self._right += 1
            on_done(moving, proved)
        for number in outcome.not_small:
            on_done(pop(number), WorkerLost(message("not small")))
        for failed in outcome.failed:
            moving = pop(failed.number)
            self._guessed -= _is_guess(moving)
            self._report_wasted(moving.step.path, failed.received)
            on_done(moving, _raised(failed.error, unpack(failed.reason, failed.message), failed.quarantined))
        for origin, traffic in outcome.traffic.items():
            self._governors.of(origin).count.add(
                traffic.answered, traffic.failed, traffic.bytes, traffic.seconds, traffic.first_byte
            )

    def _report_wasted(self, path: str, received: int) -> None:
        """Report received bytes; those of a completed file after its completion."""
        if received:
            self._listener(TransferAdvanced(self._mirror, path, received))


def _is_guess(moving: ActiveTransfer) -> bool:
    return moving.step.stat is not None and moving.step.stat.size is None


def _raised(error: str, reason: str, quarantined: str) -> TransientError | PermanentError:
    """Return the failure that a worker reported."""
    if quarantined:
        return Quarantined(reason, quarantined)
    kind = _KINDS.get(error, PermanentError)
    assert issubclass(kind, TransientError | PermanentError)
    return kind(reason)


def _start(count: int, scheme: str) -> _WorkerGroup:
    """Start `count` workers that can read urls of `scheme`. Raises OSError."""
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [number.fileno() for _, number in pairs]
    try:
        # -P: import no modules from the working folder
        words = [sys.executable, "-P", "-m", "syncd.workers.process", scheme, *map(str, theirs)]
        # Ctrl-C must reach only this process, which ends them
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=theirs, process_group=0)  # noqa: S603  our own program
    except OSError:
        for ours, _ in pairs:
            ours.close()
        raise
    finally:
        for _, its in pairs:
            its.close()
    return _WorkerGroup(process, [ours for ours, _ in pairs])


async def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Wait for workers whose sockets are closed to exit; kill those that do not exit in time."""
    try:
        await asyncio.to_thread(process.wait, grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)


def processors() -> int:
    """Return the number of processors that this process may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
