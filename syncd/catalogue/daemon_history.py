"""The records that a daemon keeps for people: passes and their events, pauses."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from manifests.messages import pack, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart
from syncd.core import PassEvent, PassView, message_view

R = TypeVar("R", bound=msgspec.Struct)

_COLUMNS = ", ".join(PassView.__struct_fields__).replace(
    "mirror", "coalesce((SELECT name FROM mirror WHERE id=pass.mirror), '')"
)


@reads_rows
class DaemonHistory(DaemonPart):
    """Passes, their events and pauses."""

    # -- passes ---------------------------------------------------------------------------------------------------

    def begin(self, mirror: int, *, why: str, who: str, at: float) -> int:
        """Record the begin of a pass; return its id, which is larger than all before."""
        row = self._db.one(
            "INSERT INTO pass (mirror, why, who, began) VALUES (?,?,?,?) RETURNING id", (mirror, why, who, at)
        )
        return int(row[0])

    def end(self, pass_id: int, *, outcome: str, at: float, **values: Any) -> None:
        """Record the end of a pass; `values` are the counts of its result, or `error` and `reason`."""
        columns = {"outcome": outcome, "ended": at, **values}
        if "reason" in values:
            columns["message"] = pack(values["reason"])
        names = ", ".join(f"{name}=?" for name in columns)
        self._db.do(f"UPDATE pass SET {names} WHERE id=?", (*columns.values(), pass_id))  # noqa: S608  our own names

    def end_killed(self) -> int:
        """End the passes that ran when a daemon was killed; return their number."""
        self._db.do(
            "UPDATE pass SET outcome='killed', ended=coalesce((SELECT max(at) FROM pass_event e "
            "WHERE e.pass=pass.id), began), reason='the daemon ended before it' WHERE outcome='running'"
        )
        return int(self._db.one("SELECT changes()")[0])

    def passes(self, mirror: int | None, before: int | None, limit: int) -> list[PassView]:
        """Return passes with ids below `before`, the newest first."""
        whose = "mirror=?1 AND" if mirror is not None else ""  # each has an index of its own
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM pass WHERE {whose} id<?2 ORDER BY id DESC LIMIT ?3",  # noqa: S608  constants
            (mirror, before if before is not None else 1 << 62, limit),
        )
        return [_struct_of(PassView, row) for row in rows]

    def has_pass(self, mirror: int, pass_id: int) -> bool:
        """Return True if this was a pass of the mirror, and its record has not expired."""
        return self._db.one("SELECT 1 FROM pass WHERE id=? AND mirror=?", (pass_id, mirror)) is not None

    def add_events(self, happenings: Iterable[tuple[int, PassEvent]]) -> None:
        """Record events, each `(pass, what)`."""
        self._db.many(
            "INSERT OR REPLACE INTO pass_event VALUES (?,?,?,?,?,?,?,?)",
            ((number, h.id, h.at, h.level, h.event, h.path, h.text, pack(h.text)) for number, h in happenings),
        )

    def events(self, pass_id: int, after: int, limit: int) -> list[PassEvent]:
        """Return the events of a pass with ids above `after`, the oldest first."""
        return [
            _struct_of(PassEvent, row)
            for row in self._db.rows(
                "SELECT id, at, level, event, path, text, message FROM pass_event WHERE pass=? AND id>? ORDER BY id "
                "LIMIT ?",
                (pass_id, after, limit),
            )
        ]

    def forget_passes(self, before: float, keep: int) -> int:
        """Delete passes that ended before, except the last `keep` of each mirror; return their number."""
        old = (
            "SELECT id FROM (SELECT id, ended, row_number() OVER (PARTITION BY mirror ORDER BY id DESC) AS place "
            "FROM pass) WHERE ended<? AND place>?"
        )
        self._db.do(f"DELETE FROM pass_event WHERE pass IN ({old})", (before, keep))  # noqa: S608  constant
        self._db.do(f"DELETE FROM pass WHERE id IN ({old})", (before, keep))  # noqa: S608  as above
        return int(self._db.one("SELECT changes()")[0])

    def forget_events(self, before: float) -> int:
        """Delete the events of passes that ended before; the passes themselves stay."""
        self._db.do("DELETE FROM pass_event WHERE pass IN (SELECT id FROM pass WHERE ended<?)", (before,))
        return int(self._db.one("SELECT changes()")[0])

    # -- what was downloaded --------------------------------------------------------------------------------------

    def add_fetched(self, mirror: str, day: str, size: int) -> None:
        """Count bytes that a pass downloaded and verified. A power failure may undo it: it is a count."""

        def work() -> None:
            self._db.do(
                "INSERT INTO fetched VALUES (?,?,?) ON CONFLICT DO UPDATE SET bytes=bytes+excluded.bytes",
                (mirror, day, size),
            )

        self._db.together(work, durable=False)

    def fetched(self, first: str, last: str) -> list[tuple[str, str, int]]:
        """Return the bytes that passes downloaded, by mirror and day (UTC), from `first` to `last`."""
        return [
            (str(mirror), str(day), int(size))
            for mirror, day, size in self._db.rows(
                "SELECT mirror, day, bytes FROM fetched WHERE day>=? AND day<=? ORDER BY mirror, day", (first, last)
            )
        ]

    # -- pauses ---------------------------------------------------------------------------------------------------

    def pause(self, mirror: int, who: str, at: float) -> None:
        """Pause a mirror: no pass starts until it is resumed."""
        self._db.do("INSERT OR REPLACE INTO pause VALUES (?,?,?)", (mirror, who, at))

    def resume(self, mirror: int) -> None:
        """Delete the pause of a mirror."""
        self._db.do("DELETE FROM pause WHERE mirror=?", (mirror,))

    def paused(self) -> dict[int, tuple[str, float]]:
        """Return for each paused mirror who paused it, and when."""
        return {mirror: (who, at) for mirror, who, at in self._db.rows("SELECT mirror, who, at FROM pause")}


def _struct_of(kind: type[R], row: tuple[Any, ...]) -> R:
    """Return a row whose last column is the template and values of the text before it."""
    values = dict(zip(kind.__struct_fields__, row, strict=True))
    name = kind.__struct_fields__[-2]
    values[name] = unpack(values[name], values["message"])
    return kind(**values | {"message": message_view(values[name])})
