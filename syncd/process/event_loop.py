"""Runs one command on an event loop, and handles signals."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Self

from syncd.core import SyncdError
from syncd.process.exit_codes import INTERRUPTED

GRACE = 30.0  # seconds in which running transfers may end


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `work` on a fast loop to its exit code; SyncdErrors are raised without the group of a TaskGroup."""
    # threads that hash and write alternate with the event loop: the default interval of 5 ms is too long
    sys.setswitchinterval(0.0005)
    try:
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(work())
    except BaseExceptionGroup as group:
        raise first_of(group) from group
    except asyncio.CancelledError:
        return INTERRUPTED


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what creates an event loop: a faster one, if it is installed."""
    try:
        import uvloop  # noqa: PLC0415  only where a loop runs
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the SyncdError in a group, unless the group contains a bug too."""
    if (closed := group.subgroup(BrokenPipeError)) is not None:
        return BrokenPipeError(str(closed))  # the reader of stdout has closed the pipe
    ours, rest = group.split(SyncdError)
    if rest is not None or ours is None:
        return group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Interruptible:
    """SIGINT and SIGTERM: after the first, transfers may end within a grace period; the second stops at once."""

    def __init__(self, stopping: asyncio.Event, grace: float = GRACE) -> None:
        """`stopping` is the flag that the work checks."""
        self.stopping = stopping
        self.grace = grace
        self._later: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if self._later is not None:
            self._later.cancel()

    def _on_signal(self) -> None:
        assert self._task is not None
        if self.stopping.is_set():
            self._task.cancel()
            return
        self.stopping.set()
        self._later = asyncio.get_running_loop().call_later(self.grace, self._task.cancel)
