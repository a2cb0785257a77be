"""Brings a Catalogue up to the store when a process has taken the lease, before anything else is written.

Rules:
1. An empty Catalogue, or one whose rebuild was cut short, is rebuilt from the store.
2. The Catalogue records the epoch of the lease under which its session ended. If the lease had another one since, some
   other Catalogue wrote: mirrors of which the store knows more are rebuilt, each by itself.
3. Every publish that was interrupted is finished: until then the files are ahead of the Snapshot.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from manifests.model import Keep
from manifests.snapshot import Pointer
from syncd.catalogue import Catalogue, MirrorRow, interrupted_mirrors
from syncd.core import Busy, CatalogueOutdated, Listener, NoSpace, PermanentError, Store
from syncd.engine.outdated import outdated_mirrors
from syncd.engine.rebuild_catalogue import needs_rebuild, rebuild
from syncd.engine.roll_forward import roll_forward
from syncd.engine.unpublished import note_doubtful

LAST_EPOCH = "epoch"  # the setting with the lease's epoch at the last clean end


@asynccontextmanager
async def caught_up(
    store: Store,
    catalogue: Catalogue,
    listener: Listener,
    keep: Callable[[str], Keep | None],
    now: Callable[[], float] = time.time,
    *,
    previous: int,
    epoch: int,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[bool]:
    """Bring the Catalogue up to the store, and record at the end of the block that it is; yields True if it was not.

    `previous` and `epoch` are those of the lease before this process took it, and since. `keep` returns the retention
    of a mirror. `settle` waits until the lease has settled: before what the store holds is believed, and at the end.
    Raises what `rebuild` and `roll_forward` do.
    """
    is_rebuilt = needs_rebuild(catalogue)
    is_known = catalogue.settings.get(LAST_EPOCH) == str(previous)
    if settle is not None and (is_rebuilt or not is_known or interrupted_mirrors(catalogue)):
        await settle()
    if is_rebuilt:
        await rebuild(store, catalogue, now)
    elif not is_known:
        is_rebuilt = await _rebuild_outdated(store, catalogue, listener, now)
    yield await roll_forward(store, catalogue, listener, keep, now) or is_rebuilt
    if settle is not None:
        await settle()  # another process may have written the lease with the same epoch
    # only now: if this process ends before, the next one compares the Catalogue with the store
    catalogue.settings.set(LAST_EPOCH, str(epoch))


async def _rebuild_outdated(store: Store, catalogue: Catalogue, listener: Listener, now: Callable[[], float]) -> bool:
    """Rebuild the mirrors of which the store knows more: another state folder was used, or an old one restored."""
    history = catalogue.history
    for row in history.mirrors():
        note_doubtful(catalogue, row.name)
    found = {one.name: one.snapshot for one in await outdated_mirrors(store, catalogue)}
    history.set_outdated(found)
    for name, snapshot in found.items():
        reason = ""
        try:
            await rebuild(store, catalogue, now, only=partial(_is_of, name))
        except (NoSpace, Busy):
            raise
        except PermanentError as error:
            reason = str(error)
        listener(CatalogueOutdated(name, snapshot, reason))
    return bool(found)


def _is_of(name: str, pointer: Pointer, _row: MirrorRow | None) -> bool:
    return pointer.mirror == name
