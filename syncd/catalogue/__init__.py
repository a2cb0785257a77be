"""The daemon's embedded database: mirrors, current Entries, what upstream claims, work in flight. Rebuildable."""

from pathlib import Path
from types import TracebackType
from typing import Self

from syncd.catalogue.claims import Claims
from syncd.catalogue.database import Database, replace_catalogue
from syncd.catalogue.history import Failure, History, Inflight, Row, Swap, moved_from
from syncd.catalogue.holdings import Holdings, Removed, Version
from syncd.catalogue.pass_history import Aside, Audit, Chronicle, Damage, Happening, Passed
from syncd.catalogue.survey_frontier import Questions

__all__ = [
    "Aside", "Audit", "Catalogue", "Chronicle", "Claims", "Damage", "Failure", "Happening", "History", "Holdings",
    "Inflight", "Passed", "Questions", "Removed", "Row", "Swap", "Version", "moved_from", "replace_catalogue",
]  # fmt: skip


class Catalogue:
    """The open Catalogue of one state folder: `claims` of this pass, `holdings` we proved, `history`, `chronicle`."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open, or make, the database in `folder`; raises Busy, Damaged, NoSpace; Offline if there is none to read."""
        self.read_only = read_only
        self.database = Database(folder, read_only=read_only)
        self.claims = Claims(self.database)
        self.questions = Questions(self.database)
        self.holdings = Holdings(self.database)
        self.history = History(self.database)
        self.chronicle = Chronicle(self.database)

    def close(self) -> None:
        """Close; may be called twice."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
