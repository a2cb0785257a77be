"""What we hold and proved: current Entries, what was removed but can be had back, and what was replaced."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from manifests.snapshot import Entry, Origin
from syncd.catalogue.database import Database
from syncd.core import Known

_json = msgspec.json.Encoder().encode
_digests = msgspec.json.Decoder(dict[str, str]).decode
_origin = msgspec.json.Decoder(Origin).decode


class RemovedFile(msgspec.Struct, frozen=True):
    """A file that left the snapshot at `removed` (seconds since the epoch) and whose bytes still lie at its path."""

    path: str
    bytes: int
    sha256: str
    removed: float


class ArchivedVersion(msgspec.Struct, frozen=True):
    """Replaced bytes, kept under `.syncd/versions/<mirror>/<snapshot>/<path>`."""

    snapshot: str
    path: str
    bytes: int
    sha256: str


class Holdings:
    """Entries, removed files and versions of one mirror at a time."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._db = database

    def known_files(self, mirror: int) -> Iterator[Known]:
        """Yield what we hold, sorted by path, in the form that a plan compares: each row is a Known."""
        return self._db.rows(
            "SELECT path, bytes, version, modified, sha256, digests FROM entry WHERE mirror=? ORDER BY path", (mirror,)
        )

    def entries(self, mirror: int, first: str = "", last: str | None = None) -> Iterator[Entry]:
        """Yield Entries of paths in `[first, last)`, sorted; None is no end."""
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
        """Yield Entries with their Origins for paths in `[first, last)`, sorted."""
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
        """Yield what people want to know of the Entries of paths in `[first, last)`, sorted."""
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
        """Enter Entries whose bytes are durable under their own paths; `changed` marks them for the next snapshot."""
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
        """Return how many Entries we hold, and their bytes."""
        row = self._db.one("SELECT count(*), coalesce(sum(bytes), 0) FROM entry WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def changed(self, mirror: int) -> Iterator[str]:
        """Yield the paths that came, went or changed since the last snapshot, sorted."""
        return (path for (path,) in self._db.rows("SELECT path FROM changed WHERE mirror=? ORDER BY path", (mirror,)))

    def clear_changed(self, mirror: int) -> None:
        """All changes stand in a published snapshot."""
        self._db.do("DELETE FROM changed WHERE mirror=?", (mirror,))

    def remove(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Take Entries out of the next snapshot; their bytes stay."""
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
        """Record a removed file that was found again when the Catalogue is rebuilt."""
        self._db.do(
            "INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?,?)",
            (mirror, entry.path, entry.size, entry.sha256, entry.xxh3, _json(origin).decode(), at),
        )

    def was_removed(self, mirror: int, path: str) -> tuple[Entry, Origin] | None:
        """Return what a removed file was, while its bytes are still there."""
        row = self._db.one("SELECT bytes, sha256, xxh3, origin FROM removed WHERE mirror=? AND path=?", (mirror, path))
        return None if row is None else (Entry(path, row[0], row[1], row[2]), _origin(row[3]))

    def removed(self, mirror: int, before: float) -> list[RemovedFile]:
        """Return files removed before that time, sorted."""
        return [
            RemovedFile(*row)
            for row in self._db.rows(
                "SELECT path, bytes, sha256, removed FROM removed WHERE mirror=? AND removed<? ORDER BY path",
                (mirror, before),
            )
        ]

    def forget_removed(self, mirror: int, path: str) -> None:
        """The bytes of a removed file are gone, or it is an Entry again."""
        self._db.do("DELETE FROM removed WHERE mirror=? AND path=?", (mirror, path))

    def add_version(self, mirror: int, version: ArchivedVersion, at: float) -> None:
        """Record replaced bytes."""
        self._db.do(
            "INSERT OR IGNORE INTO version VALUES (?,?,?,?,?,?)",
            (mirror, version.snapshot, version.path, version.bytes, version.sha256, at),
        )

    def versions(self, mirror: int, path: str | None = None) -> list[ArchivedVersion]:
        """Return kept versions, of one path or of all, sorted."""
        return [
            ArchivedVersion(*row)
            for row in self._db.rows(
                "SELECT snapshot, path, bytes, sha256 FROM version WHERE mirror=?1 AND (?2 IS NULL OR path=?2) "
                "ORDER BY path, replaced",
                (mirror, path),
            )
        ]

    def forget_version(self, mirror: int, version: ArchivedVersion) -> None:
        """The replaced bytes are gone."""
        self._db.do(
            "DELETE FROM version WHERE mirror=? AND snapshot=? AND path=?", (mirror, version.snapshot, version.path)
        )

    def check(self, mirror: int, paths: Iterable[str], at: float) -> None:
        """Remember when stored bytes were last read and found good."""
        self._db.many("UPDATE entry SET checked=? WHERE mirror=? AND path=?", ((at, mirror, path) for path in paths))

    def renew(self, mirror: int, origins: Iterable[Origin]) -> None:
        """Upstream says other things of files whose content is the same: remember them."""
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
