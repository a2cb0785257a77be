"""Deletes expired files: old snapshots, replaced bytes, removed files past their time, stale staging.

Rules:
1. The newest `keep.versions` Snapshots before the current one are kept, and each for `keep.replaced` after the next
   one took its place. So the kept Snapshots have no gap.
2. Bytes that left their final name are stored under the last Snapshot that named them. They are deleted after that one,
   for then no kept Snapshot names them; those of a removed file not before `keep.removed`.
3. A Snapshot is deleted before the bytes that it names, and bytes before the row that names them. So a crash leaves
   work to do again and nothing lost track of.
4. A tagged Snapshot is kept with all that it names. Bytes under a Snapshot that is deleted move to the newest tagged
   one that names them.
5. A Snapshot that only its age keeps has no SHA256SUMS: there may be thousands of them, and its shards say the same.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from manifests.model import Keep
from manifests.snapshot import Snapshot
from syncd.catalogue import ArchivedVersion, Catalogue, MirrorRow, RemovedFile
from syncd.core import NotFound, Store, next_turn
from syncd.engine.failure_collector import FailureCollector
from syncd.engine.kept_snapshots import RetainedSnapshots
from syncd.engine.pass_paths import PassPaths, shard_path, snapshot_folder, sums_path
from syncd.engine.publish_origins import origins_paths
from syncd.engine.publish_sums import WHOLE, sums_files
from syncd.engine.unpublished import delete_unpublished

STALE = 7 * 86400.0  # seconds after which a staging that nobody resumed is dropped
MAX_KEPT = 10_000  # Snapshots kept for their age: the pointer names them all
PAGE = 256  # files deleted before their rows are


def count_retained(times: Sequence[tuple[str, float]], keep: Keep, now: float) -> int:
    """Return how many of the Snapshots `(id, published)`, the current one first, are kept."""
    count = min(len(times), keep.versions + 1)
    while count < min(len(times), MAX_KEPT) and times[count - 1][1] > now - keep.replaced:
        count += 1
    return count


class Housekeeping(msgspec.Struct, frozen=True):
    """What deleting the expired files of one mirror needs."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    keep: Keep
    now: Callable[[], float] = time.time

    async def run(self) -> None:
        """Delete everything that is not kept. Raises the first failure, once all else is done."""
        times = self.catalogue.history.snapshot_times(self.mirror.id)
        count = count_retained(times, self.keep, self.now())
        failures = FailureCollector()
        tags = {tag.snapshot for tag in self.catalogue.tags.all(self.mirror.id)}
        await self._thin([one for one in times[self.keep.versions + 1 : count] if one[0] not in tags])
        keeping = [name for at, (name, _) in enumerate(times) if at < count or name in tags]
        if len(keeping) < len(times):
            await self._snapshots(keeping, [name for name, _ in times if name not in keeping])
        kept, tagged = set(keeping), [name for name in keeping if name in tags]
        newest = [name for name, _ in times[: self.keep.versions + 1] if name not in tags]
        await self._versions(kept, newest, tagged, failures)
        await self._removed(kept, tagged, failures)
        await delete_unpublished(self.store, self.catalogue, self.mirror, failures)
        await self.store.sweep(STALE)
        if failures.first is not None:
            raise failures.first

    # -- snapshots ------------------------------------------------------------------------------------------------

    async def _thin(self, times: Sequence[tuple[str, float]]) -> None:
        """Delete the SHA256SUMS of the Snapshot that only its age keeps since the last one was published."""
        if times:
            await self.store.delete(snapshot_folder(self.mirror.name, times[0][0]) + WHOLE)

    async def _snapshots(self, kept: list[str], gone: list[str]) -> None:
        history, mirror = self.catalogue.history, self.mirror
        for name in gone:
            snapshot = history.snapshot(mirror.id, name)
            if snapshot is None:
                continue
            folder = snapshot_folder(mirror.name, name)
            await self.store.delete(f"{folder}snapshot.json")
            for path in sums_files(mirror.name, snapshot):
                await self.store.delete(path)
            for path in sorted(await self._unshared(snapshot, kept)):
                await self.store.delete(path)
            history.forget_snapshot(mirror.id, name)

    async def _unshared(self, snapshot: Snapshot, kept: list[str]) -> set[str]:
        """Return the shards and origins of a Snapshot that no kept one shares."""
        files = _files(snapshot)
        for name in (*reversed(kept[-1:]), *kept):  # the oldest shares most
            if not files:
                break
            other = self.catalogue.history.snapshot(self.mirror.id, name)
            if other is not None:
                files -= _files(other)
            await next_turn()
        return files

    # -- bytes ----------------------------------------------------------------------------------------------------

    async def _versions(self, kept: set[str], newest: list[str], tagged: list[str], failures: FailureCollector) -> None:
        holdings, mirror = self.catalogue.holdings, self.mirror
        named: RetainedSnapshots | None = None
        for name in list(holdings.snapshots_of(mirror.id, "version")):
            after = ""
            while name not in kept and (page := holdings.versions_of(mirror.id, name, PAGE, after)):
                after = page[-1].path
                named = named or self._read_snapshots([*newest, *tagged])
                for version in page:
                    with failures.collect():
                        await self._version(version, named, tagged)
                await next_turn()

    async def _version(self, version: ArchivedVersion, named: RetainedSnapshots, tagged: list[str]) -> None:
        # an older syncd could store bytes under another Snapshot than the last one that named them
        naming = await named.snapshot_naming(version.path, version.sha256)
        place, holdings = self.place, self.catalogue.holdings
        if naming is None:
            await self.store.delete(place.version(version.snapshot, version.path))
            holdings.forget_version(self.mirror.id, version)
        elif naming in tagged:
            moved = msgspec.structs.replace(version, snapshot=naming)
            holdings.add_versions(self.mirror.id, [moved], self.now())  # first: a reader looks at both places
            await self._move(place.version(version.snapshot, version.path), place.version(naming, version.path))
            holdings.forget_version(self.mirror.id, version)

    async def _move(self, path: str, to: str) -> None:
        """Move kept bytes; they may be there since a pass that was interrupted."""
        try:
            await self.store.move(path, to)
        except NotFound:
            await self.store.stat(to)

    def _read_snapshots(self, names: list[str]) -> RetainedSnapshots:
        found = [self.catalogue.history.snapshot(self.mirror.id, name) for name in names]
        return RetainedSnapshots(self.store, self.mirror.name, [one for one in found if one is not None])

    async def _removed(self, kept: set[str], tagged: list[str], failures: FailureCollector) -> None:
        holdings, mirror, before = self.catalogue.holdings, self.mirror, self.now() - self.keep.removed
        for name in list(holdings.snapshots_of(mirror.id, "removed")):
            if name in kept:
                continue
            after = ""
            while page := holdings.removed_of(mirror.id, name, before, after, PAGE):
                after = page[-1].path
                deleted: list[RemovedFile] = []
                named = self._read_snapshots(tagged)
                try:
                    for removed in page:
                        with failures.collect():
                            await self._remove(name, removed, named)
                            deleted.append(removed)
                except BaseException:
                    holdings.forget_removed(mirror.id, deleted)
                    raise
                if not holdings.has_removed_of(mirror.id, name, beyond=len(deleted)):
                    await self._delete_removal_lists(name)  # first: after a crash, these rows lead here again
                holdings.forget_removed(mirror.id, deleted)

    async def _remove(self, name: str, removed: RemovedFile, named: RetainedSnapshots) -> None:
        """Delete the bytes of a removed file, or move them to the tagged Snapshot that names them."""
        path = self.place.removed(name, removed.path)
        naming = await named.snapshot_naming(removed.path, removed.entry.sha256) if named.snapshots else None
        if naming is None:
            await self.store.delete(path)
            return
        self.catalogue.holdings.add_removed(self.mirror.id, [msgspec.structs.replace(removed, snapshot=naming)])
        await self._move(path, self.place.removed(naming, removed.path))

    async def _delete_removal_lists(self, name: str) -> None:
        """Delete the records of the removed files of a Snapshot."""
        records = [stat.path async for stat in self.store.list(f"{self.place.all_removed}{name}.")]
        for path in records:
            await self.store.delete(path)


def _files(snapshot: Snapshot) -> set[str]:
    files = {shard_path(snapshot.mirror, shard.sha256) for shard in snapshot.content.shards}
    files.update(path for names in snapshot.origins for path in origins_paths(snapshot.mirror, names))
    if snapshot.sums:
        files.update(sums_path(snapshot.mirror, shard.sha256) for shard in snapshot.content.shards)
    return files
