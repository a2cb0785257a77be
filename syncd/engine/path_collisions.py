"""Finds paths that are one and the same on a file system that folds case or normalises Unicode, among ten million.

Two such paths may stand far apart in a sorted listing, so every path must be remembered: as 8 bytes, a digest of its
folded form. Digests are kept in parts by their first bits, in memory up to MOST of them and then wherever `DigestSpill`
puts them; in the end each part is looked at for a digest that came twice. Two different paths have the same digest less
than once in a hundred thousand mirrors of ten million files, and then `collisions`, which looks at the paths, lets them
be.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import xxhash

from manifests.stat import fold

PARTS = 64
MOST = 1 << 19  # digests in memory: 4 MiB

_EDGES = [(part + 1 << 64) // PARTS for part in range(PARTS)]


class DigestSpill(Protocol):
    """A place for digests that are too many for memory."""

    def add(self, parts: Iterable[tuple[int, bytes]]) -> None:
        """Add digests to parts."""
        ...

    def read(self, part: int) -> Iterator[bytes]:
        """Yield what was added to a part."""
        ...


class CaseFoldIndex:
    """The paths of one inventory, each added once."""

    def __init__(self, kept: DigestSpill, most: int = MOST) -> None:
        self._spill = kept
        self._most = most
        self._held = 0
        self._parts = [array("Q") for _ in range(PARTS)]

    def add(self, paths: Sequence[str]) -> None:
        """Remember paths."""
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
        """Return the digests that came twice."""
        found: set[int] = set()
        for number, held in enumerate(self._parts):
            part = held[:]
            for more in self._spill.read(number):
                part.frombytes(more)
            if len(set(part)) < len(part):
                found.update(one for one, another in pairwise(sorted(part)) if one == another)
        return found


def collisions(paths: Iterable[tuple[str, bool]], suspects: set[int]) -> Iterator[tuple[str, str]]:
    """Yield (path, the path it collides with) for each that must be refused among `(path, held)`.

    Of two that collide the one we hold already stays, else the first in order; deterministic.
    """
    found: dict[str, list[tuple[bool, str]]] = {}
    for path, held in paths:
        folded = fold(path)
        if xxhash.xxh3_64_intdigest(_bytes(folded)) in suspects:
            found.setdefault(folded, []).append((not held, path))
    for group in found.values():
        group.sort()
        for _, path in group[1:]:
            yield path, group[0][1]


def _folded(paths: Sequence[str]) -> list[bytes]:
    """Fold many paths, at once where all are ASCII."""
    text = "\n".join(paths)
    if text.isascii():
        folded = text.lower().encode().split(b"\n")
        if len(folded) == len(paths):
            return folded
    return [_bytes(fold(path)) for path in paths]


def _bytes(folded: str) -> bytes:
    return folded.encode("utf-8", "surrogatepass")
