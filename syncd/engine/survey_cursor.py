"""Stores the cursor of a source that can list changes only, and decides if it is still valid (docs/adr/0007).

A cursor is invalid after a pass that did not set it, for another source or selection of files, for another snapshot
(after a rollback or rebuild), and WHOLE_EVERY seconds after the last full survey: a source may omit changes.
"""

import hashlib
from collections.abc import Callable

import msgspec

from manifests.messages import plain
from syncd.catalogue import CatalogueSettings, MirrorRow

WHOLE_EVERY = 30 * 86_400.0  # seconds after which a full survey is due


class SavedCursor(msgspec.Struct, frozen=True):
    """A stored cursor: `value` in the upstream's own form; `whole` is the time of the last full survey."""

    value: str
    source: str
    snapshot: str
    whole: float


class SurveyCursor:
    """The cursor of one mirror; `source` is the text of the manifest's `source`."""

    def __init__(self, settings: CatalogueSettings, row: MirrorRow, source: str, now: Callable[[], float]) -> None:
        self._settings = settings
        self._row = row
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self._now = now

    def resumable(self) -> SavedCursor | None:
        """Return the cursor from which a pass can list changes, or None if a full survey is due."""
        written = self._settings.get(_name(self._row.name))
        if not written:
            return None
        mark = msgspec.json.decode(written, type=SavedCursor)
        is_ours = (mark.source, mark.snapshot) == (self._source, self._row.snapshot)
        return mark if is_ours and self._now() - mark.whole < WHOLE_EVERY else None

    def save(self, value: str, snapshot: str, *, is_part: bool) -> None:
        """Record that `snapshot` publishes everything up to `value`; `is_part`: only changes were read."""
        before = self.resumable() if is_part else None
        if before is not None:
            value = max(value, before.value)
        whole = self._now() if before is None else before.whole
        mark = SavedCursor(value, self._source, snapshot, whole)
        written = msgspec.json.encode(mark, enc_hook=plain).decode() if value else ""
        if written or self._settings.get(_name(self._row.name)):
            self._settings.set(_name(self._row.name), written)


def forget_cursor(settings: CatalogueSettings, mirror: str) -> None:
    """Delete the cursor: the next pass makes a full survey."""
    settings.set(_name(mirror), "")


def _name(mirror: str) -> str:
    return f"mark:{mirror}"
