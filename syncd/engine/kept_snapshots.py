"""Reads the kept Snapshots of a mirror back from the store: which Entries they name, each proved by its digest."""

from bisect import bisect_right

import msgspec

from manifests.messages import message
from manifests.snapshot import MAX_SHARD, Entry, Snapshot, SnapshotError, entries_of, unpack
from syncd.core import Damaged, NotFound, Store
from syncd.engine.pass_paths import shard_path


class RetainedSnapshots(msgspec.Struct):
    """What the kept Snapshots of a mirror name, read from the store shard by shard as it is asked for."""

    store: Store
    mirror: str
    snapshots: list[Snapshot]
    _shards: dict[str, dict[str, Entry]] = {}

    async def names(self, path: str, sha256: str) -> bool:
        """Tell whether a kept Snapshot names this content at this path."""
        return await self.snapshot_naming(path, sha256) is not None

    async def snapshot_naming(self, path: str, sha256: str) -> str | None:
        """Return the newest kept Snapshot that names this content at this path."""
        for snapshot in self.snapshots:
            entry = await self.entry(snapshot, path)
            if entry is not None and entry.sha256 == sha256:
                return snapshot.id
        return None

    async def entry(self, snapshot: Snapshot, path: str) -> Entry | None:
        """Return what one Snapshot names at a path."""
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
    """Return the Entries of one shard. Raises Damaged if it is not what its name says, or missing."""
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
