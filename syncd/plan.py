"""What turns the copy we have into what upstream says it has: fetch, replace, keep, remove, refuse. Pure.

Both sides arrive sorted by path and are merged in one walk, so ten million files need no more memory than ten. Why a
file is replaced is decided by the strongest thing that both sides know of it: a digest, then upstream's version, then
the size, then the time. What upstream cannot prove different is kept.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
import xxhash

from manifests.stat import Stat, UnsafePath, check_path, fold

Action = Literal["fetch", "replace", "keep", "remove", "refuse"]

_FILTER_BITS = 1 << 28  # 32 MiB: one in ten million paths is suspected wrongly at one million files


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


def plan(known: Iterable[Known], claimed: Iterable[Stat], counts: Counts, *, published: bool = False) -> Iterator[Step]:
    """Yield every Step but `keep`, which is only counted; both inputs sorted by path.

    `published` refuses files for which upstream publishes no digest. Raises OutOfOrder if `claimed` is not sorted.
    """
    clash = Clash()
    ours = iter(known)
    have = next(ours, None)
    last = ""
    for stat in claimed:
        path = stat.path
        if path <= last:
            if path == last:
                continue
            raise OutOfOrder(f"{path!r} came after {last!r}")
        last = path
        while have is not None and have.path < path:
            yield _counted(_removal(have), counts)
            have = next(ours, None)
        mine = have if have is not None and have.path == path else None
        if mine is not None:
            have = next(ours, None)
        if (refusal := _refusal(stat, clash, published=published)) is not None:
            yield _counted(Step("refuse", path, refusal, stat), counts)
            # what we hold under a name that upstream still uses is not removed
            continue
        if mine is None:
            yield _counted(Step("fetch", path, "new upstream", stat), counts)
        elif (reason := changed(mine, stat)) is not None:
            yield _counted(Step("replace", path, reason, stat, mine.bytes), counts)
        else:
            counts.keep += 1
            counts.keep_bytes += mine.bytes
    while have is not None:
        yield _counted(_removal(have), counts)
        have = next(ours, None)


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


def _removal(known: Known) -> Step:
    return Step("remove", known.path, "no longer listed upstream", None, known.bytes)


def _counted(step: Step, counts: Counts) -> Step:
    counts.add(step)
    return step


def _refusal(stat: Stat, clash: "Clash", *, published: bool) -> str | None:
    try:
        check_path(stat.path)
    except UnsafePath as error:
        return f"unsafe path: {error}"
    if stat.version is not None and stat.version.startswith("conflict:"):
        return stat.version.removeprefix("conflict:")
    if published and not stat.digests and not (stat.version or "").startswith("sha256:"):
        return "upstream publishes no digest, and this mirror requires one (verify.require: published)"
    if (parent := clash.parent(stat.path)) is not None:
        return f"{parent!r} is a file upstream, so nothing can lie below it"
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
        self._bits = array("B", bytes(bits >> 3))
        self._mask = bits - 1
        self.suspects: set[str] = set()

    def add(self, path: str) -> None:
        """Look at one path, each only once."""
        folded = path.lower() if path.isascii() else fold(path)
        digest = xxhash.xxh3_128_intdigest(folded.encode())
        bits, mask = self._bits, self._mask
        seen = True
        for _ in range(4):
            at = digest & mask
            digest >>= 32
            bit = 1 << (at & 7)
            if not bits[at >> 3] & bit:
                seen = False
                bits[at >> 3] |= bit
        if seen:
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
