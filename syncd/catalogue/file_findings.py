"""Stored files that are not as they should be: the quarantine, the damage that checks found, and their counts."""

from collections.abc import Iterator

import msgspec

from manifests.messages import pack, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart


class QuarantinedFile(msgspec.Struct, frozen=True):
    """A file in the quarantine."""

    place: str
    path: str
    error: str
    reason: str
    at: float


class DamagedFile(msgspec.Struct, frozen=True):
    """A stored file that differs from its Entry (`sha256` in hex), and when its repair was last tried."""

    path: str
    finding: str
    reason: str
    sha256: str
    found: float
    tried: float | None = None


@reads_rows
class FileFindings(MirrorPart):
    """The quarantine, the damage found by fixity checks, and how much was checked."""

    # -- the quarantine -------------------------------------------------------------------------------------------

    def add_quarantined(self, mirror: int, aside: QuarantinedFile) -> None:
        """Record a file in the quarantine; those of failed transfers are recorded automatically."""
        self._of(mirror).do(
            "INSERT OR REPLACE INTO quarantine VALUES (?,?,?,?,?,?,?)",
            (mirror, aside.place, aside.path, aside.error, aside.reason, aside.at, pack(aside.reason)),
        )

    def quarantined(self, mirror: int, limit: int) -> list[QuarantinedFile]:
        """Return the files in the quarantine, the newest first."""
        return [
            QuarantinedFile(place, path, error, unpack(reason, packed), at)
            for place, path, error, reason, packed, at in self._of(mirror).rows(
                "SELECT place, path, error, reason, message, at FROM quarantine WHERE mirror=? ORDER BY at DESC, place "
                "LIMIT ?",
                (mirror, limit),
            )
        ]

    def quarantined_at(self, mirror: int, place: str) -> float | None:
        """Return when a file was quarantined, or None if that was not recorded."""
        row = self._of(mirror).one("SELECT at FROM quarantine WHERE mirror=? AND place=?", (mirror, place))
        return None if row is None else float(row[0])

    def quarantined_before(self, mirror: int, before: float) -> list[str]:
        """Return the places of files quarantined earlier than that; 1,000 at most."""
        sql = "SELECT place FROM quarantine WHERE mirror=? AND at<? ORDER BY at LIMIT 1000"
        return [place for (place,) in self._of(mirror).rows(sql, (mirror, before))]

    def forget_quarantined(self, mirror: int, place: str) -> None:
        """Delete the record of a file that is no longer in the quarantine."""
        self._of(mirror).do("DELETE FROM quarantine WHERE mirror=? AND place=?", (mirror, place))

    # -- damage ---------------------------------------------------------------------------------------------------

    def add_damage(self, mirror: int, damage: DamagedFile) -> None:
        """Record a damaged or missing file."""
        self._of(mirror).do(
            "INSERT OR REPLACE INTO fault VALUES (?,?,?,?,?,?,?,?)",
            (
                mirror,
                damage.path,
                damage.finding,
                damage.reason,
                bytes.fromhex(damage.sha256),
                damage.found,
                damage.tried,
                pack(damage.reason),
            ),
        )

    def damaged(self, mirror: int) -> list[DamagedFile]:
        """Return the current damage; files replaced or deleted since are left out."""
        return [
            DamagedFile(path, finding, unpack(reason, packed), sha256.hex(), found, tried)
            for path, finding, reason, packed, sha256, found, tried in self._of(mirror).rows(
                "SELECT f.path, finding, reason, message, f.sha256, found, tried FROM fault f JOIN entry e "
                "ON e.mirror=f.mirror AND e.path=f.path AND e.sha256=f.sha256 WHERE f.mirror=? ORDER BY f.path",
                (mirror,),
            )
        ]

    def forget_damage(self, mirror: int, path: str) -> None:
        """Delete the record of damage to a file that is intact again."""
        self._of(mirror).do("DELETE FROM fault WHERE mirror=? AND path=?", (mirror, path))

    # -- counts ---------------------------------------------------------------------------------------------------

    def counts(self, mirror: int) -> tuple[int, int, int, int]:
        """Return the numbers of deletions held for approval, of their bytes, of failed and of quarantined files."""
        row = self._of(mirror).one(
            "SELECT (SELECT count(*) FROM parked WHERE mirror=?1), (SELECT coalesce(sum(bytes), 0) FROM parked "
            "WHERE mirror=?1), (SELECT count(*) FROM failure WHERE mirror=?1), "
            "(SELECT count(*) FROM quarantine WHERE mirror=?1)",
            (mirror,),
        )
        return int(row[0]), int(row[1]), int(row[2]), int(row[3])

    def oldest(self, mirror: int, before: float, files: int, most_bytes: int) -> Iterator[tuple[str, float]]:
        """Yield paths not read since `before`, oldest first, up to `files` of them or until `most_bytes` are reached.

        Files known to be damaged are left out.
        """
        left = most_bytes
        for path, size, at in self._of(mirror).rows(
            "SELECT path, bytes, coalesce(checked, proved) AS at FROM entry WHERE mirror=?1 AND "
            "coalesce(checked, proved)<?2 AND NOT EXISTS (SELECT 1 FROM fault f WHERE f.mirror=entry.mirror AND "
            "f.path=entry.path AND f.sha256=entry.sha256) ORDER BY at LIMIT ?3",
            (mirror, before, files),
        ):
            yield path, at
            left -= size
            if left <= 0:
                return

    def coverage(self, mirror: int, since: float) -> tuple[int, int, int, float | None]:
        """Return files, bytes, files read or verified `since`, and the oldest such time; walks all Entries."""
        row = self._of(mirror).one(
            "SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(coalesce(checked, proved)>=?2), 0), "
            "min(coalesce(checked, proved)) FROM entry WHERE mirror=?1",
            (mirror, since),
        )
        return int(row[0]), int(row[1]), int(row[2]), row[3]
