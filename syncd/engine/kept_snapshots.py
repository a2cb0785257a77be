"""Reads the kept Snapshots of a mirror back from the store: which Entries they name, each proved by its digest."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from itertools import count

import msgspec

from manifests.messages import message
from manifests.snapshot import MAX_SHARD, Entry, Snapshot, SnapshotError, entries_of, unpack
from syncd.core import Damaged, NotFound, Store, next_turn
from syncd.engine.pass_paths import shard_path

TURN = 1_000  # entries compared between two turns of the event loop


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
        at = shard_index(snapshot, path)
        if at < 0:
            return None
        sha256 = snapshot.content.shards[at].sha256
        if sha256 not in self._shards:
            if len(self._shards) >= 8:  # ~130,000 Entries in memory
                self._shards.pop(next(iter(self._shards)))
            self._shards[sha256] = {entry.path: entry for entry in await shard_entries(self.store, self.mirror, sha256)}
        return self._shards[sha256].get(path)


def shard_index(snapshot: Snapshot, path: str) -> int:
    """Return the index of the only shard that can name a path; -1 if there is none."""
    return bisect_right(snapshot.content.shards, path, key=lambda shard: shard.first) - 1


async def differences(
    store: Store, mirror: str, before: Snapshot, after: Snapshot
) -> AsyncIterator[tuple[str, Entry | None, Entry | None]]:
    """Yield each path that differs between two Snapshots, sorted, with its Entries in both.

    Reads only the shards that they do not share, and holds one of each in memory. Raises Damaged.
    """
    olds = _unshared_entries(store, mirror, before, after)
    news = _unshared_entries(store, mirror, after, before)
    old, new = await anext(olds, None), await anext(news, None)
    for number in count(1):
        if old is None and new is None:
            return
        if number % TURN == 0:
            await next_turn()
        if new is None or (old is not None and old.path < new.path):
            assert old is not None
            yield old.path, old, None
            old = await anext(olds, None)
        elif old is None or new.path < old.path:
            yield new.path, None, new
            new = await anext(news, None)
        else:
            if old != new:
                yield new.path, old, new
            old, new = await anext(olds, None), await anext(news, None)


async def _unshared_entries(store: Store, mirror: str, one: Snapshot, other: Snapshot) -> AsyncIterator[Entry]:
    shared = {shard.sha256 for shard in other.content.shards}
    for shard in one.content.shards:
        if shard.sha256 not in shared:
            for entry in await shard_entries(store, mirror, shard.sha256):
                yield entry


async def shard_entries(store: Store, mirror: str, sha256: str) -> list[Entry]:
    """Return the Entries of one shard. Raises Damaged if it is not what its name says, or missing."""
    content = await read_packed(store, shard_path(mirror, sha256), sha256)
    return await asyncio.to_thread(list, entries_of(content))


async def read_packed(store: Store, path: str, sha256: str) -> bytes:
    """Return the lines packed at `path`, verified by their digest. Raises Damaged."""
    try:
        return await asyncio.to_thread(unpack, await read_bounded(store, path, MAX_SHARD), sha256)
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
