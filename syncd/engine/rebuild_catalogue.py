"""Fills a Catalogue that was lost from the store.

Rule: the store is the truth. A Catalogue rebuilt from it knows all that is proved, and nothing is downloaded for it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import msgspec

from manifests.digest import OURS
from manifests.messages import message
from manifests.snapshot import MAX_POINTER, MAX_SNAPSHOT, Entry, Origin, Pointer, Snapshot
from manifests.stat import Stat
from syncd.catalogue import IN_PLACE, ArchivedVersion, Catalogue, MirrorRow, RemovedFile, Swap
from syncd.core import Damaged, NotFound, PermanentError, Store
from syncd.engine.head_states import save_head_state
from syncd.engine.kept_snapshots import RetainedSnapshots, read_bounded, shard_entries
from syncd.engine.pass_paths import PassPaths, pointer_path, snapshot_folder
from syncd.engine.publish_journal import JournaledMove, close_journal, read_head, read_moves
from syncd.engine.publish_origins import read_origins
from syncd.engine.stored_digests import hash_stored
from syncd.engine.unpublished import note_doubtful

REBUILDING = "rebuilding"  # the setting that exists during a rebuild


async def rebuild(
    store: Store,
    catalogue: Catalogue,
    now: Callable[[], float] = time.time,
    *,
    only: Callable[[Pointer, MirrorRow | None], bool] = lambda _pointer, _row: True,
) -> list[MirrorRow]:
    """Fill an empty or doubtful Catalogue from what the store itself says; returns the mirrors found.

    `only` selects the mirrors to rebuild; the Catalogue keeps its records of the others.

    Follows every pointer to its snapshots and shards, and verifies each by its digest. Finds removed files, archived
    versions, pinned files and the moves of an interrupted publish, which `roll_forward` then finishes. Raises Damaged
    if a snapshot is unreadable.
    """
    catalogue.settings.set(REBUILDING, "yes")
    try:
        rows = await _rebuild(store, catalogue, now, only)
    except PermanentError:  # a retry would fail in the same way
        catalogue.settings.set(REBUILDING, "")
        raise
    catalogue.settings.set(REBUILDING, "")
    return rows


def needs_rebuild(catalogue: Catalogue) -> bool:
    """Tell whether a Catalogue knows of no mirror, or a rebuild of it was cut short."""
    return not catalogue.history.mirrors() or bool(catalogue.settings.get(REBUILDING))


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
        catalogue.held.unfill(row.name)
        note_doubtful(catalogue, pointer.mirror)
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
        if pointer.head is not None:
            save_head_state(catalogue.settings, pointer.mirror, pointer.head)
        catalogue.approvals.pin(row.id, pointer.pinned)
        catalogue.approvals.pin(row.id, pointer.frozen, frozen=True)
        catalogue.tags.set(row.id, pointer.tags)
        place = PassPaths(pointer.mirror, pointer.prefix, "")
        await _read_journal(store, catalogue, row, place)
        await _fill_removed(store, catalogue, row, place, now())
        await _fill_left(store, catalogue, row, place, found)
        await _fill_versions(store, catalogue, row, place, found, now())
        catalogue.history.end_outdated(row.name)
        rows.append(row)
    return rows


async def _read_journal(store: Store, catalogue: Catalogue, row: MirrorRow, place: PassPaths) -> None:
    """Take up a publish that was interrupted: its moves wait again, and the caller rolls them forward."""
    head = await read_head(store, place.journal)
    if head is None:
        return
    if head.snapshot != row.snapshot:  # the pointer names its Snapshot, so all was moved
        await close_journal(store, place, head)
        return
    async for move in read_moves(store, place.journal):
        held = catalogue.holdings.entry(row.id, move.entry.path)
        if move.act == "replace":
            swap = Swap(move.entry.path, move.staged, move.entry, move.origin, move.old_bytes, move.old_sha256)
            catalogue.journal.add_swap(row.id, swap)
        elif held is not None and held[0] == move.entry:
            catalogue.holdings.remove(row.id, [move.entry.path], move.at)


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
        entries = await shard_entries(store, row.name, shard.sha256)
        origins = await read_origins(store, row.name, name)
        catalogue.holdings.add(row.id, [(entry, origins[entry.path]) for entry in entries], changed=False)


async def _fill_removed(store: Store, catalogue: Catalogue, row: MirrorRow, place: PassPaths, now: float) -> None:
    """Find the removed files again: their records come just before the bytes, in the order of the listing."""
    named = RetainedSnapshots(store, row.name, catalogue.history.snapshots(row.id))
    by_id = {snapshot.id: snapshot for snapshot in named.snapshots}
    of, records = "", dict[str, JournaledMove]()
    lists: dict[str, str] = {}
    async for stat in store.list(place.all_removed):
        name, slash, path = stat.path.removeprefix(place.all_removed).partition("/")
        if (snapshot := name.partition(".")[0]) != of:
            of, records = snapshot, {}
        if not slash:
            lists[stat.path] = snapshot
            async for move in read_moves(store, stat.path):
                if move.act == "remove":
                    records[move.entry.path] = move
            continue
        removed = await _removed_file(store, named, by_id.get(snapshot), records.get(path), stat, path, now)
        if removed is not None:
            catalogue.holdings.add_removed(row.id, [msgspec.structs.replace(removed, snapshot=snapshot)])
    for path, snapshot in lists.items():
        if not catalogue.holdings.has_removed_of(row.id, snapshot):  # all of its files are gone
            await store.delete(path)


async def _removed_file(
    store: Store,
    named: RetainedSnapshots,
    snapshot: Snapshot | None,
    record: JournaledMove | None,
    stat: Stat,
    path: str,
    now: float,
) -> RemovedFile | None:
    """Return what removed bytes are: by their record, by the Snapshot that names them, or by reading them."""
    if record is not None:
        return RemovedFile("", record.entry, record.origin, record.at) if record.entry.size == stat.size else None
    entry = await named.entry(snapshot, path) if snapshot is not None else None
    if entry is not None and entry.size != stat.size:
        return None
    if entry is None:
        with ThreadPoolExecutor(1) as hashing:
            size, digests = await hash_stored(store, stat.path, OURS, hashing)
        entry = Entry(path, size, digests["sha256"], digests["xxh3-128"])
    return RemovedFile("", entry, Origin(path, "", "attested", now), now)


async def _fill_left(
    store: Store, catalogue: Catalogue, row: MirrorRow, place: PassPaths, kept: list[Snapshot]
) -> None:
    """Find files that an older syncd left in place: an earlier kept Snapshot names them, the current one does not."""
    for newer, older in pairwise(kept):
        newer_shards = {shard.sha256 for shard in newer.content.shards}
        for shard, name in zip(older.content.shards, older.origins, strict=True):
            if shard.sha256 in newer_shards:
                continue
            origins = await read_origins(store, row.name, name)
            for entry in await shard_entries(store, row.name, shard.sha256):
                if catalogue.holdings.entry(row.id, entry.path) is not None:
                    continue
                with suppress(NotFound):
                    if (await store.stat(place.natural(entry.path))).size == entry.size:
                        catalogue.holdings.add_removed(
                            row.id, [RemovedFile(IN_PLACE, entry, origins[entry.path], newer.created)]
                        )


async def _fill_versions(
    store: Store, catalogue: Catalogue, row: MirrorRow, place: PassPaths, kept: list[Snapshot], now: float
) -> None:
    named, prefix = RetainedSnapshots(store, row.name, kept), f".syncd/versions/{row.name}/"
    by_id = {snapshot.id: snapshot for snapshot in kept}
    misplaced: list[tuple[Stat, Entry]] = []
    async for stat in store.list(prefix):
        folder, _, path = stat.path.removeprefix(prefix).partition("/")
        snapshot = by_id.get(folder)
        entry = await named.entry(snapshot, path) if snapshot is not None else None
        if entry is None:
            if (entry := await _read_back(store, named, path, stat)) is not None:
                misplaced.append((stat, entry))
            else:  # its Snapshot expired, and its deletion was interrupted: the next retention deletes it
                catalogue.holdings.add_versions(row.id, [ArchivedVersion(folder, path, stat.size or 0, "")], now)
        elif entry.size == stat.size:
            catalogue.holdings.add_versions(row.id, [ArchivedVersion(folder, path, entry.size, entry.sha256)], now)
    for stat, entry in misplaced:  # an older syncd could store them so: they belong to the last that names them
        folder = await named.snapshot_naming(entry.path, entry.sha256) or ""
        await store.move(stat.path, place.version(folder, entry.path))
        catalogue.holdings.add_versions(row.id, [ArchivedVersion(folder, entry.path, entry.size, entry.sha256)], now)


async def _read_back(store: Store, named: RetainedSnapshots, path: str, stat: Stat) -> Entry | None:
    """Return what a kept Snapshot names at `path` if these are its bytes.

    The bytes are read: the Snapshot in whose folder they are is no longer kept, or does not name them.
    """
    entries = [await named.entry(snapshot, path) for snapshot in named.snapshots]
    wanted = {entry.sha256: entry for entry in entries if entry is not None and entry.size == stat.size}
    if not wanted:
        return None
    with ThreadPoolExecutor(1) as hashing:
        _, digests = await hash_stored(store, stat.path, ("sha256",), hashing)
    return wanted.get(digests["sha256"])


async def current_snapshot(store: Store, mirror: str) -> Pointer:
    """Return what the store itself says is a mirror's current snapshot. Raises NotFound, Damaged."""
    return await _pointer(store, Stat(pointer_path(mirror)))
