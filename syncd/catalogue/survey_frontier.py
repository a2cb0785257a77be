"""The documents of a survey under way: which wait, which were read. So a survey that is killed can be gone on with.

Rules:
1. A document is done once all that it says stands among the claims; until then it is asked for again.
2. What waits is here and not in memory: an index of a hundred thousand links is a hundred thousand rows.
3. It is gone on with only by the same question (`key`), within an hour of the last sign of life; then it is forgotten.
"""

from collections.abc import Iterable

import msgspec
import xxhash

from manifests.reading import DocumentRequest
from syncd.catalogue.database import Database

VALID = 3600.0  # seconds after its last sign of life in which a survey may be gone on with
MOST = 86_400.0  # seconds after its beginning, however busy it was

_pack = msgspec.msgpack.Encoder().encode
_follow = msgspec.msgpack.Decoder(DocumentRequest).decode


class SurveyFrontier:
    """The requests of one mirror's survey."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._db = database

    def can_resume(self, mirror: int, key: str, now: float) -> bool:
        """Tell whether a survey under way may be gone on with under that key; never under ""."""
        found = self._db.one("SELECT key, began, seen FROM asking WHERE mirror=?", (mirror,))
        if found is None or not key or found[0] != key:
            return False
        return bool(0 <= now - found[2] < VALID and now - found[1] < MOST)

    def begin(self, mirror: int, key: str, now: float) -> None:
        """Begin a survey; the one before is forgotten."""
        self.end(mirror)
        self._db.do("INSERT INTO asking VALUES (?,?,?,?,'')", (mirror, key, now, now))

    def forbid_resume(self, mirror: int) -> None:
        """Let nobody go on with this survey: something of it stands elsewhere and will be lost."""
        self._db.do("UPDATE asking SET key='' WHERE mirror=?", (mirror,))

    def add(self, mirror: int, follows: Iterable[DocumentRequest]) -> int:
        """Add what is to be asked, and return how much of it is new: what was asked already is not asked again."""
        rows = ((mirror, _mark(follow), _pack(follow)) for follow in follows)
        before = self._db.one("SELECT total_changes()")[0]
        self._db.many("INSERT OR IGNORE INTO question (mirror, mark, asked) VALUES (?,?,?)", rows)
        return int(self._db.one("SELECT total_changes()")[0] - before)

    def next(self, mirror: int, after: int, limit: int) -> list[tuple[int, DocumentRequest]]:
        """Return what waits behind number `after`, in the order in which it was added."""
        rows = self._db.rows(
            "SELECT id, asked FROM question WHERE mirror=? AND id>? AND asked IS NOT NULL ORDER BY id LIMIT ?",
            (mirror, after, limit),
        )
        return [(number, _follow(asked)) for number, asked in rows]

    def mark_read(self, mirror: int, numbers: Iterable[int], now: float, mark: str = "") -> None:
        """Write down that documents were read to their ends, and how far upstream is read by its own clock."""
        self._db.many("UPDATE question SET asked=NULL WHERE id=?", ((number,) for number in numbers))
        self._db.do("UPDATE asking SET seen=?, mark=? WHERE mirror=?", (now, mark, mirror))

    def progress(self, mirror: int) -> tuple[int, int]:
        """Return how many documents are known, and how many of them were read."""
        row = self._db.one("SELECT count(*), count(*) - count(asked) FROM question WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def cursor(self, mirror: int) -> str:
        """Return how far upstream was read."""
        return str(self._db.one("SELECT mark FROM asking WHERE mirror=?", (mirror,))[0])

    def end(self, mirror: int) -> None:
        """Forget the survey."""
        self._db.do("DELETE FROM question WHERE mirror=?", (mirror,))
        self._db.do("DELETE FROM asking WHERE mirror=?", (mirror,))


def _mark(follow: DocumentRequest) -> int:
    """Return what tells one question from another, as SQLite holds it."""
    head = f"{follow.method} {follow.url} {sorted(follow.headers.items())} {follow.state} "
    mark = xxhash.xxh3_64_intdigest(head.encode("utf-8", "surrogatepass") + follow.body)
    return mark - (1 << 63)
