"""Deletions held for approval, approved deletions, and files that no pass deletes."""

from collections.abc import Iterable

from syncd.catalogue.damage import reads_rows
from syncd.catalogue.database import Database


@reads_rows
class Approvals:
    """Deletions that wait for a steward, and what the steward decided."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._db = database

    def park(self, mirror: int, removals: Iterable[tuple[str, int]]) -> None:
        """Hold these deletions, `(path, bytes)`, for approval; replace those held before."""
        removals = list(removals)

        def work() -> None:
            self._db.do("DELETE FROM parked WHERE mirror=?", (mirror,))
            self._db.add("INSERT INTO parked VALUES (?,?,?)", ((mirror, path, size) for path, size in removals))

        self._db.together(work)

    def parked(self, mirror: int, after: str = "", limit: int = -1) -> list[tuple[str, int]]:
        """Return at most `limit` held deletions after the path `after`, sorted by path; -1: all."""
        sql = "SELECT path, bytes FROM parked WHERE mirror=? AND path>? ORDER BY path LIMIT ?"
        return [(path, size) for path, size in self._db.rows(sql, (mirror, after, limit))]

    def approve(self, mirror: int) -> int:
        """Approve exactly the held deletions for the next pass; return their number."""

        def work() -> None:
            self._db.do("INSERT OR IGNORE INTO approved SELECT mirror, path FROM parked WHERE mirror=?", (mirror,))
            self._db.do("DELETE FROM parked WHERE mirror=?", (mirror,))

        count = len(self.parked(mirror))
        self._db.together(work)
        return count

    def approved(self, mirror: int) -> set[str]:
        """Return the paths whose deletion is approved."""
        return {path for (path,) in self._db.rows("SELECT path FROM approved WHERE mirror=?", (mirror,))}

    def spend_approval(self, mirror: int) -> None:
        """Delete the approvals that a pass has used."""
        self._db.do("DELETE FROM approved WHERE mirror=?", (mirror,))

    def pin(self, mirror: int, paths: Iterable[str], *, frozen: bool = False) -> None:
        """Protect files that a steward restored: no pass deletes them; `frozen` ones are not replaced either."""
        self._db.many(
            "INSERT INTO pin VALUES (?,?,?) ON CONFLICT DO UPDATE SET frozen=max(frozen, excluded.frozen)",
            ((mirror, path, frozen) for path in paths),
        )

    def unpin(self, mirror: int, paths: Iterable[str]) -> None:
        """End the protection of files: the next pass follows upstream again."""
        self._db.many("DELETE FROM pin WHERE mirror=? AND path=?", ((mirror, path) for path in paths))

    def pins(self, mirror: int) -> list[tuple[str, bool]]:
        """Return the protected paths, sorted, each with True if it is frozen."""
        rows = self._db.rows("SELECT path, frozen FROM pin WHERE mirror=? ORDER BY path", (mirror,))
        return [(path, bool(frozen)) for path, frozen in rows]

    def pinned(self, mirror: int) -> set[str]:
        """Return the protected paths."""
        return {path for path, _ in self.pins(mirror)}
