"""One SQLite file and the process that owns it: open, lock, transact, translate errors.

Rules:
1. The store is the truth; whatever stands here can be rebuilt from it (`syncd rebuild`), save work in flight.
2. "Done" is written here only after the bytes are durable in the store, never before.
3. One connection, one writing process (a file lock says so), WAL; batches in one transaction.
4. Everything that can have ten million rows streams, sorted by path (SQLite's BINARY order is UTF-8's, which is
   Python's order of strings).
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import apsw
import msgspec

from syncd.catalogue.schema import SCHEMA, SCHEMA_VERSION
from syncd.errors import Busy, Damaged, NoSpace, Offline

_json = msgspec.json.Encoder().encode
_digests = msgspec.json.Decoder(dict[str, str]).decode


class Database:
    """The open database of one state folder."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open, or make, `catalogue.sqlite` in `folder`.

        Raises Busy if another process writes to it, Damaged if it is not readable or from a newer syncd.
        """
        self.folder = folder
        self._lock = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not read_only:
                self._lock = _locked(folder / "lock")
            self._db = apsw.Connection(os.fspath(folder / "catalogue.sqlite"))
            self._prepare()
        except apsw.Error as error:
            self.close()
            raise translated(error, folder) from error
        except OSError as error:
            raise NoSpace(f"{folder}: cannot open the state folder: {error.strerror}") from error

    def _prepare(self) -> None:
        db = self._db
        db.set_busy_timeout(10_000)
        db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768")
        db.execute("PRAGMA temp_store=FILE; PRAGMA wal_autocheckpoint=4000")
        found = db.pragma("user_version")
        if found > SCHEMA_VERSION:
            raise Damaged(
                f"{self.folder}: the Catalogue is of version {found}, this syncd knows {SCHEMA_VERSION}: "
                "use the newer syncd, or move the state folder away and run `syncd rebuild`"
            )
        if found == 0:
            with db:
                db.execute(SCHEMA)
                db.pragma("user_version", SCHEMA_VERSION)
        db.create_scalar_function("join_digests", cast("Any", _join_digests), 2, deterministic=True)
        db.create_scalar_function("join_version", cast("Any", _join_version), 4, deterministic=True)

    def close(self) -> None:
        """Close; may be called twice."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def together(self, work: Callable[[], None]) -> None:
        """Do `work` in one transaction: all of it is recorded, or nothing."""
        try:
            with self._db:
                work()
        except apsw.Error as error:
            raise translated(error, self.folder) from error

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, in one transaction."""
        try:
            with self._db:
                self._db.executemany(sql, rows)
        except apsw.Error as error:
            raise translated(error, self.folder) from error

    def add(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run `sql` for each row, inside the transaction of `together`."""
        self._db.executemany(sql, rows)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield the rows of a query."""
        try:
            yield from self._db.execute(sql, values)
        except apsw.Error as error:
            raise translated(error, self.folder) from error

    def do(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Run a statement."""
        for _ in self.rows(sql, values):
            pass

    def one(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        return next(iter(self.rows(sql, values)), None)


def _join_digests(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return other if one is None else one
    return _json({**_digests(other), **_digests(one)}).decode()


def _join_version(version: str | None, other: str | None, one: str | None, another: str | None) -> str | None:
    """Return the version of a claim made twice; a contradiction between digests takes its place."""
    if one is not None and another is not None:
        first, second = _digests(one), _digests(another)
        for algorithm in first.keys() & second.keys():
            if first[algorithm] != second[algorithm]:
                return f"conflict:two lists publish {algorithm} {first[algorithm]} and {second[algorithm]}"
    return version if version is not None else other


def _locked(path: Path) -> int:
    """Return the descriptor of `path`, locked for this process alone; raises Busy."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise Busy(
            f"{path.parent}: the state folder is in use by process {holder}: stop it or use another --state"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def translated(error: apsw.Error, folder: Path) -> NoSpace | Damaged | Offline | Busy:
    """Return our error for one of SQLite's."""
    if isinstance(error, apsw.FullError):
        return NoSpace(f"{folder}: no space left for the Catalogue")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Damaged(
            f"{folder}: the Catalogue is damaged ({error}): move catalogue.sqlite* away and run `syncd rebuild`"
        )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Busy(f"{folder}: the Catalogue is in use by another process")
    return Offline(f"{folder}: the Catalogue cannot be used: {error}")
