"""The names that stewards gave to snapshots."""

from collections.abc import Iterable

from manifests.snapshot import Tag
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart


@reads_rows
class SnapshotTags(MirrorPart):
    """The tags of each mirror. The pointer in the store has them, too."""

    def all(self, mirror: int) -> list[Tag]:
        """Return the tags, sorted by name."""
        sql = "SELECT name, snapshot, at, by FROM tag WHERE mirror=? ORDER BY name"
        return [Tag(*row) for row in self._of(mirror).rows(sql, (mirror,))]

    def set(self, mirror: int, tags: Iterable[Tag]) -> None:
        """Record tags; one of the same name is replaced."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO tag VALUES (?,?,?,?,?)",
            ((mirror, one.name, one.snapshot, one.at, one.by) for one in tags),
        )

    def remove(self, mirror: int, name: str) -> None:
        """Delete a tag; its snapshot is kept as long as any other."""
        self._of(mirror).do("DELETE FROM tag WHERE mirror=? AND name=?", (mirror, name))
