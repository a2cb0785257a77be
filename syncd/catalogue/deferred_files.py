"""Files whose bytes keep failing verification: requested more and more rarely, until upstream claims others."""

import msgspec
import xxhash

from manifests.messages import pack, unpack
from manifests.stat import Stat
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart

FIRST = 900.0  # seconds from the second try, which the next pass makes at once, to the third
FACTOR = 4.0
MOST = 7 * 86_400.0  # seconds between two tries


class DeferredFile(msgspec.Struct, frozen=True):
    """A file that is not requested before `due`, and its last failure."""

    claim: str
    tries: int
    due: float
    error: str
    reason: str
    quarantined: str


@reads_rows
class DeferredFiles(MirrorPart):
    """The deferred files of each mirror."""

    def any(self, mirror: int) -> bool:
        """Return True if the mirror has a deferred file."""
        return self._of(mirror).one("SELECT 1 FROM deferred WHERE mirror=? LIMIT 1", (mirror,)) is not None

    def get(self, mirror: int, stat: Stat) -> DeferredFile | None:
        """Return the record of a file, if upstream still claims the same of it."""
        row = self._of(mirror).one(
            "SELECT claim, tries, due, error, reason, message, quarantined FROM deferred WHERE mirror=? AND path=?",
            (mirror, stat.path),
        )
        if row is None or row[0] != fingerprint(stat):
            return None
        claim, tries, due, error, reason, packed, quarantined = row
        return DeferredFile(claim, tries, due, error, unpack(reason, packed), quarantined)

    def failed(
        self, mirror: int, stat: Stat, error: str, reason: str, quarantined: str, now: float, *, again: bool = True
    ) -> float:
        """Record one more failure; return when the file may be requested again.

        Without `again`, not even the next pass does so: another try right away cannot help.
        """
        known = self.get(mirror, stat)
        tries = known.tries + 1 if known is not None else 1 if again else 2
        due = now + min(MOST, FIRST * FACTOR ** min(tries - 2, 10)) if tries > 1 else now
        self._of(mirror).do(
            "INSERT OR REPLACE INTO deferred VALUES (?,?,?,?,?,?,?,?,?)",
            (mirror, stat.path, fingerprint(stat), tries, due, error, reason, pack(reason), quarantined),
        )
        return due

    def forget(self, mirror: int, path: str) -> None:
        """Delete the record of a file that arrived."""
        self._of(mirror).do("DELETE FROM deferred WHERE mirror=? AND path=?", (mirror, path))

    def forget_unclaimed(self, mirror: int) -> None:
        """Delete the records of files that upstream no longer lists."""
        self._of(mirror).do(
            "DELETE FROM deferred WHERE mirror=? AND path NOT IN (SELECT path FROM failure WHERE mirror=?)",
            (mirror, mirror),
        )


def fingerprint(stat: Stat) -> str:
    """Return a digest of what upstream claims of a file: while it is the same, a new try gets the same bytes."""
    claimed = (stat.size, stat.modified, stat.version, sorted(stat.digests.items()))  # links may be signed anew
    return xxhash.xxh3_128_hexdigest(repr(claimed).encode("utf-8", "surrogatepass"))
