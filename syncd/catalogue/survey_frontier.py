"""The documents of a survey, waiting and read, so that a killed survey can be resumed.

Rules:
1. A document is done once all its claims are recorded; a resumed survey requests the others again.
2. Waiting documents are in the database, not in memory: an index of 100,000 links makes 100,000 rows.
3. A survey is resumed only under the same `key`, within an hour of its last activity.
"""

from collections.abc import Iterable

import msgspec
import xxhash

from manifests.messages import plain
from manifests.reading import DocumentRequest
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart

VALID = 3600.0  # seconds after its last activity in which a survey can be resumed
MOST = 86_400.0  # seconds after its beginning in which a survey can be resumed

_pack = msgspec.msgpack.Encoder(enc_hook=plain).encode
_follow = msgspec.msgpack.Decoder(DocumentRequest).decode


@reads_rows
class SurveyFrontier(MirrorPart):
    """The requests of one mirror's survey."""

    def can_resume(self, mirror: int, key: str, now: float) -> bool:
        """Return True if an unfinished survey can be resumed under that key; never under ""."""
        found = self._of(mirror).one("SELECT key, began, seen FROM asking WHERE mirror=?", (mirror,))
        if found is None or not key or found[0] != key:
            return False
        return bool(0 <= now - found[2] < VALID and now - found[1] < MOST)

    def begin(self, mirror: int, key: str, now: float) -> None:
        """Begin a survey; delete the record of the one before."""
        self.end(mirror)
        self._of(mirror).do("INSERT INTO asking VALUES (?,?,?,?,'')", (mirror, key, now, now))

    def forbid_resume(self, mirror: int) -> None:
        """Prevent this survey from being resumed: files that it made will be lost with the process."""
        self._of(mirror).do("UPDATE asking SET key='' WHERE mirror=?", (mirror,))

    def add(self, mirror: int, follows: Iterable[DocumentRequest]) -> int:
        """Add requests that were not added before; return their number."""
        rows = ((mirror, mark_of(follow), _pack(follow)) for follow in follows)
        before = self._of(mirror).one("SELECT total_changes()")[0]
        self._of(mirror).many("INSERT OR IGNORE INTO question (mirror, mark, asked) VALUES (?,?,?)", rows)
        return int(self._of(mirror).one("SELECT total_changes()")[0] - before)

    def next(self, mirror: int, after: int, limit: int) -> list[tuple[int, DocumentRequest]]:
        """Return waiting requests after number `after`, in the order in which they were added."""
        rows = self._of(mirror).rows(
            "SELECT id, asked FROM question WHERE mirror=? AND id>? AND asked IS NOT NULL ORDER BY id LIMIT ?",
            (mirror, after, limit),
        )
        return [(number, _follow(asked)) for number, asked in rows]

    def mark_read(self, mirror: int, numbers: Iterable[int], now: float, mark: str = "") -> None:
        """Record that documents were read to their ends, and the upstream's cursor."""
        self._of(mirror).many("UPDATE question SET asked=NULL WHERE id=?", ((number,) for number in numbers))
        self._of(mirror).do("UPDATE asking SET seen=?, mark=? WHERE mirror=?", (now, mark, mirror))

    def progress(self, mirror: int) -> tuple[int, int]:
        """Return the numbers of known documents and of read ones."""
        row = self._of(mirror).one("SELECT count(*), count(*) - count(asked) FROM question WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def cursor(self, mirror: int) -> str:
        """Return the upstream's cursor."""
        return str(self._of(mirror).one("SELECT mark FROM asking WHERE mirror=?", (mirror,))[0])

    def end(self, mirror: int) -> None:
        """Delete the record of the survey."""
        self._of(mirror).do("DELETE FROM question WHERE mirror=?", (mirror,))
        self._of(mirror).do("DELETE FROM asking WHERE mirror=?", (mirror,))


def mark_of(follow: DocumentRequest) -> int:
    """Return the identity of a request, in a form that SQLite can store."""
    head = f"{follow.method} {follow.url} {sorted(follow.headers.items())} {follow.state} "
    mark = xxhash.xxh3_64_intdigest(head.encode("utf-8", "surrogatepass") + follow.body)
    return mark - (1 << 63)
