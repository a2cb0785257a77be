"""Finds and opens the bytes of a published file: exactly those that its snapshot names, or none.

Rules:
1. What a snapshot names is read from the Catalogue where no pass has changed the path since, else from its shards.
2. The version is checked after opening: the size is right, and the place still holds what it held when it was chosen.
   If a publish moved the file in between, the search begins again.
3. Replaced and removed bytes are found under the snapshots that kept them aside.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

import msgspec

from manifests.messages import message
from manifests.snapshot import Snapshot
from syncd.catalogue import Catalogue, MirrorRow, StoredPlaces
from syncd.core import Body, Damaged, NotFound, OpenFile, OpensFiles, Store, TransientError, capability
from syncd.engine import PassPaths
from syncd.face.snapshot_lists import SnapshotLists

SMALL = 64 << 10  # bytes of a file that is read when it is opened
TRIES = 5  # searches for a file that publishes move away each time
PAUSE = 0.02  # seconds between two of them


class NamedFile(msgspec.Struct, frozen=True):
    """One file as its snapshot names it; `modified` is upstream's time, in seconds."""

    mirror: MirrorRow
    snapshot: str
    path: str
    size: int
    sha256: str
    modified: float
    is_natural: bool = False
    """True if its bytes are under their final name, and no pass is about to replace them."""


class OpenedFile(msgspec.Struct):
    """The bytes of a file, at `place` in the store: its open file or its version; of a small file, the bytes too."""

    place: str
    file: OpenFile | None = None
    version: str | None = None
    content: bytes | None = None


class StoredFiles:
    """The published files of one store."""

    def __init__(self, store: Store, catalogue: Catalogue, lists: SnapshotLists, threads: Executor) -> None:
        """Everything belongs to the running loop; nothing is changed. Files are opened in `threads`."""
        self._store, self._catalogue, self._lists, self._threads = store, catalogue, lists, threads
        self._opener = capability(store, OpensFiles)

    async def named(self, mirror: MirrorRow, snapshot: Snapshot, path: str) -> NamedFile | None:
        """Return what a snapshot names at a path, or None. Raises Damaged, TransientError."""
        held = self._catalogue.published.current(mirror.id, path)
        if held is not None and held.snapshot == snapshot.id and not held.is_changed:
            if not held.sha256:
                return None
            is_natural = not held.is_moving
            return NamedFile(mirror, snapshot.id, path, held.size, held.sha256, held.modified, is_natural)
        entry = await self._lists.entry(snapshot, path)
        if entry is None:
            return None
        modified = await self._lists.modified(snapshot, path)
        return NamedFile(mirror, snapshot.id, path, entry.size, entry.sha256, modified)

    async def open(self, file: NamedFile) -> OpenedFile:
        """Open the bytes of a file. Raises Damaged if the store does not have them, TransientError."""
        if file.is_natural and (opened := await self._open_natural(file)) is not None:
            return opened
        for _ in range(TRIES):
            places = self._catalogue.published.places(file.mirror.id, file.path, file.sha256)
            opened = await self._open_at(file, places)
            if opened is not None:
                return opened
            await asyncio.sleep(PAUSE)
        raise Damaged(
            message("{path}: its bytes are missing, or have another size than its snapshot says", path=file.path)
        )

    async def read(self, mirror: MirrorRow, snapshot: Snapshot, path: str) -> bytes:
        """Return the bytes of a file that fits into memory. Raises NotFound, Damaged, TransientError."""
        file = await self.named(mirror, snapshot, path)
        if file is None:
            raise NotFound(message("{path}: not in {mirror}", path=path, mirror=mirror.name))
        opened = await self.open(file)
        if opened.content is not None:
            content = opened.content
        elif opened.file is not None:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self._threads, os.pread, opened.file.fd, file.size, 0)
        elif not file.size:
            content = b""
        else:
            async with self.body(opened, 0, file.size) as body:
                content = b"".join([bytes(chunk) async for chunk in body])
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise Damaged(message("{path}: its bytes are not those that its snapshot names", path=path))
        return content

    async def _open_natural(self, file: NamedFile) -> OpenedFile | None:
        """Open a file whose place no pass had touched when it was named, and had not when it was open."""
        opened = await self._open_place(file.mirror.prefix + file.path, file.size)
        held = self._catalogue.published.current(file.mirror.id, file.path)
        is_same = held is not None and held.sha256 == file.sha256 and not held.is_moving
        return opened if is_same else None

    async def _open_at(self, file: NamedFile, places: StoredPlaces) -> OpenedFile | None:
        paths = PassPaths(file.mirror.name, file.mirror.prefix, "")
        aside = [paths.version(snapshot, file.path) for snapshot in places.versions]
        aside += [paths.removed(snapshot, file.path) for snapshot in places.removed]
        for place in aside:
            if (opened := await self._open_place(place, file.size)) is not None:
                return opened
        if not places.natural:
            return None
        opened = await self._open_place(paths.natural(file.path), file.size)
        if opened is None:
            return None
        if self._catalogue.published.places(file.mirror.id, file.path, file.sha256) != places:
            return None
        if places.moving:  # the old bytes are aside before they leave their name
            for place in aside:
                if await self._is_there(place):
                    return None
        return opened

    async def _open_place(self, place: str, size: int) -> OpenedFile | None:
        try:
            if self._opener is not None:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, _opened, self._opener, place, size)
            stat = await self._store.stat(place)
        except NotFound:
            return None
        return OpenedFile(place, None, stat.version) if stat.size == size else None

    async def _is_there(self, place: str) -> bool:
        try:
            await self._store.stat(place)
        except NotFound:
            return False
        return True

    @asynccontextmanager
    async def body(self, opened: OpenedFile, start: int, stop: int) -> AsyncIterator[Body]:
        """Read `[start, stop)` of an opened file that has no open file of the system; bound to its version.

        Raises Changed if another version took its place since.
        """
        async with self._store.open(opened.place, start=start, stop=stop, version=opened.version) as body:
            if body.stop != stop and not (start == 0 and body.stop is None):
                raise TransientError(message("{path}: the store sends another range", path=opened.place))
            yield body


def _opened(opener: OpensFiles, place: str, size: int) -> OpenedFile | None:
    """Open a file in a thread, and read it if it is small; None if it has another size."""
    file, found = opener.open_descriptor(place)
    if found != size:
        return None
    return OpenedFile(place, file, content=os.pread(file.fd, size, 0) if size <= SMALL else None)
