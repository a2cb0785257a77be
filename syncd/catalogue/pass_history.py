"""The records that a daemon keeps for people, and what its checks found."""

from syncd.catalogue.audit_log import AuditLog
from syncd.catalogue.daemon_history import DaemonHistory
from syncd.catalogue.database import Database
from syncd.catalogue.file_findings import FileFindings
from syncd.catalogue.mirror_files import MirrorFiles


class PassHistory(DaemonHistory, AuditLog):
    """Passes, their events, the audit log and pauses; and of each mirror, its quarantine and the damage found."""

    def __init__(self, database: Database, files: MirrorFiles) -> None:
        """Use the daemon's file and those of the mirrors."""
        super().__init__(database)
        findings = FileFindings(files)
        self.add_quarantined = findings.add_quarantined
        self.quarantined = findings.quarantined
        self.quarantined_at = findings.quarantined_at
        self.quarantined_before = findings.quarantined_before
        self.forget_quarantined = findings.forget_quarantined
        self.add_damage = findings.add_damage
        self.damaged = findings.damaged
        self.forget_damage = findings.forget_damage
        self.counts = findings.counts
        self.oldest = findings.oldest
        self.coverage = findings.coverage
