"""Worker processes: starts them, deals files out to them, and hands back what they report (see `syncd.workers`)."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from syncd import errors
from syncd.errors import PermanentError, TransientError
from syncd.events import Listener, TransferRestarted, TransferRetried
from syncd.frames import Errand, Outcome, Refusal, Setup, decode_answer, receive, send
from syncd.governor import CEILING, Governors
from syncd.plan import Step
from syncd.transfer import Place, Proved, Quarantined
from syncd.upstream import Upstream
from syncd.workers import SMALL, Lost

GRACE = 5.0  # seconds for a worker to end by itself

_KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


@dataclass(frozen=True, slots=True)
class ProcessPool:
    """What workers are started with; `count` of them."""

    count: int
    upstream: Upstream
    store: str
    governors: Governors
    listener: Listener

    @asynccontextmanager
    async def at_work(self, place: Place, by: str) -> AsyncIterator["Processes"]:
        """Start the workers, and end them with the block."""
        upstream = self.upstream
        setup = Setup(
            upstream=Upstream(
                **{
                    **{name: getattr(upstream, name) for name in upstream.__struct_fields__},
                    "connections": max(1, (upstream.connections or CEILING) // self.count),
                    "rate": None if upstream.rate is None else upstream.rate / self.count,
                }
            ),
            store=self.store,
            place=place,
            by=by,
            ceiling=max(1, CEILING // self.count),
        )
        workers = Processes(place.mirror, self.governors, self.listener)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.count):
                    one = await _start(setup)
                    workers.all.append(one)
                    one.listening = group.create_task(workers.listen(one))
                yield workers
                for one in workers.all:
                    one.writer.close()
        finally:
            for one in workers.all:
                one.writer.close()
                await _end(one.process)


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, asyncio.Future[Proved]] = field(default_factory=dict)
    unsent: list[tuple[int, Step]] = field(default_factory=list)
    listening: asyncio.Task[None] | None = None
    is_gone: bool = False


class Processes:
    """Workers at work; `transfer` is the same as that of `Transfers`."""

    def __init__(self, mirror: str, governors: Governors, listener: Listener) -> None:
        self.all: list[_Worker] = []
        self._mirror = mirror
        self._governors = governors
        self._listener = listener
        self._number = 0

    def takes(self, step: Step) -> bool:
        """Tell whether a file is one for workers, and there is still one of them."""
        size = step.stat.size if step.stat is not None else None
        return size is not None and size <= SMALL and not all(one.is_gone for one in self.all)

    async def transfer(self, step: Step) -> Proved:
        """Have a worker move a file. Raises what it raised; Lost if it ended."""
        one = min((one for one in self.all if not one.is_gone), key=lambda one: len(one.waiting))
        self._number = number = self._number + 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Proved] = loop.create_future()
        one.waiting[number] = done
        if not one.unsent:
            loop.call_soon(self._send, one)
        one.unsent.append((number, step))
        try:
            return await done
        finally:
            one.waiting.pop(number, None)

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
        finally:
            one.is_gone = True
            for done in one.waiting.values():
                if not done.done():
                    done.set_exception(Lost("a worker process ended"))

    def _pass_on(self, by: _Worker, refusal: Refusal) -> None:
        """Let all know what an origin said to one."""
        self._governors.of(refusal.origin).refused(refusal.retry_after)
        for one in self.all:
            if one is not by and not one.is_gone:
                send(one.writer, refusal)

    def _take(self, one: _Worker, outcome: Outcome) -> None:
        waiting = one.waiting
        for number, proved in outcome.proved:
            done = waiting.get(number)
            if done is not None and not done.done():
                done.set_result(proved)
        for failed in outcome.failed:
            done = waiting.get(failed.number)
            if done is not None and not done.done():
                done.set_exception(_raised(failed.error, failed.reason, failed.quarantined))
        for again in outcome.again:
            if again.wait is None:
                self._listener(TransferRestarted(self._mirror, again.path, again.reason, again.error))
            else:
                self._listener(
                    TransferRetried(self._mirror, again.path, again.reason, again.attempt, again.wait, again.error)
                )
        for origin, traffic in outcome.traffic.items():
            self._governors.of(origin).count.add(
                traffic.answered, traffic.failed, traffic.bytes, traffic.seconds, traffic.first_byte
            )


def _raised(error: str, reason: str, quarantined: str) -> TransientError | PermanentError:
    """Return the failure that a worker met."""
    if quarantined:
        return Quarantined(reason, quarantined)
    kind = _KINDS.get(error, PermanentError)
    assert issubclass(kind, TransientError | PermanentError)
    return kind(reason)


async def _start(setup: Setup) -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.to_thread(_spawn, theirs)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    send(writer, setup)
    return _Worker(process, reader, writer)


def _spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
    # -P: what lies in the working folder is no module of ours
    words = [sys.executable, "-P", "-m", "syncd.worker"]
    return subprocess.Popen(words, stdin=theirs.fileno())  # noqa: S603  our own program


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a worker whose socket is closed; one that does not end is killed."""
    try:
        await asyncio.to_thread(process.wait, GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


def processors() -> int:
    """Return how many processors this process may use."""
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
