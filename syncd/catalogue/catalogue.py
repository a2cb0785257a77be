"""The open Catalogue of one state folder: its parts, over one database."""

from pathlib import Path
from types import TracebackType
from typing import Self

from syncd.catalogue.approvals import Approvals
from syncd.catalogue.catalogue_settings import CatalogueSettings
from syncd.catalogue.changed_files import ChangedFiles
from syncd.catalogue.claims import Claims
from syncd.catalogue.database import Database
from syncd.catalogue.deferred_files import DeferredFiles
from syncd.catalogue.doubts import Doubts
from syncd.catalogue.failed_files import FailedFiles
from syncd.catalogue.held_index import HeldIndex
from syncd.catalogue.history import History
from syncd.catalogue.holdings import Holdings
from syncd.catalogue.pass_history import PassHistory
from syncd.catalogue.signing_documents import SigningDocuments
from syncd.catalogue.staged_files import StagedFiles
from syncd.catalogue.stored_content import StoredContent
from syncd.catalogue.survey_frontier import SurveyFrontier
from syncd.catalogue.unsettled_files import UnsettledFiles
from syncd.catalogue.work_journal import WorkJournal


class Catalogue:
    """The open Catalogue of one state folder. Each part has its own tables in the one database."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or create the database in `folder`. Raises Busy, Damaged, NoSpace; Offline if there is none to read."""
        self.read_only = read_only
        self.database = Database(folder, read_only=read_only)
        self.claims = Claims(self.database)
        self.frontier = SurveyFrontier(self.database)
        self.links = SigningDocuments(self.database)
        self.holdings = Holdings(self.database)
        self.changes = ChangedFiles(self.database)
        self.content = StoredContent(self.database)
        self.held = HeldIndex(folder, least=None if read_only else 1)
        self.settings = CatalogueSettings(self.database)
        self.history = History(self.database)
        self.journal = WorkJournal(self.database)
        self.staged = StagedFiles(self.database)
        self.approvals = Approvals(self.database)
        self.failures = FailedFiles(self.database)
        self.deferred = DeferredFiles(self.database)
        self.doubts = Doubts(self.database)
        self.unsettled = UnsettledFiles(self.database)
        self.pass_history = PassHistory(self.database)

    def close(self) -> None:
        """Close; may be called twice."""
        self.held.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
