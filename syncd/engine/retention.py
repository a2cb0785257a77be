"""Deletes expired snapshots, replaced versions, deleted files and stagings.

Rules:
1. Bytes that a kept Snapshot names are never deleted.
2. The bytes of a deleted file stay for `keep.removed`; then they are archived if a kept Snapshot names them, else
   deleted.
3. Bytes are deleted before the row that names them, so after a crash the deletion is repeated and no bytes are
   forgotten.
4. A deleted file is archived under a kept Snapshot that names it. A Snapshot id stands for a content and may recur, so
   the folder of another Snapshot must not receive these bytes.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress

import msgspec

from manifests.messages import message
from manifests.snapshot import MAX_SHARD, Entry, Snapshot, SnapshotError, entries_of, unpack
from syncd.catalogue import ArchivedVersion, Catalogue, Holdings, MirrorRow
from syncd.core import Busy, Damaged, NoSpace, NotFound, PermanentError, Store
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import origins_path, shard_path, snapshot_folder

STALE = 7 * 86400.0  # seconds after which a staging that was not resumed is deleted


class RetainedSnapshots(msgspec.Struct):
    """The files that the kept Snapshots of a mirror name, read from the store shard by shard on demand."""

    store: Store
    mirror: str
    snapshots: list[Snapshot]
    _shards: dict[str, dict[str, Entry]] = {}

    async def names(self, path: str, sha256: str) -> bool:
        """Return True if a kept Snapshot names this content at this path."""
        return await self.snapshot_naming(path, sha256) is not None

    async def snapshot_naming(self, path: str, sha256: str, taken: Container[str] = ()) -> str | None:
        """Return the newest kept Snapshot, not in `taken`, that names this content at this path."""
        for snapshot in self.snapshots:
            if snapshot.id in taken:
                continue
            entry = await self.entry(snapshot, path)
            if entry is not None and entry.sha256 == sha256:
                return snapshot.id
        return None

    async def entry(self, snapshot: Snapshot, path: str) -> Entry | None:
        """Return the Entry of one Snapshot at a path."""
        shards = snapshot.content.shards
        at = bisect_right(shards, path, key=lambda shard: shard.first) - 1
        if at < 0:
            return None
        sha256 = shards[at].sha256
        if sha256 not in self._shards:
            if len(self._shards) >= 8:  # ~130,000 Entries in memory
                self._shards.pop(next(iter(self._shards)))
            self._shards[sha256] = {entry.path: entry for entry in await shard_entries(self.store, self.mirror, sha256)}
        return self._shards[sha256].get(path)


async def shard_entries(store: Store, mirror: str, sha256: str) -> list[Entry]:
    """Return the Entries of one shard. Raises Damaged if it is missing or does not match the digest in its name."""
    return list(entries_of(await read_packed(store, shard_path(mirror, sha256), sha256)))


async def read_packed(store: Store, path: str, sha256: str) -> bytes:
    """Return the lines packed at `path`, verified by their digest. Raises Damaged."""
    try:
        return unpack(await read_bounded(store, path, MAX_SHARD), sha256)
    except (SnapshotError, NotFound) as error:
        raise Damaged(message("{path}: {cause}", path=path, cause=error)) from error


async def read_bounded(store: Store, path: str, max_bytes: int) -> bytes:
    """Return an object that syncd wrote. Raises Damaged if it exceeds the limit of its kind."""
    chunks: list[bytes] = []
    left = max_bytes
    async with store.open(path) as body:
        async for chunk in body:
            left -= len(chunk)
            if left < 0:
                raise Damaged(
                    message("{path}: longer than the limit of {max_bytes} bytes", path=path, max_bytes=max_bytes)
                )
            chunks.append(chunk)
    return b"".join(chunks)


async def archive_version(
    named: RetainedSnapshots,
    holdings: Holdings,
    mirror: int,
    place: PassPaths,
    path: str,
    size: int,
    sha256: str,
    at: float,
) -> None:
    """Archive the bytes of a deleted file if a kept Snapshot names them. Raises NotFound."""
    if not await named.names(path, sha256):
        return
    aside = {version.snapshot: version.sha256 for version in holdings.versions(mirror, path)}
    snapshot = await named.snapshot_naming(path, sha256, {other for other, held in aside.items() if held != sha256})
    if snapshot is None:
        raise Damaged(
            message(
                "{path}: each snapshot that names sha256 {sha256} has other bytes archived at this path",
                path=path,
                sha256=sha256,
            )
        )
    if snapshot in aside:
        with suppress(NotFound):
            if (await named.store.stat(place.version(snapshot, path))).size == size:
                return
    await named.store.copy(place.natural(path), place.version(snapshot, path))
    holdings.add_version(mirror, ArchivedVersion(snapshot, path, size, sha256), at)


class FailureCollector:
    """Collects failures of single files, so that the others are processed."""

    def __init__(self) -> None:
        """Start without failures."""
        self.first: PermanentError | None = None

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Record a failure in the block. Raises an unavailable or full store, which affects all files."""
        try:
            yield
        except (NoSpace, Busy):
            raise
        except PermanentError as error:
            self.first = self.first or error


