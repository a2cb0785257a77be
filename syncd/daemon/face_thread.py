"""Serves the public side in a thread of its own within `syncd run`, and as the process `syncd face`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from syncd.config import Config, network_plan
from syncd.face import RunningFace, open_face
from syncd.process import loop_thread
from syncd.session import open_store

OnBug = Callable[[str, BaseException], None]


def serving_face(config: Config, environ: Mapping[str, str], on_bug: OnBug) -> AbstractAsyncContextManager[RunningFace]:
    """Serve the published mirrors within the block, on the running loop; see `syncd.face.open_face`."""
    return open_face(config, lambda: open_store(config.store, network=network_plan(config.network, environ)), on_bug)


@asynccontextmanager
async def face_thread(config: Config, environ: Mapping[str, str], on_bug: OnBug) -> AsyncIterator[RunningFace | None]:
    """Serve within the block in a thread with its own loop; None without `serve` in the configuration."""
    if config.serve is None:
        async with nullcontext():
            yield None
        return
    here = asyncio.get_running_loop()

    def on_bug_there(path: str, error: BaseException) -> None:
        here.call_soon_threadsafe(on_bug, path, error)

    async with loop_thread(lambda: serving_face(config, environ, on_bug_there), "face") as running:
        yield running
