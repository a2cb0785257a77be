"""Copies a body into a sink: in the body's own thread if it has one, else chunk by chunk through the event loop."""

import asyncio
from collections.abc import AsyncGenerator

from syncd.core import Body, CopyingBody, Sink


def copy_to_sink(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """Pass every byte of `body` to `sink` in a thread, and yield the increments of their number (`ports.CopyingBody`).

    Returns the body's own iterator, so it adds no cost per chunk.
    """
    return body.copy_to_sink(sink) if isinstance(body, CopyingBody) else copy_to_sink_in_step(body, sink)


async def copy_to_sink_in_step(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """Like `copy_to_sink`, but read a chunk only after the consumer took the count of the previous one."""
    loop = asyncio.get_running_loop()
    async for chunk in body:
        await loop.run_in_executor(None, sink, memoryview(chunk))
        yield len(chunk)
