"""Reads one open file of a folder in chunks, one ahead of the caller."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Damaged
from syncd.stores.filesystem.dirfd_cache import OpenDescriptor, translate

CHUNK = 1 << 21  # bytes read at a time


class FileBody:
    """The bytes of an open file; satisfies `syncd.core.ports.Body`."""

    def __init__(self, stat: Stat, start: int, stop: int, url: str, chunks: AsyncIterator[bytes]) -> None:
        self.stat = stat
        self.start = start
        self.stop: int | None = stop
        self.headers: dict[str, str] = {}
        self.url = url
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


async def read_chunks(
    threads: Executor, file: OpenDescriptor, start: int, stop: int, *, path: str, root: str, first: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Yield `[start, stop)`, one chunk ahead of the caller; `first` has been read before."""
    loop = asyncio.get_running_loop()

    def read(at: int) -> bytes:
        try:
            chunk = os.pread(file.fd, min(CHUNK, stop - at), at)
        except OSError as error:
            raise translate(error, path, root) from error
        if not chunk:
            raise Damaged(
                message(
                    "{path}: ends at byte {at}, not at {stop}: it shrank during the read", path=path, at=at, stop=stop
                )
            )
        return chunk

    at = start
    chunk = first
    while at < stop:
        if not chunk:
            chunk = await loop.run_in_executor(threads, read, at)
        at += len(chunk)
        ahead = loop.run_in_executor(threads, read, at) if at < stop else None
        try:
            yield chunk
        except BaseException:
            if ahead is not None:
                ahead.cancel()
            raise
        chunk = await ahead if ahead is not None else b""
