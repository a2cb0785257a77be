"""The mirrors of a Catalogue, and their kept snapshots."""

from syncd.catalogue.database import Database
from syncd.catalogue.mirror_list import MirrorList
from syncd.catalogue.snapshot_history import SnapshotHistory


class History(MirrorList, SnapshotHistory):
    """The mirrors and their snapshots."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        MirrorList.__init__(self, database)
        SnapshotHistory.__init__(self, database)
