"""What turns the copy we have into what upstream says it has: fetch, replace, keep, remove, refuse. Pure.

Both sides arrive sorted by path and are merged in one walk, so ten million files need no more memory than ten. Why a
file is replaced is decided by the strongest thing that both sides know of it: a digest, then upstream's version, then
the size, then the time. What upstream cannot prove different is kept.
"""

from collections.abc import Container, Iterable, Iterator
from typing import Literal

import msgspec
import xxhash

from manifests.stat import Stat, UnsafePath, check_path, fold

Action = Literal["fetch", "replace", "keep", "remove", "refuse"]

_FILTER_BITS = 1 << 28  # 32 MiB: less than one path in a million is suspected wrongly at one million files


class Known(msgspec.Struct, frozen=True):
    """What the Catalogue has of one Entry, and what upstream claimed of it when it was fetched."""

    path: str
    bytes: int
    sha256: str
    size: int | None
    modified: float | None
    version: str | None
    digests: dict[str, str]


class Step(msgspec.Struct, frozen=True):
    """One thing to do, and why. `stat` is None for a removal; `bytes` are those we hold of a file that goes."""

    action: Action
    path: str
    reason: str
    stat: Stat | None = None
    bytes: int = 0


class Counts(msgspec.Struct):
    """How many files, and how many bytes as far as upstream says their size; mutable while a Plan is made."""

    fetch: int = 0
    replace: int = 0
    keep: int = 0
    remove: int = 0
    refuse: int = 0
    fetch_bytes: int = 0
    replace_bytes: int = 0
    keep_bytes: int = 0
    remove_bytes: int = 0
    sizeless: int = 0

    @property
    def bytes(self) -> int:
        """Bytes to move, as far as sizes are known; `sizeless` files come on top."""
        return self.fetch_bytes + self.replace_bytes

    def add(self, step: Step) -> None:
        """Count one step that is not `keep`."""
        setattr(self, step.action, getattr(self, step.action) + 1)
        if step.action == "remove":
            self.remove_bytes += step.bytes
        elif step.action in ("fetch", "replace") and step.stat is not None:
            if step.stat.size is None:
                self.sizeless += 1
            elif step.action == "fetch":
                self.fetch_bytes += step.stat.size
            else:
                self.replace_bytes += step.stat.size


class OutOfOrder(ValueError):
    """Stats that were said to come sorted do not; the message gives the two paths."""


class Planner:
    """The merge of what we hold with what upstream claims, fed a batch at a time; both sides sorted by path."""

    def __init__(
        self, known: Iterator[Known], *, published: bool = False, pinned: Container[str] = frozenset()
    ) -> None:
        """`published` refuses files for which upstream publishes no digest; `pinned` paths are never removed."""
        self.counts = Counts()
        self._known = known
        self._have = next(known, None)
        self._last = ""
        self._clash = Clash()
        self._published = published
        self._pinned = pinned

    def feed(self, claimed: Iterable[Stat]) -> list[Step]:
        """Return every Step but `keep`, which is only counted. Raises OutOfOrder if `claimed` is not sorted."""
        steps: list[Step] = []
        counts, have, last = self.counts, self._have, self._last
        try:
            for stat in claimed:
                path = stat.path
                if path <= last:
                    if path == last:
                        continue
                    raise OutOfOrder(f"{path!r} came after {last!r}")
                last = path
                while have is not None and have.path < path:
                    steps += self._removal(have)
                    have = next(self._known, None)
                mine = have if have is not None and have.path == path else None
                if mine is not None:
                    have = next(self._known, None)
                if (refusal := self._refusal(stat)) is not None:
                    # what we hold under a name that upstream still uses is not removed
                    steps.append(Step("refuse", path, refusal, stat))
                elif mine is None:
                    steps.append(Step("fetch", path, "new upstream", stat))
                elif (reason := changed(mine, stat)) is not None:
                    steps.append(Step("replace", path, reason, stat, mine.bytes))
                else:
                    counts.keep += 1
                    counts.keep_bytes += mine.bytes
        finally:
            self._have, self._last = have, last
        for step in steps:
            counts.add(step)
        return steps

    def finish(self) -> Iterator[Step]:
        """Yield the removal of what we hold past the last claim; only for a complete inventory."""
        while self._have is not None:
            for step in self._removal(self._have):
                self.counts.add(step)
                yield step
            self._have = next(self._known, None)

    def _removal(self, known: Known) -> tuple[Step, ...]:
        if known.path in self._pinned:
            return ()
        return (Step("remove", known.path, "no longer listed upstream", None, known.bytes),)

    def _refusal(self, stat: Stat) -> str | None:
        try:
            check_path(stat.path)
        except UnsafePath as error:
            return f"unsafe path: {error}"
        version = stat.version
        if version is not None and version.startswith("conflict:"):
            return version.removeprefix("conflict:")
        if self._published and not stat.digests and not (version or "").startswith("sha256:"):
            return "upstream publishes no digest, and this mirror requires one (verify.require: published)"
        if (parent := self._clash.parent(stat.path)) is not None:
            return f"{parent!r} is a file upstream, so nothing can lie below it"
        return None


