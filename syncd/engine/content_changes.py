"""Compares the content of small files of two kept Snapshots; their bytes are read from the store, and proved."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from itertools import islice

import msgspec

from manifests.content_diff import MAX_SIZE, ContentChange, content_changes
from manifests.messages import message
from manifests.snapshot import Entry
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import PermanentError, Store, TransientError
from syncd.engine.pass_paths import PassPaths

MAX_CHANGES = 100  # of one file
MAX_COMPARED = 200  # files of one comparison


class FileContent(msgspec.Struct, frozen=True):
    """What changed inside a file; `note` says why nothing is known, or that there is more."""

    changes: tuple[ContentChange, ...] = ()
    note: str = ""


class ContentComparison:
    """One comparison: it compares the first MAX_COMPARED files that it is asked about."""

    def __init__(self, store: Store, places: "PlacesOf") -> None:
        self._store = store
        self._places = places
        self._compared = 0

    async def of(self, path: str, old: Entry | None, new: Entry | None) -> FileContent:
        """Return what changed inside one file."""
        if old is None or new is None:
            return FileContent()
        if max(old.size, new.size) > MAX_SIZE:
            return FileContent(note=message("larger than 1 MiB: not compared"))
        if self._compared >= MAX_COMPARED:
            return FileContent(note=message("not compared: only the first {n} files are", n=MAX_COMPARED))
        self._compared += 1
        before, after = await self._bytes_of(old), await self._bytes_of(new)
        if before is None or after is None:
            return FileContent(note=message("its bytes are no longer kept"))
        return await asyncio.to_thread(_compared, path, before, after)

    async def _bytes_of(self, entry: Entry) -> bytes | None:
        """Return the bytes of an Entry from wherever they are kept; None if none of these has them."""
        for place in await self._places(entry):
            body = bytearray()
            try:
                async with self._store.open(place) as stream:
                    async for chunk in stream:
                        body += chunk
                        if len(body) > entry.size:
                            break
            except (PermanentError, TransientError):
                continue
            if hashlib.sha256(body).hexdigest() == entry.sha256:
                return bytes(body)
        return None


def _compared(path: str, before: bytes, after: bytes) -> FileContent:
    found = content_changes(path, before, after)
    if found is None:
        return FileContent(note=message("no text: not compared"))
    shown = tuple(islice(found, MAX_CHANGES + 1))
    if len(shown) > MAX_CHANGES:
        return FileContent(shown[:MAX_CHANGES], message("more than {n} changes", n=MAX_CHANGES))
    return FileContent(shown)


def places_of(catalogue: Catalogue, mirror: MirrorRow, entry: Entry) -> list[str]:
    """Return where the bytes of an Entry may be stored: its final name, kept versions, removed files."""
    place, holdings = PassPaths(mirror.name, mirror.prefix, "diff"), catalogue.holdings
    found = [place.natural(entry.path)]
    found += [
        place.version(one.snapshot, one.path)
        for one in holdings.versions(mirror.id, entry.path)
        if one.sha256 == entry.sha256
    ]
    found += [
        place.removed(one.snapshot, one.path)
        for one in holdings.removed_files(mirror.id, entry.path)
        if one.entry.sha256 == entry.sha256 and not one.is_in_place
    ]
    return found


PlacesOf = Callable[[Entry], Awaitable[list[str]]]
