"""Files that failed to download, and why."""

import msgspec

from manifests.messages import pack, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.database import Database


class FailedFile(msgspec.Struct, frozen=True):
    """A file that failed to download; `quarantined` is the path of its bytes in the quarantine, or ""."""

    path: str
    error: str
    reason: str
    at: float
    quarantined: str


@reads_rows
class FailedFiles:
    """Files that failed to download, by mirror."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._db = database

    def add(self, mirror: int, failure: FailedFile) -> None:
        """Record a file that failed to download; replace an earlier record of it."""
        self._db.do(
            "INSERT OR REPLACE INTO failure VALUES (?,?,?,?,?,?,?)",
            (
                mirror,
                failure.path,
                failure.error,
                failure.reason,
                failure.at,
                failure.quarantined,
                pack(failure.reason),
            ),
        )

    def files(self, mirror: int, after: str = "", limit: int = -1) -> list[FailedFile]:
        """Return at most `limit` failed files after the path `after`, sorted by path; -1: all."""
        return [
            FailedFile(path, error, unpack(reason, packed), at, quarantined)
            for path, error, reason, packed, at, quarantined in self._db.rows(
                "SELECT path, error, reason, message, at, quarantined FROM failure WHERE mirror=? AND path>? "
                "ORDER BY path LIMIT ?",
                (mirror, after, limit),
            )
        ]

    def forget_before(self, mirror: int, before: float) -> None:
        """Delete the failures recorded before a time: the pass that began then was complete."""
        self._db.do("DELETE FROM failure WHERE mirror=? AND at<?", (mirror, before))
