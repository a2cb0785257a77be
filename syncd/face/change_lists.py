"""What the kept versions of a mirror changed, for ResourceSync: made once for each version, one at a time, and kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from manifests.snapshot import Entry, Snapshot
from syncd.core import Store
from syncd.engine import differences
from syncd.exchange import PublishedChange, PublishedFile, resourcesync

KEPT = 20  # lists of changes in memory

Changes = tuple[Sequence[PublishedChange], float]  # and since when they are complete


class ChangeLists:
    """The changes of the mirrors that were asked for last, each up to its current version."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Changes] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, store: Store, kept: Sequence[Snapshot]) -> Changes:
        """Return the changes of the kept snapshots, of which the first is the current one. Raises Damaged."""
        key = (kept[0].id, kept[-1].id)
        async with self._lock:
            if key not in self._known:
                self._known[key] = await _read(store, kept)
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]


async def _read(store: Store, kept: Sequence[Snapshot]) -> Changes:
    """Return the changes, the earliest first, and since when; the older versions are left out if they do not fit."""
    found: list[PublishedChange] = []
    since = kept[0].created
    for after, before in pairwise(kept):
        step: list[PublishedChange] = []
        async for _, old, new in differences(store, after.mirror, before, after):
            step.append(_change(old, new, after.created))
            if len(found) + len(step) > resourcesync.MAX_ENTRIES:
                return found, since
        found, since = [*step, *found], before.created
    return found, since


def _change(old: Entry | None, new: Entry | None, at: float) -> PublishedChange:
    if new is None:
        assert old is not None
        return PublishedChange("deleted", published_file(old), at)
    return PublishedChange("created" if old is None else "updated", published_file(new), at)


def published_file(entry: Entry) -> PublishedFile:
    """Return a file as lists have it."""
    return PublishedFile(entry.path, entry.size, entry.sha256)
