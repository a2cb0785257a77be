"""The mirrors of a Catalogue, and their kept snapshots."""

from manifests.snapshot import Snapshot
from syncd.catalogue.database import Database
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.mirror_list import MirrorList, MirrorRow
from syncd.catalogue.snapshot_history import SnapshotHistory


class History(MirrorList):
    """The mirrors and their snapshots.

    The snapshots are in the file of each mirror; the daemon's file repeats the id of the current one.
    """

    def __init__(self, database: Database, files: MirrorFiles) -> None:
        """Use the daemon's file and those of the mirrors."""
        super().__init__(database)
        self._files = files
        self._snapshots = SnapshotHistory(files)
        self.snapshots = self._snapshots.snapshots
        self.snapshot_times = self._snapshots.snapshot_times
        self.snapshot = self._snapshots.snapshot
        self.current_id = self._snapshots.current_id
        self.snapshot_ids = self._snapshots.snapshot_ids
        self.current = self._snapshots.current
        self.forget_snapshot = self._snapshots.forget_snapshot

    def publish(self, mirror: int, snapshot: Snapshot) -> None:
        """Record a snapshot as the current one: the pointer names it.

        If the process ends between the two files, the marks of changes remain, and the publish is rolled forward.
        """
        self._snapshots.publish(mirror, snapshot)
        self.set_snapshot(mirror, snapshot.id)

    def drop(self, mirror: int) -> None:
        """Delete all records of a mirror except its row and the decisions about it; a rebuild begins with this."""
        self._files.renew(mirror)

    def forget(self, row: MirrorRow) -> None:
        """Delete every record of a mirror, its row too; the audit log stays."""
        self.delete(row)
        self._files.forget(row.id, row.name)
