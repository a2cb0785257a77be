"""Restores an earlier Snapshot, deleted files, or a lost Catalogue.

Rules:
1. All required bytes are located before the first move; if any are missing, nothing changes.
2. A rollback publishes like a pass: the same journaled swap, the same pointer.
3. The store is authoritative: a rebuilt Catalogue holds every verified file, and none is downloaded again.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import msgspec

from manifests.messages import message
from manifests.snapshot import MAX_POINTER, MAX_SNAPSHOT, Entry, Origin, Pointer, Snapshot, entries_of, origins_of
from manifests.stat import Stat
from syncd.catalogue import ArchivedVersion, Catalogue, MirrorRow, Swap
from syncd.core import Damaged, NotFound, PermanentError, Store
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher, origins_path, pointer_path, shard_path, snapshot_folder
from syncd.engine.retention import RetainedSnapshots, archive_version, read_bounded, read_packed, shard_entries
from syncd.engine.stored_digests import hash_stored

UNDER_WAY = "rebuilding"  # the setting that exists during a rebuild


class Restoration(msgspec.Struct, frozen=True):
    """Rolls back, and restores deleted files of one mirror."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    publisher: Publisher
    now: Callable[[], float] = time.time

    async def rollback(self, wanted: str) -> Snapshot:
        """Make an earlier kept Snapshot the current one. Raises NotFound; Damaged, which names missing files."""
        snapshot = self.find_snapshot(wanted)
        holdings, mirror = self.catalogue.holdings, self.mirror
        await self.publisher.swap()
        back: list[Entry] = []
        swaps: list[tuple[Entry, ArchivedVersion, Entry]] = []
        returning: list[tuple[Entry, ArchivedVersion | None]] = []
        named: set[str] = set()
        for shard in snapshot.content.shards:
            for entry in await shard_entries(self.store, mirror.name, shard.sha256):
                named.add(entry.path)
                held = holdings.entry(mirror.id, entry.path)
                if held is not None and held[0] == entry:
                    continue
                removed = holdings.was_removed(mirror.id, entry.path)
                if held is None and removed is not None and removed[0].sha256 == entry.sha256:
                    back.append(entry)
                    continue
                version = self._version(entry)
                if version is None:
                    raise Damaged(
                        message(
                            "{path}: the bytes of snapshot {wanted} are no longer kept",
                            path=entry.path,
                            wanted=wanted[:12],
                        )
                    )
                if held is None:
                    returning.append((entry, version))
                else:
                    swaps.append((entry, version, held[0]))
        origins = await self._origins(snapshot)
        leaving = [entry.path for entry in holdings.entries(mirror.id) if entry.path not in named]
        await self._archive_current(entry.path for entry, _ in returning)
        for entry, version in returning:
            assert version is not None
            await self.store.copy(self.place.version(version.snapshot, entry.path), self.place.natural(entry.path))
        holdings.add(mirror.id, [(entry, origins[entry.path]) for entry in (*back, *(e for e, _ in returning))])
        for entry, version, held_entry in swaps:
            staged = self.place.staged(entry.path)
            await self.store.copy(self.place.version(version.snapshot, entry.path), staged)
            self.catalogue.journal.add_swap(
                mirror.id,
                Swap(entry.path, staged, entry, origins[entry.path], held_entry.size, held_entry.sha256),
            )
        holdings.remove(mirror.id, leaving, self.now())
        return await self.publisher.publish()

    async def undelete(self, paths: Iterable[str]) -> Snapshot:
        """Restore deleted files, and keep them although upstream no longer lists them. Raises NotFound."""
        holdings, mirror = self.catalogue.holdings, self.mirror
        found: list[tuple[Entry, Origin]] = []
        for path in paths:
            removed = holdings.was_removed(mirror.id, path)
            if removed is None:
                raise NotFound(
                    message(
                        "{path}: was not deleted from {name}, or its retention has expired", path=path, name=mirror.name
                    )
                )
            await self.store.stat(self.place.natural(path))
            found.append(removed)
        holdings.add(mirror.id, found)
        self.catalogue.approvals.pin(mirror.id, [entry.path for entry, _ in found])
        return await self.publisher.publish()

    def find_snapshot(self, wanted: str) -> Snapshot:
        """Return the kept Snapshot whose id begins with `wanted`. Raises NotFound."""
        kept = self.catalogue.history.snapshots(self.mirror.id)
        matching = [snapshot for snapshot in kept if snapshot.id.startswith(wanted)]
        if len(matching) != 1 or len(wanted) < 4:
            ids = ", ".join(snapshot.id[:12] for snapshot in kept) or "none"
            raise NotFound(
                message(
                    "{wanted}: identifies no one kept snapshot of {name}; kept are {ids}",
                    wanted=wanted,
                    name=self.mirror.name,
                    ids=ids,
                )
            )
        return matching[0]

    async def _archive_current(self, paths: Iterable[str]) -> None:
        """Archive the deleted files that the rollback will overwrite, if a kept Snapshot names them."""
        holdings, mirror = self.catalogue.holdings, self.mirror.id
        named = RetainedSnapshots(self.store, self.mirror.name, self.catalogue.history.snapshots(mirror))
        for path in paths:
            removed = holdings.was_removed(mirror, path)
            if removed is None:
                continue
            size, sha256 = removed[0].size, removed[0].sha256
            with suppress(NotFound):  # the file is gone: there is nothing to archive
                await archive_version(named, holdings, mirror, self.place, path, size, sha256, self.now())
            holdings.forget_removed(mirror, path)

    def _version(self, entry: Entry) -> ArchivedVersion | None:
        for version in self.catalogue.holdings.versions(self.mirror.id, entry.path):
            if version.sha256 == entry.sha256:
                return version
        return None

    async def _origins(self, snapshot: Snapshot) -> dict[str, Origin]:
        """Return the Origins of a Snapshot by path."""
        found: dict[str, Origin] = {}
        for name in snapshot.origins:
            for origin in origins_of(await read_packed(self.store, origins_path(self.mirror.name, name), name)):
                found[origin.path] = origin
        return found


