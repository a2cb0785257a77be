"""Held files whose stamps do not prove them yet: they are asked for again, though the listing shows no change."""

from collections.abc import Iterable

from manifests.stamps import Doubt
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart


@reads_rows
class Doubts(MirrorPart):
    """The files of each mirror whose stamps were younger than their resolution when they were read."""

    def all(self, mirror: int) -> dict[str, Doubt]:
        """Return the kind of doubt by path, sorted by path."""
        return dict(self._of(mirror).rows("SELECT path, kind FROM doubt WHERE mirror=? ORDER BY path", (mirror,)))

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

    def forget_unheld(self, mirror: int) -> None:
        """Delete the records of files that are no longer held."""
        self._of(mirror).do(
            "DELETE FROM doubt WHERE mirror=?1 AND path NOT IN (SELECT path FROM entry WHERE mirror=?1)", (mirror,)
        )
