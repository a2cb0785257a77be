"""Opens one SQLite file of the Catalogue, runs transactions, and translates errors.

Rules:
1. The store is authoritative: the Catalogue can be rebuilt from it (`syncd rebuild`), except for work in flight.
2. A file is recorded as done only after its bytes are durable in the store.
3. One connection to each file; one writing process, ensured by a file lock; WAL; each batch is one transaction.
4. Queries that can return ten million rows stream them, sorted by path. SQLite's BINARY order is the order of UTF-8
   bytes, and Python's order of strings.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import apsw
import msgspec

from manifests.messages import message, plain
from syncd.catalogue.damage import UNDECODABLE, damaged
from syncd.catalogue.state_folder import is_full
from syncd.core import Busy, Damaged, NoSpace, Offline, SyncdError

BUSY = 10_000  # milliseconds to wait for another process
UNDER_WAY = ("claim", "promise", "question", "asking", "signed", "signer")  # tables that are useless to another process
CACHE = 1 << 10  # KiB of page cache of a file
CHECKPOINT = 1_000  # pages of the log after which they are moved to the file: some milliseconds
TIDY = 1_000  # pages freed at a time
DURABLE = "full"  # the level of SQLite's syncs
PAUSE_EVERY = 256  # rows, about a millisecond
PAUSE = 1e-6  # seconds: the shortest sleep, about 60 microseconds

T = TypeVar("T")

# Statements are constants of this package: one that SQLite rejects has met a damaged schema or a damaged value.
_DAMAGE = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.FormatError,
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
)
_json = msgspec.json.Encoder(enc_hook=plain).encode
_digests = msgspec.json.Decoder(dict[str, str]).decode


class Database:
    """An open file of the Catalogue. One thread at a time uses it."""

    def __init__(self, file: Path, *, mirror: str = "", read_only: bool = False) -> None:
        """Use `file`, with the records of `mirror` or of the daemon; `connect` opens it."""
        self.file = file
        self.mirror = mirror
        self.read_only = read_only
        self.is_shared = False
        """True if other threads run Python between rows: see `_breathing`."""
        self.has_written = False
        self.queries = 0  # that are not read to their ends
        self._held: apsw.Connection | None = None

    @property
    def _db(self) -> apsw.Connection:
        held = self._held
        return held if held is not None else self._reopen()

    @property
    def connection(self) -> apsw.Connection:
        """Return the connection to SQLite, for changes of the schema."""
        return self._db

    def _reopen(self) -> apsw.Connection:
        raise apsw.ConnectionClosedError("the Catalogue is closed")

    @property
    def is_open(self) -> bool:
        """Return True if the file is open."""
        return self._held is not None

    @property
    def is_idle(self) -> bool:
        """Return True if no query and no transaction is under way."""
        return self.queries == 0 and (self._held is None or self._held.get_autocommit())

    def connect(self, version: int) -> None:
        """Open the file, or create it, to be migrated; to read it, it must be of `version`. Raises errors of SQLite."""
        if self.read_only:
            self._held = apsw.Connection(os.fspath(self.file), flags=apsw.SQLITE_OPEN_READONLY)
            self.version(version, least=version)
        else:
            self._held = apsw.Connection(os.fspath(self.file))
            self.version(version)
            self._prepare()
        self._begin()

    def connect_empty(self, steps: Sequence[str]) -> None:
        """Use an empty database in memory: the file was not written yet."""
        self._held = apsw.Connection(":memory:")
        for step in steps:
            self._held.execute(step)
        self._begin()

    def _prepare(self) -> None:
        db = self._db
        db.set_busy_timeout(BUSY)
        if db.pragma("user_version") == 0:
            db.pragma("auto_vacuum", 2)  # incremental: `tidy` frees a little space at a time
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")  # a swap begun in the store must survive a power failure
        db.pragma("temp_store", "file")
        db.pragma("wal_autocheckpoint", CHECKPOINT)
        self.set_cache(CACHE)

    def migrate(self, steps: Sequence[str]) -> None:
        """Run the steps that the file has not had yet; those of a new file in one transaction."""
        found, db = self.version(len(steps)), self._db
        if found == 0:
            with db:
                for step in steps:
                    db.execute(step)
                db.pragma("user_version", len(steps))
            return
        for number, step in enumerate(steps[found:], found + 1):
            with db:
                db.execute(step)
                db.pragma("user_version", number)

    def version(self, known: int, *, least: int = 0) -> int:
        """Return the schema version. Raises Damaged if this syncd does not support it."""
        found = int(self._db.pragma("user_version"))
        if found > known:
            raise Damaged(
                message(
                    "{folder}: the Catalogue is of version {found}, this syncd knows {schema_version}: "
                    "use the newer syncd, or move the state folder away and run `syncd rebuild`",
                    folder=self._place,
                    found=found,
                    schema_version=known,
                ),
                of_mirror=self.mirror,
            )
        if found < least:
            raise Damaged(
                message(
                    "{folder}: the Catalogue is of version {found}, and another process, of an older "
                    "syncd, works with it: restart that one",
                    folder=self._place,
                    found=found,
                ),
                of_mirror=self.mirror,
            )
        return found

    @property
    def _place(self) -> Path:
        return self.file if self.mirror else self.file.parent

    def _begin(self) -> None:
        db = self._db
        db.set_busy_timeout(BUSY)
        db.create_scalar_function("join_digests", cast("Any", _join_digests), 2, deterministic=True)
        db.create_scalar_function("join_version", cast("Any", _join_version), 4, deterministic=True)

    def set_cache(self, kibibytes: int) -> None:
        """Set the size of the page cache of each file of this connection."""
        self._db.pragma("cache_size", -kibibytes)

    def close(self) -> None:
        """Close; may be called twice."""
        if self._held is not None:
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tidy(self) -> bool:
        """Free some disk space; return True if more can be freed. Takes a few milliseconds."""
        try:
            if self._db.pragma("freelist_count") < TIDY:
                return False
            self._db.execute(f"PRAGMA incremental_vacuum({TIDY})").fetchall()
        except apsw.Error as error:
            raise self.translated(error) from error
        return True

    def used(self) -> int:
        """Return the bytes of the database in use."""
        pages = self.one("PRAGMA page_count")[0] - self.one("PRAGMA freelist_count")[0]
        return int(pages * self.one("PRAGMA page_size")[0])

    def copy(self, to: Path) -> None:
        """Write a compact copy, without work in flight, to a new file; may take minutes.

        Call it in a thread, with a connection of its own.
        """
        try:
            self._db.execute("VACUUM INTO ?", (os.fspath(to),))
            with closing(apsw.Connection(os.fspath(to))) as twin:
                for (table,) in twin.execute("SELECT name FROM sqlite_schema WHERE type='table'").fetchall():
                    if table in UNDER_WAY:
                        twin.execute(f"DELETE FROM {table}")  # noqa: S608  constants
                twin.execute("VACUUM")
        except apsw.Error as error:
            raise self.translated(error) from error

    def together(self, work: Callable[[], None], *, durable: bool = True) -> None:
        """Run `work` in one transaction. If not `durable`, a power failure may undo it, but in its order only."""
        self.has_written = True
        try:
            with nullcontext() if durable else self._unhurried(), self._db:
                work()
        except apsw.Error as error:
            raise self.translated(error) from error
        except UNDECODABLE as error:  # in a function of ours that SQLite called
            raise self.damage(error) from error

    @contextmanager
    def _unhurried(self) -> Iterator[None]:
        """Let transactions wait for the disk with the next durable one: a sync takes longer than the rest of them."""
        self._db.pragma("synchronous", "normal")
        try:
            yield
        finally:
            self._db.pragma("synchronous", DURABLE)

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, in one transaction."""
        self.has_written = True
        try:
            with self._db:
                self._db.executemany(sql, self._breathing(rows))
        except apsw.Error as error:
            raise self.translated(error) from error

    def add(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, inside a transaction of `together`."""
        self._db.executemany(sql, self._breathing(rows))

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield the rows of a query."""
        self.queries += 1
        try:
            yield from self._breathing(self._db.execute(sql, values))
        except apsw.Error as error:
            raise self.translated(error) from error
        except UNDECODABLE as error:
            raise self.damage(error) from error
        finally:
            self.queries -= 1

    def _breathing(self, rows: Iterable[T]) -> Iterable[T]:
        """Yield `rows`, and now and then let other threads run.

        SQLite gives the interpreter's lock back for each row, for a few microseconds: a thread that waits for the lock
        wakes each time too late, and never comes to ask for it.
        """
        if not self.is_shared:
            return rows
        return _with_pauses(rows)

    def do(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Run a statement."""
        self.has_written = True
        for _ in self.rows(sql, values):
            pass

    def one(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        self.queries += 1
        try:
            return self._db.execute(sql, values).fetchone()
        except apsw.Error as error:
            raise self.translated(error) from error
        except UNDECODABLE as error:
            raise self.damage(error) from error
        finally:
            self.queries -= 1

    def damage(self, error: BaseException) -> Damaged:
        """Return the error for damage in this file."""
        return damaged(self.file, error, self.mirror)

    def translated(self, error: apsw.Error) -> SyncdError:
        """Translate an error of SQLite."""
        return translated(error, self.file, self.mirror)


def _with_pauses(rows: Iterable[T]) -> Iterator[T]:
    for number, row in enumerate(rows, 1):
        if number % PAUSE_EVERY == 0:
            time.sleep(PAUSE)
        yield row


def _join_digests(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return other if one is None else one
    return _json({**_digests(other), **_digests(one)}).decode()


def _join_version(version: str | None, other: str | None, one: str | None, another: str | None) -> str | None:
    """Return the merged version of two claims of one path, or the text of the contradiction between their digests."""
    if one is not None and another is not None:
        first, second = _digests(one), _digests(another)
        for algorithm in first.keys() & second.keys():
            if first[algorithm] != second[algorithm]:
                return f"conflict:two lists publish {algorithm} {first[algorithm]} and {second[algorithm]}"
    return version if version is not None else other


def translated(error: apsw.Error, file: Path, mirror: str = "") -> SyncdError:
    """Translate an error of SQLite about a file, which has the records of `mirror` or of the daemon."""
    place = file if mirror else file.parent
    if isinstance(error, apsw.FullError):
        return NoSpace(message("{folder}: no space left for the Catalogue", folder=place))
    if isinstance(error, _DAMAGE):
        return damaged(file, error, mirror)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Busy(message("{folder}: the Catalogue is in use by another process", folder=place))
    if isinstance(error, apsw.CantOpenError | apsw.IOError) and is_full(file.parent):
        return NoSpace(message("{folder}: no space or no inode left for the Catalogue", folder=place))
    return Offline(message("{folder}: the Catalogue cannot be used: {cause}", folder=place, cause=error))
