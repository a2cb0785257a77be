"""The steps that a pass has planned from the claims of upstream, in the scratch file of its mirror.

Pages on which every file is new are stored as pages: this costs a tenth of one row for each file. They become rows only
if one of them is refused, or waits for others to leave its path.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, pairwise

import msgspec

from manifests.messages import Message, pack, plain, unpack
from manifests.reading import Stats
from manifests.stat import Stat, storable
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.folded_paths import CatalogueSpill
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.mirror_schema import SCRATCH_TABLES
from syncd.catalogue.parts import MirrorPart
from syncd.core import NEW, SLICE, Step

PART = SLICE  # steps that are looked at in one turn of the event loop
CLASSES = (256 << 20, 32 << 20, 4 << 20, 512 << 10, -1)  # the least sizes of the files that `by_size` takes together

_stat = msgspec.msgpack.Decoder(Stat).decode
_pack = msgspec.msgpack.Encoder(enc_hook=plain).encode
_columns = msgspec.msgpack.Decoder(tuple[list[str], list[int], list[float], list[str | None]]).decode


@reads_rows
class PlannedSteps(MirrorPart):
    """The Steps of one mirror at a time; deleted when its pass ends."""

    def __init__(self, files: MirrorFiles) -> None:
        """Use the files of the mirrors."""
        super().__init__(files)
        self._of = files.planning

    def drop_steps(self, mirror: int) -> None:
        """Delete all steps."""
        for table in SCRATCH_TABLES:
            self._of(mirror).do(f"DELETE FROM scratch.{table} WHERE mirror=?", (mirror,))  # noqa: S608  constants

    def add_steps(self, mirror: int, steps: Iterable[Step]) -> None:
        """Record steps."""
        self._of(mirror).many(
            "INSERT INTO scratch.todo VALUES (?,?,?,?,?,?,?)",
            (
                (
                    mirror,
                    step.action,
                    storable(step.path),
                    step.stat.size if step.stat is not None else None,
                    _stored(step.reason),
                    _pack(step.stat) if step.stat is not None else None,
                    step.bytes,
                )
                for step in steps
            ),
        )

    def add_new(self, mirror: int, page: Stats) -> None:
        """Record a fetch of every file of a page."""
        self._of(mirror).do(
            "INSERT INTO scratch.fresh VALUES (?,?,?,?)",
            (
                mirror,
                len(page),
                float(sum(page.sizes)),
                _pack((page.paths, page.sizes, page.modified, page.versions)),
            ),
        )

    def steps(self, mirror: int, *actions: str) -> Iterator[Step]:
        """Yield the steps with the given actions."""
        if "fetch" in actions:
            for _, page in self._pages(mirror):
                for stat in page:
                    yield Step("fetch", stat.path, NEW, stat)
        marks = ",".join("?" * len(actions))
        yield from self._todo(mirror, f"action IN ({marks}) ORDER BY rowid", actions)

    def by_size(self, mirror: int) -> Iterator[list[Step]]:
        """Yield the transfers in classes of size, the largest first; in parts, of which many are empty."""
        (low,) = self._of(mirror).one("SELECT min(rowid) FROM scratch.todo WHERE mirror=?", (mirror,))
        (high,) = self._of(mirror).one("SELECT max(rowid) FROM scratch.todo WHERE mirror=?", (mirror,))
        condition = (
            "rowid>=? AND rowid<? AND action IN ('fetch', 'replace') AND coalesce(size, -1)>=? AND coalesce(size, -1)<?"
        )
        for below, least in pairwise((math.inf, *CLASSES)):
            for _, page in self._pages(mirror):
                found = [at for at, size in enumerate(page.sizes) if least <= size < below]
                yield sorted((Step("fetch", page.paths[at], NEW, page[at]) for at in found), key=_smallness)
            for first in range(low, high + 1, PART) if low is not None else ():
                values = (first, first + PART, least, below)
                yield sorted(self._todo(mirror, condition, values), key=_smallness)

    def _todo(self, mirror: int, condition: str, values: tuple[object, ...]) -> Iterator[Step]:
        """Yield the steps that have rows of their own."""
        sql = f"SELECT action, path, reason, stat, bytes FROM scratch.todo WHERE mirror=? AND {condition}"  # noqa: S608  constants
        for action, path, reason, stat, size in self._of(mirror).rows(sql, (mirror, *values)):
            yield Step(action, path, _reason(reason), _stat(stat) if stat is not None else None, size)

    def numbered(self, mirror: int, *actions: str) -> Iterator[tuple[int, Step]]:
        """Yield the steps with the given actions, `fetch` excepted, with the numbers that `change_action` takes."""
        marks = ",".join("?" * len(actions))
        sql = (
            f"SELECT rowid, action, path, reason, stat, bytes FROM scratch.todo WHERE mirror=? AND action IN ({marks})"  # noqa: S608  constants
        )
        for number, action, path, reason, stat, size in self._of(mirror).rows(sql, (mirror, *actions)):
            yield number, Step(action, path, _reason(reason), _stat(stat) if stat is not None else None, size)

    def shrinking(self, mirror: int) -> Iterator[tuple[int, Step]]:
        """As `numbered`: the replacements that are announced to lose more than half of their bytes."""
        sql = (
            "SELECT rowid, path, reason, stat, bytes FROM scratch.todo WHERE mirror=? AND action='replace' "
            "AND size*2 < bytes"
        )
        for number, path, reason, stat, size in self._of(mirror).rows(sql, (mirror,)):
            yield number, Step("replace", path, _reason(reason), _stat(stat), size)

    def first(self, mirror: int, action: str, limit: int) -> Iterator[tuple[int, Step]]:
        """As `numbered`: the first `limit` steps with an action."""
        return islice(self.numbered(mirror, action), limit)

    def change_action(self, mirror: int, numbers: Iterable[int], action: str) -> None:
        """Change the action of steps; `keep` deletes them."""
        if action == "keep":
            self._of(mirror).many(
                "DELETE FROM scratch.todo WHERE mirror=? AND rowid=?", ((mirror, one) for one in numbers)
            )
        else:
            self._of(mirror).many(
                "UPDATE scratch.todo SET action=? WHERE mirror=? AND rowid=?",
                ((action, mirror, one) for one in numbers),
            )

    def wait(self, mirror: int, found: Iterable[tuple[int, str]]) -> None:
        """Let steps wait, each `(number, reason)`."""
        self._of(mirror).many(
            "UPDATE scratch.todo SET action='wait', reason=? WHERE mirror=? AND rowid=?",
            ((_stored(reason), mirror, number) for number, reason in found),
        )

    def resolve(self, mirror: int, found: Iterable[tuple[int, Step]]) -> None:
        """Replace steps by others of the same paths."""
        self._of(mirror).many(
            "UPDATE scratch.todo SET action=?, size=?, reason=?, stat=? WHERE mirror=? AND rowid=?",
            (
                (
                    step.action,
                    step.stat.size if step.stat is not None else None,
                    _stored(step.reason),
                    _pack(step.stat) if step.stat is not None else None,
                    mirror,
                    number,
                )
                for number, step in found
            ),
        )

    def add_markers(self, mirror: int, markers: Iterable[Stat]) -> None:
        """Record files whose presence shows that another one is complete."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO scratch.marker VALUES (?,?,?)",
            ((mirror, storable(one.path), one.modified) for one in markers),
        )

    def marked(self, mirror: int, suffix: str, after: int, limit: int) -> list[tuple[int, Step, bool, float | None]]:
        """Return steps that transfer a file, after a number, and if its marker is listed, with that one's time.

        Markers themselves are left out.
        """
        sql = (
            "SELECT t.rowid, t.action, t.path, t.reason, t.stat, t.bytes, m.path IS NOT NULL, m.modified "
            "FROM scratch.todo t LEFT JOIN scratch.marker m ON m.mirror=t.mirror AND m.path=t.path || ?2 "
            "WHERE t.mirror=?1 AND t.rowid>?3 AND t.action IN ('fetch', 'replace') "
            "AND substr(t.path, -length(?2))<>?2 ORDER BY t.rowid LIMIT ?4"
        )
        return [
            (number, Step(action, path, _reason(reason), _stat(stat), size), bool(is_listed), modified)
            for number, action, path, reason, stat, size, is_listed, modified in self._of(mirror).rows(
                sql, (mirror, suffix, after, limit)
            )
        ]

    def count(self, mirror: int, *actions: str) -> int:
        """Return the number of steps with the given actions."""
        marks = ",".join("?" * len(actions))
        sql = f"SELECT count(*) FROM scratch.todo WHERE mirror=? AND action IN ({marks})"  # noqa: S608  constants
        return int(self._of(mirror).one(sql, (mirror, *actions))[0]) + (
            self._new(mirror)[0] if "fetch" in actions else 0
        )

    def count_small(self, mirror: int, most: int) -> int:
        """Return the number of files to transfer of at most `most` bytes, or of unknown size."""
        row = self._of(mirror).one(
            "SELECT count(*) FROM scratch.todo WHERE mirror=? AND action IN ('fetch', 'replace')"
            " AND (size <= ? OR size IS NULL)",
            (mirror, most),
        )
        return int(row[0]) + sum(sum(size <= most for size in page.sizes) for _, page in self._pages(mirror))

    def bytes_to_move(self, mirror: int, most: int | None = None) -> int:
        """Return the bytes to transfer, as far as sizes are known; without the files larger than `most`."""
        if most is not None:
            self._unfold(mirror, lambda page: max(page.sizes, default=0) > most)
        row = self._of(mirror).one(
            "SELECT total(size) FROM scratch.todo WHERE mirror=? AND action IN ('fetch', 'replace') "
            "AND size <= coalesce(?, size)",
            (mirror, most),
        )
        return int(row[0]) + self._new(mirror)[1]

    def refuse(self, mirror: int, refusals: Iterable[tuple[str, str]]) -> None:
        """Replace steps by refusals, each `(path, reason)`."""
        reasons = dict(refusals)
        self._unfold(mirror, lambda page: not reasons.keys().isdisjoint(page.paths))
        self._of(mirror).many(
            "INSERT OR REPLACE INTO scratch.refusal VALUES (?,?,?)",
            ((mirror, path, _stored(reason)) for path, reason in reasons.items()),
        )
        self._of(mirror).do(
            "UPDATE scratch.todo SET action='refuse', reason=r.reason FROM scratch.refusal r "
            "WHERE todo.mirror=? AND r.mirror=todo.mirror AND r.path=todo.path",
            (mirror,),
        )

    def fetched_paths(self, mirror: int) -> Iterator[str]:
        """Yield the path of each file to fetch, in no order."""
        for (path,) in self._of(mirror).rows(
            "SELECT path FROM scratch.todo WHERE mirror=? AND action='fetch'", (mirror,)
        ):
            yield path
        for _, page in self._pages(mirror):
            yield from page.paths

    def replace_others(self, mirror: int, reasons: Mapping[str, str]) -> int:
        """Turn fetches into replacements: their files wait until others left their paths. Return their known bytes."""
        self._unfold(mirror, lambda page: not reasons.keys().isdisjoint(page.paths))
        rows = self._of(mirror).rows(
            "SELECT rowid, path, size FROM scratch.todo WHERE mirror=? AND action='fetch'", (mirror,)
        )
        found = [(number, path, size) for number, path, size in rows if path in reasons]
        self._of(mirror).many(
            "UPDATE scratch.todo SET action='replace', reason=? WHERE mirror=? AND rowid=?",
            ((_stored(reasons[path]), mirror, number) for number, path, _ in found),
        )
        return sum(size or 0 for _, _, size in found)

    def held_paths(self, mirror: int) -> Iterator[tuple[str, bool]]:
        """Yield each claimed path that is not refused, and True if it is an Entry, to search for collisions."""
        yield from self._of(mirror).rows(
            "SELECT path, 1 FROM entry WHERE mirror=?1 AND path NOT IN (SELECT path FROM scratch.todo WHERE mirror=?1 "
            "AND action IN ('remove','refuse')) UNION ALL SELECT path, 0 FROM scratch.todo WHERE mirror=?1 AND "
            "action='fetch'",
            (mirror,),
        )
        for _, page in self._pages(mirror):
            for path in page.paths:
                yield path, False

    def spill(self, mirror: int) -> "CatalogueSpill":
        """Return the store of the digests of folded paths."""
        return CatalogueSpill(self._of(mirror), mirror)

    def _new(self, mirror: int) -> tuple[int, int]:
        """Return the number of files in pages of new files, and their bytes."""
        row = self._of(mirror).one("SELECT total(files), total(bytes) FROM scratch.fresh WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def _pages(self, mirror: int) -> Iterator[tuple[int, Stats]]:
        """Yield the pages of new files, in order, with their numbers."""
        for number, stats in self._of(mirror).rows(
            "SELECT rowid, stats FROM scratch.fresh WHERE mirror=? ORDER BY rowid", (mirror,)
        ):
            yield number, Stats(*_columns(stats))

    def _unfold(self, mirror: int, wanted: Callable[[Stats], bool]) -> None:
        """Convert the given pages into rows."""
        numbers = [number for number, page in self._pages(mirror) if wanted(page)]
        for number in numbers:
            page = Stats(*_columns(self._of(mirror).one("SELECT stats FROM scratch.fresh WHERE rowid=?", (number,))[0]))
            self.add_steps(mirror, (Step("fetch", stat.path, NEW, stat) for stat in page))
            self._of(mirror).do("DELETE FROM scratch.fresh WHERE rowid=?", (number,))


_CODED = "\x1f"  # stands before and behind the template and values of a reason


def _smallness(step: Step) -> float:
    """Return the sort key: largest first, unknown sizes last."""
    return -step.stat.size if step.stat is not None and step.stat.size is not None else 1.0


def _stored(reason: str) -> str:
    """Return the reason of a step as the scratch file keeps it, with its values if it has any."""
    return f"{_CODED}{pack(reason)}{_CODED}{reason}" if isinstance(reason, Message) and reason.values else reason


def _reason(stored: str) -> str:
    if not stored.startswith(_CODED):
        return stored
    _, packed, text = stored.split(_CODED, 2)
    return unpack(text, packed)