async def rebuild(
    store: Store,
    catalogue: Catalogue,
    now: Callable[[], float] = time.time,
    *,
    only: Callable[[Pointer, MirrorRow | None], bool] = lambda _pointer, _row: True,
) -> list[MirrorRow]:
    """Rebuild an empty or doubtful Catalogue from the store; return the mirrors found.

    `only` selects the mirrors to rebuild; the Catalogue keeps its records of the others.

    Follows every pointer to its snapshots and shards, and verifies each by its digest. Finds deleted files whose bytes
    are still stored, and archived versions. Raises Damaged if a snapshot is unreadable.
    """
    catalogue.settings.set(UNDER_WAY, "yes")
    try:
        rows = await _rebuild(store, catalogue, now, only)
    except PermanentError:  # a retry would fail in the same way
        catalogue.settings.set(UNDER_WAY, "")
        raise
    catalogue.settings.set(UNDER_WAY, "")
    return rows


def needs_rebuild(catalogue: Catalogue) -> bool:
    """Return True if a Catalogue has no mirrors, or its rebuild was interrupted."""
    return not catalogue.history.mirrors() or bool(catalogue.settings.get(UNDER_WAY))


async def _rebuild(
    store: Store,
    catalogue: Catalogue,
    now: Callable[[], float],
    only: Callable[[Pointer, MirrorRow | None], bool],
) -> list[MirrorRow]:
    rows: list[MirrorRow] = []
    async for stat in store.list(".syncd/mirrors/"):
        pointer = await _pointer(store, stat)
        if not only(pointer, catalogue.history.mirror(pointer.mirror)):
            continue
        row = catalogue.history.ensure_mirror(pointer.mirror, prefix=pointer.prefix, may_move=True)
        catalogue.history.drop(row.id)
        kept = [await _snapshot(store, pointer.mirror, name) for name in pointer.kept or (pointer.snapshot,)]
        found = [snapshot for snapshot in kept if snapshot is not None]
        if not found or found[0].id != pointer.snapshot:
            raise Damaged(
                message(
                    "{path}: names snapshot {snapshot}, which cannot be read", path=stat.path, snapshot=pointer.snapshot
                )
            )
        current = found[0]
        await _fill(store, catalogue, row, current)
        for snapshot in reversed(found):
            catalogue.history.publish(row.id, snapshot)
        row = catalogue.history.ensure_mirror(
            pointer.mirror, prefix=pointer.prefix, source=current.source, may_move=True
        )
        catalogue.history.finish(row.id, succeeded=pointer.published, last={"state": "running"})
        place = PassPaths(pointer.mirror, pointer.prefix, "")
        await _fill_removed(store, catalogue, row, place, found)
        await _fill_versions(store, catalogue, row, found, now())
        rows.append(row)
    return rows


