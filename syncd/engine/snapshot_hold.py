"""A mirror that was rolled back and held: no pass begins until it is released.

The hold is a setting of the Catalogue, so that backups have it.
"""

import msgspec

from manifests.messages import message, plain
from manifests.timestamps import rfc3339
from syncd.catalogue import CatalogueSettings
from syncd.core import Busy


class SnapshotHold(msgspec.Struct, frozen=True):
    """Which snapshot is held, by whom and since when."""

    snapshot: str
    who: str
    at: float


def hold_of(settings: CatalogueSettings, mirror: str) -> SnapshotHold | None:
    """Return the hold of a mirror, None if it follows upstream."""
    written = settings.get(_name(mirror))
    return msgspec.json.decode(written, type=SnapshotHold) if written else None


def hold_snapshot(settings: CatalogueSettings, mirror: str, hold: SnapshotHold) -> None:
    """Hold a mirror."""
    settings.set(_name(mirror), msgspec.json.encode(hold, enc_hook=plain).decode())


def release_hold(settings: CatalogueSettings, mirror: str) -> SnapshotHold | None:
    """End the hold of a mirror; return it, None if there was none."""
    found = hold_of(settings, mirror)
    if found is not None:
        settings.set(_name(mirror), "")
    return found


def require_no_hold(settings: CatalogueSettings, mirror: str) -> None:
    """Raise Busy if a mirror is held: a pass would undo the rollback."""
    found = hold_of(settings, mirror)
    if found is not None:
        raise Busy(
            message(
                "{mirror}: is held at snapshot {snapshot} by {who} since {since}: `syncd release {mirror}` ends that",
                mirror=mirror,
                snapshot=found.snapshot[:12],
                who=found.who,
                since=rfc3339(found.at),
            )
        )


def _name(mirror: str) -> str:
    return f"hold:{mirror}"
