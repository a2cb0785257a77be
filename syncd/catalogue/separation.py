"""Moves the records of each mirror from the one file of an older syncd to a file of its own.

Each new file is complete and on the disk before it gets its name, and all of them before the old tables are dropped, in
the one transaction that makes the daemon's file a newer one. So a process that ends before has changed nothing that an
older syncd reads, and the next one goes on: it knows the files that are complete by their key.
"""

import secrets
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw

from syncd.catalogue.damage import UNDECODABLE
from syncd.catalogue.database import Database
from syncd.catalogue.mirror_schema import MIRROR_STEPS, MIRROR_TABLES, MIRROR_VERSION_1
from syncd.catalogue.state_folder import MIRRORS, NEW, delete_database, install_database, mirror_file, require_space

SPARE = 64 << 20  # bytes that stay free during the upgrade
CACHED = 16 << 10  # KiB
ROTTEN = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.ConstraintError, apsw.MismatchError, *UNDECODABLE)


def separate(database: Database) -> None:
    """Write the files of all mirrors from the daemon's file. Raises NoSpace, and errors of SQLite."""
    folder, db = database.file.parent, database.connection
    mirrors: list[tuple[Any, ...]] = db.execute("SELECT id, name FROM mirror ORDER BY id").fetchall()
    if not mirrors:
        return
    db.execute("INSERT OR IGNORE INTO setting VALUES ('separation', ?)", (secrets.token_hex(8),))
    key = str(database.one("SELECT value FROM setting WHERE name='separation'")[0])
    (folder / MIRRORS).mkdir(exist_ok=True)
    left = [(number, name) for number, name in mirrors if not is_own(mirror_file(folder, name), key, number)]
    if left:
        require_space(folder, _live_bytes(db) + SPARE)
    for number, name in left:
        file = mirror_file(folder, name)
        fresh = file.with_name(file.name + NEW)
        delete_database(fresh)
        try:
            write_new(fresh, key, number, name, source=database.file)
        except ROTTEN:
            delete_database(fresh)  # without its file, this mirror is damaged, and the others are not
            continue
        install_database(fresh, file)


def write_new(fresh: Path, key: str, number: int, name: str, source: Path | None = None) -> None:
    """Write a mirror's file, without records or with those that `source` has of it; it is not synced yet."""
    with closing(apsw.Connection(str(fresh))) as db:
        db.pragma("auto_vacuum", 2)
        db.pragma("journal_mode", "off")  # a file that is not complete is written again from the beginning
        db.pragma("synchronous", "off")
        db.pragma("cache_size", -CACHED)
        if source is not None:
            db.execute("ATTACH ? AS source", (str(source),))
        with db:
            db.execute(MIRROR_VERSION_1)
            db.pragma("user_version", 1)
            db.execute("INSERT INTO own VALUES (?,?,?)", (key, number, name))
            for table in MIRROR_TABLES if source is not None else ():
                copy_table(db, table, number)
        if source is not None:
            db.execute("DETACH source")
        later: tuple[str, ...] = MIRROR_STEPS[1:]
        for version, step in enumerate(later, 2):
            with db:
                db.execute(step)
                db.pragma("user_version", version)


def copy_table(db: apsw.Connection, table: str, number: int) -> None:
    """Copy a mirror's rows of one table from the attached file, in the order of its key."""
    names = ", ".join(name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)))
    if table == "failure":  # its trigger would write what `quarantine` has anyway
        db.execute("DROP TRIGGER failure_kept")
    db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table} WHERE mirror=?", (number,))  # noqa: S608  constants
    if table == "failure":
        trigger = MIRROR_VERSION_1[MIRROR_VERSION_1.index("CREATE TRIGGER") :]
        db.execute(trigger[: trigger.index("END;") + 4])


def is_own(file: Path, key: str, number: int) -> bool:
    """Return True if a file is complete, and belongs to this mirror of this Catalogue."""
    if not file.exists():
        return False
    with suppress(apsw.Error), closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return db.execute("SELECT key, mirror FROM own").fetchall() == [(key, number)]
    return False


def shrink(database: Database) -> None:
    """Give the space of the dropped tables back; if there is no room for that, maintenance does it later."""
    with suppress(apsw.FullError, apsw.IOError, apsw.BusyError):
        database.connection.pragma("auto_vacuum", 2)
        database.connection.execute("VACUUM")


def _live_bytes(db: apsw.Connection) -> int:
    return int((db.pragma("page_count") - db.pragma("freelist_count")) * db.pragma("page_size"))
