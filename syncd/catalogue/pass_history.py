"""The records that a daemon keeps for people, and what its checks found."""

from syncd.catalogue.database import Database
from syncd.catalogue.file_findings import FileFindings
from syncd.catalogue.pass_records import PassRecords


class PassHistory(PassRecords, FileFindings):
    """Passes, their events, the audit log, pauses, the quarantine and the damage found by fixity checks."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        PassRecords.__init__(self, database)
        FileFindings.__init__(self, database)
