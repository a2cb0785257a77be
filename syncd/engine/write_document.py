"""Writes a document whose length is not known beforehand: at once if it is short, else in pieces."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from syncd.core import Store

PIECE = 1 << 20  # bytes written at a time; a document up to this length is one put


async def write_document(store: Store, path: str, lines: Iterable[bytes] | AsyncIterable[bytes]) -> None:
    """Write the concatenation of `lines` at `path`: a record of syncd itself."""
    pieces = _pieces(lines)
    first = await anext(pieces, b"")
    second = await anext(pieces, None)
    if second is None:
        await store.put(path, first)
        return
    digest, size = hashlib.sha256(), 0
    async with store.stage(path, size=None, is_record=True) as file:
        piece: bytes | None = first
        while piece is not None:
            digest.update(piece)
            await file.write(size, piece)
            size += len(piece)
            piece, second = second, await anext(pieces, None)
        await file.commit(size=size, sha256=digest.hexdigest())


async def _pieces(lines: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for line in lines if isinstance(lines, AsyncIterable) else _each(lines):
        gathered += line
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _each(lines: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line
