"""The journal of unfinished work: replacements that wait for the swap, and large files that are partly staged."""

from collections.abc import Iterable

import msgspec

from manifests.messages import plain
from manifests.snapshot import Entry, Origin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.database import Database

_json = msgspec.json.Encoder(enc_hook=plain).encode
_entry = msgspec.json.Decoder(Entry).decode
_origin = msgspec.json.Decoder(Origin).decode


class Swap(msgspec.Struct, frozen=True):
    """A verified replacement that waits at `staged` for the swap, and size and SHA-256 of the file that it replaces."""

    path: str
    staged: str
    entry: Entry
    origin: Origin
    old_bytes: int
    old_sha256: str


class Inflight(msgspec.Struct, frozen=True):
    """A large file that is partly staged: the store's token, and the version upstream that the part belongs to."""

    path: str
    token: str
    version: str
    size: int


@reads_rows
class WorkJournal:
    """Waiting replacements and partly staged files, by mirror."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._db = database

    def add_swap(self, mirror: int, swap: Swap) -> None:
        """Record a verified replacement that waits for the swap."""
        self._db.do(
            "INSERT OR REPLACE INTO swap VALUES (?,?,?,?,?,?,?)",
            (mirror, swap.path, swap.staged, _json(swap.entry), _json(swap.origin), swap.old_bytes, swap.old_sha256),
        )

    def swaps(self, mirror: int) -> list[Swap]:
        """Return the waiting replacements, sorted by path."""
        return [
            Swap(path, staged, _entry(entry), _origin(origin), old_bytes, old_sha256)
            for path, staged, entry, origin, old_bytes, old_sha256 in self._db.rows(
                "SELECT path, staged, entry, origin, old_bytes, old_sha256 FROM swap WHERE mirror=? ORDER BY path",
                (mirror,),
            )
        ]

    def end_swap(self, mirror: int, path: str) -> None:
        """Delete the record of a replacement that has its final name."""
        self._db.do("DELETE FROM swap WHERE mirror=? AND path=?", (mirror, path))

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """Record that the staging of a large file begins."""
        self._db.do(
            "INSERT OR REPLACE INTO inflight VALUES (?,?,?,?,?)",
            (mirror, inflight.path, inflight.token, inflight.version, inflight.size),
        )

    def all_inflight(self, mirror: int) -> dict[str, Inflight]:
        """Return the unfinished stagings, by path."""
        rows = self._db.rows("SELECT path, token, version, size FROM inflight WHERE mirror=?", (mirror,))
        return {path: Inflight(path, token, version, size) for path, token, version, size in rows}

    def end(self, mirror: int, path: str) -> None:
        """Delete the record of a staging that was committed or discarded."""
        self._db.do("DELETE FROM inflight WHERE mirror=? AND path=?", (mirror, path))

    def end_all(self, mirror: int, paths: Iterable[str]) -> None:
        """Delete the records of stagings whose files are stored and recorded."""
        self._db.many("DELETE FROM inflight WHERE mirror=? AND path=?", ((mirror, path) for path in paths))