class Housekeeping(msgspec.Struct, frozen=True):
    """The retention of one mirror: keeps `versions` earlier Snapshots, and deleted files for `removed` seconds."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    versions: int
    removed: float
    now: Callable[[], float] = time.time

    async def run(self) -> None:
        """Delete everything that has expired. Raises the first failure after all other deletions."""
        snapshots = self.catalogue.history.snapshots(self.mirror.id)
        kept, gone = snapshots[: self.versions + 1], snapshots[self.versions + 1 :]
        named = RetainedSnapshots(self.store, self.mirror.name, kept)
        failures = FailureCollector()
        await self._versions(named, failures)
        await self._removed(named, failures)
        await self._snapshots(kept, gone)
        await self.store.sweep(STALE)
        if failures.first is not None:
            raise failures.first

    async def _versions(self, named: RetainedSnapshots, failures: FailureCollector) -> None:
        for version in self.catalogue.holdings.versions(self.mirror.id):
            with failures.collect():
                if not await named.names(version.path, version.sha256):
                    await self.store.delete(self.place.version(version.snapshot, version.path))
                    self.catalogue.holdings.forget_version(self.mirror.id, version)

    async def _removed(self, named: RetainedSnapshots, failures: FailureCollector) -> None:
        holdings, mirror = self.catalogue.holdings, self.mirror
        for removed in holdings.removed(mirror.id, self.now() - self.removed):
            path, size, sha256 = removed.path, removed.bytes, removed.sha256
            with failures.collect():
                with suppress(NotFound):  # the bytes are gone: deleted before a kill, or by hand
                    await archive_version(named, holdings, mirror.id, self.place, path, size, sha256, self.now())
                await self.store.delete(self.place.natural(path))
                holdings.forget_removed(mirror.id, path)

    async def _snapshots(self, kept: list[Snapshot], gone: list[Snapshot]) -> None:
        shards = {shard.sha256 for snapshot in kept for shard in snapshot.content.shards}
        origins = {name for snapshot in kept for name in snapshot.origins}
        for snapshot in gone:
            for shard in snapshot.content.shards:
                if shard.sha256 not in shards:
                    await self.store.delete(shard_path(self.mirror.name, shard.sha256))
            for name in snapshot.origins:
                if name not in origins:
                    await self.store.delete(origins_path(self.mirror.name, name))
            folder = snapshot_folder(self.mirror.name, snapshot.id)
            await self.store.delete(f"{folder}SHA256SUMS")
            await self.store.delete(f"{folder}snapshot.json")
            self.catalogue.history.forget_snapshot(self.mirror.id, snapshot.id)
