"""Ends the waits of a pass that is asked to stop: transfers may end, files that only wait are left to the next pass.

The pass sets `stopping` once; all its tasks inherit it.
"""

import asyncio
from contextvars import ContextVar

from manifests.messages import message
from syncd.core import Halted

stopping: ContextVar[asyncio.Event | None] = ContextVar("stopping", default=None)
"""Set while a pass runs: the event is set when the pass is asked to stop."""


async def pause(seconds: float, what: str) -> None:
    """Wait for `seconds`. Raises Halted, which names `what`, as soon as the pass is asked to stop."""
    halt = stopping.get()
    if halt is None:
        await asyncio.sleep(seconds)
        return
    if not halt.is_set():
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await halt.wait()
        except TimeoutError:
            return
    raise _halted(what)


async def until(event: asyncio.Event, seconds: float, what: str) -> None:
    """Wait for an event, for `seconds` at most. Raises Halted, which names `what`, if the pass is asked to stop."""
    halt = stopping.get()
    waits = [asyncio.create_task(one.wait()) for one in (event, halt) if one is not None]  # owned by this function
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if halt is not None and halt.is_set():
        raise _halted(what)


def _halted(what: str) -> Halted:
    return Halted(message("{what}: not waited for: the pass was asked to stop", what=what))
