"""The verified files of a store: current Entries, deleted files that can be restored, and replaced versions."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from manifests.messages import plain
from manifests.snapshot import Entry, Origin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.database import Database
from syncd.core import Known

_json = msgspec.json.Encoder(enc_hook=plain).encode
_digests = msgspec.json.Decoder(dict[str, str]).decode
_origin = msgspec.json.Decoder(Origin).decode


class RemovedFile(msgspec.Struct, frozen=True):
    """A file that left the snapshot at `removed` (seconds since the epoch) and whose bytes are still stored."""

    path: str
    bytes: int
    sha256: str
    removed: float


class ArchivedVersion(msgspec.Struct, frozen=True):
    """The bytes of a replaced file, kept under `.syncd/versions/<mirror>/<snapshot>/<path>`."""

    snapshot: str
    path: str
    bytes: int
    sha256: str


@reads_rows
class Holdings:
    """The Entries, deleted files and versions of all mirrors."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._db = database

    def known_files(self, mirror: int) -> Iterator[Known]:
        """Yield the Entries as rows of Known, which a plan compares, sorted by path."""
        return self._db.rows(
            "SELECT path, bytes, version, modified, sha256, digests FROM entry WHERE mirror=? ORDER BY path", (mirror,)
        )

    def entries(self, mirror: int, first: str = "", last: str | None = None) -> Iterator[Entry]:
        """Yield the Entries in `[first, last)`, sorted by path; `last` None: to the end."""
        for path, size, sha256, xxh3 in self._db.rows(
            "SELECT path, bytes, sha256, xxh3 FROM entry WHERE mirror=?1 AND path>=?2 AND (?3 IS NULL OR path<?3) "
            "ORDER BY path",
            (mirror, first, last),
        ):
            yield Entry(path, size, sha256.hex(), xxh3.hex())

    def entry(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return one Entry and its Origin."""
        return next(self.entries_and_origins(mirror, path, path + "\0"), None)

    def entries_and_origins(
        self, mirror: int, first: str = "", last: str | None = None
    ) -> Iterator[tuple[Entry, Origin]]:
        """Yield the Entries in `[first, last)` and their Origins, sorted by path."""
        for path, size, sha256, xxh3, listed, modified, version, digests, url, verdict, by, proved in self._db.rows(
            "SELECT path, bytes, sha256, xxh3, size, modified, version, digests, url, verdict, by, proved FROM entry "
            "WHERE mirror=?1 AND path>=?2 AND (?3 IS NULL OR path<?3) ORDER BY path",
            (mirror, first, last),
        ):
            yield (
                Entry(path, size, sha256.hex(), xxh3.hex()),
                Origin(path, url, verdict, proved, listed, modified, version, _digests(digests) if digests else {}, by),
            )

    def entry_rows(self, mirror: int, first: str = "", last: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the Entries in `[first, last)` with the columns that people see, sorted by path."""
        for path, size, sha256, xxh3, verdict, by, url, proved, checked in self._db.rows(
            "SELECT path, bytes, sha256, xxh3, verdict, by, url, proved, checked FROM entry "
            "WHERE mirror=?1 AND path>=?2 AND (?3 IS NULL OR path<?3) ORDER BY path",
            (mirror, first, last),
        ):
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
            }

    def add(self, mirror: int, proved: Iterable[tuple[Entry, Origin]], *, changed: bool = True) -> None:
        """Record Entries whose bytes are durable under final names; `changed` marks them for the next snapshot."""
        proved = list(proved)

        def work() -> None:
            self._db.add(
                "INSERT OR REPLACE INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,NULL)",
                ((mirror, *_entry_values(entry, origin)) for entry, origin in proved),
            )
            if changed:
                self._db.add(
                    "INSERT OR IGNORE INTO changed VALUES (?,?)", ((mirror, entry.path) for entry, _ in proved)
                )
            for table in ("failure", "removed"):
                self._db.add(
                    f"DELETE FROM {table} WHERE mirror=? AND path=?",  # noqa: S608  two constants
                    ((mirror, entry.path) for entry, _ in proved),
                )

        self._db.together(work)

    def totals(self, mirror: int) -> tuple[int, int]:
        """Return the number of Entries, and their bytes."""
        row = self._db.one("SELECT count(*), coalesce(sum(bytes), 0) FROM entry WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def changed(self, mirror: int) -> Iterator[str]:
        """Yield the paths that were added, deleted or changed since the last snapshot, sorted."""
        return (path for (path,) in self._db.rows("SELECT path FROM changed WHERE mirror=? ORDER BY path", (mirror,)))

    def clear_changed(self, mirror: int) -> None:
        """Clear the marks of changes: a published snapshot holds them all."""
        self._db.do("DELETE FROM changed WHERE mirror=?", (mirror,))

    def remove(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Remove Entries from the next snapshot; their bytes stay."""
        paths = list(paths)

        def work() -> None:
            for path in paths:
                found = self.entry(mirror, path)
                if found is None:
                    continue
                entry, origin = found
                self._db.do(
                    "INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?,?)",
                    (mirror, path, entry.size, entry.sha256, entry.xxh3, _json(origin).decode(), at),
                )
                self._db.do("DELETE FROM entry WHERE mirror=? AND path=?", (mirror, path))
                self._db.do("INSERT OR IGNORE INTO changed VALUES (?,?)", (mirror, path))

        self._db.together(work)

    def restore_removed(self, mirror: int, entry: Entry, origin: Origin, at: float) -> None:
        """Record a deleted file that a rebuild of the Catalogue found."""
        self._db.do(
            "INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?,?)",
            (mirror, entry.path, entry.size, entry.sha256, entry.xxh3, _json(origin).decode(), at),
        )

    def was_removed(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return the record of a deleted file while its bytes are still stored."""
        row = self._db.one("SELECT bytes, sha256, xxh3, origin FROM removed WHERE mirror=? AND path=?", (mirror, path))
        return None if row is None else (Entry(path, row[0], row[1], row[2]), _origin(row[3]))

    def removed(self, mirror: int, before: float) -> list[RemovedFile]:
        """Return the files deleted before that time, sorted by path."""
        return [
            RemovedFile(*row)
            for row in self._db.rows(
                "SELECT path, bytes, sha256, removed FROM removed WHERE mirror=? AND removed<? ORDER BY path",
                (mirror, before),
            )
        ]

    def forget_removed(self, mirror: int, path: str) -> None:
        """Delete the record of a deleted file: its bytes are gone, or it is an Entry again."""
        self._db.do("DELETE FROM removed WHERE mirror=? AND path=?", (mirror, path))

    def add_version(self, mirror: int, version: ArchivedVersion, at: float) -> None:
        """Record the kept bytes of a replaced file."""
        self._db.do(
            "INSERT OR IGNORE INTO version VALUES (?,?,?,?,?,?)",
            (mirror, version.snapshot, version.path, version.bytes, version.sha256, at),
        )

    def versions(self, mirror: int, path: str | None = None) -> list[ArchivedVersion]:
        """Return the kept versions of one path or of all, sorted."""
        return [
            ArchivedVersion(*row)
            for row in self._db.rows(
                "SELECT snapshot, path, bytes, sha256 FROM version WHERE mirror=?1 AND (?2 IS NULL OR path=?2) "
                "ORDER BY path, replaced",
                (mirror, path),
            )
        ]

    def forget_version(self, mirror: int, version: ArchivedVersion) -> None:
        """Delete the record of a version whose bytes are gone."""
        self._db.do(
            "DELETE FROM version WHERE mirror=? AND snapshot=? AND path=?", (mirror, version.snapshot, version.path)
        )

    def check(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Record when stored bytes were last read and found intact."""
        self._db.many("UPDATE entry SET checked=? WHERE mirror=? AND path=?", ((at, mirror, path) for path in paths))

    def renew(self, mirror: int, origins: Iterable[Origin]) -> None:
        """Record new claims of upstream on files whose content is unchanged."""
        self._db.many(
            "UPDATE entry SET size=?, modified=?, version=?, digests=coalesce(?, digests) WHERE mirror=? AND path=?",
            (
                (o.size, o.modified, o.version, _json(o.digests).decode() if o.digests else None, mirror, o.path)
                for o in origins
            ),
        )


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
    )
