"""The counts of what the public side gave, in a file of the state folder of their own: `usage.sqlite`.

It is no part of the Catalogue: `syncd face`, which only reads that, writes it too. Several processes may write it, each
a batch at a time. What belongs to the open day (pieces of downloads, marks of clients) is deleted when the day is
closed, and its pages are overwritten.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import apsw

from manifests.messages import message
from syncd.catalogue.state_folder import is_full
from syncd.core import Damaged, NoSpace, Offline, SyncdError

R = TypeVar("R")
FILE = "usage.sqlite"
BUSY = 30_000  # milliseconds to wait for another process
VERSION = 1
COUNTS = (
    "requests", "files", "bytes", "views", "strict_requests", "strict_investigations", "unique_requests",
    "unique_investigations",
)  # fmt: skip
MARGINS = ("mirror", "institution", "country", "kind")
"""By what clients are told apart when a day is closed; "" is all together."""

_TABLES = f"""
CREATE TABLE cell (
  day TEXT NOT NULL, mirror TEXT NOT NULL, kind TEXT NOT NULL, institution TEXT NOT NULL, country TEXT NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTS)},
  PRIMARY KEY (day, mirror, kind, institution, country)) WITHOUT ROWID;
CREATE TABLE clients (
  day TEXT NOT NULL, margin TEXT NOT NULL, value TEXT NOT NULL, mirror TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (day, margin, value, mirror)) WITHOUT ROWID;
CREATE TABLE served (
  mirror TEXT NOT NULL, kind TEXT NOT NULL, status INTEGER NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (mirror, kind, status)) WITHOUT ROWID;
