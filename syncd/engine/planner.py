"""Compares Entries with upstream's claims, and decides: fetch, replace, ask, keep, remove, refuse. Pure.

Both sides are sorted by path and merged in one walk, in constant memory. The strongest attribute that both sides know
decides whether a file is replaced: a checksum, then upstream's version, then the size, then the time. A file with no
known difference is kept, unless its stamp is in doubt: too young when the file was read to prove anything.

Most pages of a listing are all new or all unchanged; comparing whole columns recognises them. Other pages are compared
file by file. Both ways lead to the same Plan.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from operator import itemgetter, lt

import msgspec

from manifests.messages import message
from manifests.reading import Stats
from manifests.stamps import Doubt
from manifests.stat import Stat, UnsafePath, are_harmless, check_path
from syncd.core import NEW, SLICE, Action, Known, Step
from syncd.engine.claim_changes import changed, doubted, is_stamp_only

UNLISTED = message("no longer listed upstream")

_CONFLICT = re.compile(r"conflict:two lists publish (\S+) (\S+) and (\S+)")
_path, _length, _version = itemgetter(0), itemgetter(1), itemgetter(2)

_NO_PINS: Mapping[str, bool] = {}
_NO_DOUBTS: Mapping[str, Doubt] = {}


class Counts(msgspec.Struct):
    """The numbers of files and of known bytes in a Plan; mutable while it is made.

    `copy` of the fetched and replaced files are copies of held content; `moved` of the removed files are held on under
    other names. `lists` are lists and descriptions, if upstream has nothing else.
    """

    fetch: int = 0
    replace: int = 0
    keep: int = 0
    remove: int = 0
    refuse: int = 0
    hold: int = 0
    ask: int = 0
    wait: int = 0
    fetch_bytes: int = 0
    replace_bytes: int = 0
    keep_bytes: int = 0
    remove_bytes: int = 0
    sizeless: int = 0
    copy: int = 0
    copy_bytes: int = 0
    moved: int = 0
    lists: int = 0

    @property
    def found(self) -> int:
        """Files that upstream lists, refused ones too."""
        return self.fetch + self.replace + self.keep + self.refuse + self.hold + self.ask + self.wait - self.lists

    @property
    def bytes(self) -> int:
        """Bytes to transfer, without the `sizeless` files."""
        return self.fetch_bytes + self.replace_bytes

    @property
    def download_bytes(self) -> int:
        """Bytes to download, without the `sizeless` files: not those of copies."""
        return self.bytes - self.copy_bytes

    def add(self, step: Step, count: int = 1) -> None:
        """Count one step that is not `keep`; -1: no longer."""
        setattr(self, step.action, getattr(self, step.action) + count)
        if step.action == "remove":
            self.remove_bytes += step.bytes * count
        elif step.action in ("fetch", "replace") and step.stat is not None:
            if step.stat.size is None:
                self.sizeless += count
            elif step.action == "fetch":
                self.fetch_bytes += step.stat.size * count
            else:
                self.replace_bytes += step.stat.size * count


class OutOfOrder(ValueError):
    """A listing announced as sorted is not; the message gives the two paths."""


class Planner:
    """Merges Entries with upstream's claims, page by page; both sides are sorted by path."""

    def __init__(
        self,
        known: Iterable[Known],
        *,
        published: bool = False,
        pinned: Mapping[str, bool] = _NO_PINS,
        adding: bool = False,
        doubts: Mapping[str, Doubt] = _NO_DOUBTS,
        native: bool = False,
    ) -> None:
        """`published` refuses files without a published checksum; `adding` keeps all Entries, whatever upstream claims.

        `pinned` paths are never deleted; those with True are not replaced either. `doubts`, sorted by path, are Entries
        whose stamps do not prove them. `native` claims are the Transport's own: it would answer the same.
        """
        self._doubts = doubts
        self._doubted = list(doubts)
        self._native = native
        self._adding = adding
        self.counts = Counts()
        self._known = _Lookahead(known)
        self._last = ""
        self._clash = NestedPathFinder()
        self._published = published
        self._pinned = pinned

    def fetch_page(self, page: Stats) -> bool:
        """Return True, and count the page, if all its files are new; if not, `feed` it."""
        have = self._known.first()
        if not page or (have is not None and have[0] <= page.paths[-1]) or not self._is_sound(page.paths):
            return False
        self._last = page.paths[-1]
        self.counts.fetch += len(page)
        self.counts.fetch_bytes += sum(page.sizes)
        return True

    def feed(self, claimed: Sequence[Stat]) -> Iterator[list[Step]]:
        """Yield all Steps except `keep`, which is only counted; in parts, as many Entries may end before one claim.

        Raises OutOfOrder if `claimed` is not sorted.
        """
        is_sound = isinstance(claimed, Stats) and self._is_sound(claimed.paths)
        if is_sound and isinstance(claimed, Stats) and self._keep_page(claimed):
            yield []
            return
        for steps in self._merge(claimed, is_sound=is_sound):
            for step in steps:
                self.counts.add(step)
            yield steps

    def _keep_page(self, page: Stats) -> bool:
        """Return True, and count the page, if the next Entries match it exactly."""
        have = self._known.first()
        if not page or have is None or have[0] != page.paths[0]:
            return False
        rows = self._known.peek(len(page))
        if (
            list(map(_path, rows)) != page.paths
            or list(map(_length, rows)) != page.sizes
            or list(map(_version, rows)) != page.versions
            or None in page.versions
            or (self._doubted and self._has_doubts(page.paths))
        ):
            return False
        self._known.skip(len(page))
        self._last = page.paths[-1]
        self.counts.keep += len(page)
        self.counts.keep_bytes += sum(page.sizes)
        return True

    def _merge(self, claimed: Iterable[Stat], *, is_sound: bool) -> Iterator[list[Step]]:
        steps: list[Step] = []
        unlisted = 0
        counts, known = self.counts, self._known
        have, last = known.first(), self._last
        try:
            for stat in claimed:
                path = stat.path
                if path <= last:
                    if path == last:
                        continue
                    raise OutOfOrder(f"{path!r} came after {last!r}")
                last = path
                while have is not None and have[0] < path:
                    steps += self._removal(have)
                    have = known.next()
                    unlisted += 1
                    if unlisted % SLICE == 0:
                        yield steps
                        steps = []
                mine = have if have is not None and have[0] == path else None
                if mine is not None:
                    have = known.next()
                if not is_sound and (refusal := self._refusal(stat)) is not None:
                    # upstream still uses the name, so this is no deletion
                    steps.append(Step("refuse", path, refusal, stat))
                elif mine is None:
                    steps.append(Step("fetch", path, NEW, stat))
                elif not self._adding and not self._pinned.get(path) and (step := self._difference(mine, stat)):
                    steps.append(step)
                else:
                    counts.keep += 1
                    counts.keep_bytes += mine[1]
        finally:
            self._last = last
        yield steps

    def _difference(self, mine: Known, stat: Stat) -> Step | None:
        """Return the step for a file that upstream may have changed, or None if nothing tells of a change."""
        reason = changed(mine, stat)
        if reason is None:
            return doubted(stat, self._doubts.get(stat.path, ""), mine[1]) if self._doubted else None
        action: Action = "ask" if is_stamp_only(mine, stat, native=self._native) else "replace"
        return Step(action, stat.path, reason, stat, mine[1])

    def _has_doubts(self, paths: list[str]) -> bool:
        """Return True if one of the paths of a sorted page is in doubt."""
        at = bisect_left(self._doubted, paths[0])
        return at < len(self._doubted) and self._doubted[at] <= paths[-1]

    def _is_sound(self, paths: list[str]) -> bool:
        """Return True if a page is in order and has no file to refuse; False: check its files one by one.

        A page for which it returns True counts as checked.
        """
        return (
            not self._published
            and len(paths) > 0
            and paths[0] > self._last
            and all(map(lt, paths, islice(paths, 1, None)))
            and are_harmless(paths)
            and self._clash.passes(paths)
        )

    def finish(self) -> Iterator[Step]:
        """Yield the removal of Entries after the last claim; only for a complete Inventory."""
        have = self._known.first()
        while have is not None:
            for step in self._removal(have):
                self.counts.add(step)
                yield step
            have = self._known.next()

    def _removal(self, known: Known) -> tuple[Step, ...]:
        path, size, *_ = known
        return () if self._adding or path in self._pinned else (Step("remove", path, UNLISTED, None, size),)

    def _refusal(self, stat: Stat) -> str | None:
        try:
            check_path(stat.path)
        except UnsafePath as error:
            return message("unsafe path: {cause}", cause=error)
        version = stat.version
        if version is not None and (found := _CONFLICT.fullmatch(version)) is not None:
            return message(
                "two lists publish {algorithm} {one} and {other}", algorithm=found[1], one=found[2], other=found[3]
            )
        if self._published and not stat.digests and not (version or "").startswith("sha256:"):
            return message("upstream publishes no checksum, and this mirror requires one (verify.require: published)")
        if (parent := self._clash.parent(stat.path)) is not None:
            return message("{parent!r} is a file upstream, so it cannot contain files", parent=parent)
        return None


