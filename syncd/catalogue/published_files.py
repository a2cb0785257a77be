"""Where the bytes of a published file are stored, whatever a pass is doing to its path.

Rules:
1. Each method is one statement, so it sees one state of the Catalogue.
2. While a path is `moving`, its final name may have the old bytes or the new ones. The old ones are copied aside before
   they are replaced: a reader that opened the final name, and then finds nothing aside, has the old bytes.
"""

import msgspec

from syncd.catalogue.damage import reads_rows
from syncd.catalogue.database import Database
from syncd.catalogue.holdings import IN_PLACE, PENDING
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.parts import MirrorPart

_CURRENT = "SELECT id FROM snapshot WHERE mirror=?1 ORDER BY place DESC LIMIT 1"


class CurrentFile(msgspec.Struct, frozen=True):
    """One path as the Catalogue has it beside the current snapshot.

    With `is_changed` a pass has changed the path since: the snapshot's own list says what it names. Without, it names
    this file, or none if `sha256` is "". `is_moving`: see rule 2.
    """

    snapshot: str
    size: int
    sha256: str
    modified: float
    is_changed: bool
    is_moving: bool


class StoredPlaces(msgspec.Struct, frozen=True):
    """Where bytes with one checksum may be: under the path's final name, or aside under the named snapshots."""

    natural: bool
    moving: bool
    versions: tuple[str, ...]
    removed: tuple[str, ...]


@reads_rows
class PublishedFiles(MirrorPart):
    """The stored bytes of published files."""

    def __init__(self, database: Database, files: MirrorFiles) -> None:
        """Use the daemon's file and those of the mirrors."""
        super().__init__(files)
        self._db = database

    def current(self, mirror: int, path: str) -> CurrentFile | None:
        """Return what the Catalogue has at a path; None before the first snapshot."""
        sql = (
            "SELECT s.id, e.bytes, e.sha256, coalesce(e.modified, e.proved), "  # noqa: S608  a constant
            "EXISTS (SELECT 1 FROM changed c WHERE c.mirror=?1 AND c.path=?2), "
            "EXISTS (SELECT 1 FROM swap w WHERE w.mirror=?1 AND w.path=?2) "
            f"FROM ({_CURRENT}) s LEFT JOIN entry e ON e.mirror=?1 AND e.path=?2"
        )
        row = self._of(mirror).one(sql, (mirror, path))
        if row is None:
            return None
        snapshot, size, sha256, modified, is_changed, is_moving = row
        named = sha256.hex() if sha256 is not None else ""
        return CurrentFile(snapshot, size or 0, named, modified or 0.0, bool(is_changed), bool(is_moving))

    def places(self, mirror: int, path: str, sha256: str) -> StoredPlaces:
        """Return where bytes with this checksum may be."""
        sql = (
            f"WITH current AS ({_CURRENT}), "  # noqa: S608  a constant
            # what is aside under the current snapshot already is what that names: of two swaps, the first one's
            "first AS (SELECT id FROM current WHERE NOT EXISTS "
            "(SELECT 1 FROM version WHERE mirror=?1 AND snapshot=id AND path=?2)) "
            "SELECT 'natural', '' FROM entry WHERE mirror=?1 AND path=?2 AND sha256=?3 "
            "UNION ALL SELECT 'replaced', coalesce((SELECT id FROM first WHERE w.old_sha256=?4), '') "
            "FROM swap w WHERE w.mirror=?1 AND w.path=?2 "
            "UNION ALL SELECT 'version', snapshot FROM version WHERE mirror=?1 AND path=?2 AND sha256=?4 "
            "UNION ALL SELECT 'removed', snapshot FROM removed WHERE mirror=?1 AND path=?2 AND sha256=?4 "
            "AND snapshot NOT IN (?5, ?6) "
            "UNION ALL SELECT 'leaving', (SELECT id FROM current) FROM removed "
            "WHERE mirror=?1 AND path=?2 AND sha256=?4 AND snapshot IN (?5, ?6)"
        )
        values = (mirror, path, bytes.fromhex(sha256), sha256, PENDING, IN_PLACE)
        natural = moving = unknown = False
        versions: list[str] = []
        removed: list[str] = []
        for kind, snapshot in self._of(mirror).rows(sql, values):
            natural = natural or kind in {"natural", "leaving"}
            moving = moving or kind in {"replaced", "leaving"}
            unknown = unknown or (kind == "replaced" and not snapshot)
            if snapshot and kind in {"version", "replaced"}:
                versions.append(snapshot)
            elif snapshot:
                removed.append(snapshot)
        return StoredPlaces(natural and not unknown, moving, tuple(versions), tuple(removed))

    def was_published(self, mirror: int, snapshot: str) -> bool:
        """Return True if the records of passes, or a kept snapshot, name this snapshot as one that was current."""
        if self._db.one("SELECT 1 FROM pass WHERE mirror=? AND snapshot=? LIMIT 1", (mirror, snapshot)) is not None:
            return True
        sql = "SELECT 1 FROM snapshot WHERE mirror=? AND json_extract(CAST(body AS TEXT), '$.previous')=? LIMIT 1"
        return self._of(mirror).one(sql, (mirror, snapshot)) is not None
