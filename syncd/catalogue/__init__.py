"""The daemon's embedded database: mirrors, current Entries, what upstream claims, work in flight. Rebuildable."""

from pathlib import Path
from types import TracebackType
from typing import Self

from syncd.catalogue.claims import Claims
from syncd.catalogue.database import Database, replace_catalogue
from syncd.catalogue.history import FailedFile, History, Inflight, MirrorRow, Swap, moved_from
from syncd.catalogue.holdings import ArchivedVersion, Holdings, RemovedFile
from syncd.catalogue.pass_history import AuditRow, DamagedFile, EventRow, PassHistory, PassRow, QuarantinedFile
from syncd.catalogue.survey_frontier import SurveyFrontier

__all__ = [
    "ArchivedVersion",
    "AuditRow",
    "Catalogue",
    "Claims",
    "DamagedFile",
    "EventRow",
    "FailedFile",
    "History",
    "Holdings",
    "Inflight",
    "MirrorRow",
    "PassHistory",
    "PassRow",
    "QuarantinedFile",
    "RemovedFile",
    "SurveyFrontier",
    "Swap",
    "moved_from",
    "replace_catalogue",
]  # fmt: skip


class Catalogue:
    """The open Catalogue of one state folder: `claims`, `frontier`, `holdings`, `history`, `pass_history`."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open, or make, the database in `folder`; raises Busy, Damaged, NoSpace; Offline if there is none to read."""
        self.read_only = read_only
        self.database = Database(folder, read_only=read_only)
        self.claims = Claims(self.database)
        self.frontier = SurveyFrontier(self.database)
        self.holdings = Holdings(self.database)
        self.history = History(self.database)
        self.pass_history = PassHistory(self.database)

    def close(self) -> None:
        """Close; may be called twice."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
