"""Worker processes: starts them, deals files out to them, and hands back what they report (see `engine.worker_port`).

One process is started for all of them: it imports what a worker needs, and the others are forked from it.
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

from manifests.origins import origin_of
from syncd.core import errors
from syncd.core.errors import PermanentError, TransientError
from syncd.core.events import Listener, TransferAdvanced, TransferRestarted, TransferRetried
from syncd.core.steps import Step
from syncd.engine.transfer import Place, Quarantined
from syncd.engine.worker_port import GUESSED, LARGE, SMALL, Lost, Moving, Told
from syncd.sources.open_source import Upstream
from syncd.workers.messages import Errand, Outcome, Refusal, Setup, decode_answer, receive, send
from syncd.wrappers.governor import Governor, Governors

GRACE = 5.0  # seconds for a worker to end by itself

_KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


@dataclass(frozen=True, slots=True)
class _Crew:
    """Worker processes: the one that was started, the others' parent, and the sockets to them that nobody uses yet."""

    process: subprocess.Popen[bytes]
    sockets: list[socket.socket]


@dataclass(slots=True)
class ProcessPool:
    """What the workers of one pass are started with; there are up to `count` of them."""

    count: int
    upstream: Upstream
    store: str
    governors: Governors
    listener: Listener
    _started: asyncio.Future[_Crew] | None = None

    @property
    def _governor(self) -> Governor:
        return self.governors.of(origin_of(self.upstream.url))

    @property
    def lanes(self) -> int:
        """See `syncd.engine.worker_port.Pool`."""
        return self._governor.to_lend

    def prepare(self) -> None:
        """Let the workers start, if there are any."""
        if self.lanes > 1:
            self._begin()

    def _begin(self) -> None:
        if self._started is None:
            scheme = urlsplit(self.upstream.url).scheme
            self._started = asyncio.get_running_loop().run_in_executor(None, _start, self.count, scheme)

    @asynccontextmanager
    async def at_work(self, place: Place, by: str, told: Told, lanes: int) -> AsyncIterator["Processes"]:
        """See `worker_port.Pool`. Where the system lets no process start there are none, and they take nothing."""
        count = min(self.count, lanes)
        setup = Setup(self.upstream, self.store, place, by, lanes // count)
        workers = Processes(place.mirror, self.governors, self.listener, told)
        try:
            async with asyncio.TaskGroup() as group:
                self._begin()
                workers.crew = crew = await self._crew()
                while crew is not None and len(workers.all) < count:
                    reader, writer = await asyncio.open_unix_connection(sock=crew.sockets.pop(0))
                    send(writer, setup)
                    one = _Worker(reader, writer)
                    workers.all.append(one)
                    one.listening = group.create_task(workers.listen(one))
                with self._governor.lent(lanes if workers.all else 0):
                    yield workers
                for one in workers.all:
                    one.writer.close()
        finally:
            for one in workers.all:
                one.writer.close()
            await self._end(GRACE)

    async def aclose(self) -> None:
        """End workers that were prepared and not wanted: they have nothing to bring to an end."""
        if self._started is not None:
            await self._end(0)

    async def _end(self, grace: float) -> None:
        """Have the workers end by themselves within `grace` seconds."""
        if (crew := await self._crew()) is not None:
            for ours in crew.sockets:
                ours.close()
            await _end(crew.process, grace)
        self._started = None

    async def _crew(self) -> _Crew | None:
        """Return what was started, or None if that failed."""
        assert self._started is not None
        with suppress(OSError):
            return await asyncio.shield(self._started)  # a process that nobody knows of would stay
        return None


@dataclass(slots=True)
class _Worker:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, Moving] = field(default_factory=dict)
    unsent: list[tuple[int, Step]] = field(default_factory=list)
    listening: asyncio.Task[None] | None = None
    is_gone: bool = False


