"""Deletes staged files that no record names: a pass, a rollback or a repair was killed before it recorded them."""

from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Store
from syncd.engine.pass_paths import PassPaths


async def drop_unjournaled(store: Store, catalogue: Catalogue, mirror: MirrorRow, place: PassPaths) -> None:
    """Delete the staged files of a mirror that wait for no swap; only while nothing else works on the mirror."""
    left = [stat.path async for stat in store.list(place.all_staged)]
    if left:
        waiting = catalogue.journal.staged_paths(mirror.id) | catalogue.staged.places(mirror.id)
        waiting |= catalogue.restorations.staged_paths(mirror.id)
        for path in left:
            if path not in waiting:
                await store.delete(path)
