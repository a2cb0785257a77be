"""Copies a body into a sink: in the body's own thread where it has one, else chunk by chunk through the event loop."""

import asyncio
from collections.abc import AsyncGenerator

from syncd.core import Body, CopyingBody, Sink


def copy_to_sink(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """Give every byte of `body` to `sink` in a thread, and yield how many more it took (`ports.CopyingBody`).

    It returns the body's own iterator, and is no step of its own on the way of the bytes.
    """
    return body.copy_to_sink(sink) if isinstance(body, CopyingBody) else copy_to_sink_in_step(body, sink)


async def copy_to_sink_in_step(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """As `copy_to_sink`, but read no chunk before the count of the one before it was taken."""
    loop = asyncio.get_running_loop()
    async for chunk in body:
        await loop.run_in_executor(None, sink, memoryview(chunk))
        yield len(chunk)
