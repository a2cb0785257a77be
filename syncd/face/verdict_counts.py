"""Counts the files of a snapshot by their verdict, and by whose checksums they were verified.

A shard is counted once: after a publish, only the shards that changed are read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from manifests.snapshot import Entry, Origin, Snapshot
from syncd.core import Store
from syncd.engine import read_origins, shard_entries
from syncd.face.later_results import LaterResults
from syncd.face.origins import public_by

MOST_SHARDS = 20_000  # whose counts are kept
MOST_NAMES = 8  # of those whose checksums were used


class CountedVerdict(msgspec.Struct, frozen=True):
    """Files with one verdict; `by` says whose checksums verified them, "" for attested ones."""

    verdict: str
    by: str
    files: int
    bytes: int


class VerdictCounts:
    """The counts of the snapshots of one store."""

    def __init__(self, store: Store) -> None:
        """Read from `store`, which belongs to the running loop."""
        self._store = store
        self._shards: OrderedDict[tuple[str, str], tuple[CountedVerdict, ...]] = OrderedDict()
        self._later: LaterResults[tuple[CountedVerdict, ...]] = LaterResults()
        self.close = self._later.close

    async def get(self, snapshot: Snapshot) -> tuple[CountedVerdict, ...] | None:
        """Return the counts, the largest first; None while they are being counted. Raises Damaged, TransientError."""
        return await self._later.get((snapshot.mirror, snapshot.id), lambda: self._count(snapshot))

    async def _count(self, snapshot: Snapshot) -> tuple[CountedVerdict, ...]:
        found: list[CountedVerdict] = []
        for shard, names in zip(snapshot.content.shards, snapshot.origins, strict=False):
            found += await self._of_shard(snapshot.mirror, shard.sha256, names)
        return added(found)

    async def _of_shard(self, mirror: str, sha256: str, names: str) -> tuple[CountedVerdict, ...]:
        key = (sha256, names)
        if key not in self._shards:
            entries = await shard_entries(self._store, mirror, sha256)
            origins = await read_origins(self._store, mirror, names)
            self._shards[key] = await asyncio.to_thread(_counted, entries, origins)
            if len(self._shards) > MOST_SHARDS:
                self._shards.popitem(last=False)
        self._shards.move_to_end(key)
        return self._shards[key]


def added(counts: Iterable[CountedVerdict]) -> tuple[CountedVerdict, ...]:
    """Return the sums of counts, the largest first; the smallest of many names are one, without a name."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for one in counts:
        files, size = sums.get((one.verdict, one.by), (0, 0))
        sums[one.verdict, one.by] = (files + one.files, size + one.bytes)
    found = sorted((CountedVerdict(*key, *value) for key, value in sums.items()), key=lambda one: -one.files)
    named, rest = found[:MOST_NAMES], found[MOST_NAMES:]
    return (*named, *(added([msgspec.structs.replace(one, by="") for one in rest]) if rest else ()))


def _counted(entries: list[Entry], origins: Mapping[str, Origin]) -> tuple[CountedVerdict, ...]:
    found = []
    for entry in entries:
        origin = origins.get(entry.path)
        if origin is not None:
            by = public_by(origin.by) if origin.verdict == "verified" else ""
            found.append(CountedVerdict(origin.verdict, by, 1, entry.size))
    return added(found)
