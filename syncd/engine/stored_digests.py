"""Hashes bytes that are in the store."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from manifests.digest import Hasher
from syncd.core import Transport
from syncd.engine.verdict import HEAD

INLINE = 128 << 10  # bytes up to which hashing costs less than handing it to a thread


async def hash_stored(
    store: Transport, place: str, names: tuple[str, ...], hashing: Executor
) -> tuple[int, dict[str, str]]:
    """Return size and digests of a stored file; read it to its end. Raises NotFound."""
    async with store.open(place) as body:
        size, digests, _ = await hash_chunks(aiter(body), names, hashing)
    return size, digests


async def hash_chunks(
    chunks: AsyncIterator[bytes], names: tuple[str, ...], hashing: Executor
) -> tuple[int, dict[str, str], bytes]:
    """Return the number of bytes, their digests, and the first of them."""
    hasher, size, head = Hasher(names), 0, b""
    loop = asyncio.get_running_loop()
    async for chunk in chunks:
        if size < HEAD:
            head += chunk[: HEAD - size]
        size += len(chunk)
        if len(chunk) <= INLINE:
            hasher.update(chunk)
        else:
            await loop.run_in_executor(hashing, hasher.update, chunk)
    return size, hasher.hexdigests(), head
