"""The kept snapshots of each mirror."""

import msgspec

from manifests.messages import plain
from manifests.snapshot import Snapshot
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart

_json = msgspec.json.Encoder(enc_hook=plain).encode
_snapshot = msgspec.json.Decoder(Snapshot).decode


@reads_rows
class SnapshotHistory(MirrorPart):
    """The snapshots of a mirror, the current one first."""

    def publish(self, mirror: int, snapshot: Snapshot) -> None:
        """Record a snapshot as the current one: the pointer names it."""

        def work() -> None:
            place = self._of(mirror).one("SELECT coalesce(max(place), 0) + 1 FROM snapshot WHERE mirror=?", (mirror,))[
                0
            ]
            self._of(mirror).do(
                "INSERT OR REPLACE INTO snapshot (mirror, id, place, body, created) VALUES (?,?,?,?,?)",
                (mirror, snapshot.id, place, _json(snapshot), snapshot.created),
            )

        self._of(mirror).together(work)

    def snapshots(self, mirror: int) -> list[Snapshot]:
        """Return the kept snapshots, the current one first."""
        return [
            _snapshot(body)
            for (body,) in self._of(mirror).rows(
                "SELECT body FROM snapshot WHERE mirror=? ORDER BY place DESC", (mirror,)
            )
        ]

    def snapshot_times(self, mirror: int) -> list[tuple[str, float]]:
        """Return id and time of publication of the kept snapshots, the current one first."""
        return list(
            self._of(mirror).rows("SELECT id, created FROM snapshot WHERE mirror=? ORDER BY place DESC", (mirror,))
        )

    def snapshot(self, mirror: int, name: str) -> Snapshot | None:
        """Return one kept snapshot."""
        row = self._of(mirror).one("SELECT body FROM snapshot WHERE mirror=? AND id=?", (mirror, name))
        return None if row is None else _snapshot(row[0])

    def current_id(self, mirror: int) -> str:
        """Return the id of the current snapshot, or "" before the first one."""
        row = self._of(mirror).one("SELECT id FROM snapshot WHERE mirror=? ORDER BY place DESC LIMIT 1", (mirror,))
        return "" if row is None else str(row[0])

    def snapshot_ids(self, mirror: int) -> set[str]:
        """Return the ids of the kept snapshots."""
        return {name for (name,) in self._of(mirror).rows("SELECT id FROM snapshot WHERE mirror=?", (mirror,))}

    def current(self, mirror: int) -> Snapshot | None:
        """Return the current snapshot, the one that the pointer names."""
        row = self._of(mirror).one("SELECT body FROM snapshot WHERE mirror=? ORDER BY place DESC LIMIT 1", (mirror,))
        return None if row is None else _snapshot(row[0])

    def forget_snapshot(self, mirror: int, snapshot: str) -> None:
        """Delete the record of a snapshot that is no longer kept."""
        self._of(mirror).do("DELETE FROM snapshot WHERE mirror=? AND id=?", (mirror, snapshot))
