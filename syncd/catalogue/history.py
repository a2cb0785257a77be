"""What happened and what is under way: mirrors, snapshots, swaps, stagings, parked removals, failures."""

from collections.abc import Iterable
from typing import Any

import msgspec

from manifests.snapshot import Entry, Origin, Snapshot
from syncd.catalogue.database import Database
from syncd.core import ConfigError

_json = msgspec.json.Encoder().encode
_entry = msgspec.json.Decoder(Entry).decode
_origin = msgspec.json.Decoder(Origin).decode
_snapshot = msgspec.json.Decoder(Snapshot).decode
_COLUMNS = "id, name, prefix, snapshot, title, source, succeeded, attempted, last"


class MirrorRow(msgspec.Struct):
    """One mirror as the Catalogue knows it; times in seconds since the epoch."""

    id: int
    name: str
    prefix: str
    snapshot: str
    title: str
    source: str
    succeeded: float | None
    attempted: float | None
    last: dict[str, Any]


class Swap(msgspec.Struct, frozen=True):
    """A proved replacement that waits under `staged` to take the place of what lies at its path."""

    path: str
    staged: str
    entry: Entry
    origin: Origin
    old_bytes: int
    old_sha256: str


class Inflight(msgspec.Struct, frozen=True):
    """A large file of which part is staged: the store's token, and the version that part belongs to."""

    path: str
    token: str
    version: str
    size: int


class FailedFile(msgspec.Struct, frozen=True):
    """Why a file could not be had; `quarantined` is where its bytes lie, or ""."""

    path: str
    error: str
    reason: str
    at: float
    quarantined: str


def moved_from(row: MirrorRow | None, prefix: str) -> tuple[str, str] | None:
    """Return what is wrong and what to do where a mirror's copy lies under another prefix than it should now."""
    if row is None or not row.snapshot or row.prefix == prefix:
        return None
    what = f"is {prefix} now, but its copy lies in {row.prefix}"
    return what, f"write store: {{prefix: {row.prefix}}}, or give the mirror another name"


