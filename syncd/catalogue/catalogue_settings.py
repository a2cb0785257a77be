"""Named values that outlast a process: the store's address, manifests, survey cursors."""

from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart


@reads_rows
class CatalogueSettings(DaemonPart):
    """Named texts in the Catalogue."""

    def get(self, name: str) -> str | None:
        """Return the value of `name`, or None."""
        row = self._db.one("SELECT value FROM setting WHERE name=?", (name,))
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Store `value` under `name`."""
        self._db.do("INSERT INTO setting VALUES (?,?) ON CONFLICT DO UPDATE SET value=excluded.value", (name, value))
