"""The daemon's Control for another thread: the API answers from there while the daemon's own loop is busy with passes.

Rules:
1. Queries that return at once read the daemon's memory where they are asked; `syncd.daemon.live_views` allows that.
2. Queries of the Catalogue use the background reader, which any loop may await.
3. Everything else runs on the daemon's loop: actions, and queries of the store or of upstream.
4. Events cross in batches, at most one batch every GATHER seconds, so that thousands of events a second wake the other
   thread twenty times.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any, ParamSpec, TypeVar, cast

from syncd.control import Control
from syncd.core import Event

P = ParamSpec("P")
T = TypeVar("T")

READS = frozenset(
    {
        "passes",
        "entries",
        "entry",
        "snapshots",
        "copies",
        "quarantine",
        "parked",
        "rejections",
        "failures",
        "audit",
        "usage",
        "tombstones",
    }
)  # that await nothing but the background reader
GATHER = 0.05  # seconds between two batches of events
BATCH = 500  # events that wait for the next batch; more wait in the subscription, which may lose some


def threaded_control(control: Control, loop: asyncio.AbstractEventLoop) -> Control:
    """Return `control`, which belongs to `loop`, for the loop of another thread."""
    return cast("Control", _ThreadedControl(control, loop))


def run_on(loop: asyncio.AbstractEventLoop, method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return `method`, which belongs to `loop`, for the loop of another thread."""

    async def there(*values: P.args, **named: P.kwargs) -> T:
        return await method(*values, **named)

    async def run(*values: P.args, **named: P.kwargs) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(*values, **named), loop))

    return run


class _ThreadedControl:
    def __init__(self, control: Control, loop: asyncio.AbstractEventLoop) -> None:
        self._control = control
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._control, name)
        if name in READS or not inspect.iscoroutinefunction(method):
            return method
        return run_on(self._loop, method)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Subscribe as Control says; the events arrive in this thread."""
        events = _Crossing(self._loop)
        pump = asyncio.run_coroutine_threadsafe(events.pump(self._control), self._loop)
        try:
            await asyncio.wrap_future(events.begun)
            yield aiter(events)
        finally:
            pump.cancel()


class _Crossing:
    """Events on their way from the daemon's loop to the subscriber's."""

    def __init__(self, daemon: asyncio.AbstractEventLoop) -> None:
        self._daemon = daemon
        self._here = asyncio.get_running_loop()
        self.begun: Future[None] = Future()
        # on the daemon's loop:
        self._batch: list[Event] = []
        self._is_sent = False
        self._room = asyncio.Event()
        # on the subscriber's:
        self._arrived: deque[Event] = deque()
        self._turn = asyncio.Event()
        self._is_over = False

    async def pump(self, control: Control) -> None:
        """Send the events of a subscription; runs on the daemon's loop."""
        try:
            async with control.subscribe() as events:
                self.begun.set_result(None)
                async for event in events:
                    self._batch.append(event)
                    if not self._is_sent:
                        self._send()
                    while len(self._batch) >= BATCH:
                        self._room.clear()
                        await self._room.wait()
        finally:
            batch, self._batch = self._batch, []  # it is sent once, though a request for more may still come
            with suppress(RuntimeError):  # the subscriber's loop is closed
                self._here.call_soon_threadsafe(self._end, batch)

    def _send(self) -> None:
        batch, self._batch, self._is_sent = self._batch, [], True
        with suppress(RuntimeError):
            self._here.call_soon_threadsafe(self._arrive, batch)

    def _on_read(self) -> None:
        self._is_sent = False
        self._room.set()
        if self._batch:
            self._send()

    def _arrive(self, batch: list[Event]) -> None:
        self._arrived.extend(batch)
        self._turn.set()
        self._here.call_later(GATHER, self._ask_for_more)

    def _ask_for_more(self) -> None:
        if self._arrived:  # the subscriber is slow
            self._here.call_later(GATHER, self._ask_for_more)
        else:
            with suppress(RuntimeError):  # the daemon's loop is closed
                self._daemon.call_soon_threadsafe(self._on_read)

    def _end(self, batch: list[Event]) -> None:
        self._arrived.extend(batch)
        self._is_over = True
        self._turn.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._arrived:
                yield self._arrived.popleft()
            if self._is_over:
                return
            self._turn.clear()
            await self._turn.wait()
