"""The files of the mirrors: opened when they are asked for, few of them at once, replaced by a rebuild.

Rules:
1. The daemon's row of a mirror has the key of its file. A file that is missing or has another key is damage of that
   mirror only.
2. At most MOST_OPEN files are open, except those with a query or a transaction under way.
3. A plan is useless to other processes: it is in a scratch file (`scratch.*`) that starts empty and is never fsynced.
"""

import os
import secrets
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import apsw

from manifests.messages import message
from syncd.catalogue.damage import UNDECODABLE, suppress_damage
from syncd.catalogue.database import CACHE, Database
from syncd.catalogue.mirror_schema import DECISIONS, MIRROR_STEPS, SCRATCH
from syncd.catalogue.separation import write_new
from syncd.catalogue.state_folder import (
    MIRRORS,
    NEW,
    delete_database,
    delete_quietly,
    install_database,
    mirror_file,
    state_error,
    steps_file,
)
from syncd.core import Damaged, NotFound

MOST_OPEN = 48
MOST_READ = 8  # open files of a Catalogue that is only read
PLANNING_CACHE = 32 << 10  # KiB of page cache that the mirrors with a plan share


class MirrorFile(Database):
    """The file with the records of one mirror; opened when it is used, and again after it was closed for others."""

    def __init__(self, files: "MirrorFiles", number: int, name: str) -> None:
        """Nothing is opened yet."""
        super().__init__(mirror_file(files.folder, name), mirror=name, read_only=files.read_only)
        self.number = number
        self.is_shared = files.is_shared
        self.key: str | None = None
        self.used_at = 0
        self.has_plan = False
        self._files = files

    def _reopen(self) -> apsw.Connection:
        self._files.open(self)
        assert self._held is not None
        return self._held

    def attach_plan(self) -> None:
        """Attach the scratch file of a plan, and empty it if no plan of this process is in it."""
        db, file = self._db, steps_file(self.file)
        if not self.has_plan:
            file.unlink(missing_ok=True)
        db.execute("ATTACH ? AS scratch", (os.fspath(file),))
        db.pragma("journal_mode", "memory", schema="scratch")
        db.pragma("synchronous", "off", schema="scratch")
        if not self.has_plan:
            with db:
                db.execute(SCRATCH)
        self.has_plan = True

    def share_cache(self, planning: int) -> None:
        """Set the size of the page cache, when so many mirrors have a plan."""
        size = max(CACHE, PLANNING_CACHE // 2 // max(1, planning)) if self.has_plan else CACHE
        self.set_cache(size)
        if self.has_plan:
            self._db.pragma("cache_size", -size, schema="scratch")

    def drop_plan(self) -> None:
        """Delete the scratch file, unless a query still reads it."""
        if self.has_plan and self.is_idle:
            if self._held is not None:
                with suppress(apsw.Error):
                    self._held.execute("DETACH scratch")
            self.has_plan = False
            delete_quietly(steps_file(self.file))

    def close(self) -> None:
        """Close; the next use opens the file again."""
        held, self._held = self._held, None
        if held is not None:
            held.close()


class MirrorFiles:
    """The files of the mirrors of one state folder."""

    def __init__(self, folder: Path, database: Database) -> None:
        """`database` is the daemon's file, which names the mirrors."""
        self.folder = folder
        self.read_only = database.read_only
        self.is_shared = False
        self._database = database
        self._files: dict[int, MirrorFile] = {}
        self._clock = count(1)
        self._is_closed = False

    def of(self, mirror: int) -> MirrorFile:
        """Return the file of a mirror. Raises NotFound; what fails when it is opened is raised when it is used."""
        file = self._files.get(mirror)
        if file is not None and self.read_only and file.is_idle and self._key(mirror) != file.key:
            file.close()  # another process has replaced it, or forgot the mirror
            file = None
        if file is None:
            row = self._database.one("SELECT name FROM mirror WHERE id=?", (mirror,))
            if row is None:
                raise NotFound(message("the Catalogue has no mirror {number} any more", number=mirror))
            file = self._files[mirror] = MirrorFile(self, mirror, str(row[0]))
        file.used_at = next(self._clock)
        return file

    def planning(self, mirror: int) -> MirrorFile:
        """Return the file of a mirror with the scratch file of its plan."""
        file = self.of(mirror)
        if not file.has_plan and not self.read_only:
            try:
                file.attach_plan()
                self._share_cache()
            except apsw.Error as error:
                raise file.translated(error) from error
            except OSError as error:
                raise state_error(error, self.folder, message("cannot write a plan")) from error
        return file

    def end_plan(self, mirror: int) -> None:
        """Delete the plan of a mirror, and give the memory for it back."""
        file = self._files.get(mirror)
        if file is not None and file.has_plan:
            file.drop_plan()
            if file.is_open:
                file.share_cache(0)

    def open(self, file: MirrorFile) -> None:
        """Open the file of a mirror; make it, if the mirror has none yet. Raises Damaged, NoSpace, Offline."""
        if self._is_closed:
            raise apsw.ConnectionClosedError("the Catalogue is closed")
        self._close_others()
        try:
            file.key = self._key(file.number)
            if file.key is None:
                if self.read_only:
                    file.connect_empty(MIRROR_STEPS)
                    return
                self._write_new(file)
            if not file.file.exists():
                raise self._lost(file, message("{file} is missing", file=file.file))
            file.connect(len(MIRROR_STEPS))
            if not self.read_only:
                file.migrate(MIRROR_STEPS)
            self._require_own(file)
            self._repeat_snapshot(file)
            if file.has_plan:
                file.attach_plan()
                self._share_cache()
        except apsw.Error as error:
            told = file.translated(error)
            file.close()
            raise told from error
        except UNDECODABLE as error:
            file.close()
            raise file.damage(error) from error
        except OSError as error:
            file.close()
            raise state_error(error, self.folder, message("cannot open the records of a mirror")) from error
        except BaseException:
            file.close()
            raise

    def upgrade(self) -> None:
        """Bring all files to the newest schema, if they were not yet: who only reads a file cannot do that."""
        sql, newest = "SELECT value FROM setting WHERE name='mirror_version'", str(len(MIRROR_STEPS))
        if (row := self._database.one(sql)) is not None and row[0] == newest:
            return
        for (number,) in list(self._database.rows("SELECT id FROM mirror WHERE key IS NOT NULL ORDER BY id")):
            with suppress_damage():
                self.of(number).version(len(MIRROR_STEPS))
        self._database.do("INSERT OR REPLACE INTO setting VALUES ('mirror_version', ?)", (newest,))

    def renew(self, mirror: int) -> None:
        """Give a mirror a new file, with the decisions about it that can still be read: a rebuild begins with this."""
        file = self.of(mirror)
        file.drop_plan()
        file.close()
        try:
            self._write_new(file, keep=True)
        except apsw.Error as error:
            raise file.translated(error) from error
        except OSError as error:
            raise state_error(error, self.folder, message("cannot write the records of a mirror")) from error

    def forget(self, mirror: int, name: str) -> None:
        """Delete the file of a mirror, whose row is deleted."""
        if (opened := self._files.pop(mirror, None)) is not None:
            opened.close()
        file = mirror_file(self.folder, name)
        delete_quietly(steps_file(file))
        with suppress(OSError):  # nothing names it any more
            delete_database(file)

    def share_interpreter(self) -> None:
        """Let other threads run Python between the rows of these files."""
        self.is_shared = True
        for file in self._files.values():
            file.is_shared = True

    def tidy(self) -> bool:
        """Free some disk space in the files that were written; return True if more can be freed."""
        for file in self._files.values():
            if file.has_written and file.is_idle:
                try:
                    if file.tidy():
                        return True
                except Damaged:
                    pass  # its next pass says so
                file.has_written = False
        return False

    def close(self) -> None:
        """Close all files; may be called twice."""
        self._is_closed = True
        for file in self._files.values():
            file.close()
            if not self.read_only and file.has_plan:
                delete_quietly(steps_file(file.file))
                file.has_plan = False

    def _share_cache(self) -> None:
        planning = [one for one in self._files.values() if one.has_plan and one.is_open]
        for one in planning:
            one.share_cache(len(planning))

    # -- one file -------------------------------------------------------------------------------------------------

    def _key(self, mirror: int) -> str | None:
        row = self._database.one("SELECT key FROM mirror WHERE id=?", (mirror,))
        return None if row is None else row[0]

    def _close_others(self) -> None:
        """Close the files that were not used for the longest time, so that one more may be opened."""
        most = MOST_READ if self.read_only else MOST_OPEN
        opened = [one for one in self._files.values() if one.is_open]
        if len(opened) < most:
            return
        idle = sorted((one for one in opened if one.is_idle), key=lambda one: one.used_at)
        for one in idle[: len(opened) - most + 1]:
            one.close()

    def _write_new(self, file: MirrorFile, *, keep: bool = False) -> None:
        """Write a new file, then let the daemon's row name it: a process that ends between leaves no wrong one."""
        (self.folder / MIRRORS).mkdir(exist_ok=True)
        fresh, former, key = file.file.with_name(file.file.name + NEW), self._key(file.number), secrets.token_hex(8)
        delete_database(fresh)
        write_new(fresh, key, file.number, file.mirror)
        if keep and former is not None:
            _copy_decisions(file.file, fresh, former)
        if former is not None:
            self._database.do("UPDATE mirror SET key=NULL WHERE id=?", (file.number,))
        install_database(fresh, file.file)
        self._database.do("UPDATE mirror SET key=? WHERE id=?", (key, file.number))
        file.key = key

    def _require_own(self, file: MirrorFile) -> None:
        """Raise Damaged if the file belongs to another mirror, or to another Catalogue."""
        row = file.one("SELECT key, mirror FROM own")
        if row is None or tuple(row) != (file.key, file.number):
            raise self._lost(file, message("{file} belongs to another Catalogue", file=file.file))

    def _repeat_snapshot(self, file: MirrorFile) -> None:
        """Let the daemon's row name the current snapshot: a process can end after one of the two was written."""
        if not self.read_only:
            row = file.one("SELECT id FROM snapshot ORDER BY place DESC LIMIT 1")
            if row is not None:
                sql = "UPDATE mirror SET snapshot=?1 WHERE id=?2 AND snapshot<>?1"
                self._database.do(sql, (row[0], file.number))

    def _lost(self, file: MirrorFile, what: str) -> Damaged:
        text = message(
            "{what}: run `syncd rebuild {mirror}`; the other mirrors are not concerned", what=what, mirror=file.mirror
        )
        return Damaged(text, in_catalogue=True, of_mirror=file.mirror)


def _copy_decisions(former: Path, fresh: Path, key: str) -> None:
    """Copy what the store cannot give back, as far as it can be read; a table with damage is left out."""
    with suppress(apsw.Error, *UNDECODABLE), closing(apsw.Connection(str(former))) as old:
        if old.execute("SELECT key FROM own").fetchall() != [(key,)]:
            return
        with closing(apsw.Connection(str(fresh))) as new:
            for table in DECISIONS:
                with suppress(apsw.Error, *UNDECODABLE):
                    rows = old.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  constants
                    if rows:
                        marks = ",".join("?" * len(rows[0]))
                        with new:
                            new.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608  as above
