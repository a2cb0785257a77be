"""Finds which shards of the last Snapshot a publish must write again, and reads the rows of their new lines.

Rules:
1. A shard whose cuts stay gets its changed lines edited. One that ends elsewhere now, that changed in large part, or
   that is small, is made again from the Catalogue, together with those that it runs into.
2. All of it reads a connection of its own, in threads, one call at a time: a lock lets `close` wait for a call whose
   caller was cancelled. Shards without changes are not looked at.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from threading import Lock

import msgspec

from manifests.snapshot import Entry, Origin, Shard, is_cut, lines, pack, shard_of, sums_of
from syncd.catalogue import Catalogue, ChangedFile

SMALL = 512  # lines up to which a shard is made from the Catalogue: faster than reading it back
DENSE = 2  # a shard of which more than one in so many lines changed is made from the Catalogue


class Rewrite(msgspec.Struct, frozen=True):
    """The shards `[low, high)` to write again: one with `edits`, or any number from the Catalogue."""

    low: int
    high: int
    edits: Sequence[ChangedFile] | None


class MadeShard(msgspec.Struct, frozen=True):
    """A shard that was made, its packed lines and those beside it; `origins` is the checksum of its Origins."""

    shard: Shard
    origins: str
    packed_entries: bytes
    packed_origins: bytes
    packed_sums: bytes


class ChangeReader:
    """Reads the changes of one mirror since a Snapshot of `shards`."""

    def __init__(self, catalogue: Catalogue, mirror: int, shards: Sequence[Shard]) -> None:
        """Open a second connection to the Catalogue."""
        self._catalogue = Catalogue(catalogue.folder, read_only=True)
        self._mirror = mirror
        self._shards = shards
        self._lock = Lock()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._catalogue.close()

    def next_rewrite(self, at: int) -> Rewrite | None:
        """Return the next shards to write again, of those from `at` on; None if no other changed."""
        with self._lock:
            return self._next_rewrite(at)

    def _next_rewrite(self, at: int) -> Rewrite | None:
        shards = self._shards
        if not shards:
            return Rewrite(0, 0, None) if at == 0 else None
        if at == len(shards):
            return None
        path = self._catalogue.changes.next_path(self._mirror, self.first(at))
        if path is None:
            return None
        low = max(bisect_right(shards, path, key=lambda shard: shard.first) - 1, 0)
        if shards[low].count > SMALL and self._ends_with_cut(low):
            most = shards[low].count // DENSE
            edits = self._catalogue.changes.files(self._mirror, self.first(low), self.last(low), most + 1)
            if len(edits) <= most:
                return Rewrite(low, low + 1, edits)
        high = low + 1
        while high < len(shards) and not self._ends_with_cut(high - 1):
            high += 1
        return Rewrite(low, high, None)

    def first(self, at: int) -> str:
        """Return the first path that a shard may have."""
        return self._shards[at].first if at > 0 else ""

    def last(self, at: int) -> str | None:
        """Return the path before which a shard ends; None for the last one."""
        return self._shards[at + 1].first if at + 1 < len(self._shards) else None

    def _ends_with_cut(self, at: int) -> bool:
        """Return True if what stands before the end of a shard now ends there, too."""
        end = self.last(at)
        if end is None:
            return True
        path = self._catalogue.changes.last_entry(self._mirror, end)
        return path is None or is_cut(path)

    def has_more_than(self, count: int) -> bool:
        """Return True if the mirror has more Entries than that."""
        with self._lock:
            return self._catalogue.changes.has_more_than(self._mirror, count)

    def next_made(self, runs: Iterator[MadeShard]) -> MadeShard | None:
        """Return the next of `runs`, or None."""
        with self._lock:
            return next(runs, None)

    def runs(self, rewrite: Rewrite, *, with_sums: bool) -> Iterator[MadeShard]:
        """Make the shards of a range from the Catalogue."""
        last = self.last(rewrite.high - 1) if rewrite.high > 0 else None
        run: list[tuple[Entry, Origin]] = []
        for pair in self._catalogue.holdings.entries_and_origins(self._mirror, self.first(rewrite.low), last):
            run.append(pair)
            if is_cut(pair[0].path):
                yield _made(run, with_sums=with_sums)
                run = []
        if run:
            yield _made(run, with_sums=with_sums)


def _made(run: list[tuple[Entry, Origin]], *, with_sums: bool) -> MadeShard:
    shard, content = shard_of([entry for entry, _ in run])
    beside = lines([origin for _, origin in run])
    name = hashlib.sha256(beside).hexdigest()
    return MadeShard(shard, name, pack(content), pack(beside), pack(sums_of(content)) if with_sums else b"")
