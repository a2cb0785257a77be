"""The open Catalogue of one state folder: its parts, over the daemon's file and a file of each mirror."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from manifests.messages import message
from syncd.catalogue.approvals import Approvals
from syncd.catalogue.audit_log import AuditLog
from syncd.catalogue.catalogue_settings import CatalogueSettings
from syncd.catalogue.changed_files import ChangedFiles
from syncd.catalogue.claims import Claims
from syncd.catalogue.damage import UNDECODABLE
from syncd.catalogue.database import Database
from syncd.catalogue.deferred_files import DeferredFiles
from syncd.catalogue.doubts import Doubts
from syncd.catalogue.failed_files import FailedFiles
from syncd.catalogue.first_origins import FirstOrigins
from syncd.catalogue.held_index import HeldIndex
from syncd.catalogue.history import History
from syncd.catalogue.holdings import Holdings
from syncd.catalogue.job_list import JobList
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.pass_history import PassHistory
from syncd.catalogue.publications import Publications
from syncd.catalogue.published_files import PublishedFiles
from syncd.catalogue.restorations import Restorations
from syncd.catalogue.schema import JOINED, SCHEMA_VERSION, STEPS
from syncd.catalogue.separation import separate, shrink
from syncd.catalogue.signing_documents import SigningDocuments
from syncd.catalogue.snapshot_tags import SnapshotTags
from syncd.catalogue.staged_files import StagedFiles
from syncd.catalogue.state_folder import FILE, MIRRORS, StateLock, mirror_file, state_error, sweep
from syncd.catalogue.stored_content import StoredContent
from syncd.catalogue.survey_frontier import SurveyFrontier
from syncd.catalogue.unsettled_files import UnsettledFiles
from syncd.catalogue.work_journal import WorkJournal
from syncd.core import Damaged, NotFound

DAEMON_CACHE = 4 << 10  # KiB of page cache of the daemon's file


class Catalogue:
    """The open Catalogue of one state folder: each part has tables in the daemon's file, or in those of the mirrors."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or create the Catalogue in `folder`; `read_only` beside the process that writes to it.

        Raises Busy, Damaged, NoSpace; Offline if there is none to read.
        """
        self.folder = folder
        self.read_only = read_only
        self.database = Database(folder / FILE, read_only=read_only)
        self.files = MirrorFiles(folder, self.database)
        self.held = HeldIndex(folder, least=None if read_only else 1)
        self._lock: StateLock | None = None
        self._open(folder)
        self.claims = Claims(self.files)
        self.frontier = SurveyFrontier(self.files)
        self.links = SigningDocuments(self.files)
        self.holdings = Holdings(self.files)
        self.changes = ChangedFiles(self.files)
        self.content = StoredContent(self.files)
        self.settings = CatalogueSettings(self.database)
        self.history = History(self.database, self.files)
        self.journal = WorkJournal(self.files)
        self.restorations = Restorations(self.files, self.journal, self.holdings)
        self.staged = StagedFiles(self.files)
        self.approvals = Approvals(self.files)
        self.firsts = FirstOrigins(self.files)
        self.tags = SnapshotTags(self.files)
        self.failures = FailedFiles(self.files)
        self.deferred = DeferredFiles(self.files)
        self.doubts = Doubts(self.files)
        self.unsettled = UnsettledFiles(self.files)
        self.publications = Publications(self.database)
        self.jobs = JobList(self.database)
        self.pass_history = PassHistory(self.database, self.files)
        self.published = PublishedFiles(self.database, self.files)

    def _open(self, folder: Path) -> None:
        database = self.database
        try:
            if self.read_only:
                database.connect(SCHEMA_VERSION)
                return
            self._lock = StateLock(folder)
            sweep(folder)
            database.connect(SCHEMA_VERSION)
            is_joined = 0 < database.version(SCHEMA_VERSION) <= JOINED
            if is_joined:
                database.migrate(STEPS[:JOINED])
                separate(database)
            database.migrate(STEPS)
            if is_joined:
                shrink(database)
            database.set_cache(DAEMON_CACHE)
            AuditLog(database).seal_audit()
            self.files.upgrade()
        except apsw.Error as error:
            told = database.translated(error)  # before `close` frees inodes
            self.close()
            raise told from error
        except UNDECODABLE as error:
            self.close()
            raise database.damage(error) from error
        except OSError as error:
            self.close()
            raise state_error(error, folder, message("cannot open the state folder")) from error
        except BaseException:
            self.close()
            raise

    def describe_holder(self, holder: str) -> None:
        """Set the line that describes this process to others that find the Catalogue locked."""
        if self._lock is not None:
            self._lock.describe_holder(holder)

    def share_interpreter(self) -> None:
        """Let other threads run Python between rows."""
        self.database.is_shared = True
        self.files.share_interpreter()

    def together(self, mirror: int, work: Callable[[], None]) -> None:
        """Run `work`, which changes records of one mirror, in one transaction."""
        self.files.of(mirror).together(work)

    def end_plan(self, mirror: int) -> None:
        """Delete the steps of a mirror, and give the memory for them back."""
        self.files.end_plan(mirror)

    def all_files(self) -> list[tuple[str, int | None]]:
        """Return the name of each file in the state folder, with its mirror; None: the daemon's file, the first one."""
        names = [(f"{MIRRORS}/{mirror_file(Path(), row.name).name}", row.id) for row in self.history.mirrors()]
        return [(FILE, None), *names]

    def copy(self, mirror: int | None, to: Path) -> bool:
        """Write a compact copy of a file, without work in flight; False if it has none that can be copied.

        May take minutes: call it in a thread, with a Catalogue of its own.
        """
        if mirror is None:
            self.database.copy(to)
            return True
        try:
            self.files.of(mirror).copy(to)
        except NotFound:  # forgotten meanwhile
            return False
        except Damaged as error:
            if not error.of_mirror:
                raise
            to.unlink(missing_ok=True)  # the backup has the other mirrors; this one is read from the store
            return False
        return True

    def change_counter(self) -> int:
        """Return a number that changes whenever another process or connection has changed the daemon's file."""
        return int(self.database.one("PRAGMA data_version")[0])

    def tidy(self) -> bool:
        """Free some disk space; return True if more can be freed. Takes a few milliseconds."""
        return self.database.tidy() or self.files.tidy()

    def close(self) -> None:
        """Close; may be called twice."""
        self.held.close()
        self.files.close()
        self.database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def copy_mirror(state: Path, mirror: str, to: Path) -> None:
    """Copy the daemon's file and that of one mirror to the folder `to`; may take minutes. Raises Offline, Damaged."""
    with Catalogue(state, read_only=True) as catalogue:
        catalogue.copy(None, to / FILE)
        row = catalogue.history.mirror(mirror)
        if row is not None:
            (to / MIRRORS).mkdir()
            catalogue.files.of(row.id).copy(mirror_file(to, mirror))
