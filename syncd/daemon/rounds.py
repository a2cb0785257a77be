"""Runs upkeep of a daemon again and again, while its store is online."""

import asyncio
from collections.abc import Awaitable, Callable

from syncd.daemon.mirror_registry import MirrorRegistry


async def run_rounds(
    registry: MirrorRegistry, once: Callable[[], Awaitable[None]], every: float, *, first: float = 0.0
) -> None:
    """Call `once` every `every` seconds, `first` seconds after the start; ends when cancelled."""
    await asyncio.sleep(first)
    while True:
        if registry.store.state == "online":
            await once()
        await asyncio.sleep(every)
