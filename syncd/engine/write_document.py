"""Writes a document whose length is not known beforehand: at once if it is short, else in pieces."""

import hashlib
from collections.abc import Iterable, Iterator

from syncd.core import Store

PIECE = 1 << 20  # bytes written at a time; a document up to this length is one put


async def write_document(store: Store, path: str, lines: Iterable[bytes]) -> None:
    """Write the concatenation of `lines` at `path`: a record of syncd itself."""
    pieces = _pieces(lines)
    first = next(pieces, b"")
    second = next(pieces, None)
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
            piece, second = second, next(pieces, None)
        await file.commit(size=size, sha256=digest.hexdigest())


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    gathered = bytearray()
    for line in lines:
        gathered += line
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
