"""Pours a body into a sink: in the body's own thread where it has one, else chunk by chunk through the event loop."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from syncd.core import Body, CopyingBody, Sink


async def copy_to_sink(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """Give every byte of `body` to `sink` in a thread, and yield how many more it took; see `ports.CopyingBody`."""
    copies = hasattr(body, "copy_to_sink")
    counts = cast("CopyingBody", body).copy_to_sink(sink) if copies else copy_to_sink_in_step(body, sink)
    async for count in counts:
        yield count


async def copy_to_sink_in_step(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """As `copy_to_sink`, and never ahead of whoever takes the counts."""
    loop = asyncio.get_running_loop()
    async for chunk in body:
        await loop.run_in_executor(None, sink, memoryview(chunk))
        yield len(chunk)
