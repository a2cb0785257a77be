"""Reads the lists of published snapshots: one path, a run of paths, or the children of a folder.

Rules:
1. A snapshot's own shards say what it names, each proved by its checksum: no list is ever shorter than the snapshot.
2. At most SHARDS shards are in memory, whatever the number of files.
"""

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from manifests.snapshot import Entry, Origin, Snapshot
from syncd.core import Store
from syncd.engine import read_origins, shard_entries, shard_index

SHARDS = 8  # of entries, and of origins: about 6 MB each

T = TypeVar("T")


class Child(msgspec.Struct, frozen=True):
    """One name in a folder: a file with its Entry, or a folder."""

    name: str
    entry: Entry | None = None
    modified: float = 0.0


class SnapshotLists:
    """The lists of one store."""

    def __init__(self, store: Store) -> None:
        """Read from `store`, which belongs to the running loop."""
        self._store = store
        self._entries: _Latest[list[Entry]] = _Latest(SHARDS)
        self._origins: _Latest[dict[str, Origin]] = _Latest(SHARDS)

    async def entry(self, snapshot: Snapshot, path: str) -> Entry | None:
        """Return what a snapshot names at a path. Raises Damaged, TransientError."""
        at = shard_index(snapshot, path)
        if at < 0:
            return None
        run = await self._run(snapshot, at)
        place = bisect_left(run, path, key=_path)
        return run[place] if place < len(run) and run[place].path == path else None

    async def origin(self, snapshot: Snapshot, path: str) -> Origin | None:
        """Return where a file of a snapshot came from, and how it was verified; None if that is not recorded."""
        at = shard_index(snapshot, path)
        return (await self._origins_of(snapshot, at)).get(path) if at >= 0 else None

    async def modified(self, snapshot: Snapshot, path: str) -> float:
        """Return when a file changed, as upstream says; else when it was verified here, else the snapshot's time."""
        return _time(await self.origin(snapshot, path), snapshot)

    async def run_from(self, snapshot: Snapshot, first: str) -> AsyncIterator[tuple[Entry, float]]:
        """Yield the Entries from the path `first` on, sorted, and when each file changed."""
        for at in range(max(0, shard_index(snapshot, first)), len(snapshot.content.shards)):
            run, known = await self._run(snapshot, at), await self._origins_of(snapshot, at)
            for place in range(bisect_left(run, first, key=_path), len(run)):
                yield run[place], _time(known.get(run[place].path), snapshot)

    async def children(
        self, snapshot: Snapshot, folder: str, after: str, limit: int, *, prefix: str = ""
    ) -> list[Child]:
        """Return at most `limit` names in a folder ("" or ending in /) that sort after the name `after`.

        A folder's name ends in a slash, by which it sorts. With `prefix`, which begins with `folder`, only names whose
        paths begin with it.
        """
        prefix = prefix or folder
        found: list[Child] = []
        shards = snapshot.content.shards
        at_path = max(prefix, folder + (_behind(after) if after else ""))
        at = max(0, shard_index(snapshot, at_path))
        while at < len(shards) and len(found) < limit:
            run = await self._run(snapshot, at)
            origins: dict[str, Origin] | None = None
            place = bisect_left(run, at_path, key=_path)
            while place < len(run) and len(found) < limit:
                entry = run[place]
                if not entry.path.startswith(prefix):
                    return found
                name, slash, _ = entry.path[len(folder) :].partition("/")
                if slash:
                    found.append(Child(name + "/"))
                    at_path = f"{folder}{name}0"  # the character after the slash: behind everything in that folder
                    place = bisect_left(run, at_path, lo=place, key=_path)
                else:
                    if origins is None:
                        origins = await self._origins_of(snapshot, at)
                    found.append(Child(name, entry, _time(origins.get(entry.path), snapshot)))
                    place += 1
            at = max(at + 1, shard_index(snapshot, at_path))
        return found

    async def _run(self, snapshot: Snapshot, at: int) -> list[Entry]:
        name, sha256 = snapshot.mirror, snapshot.content.shards[at].sha256
        return await self._entries.get((name, sha256), lambda: shard_entries(self._store, name, sha256))

    async def _origins_of(self, snapshot: Snapshot, at: int) -> dict[str, Origin]:
        if at >= len(snapshot.origins):
            return {}
        name, names = snapshot.mirror, snapshot.origins[at]
        return await self._origins.get((name, names), lambda: read_origins(self._store, name, names))


class _Latest(Generic[T]):
    """The values that were asked for last; one is read at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], T] = OrderedDict()
        self._reading = asyncio.Lock()

    async def get(self, key: tuple[str, str], read: Callable[[], Awaitable[T]]) -> T:
        """Return the value of a key; `read` reads it if it is not known."""
        if key not in self._known:
            async with self._reading:
                if key not in self._known:  # another request has not read it meanwhile
                    self._known[key] = await read()
                    while len(self._known) > self._most:
                        self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def _path(entry: Entry) -> str:
    return entry.path


def _behind(name: str) -> str:
    """Return the least path that sorts behind a name and, for a folder, behind everything in it."""
    return name[:-1] + "0" if name.endswith("/") else name + "\0"


def _time(origin: Origin | None, snapshot: Snapshot) -> float:
    if origin is None:
        return snapshot.created
    return origin.modified if origin.modified is not None else origin.proved
