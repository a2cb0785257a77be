"""The stream of server-sent events: sends the daemon's events to clients without slowing passes.

Rules:
1. One subscription serves all clients. Frequent events (bytes, files, documents) are combined into one `progress` per
   second for each mirror with changes.
2. Every other event has an id. A client that reconnects with the last id receives the events it missed; if they are no
   longer available, it receives `reset` and should read the state again.
3. A client that is too slow is disconnected. The number of clients is bounded, and so are the buffered events.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from aiohttp import web

from manifests.messages import message, plain
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
KEPT = 512  # past events that are buffered
BEHIND = 128  # events that a client may be behind
TICK = 1.0  # seconds between two progress events
HEARTBEAT = 15.0  # seconds without events after which a comment is sent, so that proxies keep the connection
SLOW = 10.0  # seconds in which a client must read an event

_OFTEN = (TransferStarted, TransferAdvanced, TransferFinished, SurveyAdvanced, ScrubAdvanced)


class ProgressMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a running pass; `progress` is null after its end."""

    mirror: str
    progress: ProgressView | None


class _Listener:
    def __init__(self, mirror: str, sees: Callable[[str], bool] | None) -> None:
        self.mirror = mirror
        self.sees = sees
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(BEHIND)
        self.late = False

    def enqueue(self, mirror: str, said: bytes) -> None:
        if self.late or (self.mirror and mirror not in {self.mirror, ""}):
            return
        if self.sees is not None and not self.sees(mirror) and b"event: reset\n" not in said[:80]:
            return
        try:
            self.queue.put_nowait(said)
        except asyncio.QueueFull:
            self.late = True


class EventStream:
    """Sends events to all clients."""

    def __init__(
        self, control: Control, *, epoch: str, tick: float = TICK, heartbeat: float = HEARTBEAT, slow: float = SLOW
    ) -> None:
        """`epoch` distinguishes the ids of this process."""
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
        """Return the number of clients."""
        return len(self._listeners)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscribe to the daemon's events within the block; at its end every client is disconnected."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow_events()), group.create_task(self._broadcast_progress())]
            try:
                yield
            finally:
                self.close()
                for task in tasks:
                    task.cancel()

    def close(self) -> None:
        """Disconnect every client."""
        self._over = True
        for listener in self._listeners:
            try:
                listener.queue.put_nowait(None)  # behind the events that it has not been sent yet
            except asyncio.QueueFull:
                listener.late = True

    async def serve(
        self,
        request: web.Request,
        mirror: str,
        *,
        until: float | None = None,
        sees: Callable[[str], bool] | None = None,
        lasts: Callable[[], bool] = lambda: True,
    ) -> web.StreamResponse:
        """Send events to one client until it disconnects, is too slow, or `until` seconds have passed.

        `lasts` is asked before each event: when it says no, the token was revoked, and the stream ends.

        `sees` tells whose events it may see; "" stands for the daemon. None: it may see all.
        """
        if self._over or len(self._listeners) >= LISTENERS:
            raise HttpError(
                503,
                "Refused",
                message("{listeners} clients are connected already", listeners=LISTENERS),
                message("close another page, or try again later"),
                retry_after=30,
            )
        listener = _Listener(mirror, sees)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self._listeners.add(listener)  # before the first wait: nothing is missed
        for whose, said in self._missed(request.headers.get("Last-Event-ID"), mirror):
            listener.enqueue(whose, said)
        with suppress(ConnectionError, TimeoutError):
            try:
                await response.prepare(request)
                await response.write(b"retry: 3000\n\n")
                async with asyncio.timeout(until):
                    await self._write_events(listener, response, lasts)
            finally:
                self._listeners.discard(listener)
        return response

    async def _write_events(self, listener: _Listener, response: web.StreamResponse, lasts: Callable[[], bool]) -> None:
        while not listener.late:
            said: bytes | None = b": still here\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat):
                    said = await listener.queue.get()
            if said is None or not lasts():
                return
            async with asyncio.timeout(self._slow):
                await response.write(said)

    def _missed(self, last: str | None, mirror: str) -> list[tuple[str, bytes]]:
        if last is None:
            return []
        epoch, _, number = last.partition("-")
        known = epoch == self._epoch and number.isdecimal() and len(number) < 20
        seen = int(number) if known else -1
        first = self._kept[0][0] if self._kept else self._count + 1
        missed = [
            (whose, said) for at, whose, said in self._kept if at > seen and (not mirror or whose in {mirror, ""})
        ]
        if not known or seen > self._count or seen + 1 < first or len(missed) >= BEHIND:
            return [("", self._line("reset", b"{}", self._count))]
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
    """Return an event as JSON; bytes of a path that are not Unicode are escaped."""
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
