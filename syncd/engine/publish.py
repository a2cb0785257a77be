"""Makes what was proved the mirror's next Snapshot: swap, then snapshot files, then the pointer.

Rules:
1. The files are moved first (`syncd.engine.tree_moves`); each step may be done twice, so a crash is rolled forward.
2. A Snapshot is readable in whole before the pointer names it.
3. A change of k files rewrites at most 2k shards; all others are shared with the Snapshot before.
"""

import time
from collections.abc import Callable

import msgspec

from manifests.messages import plain
from manifests.model import Keep
from manifests.snapshot import MAX_PINS, Content, Pointer, Snapshot, identity
from syncd.catalogue import Catalogue, MirrorRow, is_interrupted
from syncd.core import Listener, PermanentError, Published, Store, next_turn
from syncd.engine.content_index import index_published
from syncd.engine.pass_paths import PassPaths, pointer_path, snapshot_folder
from syncd.engine.publish_head import HeadSigner, next_state, sign_head
from syncd.engine.publish_journal import JournalHead, close_journal, read_head
from syncd.engine.publish_shards import ShardWriter
from syncd.engine.publish_sums import write_sums
from syncd.engine.retention import count_retained
from syncd.engine.tree_moves import OnFailed, TreeMoves
from syncd.engine.unpublished import note_begun, note_doubtful, note_ended


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
    heads: HeadSigner | None = None

    async def publish(self) -> Snapshot:
        """Return the Snapshot that the pointer names now; a new one only if something changed."""
        moves = TreeMoves(self.store, self.catalogue, self.mirror, self.place, self.on_failed, self.now)
        return await self._publish(await moves.settle())

    async def finish(self) -> Snapshot | None:
        """Roll forward a publish that was interrupted; None if there is none, or no Snapshot yet.

        Until then the files under their natural names, the Catalogue and the pointer can be of different Snapshots.
        """
        await self.settle_restoration()
        if not is_interrupted(self.catalogue, self.mirror):
            return None
        moves = TreeMoves(self.store, self.catalogue, self.mirror, self.place, self.on_failed, self.now)
        head = await moves.settle() or await read_head(self.store, self.place.journal)
        if next(self.catalogue.holdings.changed(self.mirror.id), None) is None:  # nothing to publish: all failed
            await self._close(head)
            return self.catalogue.history.current(self.mirror.id)
        return await self._publish(head)

    async def settle_restoration(self) -> None:
        """Let the moves of a restoration that was decided wait for the next publish, and drop those of another one."""
        is_left = self.catalogue.restorations.is_under_way(self.mirror.id)
        while is_left:
            is_left = self.catalogue.restorations.settle_part(self.mirror.id)
            await next_turn()

    async def _publish(self, head: JournalHead | None) -> Snapshot:
        holdings, history, mirror = self.catalogue.holdings, self.catalogue.history, self.mirror
        previous = history.current(mirror.id)
        if previous is not None and next(holdings.changed(mirror.id), None) is None:
            await self._close(head)
            await self._sign(previous, await self._write_pointer(previous))
            self._report(previous, changed=False)
            return previous
        note_begun(self.catalogue, mirror.name, is_first=previous is None)
        written = await ShardWriter(self.store, self.catalogue, mirror, previous).write()
        content = Content(written.shards)
        snapshot = Snapshot(
            id=identity(content),
            content=content,
            mirror=mirror.name,
            created=self.now(),
            files=sum(shard.count for shard in written.shards),
            bytes=sum(shard.bytes for shard in written.shards),
            source=mirror.source,
            by="syncd",
            previous=previous.id if previous is not None else "",
            origins=written.origins,
            sums=written.has_sums,
        )
        known = history.snapshot(mirror.id, snapshot.id)
        if (
            known is not None and known.origins != written.origins
        ):  # its row is replaced, and nothing names its origins then
            note_doubtful(self.catalogue, mirror.name)
        await write_sums(self.store, self.catalogue, mirror, snapshot, written.without_sums)
        folder = snapshot_folder(mirror.name, snapshot.id)
        # also over an earlier Snapshot of the same content: its origins are deleted with its own row
        await self.store.put(f"{folder}snapshot.json", msgspec.json.encode(snapshot, enc_hook=plain))
        pointer = await self._write_pointer(snapshot)
        history.publish(mirror.id, snapshot)
        await self._close(head)
        await index_published(self.catalogue, mirror, snapshot.files)
        self.catalogue.changes.clear(mirror.id, written.ranges)
        note_ended(self.catalogue, mirror.name)
        await self._sign(snapshot, pointer)
        self._report(snapshot, changed=previous is None or previous.id != snapshot.id)
        return snapshot

    async def _close(self, head: JournalHead | None) -> None:
        if head is not None:
            is_list = self.catalogue.holdings.has_removed_of(self.mirror.id, head.snapshot)
            await close_journal(self.store, self.place, head, is_list=is_list)

    async def renew_head(self) -> None:
        """Sign the current Snapshot again: its head would expire. Without effect if there is none."""
        current = self.catalogue.history.current(self.mirror.id)
        if current is not None and not is_interrupted(self.catalogue, self.mirror):
            await self._sign(current, await self._write_pointer(current))

    async def _sign(self, snapshot: Snapshot, pointer: Pointer) -> None:
        if self.heads is not None:
            await sign_head(self.store, self.heads, snapshot, pointer)

    async def _write_pointer(self, snapshot: Snapshot) -> Pointer:
        known = self.catalogue.history.snapshot_times(self.mirror.id)
        times = [(snapshot.id, snapshot.created), *(one for one in known if one[0] != snapshot.id)]
        count = len(times) if self.keep is None else count_retained(times, self.keep, self.now())
        tags = self.catalogue.tags.all(self.mirror.id)
        tagged = {tag.snapshot for tag in tags}
        pins = self.catalogue.approvals.pins(self.mirror.id)
        pointer = Pointer(
            self.mirror.name,
            snapshot.id,
            self.place.prefix,
            self.now(),
            tuple(name for at, (name, _) in enumerate(times) if at < count or name in tagged),
            tuple(path for path, frozen in pins if not frozen)[:MAX_PINS],
            tuple(path for path, frozen in pins if frozen)[:MAX_PINS],
            await next_state(
                self.store,
                self.catalogue.settings,
                self.mirror.name,
                snapshot.id,
                self.now(),
                signs=self.heads is not None,
            ),
            tuple(tags),
        )
        await self.store.put(pointer_path(self.mirror.name), msgspec.json.encode(pointer, enc_hook=plain))
        return pointer

    def _report(self, snapshot: Snapshot, *, changed: bool) -> None:
        self.listener(Published(self.mirror.name, snapshot.id, snapshot.files, snapshot.bytes, changed))