class History:
    """Settings, mirrors and their snapshots, and the journal of unfinished work."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._db = database

    def get_setting(self, name: str) -> str | None:
        """Return what was remembered under `name`."""
        row = self._db.one("SELECT value FROM setting WHERE name=?", (name,))
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Remember `value` under `name`."""
        self._db.do("INSERT INTO setting VALUES (?,?) ON CONFLICT DO UPDATE SET value=excluded.value", (name, value))

    def mirrors(self) -> list[MirrorRow]:
        """Return all mirrors, by name."""
        return [_row(row) for row in self._db.rows(f"SELECT {_COLUMNS} FROM mirror ORDER BY name")]  # noqa: S608  constant

    def mirror(self, name: str) -> MirrorRow | None:
        """Return one mirror."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM mirror WHERE name=?", (name,))  # noqa: S608  constant
        return None if row is None else _row(row)

    def ensure_mirror(
        self, name: str, *, prefix: str, title: str = "", source: str = "", may_move: bool = False
    ) -> MirrorRow:
        """Return the mirror of that name, made or brought up to date.

        Raises ConfigError if its copy lies under another prefix, unless it `may_move`: nothing would lie where its
        snapshot then says.
        """
        if not may_move and (moved := moved_from(self.mirror(name), prefix)) is not None:
            raise ConfigError(f"{name}: store.prefix: {moved[0]}: {moved[1]}")
        self._db.do(
            "INSERT INTO mirror (name, prefix, title, source) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET "
            "prefix=excluded.prefix, title=excluded.title, source=excluded.source",
            (name, prefix, title, source),
        )
        row = self.mirror(name)
        assert row is not None
        return row

    def drop(self, mirror: int) -> None:
        """Forget all of a mirror but its name: what a rebuild begins with."""
        for table in (
            "entry",
            "changed",
            "removed",
            "version",
            "snapshot",
            "claim",
            "promise",
            "swap",
            "inflight",
        ):
            self._db.do(f"DELETE FROM {table} WHERE mirror=?", (mirror,))  # noqa: S608  constants

    def attempt(self, mirror: int, at: float) -> None:
        """Remember that a pass began."""
        self._db.do("UPDATE mirror SET attempted=? WHERE id=?", (at, mirror))

    def finish(self, mirror: int, *, succeeded: float | None, last: dict[str, Any]) -> None:
        """Remember how a pass ended; `succeeded` only if it was complete."""
        self._db.do(
            "UPDATE mirror SET last=?, succeeded=coalesce(?, succeeded) WHERE id=?",
            (_json(last).decode(), succeeded, mirror),
        )

    # -- snapshots ------------------------------------------------------------------------------------------------

    def publish(self, mirror: int, snapshot: Snapshot) -> None:
        """The pointer names this snapshot now."""

        def work() -> None:
            place = self._db.one("SELECT coalesce(max(place), 0) + 1 FROM snapshot WHERE mirror=?", (mirror,))[0]
            self._db.do(
                "INSERT OR REPLACE INTO snapshot VALUES (?,?,?,?)", (mirror, snapshot.id, place, _json(snapshot))
            )
            self._db.do("UPDATE mirror SET snapshot=? WHERE id=?", (snapshot.id, mirror))

        self._db.together(work)

    def snapshots(self, mirror: int) -> list[Snapshot]:
        """Return the kept snapshots, the current one first."""
        return [
            _snapshot(body)
            for (body,) in self._db.rows("SELECT body FROM snapshot WHERE mirror=? ORDER BY place DESC", (mirror,))
        ]

    def current(self, mirror: int) -> Snapshot | None:
        """Return the snapshot that the pointer names."""
        row = self._db.one("SELECT body FROM snapshot WHERE mirror=? ORDER BY place DESC LIMIT 1", (mirror,))
        return None if row is None else _snapshot(row[0])

    def forget_snapshot(self, mirror: int, snapshot: str) -> None:
        """A snapshot is no longer kept."""
        self._db.do("DELETE FROM snapshot WHERE mirror=? AND id=?", (mirror, snapshot))

    # -- the swap, journaled --------------------------------------------------------------------------------------

    def add_swap(self, mirror: int, swap: Swap) -> None:
        """A replacement is proved and waits."""
        self._db.do(
            "INSERT OR REPLACE INTO swap VALUES (?,?,?,?,?,?,?)",
            (mirror, swap.path, swap.staged, _json(swap.entry), _json(swap.origin), swap.old_bytes, swap.old_sha256),
        )

    def swaps(self, mirror: int) -> list[Swap]:
        """Return the replacements that wait, sorted."""
        return [
            Swap(path, staged, _entry(entry), _origin(origin), old_bytes, old_sha256)
            for path, staged, entry, origin, old_bytes, old_sha256 in self._db.rows(
                "SELECT path, staged, entry, origin, old_bytes, old_sha256 FROM swap WHERE mirror=? ORDER BY path",
                (mirror,),
            )
        ]

    def end_swap(self, mirror: int, path: str) -> None:
        """The replacement is in place and recorded."""
        self._db.do("DELETE FROM swap WHERE mirror=? AND path=?", (mirror, path))

    # -- stagings -------------------------------------------------------------------------------------------------

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """A large file begins to be staged."""
        self._db.do(
            "INSERT OR REPLACE INTO inflight VALUES (?,?,?,?,?)",
            (mirror, inflight.path, inflight.token, inflight.version, inflight.size),
        )

    def all_inflight(self, mirror: int) -> dict[str, Inflight]:
        """Return the stagings that were begun, by path."""
        rows = self._db.rows("SELECT path, token, version, size FROM inflight WHERE mirror=?", (mirror,))
        return {path: Inflight(path, token, version, size) for path, token, version, size in rows}

    def end(self, mirror: int, path: str) -> None:
        """The staging is committed or dropped."""
        self._db.do("DELETE FROM inflight WHERE mirror=? AND path=?", (mirror, path))

    def end_all(self, mirror: int, paths: Iterable[str]) -> None:
        """These files are stored and recorded."""
        self._db.many("DELETE FROM inflight WHERE mirror=? AND path=?", ((mirror, path) for path in paths))

    # -- parked removals and failures -----------------------------------------------------------------------------

    def park(self, mirror: int, removals: Iterable[tuple[str, int]]) -> None:
        """Hold these removals, `(path, bytes)`, until a steward approves them; forget what was parked before."""
        removals = list(removals)

        def work() -> None:
            self._db.do("DELETE FROM parked WHERE mirror=?", (mirror,))
            self._db.add("INSERT INTO parked VALUES (?,?,?)", ((mirror, path, size) for path, size in removals))

        self._db.together(work)

    def parked(self, mirror: int, after: str = "", limit: int = -1) -> list[tuple[str, int]]:
        """Return the parked removals, sorted; those behind `after`, and `limit` of them."""
        sql = "SELECT path, bytes FROM parked WHERE mirror=? AND path>? ORDER BY path LIMIT ?"
        return [(path, size) for path, size in self._db.rows(sql, (mirror, after, limit))]

    def approve(self, mirror: int) -> int:
        """Let exactly the parked removals through at the next pass; returns how many."""

        def work() -> None:
            self._db.do("INSERT OR IGNORE INTO approved SELECT mirror, path FROM parked WHERE mirror=?", (mirror,))
            self._db.do("DELETE FROM parked WHERE mirror=?", (mirror,))

        count = len(self.parked(mirror))
        self._db.together(work)
        return count

    def approved(self, mirror: int) -> set[str]:
        """Return the paths whose removal was approved."""
        return {path for (path,) in self._db.rows("SELECT path FROM approved WHERE mirror=?", (mirror,))}

    def spend_approval(self, mirror: int) -> None:
        """The approval was used."""
        self._db.do("DELETE FROM approved WHERE mirror=?", (mirror,))

    def pin(self, mirror: int, paths: Iterable[str]) -> None:
        """A steward wants these back although upstream has dropped them: no pass removes them again."""
        self._db.many("INSERT OR IGNORE INTO pin VALUES (?,?)", ((mirror, path) for path in paths))

    def pinned(self, mirror: int) -> set[str]:
        """Return the paths that no pass removes."""
        return {path for (path,) in self._db.rows("SELECT path FROM pin WHERE mirror=?", (mirror,))}

    def fail(self, mirror: int, failure: FailedFile) -> None:
        """Remember why a file could not be had."""
        self._db.do(
            "INSERT OR REPLACE INTO failure VALUES (?,?,?,?,?,?)",
            (mirror, failure.path, failure.error, failure.reason, failure.at, failure.quarantined),
        )

    def failures(self, mirror: int, after: str = "", limit: int = -1) -> list[FailedFile]:
        """Return what could not be had, sorted; those behind `after`, and `limit` of them."""
        return [
            FailedFile(*row)
            for row in self._db.rows(
                "SELECT path, error, reason, at, quarantined FROM failure WHERE mirror=? AND path>? ORDER BY path "
                "LIMIT ?",
                (mirror, after, limit),
            )
        ]

    def forget_failures(self, mirror: int, before: float) -> None:
        """Failures older than the pass that just ended are not true any more."""
        self._db.do("DELETE FROM failure WHERE mirror=? AND at<?", (mirror, before))


def _row(values: tuple[Any, ...]) -> MirrorRow:
    return MirrorRow(*(*values[:-1], msgspec.json.decode(values[-1])))