class Processes:
    """Workers at work; see `syncd.engine.worker_port.Workers`."""

    def __init__(self, mirror: str, governors: Governors, listener: Listener, told: Told) -> None:
        self.all: list[_Worker] = []
        self.crew: _Crew | None = None
        self._mirror = mirror
        self._governors = governors
        self._listener = listener
        self._told = told
        self._number = 0
        self._guessed = 0  # files of unknown size that are not known to be small
        self._right = 0  # and those that were
        self._heard = asyncio.Event()

    def takes(self, step: Step) -> bool:
        """Tell whether a file is one for workers, and there is still one of them.

        A file of unknown size is one while most of those before it were.
        """
        size = step.stat.size if step.stat is not None else None
        fits = self._guessed < GUESSED + self._right // LARGE if size is None else size <= SMALL
        return fits and not all(one.is_gone for one in self.all)

    def hand(self, moving: Moving) -> None:
        """Have the worker that has the fewest move a file."""
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

    async def drained(self) -> None:
        """Wait until it was told of every file what became of it."""
        while any(one.waiting for one in self.all):
            self._heard.clear()
            await self._heard.wait()

    def _send(self, one: _Worker) -> None:
        steps, one.unsent = one.unsent, []
        if not one.is_gone:
            send(one.writer, Errand(steps))

    async def listen(self, one: _Worker) -> None:
        """Take what a worker reports until it ends."""
        try:
            while (body := await receive(one.reader)) is not None:
                answer = decode_answer(body)
                if isinstance(answer, Refusal):
                    self._pass_on(one, answer)
                else:
                    self._take(one, answer)
                    self._heard.set()
        finally:
            one.is_gone = True
        lost, one.waiting = one.waiting, {}
        for moving in lost.values():
            self._told(moving, Lost("a worker process ended"))
        self._heard.set()

    def _pass_on(self, by: _Worker, refusal: Refusal) -> None:
        """Let all know what an origin said to one."""
        self._governors.of(refusal.origin).refused(refusal.retry_after)
        for one in self.all:
            if one is not by and not one.is_gone:
                send(one.writer, refusal)

    def _take(self, one: _Worker, outcome: Outcome) -> None:
        pop, told = one.waiting.pop, self._told
        for again in outcome.again:  # before what became of the same files afterwards
            if again.wait is None:
                self._in_vain(again.path, again.received)
                self._listener(TransferRestarted(self._mirror, again.path, again.reason, again.error))
            else:
                self._listener(
                    TransferRetried(self._mirror, again.path, again.reason, again.attempt, again.wait, again.error)
                )
        for number, proved in outcome.proved:
            moving = pop(number)
            if _is_guess(moving):
                self._guessed -= 1
                self._right += 1
            told(moving, proved)
        for number in outcome.not_small:
            told(pop(number), Lost("not small"))
        for failed in outcome.failed:
            moving = pop(failed.number)
            self._guessed -= _is_guess(moving)
            self._in_vain(moving.step.path, failed.received)
            told(moving, _raised(failed.error, failed.reason, failed.quarantined))
        for origin, traffic in outcome.traffic.items():
            self._governors.of(origin).count.add(
                traffic.answered, traffic.failed, traffic.bytes, traffic.seconds, traffic.first_byte
            )

    def _in_vain(self, path: str, received: int) -> None:
        """Tell of bytes that came; of a file that arrived nothing is told before it did."""
        if received:
            self._listener(TransferAdvanced(self._mirror, path, received))


def _is_guess(moving: Moving) -> bool:
    return moving.step.stat is not None and moving.step.stat.size is None


def _raised(error: str, reason: str, quarantined: str) -> TransientError | PermanentError:
    """Return the failure that a worker met."""
    if quarantined:
        return Quarantined(reason, quarantined)
    kind = _KINDS.get(error, PermanentError)
    assert issubclass(kind, TransientError | PermanentError)
    return kind(reason)


def _start(count: int, scheme: str) -> _Crew:
    """Start `count` workers that read urls of `scheme`. Raises OSError."""
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [number.fileno() for _, number in pairs]
    try:
        # -P: what lies in the working folder is no module of ours
        words = [sys.executable, "-P", "-m", "syncd.workers.process", scheme, *map(str, theirs)]
        # a group of their own: a terminal tells only us to stop, and we end them all
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=theirs, process_group=0)  # noqa: S603  our own program
    except OSError:
        for ours, _ in pairs:
            ours.close()
        raise
    finally:
        for _, its in pairs:
            its.close()
    return _Crew(process, [ours for ours, _ in pairs])


async def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Wait for the end of workers whose sockets are closed; those that do not end in time are killed."""
    try:
        await asyncio.to_thread(process.wait, grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)


def processors() -> int:
    """Return how many processors this process may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
