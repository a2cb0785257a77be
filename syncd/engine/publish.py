"""Makes what was proved the mirror's next Snapshot: swap, then snapshot files, then the pointer.

Rules:
1. The files are moved first (`syncd.engine.tree_moves`); each step may be done twice, so a crash is rolled forward.
2. A Snapshot is readable in whole before the pointer names it.
3. A change of k files rewrites at most 2k shards; all others are shared with the Snapshot before.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from manifests.messages import message, plain
from manifests.model import Keep
from manifests.snapshot import (
    MAX_PINS,
    MAX_SUMS,
    Content,
    Entry,
    Origin,
    Pointer,
    Shard,
    Snapshot,
    SnapshotError,
    affected,
    identity,
    is_cut,
    lines,
    pack,
    shard_of,
    sums_line,
)
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Listener, PermanentError, Published, Store, TooLarge
from syncd.engine.pass_paths import PassPaths, origins_path, pointer_path, shard_path, snapshot_folder
from syncd.engine.publish_journal import JournalHead, close_journal, read_head
from syncd.engine.retention import count_retained
from syncd.engine.tree_moves import OnFailed, TreeMoves
from syncd.engine.unpublished import note_begun, note_doubtful, note_ended
from syncd.engine.write_document import write_document

PACKING = 4  # files that are compressed while the next are read


def ignore_failure(_path: str, _error: PermanentError) -> None:
    """Ignore a file whose place could not be taken."""


class Publisher(msgspec.Struct, frozen=True):
    """What publishing one mirror needs; without `keep` the pointer names every Snapshot that the Catalogue knows."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    listener: Listener
    keep: Keep | None
    now: Callable[[], float] = time.time
    on_failed: OnFailed = ignore_failure

    async def publish(self) -> Snapshot:
        """Return the Snapshot that the pointer names now; a new one only if something changed."""
        moves = TreeMoves(self.store, self.catalogue, self.mirror, self.place, self.on_failed, self.now)
        return await self._publish(await moves.settle())

    async def finish(self) -> Snapshot | None:
        """Roll forward a publish that was interrupted; None if there is none, or no Snapshot yet.

        Until then the files under their natural names, the Catalogue and the pointer can be of different Snapshots.
        """
        if not is_interrupted(self.catalogue, self.mirror):
            return None
        moves = TreeMoves(self.store, self.catalogue, self.mirror, self.place, self.on_failed, self.now)
        head = await moves.settle() or await read_head(self.store, self.place.journal)
        if next(self.catalogue.holdings.changed(self.mirror.id), None) is None:  # nothing to publish: all failed
            await self._close(head)
            return self.catalogue.history.current(self.mirror.id)
        return await self._publish(head)

    async def _publish(self, head: JournalHead | None) -> Snapshot:
        holdings, history, mirror = self.catalogue.holdings, self.catalogue.history, self.mirror
        previous = history.current(mirror.id)
        if previous is not None and next(holdings.changed(mirror.id), None) is None:
            await self._close(head)
            await self._write_pointer(previous)
            self._report(previous, changed=False)
            return previous
        note_begun(self.catalogue, mirror.name, is_first=previous is None)
        shards, origins = await self._shards(previous)
        content = Content(shards)
        snapshot = Snapshot(
            id=identity(content),
            content=content,
            mirror=mirror.name,
            created=self.now(),
            files=sum(shard.count for shard in shards),
            bytes=sum(shard.bytes for shard in shards),
            source=mirror.source,
            by="syncd",
            previous=previous.id if previous is not None else "",
            origins=origins,
        )
        known = history.snapshot(mirror.id, snapshot.id)
        if known is not None and known.origins != origins:  # its row is replaced, and nothing names its origins then
            note_doubtful(self.catalogue, mirror.name)
        folder = snapshot_folder(mirror.name, snapshot.id)
        if snapshot.files <= MAX_SUMS:
            entries = holdings.entries(mirror.id)
            await write_document(self.store, f"{folder}SHA256SUMS", (sums_line(entry) for entry in entries))
        # also over an earlier Snapshot of the same content: its origins are deleted with its own row
        await self.store.put(f"{folder}snapshot.json", msgspec.json.encode(snapshot, enc_hook=plain))
        await self._write_pointer(snapshot)
        history.publish(mirror.id, snapshot)
        await self._close(head)
        holdings.clear_changed(mirror.id)
        note_ended(self.catalogue, mirror.name)
        self._report(snapshot, changed=previous is None or previous.id != snapshot.id)
        return snapshot

    async def _close(self, head: JournalHead | None) -> None:
        if head is not None:
            is_list = self.catalogue.holdings.has_removed_of(self.mirror.id, head.snapshot)
            await close_journal(self.store, self.place, head, is_list=is_list)

    # -- the snapshot's files -------------------------------------------------------------------------------------

    async def _shards(self, previous: Snapshot | None) -> tuple[tuple[Shard, ...], tuple[str, ...]]:
        """Cut again what changed, share the rest."""
        holdings, mirror = self.catalogue.holdings, self.mirror
        packing: deque[tuple[str, asyncio.Future[bytes]]] = deque()
        old = previous.content.shards if previous is not None else ()
        old_origins = previous.origins if previous is not None else ()
        known = {shard.sha256 for shard in old}
        shards: list[Shard] = []
        origins: list[str] = []
        at = 0
        for low, high in affected(old, holdings.changed(mirror.id)) if old else [(0, 0)]:
            shards += old[at:low]
            origins += old_origins[at:low]
            first = old[low].first if low > 0 else ""
            last = old[high].first if high < len(old) else None
            for run in _runs(holdings.entries_and_origins(mirror.id, first, last)):
                shard, origin = self._pack(run, known, packing)
                shards.append(shard)
                origins.append(origin)
                await self._write(packing, PACKING)
            at = high
        await self._write(packing, 0)
        return (*shards, *old[at:]), (*origins, *old_origins[at:])

    def _pack(
        self, run: list[tuple[Entry, Origin]], known: set[str], packing: deque[tuple[str, asyncio.Future[bytes]]]
    ) -> tuple[Shard, str]:
        """Return a shard and the name of its origins, and begin to compress them, in threads."""
        shard, content = shard_of([entry for entry, _ in run])
        beside = lines([origin for _, origin in run])
        name = hashlib.sha256(beside).hexdigest()
        loop = asyncio.get_running_loop()
        if shard.sha256 not in known:
            path = shard_path(self.mirror.name, shard.sha256)
            packing.append((path, loop.run_in_executor(None, self._packed, content)))
        packing.append((origins_path(self.mirror.name, name), loop.run_in_executor(None, self._packed, beside)))
        return shard, name

    async def _write(self, packing: deque[tuple[str, asyncio.Future[bytes]]], most: int) -> None:
        """Store compressed files until at most `most` are left."""
        while len(packing) > most:
            path, packed = packing.popleft()
            await self.store.put(path, await packed)

    def _packed(self, content: bytes) -> bytes:
        try:
            return pack(content)
        except SnapshotError as error:
            raise TooLarge(message("{name}: {cause}", name=self.mirror.name, cause=error)) from error

    async def _write_pointer(self, snapshot: Snapshot) -> None:
        known = self.catalogue.history.snapshot_times(self.mirror.id)
        times = [(snapshot.id, snapshot.created), *(one for one in known if one[0] != snapshot.id)]
        count = len(times) if self.keep is None else count_retained(times, self.keep, self.now())
        pins = self.catalogue.approvals.pins(self.mirror.id)
        pointer = Pointer(
            self.mirror.name,
            snapshot.id,
            self.place.prefix,
            self.now(),
            tuple(name for name, _ in times[:count]),
            tuple(path for path, frozen in pins if not frozen)[:MAX_PINS],
            tuple(path for path, frozen in pins if frozen)[:MAX_PINS],
        )
        await self.store.put(pointer_path(self.mirror.name), msgspec.json.encode(pointer, enc_hook=plain))

    def _report(self, snapshot: Snapshot, *, changed: bool) -> None:
        self.listener(Published(self.mirror.name, snapshot.id, snapshot.files, snapshot.bytes, changed))


def is_interrupted(catalogue: Catalogue, mirror: MirrorRow) -> bool:
    """Return True if a publish of a mirror that has a Snapshot was begun and not finished."""
    return bool(mirror.snapshot) and (
        catalogue.journal.has_swaps(mirror.id)
        or catalogue.holdings.has_pending_removals(mirror.id)
        or next(catalogue.holdings.changed(mirror.id), None) is not None
    )


def _runs(pairs: Iterator[tuple[Entry, Origin]]) -> Iterator[list[tuple[Entry, Origin]]]:
    """Yield runs as `manifests.snapshot.cut` does, each Entry with its Origin."""
    run: list[tuple[Entry, Origin]] = []
    for pair in pairs:
        run.append(pair)
        if is_cut(pair[0].path):
            yield run
            run = []
    if run:
        yield run
