"""The mirrors of a Catalogue, and how their last passes ended."""

from typing import TYPE_CHECKING, Any

import msgspec

from manifests.messages import message, plain
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart
from syncd.catalogue.prefixes import overlap
from syncd.core import Busy, ConfigError, Damaged

if TYPE_CHECKING:
    from manifests.model import Mirror

_json = msgspec.json.Encoder(enc_hook=plain).encode
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


def moved_from(row: MirrorRow | None, prefix: str) -> tuple[str, str] | None:
    """Return the problem and the remedy if a mirror's copy is stored under another prefix; otherwise None."""
    if row is None or not row.snapshot or row.prefix == prefix:
        return None
    what = message("is {declared} now, but its copy is stored under {stored}", declared=prefix, stored=row.prefix)
    return what, message("write store: {{prefix: {prefix}}}, or give the mirror another name", prefix=row.prefix)


@reads_rows
class MirrorList(DaemonPart):
    """The mirrors, by name."""

    def mirrors(self) -> list[MirrorRow]:
        """Return all mirrors, by name."""
        return [_row(row) for row in self._db.rows(f"SELECT {_COLUMNS} FROM mirror ORDER BY name")]  # noqa: S608  constant

    def mirror(self, name: str) -> MirrorRow | None:
        """Return one mirror."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM mirror WHERE name=?", (name,))  # noqa: S608  constant
        return None if row is None else _row(row)

    def ensure_declared(self, mirror: "Mirror") -> MirrorRow:
        """Return the row of a mirror that a manifest declares; create or update it.

        Raises ConfigError if another mirror holds its prefix, and Damaged if the store knows more of it.
        """
        self.require_own(mirror)
        return self.ensure_row(mirror)

    def ensure_row(self, mirror: "Mirror") -> MirrorRow:
        """As `ensure_declared`, but a pass may still be refused. Raises ConfigError for a moved prefix."""
        return self.ensure_mirror(mirror.name, prefix=mirror.prefix, title=mirror.title, source=mirror.source.url)

    def require_own(self, mirror: "Mirror") -> None:
        """Raise ConfigError if a pass over this mirror would write where another one has files; Damaged, Busy."""
        if (found := overlap(mirror.name, mirror.prefix, self.holders())) is not None:
            raise ConfigError(
                message("{name}: store.prefix: {what}: {todo}", name=mirror.name, what=found[0], todo=found[1])
            )
        row = self.mirror(mirror.name)
        if row is not None and row.last.get("state") == "forgetting":
            raise Busy(
                message(
                    "{name}: is being forgotten: run `syncd forget {name}` to the end, then start again", name=row.name
                )
            )
        if row is not None and row.name in self.outdated():
            raise Damaged(
                message(
                    "{name}: the state folder is older than the store, where snapshot {snapshot} is published: "
                    "run `syncd rebuild`",
                    name=row.name,
                    snapshot=self.outdated()[row.name][:12],
                )
            )

    def holders(self) -> list[tuple[str, str]]:
        """Return names and prefixes of the mirrors that have stored files: a pass began, or a snapshot is known."""
        return list(
            self._db.rows("SELECT name, prefix FROM mirror WHERE snapshot<>'' OR attempted IS NOT NULL ORDER BY name")
        )

    def outdated(self) -> dict[str, str]:
        """Return the mirrors of which the store knows more, each with the snapshot that is published there."""
        row = self._db.one("SELECT value FROM setting WHERE name='outdated'")
        return msgspec.json.decode(row[0], type=dict[str, str]) if row is not None else {}

    def set_outdated(self, found: dict[str, str]) -> None:
        """Record the mirrors of which the store knows more: no pass over them begins."""
        self._db.do(
            "INSERT INTO setting VALUES ('outdated', ?) ON CONFLICT DO UPDATE SET value=excluded.value",
            (_json(found).decode(),),
        )

    def end_outdated(self, name: str) -> None:
        """Record that a mirror was rebuilt from the store."""
        known = self.outdated()
        if known.pop(name, None) is not None:
            self.set_outdated(known)

    def delete(self, row: MirrorRow) -> None:
        """Delete every record of a mirror in the daemon's file, its row too; the audit log stays."""

        def work() -> None:
            self._db.do("DELETE FROM pass_event WHERE pass IN (SELECT id FROM pass WHERE mirror=?)", (row.id,))
            self._db.do("DELETE FROM pass WHERE mirror=?", (row.id,))
            self._db.do("DELETE FROM pause WHERE mirror=?", (row.id,))
            names = tuple(f"{kind}:{row.name}" for kind in ("manifest", "mark", "publishing", "etags", "withdrawn"))
            self._db.do("DELETE FROM setting WHERE name IN (?,?,?,?,?)", names)
            self._db.do("DELETE FROM mirror WHERE id=?", (row.id,))

        self._db.together(work)

    def ensure_mirror(
        self,
        name: str,
        *,
        prefix: str,
        title: str = "",
        source: str = "",
        may_move: bool = False,
        number: int | None = None,
    ) -> MirrorRow:
        """Return the row of a mirror; create it, with a `number` of its own or the next one, or update it.

        Raises ConfigError if its copy is stored under another prefix, unless it `may_move`: the paths of its snapshot
        would name no file.
        """
        if not may_move and (moved := moved_from(self.mirror(name), prefix)) is not None:
            raise ConfigError(message("{name}: store.prefix: {what}: {todo}", name=name, what=moved[0], todo=moved[1]))
        self._db.do(
            "INSERT INTO mirror (id, name, prefix, title, source) VALUES (?,?,?,?,?) ON CONFLICT (name) DO UPDATE SET "
            "prefix=excluded.prefix, title=excluded.title, source=excluded.source",
            (number, name, prefix, title, source),
        )
        row = self.mirror(name)
        assert row is not None
        return row

    def set_snapshot(self, mirror: int, snapshot: str) -> None:
        """Record the id of the current snapshot."""
        self._db.do("UPDATE mirror SET snapshot=? WHERE id=?", (snapshot, mirror))

    def attempt(self, mirror: int, at: float) -> None:
        """Record when a pass began."""
        self._db.do("UPDATE mirror SET attempted=? WHERE id=?", (at, mirror))

    def finish(self, mirror: int, *, succeeded: float | None, last: dict[str, Any]) -> None:
        """Record the state of the last pass; `succeeded` only if the pass was complete."""
        self._db.do(
            "UPDATE mirror SET last=?, succeeded=coalesce(?, succeeded) WHERE id=?",
            (_json(last).decode(), succeeded, mirror),
        )


def _row(values: tuple[Any, ...]) -> MirrorRow:
    return MirrorRow(*(*values[:-1], msgspec.json.decode(values[-1])))
