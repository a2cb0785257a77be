"""The journal of unfinished work: replacements that wait for the swap, and large files that are partly staged."""

from collections.abc import Iterable
from typing import Any

import msgspec

from manifests.messages import plain
from manifests.snapshot import Entry, Origin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.inflight import Inflight
from syncd.catalogue.parts import MirrorPart

_json = msgspec.json.Encoder(enc_hook=plain).encode
_entry = msgspec.json.Decoder(Entry).decode
_origin = msgspec.json.Decoder(Origin).decode


class Swap(msgspec.Struct, frozen=True):
    """A verified file that waits at `staged` for its final name, with size and SHA-256 of the file that it replaces.

    `old_sha256` is "" if it replaces none. `failed` says why its place could not be taken, if that was tried.
    """

    path: str
    staged: str
    entry: Entry
    origin: Origin
    old_bytes: int
    old_sha256: str
    failed: str = ""


@reads_rows
class WorkJournal(MirrorPart):
    """Waiting replacements and partly staged files, by mirror."""

    def add_swap(self, mirror: int, swap: Swap) -> None:
        """Record a verified file that waits for its final name."""
        self.add_swaps(mirror, [swap])

    def add_swaps(self, mirror: int, swaps: Iterable[Swap]) -> None:
        """Record verified files that wait for their final names."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO swap VALUES (?,?,?,?,?,?,?,?)",
            (
                (mirror, one.path, one.staged, _json(one.entry), _json(one.origin), one.old_bytes, one.old_sha256, "")
                for one in swaps
            ),
        )

    def swaps(self, mirror: int, after: str = "", limit: int = -1) -> list[Swap]:
        """Return at most `limit` waiting files after the path `after`, sorted by path; -1: all."""
        return [
            _swap(row)
            for row in self._of(mirror).rows(
                "SELECT path, staged, entry, origin, old_bytes, old_sha256, failed FROM swap WHERE mirror=? AND path>? "
                "ORDER BY path LIMIT ?",
                (mirror, after, limit),
            )
        ]

    def swap(self, mirror: int, path: str) -> Swap | None:
        """Return the file that waits for one path."""
        row = self._of(mirror).one(
            "SELECT path, staged, entry, origin, old_bytes, old_sha256, failed FROM swap WHERE mirror=? AND path=?",
            (mirror, path),
        )
        return None if row is None else _swap(row)

    def failed_swaps(self, mirror: int) -> list[Swap]:
        """Return the waiting files whose place could not be taken, sorted by path."""
        return [one for one in self.swaps(mirror) if one.failed] if self._has(mirror, "failed<>''") else []

    def has_swaps(self, mirror: int) -> bool:
        """Return True if a file waits for its final name, and nothing is known to prevent that."""
        return self._has(mirror, "failed=''")

    def _has(self, mirror: int, condition: str) -> bool:
        sql = f"SELECT 1 FROM swap WHERE mirror=? AND {condition} LIMIT 1"  # noqa: S608  constants
        return self._of(mirror).one(sql, (mirror,)) is not None

    def staged_paths(self, mirror: int) -> set[str]:
        """Return the paths at which files wait."""
        return {staged for (staged,) in self._of(mirror).rows("SELECT staged FROM swap WHERE mirror=?", (mirror,))}

    def fail_swaps(self, mirror: int, failures: Iterable[tuple[str, str]]) -> None:
        """Record `(path, reason)` of files whose place could not be taken: they wait, and are no interrupted work."""
        self._of(mirror).many(
            "UPDATE swap SET failed=? WHERE mirror=? AND path=?", ((reason, mirror, path) for path, reason in failures)
        )

    def end_swaps(self, mirror: int, paths: Iterable[str]) -> None:
        """Delete the records of files that have their final names."""
        self._of(mirror).many("DELETE FROM swap WHERE mirror=? AND path=?", ((mirror, path) for path in paths))

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """Record that the staging of a large file begins."""
        self._of(mirror).do(
            "INSERT OR REPLACE INTO inflight VALUES (?,?,?,?,?)",
            (mirror, inflight.path, inflight.token, inflight.version, inflight.size),
        )

    def all_inflight(self, mirror: int) -> dict[str, Inflight]:
        """Return the unfinished stagings, by path."""
        rows = self._of(mirror).rows("SELECT path, token, version, size FROM inflight WHERE mirror=?", (mirror,))
        return {path: Inflight(path, token, version, size) for path, token, version, size in rows}

    def end(self, mirror: int, path: str) -> None:
        """Delete the record of a staging that was committed or discarded."""
        self._of(mirror).do("DELETE FROM inflight WHERE mirror=? AND path=?", (mirror, path))

    def end_all(self, mirror: int, paths: Iterable[str]) -> None:
        """Delete the records of stagings whose files are stored and recorded."""
        records = self._of(mirror)
        if records.one("SELECT 1 FROM inflight WHERE mirror=? LIMIT 1", (mirror,)) is not None:
            records.many("DELETE FROM inflight WHERE mirror=? AND path=?", ((mirror, path) for path in paths))


def _swap(row: tuple[Any, ...]) -> Swap:
    path, staged, entry, origin, *rest = row
    return Swap(path, staged, _entry(entry), _origin(origin), *rest)
