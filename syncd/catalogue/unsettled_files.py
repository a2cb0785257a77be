"""Files that upstream may still be writing, and when each was first seen as it is."""

from collections.abc import Iterable

import msgspec

from manifests.messages import pack, unpack
from manifests.stat import Stat
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.deferred_files import fingerprint
from syncd.catalogue.parts import MirrorPart


class UnsettledFile(msgspec.Struct, frozen=True):
    """A file that waits. `since`: first seen with this size, time and version. `due`: when it may be settled.

    `due` is None for a file that waits for something else than time, as for its marker.
    """

    path: str
    claim: str
    since: float
    due: float | None
    reason: str


@reads_rows
class UnsettledFiles(MirrorPart):
    """The files of each mirror that its last pass left for a later one, because they may be incomplete upstream."""

    def first_seen(self, mirror: int, stat: Stat) -> float | None:
        """Return when the last passes first saw a file exactly as it is now, or None."""
        row = self._of(mirror).one("SELECT claim, since FROM unsettled WHERE mirror=? AND path=?", (mirror, stat.path))
        return float(row[1]) if row is not None and row[0] == fingerprint(stat) else None

    def replace(self, mirror: int, found: Iterable[UnsettledFile]) -> None:
        """Record the files that wait now, instead of those before."""
        files = list(found)

        def work() -> None:
            self._of(mirror).do("DELETE FROM unsettled WHERE mirror=?", (mirror,))
            self._of(mirror).add(
                "INSERT OR REPLACE INTO unsettled VALUES (?,?,?,?,?,?,?)",
                ((mirror, f.path, f.claim, f.since, f.due, f.reason, pack(f.reason)) for f in files),
            )

        self._of(mirror).together(work)

    def files(self, mirror: int, after: str = "", limit: int = -1) -> list[UnsettledFile]:
        """Return at most `limit` files after the path `after`, sorted by path; -1: all."""
        return [
            UnsettledFile(path, claim, since, due, unpack(reason, packed))
            for path, claim, since, due, reason, packed in self._of(mirror).rows(
                "SELECT path, claim, since, due, reason, message FROM unsettled WHERE mirror=? AND path>? "
                "ORDER BY path LIMIT ?",
                (mirror, after, limit),
            )
        ]

    def waiting(self, mirror: int) -> tuple[int, float | None]:
        """Return the number of files that wait, and when the first of them may be settled."""
        row = self._of(mirror).one("SELECT count(*), min(due) FROM unsettled WHERE mirror=?", (mirror,))
        return int(row[0]), row[1]
