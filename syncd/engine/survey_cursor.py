"""Remembers how far a source was read that tells what changed, and when that can still be trusted (docs/adr/0007).

A mark is void after a pass that did not set it, for another source or choice of files, for another snapshot (after a
rollback, a rebuild), and some time after everything was last read: a source may forget to tell.
"""

import hashlib
from collections.abc import Callable

import msgspec

from syncd.catalogue import CatalogueSettings, MirrorRow

WHOLE_EVERY = 30 * 86_400.0  # seconds after which everything is read all the same


class SavedCursor(msgspec.Struct, frozen=True):
    """How far upstream was read: `value` is its own word for it. `whole` is when everything was last read."""

    value: str
    source: str
    snapshot: str
    whole: float


class SurveyCursor:
    """The mark of one mirror; `source` stands for all that its manifest says of the source."""

    def __init__(self, settings: CatalogueSettings, row: MirrorRow, source: str, now: Callable[[], float]) -> None:
        self._settings = settings
        self._row = row
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self._now = now

    def resumable(self) -> SavedCursor | None:
        """Return the mark from which a pass may go on, None if everything must be read."""
        written = self._settings.get(_name(self._row.name))
        if not written:
            return None
        mark = msgspec.json.decode(written, type=SavedCursor)
        is_ours = (mark.source, mark.snapshot) == (self._source, self._row.snapshot)
        return mark if is_ours and self._now() - mark.whole < WHOLE_EVERY else None

    def save(self, value: str, snapshot: str, *, is_part: bool) -> None:
        """Remember that all up to `value` is published as `snapshot`; `is_part` says that only changes were read."""
        before = self.resumable() if is_part else None
        if before is not None:
            value = max(value, before.value)
        whole = self._now() if before is None else before.whole
        mark = SavedCursor(value, self._source, snapshot, whole)
        written = msgspec.json.encode(mark).decode() if value else ""
        if written or self._settings.get(_name(self._row.name)):
            self._settings.set(_name(self._row.name), written)


def forget(settings: CatalogueSettings, mirror: str) -> None:
    """Let the next pass read everything."""
    settings.set(_name(mirror), "")


def _name(mirror: str) -> str:
    return f"mark:{mirror}"
