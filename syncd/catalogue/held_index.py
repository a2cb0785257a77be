"""The index of held content across all mirrors: where bytes of a checksum may be stored. Derived, in its own file.

A row is six bytes of a checksum, or of upstream's claims, and the number of an anchor: a path at which a short run of a
mirror's files begins. The run is read in the Catalogue, so a row costs about 20 bytes whatever its path, and it stays
true when a file is replaced or removed: its bytes keep their path.

Rules:
1. A row is a hint. A stale one costs a look at its run, and a missing one a download.
2. The file may be deleted at any time: the next pass of each mirror fills it again.
3. A failure of the index fails no pass. A damaged file is deleted, and an unusable one is not used (`trouble`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw
import xxhash

from manifests.messages import message
from syncd.catalogue.state_folder import INDEX

R = TypeVar("R")

VERSION = 1
RUN = 64  # files of a run, on average
CACHE = 16 << 10  # KiB
MOST = 32  # runs of one key that are looked at: thousands of files may have one size and time
KEY_BYTES = 6
BUSY = 2_000  # milliseconds
SLACK, BLOATED = 64 << 20, 200  # bytes of the file, and those for each file, above which most rows are stale

_TABLES = """
CREATE TABLE mirror (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, files INTEGER);
CREATE TABLE anchor (id INTEGER PRIMARY KEY, mirror INTEGER NOT NULL, path TEXT NOT NULL, UNIQUE (mirror, path));
CREATE TABLE held (key INTEGER NOT NULL, anchor INTEGER NOT NULL, PRIMARY KEY (key, anchor)) WITHOUT ROWID;
"""
_PLANNED = """
CREATE TEMP TABLE planned (
  mirror TEXT NOT NULL, path TEXT NOT NULL, place TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  lender TEXT NOT NULL, held_path TEXT NOT NULL, sampled INTEGER NOT NULL, kind TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID
"""
_HALF = 1 << (8 * KEY_BYTES - 1)


class Run(NamedTuple):
    """A run of a mirror's files: the paths from `first` up to `last`, or to the end."""

    mirror: str
    first: str
    last: str | None


class LocalCopy(NamedTuple):
    """A planned copy of held bytes: the file at `place` in the store, which is `held_path` of the mirror `lender`.

    If `sampled`, ranges of it are compared with upstream first. `kind` is entry, removed or version.
    """

    path: str
    place: str
    bytes: int
    sha256: str
    lender: str
    held_path: str
    sampled: bool
    kind: str


def begins_run(path: str) -> bool:
    """Return True if a run begins at this path; it depends on nothing else."""
    return xxhash.xxh3_64_intdigest(path.encode()) % RUN == 1


def digest_key(algorithm: str, value: str) -> int:
    """Return the key of a checksum in hex."""
    if algorithm == "sha256":
        return int(value[: 2 * KEY_BYTES], 16) - _HALF
    return claim_key(f"{algorithm}:{value}")


def claim_key(claim: str) -> int:
    """Return the key of what upstream claims of a file."""
    return (xxhash.xxh3_64_intdigest(claim.encode()) >> 16) - _HALF


class HeldIndex:
    """The index of one state folder; only the process that writes the Catalogue uses it."""

    def __init__(self, folder: Path, *, least: int | None) -> None:
        """Use the file in `folder`, which is opened when it is needed first."""
        self.file = folder / INDEX
        self.least = least
        """The least size of a file that is indexed (`reuse.min_size`); None: nothing is indexed, and nothing found."""
        self.trouble = ""
        self.missed: set[str] = set()
        """The mirrors that were published while the index could not be used: they are indexed again."""
        self._db: apsw.Connection | None = None

    def reopened(self) -> "HeldIndex":
        """Return another connection to this index, with plans of its own."""
        return HeldIndex(self.file.parent, least=self.least)

    def close(self) -> None:
        """Close; may be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # -- filling ----------------------------------------------------------------------------------------------------

    def is_filled(self, mirror: str) -> bool:
        """Return True if everything that was published of a mirror is indexed."""
        return self._one("SELECT 1 FROM mirror WHERE name=? AND files IS NOT NULL", (mirror,)) is not None

    def filled(self, mirror: str, files: int) -> None:
        """Note that a mirror of so many files is indexed as a whole. Too many stale rows: the index begins again."""

        def work(db: apsw.Connection) -> None:
            db.execute("UPDATE mirror SET files=? WHERE id=?", (files, self._mirror(db, mirror)))
            (total,) = _first(db, "SELECT total(files) FROM mirror", ()) or (0,)
            used = (db.pragma("page_count") - db.pragma("freelist_count")) * db.pragma("page_size")
            if used > SLACK + total * BLOATED:
                for table in ("held", "anchor", "mirror"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608  constants

        self._do(work)

    def unfill(self, mirror: str) -> None:
        """Note that a mirror is to be indexed again: its records were rebuilt."""
        self._do(lambda db: db.execute("UPDATE mirror SET files=NULL WHERE name=?", (mirror,)))

    def run_of(self, mirror: str, path: str) -> Run:
        """Return the run that holds a path; a mirror's first run begins at ""."""

        def work(db: apsw.Connection) -> Run:
            number = self._mirror(db, mirror)
            first = _first(
                db, "SELECT path FROM anchor WHERE mirror=? AND path<=? ORDER BY path DESC LIMIT 1", (number, path)
            )
            last = _first(db, "SELECT path FROM anchor WHERE mirror=? AND path>? ORDER BY path LIMIT 1", (number, path))
            return Run(mirror, first[0] if first else "", last[0] if last else None)

        return self._do(work) or Run(mirror, "", None)

    def anchors(self, mirror: str, firsts: Iterable[str]) -> dict[str, int]:
        """Return the numbers of runs by the paths at which they begin; a new run gets one."""

        def work(db: apsw.Connection) -> dict[str, int]:
            number, found = self._mirror(db, mirror), {}
            for first in sorted(firsts):
                row = _first(db, "SELECT id FROM anchor WHERE mirror=? AND path=?", (number, first))
                if row is None:
                    db.execute("INSERT INTO anchor (mirror, path) VALUES (?,?)", (number, first))
                found[first] = int(row[0]) if row is not None else db.last_insert_rowid()
            return found

        return self._do(work) or {}

    def add(self, rows: Sequence[tuple[int, int]], left: int | None = None) -> None:
        """Add keys, each with the number of its run; `left` is the run that they were in until it was divided.

        Sorted keys cost least: each page of the file is written once.
        """

        def work(db: apsw.Connection) -> None:
            if left is not None:
                db.executemany("DELETE FROM held WHERE key=? AND anchor=?", ((key, left) for key, _ in rows))
            db.executemany("INSERT OR IGNORE INTO held VALUES (?,?)", rows)

        self._do(work)

    # -- asking -----------------------------------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Return True if nothing is indexed, or content is not to be looked for."""
        return self.least is None or self._one("SELECT 1 FROM held LIMIT 1", ()) is None

    def runs(self, keys: Iterable[int]) -> dict[int, list[Run]]:
        """Return the runs that may hold content of each key."""

        def work(db: apsw.Connection) -> dict[int, list[Run]]:
            found: dict[int, list[Run]] = {}
            runs: dict[int, Run | None] = {}
            for key in keys:
                rows: list[Any] = db.execute("SELECT anchor FROM held WHERE key=? LIMIT ?", (key, MOST)).fetchall()
                for (anchor,) in rows:
                    if anchor not in runs:
                        runs[anchor] = _run(db, anchor)
                    run = runs[anchor]
                    if run is None:  # of a mirror that was forgotten
                        db.execute("DELETE FROM held WHERE key=? AND anchor=?", (key, anchor))
                    else:
                        found.setdefault(key, []).append(run)
            return found

        return self._do(work) or {}

    def drop(self, key: int, run: Run) -> None:
        """Drop a row whose run no longer holds the content."""
        self._do(
            lambda db: db.execute(
                "DELETE FROM held WHERE key=? AND anchor=(SELECT a.id FROM anchor a JOIN mirror m ON m.id=a.mirror "
                "WHERE m.name=? AND a.path=?)",
                (key, run.mirror, run.first),
            )
        )

    # -- what a plan copies ------------------------------------------------------------------------------------------

    def plan(self, mirror: str, copies: Iterable[LocalCopy]) -> None:
        """Record the copies of a plan; they are known to this process only."""
        rows = [(mirror, *copy) for copy in copies]
        if rows:
            self._do(lambda db: db.executemany("INSERT OR REPLACE INTO planned VALUES (?,?,?,?,?,?,?,?,?)", rows))

    def forget_plan(self, mirror: str) -> None:
        """Delete the copies of the last plan of a mirror. An index that could not be used is tried again."""
        self.trouble = ""
        for name in sorted(self.missed):
            self.unfill(name)
        if not self.trouble:
            self.missed.clear()
        if self._db is not None:
            self._do(lambda db: db.execute("DELETE FROM planned WHERE mirror=?", (mirror,)))

    def planned(self, mirror: str, path: str) -> LocalCopy | None:
        """Return the copy that is planned for a path."""
        row = self._one(
            "SELECT path, place, bytes, sha256, lender, held_path, sampled, kind FROM planned "
            "WHERE mirror=? AND path=?",
            (mirror, path),
        )
        return None if row is None else _copy(row)

    def count_planned(self, mirror: str, most: int = 1 << 62) -> int:
        """Return the number of planned copies of at most `most` bytes."""
        if self._db is None:
            return 0
        row = self._one("SELECT count(*) FROM planned WHERE mirror=? AND bytes<=?", (mirror, most))
        return int(row[0]) if row is not None else 0

    def lent_by_itself(self, mirror: str) -> Iterator[str]:
        """Yield the paths of a mirror's own files that its plan copies."""
        if self._db is not None:
            rows = self._do(
                lambda db: db.execute(
                    "SELECT held_path FROM planned WHERE mirror=?1 AND lender=?1", (mirror,)
                ).fetchall()
            )
            yield from (str(path) for (path,) in rows or ())

    # -- the file ---------------------------------------------------------------------------------------------------

    def _one(self, sql: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        return self._do(lambda db: _first(db, sql, values))

    def _do(self, work: Callable[[apsw.Connection], R]) -> R | None:
        """Return what `work` returns, in one transaction; None if the index cannot be used."""
        if self.least is None or self.trouble:
            return None
        try:
            db = self._db = self._db or self._open()
            with db:
                found = work(db)
        except (apsw.Error, OSError) as error:
            self._give_up(error)
            return None
        return found

    def _open(self) -> apsw.Connection:
        db = apsw.Connection(os.fspath(self.file))
        db.set_busy_timeout(BUSY)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "off")  # it may be lost: a file that a power failure damages is made again
        db.pragma("cache_size", -CACHE)
        db.pragma("temp_store", "file")
        if db.pragma("user_version") != VERSION:
            with db:
                for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'").fetchall():
                    db.execute(f'DROP TABLE "{name}"')
                db.execute(_TABLES)
                db.pragma("user_version", VERSION)
        db.execute(_PLANNED)
        return db

    def _give_up(self, error: Exception) -> None:
        self.close()
        self.trouble = message(
            "{file}: the index of held content cannot be used, so files are downloaded: {cause}",
            file=self.file,
            cause=error,
        )
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.FormatError | apsw.SQLError):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.file}{suffix}").unlink(missing_ok=True)

    def _mirror(self, db: apsw.Connection, name: str) -> int:
        row = _first(db, "SELECT id FROM mirror WHERE name=?", (name,))
        if row is None:
            db.execute("INSERT INTO mirror (name) VALUES (?)", (name,))
            return int(db.last_insert_rowid())
        return int(row[0])


def _first(db: apsw.Connection, sql: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
    return db.execute(sql, values).fetchone()


def _run(db: apsw.Connection, anchor: int) -> Run | None:
    row = _first(
        db,
        "SELECT m.name, a.path, (SELECT min(path) FROM anchor n WHERE n.mirror=a.mirror AND n.path>a.path) "
        "FROM anchor a JOIN mirror m ON m.id=a.mirror WHERE a.id=?",
        (anchor,),
    )
    return None if row is None else Run(*row)


def _copy(row: tuple[Any, ...]) -> LocalCopy:
    copy = LocalCopy(*row)
    return copy._replace(sampled=bool(copy.sampled))
