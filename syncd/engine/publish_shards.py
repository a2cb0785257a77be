"""Writes the shards of the next Snapshot: what changed is written again, the rest is shared with the last one.

Rules:
1. Reading, editing, hashing and packing are done in threads; the event loop only hands them on.
2. The lines of a shard are read back from the store and proved by their checksum. If they are damaged or missing, the
   shard is made from the Catalogue.
3. At most WIDTH shards of the usual length are in memory at once.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import msgspec

from manifests.messages import message
from manifests.shard_lines import Edit, edit, edited_shard, json_path, sums_path
from manifests.snapshot import (
    CUT_EVERY,
    MAX_SHARD,
    MAX_SUMS,
    Shard,
    Snapshot,
    SnapshotError,
    gunzip,
    lines,
    pack,
    sums_line,
    unpack,
)
from syncd.catalogue import Catalogue, ChangedFile, MirrorRow
from syncd.core import Damaged, Denied, NotFound, Store, TooLarge, TransientError, first_of
from syncd.engine.kept_snapshots import read_bounded
from syncd.engine.pass_paths import origins_path, shard_path, sums_path as stored_sums_path
from syncd.engine.publish_changes import ChangeReader, MadeShard, Rewrite
from syncd.engine.publish_origins import edit_origins

WIDTH = 4  # shards of the usual length under way at once
THREADS = 2  # that edit and pack: each keeps for a while what the largest shard took

T = TypeVar("T")
Range = tuple[str, str | None]
"""The paths from the first on, and before the second; None: to the end."""


class WrittenShards(msgspec.Struct, frozen=True):
    """The shards of a Snapshot and the names of their Origins; which paths were written again.

    With `has_sums`, the lines of `sha256sum` stand beside each shard, except for those with a number of `without_sums`.
    """

    shards: tuple[Shard, ...]
    origins: tuple[str, ...]
    ranges: tuple[Range, ...]
    has_sums: bool
    without_sums: tuple[int, ...]


class _Slot(msgspec.Struct):
    """What takes the place of the old shards from one on, up to `high`."""

    high: int
    made: list[tuple[Shard, str]] = []


class ShardWriter:
    """Writes the shards of one publish."""

    def __init__(self, store: Store, catalogue: Catalogue, mirror: MirrorRow, previous: Snapshot | None) -> None:
        """Prepare; `write` makes the first request."""
        self._store, self._catalogue, self._mirror = store, catalogue, mirror
        self._old = previous.content.shards if previous is not None else ()
        self._origins = previous.origins if previous is not None else ()
        self._known = {shard.sha256 for shard in self._old}
        self._with_sums = set(self._known) if previous is not None and previous.sums else set()
        self._has_sums = previous is not None and (previous.sums or previous.files > MAX_SUMS)
        self._slots: dict[int, _Slot] = {}
        self._room = asyncio.Semaphore(WIDTH)
        self._unedited: list[int] = []
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="publish")

    async def write(self) -> WrittenShards:
        """Write all shards that changed. Raises TooLarge for one that could not be read again."""
        reader = await asyncio.to_thread(ChangeReader, self._catalogue, self._mirror.id, self._old)
        try:
            with closing(reader):
                self._has_sums = self._has_sums or await asyncio.to_thread(reader.has_more_than, MAX_SUMS)
                await self._rewrite_all(reader)
        except BaseExceptionGroup as group:
            failed = first_of(group)
            if isinstance(failed, SnapshotError):
                raise TooLarge(message("{name}: {cause}", name=self._mirror.name, cause=failed)) from failed
            raise failed from group
        finally:
            self._threads.shutdown(wait=False)
        return self._written(reader)

    async def _in_thread(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    async def _rewrite_all(self, reader: ChangeReader) -> None:
        at = 0
        async with asyncio.TaskGroup() as group:
            while (rewrite := await asyncio.to_thread(reader.next_rewrite, at)) is not None:
                at = max(rewrite.high, at + 1)
                if rewrite.edits is None:
                    await self._make(reader, rewrite)
                else:
                    weight = _weight(self._old[rewrite.low])
                    for _ in range(weight):
                        await self._room.acquire()
                    group.create_task(self._edit(rewrite.low, rewrite.edits, weight))
            for low in await self._all_edited():
                await self._make(reader, Rewrite(low, low + 1, None))

    async def _all_edited(self) -> list[int]:
        """Wait for the edits under way; return the shards that could not be edited."""
        for _ in range(WIDTH):
            await self._room.acquire()
        return self._unedited

    def _written(self, reader: ChangeReader) -> WrittenShards:
        made: list[tuple[Shard, str]] = []
        ranges: list[Range] = []
        at = 0
        for low in sorted(self._slots):
            slot = self._slots[low]
            made += [*zip(self._old[at:low], self._origins[at:low], strict=True), *slot.made]
            ranges.append((reader.first(low), reader.last(slot.high - 1) if slot.high else None))
            at = slot.high
        made += zip(self._old[at:], self._origins[at:], strict=True)
        without = [at for at, (shard, _) in enumerate(made) if shard.sha256 not in self._with_sums]
        return WrittenShards(
            tuple(shard for shard, _ in made),
            tuple(name for _, name in made),
            tuple(ranges),
            self._has_sums,
            tuple(without) if self._has_sums else (),
        )

    # -- from the Catalogue ---------------------------------------------------------------------------------------

    async def _make(self, reader: ChangeReader, rewrite: Rewrite) -> None:
        slot = self._slots[rewrite.low] = _Slot(rewrite.high)
        runs = reader.runs(rewrite, with_sums=self._has_sums)
        writing: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:
            while (made := await self._in_thread(reader.next_made, runs)) is not None:
                slot.made.append((made.shard, made.origins))
                if len(writing) == WIDTH:
                    await writing.pop(0)
                writing.append(group.create_task(self._put_all(made)))

    async def _put_all(self, made: MadeShard) -> None:
        sha256 = made.shard.sha256
        if sha256 not in self._known:
            await self._store.put(shard_path(self._mirror.name, sha256), made.packed_entries)
        await self._store.put(origins_path(self._mirror.name, made.origins), made.packed_origins)
        await self._put_sums(sha256, made.packed_sums)

    async def _put_sums(self, sha256: str, packed: bytes) -> None:
        if self._has_sums and sha256 not in self._with_sums:
            await self._store.put(stored_sums_path(self._mirror.name, sha256), packed)
            self._with_sums.add(sha256)

    # -- from the last Snapshot -----------------------------------------------------------------------------------

    async def _edit(self, at: int, edits: Sequence[ChangedFile], weight: int) -> None:
        try:
            made = await self._edited(at, edits)
        except (SnapshotError, NotFound, Damaged, Denied, TransientError):  # the Catalogue says the same
            made = None
        if made is None:
            self._unedited.append(at)
        else:
            self._slots[at] = _Slot(at + 1, [made])
        for _ in range(weight):
            self._room.release()

    async def _edited(self, at: int, edits: Sequence[ChangedFile]) -> tuple[Shard, str] | None:
        """Write one shard with changed lines; None if it is to be cut elsewhere."""
        name, old = self._mirror.name, self._old[at]
        packed = await read_bounded(self._store, shard_path(name, old.sha256), MAX_SHARD)
        found = await self._in_thread(_edited_entries, packed, old, edits)
        if found is None:
            return None
        shard, packed = found
        if shard.sha256 not in self._known:
            await self._store.put(shard_path(name, shard.sha256), packed)
        origins = await edit_origins(self._store, name, self._origins[at], edits, shard.count)
        if self._has_sums and shard.sha256 not in self._with_sums and old.sha256 in self._with_sums:
            packed = await read_bounded(self._store, stored_sums_path(name, old.sha256), MAX_SHARD)
            await self._put_sums(shard.sha256, await self._in_thread(_edited_sums, packed, old, shard, edits))
        return shard, origins


def _weight(shard: Shard) -> int:
    return min(WIDTH, 1 + shard.count // (2 * CUT_EVERY))


def _edited_entries(packed: bytes, old: Shard, edits: Sequence[ChangedFile]) -> tuple[Shard, bytes] | None:
    before = unpack(packed, old.sha256)
    after = edit(before, [(one.path, lines([one.entry]) if one.entry is not None else b"") for one in edits], json_path)
    shard = edited_shard(old, [(one.path, one.entry) for one in edits], before, after)
    if shard is None:
        return None
    digest = hashlib.sha256(after.text).hexdigest()
    return msgspec.structs.replace(shard, sha256=digest), pack(after.text)


def _edited_sums(packed: bytes, old: Shard, new: Shard, edits: Sequence[ChangedFile]) -> bytes:
    rows: list[Edit] = [(one.path, sums_line(one.entry) if one.entry is not None else b"") for one in edits]
    text = edit(gunzip(packed, old.sha256), rows, sums_path).text
    if text.count(b"\n") != new.count:
        raise SnapshotError(message("{sha256}: its sums are those of other lines", sha256=old.sha256))
    return pack(text)
