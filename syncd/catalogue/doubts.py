"""Held files whose stamps do not prove them yet: they are asked for again, though the listing shows no change."""

from collections.abc import Iterable, Iterator

from manifests.stamps import Doubt
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart

PART = 1_000  # records looked at in one transaction


@reads_rows
class Doubts(MirrorPart):
    """The files of each mirror whose stamps were younger than their resolution when they were read."""

    def any(self, mirror: int) -> bool:
        """Return True if a file is recorded."""
        return self._of(mirror).one("SELECT 1 FROM doubt WHERE mirror=? LIMIT 1", (mirror,)) is not None

    def all(self, mirror: int) -> Iterator[tuple[str, Doubt]]:
        """Yield the path of each file and its kind of doubt, sorted by path."""
        return self._of(mirror).rows("SELECT path, kind FROM doubt WHERE mirror=? ORDER BY path", (mirror,))

    def clock(self, mirror: int, path: str) -> float:
        """Return by how many seconds upstream's clock was ahead of ours when the file was read."""
        row = self._of(mirror).one("SELECT clock FROM doubt WHERE mirror=? AND path=?", (mirror, path))
        return float(row[0]) if row is not None else 0.0

    def add(self, mirror: int, found: Iterable[tuple[str, Doubt, float]]) -> None:
        """Record files, each with its kind of doubt and upstream's clock minus ours."""
        self._of(mirror).many("INSERT OR REPLACE INTO doubt VALUES (?,?,?,?)", ((mirror, *one) for one in found))

    def clear(self, mirror: int, paths: Iterable[str]) -> None:
        """Delete the records of files that their stamps prove now."""
        self._of(mirror).many("DELETE FROM doubt WHERE mirror=? AND path=?", ((mirror, path) for path in paths))

    def forgetting_unheld(self, mirror: int) -> Iterator[None]:
        """Delete the records of files that are no longer held, a part at a time."""
        last = ""
        sql = "SELECT max(path) FROM (SELECT path FROM doubt WHERE mirror=? AND path>? ORDER BY path LIMIT ?)"
        while (found := self._of(mirror).one(sql, (mirror, last, PART))[0]) is not None:
            self._of(mirror).do(
                "DELETE FROM doubt WHERE mirror=?1 AND path>?2 AND path<=?3 AND NOT EXISTS "
                "(SELECT 1 FROM entry WHERE entry.mirror=doubt.mirror AND entry.path=doubt.path)",
                (mirror, last, found),
            )
            last = found
            yield