async def _pointer(store: Store, stat: Stat) -> Pointer:
    try:
        return msgspec.json.decode(await read_bounded(store, stat.path, MAX_POINTER), type=Pointer)
    except msgspec.MsgspecError as error:
        raise Damaged(message("{path}: not a pointer: {cause}", path=stat.path, cause=error)) from error


async def _snapshot(store: Store, mirror: str, name: str) -> Snapshot | None:
    path = f"{snapshot_folder(mirror, name)}snapshot.json"
    try:
        return msgspec.json.decode(await read_bounded(store, path, MAX_SNAPSHOT), type=Snapshot)
    except NotFound:
        return None
    except msgspec.MsgspecError as error:
        raise Damaged(message("{path}: not a snapshot: {cause}", path=path, cause=error)) from error


async def _fill(store: Store, catalogue: Catalogue, row: MirrorRow, snapshot: Snapshot) -> None:
    for shard, name in zip(snapshot.content.shards, snapshot.origins, strict=True):
        entries = entries_of(await read_packed(store, shard_path(row.name, shard.sha256), shard.sha256))
        origins = origins_of(await read_packed(store, origins_path(row.name, name), name))
        catalogue.holdings.add(row.id, zip(entries, origins, strict=True), changed=False)


async def _fill_removed(
    store: Store, catalogue: Catalogue, row: MirrorRow, place: PassPaths, kept: list[Snapshot]
) -> None:
    """Find files that only an earlier kept Snapshot names and whose bytes are still stored."""
    for newer, older in pairwise(kept):
        newer_shards = {shard.sha256 for shard in newer.content.shards}
        for shard, name in zip(older.content.shards, older.origins, strict=True):
            if shard.sha256 in newer_shards:
                continue
            origins = origins_of(await read_packed(store, origins_path(row.name, name), name))
            for entry, origin in zip(await shard_entries(store, row.name, shard.sha256), origins, strict=True):
                if catalogue.holdings.entry(row.id, entry.path) is not None:
                    continue
                with suppress(NotFound):
                    if (await store.stat(place.natural(entry.path))).size == entry.size:
                        catalogue.holdings.restore_removed(row.id, entry, origin, newer.created)


async def _fill_versions(store: Store, catalogue: Catalogue, row: MirrorRow, kept: list[Snapshot], now: float) -> None:
    named, prefix = RetainedSnapshots(store, row.name, kept), f".syncd/versions/{row.name}/"
    by_id = {snapshot.id: snapshot for snapshot in kept}
    async for stat in store.list(prefix):
        folder, _, path = stat.path.removeprefix(prefix).partition("/")
        snapshot = by_id.get(folder)
        entry = await named.entry(snapshot, path) if snapshot is not None else None
        if entry is None:
            entry = await _read_back(store, named, path, stat)
        if entry is not None and entry.size == stat.size:
            catalogue.holdings.add_version(row.id, ArchivedVersion(folder, path, entry.size, entry.sha256), now)


async def _read_back(store: Store, named: RetainedSnapshots, path: str, stat: Stat) -> Entry | None:
    """Return the Entry of a kept Snapshot at `path` if the bytes match it.

    The bytes are read: the Snapshot in whose folder they are is no longer kept, or does not name them.
    """
    entries = [await named.entry(snapshot, path) for snapshot in named.snapshots]
    wanted = {entry.sha256: entry for entry in entries if entry is not None and entry.size == stat.size}
    if not wanted:
        return None
    with ThreadPoolExecutor(1) as hashing:
        _, digests = await hash_stored(store, stat.path, ("sha256",), hashing)
    return wanted.get(digests["sha256"])


def unknown_mirror(name: str) -> PermanentError:
    """Return the error for an unknown mirror."""
    return NotFound(message("{name}: no such mirror in this state folder; `syncd status` lists them", name=name))


async def current_snapshot(store: Store, mirror: str) -> Pointer:
    """Return a mirror's current snapshot from its pointer in the store. Raises NotFound, Damaged."""
    return await _pointer(store, Stat(pointer_path(mirror)))