CREATE TABLE open_day (one INTEGER PRIMARY KEY CHECK (one = 1), day TEXT NOT NULL);
CREATE TABLE open_download (key BLOB PRIMARY KEY, last REAL NOT NULL, joined INTEGER NOT NULL, spans BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE open_mark (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE open_client (
  mirror TEXT NOT NULL, kind TEXT NOT NULL, institution TEXT NOT NULL, country TEXT NOT NULL, who BLOB NOT NULL,
  PRIMARY KEY (mirror, kind, institution, country, who)) WITHOUT ROWID;
"""
_OPEN = ("open_download", "open_mark", "open_client")
OTHERS = "kind IN ('person','tool','node')"


class CellKey(NamedTuple):
    """What counts are kept for, on one day."""

    mirror: str
    kind: str
    institution: str
    country: str


class UsageCell(NamedTuple):
    """The counts of one day, of one mirror, for one kind of clients of one institution and country."""

    day: str
    mirror: str
    kind: str
    institution: str
    country: str
    requests: int
    files: int
    bytes: int
    views: int
    strict_requests: int
    strict_investigations: int
    unique_requests: int
    unique_investigations: int


class ClientCount(NamedTuple):
    """How many clients there were on a day, for a value of a margin; `mirror` is "" for all together."""

    day: str
    margin: str
    value: str
    mirror: str
    number: int


class ServedTotal(NamedTuple):
    """All answers about a mirror to one kind of clients, since counting began."""

    mirror: str
    kind: str
    status: int
    requests: int
    bytes: int


class OpenDownload(NamedTuple):
    """The state of today's downloads of one file by one client."""

    last: float
    joined: bool
    spans: bytes


class UsageCounts:
    """The open file. One thread at a time uses it."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the file in a state folder, or create it. Raises Offline, NoSpace, Damaged."""
        self.file = folder / FILE
        self.created = False
        try:
            flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            self._db = apsw.Connection(os.fspath(self.file), flags=flags)
            try:
                self._db.set_busy_timeout(BUSY)
                self._prepare(read_only=read_only)
            except BaseException:
                self._db.close()
                raise
        except apsw.Error as error:
            raise self._translated(error) from error

    def _prepare(self, *, read_only: bool) -> None:
        db = self._db
        if int(db.pragma("user_version")) > VERSION:
            raise Damaged(
                message("{file}: was written by a newer syncd: use that one, or move the file away", file=self.file)
            )
        if read_only:
            return
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "normal")  # a power failure may lose the last batches, no more
        db.pragma("secure_delete", 1)
        with suppress(OSError):
            self.file.chmod(0o640)
        if not db.pragma("user_version"):
            with db:
                db.execute("BEGIN IMMEDIATE" if db.get_autocommit() else "SELECT 1")
                if not db.pragma("user_version"):
                    db.execute(_TABLES)
                    db.pragma("user_version", VERSION)

    def close(self) -> None:
        """Close; may be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing --------------------------------------------------------------------------------------------------

    def together(self, work: Callable[[], R]) -> R:
        """Run `work` in one transaction, while no other process writes."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                done = work()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except apsw.Error as error:
            raise self._translated(error) from error
        return done

    def day(self) -> str:
        """Return the open day, or ""."""
        row = self._db.execute("SELECT day FROM open_day").fetchone()
        return str(row[0]) if row is not None else ""

    def turn(self, day: str) -> None:
        """Close the open day and open `day`, within a transaction: clients are counted, and their marks deleted."""
        before = self.day()
        if before:
            for margin in ("", *MARGINS):
                for mirror in ("''", "mirror"):
                    self._db.execute(_count_clients(margin, mirror), (before,))
        for table in _OPEN:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  constants
        self._db.execute("INSERT OR REPLACE INTO open_day VALUES (1, ?)", (day,))

    def scrub_log(self) -> None:
        """Move the log into the file, and empty it, outside of a transaction: it has no deleted marks then."""
        with suppress(apsw.Error):  # another process reads: the next one that closes the file does it
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def download(self, key: bytes) -> OpenDownload | None:
        """Return the state of a download."""
        row = self._db.execute("SELECT last, joined, spans FROM open_download WHERE key=?", (key,)).fetchone()
        return OpenDownload(row[0], bool(row[1]), row[2]) if row is not None else None

    def has_mark(self, key: bytes) -> bool:
        """Return True if this was seen today."""
        return self._db.execute("SELECT 1 FROM open_mark WHERE key=?", (key,)).fetchone() is not None

    def add(
        self,
        day: str,
        cells: dict[CellKey, list[int]],
        served: dict[tuple[str, str, int], list[int]],
        downloads: dict[bytes, OpenDownload],
        marks: Iterable[bytes],
        clients: Iterable[tuple[CellKey, bytes]],
    ) -> None:
        """Add a batch, within a transaction."""
        sums = ", ".join(f"{name}={name}+excluded.{name}" for name in COUNTS)
        holes = ",".join("?" * (5 + len(COUNTS)))
        db = self._db
        db.executemany(
            f"INSERT INTO cell VALUES ({holes}) ON CONFLICT DO UPDATE SET {sums}",  # noqa: S608  constants
            ((day, *key, *counts) for key, counts in cells.items()),
        )
        db.executemany(
            "INSERT INTO served VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET requests=requests+excluded.requests, "
            "bytes=bytes+excluded.bytes",
            ((*key, *counts) for key, counts in served.items()),
        )
        db.executemany(
            "INSERT OR REPLACE INTO open_download VALUES (?,?,?,?)",
            ((key, one.last, int(one.joined), one.spans) for key, one in downloads.items()),
        )
        db.executemany("INSERT OR IGNORE INTO open_mark VALUES (?)", ((key,) for key in marks))
        db.executemany("INSERT OR IGNORE INTO open_client VALUES (?,?,?,?,?)", ((*key, who) for key, who in clients))

    def forget(self, before: str) -> None:
        """Delete the counts of days before `before`."""
        for table in ("cell", "clients"):
            self._db.execute(f"DELETE FROM {table} WHERE day<?", (before,))  # noqa: S608  constants

    # -- reading --------------------------------------------------------------------------------------------------

    def cells(self, first: str, last: str) -> Iterator[UsageCell]:
        """Yield the counts of the days from `first` to `last`."""
        for row in self._rows("SELECT * FROM cell WHERE day>=? AND day<=?", (first, last)):
            yield UsageCell(*row)

    def clients(self, first: str, last: str, margin: str) -> Iterator[ClientCount]:
        """Yield how many clients there were on each day, for the values of a margin; on the open day so far too."""
        for row in self._rows("SELECT * FROM clients WHERE day>=? AND day<=? AND margin=?", (first, last, margin)):
            yield ClientCount(*row)
        for row in self._rows("SELECT day FROM open_day WHERE day>=? AND day<=?", (first, last)):
            for mirror in ("''", "mirror"):
                for one in self._rows(_clients_now(margin, mirror), (row[0],)):
                    yield ClientCount(*one)

    def totals(self) -> list[ServedTotal]:
        """Return all answers since counting began."""
        return [ServedTotal(*row) for row in self._rows("SELECT * FROM served", ())]

    def _rows(self, sql: str, values: tuple[Any, ...]) -> Iterator[Any]:
        try:
            yield from self._db.execute(sql, values)
        except apsw.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: apsw.Error) -> SyncdError:
        if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and is_full(self.file.parent)):
            return NoSpace(message("{file}: no space left for the counts of usage", file=self.file))
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SQLError):
            return Damaged(
                message(
                    "{file}: the counts of usage are damaged ({cause}): move the file away, and counting begins again",
                    file=self.file,
                    cause=error,
                )
            )
        return Offline(message("{file}: the counts of usage cannot be used: {cause}", file=self.file, cause=error))


def has_usage(folder: Path) -> bool:
    """Return True if a state folder has counts."""
    return (folder / FILE).exists()


def _clients_now(margin: str, mirror: str) -> str:
    value = margin or "''"
    where = f" WHERE {OTHERS}" if margin != "kind" else ""
    return (
        f"SELECT ?1, '{margin}', {value}, {mirror}, count(DISTINCT who) FROM open_client{where} "  # noqa: S608  constants
        f"GROUP BY {value}, {mirror}"
    )


def _count_clients(margin: str, mirror: str) -> str:
    return (
        f"INSERT INTO clients {_clients_now(margin, mirror)} ON CONFLICT DO UPDATE SET count=max(count, excluded.count)"
    )
