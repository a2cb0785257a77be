"""Opens and locks the SQLite file of the Catalogue, runs transactions, and translates errors.

Rules:
1. The store is authoritative: the Catalogue can be rebuilt from it (`syncd rebuild`), except for work in flight.
2. A file is recorded as done only after its bytes are durable in the store.
3. One connection; one writing process, ensured by a file lock; WAL; each batch is one transaction.
4. Queries that can return ten million rows stream them, sorted by path. SQLite's BINARY order is the order of UTF-8
   bytes, and Python's order of strings.
5. A plan is useless to other processes: it is in a scratch file (`scratch.*`) that starts empty and is never fsynced.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import apsw
import msgspec

from manifests.messages import message, plain, template
from syncd.catalogue.damage import UNDECODABLE, damaged
from syncd.catalogue.schema import SCHEMA_VERSION, SCRATCH, STEPS
from syncd.core import Busy, Damaged, Denied, NoSpace, Offline, SyncdError, exhausted

FILE = "catalogue.sqlite"
STEPS_FILE = "steps.sqlite"
LOCK = "lock"
BUSY = 10_000  # milliseconds to wait for another process
UNDER_WAY = ("claim", "promise", "question", "asking", "signed", "signer")  # tables that are useless to another process
CACHE = 16 << 10  # KiB of page cache for each of the two files
TIDY = 1_000  # pages freed at a time
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
    """The open database of one state folder."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or create `catalogue.sqlite` in `folder`; `read_only` beside the process that writes to it.

        Raises Busy if another process writes to it, Damaged if it is unreadable or of an unknown version.
        """
        self.folder = folder
        self._lock = -1
        self._is_shared = False
        file = os.fspath(folder / FILE)
        try:
            if read_only:
                self._db = apsw.Connection(file, flags=apsw.SQLITE_OPEN_READONLY)
                self._version(SCHEMA_VERSION)
                self._begin()
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self._lock = _locked(folder / LOCK)
                self._db = apsw.Connection(file)
                self._prepare()
        except apsw.Error as error:
            told = translated(error, folder)  # before `close` frees inodes
            self.close()
            raise told from error
        except UNDECODABLE as error:
            self.close()
            raise damaged(folder, error) from error
        except OSError as error:
            raise _state_error(error, folder, message("cannot open the state folder")) from error

    def _prepare(self) -> None:
        db = self._db
        db.set_busy_timeout(BUSY)
        if db.pragma("user_version") == 0:
            db.pragma("auto_vacuum", 2)  # incremental: `tidy` frees a little space at a time
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")  # a swap begun in the store must survive a power failure
        db.pragma("cache_size", -CACHE)
        db.pragma("temp_store", "file")
        db.pragma("wal_autocheckpoint", 4000)
        found = self._version(0)
        for version, step in enumerate(STEPS[found:], found + 1):
            with db:
                db.execute(step)
                db.pragma("user_version", version)
        if 0 < found < SCHEMA_VERSION and db.pragma("auto_vacuum") != 2:
            db.pragma("auto_vacuum", 2)
            db.execute("VACUUM")
        self._begin()
        self._begin_scratch()

    def _version(self, least: int) -> int:
        """Return the schema version. Raises Damaged if this syncd does not support it."""
        found = int(self._db.pragma("user_version"))
        if found > SCHEMA_VERSION:
            raise Damaged(
                message(
                    "{folder}: the Catalogue is of version {found}, this syncd knows {schema_version}: "
                    "use the newer syncd, or move the state folder away and run `syncd rebuild`",
                    folder=self.folder,
                    found=found,
                    schema_version=SCHEMA_VERSION,
                )
            )
        if found < least:
            raise Damaged(
                message(
                    "{folder}: the Catalogue is of version {found}, and another process, of an older "
                    "syncd, works with it: restart that one",
                    folder=self.folder,
                    found=found,
                )
            )
        return found

    def _begin(self) -> None:
        self._db.set_busy_timeout(BUSY)
        self._db.create_scalar_function("join_digests", cast("Any", _join_digests), 2, deterministic=True)
        self._db.create_scalar_function("join_version", cast("Any", _join_version), 4, deterministic=True)

    def _begin_scratch(self) -> None:
        """Attach the scratch file, empty."""
        db, file = self._db, self.folder / STEPS_FILE
        file.unlink(missing_ok=True)
        db.execute("ATTACH ? AS scratch", (os.fspath(file),))
        db.pragma("journal_mode", "memory", schema="scratch")
        db.pragma("synchronous", "off", schema="scratch")
        db.pragma("cache_size", -CACHE, schema="scratch")
        with db:
            db.execute(SCRATCH)

    def close(self) -> None:
        """Close; may be called twice."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock >= 0:
            with suppress(OSError):  # the disk fails; the next process begins with an empty one
                (self.folder / STEPS_FILE).unlink()
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def describe_holder(self, holder: str) -> None:
        """Set the line that describes this process to others that find the Catalogue locked."""
        if self._lock >= 0:
            line = f"{os.getpid()} {holder}\n".encode()
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, line, 0)

    def tidy(self) -> bool:
        """Free some disk space; return True if more can be freed. Takes a few milliseconds."""
        try:
            if self._db.pragma("freelist_count") < TIDY:
                return False
            self._db.execute(f"PRAGMA incremental_vacuum({TIDY})").fetchall()
        except apsw.Error as error:
            raise translated(error, self.folder) from error
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
            raise translated(error, self.folder) from error

    def together(self, work: Callable[[], None]) -> None:
        """Run `work` in one transaction."""
        try:
            with self._db:
                work()
        except apsw.Error as error:
            raise translated(error, self.folder) from error
        except UNDECODABLE as error:  # in a function of ours that SQLite called
            raise damaged(self.folder, error) from error

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, in one transaction."""
        try:
            with self._db:
                self._db.executemany(sql, self._breathing(rows))
        except apsw.Error as error:
            raise translated(error, self.folder) from error

    def add(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, inside a transaction of `together`."""
        self._db.executemany(sql, self._breathing(rows))

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield the rows of a query."""
        try:
            yield from self._breathing(self._db.execute(sql, values))
        except apsw.Error as error:
            raise translated(error, self.folder) from error
        except UNDECODABLE as error:
            raise damaged(self.folder, error) from error

    def share_interpreter(self) -> None:
        """Let other threads run Python between rows: see `_breathing`."""
        self._is_shared = True

    def _breathing(self, rows: Iterable[T]) -> Iterable[T]:
        """Yield `rows`, and now and then let other threads run.

        SQLite gives the interpreter's lock back for each row, for a few microseconds: a thread that waits for the lock
        wakes each time too late, and never comes to ask for it.
        """
        if not self._is_shared:
            return rows
        return _with_pauses(rows)

    def do(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Run a statement."""
        for _ in self.rows(sql, values):
            pass

    def one(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        return next(iter(self.rows(sql, values)), None)


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


def _locked(path: Path) -> int:
    """Open `path` with an exclusive lock, and return the descriptor. Raises Busy."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        number, _, holder = os.pread(descriptor, 500, 0).decode(errors="replace").strip().partition(" ")
        os.close(descriptor)
        if holder:
            text = template("{folder}: the state folder is in use by process {number}, {holder}")
        else:
            text = template("{folder}: the state folder is in use by process {number}: stop it or use another --state")
        raise Busy(message(text, folder=path.parent, number=number or "?", holder=holder)) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def has_catalogue(folder: Path) -> bool:
    """Return True if a state folder holds a Catalogue. Raises Denied if the folder is unreadable."""
    try:
        (folder / FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Denied(
            message("{folder}: the state folder cannot be read: {cause}", folder=folder, cause=error.strerror)
        ) from error
    return True


def replace_catalogue(folder: Path, file: Path, suffix: str) -> Path | None:
    """Replace the Catalogue in `folder` by `file`; return the new path of the former one, or None.

    Raises Busy if a process uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = _locked(folder / LOCK)
    try:
        kept = None
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            if (folder / name).exists():
                aside = folder / f"{name}.{suffix}"
                (folder / name).replace(aside)
                kept = aside if name == FILE else kept
        file.replace(folder / FILE)
    except OSError as error:
        raise _state_error(error, folder, message("cannot write the Catalogue")) from error
    else:
        return kept
    finally:
        os.close(lock)


def translated(error: apsw.Error, folder: Path) -> SyncdError:
    """Translate an error of SQLite."""
    if isinstance(error, apsw.FullError):
        return NoSpace(message("{folder}: no space left for the Catalogue", folder=folder))
    if isinstance(error, _DAMAGE):
        return damaged(folder, error)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Busy(message("{folder}: the Catalogue is in use by another process", folder=folder))
    if isinstance(error, apsw.CantOpenError | apsw.IOError) and _is_full(folder):
        return NoSpace(message("{folder}: no space or no inode left for the Catalogue", folder=folder))
    return Offline(message("{folder}: the Catalogue cannot be used: {cause}", folder=folder, cause=error))


def _is_full(folder: Path) -> bool:
    """Return True if the file system of the state folder has no space, or can hold no more files."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)


def _state_error(error: OSError, folder: Path, what: str) -> SyncdError:
    """Return our error for a failure of the state folder's file system."""
    text = f"{folder}: {what}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(message("{text}; free some space (or inodes), or use another --state", text=text))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return Denied(message("{text}; run as the user that owns it, or use another --state", text=text))
    return exhausted(error, str(folder)) or Offline(text)
