"""Hashes bytes that are in the store."""

import asyncio
from concurrent.futures import Executor

from manifests.digest import Hasher
from syncd.core import Transport

INLINE = 128 << 10  # bytes up to which hashing costs less than handing it to a thread


async def hash_stored(
    store: Transport, place: str, names: tuple[str, ...], hashing: Executor
) -> tuple[int, dict[str, str]]:
    """Return size and digests of a stored file; read it to its end. Raises NotFound."""
    hasher, size = Hasher(names), 0
    loop = asyncio.get_running_loop()
    async with store.open(place) as body:
        async for chunk in body:
            size += len(chunk)
            if len(chunk) <= INLINE:
                hasher.update(chunk)
            else:
                await loop.run_in_executor(hashing, hasher.update, chunk)
    return size, hasher.hexdigests()
