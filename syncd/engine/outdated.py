"""Finds mirrors of which the store knows more than the Catalogue: the state folder was restored from a backup.

A pass with such a Catalogue would publish over snapshots that it does not know, and lose their bytes.
"""

from contextlib import suppress

import msgspec

from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Damaged, NotFound, Store, in_lanes
from syncd.engine.rebuild_catalogue import current_snapshot

AT_ONCE = 16  # pointers that are read at once


class OutdatedMirror(msgspec.Struct, frozen=True):
    """A mirror of the Catalogue, and the snapshot that the store's pointer names."""

    name: str
    snapshot: str


async def outdated_mirrors(store: Store, catalogue: Catalogue) -> list[OutdatedMirror]:
    """Return the mirrors whose pointer names or keeps a snapshot that the Catalogue does not know."""
    found: list[OutdatedMirror] = []

    async def check(row: MirrorRow) -> None:
        with suppress(NotFound, Damaged):  # the next publish writes it again
            pointer = await current_snapshot(store, row.name)
            known = catalogue.history.snapshot_ids(row.id)
            if pointer.snapshot != catalogue.history.current_id(row.id) or not known.issuperset(pointer.kept):
                found.append(OutdatedMirror(row.name, pointer.snapshot))

    await in_lanes(AT_ONCE, [row for row in catalogue.history.mirrors() if row.snapshot], check)
    return sorted(found, key=lambda one: one.name)
