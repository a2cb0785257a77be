"""Restores an earlier Snapshot, single files of one, or files that were removed.

Rules:
1. All bytes are found and proved before anything is moved; if some are missing, nothing happens. The moves are
   recorded in parts, which count once they are all there (`syncd.catalogue.restorations`).
2. Going back publishes as going forward does: the same journaled swap, the same pointer.
3. Kept bytes are hashed on the way: damaged ones are not put back.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import NamedTuple

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, Origin, Snapshot
from syncd.catalogue import Catalogue, MirrorRow, RemovedFile, Swap
from syncd.core import Damaged, PermanentError, Store, SyncdError, UnknownName, next_turn
from syncd.engine.kept_copies import KeptCopies
from syncd.engine.kept_snapshots import RetainedSnapshots, differences, shard_index
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher
from syncd.engine.publish_origins import read_origins
from syncd.engine.staging import drop_unjournaled

PART = 128  # moves recorded at once, in a few milliseconds
TURN = 64  # files looked up between two turns of the event loop
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
        return await self._return(self._moves_to(snapshot, wanted), self._origins_of(snapshot))

    async def _moves_to(self, snapshot: Snapshot, wanted: str) -> AsyncIterator["Move"]:
        """Yield what differs from a Snapshot, a part of it between two turns of the event loop."""
        seen = 0
        async for path, entry in self._changes_to(snapshot):
            held = self.catalogue.holdings.entry(self.mirror.id, path)
            if entry is None and held is not None:
                yield Move(path)
            elif entry is not None and (held is None or held[0] != entry):
                yield Move(path, entry, self._kept_bytes(entry, wanted))
            seen += 1
            if seen % TURN == 0:
                await next_turn()

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
        returning: list[Move] = []
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
                returning.append(Move(path, entry, self._kept_bytes(entry, wanted)))
        return await self._return(
            _each(returning),
            self._origins_of(snapshot),
            lambda: self.catalogue.approvals.pin(self.mirror.id, paths, frozen=True),
        )

    async def undelete(self, paths: Iterable[str]) -> Snapshot:
        """Bring removed files back, and keep them although upstream dropped them. Raises NotFound, Damaged."""
        await self.publisher.finish()
        found = {path: self._removed(path) for path in dict.fromkeys(paths)}

        async def origin(path: str) -> Origin:
            return found[path].origin

        moves = [Move(path, removed.entry, self._place_of(removed)) for path, removed in found.items()]
        return await self._return(
            _each(moves), origin, lambda: self.catalogue.approvals.pin(self.mirror.id, list(found))
        )

    def find_snapshot(self, wanted: str) -> Snapshot:
        """Return the kept Snapshot whose id begins with `wanted`. Raises NotFound."""
        return find_snapshot(self.catalogue, self.mirror, wanted)

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
        self, moves: AsyncIterator["Move"], origin_of: "OriginOf", also: Callable[[], None] = lambda: None
    ) -> Snapshot:
        """Record all moves, and stage copies of kept bytes, in parts; then decide, make them, and publish."""
        catalogue, mirror = self.catalogue, self.mirror.id
        catalogue.restorations.begin(mirror)
        try:
            while part := [move async for move in _first(moves, PART)]:
                returning = [(await self._swap(move, origin_of), move.source) for move in part if move.entry]
                catalogue.restorations.add(mirror, returning, [move.path for move in part if not move.entry])
            kept, after = KeptCopies(self.store, self.hashing), ""
            while copies := catalogue.restorations.returning(mirror, after, PART):
                await kept.stage(copies)
                after = copies[-1][0].path
        except BaseException:
            with suppress(SyncdError):  # what stays is dropped before the next publish
                await self.publisher.settle_restoration()
                await drop_unjournaled(self.store, catalogue, self.mirror, self.place)
            raise
        catalogue.restorations.decide(mirror, self.now(), also)
        await self.publisher.settle_restoration()
        return await self.publisher.publish()

    async def _swap(self, move: "Move", origin_of: "OriginOf") -> Swap:
        assert move.entry is not None
        held = self.catalogue.holdings.entry(self.mirror.id, move.path)
        old_bytes, old_sha256 = (held[0].size, held[0].sha256) if held is not None else (0, "")
        origin = await origin_of(move.path)
        return Swap(move.path, self.place.staged(move.path), move.entry, origin, old_bytes, old_sha256)

    def _origins_of(self, snapshot: Snapshot) -> "OriginOf":
        """Return the function that reads the Origin of a path in a Snapshot; sorted paths read each list once."""
        kept: dict[str, dict[str, Origin]] = {}

        async def origin(path: str) -> Origin:
            names = snapshot.origins[shard_index(snapshot, path)]
            if names not in kept:
                kept.clear()
                kept[names] = await read_origins(self.store, self.mirror.name, names)
            return kept[names][path]

        return origin


class Move(NamedTuple):
    """A path at which the kept bytes at `source` return as `entry`, or from which a file leaves."""

    path: str
    entry: Entry | None = None
    source: str = ""


OriginOf = Callable[[str], Awaitable[Origin]]


async def _each(moves: Iterable[Move]) -> AsyncIterator[Move]:
    for move in moves:
        yield move


async def _first(moves: AsyncIterator[Move], most: int) -> AsyncIterator[Move]:
    """Yield at most so many of the moves that are left."""
    for _ in range(most):
        move = await anext(moves, None)
        if move is None:
            return
        yield move


def find_snapshot(catalogue: Catalogue, mirror: MirrorRow, wanted: str) -> Snapshot:
    """Return the kept Snapshot that has the tag `wanted`, or whose id begins with it. Raises NotFound."""
    tagged = next((tag.snapshot for tag in catalogue.tags.all(mirror.id) if tag.name == wanted), None)
    kept = [name for name, _ in catalogue.history.snapshot_times(mirror.id)]
    matching = [tagged] if tagged is not None else [name for name in kept if name.startswith(wanted)]
    if len(matching) != 1 or (len(wanted) < 4 and tagged is None):
        raise unknown_snapshot(wanted, mirror.name, kept)
    snapshot = catalogue.history.snapshot(mirror.id, matching[0])
    if snapshot is None:
        raise unknown_snapshot(wanted, mirror.name, kept)
    return snapshot


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
