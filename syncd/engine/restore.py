"""Restores an earlier Snapshot, single files of one, or files that were removed.

Rules:
1. All bytes are found and proved before anything is moved; if some are missing, nothing happens.
2. Going back publishes as going forward does: the same journaled swap, the same pointer.
3. Kept bytes are hashed on the way: damaged ones are not put back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, Origin, Snapshot
from syncd.catalogue import Catalogue, MirrorRow, RemovedFile, Swap
from syncd.core import Damaged, NotFound, PermanentError, Store, UnknownName
from syncd.engine.kept_snapshots import RetainedSnapshots, differences, shard_index
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher
from syncd.engine.publish_origins import read_origins
from syncd.engine.staging import drop_unjournaled
from syncd.engine.stored_digests import hash_stored

COPIES = 8  # files copied and hashed at once
SHOWN_IDS = 20  # snapshots that a message names


class Restoration(msgspec.Struct, frozen=True):
    """What going back needs."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    place: PassPaths
    publisher: Publisher
    hashing: Executor
    now: Callable[[], float] = time.time

    async def rollback(self, wanted: str) -> Snapshot:
        """Make an earlier kept Snapshot the current one. Raises NotFound; Damaged with the missing file."""
        snapshot = self.find_snapshot(wanted)
        await self.publisher.finish()
        returning: list[tuple[Entry, str]] = []
        leaving: list[str] = []
        async for path, entry in self._changes_to(snapshot):
            held = self.catalogue.holdings.entry(self.mirror.id, path)
            if entry is None and held is not None:
                leaving.append(path)
            elif entry is not None and (held is None or held[0] != entry):
                returning.append((entry, self._kept_bytes(entry, wanted)))
        return await self._return(await self._with_origins(snapshot, returning), leaving)

    async def _changes_to(self, wanted: Snapshot) -> AsyncIterator[tuple[str, Entry | None]]:
        """Yield the paths at which the store may differ from a Snapshot, with its Entry; None: it has none.

        The store holds the current Snapshot, and what changed since it was published.
        """
        current = self.catalogue.history.current(self.mirror.id)
        assert current is not None  # `wanted` is kept, so one was published
        unpublished = set(self.catalogue.holdings.changed(self.mirror.id))
        async for path, _, entry in differences(self.store, self.mirror.name, current, wanted):
            if path not in unpublished:
                yield path, entry
        named = RetainedSnapshots(self.store, self.mirror.name, [wanted])
        for path in sorted(unpublished):
            yield path, await named.entry(wanted, path)

    async def restore(self, paths: Iterable[str], wanted: str) -> Snapshot:
        """Bring single files back as an earlier Snapshot names them, and keep them so. Raises NotFound, Damaged."""
        snapshot = self.find_snapshot(wanted)
        await self.publisher.finish()
        named = RetainedSnapshots(self.store, self.mirror.name, [snapshot])
        paths = list(dict.fromkeys(paths))
        returning: list[tuple[Entry, str]] = []
        for path in paths:
            entry = await named.entry(snapshot, path)
            if entry is None:
                raise UnknownName(
                    message(
                        "{path}: snapshot {snapshot} of {name} has no such file",
                        path=path,
                        snapshot=snapshot.id[:12],
                        name=self.mirror.name,
                    )
                )
            held = self.catalogue.holdings.entry(self.mirror.id, path)
            if held is None or held[0] != entry:
                returning.append((entry, self._kept_bytes(entry, wanted)))
        files = await self._with_origins(snapshot, returning)
        return await self._return(files, [], lambda: self.catalogue.approvals.pin(self.mirror.id, paths, frozen=True))

    async def undelete(self, paths: Iterable[str]) -> Snapshot:
        """Bring removed files back, and keep them although upstream dropped them. Raises NotFound, Damaged."""
        await self.publisher.finish()
        found = [self._removed(path) for path in dict.fromkeys(paths)]
        files = [(removed.entry, removed.origin, self._place_of(removed)) for removed in found]
        pinned = [removed.path for removed in found]
        return await self._return(files, [], lambda: self.catalogue.approvals.pin(self.mirror.id, pinned))

    def find_snapshot(self, wanted: str) -> Snapshot:
        """Return the kept Snapshot whose id begins with `wanted`. Raises NotFound."""
        kept = [name for name, _ in self.catalogue.history.snapshot_times(self.mirror.id)]
        matching = [name for name in kept if name.startswith(wanted)]
        if len(matching) != 1 or len(wanted) < 4:
            raise unknown_snapshot(wanted, self.mirror.name, kept)
        snapshot = self.catalogue.history.snapshot(self.mirror.id, matching[0])
        assert snapshot is not None
        return snapshot

    def _removed(self, path: str) -> RemovedFile:
        """Return the last removal of a file whose bytes are stored. Raises NotFound."""
        if self.catalogue.holdings.entry(self.mirror.id, path) is not None:
            raise UnknownName(message("{path}: is not deleted: {name} has it", path=path, name=self.mirror.name))
        removed = self.catalogue.holdings.removed_files(self.mirror.id, path)
        if not removed:
            raise UnknownName(
                message(
                    "{path}: was not deleted from {name}, or its retention has expired",
                    path=path,
                    name=self.mirror.name,
                )
            )
        return removed[0]

    def _place_of(self, removed: RemovedFile) -> str:
        if removed.is_in_place:
            return self.place.natural(removed.path)
        return self.place.removed(removed.snapshot, removed.path)

    def _kept_bytes(self, entry: Entry, wanted: str) -> str:
        """Return where the bytes of an Entry are stored. Raises Damaged."""
        for version in self.catalogue.holdings.versions(self.mirror.id, entry.path):
            if version.sha256 == entry.sha256:
                return self.place.version(version.snapshot, entry.path)
        for removed in self.catalogue.holdings.removed_files(self.mirror.id, entry.path):
            if removed.entry.sha256 == entry.sha256:
                return self._place_of(removed)
        raise Damaged(
            message("{path}: the bytes of snapshot {wanted} are no longer kept", path=entry.path, wanted=wanted[:12])
        )

    async def _return(
        self,
        files: list[tuple[Entry, Origin, str]],
        leaving: list[str],
        record: Callable[[], None] = lambda: None,
    ) -> Snapshot:
        """Stage copies of kept bytes, record the moves, then make them and publish."""
        catalogue, mirror = self.catalogue, self.mirror
        try:
            await self._stage_all(files)
        except BaseException:
            await drop_unjournaled(self.store, catalogue, mirror, self.place)
            raise
        swaps = [self._swap(entry, origin) for entry, origin, _ in files]

        def work() -> None:
            catalogue.journal.add_swaps(mirror.id, swaps)
            catalogue.holdings.remove(mirror.id, leaving, self.now())
            record()

        catalogue.together(mirror.id, work)
        return await self.publisher.publish()

    def _swap(self, entry: Entry, origin: Origin) -> Swap:
        held = self.catalogue.holdings.entry(self.mirror.id, entry.path)
        old_bytes, old_sha256 = (held[0].size, held[0].sha256) if held is not None else (0, "")
        return Swap(entry.path, self.place.staged(entry.path), entry, origin, old_bytes, old_sha256)

    async def _stage_all(self, files: list[tuple[Entry, Origin, str]]) -> None:
        left = iter(files)

        async def lane() -> None:
            for entry, _, place in left:
                await self._stage(entry, place)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(COPIES, len(files))):
                    group.create_task(lane())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def _stage(self, entry: Entry, place: str) -> None:
        staged = self.place.staged(entry.path)
        try:
            await self.store.copy(place, staged)
        except NotFound as error:
            raise Damaged(
                message("{path}: its kept bytes are missing: {cause}", path=entry.path, cause=error)
            ) from error
        size, digests = await hash_stored(self.store, staged, ("sha256",), self.hashing)
        if (size, digests["sha256"]) != (entry.size, entry.sha256):
            raise Damaged(
                message(
                    "{path}: its kept bytes are damaged: sha256 {sha256} proved, {found} found",
                    path=entry.path,
                    sha256=entry.sha256,
                    found=digests["sha256"],
                )
            )

    async def _with_origins(
        self, snapshot: Snapshot, files: list[tuple[Entry, str]]
    ) -> list[tuple[Entry, Origin, str]]:
        """Add the Origins that a Snapshot has for some of its Entries; reads only the lists that name them."""
        found: dict[str, Origin] = {}
        paths = {entry.path for entry, _ in files}
        for at in sorted({shard_index(snapshot, path) for path in paths}):
            origins = await read_origins(self.store, self.mirror.name, snapshot.origins[at])
            found.update({path: origins[path] for path in paths & origins.keys()})
        return [(entry, found[entry.path], place) for entry, place in files]


def unknown_snapshot(wanted: str, name: str, kept: Sequence[str]) -> UnknownName:
    """Return the error for a text that is not the beginning of the id of exactly one kept snapshot."""
    if not kept:
        return UnknownName(message("{name}: no snapshot is kept", name=name))
    ids = [one[:12] for one in kept[:SHOWN_IDS]] + (["…"] if len(kept) > SHOWN_IDS else [])
    return UnknownName(
        message(
            "{wanted}: give at least four characters of the id of one snapshot; {name} keeps {ids}",
            wanted=wanted,
            name=name,
            ids=ids,
        )
    )


def unknown_mirror(name: str) -> PermanentError:
    """Return the error to raise for an unknown mirror."""
    return UnknownName(message("{name}: no such mirror in this state folder; `syncd status` lists them", name=name))
