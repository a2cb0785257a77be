"""Pours a body into a sink: in the body's own thread where it has one, else chunk by chunk through the event loop."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from syncd.core.ports import Body, Pouring, Sink


async def pour(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """Give every byte of `body` to `sink` in a thread, and yield how many more it took; see `ports.Pouring`."""
    flow = cast("Pouring", body).pour(sink) if hasattr(body, "pour") else pour_slowly(body, sink)
    async for count in flow:
        yield count


async def pour_slowly(body: Body, sink: Sink) -> AsyncGenerator[int, None]:
    """As `pour`, and never ahead of whoever takes the counts."""
    loop = asyncio.get_running_loop()
    async for chunk in body:
        await loop.run_in_executor(None, sink, memoryview(chunk))
        yield len(chunk)
