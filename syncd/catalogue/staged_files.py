"""Verified replacements that are staged, and that the guard has not allowed yet.

A pass records what it has staged under its own id. At its end the guard judges them; the allowed ones go to the journal
of swaps. Those that are held, and those of a killed pass, stay: a later pass uses them without another download.
"""

from collections.abc import Iterable

import msgspec

from manifests.messages import plain
from manifests.snapshot import Entry, Origin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart
from syncd.catalogue.work_journal import Swap
from syncd.core import LossKind

SAME = 3  # files that get one content, at least, so that this counts as a loss ...
SAME_BYTES = 1 << 20  # ... if it is no longer than this

_json = msgspec.json.Encoder(enc_hook=plain).encode
_entry = msgspec.json.Decoder(Entry).decode
_origin = msgspec.json.Decoder(Origin).decode


@reads_rows
class StagedFiles(MirrorPart):
    """Staged replacements, by mirror; at most one for a path."""

    def add(self, mirror: int, pass_id: str, swaps: Iterable[Swap]) -> None:
        """Record replacements that a pass has staged, or found staged."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO staged VALUES (?,?,?,?,?,?,?,?,?,?,0)",
            (
                (
                    mirror,
                    one.path,
                    pass_id,
                    one.staged,
                    one.entry.size,
                    one.entry.sha256,
                    _json(one.entry),
                    _json(one.origin),
                    one.old_bytes,
                    one.old_sha256,
                )
                for one in swaps
            ),
        )

    def any(self, mirror: int) -> bool:
        """Return True if replacements are staged."""
        return self._of(mirror).one("SELECT 1 FROM staged WHERE mirror=? LIMIT 1", (mirror,)) is not None

    def all(self, mirror: int) -> dict[str, Swap]:
        """Return the staged replacements, by path."""
        return {swap.path: swap for swap in self._swaps("mirror=?1", mirror)}

    def places(self, mirror: int) -> set[str]:
        """Return the paths in the store at which replacements are staged."""
        return {staged for (staged,) in self._of(mirror).rows("SELECT staged FROM staged WHERE mirror=?", (mirror,))}

    def losses(self, mirror: int, pass_id: str) -> list[tuple[Swap, LossKind]]:
        """Return the replacements of a pass that lose bytes, sorted by path."""
        where = (
            "mirror=?1 AND pass=?2 AND (bytes*2 < old_bytes OR (old_bytes > 0 AND bytes BETWEEN 1 AND ?3 AND sha256 "
            "IN (SELECT sha256 FROM staged WHERE mirror=?1 AND pass=?2 AND bytes BETWEEN 1 AND ?3 GROUP BY sha256 "
            "HAVING count(*) >= ?4 AND count(DISTINCT old_sha256) > 1)))"
        )
        return [(swap, _kind(swap)) for swap in self._swaps(where, mirror, pass_id, SAME_BYTES, SAME)]

    def _swaps(self, where: str, mirror: int, *values: object) -> list[Swap]:
        sql = f"SELECT path, staged, entry, origin, old_bytes, old_sha256 FROM staged WHERE {where} ORDER BY path"  # noqa: S608  constants
        return [
            Swap(path, staged, _entry(entry), _origin(origin), old_bytes, old_sha256)
            for path, staged, entry, origin, old_bytes, old_sha256 in self._of(mirror).rows(sql, (mirror, *values))
        ]

    def release(self, mirror: int, pass_id: str, held: Iterable[str]) -> int:
        """Let the replacements of a pass swap, except the `held` ones, which wait. Return the number of the former."""

        def work() -> None:
            self._of(mirror).add(
                "UPDATE staged SET held=1 WHERE mirror=? AND path=?", ((mirror, path) for path in held)
            )
            self._of(mirror).do(
                "INSERT OR REPLACE INTO swap (mirror, path, staged, entry, origin, old_bytes, old_sha256) "
                "SELECT mirror, path, staged, entry, origin, old_bytes, old_sha256 FROM staged "
                "WHERE mirror=? AND pass=? AND held=0",
                (mirror, pass_id),
            )
            self._of(mirror).do("DELETE FROM staged WHERE mirror=? AND pass=? AND held=0", (mirror, pass_id))

        before = self._count(mirror)
        self._of(mirror).together(work)
        return before - self._count(mirror)

    def _count(self, mirror: int) -> int:
        return int(self._of(mirror).one("SELECT count(*) FROM staged WHERE mirror=?", (mirror,))[0])

    def outdated(self, mirror: int, pass_id: str) -> list[Swap]:
        """Return the replacements of other passes, which this pass did not find upstream."""
        return self._swaps("mirror=? AND pass<>?", mirror, pass_id)

    def forget(self, mirror: int, paths: Iterable[str]) -> None:
        """Delete the records of replacements whose bytes are deleted."""
        self._of(mirror).many("DELETE FROM staged WHERE mirror=? AND path=?", ((mirror, path) for path in paths))


def _kind(swap: Swap) -> LossKind:
    if swap.entry.size == 0 and swap.old_bytes:
        return "emptied"
    return "shrunk" if swap.entry.size * 2 < swap.old_bytes else "same"
