"""Runs an asynchronous context on an event loop of its own, in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Generic, TypeVar

from syncd.process.event_loop import fast_loop

T = TypeVar("T")

SHUTDOWN = 20.0  # seconds for the context to end; then the thread is left behind, and ends with the process


@asynccontextmanager
async def loop_thread(context: Callable[[], AbstractAsyncContextManager[T]], name: str) -> AsyncIterator[T]:
    """Enter `context` in a thread with its own loop, yield what it yields, and leave it there at the end of the block.

    The caller may read what it yields, and call it through `call_soon_threadsafe` of its loop. What prevents the
    context from opening is raised here; if it fails later, the block is cancelled and the failure raised.
    """
    thread = _LoopThread(context, name)
    over = asyncio.wrap_future(thread.over)
    try:
        value = await asyncio.shield(asyncio.wrap_future(thread.opened))
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_failure(over))
            try:
                yield value
            finally:
                watch.cancel()
    finally:
        thread.end()
        await asyncio.wait({over}, timeout=SHUTDOWN)
        if over.done():
            await asyncio.to_thread(thread.join)


async def _failure(over: asyncio.Future[None]) -> None:
    """Raise the failure of a thread, as soon as there is one."""
    await asyncio.shield(over)


class _LoopThread(Generic[T]):
    def __init__(self, context: Callable[[], AbstractAsyncContextManager[T]], name: str) -> None:
        self.opened: Future[T] = Future()
        self.over: Future[None] = Future()
        self._context = context
        self._end = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=fast_loop())
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to leave its context."""
        if not self.over.done():
            with suppress(RuntimeError):  # its loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._end.set)

    def join(self) -> None:
        """Wait for the thread, which has nothing left to do."""
        self._thread.join()

    def _run(self) -> None:
        with self._runner:
            error = self._runner.run(self._contained())
        if not self.opened.done():
            self.opened.set_exception(error or RuntimeError("the context ended before it opened"))
        elif error is not None:
            self.over.set_exception(error)
        if not self.over.done():
            self.over.set_result(None)

    async def _contained(self) -> BaseException | None:
        """Return the failure of the context, for the thread that waits."""
        task = asyncio.create_task(self._main())  # owned by this method, which waits for it
        await asyncio.wait({task})
        return None if task.cancelled() else task.exception()

    async def _main(self) -> None:
        async with self._context() as value:
            self.opened.set_result(value)
            await self._end.wait()