def plan(known: Iterable[Known], claimed: Iterable[Stat], *, published: bool = False) -> tuple[list[Step], Counts]:
    """Return the whole Plan at once, removals included, for what fits in memory."""
    planner = Planner(iter(known), published=published)
    steps = [*planner.feed(claimed), *planner.finish()]
    return steps, planner.counts


def changed(known: Known, stat: Stat) -> str | None:
    """Return why upstream's file is not the one we have, or None if nothing says so."""
    if stat.digests:
        held = {**known.digests, "sha256": known.sha256}
        common = [algorithm for algorithm in stat.digests if algorithm in held]
        for algorithm in common:
            if stat.digests[algorithm] != held[algorithm]:
                return f"{algorithm} {held[algorithm][:12]}… became {stat.digests[algorithm][:12]}…"
        if common:
            return None
    if stat.size is not None and stat.size != known.bytes:
        return f"{known.bytes} bytes became {stat.size}"
    if stat.version is not None and known.version is not None:
        return None if stat.version == known.version else f"version {known.version} became {stat.version}"
    if stat.modified is not None and known.modified is not None and stat.modified != known.modified:
        return f"modified {known.modified:.0f} became {stat.modified:.0f}"
    return None


class Clash:
    """Finds a path that lies below another path that is itself a file, in a sorted walk."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[str] = []

    def parent(self, path: str) -> str | None:
        """Return the file above `path`, if there was one; call with every path, sorted."""
        above = self._open
        while above and not path.startswith(above[-1]):
            above.pop()
        for file in above:
            if path[len(file)] == "/":
                return file
        above.append(path)
        return None


class Collisions:
    """Suspects paths that are one and the same where case or Unicode form is folded; in a fixed 32 MiB.

    A Bloom filter: what it does not suspect is unique; what it suspects is settled exactly by whoever has all paths.
    """

    __slots__ = ("_bits", "_mask", "suspects")

    def __init__(self, bits: int = _FILTER_BITS) -> None:
        """`bits` is a power of two."""
        self._bits = bytearray(bits >> 3)
        self._mask = bits - 1
        self.suspects: set[str] = set()

    def add(self, paths: Iterable[str]) -> None:
        """Look at paths, each only once."""
        bits, mask, digest_of = self._bits, self._mask, xxhash.xxh3_128_intdigest
        for path in paths:
            folded = path.lower() if path.isascii() else fold(path)
            digest = digest_of(folded.encode())
            seen = 3
            for at in (digest & mask, digest >> 32 & mask, digest >> 64 & mask):
                place, bit = at >> 3, 1 << (at & 7)
                if bits[place] & bit:
                    seen -= 1
                else:
                    bits[place] |= bit
            if not seen:
                self.suspects.add(folded)


def collisions(paths: Iterable[tuple[str, bool]], suspects: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, the path it collides with) for each that must be refused among `(path, held)`.

    Of two that collide the one we hold already stays, else the first in order; deterministic.
    """
    found: dict[str, list[tuple[bool, str]]] = {}
    for path, held in paths:
        folded = fold(path)
        if folded in suspects:
            found.setdefault(folded, []).append((not held, path))
    for group in found.values():
        group.sort()
        for _, path in group[1:]:
            yield path, group[0][1]
