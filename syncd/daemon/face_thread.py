"""Serves the public side in a thread of its own within `syncd run`, and as the process `syncd face`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext

import msgspec

from syncd.config import Config, Token, network_plan
from syncd.core import Store
from syncd.face import RunningFace, Served, open_face
from syncd.process import loop_thread
from syncd.session import open_store
from syncd.usage import recording

OnBug = Callable[[str, BaseException], None]


@asynccontextmanager
async def serving_face(config: Config, environ: Mapping[str, str], on_bug: OnBug) -> AsyncIterator[RunningFace]:
    """Serve the published mirrors within the block, on the running loop, and count the answers."""

    def store() -> Store:
        return open_store(config.store, network=network_plan(config.network, environ))

    async with (
        recording(config, lambda error: on_bug("usage", error)) as recorder,
        open_face(config, store, on_bug, on_served=recorder.on_served if recorder is not None else _ignore) as face,
    ):

        def replace_tokens(tokens: Iterable[Token]) -> None:
            tokens = tuple(tokens)
            face.replace_tokens(tokens)
            if recorder is not None:
                recorder.replace_tokens(tokens)

        yield msgspec.structs.replace(face, replace_tokens=replace_tokens)


def _ignore(_: Served) -> None:
    """Count nothing."""


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
