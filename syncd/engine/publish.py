"""Publishes the verified files as the mirror's next Snapshot: swap, then snapshot files, then the pointer.

Rules:
1. The swap is journaled in the Catalogue before it begins; its steps are idempotent, so after a crash it is continued.
2. A replaced file is never absent: its old bytes are copied inside the store, then the new ones move over it.
3. A Snapshot is fully readable before the pointer names it.
4. A change of k files rewrites at most 2k shards; all others are shared with the previous Snapshot.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

from manifests.messages import message, plain
from manifests.snapshot import (
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
from syncd.catalogue import ArchivedVersion, Catalogue, MirrorRow, Swap
from syncd.core import Listener, NotFound, Published, Store, TooLarge
from syncd.engine.pass_paths import PassPaths

WRITE = 1 << 20  # bytes of SHA256SUMS written at a time
PACKING = 4  # files being compressed while the next ones are read


class Publisher(msgspec.Struct, frozen=True):
    """Publishes the Snapshots of one mirror."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    listener: Listener
    keep_versions: int
    now: Callable[[], float] = time.time

    async def publish(self) -> Snapshot:
        """Publish, and return the Snapshot that the pointer names; a new one only if files changed."""
        await self.swap()
        holdings, history, mirror = self.catalogue.holdings, self.catalogue.history, self.mirror
        kept = history.snapshots(mirror.id)
        previous = kept[0] if kept else None
        if previous is not None and next(holdings.changed(mirror.id), None) is None:
            await self._write_pointer(previous, kept)
            self._report(previous, changed=False)
            return previous
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
        folder = snapshot_folder(mirror.name, snapshot.id)
        if snapshot.files <= MAX_SUMS:
            await self._write_checksums(f"{folder}SHA256SUMS")
        # also over an earlier Snapshot of the same content: its origins are deleted with its own row
        await self.store.put(f"{folder}snapshot.json", msgspec.json.encode(snapshot, enc_hook=plain))
        await self._write_pointer(snapshot, kept)
        history.publish(mirror.id, snapshot)
        holdings.clear_changed(mirror.id)
        self._report(snapshot, changed=previous is None or previous.id != snapshot.id)
        return snapshot

    async def finish(self) -> Snapshot | None:
        """Complete an interrupted publish; None if there is none, or no Snapshot yet.

        Until then, the files under final names, the Catalogue and the pointer can belong to different Snapshots.
        """
        return await self.publish() if is_interrupted(self.catalogue, self.mirror) else None

    async def swap(self) -> None:
        """Move the verified replacements to their final names; continue a swap that a crash interrupted."""
        for swap in self.catalogue.journal.swaps(self.mirror.id):
            await self._swap(swap)

    async def _swap(self, swap: Swap) -> None:
        mirror, natural = self.mirror, self.place.natural(swap.path)
        snapshot = mirror.snapshot or "none"
        aside = self.place.version(snapshot, swap.path)
        if await self._is_there(swap.staged):
            kept = bool(mirror.snapshot) and await self._archive_replaced(natural, aside)
            await self.store.move(swap.staged, natural)
        else:  # moved before the crash, but not yet recorded
            kept = bool(mirror.snapshot) and await self._is_there(aside)
        if kept:
            version = ArchivedVersion(snapshot, swap.path, swap.old_bytes, swap.old_sha256)
            self.catalogue.holdings.add_version(mirror.id, version, self.now())
        self.catalogue.holdings.add(mirror.id, [(swap.entry, swap.origin)])
        self.catalogue.journal.end_swap(mirror.id, swap.path)

    async def _archive_replaced(self, natural: str, aside: str) -> bool:
        """Archive the bytes that will be replaced; return False if there are none.

        If two swaps precede a snapshot, the first one archived the published bytes.
        """
        if await self._is_there(aside):
            return True
        try:
            await self.store.copy(natural, aside)
        except NotFound:
            if not await self._is_there(natural):  # the file is gone: there is nothing to archive
                return False
            await self.store.copy(natural, aside)  # another file was missing during the copy; the second time, raise
        return True

    async def _is_there(self, path: str) -> bool:
        try:
            await self.store.stat(path)
        except NotFound:
            return False
        return True

    # -- the snapshot's files -------------------------------------------------------------------------------------

    async def _shards(self, previous: Snapshot | None) -> tuple[tuple[Shard, ...], tuple[str, ...]]:
        """Write the changed shards, and share the others."""
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
        """Return a shard and the name of its origins, and start to compress them in threads."""
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
        """Store compressed files until at most `most` remain."""
        while len(packing) > most:
            path, packed = packing.popleft()
            await self.store.put(path, await packed)

    def _packed(self, content: bytes) -> bytes:
        try:
            return pack(content)
        except SnapshotError as error:
            raise TooLarge(message("{name}: {cause}", name=self.mirror.name, cause=error)) from error

    async def _write_checksums(self, path: str) -> None:
        """Write the list that `sha256sum -c` reads, in pieces: it may name a million files."""
        digest, size, piece = hashlib.sha256(), 0, bytearray()
        async with self.store.stage(path, size=None) as file:
            for entry in self.catalogue.holdings.entries(self.mirror.id):
                piece += sums_line(entry)
                if len(piece) >= WRITE:
                    digest.update(piece)
                    await file.write(size, bytes(piece))
                    size += len(piece)
                    piece.clear()
            digest.update(piece)
            if piece:
                await file.write(size, bytes(piece))
            await file.commit(size=size + len(piece), sha256=digest.hexdigest())

    async def _write_pointer(self, snapshot: Snapshot, kept: Iterable[Snapshot]) -> None:
        ids = dict.fromkeys([snapshot.id, *(earlier.id for earlier in kept)])
        pointer = Pointer(
            self.mirror.name, snapshot.id, self.place.prefix, self.now(), tuple(ids)[: self.keep_versions + 1]
        )
        await self.store.put(pointer_path(self.mirror.name), msgspec.json.encode(pointer, enc_hook=plain))

    def _report(self, snapshot: Snapshot, *, changed: bool) -> None:
        self.listener(Published(self.mirror.name, snapshot.id, snapshot.files, snapshot.bytes, changed))


def is_interrupted(catalogue: Catalogue, mirror: MirrorRow) -> bool:
    """Return True if a publish of a mirror with a Snapshot was interrupted."""
    return bool(mirror.snapshot) and (
        bool(catalogue.journal.swaps(mirror.id)) or next(catalogue.holdings.changed(mirror.id), None) is not None
    )


def _runs(pairs: Iterator[tuple[Entry, Origin]]) -> Iterator[list[tuple[Entry, Origin]]]:
    """Yield runs like `manifests.snapshot.cut`, each Entry with its Origin."""
    run: list[tuple[Entry, Origin]] = []
    for pair in pairs:
        run.append(pair)
        if is_cut(pair[0].path):
            yield run
            run = []
    if run:
        yield run


def pointer_path(mirror: str) -> str:
    """Return the path of a mirror's pointer."""
    return f".syncd/mirrors/{mirror}.json"


def snapshot_folder(mirror: str, snapshot: str) -> str:
    """Return the folder of one snapshot, with a slash at the end."""
    return f".syncd/snapshots/{mirror}/{snapshot}/"


def shard_path(mirror: str, sha256: str) -> str:
    """Return the path of a shard."""
    return f".syncd/shards/{mirror}/{sha256}.jsonl.gz"


def origins_path(mirror: str, sha256: str) -> str:
    """Return the path of a shard's origins."""
    return f".syncd/shards/{mirror}/{sha256}.origins.jsonl.gz"
