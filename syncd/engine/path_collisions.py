"""Finds paths that collide on file systems that fold case or normalise Unicode, among ten million.

Colliding paths can be far apart in a sorted listing, so every path is kept as 8 bytes, a digest of its folded form.
Digests are partitioned by their first bits; up to MOST of them are in memory, more are in a `DigestSpill`. At the end,
each partition is searched for duplicates. Two different paths share a digest less than once in a hundred thousand
mirrors of ten million files; `collisions` compares the paths themselves, and ignores such pairs.

A store that distinguishes case holds both of two names that differ in case only. Names that differ in Unicode form only
are refused everywhere: people cannot tell them apart.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import xxhash

from manifests.stat import fold, normalized
from syncd.core import NotFound, Store

PARTS = 64
MOST = 1 << 19  # digests in memory: 4 MiB

MARK = ".syncd/store.json"  # a file that every folder store has

_EDGES = [(part + 1 << 64) // PARTS for part in range(PARTS)]


class DigestSpill(Protocol):
    """A store for digests that exceed the memory limit."""

    def add(self, parts: Iterable[tuple[int, bytes]]) -> None:
        """Add digests to partitions."""
        ...

    def read(self, part: int) -> Iterator[bytes]:
        """Yield the digests of a partition."""
        ...


class CaseFoldIndex:
    """The paths of one inventory, each added once."""

    def __init__(self, kept: DigestSpill, most: int = MOST) -> None:
        self._spill = kept
        self._most = most
        self._held = 0
        self._parts = [array("Q") for _ in range(PARTS)]

    def add(self, paths: Sequence[str]) -> None:
        """Add paths."""
        digests = sorted(map(xxhash.xxh3_64_intdigest, _folded(paths)))
        start = 0
        for part, edge in zip(self._parts, _EDGES, strict=True):
            stop = bisect_left(digests, edge, start)
            part.extend(digests[start:stop])
            start = stop
        self._held += len(digests)
        if self._held > self._most:
            self._spill.add((number, part.tobytes()) for number, part in enumerate(self._parts))
            self._parts = [array("Q") for _ in range(PARTS)]
            self._held = 0

    def suspects(self) -> set[int]:
        """Return the digests added more than once."""
        found: set[int] = set()
        for number, held in enumerate(self._parts):
            part = held[:]
            for more in self._spill.read(number):
                part.frombytes(more)
            if len(set(part)) < len(part):
                found.update(one for one, another in pairwise(sorted(part)) if one == another)
        return found


async def folds_case(store: Store) -> bool:
    """Return True if a store takes two names that differ in case only for one; nothing is written."""
    try:
        await store.stat(MARK.upper())
    except NotFound:
        return False
    return True


def collisions(
    paths: Iterable[tuple[str, bool]], suspects: set[int], *, folds: bool = True
) -> Iterator[tuple[str, str]]:
    """Yield (path, the path it collides with) for each path to refuse among `(path, held)`.

    Of two that collide, the one that is an Entry is accepted, else the first in order; deterministic. `folds` is False
    for a store that distinguishes case.
    """
    found: dict[str, list[tuple[bool, str]]] = {}
    for path, held in paths:
        folded = fold(path)
        if xxhash.xxh3_64_intdigest(_bytes(folded)) in suspects:
            found.setdefault(folded if folds else normalized(path), []).append((not held, path))
    for group in found.values():
        group.sort()
        for _, path in group[1:]:
            yield path, group[0][1]


def _folded(paths: Sequence[str]) -> list[bytes]:
    """Fold many paths, at once if all are ASCII."""
    text = "\n".join(paths)
    if text.isascii():
        folded = text.lower().encode().split(b"\n")
        if len(folded) == len(paths):
            return folded
    return [_bytes(fold(path)) for path in paths]


def _bytes(folded: str) -> bytes:
    return folded.encode("utf-8", "surrogatepass")
