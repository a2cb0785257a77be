"""What happens in the daemon, told as server-sent events to whoever listens, and never at the passes' cost.

Rules:
1. One subscription serves all listeners. What happens many times a second (bytes, files, documents) is told as one
   `progress` of each mirror that moved, once a second.
2. Every other event has an id. A listener that comes back with the last id it saw is told what it missed; if that is
   no longer known, it is told `reset` and should ask for the state anew.
3. A listener that does not keep up is let go. Their number is bounded, and what is kept for them too.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from aiohttp import web

from manifests.messages import plain
from syncd.api.errors import HttpError
from syncd.control import Control, ProgressView
from syncd.core import (
    Event,
    EventsLost,
    NotFound,
    ScrubAdvanced,
    SurveyAdvanced,
    TransferAdvanced,
    TransferFinished,
    TransferStarted,
)
from syncd.process import event_name

LISTENERS = 64
KEPT = 512  # events that a listener may have missed
BEHIND = 128  # events that a listener may be behind
TICK = 1.0  # seconds between two words of progress
HEARTBEAT = 15.0  # seconds after which silence is broken, so that proxies keep the connection
SLOW = 10.0  # seconds in which a listener must take what it is sent

_OFTEN = (TransferStarted, TransferAdvanced, TransferFinished, SurveyAdvanced, ScrubAdvanced)


class ProgressMessage(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running pass is; `progress` is null once none is."""

    mirror: str
    progress: ProgressView | None


class _Listener:
    def __init__(self, mirror: str) -> None:
        self.mirror = mirror
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(BEHIND)
        self.late = False

    def enqueue(self, mirror: str, said: bytes) -> None:
        if self.late or (self.mirror and mirror not in {self.mirror, ""}):
            return
        try:
            self.queue.put_nowait(said)
        except asyncio.QueueFull:
            self.late = True


class EventStream:
    """Tells all listeners what happens."""

    def __init__(
        self, control: Control, *, epoch: str, tick: float = TICK, heartbeat: float = HEARTBEAT, slow: float = SLOW
    ) -> None:
        """`epoch` makes the ids of this process its own."""
        self._control = control
        self._epoch = epoch
        self._tick = tick
        self._heartbeat = heartbeat
        self._slow = slow
        self._count = 0
        self._kept: deque[tuple[int, str, bytes]] = deque(maxlen=KEPT)
        self._moved: set[str] = set()
        self._listeners: set[_Listener] = set()
        self._over = False

    @property
    def listeners(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the daemon over the block; at its end every listener is let go."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow_events()), group.create_task(self._broadcast_progress())]
            try:
                yield
            finally:
                self.close()
                for task in tasks:
                    task.cancel()

    def close(self) -> None:
        """Let every listener go."""
        self._over = True
        for listener in self._listeners:
            listener.late = True
            with suppress(asyncio.QueueFull):
                listener.queue.put_nowait(None)

    async def serve(self, request: web.Request, mirror: str, *, until: float | None = None) -> web.StreamResponse:
        """Tell one listener what happens until it leaves, does not keep up, or `until` seconds have passed."""
        if self._over or len(self._listeners) >= LISTENERS:
            raise HttpError(
                503, "Refused", f"{LISTENERS} listen already", "close another page, or ask again later", retry_after=30
            )
        listener = _Listener(mirror)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self._listeners.add(listener)  # before the first wait: nothing is missed
        for said in self._missed(request.headers.get("Last-Event-ID"), mirror):
            listener.enqueue(mirror, said)
        with suppress(ConnectionError, TimeoutError):
            try:
                await response.prepare(request)
                await response.write(b"retry: 3000\n\n")
                async with asyncio.timeout(until):
                    await self._write_events(listener, response)
            finally:
                self._listeners.discard(listener)
        return response

    async def _write_events(self, listener: _Listener, response: web.StreamResponse) -> None:
        while not listener.late:
            said: bytes | None = b": still here\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat):
                    said = await listener.queue.get()
            if said is None:
                return
            async with asyncio.timeout(self._slow):
                await response.write(said)

    def _missed(self, last: str | None, mirror: str) -> list[bytes]:
        if last is None:
            return []
        epoch, _, number = last.partition("-")
        known = epoch == self._epoch and number.isdecimal() and len(number) < 20
        seen = int(number) if known else -1
        first = self._kept[0][0] if self._kept else self._count + 1
        missed = [said for at, whose, said in self._kept if at > seen and (not mirror or whose in {mirror, ""})]
        if not known or seen > self._count or seen + 1 < first or len(missed) >= BEHIND:
            return [self._line("reset", b"{}", self._count)]
        return missed

    async def _follow_events(self) -> None:
        async with self._control.subscribe() as events:
            async for event in events:
                self._keep_event(event)
        self.close()  # the daemon stops

    def _keep_event(self, event: Event) -> None:
        if isinstance(event, _OFTEN):
            self._moved.add(event.mirror)
            return
        self._moved.add(event.mirror)
        self._count += 1
        word = "reset" if isinstance(event, EventsLost) else event_name(type(event))
        said = self._line(word, _encode(event), self._count)
        self._kept.append((self._count, event.mirror, said))
        self._broadcast(event.mirror, said)

    async def _broadcast_progress(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            moved, self._moved = self._moved - {""}, set()
            if not self._listeners:
                continue
            moved |= {mirror.name for mirror in self._control.mirrors() if mirror.progress is not None}
            for name in sorted(moved):
                with suppress(NotFound):
                    progress = self._control.mirror(name).progress
                    said = msgspec.json.encode(ProgressMessage(mirror=name, progress=progress), enc_hook=plain)
                    self._broadcast(name, self._line("progress", said, None))

    def _broadcast(self, mirror: str, said: bytes) -> None:
        for listener in self._listeners:
            listener.enqueue(mirror, said)

    def _line(self, word: str, said: bytes, number: int | None) -> bytes:
        known = f"id: {self._epoch}-{number}\n" if number is not None else ""
        return f"{known}event: {word}\n".encode() + b"data: " + said + b"\n\n"


def _encode(event: Event) -> bytes:
    """Return an event as JSON; a path that is no Unicode text is written out as far as it is none."""
    try:
        return msgspec.json.encode(event, enc_hook=plain)
    except UnicodeEncodeError:
        said = msgspec.to_builtins(event, enc_hook=plain)
        return msgspec.json.encode(
            {
                name: one.encode(errors="backslashreplace").decode() if isinstance(one, str) else one
                for name, one in said.items()
            },
            enc_hook=plain,
        )
