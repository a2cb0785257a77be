"""The verified files of a store: current Entries, deleted files that can be restored, and replaced versions."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from manifests.messages import plain
from manifests.snapshot import Entry, Origin, Verdict
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.first_origins import first_origin
from syncd.catalogue.parts import MirrorPart
from syncd.core import Known

_json = msgspec.json.Encoder(enc_hook=plain).encode
_digests = msgspec.json.Decoder(dict[str, str]).decode
_origin = msgspec.json.Decoder(Origin).decode

ENTRY_AND_ORIGIN = (
    "path, bytes, sha256, xxh3, url, verdict, proved, size, modified, version, digests, by, answer_version, "
    "answer_modified, first"
)
ONE_ENTRY = f"SELECT {ENTRY_AND_ORIGIN} FROM entry WHERE mirror=? AND path=?"  # noqa: S608  literals

PENDING = ""
"""The snapshot of a removed file that waits to leave its final name."""
IN_PLACE = "-"
"""The snapshot of a removed file that an older syncd left under its final name."""


class RemovedFile(msgspec.Struct, frozen=True):
    """A file that left the snapshot at `removed` (seconds since the epoch) and whose bytes are still stored.

    They are under `.syncd/removed/<mirror>/<snapshot>/<path>`, or under the final name if `is_in_place`. `failed` says
    why they could not leave that, if it was tried.
    """

    snapshot: str
    entry: Entry
    origin: Origin
    removed: float
    failed: str = ""

    @property
    def path(self) -> str:
        """Return the path below the mirror's prefix."""
        return self.entry.path

    @property
    def was_left(self) -> bool:
        """Return True if an older syncd left the bytes under the final name."""
        return self.snapshot == IN_PLACE

    @property
    def is_in_place(self) -> bool:
        """Return True if the bytes are still under the final name."""
        return self.snapshot in {PENDING, IN_PLACE}


class ArchivedVersion(msgspec.Struct, frozen=True):
    """The bytes of a replaced file, kept under `.syncd/versions/<mirror>/<snapshot>/<path>`."""

    snapshot: str
    path: str
    bytes: int
    sha256: str


class VerdictCount(msgspec.Struct, frozen=True):
    """How many files and bytes have a verdict; `by` is the source whose checksums they matched, "" if it has none."""

    verdict: Verdict
    by: str
    files: int
    bytes: int