def plan(known: Iterable[Known], claimed: Iterable[Stat], *, published: bool = False) -> tuple[list[Step], Counts]:
    """Return the whole Plan at once, removals included, for mirrors that fit in memory."""
    planner = Planner(known, published=published)
    steps = [*chain.from_iterable(planner.feed(list(claimed))), *planner.finish()]
    return steps, planner.counts


class NestedPathFinder:
    """Finds paths below another path that is itself a file, in a sorted walk."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[str] = []

    def parent(self, path: str) -> str | None:
        """Return the file above `path`, or None; call with every path, sorted."""
        above = self._open
        while above and not path.startswith(above[-1]):
            above.pop()
        for file in above:
            if path[len(file)] == "/":
                return file
        above.append(path)
        return None

    def passes(self, paths: list[str]) -> bool:
        """Return True if none of the next paths, sorted, is below another file; only then they count as checked."""
        # in sorted order, a path that others begin with directly precedes one of them
        above = self._open + list(compress(paths, map(str.startswith, islice(paths, 1, None), paths)))
        for file in above:
            folder = f"{file}/"
            at = bisect_left(paths, folder)
            if at < len(paths) and paths[at].startswith(folder):
                return False
        last = paths[-1]
        self._open = [*filter(last.startswith, above), last]
        return True


class _Lookahead:
    """An iterator of rows with lookahead."""

    __slots__ = ("_rows", "_seen")

    def __init__(self, rows: Iterable[Known]) -> None:
        self._rows = iter(rows)
        self._seen: deque[Known] = deque()

    def first(self) -> Known | None:
        """Return the next row without consuming it."""
        if not self._seen:
            self._seen.extend(islice(self._rows, 1))
        return self._seen[0] if self._seen else None

    def next(self) -> Known | None:
        """Consume the next row, and return the one after it without consuming it."""
        self._seen.popleft()
        return self.first()

    def peek(self, count: int) -> list[Known]:
        """Return up to `count` next rows without consuming them."""
        self._seen.extend(islice(self._rows, max(0, count - len(self._seen))))
        return list(islice(self._seen, count))

    def skip(self, count: int) -> None:
        """Consume rows."""
        for _ in range(count):
            self._seen.popleft()
