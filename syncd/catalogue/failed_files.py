"""Files that failed to download, and why."""

from manifests.messages import pack, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart
from syncd.core import FailureView, message_view


@reads_rows
class FailedFiles(MirrorPart):
    """Files that failed to download, by mirror."""

    def add(self, mirror: int, failure: FailureView) -> None:
        """Record a file that failed to download; replace an earlier record of it."""
        self._of(mirror).do(
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

    def files(self, mirror: int, after: str = "", limit: int = -1) -> list[FailureView]:
        """Return at most `limit` failed files after the path `after`, sorted by path; -1: all."""
        rows = self._of(mirror).rows(
            "SELECT path, error, reason, message, at, quarantined FROM failure WHERE mirror=? AND path>? "
            "ORDER BY path LIMIT ?",
            (mirror, after, limit),
        )
        return [_failure(*row) for row in rows]

    def forget_before(self, mirror: int, before: float) -> None:
        """Delete the failures recorded before a time: the pass that began then was complete."""
        self._of(mirror).do("DELETE FROM failure WHERE mirror=? AND at<?", (mirror, before))


def _failure(path: str, error: str, text: str, packed: str, at: float, quarantined: str) -> FailureView:
    reason = unpack(text, packed)
    return FailureView(
        path=path, error=error, reason=reason, at=at, quarantined=quarantined, message=message_view(reason)
    )
