"""Which mirrors are published, and which were: a withdrawn one leaves a tombstone, so that others can delete it, too.

Times never repeat and never decrease, over all mirrors: harvesters ask for what changed since a time.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart

Withdrawal = Literal["withdrawn", "private", "forgotten"]
"""withdrawn: its manifest was deleted. private: its manifest no longer publishes it. forgotten: `syncd forget`."""

_NEXT = "max(?, 1 + coalesce((SELECT max(max(since, coalesce(ended, 0))) FROM publication), 0))"


class Tombstone(msgspec.Struct, frozen=True):
    """A mirror that was published from `since` on, until `ended`."""

    mirror: str
    since: float
    ended: float
    reason: Withdrawal


class PublishedSpan(msgspec.Struct, frozen=True):
    """A mirror that is published since a time; with `ended`, one that was, as its tombstone says."""

    mirror: str
    since: float
    ended: float | None = None
    reason: str = ""


@reads_rows
class Publications(DaemonPart):
    """The published mirrors, and the tombstones of those that were."""

    def begin(self, mirror: str, at: float) -> None:
        """Record that a mirror is published; its tombstone ends."""
        if mirror not in self.public():
            self._db.do(
                f"INSERT INTO publication VALUES (?,{_NEXT},NULL,'') ON CONFLICT DO UPDATE "  # noqa: S608  constants
                "SET since=excluded.since, ended=NULL, reason=''",
                (mirror, at),
            )

    def end(self, mirror: str, at: float, reason: Withdrawal) -> None:
        """Record that a mirror is no longer published; nothing if it was not."""
        self._db.do(
            f"UPDATE publication SET ended={_NEXT}, reason=? WHERE mirror=? AND ended IS NULL",  # noqa: S608  constants
            (at, reason, mirror),
        )

    def spans(self) -> list[PublishedSpan]:
        """Return the mirrors that are or were published, by name."""
        rows = self._db.rows("SELECT mirror, since, ended, reason FROM publication ORDER BY mirror")
        return [PublishedSpan(*row) for row in rows]

    def restore(self, spans: Iterable[PublishedSpan]) -> bool:
        """Record the spans that are unknown here; return True if there was one."""
        known = {one.mirror for one in self.spans()}
        missing = [one for one in spans if one.mirror not in known]
        for one in missing:
            self._db.do("INSERT INTO publication VALUES (?,?,?,?)", (one.mirror, one.since, one.ended, one.reason))
        return bool(missing)

    def public(self) -> dict[str, float]:
        """Return the published mirrors, each with the time since when."""
        return dict(self._db.rows("SELECT mirror, since FROM publication WHERE ended IS NULL ORDER BY mirror"))

    def tombstones(self) -> list[Tombstone]:
        """Return what was published, sorted by the time at which that ended."""
        sql = "SELECT mirror, since, ended, reason FROM publication WHERE ended IS NOT NULL ORDER BY ended"
        return [Tombstone(*row) for row in self._db.rows(sql)]