@reads_rows
class Holdings(MirrorPart):
    """The Entries, deleted files and versions of all mirrors."""

    def known_files(self, mirror: int) -> Iterator[Known]:
        """Yield the Entries as rows of Known, which a plan compares, sorted by path."""
        return self._of(mirror).rows(
            "SELECT path, bytes, version, modified, sha256, digests FROM entry WHERE mirror=? ORDER BY path", (mirror,)
        )

    def entries(self, mirror: int, first: str = "", last: str | None = None) -> Iterator[Entry]:
        """Yield the Entries in `[first, last)`, sorted by path; `last` None: to the end."""
        for path, size, sha256, xxh3 in self._entries("path, bytes, sha256, xxh3", mirror, first, last):
            yield Entry(path, size, sha256.hex(), xxh3.hex())

    def entry(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return one Entry and its Origin."""
        row = self._of(mirror).one(ONE_ENTRY, (mirror, path))
        return _entry_and_origin(row) if row is not None else None

    def nested(self, mirror: int, path: str) -> str:
        """Return an Entry that is a folder of `path`, or is below it, so that both cannot be files; "" if none is."""
        parts = path.split("/")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            if self._of(mirror).one("SELECT 1 FROM entry WHERE mirror=? AND path=?", (mirror, above)) is not None:
                return above
        below = self._of(mirror).one(
            "SELECT path FROM entry WHERE mirror=?1 AND path>=?2 AND path<?3 LIMIT 1", (mirror, f"{path}/", f"{path}0")
        )
        return below[0] if below is not None else ""

    def entries_and_origins(
        self, mirror: int, first: str = "", last: str | None = None
    ) -> Iterator[tuple[Entry, Origin]]:
        """Yield the Entries in `[first, last)` and their Origins, sorted by path."""
        for row in self._entries(ENTRY_AND_ORIGIN, mirror, first, last):
            yield _entry_and_origin(row)

    def entry_rows(self, mirror: int, first: str = "", last: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the Entries in `[first, last)` with the columns that people see, sorted by path."""
        columns = "path, bytes, sha256, xxh3, verdict, by, url, proved, checked, first"
        rows = self._entries(columns, mirror, first, last)
        for path, size, sha256, xxh3, verdict, by, url, proved, checked, begun in rows:
            yield {
                "path": path,
                "size": size,
                "sha256": sha256.hex(),
                "xxh3": xxh3.hex(),
                "verdict": verdict,
                "by": by,
                "url": url,
                "proved": proved,
                "checked": checked,
                "first": first_origin(begun) if begun is not None else None,
            }

    def _entries(self, columns: str, mirror: int, first: str, last: str | None) -> Iterator[tuple[Any, ...]]:
        # two bounds as they stand: with `? IS NULL OR path<?` SQLite reads to the end of the mirror for one path
        bounds, values = ("", (mirror, first)) if last is None else ("AND path<? ", (mirror, first, last))
        sql = f"SELECT {columns} FROM entry WHERE mirror=? AND path>=? {bounds}ORDER BY path"  # noqa: S608  literals
        return self._of(mirror).rows(sql, values)

    def add(self, mirror: int, proved: Iterable[tuple[Entry, Origin]], *, changed: bool = True) -> None:
        """Record Entries whose bytes are durable under final names; `changed` marks them for the next snapshot."""
        proved = list(proved)

        def work() -> None:
            records, paths = self._of(mirror), [(mirror, entry.path) for entry, _ in proved]
            self._count_verdicts(mirror, proved)
            records.add(
                "INSERT OR REPLACE INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,NULL,?,?,?)",
                ((mirror, *_entry_values(entry, origin)) for entry, origin in proved),
            )
            if changed:
                records.add("INSERT OR IGNORE INTO changed VALUES (?,?)", paths)
            if records.one("SELECT 1 FROM failure WHERE mirror=? LIMIT 1", (mirror,)) is not None:
                records.add("DELETE FROM failure WHERE mirror=? AND path=?", paths)
            in_place = "mirror=? AND snapshot IN ('', '-')"
            if records.one(f"SELECT 1 FROM removed WHERE {in_place} LIMIT 1", (mirror,)) is not None:  # noqa: S608  a literal
                records.add(f"DELETE FROM removed WHERE {in_place} AND path=?", paths)  # noqa: S608  a literal

        self._of(mirror).together(work)

    def _count_verdicts(self, mirror: int, proved: list[tuple[Entry, Origin]]) -> None:
        """Count the verdicts of files that are about to be recorded, instead of those that they replace."""
        last = {entry.path: (origin.verdict, origin.by, entry.size) for entry, origin in proved}
        counts: dict[tuple[str, str], list[int]] = {}
        sql = (
            "SELECT verdict, by, -count(*), -sum(bytes) FROM entry "
            "WHERE mirror=? AND path IN (SELECT value FROM json_each(?)) GROUP BY verdict, by"
        )
        for verdict, by, files, size in self._of(mirror).rows(sql, (mirror, _json(list(last)).decode())):
            counts[verdict, by] = [files, size]
        for verdict, by, size in last.values():
            count = counts.setdefault((verdict, by), [0, 0])
            count[0] += 1
            count[1] += size
        self._of(mirror).add(
            "INSERT INTO verdict VALUES (?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET files=files+excluded.files, bytes=bytes+excluded.bytes",
            ((mirror, *which, *count) for which, count in counts.items()),
        )

    def totals(self, mirror: int) -> tuple[int, int]:
        """Return the number of Entries, and their bytes."""
        row = self._of(mirror).one("SELECT count(*), coalesce(sum(bytes), 0) FROM entry WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def verdicts(self, mirror: int) -> list[VerdictCount]:
        """Return how many Entries have which verdict by whose checksums, the most first: a count that is kept.

        The heads of one node count together.
        """
        sql = (
            "SELECT verdict, iif(by LIKE 'node:% (head %', substr(by, 1, instr(by, ' (head ') - 1), by) AS who, "
            "sum(files), sum(bytes) FROM verdict WHERE mirror=? AND files>0 GROUP BY 1, 2 ORDER BY 3 DESC, 2"
        )
        return [VerdictCount(*row) for row in self._of(mirror).rows(sql, (mirror,))]

    def changed(self, mirror: int) -> Iterator[str]:
        """Yield the paths that were added, deleted or changed since the last snapshot, sorted."""
        return (
            path
            for (path,) in self._of(mirror).rows("SELECT path FROM changed WHERE mirror=? ORDER BY path", (mirror,))
        )

    def remove(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Take Entries out of the next snapshot; their bytes leave their final names when it is published."""
        paths = list(paths)

        def work() -> None:
            found = [held for path in paths if (held := self.entry(mirror, path)) is not None]
            self.add_removed(mirror, [RemovedFile(PENDING, *held, at) for held in found])
            gone = [(mirror, entry.path) for entry, _ in found]
            self._of(mirror).add("DELETE FROM entry WHERE mirror=? AND path=?", gone)
            self._of(mirror).add("INSERT OR IGNORE INTO changed VALUES (?,?)", gone)

        self._of(mirror).together(work)

    def add_removed(self, mirror: int, files: Iterable[RemovedFile]) -> None:
        """Record removed files whose bytes are stored."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?,?,?,'')",
            (
                (mirror, e.path, one.snapshot, e.size, e.sha256, e.xxh3, _json(one.origin).decode(), one.removed)
                for one in files
                for e in (one.entry,)
            ),
        )

    def has_pending_removals(self, mirror: int) -> bool:
        """Return True if a removed file waits to leave its final name, and nothing is known to prevent that."""
        sql = "SELECT 1 FROM removed WHERE mirror=? AND snapshot='' AND failed='' LIMIT 1"
        return self._of(mirror).one(sql, (mirror,)) is not None

    def removed_in_place(self, mirror: int, after: str = "", limit: int = -1) -> list[RemovedFile]:
        """Return at most `limit` removed files under their final names after the path `after`, sorted; -1: all."""
        return self._removed("snapshot IN ('', '-') AND path>? ORDER BY path LIMIT ?", mirror, after, limit)

    def count_in_place(self, mirror: int) -> int:
        """Return the number of removed files under their final names."""
        sql = "SELECT count(*) FROM removed WHERE mirror=? AND snapshot IN ('', '-')"
        return int(self._of(mirror).one(sql, (mirror,))[0])

    def leaves(self, mirror: int, path: str) -> bool:
        """Return True if a removed file is still under its final name."""
        return bool(self._removed("snapshot IN ('', '-') AND path=?", mirror, path))

    def removed_files(self, mirror: int, path: str) -> list[RemovedFile]:
        """Return the removals of a file whose bytes are stored, the last one first."""
        return self._removed("path=? ORDER BY removed DESC", mirror, path)

    def removed_of(self, mirror: int, snapshot: str, before: float, after: str, limit: int) -> list[RemovedFile]:
        """Return at most `limit` files of `snapshot` removed before a time, after the path `after`, sorted."""
        condition = "snapshot=? AND removed<? AND path>? ORDER BY path LIMIT ?"
        return self._removed(condition, mirror, snapshot, before, after, limit)

    def _removed(self, condition: str, mirror: int, *values: Any) -> list[RemovedFile]:
        sql = "SELECT path, snapshot, bytes, sha256, xxh3, origin, removed, failed FROM removed WHERE mirror=? AND "
        return [
            RemovedFile(snapshot, Entry(path, size, sha256, xxh3), _origin(origin), at, failed)
            for path, snapshot, size, sha256, xxh3, origin, at, failed in self._of(mirror).rows(
                sql + condition, (mirror, *values)
            )
        ]

    def end_removals(self, mirror: int, moved: Iterable[tuple[RemovedFile, str]]) -> None:
        """Record the snapshot under which the bytes of removed files are stored now."""
        self._of(mirror).many(
            "UPDATE OR REPLACE removed SET snapshot=?, failed='' WHERE mirror=? AND path=? AND snapshot=?",
            ((snapshot, mirror, one.path, one.snapshot) for one, snapshot in moved),
        )

    def fail_removals(self, mirror: int, failures: Iterable[tuple[RemovedFile, str]]) -> None:
        """Record why removed files could not leave their final names: they are no interrupted work."""
        self._of(mirror).many(
            "UPDATE removed SET failed=? WHERE mirror=? AND path=? AND snapshot=?",
            ((reason, mirror, one.path, one.snapshot) for one, reason in failures),
        )

    def forget_removed(self, mirror: int, files: Iterable[RemovedFile]) -> None:
        """Delete the records of removed files whose bytes are no longer stored."""
        self._of(mirror).many(
            "DELETE FROM removed WHERE mirror=? AND path=? AND snapshot=?",
            ((mirror, one.path, one.snapshot) for one in files),
        )

    def has_removed_of(self, mirror: int, snapshot: str, *, beyond: int = 0) -> bool:
        """Return True if bytes of more than `beyond` removed files are stored under a snapshot."""
        sql = "SELECT 1 FROM removed WHERE mirror=? AND snapshot=? LIMIT 1 OFFSET ?"
        return self._of(mirror).one(sql, (mirror, snapshot, beyond)) is not None

    def snapshots_of(self, mirror: int, kind: Literal["removed", "version"]) -> Iterator[str]:
        """Yield the snapshots under which removed or replaced bytes are stored, by one look at each."""
        at = IN_PLACE  # sorts before every id
        while True:
            sql = f"SELECT min(snapshot) FROM {kind} WHERE mirror=? AND snapshot>?"  # noqa: S608  a literal
            (found,) = self._of(mirror).one(sql, (mirror, at))
            if found is None:
                return
            yield found
            at = found

    def add_versions(self, mirror: int, versions: Iterable[ArchivedVersion], at: float) -> None:
        """Record replaced bytes. A rebuild records bytes that no Snapshot names without their sha256."""
        self._of(mirror).many(
            "INSERT INTO version VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET sha256=excluded.sha256 "
            "WHERE version.sha256=''",
            ((mirror, one.snapshot, one.path, one.bytes, one.sha256, at) for one in versions),
        )

    def natural_paths(self, mirror: int) -> Iterator[str]:
        """Yield the paths of the files that are under their final names, deleted ones that are still there too."""
        yield from (path for (path,) in self._of(mirror).rows("SELECT path FROM entry WHERE mirror=?", (mirror,)))
        sql = "SELECT path FROM removed WHERE mirror=? AND snapshot IN ('', '-')"
        yield from (path for (path,) in self._of(mirror).rows(sql, (mirror,)))

    def versions(self, mirror: int, path: str | None = None) -> list[ArchivedVersion]:
        """Return the kept versions of one path or of all, sorted."""
        which, values = ("", (mirror,)) if path is None else ("AND path=? ", (mirror, path))
        sql = f"SELECT snapshot, path, bytes, sha256 FROM version WHERE mirror=? {which}"  # noqa: S608  literals
        return [ArchivedVersion(*row) for row in self._of(mirror).rows(f"{sql}ORDER BY path, replaced", values)]

    def versions_of(self, mirror: int, snapshot: str, limit: int, after: str = "") -> list[ArchivedVersion]:
        """Return at most `limit` kept versions of a snapshot after the path `after`, sorted."""
        return [
            ArchivedVersion(*row)
            for row in self._of(mirror).rows(
                "SELECT snapshot, path, bytes, sha256 FROM version WHERE mirror=? AND snapshot=? AND path>? "
                "ORDER BY path LIMIT ?",
                (mirror, snapshot, after, limit),
            )
        ]

    def forget_version(self, mirror: int, version: ArchivedVersion) -> None:
        """Delete the record of a version whose bytes are gone."""
        self._of(mirror).do(
            "DELETE FROM version WHERE mirror=? AND snapshot=? AND path=?", (mirror, version.snapshot, version.path)
        )

    def check(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Record when stored bytes were last read and found intact."""
        self._of(mirror).many(
            "UPDATE entry SET checked=? WHERE mirror=? AND path=?", ((at, mirror, path) for path in paths)
        )

    def renew(self, mirror: int, origins: Iterable[Origin]) -> None:
        """Record new claims of upstream on files whose content is unchanged."""
        origins = list(origins)

        def work() -> None:
            self._of(mirror).add(
                "UPDATE entry SET size=?, modified=?, version=?, digests=coalesce(?, digests), answer_version=?, "
                "answer_modified=? WHERE mirror=? AND path=?",
                ((*_claim_values(origin), mirror, origin.path) for origin in origins),
            )
            self._of(mirror).add(
                "INSERT OR IGNORE INTO renewed VALUES (?,?)", ((mirror, origin.path) for origin in origins)
            )

        self._of(mirror).together(work)


def _claim_values(origin: Origin) -> tuple[Any, ...]:
    digests = _json(origin.digests).decode() if origin.digests else None
    return origin.size, origin.modified, origin.version, digests, origin.answer_version, origin.answer_modified


def _entry_values(entry: Entry, origin: Origin) -> tuple[Any, ...]:
    return (
        entry.path,
        entry.size,
        bytes.fromhex(entry.sha256),
        bytes.fromhex(entry.xxh3),
        origin.size,
        origin.modified,
        origin.version,
        _json(origin.digests).decode() if origin.digests else None,
        origin.url,
        origin.verdict,
        origin.by,
        origin.proved,
        origin.answer_version,
        origin.answer_modified,
        _json(origin.first).decode() if origin.first is not None else None,
    )


def _entry_and_origin(row: tuple[Any, ...]) -> tuple[Entry, Origin]:
    path, size, sha256, xxh3, url, verdict, proved, listed, modified, version, digests, *more = row
    promised = _digests(digests) if digests else {}
    if more[-1] is not None:
        more[-1] = first_origin(more[-1])
    origin = Origin(path, url, verdict, proved, listed, modified, version, promised, *more)
    return Entry(path, size, sha256.hex(), xxh3.hex()), origin
