"""Losses held for approval, what a steward decided on them, and files that no pass deletes.

A loss is a deletion, or a replacement that loses bytes. A decision on a replacement is one on a version upstream: if
upstream has another one, it is judged again.
"""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from manifests.messages import message, plain
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart
from syncd.core import Busy, Known, Loss, LossKind

Decisions = dict[str, Known | None]
"""Paths, each with the version upstream of the replacement; None: a deletion."""

_pack = msgspec.msgpack.Encoder(enc_hook=plain).encode
_known = msgspec.msgpack.Decoder(tuple[str, int, str | None, float | None, bytes, str | None]).decode


class RejectedFile(msgspec.Struct, frozen=True):
    """A file that differs from upstream because a steward rejected its loss; `who` is "" if that was not recorded."""

    path: str
    kind: LossKind
    bytes: int
    who: str = ""
    at: float = 0.0


@reads_rows
class Approvals(MirrorPart):
    """Losses that wait for a steward, and what the steward decided."""

    def park(self, mirror: int, losses: Iterable[Loss], *, deletions: bool = True) -> None:
        """Hold these losses for approval; replace those held before, except deletions if `deletions` is False."""
        losses = list(losses)

        def work() -> None:
            kept = "" if deletions else " AND kind<>'deleted'"
            self._of(mirror).do(f"DELETE FROM parked WHERE mirror=?{kept}", (mirror,))  # noqa: S608  constants
            self._of(mirror).add("INSERT OR REPLACE INTO parked VALUES (?,?,?,?,?,?)", _parked_rows(mirror, losses))

        self._of(mirror).together(work)

    def park_more(self, mirror: int, losses: Iterable[Loss]) -> None:
        """Hold further losses for approval."""
        self._of(mirror).many("INSERT OR REPLACE INTO parked VALUES (?,?,?,?,?,?)", _parked_rows(mirror, losses))

    def parked(self, mirror: int, after: str = "", limit: int = -1) -> list[Loss]:
        """Return at most `limit` held losses after the path `after`, sorted by path; -1: all."""
        sql = "SELECT path, bytes, kind, new_bytes, claim FROM parked WHERE mirror=? AND path>? ORDER BY path LIMIT ?"
        return [
            Loss(path, size, kind, new_bytes, _unpacked(claim))
            for path, size, kind, new_bytes, claim in self._of(mirror).rows(sql, (mirror, after, limit))
        ]

    def count_parked(self, mirror: int) -> tuple[int, int]:
        """Return the number of held losses, and how many of them are replacements."""
        row = self._of(mirror).one("SELECT count(*), count(claim) FROM parked WHERE mirror=?", (mirror,))
        return int(row[0]), int(row[1])

    def approve(self, mirror: int) -> int:
        """Approve exactly the held losses for the next pass; return their number."""
        return self._decide(mirror, "approved")

    def reject(self, mirror: int, who: str = "", at: float = 0.0) -> int:
        """Reject exactly the held losses: these files stay as they are; return their number."""
        return self._decide(mirror, "rejected", who, at)

    def _decide(self, mirror: int, table: str, who: str = "", at: float = 0.0) -> int:
        def work() -> None:
            if table == "rejected":
                self._of(mirror).do(
                    "INSERT OR REPLACE INTO decision SELECT mirror, path, kind, bytes, ?2, ?3 FROM parked "
                    "WHERE mirror=?1",
                    (mirror, who, at),
                )
            self._of(mirror).do("DELETE FROM consent WHERE mirror=?", (mirror,))
            self._of(mirror).do(
                f"INSERT OR REPLACE INTO {table} SELECT mirror, path, claim FROM parked WHERE mirror=?",  # noqa: S608  constants
                (mirror,),
            )
            self._of(mirror).do("DELETE FROM parked WHERE mirror=?", (mirror,))

        count = self.count_parked(mirror)[0]
        self._of(mirror).together(work)
        return count

    def approved(self, mirror: int) -> Decisions:
        """Return the approved losses."""
        return self._decisions("approved", mirror)

    def spend_approval(self, mirror: int) -> None:
        """Delete the approvals that a pass has used."""
        self._of(mirror).do("DELETE FROM approved WHERE mirror=?", (mirror,))

    def rejected(self, mirror: int) -> Decisions:
        """Return the rejected losses."""
        return self._decisions("rejected", mirror)

    def rejections(self, mirror: int, after: str = "", limit: int = -1) -> list[RejectedFile]:
        """Return at most `limit` files that differ from upstream by decision, after the path `after`, sorted."""
        rows = self._of(mirror).rows(
            "SELECT r.path, coalesce(d.kind, iif(r.claim IS NULL, 'deleted', 'shrunk')), coalesce(d.bytes, 0), "
            "coalesce(d.who, ''), coalesce(d.at, 0.0) FROM rejected r LEFT JOIN decision d "
            "ON d.mirror=r.mirror AND d.path=r.path WHERE r.mirror=? AND r.path>? ORDER BY r.path LIMIT ?",
            (mirror, after, limit),
        )
        return [RejectedFile(*row) for row in rows]

    def count_rejected(self, mirror: int) -> int:
        """Return how many files differ from upstream by decision."""
        return int(self._of(mirror).one("SELECT count(*) FROM rejected WHERE mirror=?", (mirror,))[0])

    def agree(self, mirror: int, who: str, marks: Iterable[str], at: float) -> None:
        """Record that a person approves the losses held now.

        Raises Busy if this person has done so: by the name, or by a mark that both have, as the number of the user.
        """
        subject, mine = self._subject(mirror), set(marks)
        for name, theirs, same in self._of(mirror).rows(
            "SELECT who, marks, subject=?2 FROM consent WHERE mirror=?1", (mirror, subject)
        ):
            if same and (name == who or mine & set(theirs.split())):
                raise Busy(
                    message(
                        "{name} has approved these losses already: another person must approve them, too", name=name
                    )
                )

        def work() -> None:
            self._of(mirror).do("DELETE FROM consent WHERE mirror=? AND subject<>?", (mirror, subject))
            self._of(mirror).do(
                "INSERT OR REPLACE INTO consent VALUES (?,?,?,?,?)", (mirror, who, " ".join(sorted(mine)), subject, at)
            )

        self._of(mirror).together(work)

    def agreed(self, mirror: int) -> list[str]:
        """Return who has approved exactly the losses held now, the first one first, while others must approve, too."""
        if self._of(mirror).one("SELECT 1 FROM consent WHERE mirror=? LIMIT 1", (mirror,)) is None:
            return []
        rows = self._of(mirror).rows(
            "SELECT who FROM consent WHERE mirror=? AND subject=? ORDER BY at", (mirror, self._subject(mirror))
        )
        return [who for (who,) in rows]

    def _subject(self, mirror: int) -> str:
        """Return what tells one set of held losses from another."""
        found = hashlib.sha256()
        for row in self._of(mirror).rows(
            "SELECT path, kind, bytes, claim FROM parked WHERE mirror=? ORDER BY path", (mirror,)
        ):
            found.update(_pack(row))
        return found.hexdigest()

    def forget_rejected(self, mirror: int, paths: Iterable[str] | None = None) -> int:
        """Forget rejections, of some paths or all: the next pass judges these losses again. Return their number."""
        count = len(self.rejected(mirror))
        if paths is None:
            self._of(mirror).do("DELETE FROM rejected WHERE mirror=?", (mirror,))
        else:
            self._of(mirror).many("DELETE FROM rejected WHERE mirror=? AND path=?", ((mirror, path) for path in paths))
        return count - len(self.rejected(mirror))

    def _decisions(self, table: str, mirror: int) -> Decisions:
        rows = self._of(mirror).rows(f"SELECT path, claim FROM {table} WHERE mirror=?", (mirror,))  # noqa: S608  constants
        return {path: _unpacked(claim) for path, claim in rows}

    def pin(self, mirror: int, paths: Iterable[str], *, frozen: bool = False) -> None:
        """Protect files that a steward restored: no pass deletes them; `frozen` ones are not replaced either."""
        self._of(mirror).many(
            "INSERT INTO pin VALUES (?,?,?) ON CONFLICT DO UPDATE SET frozen=max(frozen, excluded.frozen)",
            ((mirror, path, frozen) for path in paths),
        )

    def unpin(self, mirror: int, paths: Iterable[str]) -> None:
        """End the protection of files: the next pass follows upstream again."""
        self._of(mirror).many("DELETE FROM pin WHERE mirror=? AND path=?", ((mirror, path) for path in paths))

    def pins(self, mirror: int) -> list[tuple[str, bool]]:
        """Return the protected paths, sorted, each with True if it is frozen."""
        rows = self._of(mirror).rows("SELECT path, frozen FROM pin WHERE mirror=? ORDER BY path", (mirror,))
        return [(path, bool(frozen)) for path, frozen in rows]

    def pinned(self, mirror: int) -> set[str]:
        """Return the protected paths."""
        return {path for path, _ in self.pins(mirror)}


def _parked_rows(mirror: int, losses: Iterable[Loss]) -> Iterator[tuple[object, ...]]:
    for one in losses:
        yield mirror, one.path, one.bytes, one.kind, one.new_bytes, _packed(one.claim)


def _packed(claim: Known | None) -> bytes | None:
    return None if claim is None else _pack(tuple(claim))


def _unpacked(claim: bytes | None) -> Known | None:
    return None if claim is None else Known(*_known(claim))
